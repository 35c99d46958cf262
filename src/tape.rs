//! What a forward pass leaves for the derivatives and the error bounds.

use crate::{scalar::Scalar, tensor::Batch};

/// The batches that one layer saved, and the tapes of what it is made of.
///
/// A network has one inner tape for each layer, a flow one for each evaluation of its field. A tape that does not
/// record drops what it is given, so that inference keeps nothing.
#[derive(Debug, Clone)]
pub struct Tape<T: Scalar> {
    recording: bool,
    fast: bool,
    saved: Vec<Batch<T>>,
    inner: Vec<Tape<T>>,
}

impl<T: Scalar> Tape<T> {
    /// Creates a tape that keeps what it is given.
    pub fn recording() -> Self {
        Self { recording: true, fast: false, saved: Vec::new(), inner: Vec::new() }
    }

    /// Creates a tape that keeps what it is given, of a pass for gradients: its rounding errors may be larger than
    /// those that certificates account for.
    pub fn fast() -> Self {
        Self { fast: true, ..Self::recording() }
    }

    /// Creates a tape that drops what it is given.
    pub fn idle() -> Self {
        Self { recording: false, fast: false, saved: Vec::new(), inner: Vec::new() }
    }

    /// Keeps a batch.
    pub fn save(&mut self, batch: Batch<T>) {
        if self.recording {
            self.saved.push(batch);
        }
    }

    /// Keeps a copy of a batch.
    pub fn save_copy(&mut self, batch: &Batch<T>) {
        if self.recording {
            self.saved.push(batch.clone());
        }
    }

    /// Returns the `i`-th batch saved.
    ///
    /// # Panics
    /// If fewer were saved: the tape is not of a forward pass of this layer.
    pub fn saved(&self, i: usize) -> &Batch<T> {
        &self.saved[i]
    }

    /// Returns whether the tape keeps what it is given.
    pub fn is_recording(&self) -> bool {
        self.recording
    }

    /// Returns whether layers may compute in ways whose rounding errors no certificate bounds.
    pub fn is_fast(&self) -> bool {
        self.fast
    }

    /// Returns the batch saved last.
    ///
    /// # Panics
    /// If none was saved: the tape is not of a forward pass of this layer.
    pub fn last(&self) -> &Batch<T> {
        &self.saved[self.saved.len() - 1]
    }

    /// Runs a part with a tape of its own, which is kept.
    pub fn part<R>(&mut self, run: impl FnOnce(&mut Tape<T>) -> R) -> R {
        let mut tape = Self { recording: self.recording, fast: self.fast, saved: Vec::new(), inner: Vec::new() };
        let result = run(&mut tape);
        if self.recording {
            self.inner.push(tape);
        }
        result
    }

    /// Returns the tape of the `i`-th part.
    ///
    /// # Panics
    /// If there were fewer parts: the tape is not of a forward pass of this layer.
    pub fn inner(&self, i: usize) -> &Tape<T> {
        &self.inner[i]
    }
}
