//! Convolutions whose strides, dilations and paddings are far larger than their images.

use dahlquist::{
    Error,
    activation::Activation,
    check::check,
    model::{Conv2d, Linear, Map, Model, Padding, Pair, Tensor},
    rigor::torus::PaddingMode,
    rules::Prover,
    tensor::Shape,
};
use dahlquist_testkit::{
    described::{exact, squared_distance, value, vector},
    models::certificate_of,
};

fn conv(shape: [usize; 4], weights: &[f64], stride: [usize; 2], dilation: usize, padding: usize) -> Map {
    Map::Chain(vec![Map::Linear(Linear::Conv2d(Conv2d {
        weight: Tensor::new(&shape, weights),
        bias: None,
        stride: Pair(stride),
        padding: Padding::Sides(Pair([padding; 2])),
        dilation: Pair([dilation; 2]),
        groups: 1,
        padding_mode: PaddingMode::Zeros,
    }))])
}

/// Asserts that no image of one point of 1 is mapped to more than the bound, and that the certificate is checked.
fn holds(map: &Map, input: Shape) -> f64 {
    let model = Model::new(input, map.clone(), "f64").unwrap();
    let certificate = certificate_of(&model);
    assert!(check(&certificate, &model).verified.is_some(), "{map:?}");
    let bound = Prover::default().network(map, input).unwrap().bound().get();
    let zeros = vec![exact(0.0); input.len()];
    for i in 0..input.len() {
        let mut point = vec![0.0; input.len()];
        point[i] = 1.0;
        let image = value(map, input, &vector(&point)).unwrap();
        let offset = value(map, input, &zeros).unwrap();
        assert!(squared_distance(&image, &offset) <= exact(bound) * exact(bound), "{map:?}: {bound} for point {i}");
    }
    bound
}

/// Strides are numbers of a file: their product may not fit a machine word. All of these leave one output, and are one map.
#[test]
fn strides_beyond_the_image_are_one_output() {
    let image = Shape::image(2, 2, 1);
    let weights = [1.0, 100.0, 0.5, -3.0];
    let far = [3, 1024, 3000, (1 << 54) + 1, 1 << 63, usize::MAX];
    let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
    for (y, x) in far.into_iter().flat_map(|y| far.map(|x| (y, x))) {
        let bound = holds(&conv([1, 2, 2, 1], &weights, [y, x], 1, 0), image);
        assert!(bound <= norm * (1.0 + 1e-11), "{y}×{x}: {bound} is not the norm");
    }
    // A kernel that is smaller than the image, and one that reaches beyond its border.
    let image = Shape::image(1, 4, 4);
    for stride in [4, 100_000, 1 << 62] {
        let bound = holds(&conv([1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0], [stride; 2], 1, 0), image);
        assert!(bound <= 30f64.sqrt() * (1.0 + 1e-11), "{bound}");
        holds(&conv([1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0], [stride; 2], 1, 2), image);
        holds(&conv([2, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], [stride, 3], 2, 1), image);
    }
}

/// Strides that do not divide a circular image, and more outputs than it has points.
#[test]
fn circular_strides_need_not_divide() {
    let weights: Vec<f64> = (0..18).map(|k| f64::from((k * k) % 7) / 4.0 - 0.75).collect();
    for (stride, padding) in [([3, 2], 2), ([1, 1], 3), ([2, 3], 1), ([5, 4], 0), ([7, 1], 4)] {
        let Map::Chain(mut maps) = conv([2, 1, 3, 3], &weights, stride, 1, padding) else { unreachable!() };
        if let Map::Linear(Linear::Conv2d(conv)) = &mut maps[0] {
            conv.padding_mode = PaddingMode::Circular;
        }
        holds(&Map::Chain(maps), Shape::image(1, 4, 5));
    }
}

/// Nine equal outputs: each rounding of a weight that a normalization is composed with counts three times.
#[test]
fn a_point_that_is_read_often_is_charged_often() {
    let (std, weight) = (0.9890218543049115, 1.9720917613717954);
    let Map::Chain(maps) = conv([1, 1, 1, 1], &[weight], [1; 2], 1, 1) else { unreachable!() };
    let Some(Map::Linear(Linear::Conv2d(mut conv))) = maps.into_iter().next() else { unreachable!() };
    conv.padding_mode = PaddingMode::Circular;
    let normalize = Map::Linear(Linear::Normalize { mean: vec![0.0], std: vec![std] });
    let relu = Map::Activation(Activation::Relu {});
    holds(&Map::Chain(vec![normalize, Map::Linear(Linear::Conv2d(conv)), relu]), Shape::image(1, 1, 1));
}

/// Between the points of a dilated kernel there is nothing to compute with.
#[test]
fn dilated_kernels_are_as_sparse_as_their_weights() {
    let map = conv([1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0], [1; 2], 300, 300);
    let bound = holds(&map, Shape::image(1, 1, 1));
    assert!((30f64.sqrt()..=10.0 * (1.0 + 1e-11)).contains(&bound), "{bound}");
}

/// A composition with means over windows has their strides, too.
#[test]
fn strides_before_means() {
    let Map::Chain(mut maps) = conv([1, 1, 2, 2], &[1.0, 2.0, 3.0, 4.0], [1 << 60, 2], 1, 0) else { unreachable!() };
    maps.push(Map::Linear(Linear::GlobalAvgPool {}));
    holds(&Map::Chain(maps), Shape::image(1, 4, 5));
}

/// Sizes that no machine word holds are refused, not wrapped around.
#[test]
fn outputs_that_are_too_large_are_refused() {
    let far = 1 << 24;
    let map = conv([1, 1, 2, 2], &[1.0; 4], [1; 2], far - 1, far);
    let input = Shape::image(1, 1, 1);
    let refused = Model::new(input, map, "f64").and_then(|model| Model::parse(&model.bytes()?)).unwrap_err();
    assert!(matches!(refused, Error::Layer { .. }), "{refused}");
    assert_eq!(Shape::image(1 << 30, 1 << 30, 1 << 30).len(), usize::MAX);
}
