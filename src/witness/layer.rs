//! The layers that the verified checker knows.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};

use super::{
    Proved,
    integer::{scale_of, scaled},
    operator::Stored,
    unknown,
};
use crate::{
    activation::Activation,
    error::{Error, Result},
    model::{Conv2d, Field, Flow, Linear, Map, Method, Pooling},
    tableau::{CircleRadius, Tableau},
    tensor::Shape,
};

/// A layer as the checker sees it, with what its bound needs.
pub(super) enum Known {
    /// Coordinates that are moved, or embedded among zeros; a function of slopes in `[0, 1]`: no proof is needed, and the
    /// squared Lipschitz constant is 1.
    Plain,
    /// Means over this number of coordinates each.
    Average(usize),
    /// `(x − mean)/std`, with the smallest `std`.
    Normalize(f64),
    /// `s_c x + t_c`, with the largest `|s_c|`.
    Scale(f64),
    /// `Wx + b`, with the numbers of `b`.
    Affine(Stored, Vec<f64>),
    /// A gradient flow.
    Flow(GradientFlow),
    /// The mean of branches of layers, none of them a mean.
    Mean(Vec<Vec<Known>>),
}

/// `steps` steps of length `step` of a method for `x' = −Wᵀσ(Wx + b)`.
pub(super) struct GradientFlow {
    tableau: Tableau,
    step: f64,
    map: Stored,
    bias: Vec<f64>,
}

impl Known {
    /// Returns the layer of a model at a place whose input is `input`.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the checker has no such layer.
    pub(super) fn read(map: &Map, input: Shape) -> Result<Self> {
        Ok(match map {
            Map::Linear(linear @ (Linear::Dense { .. } | Linear::Conv2d(_))) => {
                Self::Affine(Stored::read(linear, input)?, bias(linear))
            }
            Map::Linear(
                Linear::Flatten {}
                | Linear::Mirror {}
                | Linear::PadChannels { .. }
                | Linear::FirstChannels { .. }
                | Linear::SpaceToDepth { .. }
                | Linear::Shift { .. },
            ) => Self::Plain,
            Map::Linear(Linear::ChannelAffine { scale, .. }) => {
                Self::Scale(scale.wide().iter().fold(0.0, |largest, factor| factor.abs().max(largest)))
            }
            Map::Linear(Linear::Normalize { std, .. }) => {
                Self::Normalize(std.iter().copied().fold(f64::INFINITY, f64::min))
            }
            Map::Linear(Linear::AvgPool(pooling))
                if *pooling == Pooling::disjoint(pooling.size) && pooling.size.square().is_some() =>
            {
                Self::Average(pooling.area())
            }
            Map::Linear(Linear::GlobalAvgPool {}) => Self::Average(input.points()),
            Map::Activation(function) => slope(*function).map(|_| Self::Plain)?,
            Map::Flow(flow) => Self::Flow(GradientFlow::read(flow, input)?),
            Map::Mean(branches) => {
                Self::Mean(branches.iter().map(|branch| Self::branch(branch, input)).collect::<Result<_>>()?)
            }
            other => return Err(unknown(format!("layer of kind {}", other.kind()))),
        })
    }

    /// Returns the layers of a branch of a mean.
    fn branch(map: &Map, input: Shape) -> Result<Vec<Self>> {
        let mut shape = input;
        let mut layer = |map: &Map| match map {
            Map::Mean(_) => Err(unknown("mean within a mean")),
            map => {
                let known = Self::read(map, shape)?;
                shape = map.output(shape)?;
                Ok(known)
            }
        };
        map.layers().iter().map(&mut layer).collect()
    }

    /// Returns the text of the proof of layer `i`, empty where none is needed, and its squared Lipschitz constant.
    ///
    /// That of a mean is the mean of those of its branches: it is not below the square of the mean of the constants.
    ///
    /// # Errors
    /// [`Error::StepTooLong`] or [`Error::NotProved`] for a flow that the checker would refuse.
    pub(super) fn prove(&self, i: &str) -> Result<(String, BigRational)> {
        match self {
            Self::Plain => Ok((String::new(), BigRational::one())),
            Self::Average(count) => Ok((String::new(), BigRational::new(BigInt::one(), (*count).into()))),
            Self::Normalize(std) => {
                let scale = scale_of([std]);
                let std = BigRational::new(scaled(*std, scale.into()), BigInt::one() << scale);
                Ok((String::new(), (&std * &std).recip()))
            }
            Self::Scale(largest) => {
                let scale = scale_of([largest]);
                let factor = BigRational::new(scaled(*largest, scale.into()), BigInt::one() << scale);
                Ok((String::new(), &factor * &factor))
            }
            Self::Affine(map, bias) => {
                let Proved { text, squared } = map.prove(bias)?;
                Ok((format!("norm {i} {text}"), squared))
            }
            Self::Flow(flow) => Ok((format!("flow {i} {}", flow.prove()?), BigRational::one())),
            Self::Mean(branches) => {
                let (mut text, mut sum) = (String::new(), BigRational::zero());
                for (k, branch) in branches.iter().enumerate() {
                    let mut squared = BigRational::one();
                    for (j, layer) in branch.iter().enumerate() {
                        let (proof, factor) = layer.prove(&format!("{i}.{k}.{j}"))?;
                        text += &proof;
                        squared *= factor;
                    }
                    sum += squared;
                }
                Ok((text, sum / BigRational::from(BigInt::from(branches.len()))))
            }
        }
    }
}

impl GradientFlow {
    fn read(flow: &Flow, input: Shape) -> Result<Self> {
        if flow.horizon.is_some() {
            return Err(unknown("flow with a horizon"));
        }
        let [Field::Gradient { activation, operator, weights: None }] = &flow.fields[..] else {
            return Err(unknown("flow of such a field"));
        };
        slope(*activation)?;
        // The checker takes methods by their names.
        let Method::Named(name) = &flow.method else { return Err(unknown("method of one's own")) };
        let tableau = Tableau::by_name(name)?;
        if tableau.a().iter().flatten().chain(tableau.b()).any(|x| x.rational().is_none()) {
            return Err(unknown("method with irrational coefficients"));
        }
        Ok(Self { tableau, step: flow.step, map: Stored::read(operator, input)?, bias: bias(operator) })
    }

    fn prove(&self) -> Result<String> {
        let (p, q) = match self.tableau.circle_radius()? {
            CircleRadius::Infinite => (BigInt::one(), BigInt::ZERO),
            CircleRadius::Finite(r) => {
                let scale = scale_of([&r.get()]);
                (scaled(r.get(), scale.into()), BigInt::one() << scale)
            }
        };
        let step_scale = scale_of([&self.step]);
        let h = BigRational::new(scaled(self.step, step_scale.into()), BigInt::one() << step_scale);
        let Proved { text, squared } = self.map.prove(&self.bias)?;
        // h q ‖W‖² ≤ 2p
        let product = BigRational::from(q.clone()) * squared;
        let limit = BigRational::from(&p * 2);
        if h < BigRational::zero() || &h * &product > limit {
            return Err(Error::StepTooLong {
                step: self.step,
                limit: (limit / product).to_f64().unwrap_or(0.0),
                rule: crate::certificate::Rule::CircleContractivity.name(),
                method: self.tableau.name().into(),
            });
        }
        Ok(format!("radius {p} {q} {text}"))
    }
}

/// Returns the bias of an operator; none stands for zeros.
fn bias(linear: &Linear) -> Vec<f64> {
    match linear {
        Linear::Dense { bias, .. } | Linear::Conv2d(Conv2d { bias, .. }) => {
            bias.as_ref().map(|bias| bias.numbers()).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

/// Returns the slope of a function below 0, if it is one that the checker knows.
fn slope(function: Activation) -> Result<f64> {
    match function {
        Activation::Identity {} => Ok(1.0),
        Activation::Relu {} => Ok(0.0),
        Activation::LeakyRelu { slope } if (0.0..=1.0).contains(&slope) => Ok(slope),
        Activation::LeakyRelu { .. } => Err(unknown("leaky ReLU with a slope outside [0, 1]")),
        _ => Err(unknown(format!("activation {}", function.name()))),
    }
}
