//! The two networks: three flows each, non-expansive ones or residual blocks.

use dahlquist::{
    Network, Result,
    activation::Activation,
    field::{GradientField, ResidualField},
    layer::{AffineLayer, Flow, Layer, Reshape, Step},
    operator::{Affine, Dense},
    tableau::Tableau,
    tensor::Shape,
};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const WIDTH: usize = 192;
pub const CLASSES: usize = 10;

/// A matrix with a bias, its entries of variance `gain²/inputs`.
fn dense(inputs: usize, outputs: usize, gain: f64, rng: &mut ChaCha8Rng) -> Result<Affine<f32>> {
    let deviation = gain / (inputs as f64).sqrt();
    let weight = StandardNormal.sample_iter(rng).take(inputs * outputs).map(|x: f64| (deviation * x) as f32).collect();
    Affine::new(Dense::new(outputs, inputs, weight)?, Some(vec![0.0; outputs]))
}

/// The non-expansive network, or the residual one.
pub fn network(stable: bool, input: Shape, horizon: f64, rng: &mut ChaCha8Rng) -> Result<Network<f32>> {
    let n = input.len();
    let mut layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(Reshape::flatten(input))];
    for _ in 0..3 {
        let (euler, relu) = (Tableau::euler(), Activation::Relu {});
        layers.push(Box::new(if stable {
            let field = GradientField::new(dense(n, WIDTH, 1.0, rng)?, relu)?;
            Flow::new(field, euler, Step::Horizon(horizon), 1)?
        } else {
            let field = ResidualField::new(dense(n, WIDTH / 2, 1.4, rng)?, relu, dense(WIDTH / 2, n, 0.5, rng)?)?;
            Flow::new(field, euler, Step::Fixed(1.0), 1)?
        }));
    }
    let head = dense(n, CLASSES, 1.0, rng)?;
    layers.push(Box::new(if stable { AffineLayer::with_unit_rows(head)? } else { AffineLayer::new(head) }));
    Network::new(input, layers)
}
