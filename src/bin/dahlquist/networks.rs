//! The network of the recipe: the stable one of the CIFAR-10 example.
//!
//! It sees an image, around its middle gray, as 8 × 8 blocks of 4 × 4 pixels with 48 channels: an isometry. Then come three
//! convolutional and two dense blocks, each one Euler step, and a linear head.

use dahlquist::{
    Network, Result,
    activation::Activation,
    field::GradientField,
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::torus::PaddingMode,
    tensor::Shape,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const IMAGE: Shape = Shape::image(3, 32, 32);
const BLOCKS: Shape = Shape::image(48, 8, 8);
const FEATURES: usize = 48 * 8 * 8;
const CLASSES: usize = 10;

/// Normally distributed weights.
struct Weights(ChaCha8Rng);

impl Weights {
    fn draw(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let normal = StandardNormal.sample_iter(&mut self.0);
        normal.take(count).map(|x: f64| (deviation * x) as f32).collect()
    }

    /// A 3 × 3 convolution of the blocks with a bias.
    fn convolution(&mut self, input: usize, outputs: usize, gain: f64) -> Result<Affine<f32>> {
        let geometry = Geometry {
            input: Shape::image(input, 8, 8),
            outputs,
            kernel: (3, 3),
            stride: 1,
            padding: 1,
            mode: PaddingMode::Zeros,
        };
        let weight = self.draw(outputs * input * 9, gain / ((input * 9) as f64).sqrt());
        Affine::new(Conv2d::new(geometry, weight)?, Some(vec![0.0; outputs]))
    }

    /// A matrix with a bias.
    fn dense(&mut self, inputs: usize, outputs: usize, gain: f64) -> Result<Affine<f32>> {
        let weight = self.draw(outputs * inputs, gain / (inputs as f64).sqrt());
        Affine::new(Dense::new(outputs, inputs, weight)?, Some(vec![0.0; outputs]))
    }
}

/// Blocks of Euler steps of `x' = −Wᵀ relu(Wx + b)` with the longest step that does not expand, and a head whose rows
/// have norm 1.
pub(super) fn stable(seed: u64) -> Result<Network<f32>> {
    let mut weights = Weights(ChaCha8Rng::seed_from_u64(seed));
    let flow = |map| -> Result<Box<dyn Layer<f32>>> {
        let field = GradientField::new(map, Activation::Relu {})?;
        Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1)?))
    };
    let gray = Normalize::new(IMAGE, vec![0.5; 3], vec![1.0; 3])?;
    let mut layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(gray), Box::new(Reshape::space_to_depth(IMAGE, 4)?)];
    for _ in 0..3 {
        layers.push(flow(weights.convolution(48, 48, 1.0)?)?);
    }
    layers.push(Box::new(Reshape::flatten(BLOCKS)));
    for _ in 0..2 {
        layers.push(flow(weights.dense(FEATURES, 256, 1.0)?)?);
    }
    layers.push(Box::new(AffineLayer::with_unit_rows(weights.dense(FEATURES, CLASSES, 1.0)?)?));
    Network::new(IMAGE, layers)
}
