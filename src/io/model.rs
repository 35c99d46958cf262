//! Reading and writing networks.

use std::{collections::HashMap, path::Path};

use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::file::{read_bounded, write};
use super::spec::{Conv2dSpec, DenseSpec, FORMAT, FieldSpec, FlowSpec, LayerSpec, NetworkSpec, OperatorSpec, VERSION};
use crate::{
    error::{Error, Result},
    field::{GradientField, ResidualField, VectorField},
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    network::Network,
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool, Operator},
    scalar::Scalar,
    tensor::{Shape, cast},
};

/// The largest model file that is read: 4 GiB.
const LARGEST_FILE: u64 = 1 << 32;
/// The largest number of layers that is read.
const MOST_LAYERS: usize = 10_000;

/// A network in the number format of its file.
#[derive(Debug)]
pub enum AnyNetwork {
    /// Single precision.
    F32(Network<f32>),
    /// Double precision.
    F64(Network<f64>),
}

/// Writes a network to one safetensors file, with its architecture under the key `dahlquist` of the metadata.
///
/// The file is written beside its final place and renamed when it is complete.
///
/// # Errors
/// [`Error::File`] if it cannot be written, [`Error::Layer`] for a layer that the format does not know.
pub fn save<T: Scalar>(network: &Network<T>, path: &Path) -> Result<()> {
    let mut tensors = TensorWriter::default();
    let describe = |(i, layer): (usize, &dyn Layer<T>)| {
        layer.describe(&format!("layers.{i}"), &mut tensors).map_err(|e| e.in_layer(i.to_string()))
    };
    let layers = network.layers().enumerate().map(describe).collect::<Result<_>>()?;
    let spec = NetworkSpec { format: FORMAT.into(), version: VERSION, input: network.input(), layers };
    let json = serde_json::to_string(&spec).map_err(|e| Error::file(path, e))?;
    let bytes = tensors.serialize(json).map_err(|e| Error::file(path, e))?;
    write(path, &bytes)
}

/// Reads a network from a model file, in the number format of its tensors.
///
/// # Errors
/// [`Error::File`] with the reason, whatever is wrong: a file that is no safetensors file or lies about its offsets, a
/// missing or unknown architecture, a tensor that is missing, has another shape or is not of one format with the
/// others, a number that is not finite, or a layer that cannot be built.
pub fn load(path: &Path) -> Result<AnyNetwork> {
    let refuse = |reason: String| Error::file(path, reason);
    let bytes = read_bounded(path, LARGEST_FILE)?;
    parse(&bytes).map_err(|e| refuse(e.to_string()))
}

fn parse(bytes: &[u8]) -> Result<AnyNetwork, Box<dyn std::error::Error>> {
    let (_, metadata) = SafeTensors::read_metadata(bytes)?;
    let json = metadata.metadata().as_ref().and_then(|m| m.get("dahlquist"));
    let json = json.ok_or("its metadata has no architecture under the key dahlquist")?;
    let spec: NetworkSpec = serde_json::from_str(json).map_err(|e| format!("architecture: {e}"))?;
    if spec.format != FORMAT || spec.version != VERSION {
        return Err(format!("format {} version {} is not {FORMAT} version {VERSION}", spec.format, spec.version).into());
    }
    if spec.layers.len() > MOST_LAYERS {
        return Err(format!("more than {MOST_LAYERS} layers").into());
    }
    let tensors = SafeTensors::deserialize(bytes)?;
    let wide = tensors.tensors().iter().any(|(_, view)| view.dtype() == Dtype::F64);
    Ok(if wide { AnyNetwork::F64(build(&spec, &tensors)?) } else { AnyNetwork::F32(build(&spec, &tensors)?) })
}

fn build<T: Scalar>(spec: &NetworkSpec, tensors: &SafeTensors<'_>) -> Result<Network<T>> {
    let (mut layers, mut shape) = (Vec::new(), spec.input);
    for (i, layer) in spec.layers.iter().enumerate() {
        let layer: Box<dyn Layer<T>> = build_layer(layer, shape, tensors).map_err(|e| e.in_layer(i.to_string()))?;
        shape = layer.output();
        layers.push(layer);
    }
    Network::new(spec.input, layers)
}

fn build_layer<T: Scalar>(spec: &LayerSpec, input: Shape, tensors: &SafeTensors<'_>) -> Result<Box<dyn Layer<T>>> {
    let operator = |spec| Ok(Box::new(AffineLayer::new(build_affine(spec, input, tensors)?)) as Box<dyn Layer<T>>);
    Ok(match spec {
        LayerSpec::Normalize { mean, std } => Box::new(Normalize::<T>::new(input, cast(mean), cast(std))?),
        LayerSpec::Dense(spec) => operator(&OperatorSpec::Dense(spec.clone()))?,
        LayerSpec::Conv2d(spec) => operator(&OperatorSpec::Conv2d(spec.clone()))?,
        LayerSpec::AvgPool { size } => operator(&OperatorSpec::AvgPool { size: *size })?,
        LayerSpec::GlobalAvgPool {} => operator(&OperatorSpec::GlobalAvgPool {})?,
        LayerSpec::Flatten {} => Box::new(Reshape::flatten(input)),
        LayerSpec::PadChannels { channels } => Box::new(Reshape::pad_channels(input, *channels)?),
        LayerSpec::SpaceToDepth { block } => Box::new(Reshape::space_to_depth(input, *block)?),
        LayerSpec::Activation(function) => Box::new(ActivationLayer::new::<T>(*function, input)?),
        LayerSpec::Flow(FlowSpec { method, step, steps, field }) => {
            let field = build_field(field, input, tensors)?;
            Box::new(Flow::boxed(field, Tableau::by_name(method)?, Step::Fixed(*step), *steps)?)
        }
    })
}

fn build_field<T: Scalar>(
    spec: &FieldSpec,
    input: Shape,
    tensors: &SafeTensors<'_>,
) -> Result<Box<dyn VectorField<T>>> {
    Ok(match spec {
        FieldSpec::Gradient { activation, operator } => {
            Box::new(GradientField::new(build_affine(operator, input, tensors)?, *activation)?)
        }
        FieldSpec::Residual { activation, inner, outer } => {
            let inner = build_affine(inner, input, tensors)?;
            let outer = build_affine(outer, inner.operator().output(), tensors)?;
            Box::new(ResidualField::new(inner, *activation, outer)?)
        }
    })
}

fn build_affine<T: Scalar>(spec: &OperatorSpec, input: Shape, tensors: &SafeTensors<'_>) -> Result<Affine<T>> {
    let bias = |name: &Option<String>| name.as_ref().map(|n| Ok(tensor(tensors, n, 1)?.1)).transpose();
    let (operator, bias): (Box<dyn Operator<T>>, _) = match spec {
        OperatorSpec::Dense(DenseSpec { weight, bias: b }) => {
            let (shape, weight) = tensor(tensors, weight, 2)?;
            (Box::new(Dense::new(shape[0], shape[1], weight)?), bias(b)?)
        }
        OperatorSpec::Conv2d(Conv2dSpec { weight: name, bias: b, stride, padding, padding_mode }) => {
            let (shape, weight) = tensor(tensors, name, 4)?;
            let (channels, ..) = input.as_image("a convolution")?;
            if shape[1] != channels {
                let reason = format!("it reads {} channels, and the input {input} has {channels}", shape[1]);
                return Err(Error::parameter("tensor", name, reason));
            }
            let geometry = Geometry {
                input,
                outputs: shape[0],
                kernel: (shape[2], shape[3]),
                stride: *stride,
                padding: *padding,
                mode: *padding_mode,
            };
            (Box::new(Conv2d::new(geometry, weight)?), bias(b)?)
        }
        OperatorSpec::AvgPool { size } => (Box::new(MeanPool::new(input, *size)?), None),
        OperatorSpec::GlobalAvgPool {} => (Box::new(MeanPool::global(input)?), None),
    };
    if operator.input() != input {
        let what = format!("input of a {} operator", operator.kind());
        return Err(Error::Shape { what, expected: operator.input(), found: input });
    }
    Affine::boxed(operator, bias)
}

/// The shape and the numbers of a tensor that must have `rank` axes and the format `T`.
fn tensor<T: Scalar>(tensors: &SafeTensors<'_>, name: &str, rank: usize) -> Result<(Vec<usize>, Vec<T>)> {
    let refuse = |reason: String| Error::parameter("tensor", name, reason);
    let view = tensors.tensor(name).map_err(|_| refuse("the file has no tensor of this name".into()))?;
    if view.shape().len() != rank {
        return Err(refuse(format!("it has the shape {:?}, not one of {rank} axes", view.shape())));
    }
    let data = match (view.dtype(), T::NAME) {
        (Dtype::F32, "f32") => view.data().chunks_exact(4).map(|b| T::of(f32_of(b).into())).collect(),
        (Dtype::F64, "f64") => view.data().chunks_exact(8).map(|b| T::of(f64_of(b))).collect(),
        (found, expected) => {
            return Err(refuse(format!(
                "it is of type {found:?}; the tensors of a model are all F32 or all F64, here {expected}"
            )));
        }
    };
    Ok((view.shape().to_vec(), data))
}

fn f32_of(bytes: &[u8]) -> f32 {
    f32::from_le_bytes(bytes.try_into().unwrap_or([0xff; 4]))
}

fn f64_of(bytes: &[u8]) -> f64 {
    f64::from_le_bytes(bytes.try_into().unwrap_or([0xff; 8]))
}

/// The tensors of a network that is being written.
#[derive(Debug, Default)]
pub struct TensorWriter {
    tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)>,
}

impl TensorWriter {
    /// Adds a tensor and returns its name.
    pub fn add<T: Scalar>(&mut self, name: &str, shape: &[usize], data: &[T]) -> String {
        let (dtype, bytes) = match T::NAME {
            "f32" => (Dtype::F32, data.iter().flat_map(|x| (x.wide() as f32).to_le_bytes()).collect()),
            _ => (Dtype::F64, data.iter().flat_map(|x| x.wide().to_le_bytes()).collect()),
        };
        self.tensors.push((name.into(), dtype, shape.to_vec(), bytes));
        name.into()
    }

    fn serialize(&self, architecture: String) -> Result<Vec<u8>, safetensors::SafeTensorError> {
        let views = self
            .tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
        safetensors::serialize(views, Some(HashMap::from([("dahlquist".into(), architecture)])))
    }
}
