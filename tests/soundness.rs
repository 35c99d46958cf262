//! The claims, rule by rule, against exact arithmetic: no tolerance anywhere.
//!
//! Flows run in the oracle's exact numbers with the exact coefficients of the method, and `‖Δ⁺‖² ≤ L²‖Δ‖²` is decided
//! exactly for the `L` that the crate claims. Smooth activations run in 300 bits, where a relative error of 2⁻²⁰⁰ is
//! allowed: it hides no violation that exceeds that.

mod oracle;

use std::cell::Cell;

use dahlquist::{
    Network, Semantics,
    activation::Activation,
    certificate::{Basis, Rule},
    field::{GradientField, ResidualField, VectorField},
    integrate::Tableau,
    laws::{Verdict, search, strategies as s},
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Reshape, Step},
    operator::{Affine, Dense},
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use oracle::{Exact, Matrix, Method, Num, Real, difference, dot, gradient_field, row, square};
use proptest::{
    prelude::{Just, Strategy},
    test_runner::TestCaseError,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_distr::StandardNormal;

/// Each rule has the property test of its name in this file, so a new rule needs a new test.
#[test]
fn every_rule_has_its_test() {
    let source = include_str!("soundness.rs");
    for rule in Rule::ALL {
        let test = format!("#[test]\nfn {}() {{", rule.name());
        assert!(source.contains(&test), "the rule {rule} has no property test");
    }
}

/// As `laws::hold`, with more cases.
fn hold<S: Strategy>(subjects: S, law: impl Fn(&S::Value, u64) -> Verdict) {
    if let Err(counterexample) = search(200, subjects, law) {
        panic!("{counterexample}");
    }
}

fn generator(seed: u64) -> rand_chacha::ChaCha8Rng {
    rand_chacha::ChaCha8Rng::seed_from_u64(seed)
}

fn normal<T: Scalar>(n: usize, scale: f64, rng: &mut impl Rng) -> Vec<T> {
    (0..n).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
}

/// Pairs of points: at random, and apart along the direction in which the layer stretches most.
fn pairs<T: Scalar>(layer: &dyn Layer<T>, count: usize, rng: &mut impl Rng) -> Vec<[Vec<T>; 2]> {
    let wide = layer.widen();
    let n = layer.input().len();
    let pair = |k: usize| {
        let x: Vec<T> = normal(n, [1.0, 8.0, 0.1][k % 3], rng);
        let mut v: Vec<f64> = normal(n, 1.0, rng);
        if k % 2 == 0 {
            let mut tape = Tape::recording();
            wide.forward(Batch::new(layer.input(), row64(&x)).unwrap(), &mut tape);
            for _ in 0..30 {
                let along = Batch::new(layer.input(), v.clone()).unwrap();
                let image = wide.vjp(&tape, wide.jvp(&tape, along), None).data().to_vec();
                let size = image.iter().fold(0.0f64, |a, x| a.max(x.abs()));
                if !(size > 1e-200 && size.is_finite()) {
                    break;
                }
                v = image.iter().map(|x| x / size).collect();
            }
        }
        let length = 2f64.powi([0, -6, 3, -20][k % 4]);
        let other = x.iter().zip(&v).map(|(x, v)| T::of(x.wide() + length * v)).collect();
        [x, other]
    };
    (0..count).map(pair).collect()
}

fn row64<T: Scalar>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.wide()).collect()
}

fn fail(what: impl Into<String>) -> Verdict {
    Err(TestCaseError::fail(what.into()))
}

/// `‖Δy‖² ≤ (1 + slack) L²‖Δx‖²`.
fn within<N: Num>(what: &str, l: f64, slack: f64, dx: &[N], dy: &[N]) -> Verdict {
    if !l.is_finite() {
        return Ok(());
    }
    let most = N::of(l).times(&N::of(l)).times(&square(dx)).times(&N::of(1.0).plus(&N::of(slack)));
    if square(dy).at_most(&most) { Ok(()) } else { fail(format!("{what} is not {l}-Lipschitz")) }
}

/// A flow of a gradient field with the numbers that the oracle needs.
#[derive(Debug)]
struct Case<T: Scalar, N> {
    map: Matrix<N>,
    /// About the first right singular vector of the matrix.
    top: Vec<f64>,
    activation: Activation,
    flow: Flow<T>,
}

/// Flows whose step is `ratio` times the limit of circle contractivity.
fn cases<T: Scalar, N: Num + std::fmt::Debug>(
    tableau: impl Strategy<Value = Tableau>,
    activation: impl Strategy<Value = Activation>,
    ratio: impl Strategy<Value = f64>,
) -> impl Strategy<Value = Case<T, N>> {
    let map = proptest::prop_oneof![3 => s::dense::<T>(), 1 => s::conv2d::<T>()];
    let map = map.prop_filter("too large for exact arithmetic", |m| m.operator().input().len() <= 6);
    (map, activation, tableau, ratio, proptest::bool::ANY, 1..=2usize).prop_filter_map(
        "refused",
        |(map, activation, tableau, ratio, relative, steps)| {
            let (exact, top) = (Matrix::of(&map), oracle::top(&oracle::matrix(&map)));
            let field = GradientField::new(map, activation).ok()?;
            let activation = field.activation();
            let flow = s::flow(field, tableau, ratio, relative, steps)?;
            Some(Case { map: exact, top, activation, flow })
        },
    )
}

impl<T: Scalar, N: Num> Case<T, N> {
    /// The exact flow: the exact coefficients, the step as it is stored.
    fn exact(&self, sigma: &dyn Fn(&N) -> N, x: &[T]) -> Vec<N> {
        let field = gradient_field(&self.map, sigma);
        let h = N::of(self.flow.step().wide());
        Method::of(self.flow.tableau()).flow(&field, &h, self.flow.steps(), &row(x))
    }

    /// The claim of the flow for pairs of points; returns its rule and its bound.
    fn obeys(&self, sigma: &dyn Fn(&N) -> N, slack: f64, rng: &mut impl Rng) -> Result<(Rule, f64), TestCaseError> {
        let entry = self.flow.certificate().map_err(|e| TestCaseError::reject(e.to_string()))?;
        let Basis::Proved(rule) = entry.basis else { return Err(TestCaseError::fail("not proved")) };
        // Besides the direction that the flow stretches most, the one that W does, where all its units are active.
        let along = |c: f64| self.top.iter().map(|v| T::of(c * v)).collect::<Vec<T>>();
        let straight = [[along(4.0), along(4.5)], [along(-3.0), along(-3.25)], [along(0.5), along(-0.5)]];
        for [x, other] in pairs::<T>(&self.flow, 4, rng).into_iter().chain(straight) {
            let dx = difference(&row(&x), &row(&other));
            let (y, z) = (self.exact(sigma, &x), self.exact(sigma, &other));
            let dy = difference(&y, &z);
            within(&format!("{rule}, {x:?} against {other:?}"), entry.lipschitz.get(), slack, &dx, &dy)?;
            if let Some(alpha) = entry.averaged.map(|a| a.get()) {
                // ‖Δy − (1 − α)Δx‖ ≤ α‖Δx‖, exactly.
                let rest = N::of(1.0).minus(&N::of(alpha));
                let rest: Vec<N> = dy.iter().zip(&dx).map(|(y, x)| y.minus(&rest.times(x))).collect();
                within(&format!("{rule}, averagedness"), alpha, slack, &dx, &rest)?;
            }
        }
        Ok((rule, entry.lipschitz.get()))
    }
}

/// Runs flows of piecewise linear fields exactly and counts those that were certified by `rule`, all, contractive and
/// expansive ones.
fn piecewise_flows<T: Scalar>(tableaux: &[&'static str], ratios: &[f64], rule: Rule) -> [u32; 3] {
    let counts = [const { Cell::new(0) }; 3];
    let tableau = proptest::sample::select(tableaux.to_vec()).prop_map(|name| Tableau::by_name(name).unwrap());
    let activation = s::monotone_activation().prop_filter("smooth", |a| oracle::piecewise::<Exact>(*a).is_some());
    let ratio = proptest::prop_oneof![proptest::sample::select(ratios.to_vec()), Just(1.0), 0.05..1.0f64];
    hold(cases::<T, Exact>(tableau, activation, ratio), |case, seed| {
        let sigma = oracle::piecewise(case.activation).unwrap();
        match case.obeys(&*sigma, 0.0, &mut generator(seed)) {
            Ok((found, bound)) => {
                let kinds = [found == rule, found == rule && bound < 1.0, found == rule && bound > 1.0];
                counts.iter().zip(kinds).for_each(|(count, is)| count.set(count.get() + u32::from(is)));
                Ok(())
            }
            Err(TestCaseError::Reject(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    });
    counts.map(Cell::into_inner)
}

/// The limit of Heun's method is attained by linear fields, so it is there most often.
const COMMON: [&str; 6] = ["heun", "heun", "ralston2", "ralston3", "ssprk33", "rk4"];

#[test]
fn gradient_step() {
    // Below, at and above the limit of Euler's method, and backwards: every bound is valid.
    for [all, contracting, expanding] in [
        piecewise_flows::<f32>(&["euler"], &[1.01, 1.5, 3.0, -0.1, -1.0], Rule::GradientStep),
        piecewise_flows::<f64>(&["euler"], &[1.01, 1.5, 3.0, -0.1, -1.0], Rule::GradientStep),
    ] {
        assert!(all > 30 && contracting > 0 && expanding > 5, "{all} {contracting} {expanding}");
    }
    // A leaky field with an injective matrix contracts by exactly max(|1 − h m s²|, |1 − h L‖W‖²|).
    let w = Dense::new(2, 2, vec![1.0, 0.0, 0.0, 2.0]).unwrap();
    let field = GradientField::new(Affine::new(w, None).unwrap(), Activation::LeakyRelu { slope: 0.5 }).unwrap();
    let flow = Flow::<f64>::new(field, Tableau::euler(), Step::Fixed(0.25), 1).unwrap();
    let bound = flow.certificate().unwrap().lipschitz.get();
    assert!((0.875..0.875 + 1e-6).contains(&bound), "{bound}");
}

#[test]
fn circle_contractivity() {
    for [all, ..] in [
        piecewise_flows::<f32>(&COMMON, &[1.0, 1.005], Rule::CircleContractivity),
        piecewise_flows::<f64>(&COMMON, &[1.0, 1.005], Rule::CircleContractivity),
        piecewise_flows::<f64>(
            &["kutta3", "three_eighths", "ssprk43", "ssprk32"],
            &[1.0, 1.005],
            Rule::CircleContractivity,
        ),
    ] {
        assert!(all > 10, "{all}");
    }
}

#[test]
fn shu_osher() {
    let methods = ["heun", "ralston2", "ssprk33", "ssprk43", "ssprk32"];
    for [all, contracting, expanding] in [
        piecewise_flows::<f32>(&methods, &[0.3, 0.5, 1.2, -0.1], Rule::ShuOsher),
        piecewise_flows::<f64>(&methods, &[0.3, 0.5, 1.2, -0.1], Rule::ShuOsher),
    ] {
        assert!(all > 5 && contracting > 0 && expanding > 0, "{all} {contracting} {expanding}");
    }
}

#[test]
fn smooth_flows() {
    fn holds<T: Scalar>() {
        let activation = s::monotone_activation().prop_filter("exact", |a| oracle::piecewise::<Exact>(*a).is_none());
        let tableau = proptest::sample::select(vec!["euler", "heun", "rk4", "ssprk43"]);
        let tableau = tableau.prop_map(|name| Tableau::by_name(name).unwrap());
        hold(cases::<T, Real>(tableau, activation, s::step_ratio()), |case, seed| {
            let sigma = oracle::real(case.activation);
            match case.obeys(&*sigma, 2f64.powi(-200), &mut generator(seed)) {
                Ok(_) | Err(TestCaseError::Reject(_)) => Ok(()),
                Err(failure) => Err(failure),
            }
        });
    }
    holds::<f32>();
    holds::<f64>();
}

/// What a layer executes is within its declared rounding error of the exact flow.
#[test]
fn executed_flows_are_within_their_rounding_error() {
    fn holds<T: Scalar>() {
        let activation = s::monotone_activation().prop_filter("smooth", |a| oracle::piecewise::<Exact>(*a).is_some());
        let tableau = proptest::sample::select(vec!["euler", "heun", "ralston3", "rk4", "ssprk43"]);
        let tableau = tableau.prop_map(|name| Tableau::by_name(name).unwrap());
        hold(cases::<T, Exact>(tableau, activation, s::step_ratio()), |case, seed| {
            let sigma = oracle::piecewise(case.activation).unwrap();
            for [x, _] in pairs::<T>(&case.flow, 2, &mut generator(seed)) {
                let mut tape = Tape::recording();
                let point = Batch::new(case.flow.input(), x.clone()).unwrap();
                case.flow.widen().forward(point.cast(), &mut tape);
                let y = case.flow.forward(point, &mut Tape::idle());
                let Ok(errors) = case.flow.rounding(&Rounding::of::<T>(), &tape, &[0.0]) else {
                    continue;
                };
                if errors[0].is_finite() {
                    let off = difference(&row::<Exact, T>(y.data()), &case.exact(&*sigma, &x));
                    let most = Exact::of(errors[0]).times(&Exact::of(errors[0]));
                    if !square(&off).at_most(&most) {
                        let off = square(&off).estimate().sqrt();
                        return fail(format!("off by {off:e} > {:e} at {x:?}", errors[0]));
                    }
                }
            }
            Ok(())
        });
    }
    holds::<f32>();
    holds::<f64>();
}

#[test]
fn one_sided_lipschitz() {
    fn holds<T: Scalar>() {
        let parts = (1..=3usize, 1..=3usize).prop_flat_map(|(n, m)| {
            ((Just((n, m)), -1.5..1.5f64), (s::matrix::<T>(m, n), s::matrix::<T>(n, m), s::activation()))
        });
        let cases = parts.prop_filter_map("refused", |(((n, m), h), (w, v, a))| {
            let inner = Affine::new(Dense::new(m, n, w).ok()?, None).ok()?;
            let outer = Affine::new(Dense::new(n, m, v).ok()?, None).ok()?;
            let maps = [Matrix::<Exact>::of(&inner), Matrix::of(&outer)];
            let sigma = oracle::piecewise::<Exact>(a.in_format::<T>().ok()?)?;
            drop(sigma);
            let field = ResidualField::new(inner, a, outer).ok()?;
            Some((maps, a.in_format::<T>().ok()?, Flow::new(field, Tableau::euler(), Step::Fixed(h), 1).ok()?))
        });
        let certified = Cell::new(0);
        hold(cases, |([inner, outer], a, flow), seed| {
            let Ok(entry) = flow.certificate() else { return Ok(()) };
            assert_eq!(entry.basis, Basis::Proved(Rule::OneSidedLipschitz));
            certified.set(certified.get() + 1);
            let sigma = oracle::piecewise::<Exact>(*a).unwrap();
            let field = |x: &[Exact]| outer.apply(&inner.apply(x).iter().map(|z| sigma(z)).collect::<Vec<_>>());
            let run = |x: &[T]| Method::of(flow.tableau()).flow(&field, &Exact::of(flow.step().wide()), 1, &row(x));
            for [x, other] in pairs::<T>(flow, 4, &mut generator(seed)) {
                let dx = difference::<Exact>(&row(&x), &row(&other));
                within("the Euler step", entry.lipschitz.get(), 0.0, &dx, &difference(&run(&x), &run(&other)))?;
            }
            Ok(())
        });
        assert!(certified.get() > 20);
    }
    holds::<f32>();
    holds::<f64>();
}

#[test]
fn operator_norm() {
    fn holds<T: Scalar>() {
        let maps = proptest::prop_oneof![s::dense::<T>(), s::conv2d::<T>(), s::pool::<T>()];
        hold(maps.prop_map(|map| (Matrix::<Exact>::of(&map), AffineLayer::new(map))), |(matrix, layer), seed| {
            let Ok(entry) = layer.certificate() else { return Ok(()) };
            for [x, other] in pairs::<T>(layer, 6, &mut generator(seed)) {
                let (x, other) = (row::<Exact, T>(&x), row(&other));
                let dy = difference(&matrix.apply(&x), &matrix.apply(&other));
                within("the map", entry.lipschitz.get(), 0.0, &difference(&x, &other), &dy)?;
            }
            Ok(())
        });
    }
    holds::<f32>();
    holds::<f64>();
}

#[test]
fn slope() {
    fn holds<N: Num>(sigma: &dyn Fn(&N) -> N, layer: &ActivationLayer, slack: f64, seed: u64) -> Verdict {
        let entry = Layer::<f64>::certificate(layer).unwrap();
        for [x, other] in pairs::<f64>(layer, 6, &mut generator(seed)) {
            let (x, other) = (row::<N, f64>(&x), row(&other));
            let dx = difference(&x, &other);
            let value = |x: &[N]| x.iter().map(sigma).collect::<Vec<_>>();
            let dy = difference(&value(&x), &value(&other));
            within("the activation", entry.lipschitz.get(), slack, &dx, &dy)?;
            if let Some(alpha) = entry.averaged.map(|a| a.get()) {
                let rest = N::of(1.0).minus(&N::of(alpha));
                let rest: Vec<N> = dy.iter().zip(&dx).map(|(y, x)| y.minus(&rest.times(x))).collect();
                within("the averaged activation", alpha, slack, &dx, &rest)?;
            }
        }
        Ok(())
    }
    hold(s::activation(), |&a, seed| {
        let layer = ActivationLayer::new::<f64>(a, Shape::Features(3)).unwrap();
        match oracle::piecewise::<Exact>(a) {
            Some(sigma) => holds(&*sigma, &layer, 0.0, seed),
            None => holds(&*oracle::real(a), &layer, 2f64.powi(-200), seed),
        }
    });
}

#[test]
fn isometry() {
    hold(s::reshape(), |layer, seed| {
        let x: Vec<f64> = normal(Layer::<f64>::input(layer).len(), 1.0, &mut generator(seed));
        let y = layer.forward(Batch::new(Layer::<f64>::input(layer), x.clone()).unwrap(), &mut Tape::idle());
        // The same numbers and zeros: every distance is kept, because differences move in the same way.
        let sorted = |v: &[f64]| {
            let mut v: Vec<f64> = v.iter().copied().filter(|x| *x != 0.0).collect();
            v.sort_by(f64::total_cmp);
            v
        };
        if sorted(&x) == sorted(y.data()) { Ok(()) } else { fail("some number was lost or changed") }
    });
}

/// Networks of several layers against the product of their bounds, and averaged flows of several steps.
#[test]
fn composition() {
    let counted = Cell::new(0);
    let activation = s::monotone_activation().prop_filter("smooth", |a| oracle::piecewise::<Exact>(*a).is_some());
    let parts = (1..=3usize).prop_flat_map(|n| (s::matrix::<f64>(2, n), s::matrix::<f64>(3, n), Just(n)));
    hold((parts, activation, 0.1..1.0f64), |((w, head, n), a, part), seed| {
        let map = || Affine::new(Dense::new(2, *n, w.clone()).unwrap(), None).unwrap();
        let last = || Affine::new(Dense::new(3, *n, head.clone()).unwrap(), None).unwrap();
        // Expands, so that no layer can be left out of the product.
        let stretch: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 3.0 } else { 0.5 }).collect();
        let first = || Affine::new(Dense::new(*n, *n, stretch.clone()).unwrap(), None).unwrap();
        let flow = |steps| {
            let field = GradientField::new(map(), *a).unwrap();
            let mut flow = Flow::<f64>::new(field, Tableau::euler(), Step::Relative(*part), steps).unwrap();
            flow.seal().map(|()| flow)
        };
        let (Ok(one), Ok(three)) = (flow(1), flow(3)) else { return Ok(()) };
        let (exact, top) = (Matrix::<Exact>::of(&map()), oracle::top(&oracle::matrix(&map())));
        let case = Case { map: exact, top, activation: *a, flow: three };
        let sigma = oracle::piecewise(*a).unwrap();
        let mut rng = generator(seed);
        case.obeys(&*sigma, 0.0, &mut rng).map(drop).or_else(|e| match e {
            TestCaseError::Reject(_) => Ok(()),
            e => Err(e),
        })?;
        let layers: Vec<Box<dyn Layer<f64>>> = vec![
            Box::new(AffineLayer::new(first())),
            Box::new(one),
            Box::new(Reshape::flatten(Shape::Features(*n))),
            Box::new(case.flow),
            Box::new(AffineLayer::new(last())),
        ];
        let Ok(sealed) = Network::new(Shape::Features(*n), layers).unwrap().seal() else { return Ok(()) };
        let product: f64 = sealed.certificate().layers.iter().map(|e| e.lipschitz.get()).product();
        assert!(sealed.certificate().lipschitz.get() >= product * (1.0 - 1e-12));
        counted.set(counted.get() + 1);
        let steps: Vec<f64> = sealed
            .certificate()
            .layers
            .iter()
            .filter_map(|e| match &e.witness {
                Some(dahlquist::certificate::Witness::Flow { step, .. }) => Some(*step),
                _ => None,
            })
            .collect();
        let (matrix, head) = (Matrix::<Exact>::of(&map()), Matrix::<Exact>::of(&last()));
        let field = gradient_field(&matrix, &*sigma);
        let euler = Method::of(&Tableau::euler());
        let run = |x: &[f64]| {
            let x = Matrix::<Exact>::of(&first()).apply(&row(x));
            let x = euler.flow(&field, &Exact::of(steps[0]), 1, &x);
            head.apply(&euler.flow(&field, &Exact::of(steps[1]), 3, &x))
        };
        for _ in 0..3 {
            let (x, z): (Vec<f64>, Vec<f64>) = (normal(*n, 1.0, &mut rng), normal(*n, 1.0, &mut rng));
            let dx = difference::<Exact>(&row(&x), &row(&z));
            within("the network", sealed.certificate().lipschitz.get(), 0.0, &dx, &difference(&run(&x), &run(&z)))?;
        }
        Ok(())
    });
    assert!(counted.get() > 20, "{}", counted.get());
}

/// `V(x⁺) ≤ V(x) − h(1 − hβ/2)‖∇V(x)‖²`, exactly, for the `β` that the field proves and every `h ≥ 0`.
#[test]
fn descent() {
    fn holds<T: Scalar>() {
        let activation = s::monotone_activation().prop_filter("smooth", |a| oracle::piecewise::<Exact>(*a).is_some());
        hold((s::dense::<T>(), activation, 0.0..4.0f64), |(map, a, ratio), seed| {
            let matrix = Matrix::<Exact>::of(map);
            let widened = GradientField::new(map.widen(), a.in_format::<T>().unwrap()).unwrap();
            let Ok(beta) = widened.curvature().map(|c| c.largest.get()) else { return Ok(()) };
            let h = T::of(ratio / beta.max(1e-30)).wide();
            if !h.is_finite() || !beta.is_finite() {
                return Ok(());
            }
            let [m, l] = widened.activation().slopes();
            let sigma = oracle::piecewise::<Exact>(widened.activation()).unwrap();
            let slopes = if l > 1.0 { [l, 1.0] } else { [m, 1.0] };
            let potential = |x: &[Exact]| {
                matrix.apply(x).iter().fold(Exact::of(0.0), |v, z| {
                    let slope = if z.positive() { slopes[1] } else { slopes[0] };
                    v.plus(&Exact::of(0.5 * slope).times(&z.times(z)))
                })
            };
            let field = gradient_field(&matrix, &*sigma);
            let x: Vec<Exact> = row(&normal::<T>(map.operator().input().len(), 1.0, &mut generator(seed)));
            let f = field(&x);
            let next: Vec<Exact> = x.iter().zip(&f).map(|(x, f)| x.plus(&Exact::of(h).times(f))).collect();
            let half = Exact::of(h).times(&Exact::of(beta)).times(&Exact::of(0.5));
            let decrease = Exact::of(h).times(&Exact::of(1.0).minus(&half)).times(&square(&f));
            let most = potential(&x).minus(&decrease);
            if potential(&next).at_most(&most) { Ok(()) } else { fail(format!("V decreases too little for h = {h}")) }
        });
    }
    holds::<f32>();
    holds::<f64>();
}

/// No point within the radius changes the prediction: of the exact network in exact arithmetic, of the executed one as it
/// runs. The points are sought along the steepest direction of the margin.
#[test]
fn margin() {
    fn holds<T: Scalar>() {
        let certified = Cell::new(0);
        let parts =
            (1..=3usize).prop_flat_map(|n| (s::matrix::<T>(3, n), s::matrix::<T>(3, n), s::bias::<T>(3), Just(n)));
        hold(parts, |(w, head, bias, n), seed| {
            let map = || Affine::new(Dense::new(3, *n, w.clone()).unwrap(), None).unwrap();
            let last = || Affine::new(Dense::new(3, *n, head.clone()).unwrap(), bias.clone()).unwrap();
            let field = GradientField::new(map(), Activation::Relu {}).unwrap();
            let flow = Flow::<T>::new(field, Tableau::heun(), Step::Relative(0.75), 1).unwrap();
            let layers: Vec<Box<dyn Layer<T>>> = vec![Box::new(flow), Box::new(AffineLayer::new(last()))];
            let Ok(sealed) = Network::new(Shape::Features(*n), layers).unwrap().seal() else { return Ok(()) };
            let Some(dahlquist::certificate::Witness::Flow { step, .. }) = &sealed.certificate().layers[0].witness
            else {
                return fail("no witness");
            };
            let (matrix, linear) = (Matrix::<Exact>::of(&map()), Matrix::<Exact>::of(&last()));
            let relu = oracle::piecewise(Activation::Relu {}).unwrap();
            let field = gradient_field(&matrix, &*relu);
            let exact =
                |x: &[T]| linear.apply(&Method::of(&Tableau::heun()).flow(&field, &Exact::of(*step), 1, &row(x)));
            let mut rng = generator(seed);
            let x: Vec<T> = normal(*n, 1.0, &mut rng);
            let batch = Batch::new(Shape::Features(*n), x.clone()).unwrap();
            for semantics in [Semantics::Exact, Semantics::Executed] {
                let claim = sealed.certify(&batch, semantics).unwrap()[0];
                let (i, radius) = (claim.prediction, claim.radius.get());
                if radius <= 0.0 {
                    continue;
                }
                certified.set(certified.get() + 1);
                for j in (0..3).filter(|&j| j != i) {
                    let (_, tape) = sealed.network().forward_recording(batch.clone()).unwrap();
                    let mut g = vec![T::zero(); 3];
                    (g[j], g[i]) = (T::one(), -T::one());
                    let g = Batch::new(Shape::Features(3), g).unwrap();
                    let up = row64(sealed.network().vjp(&tape, g, None).unwrap().data());
                    let size = up.iter().map(|x| x * x).sum::<f64>().sqrt();
                    for part in [0.5, 0.99, 1.0] {
                        let to = |(x, d): (&T, &f64)| T::of(x.wide() + part * radius.min(1e30) * d / size);
                        let moved: Vec<T> = x.iter().zip(&up).map(to).collect();
                        let off = difference::<Exact>(
                            &row(&moved.iter().map(|m| if m.is_finite() { *m } else { T::zero() }).collect::<Vec<_>>()),
                            &row(&x),
                        );
                        // Strictly within the radius, or it says nothing.
                        if moved.iter().any(|m| !m.is_finite())
                            || Exact::of(radius).times(&Exact::of(radius)).at_most(&square(&off))
                        {
                            continue;
                        }
                        let stands = match semantics {
                            Semantics::Exact => {
                                let y = exact(&moved);
                                !y[j].minus(&y[i]).positive() && y[i].minus(&y[j]).positive()
                            }
                            Semantics::Executed => {
                                let y =
                                    sealed.forward(&Batch::new(Shape::Features(*n), moved.clone()).unwrap()).unwrap();
                                y.data()[i] > y.data()[j]
                            }
                        };
                        if !stands {
                            return fail(format!(
                                "{semantics:?}: the class {i} loses to {j} within {radius}, at {moved:?}"
                            ));
                        }
                    }
                }
            }
            Ok(())
        });
        assert!(certified.get() > 20, "{}", certified.get());
    }
    holds::<f32>();
    holds::<f64>();
}

/// The oracle itself, against rationals.
#[test]
fn the_oracle_is_exact() {
    use num_rational::BigRational;
    let numbers =
        (s::wide::<f64>(), s::wide::<f64>(), -20..20i64, proptest::sample::select(vec![1i64, 2, 3, 9, 12, 20, 36]));
    let found = search(200, numbers, |&(a, b, p, q), _| {
        let rational = |x: f64| BigRational::from_float(x).unwrap();
        let third = || BigRational::new(p.into(), q.into());
        let left =
            Exact::of(a).times(&Exact::of(b)).plus(&Exact::ratio(p, q).times(&Exact::of(b))).minus(&Exact::of(a));
        let right = rational(a) * rational(b) + third() * rational(b) - rational(a);
        let signs = [left.positive(), Exact::of(0.0).minus(&left).positive()];
        let zero = BigRational::from_integer(0.into());
        if signs == [right > zero, right < zero] { Ok(()) } else { fail("the oracle is wrong") }
    });
    assert!(found.is_ok(), "{found:?}");
    assert!(!dot(&[Exact::ratio(1, 3)], &[Exact::of(3.0)]).minus(&Exact::of(1.0)).positive());
}
