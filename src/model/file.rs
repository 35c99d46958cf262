//! The model file: weights as PyTorch stores them, and the tree as JSON in the metadata of the same safetensors file.
//!
//! ```json
//! {"format": "dahlquist-model", "version": 2, "input": [3, 32, 32], "layers": [
//!   {"type": "normalize", "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
//!   {"type": "conv2d", "weight": "c.weight", "bias": "c.bias", "stride": [2, 2], "padding": [1, 1]},
//!   {"type": "sum", "branches": [[], [{"type": "conv2d", "weight": "d.weight", "padding": "same"},
//!                                     {"type": "activation", "function": "relu"}]]},
//!   {"type": "flow", "method": "rk4", "step": 0.5, "steps": 2, "field":
//!     {"type": "gradient", "activation": {"function": "relu"}, "operator": {"type": "conv2d", "weight": "w"}}},
//!   {"type": "flatten"}, {"type": "dense", "weight": "fc.weight", "bias": "fc.bias"}]}
//! ```
//!
//! A flow has one `field`, or a list of `fields` with one a step; a `step`, or a `horizon` that its steps share: [`super::Flow`]
//! has the table.
//!
//! Tensors are F32 or F64; F16 and BF16 are read as F32, exactly. Constants of the architecture (deviations, slopes,
//! steps) are rounded to the format of the tensors: that is the network, for exact semantics too. A tensor that no
//! layer names is left alone. Version 1, a subset of this, is read as well.
//!
//! Weights that are trained in another form keep it, under a key of its own: [`super::Trained`].

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Equilibrium, Field, Flow, Linear, Map, Method, Padding, Pair, Partial, Tensor, Window,
    field::Constants,
    forms::{self, Forms},
    json,
    shapes::LARGEST_SAMPLE,
    stored::{Stored, written},
    traverse::join,
};
use crate::{
    activation::Activation,
    error::{Error, Result},
    io::{Digest, read_bounded, unique_keys, write},
    scalar::Scalar,
    tensor::Shape,
};

pub(crate) use super::stored::MOST_STEPS;

const FORMAT: &str = "dahlquist-model";
/// The version that is written; every version up to it is read.
const VERSION: u32 = 2;
/// The key of the architecture in the metadata.
const KEY: &str = "dahlquist";
/// What to do with a file of weights alone.
const HINT: &str =
    ": weights alone are no model; in Python, dahlquist.from_state_dict(layers, weights, input_shape) adds one";
/// The largest model file that is read: 4 GiB.
const LARGEST_FILE: u64 = 1 << 32;
/// The least number of entries of equal tensors that are written once.
const LARGE: usize = 1024;

/// A model as it lies in a file: the tree with its numbers.
///
/// A checker reads this, and a [`crate::Network`] is built from it.
#[derive(Debug, Clone)]
pub struct Model {
    input: Shape,
    map: Map,
    scalar: &'static str,
    sha256: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Architecture {
    format: String,
    version: u32,
    input: Shape,
    layers: Vec<Value>,
}

impl Model {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be read, is larger than 4 GiB, or is refused by [`Self::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(&read_bounded(path, LARGEST_FILE)?).map_err(|e| Error::file(path, e))
    }

    /// Returns the model in the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Format`] for what is no safetensors file, lies about its offsets or has a key twice, for a missing or unknown
    /// architecture, for more than 10,000 layers or 100,000 steps of a flow, and for layers that together read one
    /// tensor over and over. [`Error::Layer`] for a tensor that is missing, has another number of axes or a NaN or an
    /// infinity in it, and for layers that do not fit together.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let tensors = Stored::parse(bytes)?;
        let json = tensors
            .text(KEY)
            .ok_or_else(|| Error::format(format!("its metadata has no architecture under the key {KEY}{HINT}")))?;
        unique_keys(json.as_bytes()).map_err(|e| Error::format(format!("its architecture is not valid: {e}")))?;
        let Architecture { format, version, input, layers } =
            serde_json::from_str(json).map_err(|e| Error::format(format!("its architecture is not valid: {e}")))?;
        if format != FORMAT || !(1..=VERSION).contains(&version) {
            let found = format!("the format {format} version {version}");
            return Err(Error::format(format!("{found} is not {FORMAT} of a version from 1 to {VERSION}")));
        }
        let names = json::read(Value::Array(layers), "")?;
        let mut forms = tensors.text(forms::KEY).map(Forms::parse).transpose()?.unwrap_or_default();
        let scalar = tensors.limits(&names, &forms)?;
        let round = |x: f64| if scalar == f32::NAME { f64::from(x as f32) } else { x };
        let read = &mut |path: &str, axes: usize, name: String| {
            let read = |name: &str, axes: usize| tensors.read(name, axes, scalar);
            let weight = read(&name, axes).and_then(|weight| forms.attach(path, axes, weight, &read));
            weight.map_err(|e| e.in_layer(parent(path)))
        };
        let map = canonical(names.try_map("", read)?, "", &round)?;
        forms.all_attached()?;
        map.output(input)?;
        small(&map, "", input)?;
        Ok(Self { input, map, scalar, sha256: Digest::of(bytes) })
    }

    /// Returns the model of a tree whose numbers are of a format.
    ///
    /// # Errors
    /// As [`Map::output`], and [`Error::NotFinite`] for a weight or a bias with a NaN or an infinity.
    pub fn new(input: Shape, map: Map, scalar: &'static str) -> Result<Self> {
        map.output(input)?;
        map.finite()?;
        let mut model = Self { input, map, scalar, sha256: Digest::of(&[]) };
        model.sha256 = Digest::of(&model.bytes()?);
        Ok(model)
    }

    /// Returns the shape of the input.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Returns what the model computes.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Returns the number format of the tensors: `"f32"` or `"f64"`.
    pub fn scalar(&self) -> &'static str {
        self.scalar
    }

    /// Returns the SHA-256 of the whole file.
    pub fn sha256(&self) -> Digest {
        self.sha256
    }

    /// Returns the bytes of a file of this model, in the newest version. Tensors that are one in memory, and large ones with the
    /// same bits, are written once: the branches of a mirror mean have one set of weights.
    ///
    /// # Errors
    /// [`Error::Layer`] for a layer that files do not know.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let mut tensors: Vec<(String, Tensor)> = Vec::new();
        let mut forms = Forms::default();
        let add = &mut |path: &str, _: usize, tensor: Tensor| -> Result<String> {
            tensors.extend(forms.add(path, &tensor));
            let is_known = |known: &Tensor| {
                known.is_same(&tensor) && known.shape() == tensor.shape()
                    || tensor.count() >= LARGE && known.has_bits_of(&tensor)
            };
            let known = tensors.iter().find(|(_, known)| is_known(known));
            let name = known.map_or_else(|| format!("layers.{path}"), |(name, _)| name.clone());
            if known.is_none() {
                tensors.push((name.clone(), tensor));
            }
            Ok(name)
        };
        let layers = match json::write(&self.map.clone().try_map("", add)?, "")? {
            Value::Array(layers) => layers,
            layer => vec![layer],
        };
        let architecture = Architecture { format: FORMAT.into(), version: VERSION, input: self.input, layers };
        let architecture = serde_json::to_string(&architecture).map_err(Error::format)?;
        let forms = forms.text()?.map(|forms| (forms::KEY, forms));
        let metadata = [(KEY, architecture)].into_iter().chain(forms).collect();
        written(tensors, &metadata, self.scalar)
    }

    /// Writes the model file, whole or not at all.
    ///
    /// # Errors
    /// As [`Self::bytes`], and [`Error::File`] if it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        write(path, &self.bytes().map_err(|e| Error::file(path, e))?)
    }
}

/// Returns the layer that a weight belongs to.
fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(layer, _)| layer)
}

/// Returns the tree in the one form that a network describes itself in: constants rounded to the format of the network,
/// paddings in numbers, methods by their names if they have one.
fn canonical(map: Map, path: &str, round: &impl Fn(f64) -> f64) -> Result<Map> {
    let each = |maps: Vec<Map>| -> Result<Vec<Map>> {
        let child = |(i, map): (usize, Map)| canonical(map, &join(path, &i.to_string()), round);
        maps.into_iter().enumerate().map(child).collect()
    };
    let activation = |function: Activation| function.rounded(round);
    let here = |map: Result<Map>| map.map_err(|e| e.in_layer(path));
    Ok(match map {
        Map::Chain(maps) => Map::Chain(each(maps)?),
        Map::Sum(maps) => Map::Sum(each(maps)?),
        Map::Mean(maps) => Map::Mean(each(maps)?),
        Map::Activation(function) => here(activation(function).map(Map::Activation))?,
        Map::Partial(Partial { function, channels }) => {
            here(activation(function).map(|function| Map::Partial(Partial { function, channels })))?
        }
        Map::Window(window) => Map::Window(match window {
            Window::MaxPool(pooling) => Window::MaxPool(pooling.canonical()),
            Window::L2Pool(pooling) => Window::L2Pool(pooling.canonical()),
            sort @ Window::Sort { .. } => sort,
        }),
        Map::Linear(linear) => Map::Linear(padded(linear, round)),
        Map::Householder(householder) => Map::Householder(householder),
        Map::Equilibrium(Equilibrium { field, tolerance }) => {
            let field = rounded(field, round).map_err(|e| e.in_layer(path))?;
            Map::Equilibrium(Equilibrium { field, tolerance })
        }
        Map::Flow(Flow { fields, method, step, steps, horizon, tolerance }) => here((|| {
            let fields = fields.into_iter().map(|field| rounded(field, round)).collect::<Result<_>>()?;
            let method = match method {
                split @ Method::Split(_) => split,
                other => Method::from(&other.tableau()?),
            };
            let flow = Flow { fields, method, step: round(step), steps, horizon: horizon.map(round), tolerance };
            Ok(Map::Flow(flow.over(steps, round)))
        })())?,
        Map::Opaque(opaque) => Map::Opaque(opaque),
    })
}

/// Returns a field in that form.
fn rounded(mut field: Field, round: &impl Fn(f64) -> f64) -> Result<Field> {
    let Constants { activations, numbers } = field.constants();
    for function in activations {
        *function = function.rounded(round)?;
    }
    numbers.into_iter().for_each(|x| *x = round(*x));
    for operator in field.operators_mut() {
        pad(operator, round);
    }
    Ok(field)
}

/// Returns an affine map in that form.
fn padded(mut linear: Linear, round: &impl Fn(f64) -> f64) -> Linear {
    pad(&mut linear, round);
    linear
}

fn pad(linear: &mut Linear, round: &impl Fn(f64) -> f64) {
    match linear {
        Linear::Normalize { mean, std } => mean.iter_mut().chain(std).for_each(|x| *x = round(*x)),
        Linear::AvgPool(pooling) => *pooling = pooling.canonical(),
        Linear::Conv2d(conv) => {
            // What has no such padding is refused where shapes are.
            if let [_, _, height, width] = *conv.weight.shape()
                && let Some(sides) = conv.padding.sides([height, width], conv.dilation)
            {
                conv.padding = Padding::Sides(Pair(sides));
            }
        }
        _ => {}
    }
}

/// Returns the shape of the output, unless a sample between layers is too large.
fn small(map: &Map, path: &str, input: Shape) -> Result<Shape> {
    let part = |i: usize| join(path, &i.to_string());
    let output = match map {
        Map::Chain(maps) => {
            return maps.iter().enumerate().try_fold(input, |shape, (i, map)| small(map, &part(i), shape));
        }
        Map::Sum(maps) | Map::Mean(maps) => {
            maps.iter().enumerate().try_fold(input, |_, (i, map)| small(map, &part(i), input))?
        }
        Map::Flow(Flow { fields, .. }) => {
            fields.iter().try_for_each(|field| small_inside(field, input)).map_err(|e| e.in_layer(path))?;
            input
        }
        Map::Equilibrium(Equilibrium { field, .. }) => {
            small_inside(field, input).map_err(|e| e.in_layer(path))?;
            input
        }
        Map::Linear(_)
        | Map::Activation(_)
        | Map::Partial(_)
        | Map::Window(_)
        | Map::Householder(_)
        | Map::Opaque(_) => map.output_at(path, input)?,
    };
    bounded(output).map_err(|e| e.in_layer(path))
}

/// Whether no sample inside a field is too large.
fn small_inside(field: &Field, space: Shape) -> Result<()> {
    field.parts(space)?.iter().try_for_each(|part| bounded(part.operator.output(part.input)?).map(|_| ()))
}

fn bounded(shape: Shape) -> Result<Shape> {
    if shape.len() <= LARGEST_SAMPLE {
        return Ok(shape);
    }
    Err(Error::parameter("shape", shape, format!("more than {LARGEST_SAMPLE} numbers in a sample")))
}
