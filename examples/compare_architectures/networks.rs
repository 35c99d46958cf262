//! The networks: three flows of a family between an isometry and a head.

use dahlquist::{
    Network, Result,
    activation::Activation,
    field::{GradientField, ResidualField, StructuredField, VectorField},
    layer::{AffineLayer, Flow, Layer, Reshape, Splitting, Step},
    model::{Conv2d, Field, Linear, Padding, Pair, Potential, SplitMethod, Tensor},
    operator::{Affine, Dense},
    rigor::torus::PaddingMode,
    tableau::Tableau,
    tensor::Shape,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const IMAGE: Shape = Shape::image(3, 32, 32);
pub const SPACE: Shape = Shape::image(48, 8, 8);

/// A family, or a way to train one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Gradient,
    /// The gradient flow, trained by orthogonalized momentum.
    Orthogonalized,
    /// As `Orthogonalized`, with weights that vary from step to step.
    Varying,
    Dissipative,
    Antisymmetric,
    Hamiltonian,
    Nais,
    Residual,
}

impl Family {
    pub const ALL: [Self; 8] = [
        Self::Gradient,
        Self::Orthogonalized,
        Self::Varying,
        Self::Dissipative,
        Self::Antisymmetric,
        Self::Hamiltonian,
        Self::Nais,
        Self::Residual,
    ];

    pub fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

/// Draws convolutions.
pub struct Weights(pub ChaCha8Rng);

impl Weights {
    pub fn draw(&mut self, count: usize, deviation: f64) -> Vec<f32> {
        StandardNormal.sample_iter(&mut self.0).take(count).map(|x: f64| (deviation * x) as f32).collect()
    }

    /// A 3 × 3 convolution.
    fn convolution(&mut self, inputs: usize, outputs: usize, gain: f64) -> Linear {
        let weight = self.draw(outputs * inputs * 9, gain / ((inputs * 9) as f64).sqrt());
        Linear::Conv2d(Conv2d {
            weight: Tensor::new(&[outputs, inputs, 3, 3], &weight),
            bias: None,
            stride: Pair::one(),
            padding: Padding::Sides(Pair::one()),
            dilation: Pair::one(),
            groups: 1,
            padding_mode: PaddingMode::Zeros,
        })
    }

    fn biased(&mut self, inputs: usize, outputs: usize, gain: f64) -> Linear {
        self.convolution(inputs, outputs, gain).with_bias(Some(Tensor::new(&[outputs], &vec![0.0f32; outputs])))
    }

    /// A flow of a family: about 31,000 parameters, 21,000 of the antisymmetric one.
    fn flow(&mut self, family: Family) -> Result<Box<dyn Layer<f32>>> {
        let (activation, bias) = (Activation::Relu {}, Some(Tensor::new(&[48], &[0.0f32; 48])));
        let operator = |linear: &Linear, input: Shape| Affine::<f32>::described(linear, input);
        let field = match family {
            Family::Gradient | Family::Orthogonalized => {
                let field = GradientField::new(operator(&self.biased(48, 72, 1.0), SPACE)?, activation)?;
                return Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 2)?));
            }
            Family::Varying => {
                // Two steps with weights of their own have as many parameters as one field of twice the width.
                let mut field = || -> Result<Box<dyn VectorField<f32>>> {
                    Ok(Box::new(GradientField::new(operator(&self.biased(48, 36, 1.0), SPACE)?, activation)?))
                };
                let fields = vec![field()?, field()?];
                return Ok(Box::new(Flow::boxed(fields, Tableau::euler(), Step::Relative(1.0), 2)?));
            }
            Family::Residual => {
                let (inner, outer) = (self.biased(48, 36, 1.4), self.biased(36, 48, 0.5));
                let field = ResidualField::new(
                    operator(&inner, SPACE)?,
                    activation,
                    operator(&outer, Shape::image(36, 8, 8))?,
                )?;
                return Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.5), 2)?));
            }
            Family::Hamiltonian => {
                let mut potential = || Potential { activation, operator: self.biased(24, 72, 0.5) };
                let field = Field::Hamiltonian { kinetic: potential(), potential: potential() };
                let field = StructuredField::<f32>::new(&field, SPACE)?;
                return Ok(Box::new(Splitting::new(field, SplitMethod::SymplecticEuler, 0.5, 2)?));
            }
            Family::Dissipative => Field::Dissipative {
                activation,
                operator: self.biased(48, 24, 1.0),
                skew: self.convolution(48, 48, 0.1),
                damping: 0.1,
            },
            Family::Antisymmetric => {
                Field::Antisymmetric { activation, matrix: self.convolution(48, 48, 0.3), bias, damping: 0.2 }
            }
            Family::Nais => Field::Nais { activation, factor: self.convolution(48, 72, 0.5), bias, epsilon: 0.01 },
        };
        let field = StructuredField::<f32>::new(&field, SPACE)?;
        Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.3), 2)?))
    }
}

/// The network of a family.
pub fn network(family: Family) -> Result<Network<f32>> {
    let mut weights = Weights(ChaCha8Rng::seed_from_u64(1));
    let mut layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(Reshape::space_to_depth(IMAGE, 4)?)];
    for _ in 0..3 {
        layers.push(weights.flow(family)?);
    }
    layers.push(Box::new(Reshape::flatten(SPACE)));
    let head = Dense::new(10, SPACE.len(), weights.draw(10 * SPACE.len(), 0.02))?;
    layers.push(Box::new(AffineLayer::with_unit_rows(Affine::new(head, Some(vec![0.0; 10]))?)?));
    Network::new(IMAGE, layers)
}
