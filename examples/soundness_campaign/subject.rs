//! Small networks as data.

use dahlquist::{
    Network, Result,
    activation::Activation,
    data::Dataset,
    field::{GradientField, ResidualField},
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    model,
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    scalar::Scalar,
    tensor::{Batch, Shape},
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::draw::has_reference;

/// An affine map, as data.
pub struct Map<T> {
    pub kind: Linear,
    pub weight: Vec<T>,
    pub bias: Option<Vec<T>>,
}

pub enum Linear {
    Dense(usize, usize),
    Conv(Geometry),
    Pool(Shape, Option<usize>),
}

impl<T: Scalar> Map<T> {
    pub fn affine(&self) -> Result<Affine<T>> {
        match self.kind {
            Linear::Dense(m, n) => Affine::new(Dense::new(m, n, self.weight.clone())?, self.bias.clone()),
            Linear::Conv(geometry) => Affine::new(Conv2d::new(geometry, self.weight.clone())?, self.bias.clone()),
            Linear::Pool(input, Some(size)) => Affine::new(MeanPool::new(input, size)?, None),
            Linear::Pool(input, None) => Affine::new(MeanPool::global(input)?, None),
        }
    }
}

/// A layer, as data.
pub enum Part<T> {
    Affine(Map<T>),
    Activation(Activation),
    Gradient {
        map: Map<T>,
        activation: Activation,
        method: &'static str,
        step: Step,
        steps: usize,
    },
    Residual {
        inner: Map<T>,
        activation: Activation,
        outer: Map<T>,
        method: &'static str,
        step: f64,
    },
    /// `(x − mean)·2ᵏ`, so that its numbers are exact.
    Normalize {
        mean: Vec<T>,
        exponent: i32,
    },
    PadChannels(usize),
    SpaceToDepth(usize),
    Flatten,
    /// Any map, as what the laws are tested on describes itself.
    Described(Box<model::Map>),
}

impl<T: Scalar> Part<T> {
    pub fn layer(&self, input: Shape) -> Result<Box<dyn Layer<T>>> {
        Ok(match self {
            Self::Affine(map) => Box::new(AffineLayer::new(map.affine()?)),
            Self::Activation(a) => Box::new(ActivationLayer::new::<T>(*a, input)?),
            Self::Gradient { map, activation, method, step, steps } => {
                let field = GradientField::new(map.affine()?, *activation)?;
                Box::new(Flow::new(field, Tableau::by_name(method)?, *step, *steps)?)
            }
            Self::Residual { inner, activation, outer, method, step } => {
                let field = ResidualField::new(inner.affine()?, *activation, outer.affine()?)?;
                Box::new(Flow::new(field, Tableau::by_name(method)?, Step::Fixed(*step), 1)?)
            }
            Self::Normalize { mean, exponent } => {
                let std = vec![T::of(2f64.powi(-exponent)); mean.len()];
                Box::new(Normalize::new(input, mean.clone(), std)?)
            }
            Self::PadChannels(channels) => Box::new(Reshape::pad_channels(input, *channels)?),
            Self::SpaceToDepth(block) => Box::new(Reshape::space_to_depth(input, *block)?),
            Self::Flatten => Box::new(Reshape::flatten(input)),
            Self::Described(map) => Box::new(Network::build(map, input)?),
        })
    }

    /// The maps with weights.
    fn maps(&mut self) -> Vec<&mut Map<T>> {
        match self {
            Self::Affine(map) | Self::Gradient { map, .. } => vec![map],
            Self::Residual { inner, outer, .. } => vec![inner, outer],
            _ => Vec::new(),
        }
    }
}

/// A network, as data.
pub struct Subject<T> {
    pub input: Shape,
    /// Samples are in `[0, 1]` times this power of two.
    pub exponent: i32,
    pub parts: Vec<Part<T>>,
}

impl<T: Scalar> Subject<T> {
    /// The network.
    ///
    /// # Errors
    /// If a part is refused.
    pub fn network(&self) -> Result<Network<T>> {
        let mut shape = self.input;
        let mut layers = Vec::new();
        for part in &self.parts {
            let layer = part.layer(shape)?;
            shape = layer.output();
            layers.push(layer);
        }
        Network::new(self.input, layers)
    }

    /// Returns whether every part has a value in the numbers of the references.
    ///
    /// # Errors
    /// If a part is refused.
    pub fn has_reference(&self) -> Result<bool> {
        let (mut shape, mut all) = (self.input, true);
        for part in &self.parts {
            all &= if let Part::Described(map) = part { has_reference(map, shape) } else { true };
            shape = part.layer(shape)?.output();
        }
        Ok(all)
    }

    /// Samples in `[0, 1]` times a power of two.
    pub fn samples<S: Scalar>(&self, count: usize, rng: &mut ChaCha8Rng) -> Batch<S> {
        let mut x = samples::<S>(self.input, count, rng);
        x.data_mut().iter_mut().for_each(|x| *x = S::of(libm::scalbn(x.wide(), self.exponent)));
        x
    }

    /// Trains the network on classes that a random linear map tells apart.
    ///
    /// # Errors
    /// If training fails.
    pub fn train(&mut self, rng: &mut ChaCha8Rng) -> Result<()> {
        let mut network = self.network()?;
        let (classes, n) = (network.output().len(), self.input.len());
        let teacher: Vec<f64> = (0..classes * n).map(|_| rng.sample(StandardNormal)).collect();
        let x = samples::<T>(self.input, 512, rng);
        let label = |s: usize| {
            let score =
                |k: usize| teacher[k * n..][..n].iter().zip(x.sample(s)).map(|(w, x)| w * (x.wide() - 0.5)).sum();
            let scores: Vec<f64> = (0..classes).map(score).collect();
            (0..classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
        };
        let labels = (0..x.samples()).map(label).collect();
        let data = Dataset::from_samples(&x, labels, (0..classes).map(|k| k.to_string()).collect())?;
        let recipe = Recipe {
            epochs: 10,
            batch: 32,
            optimiser: Optimiser::ADAM,
            schedule: OneCycle { peak: 0.02, rise: 0.3 },
            loss: MarginCrossEntropy { temperature: 0.25, offset: 0.1 }.into(),
            average: None,
            flip: false,
            crop: 0,
            seed: rng.random(),
        };
        train(&mut network, &data, &recipe, |_| ())?;
        for (part, layer) in self.parts.iter_mut().zip(network.layers()) {
            if let Part::Described(map) = part {
                **map = layer.describe();
            }
            let mut trained = layer.parameters().into_iter();
            for map in part.maps() {
                for slot in [Some(&mut map.weight), map.bias.as_mut()].into_iter().flatten().filter(|s| !s.is_empty()) {
                    slot.copy_from_slice(trained.next().unwrap_or(&[]));
                }
            }
        }
        Ok(())
    }
}

/// Samples in `[0, 1]`.
fn samples<T: Scalar>(shape: Shape, count: usize, rng: &mut ChaCha8Rng) -> Batch<T> {
    let data = (0..count * shape.len()).map(|_| T::of(rng.random())).collect();
    Batch::new(shape, data).expect("finite numbers")
}
