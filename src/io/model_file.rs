//! A model file as it lies on the disk: its architecture and its tensors, before anything is made of them.

use std::path::Path;

use safetensors::{Dtype, SafeTensors, tensor::Metadata};

use super::{
    digest::Digest,
    file::read_bounded,
    json::unique_keys,
    spec::{FORMAT, FieldSpec, LayerSpec, NetworkSpec, OperatorSpec, VERSION},
};
use crate::{
    error::{Error, Result},
    scalar::Scalar,
    tensor::{cast, finite},
};

/// The largest model file that is read: 4 GiB.
const LARGEST_FILE: u64 = 1 << 32;
/// The largest number of layers that is read.
const MOST_LAYERS: usize = 10_000;
/// The largest number of steps of a flow that is read.
const MOST_STEPS: usize = 100_000;
/// A tensor may be used by several layers, but all of them together read at most so many times the bytes of the file,
/// or [`FREE_READING`] if that is more: a small file cannot ask for an unbounded amount of memory.
const MOST_READING: usize = 16;
/// 256 MiB.
const FREE_READING: usize = 1 << 28;

/// A model file: what a checker reads, and what a [`crate::Network`] is built from.
#[derive(Debug)]
pub struct ModelFile {
    bytes: Vec<u8>,
    tensors: Metadata,
    /// Where the numbers begin.
    start: usize,
    spec: NetworkSpec,
    scalar: &'static str,
}

impl ModelFile {
    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be read, is larger than 4 GiB, or is refused by [`Self::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(read_bounded(path, LARGEST_FILE)?).map_err(|e| Error::file(path, e))
    }

    /// The model in the bytes of a file.
    ///
    /// # Errors
    /// [`Error::Format`] for what is no safetensors file, lies about its offsets or has a key twice, for a missing or unknown
    /// architecture, for more than 10,000 layers or 100,000 steps of a flow, and for layers that together read one
    /// tensor over and over.
    pub fn parse(bytes: Vec<u8>) -> Result<Self> {
        let refuse = |e: &dyn std::fmt::Display| Error::format(format!("not a safetensors file: {e}"));
        let (header, tensors) = SafeTensors::read_metadata(&bytes).map_err(|e| refuse(&e))?;
        unique_keys(&bytes[8..][..header]).map_err(|e| refuse(&e))?;
        let json = tensors.metadata().as_ref().and_then(|m| m.get("dahlquist"));
        let json = json.ok_or_else(|| Error::format("its metadata has no architecture under the key dahlquist"))?;
        unique_keys(json.as_bytes()).map_err(|e| Error::format(format!("its architecture is not valid: {e}")))?;
        let spec: NetworkSpec =
            serde_json::from_str(json).map_err(|e| Error::format(format!("its architecture is not valid: {e}")))?;
        if spec.format != FORMAT || spec.version != VERSION {
            let found = format!("the format {} version {}", spec.format, spec.version);
            return Err(Error::format(format!("{found} is not {FORMAT} version {VERSION}")));
        }
        let wide = tensors.tensors().values().any(|info| info.dtype == Dtype::F64);
        let file = Self { start: 8 + header, scalar: if wide { "f64" } else { "f32" }, bytes, tensors, spec };
        file.limits()?;
        Ok(file)
    }

    /// The architecture.
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// The number format of the tensors: `"f32"` or `"f64"`.
    pub fn scalar(&self) -> &'static str {
        self.scalar
    }

    /// The SHA-256 of the whole file.
    pub fn sha256(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The shape and the numbers of a tensor, which must have `rank` axes, the format `T`, and only finite numbers.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is no such tensor, [`Error::NotFinite`] for a NaN or an infinity.
    pub fn tensor<T: Scalar>(&self, name: &str, rank: usize) -> Result<(Vec<usize>, Vec<T>)> {
        let refuse = |reason: String| Error::parameter("tensor", name, reason);
        let info = self.tensors.info(name).ok_or_else(|| refuse("the file has no tensor of this name".into()))?;
        if info.shape.len() != rank {
            return Err(refuse(format!("it has the shape {:?}, not one of {rank} axes", info.shape)));
        }
        let (from, to) = info.data_offsets;
        let bytes = self.bytes.get(self.start + from..self.start + to).unwrap_or_default();
        let data: Vec<T> = match (info.dtype, T::NAME) {
            (Dtype::F32, "f32") => bytes.as_chunks().0.iter().map(|&b| T::of(f32::from_le_bytes(b).into())).collect(),
            (Dtype::F64, "f64") => bytes.as_chunks().0.iter().map(|&b| T::of(f64::from_le_bytes(b))).collect(),
            (found, expected) => {
                return Err(refuse(format!(
                    "it is of type {found:?}; the tensors of a model are all F32 or all F64, here {expected}"
                )));
            }
        };
        finite(name, &data)?;
        Ok((info.shape.clone(), data))
    }

    /// As [`Self::tensor`], in the format that the file has, and widened exactly.
    ///
    /// # Errors
    /// As [`Self::tensor`].
    pub(crate) fn numbers(&self, name: &str, rank: usize) -> Result<(Vec<usize>, Vec<f64>)> {
        if self.scalar() == f64::NAME {
            return self.tensor::<f64>(name, rank);
        }
        let (shape, data) = self.tensor::<f32>(name, rank)?;
        Ok((shape, cast(&data)))
    }

    fn limits(&self) -> Result<()> {
        let layers = &self.spec.layers;
        if layers.len() > MOST_LAYERS {
            return Err(Error::format(format!("it has more than {MOST_LAYERS} layers")));
        }
        let mut reading = 0usize;
        for layer in layers {
            if let LayerSpec::Flow(flow) = layer
                && flow.steps > MOST_STEPS
            {
                return Err(Error::format(format!("a flow has more than {MOST_STEPS} steps")));
            }
            for name in names(layer) {
                let bytes = self.tensors.info(name).map_or(0, |info| info.data_offsets.1 - info.data_offsets.0);
                reading = reading.saturating_add(bytes);
            }
        }
        if reading > FREE_READING.max(self.bytes.len().saturating_mul(MOST_READING)) {
            return Err(Error::format(format!("its layers read {reading} bytes of shared tensors, which is too much")));
        }
        Ok(())
    }
}

/// The tensors that a layer names.
fn names(layer: &LayerSpec) -> Vec<&str> {
    let operators: Vec<(&String, &Option<String>)> = match layer {
        LayerSpec::Dense(spec) => vec![(&spec.weight, &spec.bias)],
        LayerSpec::Conv2d(spec) => vec![(&spec.weight, &spec.bias)],
        LayerSpec::Flow(flow) => match &flow.field {
            FieldSpec::Gradient { operator, .. } => of_operator(operator).into_iter().collect(),
            FieldSpec::Residual { inner, outer, .. } => {
                of_operator(inner).into_iter().chain(of_operator(outer)).collect()
            }
        },
        LayerSpec::Normalize { .. }
        | LayerSpec::AvgPool { .. }
        | LayerSpec::GlobalAvgPool {}
        | LayerSpec::Flatten {}
        | LayerSpec::PadChannels { .. }
        | LayerSpec::SpaceToDepth { .. }
        | LayerSpec::Activation(_) => vec![],
    };
    operators.into_iter().flat_map(|(w, b)| std::iter::once(&w[..]).chain(b.as_deref())).collect()
}

fn of_operator(operator: &OperatorSpec) -> Option<(&String, &Option<String>)> {
    match operator {
        OperatorSpec::Dense(spec) => Some((&spec.weight, &spec.bias)),
        OperatorSpec::Conv2d(spec) => Some((&spec.weight, &spec.bias)),
        OperatorSpec::AvgPool { .. } | OperatorSpec::GlobalAvgPool {} => None,
    }
}
