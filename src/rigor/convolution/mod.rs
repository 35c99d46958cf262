//! Convolutions as data, and their proved norms.
//!
//! A convolution with zero padding is a *compression* `T = P C ι` of a circular one: embed the image in a torus of
//! `N` points an axis, convolve circularly, keep some of the outputs. Both `ι` and `P` have norm 1, so `‖T‖ ≤ ‖C‖`,
//! and the Fourier transform splits `C` into one small matrix a frequency:
//!
//! ```math
//! \|T\| \le \max_{\omega^N = 1} \|D(\omega)\|,\qquad D_{oc}(\omega) = \sum_t K_{oct}\, \omega^t .
//! ```
//!
//! *Twisted* tori do as well, and often better: extend the image not periodically but up to a sign,
//! `x(i + N) = −x(i)`, along one axis or both. On such functions the convolution acts as well; it is diagonal in the
//! frequencies `ω^N = −1`, which lie halfway between the others; and the outputs that `P` keeps read only points of the
//! image itself and zeros, so they are those of `T`, whatever the sign. So the bound holds for every torus that is
//! large enough with either sign along either axis, and the smallest of a few is taken.
//!
//! A circular convolution whose image is `n` points around is its own torus where the stride divides `n` and there are at most
//! `n/s` outputs. Any other one takes some outputs of the convolution of stride 1, each at most `r` times, and has at most
//! `√r` times its norm.
//!
//! A stride `s` is removed first by splitting the padded image into its `s²` phases (*polyphase*): the phases are
//! further channels, the kernel has `⌈k/s⌉` taps and the stride is 1. Along one axis the torus must be large enough
//! that no tap that leaves the image comes back into it on the other side ([`Axis::smallest_torus`]).
//!
//! | file | what it holds |
//! |---|---|
//! | `symbol` | the matrices `D(ω)` of a torus as computed, and the error of their entries |
//! | `torus` | what one torus proves, given an estimate of its largest singular value |
//! | `search` | the estimate, and the torus that proves the smallest norm |
//! | `proposal` | what proposes an exact proof on a torus to the verified checker |
//! | [`band`] | the norm of a zero-padded convolution itself, at a higher cost |
//!
//! Sources: Sedghi, Gupta, Long, *The singular values of convolutional layers*, ICLR 2019, for the circular case;
//! Vaidyanathan, *Multirate systems and filter banks* (1993), for the polyphase form.

pub mod band;
mod proposal;
mod search;
mod symbol;
mod torus;

pub(crate) use proposal::CirculantProposal;
use serde::{Deserialize, Serialize};

use super::{
    bound::Upper,
    directed::{ETA, exponent, mul_up},
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
    /// Returns the number of points of the output, `⌊(n + 2p − k)/s⌋ + 1`; `None` if the kernel is larger than the
    /// padded input.
    pub fn output(self) -> Option<usize> {
        let room = (self.input + 2 * self.padding).checked_sub(self.kernel)?;
        Some(room / self.stride + 1)
    }

    /// Returns the smallest `N` for which the zero-padded convolution is a compression of the circular one, after the
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

    /// Returns the number of phases of the stride that a tap reads, `min(s, k)`: the first ones. The others change no norm, but
    /// are what the convolution maps to 0.
    pub(crate) fn phases(self) -> usize {
        self.stride.min(self.kernel)
    }

    /// Returns how often, at most, one tap reads one point of a circular image, which is also how often one output of stride 1 is
    /// taken: the places `si − p` modulo `n` come back after `n/gcd(s, n)` outputs.
    fn repeats(self) -> usize {
        let period = self.input / gcd(self.stride, self.input);
        self.output().unwrap_or(0).div_ceil(period.max(1))
    }

    /// Returns the number of taps of each phase, `⌈k/s⌉`.
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
    /// Returns the weights times the power of two `2⁻ᵉ` that takes the largest into `[1, 2)`, and `e`; `None` if all
    /// are 0.
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

    /// Returns a bound of the norm of what scaling rounded away: at most `η` of a weight that became subnormal, and no
    /// row or column of the operator holds a weight more than once, or more than all of them.
    pub(super) fn lost_by_scaling(&self) -> f64 {
        mul_up(self.weight.len() as f64, ETA)
    }

    /// Returns the convolution of a torus whose outputs this one takes, each at most [`repeats`] times: along an axis whose
    /// stride leaves no torus, that of stride 1. With zero padding it is the same.
    pub(super) fn around(&self) -> Self {
        let along = |axis: Axis| {
            let own =
                axis.input.is_multiple_of(axis.stride) && axis.output().is_none_or(|m| m <= axis.input / axis.stride);
            if own { axis } else { Axis { stride: 1, ..axis } }
        };
        let axes = if self.mode == PaddingMode::Zeros { self.axes } else { self.axes.map(along) };
        Self { axes, ..*self }
    }

    fn smallest_torus(&self) -> Result<[usize; 2]> {
        let mut torus = [0; 2];
        for (n, axis) in torus.iter_mut().zip(self.around().axes) {
            *n = match self.mode {
                PaddingMode::Zeros => axis.smallest_torus(),
                PaddingMode::Circular => axis.output().map(|_| axis.input / axis.stride).filter(|n| *n > 0),
            }
            .ok_or_else(|| Error::not_proved("the norm of a convolution", format!("no torus fits {axis:?}")))?;
        }
        Ok(torus)
    }

    /// Returns the tori to be tried: every one that is at least as large as the smallest, with any twist, gives a
    /// bound.
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

/// Returns how often, at most, one tap reads one point: more than once only around an image with fewer points than there
/// are outputs, or whose stride comes back to a point. With `T` taps, the norm is at most `√(rT)` times that of Frobenius of
/// the weights.
pub(crate) fn repeats(axes: [Axis; 2], mode: PaddingMode) -> usize {
    if mode == PaddingMode::Zeros { 1 } else { axes.into_iter().map(Axis::repeats).product() }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// How many sizes of tori are tried for a zero-padded convolution.
const SIZES: usize = 3;
