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

/// An open file of samples.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    file: Mutex<File>,
    /// The size of the file and when it was written, as it was opened.
    state: Option<(u64, SystemTime)>,
}

/// Samples one after the other, little-endian.
#[derive(Debug)]
pub(super) struct Stored {
    source: Source,
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

impl Source {
    pub fn new(path: &Path, file: File) -> Self {
        Self { path: path.into(), state: state(&file), file: Mutex::new(file) }
    }

    /// Returns `count` bytes from a position on.
    ///
    /// # Errors
    /// [`Error::File`] if they cannot be read, or the file is not what it was when it was opened.
    pub fn bytes(&self, start: u64, count: usize) -> Result<Vec<u8>> {
        self.with(|mut file| {
            let mut bytes = vec![0; count];
            file.seek(SeekFrom::Start(start))?;
            file.read_exact(&mut bytes)?;
            Ok(bytes)
        })
    }

    /// Returns the SHA-256 of the whole file, header and all.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn sha256(&self) -> Result<Digest> {
        self.with(|mut file| {
            file.rewind()?;
            let mut failure = None;
            let pieces = std::iter::from_fn(|| {
                let mut piece = Vec::new();
                let read = file.take(BUFFER as u64).read_to_end(&mut piece);
                let read = read.map_err(|reason| failure = Some(reason)).ok()?;
                (read > 0).then_some(piece)
            });
            let digest = Digest::of_pieces(pieces);
            failure.map_or(Ok(digest), Err)
        })
    }

    /// Returns what is read of the file, if it is still what it was when it was opened.
    fn with<T>(&self, read: impl FnOnce(&File) -> std::io::Result<T>) -> Result<T> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let found = read(&file).map_err(|reason| Error::file(&self.path, reason))?;
        if state(&file) == self.state { Ok(found) } else { Err(Error::file(&self.path, CHANGED)) }
    }
}

impl Stored {
    pub fn new(source: Source, layout: Layout) -> Self {
        Self { source, layout, hashes: OnceLock::new() }
    }

    /// Returns the file.
    pub fn source(&self) -> &Source {
        &self.source
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

    /// As [`Self::gather`], if `accept` says yes to the bytes of every sample.
    fn gather_with<T: Scalar>(&self, indices: &[usize], accept: impl FnMut(usize, &[u8]) -> bool) -> Result<Vec<T>> {
        // What was examined is what is read.
        self.source.with(|file| self.read(file, indices, accept))
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

fn state(file: &File) -> Option<(u64, SystemTime)> {
    let metadata = file.metadata().ok()?;
    Some((metadata.len(), metadata.modified().ok()?))
}
