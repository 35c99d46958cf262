//! Layers that are no flows.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::{bias, conv2d, dense, image, matrix, moderate, pool, shape, steep_activation};
use crate::{
    layer::{ActivationLayer, AffineLayer, Householder, L2Pool, Normalize, PartialActivation, Reshape, Selection},
    model::{self, Pair, Pooling, Tensor, Window, units},
    operator::{Affine, Dense},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::Shape,
};

/// Returns a dense layer.
pub fn dense_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    dense::<T>().prop_map(AffineLayer::new)
}

/// Returns a dense layer with rows of norm 1.
pub fn unit_rows_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    let w = (1..=4usize, 1..=4usize).prop_flat_map(|(m, n)| (Just((m, n)), vec(-2.0..2.0f64, m * n), bias::<T>(m)));
    w.prop_filter_map("refused", |((m, n), w, b)| {
        let w = Dense::new(m, n, w.into_iter().map(T::of).collect()).ok()?;
        AffineLayer::with_unit_rows(Affine::new(w, b).ok()?).ok()
    })
}

/// Returns a convolutional layer.
pub fn conv2d_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    conv2d::<T>().prop_map(AffineLayer::new)
}

/// Returns a pooling layer.
pub fn pool_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    pool::<T>().prop_map(AffineLayer::new)
}

/// Returns an activation as a layer.
pub fn activation_layer<T: Scalar>() -> impl Strategy<Value = ActivationLayer> {
    (steep_activation(), shape()).prop_filter_map("refused", |(a, shape)| ActivationLayer::new::<T>(a, shape).ok())
}

/// Returns an activation of some channels.
pub fn partial_activation<T: Scalar>() -> impl Strategy<Value = PartialActivation> {
    (steep_activation(), shape(), 0..4usize, 1..4usize).prop_filter_map("refused", |(a, shape, from, count)| {
        PartialActivation::new::<T>(a, [from, from + count], shape).ok()
    })
}

/// Returns a normalisation of an image or a vector.
pub fn normalize<T: Scalar>() -> impl Strategy<Value = Normalize<T>> {
    shape().prop_flat_map(|shape| {
        let units = if let Shape::Image { channels, .. } = shape { channels } else { shape.len() };
        let std = prop_oneof![4 => 0.05..3.0f64, 1 => select(vec![1e-3, 1e3, 2f64.powi(-126)])].prop_map(T::of);
        (vec(moderate::<T>(), units), vec(std, units))
            .prop_filter_map("refused", move |(mean, std)| Normalize::new(shape, mean, std).ok())
    })
}

/// Windows of up to 3 × 3 points, any distance apart, with and without padding.
pub fn pooling() -> impl Strategy<Value = Pooling> {
    let pair = |range: std::ops::RangeInclusive<usize>| (range.clone(), range).prop_map(|(a, b)| Pair([a, b]));
    (pair(1..=3), option::of(pair(1..=3)), pair(0..=1)).prop_map(|(size, stride, padding)| Pooling {
        size,
        stride,
        padding,
    })
}

/// Reflections of groups, by one vector or one each, short, of about norm 1, and of any length.
pub fn householder<T: Scalar>() -> impl Strategy<Value = Householder<T>> {
    (shape(), 1..=3usize, any::<bool>(), any::<bool>())
        .prop_flat_map(|(shape, size, each, unit)| {
            let groups = if each { units(shape) / size } else { 1 };
            (Just((shape, size, each, unit)), matrix::<T>(groups, size))
        })
        .prop_filter_map("refused", |((shape, size, each, unit), mut v)| {
            for v in v.chunks_mut(size).filter(|_| unit) {
                let norm = v.iter().map(|v| v.wide() * v.wide()).sum::<f64>().sqrt();
                v.iter_mut().for_each(|v| *v = T::of(v.wide() / norm));
            }
            let shape_of = if each { vec![v.len() / size, size] } else { vec![size] };
            if v.iter().any(|v| !v.wide().is_finite()) {
                return None;
            }
            Householder::new(shape, &model::Householder { vector: Tensor::new(&shape_of, &v) }).ok()
        })
}

/// Returns a layer that selects: groups that are sorted, or max pooling.
pub fn selection() -> impl Strategy<Value = Selection> {
    let sorted = (shape(), 1..=3usize).prop_filter_map("refused", |(input, group)| Selection::sort(input, group).ok());
    let largest = (image(), pooling())
        .prop_filter_map("refused", |(input, pooling)| Selection::new(input, Window::MaxPool(pooling)).ok());
    prop_oneof![sorted, largest]
}

/// Pooling by norms.
pub fn l2_pool() -> impl Strategy<Value = L2Pool> {
    (image(), pooling()).prop_filter_map("refused", |(input, pooling)| L2Pool::new(input, pooling).ok())
}

/// Shifts, mirrors and first channels.
pub fn moves() -> impl Strategy<Value = Reshape> {
    let groups = vec((0..=2usize, -3..=3isize, -3..=3isize), 0..=2);
    let mode = select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    (image(), 0..=2usize, groups, mode).prop_filter_map("refused", |(input, kind, groups, mode)| match kind {
        0 => Reshape::shift(input, groups, mode).ok(),
        1 => Reshape::mirror(input).ok(),
        _ => Reshape::first_channels(input, groups.len() + 1).ok(),
    })
}

/// Returns a layer that keeps every distance.
pub fn reshape() -> impl Strategy<Value = Reshape> {
    (image(), 0..=2usize, 1..=3usize).prop_filter_map("refused", |(input, kind, n)| match (kind, input) {
        (0, _) => Some(Reshape::flatten(input)),
        (1, Shape::Image { channels, .. }) => Reshape::pad_channels(input, channels + n - 1).ok(),
        (_, Shape::Image { channels, height, width }) => {
            Reshape::space_to_depth(Shape::image(channels, height * n, width * n), n).ok()
        }
        _ => None,
    })
}
