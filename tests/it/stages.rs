//! Stage multipliers: their factors against closed forms, and what they prove against exact arithmetic.

use std::cmp::Ordering;

use dahlquist::{
    activation::Activation,
    certificate::{Claims, Evidence, Inequality, Rule, StageInequality},
    integrate::{Surd, Tableau},
    model::{Field, Flow, Linear, Map, Method, Step, Tensor},
    rules::{Numbers, Prover, lipschitz_step, stage_multipliers},
    tensor::Shape,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What is claimed of a gradient field with curvature in `[mu, 1]`.
fn gradient(mu: f64) -> Numbers {
    Claims {
        one_sided_lipschitz: Some(-mu),
        cocoercivity: Some(1.0),
        strong_convexity: Some(mu),
        ..Claims::lipschitz(1.0)
    }
}

/// A field that nothing here looks into.
fn field() -> Field {
    let operator = Linear::Dense { weight: Tensor::new(&[1, 1], &[1.0f64]), bias: None };
    Field::Gradient { activation: Activation::Relu {}, operator, weights: None }
}

/// The factor that multipliers prove of a step, and the multipliers.
fn found(name: &str, h: f64, numbers: &Numbers) -> Option<(f64, Evidence)> {
    let (method, field) = (Method::Named(name.into()), field());
    let step = Step { method: &method, length: h, field: &field };
    stage_multipliers::propose(step, numbers).map(|(claims, evidence)| (claims.bound.get(), evidence))
}

fn factor(name: &str, h: f64, numbers: &Numbers) -> f64 {
    found(name, h, numbers).unwrap_or_else(|| panic!("{name} has no factor at h = {h}")).0
}

fn proves(name: &str, h: f64, numbers: &Numbers, evidence: &Evidence, bound: f64) -> bool {
    let (method, field) = (Method::Named(name.into()), field());
    let step = Step { method: &method, length: h, field: &field };
    stage_multipliers::bound(step, numbers, evidence, bound).is_ok()
}

/// `max |R(−hλ)|` over a grid of curvatures: what linear fields attain.
fn linear(name: &str, h: f64, mu: f64) -> f64 {
    let t = Tableau::by_name(name).unwrap();
    let number = |x: &Surd| 0.5 * (x.lower() + x.upper());
    let r = |z: f64| {
        // (I − zA) k = 1 by Gauss, R = 1 + z bᵀk.
        let s = t.stages();
        let mut m: Vec<Vec<f64>> = (0..s)
            .map(|i| {
                (0..=s)
                    .map(|j| if j == s { 1.0 } else { f64::from(u8::from(i == j)) - z * number(&t.a()[i][j]) })
                    .collect()
            })
            .collect();
        for k in 0..s {
            let pivot = m[k].clone();
            for (_, row) in m.iter_mut().enumerate().filter(|(i, _)| *i != k) {
                let factor = row[k] / pivot[k];
                row.iter_mut().zip(&pivot).for_each(|(x, p)| *x -= factor * p);
            }
        }
        1.0 + z * (0..s).map(|i| number(&t.b()[i]) * m[i][s] / m[i][i]).sum::<f64>()
    };
    (0..=1000).map(|k| r(-h * (mu + (1.0 - mu) * f64::from(k) / 1000.0)).abs()).fold(0.0, f64::max)
}

#[test]
fn factors_are_those_of_linear_fields_where_these_attain_them() {
    // Method, step, least curvature.
    let attained = [
        ("euler", 1.0, 0.25),
        ("euler", 1.5, 0.25),
        ("heun", 1.0, 0.25),
        ("heun", 1.5, 0.25),
        ("ssprk33", 1.0, 0.25),
        ("ssprk33", 1.5, 0.25),
        ("kutta3", 1.0, 0.25),
        ("rk4", 1.0, 0.25),
        ("rk4", 1.5, 0.25),
        ("implicit_midpoint", 1.0, 0.25),
        ("implicit_midpoint", 1.5, 0.25),
        ("implicit_midpoint", 2.0, 0.25),
        ("radau_iia2", 1.0, 0.25),
        ("radau_iia2", 1.5, 0.25),
        ("radau_iia2", 2.0, 0.25),
        ("implicit_euler", 3.0, 0.25),
        ("euler", 3.0, 0.0),
        ("heun", 3.0, 0.0),
        ("rk4", 1.0, 0.0),
    ];
    for (name, h, mu) in attained {
        let (bound, least) = (factor(name, h, &gradient(mu)), linear(name, h, mu));
        assert!((bound - least).abs() <= 1e-9 * least, "{name}, h = {h}, μ = {mu}: {bound}, not {least}");
    }
    // An Euler step of a field with two other constants: √(1 + 2hμ + h²ℓ²).
    let numbers = Claims { one_sided_lipschitz: Some(-0.5), ..Claims::lipschitz(1.0) };
    for h in [0.25, 0.5, 1.0, 2.0f64] {
        let least = (1.0 - h + h * h).sqrt();
        assert!((factor("euler", h, &numbers) - least).abs() <= 1e-9);
    }
}

#[test]
fn every_method_has_an_honest_factor_on_every_gradient_field() {
    for name in Tableau::names().chain(["ssprk52", "ssprk102"]) {
        for (h, mu) in [0.01, 0.5, 1.0, 2.0, 5.0].into_iter().flat_map(|h| [(h, 0.0), (h, 0.25)]) {
            // At the very limit the multipliers are a single point, which a search from inside need not reach; circle
            // contractivity proves 1 there.
            let at_the_limit = Tableau::by_name(name).unwrap().circle_radius().is_ok_and(|r| h == 2.0 * r.get());
            let bound = match found(name, h, &gradient(mu)) {
                None if at_the_limit && mu == 0.0 => continue,
                found => found.unwrap_or_else(|| panic!("{name} has no factor at h = {h}, μ = {mu}")).0,
            };
            let least = linear(name, h, mu);
            assert!(bound >= least - 1e-12, "{name}, h = {h}, μ = {mu}: {bound} < {least}");
            let t = Tableau::by_name(name).unwrap();
            if let Ok(r) = t.circle_radius()
                && h <= 2.0 * r.get()
            {
                assert!(bound <= 1.0 + 1e-9, "{name}, h = {h}, μ = {mu}: {bound}");
                assert!(
                    mu == 0.0 || h == 2.0 * r.get() || bound < 1.0 - 0.2 * h.min(1.0) * mu,
                    "{name}, h = {h}: {bound}"
                );
            }
        }
        // Without a radius, the factor of a short step is a little above 1, and below 1 where the curvature has a bound.
        let short = factor(name, 0.01, &gradient(0.0));
        assert!((1.0..1.01).contains(&short), "{name}: {short}");
        assert!(factor(name, 0.01, &gradient(0.5)) < 1.0, "{name}");
    }
}

#[test]
fn multipliers_prove_no_less_than_convex_combinations_of_euler_steps() {
    for name in ["heun", "ralston2", "ssprk33", "ssprk43", "ssprk32", "ssprk102"] {
        let t = Tableau::by_name(name).unwrap();
        let r = t.ssp_coefficient().unwrap().get();
        for (part, mu) in [0.3, 1.0, 1.5, 2.5].into_iter().flat_map(|part| [(part, 0.0), (part, 0.25)]) {
            let h = part * r;
            let euler = (1.0 - part * mu).abs().max((1.0 - part).abs());
            let combined = t.shu_osher(r).unwrap().lipschitz(dahlquist::rigor::Upper::trust(euler)).get();
            let bound = factor(name, h, &gradient(mu));
            assert!(bound <= combined * (1.0 + 1e-7), "{name}, h = {h}, μ = {mu}: {bound} > {combined}");
        }
    }
}

#[test]
fn nothing_but_a_lipschitz_constant_has_its_polynomial() {
    let method = |name: &str| Method::Named(name.into());
    let (rk4, field) = (method("rk4"), field());
    let step = |h: f64| Step { method: &rk4, length: h, field: &field };
    let numbers = Claims { one_sided_lipschitz: Some(1.0), ..Claims::lipschitz(1.0) };
    // Coefficients that are not negative: R(hℓ).
    for h in [1.0, -1.0] {
        let bound = lipschitz_step::bound(step(h), &numbers).unwrap().bound.get();
        let truth = 1.0 + 1.0 + 0.5 + 1.0 / 6.0 + 1.0 / 24.0;
        assert!(truth <= bound && bound <= truth * (1.0 + 1e-14), "{bound}");
        assert!(stage_multipliers::propose(step(h), &numbers).is_none());
    }
    // Kutta's −1 counts as 1: L = (1, 1 + z/2, 1 + z + 2z(1 + z/2)).
    let kutta = method("kutta3");
    let bound =
        lipschitz_step::bound(Step { method: &kutta, length: 1.0, field: &field }, &numbers).unwrap().bound.get();
    let truth = 1.0 + (1.0 + 4.0 * 1.5 + (1.0 + 1.0 + 2.0 * 1.5)) / 6.0;
    assert!(truth <= bound && bound <= truth * (1.0 + 1e-14), "{bound} {truth}");
    let implicit = method("implicit_euler");
    assert!(lipschitz_step::bound(Step { method: &implicit, length: 1.0, field: &field }, &numbers).is_err());
    assert!(lipschitz_step::bound(step(1e200), &numbers).is_err());
}

fn exact(x: f64) -> Surd {
    Surd::from_f64(x).unwrap()
}

/// The matrix of the form, exactly.
fn form(t: &Tableau, inequalities: &[StageInequality], rho: f64) -> Vec<Vec<Surd>> {
    let n = t.stages() + 1;
    let vector = |row: &[Surd]| [vec![Surd::from(1)], row.to_vec()].concat();
    let eta = vector(t.b());
    let mut s: Vec<Vec<Surd>> = (0..n).map(|j| (0..n).map(|k| -&(&eta[j] * &eta[k])).collect()).collect();
    s[0][0] = &s[0][0] + &(&exact(rho) * &exact(rho));
    let half = exact(0.5);
    for StageInequality { inequality, multipliers } in inequalities {
        let [p, q, r] = match *inequality {
            Inequality::Curvature([a, b]) => [exact(1.0), &half * &(&exact(a) + &exact(b)), &exact(a) * &exact(b)],
            Inequality::OneSided(m) => [exact(0.0), half.clone(), exact(-m)],
            Inequality::Lipschitz(l) => [exact(1.0), exact(0.0), -&(&exact(l) * &exact(l))],
            Inequality::Cocoercive(c) => [exact(c), half.clone(), exact(0.0)],
        };
        for (i, y) in multipliers.iter().enumerate() {
            let xi = vector(&t.a()[i]);
            let psi = |j: usize| Surd::from(i64::from(j == i + 1));
            for j in 0..n {
                for k in 0..n {
                    let across = &(&psi(j) * &xi[k]) + &(&xi[j] * &psi(k));
                    let square = &(&p * &(&psi(j) * &psi(k))) + &(&r * &(&xi[j] * &xi[k]));
                    s[j][k] = &s[j][k] + &(&exact(*y) * &(&(&q * &across) + &square));
                }
            }
        }
    }
    s
}

/// Whether a symmetric matrix is positive semidefinite, exactly: all pivots of its elimination are.
fn is_positive_semidefinite(mut s: Vec<Vec<Surd>>) -> bool {
    for k in 0..s.len() {
        match s[k][k].sign() {
            Ordering::Less => return false,
            Ordering::Equal if s[k][k..].iter().any(|x| x.sign() != Ordering::Equal) => return false,
            Ordering::Equal => {}
            Ordering::Greater => {
                let (pivot, inverse) = (s[k].clone(), s[k][k].recip().unwrap());
                for row in s.iter_mut().skip(k + 1) {
                    let factor = &row[k] * &inverse;
                    row.iter_mut().zip(&pivot).skip(k).for_each(|(x, p)| *x = &*x - &(&factor * p));
                }
            }
        }
    }
    true
}

#[test]
fn what_is_proved_holds_exactly() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let names: Vec<&str> = Tableau::names().filter(|name| Tableau::by_name(name).unwrap().stages() <= 4).collect();
    let fields: [Numbers; 4] = [
        gradient(0.0),
        gradient(0.25),
        Claims { one_sided_lipschitz: Some(-0.5), ..Claims::lipschitz(1.0) },
        Claims { one_sided_lipschitz: Some(-0.3), cocoercivity: Some(0.4), ..Claims::lipschitz(1.0) },
    ];
    let (mut accepted, mut refused, mut narrow) = (0, 0, 0);
    for round in 0..4 {
        for name in &names {
            for numbers in &fields {
                let h = [0.5, 1.0, 1.7, 1e-3][round % 4] * rng.random_range(0.5..1.0);
                let Some((bound, evidence)) = found(name, h, numbers) else { continue };
                let Evidence::Stages(inequalities) = &evidence else { panic!("{evidence:?}") };
                for size in [0.0, 1e-15, 1e-13, 1e-9, 1e-2] {
                    let mut changed = inequalities.clone();
                    for t in changed.iter_mut().flat_map(|c| &mut c.multipliers) {
                        *t *= 1.0 + size * rng.random_range(-1.0..1.0);
                    }
                    let claimed = bound * (1.0 + size * rng.random_range(-1.0..1.0));
                    let proved = proves(name, h, numbers, &Evidence::Stages(changed.clone()), claimed);
                    let truth = is_positive_semidefinite(form(&Tableau::by_name(name).unwrap(), &changed, claimed));
                    assert!(truth || !proved, "{name}, h = {h}: {changed:?} does not prove {claimed}");
                    accepted += u32::from(proved);
                    refused += u32::from(!truth);
                    narrow += u32::from(truth && !proved);
                }
            }
        }
    }
    assert!(accepted > 200 && refused > 200, "{accepted} accepted, {refused} false, {narrow} true and refused");
}

#[test]
fn no_multipliers_prove_less_than_the_truth() {
    // A linear field of curvature 1/4 is multiplied by 25/32 in a step of Heun's method of length 1, exactly.
    let (truth, numbers) = (0.78125f64, gradient(0.25));
    let (bound, evidence) = found("heun", 1.0, &numbers).unwrap();
    assert!(truth <= bound && bound <= truth * (1.0 + 1e-9), "{bound}");
    let Evidence::Stages(inequalities) = &evidence else { panic!("{evidence:?}") };
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for k in 0..20_000 {
        let mut changed = inequalities.clone();
        let size = 0.5f64.powi(k % 50);
        changed[0].multipliers.iter_mut().for_each(|t| *t *= 1.0 + size * rng.random_range(-1.0..1.0));
        assert!(!proves("heun", 1.0, &numbers, &Evidence::Stages(changed), truth.next_down()));
    }
    // The same multipliers prove nothing below 1 of a field that is merely convex, of a longer step or of another method.
    assert!(proves("heun", 1.0, &numbers, &evidence, bound));
    assert!(!proves("heun", 1.0, &gradient(0.0), &evidence, bound));
    assert!(!proves("heun", 1.0f64.next_up(), &numbers, &evidence, bound));
    assert!(!proves("midpoint", 1.0, &numbers, &evidence, bound));
    assert!(!proves("heun", -1.0, &numbers, &evidence, bound));
}

#[test]
fn hostile_multipliers_are_refused() {
    let numbers = gradient(0.25);
    let (bound, evidence) = found("rk4", 1.0, &numbers).unwrap();
    let Evidence::Stages(inequalities) = &evidence else { panic!("{evidence:?}") };
    let refused = |change: &dyn Fn(&mut Vec<StageInequality>), bound: f64| {
        let mut changed = inequalities.clone();
        change(&mut changed);
        !proves("rk4", 1.0, &numbers, &Evidence::Stages(changed), bound)
    };
    assert!(!refused(&|_| {}, bound) && !refused(&|_| {}, 2.0 * bound));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -bound, 0.0, 5e-324] {
        assert!(refused(&|_| {}, bad), "{bad}");
    }
    for bad in [f64::NAN, f64::INFINITY, -1e-300, -1.0, 1e300, 1e-300, 0.0] {
        assert!(refused(&|c| c[0].multipliers[1] = bad, bound), "{bad}");
    }
    assert!(refused(&Vec::clear, bound));
    assert!(refused(&|c| c[0].multipliers.truncate(3), bound));
    assert!(refused(&|c| c[0].multipliers.push(1.0), bound));
    let with = |inequality: Inequality| move |c: &mut Vec<StageInequality>| c[0].inequality = inequality;
    for stronger in [
        Inequality::Curvature([0.25f64.next_up(), 1.0]),
        Inequality::Curvature([0.25, 1.0f64.next_down()]),
        Inequality::Curvature([f64::NAN, 1.0]),
        Inequality::Curvature([0.5, 0.5]),
        Inequality::Lipschitz(1.0f64.next_down()),
        Inequality::Lipschitz(f64::NAN),
        Inequality::OneSided((-0.25f64).next_down()),
        Inequality::Cocoercive(1.0f64.next_up()),
        Inequality::Cocoercive(f64::INFINITY),
    ] {
        // However much is claimed, an inequality that the field need not satisfy proves nothing.
        assert!(refused(&with(stronger), 1e6), "{stronger:?}");
    }
}

/// What a whole flow is certified by.
#[test]
fn flows_take_the_rule_that_proves_most() {
    let rule_of = |method: &str, slope: f64, h: f64| {
        let weight = Tensor::new(&[1, 1], &[1.0f64]);
        let operator = Linear::Dense { weight, bias: None };
        let activation = if slope > 0.0 { Activation::LeakyRelu { slope } } else { Activation::Relu {} };
        let field = Field::Gradient { activation, operator, weights: None };
        let flow = Flow::of_steps(field, Method::Named(method.into()), h, 2);
        let proof = Prover::default().network(&Map::Flow(flow), Shape::Features(1)).unwrap();
        (proof.premises()[0].rule(), proof.bound().get())
    };
    let one_above = (2.0f64).next_up();
    for (method, slope, h, rule, range) in [
        ("euler", 0.25, 1.0, Rule::GradientStep, [0.5625, 0.5626]),
        ("rk4", 0.0, 2.0, Rule::CircleContractivity, [1.0, 1.0]),
        ("rk4", 0.25, 1.0, Rule::StageMultipliers, [0.606, 0.607]),
        ("midpoint", 0.0, 1.0, Rule::StageMultipliers, [1.06, 1.07]),
        ("dopri5", 0.0, 0.01, Rule::StageMultipliers, [1.0, 1.02]),
        ("heun3", 0.5, 0.5, Rule::StageMultipliers, [0.5, 0.7]),
    ] {
        let (found, bound) = rule_of(method, slope, h);
        assert!(found == rule && range[0] <= bound && bound <= range[1], "{method}, h = {h}: {found}, {bound}");
    }
    // One rounding beyond the limit, which was refused once: a factor a little above 1.
    let (rule, bound) = rule_of("rk4", 0.0, one_above);
    assert!(rule == Rule::StageMultipliers && 1.0 < bound && bound < 1.0 + 1e-9, "{rule}, {bound}");
}
