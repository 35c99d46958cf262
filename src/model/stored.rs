//! The tensors of a model file, and how much of them layers may ask for.

use safetensors::{Dtype, SafeTensors, tensor::Metadata};

use super::{Map, Tensor, forms::Forms, half, traverse::VECTORS};
use crate::{
    error::{Error, Result},
    io::{mistaken, unique_keys},
    scalar::Scalar,
    tensor::finite,
};

/// The largest number of layers that is read.
const MOST_LAYERS: usize = 10_000;
/// The largest number of steps of a flow that is read.
pub(crate) const MOST_STEPS: usize = 100_000;
/// A tensor may be used by several layers, but all of them together read at most so many times the bytes of the file,
/// or [`FREE_READING`] if that is more: a small file cannot ask for an unbounded amount of memory.
const MOST_READING: usize = 16;
/// 256 MiB.
const FREE_READING: usize = 1 << 28;

/// The tensors of a file.
pub(super) struct Stored<'a> {
    bytes: &'a [u8],
    metadata: Metadata,
    /// Where the numbers begin.
    start: usize,
}

impl<'a> Stored<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let refuse = |e: &dyn std::fmt::Display| match mistaken(bytes) {
            Some(what) => Error::format(format!("not a safetensors file: {what}")),
            None => Error::format(format!("not a safetensors file: {e}")),
        };
        let (header, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| refuse(&e))?;
        unique_keys(&bytes[8..][..header]).map_err(|e| refuse(&e))?;
        Ok(Self { bytes, metadata, start: 8 + header })
    }

    /// Returns an entry of the metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.metadata.metadata().as_ref()?.get(key).map(String::as_str)
    }

    /// Returns the format of the network, if its layers are not too many and do not read too much.
    pub fn limits(&self, names: &Map<String>, forms: &Forms) -> Result<&'static str> {
        if matches!(names, Map::Chain(maps) if maps.is_empty()) {
            return Err(Error::parameter("layers", 0, "a network has at least one layer"));
        }
        let (mut layers, mut steps) = (0usize, 0usize);
        count(names, &mut |map| {
            layers += 1;
            if let Map::Flow(flow) = map {
                steps = steps.max(flow.steps);
            }
        });
        if layers > MOST_LAYERS {
            return Err(Error::format(format!("it has more than {MOST_LAYERS} layers")));
        }
        if steps > MOST_STEPS {
            return Err(Error::format(format!("a flow has more than {MOST_STEPS} steps")));
        }
        let (mut reading, mut wide) = (0usize, false);
        let mut used = |name: &String| {
            if let Some(info) = self.metadata.info(name) {
                reading = reading.saturating_add(info.data_offsets.1 - info.data_offsets.0);
                wide |= info.dtype == Dtype::F64;
            }
        };
        names.each(&mut used);
        forms.names().for_each(used);
        if reading > FREE_READING.max(self.bytes.len().saturating_mul(MOST_READING)) {
            return Err(Error::format(format!("its layers read {reading} bytes of shared tensors, which is too much")));
        }
        Ok(if wide { f64::NAME } else { f32::NAME })
    }

    /// Returns a tensor that has so many axes, in the format of the network, with finite numbers only.
    pub fn read(&self, name: &str, axes: usize, scalar: &str) -> Result<Tensor> {
        let refuse = |reason: String| Error::parameter("tensor", name, reason);
        let info = self.metadata.info(name).ok_or_else(|| refuse("the file has no tensor of this name".into()))?;
        let most = if axes == VECTORS { 2 } else { axes };
        if !(axes.max(1)..=most).contains(&info.shape.len()) {
            return Err(refuse(format!("it has the shape {:?}, not one of {most} axes", info.shape)));
        }
        let (from, to) = info.data_offsets;
        let bytes = self.bytes.get(self.start + from..self.start + to).unwrap_or_default();
        let narrow = |data: Vec<f32>| {
            finite(name, &data)?;
            Ok(Tensor::new(&info.shape, &data))
        };
        let half = |f: fn([u8; 2]) -> f32| bytes.as_chunks().0.iter().map(|&b| f(b)).collect();
        match (info.dtype, scalar == f32::NAME) {
            (Dtype::F32, true) => narrow(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
            (Dtype::F16, true) => narrow(half(|b| half::f16(u16::from_le_bytes(b)))),
            (Dtype::BF16, true) => narrow(half(|b| half::bf16(u16::from_le_bytes(b)))),
            (Dtype::F64, false) => {
                let data: Vec<f64> = bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect();
                finite(name, &data)?;
                Ok(Tensor::new(&info.shape, &data))
            }
            (found, _) => Err(refuse(format!(
                "it is of type {found:?}; the tensors that layers name are all F64, or each F32, F16 or BF16; here {scalar}"
            ))),
        }
    }
}

/// Calls `f` for every map of a tree.
fn count<W>(map: &Map<W>, f: &mut impl FnMut(&Map<W>)) {
    f(map);
    if let Map::Chain(maps) | Map::Sum(maps) | Map::Mean(maps) = map {
        maps.iter().for_each(|map| count(map, f));
    }
}
