//! The tensors of a model file, and how much of them layers may ask for.

use std::{collections::BTreeMap, fmt::Write};

use safetensors::{
    Dtype, SafeTensors,
    tensor::{Metadata, TensorInfo},
};

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
/// A tensor may be used by several layers, but all of them together read at most this multiple of the size of the file,
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

    /// Returns a tensor that has this number of axes, in the format of the network, with finite numbers only.
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
                "it is of type {found:?}; the tensors that layers name are all F64, or each is F32, F16 or BF16"
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

/// Returns the file of tensors in a format, and of metadata.
///
/// [`safetensors::serialize`] takes metadata in a hash map and writes them in any order; the file of a model is always the
/// same.
pub(super) fn written(
    mut tensors: Vec<(String, Tensor)>,
    metadata: &BTreeMap<&str, String>,
    scalar: &str,
) -> Result<Vec<u8>> {
    fn json(part: &impl serde::Serialize) -> Result<String> {
        serde_json::to_string(part).map_err(Error::format)
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut header, mut numbers) = (format!("{{\"__metadata__\":{}", json(metadata)?), Vec::new());
    for (name, tensor) in &tensors {
        let start = numbers.len();
        let dtype = if scalar == f32::NAME {
            numbers.extend(tensor.numbers::<f32>().into_iter().flat_map(f32::to_le_bytes));
            Dtype::F32
        } else {
            numbers.extend(tensor.wide().iter().flat_map(|x| x.to_le_bytes()));
            Dtype::F64
        };
        let data_offsets = (start, numbers.len());
        let info = TensorInfo { dtype, shape: tensor.shape().to_vec(), data_offsets };
        write!(header, ",{}:{}", json(name)?, json(&info)?).map_err(Error::format)?;
    }
    header.push('}');
    // The numbers begin at a multiple of 8 bytes.
    header.extend(std::iter::repeat_n(' ', header.len().wrapping_neg() % 8));
    Ok([&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &numbers].concat())
}

#[cfg(test)]
mod tests {
    use safetensors::tensor::TensorView;

    use super::*;

    #[test]
    fn a_file_is_that_of_the_library_with_its_metadata_in_order() {
        let (a, b) = (Tensor::new(&[2], &[1.0f32, -0.5]), Tensor::new(&[1, 3], &[3.0f32, 2.5, 7.0]));
        let bytes = |tensor: &Tensor| tensor.numbers::<f32>().into_iter().flat_map(f32::to_le_bytes).collect();
        let data: [Vec<u8>; 2] = [bytes(&a), bytes(&b)];
        for text in ["", "\"quoted\" é"] {
            let tensors = vec![("b".into(), b.clone()), ("a \"".into(), a.clone())];
            let found = written(tensors, &BTreeMap::from([("key", text.into())]), f32::NAME).unwrap();
            let views = [("b", b.shape(), &data[1]), ("a \"", a.shape(), &data[0])]
                .map(|(name, shape, data)| (name, TensorView::new(Dtype::F32, shape.to_vec(), data).unwrap()));
            let metadata = [("key".to_string(), text.to_string())].into();
            assert_eq!(found, safetensors::serialize(views, Some(metadata)).unwrap());
        }
        let two = BTreeMap::from([("b", "1".into()), ("a", "2".into())]);
        let file = written(vec![], &two, f64::NAME).unwrap();
        assert!(String::from_utf8_lossy(&file).contains(r#"{"a":"2","b":"1"}"#));
    }
}
