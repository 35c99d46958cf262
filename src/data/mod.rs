//! Labelled samples: CIFAR-10, a synthetic stand-in, files of samples, and the augmentation used in training.
//!
//! A [`Dataset`] keeps images as the bytes they are (50,000 images of 3×32×32 are 154 MB, not 614 MB of `f32`) and
//! makes a [`Batch`] of numbers only of the samples asked for. [`samples::open`] leaves them in their file.

mod augment;
pub mod cifar10;
pub mod idx;
mod npz;
pub mod samples;
mod stored;
pub mod synthetic;

use std::{path::Path, sync::Arc};

pub use augment::augment;

use crate::{
    error::{Error, Result},
    io::Digest,
    rigor::directed::{U, mul_up, sqrt_up},
    scalar::Scalar,
    tensor::{Batch, Shape, cast, finite},
};

/// The largest number of classes that a [`Dataset`] may have.
pub const MAX_CLASSES: usize = 1 << 16;

/// Labelled samples of one shape, at least one, each label below the number of classes and every number finite.
///
/// What is refused at construction need not be checked again by whoever holds one.
#[derive(Debug, Clone)]
pub struct Dataset {
    shape: Shape,
    storage: Storage,
    /// The file that bytes in memory were read from, whole and in order.
    source: Option<Arc<stored::Source>>,
    /// The least and the largest number.
    extent: [f64; 2],
    samples: usize,
    /// One for each sample, or none at all.
    labels: Vec<usize>,
    class_names: Vec<String>,
}

/// The numbers as they came, sample by sample.
#[derive(Debug, Clone, PartialEq)]
enum Storage {
    /// A byte `p` stands for the pixel `p/255`.
    Bytes(Vec<u8>),
    Single(Vec<f32>),
    Double(Vec<f64>),
    File(Arc<stored::Stored>),
}

impl Dataset {
    /// Images whose byte `p` stands for the pixel `p/255`, sample by sample, each of `shape`.
    ///
    /// # Errors
    /// [`Error::Length`] if `bytes` or `labels` are not one `shape` and one label for each sample;
    /// [`Error::Parameter`] for no sample, no class, more than [`MAX_CLASSES`] classes, or a label that is not below
    /// their number.
    pub fn from_bytes(shape: Shape, bytes: Vec<u8>, labels: Vec<usize>, class_names: Vec<String>) -> Result<Self> {
        Self::new(shape, Storage::Bytes(bytes), labels, class_names)
    }

    /// Images of pixels that are claimed to be in `[0, 1]`.
    ///
    /// # Errors
    /// As [`Dataset::from_samples`], and [`Error::Parameter`] for a pixel outside `[0, 1]`.
    pub fn from_pixels<T: Scalar>(pixels: &Batch<T>, labels: Vec<usize>, class_names: Vec<String>) -> Result<Self> {
        let dataset = Self::from_samples(pixels, labels, class_names)?;
        match pixels.data().iter().position(|&x| !unit(x)) {
            None => Ok(dataset),
            Some(i) => Err(Error::parameter(
                "pixel",
                pixels.data()[i],
                format!("number {} of sample {} must be in [0, 1]", i % dataset.shape.len(), i / dataset.shape.len()),
            )),
        }
    }

    /// Samples of any finite numbers, kept in the format in which they come.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a NaN or an infinity; [`Error::Length`] and [`Error::Parameter`] as
    /// [`Dataset::from_bytes`].
    pub fn from_samples<T: Scalar>(samples: &Batch<T>, labels: Vec<usize>, class_names: Vec<String>) -> Result<Self> {
        let storage = if T::NAME == f32::NAME {
            Storage::Single(cast(samples.data()))
        } else {
            Storage::Double(cast(samples.data()))
        };
        Self::new(samples.shape(), storage, labels, class_names)
    }

    fn new(shape: Shape, storage: Storage, labels: Vec<usize>, class_names: Vec<String>) -> Result<Self> {
        let (found, extent) = match &storage {
            Storage::Bytes(bytes) => (bytes.len(), extent(bytes).map(|p| p / 255.0)),
            Storage::Single(data) => {
                finite("samples", data)?;
                (data.len(), extent(data))
            }
            Storage::Double(data) => {
                finite("samples", data)?;
                (data.len(), extent(data))
            }
            Storage::File(file) => (file.len(), file.examine()?),
        };
        let classes = class_names.len();
        if classes == 0 || classes > MAX_CLASSES {
            return Err(Error::parameter("classes", classes, format!("there must be 1 to {MAX_CLASSES} classes")));
        }
        if labels.is_empty() {
            return Err(Error::parameter("samples", 0, "a dataset holds at least one sample"));
        }
        if shape.len().checked_mul(labels.len()) != Some(found) {
            let what = format!("{} labelled samples of shape {shape}", labels.len());
            return Err(Error::Length { what, expected: shape.len().saturating_mul(labels.len()), found });
        }
        if let Some(s) = labels.iter().position(|&label| label >= classes) {
            let reason = format!("the label of sample {s} must be below {classes}, the number of classes");
            return Err(Error::parameter("label", labels[s], reason));
        }
        Ok(Self { shape, storage, source: None, extent, samples: labels.len(), labels, class_names })
    }

    /// Returns the same samples, said to be those of a file.
    fn read_from(self, source: stored::Source) -> Self {
        Self { source: Some(Arc::new(source)), ..self }
    }

    /// Returns the same samples without their labels. Predictions and radii need none; accuracies do.
    #[must_use]
    pub fn without_labels(mut self) -> Self {
        self.labels.clear();
        self
    }

    /// Returns whether the samples have labels.
    pub fn is_labelled(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Returns the same numbers as vectors of features, in the order in which they are stored.
    #[must_use]
    pub fn flattened(mut self) -> Self {
        self.shape = Shape::Features(self.shape.len());
        self
    }

    /// Returns the shape of one sample.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Returns the number of samples, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "a dataset is never empty")]
    pub fn len(&self) -> usize {
        self.samples
    }

    /// Returns the label of every sample, each below [`Dataset::classes`]; none if they have none.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// Returns the number of classes.
    pub fn classes(&self) -> usize {
        self.class_names.len()
    }

    /// Returns the name of every class.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// Returns how many samples each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes()];
        for &label in &self.labels {
            counts[label] += 1;
        }
        counts
    }

    /// Returns the least and the largest number of all samples.
    pub fn extent(&self) -> [f64; 2] {
        self.extent
    }

    /// Returns whether every number is in `[0, 1]`, the range of pixels.
    pub fn in_unit_range(&self) -> bool {
        self.extent.into_iter().all(unit)
    }

    /// Returns the SHA-256 of the samples as they came: of every number in order, as the byte that it is or
    /// little-endian in 32 or 64 bits, and then of every label as 64 bits.
    ///
    /// No network rounds these numbers, so that samples of one format and shape have a digest of their own. The digest names what a
    /// certificate is about; it proves nothing: whoever checks the claims computes them again from the samples that are given.
    ///
    /// # Errors
    /// [`Error::File`] as [`Dataset::batch`].
    pub fn sha256(&self) -> Result<Digest> {
        let n = self.shape.len();
        let sample = |s: usize| -> Result<Vec<u8>> {
            let single = |data: &[f32]| data.iter().flat_map(|x| x.to_le_bytes()).collect();
            let double = |data: &[f64]| data.iter().flat_map(|x| x.to_le_bytes()).collect();
            Ok(match &self.storage {
                Storage::Bytes(bytes) => bytes[s * n..][..n].to_vec(),
                Storage::Single(data) => single(&data[s * n..][..n]),
                Storage::Double(data) => double(&data[s * n..][..n]),
                Storage::File(file) if file.single() => single(&file.gather(&[s])?),
                Storage::File(file) => double(&file.gather(&[s])?),
            })
        };
        let mut failure = None;
        let samples = (0..self.len()).map_while(|s| sample(s).map_err(|e| failure = Some(e)).ok());
        let labels = self.labels.iter().map(|&label| (label as u64).to_le_bytes().to_vec());
        let digest = Digest::of_pieces(samples.chain(labels));
        failure.map_or(Ok(digest), Err)
    }

    /// Returns the SHA-256 of the whole file that the samples are kept in, or were read from as bytes ([`samples::open`]); it is
    /// read from the file as it was opened. None for other samples in memory.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, or has changed since.
    pub fn file_sha256(&self) -> Result<Option<Digest>> {
        let source = if let Storage::File(file) = &self.storage { Some(file.source()) } else { self.source.as_deref() };
        source.map(stored::Source::sha256).transpose()
    }

    /// Returns the samples at `indices`, in that order, in the format `T`.
    ///
    /// A byte `p` becomes the number nearest to `p/255`; other numbers are rounded to nearest where `T` is narrower
    /// than they came, so that a radius for this batch is about the *rounded* sample. Claims about the samples themselves
    /// are made of `batch::<f64>`, which rounds nothing that came as a number, and [`Self::distance_up`].
    ///
    /// # Errors
    /// [`Error::Parameter`] for an index that is not below [`Dataset::len`]; [`Error::NotFinite`] if rounding to `T`
    /// overflows; [`Error::File`] if the samples are in a file and it cannot be read or has changed.
    pub fn batch<T: Scalar>(&self, indices: &[usize]) -> Result<Batch<T>> {
        self.check(indices)?;
        let data = match &self.storage {
            Storage::Bytes(bytes) => {
                let pixels: [T; 256] = std::array::from_fn(|p| T::of(p as f64) / T::of(255.0));
                self.gather(bytes, indices, |p| pixels[usize::from(p)])
            }
            Storage::Single(data) => self.gather(data, indices, |x| T::of(x.wide())),
            Storage::Double(data) => self.gather(data, indices, T::of),
            Storage::File(file) => file.gather(indices)?,
        };
        Batch::new(self.shape, data)
    }

    /// Returns how far, at most, a sample of `batch::<f64>` is from the sample that it stands for: 0, but for bytes, whose
    /// pixels `p/255` no binary format holds.
    ///
    /// A claim about a sample of that batch is one about the sample itself when it is moved by that much
    /// ([`crate::certify::SampleCertificate::moved_by`]).
    pub fn distance_up(&self) -> f64 {
        match self.storage {
            // Numbers below 1 are off by at most half a unit in the last place, 2⁻⁵⁴, and 0 and 1 are exact.
            Storage::Bytes(_) => mul_up(sqrt_up(self.shape.len() as f64), U / 2.0),
            Storage::Single(_) | Storage::Double(_) | Storage::File(_) => 0.0,
        }
    }

    /// Returns the labels of the samples at `indices`, in that order.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an index that is not below [`Dataset::len`], or if the samples have no labels.
    pub fn labels_at(&self, indices: &[usize]) -> Result<Vec<usize>> {
        self.check(indices)?;
        if !self.is_labelled() {
            return Err(Error::parameter("labels", "none", "these samples have no labels, which are needed here"));
        }
        Ok(indices.iter().map(|&s| self.labels[s]).collect())
    }

    /// Returns the samples at `indices`, in that order, as a dataset of the same classes, in memory.
    ///
    /// # Errors
    /// [`Error::Parameter`] for an index that is not below [`Dataset::len`], or for no index at all; [`Error::File`] as
    /// [`Dataset::batch`].
    pub fn subset(&self, indices: &[usize]) -> Result<Self> {
        self.check(indices)?;
        let storage = match &self.storage {
            Storage::Bytes(bytes) => Storage::Bytes(self.gather(bytes, indices, |p| p)),
            Storage::Single(data) => Storage::Single(self.gather(data, indices, |x| x)),
            Storage::Double(data) => Storage::Double(self.gather(data, indices, |x| x)),
            Storage::File(file) if file.single() => Storage::Single(file.gather(indices)?),
            Storage::File(file) => Storage::Double(file.gather(indices)?),
        };
        let labels = if self.is_labelled() { self.labels_at(indices)? } else { vec![0; indices.len()] };
        let subset = Self::new(self.shape, storage, labels, self.class_names.clone())?;
        Ok(if self.is_labelled() { subset } else { subset.without_labels() })
    }

    fn check(&self, indices: &[usize]) -> Result<()> {
        match indices.iter().find(|&&s| s >= self.len()) {
            None => Ok(()),
            Some(s) => Err(Error::parameter("index", s, format!("the dataset has {} samples", self.len()))),
        }
    }

    fn gather<A: Copy, B>(&self, data: &[A], indices: &[usize], convert: impl Fn(A) -> B) -> Vec<B> {
        let n = self.shape.len();
        let mut out = Vec::with_capacity(n * indices.len());
        for &s in indices {
            out.extend(data[s * n..][..n].iter().map(|&x| convert(x)));
        }
        out
    }
}

/// Returns the data to be tested on at `path`: the test set of a directory in CIFAR-10's binary layout or with the
/// files of MNIST, a file of images in the IDX format, or a file of samples, which stay there until they are asked for.
///
/// `classes` is the number of outputs of the network, if it is known: a label that is not below it is refused.
///
/// # Errors
/// [`Error::File`], as [`cifar10::load_test`], [`idx::load`] and [`samples::open`].
pub fn load_test(path: impl AsRef<Path>, classes: Option<usize>) -> Result<Dataset> {
    let path = path.as_ref();
    if !path.is_dir() {
        let mut first = [0; 4];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut first));
        return if read.is_ok() && idx::is_idx(&first) {
            idx::load(path, classes)
        } else {
            samples::open(path, classes)
        };
    }
    if let Some(images) = idx::test_images(path) {
        return idx::load(&images, classes);
    }
    if !path.join(cifar10::TEST_FILE).exists() {
        return Err(Error::file(path, no_test_set(path)));
    }
    match classes {
        Some(classes) if classes < cifar10::CLASSES.len() => {
            Err(Error::file(path, format!("CIFAR-10 has 10 classes, more than the {classes} outputs to be tested")))
        }
        _ => cifar10::load_test(path),
    }
}

/// Says what is missing in a directory without a test set, and what to do with what is there.
fn no_test_set(dir: &Path) -> String {
    let hint = if idx::TEST.iter().any(|name| dir.join(format!("{name}.gz")).exists()) {
        "; unpack the files first, with gunzip"
    } else if dir.join("test_batch").exists() {
        "; test_batch is that of CIFAR-10's Python layout, which dahlquist.data.cifar10 reads, in Python"
    } else {
        ""
    };
    let (cifar10, mnist) = (cifar10::TEST_FILE, idx::TEST[0]);
    format!("a folder with neither {cifar10}, of CIFAR-10's binary layout, nor {mnist}, of MNIST{hint}")
}

/// Equal samples, labels and names of classes; where bytes in memory were read from is no part of them.
impl PartialEq for Dataset {
    fn eq(&self, other: &Self) -> bool {
        let of = |data: &Self| (data.shape, data.samples);
        of(self) == of(other)
            && self.storage == other.storage
            && self.labels == other.labels
            && self.class_names == other.class_names
    }
}

fn unit<T: Scalar>(x: T) -> bool {
    x >= T::zero() && x <= T::one()
}

/// Returns the least and the largest of some numbers that are finite.
fn extent<T: Copy + Into<f64>>(numbers: &[T]) -> [f64; 2] {
    numbers.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[low, high], &x| [low.min(x.into()), high.max(x.into())])
}
