//! What proposes an exact proof of the norm of a convolution on a torus: kernels `R` of a second convolution with
//! `αI − D(ω)ᴴD(ω) ≈ R(ω)ᴴR(ω)` at every frequency, the Cholesky factors of the left side transformed back.
//!
//! Nothing here is trusted: the residual of the two convolutions is a convolution as well, whose coefficients the verified
//! checker of `proofs/` computes in integers.

use rayon::prelude::*;

use super::{
    Convolution, PaddingMode, Torus,
    symbol::{Complex, Symbol, Taps},
};
use crate::{
    error::{Error, Result},
    rigor::matrix::Gram,
};

/// Kernels on a torus that leave a residual of about rounding; all for the convolution times `2⁻ᵉ`.
#[derive(Debug)]
pub(crate) struct CirculantProposal {
    /// The torus, at least as large as the outputs along either axis.
    pub torus: Torus,
    /// `α`, a little above the largest `‖D(ω)‖²`.
    pub alpha: f64,
    /// `R`: for each column, and each output up to it, the `N₁ × N₂` numbers of a kernel. A column is a channel of the input
    /// and a phase of the stride.
    pub columns: Vec<Vec<Vec<f64>>>,
    /// `e`.
    pub exponent: i32,
}

impl Convolution<'_> {
    /// Returns a proposal on the torus that [`Self::norm`] finds best. A circular convolution is one of a torus of its own strides.
    ///
    /// # Errors
    /// As [`Self::norm`]; [`Error::NotProved`] if no shift has factors at every frequency, or if the symbol has more
    /// than [`LARGEST`] columns.
    pub(crate) fn propose_circulant(&self) -> Result<CirculantProposal> {
        let mut torus = self.norm()?.torus;
        if self.mode == PaddingMode::Zeros {
            for (points, axis) in torus.points.iter_mut().zip(self.axes) {
                *points = axis.smallest_torus().map_or(*points, |least| least.max(*points));
            }
        }
        let size = self.axes.iter().try_fold(self.channels.1, |size, axis| size.checked_mul(axis.stride));
        let Some(size) = size.filter(|&size| size <= LARGEST) else {
            let reason = format!("its input has more than {LARGEST} phases of channels");
            return Err(Error::not_proved("the norm of a convolution", reason));
        };
        let count = torus.points[0] * torus.points[1];
        let Some((weight, exponent)) = self.scaled_weight()? else {
            let columns = (0..size).map(|column| vec![vec![0.0; count]; column + 1]).collect();
            return Ok(CirculantProposal { torus, alpha: 0.0, columns, exponent: 0 });
        };
        let conv = Convolution { weight: &weight, ..*self };
        let taps = Taps::new(&conv);
        let symbol = taps.on(torus);
        let frequencies = symbol.frequencies();
        let estimate = |&f: &_| Gram::of_complex(symbol.at(f).real()).largest_estimate();
        let largest = frequencies.par_iter().map(estimate).reduce(|| 0.0, f64::max);
        let grams: Vec<Hermitian> = frequencies.par_iter().map(|&f| Hermitian::gram(&symbol.at(f), &conv)).collect();
        let unit = size as f64 * f64::EPSILON;
        let gaps = std::iter::successors(Some(0.25), |gap| Some(2.0 * gap)).map(|gap| gap * unit);
        for alpha in gaps.take_while(|gap| *gap < 1.0).map(|gap| largest * (1.0 + gap)) {
            let factors: Option<Vec<Hermitian>> = grams.par_iter().map(|gram| gram.factor(alpha)).collect();
            if let Some(factors) = factors {
                let columns = (0..size).into_par_iter().map(|column| {
                    (0..=column).map(|output| symbol.kernel(|k| factors[k].at(column, output))).collect()
                });
                return Ok(CirculantProposal { torus, alpha, columns: columns.collect(), exponent });
            }
        }
        Err(Error::not_proved("the norm of a convolution", "no shift has factors at every frequency"))
    }
}

impl Symbol<'_> {
    /// Returns the real kernel, on the torus, whose symbol is `at` the `k`-th of [`Self::frequencies`].
    fn kernel(&self, at: impl Fn(usize) -> [f64; 2]) -> Vec<f64> {
        let [height, width] = self.torus().points;
        let frequencies = self.frequencies();
        let scale = 1.0 / (height * width) as f64;
        let values: Vec<([usize; 2], f64, f64)> = frequencies
            .iter()
            .enumerate()
            .map(|(k, &f)| {
                // Of a pair of conjugates only one is there.
                let times = if self.conjugate(f) == f { scale } else { 2.0 * scale };
                let [re, im] = at(k);
                (f, times * re, times * im)
            })
            .collect();
        let number = |index: usize| {
            let (y, x) = (index / width, index % width);
            values.iter().map(move |&([u, v], re, im)| {
                let (cos, sin) = self.wave(u * y, v * x);
                re * cos + im * sin
            })
        };
        (0..height * width).map(|index| number(index).sum()).collect()
    }
}

/// The most columns of a symbol, phases that no tap reads among them.
const LARGEST: usize = 1 << 12;

/// A complex matrix, row by row: Hermitian, of which the lower triangle is stored, or lower triangular.
struct Hermitian {
    size: usize,
    numbers: Vec<[f64; 2]>,
}

impl Hermitian {
    /// Returns `DᴴD` with the columns in the order of the checker: the phases of a channel one after the other.
    fn gram(d: &Complex, conv: &Convolution<'_>) -> Self {
        let ([ay, ax], inputs) = (conv.axes, conv.channels.1);
        let size = ay.stride * ax.stride * inputs;
        let zero = vec![0.0; conv.channels.0];
        let column = |column: usize| -> (&[f64], &[f64]) {
            let (c, phase) = (column / (ay.stride * ax.stride), column % (ay.stride * ax.stride));
            let (r1, r2) = (phase / ax.stride, phase % ax.stride);
            // A phase that no tap reads is a column of zeros.
            let read = r1 < ay.phases() && r2 < ax.phases();
            if read { d.column((r1 * ax.phases() + r2) * inputs + c) } else { (&zero, &zero) }
        };
        let columns: Vec<(&[f64], &[f64])> = (0..size).map(column).collect();
        let mut numbers = vec![[0.0; 2]; size * size];
        let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
        for (i, &(a, b)) in columns.iter().enumerate() {
            for (j, &(c, d)) in columns[..=i].iter().enumerate() {
                // conj(a + ib) (c + id)
                numbers[i * size + j] = [dot(a, c) + dot(b, d), dot(a, d) - dot(b, c)];
            }
        }
        Self { size, numbers }
    }

    /// Returns `L` with `αI − G = LLᴴ`, if every pivot is positive.
    fn factor(&self, alpha: f64) -> Option<Self> {
        let n = self.size;
        let mut l = vec![[0.0; 2]; n * n];
        for i in 0..n {
            for j in 0..=i {
                let [re, im] = self.numbers[i * n + j];
                let (mut re, mut im) = (if i == j { alpha - re } else { -re }, -im);
                for (&[a, b], &[c, d]) in l[i * n..i * n + j].iter().zip(&l[j * n..j * n + j]) {
                    // (a + ib) conj(c + id)
                    re -= a * c + b * d;
                    im -= b * c - a * d;
                }
                if i == j {
                    if re.is_nan() || re <= 0.0 {
                        return None;
                    }
                    l[i * n + i] = [re.sqrt(), 0.0];
                } else {
                    let pivot = l[j * n + j][0];
                    l[i * n + j] = [re / pivot, im / pivot];
                }
            }
        }
        Some(Self { size: n, numbers: l })
    }

    /// Returns the entry of `R = Lᴴ` in a column and a row, which is an output.
    fn at(&self, column: usize, output: usize) -> [f64; 2] {
        let [re, im] = self.numbers[column * self.size + output];
        [re, -im]
    }
}
