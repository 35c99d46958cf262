//! Reading and writing networks.

use std::{collections::HashMap, path::Path};

use faer::Mat;
use safetensors::{Dtype, tensor::TensorView};

use super::{
    file::write,
    model_file::ModelFile,
    spec::{Conv2dSpec, DenseSpec, FORMAT, FieldSpec, FlowSpec, LayerSpec, NetworkSpec, OperatorSpec, VERSION},
};
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
    ModelFile::read(path)?.network().map_err(|e| Error::file(path, e))
}

impl ModelFile {
    /// The network, in the number format of the tensors.
    ///
    /// # Errors
    /// [`Error::Layer`] for a layer that cannot be built.
    pub fn network(&self) -> Result<AnyNetwork> {
        Ok(if self.scalar() == f64::NAME { AnyNetwork::F64(build(self)?) } else { AnyNetwork::F32(build(self)?) })
    }
}

/// The largest number of scalars in one sample between two layers of a model that is read.
const LARGEST_SAMPLE: usize = 1 << 24;

fn build<T: Scalar>(file: &ModelFile) -> Result<Network<T>> {
    let spec = file.spec();
    let (mut layers, mut shape) = (Vec::new(), spec.input);
    small(shape)?;
    for (i, layer) in spec.layers.iter().enumerate() {
        let layer: Box<dyn Layer<T>> = build_layer(layer, shape, file).map_err(|e| e.in_layer(i.to_string()))?;
        shape = layer.output();
        small(shape).map_err(|e| e.in_layer(i.to_string()))?;
        layers.push(layer);
    }
    Network::new(spec.input, layers)
}

fn small(shape: Shape) -> Result<()> {
    if shape.len() <= LARGEST_SAMPLE {
        return Ok(());
    }
    Err(Error::parameter("shape", shape, format!("more than {LARGEST_SAMPLE} numbers in a sample")))
}

fn build_layer<T: Scalar>(spec: &LayerSpec, input: Shape, file: &ModelFile) -> Result<Box<dyn Layer<T>>> {
    let operator = |spec| Ok(Box::new(AffineLayer::new(build_affine(spec, input, file)?)) as Box<dyn Layer<T>>);
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
            let field = build_field(field, input, file)?;
            Box::new(Flow::boxed(field, Tableau::by_name(method)?, Step::Fixed(*step), *steps)?)
        }
    })
}

fn build_field<T: Scalar>(spec: &FieldSpec, input: Shape, file: &ModelFile) -> Result<Box<dyn VectorField<T>>> {
    Ok(match spec {
        FieldSpec::Gradient { activation, operator } => {
            Box::new(GradientField::new(build_affine(operator, input, file)?, *activation)?)
        }
        FieldSpec::Residual { activation, inner, outer } => {
            let inner = build_affine(inner, input, file)?;
            let outer = build_affine(outer, inner.operator().output(), file)?;
            Box::new(ResidualField::new(inner, *activation, outer)?)
        }
    })
}

fn build_affine<T: Scalar>(spec: &OperatorSpec, input: Shape, file: &ModelFile) -> Result<Affine<T>> {
    let bias = |name: &Option<String>| name.as_ref().map(|n| Ok(file.tensor(n, 1)?.1)).transpose();
    let (operator, bias): (Box<dyn Operator<T>>, _) = match spec {
        OperatorSpec::Dense(DenseSpec { weight, bias: b }) => {
            let (shape, weight) = file.tensor(weight, 2)?;
            (Box::new(Dense::new(shape[0], shape[1], weight)?), bias(b)?)
        }
        OperatorSpec::Conv2d(Conv2dSpec { weight: name, bias: b, stride, padding, padding_mode }) => {
            let (shape, weight) = file.tensor(name, 4)?;
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
    small(operator.output())?;
    Affine::boxed(operator, bias)
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

    /// The numbers of a tensor that was added, in `f64`, exactly.
    pub(crate) fn wide(&self, name: &str) -> Option<Vec<f64>> {
        let (_, dtype, _, bytes) = self.tensors.iter().find(|(present, ..)| present == name)?;
        Some(match dtype {
            Dtype::F32 => bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b).into()).collect(),
            _ => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
        })
    }

    /// The shape of a tensor that was added.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.iter().find(|(present, ..)| present == name).map(|(_, _, shape, _)| &shape[..])
    }

    /// A tensor that was added and has two axes, as a matrix of `f64`, exactly.
    pub(crate) fn matrix(&self, name: &str) -> Option<Mat<f64>> {
        let (&[rows, columns], data) = (self.shape(name)?, self.wide(name)?) else { return None };
        Some(Mat::from_fn(rows, columns, |i, j| data[i * columns + j]))
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
