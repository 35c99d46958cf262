//! Files of samples: a safetensors file with `x`, samples first, and their labels `y`.
//!
//! `x` is F32 or F64 of shape `[samples, features]` or `[samples, channels, height, width]`, `y` is I64 of shape
//! `[samples]`. In PyTorch: `safetensors.torch.save_file({"x": x, "y": y}, path)`. Other tensors are not read.

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
    stored::{Layout, Stored},
};
use crate::{
    error::{Error, Result},
    io::{unique_keys, write_with},
    scalar::Scalar,
    tensor::Shape,
};

/// The largest file that is read, in bytes: 2 GiB.
pub const MAX_BYTES: u64 = 2 << 30;

/// The samples in the file at `path`, kept in the format in which they are stored.
///
/// `classes` is the number of classes, if it is known: a label that is not below it is refused. If it is not, it is
/// one more than the largest label. Classes are named by their labels.
///
/// # Errors
/// [`Error::File`], with the path, for a file that is missing or cannot be read, is larger than [`MAX_BYTES`], is not
/// a safetensors file or has a header that does not describe exactly what follows it; if `x` or `y` is missing, has
/// another type or shape than above, or they differ in the number of samples; for no sample, a label that is negative,
/// not below `classes` or not below [`MAX_CLASSES`], a NaN or an infinity.
pub fn load(path: impl AsRef<Path>, classes: Option<usize>) -> Result<Dataset> {
    let dataset = open(path, classes)?;
    dataset.subset(&(0..dataset.len()).collect::<Vec<_>>())
}

/// As [`load`], but `x` stays in the file: it is read through once, to see that every number is finite, and then again
/// for each batch. Memory does not grow with the samples but for their labels.
///
/// # Errors
/// As [`load`]. What is read later is refused if the file has changed since.
pub fn open(path: impl AsRef<Path>, classes: Option<usize>) -> Result<Dataset> {
    let path = path.as_ref();
    let (mut file, size) = crate::io::open(path, MAX_BYTES)?;
    let attempt = || {
        let header = Header::read(&mut file, size, classes)?;
        let storage = Storage::File(Arc::new(Stored::new(path, file, header.layout)));
        header.dataset(storage)
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

/// The samples in the bytes of such a file.
///
/// # Errors
/// As [`load`], without the path.
pub fn parse(bytes: &[u8], classes: Option<usize>) -> Result<Dataset> {
    let header = Header::read(&mut Cursor::new(bytes), bytes.len() as u64, classes)?;
    let Layout { start, single, samples, length } = header.layout;
    // The header describes what follows it, which is in memory: nothing overflows.
    let x = &bytes[start as usize..][..samples * length * if single { 4 } else { 8 }];
    let storage = if single {
        Storage::Single(x.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect())
    } else {
        Storage::Double(x.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
    };
    header.dataset(storage)
}

/// All but the numbers themselves.
struct Header {
    shape: Shape,
    layout: Layout,
    labels: Vec<usize>,
    classes: usize,
}

impl Header {
    /// Reads the header of a file of `size` bytes and the labels.
    fn read(file: &mut (impl Read + Seek), size: u64, classes: Option<usize>) -> Result<Self> {
        if let Some(classes) = classes.filter(|classes| !(1..=MAX_CLASSES).contains(classes)) {
            return Err(Error::format(format!("{classes} classes: there must be 1 to {MAX_CLASSES}")));
        }
        let (metadata, start) = metadata(file, size)?;
        let tensor = |name| metadata.info(name).ok_or_else(|| Error::format(format!("the tensor {name} is missing")));
        let (x, y) = (tensor("x")?, tensor("y")?);

        let [samples] = *y.shape else {
            return Err(Error::format(format!("the labels y have shape {:?}, not [samples]", y.shape)));
        };
        let shape = match &x.shape[..] {
            [n, sizes @ ..] if *n == samples => Shape::try_from(sizes.to_vec())?,
            other => {
                return Err(Error::format(format!(
                    "x has shape {other:?}, but there are {samples} labels and x is samples first"
                )));
            }
        };
        let labels = labels(file, start, y, classes.unwrap_or(MAX_CLASSES))?;
        let single = match x.dtype {
            Dtype::F32 => true,
            Dtype::F64 => false,
            other => return Err(Error::format(format!("x holds {other}, not F32 or F64"))),
        };
        let layout = Layout { start: start + x.data_offsets.0 as u64, single, samples, length: shape.len() };
        let classes = classes.unwrap_or(labels.iter().max().map_or(1, |&largest| largest + 1));
        Ok(Self { shape, layout, labels, classes })
    }

    fn dataset(self, storage: Storage) -> Result<Dataset> {
        let names = (0..self.classes).map(|label| label.to_string()).collect();
        Dataset::new(self.shape, storage, self.labels, names)
    }
}

/// What a safetensors file of `size` bytes says about its tensors, which must fill the rest of it, and where they begin.
fn metadata(file: &mut impl Read, size: u64) -> Result<(Metadata, u64)> {
    let refuse = |reason: &dyn std::fmt::Display| Error::format(format!("not a valid safetensors file: {reason}"));
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|e| refuse(&e))?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER.min(size.saturating_sub(8)) {
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

fn labels(file: &mut (impl Read + Seek), start: u64, y: &TensorInfo, classes: usize) -> Result<Vec<usize>> {
    if y.dtype != Dtype::I64 {
        return Err(Error::format(format!("the labels y hold {}, not I64", y.dtype)));
    }
    let (from, to) = y.data_offsets;
    let mut bytes = vec![0; to - from];
    file.seek(std::io::SeekFrom::Start(start + from as u64)).map_err(Error::format)?;
    file.read_exact(&mut bytes).map_err(Error::format)?;
    let labels = bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
    labels
        .enumerate()
        .map(|(s, label)| match usize::try_from(label) {
            Ok(label) if label < classes => Ok(label),
            _ => Err(Error::format(format!("sample {s} has label {label}, which is not one of 0 to {}", classes - 1))),
        })
        .collect()
}
