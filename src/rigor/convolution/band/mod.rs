//! The norm of a zero-padded convolution itself, proved by a block-banded factor of its Gram matrix.
//!
//! Cut the image into lines along one axis. Tap `a` of the kernel along that axis maps input line `y = si + a − p` to
//! output line `i` by one matrix `B_a`, the convolution along the other axis: the operator `T` is a block Toeplitz
//! matrix of few blocks. So `G = TᵀT`, and `TTᵀ` too, couples only lines that are near each other; and for any `α` and
//! any block lower triangle `L` of the same band width, `E = G − αI + LLᵀ` gives
//!
//! ```math
//! \|T\|² = λ_{\max}(G) \le α + \max_i \textstyle\sum_j |E_{ij}|,
//! ```
//!
//! as in [`crate::rigor::matrix`]. `L` is the Cholesky factor of `αI − G` as computed; nothing about it is trusted. It is made
//! line by line, and only as many lines of it are kept as the band is wide.
//!
//! An entry of `E` is computed as one sum: of at most `K` products in `G`, then of `α` and of at most `K'` products in
//! `LLᵀ`. In any order, the row sums of its error are at most
//!
//! ```math
//! γ_K\, g + γ_{K'+2}\,\bigl((1 + γ_K)\,g + α + \|L\|_∞\|L\|_1\bigr) + \mathrm{underflow}, \qquad
//!    g = \|T\|_∞\|T\|_1 \ge \max_i \textstyle\sum_j (|T|ᵀ|T|)_{ij},
//! ```
//!
//! where `‖·‖_∞` and `‖·‖_1` are the largest sums of absolute values of a row and of a column.

mod operator;
mod residual;

use operator::{Band, Blocks};
use residual::cholesky_block;

use super::{Axis, Convolution, PaddingMode};
use crate::{
    error::Result,
    rigor::{
        bound::Upper,
        directed::{add_up, scale_up, sqrt_up},
        propose,
    },
};

impl Convolution<'_> {
    /// Returns a proved upper bound of the norm, at most about `1 + 10⁻⁴` times it; `None` for circular padding, where
    /// the torus is the better proof, and where a line of the image has more than [`LARGEST_LINE`] numbers.
    ///
    /// It takes about `10 · lines · line³` operations and the memory of `20 · line²` numbers, for `lines` of the image
    /// of `line` numbers, all channels together; whichever of `TᵀT` and `TTᵀ`, and of rows and columns, is cheapest.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`] for a weight that is not finite, [`crate::Error::NotProved`] if the bound overflows.
    pub fn tight_norm(&self) -> Result<Option<Upper>> {
        self.tight_norm_from(&GAPS)
    }

    /// As [`Self::tight_norm`], trying smaller shifts first, as [`crate::rigor::matrix::sharp_sup_norm`]: for a checker.
    ///
    /// # Errors
    /// As [`Self::tight_norm`].
    pub fn sharp_tight_norm(&self) -> Result<Option<Upper>> {
        let sharp: Vec<f64> = GAPS.iter().flat_map(|gap| [0.7 * gap, *gap]).collect();
        self.tight_norm_from(&sharp)
    }

    fn tight_norm_from(&self, gaps: &[f64]) -> Result<Option<Upper>> {
        if self.mode == PaddingMode::Circular {
            return Ok(None);
        }
        let Some((weight, exponent)) = self.scaled_weight()? else { return Ok(Some(Upper::ZERO)) };
        let plans = [false, true].map(|flip| [false, true].map(|inputs| Plan::new(self, flip, inputs)));
        let Some(plan) = plans.into_iter().flatten().flatten().min_by_key(Plan::cost) else { return Ok(None) };
        if plan.line > LARGEST_LINE {
            return Ok(None);
        }
        let band = Band::new(&Convolution { weight: &weight, ..*self }, plan);
        if band.is_zero() {
            return Ok(Some(Upper::ZERO));
        }
        let Some(squared) = band.largest_up(gaps) else { return Ok(None) };
        let bound = Upper::proved(scale_up(add_up(sqrt_up(squared), self.lost_by_scaling()), exponent));
        bound.finite("the norm of a convolution").map(Some)
    }
}

/// The largest number of entries of a line, all channels together: a block of the factor has its square.
pub const LARGEST_LINE: usize = 4096;

/// How the operator is cut into lines, and which Gram matrix is factored.
#[derive(Debug, Clone, Copy)]
struct Plan {
    /// Lines are columns, not rows.
    flip: bool,
    /// `TᵀT`, between input lines; else `TTᵀ`, between output lines.
    inputs: bool,
    /// The axis across lines, and the one along them.
    axes: [Axis; 2],
    /// The number of lines, and of entries of a line.
    lines: usize,
    line: usize,
    /// The same on the other side of `T`.
    other_lines: usize,
    other_line: usize,
}

impl Plan {
    fn new(conv: &Convolution<'_>, flip: bool, inputs: bool) -> Option<Self> {
        let [first, second] = conv.axes;
        let axes = if flip { [second, first] } else { [first, second] };
        let (outputs, channels) = conv.channels;
        let output = (axes[0].output()?, outputs * axes[1].output()?);
        let input = (axes[0].input, channels * axes[1].input);
        let ((lines, line), (other_lines, other_line)) = if inputs { (input, output) } else { (output, input) };
        Some(Self { flip, inputs, axes, lines, line, other_lines, other_line })
    }

    /// Returns how far apart two lines are at most that a line of the other side couples.
    fn width(&self) -> usize {
        let reach = self.axes[0].kernel - 1;
        let reach = if self.inputs { reach } else { reach / self.axes[0].stride };
        reach.min(self.lines - 1)
    }

    fn cost(&self) -> u128 {
        let width = self.width() as u128 + 1;
        self.lines as u128 * (self.line as u128).pow(3) * width * width
    }

    /// Returns the tap by which a line of this side is coupled to one of the other, if there is one.
    fn tap(&self, line: usize, other: usize) -> Option<usize> {
        let (input, output) = if self.inputs { (line, other) } else { (other, line) };
        (input + self.axes[0].padding).checked_sub(output * self.axes[0].stride).filter(|&a| a < self.axes[0].kernel)
    }
}

impl Band {
    /// Returns an upper bound of the largest eigenvalue of the Gram matrix, `None` if no factor was found.
    fn largest_up(&self, gaps: &[f64]) -> Option<f64> {
        let estimate = propose::largest_eigenvalue(self.len(), 1e-6, |x| self.apply(x));
        let mut blocks = Blocks::default();
        gaps.iter().find_map(|gap| self.largest_up_at(estimate * (1.0 + gap), &mut blocks, cholesky_block))
    }
}

/// The distances above its estimate, relatively, at which the largest eigenvalue is tried.
const GAPS: [f64; 6] = [1e-4, 4e-4, 1.6e-3, 6.4e-3, 0.1, 1.0];
