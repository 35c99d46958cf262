//! Networks that the program trains, the examples compare and the benchmarks time: one shape, with and without the structure
//! that makes a field stable.
//!
//! Both see an image, around its middle gray, as 8 × 8 blocks of 4 × 4 pixels with 48 channels: an isometry. Then come
//! convolutional and dense blocks, each one Euler step, and a linear head.

use crate::{
    activation::Activation,
    error::Result,
    field::{GradientField, ResidualField},
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    network::Network,
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

/// How many steps there are, and how wide the maps inside them are.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// The number of convolutional steps, and the channels of each of their maps `W`.
    pub convolutions: (usize, usize),
    /// The number of dense steps, and the rows of each of their matrices `W`.
    pub dense: (usize, usize),
}

impl Size {
    /// 1.7 million parameters.
    pub const SMALL: Self = Self { convolutions: (3, 48), dense: (2, 256) };
    /// 5.0 million parameters, and more than three times the arithmetic.
    pub const LARGE: Self = Self { convolutions: (8, 64), dense: (3, 512) };
}

/// Normally distributed weights.
struct Weights(ChaCha8Rng);

impl Weights {
    fn draw(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let normal = StandardNormal.sample_iter(&mut self.0);
        normal.take(count).map(|x: f64| (deviation * x) as f32).collect()
    }

    /// Returns a 3 × 3 convolution of the blocks with a bias.
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

    /// Returns a matrix with a bias.
    fn dense(&mut self, inputs: usize, outputs: usize, gain: f64) -> Result<Affine<f32>> {
        let weight = self.draw(outputs * inputs, gain / (inputs as f64).sqrt());
        Affine::new(Dense::new(outputs, inputs, weight)?, Some(vec![0.0; outputs]))
    }
}

/// Subtracts the middle gray, so that no direction is larger than the others, and takes the image apart.
fn blocks() -> Result<Vec<Box<dyn Layer<f32>>>> {
    let gray = Normalize::new(IMAGE, vec![0.5; 3], vec![1.0; 3])?;
    Ok(vec![Box::new(gray), Box::new(Reshape::space_to_depth(IMAGE, 4)?)])
}

/// Returns blocks of Euler steps of `x' = −Wᵀ relu(Wx + b)` with the longest step that does not expand, and a head whose rows
/// have norm 1: every step is non-expansive, and a margin of the logits is a distance.
///
/// # Errors
/// [`crate::Error::Length`] if a size is 0.
pub fn stable(size: Size, seed: u64) -> Result<Network<f32>> {
    let mut weights = Weights(ChaCha8Rng::seed_from_u64(seed));
    let flow = |map| -> Result<Box<dyn Layer<f32>>> {
        let field = GradientField::new(map, Activation::Relu {})?;
        Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1)?))
    };
    let mut layers = blocks()?;
    let (count, width) = size.convolutions;
    for _ in 0..count {
        layers.push(flow(weights.convolution(48, width, 1.0)?)?);
    }
    layers.push(Box::new(Reshape::flatten(BLOCKS)));
    let (count, width) = size.dense;
    for _ in 0..count {
        layers.push(flow(weights.dense(FEATURES, width, 1.0)?)?);
    }
    layers.push(Box::new(AffineLayer::with_unit_rows(weights.dense(FEATURES, CLASSES, 1.0)?)?));
    Network::new(IMAGE, layers)
}

/// Returns residual blocks `x + V relu(Wx + b) + c` with free `V`, half as wide in the dense part so that there are as many
/// parameters, and a free head. Nothing keeps its constant small.
///
/// # Errors
/// As [`stable`].
pub fn plain(size: Size, seed: u64) -> Result<Network<f32>> {
    let mut weights = Weights(ChaCha8Rng::seed_from_u64(seed));
    let block = |inner, outer| -> Result<Box<dyn Layer<f32>>> {
        let field = ResidualField::new(inner, Activation::Relu {}, outer)?;
        Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(1.0), 1)?))
    };
    let mut layers = blocks()?;
    let (count, width) = size.convolutions;
    for _ in 0..count {
        let inner = weights.convolution(48, width, 1.4)?;
        layers.push(block(inner, weights.convolution(width, 48, 0.5)?)?);
    }
    layers.push(Box::new(Reshape::flatten(BLOCKS)));
    let (count, width) = size.dense;
    for _ in 0..count {
        let inner = weights.dense(FEATURES, width / 2, 1.4)?;
        layers.push(block(inner, weights.dense(width / 2, FEATURES, 0.5)?)?);
    }
    layers.push(Box::new(AffineLayer::new(weights.dense(FEATURES, CLASSES, 1.0)?)));
    Network::new(IMAGE, layers)
}
