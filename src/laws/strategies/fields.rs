//! Vector fields: gradient and residual ones, and those of the family.

use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    activation, bias, conv2d, dense, graph_gradient, long_conv2d, long_dense, matrix, moderate, monotone_activation,
    steep_activation,
};
use crate::{
    activation::Activation,
    field::{GradientField, ProjectedField, ResidualField, StructuredField},
    model::{self, Field, Linear, Padding, Pair, Potential, Tensor},
    operator::{Affine, Dense},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::Shape,
};

/// Returns the field `−Wᵀσ(Wx + b)`, `W` dense or a convolution.
pub fn gradient_field<T: Scalar>() -> BoxedStrategy<GradientField<T>> {
    let map = prop_oneof![2 => dense::<T>(), 1 => conv2d::<T>()];
    (map, monotone_activation()).prop_filter_map("refused", |(map, a)| GradientField::new(map, a).ok()).boxed()
}

/// Returns diffusion on a graph: the gradient field of differences along its edges.
pub fn graph_diffusion<T: Scalar>() -> BoxedStrategy<GradientField<T>> {
    (graph_gradient::<T>(), monotone_activation())
        .prop_filter_map("refused", |(map, a)| GradientField::new(map, a).ok())
        .boxed()
}

/// Returns the field of [`gradient_field`], its slope of any magnitude.
pub fn steep_gradient_field<T: Scalar>() -> BoxedStrategy<GradientField<T>> {
    let map = prop_oneof![2 => dense::<T>(), 1 => conv2d::<T>()];
    (map, steep_activation()).prop_filter_map("refused", |(map, a)| GradientField::new(map, a).ok()).boxed()
}

/// Returns the field of [`gradient_field`] with sums of more terms than one chunk.
pub fn long_gradient_field<T: Scalar>() -> BoxedStrategy<GradientField<T>> {
    let map = prop_oneof![2 => long_dense::<T>(), 1 => long_conv2d::<T>()];
    (map, monotone_activation()).prop_filter_map("refused", |(map, a)| GradientField::new(map, a).ok()).boxed()
}

/// Returns the field `Vσ(Wx + b) + c` with dense maps.
pub fn residual_field<T: Scalar>() -> BoxedStrategy<ResidualField<T>> {
    residual_field_with(activation())
}

/// Returns the field of [`residual_field`], its slope of any magnitude.
pub fn steep_residual_field<T: Scalar>() -> BoxedStrategy<ResidualField<T>> {
    residual_field_with(steep_activation())
}

fn residual_field_with<T: Scalar>(a: impl Strategy<Value = Activation> + 'static) -> BoxedStrategy<ResidualField<T>> {
    let a = a.boxed();
    (1..=4usize, 1..=4usize)
        .prop_flat_map(move |(n, m)| ((Just((n, m)), a.clone()), (matrix(m, n), bias(m)), (matrix(n, m), bias(n))))
        .prop_filter_map("refused", |(((n, m), a), (w, b), (v, c))| {
            let inner = Affine::new(Dense::<T>::new(m, n, w).ok()?, b).ok()?;
            ResidualField::new(inner, a, Affine::new(Dense::new(n, m, v).ok()?, c).ok()?).ok()
        })
        .boxed()
}

/// Returns a field of the family by its kind, from 0 to [`KINDS`], with dense operators, or on images with
/// convolutions.
pub(super) fn family<T: Scalar>(kind: usize, images: bool) -> BoxedStrategy<Field> {
    // Half a space, a space, and what lies between.
    let (half, space) = if images { (1, 2) } else { (2, 4) };
    let operator = move |outputs: usize, inputs: usize| {
        let taps = if images { 9 } else { 1 };
        matrix::<T>(outputs, inputs * taps).prop_map(move |w| {
            if !images {
                return Linear::Dense { weight: Tensor::new(&[outputs, inputs], &w), bias: None };
            }
            Linear::Conv2d(model::Conv2d {
                weight: Tensor::new(&[outputs, inputs, 3, 3], &w),
                bias: None,
                stride: Pair::one(),
                padding: Padding::Sides(Pair::one()),
                dilation: Pair::one(),
                groups: 1,
                padding_mode: PaddingMode::Zeros,
            })
        })
    };
    let biased = move |outputs: usize, inputs: usize| {
        (operator(outputs, inputs), bias::<T>(outputs))
            .prop_map(|(w, b)| w.with_bias(b.map(|b| Tensor::new(&[b.len()], &b))))
    };
    let vector = move |n: usize| bias::<T>(n).prop_map(|b| b.map(|b| Tensor::new(&[b.len()], &b)));
    let weights = move |n: usize| {
        let weight = prop_oneof![0.0..2.0f64, select(vec![0.0, 1.0, 1e-30])].prop_map(T::of);
        vec(weight, n).prop_map(|w| Some(Tensor::new(&[w.len()], &w)))
    };
    let constant = || prop_oneof![0.0..2.0f64, select(vec![0.0, 0.5, -0.25])].prop_map(|x| T::of(x).wide());
    let monotone = || monotone_activation().prop_filter_map("constant", |a| a.in_format::<T>().ok());
    let function = || activation().prop_filter_map("constant", |a| a.in_format::<T>().ok());
    match kind {
        0 => (monotone(), biased(3, space), weights(3))
            .prop_map(|(activation, operator, weights)| Field::Gradient { activation, operator, weights })
            .boxed(),
        1 => (function(), biased(3, space), operator(space, space), constant())
            .prop_map(|(activation, operator, skew, damping)| Field::Dissipative {
                activation,
                operator,
                skew,
                damping,
            })
            .boxed(),
        2 => operator(space, space).prop_map(|skew| Field::SkewLinear { skew }).boxed(),
        3 => ((function(), biased(2, half)), (function(), biased(3, half)))
            .prop_map(|(k, p)| {
                let [kinetic, potential] = [k, p].map(|(activation, operator)| Potential { activation, operator });
                Field::Hamiltonian { kinetic, potential }
            })
            .boxed(),
        4 => (function(), biased(2, space), operator(space, space), operator(space, space), constant())
            .prop_map(|(activation, operator, quadratic, skew, damping)| Field::DissipativeHamiltonian {
                activation,
                operator,
                quadratic,
                skew,
                damping,
            })
            .boxed(),
        5 => (function(), operator(space, space), vector(space), constant())
            .prop_map(|(activation, matrix, bias, damping)| Field::Antisymmetric { activation, matrix, bias, damping })
            .boxed(),
        6 => (function(), operator(3, space), vector(space), constant())
            .prop_map(|(activation, factor, bias, epsilon)| Field::Nais { activation, factor, bias, epsilon })
            .boxed(),
        _ => (function(), biased(space, space), biased(3, space), operator(space, 3))
            .prop_map(|(activation, linear, inner, outer)| Field::Lurie { activation, linear, inner, outer })
            .boxed(),
    }
}

/// Returns Manek and Kolter's field on vectors: nothing is claimed of it but its derivatives.
pub fn projected_field<T: Scalar>() -> BoxedStrategy<ProjectedField<T>> {
    let dense = |rows: usize, columns: usize| {
        vec(moderate::<T>(), rows * columns)
            .prop_map(move |w| Linear::Dense { weight: Tensor::new(&[rows, columns], &w), bias: None })
    };
    let slopes = select(vec![Activation::Relu {}, Activation::Tanh {}, Activation::LeakyRelu { slope: 0.25 }]);
    (dense(3, 2), vec(moderate::<T>(), 3), dense(2, 3), dense(3, 2), activation(), slopes, (0.1..2.0f64, 0.0..1.0f64))
        .prop_filter_map("refused", |(inner, bias, outer, operator, activation, slope, (epsilon, rate))| {
            let inner = inner.with_bias(Some(Tensor::new(&[3], &bias)));
            let potential = Potential { activation: slope, operator };
            let field = Field::LyapunovProjected { activation, inner, outer, potential, epsilon, rate };
            ProjectedField::new(&field, Shape::Features(2)).ok()
        })
        .boxed()
}

/// The number of kinds of [`structured_field`].
pub const KINDS: usize = 8;

/// Returns a field of the family, as data, and its space.
pub fn structured<T: Scalar>() -> BoxedStrategy<(Field, Shape)> {
    (0..KINDS, any::<bool>())
        .prop_flat_map(|(kind, images)| {
            let space = if images { Shape::image(2, 3, 2) } else { Shape::Features(4) };
            (family::<T>(kind, images), Just(space))
        })
        .boxed()
}

/// Returns a field of the family.
pub fn structured_field<T: Scalar>() -> BoxedStrategy<StructuredField<T>> {
    structured::<T>().prop_filter_map("refused", |(field, space)| StructuredField::new(&field, space).ok()).boxed()
}
