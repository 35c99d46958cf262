//! What one torus proves: the largest, and the smallest, singular value of its symbol over all frequencies.

use rayon::prelude::*;

use super::{
    Axis, Convolution, PaddingMode, Torus,
    symbol::{Frequency, Symbol, Taps, symbol_error},
};
use crate::{
    error::Result,
    rigor::{
        bound::{Lower, Upper},
        directed::{add_up, scale_down, scale_up, sqrt_up, sub_down},
        environment,
        matrix::{self, Gram, without_structure},
    },
};

/// How far the proof of a torus has come.
pub(super) struct Progress {
    /// The frequencies that are not proved yet, the next one last.
    rest: Vec<Frequency>,
    /// A proved bound of `‖D̂(ω)‖²` over all others.
    bound: f64,
}

impl Progress {
    pub(super) fn new(symbol: &Symbol<'_>) -> Self {
        let frequencies = symbol.frequencies();
        let mut rest: Vec<Frequency> = without_structure(frequencies.len()).map(|i| frequencies[i]).collect();
        rest.reverse();
        Self { rest, bound: 0.0 }
    }

    /// Returns the number of frequencies that are not proved yet.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }
}

impl Symbol<'_> {
    /// Returns a proved bound of `‖D̂(ω)‖²` over all frequencies, given an estimate of it from below; or a frequency
    /// where it is higher than `limit`, and about how high. What is proved until then stays so.
    pub(super) fn largest_up(
        &self,
        progress: &mut Progress,
        (mut estimate, limit): (f64, f64),
        gap: f64,
    ) -> Result<f64, (f64, Frequency)> {
        // Few at first: among ties, the estimate soon rises to where nearly all of them are proved at once. What is found does
        // not depend on the number of threads.
        let mut count = 1;
        while !progress.rest.is_empty() {
            let part = progress.rest.split_off(progress.rest.len().saturating_sub(count));
            count = (2 * count).min(AT_ONCE);
            let prove = |&frequency: &Frequency| {
                if environment::check().is_err() {
                    return Ok((f64::INFINITY, estimate));
                }
                let gram = Gram::of_complex(self.at(frequency).real());
                if let Some(bound) = gram.largest_near(estimate, gap) {
                    return Ok((bound, estimate));
                }
                let value = gram.largest_estimate();
                if value > limit {
                    return Err((value, frequency));
                }
                let shift = estimate.max(value);
                Ok((gram.largest_up(shift, gap), shift))
            };
            let proofs: Vec<_> = part.par_iter().map(prove).collect();
            let mut higher: Vec<(f64, Frequency)> = Vec::new();
            for proof in proofs {
                match proof {
                    Ok((proved, shift)) => {
                        (progress.bound, estimate) = (progress.bound.max(proved), estimate.max(shift));
                    }
                    Err(found) => higher.push(found),
                }
            }
            progress.rest.extend(higher.iter().map(|(_, frequency)| *frequency));
            if let Some(highest) = higher.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)) {
                return Err(highest);
            }
        }
        Ok(progress.bound)
    }
}

impl Convolution<'_> {
    /// Returns a bound of the norm before scaling from one of all `‖D̂(ω)‖²`, the matrices as computed from the scaled
    /// weights.
    pub(super) fn norm_from(&self, squared: f64, exponent: i32) -> Result<Upper> {
        let norm = add_up(add_up(sqrt_up(squared), symbol_error(self)), self.lost_by_scaling());
        Upper::proved(scale_up(norm, exponent)).finite("the norm of a convolution")
    }

    /// Returns a proved lower bound of `min ‖Tx‖/‖x‖`: positive only for an injective convolution that is circular, or
    /// whose taps never reach beyond the border, where circular and zero padding are one.
    ///
    /// # Errors
    /// As [`Self::norm`].
    pub fn smallest_singular_value(&self) -> Result<Lower> {
        self.smallest(matrix::smallest_singular_value)
    }

    /// As [`Self::smallest_singular_value`], with [`matrix::sharp_smallest_singular_value`].
    ///
    /// # Errors
    /// As [`Self::norm`].
    pub fn sharp_smallest_singular_value(&self) -> Result<Lower> {
        self.smallest(matrix::sharp_smallest_singular_value)
    }

    fn smallest(&self, prove: impl Fn(faer::MatRef<'_, f64>) -> Result<Lower>) -> Result<Lower> {
        let [ay, ax] = self.axes;
        let all_outputs = |a: Axis| a.output().is_some_and(|m| m * a.stride == a.input);
        let reaches_out = |a: Axis| a.kernel > 1 || a.padding > 0;
        let cuts = self.mode == PaddingMode::Zeros && (reaches_out(ay) || reaches_out(ax));
        // Points that no tap reads are lost, and their phases are no columns of the symbol.
        let skips = |a: Axis| a.phases() < a.stride;
        if cuts || [ay, ax].into_iter().any(|axis| skips(axis) || !all_outputs(axis)) {
            return Ok(Lower::ZERO);
        }
        let Some((weight, exponent)) = self.scaled_weight()? else { return Ok(Lower::ZERO) };
        if let Some(matrix) = self.constant_symbol() {
            return prove(matrix.as_ref());
        }
        let conv = Convolution { weight: &weight, ..*self };
        let taps = Taps::new(&conv);
        let symbol = taps.on(Torus { points: self.smallest_torus()?, twisted: [false; 2] });
        let mut smallest = f64::INFINITY;
        for frequency in symbol.frequencies() {
            smallest = smallest.min(prove(symbol.at(frequency).real().as_ref())?.get());
        }
        let smallest = sub_down(smallest, add_up(symbol_error(&conv), self.lost_by_scaling()));
        Ok(Lower::proved(scale_down(smallest.max(0.0), exponent)))
    }
}

/// The largest number of frequencies that are proved before the next look at what was found.
const AT_ONCE: usize = 64;
