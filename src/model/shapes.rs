//! The shape of the output of a map, and whether its parts fit together.

use super::{
    Conv2d, Field, Flow, Householder, Linear, Map, Method, Partial, SplitMethod, Tensor, Window,
    field::{Constants, Form},
    traverse::join,
};
use crate::{
    error::{Error, Result},
    tensor::{Shape, finite},
};

/// The largest number of scalars in one sample between two layers.
pub const LARGEST_SAMPLE: usize = 1 << 24;

impl Map {
    /// Returns the shape of the output for an input of a shape. Everything is checked that evaluation relies on.
    ///
    /// # Errors
    /// [`Error::Layer`] with the path of the part that does not fit, and why: [`Error::Shape`], [`Error::Length`] or
    /// [`Error::Parameter`].
    pub fn output(&self, input: Shape) -> Result<Shape> {
        self.output_at("", input)
    }

    /// As [`Self::output`], for a part of a larger map that has its own path.
    pub(crate) fn output_at(&self, path: &str, input: Shape) -> Result<Shape> {
        let here = |e: Error| if path.is_empty() { e } else { e.in_layer(path) };
        match self {
            Self::Chain(maps) => maps
                .iter()
                .enumerate()
                .try_fold(input, |shape, (i, map)| map.output_at(&join(path, &i.to_string()), shape)),
            Self::Sum(branches) | Self::Mean(branches) => {
                let mut outputs =
                    branches.iter().enumerate().map(|(i, map)| map.output_at(&join(path, &i.to_string()), input));
                let empty = || Error::parameter("branches", 0, "there must be at least one");
                let first = outputs.next().ok_or_else(empty).map_err(here)??;
                for found in outputs {
                    expect(&format!("output of the branches of a {}", self.kind()), first, found?).map_err(here)?;
                }
                Ok(first)
            }
            Self::Linear(linear) => linear.output(input).map_err(here),
            Self::Activation(function) => function.rounded(|x| x).map(|_| input).map_err(here),
            Self::Partial(partial) => partial.check(input).map(|()| input).map_err(here),
            Self::Window(window) => window.output(input).map_err(here),
            Self::Householder(map) => map.groups(input).map(|_| input).map_err(here),
            Self::Flow(flow) => flow.check(input).map(|()| input).map_err(here),
            Self::Equilibrium(equilibrium) => equilibrium.check(input).map(|()| input).map_err(here),
            Self::Opaque(opaque) => {
                expect(&format!("input of a layer of kind {}", opaque.kind), opaque.input, input).map_err(here)?;
                Ok(opaque.output)
            }
        }
    }

    /// Refuses weights and biases with a NaN or an infinity: no bound of a norm looks at a bias, and the largest of several
    /// scales passes over a NaN.
    ///
    /// # Errors
    /// [`Error::NotFinite`] with the place of the first one.
    pub(crate) fn finite(&self) -> Result<()> {
        self.clone().try_map("", &mut finite_tensor).map(|_| ())
    }
}

impl Linear {
    /// As [`Map::finite`].
    ///
    /// # Errors
    /// As [`Map::finite`].
    pub(crate) fn finite(&self) -> Result<()> {
        self.clone().try_map("", &mut finite_tensor).map(|_| ())
    }
}

impl Field {
    /// As [`Map::finite`].
    ///
    /// # Errors
    /// As [`Map::finite`].
    pub(crate) fn finite(&self) -> Result<()> {
        self.clone().try_map("", &mut finite_tensor).map(|_| ())
    }
}

fn finite_tensor(path: &str, _: usize, tensor: Tensor) -> Result<()> {
    finite(path, &tensor.wide())
}

impl Householder {
    /// Returns the number of groups, and of the channels or features of each.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the vector is empty or its length does not divide the number of channels, or there is a
    /// vector for each of another number of groups.
    pub fn groups(&self, input: Shape) -> Result<[usize; 2]> {
        let fits = match *self.vector.shape() {
            [size] if size > 0 && units(input).is_multiple_of(size) => Some([units(input) / size, size]),
            [groups, size] if size > 0 && groups.checked_mul(size) == Some(units(input)) => Some([groups, size]),
            _ => None,
        };
        fits.ok_or_else(|| {
            let reason =
                format!("a vector whose length divides the {} channels or features, or one a group", units(input));
            Error::parameter("vector", format!("of the shape {:?}", self.vector.shape()), reason)
        })
    }
}

impl Partial {
    fn check(&self, input: Shape) -> Result<()> {
        self.function.rounded(|x| x)?;
        let [from, to] = self.channels;
        if from >= to || to > units(input) {
            let reason = format!("a range from 0 to {} that is not empty", units(input));
            return Err(Error::parameter("channels", format!("[{from}, {to}]"), reason));
        }
        Ok(())
    }
}

impl Window {
    /// As [`Map::output`].
    ///
    /// # Errors
    /// As [`Map::output`].
    pub fn output(&self, input: Shape) -> Result<Shape> {
        match self {
            Self::Sort { group } => {
                if *group == 0 || !units(input).is_multiple_of(*group) {
                    let reason = format!("it must divide the number of channels, or of features, of {input}");
                    return Err(Error::parameter("group", group, reason));
                }
                Ok(input)
            }
            Self::MaxPool(pooling) | Self::L2Pool(pooling) => pooling.output(input),
        }
    }
}

impl Linear {
    /// As [`Map::output`].
    ///
    /// # Errors
    /// As [`Map::output`].
    pub fn output(&self, input: Shape) -> Result<Shape> {
        let output = match self {
            Self::Normalize { mean, std } => {
                for (what, values) in [("mean of a normalization", mean), ("std of a normalization", std)] {
                    length(what, units(input), values.len())?;
                    finite(what, values)?;
                }
                if let Some(std) = std.iter().find(|std| **std <= 0.0) {
                    return Err(Error::parameter("std", std, "a standard deviation must be positive"));
                }
                input
            }
            Self::Dense { weight, bias } => {
                let (rows, columns) = matrix_size(weight)?;
                expect("input of a dense layer", Shape::Features(columns), input)?;
                biased("dense", bias, rows)?;
                Shape::Features(rows)
            }
            Self::Conv2d(conv) => conv.output(input)?,
            Self::AvgPool(pooling) => pooling.output(input)?,
            Self::GlobalAvgPool {} => Shape::Features(input.as_image("global mean pooling")?.0),
            Self::Flatten {} => Shape::Features(input.len()),
            Self::PadChannels { channels } => {
                let (present, height, width) = input.as_image("padding of channels")?;
                if *channels < present {
                    return Err(Error::parameter("channels", channels, format!("the input has {present} already")));
                }
                Shape::try_from(vec![*channels, height, width])?
            }
            Self::SpaceToDepth { block } => {
                let (channels, height, width) = input.as_image("space to depth")?;
                if *block == 0 || height % block != 0 || width % block != 0 {
                    let reason = format!("it must divide the image of {input}");
                    return Err(Error::parameter("block", block, reason));
                }
                Shape::try_from(vec![channels * block * block, height / block, width / block])?
            }
            Self::ChannelAffine { scale, shift } => {
                length("scale of a channel_affine", units(input), scale.count())?;
                biased("channel_affine", shift, units(input))?;
                input
            }
            Self::FirstChannels { channels } => {
                if *channels == 0 || *channels > units(input) {
                    let reason = format!("from 1 to {}, the number of channels of {input}", units(input));
                    return Err(Error::parameter("channels", channels, reason));
                }
                match input {
                    Shape::Features(_) => Shape::Features(*channels),
                    Shape::Image { height, width, .. } => Shape::image(*channels, height, width),
                }
            }
            Self::Shift { groups, .. } => {
                let (channels, ..) = input.as_image("a shift")?;
                let moved = groups.iter().try_fold(0usize, |sum, group| sum.checked_add(group.0));
                if moved.is_none_or(|moved| moved > channels) {
                    let reason = format!("together they have more channels than {input}");
                    return Err(Error::parameter("groups", format!("{groups:?}"), reason));
                }
                input
            }
            Self::Mirror {} => {
                input.as_image("a mirror")?;
                input
            }
            Self::GraphGradient { weight, bias, edges } => {
                let (rows, columns) = matrix_size(weight)?;
                expect("channels of a graph_gradient", Shape::Features(columns), Shape::Features(units(input)))?;
                biased("graph_gradient", bias, rows)?;
                super::graph::output(edges, rows, input)?
            }
        };
        Shape::try_from(Vec::from(output))
    }
}

impl Flow {
    fn check(&self, input: Shape) -> Result<()> {
        if self.fields.is_empty() || self.steps == 0 && !self.is_open() {
            return Err(Error::parameter("steps", 0, "a flow has at least one step"));
        }
        if self.fields.len() != 1 && self.fields.len() != self.steps {
            let reason = format!("there is one field for all steps, or one for each of {}", self.steps);
            return Err(Error::parameter("fields", self.fields.len(), reason));
        }
        if !self.step.is_finite() {
            return Err(Error::parameter("step", self.step, "a step must be a finite number"));
        }
        if matches!(self.method, Method::Split(_)) && self.is_open() {
            let reason = "with a horizon it needs a number of steps, which Runge–Kutta methods alone can leave open";
            return Err(Error::parameter("method", &self.method, reason));
        }
        if let Some(horizon) = self.horizon.filter(|horizon| !(horizon.is_finite() && *horizon > 0.0)) {
            return Err(Error::parameter("horizon", horizon, "a horizon must be a positive finite number"));
        }
        if let Some(tolerance) = self.tolerance {
            if !(tolerance.is_finite() && tolerance > 0.0) {
                return Err(Error::parameter("tolerance", tolerance, "a tolerance must be a positive finite number"));
            }
            if self.method.tableau()?.is_explicit() {
                return Err(Error::parameter("tolerance", tolerance, "an explicit method has no equations to solve"));
            }
        }
        self.fields.iter().try_for_each(|field| self.fits(field).and_then(|()| field.check(input)))
    }

    /// Whether the method is one for a field.
    fn fits(&self, field: &Field) -> Result<()> {
        let kind = match (&self.method, field) {
            (method, Field::SkewLinear { .. }) if method.is_cayley() => return Ok(()),
            (method, _) if method.is_cayley() => "skew_linear",
            (Method::Named(_) | Method::Own(_), _) => return Ok(()),
            (Method::Split(SplitMethod::ExponentialEuler), Field::Dissipative { damping, .. }) => {
                let (e, phi) = SplitMethod::exponentials(*damping, self.step);
                let reason = || format!("e^(−γh) overflows for the damping {damping:?}");
                return match e.is_finite() && phi.is_finite() {
                    true => Ok(()),
                    false => Err(Error::parameter("step", self.step, reason())),
                };
            }
            (Method::Split(SplitMethod::ExponentialEuler), _) => "dissipative",
            (Method::Split(SplitMethod::SymplecticEuler | SplitMethod::StormerVerlet), Field::Hamiltonian { .. }) => {
                return Ok(());
            }
            (Method::Split(SplitMethod::SymplecticEuler | SplitMethod::StormerVerlet), _) => "hamiltonian",
        };
        Err(Error::parameter("method", &self.method, format!("it is a method for fields of kind {kind}")))
    }
}

impl Field {
    /// Whether the field maps samples of a shape into the same space.
    ///
    /// # Errors
    /// As [`Map::output`].
    pub fn check(&self, space: Shape) -> Result<()> {
        let mut constants = self.clone();
        let Constants { activations, numbers } = constants.constants();
        activations.into_iter().try_for_each(|function| function.rounded(|x| x).map(|_| ()))?;
        if let Some(number) = numbers.into_iter().find(|x| !x.is_finite()) {
            return Err(Error::parameter("damping", number, "a constant of a field must be a finite number"));
        }
        for part in self.parts(space)? {
            let output = part.operator.output(part.input)?;
            if let Form::Skew = part.form {
                expect(part.name, space, output)?;
                unbiased(part.name, part.operator)?;
            }
        }
        match self {
            Self::Gradient { operator, weights: Some(weights), .. } => {
                length("weights of a gradient field", units(operator.output(space)?), weights.count())?;
                match weights.wide().iter().find(|weight| **weight < 0.0) {
                    Some(weight) => Err(Error::parameter("weights", weight, "a weight must not be negative")),
                    None => Ok(()),
                }
            }
            Self::Residual { inner, outer, .. } => {
                expect("output of a residual field", space, outer.output(inner.output(space)?)?)
            }
            Self::DissipativeHamiltonian { quadratic, .. } => unbiased("quadratic", quadratic),
            Self::Nais { factor, bias, .. } => {
                unbiased("factor", factor)?;
                biased("nais", bias, units(space))
            }
            Self::Antisymmetric { bias, .. } => biased("antisymmetric", bias, units(space)),
            Self::Lurie { linear, inner, outer, .. } => {
                expect("output of the linear part", space, linear.output(space)?)?;
                expect("output of the outer part", space, outer.output(inner.output(space)?)?)
            }
            Self::LyapunovProjected { inner, outer, potential, epsilon, rate, .. } => {
                expect("output of the outer part", space, outer.output(inner.output(space)?)?)?;
                unbiased("outer", outer)?;
                unbiased("potential", &potential.operator)?;
                let slope = potential.activation;
                if slope.slopes()[0] < 0.0 || slope.value(0.0) != 0.0 {
                    return Err(Error::parameter("potential", slope.name(), "the slope of V is monotone, and 0 at 0"));
                }
                if *epsilon <= 0.0 || *rate < 0.0 {
                    let reason = format!("it is positive, and the rate {rate} not negative");
                    return Err(Error::parameter("epsilon", epsilon, reason));
                }
                Ok(())
            }
            Self::Opaque(opaque) => {
                expect(&format!("input of the field {}", opaque.kind), opaque.input, space)?;
                expect(&format!("output of the field {}", opaque.kind), space, opaque.output)
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a constant that an operator adds, where a field has a linear map. Every kind is named, so that a new one
/// cannot bring a constant along unseen.
fn unbiased(name: &str, operator: &Linear) -> Result<()> {
    match operator {
        Linear::Dense { bias: None, .. }
        | Linear::Conv2d(Conv2d { bias: None, .. })
        | Linear::ChannelAffine { shift: None, .. }
        | Linear::GraphGradient { bias: None, .. }
        | Linear::AvgPool(_)
        | Linear::GlobalAvgPool {}
        | Linear::Flatten {}
        | Linear::PadChannels { .. }
        | Linear::SpaceToDepth { .. }
        | Linear::FirstChannels { .. }
        | Linear::Shift { .. }
        | Linear::Mirror {} => Ok(()),
        Linear::Dense { bias: Some(_), .. }
        | Linear::Conv2d(Conv2d { bias: Some(_), .. })
        | Linear::ChannelAffine { shift: Some(_), .. }
        | Linear::GraphGradient { bias: Some(_), .. }
        | Linear::Normalize { .. } => Err(Error::parameter("bias", name, "this operator has none here")),
    }
}

/// Returns the rows and columns of a tensor that is a matrix.
fn matrix_size(weight: &Tensor) -> Result<(usize, usize)> {
    match *weight.shape() {
        [rows, columns] if rows > 0 && columns > 0 => Ok((rows, columns)),
        ref shape => Err(Error::parameter("weight", format!("{shape:?}"), "a matrix has two axes, neither empty")),
    }
}

/// Returns the number of features, or of channels: what a bias or a mean has one number for.
pub(crate) fn units(shape: Shape) -> usize {
    shape.len() / shape.points()
}

pub(super) fn biased(kind: &str, bias: &Option<Tensor>, expected: usize) -> Result<()> {
    bias.as_ref().map_or(Ok(()), |bias| length(&format!("{kind} bias"), expected, bias.count()))
}

fn length(what: &str, expected: usize, found: usize) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Length { what: what.into(), expected, found }) }
}

fn expect(what: &str, expected: Shape, found: Shape) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Shape { what: what.into(), expected, found }) }
}
