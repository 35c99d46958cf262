//! Numbers that stay in their file until they are asked for.
//!
//! They are read more than once: to see that they are finite, for their hash, and to be used. So the hash of each sample
//! is kept from the first time, and whatever is read later must have it.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::SystemTime,
};

use crate::{
    error::{Error, Result},
    io::Digest,
    scalar::Scalar,
    tensor::finite,
};

/// The number of bytes that are read at a time.
const BUFFER: usize = 1 << 20;

const CHANGED: &str = "changed since it was opened";

/// Samples one after the other, little-endian.
#[derive(Debug)]
pub(super) struct Stored {
    path: PathBuf,
    file: Mutex<File>,
    /// The size of the file and when it was written, as it was opened.
    state: Option<(u64, SystemTime)>,
    layout: Layout,
    /// The hash of each sample as it was read first.
    hashes: OnceLock<Vec<[u8; 16]>>,
}

/// Where the numbers are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    /// The position of the first number in the file.
    pub start: u64,
    /// Whether they are `f32`; they are `f64` if not.
    pub single: bool,
    pub samples: usize,
    /// How many numbers a sample has.
    pub length: usize,
}

impl Stored {
    pub fn new(path: &Path, file: File, layout: Layout) -> Self {
        Self { path: path.into(), state: state(&file), file: Mutex::new(file), layout, hashes: OnceLock::new() }
    }

    /// Returns whether the numbers are `f32`.
    pub fn single(&self) -> bool {
        self.layout.single
    }

    /// Returns how many numbers there are.
    pub fn len(&self) -> usize {
        self.layout.samples * self.layout.length
    }

    /// Returns the least and the largest number, or an error if one of them is not finite. From then on they may not
    /// change.
    pub fn examine(&self) -> Result<[f64; 2]> {
        let Layout { samples, length, .. } = self.layout;
        let group = (BUFFER / (8 * length)).max(1);
        let (mut extent, mut hashes) = ([f64::INFINITY, f64::NEG_INFINITY], Vec::with_capacity(samples));
        for start in (0..samples).step_by(group) {
            let indices: Vec<usize> = (start..samples.min(start + group)).collect();
            let numbers: Vec<f64> = self.gather_with(&indices, |_, bytes| {
                hashes.push(Digest::of(bytes).short());
                true
            })?;
            finite("samples", &numbers).map_err(|e| match e {
                Error::NotFinite { what, index, value } => {
                    Error::NotFinite { what, index: start * length + index, value }
                }
                e => e,
            })?;
            let [low, high] = super::extent(&numbers);
            extent = [extent[0].min(low), extent[1].max(high)];
        }
        // Not set if another look was faster, whose hashes then count.
        let _ = self.hashes.set(hashes);
        Ok(extent)
    }

    /// Returns the numbers of the samples at `indices`, in that order, rounded to `T`.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read, or the file is not what it was when it was opened.
    pub fn gather<T: Scalar>(&self, indices: &[usize]) -> Result<Vec<T>> {
        let hashes = self.hashes.get();
        self.gather_with(indices, |s, bytes| hashes.is_none_or(|hashes| hashes[s] == Digest::of(bytes).short()))
    }

    /// Returns the SHA-256 of the whole file, header and all.
    ///
    /// # Errors
    /// As [`Self::gather`].
    pub fn file_sha256(&self) -> Result<Digest> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut reader, mut failure) = (&*file, reader_at_start(&file).err());
        let pieces = std::iter::from_fn(|| {
            let mut piece = Vec::new();
            let read = (&mut reader).take(BUFFER as u64).read_to_end(&mut piece);
            let read = read.map_err(|reason| failure = Some(reason)).ok()?;
            (read > 0).then_some(piece)
        });
        let digest = Digest::of_pieces(pieces);
        if let Some(reason) = failure {
            return Err(Error::file(&self.path, reason));
        }
        if state(&file) == self.state { Ok(digest) } else { Err(Error::file(&self.path, CHANGED)) }
    }

    /// As [`Self::gather`], if `accept` says yes to the bytes of every sample.
    fn gather_with<T: Scalar>(&self, indices: &[usize], accept: impl FnMut(usize, &[u8]) -> bool) -> Result<Vec<T>> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers = self.read(&file, indices, accept).map_err(|reason| Error::file(&self.path, reason))?;
        // What was examined is what is read.
        if state(&file) == self.state { Ok(numbers) } else { Err(Error::file(&self.path, CHANGED)) }
    }

    fn read<T: Scalar>(
        &self,
        mut file: &File,
        indices: &[usize],
        mut accept: impl FnMut(usize, &[u8]) -> bool,
    ) -> std::io::Result<Vec<T>> {
        let Layout { start, single, length, .. } = self.layout;
        let mut bytes = vec![0; length * if single { 4 } else { 8 }];
        let mut numbers = Vec::with_capacity(length * indices.len());
        for run in indices.chunk_by(|s, t| s + 1 == *t) {
            file.seek(SeekFrom::Start(start + run[0] as u64 * bytes.len() as u64))?;
            let mut reader = BufReader::with_capacity(BUFFER.min(run.len() * bytes.len()), file);
            for &s in run {
                reader.read_exact(&mut bytes)?;
                if !accept(s, &bytes) {
                    return Err(std::io::Error::other(CHANGED));
                }
                if single {
                    numbers.extend(bytes.as_chunks().0.iter().map(|&b| T::of(f64::from(f32::from_le_bytes(b)))));
                } else {
                    numbers.extend(bytes.as_chunks().0.iter().map(|&b| T::of(f64::from_le_bytes(b))));
                }
            }
        }
        Ok(numbers)
    }
}

/// The same open file: numbers that are not in memory are not compared.
impl PartialEq for Stored {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

fn reader_at_start(mut file: &File) -> std::io::Result<()> {
    file.rewind()
}

fn state(file: &File) -> Option<(u64, SystemTime)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
