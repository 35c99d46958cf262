//! The proof of the norm of a matrix, in integers.

use faer::MatRef;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed;

use super::{
    FACTOR_BITS, Proved, circulant,
    integer::{floor, largest_row_sum, largest_row_sum_below, scale_of, scaled},
    line, unknown,
};
use crate::{
    error::Result,
    model::{Conv2d, Linear},
    rigor::{
        matrix::{Proposal, propose_below, propose_norm},
        torus::{Axis, Convolution, PaddingMode},
    },
    rules::operator_norm::Plain,
    tensor::Shape,
};

/// The largest matrix, by the smaller of its sizes, that a convolution is written out as for the proof of its norm.
const LARGEST_MATRIX: usize = 400;

/// A matrix, as it is stored.
pub(super) struct Stored {
    weight: Vec<f64>,
    form: Form,
}

/// What the numbers of a matrix are.
enum Form {
    /// A matrix with these numbers of rows and columns.
    Written(usize, usize),
    /// The matrix between channels at each point.
    Channels(usize, usize),
    /// The kernels of a convolution, its channels, its axes and what lies beyond its borders.
    Kernels((usize, usize), [Axis; 2], PaddingMode),
}

impl Stored {
    /// Returns the matrix of an operator at a place whose input is `input`: that between channels for a convolution
    /// with a kernel of one point and stride 1, the whole one for any other.
    ///
    /// # Errors
    /// [`crate::Error::NotProved`] for a convolution that the checker does not know.
    pub(super) fn read(linear: &Linear, input: Shape) -> Result<Self> {
        match linear {
            Linear::Dense { weight, .. } => Ok(Self::written(weight.numbers(), weight.shape()[0], weight.shape()[1])),
            Linear::Conv2d(conv) => Self::convolution(conv, input),
            other => Err(unknown(format!("operator of kind {}", other.kind()))),
        }
    }

    fn written(weight: Vec<f64>, rows: usize, columns: usize) -> Self {
        Self { weight, form: Form::Written(rows, columns) }
    }

    fn convolution(conv: &Conv2d, input: Shape) -> Result<Self> {
        let plain = Plain::new(conv, input)?;
        let Convolution { weight, channels: (outputs, channels), axes: [mut y, mut x], mode } = plain.convolution();
        let weight = with_equal_paddings(weight, [&mut y, &mut x]);
        let ([a, b], strides, padding) = ([y.kernel, x.kernel], [y.stride, x.stride], y.padding);
        if ([a, b], strides, padding) == ([1, 1], [1, 1], 0) {
            return Ok(Self { weight, form: Form::Channels(outputs, channels) });
        }
        let (_, height, width) = input.as_image("a convolution")?;
        let [rows, columns] =
            [(height, a, y.stride), (width, b, x.stride)].map(|(n, k, s)| (n + 2 * padding - k) / s + 1);
        let (m, n) = (outputs * rows * columns, input.len());
        let circular = mode == PaddingMode::Circular && padding > 0;
        if m.min(n) > LARGEST_MATRIX || m.max(n) > 8 * LARGEST_MATRIX {
            if circular && [y, x].into_iter().any(|axis| !closed(axis)) {
                return Err(unknown("circular convolution of this size that is none of a torus of its strides"));
            }
            let mode = if circular { mode } else { PaddingMode::Zeros };
            return Ok(Self { weight, form: Form::Kernels((outputs, channels), [y, x], mode) });
        }
        let mut matrix = vec![0.0; m * n];
        for (i, row) in matrix.chunks_mut(n).enumerate() {
            let (output, y, x) = (i / (rows * columns), i / columns % rows * strides[0], i % columns * strides[1]);
            for (k, &w) in weight[output * channels * a * b..][..channels * a * b].iter().enumerate() {
                // Where the padded image would be read.
                let (y, x) = (y + k / b % a, x + k % b);
                let place = |y: usize, x: usize| (k / (a * b) * height + y) * width + x;
                if circular {
                    row[place((y + height - padding) % height, (x + width - padding) % width)] += w;
                } else if (padding..height + padding).contains(&y) && (padding..width + padding).contains(&x) {
                    row[place(y - padding, x - padding)] = w;
                }
            }
        }
        Ok(Self::written(matrix, m, n))
    }

    /// Returns the rows of a dense matrix as integers, and their scale.
    pub(super) fn integers(weight: &[f64], columns: usize) -> (Vec<Vec<BigInt>>, u32) {
        let scale = scale_of(weight);
        (rows(weight, columns, scale), scale)
    }

    /// Returns the proof of the norm: an approximate Cholesky factor in `f64`, rounded to integers, and the row sums of
    /// what it leaves of `αI − G`, computed exactly. `bias` is what the checker reads over the same scale as the
    /// matrix.
    pub(super) fn prove(&self, bias: &[f64]) -> Result<Proved> {
        let (m, n) = match self.form {
            Form::Written(m, n) | Form::Channels(m, n) => (m, n),
            Form::Kernels(channels, axes, mode) => {
                let conv = Convolution { weight: &self.weight, channels, axes, mode };
                return circulant::prove(&conv, bias);
            }
        };
        let residual = Residual::new(self, n, bias, propose_norm(MatRef::from_row_major_slice(&self.weight, m, n))?);
        let Residual { alpha, weight, columns, .. } = &residual;
        let (gram, beta) = if m <= n {
            ("rows", largest_row_sum(alpha, weight, columns))
        } else {
            ("columns", largest_row_sum(alpha, &transposed(weight), columns))
        };
        Ok(Proved { text: format!("gram {gram} {}", residual.text(&beta)), squared: residual.over(alpha + beta) })
    }

    /// Returns the proof that `‖Wx‖² ≥ c‖x‖²`, and `c`; none if `c > 0` is not found, or not looked for: the checker takes it of the
    /// whole matrix alone, and this crate writes none of a convolution that it would not write out for its norm.
    pub(super) fn prove_below(&self, bias: &[f64]) -> Result<Option<Proved>> {
        let Form::Written(m, n) = self.form else { return Ok(None) };
        let Some(proposal) = propose_below(MatRef::from_row_major_slice(&self.weight, m, n))? else { return Ok(None) };
        let residual = Residual::new(self, n, bias, proposal);
        let beta = largest_row_sum_below(&residual.alpha, &transposed(&residual.weight), &residual.columns);
        let squared = residual.over(&residual.alpha - &beta);
        let proved = Proved { text: format!("below {}", residual.text(&beta)), squared };
        Ok(proved.squared.is_positive().then_some(proved))
    }
}

/// A proposal in integers.
struct Residual {
    alpha: BigInt,
    /// The rows of the matrix, over `2^(least + fine)`, where the checker reads it over `2^least`.
    weight: Vec<Vec<BigInt>>,
    /// The columns of the factor, which is an upper triangle.
    columns: Vec<Vec<BigInt>>,
    least: u32,
    fine: u32,
}

impl Residual {
    fn new(stored: &Stored, n: usize, bias: &[f64], Proposal { alpha, factor, exponent }: Proposal) -> Self {
        let enough = (FACTOR_BITS - i64::from(exponent)).max(0) as u32;
        let least = scale_of(stored.weight.iter().chain(bias));
        let scale = least.max(enough);
        // The proposal is one for W · 2⁻ᵉ; row i of the lower triangle is column i of the upper one that the format has.
        let e = i64::from(scale) + i64::from(exponent);
        let columns = (0..factor.nrows()).map(|i| (0..=i).map(|j| scaled(factor[(i, j)], e)).collect()).collect();
        Self { alpha: floor(alpha, 2 * e), weight: rows(&stored.weight, n, scale), columns, least, fine: scale - least }
    }

    /// As the grammar says.
    fn text(&self, beta: &BigInt) -> String {
        let k = self.columns.len();
        let mut text = format!("fine {} alpha {} beta {beta}\nfactor {k}\n", self.fine, self.alpha);
        for i in 0..k {
            line(&mut text, self.columns[i..].iter().map(|column| &column[i]));
        }
        text
    }

    /// Returns a number of the Gram matrix.
    fn over(&self, numerator: BigInt) -> BigRational {
        BigRational::new(numerator, BigInt::from(1) << (2 * (self.least + self.fine)))
    }
}

/// Returns the kernels with zeros around them, and gives both axes the larger of their paddings: the checker has one padding for both.
/// No output changes.
fn with_equal_paddings(weight: &[f64], axes: [&mut Axis; 2]) -> Vec<f64> {
    let padding = axes[0].padding.max(axes[1].padding);
    let kernel = [axes[0].kernel, axes[1].kernel];
    let more = axes.map(|axis| {
        let more = padding - axis.padding;
        (axis.kernel, axis.padding) = (axis.kernel + 2 * more, padding);
        more
    });
    let wide = kernel[1] + 2 * more[1];
    let mut full = vec![0.0; weight.len() / (kernel[0] * kernel[1]) * (kernel[0] + 2 * more[0]) * wide];
    for (k, &w) in weight.iter().enumerate() {
        let (pair, y, x) = (k / (kernel[0] * kernel[1]), k / kernel[1] % kernel[0], k % kernel[1]);
        full[(pair * (kernel[0] + 2 * more[0]) + y + more[0]) * wide + x + more[1]] = w;
    }
    full
}

/// Returns whether an axis that goes around is a torus of the points of its phases, and no output comes twice.
fn closed(axis: Axis) -> bool {
    let points = axis.input / axis.stride;
    axis.input.is_multiple_of(axis.stride) && axis.output().is_some_and(|m| m <= points) && axis.kernel <= axis.input
}

fn rows(weight: &[f64], columns: usize, scale: u32) -> Vec<Vec<BigInt>> {
    let row = |row: &[f64]| row.iter().map(|&x| scaled(x, scale.into())).collect();
    weight.chunks(columns).map(row).collect()
}

fn transposed(rows: &[Vec<BigInt>]) -> Vec<Vec<BigInt>> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns).map(|j| rows.iter().map(|row| row[j].clone()).collect()).collect()
}
