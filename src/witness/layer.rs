//! The layers that the verified checker knows.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::{
    Proved,
    integer::{scale_of, scaled},
    operator::Stored,
    unknown,
};
use crate::{
    activation::Activation,
    error::{Error, Result},
    model::{Conv2d, Field, Flow, Linear, Map, Method, Partial, Pooling, Window},
    tableau::{CircleRadius, Tableau},
    tensor::Shape,
};

/// A layer as the checker sees it, with what its bound needs.
pub(super) enum Known {
    /// Coordinates that are moved, sorted, or embedded among zeros; a function of slopes in `[−1, 1]`: no proof is needed, and
    /// the squared Lipschitz constant is 1.
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
    /// A function whose slope on the negative side has this size, which is larger than 1.
    Steep(f64),
    /// Reflections of groups by vectors, one after the other in a row of this length.
    Reflection(Vec<f64>, usize),
    /// The sum of branches of layers, none of which has branches, over a number: 1, or that of the branches.
    Branches(Vec<Vec<Known>>, usize),
}

/// `steps` steps of length `step` of a method for `x' = −Wᵀσ(Wx + b)`.
pub(super) struct GradientFlow {
    tableau: Tableau,
    step: f64,
    steps: usize,
    /// The slope of `σ` below 0; above it is 1.
    slope: f64,
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
            Map::Activation(Activation::Hardtanh { .. }) | Map::Window(Window::Sort { .. }) => Self::Plain,
            Map::Activation(function) | Map::Partial(Partial { function, .. }) => match slope(*function)?.abs() {
                steep if steep > 1.0 => Self::Steep(steep),
                _ => Self::Plain,
            },
            Map::Householder(map) => Self::Reflection(map.vector.numbers(), map.groups(input)?[1]),
            Map::Flow(flow) => Self::Flow(GradientFlow::read(flow, input)?),
            Map::Mean(branches) => Self::branches(branches, branches.len(), input)?,
            Map::Sum(branches) => Self::branches(branches, 1, input)?,
            other => return Err(unknown(format!("layer of kind {}", other.kind()))),
        })
    }

    fn branches(branches: &[Map], divisor: usize, input: Shape) -> Result<Self> {
        let branches: Result<_> = branches.iter().map(|branch| Self::branch(branch, input)).collect();
        Ok(Self::Branches(branches?, divisor))
    }

    /// Returns the layers of a branch.
    fn branch(map: &Map, input: Shape) -> Result<Vec<Self>> {
        let mut shape = input;
        let mut layer = |map: &Map| match map {
            Map::Mean(_) | Map::Sum(_) => Err(unknown("branches within branches")),
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
    /// That of branches is the square of the sum of their constants, each rounded up as the checker does ([`branch_root`]).
    ///
    /// # Errors
    /// [`Error::StepTooLong`] or [`Error::NotProved`] for a flow that the checker would refuse.
    pub(super) fn prove(&self, i: &str) -> Result<(String, BigRational)> {
        match self {
            Self::Plain => Ok((String::new(), BigRational::one())),
            Self::Average(count) => Ok((String::new(), BigRational::new(BigInt::one(), (*count).into()))),
            Self::Normalize(std) => {
                let std = exactly(*std);
                Ok((String::new(), (&std * &std).recip()))
            }
            Self::Scale(largest) | Self::Steep(largest) => {
                let factor = exactly(*largest);
                Ok((String::new(), &factor * &factor))
            }
            Self::Reflection(vectors, size) => {
                let scale = scale_of(vectors);
                let square = |v: &[f64]| v.iter().map(|&x| scaled(x, scale.into()).pow(2)).sum::<BigInt>();
                let longest = vectors.chunks(*size).map(square).max().unwrap_or_default();
                // max(1, 2‖v‖² − 1)
                let factor = BigRational::new(longest * 2, BigInt::one() << (2 * scale)) - BigRational::one();
                let factor = factor.max(BigRational::one());
                Ok((String::new(), &factor * &factor))
            }
            Self::Affine(map, bias) => {
                let Proved { text, squared } = map.prove(bias)?;
                Ok((format!("norm {i} {text}"), squared))
            }
            Self::Flow(flow) => flow.prove(i),
            Self::Branches(branches, divisor) => {
                let (mut text, mut sum) = (String::new(), BigInt::ZERO);
                for (k, branch) in branches.iter().enumerate() {
                    let mut squared = BigRational::one();
                    for (j, layer) in branch.iter().enumerate() {
                        let (proof, factor) = layer.prove(&format!("{i}.{k}.{j}"))?;
                        text += &proof;
                        squared *= factor;
                    }
                    sum += branch_root(&squared);
                }
                let constant = BigRational::new(sum, BigInt::from(*divisor) << ROOT_SCALE);
                Ok((text, &constant * &constant))
            }
        }
    }
}

/// The scale of the constants of branches.
const ROOT_SCALE: u32 = 64;

/// Returns the least integer over `2^ROOT_SCALE` whose square is at least `⌈4^ROOT_SCALE · squared⌉` over `4^ROOT_SCALE`.
fn branch_root(squared: &BigRational) -> BigInt {
    let square = (squared * BigRational::from(BigInt::one() << (2 * ROOT_SCALE))).ceil().to_integer();
    let root = square.sqrt();
    if &root * &root < square { root + 1 } else { root }
}

impl GradientFlow {
    fn read(flow: &Flow, input: Shape) -> Result<Self> {
        if flow.horizon.is_some() {
            return Err(unknown("flow with a horizon"));
        }
        let [Field::Gradient { activation, operator, weights: None }] = &flow.fields[..] else {
            return Err(unknown("flow of such a field"));
        };
        let slope = slope(*activation)?;
        if !(0.0..=1.0).contains(&slope) {
            return Err(unknown("flow with a slope outside [0, 1]"));
        }
        // The checker takes methods by their names.
        let Method::Named(name) = &flow.method else { return Err(unknown("method of one's own")) };
        let tableau = Tableau::by_name(name)?;
        if tableau.a().iter().flatten().chain(tableau.b()).any(|x| x.rational().is_none()) {
            return Err(unknown("method with irrational coefficients"));
        }
        let map = Stored::read(operator, input)?;
        Ok(Self { tableau, step: flow.step, steps: flow.steps, slope, map, bias: bias(operator) })
    }

    /// Returns the text of the proof of layer `i`, and the squared Lipschitz constant: steps of Euler's method may contract, and be too
    /// long to be non-expansive; those of any other method are non-expansive.
    fn prove(&self, i: &str) -> Result<(String, BigRational)> {
        let h = exactly(self.step);
        let norm = self.map.prove(&self.bias)?;
        if self.tableau.is_euler() && h >= BigRational::zero() {
            let below = if self.slope > 0.0 { self.map.prove_below(&self.bias)? } else { None };
            let (text, least) = below.map_or((String::new(), BigRational::zero()), |p| (p.text, p.squared));
            // max(|1 − h m c|, |1 − h‖W‖²|)
            let curvatures = [exactly(self.slope) * least, norm.squared.clone()];
            let once = curvatures.map(|curvature| (BigRational::one() - &h * curvature).abs());
            let once = once.into_iter().max().unwrap_or_else(BigRational::one);
            if !once.is_one() {
                return Ok((format!("euler {i} {text}{}", norm.text), self.power_up(&once)));
            }
        }
        let (p, q) = match self.tableau.circle_radius()? {
            CircleRadius::Infinite => (BigInt::one(), BigInt::ZERO),
            CircleRadius::Finite(r) => {
                let scale = scale_of([&r.get()]);
                (scaled(r.get(), scale.into()), BigInt::one() << scale)
            }
        };
        // h q ‖W‖² ≤ 2p
        let product = BigRational::from(q.clone()) * norm.squared;
        let limit = BigRational::from(&p * 2);
        if h < BigRational::zero() || &h * &product > limit {
            return Err(Error::StepTooLong {
                step: self.step,
                limit: (limit / product).to_f64().unwrap_or(0.0),
                rule: crate::certificate::Rule::CircleContractivity.name(),
                method: self.tableau.name().into(),
            });
        }
        Ok((format!("flow {i} radius {p} {q} {}", norm.text), BigRational::one()))
    }

    /// Returns the square of a factor to the power of the number of steps, each product rounded up to a multiple of `4^-ROOT_SCALE` as the
    /// checker does.
    fn power_up(&self, once: &BigRational) -> BigRational {
        let (unit, square) = (BigInt::one() << (2 * ROOT_SCALE), once * once);
        let product = |power: BigInt| (BigRational::from(power) * &square).ceil().to_integer();
        BigRational::new((0..self.steps).fold(unit.clone(), |power, _| product(power)), unit)
    }
}

/// Returns a number as a fraction.
fn exactly(x: f64) -> BigRational {
    let scale = scale_of([&x]);
    BigRational::new(scaled(x, scale.into()), BigInt::one() << scale)
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
        Activation::Abs {} => Ok(-1.0),
        Activation::LeakyRelu { slope } => Ok(slope),
        _ => Err(unknown(format!("activation {}", function.name()))),
    }
}
