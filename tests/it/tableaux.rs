//! Runge–Kutta methods: their order, their radius of circle contractivity, their Shu–Osher form.

use std::cmp::Ordering;

use dahlquist::{
    Error,
    integrate::{CircleRadius, Surd, Tableau},
    model::{Fractions, Method},
    rigor::{Lower, Upper},
};
use faer::{Mat, Side};
use rand::{RngExt, SeedableRng};

fn q(n: i64, d: i64) -> Surd {
    Surd::ratio(n, d).unwrap()
}

fn exact(x: f64) -> Surd {
    Surd::from_f64(x).unwrap()
}

fn dot(x: &[Surd], y: &[Surd]) -> Surd {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn method(name: &str) -> Tableau {
    Tableau::by_name(name).unwrap()
}

/// All methods of the crate, one of the family `ssprk<s>2` with many stages among them.
fn methods() -> impl Iterator<Item = Tableau> {
    Tableau::names().chain(["ssprk22", "ssprk32", "ssprk52", "ssprk102"]).map(method)
}

/// `u + v√n`.
fn surd(u: i64, v: i64, n: u32) -> Surd {
    &Surd::from(u) + &(&Surd::from(v) * &Surd::sqrt(n))
}

fn rebuilt(t: &Tableau, order: usize) -> Result<Tableau, Error> {
    Tableau::new(t.name(), order, t.a().to_vec(), t.b().to_vec(), t.c().to_vec())
}

#[test]
fn coefficients_are_rounded_within_their_error() {
    for t in methods() {
        let rounded = t.rounded::<f32>();
        assert!(rounded.error <= 2f64.powi(-24));
        let pairs = t.a().iter().zip(&rounded.a).flat_map(|(x, y)| x.iter().zip(y)).chain(t.b().iter().zip(&rounded.b));
        for (x, y) in pairs {
            assert!((&exact(f64::from(*y)) - x).abs() <= &exact(rounded.error) * &x.abs(), "{} {x}", t.name());
        }
        assert!(t.rounded::<f64>().error <= 2f64.powi(-53));
    }
    for name in ["euler", "midpoint", "heun", "trapezoid", "implicit_midpoint", "lobatto_iiic2"] {
        assert_eq!(method(name).rounded::<f32>().error, 0.0);
    }
    assert!(Tableau::rk4().rounded::<f64>().error > 0.0);
}

#[test]
fn every_method_has_its_order_and_no_higher_one() {
    for t in methods() {
        assert_eq!(rebuilt(&t, t.order()).unwrap(), t);
        assert!(matches!(rebuilt(&t, t.order() + 1), Err(Error::Tableau { .. })), "{}", t.name());
        assert!(t.has_order(t.order()).is_ok() && t.has_order(t.order() + 1).is_err());
        assert_eq!(method(t.name()), t);
    }
}

#[test]
fn the_order_conditions_are_those_of_all_rooted_trees() {
    // Gauss with three stages has order 6: 37 trees, and √15.
    let root = Surd::sqrt(15);
    let (b, c) = (
        vec![q(5, 18), q(4, 9), q(5, 18)],
        vec![&q(1, 2) - &(&q(1, 10) * &root), q(1, 2), &q(1, 2) + &(&q(1, 10) * &root)],
    );
    let with_root = |n: i64, d: i64, m: i64, e: i64| &q(n, d) + &(&q(m, e) * &root);
    let a = vec![
        vec![q(5, 36), with_root(2, 9, -1, 15), with_root(5, 36, -1, 30)],
        vec![with_root(5, 36, 1, 24), q(2, 9), with_root(5, 36, -1, 24)],
        vec![with_root(5, 36, 1, 30), with_root(2, 9, 1, 15), q(5, 36)],
    ];
    let gauss3 = Tableau::new("gauss3", 6, a, b, c).unwrap();
    assert!(gauss3.has_order(7).is_err());
    assert_eq!(gauss3.circle_radius().unwrap(), CircleRadius::Infinite);
    assert!(gauss3.has_order(0).is_err() && gauss3.has_order(9).is_err());
    let reason = Tableau::euler().has_order(2).unwrap_err().to_string();
    assert!(reason.contains("[τ]") && reason.contains("1/2"), "{reason}");
}

#[test]
fn a_perturbed_tableau_is_refused() {
    let perturbation = exact(2f64.powi(-60));
    for t in methods().filter(|t| t.stages() <= 7) {
        let weighted = |i: &usize| t.b()[*i].sign() != Ordering::Equal;
        for (i, j) in (0..t.stages()).filter(weighted).flat_map(|i| (0..t.stages()).map(move |j| (i, j))) {
            let refused = |a: &[Vec<Surd>], b: &[Surd], c: &[Surd]| {
                Tableau::new("perturbed", t.order(), a.to_vec(), b.to_vec(), c.to_vec()).is_err()
            };
            let (mut a, mut b, mut c) = (t.a().to_vec(), t.b().to_vec(), t.c().to_vec());
            a[i][j] = &a[i][j] + &perturbation;
            b[i] = &b[i] + &perturbation;
            c[i] = &c[i] + &perturbation;
            assert!(refused(&a, t.b(), t.c()), "row sum {i} of {}", t.name());
            assert!(refused(t.a(), &b, t.c()), "weight {i} of {}", t.name());
            assert!(refused(t.a(), t.b(), &c), "node {i} of {}", t.name());
            assert_eq!(refused(&a, t.b(), &c), t.order() > 1, "entry {i}, {j} of {}", t.name());
        }
    }
}

#[test]
fn shapes_and_ranges_are_refused() {
    let one = || vec![Surd::from(1)];
    let zero = || vec![Surd::default()];
    assert!(Tableau::new("euler", 1, vec![zero()], one(), zero()).is_ok());
    assert!(Tableau::new("no stages", 1, vec![], vec![], vec![]).is_err());
    assert!(Tableau::new("no rows", 1, vec![], one(), zero()).is_err());
    assert!(Tableau::new("no nodes", 1, vec![zero()], one(), vec![]).is_err());
    assert!(Tableau::new("long row", 1, vec![vec![Surd::default(); 2]], one(), zero()).is_err());
    assert!(Tableau::new("node", 1, vec![zero()], one(), one()).is_err());
    assert!(Tableau::new("order 0", 0, vec![zero()], one(), zero()).is_err());
    for x in [1e31, -1e31, 1e-31] {
        assert!(Tableau::new("range", 1, vec![vec![exact(x)]], one(), vec![exact(x)]).is_err());
    }
    for name in ["", "RK4", "ssprk", "ssprk2", "ssprk12", "ssprk02", "ssprk032", "ssprk332", "ssprk+32", "ssprk44"] {
        assert!(Tableau::by_name(name).is_err(), "{name}");
    }
    assert_eq!(method("ssprk322").stages(), 32);
}

/// Files and certificates say a name in place of irrational coefficients: a flow of another method of that name would be certified
/// as the one that has it, and move by more than its bound.
#[test]
fn a_name_means_its_coefficients() {
    let half = || vec![q(1, 2), q(1, 2)];
    for far in [Surd::sqrt(50), q(7, 1)] {
        let (a, c) = (vec![vec![Surd::default(); 2], vec![far.clone(), Surd::default()]], vec![Surd::default(), far]);
        assert!(Tableau::new("mine", 1, a.clone(), half(), c.clone()).is_ok());
        assert!(matches!(Tableau::new("heun", 1, a, half(), c), Err(Error::Tableau { name, .. }) if name == "heun"));
    }
    // The same method of a lower order is the same method.
    let heun = method("heun");
    assert!(Tableau::new("heun", 1, heun.a().to_vec(), heun.b().to_vec(), heun.c().to_vec()).is_ok());
}

/// Exact arithmetic with the coefficients of a small file takes no unbounded time.
#[test]
fn fractions_with_a_huge_common_denominator_are_refused() {
    // Odd numbers of 61 bits next to each other: their common denominator has nearly as many bits as all of them.
    let own = |count: u64| {
        let last = (0..count).map(|k| format!("1/{}", (1u64 << 60) + 2 * k + 1)).collect();
        let b = ["1", "0", "0", "0", "0", "0"].map(String::from).to_vec();
        Method::Own(Fractions { a: vec![vec![], vec![], vec![], vec![], vec![], last], b }).tableau()
    };
    assert_eq!(own(4).unwrap().stages(), 6);
    assert!(own(5).unwrap_err().to_string().contains("common denominator of its fractions"));
}

#[test]
fn methods_are_known_by_other_names() {
    for (x, y) in [(Tableau::heun(), method("ssprk22")), (method("ssprk22"), Tableau::heun())] {
        assert_eq!((x.a(), x.b(), x.c()), (y.a(), y.b(), y.c()));
    }
    let explicit: Vec<_> = Tableau::names().filter(|name| method(name).is_explicit()).collect();
    assert_eq!(explicit, Tableau::names().take(12).collect::<Vec<_>>());
}

/// The finite radii, in closed form.
fn radii() -> Vec<(Tableau, Surd)> {
    let mut radii = vec![
        (Tableau::euler(), Surd::from(1)),
        (Tableau::heun(), Surd::from(1)),
        (Tableau::ssprk33(), Surd::from(1)),
        (Tableau::rk4(), Surd::from(1)),
        (Tableau::ralston2(), &surd(-3, 1, 21) * &q(1, 2)),
        (Tableau::ralston3(), surd(-4, 2, 6)),
        (Tableau::kutta3(), q(1, 2)),
        (Tableau::three_eighths(), surd(-3, 2, 3)),
        (Tableau::ssprk43(), Surd::from(2)),
        (Tableau::trapezoid(), Surd::from(2)),
        (Tableau::sdirk2(), surd(4, 3, 2)),
    ];
    radii.extend([2, 3, 4, 5, 10, 16].map(|s| (Tableau::ssprk_s2(s).unwrap(), Surd::from(s as i64 - 1))));
    radii
}

#[test]
fn the_radius_is_the_largest_f64_below_its_closed_form() {
    for (t, r) in radii() {
        assert_eq!(t.circle_radius().unwrap(), CircleRadius::Finite(Lower::trust(r.lower())), "{}", t.name());
    }
    for (name, decimals) in
        [("ralston2", 0.79129), ("ralston3", 0.89898), ("three_eighths", 0.46410), ("sdirk2", 8.2426)]
    {
        assert!((method(name).circle_radius().unwrap().get() - decimals).abs() < 5e-5);
    }
}

#[test]
fn algebraically_stable_methods_have_an_infinite_radius() {
    for name in ["implicit_euler", "implicit_midpoint", "gauss2", "radau_iia2", "lobatto_iiic2"] {
        let radius = method(name).circle_radius().unwrap();
        assert_eq!(radius, CircleRadius::Infinite, "{name}");
        assert_eq!(radius.step_limit(Lower::trust(0.1)).get(), f64::INFINITY);
        assert_eq!(radius.step_limit(Lower::ZERO).get(), 0.0);
    }
}

#[test]
fn methods_with_a_weight_that_is_not_positive_are_refused() {
    for (name, weight) in [("midpoint", "b_1 = 0"), ("heun3", "b_2 = 0"), ("dopri5", "b_2 = 0")] {
        match method(name).circle_radius() {
            Err(Error::NotCircleContractive { method, reason }) => {
                assert!(method == name && reason.contains(weight), "{reason}")
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn the_step_limit_is_rounded_down() {
    let limit = |r: f64, nu| CircleRadius::Finite(Lower::trust(r)).step_limit(Lower::trust(nu)).get();
    assert_eq!((limit(1.0, 0.5), limit(0.5, 0.0), limit(0.5, -1.0), limit(0.5, f64::NAN)), (1.0, 0.0, 0.0, 0.0));
    assert!(exact(limit(0.1, 0.3)) < &(&exact(0.1) * &exact(0.3)) * &Surd::from(2));
    assert!(limit(0.1, f64::INFINITY) > 0.0);
}

/// `B + rM` of a method.
fn form(t: &Tableau, r: &Surd) -> Vec<Vec<Surd>> {
    let (a, b) = (t.a(), t.b());
    let m = |i: usize, j: usize| &(&(&b[i] * &a[i][j]) + &(&b[j] * &a[j][i])) - &(&b[i] * &b[j]);
    let entry = |i: usize, j: usize| if i == j { &b[i] + &(r * &m(i, j)) } else { r * &m(i, j) };
    (0..b.len()).map(|i| (0..b.len()).map(|j| entry(i, j)).collect()).collect()
}

fn determinant(s: &[Vec<Surd>], rows: &[usize], columns: &[usize]) -> Surd {
    let [first, rest @ ..] = rows else { return Surd::from(1) };
    let minor = |k: usize| -> Surd {
        let others: Vec<_> = columns.iter().filter(|c| **c != columns[k]).copied().collect();
        let term = &s[*first][columns[k]] * &determinant(s, rest, &others);
        if k.is_multiple_of(2) { term } else { -&term }
    };
    (0..columns.len()).map(minor).sum()
}

#[test]
fn at_the_radius_every_principal_minor_is_nonnegative() {
    for (t, _) in radii().into_iter().filter(|(t, _)| t.stages() <= 5) {
        let s = form(&t, &exact(t.circle_radius().unwrap().get()));
        for subset in 1..1usize << t.stages() {
            let rows: Vec<_> = (0..t.stages()).filter(|i| subset >> i & 1 == 1).collect();
            assert!(determinant(&s, &rows, &rows) >= Surd::default(), "{} {rows:?}", t.name());
        }
    }
}

#[test]
fn just_beyond_the_radius_a_vector_witnesses_that_it_is_too_large() {
    for (t, _) in radii() {
        let r = &exact(t.circle_radius().unwrap().get()) * &exact(1.0 + 2f64.powi(-40));
        let s = form(&t, &r);
        let eigen = Mat::from_fn(s.len(), s.len(), |i, j| s[i][j].lower()).self_adjoint_eigen(Side::Lower).unwrap();
        let x: Vec<Surd> = (0..s.len()).map(|i| exact(eigen.U()[(i, 0)])).collect();
        let image: Vec<Surd> = s.iter().map(|row| dot(row, &x)).collect();
        assert!(dot(&x, &image) < Surd::default(), "{}", t.name());
    }
}

/// `f(x) = −Wᵀ max(Wx + b, 0)`.
fn relu_field(w: &[Vec<Surd>], b: &[Surd], x: &[Surd]) -> Vec<Surd> {
    let active: Vec<Surd> = w.iter().zip(b).map(|(w, b)| (&dot(w, x) + b).max(Surd::default())).collect();
    (0..x.len()).map(|j| -&w.iter().zip(&active).map(|(w, z)| &w[j] * z).sum::<Surd>()).collect()
}

/// One step of an explicit method, exactly.
fn step(t: &Tableau, h: &Surd, x: &[Surd], f: impl Fn(&[Surd]) -> Vec<Surd>) -> Vec<Surd> {
    let mut slopes: Vec<Vec<Surd>> = Vec::new();
    let advance = |weights: &[Surd], slopes: &[Vec<Surd>]| -> Vec<Surd> {
        let slope = |j: usize| weights.iter().zip(slopes).map(|(a, f)| a * &f[j]).sum();
        (0..x.len()).map(|j| &x[j] + &(h * &slope(j))).collect()
    };
    for row in t.a() {
        let stage = advance(row, &slopes);
        slopes.push(f(&stage));
    }
    advance(t.b(), &slopes)
}

fn distance_squared(x: &[Surd], y: &[Surd]) -> Surd {
    let difference: Vec<Surd> = x.iter().zip(y).map(|(x, y)| x - y).collect();
    dot(&difference, &difference)
}

fn integers(x: &[i64]) -> Vec<Surd> {
    x.iter().map(|&x| Surd::from(x)).collect()
}

/// `βI ⪰ WᵀW` for a `W` with two columns.
fn bounds_the_norm(beta: &Surd, w: &[Vec<Surd>]) -> bool {
    let gram = |i: usize, j: usize| -> Surd { w.iter().map(|w| &w[i] * &w[j]).sum() };
    let (x, y) = (beta - &gram(0, 0), beta - &gram(1, 1));
    x >= Surd::default() && y >= Surd::default() && &x * &y >= &gram(0, 1) * &gram(0, 1)
}

#[test]
fn the_midpoint_rule_expands_a_relu_gradient_field_at_half_the_limit_of_euler() {
    // Found by a search among small integers; the first unit is switched off between the two stages.
    let (w, b) = ([integers(&[0, -4]), integers(&[3, -2])], integers(&[2, 7]));
    let (x, y) = (integers(&[3, 0]), vec![q(31, 10), q(19, 100)]);
    let beta = q(566, 25);
    assert!(bounds_the_norm(&beta, &w));
    // ν = 1/β, and Euler is non-expansive up to 2ν.
    let nu = beta.recip().unwrap();
    let growth = |t: Tableau| {
        let after = [&x, &y].map(|x| step(&t, &nu, x, |x| relu_field(&w, &b, x)));
        &distance_squared(&after[0], &after[1]) * &distance_squared(&x, &y).recip().unwrap()
    };
    assert!(growth(Tableau::midpoint()) > &q(10075, 10000) * &q(10075, 10000));
    assert!(growth(Tableau::euler()) < Surd::from(1) && growth(Tableau::heun()) < Surd::from(1));
}

#[test]
fn no_contractive_method_expands_a_relu_gradient_field_within_its_radius() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let explicit: Vec<_> = radii().into_iter().filter(|(t, _)| t.is_explicit() && t.stages() <= 5).collect();
    for _ in 0..50 {
        let mut draw =
            |n: usize, k: i64| -> Vec<Surd> { (0..n).map(|_| Surd::from(rng.random_range(-k..=k))).collect() };
        let w: Vec<_> = (0..3).map(|_| draw(2, 4)).collect();
        let (b, x, y) = (draw(3, 12), draw(2, 4), draw(2, 4));
        let beta: Surd = w.iter().map(|row| dot(row, row)).sum(); // the squared Frobenius norm
        let beta = (1..=20).map(|k| &beta * &q(k, 20)).find(|beta| bounds_the_norm(beta, &w)).unwrap();
        let Some(nu) = beta.recip() else { continue };
        for (t, _) in &explicit {
            let h = &(&Surd::from(2) * &exact(t.circle_radius().unwrap().get())) * &nu;
            let f = |x: &[Surd]| relu_field(&w, &b, x);
            assert!(
                distance_squared(&step(t, &h, &x, f), &step(t, &h, &y, f)) <= distance_squared(&x, &y),
                "{} expands {w:?} {b:?} from {x:?} and {y:?}",
                t.name()
            );
        }
    }
}

#[test]
fn ssp_coefficients() {
    let expected = [("euler", 1), ("heun", 1), ("ssprk33", 1), ("ssprk43", 2), ("ssprk32", 2), ("ssprk102", 9)];
    for (name, c) in expected {
        assert_eq!(method(name).ssp_coefficient(), Some(Lower::trust(f64::from(c))), "{name}");
    }
    assert_eq!(method("ralston2").ssp_coefficient(), Some(Lower::trust(0.5)));
    for name in ["midpoint", "rk4", "kutta3", "dopri5", "trapezoid", "implicit_euler"] {
        assert_eq!(method(name).ssp_coefficient(), None, "{name}");
    }
    for t in methods() {
        let Some(c) = t.ssp_coefficient() else { continue };
        assert!(t.shu_osher(c.get()).is_ok() && t.shu_osher(c.get().next_up()).is_err(), "{}", t.name());
        assert!(t.shu_osher(c.get() / 2.0).is_ok());
    }
    for r in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Tableau::heun().shu_osher(r).is_err());
    }
    assert!(Tableau::trapezoid().shu_osher(1.0).is_err());
}

#[test]
fn the_shu_osher_form_is_the_method() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let mut draw = |n: usize, k: i64| -> Vec<Surd> { (0..n).map(|_| Surd::from(rng.random_range(-k..=k))).collect() };
    for t in methods() {
        let Some(c) = t.ssp_coefficient() else { continue };
        let form = t.shu_osher(c.get()).unwrap();
        let (w, b, x) = (vec![draw(2, 4), draw(2, 4)], draw(2, 5), draw(2, 4));
        let (h, euler_step) = (q(1, 32), &q(1, 32) * &exact(c.get()).recip().unwrap());
        let mut stages: Vec<Vec<Surd>> = Vec::new();
        for (v, p) in form.v().iter().zip(form.p()) {
            assert!(*v >= Surd::default() && p.iter().all(|p| *p >= Surd::default()));
            assert_eq!(v + &p.iter().cloned().sum(), Surd::from(1));
            let mut stage: Vec<Surd> = x.iter().map(|x| v * x).collect();
            for (p, below) in p.iter().zip(&stages) {
                let euler = step(&Tableau::euler(), &euler_step, below, |x| relu_field(&w, &b, x));
                stage = stage.iter().zip(&euler).map(|(x, y)| x + &(p * y)).collect();
            }
            stages.push(stage);
        }
        assert_eq!(stages.last().unwrap(), &step(&t, &h, &x, |x| relu_field(&w, &b, x)), "{}", t.name());
    }
}

#[test]
fn a_step_inherits_the_factor_of_euler_steps() {
    for t in methods() {
        let Some(c) = t.ssp_coefficient() else { continue };
        let form = t.shu_osher(c.get()).unwrap();
        assert_eq!(form.lipschitz(Upper::ONE), Upper::ONE, "{}", t.name());
        assert!(form.lipschitz(Upper::trust(0.9)) < Upper::ONE);
        assert!(form.lipschitz(Upper::trust(1.1)) > Upper::ONE);
        assert_eq!(form.lipschitz(Upper::trust(f64::INFINITY)).get(), f64::INFINITY);
    }
    // Heun is (x + E(E(x)))/2, and the third-order method (x + 2E(¾x + ¼E(E(x))))/3.
    let form = |t: Tableau| t.shu_osher(1.0).unwrap();
    assert_eq!(form(Tableau::heun()).lipschitz(Upper::trust(0.5)).get(), 0.625);
    let phi = q(1, 2);
    let expected = &q(1, 3) + &(&(&q(2, 3) * &phi) * &(&q(3, 4) + &(&q(1, 4) * &(&phi * &phi))));
    assert_eq!(form(Tableau::ssprk33()).lipschitz(Upper::trust(0.5)).get(), expected.upper());
}
