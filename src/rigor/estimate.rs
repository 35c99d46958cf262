//! About how large the norm of a convolution is, from below: what tells a checker soon that a claim cannot be proved.

use super::{
    bound::Estimate,
    propose,
    torus::{Convolution, PaddingMode},
};

impl Convolution<'_> {
    /// About the norm, from below: a few steps of Lanczos' method with the convolution itself. 0 where it
    /// is not looked for: a sample has more than 65,536 numbers, or a kernel exceeds its image.
    pub fn norm_estimate(&self) -> Estimate {
        let (inputs, outputs) = (self.channels.1, self.channels.0);
        let size = inputs * self.axes[0].input * self.axes[1].input;
        if size > LARGEST {
            return Estimate::new(0.0);
        }
        let [Some(rows), Some(columns)] = self.axes.map(|axis| axis.output()) else { return Estimate::new(0.0) };
        // A power of two takes the largest weight to about 1, so that no square overflows or vanishes.
        let Ok(Some((weight, exponent))) = self.scaled_weight() else { return Estimate::new(0.0) };
        let scaled = Convolution { weight: &weight, ..*self };
        let squared = propose::largest_eigenvalue(size, TOLERANCE, |x| {
            let mut y = vec![0.0; outputs * rows * columns];
            scaled.visit((rows, columns), |w, from, to| y[to] += w * x[from]);
            let mut image = vec![0.0; size];
            scaled.visit((rows, columns), |w, from, to| image[from] += w * y[to]);
            image
        });
        Estimate::new(libm::scalbn(squared.max(0.0).sqrt(), exponent))
    }

    /// Calls `term` with every product of the convolution: the weight, and where it reads and where it adds.
    fn visit(&self, (rows, columns): (usize, usize), mut term: impl FnMut(f64, usize, usize)) {
        let [vertical, horizontal] = self.axes;
        let (height, width) = (vertical.input, horizontal.input);
        let place = |axis: super::torus::Axis, i: usize, tap: usize| {
            let at = (axis.stride * i + tap) as isize - axis.padding as isize;
            match self.mode {
                PaddingMode::Circular => Some(at.rem_euclid(axis.input as isize) as usize),
                PaddingMode::Zeros => usize::try_from(at).ok().filter(|at| *at < axis.input),
            }
        };
        let mut weights = self.weight.iter();
        for o in 0..self.channels.0 {
            for c in 0..self.channels.1 {
                for a in 0..vertical.kernel {
                    for (b, &w) in (0..horizontal.kernel).zip(weights.by_ref().take(horizontal.kernel)) {
                        let across: Vec<(usize, usize)> =
                            (0..columns).filter_map(|j| Some((j, place(horizontal, j, b)?))).collect();
                        for i in 0..rows {
                            let Some(y) = place(vertical, i, a) else { continue };
                            for &(j, x) in &across {
                                term(w, (c * height + y) * width + x, (o * rows + i) * columns + j);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Lanczos' method ends when ten more steps change the square of the norm by less, relatively.
const TOLERANCE: f64 = 1e-11;

/// The largest size of a vector, of which Lanczos' method keeps a few hundred.
const LARGEST: usize = 1 << 16;
