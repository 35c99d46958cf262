//! What laws are tested on: weights of every magnitude, shapes, activations, steps, and the layers made of them.

mod fields;
mod flows;
mod layers;
mod operators;

use proptest::{collection::vec, option, prelude::*, sample::select};

pub use self::{
    fields::{
        KINDS, gradient_field, graph_diffusion, long_gradient_field, projected_field, residual_field,
        steep_gradient_field, steep_residual_field, structured, structured_field,
    },
    flows::{
        alternation, equilibrium, flow, gradient_flow, gradient_flow_by, implicit_flow, implicit_tableau,
        long_step_gradient_flow, residual_flow, splitting, steep_gradient_flow, steep_residual_flow, steep_splitting,
        steep_structured_flow, step_ratio, structured_flow, varying_gradient_flow,
    },
    layers::{
        activation_layer, conv2d_layer, dense_layer, householder, l2_pool, moves, normalize, partial_activation,
        pool_layer, pooling, reshape, selection, unit_rows_layer,
    },
    operators::{
        channel_affine, conv2d, dense, geometry, graph_gradient, grouped_conv2d, long_conv2d, long_dense, pool,
    },
};
use crate::{activation::Activation, integrate::Tableau, scalar::Scalar, tensor::Shape};

/// Returns a number of moderate size: between −2 and 2, or a small integer.
pub fn moderate<T: Scalar>() -> impl Strategy<Value = T> {
    prop_oneof![(-2.0..2.0f64).prop_map(T::of), (-3..=3i32).prop_map(|n| T::of(n.into()))]
}

/// Returns a finite number of any magnitude: `±m·2ᵉ` over the exponent range of the format, subnormal numbers included.
pub fn wide<T: Scalar>() -> impl Strategy<Value = T> {
    let least = libm::ilogb(T::SMALLEST);
    (1.0..2.0f64, least..libm::ilogb(T::LARGEST), any::<bool>()).prop_map(|(m, e, negative)| {
        // In two steps, so that 2ᵉ itself need not be a number.
        let x = m * 2f64.powi(e / 2) * 2f64.powi(e - e / 2);
        T::of(if negative { -x } else { x })
    })
}

/// Returns a number at which something has gone wrong before: 0, `±2⁻¹²⁶`, `10³⁰`, the smallest number, `10⁻³²⁰`, …
pub fn special<T: Scalar>() -> impl Strategy<Value = T> {
    let numbers = [0.0, 0.0, 1.0, -1.0, 1e30, -1e30, 2f64.powi(-126), -(2f64.powi(-126)), 1e-320, 1e-45, 3e-39, 1e15];
    select(numbers.map(T::of).to_vec())
}

/// Returns a subnormal number.
pub fn subnormal<T: Scalar>() -> impl Strategy<Value = T> {
    (-4000..=4000i32).prop_map(|n| T::of(f64::from(n) * T::SMALLEST))
}

/// Returns the entries of a `rows × columns` matrix, row by row: moderate, over the whole exponent range, special,
/// subnormal, ill-conditioned (columns or rows that shrink by a factor), rank-deficient, or moderate times one power of
/// two.
pub fn matrix<T: Scalar>(rows: usize, columns: usize) -> BoxedStrategy<Vec<T>> {
    let n = rows * columns;
    let scaled = move |axis: bool| {
        (vec(moderate::<T>(), n), 0.0..6.0f64).prop_map(move |(w, decades)| {
            let scale = |i: usize| 10f64.powf(-decades * (if axis { i / columns } else { i % columns }) as f64);
            w.iter().enumerate().map(|(i, w)| T::of(w.wide() * scale(i))).collect()
        })
    };
    let outer = (vec(moderate::<T>(), rows), vec(moderate::<T>(), columns))
        .prop_map(|(u, v)| u.iter().flat_map(|&u| v.iter().map(move |&v| u * v)).collect());
    let shifted = (vec(moderate::<T>(), n), -40..=40i32)
        .prop_map(|(w, e)| w.iter().map(|w| T::of(w.wide() * 2f64.powi(e))).collect());
    prop_oneof![
        6 => vec(moderate::<T>(), n),
        2 => vec(wide::<T>(), n),
        1 => vec(special::<T>(), n),
        1 => vec(subnormal::<T>(), n),
        1 => scaled(true),
        1 => scaled(false),
        2 => outer,
        2 => shifted,
    ]
    .boxed()
}

/// Returns a bias of `n` numbers, or none.
pub fn bias<T: Scalar>(n: usize) -> BoxedStrategy<Option<Vec<T>>> {
    option::of(prop_oneof![
        4 => vec(moderate::<T>(), n),
        1 => vec(wide::<T>(), n),
        1 => vec(special::<T>(), n),
        1 => vec(subnormal::<T>(), n),
    ])
    .boxed()
}

/// Returns a vector or an image of a few numbers.
pub fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![(1..=6usize).prop_map(Shape::Features), image()]
}

/// Returns an image of up to 3 channels and 5 × 5 points.
pub fn image() -> impl Strategy<Value = Shape> {
    (1..=3usize, 1..=5usize, 1..=5usize).prop_map(|(c, h, w)| Shape::image(c, h, w))
}

/// Any activation, leaky ones with slopes below, at and above 1.
pub fn activation() -> impl Strategy<Value = Activation> {
    let leaky = |slope| Activation::LeakyRelu { slope };
    prop_oneof![select(Activation::ALL.to_vec()), select(vec![0.0, 0.1, 0.5, 1.0, 2.0]).prop_map(leaky)]
}

/// Returns an activation, its slope of any magnitude.
pub fn steep_activation() -> impl Strategy<Value = Activation> {
    prop_oneof![activation(), wide::<f32>().prop_map(|slope| Activation::LeakyRelu { slope: slope.abs().into() })]
}

/// Returns an activation without negative slopes, as a gradient field needs it.
pub fn monotone_activation() -> impl Strategy<Value = Activation> {
    activation().prop_filter("negative slope", |a| a.slopes()[0] >= 0.0)
}

/// Returns an explicit method.
pub fn explicit_tableau() -> impl Strategy<Value = Tableau> {
    select(Tableau::names().chain(["ssprk32", "ssprk52"]).collect::<Vec<_>>())
        .prop_filter_map("not explicit", |name| Tableau::by_name(name).ok().filter(Tableau::is_explicit))
}
