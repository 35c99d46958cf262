//! Fields in Lur'e form, `f(x) = Cx + Bσ(Ax + b)`: what multipliers prove of them is so, is sharp, and is used.

use dahlquist::{
    activation::Activation,
    certificate::{Certificate, Claims, Rule},
    check::check,
    model::{Equilibrium, Field, Flow, Linear, Map, Method, Model, Tensor},
    rigor::quadratic_constraint::{Lurie, Stage},
    rules::Prover,
    tensor::Shape,
};
use dahlquist_testkit::{described::exact, models::certificate_of};
use faer::Mat;
use num_traits::Signed;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::{Value, json};

use crate::forgery::{issued, parse, places};

fn gaussian(rng: &mut ChaCha8Rng, rows: usize, columns: usize, scale: f64) -> Mat<f64> {
    Mat::from_fn(rows, columns, |_, _| f64::from((scale * rng.sample::<f64, _>(StandardNormal)) as f32))
}

fn dense(w: &Mat<f64>) -> Linear {
    let entries: Vec<f64> = (0..w.nrows()).flat_map(|i| (0..w.ncols()).map(move |j| w[(i, j)])).collect();
    Linear::Dense { weight: Tensor::new(&[w.nrows(), w.ncols()], &entries), bias: None }
}

fn field(c: &Mat<f64>, a: &Mat<f64>, b: &Mat<f64>) -> Field {
    Field::Lurie { activation: Activation::Relu {}, linear: dense(c), inner: dense(a), outer: dense(b) }
}

fn claims(field: &Field, space: usize) -> Claims {
    Prover::default().field(field, Shape::Features(space)).expect("a proof").claims()
}

fn step(field: &Field, space: usize, method: &str, h: f64) -> Certificate {
    let map = Map::Flow(Flow::of_steps(field.clone(), Method::Named(method.into()), h, 1));
    Prover::default().network(&map, Shape::Features(space)).expect("a proof").premises()[0].clone()
}

fn near(found: f64, meant: f64, tolerance: f64) {
    assert!((found - meant).abs() <= tolerance * meant.abs().max(1.0), "{found}, not {meant}");
}

/// On a line the slopes of a field are an interval, from which every constant follows.
#[test]
fn constants_on_a_line_are_those_of_its_slopes() {
    for (c, b, a) in [(-2.0, 1.0, 1.0), (-2.0, -3.0, 1.0), (-4.0, 0.5, -3.0), (-1.0, 1e-3, 1e2), (1.0, 2.0, 0.5)] {
        let (least, most) = (f64::min(c, c + a * b), f64::max(c, c + a * b));
        let one = |x: f64| faer::mat![[x]];
        let field = field(&one(c), &one(a), &one(b));
        let found = claims(&field, 1);
        near(found.bound.get(), most.abs().max(least.abs()), 1e-4);
        near(found.one_sided_lipschitz.expect("a constant").get(), most, 1e-6);
        match found.cocoercivity {
            Some(nu) => near(nu.get(), -1.0 / least, 1e-6),
            None => assert!(most >= 0.0, "no cocoercivity of slopes in [{least}, {most}]"),
        }
        for h in [0.1, 0.4, -0.2] {
            let factor = step(&field, 1, "euler", h).bound().get();
            near(factor, (1.0 + h * least).abs().max((1.0 + h * most).abs()), 1e-4);
        }
    }
}

/// The same with numbers over the whole range of exponents, in exact arithmetic: whatever is claimed is so.
#[test]
fn constants_on_a_line_hold_at_the_ends_of_the_range() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    let (mut by_multipliers, mut contracting) = (0, 0);
    for case in 0..1500 {
        let wide = [4, 40, 300, 1070][case % 4];
        let mut number = || {
            let size = libm::scalbn(rng.random_range(1.0..2.0), rng.random_range(-wide..=wide.min(1020)));
            if rng.random_bool(0.5) { size } else { -size }
        };
        let (c, a, b, h) = (number(), number(), number(), number());
        let field = field(&faer::mat![[c]], &faer::mat![[a]], &faer::mat![[b]]);
        let Ok(proof) = Prover::default().field(&field, Shape::Features(1)) else { continue };
        let found = proof.claims();
        by_multipliers += usize::from(proof.rule() == Rule::QuadraticConstraint);
        let ends = [exact(c), exact(c) + exact(a) * exact(b)];
        for slope in &ends {
            let what = || format!("case {case}: x' = {c:e}x + {b:e} relu({a:e}x)");
            assert!(slope.abs() <= exact(found.bound.get()), "{}", what());
            let mu = found.one_sided_lipschitz.expect("a constant").get();
            assert!(mu.is_infinite() || *slope <= exact(mu), "{}", what());
            if let Some(nu) = found.cocoercivity {
                contracting += 1;
                assert!(*slope <= -(exact(nu.get()) * slope * slope), "{}", what());
            }
            let map = Map::Flow(Flow::of_steps(field.clone(), Method::Named("euler".into()), h, 1));
            if let Ok(step) = Prover::default().network(&map, Shape::Features(1)) {
                let factor = exact(1.0) + exact(h) * slope;
                assert!(factor.abs() <= exact(step.bound().get()), "{}, h = {h:e}", what());
            }
        }
    }
    assert!(by_multipliers > 300 && contracting > 100, "{by_multipliers} {contracting}");
}

/// No multipliers prove more than is so: not those that were found, and no multiple of them.
#[test]
fn nothing_better_than_what_is_so_is_proved() {
    let one = |x: f64| faer::mat![[x]];
    // Slopes in [−2, −1]: ℓ = 2, μ = −1, ν = 1/2, and a step of 1/2 is 1/2-Lipschitz.
    let lurie = Lurie::new(Some(one(-2.0)), Stage { weight: one(1.0), slopes: [0.0, 1.0] }, one(1.0)).expect("a field");
    let (mu, once) = lurie.search_one_sided().expect("a proof");
    let (nu, averse) = lurie.search_cocoercive(&once).expect("a proof");
    assert!(mu.get() >= -1.0 && nu.get() <= 0.5, "{mu} {nu}");
    for exponent in -400..400 {
        let t = [libm::exp2(f64::from(exponent) / 20.0)];
        assert!(lurie.one_sided(f64::next_down(-1.0), &t).is_err(), "multiplier {t:?}");
        assert!(lurie.cocoercive(f64::next_up(0.5), &t).is_err(), "multiplier {t:?}");
    }
    for wrong in [f64::NAN, f64::NEG_INFINITY, -1e300] {
        assert!(lurie.one_sided(wrong, &once).is_err(), "{wrong}");
    }
    for wrong in [f64::NAN, f64::INFINITY, 1e300, 0.0, -1.0] {
        assert!(lurie.cocoercive(wrong, &averse).is_err(), "{wrong}");
    }
    for wrong in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-80] {
        assert!(lurie.one_sided(0.0, &[wrong]).is_err() && lurie.cocoercive(0.1, &[wrong]).is_err(), "{wrong}");
    }
    assert!(lurie.one_sided(0.0, &[]).is_err() && lurie.one_sided(0.0, &[1.0, 1.0]).is_err());
}

/// A step of length 2ν is non-expansive, up to what the search leaves, and all methods use the constants of the field.
#[test]
fn a_step_of_twice_the_cocoercivity_does_not_expand() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for (n, k) in [(2, 3), (6, 4), (8, 8)] {
        let size = 1.0 / (n as f64).sqrt();
        let c = Mat::from_fn(n, n, |i, j| if i == j { -2.5 } else { 0.0 }) + gaussian(rng, n, n, 0.3 * size);
        let field = field(&c, &gaussian(rng, k, n, size), &gaussian(rng, n, k, size));
        let found = claims(&field, n);
        let nu = found.cocoercivity.expect("it contracts").get();
        near(step(&field, n, "euler", 2.0 * nu).bound().get(), 1.0, 1e-4);
        assert!(step(&field, n, "euler", 2.2 * nu).bound().get() > 1.0, "ν is as large as multipliers can prove");
        assert!(step(&field, n, "euler", nu).bound().get() < 1.0 - 1e-3);
        // Every method with a radius is non-expansive up to 2rν: 1 for rk4.
        let rk4 = step(&field, n, "rk4", 1.9 * nu);
        assert!(rk4.bound().get() <= 1.0, "{} by {}", rk4.bound(), rk4.rule());
        // Implicit methods take any step, and there is an equilibrium.
        let mu = -found.one_sided_lipschitz.expect("a constant").get();
        near(step(&field, n, "implicit_euler", 10.0).bound().get(), 1.0 / (1.0 + 10.0 * mu), 1e-3);
        let map = Map::Equilibrium(Equilibrium { field: field.clone(), tolerance: Some(1e-6) });
        let proof = Prover::default().network(&map, Shape::Features(n)).expect("an equilibrium");
        near(proof.bound().get(), 1.0 / mu, 1e-12);
    }
}

/// The bound by norms, `1 + h(‖C‖ + ‖B‖‖A‖)`, is far from what multipliers prove, and they find all of it where it can be seen: for
/// the diagonal field with slopes `cᵢ + [0, bᵢaᵢ]`.
#[test]
fn multipliers_see_how_the_parts_of_a_field_lie_together() {
    let diagonal = |entries: [f64; 3]| Mat::from_fn(3, 3, |i, j| if i == j { entries[i] } else { 0.0 });
    let (c, a, b) = ([-1.0, -3.0, 0.5], [1.0, 2.0, -0.5], [0.5, 1.0, 1.0]);
    let field = field(&diagonal(c), &diagonal(a), &diagonal(b));
    let found = step(&field, 3, "euler", 0.25);
    assert_eq!(found.rule(), Rule::QuadraticConstraint);
    let slopes = (0..3).flat_map(|i| [c[i], c[i] + a[i] * b[i]]);
    let factor = slopes.map(|s| (1.0f64 + 0.25 * s).abs()).fold(0.0, f64::max);
    near(found.bound().get(), factor, 1e-4);
    assert!(found.bound().get() < 0.8 * (1.0 + 0.25 * (3.0 + 2.0)));
}

/// Powers of two in one part and their inverses in another change nothing, as far as exponents reach; what has no multipliers has the
/// norms of its operators.
#[test]
fn scales_do_not_matter_and_what_is_left_has_its_norms() {
    let scaled = |w: &Mat<f64>, e| Mat::from_fn(w.nrows(), w.ncols(), |i, j| libm::scalbn(w[(i, j)], e));
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let c = Mat::from_fn(3, 3, |i, j| if i == j { -2.0 } else { 0.25 });
    let (a, b) = (gaussian(rng, 2, 3, 0.5), gaussian(rng, 3, 2, 0.5));
    let plain = claims(&field(&c, &a, &b), 3);
    for e in [-300, -40, 60, 400] {
        assert_eq!(claims(&field(&c, &scaled(&a, e), &scaled(&b, -e)), 3), plain, "2^{e}");
    }
    let rule = |field: &Field| Prover::default().field(field, Shape::Features(3)).expect("a proof").rule();
    assert_eq!(rule(&field(&c, &a, &b)), Rule::QuadraticConstraint);
    for wild in [field(&scaled(&c, 500), &a, &b), field(&c, &scaled(&a, -900), &b), field(&c, &a, &Mat::zeros(3, 2))] {
        assert_eq!(rule(&wild), Rule::ResidualField);
    }
    // Without a linear part it is a residual field.
    let still = field(&Mat::zeros(3, 3), &a, &b);
    let residual = Field::Residual { activation: Activation::Relu {}, inner: dense(&a), outer: dense(&b) };
    assert_eq!(step(&still, 3, "euler", 0.5).bound(), step(&residual, 3, "euler", 0.5).bound());
}

/// What is issued is verified, and no number that is changed makes a claim that is false: `x' = −2x + relu(x)` has slopes in `[−2, −1]`.
#[test]
fn multipliers_are_checked() {
    let one = |x: f64| faer::mat![[x]];
    let flow = |method: &str| {
        let field = field(&one(-2.0), &one(1.0), &one(1.0));
        Map::Flow(Flow::of_steps(field, Method::Named(method.into()), 0.25, 1))
    };
    let map = Map::Chain(vec![flow("euler"), flow("rk4")]);
    let model = Model::new(Shape::Features(1), map, "f64").expect("a model");
    let claimed = certificate_of(&model);
    assert!(check(&claimed, &model).verified.is_some(), "{:#?}", check(&claimed, &model));
    let original = issued(&claimed);
    let mut all = Vec::new();
    places(&original, "", &mut all);
    let mut refused = 0;
    for place in all {
        let Some(number) = original.pointer(&place).and_then(Value::as_f64) else { continue };
        for factor in [0.5, 0.99, 1.01, 2.0, -1.0] {
            let mut changed = original.clone();
            *changed.pointer_mut(&place).expect("the same place") = json!(number * factor);
            let Some(verified) = parse(&changed).ok().and_then(|claimed| check(&claimed, &model).verified) else {
                refused += 1;
                continue;
            };
            for step in verified.certificate().layers().flat_map(|flow| flow.premises()) {
                assert!(step.bound().get() >= 0.75 || step.path().starts_with('1'), "{place} times {factor}");
                let claims = step.premises()[0].claims();
                let [mu, nu] = [claims.one_sided_lipschitz.map(|mu| mu.get()), claims.cocoercivity.map(|nu| nu.get())];
                let is_true =
                    claims.bound.get() >= 2.0 && mu.is_none_or(|mu| mu >= -1.0) && nu.is_none_or(|nu| nu <= 0.5);
                assert!(is_true, "{place} times {factor}: {claims:?}");
            }
        }
    }
    assert!(refused > 60, "{refused}");
}
