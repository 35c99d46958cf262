//! The layers that the verified checker knows.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive};

use super::{
    integer::{scale_of, scaled},
    line,
    operator::{Proved, Stored},
    unknown,
};
use crate::{
    activation::Activation,
    error::{Error, Result},
    model::{Field, Flow, Linear, Map},
    tableau::{CircleRadius, Surd, Tableau},
    tensor::Shape,
};

/// A layer as the checker sees it.
pub(super) enum Known {
    /// An image read as a vector: nothing to a checker that knows only vectors.
    Identity,
    /// So many zeros appended: channels of an image come one after the other.
    Pad(usize),
    /// `x` for `x ≥ 0`, `slope·x` below, with a slope in `[0, 1]`.
    Activation(f64),
    /// `Wx + b`.
    Affine(Stored),
    /// A gradient flow.
    Flow(GradientFlow),
}

/// `steps` steps of length `step` of a method for `x' = −Wᵀσ(Wx + b)`.
pub(super) struct GradientFlow {
    tableau: Tableau,
    step: f64,
    steps: usize,
    slope: f64,
    map: Stored,
}

impl Known {
    /// The layer of a model at a place whose input is `input`.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the checker has no such layer.
    pub(super) fn read(map: &Map, input: Shape) -> Result<Self> {
        match map {
            Map::Linear(linear @ (Linear::Dense { .. } | Linear::Conv2d(_))) => {
                Stored::read(linear, input).map(Self::Affine)
            }
            Map::Linear(Linear::Flatten {}) => Ok(Self::Identity),
            Map::Linear(Linear::PadChannels { channels }) => {
                let (present, height, width) = input.as_image("padding of channels")?;
                Ok(Self::Pad(channels.saturating_sub(present) * height * width))
            }
            Map::Activation(function) => slope(*function).map(Self::Activation),
            Map::Flow(flow) => GradientFlow::read(flow, input).map(Self::Flow),
            other => Err(unknown(format!("layer of kind {}", other.kind()))),
        }
    }

    /// The text of the layer, empty for an identity, and its squared Lipschitz constant over a power of two.
    ///
    /// # Errors
    /// [`Error::StepTooLong`] or [`Error::NotProved`] for a flow that the checker would refuse.
    pub(super) fn prove(&self) -> Result<(String, BigInt, u32)> {
        let isometry = |text| Ok((text, BigInt::one(), 0));
        match self {
            Self::Identity => isometry(String::new()),
            Self::Pad(zeros) => isometry(format!("layer pad {zeros}\n")),
            Self::Activation(slope) => isometry(format!("layer activation {}\n", leaky(*slope))),
            Self::Affine(map) => {
                let Proved { text, squared, scale } = map.prove()?;
                Ok((format!("layer affine {text}"), squared, 2 * scale))
            }
            Self::Flow(flow) => isometry(flow.prove()?),
        }
    }
}

impl GradientFlow {
    fn read(flow: &Flow, input: Shape) -> Result<Self> {
        let Field::Gradient { activation, operator } = &flow.field else {
            return Err(unknown("flow of such a field"));
        };
        let (slope, map) = (slope(*activation)?, Stored::read(operator, input)?);
        Ok(Self { tableau: flow.method.tableau()?, step: flow.step, steps: flow.steps, slope, map })
    }

    fn prove(&self) -> Result<String> {
        let rational = |row: &[Surd]| -> Result<Vec<BigRational>> {
            let irrational = || unknown("method with irrational coefficients");
            row.iter().map(|x| x.rational().ok_or_else(irrational)).collect()
        };
        let a: Vec<BigRational> = rational(&self.tableau.a().concat())?;
        let b = rational(self.tableau.b())?;
        // The least common denominator.
        let d = a.iter().chain(&b).fold(BigInt::one(), |d, x| (x * &d).denom() * d);
        let (p, q) = match self.tableau.circle_radius()? {
            CircleRadius::Infinite => (BigInt::one(), BigInt::ZERO),
            CircleRadius::Finite(r) => {
                let scale = scale_of([&r.get()]);
                (scaled(r.get(), scale.into()), BigInt::one() << scale)
            }
        };
        let step_scale = scale_of([&self.step]);
        let h = scaled(self.step, step_scale.into());
        let Proved { text: operator, squared, scale } = self.map.prove()?;
        // h q ‖W‖² ≤ 2p
        let limit = BigRational::new((&p * 2) << (2 * scale), (&q * &squared).max(BigInt::one()));
        if h < BigInt::ZERO || BigRational::new(h.clone(), BigInt::one() << step_scale) > limit {
            return Err(Error::StepTooLong {
                step: self.step,
                limit: limit.to_f64().unwrap_or(0.0),
                rule: crate::certificate::Rule::CircleContractivity.name(),
                method: self.tableau.name().into(),
            });
        }
        let (stages, steps, leaky) = (self.tableau.stages(), self.steps, leaky(self.slope));
        let mut text = format!("layer flow stages {stages} denominator {d}\nA ");
        let integers = |row: &[BigRational]| row.iter().map(|x| (x * &d).to_integer()).collect::<Vec<_>>();
        line(&mut text, &integers(&a));
        text += "b ";
        line(&mut text, &integers(&b));
        Ok(text + &format!("radius {p} {q} step {h} {step_scale} steps {steps} {leaky}\noperator {operator}"))
    }
}

fn leaky(slope: f64) -> String {
    let scale = scale_of([&slope]);
    format!("leaky {} {scale}", scaled(slope, scale.into()))
}

/// The slope of a function below 0, as a network evaluates it, if it is one that the checker knows.
fn slope(function: Activation) -> Result<f64> {
    match function {
        Activation::Identity {} => Ok(1.0),
        Activation::Relu {} => Ok(0.0),
        Activation::LeakyRelu { slope } if (0.0..=1.0).contains(&slope) => Ok(slope),
        Activation::LeakyRelu { .. } => Err(unknown("leaky ReLU with a slope outside [0, 1]")),
        Activation::Abs {} | Activation::Tanh {} | Activation::Sigmoid {} | Activation::Softplus {} => {
            Err(unknown(format!("activation {}", function.name())))
        }
    }
}
