//! The layers that the verified checker knows.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};

use super::{
    integer::{scale_of, scaled},
    operator::{Proved, Stored},
    unknown,
};
use crate::{
    activation::Activation,
    error::{Error, Result},
    integrate::{CircleRadius, Tableau},
    io::{Conv2dSpec, DenseSpec, FieldSpec, FlowSpec, LayerSpec, ModelFile, OperatorSpec},
    tensor::Shape,
};

/// A layer as the checker sees it, with what its bound needs.
pub(super) enum Known {
    /// Coordinates that are moved, or embedded among zeros; a function of slopes in `[0, 1]`: no proof is needed, and the
    /// squared Lipschitz constant is 1.
    Plain,
    /// Means of so many coordinates each.
    Mean(usize),
    /// `(x − mean)/std`, with the smallest `std`.
    Normalize(f64),
    /// `Wx + b`, with the numbers of `b`.
    Affine(Stored, Vec<f64>),
    /// A gradient flow.
    Flow(GradientFlow),
}

/// `steps` steps of length `step` of a method for `x' = −Wᵀσ(Wx + b)`.
pub(super) struct GradientFlow {
    tableau: Tableau,
    step: f64,
    map: Stored,
    bias: Vec<f64>,
}

impl Known {
    /// The layer of a model at a place whose input is `input`.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the checker has no such layer.
    pub(super) fn read(model: &ModelFile, spec: &LayerSpec, input: Shape) -> Result<Self> {
        let affine = |spec: &OperatorSpec| Ok(Self::Affine(Stored::read(model, spec, input)?, bias(model, spec)?));
        match spec {
            LayerSpec::Dense(spec) => affine(&OperatorSpec::Dense(spec.clone())),
            LayerSpec::Conv2d(spec) => affine(&OperatorSpec::Conv2d(spec.clone())),
            LayerSpec::Activation(function) => slope(model, *function).map(|_| Self::Plain),
            LayerSpec::Flatten {} | LayerSpec::PadChannels { .. } | LayerSpec::SpaceToDepth { .. } => Ok(Self::Plain),
            LayerSpec::Flow(flow) => GradientFlow::read(model, flow, input).map(Self::Flow),
            LayerSpec::Normalize { std, .. } => {
                Ok(Self::Normalize(std.iter().map(|&std| stored(model, std)).fold(f64::INFINITY, f64::min)))
            }
            LayerSpec::AvgPool { size } => Ok(Self::Mean(size * size)),
            LayerSpec::GlobalAvgPool {} => {
                let (_, height, width) = input.as_image("mean pooling")?;
                Ok(Self::Mean(height * width))
            }
        }
    }

    /// The text of the proof of layer `i`, empty where none is needed, and its squared Lipschitz constant.
    ///
    /// # Errors
    /// [`Error::StepTooLong`] or [`Error::NotProved`] for a flow that the checker would refuse.
    pub(super) fn prove(&self, i: usize) -> Result<(String, BigRational)> {
        match self {
            Self::Plain => Ok((String::new(), BigRational::one())),
            Self::Mean(count) => Ok((String::new(), BigRational::new(BigInt::one(), (*count).into()))),
            Self::Normalize(std) => {
                let scale = scale_of([std]);
                let std = BigRational::new(scaled(*std, scale.into()), BigInt::one() << scale);
                Ok((String::new(), (&std * &std).recip()))
            }
            Self::Affine(map, bias) => {
                let Proved { text, squared } = map.prove(bias)?;
                Ok((format!("norm {i} {text}"), squared))
            }
            Self::Flow(flow) => Ok((format!("flow {i} {}", flow.prove()?), BigRational::one())),
        }
    }
}

impl GradientFlow {
    fn read(model: &ModelFile, flow: &FlowSpec, input: Shape) -> Result<Self> {
        let FlowSpec { method, step, field, .. } = flow;
        let FieldSpec::Gradient { activation, operator } = field else { return Err(unknown("flow of such a field")) };
        slope(model, *activation)?;
        let (map, bias) = (Stored::read(model, operator, input)?, bias(model, operator)?);
        let tableau = Tableau::by_name(method)?;
        if tableau.a().iter().flatten().chain(tableau.b()).any(|x| x.rational().is_none()) {
            return Err(unknown("method with irrational coefficients"));
        }
        Ok(Self { tableau, step: stored(model, *step), map, bias })
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

/// The bias of an operator; none stands for zeros.
fn bias(model: &ModelFile, spec: &OperatorSpec) -> Result<Vec<f64>> {
    let (OperatorSpec::Dense(DenseSpec { bias, .. }) | OperatorSpec::Conv2d(Conv2dSpec { bias, .. })) = spec else {
        return Ok(Vec::new());
    };
    bias.as_ref().map_or(Ok(Vec::new()), |name| Ok(model.numbers(name, 1)?.1))
}

/// The slope of a function below 0, as a network evaluates it, if it is one that the checker knows.
fn slope(model: &ModelFile, function: Activation) -> Result<f64> {
    match function {
        Activation::Identity {} => Ok(1.0),
        Activation::Relu {} => Ok(0.0),
        Activation::LeakyRelu { slope } if (0.0..=1.0).contains(&stored(model, slope)) => Ok(stored(model, slope)),
        Activation::LeakyRelu { .. } => Err(unknown("leaky ReLU with a slope outside [0, 1]")),
        Activation::Abs {} | Activation::Tanh {} | Activation::Sigmoid {} | Activation::Softplus {} => {
            Err(unknown(format!("activation {}", function.name())))
        }
    }
}

/// A number of the architecture, as it is stored in a network of this format.
fn stored(model: &ModelFile, x: f64) -> f64 {
    if model.scalar() == "f32" { f64::from(x as f32) } else { x }
}
