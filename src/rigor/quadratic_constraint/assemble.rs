//! The matrix of a quadratic constraint as computed, and a bound of each row sum of its error.
//!
//! An entry is a sum of products of at most six factors, each of which passes through at most `d + 12` roundings, `d` being
//! the largest side of a matrix. As computed it is off by at most `γ_N` times the same sum of magnitudes, `N = d + 12`, and
//! by what underflows. Multipliers lie between `2⁻²⁰⁰` and `2²⁰⁰`, the coefficients of [`super::supply`] and their products
//! with the unit of the linear part between `2⁻⁴⁰⁰` and `2⁴⁰⁰`, weights are below 2, so a product that loses at most
//! `2⁻¹⁰⁷⁴` is multiplied by less than `2⁴⁰⁷` afterwards: fewer than `2⁴⁰` of them add less than `2⁻⁶⁰⁰` to an entry.
//!
//! The rows and columns are scaled by powers of two to a diagonal in `[1/2, 2]`, about, which keeps definiteness.

use faer::{Accum, Mat, MatRef};

use super::{
    Chain,
    supply::{Supply, add_symmetric},
};
use crate::{
    rigor::{
        directed::{U, add_up, enlarge_sum, exponent, gamma, mul_up, power_of_two},
        freivalds::{agree, axpy, multiply, multiply_transposed, probe},
        residual::largest,
    },
    scalar::{Structure, gemm},
};

/// What underflow may add to an entry, before and after scaling.
const UNDERFLOW: f64 = f64::from_bits((1023 - 600) << 52);

impl Chain {
    /// Returns the first row of each block, the input's being 0, and the size of the whole.
    pub(super) fn offsets(&self) -> Vec<usize> {
        let mut offsets = vec![0, self.input()];
        for stage in &self.stages {
            offsets.push(offsets[offsets.len() - 1] + stage.weight.nrows());
        }
        offsets
    }

    /// Returns the matrix for a level (see [`Supply::kept`]) and the multipliers, scaled to a diagonal of about 1, and a
    /// bound of each row sum of its error.
    pub(super) fn assemble(&self, level: f64, multipliers: &[Vec<f64>]) -> (Mat<f64>, Vec<f64>) {
        let mut image = self.image(level, multipliers);
        let n = image.nrows();
        let scales: Vec<f64> = (0..n).map(|i| scale(image[(i, i)])).collect();
        let magnitudes = self.magnitudes(level, multipliers, &scales);
        for j in 0..n {
            for i in 0..n {
                image[(i, j)] *= scales[i] * scales[j];
            }
        }
        let terms = self.terms();
        let total = enlarge_sum(scales.iter().sum(), n);
        let error = |i: usize| {
            let underflow = mul_up(UNDERFLOW, add_up(mul_up(scales[i], total), n as f64));
            add_up(mul_up(gamma(terms, U), magnitudes[i]), underflow)
        };
        let error: Vec<f64> = (0..n).map(error).collect();
        if self.is_image(image.as_ref(), level, multipliers, &scales, (&magnitudes, &error)) {
            (image, error)
        } else {
            (image, vec![f64::INFINITY; n])
        }
    }

    /// Returns whether the scaled image is that of the matrix, as far as a random vector tells: see
    /// `rigor/freivalds.rs`.
    fn is_image(
        &self,
        image: MatRef<'_, f64>,
        level: f64,
        multipliers: &[Vec<f64>],
        scales: &[f64],
        (magnitudes, error): (&[f64], &[f64]),
    ) -> bool {
        let v = probe(scales.len());
        let mut computed = vec![0.0; v.len()];
        multiply((image, Structure::Full), &v, &mut computed);
        let scaled = |x: &[f64]| x.iter().zip(scales).map(|(x, s)| x * s).collect::<Vec<f64>>();
        let expected = scaled(&self.apply(level, multipliers, &scaled(&v)));
        // A product passes through the roundings of two matrices, of the scaling and of the sum over a row.
        let rounding = gamma(2 * self.terms() + v.len() + 8, U);
        let (largest_magnitude, largest_error) = (largest(magnitudes), largest(error));
        let apart = mul_up(rounding, add_up(largest_magnitude, largest_error));
        agree(&computed, &expected, add_up(mul_up(2.0, largest_error), apart))
    }

    /// Returns the matrix for a level and the multipliers times a vector, without a kernel for matrices.
    fn apply(&self, level: f64, multipliers: &[Vec<f64>], x: &[f64]) -> Vec<f64> {
        let offsets = self.offsets();
        let mut y = vec![0.0; x.len()];
        axpy(self.supply.kept(level), &x[..offsets[1]], &mut y[..offsets[1]]);
        for (j, (stage, t)) in self.stages.iter().zip(multipliers).enumerate() {
            let (w, [m, l]) = ((stage.weight.as_ref(), Structure::Full), stage.slopes);
            let (before, here) = (offsets[j]..offsets[j + 1], offsets[j + 1]..offsets[j + 2]);
            let mut z = vec![0.0; t.len()];
            multiply(w, &x[before.clone()], &mut z);
            // What goes back through the transpose: 2mL TAx − (m + L)Ts.
            let mut back = vec![0.0; t.len()];
            for (i, (z, t)) in z.iter().zip(t).enumerate() {
                let s = x[here.start + i];
                y[here.start + i] += 2.0 * t * s - (m + l) * t * z;
                back[i] = 2.0 * (m * l) * t * z - (m + l) * t * s;
            }
            multiply_transposed(w, &back, &mut y[before]);
        }
        let last = offsets[self.stages.len()]..x.len();
        let Some(b) = &self.outer else {
            axpy(-1.0, &x[last.clone()], &mut y[last]);
            return y;
        };
        // With f = Cx + Bs and g = ax + bf: −af − Cᵀg beside x, and −Bᵀg beside s.
        let Supply { cross, square, linear, .. } = &self.supply;
        let (b, inputs) = ((b.as_ref(), Structure::Full), 0..offsets[1]);
        let mut f = vec![0.0; b.0.nrows()];
        multiply(b, &x[last.clone()], &mut f);
        if let Some(part) = linear {
            let mut image = vec![0.0; f.len()];
            multiply((part.matrix.as_ref(), Structure::Full), &x[inputs.clone()], &mut image);
            axpy(part.unit, &image, &mut f);
        }
        let mut g: Vec<f64> = f.iter().map(|f| -(square * f)).collect();
        if self.supply.has_input() {
            axpy(-cross, &x[inputs.clone()], &mut g);
            axpy(-cross, &f, &mut y[inputs.clone()]);
        }
        if let Some(part) = linear {
            let scaled: Vec<f64> = g.iter().map(|g| part.unit * g).collect();
            multiply_transposed((part.matrix.as_ref(), Structure::Full), &scaled, &mut y[inputs]);
        }
        multiply_transposed(b, &g, &mut y[last]);
        y
    }

    /// Returns the roundings on the way to one entry.
    fn terms(&self) -> usize {
        let linear = self.supply.linear.as_ref().map(|part| &part.matrix);
        let sides = self.stages.iter().map(|s| &s.weight).chain(&self.outer).chain(linear);
        sides.map(|w| w.nrows().max(w.ncols())).max().unwrap_or(0) + 12
    }

    /// Returns the matrix as computed, symmetric to the last bit.
    pub(super) fn image(&self, level: f64, multipliers: &[Vec<f64>]) -> Mat<f64> {
        let offsets = self.offsets();
        let (blocks, n) = (self.stages.len(), offsets[self.stages.len() + 1]);
        let mut g: Mat<f64> = Mat::zeros(n, n);
        let kept = self.supply.kept(level);
        (0..offsets[1]).for_each(|i| g[(i, i)] = kept);
        for (j, (stage, t)) in self.stages.iter().zip(multipliers).enumerate() {
            let (w, [m, l]) = (&stage.weight, stage.slopes);
            let (before, here) = (offsets[j], offsets[j + 1]);
            let weighted = Mat::from_fn(w.nrows(), w.ncols(), |i, c| t[i] * w[(i, c)]);
            let product = 2.0 * (m * l);
            if product != 0.0 {
                let mut square: Mat<f64> = Mat::zeros(w.ncols(), w.ncols());
                gemm(square.as_mut(), Accum::Replace, w.transpose(), weighted.as_ref());
                add_symmetric(&mut g, before, product, &square);
            }
            for i in 0..w.nrows() {
                g[(here + i, here + i)] += 2.0 * t[i];
                for c in 0..w.ncols() {
                    g[(here + i, before + c)] = -(m + l) * weighted[(i, c)];
                }
            }
        }
        let last = offsets[blocks];
        match &self.outer {
            Some(b) => self.supply.subtract(&mut g, last, b),
            None => (last..n).for_each(|i| g[(i, i)] -= 1.0),
        }
        for j in 0..n {
            for i in 0..j {
                g[(i, j)] = g[(j, i)];
            }
        }
        g
    }

    /// Returns `Σ_j sᵢ |G|ᵢⱼ sⱼ` for each row, `|G|` being the sum of the magnitudes of all products, from above.
    fn magnitudes(&self, level: f64, multipliers: &[Vec<f64>], scales: &[f64]) -> Vec<f64> {
        let offsets = self.offsets();
        let (blocks, n) = (self.stages.len(), offsets[self.stages.len() + 1]);
        let mut sums = vec![0.0; n];
        let kept = level.abs() + self.supply.shift;
        (0..offsets[1]).for_each(|i| sums[i] += kept * scales[i]);
        for (j, (stage, t)) in self.stages.iter().zip(multipliers).enumerate() {
            let (w, [m, l]) = (&stage.weight, stage.slopes);
            let (before, here) = (offsets[j], offsets[j + 1]);
            let (across, product) = ((m + l).abs(), 2.0 * (m * l).abs());
            for i in 0..w.nrows() {
                let below: f64 = (0..w.ncols()).map(|c| w[(i, c)].abs() * scales[before + c]).sum();
                sums[here + i] += across * t[i] * below + 2.0 * t[i] * scales[here + i];
                let spread = t[i] * (product * below + across * scales[here + i]);
                for c in 0..w.ncols() {
                    sums[before + c] += w[(i, c)].abs() * spread;
                }
            }
        }
        let last = offsets[blocks];
        match &self.outer {
            Some(b) => self.supply.add_magnitudes(&mut sums, last, b, scales),
            None => (last..n).for_each(|i| sums[i] += scales[i]),
        }
        // Sums of positive numbers, with at most n + d + 12 roundings on the way of each term.
        let rounded = 2 * (n + self.terms());
        sums.iter().zip(scales).map(|(&sum, &s)| enlarge_sum(sum * s, rounded)).collect()
    }
}

/// Returns a power of two, between `2⁻²⁵⁰` and `2²⁵⁰`, close to `1/√d`.
fn scale(d: f64) -> f64 {
    if d > 0.0 && d.is_finite() { power_of_two((-(exponent(d) / 2)).clamp(-250, 250)) } else { 1.0 }
}
