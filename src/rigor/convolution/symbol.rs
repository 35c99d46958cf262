//! The symbol of a convolution: one small complex matrix `D(ω) = Σ_t K_t ω^t` for each frequency of a torus, as computed,
//! and a bound of its error.
//!
//! Real kernels have `D(ω̄) = conj D(ω)`, so half of the frequencies suffice. Each complex matrix is proved as the real
//! one `[[Re, −Im], [Im, Re]]`, which has the same norm.

use faer::Mat;

use super::{Convolution, Torus};
use crate::rigor::{
    directed::{ETA, U, add_up, enlarge_sum, gamma, mul_up, norm_up},
    propose::dot,
    roots_of_unity::{ERROR, roots_of_unity},
};

/// The weights of a convolution, tap by tap.
pub(super) struct Taps<'a> {
    conv: &'a Convolution<'a>,
    /// Those that are not all zero, as most are between the points of a dilated kernel.
    taps: Vec<Tap>,
}

struct Tap {
    /// The place in the kernel, vertically and horizontally.
    place: [usize; 2],
    /// The weights, an input channel after the other.
    weights: Vec<f64>,
}

impl<'a> Taps<'a> {
    pub(super) fn new(conv: &'a Convolution<'a>) -> Self {
        let (outputs, inputs) = conv.channels;
        let (count, width) = (conv.axes[0].kernel * conv.axes[1].kernel, conv.axes[1].kernel);
        let tap = |t: usize| {
            let weight = |(c, o): (usize, usize)| conv.weight[(o * inputs + c) * count + t];
            let places = || (0..inputs).flat_map(|c| (0..outputs).map(move |o| (c, o)));
            let zero = places().all(|place| weight(place) == 0.0);
            (!zero).then(|| Tap { place: [t / width, t % width], weights: places().map(weight).collect() })
        };
        Self { conv, taps: (0..count).filter_map(tap).collect() }
    }

    /// Returns the symbol at the frequencies of a torus.
    pub(super) fn on(&self, torus: Torus) -> Symbol<'_> {
        Symbol { taps: self, torus, roots: torus.points.map(|n| roots_of_unity(2 * n)) }
    }

    /// Returns a torus of few points whose frequencies are near to every other.
    pub(super) fn coarse(&self, torus: Torus) -> Torus {
        let [y, x] = self.conv.axes.map(|axis| 4 * axis.taps());
        Torus { points: [torus.points[0].min(y), torus.points[1].min(x)], twisted: [false; 2] }
    }
}

impl Convolution<'_> {
    /// Returns a matrix that has the singular values of the symbol at every frequency, if the taps show that there is
    /// one: where each phase of an input channel, or each output channel, has all of its weights at one place, a
    /// frequency only multiplies the columns, or the rows, by numbers of modulus 1. So it is for kernels of one point,
    /// and for shifts.
    pub(super) fn constant_symbol(&self) -> Option<Mat<f64>> {
        let ((outputs, inputs), [ay, ax]) = (self.channels, self.axes);
        let phases = ay.phases() * ax.phases();
        let mut matrix: Mat<f64> = Mat::zeros(outputs, inputs * phases);
        let (mut of_rows, mut of_columns) = (vec![None; outputs], vec![None; inputs * phases]);
        let (mut rows, mut columns) = (true, true);
        for (index, &w) in self.weight.iter().enumerate().filter(|(_, w)| **w != 0.0) {
            let (a, b) = (index / ax.kernel % ay.kernel, index % ax.kernel);
            let (o, c) = (index / (ay.kernel * ax.kernel) / inputs, index / (ay.kernel * ax.kernel) % inputs);
            let column = c * phases + a % ay.stride * ax.phases() + b % ax.stride;
            let place = (a / ay.stride, b / ax.stride);
            rows &= *of_rows[o].get_or_insert(place) == place;
            columns &= *of_columns[column].get_or_insert(place) == place;
            if !rows && !columns {
                return None;
            }
            matrix[(o, column)] = w;
        }
        Some(matrix)
    }
}

/// The matrices of a torus.
pub(super) struct Symbol<'a> {
    taps: &'a Taps<'a>,
    torus: Torus,
    /// The roots of unity of order `2N` of each axis.
    roots: [Vec<(f64, f64)>; 2],
}

/// The numbers of a frequency among the roots of unity of order `2N`: even, or odd along a twisted axis.
pub(super) type Frequency = [usize; 2];

impl Symbol<'_> {
    pub(super) fn torus(&self) -> Torus {
        self.torus
    }

    /// Returns the number of rows or of columns of the matrices, whichever is smaller.
    pub(super) fn size(&self) -> usize {
        let ((outputs, inputs), [ay, ax]) = (self.taps.conv.channels, self.taps.conv.axes);
        outputs.min(inputs * ay.phases() * ax.phases())
    }

    /// Of all frequencies one of each pair of conjugates.
    pub(super) fn frequencies(&self) -> Vec<Frequency> {
        let Torus { points: [height, width], twisted } = self.torus;
        let [odd_y, odd_x] = twisted.map(usize::from);
        let all = (0..height).flat_map(|u| (0..width).map(move |v| [2 * u + odd_y, 2 * v + odd_x]));
        all.filter(|&frequency| frequency <= self.conjugate(frequency)).collect()
    }

    /// Returns the frequency of this torus next to one of another torus.
    pub(super) fn nearest(&self, torus: Torus, frequency: Frequency) -> Frequency {
        std::array::from_fn(|axis| {
            let (n, odd) = (self.torus.points[axis], usize::from(self.torus.twisted[axis]));
            let place = (frequency[axis] * n) as f64 / torus.points[axis] as f64;
            (2 * ((place - odd as f64) / 2.0).round().max(0.0) as usize + odd) % (2 * n)
        })
    }

    /// Returns whether two frequencies are the same, beside each other, or across a corner.
    pub(super) fn touch(&self, a: Frequency, b: Frequency) -> bool {
        (0..2).all(|axis| {
            let (round, apart) = (2 * self.torus.points[axis], a[axis].abs_diff(b[axis]));
            apart.min(round - apart) <= 2
        })
    }

    /// Returns the frequency whose matrix is the conjugate one.
    pub(super) fn conjugate(&self, [u, v]: Frequency) -> Frequency {
        let [height, width] = self.torus.points.map(|n| 2 * n);
        [(height - u) % height, (width - v) % width]
    }

    /// Returns the cosine and the sine of the sum of two angles, in units of `π/N` of each axis.
    pub(super) fn wave(&self, y: usize, x: usize) -> (f64, f64) {
        let root = |axis: usize, index: usize| self.roots[axis][index % self.roots[axis].len()];
        let ((cy, sy), (cx, sx)) = (root(0, y), root(1, x));
        (cy * cx - sy * sx, cy * sx + sy * cx)
    }

    /// Returns the four frequencies beside one.
    pub(super) fn beside(&self, [u, v]: Frequency) -> [Frequency; 4] {
        let [height, width] = self.torus.points.map(|n| 2 * n);
        let (up, down) = ((u + 2) % height, (u + height - 2) % height);
        [[up, v], [down, v], [u, (v + 2) % width], [u, (v + width - 2) % width]]
    }

    /// Returns the matrix of a frequency, the phases of the input being further columns.
    pub(super) fn at(&self, [u, v]: Frequency) -> Complex {
        let (outputs, inputs) = self.taps.conv.channels;
        let [ay, ax] = self.taps.conv.axes;
        let (block, phases) = (outputs * inputs, ay.phases() * ax.phases());
        let (mut re, mut im) = (vec![0.0; block * phases], vec![0.0; block * phases]);
        for Tap { place: [a, b], weights } in &self.taps.taps {
            let phase = a % ay.stride * ax.phases() + b % ax.stride;
            let (cos, sin) = self.wave(u * (a / ay.stride), v * (b / ax.stride));
            let phase = phase * block..(phase + 1) * block;
            for ((re, im), &k) in re[phase.clone()].iter_mut().zip(&mut im[phase]).zip(weights) {
                *re += k * cos;
                *im += k * sin;
            }
        }
        Complex { re, im, rows: outputs }
    }
}

/// A complex matrix, column by column.
pub(super) struct Complex {
    re: Vec<f64>,
    im: Vec<f64>,
    rows: usize,
}

impl Complex {
    /// Returns `[[Re D, −Im D], [Im D, Re D]]`.
    pub(super) fn real(&self) -> Mat<f64> {
        let (rows, columns) = (self.rows, self.re.len() / self.rows);
        let mut d = Mat::zeros(2 * rows, 2 * columns);
        for (j, (re, im)) in self.re.chunks(rows).zip(self.im.chunks(rows)).enumerate() {
            for (i, (&re, &im)) in re.iter().zip(im).enumerate() {
                (d[(i, j)], d[(rows + i, j)]) = (re, im);
                (d[(i, columns + j)], d[(rows + i, columns + j)]) = (-im, re);
            }
        }
        d
    }

    /// Returns the real and the imaginary part of a column.
    pub(super) fn column(&self, j: usize) -> (&[f64], &[f64]) {
        let range = j * self.rows..(j + 1) * self.rows;
        (&self.re[range.clone()], &self.im[range])
    }

    pub(super) fn columns(&self) -> usize {
        self.re.len() / self.rows
    }

    /// Returns `x` after a step of the power iteration with `DᴴD`, of norm 1, and `‖Dx‖²`, where `x` has norm 1.
    pub(super) fn power_step(&self, x: &mut [[f64; 2]]) -> f64 {
        let mut y = [vec![0.0; self.rows], vec![0.0; self.rows]];
        let columns = || self.re.chunks(self.rows).zip(self.im.chunks(self.rows));
        for ((re, im), &[a, b]) in columns().zip(&*x) {
            let [y_re, y_im] = &mut y;
            for (((y, z), &re), &im) in y_re.iter_mut().zip(y_im).zip(re).zip(im) {
                *y += re * a - im * b;
                *z += re * b + im * a;
            }
        }
        let [y_re, y_im] = &y;
        let back = |(re, im): (&[f64], &[f64])| [dot(re, y_re) + dot(im, y_im), dot(re, y_im) - dot(im, y_re)];
        let image: Vec<[f64; 2]> = columns().map(back).collect();
        let length = image.iter().map(|[a, b]| a * a + b * b).sum::<f64>().sqrt();
        // Where the matrix is zero, the vector stays.
        if length > 0.0 {
            x.iter_mut().zip(image).for_each(|(x, image)| *x = image.map(|x| x / length));
        }
        dot(y_re, y_re) + dot(y_im, y_im)
    }
}

/// Returns a bound of `‖D − D̂‖₂` for every frequency, by the Frobenius norm of the errors of the entries.
///
/// A twiddle is a product of two roots, each within `e =` [`ERROR`] in each component: its components are off by at
/// most `4e + 2e² + 3u(1 + e)² < 5e`. With `k` taps that are not zero, a component of an entry is off by
/// `Σ|K|·(5e + γ_{k+1}(1 + 5e)) + 2kη`, and the modulus of a complex error is at most `√2 < 2` times that.
pub(super) fn symbol_error(conv: &Convolution<'_>) -> f64 {
    let taps = conv.axes[0].kernel * conv.axes[1].kernel;
    let entry = |taps: &[f64]| {
        let count = taps.iter().filter(|k| **k != 0.0).count();
        let relative = add_up(mul_up(5.0, ERROR), mul_up(2.0, gamma(count + 1, U)));
        let sum = enlarge_sum(taps.iter().map(|k| k.abs()).sum(), count);
        add_up(mul_up(relative, sum), mul_up(2.0 * count as f64, ETA))
    };
    let entries: Vec<f64> = conv.weight.chunks(taps).map(entry).collect();
    mul_up(2.0, norm_up(&entries))
}
