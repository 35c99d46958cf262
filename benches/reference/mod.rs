//! The classifier that times are measured on: three stages of five blocks, 16 channels at 32², 32 at 16² and 64 at 8².

use dahlquist::{
    Network, Result,
    activation::Activation,
    field::GradientField,
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    tensor::Shape,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// A blocks' multiplications and additions for one image, forward: `4·k²·c²·n²` in every stage.
#[allow(dead_code)]
pub const FLOP: f64 = 15.0 * 4.0 * 9.0 * 16.0 * 16.0 * 32.0 * 32.0;

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
}

/// A 3×3 convolution to 16 channels; in each stage five blocks `x − hWᵀ relu(Wx + b)` with the longest step that does
/// not expand; between stages mean pooling and a 1×1 convolution to twice the channels; the mean over the image and a
/// dense head.
pub fn classifier(seed: u64) -> Result<Network<f32>> {
    let mut weights = Weights(ChaCha8Rng::seed_from_u64(seed));
    let affine = |map| Box::new(AffineLayer::new(map)) as Box<dyn Layer<f32>>;
    let mut layers = vec![affine(weights.convolution(3, 16, 32, 3)?)];
    for (channels, size) in [(16, 32), (32, 16), (64, 8)] {
        let image = Shape::image(channels, size, size);
        for _ in 0..5 {
            let field = GradientField::new(weights.convolution(channels, channels, size, 3)?, Activation::Relu {})?;
            layers.push(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1)?));
        }
        if channels < 64 {
            layers.push(affine(Affine::new(MeanPool::new(image, 2)?, None)?));
            layers.push(affine(weights.convolution(channels, 2 * channels, size / 2, 1)?));
        } else {
            layers.push(affine(Affine::new(MeanPool::global(image)?, None)?));
        }
    }
    layers.push(affine(Affine::new(Dense::new(10, 64, weights.draw(640, 0.125))?, Some(weights.draw(10, 0.1)))?));
    Network::new(Shape::image(3, 32, 32), layers)
}
