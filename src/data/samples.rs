//! Files of samples: a safetensors file with `x`, samples first, and their labels `y`, or an `.npz` file with the same names.
//!
//! `x` is F32 or F64, or U8 whose byte `p` stands for the pixel `p/255`, of shape `[samples, features]` or
//! `[samples, channels, height, width]`; `y` is of any type of integers and of shape `[samples]`, and may be missing. In
//! PyTorch: `safetensors.torch.save_file({"x": x, "y": y}, path)`; with NumPy: `numpy.savez(path, x=x, y=y)`. Other
//! tensors are not read.

use std::{
    io::{Cursor, Read, Seek},
    path::Path,
    sync::Arc,
};

use safetensors::{
    Dtype,
    tensor::{Metadata, TensorInfo},
};

use super::{
    Dataset, MAX_CLASSES, Storage,
    npz::{self, Array, Kind},
    stored::{Layout, Source, Stored},
};
use crate::{
    error::{Error, Result},
    io::{mistaken, read_bounded, unique_keys, write_with},
    scalar::Scalar,
    tensor::Shape,
};

/// The largest file that is read, in bytes: 2 GiB.
pub const MAX_BYTES: u64 = 2 << 30;

/// Returns the samples in the file at `path`, kept in the format in which they are stored.
///
/// `classes` is the number of classes, if it is known: a label that is not below it is refused. If it is not, it is
/// one more than the largest label. Classes are named by their labels.
///
/// # Errors
/// [`Error::File`], with the path, for a file that is missing or cannot be read, is larger than [`MAX_BYTES`], is not
/// a safetensors file or has a header that does not describe exactly what follows it; if `x` is missing, `x` or `y` has
/// another type or shape than above, or they differ in the number of samples; for no sample, a label that is negative,
/// not below `classes` or not below [`MAX_CLASSES`], a NaN or an infinity.
pub fn load(path: impl AsRef<Path>, classes: Option<usize>) -> Result<Dataset> {
    let dataset = open(path, classes)?;
    dataset.subset(&(0..dataset.len()).collect::<Vec<_>>())
}

/// As [`load`], but F32 and F64 of a safetensors file stay in the file: they are read through once, to see that every
/// number is finite, and then again for each batch. Memory does not grow with the samples but for their labels.
///
/// # Errors
/// As [`load`]. What is read later is refused if the file has changed since.
pub fn open(path: impl AsRef<Path>, classes: Option<usize>) -> Result<Dataset> {
    let path = path.as_ref();
    let (mut file, size) = crate::io::open(path, MAX_BYTES)?;
    let mut first = [0; 4];
    if file.read_exact(&mut first).is_ok() && first == *b"PK\x03\x04" {
        let bytes = read_bounded(path, MAX_BYTES)?;
        return parse(&bytes, classes).map_err(|reason| Error::file(path, reason));
    }
    let attempt = || {
        file.rewind().map_err(Error::format)?;
        let header = Header::read(&mut file, size, classes)?;
        let (source, layout) = (Source::new(path, file), header.layout);
        if header.bytes {
            let bytes = source.bytes(layout.start, layout.samples * layout.length)?;
            return Ok(header.dataset(Storage::Bytes(bytes))?.read_from(source));
        }
        header.dataset(Storage::File(Arc::new(Stored::new(source, layout))))
    };
    attempt().map_err(|reason| match reason {
        Error::File { .. } => reason,
        reason => Error::file(path, reason),
    })
}

/// Writes the samples to the file at `path`, `x` in the format `T`: beside it first, then renamed, so that no reader
/// ever sees half a file.
///
/// Numbers are rounded to `T` as by [`Dataset::batch`], so that loading the file and taking a batch in `T` gives the
/// same numbers. The names of the classes are not written.
///
/// # Errors
/// [`Error::File`] if the file cannot be written; [`Error::NotFinite`] if rounding to `T` overflows.
pub fn save<T: Scalar>(path: impl AsRef<Path>, dataset: &Dataset) -> Result<()> {
    let path = path.as_ref();
    let shape: Vec<usize> = std::iter::once(dataset.len()).chain(Vec::from(dataset.shape())).collect();
    let (dtype, width) = if T::NAME == f32::NAME { ("F32", 4) } else { ("F64", 8) };
    let y_end = 8 * dataset.len();
    let x_end = y_end + width * dataset.len() * dataset.shape().len();
    // The labels first: both tensors are then aligned.
    let header = serde_json::json!({
        "y": {"dtype": "I64", "shape": [dataset.len()], "data_offsets": [0, y_end]},
        "x": {"dtype": dtype, "shape": shape, "data_offsets": [y_end, x_end]},
    });
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');

    let mut overflow = None;
    write_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for &label in dataset.labels() {
            file.write_all(&(label as u64).to_le_bytes())?; // Below 2¹⁶, so the same bytes as I64.
        }
        for s in 0..dataset.len() {
            let sample = dataset.batch::<T>(&[s]).map_err(|error| {
                overflow = Some(error);
                std::io::Error::other("a sample overflows")
            })?;
            for &x in sample.data() {
                match width {
                    4 => file.write_all(&(x.wide() as f32).to_le_bytes())?,
                    _ => file.write_all(&x.wide().to_le_bytes())?,
                }
            }
        }
        Ok(())
    })
    .map_err(|error| overflow.unwrap_or(error))
}

/// Returns the samples in the bytes of such a file.
///
/// # Errors
/// As [`load`], without the path.
pub fn parse(bytes: &[u8], classes: Option<usize>) -> Result<Dataset> {
    if bytes.starts_with(b"PK\x03\x04") {
        return parse_npz(bytes, classes);
    }
    let header = Header::read(&mut Cursor::new(bytes), bytes.len() as u64, classes)?;
    let Layout { start, single, samples, length } = header.layout;
    // The header describes what follows it, which is in memory: nothing overflows.
    let width = if header.bytes {
        1
    } else if single {
        4
    } else {
        8
    };
    let x = &bytes[start as usize..][..samples * length * width];
    let storage = if header.bytes {
        Storage::Bytes(x.to_vec())
    } else if single {
        Storage::Single(x.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    } else {
        Storage::Double(x.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
    };
    header.dataset(storage)
}

/// Returns the samples in the bytes of an `.npz` file.
fn parse_npz(bytes: &[u8], classes: Option<usize>) -> Result<Dataset> {
    // An archive may be another thing altogether, whole or damaged.
    let other = || mistaken(bytes).filter(|what| !what.contains("NumPy")).map(Error::format);
    let x = npz::array(bytes, "x").map_err(|e| other().unwrap_or(e))?;
    let x = x.ok_or_else(|| other().unwrap_or(Error::format("the array x is missing")))?;
    let y = npz::array(bytes, "y")?;
    let labels = match &y {
        None => None,
        Some(Array { kind: Kind::Integer(width, signed), shape, bytes }) => {
            let [samples] = shape[..] else {
                return Err(Error::format(format!("the labels y have shape {shape:?}, not [samples]")));
            };
            Some((samples, integers(bytes, *width, *signed)))
        }
        Some(_) => return Err(Error::format("the labels y are no integers")),
    };
    let header = Header::new(&x.shape, labels, classes)?;
    let storage = match x.kind {
        Kind::Integer(1, false) => Storage::Bytes(x.bytes.to_vec()),
        Kind::Float(4) => Storage::Single(x.bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
        Kind::Float(8) => Storage::Double(x.bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect()),
        _ => return Err(Error::format("x holds integers, and is not uint8, float32 or float64")),
    };
    header.dataset(storage)
}

/// All but the numbers themselves.
struct Header {
    shape: Shape,
    layout: Layout,
    /// Whether the numbers are bytes, and then no others.
    bytes: bool,
    /// One for each sample, if there are any.
    labels: Option<Vec<usize>>,
    classes: usize,
}

impl Header {
    /// Reads the header of a file of `size` bytes and the labels.
    fn read(file: &mut (impl Read + Seek), size: u64, classes: Option<usize>) -> Result<Self> {
        let (metadata, start) = metadata(file, size)?;
        let x = metadata.info("x").ok_or_else(|| Error::format("the tensor x is missing"))?;
        let labels = metadata.info("y").map(|y| {
            let [samples] = *y.shape else {
                return Err(Error::format(format!("the labels y have shape {:?}, not [samples]", y.shape)));
            };
            Ok((samples, labels(file, start, y)?))
        });
        let (single, bytes) = match x.dtype {
            Dtype::F32 => (true, false),
            Dtype::F64 => (false, false),
            Dtype::U8 => (false, true),
            other => return Err(Error::format(format!("x holds {other}, not F32 or F64, and not U8"))),
        };
        let header = Self::new(&x.shape, labels.transpose()?, classes)?;
        Ok(Self { bytes, layout: Layout { start: start + x.data_offsets.0 as u64, single, ..header.layout }, ..header })
    }

    /// Returns what is known from the shape of `x` and from the labels and their number.
    fn new(x: &[usize], labels: Option<(usize, Vec<i128>)>, classes: Option<usize>) -> Result<Self> {
        if let Some(classes) = classes.filter(|classes| !(1..=MAX_CLASSES).contains(classes)) {
            return Err(Error::format(format!("{classes} classes: there must be 1 to {MAX_CLASSES}")));
        }
        let (&samples, sizes) = x.split_first().ok_or_else(|| Error::format("x has no axes"))?;
        if let Some((labels, _)) = labels.as_ref().filter(|(labels, _)| *labels != samples) {
            return Err(Error::format(format!(
                "x has shape {x:?}, but there are {labels} labels and x is samples first"
            )));
        }
        let shape = Shape::try_from(sizes.to_vec())?;
        let most = classes.unwrap_or(MAX_CLASSES);
        let label = |(s, label): (usize, i128)| match usize::try_from(label) {
            Ok(label) if label < most => Ok(label),
            _ => Err(Error::format(format!("sample {s} has label {label}, which is not one of 0 to {}", most - 1))),
        };
        let labels = labels.map(|(_, labels)| labels.into_iter().enumerate().map(label).collect::<Result<Vec<_>>>());
        let labels = labels.transpose()?;
        let largest = labels.iter().flatten().max().map_or(1, |&largest| largest + 1);
        let layout = Layout { start: 0, single: false, samples, length: shape.len() };
        Ok(Self { shape, layout, bytes: false, labels, classes: classes.unwrap_or(largest) })
    }

    fn dataset(self, storage: Storage) -> Result<Dataset> {
        let names = (0..self.classes).map(|label| label.to_string()).collect();
        match self.labels {
            Some(labels) => Dataset::new(self.shape, storage, labels, names),
            None => Dataset::new(self.shape, storage, vec![0; self.layout.samples], names).map(Dataset::without_labels),
        }
    }
}

/// Returns what a safetensors file of `size` bytes says about its tensors, which must fill the rest of it, and where
/// they begin.
fn metadata(file: &mut impl Read, size: u64) -> Result<(Metadata, u64)> {
    let refuse = |reason: &dyn std::fmt::Display| Error::format(format!("not a valid safetensors file: {reason}"));
    let mut length = [0; 8];
    if size < length.len() as u64 {
        return Err(refuse(&format!("it ends after {size} bytes, in the length of its header")));
    }
    file.read_exact(&mut length).map_err(|e| refuse(&e))?;
    let first = length;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER.min(size.saturating_sub(8)) {
        // What it is shows in more than the first bytes.
        let mut start = first.to_vec();
        file.take(1 << 12).read_to_end(&mut start).map_err(|e| refuse(&e))?;
        if let Some(what) = mistaken(&start) {
            return Err(Error::format(format!("not a file of samples: {what}")));
        }
        return Err(refuse(&format!("its header has {length} bytes")));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header).map_err(|e| refuse(&e))?;
    unique_keys(&header).map_err(|e| refuse(&e))?;
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|e| refuse(&e))?;
    let (expected, found) = (metadata.data_len() as u64, size.saturating_sub(8 + length));
    if expected != found {
        return Err(refuse(&format!("its header describes {expected} bytes, and {found} follow")));
    }
    Ok((metadata, 8 + length))
}

/// The largest header, in bytes, as for every safetensors file.
const MAX_HEADER: u64 = 100_000_000;

fn labels(file: &mut (impl Read + Seek), start: u64, y: &TensorInfo) -> Result<Vec<i128>> {
    let (width, signed) = match y.dtype {
        Dtype::U8 | Dtype::BOOL => (1, false),
        Dtype::I8 => (1, true),
        Dtype::U16 => (2, false),
        Dtype::I16 => (2, true),
        Dtype::U32 => (4, false),
        Dtype::I32 => (4, true),
        Dtype::U64 => (8, false),
        Dtype::I64 => (8, true),
        other => return Err(Error::format(format!("the labels y hold {other}, and are no integers"))),
    };
    let (from, to) = y.data_offsets;
    let mut bytes = vec![0; to - from];
    file.seek(std::io::SeekFrom::Start(start + from as u64)).map_err(Error::format)?;
    file.read_exact(&mut bytes).map_err(Error::format)?;
    Ok(integers(&bytes, width, signed))
}

/// Little-endian integers of `width` bytes, at most 8.
fn integers(bytes: &[u8], width: usize, signed: bool) -> Vec<i128> {
    let number = |bytes: &[u8]| {
        let n = bytes.iter().rev().fold(0i128, |n, &byte| n << 8 | i128::from(byte));
        let range = 1i128 << (8 * width);
        if signed && n >= range / 2 { n - range } else { n }
    };
    bytes.chunks_exact(width).map(number).collect()
}
