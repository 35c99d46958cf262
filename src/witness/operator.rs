//! A matrix with the proof of its norm, in integers.

use faer::MatRef;
use num_bigint::BigInt;

use super::{
    integer::{floor, largest_row_sum, scale_of, scaled},
    line, unknown,
};
use crate::{
    error::Result,
    model::Linear,
    rigor::matrix::{Proposal, propose_norm},
    tensor::Shape,
};

/// The bits of an entry of the factor, of the size of the norm: those of an `f64` and a few more, so that nothing but
/// the rounding of the factorisation itself is left in the residual.
const FACTOR_BITS: i64 = 56;

/// A matrix and a bias, as they are stored.
pub(super) struct Stored {
    weight: Vec<f64>,
    bias: Vec<f64>,
    /// The numbers of rows and of columns.
    size: (usize, usize),
    /// At so many points of an image the matrix acts on the channels; 1 for a dense layer.
    points: usize,
}

/// The text of an operator, and the number `(α + β)/4ˢ` that it proves to be at least `‖W‖²`.
pub(super) struct Proved {
    /// As the grammar says.
    pub(super) text: String,
    /// `α + β`.
    pub(super) squared: BigInt,
    /// `s`.
    pub(super) scale: u32,
}

impl Stored {
    /// The operator at a place whose input is `input`.
    ///
    /// # Errors
    /// [`crate::Error::NotProved`] unless it is dense, or a convolution with a kernel of one point, stride 1 and no padding.
    pub(super) fn read(linear: &Linear, input: Shape) -> Result<Self> {
        let (weight, bias, points) = match linear {
            Linear::Dense { weight, bias } => (weight, bias, 1),
            Linear::Conv2d(conv) => (&conv.weight, &conv.bias, input.points()),
            other => return Err(unknown(format!("operator of kind {}", other.kind()))),
        };
        let (rows, columns) = (weight.shape()[0], weight.shape()[1]);
        if let Linear::Conv2d(conv) = linear {
            let [y, x] = conv.axes(input)?;
            if [y, x].iter().any(|axis| (axis.kernel, axis.stride, axis.padding) != (1, 1, 0)) || conv.groups != 1 {
                let kernel = format!("convolution with a {}×{} kernel", y.kernel, x.kernel);
                return Err(unknown(format!("{kernel}, stride {} and padding {}", y.stride, y.padding)));
            }
        }
        let bias = bias.as_ref().map_or_else(|| vec![0.0; rows], |bias| bias.numbers());
        Ok(Self { weight: weight.numbers(), bias, size: (rows, columns), points })
    }

    /// The rows as integers, and their scale.
    pub(super) fn integers(&self) -> (Vec<Vec<BigInt>>, u32) {
        let scale = scale_of(&self.weight);
        (self.rows(scale), scale)
    }

    fn rows(&self, scale: u32) -> Vec<Vec<BigInt>> {
        let row = |row: &[f64]| row.iter().map(|&x| scaled(x, scale.into())).collect();
        self.weight.chunks(self.size.1).map(row).collect()
    }

    /// The operator with the proof of its norm: an approximate Cholesky factor in `f64`, rounded to integers, and the
    /// row sums of what it leaves of `αI − G`, computed exactly.
    pub(super) fn prove(&self) -> Result<Proved> {
        let (m, n) = self.size;
        let Proposal { alpha, factor, exponent } = propose_norm(MatRef::from_row_major_slice(&self.weight, m, n))?;
        let enough = (FACTOR_BITS - i64::from(exponent)).max(0) as u32;
        let scale = scale_of(self.weight.iter().chain(&self.bias)).max(enough);
        let weight = self.rows(scale);
        // The proposal is one for W · 2⁻ᵉ; row i of the lower triangle is column i of the upper one that the format has.
        let e = i64::from(scale) + i64::from(exponent);
        let columns: Vec<Vec<BigInt>> =
            (0..factor.nrows()).map(|i| (0..=i).map(|j| scaled(factor[(i, j)], e)).collect()).collect();
        let alpha = floor(alpha, 2 * e);
        let (gram, beta) = if m <= n {
            ("rows", largest_row_sum(&alpha, &weight, &columns))
        } else {
            ("columns", largest_row_sum(&alpha, &transposed(&weight), &columns))
        };
        let mut text = format!("{m} {n}");
        if self.points != 1 {
            text += &format!(" points {}", self.points);
        }
        text += &format!(" scale {scale}\nweight\n");
        weight.iter().for_each(|row| line(&mut text, row));
        text += "bias ";
        line(&mut text, &self.bias.iter().map(|&x| scaled(x, scale.into())).collect::<Vec<_>>());
        text += &format!("gram {gram} alpha {alpha} beta {beta}\nfactor\n");
        for i in 0..columns.len() {
            line(&mut text, columns[i..].iter().map(|column| &column[i]));
        }
        Ok(Proved { text, squared: alpha + beta, scale })
    }
}

fn transposed(rows: &[Vec<BigInt>]) -> Vec<Vec<BigInt>> {
    let columns = rows.first().map_or(0, Vec::len);
    (0..columns).map(|j| rows.iter().map(|row| row[j].clone()).collect()).collect()
}
