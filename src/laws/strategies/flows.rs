//! Flows and steps of split methods, below, at and above what is proved to be contractive.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    bias, dense, explicit_tableau,
    fields::{KINDS, family},
    gradient_field, matrix, moderate, monotone_activation, residual_field, steep_gradient_field, structured_field,
    wide,
};
use crate::{
    activation::Activation,
    field::{GradientField, ResidualField, StructuredField, VectorField},
    integrate::{Surd, Tableau},
    layer::{Alternation, Equilibrium, Flow, Implicit, Layer, Splitting, Step},
    model::SplitMethod,
    operator::{Affine, Dense},
    rules::Prover,
    scalar::Scalar,
    tensor::Shape,
};

/// Returns whether a step is neither so short nor so long that its products with derivatives leave the format on their
/// way.
fn is_moderate(h: f64) -> bool {
    (1e-6..1e6).contains(&h.abs())
}

/// Returns the steps of [`steep_splitting`] whose derivatives can be compared.
pub fn splitting<T: Scalar>() -> BoxedStrategy<Splitting<T>> {
    steep_splitting::<T>()
        .prop_filter("its derivatives leave the format", |layer| is_moderate(layer.step().wide()))
        .boxed()
}

/// Returns the flows of [`steep_structured_flow`] whose derivatives can be compared.
pub fn structured_flow<T: Scalar>() -> BoxedStrategy<Flow<T>> {
    steep_structured_flow::<T>()
        .prop_filter("its derivatives leave the format", |flow| is_moderate(flow.step().wide()))
        .boxed()
}

/// Steps of split methods, of any sign and length.
pub fn steep_splitting<T: Scalar>() -> BoxedStrategy<Splitting<T>> {
    let hamiltonian = [SplitMethod::SymplecticEuler, SplitMethod::StormerVerlet].map(|method| (3, method));
    let methods = hamiltonian.into_iter().chain([(1, SplitMethod::ExponentialEuler)]).collect::<Vec<_>>();
    (select(methods), any::<bool>())
        .prop_flat_map(|((kind, method), images)| {
            let space = if images { Shape::image(2, 3, 2) } else { Shape::Features(4) };
            (family::<T>(kind, images), Just(space), Just(method), -1.0..1.0f64, 1..=2usize)
        })
        .prop_filter_map("refused", |(field, space, method, ratio, steps)| {
            let l = Prover::default().field(&field, space).ok()?.bound().get();
            let field = StructuredField::<T>::new(&field, space).ok()?;
            Splitting::new(field, method, ratio / l.max(1e-3), steps).ok()
        })
        .boxed()
}

/// Flows of fields of the by every method, with steps that are a part of what the Lipschitz constant suggests.
pub fn steep_structured_flow<T: Scalar>() -> BoxedStrategy<Flow<T>> {
    (structured_field::<T>(), explicit_tableau(), -1.0..1.5f64, 1..=2usize)
        .prop_filter_map("refused", |(field, tableau, ratio, steps)| {
            let l = Prover::default().field(&field.describe(), field.shape()).ok()?.bound().get();
            Flow::new(field, tableau, Step::Fixed(T::of(ratio / l.max(1e-3)).wide()), steps).ok()
        })
        .boxed()
}

/// Returns an implicit method, among them one with a singular matrix and one of one's own.
pub fn implicit_tableau() -> impl Strategy<Value = Tableau> {
    let own = || {
        Tableau::new("own", 1, vec![vec![Surd::ratio(3, 4).ok()?]], vec![Surd::from(1)], vec![Surd::ratio(3, 4).ok()?])
            .ok()
    };
    select(Tableau::names().chain(["own"]).collect::<Vec<_>>()).prop_filter_map("not implicit", move |name| {
        Tableau::by_name(name).ok().or_else(own).filter(|t| !t.is_explicit())
    })
}

/// Flows of gradient fields and of fields of the family on vectors by implicit methods, their steps short and long. Every value takes a
/// solve, so the spaces are small.
pub fn implicit_flow<T: Scalar>() -> BoxedStrategy<Implicit<T>> {
    let gradient = (dense::<T>(), monotone_activation()).prop_filter_map("refused", |(map, a)| {
        Some(Box::new(GradientField::new(map, a).ok()?) as Box<dyn VectorField<T>>)
    });
    let family = (0..KINDS).prop_flat_map(|kind| family::<T>(kind, false)).prop_filter_map("refused", |field| {
        Some(Box::new(StructuredField::new(&field, Shape::Features(4)).ok()?) as Box<dyn VectorField<T>>)
    });
    let lengths = prop_oneof![4 => 0.0..2.0f64, 2 => 2.0..16.0f64, 1 => -0.5..0.0f64];
    (prop_oneof![gradient, family], implicit_tableau(), lengths, 1..=2usize)
        .prop_filter_map("refused", |(field, tableau, ratio, steps)| {
            let l = Prover::default().field(&field.describe(), field.shape()).ok()?.bound().get();
            let h = T::of(ratio / l.max(1e-3)).wide();
            Implicit::boxed(vec![field], tableau, h, steps, None).ok().filter(|_| is_moderate(h))
        })
        .boxed()
}

/// Pairs of steps of dense gradient fields: one that contracts, if its proof says so, and one that expands.
pub fn alternation<T: Scalar>() -> BoxedStrategy<Alternation<T>> {
    (1..=4usize, select(vec![0.25, 0.6, 1.0]))
        .prop_flat_map(|(n, part)| {
            let map = move |m: usize| (Just((m, n)), matrix::<T>(m, n), bias::<T>(m));
            (map(n + 1), map(2), select(vec![0.25, 0.5, 1.0]), monotone_activation(), Just(part))
        })
        .prop_filter_map("refused", |(first, second, slope, function, part)| {
            let field = |((m, n), w, b): ((usize, usize), Vec<T>, Option<Vec<T>>), a| {
                let map = Affine::new(Dense::new(m, n, w).ok()?, b).ok()?;
                Some(Box::new(GradientField::new(map, a).ok()?) as Box<dyn VectorField<T>>)
            };
            let pair = [field(first, Activation::LeakyRelu { slope })?, field(second, function)?];
            let layer = Alternation::new(vec![pair], Step::Relative(part)).ok()?;
            Some(layer).filter(|layer| layer.expansions().iter().all(|h| *h == 0.0 || is_moderate(*h)))
        })
        .boxed()
}

/// Equilibria of gradient fields and of fields of the family on vectors that are proved to contract.
pub fn equilibrium<T: Scalar>() -> BoxedStrategy<Equilibrium<T>> {
    let gradient = (dense::<T>(), monotone_activation()).prop_filter_map("refused", |(map, a)| {
        Some(Box::new(GradientField::new(map, a).ok()?) as Box<dyn VectorField<T>>)
    });
    let family = select(vec![1, 1, 4, 5, 6]).prop_flat_map(|kind| {
        family::<T>(kind, false).prop_filter_map("refused", move |field| {
            Some(Box::new(StructuredField::new(&field, Shape::Features(4)).ok()?) as Box<dyn VectorField<T>>)
        })
    });
    prop_oneof![1 => gradient, 3 => family]
        .prop_filter_map("not proved to contract", |field| {
            let rate =
                -Prover::default().field(&field.describe(), field.shape()).ok()?.claims().one_sided_lipschitz?.get();
            Equilibrium::boxed(field, None).ok().filter(|_| rate > 1e-6)
        })
        .boxed()
}

/// Returns the length of a step as a multiple of the longest one that circle contractivity proves (or that Euler's
/// method has, for a method without a radius): below it, at it, above it, and negative.
pub fn step_ratio() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => 0.0..1.0f64,
        2 => Just(1.0),
        1 => select(vec![1.0 + 1e-9, 1.01, 1.5, 3.0]),
        1 => select(vec![-0.1, -1.0]),
    ]
}

/// Returns a flow of a gradient field by any explicit method, its steps below, at and above the limit of contractivity.
pub fn gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    (gradient_field::<T>(), explicit_tableau(), step_ratio(), any::<bool>(), 1..=3usize)
        .prop_filter_map("refused", |(field, tableau, ratio, relative, steps)| {
            flow(field, tableau, ratio, relative, steps)
        })
}

/// Returns a flow of a gradient field by one method, its steps as those of [`gradient_flow`].
///
/// # Panics
/// If there is no method of this name.
pub fn gradient_flow_by<T: Scalar>(method: &str) -> impl Strategy<Value = Flow<T>> + use<T> {
    let tableau = Tableau::by_name(method).expect("the name of a method");
    (gradient_field::<T>(), step_ratio(), any::<bool>(), 1..=3usize)
        .prop_filter_map("refused", move |(field, ratio, relative, steps)| {
            flow(field, tableau.clone(), ratio, relative, steps)
        })
}

/// Returns a flow whose steps have gradient fields of their own, its steps below, at and above the limit of
/// contractivity.
pub fn varying_gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    (1..=4usize, 2..=3usize)
        .prop_flat_map(|(n, steps)| {
            let field = (1..=3usize)
                .prop_flat_map(move |m| (Just(m), matrix::<T>(m, n), bias::<T>(m), monotone_activation()))
                .prop_map(move |(m, w, b, a)| (m, n, w, b, a));
            (vec(field, steps), explicit_tableau(), step_ratio(), any::<bool>())
        })
        .prop_filter_map("refused", |(parts, tableau, ratio, relative)| {
            let mut fields: Vec<Box<dyn VectorField<T>>> = Vec::new();
            for (m, n, w, b, a) in parts {
                fields.push(Box::new(GradientField::new(Affine::new(Dense::new(m, n, w).ok()?, b).ok()?, a).ok()?));
            }
            let steps = fields.len();
            let relative = relative && ratio > 0.0 && ratio <= 1.0 && tableau.circle_radius().is_ok();
            let step = if relative { Step::Relative(ratio) } else { Step::Fixed(ratio) };
            let mut flow = Flow::boxed(fields, tableau, step, steps).ok()?;
            flow.seal(&Prover::default()).ok()?;
            Some(flow)
        })
}

/// Returns a flow of [`steep_gradient_field`], its steps below, at and above the limit of contractivity.
pub fn steep_gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    (steep_gradient_field::<T>(), explicit_tableau(), step_ratio(), any::<bool>(), 1..=3usize)
        .prop_filter_map("refused", |(field, tableau, ratio, relative, steps)| {
            flow(field, tableau, ratio, relative, steps)
        })
}

/// Returns a flow of a residual field by Euler's method and others, its steps moderate.
pub fn residual_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    let tableau = prop_oneof![3 => Just(Tableau::euler()), 1 => explicit_tableau()];
    (residual_field::<T>(), tableau, -1.5..1.5f64, 1..=2usize)
        .prop_filter_map("refused", |(field, tableau, h, steps)| Flow::new(field, tableau, Step::Fixed(h), steps).ok())
}

/// Returns a flow of a residual field whose activation has a slope near the end of the exponent range, and whose outer
/// map makes up for it: values are moderate as long as nothing overflows on the way. Some steps have any magnitude.
pub fn steep_residual_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    let top = libm::ilogb(T::LARGEST);
    let tableau = prop_oneof![2 => Just(Tableau::euler()), 1 => explicit_tableau()];
    (1..=3usize, 1..=3usize)
        .prop_flat_map(|(n, m)| (Just((n, m)), vec(moderate::<T>(), m * n), vec(moderate::<T>(), n * m)))
        .prop_flat_map(move |maps| (Just(maps), top - 14..=top))
        .prop_flat_map(move |maps| {
            (Just(maps), tableau.clone(), prop_oneof![3 => -1.5..1.5f64, 1 => wide::<T>().prop_map(T::wide)])
        })
        .prop_filter_map("refused", |((((n, m), w, v), e), tableau, h)| {
            let inner = Affine::new(Dense::new(m, n, w).ok()?, None).ok()?;
            let outer = Affine::new(Dense::new(n, m, times_power(&v, -e)).ok()?, None).ok()?;
            let slope = libm::scalbn(1.0, e);
            let field = ResidualField::new(inner, Activation::LeakyRelu { slope }, outer).ok()?;
            Flow::new(field, tableau, Step::Fixed(h), 1).ok()
        })
}

/// Returns a flow of a gradient field with so small weights that the longest steps are near the end of the exponent
/// range: a product of the step with a coefficient may overflow, and slopes are near the other end.
pub fn long_step_gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    let half = libm::ilogb(T::LARGEST) / 2;
    (1..=3usize, 1..=3usize)
        .prop_flat_map(|(m, n)| (Just((m, n)), vec(moderate::<T>(), m * n), vec(moderate::<T>(), m)))
        .prop_flat_map(move |map| (Just(map), half - 3..=half + 2, explicit_tableau(), step_ratio()))
        .prop_filter_map("refused", |(((m, n), w, b), e, tableau, ratio)| {
            let map = Affine::new(Dense::new(m, n, times_power(&w, -e)).ok()?, Some(times_power(&b, -e))).ok()?;
            flow(GradientField::new(map, Activation::Relu {}).ok()?, tableau, ratio, ratio < 1.0, 1)
        })
}

fn times_power<T: Scalar>(x: &[T], e: i32) -> Vec<T> {
    x.iter().map(|x| T::of(libm::scalbn(x.wide(), e))).collect()
}

/// Returns the flow with a step of `ratio` times the limit: relative and sealed, where that is possible and asked for.
pub fn flow<T: Scalar>(
    field: GradientField<T>,
    tableau: Tableau,
    ratio: f64,
    relative: bool,
    steps: usize,
) -> Option<Flow<T>> {
    let radius = tableau.circle_radius();
    if relative && radius.is_ok() && ratio > 0.0 && ratio <= 1.0 {
        let mut flow = Flow::new(field, tableau, Step::Relative(ratio), steps).ok()?;
        flow.seal(&Prover::default()).ok()?;
        return Some(flow);
    }
    let claims = Prover::default().field(&field.describe(), field.shape()).ok()?.claims();
    let limit = claims.cocoercivity?.get() * 2.0 * radius.map_or(1.0, |r| r.get());
    let h = if limit.is_finite() { ratio * limit } else { ratio };
    Flow::new(field, tableau, Step::Fixed(T::round_down(h).wide()), steps).ok()
}
