//! The norm of linear maps in a row, proved for their composition.
//!
//! The product of the norms of `W₁` and `W₂` is the norm of `W₂W₁` only if the worst outputs of one are the worst
//! inputs of the other. Where the composition is again a matrix or a convolution, its entries are computed, the error
//! of computing them is bounded in norm, and the norm is that of the computed map plus the error:
//!
//! | maps | composition |
//! |---|---|
//! | division by deviations, then a matrix or a convolution | its columns, or input channels, divided |
//! | two matrices | their product |
//! | a convolution of stride `t`, then means over `s × s` windows | a convolution of stride `ts` with `k + t(s − 1)` taps |
//! | a convolution, then the mean of each channel | a matrix |
//!
//! Elsewhere the norms multiply; after a mean over disjoint windows nothing is lost by that, since `PPᵀ` is a multiple
//! of the identity.

use faer::{Accum, Mat, MatRef};

use super::{
    bound::Upper,
    convolution::{Axis, Convolution, PaddingMode, repeats},
    directed::{ETA, U, add_up, div_up, exponent, gamma, mul_up, norm_up, scale_up, sqrt_down, sqrt_up},
    freivalds::{agree, multiply, probe},
    matrix,
};
use crate::{
    error::Result,
    scalar::{Structure, gemm},
};

/// The largest number of entries of a matrix that is formed.
const LARGEST: usize = 1 << 22;
/// The largest number of products that the entries of a mean are sums of.
const LONGEST: usize = 1 << 28;

/// A linear map in plain numbers. What only reorders coordinates in memory order, such as flattening, is not one.
#[derive(Debug, Clone)]
pub enum Linear {
    /// A matrix.
    Dense(Mat<f64>),
    /// A convolution with weights `out × in × kernel height × kernel width`.
    Conv2d {
        /// The weights, row-major.
        weight: Vec<f64>,
        /// The numbers of output and input channels.
        channels: (usize, usize),
        /// The vertical and the horizontal axis.
        axes: [Axis; 2],
        /// What lies beyond the border.
        mode: PaddingMode,
    },
    /// Means over disjoint windows of `size × size` points.
    MeanPool {
        /// The side of a window.
        size: usize,
    },
    /// The mean of each channel over all of its points.
    GlobalMean {
        /// The number of points.
        points: usize,
    },
    /// Division of runs of consecutive numbers, each run by one deviation.
    Divide {
        /// The deviations, positive.
        std: Vec<f64>,
        /// How many consecutive numbers share one.
        repeat: usize,
    },
    /// Channels of zeros appended.
    PadChannels {
        /// How many.
        added: usize,
    },
    /// Blocks of `block × block` points as channels.
    SpaceToDepth {
        /// The side of a block.
        block: usize,
    },
}

/// Returns an upper bound of the norm of the composition of `maps`, the first being applied first.
///
/// # Errors
/// [`crate::Error::NotProved`] if the bound overflows, [`crate::Error::NotFinite`] if a weight is not finite.
pub fn norm(maps: &[Linear]) -> Result<Upper> {
    norm_by(maps, &Proofs { matrix: matrix::norm, convolution: |convolution| Ok(convolution.norm()?.bound) })
}

/// As [`norm`], with [`matrix::sharp_sup_norm`] and the best torus: what a checker uses.
///
/// # Errors
/// As [`norm`].
pub fn sharp_norm(maps: &[Linear]) -> Result<Upper> {
    let convolution = |convolution: &Convolution<'_>| {
        let none = Upper::proved(f64::INFINITY);
        convolution.tori()?.into_iter().try_fold(none, |best, torus| Ok(best.min(convolution.norm_on(torus)?)))
    };
    norm_by(maps, &Proofs { matrix: |w| matrix::sharp_sup_norm(&[w]), convolution })
}

/// How norms of what is held are proved.
struct Proofs {
    matrix: fn(MatRef<'_, f64>) -> Result<Upper>,
    convolution: fn(&Convolution<'_>) -> Result<Upper>,
}

fn norm_by(maps: &[Linear], proofs: &Proofs) -> Result<Upper> {
    let (mut bound, mut held): (Upper, Option<Piece>) = (Upper::ONE, None);
    for map in maps {
        held = match held {
            None => Some(Piece::new(map)),
            Some(piece) => match piece.then(map) {
                Some(composed) => Some(composed),
                None => {
                    bound = bound * piece.norm(proofs)?;
                    Some(Piece::new(map))
                }
            },
        };
    }
    let last = held.map_or(Ok(Upper::ONE), |piece| piece.norm(proofs))?;
    (bound * last).finite("the norm of a composition")
}

/// A composition so far: `2^exponent` times what is held, which is off by an operator of norm at most `error`.
struct Piece {
    form: Form,
    exponent: i32,
    error: f64,
}

enum Form {
    Dense(Mat<f64>),
    Conv2d {
        weight: Vec<f64>,
        channels: (usize, usize),
        axes: [Axis; 2],
        mode: PaddingMode,
    },
    Divide {
        std: Vec<f64>,
        repeat: usize,
    },
    /// A map whose norm is all that is known of it.
    Other(Upper),
}

impl Piece {
    fn new(map: &Linear) -> Self {
        let form = match map.clone() {
            Linear::Dense(image) => Form::Dense(image),
            Linear::Conv2d { weight, channels, axes, mode } => Form::Conv2d { weight, channels, axes, mode },
            Linear::Divide { std, repeat } => Form::Divide { std, repeat },
            Linear::MeanPool { size } => Form::Other(mean(size.saturating_mul(size))),
            Linear::GlobalMean { points } => Form::Other(mean(points)),
            Linear::PadChannels { .. } | Linear::SpaceToDepth { .. } => Form::Other(Upper::ONE),
        };
        Self { form, exponent: 0, error: 0.0 }
    }

    fn norm(&self, proofs: &Proofs) -> Result<Upper> {
        let held = match &self.form {
            Form::Dense(image) => (proofs.matrix)(image.as_ref())?,
            Form::Conv2d { weight, channels, axes, mode } => {
                (proofs.convolution)(&Convolution { weight, channels: *channels, axes: *axes, mode: *mode })?
            }
            Form::Divide { std, .. } => Upper::proved(div_up(1.0, std.iter().copied().fold(f64::INFINITY, f64::min))),
            Form::Other(norm) => *norm,
        };
        Ok(Upper::proved(scale_up(add_up(held.get(), self.error), self.exponent)))
    }

    /// Returns the composition with a further map, where it is one of the known forms.
    fn then(&self, map: &Linear) -> Option<Self> {
        match (&self.form, map) {
            (Form::Divide { std, repeat }, _) => divided(std, *repeat, map),
            (Form::Dense(first), Linear::Dense(second)) => self.product(first, second),
            (Form::Conv2d { .. }, Linear::MeanPool { size }) => self.pooled(*size),
            (Form::Conv2d { .. }, Linear::GlobalMean { points }) => self.averaged(*points),
            _ => None,
        }
    }

    /// Returns `second · first`.
    fn product(&self, first: &Mat<f64>, second: &Mat<f64>) -> Option<Self> {
        if first.nrows() != second.ncols() || first.ncols().checked_mul(second.nrows())? > LARGEST {
            return None;
        }
        let (a, b) = (Normalised::of(first)?, Normalised::of(second)?);
        let mut image: Mat<f64> = Mat::zeros(second.nrows(), first.ncols());
        gemm(image.as_mut(), Accum::Replace, b.image.as_ref(), a.image.as_ref());
        // |fl(BA) − BA| ≤ γₖ|B||A| + kη, in the norm of Frobenius; what A was off by goes through B.
        let k = first.nrows();
        let entries = image.nrows() * image.ncols();
        let rounding = mul_up(gamma(k, U), mul_up(a.frobenius, b.frobenius));
        let underflow = mul_up(sqrt_up(entries as f64), mul_up(k as f64, ETA));
        let computed = add_up(rounding, underflow);
        let computed = if is_product(image.as_ref(), &b, &a, computed) { computed } else { f64::INFINITY };
        let lost = add_up(mul_up(a.lost, b.frobenius), mul_up(b.lost, add_up(a.frobenius, a.lost)));
        let inherited = mul_up(scale_up(self.error, -a.exponent), add_up(b.frobenius, b.lost));
        let error = add_up(computed, add_up(lost, inherited));
        let exponent = self.exponent.checked_add(a.exponent)?.checked_add(b.exponent)?;
        Some(Self { form: Form::Dense(image), exponent, error })
    }

    /// Composes a convolution with the means over `size × size` windows.
    fn pooled(&self, size: usize) -> Option<Self> {
        let Form::Conv2d { weight, channels, axes, mode } = &self.form else { return None };
        let [ay, ax] = *axes;
        let wider = |a: Axis| Some(Axis { kernel: a.kernel + a.stride * (size - 1), stride: a.stride * size, ..a });
        let (wy, wx) = (wider(ay)?, wider(ax)?);
        // The phases of the stride are channels: beyond this the matrices of the torus are not small.
        let phases = wy.stride.checked_mul(wx.stride)?.checked_mul(channels.1)?;
        if size == 0 || phases > 1 << 10 || weight.is_empty() {
            return None;
        }
        let kernels = Normalised::of_slice(weight)?;
        let area = (size * size) as f64;
        let mut pooled = vec![0.0; channels.0 * channels.1 * wy.kernel * wx.kernel];
        for (from, to) in kernels.data.chunks(ay.kernel * ax.kernel).zip(pooled.chunks_mut(wy.kernel * wx.kernel)) {
            for shift in 0..size * size {
                let (dy, dx) = (shift / size * ay.stride, shift % size * ax.stride);
                for (t, w) in from.iter().enumerate() {
                    to[(t / ax.kernel + dy) * wx.kernel + t % ax.kernel + dx] += w / area;
                }
            }
        }
        // The pooled kernel is a mean of shifted ones: its magnitudes have at most their norm of Frobenius.
        let taps = frobenius_factor([wy, wx], *mode);
        let rounding = mul_up(gamma(size * size + 1, U), kernels.frobenius);
        let underflow = mul_up(sqrt_up(pooled.len() as f64), mul_up(area, ETA));
        let error = mul_up(taps, add_up(add_up(rounding, underflow), kernels.lost));
        let inherited = scale_up(self.error, -kernels.exponent);
        let form = Form::Conv2d { weight: pooled, channels: *channels, axes: [wy, wx], mode: *mode };
        Some(Self { form, exponent: self.exponent.checked_add(kernels.exponent)?, error: add_up(error, inherited) })
    }

    /// Composes a convolution with the mean over all of its outputs.
    fn averaged(&self, points: usize) -> Option<Self> {
        let Form::Conv2d { weight, channels, axes, mode } = &self.form else { return None };
        let [ay, ax] = *axes;
        let (outputs, pixels) = (ay.output()? * ax.output()?, ay.input * ax.input);
        let (entries, taps) = (channels.0.checked_mul(channels.1)?.checked_mul(pixels)?, ay.kernel * ax.kernel);
        if outputs != points || entries > LARGEST || entries.checked_mul(taps)? > LONGEST {
            return None;
        }
        let kernels = Normalised::of_slice(weight)?;
        // How often each tap reads each point of an axis.
        let counts = |a: Axis| -> Option<Vec<Vec<f64>>> {
            let mut counts = vec![vec![0.0; a.input]; a.kernel];
            for (t, counts) in counts.iter_mut().enumerate() {
                for i in 0..a.output()? {
                    let x = (i * a.stride + t) as isize - a.padding as isize;
                    let wrapped = if *mode == PaddingMode::Circular { x.rem_euclid(a.input as isize) } else { x };
                    if let Some(count) = usize::try_from(wrapped).ok().and_then(|x| counts.get_mut(x)) {
                        *count += 1.0;
                    }
                }
            }
            Some(counts)
        };
        let (cy, cx) = (counts(ay)?, counts(ax)?);
        let fill = |weight: &dyn Fn(f64) -> f64| {
            Mat::from_fn(channels.0, channels.1 * pixels, |o, column| {
                let (c, y, x) = (column / pixels, column % pixels / ax.input, column % ax.input);
                let kernel = &kernels.data[(o * channels.1 + c) * taps..][..taps];
                let reads = |(t, w): (usize, &f64)| weight(*w) * (cy[t / ax.kernel][y] * cx[t % ax.kernel][x]);
                kernel.iter().enumerate().map(reads).sum::<f64>() / points as f64
            })
        };
        let (image, magnitudes) = (fill(&|w| w), fill(&f64::abs));
        // Counts are exact; a product, the sum and the division are taps + 2 roundings at most.
        let sizes = Normalised::of(&magnitudes)?;
        let size = scale_up(add_up(sizes.frobenius, sizes.lost), sizes.exponent);
        let underflow = mul_up(sqrt_up((image.nrows() * image.ncols()) as f64), mul_up(taps as f64 + 1.0, ETA));
        let rounding = add_up(mul_up(mul_up(2.0, gamma(taps + 2, U)), size), underflow);
        let inherited = scale_up(self.error, -kernels.exponent);
        let lost = mul_up(frobenius_factor(*axes, *mode), kernels.lost);
        let error = add_up(rounding, add_up(inherited, lost));
        Some(Self { form: Form::Dense(image), exponent: self.exponent.checked_add(kernels.exponent)?, error })
    }
}

/// Returns `√(rT)`: a convolution with `T` taps, of which each reads a point at most `r` times, has at most that many times the
/// norm of Frobenius of its weights.
fn frobenius_factor(axes: [Axis; 2], mode: PaddingMode) -> f64 {
    sqrt_up((axes[0].kernel * axes[1].kernel * repeats(axes, mode)) as f64)
}

/// Returns whether `image` is `BA` but for an error of norm `error`, as far as a random vector tells: see
/// `rigor/freivalds.rs`.
fn is_product(image: MatRef<'_, f64>, b: &Normalised, a: &Normalised, error: f64) -> bool {
    let v = probe(image.ncols());
    let times = |m: MatRef<'_, f64>, x: &[f64]| {
        let mut y = vec![0.0; m.nrows()];
        multiply((m, Structure::Full), x, &mut y);
        y
    };
    let expected = times(b.image.as_ref(), &times(a.image.as_ref(), &v));
    // The norm of v is at most √n; what is charged for the product, and the roundings of the three products with vectors.
    let terms = image.ncols() * 2 + b.image.ncols() + 2;
    let size = add_up(mul_up(a.frobenius, b.frobenius), error);
    let underflow = mul_up((terms * terms) as f64, mul_up(4.0 * ETA, add_up(1.0, add_up(size, b.frobenius))));
    let rounding = add_up(mul_up(gamma(terms, U), size), underflow);
    agree(&times(image, &v), &expected, mul_up(sqrt_up(v.len() as f64), add_up(error, rounding)))
}

/// Division by deviations, then another map.
fn divided(std: &[f64], repeat: usize, map: &Linear) -> Option<Piece> {
    let inverse: Vec<f64> = std.iter().map(|s| 1.0 / s).collect();
    if !inverse.iter().all(|s| (1e-100..=1e100).contains(s)) || repeat == 0 {
        return None;
    }
    let held = |form| Some(Piece { form, exponent: 0, error: 0.0 });
    // An inverse and a product: two roundings, what underflows, and what scaling lost before and after.
    let error = |first: &Normalised, computed: &Normalised| {
        let rounding = mul_up(gamma(4, U), add_up(computed.frobenius, computed.lost));
        let before = add_up(mul_up(first.lost, 2e100), mul_up(sqrt_up(first.data.len() as f64), ETA));
        add_up(add_up(rounding, computed.lost), scale_up(before, -computed.exponent))
    };
    match map {
        Linear::Dense(w) => {
            if w.ncols() != std.len().checked_mul(repeat)? {
                return None;
            }
            let first = Normalised::of(w)?;
            let scaled = Mat::from_fn(w.nrows(), w.ncols(), |i, j| first.image[(i, j)] * inverse[j / repeat]);
            let computed = Normalised::of(&scaled)?;
            let error = error(&first, &computed);
            let exponent = first.exponent.checked_add(computed.exponent)?;
            Some(Piece { form: Form::Dense(computed.image), exponent, error })
        }
        Linear::Conv2d { weight, channels, axes, mode } => {
            let taps = axes[0].kernel * axes[1].kernel;
            if channels.1 != std.len() || repeat != axes[0].input * axes[1].input {
                return None;
            }
            let first = Normalised::of_slice(weight)?;
            let scale = |(i, w): (usize, &f64)| w * inverse[i / taps % channels.1];
            let scaled: Vec<f64> = first.data.iter().enumerate().map(scale).collect();
            let computed = Normalised::of_slice(&scaled)?;
            let error = mul_up(frobenius_factor(*axes, *mode), error(&first, &computed));
            let exponent = first.exponent.checked_add(computed.exponent)?;
            let form = Form::Conv2d { weight: computed.data, channels: *channels, axes: *axes, mode: *mode };
            Some(Piece { form, exponent, error })
        }
        Linear::SpaceToDepth { block } => {
            let area = block.checked_mul(*block).filter(|a| *a > 0 && repeat.is_multiple_of(*a))?;
            let std = std.iter().flat_map(|&s| std::iter::repeat_n(s, area)).collect();
            held(Form::Divide { std, repeat: repeat / area })
        }
        // Zeros may be divided by anything; by the smallest deviation nothing is lost.
        Linear::PadChannels { added } => {
            let smallest = std.iter().copied().fold(f64::INFINITY, f64::min);
            let std = std.iter().copied().chain(std::iter::repeat_n(smallest, *added)).collect();
            held(Form::Divide { std, repeat })
        }
        _ => None,
    }
}

/// Numbers divided by `2ᵉ` so that the largest lies in `[1, 2)`.
struct Normalised {
    image: Mat<f64>,
    data: Vec<f64>,
    exponent: i32,
    /// A bound of the norm of Frobenius of what is held.
    frobenius: f64,
    /// The same of what the division rounded away.
    lost: f64,
}

impl Normalised {
    fn of(w: &Mat<f64>) -> Option<Self> {
        let flat: Vec<f64> = (0..w.ncols()).flat_map(|j| (0..w.nrows()).map(move |i| w[(i, j)])).collect();
        let mut held = Self::of_slice(&flat)?;
        held.image = Mat::from_fn(w.nrows(), w.ncols(), |i, j| held.data[j * w.nrows() + i]);
        Some(held)
    }

    /// None for numbers that are all zero or not all finite.
    fn of_slice(w: &[f64]) -> Option<Self> {
        let largest = w.iter().fold(0.0, |a: f64, x| if x.is_finite() { a.max(x.abs()) } else { f64::INFINITY });
        if largest == 0.0 || !largest.is_finite() {
            return None;
        }
        let exponent = exponent(largest);
        let data: Vec<f64> = w.iter().map(|x| libm::scalbn(*x, -exponent)).collect();
        let lost = mul_up(sqrt_up(w.len() as f64), ETA);
        Some(Self { image: Mat::new(), frobenius: norm_up(&data), data, exponent, lost })
    }
}

/// Returns the norm `1/√n` of a mean over `n` numbers.
fn mean(points: usize) -> Upper {
    Upper::proved(div_up(1.0, sqrt_down(points.max(1) as f64)))
}

#[cfg(test)]
mod tests;
