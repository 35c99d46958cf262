//! Logits with a proved error: what any program that executes the network may compute.

use rayon::prelude::*;

use super::{Sealed, Semantics, radius::Points};
use crate::{
    error::Result,
    rigor::{
        directed::{mul_add_over, norm_up},
        environment,
    },
    scalar::Scalar,
    tensor::Batch,
};

impl<T: Scalar> Sealed<T> {
    /// Returns the logits of samples, and for each one a bound of how far from it the logit may be that a program computes
    /// which executes the network in `T`, in an order of sums that [`crate::certify::SealOptions::summation`] allows.
    ///
    /// With the error `e` of the features, `⟨wᵢ, φ⟩ + bᵢ` is off by at most `‖wᵢ‖e` and what the head adds. The bound is
    /// about the numbers that the network reads: samples are rounded to `T` first.
    ///
    /// # Errors
    /// As [`Self::certify`].
    pub fn enclose<S: Scalar>(&self, x: &Batch<S>) -> Result<(Batch<f64>, Batch<f64>)> {
        let norms: Option<Vec<f64>> = self.rows().map(|rows| {
            let features = rows.len() / self.network().output().len();
            rows.chunks(features).map(norm_up).collect()
        });
        let other = match self.map().head() {
            Some(_) => self.certificate().layers().last().map_or(f64::INFINITY, |head| head.bound().get()),
            None => 1.0,
        };
        let norm = |i: usize| norms.as_ref().map_or(other, |norms| norms[i]);
        let chunk = |range| -> Result<[Vec<f64>; 2]> {
            environment::check()?;
            let read: Batch<T> = Points::<T>::new(x, 0.0, range, Semantics::Executed)?.wide.cast();
            let (logits, tape) = self.wide().forward_recording(read.cast())?;
            let errors = self.errors(&tape, vec![0.0; logits.samples()], Semantics::Executed)?;
            let bounds = errors.iter().flat_map(|e| {
                e.logits
                    .iter()
                    .enumerate()
                    .map(|(i, &head)| mul_add_over(norm(i), e.features, head))
                    .collect::<Vec<_>>()
            });
            Ok([logits.data().to_vec(), bounds.collect()])
        };
        let parts: Vec<[Vec<f64>; 2]> =
            self.wide().chunks(x.samples()).into_par_iter().map(chunk).collect::<Result<_>>()?;
        let gather = |k: usize| -> Vec<f64> { parts.iter().flat_map(|part| &part[k]).copied().collect() };
        let batch = |data| Batch::computed(self.network().output(), x.samples(), data);
        Ok((batch(gather(0)), batch(gather(1))))
    }
}
