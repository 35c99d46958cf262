//! Flows of gradient fields: the step rules.

use std::cell::Cell;

use dahlquist::{
    activation::Activation,
    certificate::Rule,
    field::GradientField,
    laws::strategies as s,
    layer::{Flow, Layer, Step},
    operator::{Affine, Dense},
    rigor::Rounding,
    scalar::Scalar,
    tableau::Tableau,
    tape::Tape,
    tensor::Batch,
};
use dahlquist_testkit::{
    models::{proof, step_rule},
    oracle::{Exact, Matrix, Method, Num, Real, difference, gradient_field, row, square},
};
use proptest::{
    prelude::{Just, Strategy},
    test_runner::TestCaseError,
};
use rand::Rng;

use super::{fail, generator, hold, pairs, within};

/// A flow of a gradient field with the numbers that the oracle needs.
#[derive(Debug)]
pub struct Case<T: Scalar, N> {
    pub map: Matrix<N>,
    /// About the first right singular vector of the matrix.
    pub top: Vec<f64>,
    pub activation: Activation,
    pub flow: Flow<T>,
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
            let (exact, top) =
                (Matrix::of(&map), dahlquist_testkit::oracle::top(&dahlquist_testkit::oracle::matrix(&map)));
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
    pub fn obeys(&self, sigma: &dyn Fn(&N) -> N, slack: f64, rng: &mut impl Rng) -> Result<(Rule, f64), TestCaseError> {
        let proof = proof(&self.flow).map_err(|e| TestCaseError::reject(e.to_string()))?;
        let (rule, claims) = (step_rule(&proof), proof.claims());
        // Besides the direction that the flow stretches most, the one that W does, where all its units are active.
        let along = |c: f64| self.top.iter().map(|v| T::of(c * v)).collect::<Vec<T>>();
        let straight = [[along(4.0), along(4.5)], [along(-3.0), along(-3.25)], [along(0.5), along(-0.5)]];
        for [x, other] in pairs::<T>(&self.flow, 4, rng).into_iter().chain(straight) {
            // The oracle's last bit of a smooth function depends on what it computed before.
            if x == other {
                continue;
            }
            let dx = difference(&row(&x), &row(&other));
            let (y, z) = (self.exact(sigma, &x), self.exact(sigma, &other));
            let dy = difference(&y, &z);
            within(&format!("{rule}, {x:?} against {other:?}"), claims.bound.get(), slack, &dx, &dy)?;
            // With a slack, Δy − Δx of less than 2⁻⁹⁰ of Δx is not resolved.
            let resolved = |alpha: &f64| slack == 0.0 || *alpha > 2f64.powi(-90);
            if let Some(alpha) = claims.averaged.map(|a| a.get()).filter(resolved) {
                // ‖Δy − (1 − α)Δx‖ ≤ α‖Δx‖, exactly.
                let rest = N::of(1.0).minus(&N::of(alpha));
                let rest: Vec<N> = dy.iter().zip(&dx).map(|(y, x)| y.minus(&rest.times(x))).collect();
                within(&format!("{rule}, averagedness"), alpha, slack, &dx, &rest)?;
            }
        }
        Ok((rule, claims.bound.get()))
    }
}

/// Runs flows of piecewise linear fields exactly and counts those that were certified by `rule`, all, contractive and
/// expansive ones.
fn piecewise_flows<T: Scalar>(tableaux: &[&'static str], ratios: &[f64], rule: Rule) -> [u32; 3] {
    let counts = [const { Cell::new(0) }; 3];
    let tableau = proptest::sample::select(tableaux.to_vec()).prop_map(|name| Tableau::by_name(name).unwrap());
    let activation =
        s::monotone_activation().prop_filter("smooth", |a| dahlquist_testkit::oracle::piecewise::<Exact>(*a).is_some());
    let ratio = proptest::prop_oneof![proptest::sample::select(ratios.to_vec()), Just(1.0), 0.05..1.0f64];
    hold(cases::<T, Exact>(tableau, activation, ratio), |case, seed| {
        let sigma = dahlquist_testkit::oracle::piecewise(case.activation).unwrap();
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
    let bound = proof(&flow).unwrap().bound().get();
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
fn stage_multipliers() {
    // Methods with and without a radius; steps below the limit, beyond it, and backwards.
    let (short, long) = (["heun", "ralston2", "ssprk33", "rk4", "kutta3"], ["midpoint", "heun3", "dopri5", "rk4"]);
    for [all, contracting, expanding] in [
        piecewise_flows::<f32>(&short, &[0.3, 0.5, 1.2, -0.1], Rule::StageMultipliers),
        piecewise_flows::<f64>(&short, &[0.3, 0.5, 1.2, -0.1], Rule::StageMultipliers),
        piecewise_flows::<f32>(&long, &[0.05, 0.5, 1.2, -0.5], Rule::StageMultipliers),
        piecewise_flows::<f64>(&long, &[0.05, 0.5, 1.2, -0.5], Rule::StageMultipliers),
    ] {
        assert!(all > 20 && contracting > 0 && expanding > 5, "{all} {contracting} {expanding}");
    }
}

#[test]
fn smooth_flows() {
    fn holds<T: Scalar>() {
        let activation = s::monotone_activation()
            .prop_filter("exact", |a| dahlquist_testkit::oracle::piecewise::<Exact>(*a).is_none());
        let tableau = proptest::sample::select(vec!["euler", "heun", "rk4", "ssprk43"]);
        let tableau = tableau.prop_map(|name| Tableau::by_name(name).unwrap());
        let judged = Cell::new(0);
        hold(cases::<T, Real>(tableau, activation, s::step_ratio()), |case, seed| {
            // Beyond it, what 300 bits of σ(Wx + b) leave out is more than the slack, times h‖W‖.
            let largest = |x: &mut dyn Iterator<Item = &Real>| x.fold(0.0f64, |a, x| a.max(x.to_f64().value().abs()));
            let weight = largest(&mut case.map.rows.iter().flatten());
            let value = largest(&mut case.map.bias.iter()).max(1.0);
            if case.flow.step().wide().abs() * weight * value > 2f64.powi(60) {
                return Ok(());
            }
            let sigma = dahlquist_testkit::oracle::real(case.activation);
            match case.obeys(&*sigma, 2f64.powi(-200), &mut generator(seed)) {
                Ok(_) => judged.set(judged.get() + 1),
                Err(TestCaseError::Reject(_)) => {}
                Err(failure) => return Err(failure),
            }
            Ok(())
        });
        assert!(judged.get() >= 100, "of 200 flows only {} were judged", judged.get());
    }
    holds::<f32>();
    holds::<f64>();
}

/// What a layer executes is within its declared rounding error of the exact flow.
#[test]
fn executed_flows_are_within_their_rounding_error() {
    fn holds<T: Scalar>() {
        let activation = s::monotone_activation()
            .prop_filter("smooth", |a| dahlquist_testkit::oracle::piecewise::<Exact>(*a).is_some());
        let methods = vec!["euler", "heun", "ralston3", "rk4", "ssprk43", "midpoint", "heun3", "dopri5"];
        let tableau = proptest::sample::select(methods).prop_map(|name| Tableau::by_name(name).unwrap());
        hold(cases::<T, Exact>(tableau, activation, s::step_ratio()), |case, seed| {
            let sigma = dahlquist_testkit::oracle::piecewise(case.activation).unwrap();
            for [x, _] in pairs::<T>(&case.flow, 2, &mut generator(seed)) {
                let mut tape = Tape::recording();
                let point = Batch::new(case.flow.input(), x.clone()).unwrap();
                case.flow.widen().forward(point.cast(), &mut tape);
                let y = case.flow.forward(point, &mut Tape::idle());
                let Ok(proof) = proof(&case.flow) else { continue };
                let Ok(errors) = case.flow.rounding(&proof, &Rounding::of::<T>(), &tape, &[0.0]) else {
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
