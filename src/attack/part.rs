//! A run of consecutive layers, as one map.

use std::ops::Range;

use crate::{
    certificate::Certificate,
    error::{Error, Result},
    layer::Layer,
    network::{Network, in_a_row},
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The layers of a range, composed.
pub(super) struct Part<'a, T: Scalar> {
    layers: Vec<&'a dyn Layer<T>>,
    first: usize,
}

impl<'a, T: Scalar> Part<'a, T> {
    /// Returns the layers of `range`, which is not empty.
    pub(super) fn new(network: &'a Network<T>, range: Range<usize>) -> Self {
        let first = range.start;
        Self { layers: network.layers().skip(first).take(range.len()).collect(), first }
    }

    pub(super) fn input(&self) -> Shape {
        self.layers[0].input()
    }

    pub(super) fn forward(&self, x: Batch<T>) -> Batch<T> {
        self.layers.iter().fold(x, |x, layer| layer.forward(x, &mut Tape::idle()))
    }

    pub(super) fn record(&self, x: Batch<T>) -> (Batch<T>, Vec<Tape<T>>) {
        let mut tapes = Vec::with_capacity(self.layers.len());
        let step = |x, layer: &&dyn Layer<T>| {
            let mut tape = Tape::recording();
            let y = layer.forward(x, &mut tape);
            tapes.push(tape);
            y
        };
        let y = self.layers.iter().fold(x, step);
        (y, tapes)
    }

    pub(super) fn vjp(&self, tapes: &[Tape<T>], g: Batch<T>) -> Batch<T> {
        self.layers.iter().zip(tapes).rev().fold(g, |g, (layer, tape)| layer.vjp(tape, g, None))
    }

    pub(super) fn jvp(&self, tapes: &[Tape<T>], v: Batch<T>) -> Batch<T> {
        self.layers.iter().zip(tapes).fold(v, |v, (layer, tape)| layer.jvp(tape, v))
    }

    /// For each sample on the tapes, which are those of the widened layers, a bound of the rounding error of the output
    /// anywhere within `reach` of it; none if a layer declares no error. It holds if the claims about the layers do.
    pub(super) fn error(
        &self,
        rounding: &Rounding,
        certificate: &Certificate,
        tapes: &[Tape<f64>],
        reach: &[f64],
    ) -> Result<Option<Vec<f64>>> {
        let proofs: Vec<&Certificate> = certificate.layers().skip(self.first).take(self.layers.len()).collect();
        let tapes: Vec<&Tape<f64>> = tapes.iter().collect();
        match in_a_row(&self.layers, &proofs, rounding, &tapes, reach) {
            Ok(errors) => Ok(Some(errors)),
            Err(Error::Layer { source, .. }) if matches!(*source, Error::NotProved { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
