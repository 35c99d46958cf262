//! The norm of a convolution, proved frequency by frequency on a torus.
//!
//! A convolution with zero padding is a *compression* `T = P C ι` of a circular one: embed the image in a torus of
//! `N` points an axis, convolve circularly, keep some of the outputs. Both `ι` and `P` have norm 1, so `‖T‖ ≤ ‖C‖`,
//! and the Fourier transform splits `C` into one small matrix a frequency:
//!
//! $$ \|T\| \le \max_{\omega^N = 1} \|D(\omega)\|,\qquad D_{oc}(\omega) = \sum_t K_{oct}\, \omega^t . $$
//!
//! *Twisted* tori do as well, and often better: extend the image not periodically but up to a sign,
//! `x(i + N) = −x(i)`, along one axis or both. On such functions the convolution acts as well; it is diagonal in the
//! frequencies `ω^N = −1`, which lie halfway between the others; and the outputs that `P` keeps read only points of the
//! image itself and zeros, so they are those of `T`, whatever the sign. So the bound holds for every torus that is
//! large enough with either sign along either axis, and the smallest of a few is taken.
//!
//! A stride `s` is removed first by splitting the padded image into its `s²` phases (*polyphase*): the phases are
//! further channels, the kernel has `⌈k/s⌉` taps and the stride is 1. Along one axis the torus must be large enough
//! that no tap that leaves the image comes back into it on the other side ([`Axis::smallest_torus`]).
//!
//! The matrices are those of `rigor/symbol.rs`, and `rigor/search.rs` finds the best torus.
//!
//! Sources: Sedghi, Gupta, Long, *The singular values of convolutional layers*, ICLR 2019, for the circular case;
//! Vaidyanathan, *Multirate systems and filter banks* (1993), for the polyphase form.

use serde::{Deserialize, Serialize};

use super::{
    bound::{Lower, Upper},
    directed::{ETA, add_up, exponent, mul_up, scale_down, scale_up, sqrt_up, sub_down},
    matrix::{self, GAP, SHARP_GAP},
    search::Search,
    symbol::{Taps, symbol_error},
};
use crate::error::{Error, Result};

/// What a convolution reads beyond the border of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// The opposite side of the image.
    Circular,
}

/// One axis of a convolution: `y_i = Σ_t K_t x_{si + t − p}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// The number of points of the input.
    pub input: usize,
    /// The number of taps `k` of the kernel.
    pub kernel: usize,
    /// The stride `s ≥ 1`.
    pub stride: usize,
    /// The padding `p` on either side.
    pub padding: usize,
}

impl Axis {
    /// The number of points of the output, `⌊(n + 2p − k)/s⌋ + 1`; `None` if the kernel is larger than the padded
    /// input.
    pub fn output(self) -> Option<usize> {
        let room = (self.input + 2 * self.padding).checked_sub(self.kernel)?;
        Some(room / self.stride + 1)
    }

    /// The smallest `N` for which the zero-padded convolution is a compression of the circular one, after the
    /// polyphase split.
    ///
    /// With `l = ⌊p/s⌋` the image occupies the points `l, …, l + w − 1` of its phases, and the outputs read the points
    /// `0, …, m + k' − 2`. A point read outside the image must stay outside it modulo `N`: the points below `l` are
    /// sent to at least `N`, so `N ≥ l + w`; the points beyond the image to at most `m + k' − 2 − N`, so
    /// `N ≥ m + k' − 1 − l`. The `m` outputs and the `k'` taps must be distinct. For `s = 1` and `p ≤ k − 1` this is
    /// `max(n + p, k)`.
    pub fn smallest_torus(self) -> Option<usize> {
        let outputs = self.output()?;
        let first = self.padding / self.stride;
        let width = (self.input + self.padding - 1) / self.stride - first + 1;
        let taps = self.taps();
        Some((first + width).max((outputs + taps - 1).saturating_sub(first)).max(outputs).max(taps))
    }

    /// The number of taps of each phase, `⌈k/s⌉`.
    pub(super) fn taps(self) -> usize {
        self.kernel.div_ceil(self.stride)
    }
}

/// A convolution whose weights are `out × in × kernel height × kernel width`, each an exact `f64`.
#[derive(Debug, Clone, Copy)]
pub struct Convolution<'a> {
    /// The weights, row-major.
    pub weight: &'a [f64],
    /// The numbers of output and input channels.
    pub channels: (usize, usize),
    /// The vertical and the horizontal axis.
    pub axes: [Axis; 2],
    /// What lies beyond the border.
    pub mode: PaddingMode,
}

/// The points and the twists of a torus, vertically and horizontally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Torus {
    /// The number of points `N` of each axis, and of its frequencies.
    pub points: [usize; 2],
    /// Whether functions change their sign along `N` points: then the frequencies of the axis are `ω^N = −1`, else
    /// `ω^N = 1`.
    pub twisted: [bool; 2],
}

/// A proved norm of a convolution, and the torus that it was proved on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TorusNorm {
    /// The bound.
    pub bound: Upper,
    /// The torus.
    pub torus: Torus,
}

impl Convolution<'_> {
    /// A proved upper bound of the norm: that of the best of a few tori, which for circular padding and equal input and
    /// output size is the norm itself.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the circular convolution has no torus of its own (a stride that does not divide the
    /// image, or more outputs than inputs) or the bound overflows, [`Error::NotFinite`] for a weight that is not
    /// finite.
    pub fn norm(&self) -> Result<TorusNorm> {
        self.least_norm(GAP)
    }

    /// As [`Self::norm`], with smaller shifts as in [`matrix::sharp_sup_norm`]: what a checker uses if no torus is named.
    ///
    /// # Errors
    /// As [`Self::norm`].
    pub fn sharp_norm(&self) -> Result<TorusNorm> {
        self.least_norm(SHARP_GAP)
    }

    fn least_norm(&self, gap: f64) -> Result<TorusNorm> {
        let tori = self.tori()?;
        let Some((weight, exponent)) = self.scaled_weight()? else {
            return Ok(TorusNorm { bound: Upper::ZERO, torus: tori[0] });
        };
        let conv = Convolution { weight: &weight, ..*self };
        let (squared, torus) = Search::new(&Taps::new(&conv), &tori).least(gap);
        Ok(TorusNorm { bound: conv.norm_from(squared, exponent)?, torus })
    }

    /// As [`Self::norm`], on a torus that is given, with smaller shifts as in [`matrix::sharp_sup_norm`]: what a checker
    /// uses.
    ///
    /// # Errors
    /// As [`Self::norm`], and [`Error::NotProved`] for a torus that is too small to prove anything, or larger than any
    /// that this crate uses.
    pub fn norm_on(&self, torus: Torus) -> Result<Upper> {
        if !self.tori()?.contains(&torus) {
            let reason = format!("{torus:?} is none of those that serve");
            return Err(Error::not_proved("the norm of a convolution", reason));
        }
        let Some((weight, exponent)) = self.scaled_weight()? else { return Ok(Upper::ZERO) };
        let conv = Convolution { weight: &weight, ..*self };
        conv.norm_from(Search::new(&Taps::new(&conv), &[torus]).least(SHARP_GAP).0, exponent)
    }

    /// A bound of the norm before scaling from one of all `‖D̂(ω)‖²`, the matrices as computed from the scaled weights.
    fn norm_from(&self, squared: f64, exponent: i32) -> Result<Upper> {
        let norm = add_up(add_up(sqrt_up(squared), symbol_error(self)), self.lost_by_scaling());
        Upper::proved(scale_up(norm, exponent)).finite("the norm of a convolution")
    }

    /// A proved lower bound of `min ‖Tx‖/‖x‖`: positive only for an injective circular convolution.
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
        if self.mode == PaddingMode::Zeros || !all_outputs(ay) || !all_outputs(ax) {
            return Ok(Lower::ZERO);
        }
        let Some((weight, exponent)) = self.scaled_weight()? else { return Ok(Lower::ZERO) };
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

    /// The weights times the power of two `2⁻ᵉ` that takes the largest into `[1, 2)`, and `e`; `None` if all are 0.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a weight that is not finite.
    pub(super) fn scaled_weight(&self) -> Result<Option<(Vec<f64>, i32)>> {
        let mut largest = 0.0f64;
        for (index, &value) in self.weight.iter().enumerate() {
            if !value.is_finite() {
                return Err(Error::NotFinite { what: "convolution".into(), index, value });
            }
            largest = largest.max(value.abs());
        }
        let scale = |e: i32| (self.weight.iter().map(|&w| libm::scalbn(w, -e)).collect(), e);
        Ok((largest > 0.0).then(|| scale(exponent(largest))))
    }

    /// A bound of the norm of what scaling rounded away: at most `η` of a weight that became subnormal, and no row or
    /// column of the operator holds a weight more than once, or more than all of them.
    pub(super) fn lost_by_scaling(&self) -> f64 {
        mul_up(self.weight.len() as f64, ETA)
    }

    fn smallest_torus(&self) -> Result<[usize; 2]> {
        let mut torus = [0; 2];
        for (n, axis) in torus.iter_mut().zip(self.axes) {
            *n = match self.mode {
                PaddingMode::Zeros => axis.smallest_torus(),
                PaddingMode::Circular => Some(axis.input / axis.stride)
                    .filter(|n| n * axis.stride == axis.input && axis.output().is_some_and(|m| m <= *n)),
            }
            .ok_or_else(|| Error::not_proved("the norm of a convolution", format!("no torus fits {axis:?}")))?;
        }
        Ok(torus)
    }

    /// The tori to be tried: every one that is at least as large as the smallest, with any twist, gives a bound.
    ///
    /// # Errors
    /// As [`Self::norm`].
    pub fn tori(&self) -> Result<Vec<Torus>> {
        let points = self.smallest_torus()?;
        if self.mode == PaddingMode::Circular {
            return Ok(vec![Torus { points, twisted: [false; 2] }]);
        }
        // A kernel of one point has the same matrix at all frequencies.
        let [tall, wide] = self.axes.map(|axis| axis.taps() > 1);
        let mut tori = Vec::new();
        for extra in 0..if tall || wide { SIZES } else { 1 } {
            for (y, x) in [(false, false), (false, true), (true, false), (true, true)] {
                if (tall || !y) && (wide || !x) {
                    let points = [if tall { points[0] + extra } else { 1 }, if wide { points[1] + extra } else { 1 }];
                    tori.push(Torus { points, twisted: [y, x] });
                }
            }
        }
        Ok(tori)
    }
}

/// How many sizes of tori are tried for a zero-padded convolution.
const SIZES: usize = 3;
