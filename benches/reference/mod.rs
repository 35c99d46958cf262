//! The classifier that times are measured on: three stages of five blocks, 16 channels at 32², 32 at 16² and 64 at 8²;
//! the same with one stage of any size; and passes that are timed over both.

use dahlquist::{
    Network, Result,
    activation::Activation,
    field::GradientField,
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    tensor::{Batch, Shape},
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

/// Normally distributed weights.
struct Weights(ChaCha8Rng);

impl Weights {
    fn draw(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        let normal = StandardNormal.sample_iter(&mut self.0);
        normal.take(count).map(|x: f64| (deviation * x) as f32).collect()
    }

    /// A convolution with padding that keeps the size of the image, and a bias.
    fn convolution(&mut self, inputs: usize, outputs: usize, size: usize, kernel: usize) -> Result<Affine<f32>> {
        let geometry = Geometry {
            input: Shape::image(inputs, size, size),
            outputs,
            kernel: (kernel, kernel),
            stride: 1,
            padding: kernel / 2,
            mode: PaddingMode::Zeros,
        };
        let taps = inputs * kernel * kernel;
        let weight = self.draw(outputs * taps, 1.0 / (taps as f64).sqrt());
        Affine::new(Conv2d::new(geometry, weight)?, Some(self.draw(outputs, 0.1)))
    }

    /// A block `x − hWᵀ relu(Wx + b)` with the longest step that does not expand.
    fn block(&mut self, channels: usize, size: usize) -> Result<Box<dyn Layer<f32>>> {
        let field = GradientField::new(self.convolution(channels, channels, size, 3)?, Activation::Relu {})?;
        Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1)?))
    }

    /// A dense layer to ten classes.
    fn head(&mut self, features: usize) -> Result<Box<dyn Layer<f32>>> {
        let weight = self.draw(10 * features, 1.0 / (features as f64).sqrt());
        Ok(affine(Affine::new(Dense::new(10, features, weight)?, Some(self.draw(10, 0.1)))?))
    }
}

fn affine(map: Affine<f32>) -> Box<dyn Layer<f32>> {
    Box::new(AffineLayer::new(map))
}

/// A 3×3 convolution to 16 channels; in each stage five blocks; between stages mean pooling and a 1×1 convolution to
/// twice the channels; the mean over the image and a dense head.
pub fn classifier(seed: u64) -> Result<Network<f32>> {
    let mut weights = Weights(ChaCha8Rng::seed_from_u64(seed));
    let mut layers = vec![affine(weights.convolution(3, 16, 32, 3)?)];
    for (channels, size) in [(16, 32), (32, 16), (64, 8)] {
        let image = Shape::image(channels, size, size);
        for _ in 0..5 {
            layers.push(weights.block(channels, size)?);
        }
        if channels < 64 {
            layers.push(affine(Affine::new(MeanPool::new(image, 2)?, None)?));
            layers.push(affine(weights.convolution(channels, 2 * channels, size / 2, 1)?));
        } else {
            layers.push(affine(Affine::new(MeanPool::global(image)?, None)?));
        }
    }
    layers.push(weights.head(64)?);
    Network::new(Shape::image(3, 32, 32), layers)
}

/// One stage: a 3×3 convolution of a square image to so many channels, blocks, the mean over the image, a dense head.
pub fn stage(seed: u64, channels: usize, size: usize, blocks: usize) -> Result<Network<f32>> {
    let mut weights = Weights(ChaCha8Rng::seed_from_u64(seed));
    let mut layers = vec![affine(weights.convolution(3, channels, size, 3)?)];
    for _ in 0..blocks {
        layers.push(weights.block(channels, size)?);
    }
    layers.push(affine(Affine::new(MeanPool::global(Shape::image(channels, size, size))?, None)?));
    layers.push(weights.head(channels)?);
    Network::new(Shape::image(3, size, size), layers)
}

/// A forward pass and the gradient of the sum of the logits by the input, in parallel.
pub fn gradients(network: &Network<f32>, x: &Batch<f32>) -> Result<Vec<Batch<f32>>> {
    let parts: Vec<usize> = (0..x.samples()).step_by(network.chunk()).collect();
    let part = |&start: &usize| {
        let end = x.samples().min(start + network.chunk());
        let (logits, tape) = network.forward_fast(x.slice(start..end))?;
        let ones = Batch::new(logits.shape(), vec![1.0; logits.data().len()])?;
        network.vjp(&tape, ones, None)
    };
    parts.par_iter().map(part).collect()
}

/// Steps of Adam, once over the images, so small that the network stays what it is.
pub fn steps(batch: usize) -> Recipe {
    Recipe {
        epochs: 1,
        batch,
        optimiser: Optimiser::ADAM,
        schedule: OneCycle { peak: 1e-6, rise: 0.5 },
        loss: MarginCrossEntropy::PLAIN.into(),
        average: None,
        flip: false,
        crop: 0,
        seed: 1,
    }
}
