//! Small models for tests of files and of the program.

#![allow(dead_code)] // Each test uses some of them.

pub mod known;
pub mod tamper;

use dahlquist::{
    Network, Result,
    activation::Activation,
    field::{GradientField, ResidualField},
    integrate::Tableau,
    io::{AnyNetwork, Claimed, ModelFile},
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::Shape,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A network with one layer of every kind of the file format, in `f32`, its weights random.
pub fn every_layer() -> Network<f32> {
    build(1).unwrap()
}

/// The same in `f64`.
pub fn every_layer_f64() -> Network<f64> {
    build(2).unwrap()
}

/// A stack of dense layers and ReLUs from two inputs to three classes.
pub fn dense_stack() -> Network<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.sample::<f32, _>(StandardNormal) * 0.5).collect() };
    let mut layers: Vec<Box<dyn Layer<f32>>> = Vec::new();
    for (n, m) in [(2, 16), (16, 12), (12, 8), (8, 3)] {
        let map = Affine::new(Dense::new(m, n, draw(n * m)).unwrap(), Some(draw(m))).unwrap();
        layers.push(Box::new(AffineLayer::new(map)));
        layers.push(Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(m)).unwrap()));
    }
    layers.pop();
    Network::new(Shape::Features(2), layers).unwrap()
}

fn build<T: Scalar>(seed: u64) -> Result<Network<T>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |count: usize, deviation: f64| -> Vec<T> {
        (0..count).map(|_| T::of(deviation * rng.sample::<f64, _>(StandardNormal))).collect()
    };
    let half = T::of(0.5);
    let image = Shape::image(2, 8, 8);
    let mut layers: Vec<Box<dyn Layer<T>>> = vec![
        Box::new(Normalize::new(image, vec![half; 2], vec![half; 2])?),
        Box::new(Reshape::space_to_depth(image, 2)?),
        Box::new(ActivationLayer::new::<T>(Activation::LeakyRelu { slope: 0.125 }, Shape::image(8, 4, 4))?),
    ];
    let image = Shape::image(8, 4, 4);
    let geometry =
        |mode, padding, stride, outputs| Geometry { input: image, outputs, kernel: (3, 3), stride, padding, mode };
    let convolution = Conv2d::new(geometry(PaddingMode::Circular, 1, 1, 8), draw(8 * 8 * 9, 0.1))?;
    let field =
        GradientField::new(Affine::new(convolution, Some(draw(8, 0.1)))?, Activation::LeakyRelu { slope: 0.5 })?;
    layers.push(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(0.5), 2)?));
    let convolution = Conv2d::new(geometry(PaddingMode::Zeros, 1, 1, 8), draw(8 * 8 * 9, 0.1))?;
    let field = GradientField::new(Affine::new(convolution, Some(draw(8, 0.1)))?, Activation::Softplus {})?;
    layers.push(Box::new(Flow::new(field, Tableau::rk4(), Step::Relative(1.0), 1)?));
    let convolution = Conv2d::new(geometry(PaddingMode::Zeros, 1, 2, 6), draw(6 * 8 * 9, 0.2))?;
    layers.push(Box::new(AffineLayer::new(Affine::new(convolution, Some(draw(6, 0.1)))?)));
    layers.push(Box::new(Reshape::pad_channels(Shape::image(6, 2, 2), 7)?));
    layers.push(Box::new(AffineLayer::new(Affine::new(MeanPool::new(Shape::image(7, 2, 2), 2)?, None)?)));
    layers.push(Box::new(AffineLayer::new(Affine::new(MeanPool::global(Shape::image(7, 1, 1))?, None)?)));
    layers.push(Box::new(Reshape::flatten(Shape::Features(7))));
    let inner = Affine::new(Dense::new(5, 7, draw(35, 0.3))?, Some(draw(5, 0.1)))?;
    let outer = Affine::new(Dense::new(7, 5, draw(35, 0.3))?, Some(draw(7, 0.1)))?;
    let field = ResidualField::new(inner, Activation::Tanh {}, outer)?;
    layers.push(Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.25), 3)?));
    let contracting = Dense::new(7, 7, (0..49).map(|i| T::of(if i % 8 == 0 { 1.5 } else { 0.125 })).collect())?;
    let field = GradientField::new(Affine::new(contracting, None)?, Activation::LeakyRelu { slope: 0.75 })?;
    layers.push(Box::new(Flow::new(field, Tableau::heun(), Step::Fixed(0.125), 2)?));
    layers.push(Box::new(AffineLayer::new(Affine::new(Dense::new(4, 7, draw(28, 0.5))?, Some(draw(4, 0.1)))?)));
    // Sealing fixes the relative steps, so that the file holds them.
    let sealed = Network::new(Shape::image(2, 8, 8), layers)?.seal()?;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    dahlquist::io::save(sealed.network(), &path)?;
    let file = ModelFile::read(&path)?;
    Ok(match file.network()? {
        AnyNetwork::F32(network) => *(Box::new(network) as Box<dyn std::any::Any>).downcast().unwrap(),
        AnyNetwork::F64(network) => *(Box::new(network) as Box<dyn std::any::Any>).downcast().unwrap(),
    })
}

/// One dense layer.
pub fn dense_f32(outputs: usize, inputs: usize, weight: Vec<f32>) -> Network<f32> {
    let layer = AffineLayer::new(Affine::new(Dense::new(outputs, inputs, weight).unwrap(), None).unwrap());
    Network::new(Shape::Features(inputs), vec![Box::new(layer)]).unwrap()
}

/// The bytes of the model file of a network.
pub fn model_bytes<T: Scalar>(network: &Network<T>) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    dahlquist::io::save(network, &path).unwrap();
    std::fs::read(path).unwrap()
}

/// What this crate claims about the model in a file.
pub fn certificate_of(model: &ModelFile) -> Claimed {
    let new = |certificate: &_| Claimed::new(certificate, model.sha256(), model.scalar());
    match model.network().unwrap() {
        AnyNetwork::F32(network) => new(network.seal().unwrap().certificate()),
        AnyNetwork::F64(network) => new(network.seal().unwrap().certificate()),
    }
}
