//! Matrices, convolutions, means and diagonals, with biases or none.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{bias, image, matrix, pooling, shape};
use crate::{
    model::{self, Padding, Pair, Tensor},
    operator::{Affine, Conv2d, Dense, Diagonal, Geometry, GraphGradient, MeanPool},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::Shape,
};

/// Returns a matrix with a bias or none.
pub fn dense<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    (1..=5usize, 1..=5usize)
        .prop_flat_map(|(rows, columns)| (Just((rows, columns)), matrix::<T>(rows, columns), bias::<T>(rows)))
        .prop_filter_map("refused", |((rows, columns), w, b)| Affine::new(Dense::new(rows, columns, w).ok()?, b).ok())
        .boxed()
}

/// Returns a matrix with a bias or none, whose sums have more terms than one chunk of the declared order: those of
/// `Wx`, or those of `Wᵀy`.
pub fn long_dense<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    select(vec![(2, 200), (150, 1)])
        .prop_flat_map(|(rows, columns)| (Just((rows, columns)), matrix::<T>(rows, columns), bias::<T>(rows)))
        .prop_filter_map("refused", |((rows, columns), w, b)| Affine::new(Dense::new(rows, columns, w).ok()?, b).ok())
        .boxed()
}

/// Returns a convolution with a bias or none, whose sums have more terms than one chunk of the declared order.
pub fn long_conv2d<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    let geometry =
        |mode| Geometry { input: Shape::image(9, 3, 3), outputs: 1, kernel: (3, 3), stride: 1, padding: 1, mode };
    let mode = select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    (mode, matrix::<T>(1, 81), bias::<T>(1))
        .prop_filter_map("refused", move |(mode, w, b)| Affine::new(Conv2d::new(geometry(mode), w).ok()?, b).ok())
        .boxed()
}

/// Any stride, padding and mode on an image with kernels up to 3 × 3; half of them keep the size of the image.
pub fn geometry() -> BoxedStrategy<Geometry> {
    let mode = || select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    let any = (image(), 1..=3usize, (1..=3usize, 1..=3usize), 1..=3usize, 0..=2usize, mode()).prop_map(
        |(input, outputs, kernel, stride, padding, mode)| Geometry { input, outputs, kernel, stride, padding, mode },
    );
    let same = (image(), 1..=3usize, 0..=1usize, mode()).prop_map(|(input, outputs, padding, mode)| {
        let side = 2 * padding + 1;
        Geometry { input, outputs, kernel: (side, side), stride: 1, padding, mode }
    });
    prop_oneof![any, same].boxed()
}

/// Returns a convolution with a [`geometry`], and a bias or none.
pub fn conv2d<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    geometry()
        .prop_flat_map(|geometry| {
            let Geometry { input, outputs, kernel, .. } = geometry;
            let channels = if let Shape::Image { channels, .. } = input { channels } else { 1 };
            (Just(geometry), matrix::<T>(outputs, channels * kernel.0 * kernel.1), bias::<T>(outputs))
        })
        .prop_filter_map("refused", |(geometry, w, b)| Affine::new(Conv2d::new(geometry, w).ok()?, b).ok())
        .boxed()
}

/// Returns a convolution with groups, dilations, and strides and paddings of its own for each axis.
pub fn grouped_conv2d<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    let pair = |range: std::ops::RangeInclusive<usize>| (range.clone(), range).prop_map(|(a, b)| Pair([a, b]));
    let mode = select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    ((1..=3usize, 1..=2usize, 1..=2usize), (1..=5usize, 1..=5usize), pair(1..=3))
        .prop_flat_map(move |((groups, inputs, outputs), image, kernel)| {
            let [ky, kx] = kernel.0;
            let (rows, columns) = (groups * outputs, inputs * ky * kx);
            let numbers = (matrix::<T>(rows, columns), bias::<T>(rows));
            let form = (pair(1..=2), pair(0..=2), pair(1..=2), mode.clone());
            (Just((groups, inputs, image, [rows, inputs, ky, kx])), numbers, form)
        })
        .prop_filter_map("refused", |((groups, inputs, image, sizes), (w, bias), form)| {
            let (stride, padding, dilation, padding_mode) = form;
            let (weight, padding) = (Tensor::new(&sizes, &w), Padding::Sides(padding));
            let conv = model::Conv2d { weight, bias: None, stride, padding, dilation, groups, padding_mode };
            let input = Shape::image(groups * inputs, image.0, image.1);
            Affine::new(Conv2d::described(&conv, input).ok()?, bias).ok()
        })
        .boxed()
}

/// Mean pooling over windows, or over the whole image.
pub fn pool<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    (image(), option::of(pooling()))
        .prop_filter_map("refused", |(input, windows)| {
            let pool = windows.map_or_else(|| MeanPool::global(input), |windows| MeanPool::windows(input, windows));
            Affine::new(pool.ok()?, None).ok()
        })
        .boxed()
}

/// Returns differences along the edges of a graph, mixed by a matrix, with a bias or none.
pub fn graph_gradient<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    (image(), 1..=3usize)
        .prop_flat_map(|(nodes, outputs)| {
            let points = nodes.points();
            let channels = nodes.len() / points;
            let edges = vec((0..points, 0..points), 1..=6);
            (Just((nodes, outputs)), edges, matrix::<T>(outputs, channels), bias::<T>(outputs))
        })
        .prop_filter_map("refused", |((nodes, outputs), edges, w, b)| {
            Affine::new(GraphGradient::new(nodes, edges, outputs, w).ok()?, b).ok()
        })
        .boxed()
}

/// Returns a scale and a shift for each channel.
pub fn channel_affine<T: Scalar>() -> impl Strategy<Value = Affine<T>> {
    shape().prop_flat_map(|shape| {
        let units = if let Shape::Image { channels, .. } = shape { channels } else { shape.len() };
        (matrix::<T>(1, units), bias::<T>(units))
            .prop_filter_map("refused", move |(s, t)| Affine::new(Diagonal::new(shape, s).ok()?, t).ok())
    })
}
