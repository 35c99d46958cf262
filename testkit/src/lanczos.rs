//! Vectors that convolutions stretch nearly most, and how far exactly; Gaussian convolutions to ask it of.
//!
//! The vector comes from floating-point arithmetic and is rounded to integers. What the convolution makes of *that* vector is
//! computed in integers, so a bound of the norm is decided against it without a tolerance.

use dahlquist::{
    model::{self, Linear, Pair},
    operator::{Conv2d, Geometry, Operator},
    rigor::torus::{Axis, Convolution, PaddingMode, Torus},
    tensor::{Batch, Shape},
};
use faer::{Mat, Side};
use num_bigint::BigInt;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A convolution with standard normal weights.
pub fn gaussian(geometry: Geometry, seed: u64) -> Conv2d<f64> {
    let channels = geometry.input.as_image("a test").unwrap().0;
    let weights = geometry.outputs * channels * geometry.kernel.0 * geometry.kernel.1;
    let rng = ChaCha8Rng::seed_from_u64(seed);
    Conv2d::new(geometry, rng.sample_iter(StandardNormal).take(weights).collect()).unwrap()
}

/// A zero-padded 3×3 convolution of `channels` channels to as many, of square images.
pub fn same(channels: usize, size: usize) -> Geometry {
    let input = Shape::image(channels, size, size);
    Geometry { input, outputs: channels, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros }
}

/// A vector of integers that an operator stretches nearly most: the Ritz vector of `WᵀW` after at most `steps` steps of
/// Lanczos' method.
pub fn top(w: &dyn Operator<f64>, steps: usize, seed: u64) -> Vec<i64> {
    let shape = w.input();
    let steps = steps.min(shape.len());
    let rng = ChaCha8Rng::seed_from_u64(seed ^ 0x5eed);
    let mut next: Vec<f64> = rng.sample_iter(StandardNormal).take(shape.len()).collect();
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let mut tridiagonal: Mat<f64> = Mat::zeros(steps, steps);
    for k in 0..steps {
        let norm = dot(&next, &next).sqrt();
        next.iter_mut().for_each(|x| *x /= norm);
        if k > 0 {
            (tridiagonal[(k, k - 1)], tridiagonal[(k - 1, k)]) = (norm, norm);
        }
        let x = Batch::new(shape, next).unwrap();
        let (mut y, mut image) = (Batch::zeros(w.output(), 1), Batch::zeros(shape, 1));
        w.apply(&x, &mut y);
        w.adjoint(&y, &mut image);
        let mut image = image.data().to_vec();
        basis.push(x.data().to_vec());
        tridiagonal[(k, k)] = dot(&basis[k], &image);
        for v in basis.iter().chain(&basis) {
            let along = dot(v, &image);
            image.iter_mut().zip(v).for_each(|(x, v)| *x -= along * v);
        }
        next = image;
    }
    let eigen = tridiagonal.self_adjoint_eigen(Side::Lower).unwrap();
    let weights = eigen.U().col(steps - 1);
    let combine = |i: usize| basis.iter().zip(weights.iter()).map(|(v, weight)| v[i] * weight).sum();
    to_integers(&(0..shape.len()).map(combine).collect::<Vec<f64>>())
}

/// The direction of a vector in integers of up to 30 bits.
pub fn to_integers(x: &[f64]) -> Vec<i64> {
    let largest = x.iter().fold(0.0f64, |a, x| a.max(x.abs()));
    x.iter().map(|x| (x / largest * f64::from(1 << 30)).round() as i64).collect()
}

/// The norm of an operator, about, and not above it but for rounding: for tests of how tight a bound is, and no others.
pub fn estimate(w: &dyn Operator<f64>, x: &[i64]) -> f64 {
    let x: Vec<f64> = x.iter().map(|&x| x as f64).collect();
    let mut y = Batch::zeros(w.output(), 1);
    w.apply(&Batch::new(w.input(), x.clone()).unwrap(), &mut y);
    (dot(y.data(), y.data()) / dot(&x, &x)).sqrt()
}

/// Whether `‖Wx‖ ≤ bound·‖x‖`, decided in integers.
pub fn stands(conv: &Conv2d<f64>, bound: f64, x: &[i64]) -> bool {
    let (weights, exponent) = integers(conv.weight());
    let image = match narrow(&weights) {
        Some(weights) => widen(image(conv, &weights, x)),
        None => image(conv, &weights, x),
    };
    is_at_most(&image, exponent, bound, x)
}

fn image<N: Integer>(conv: &Conv2d<f64>, weights: &[N], x: &[i64]) -> Vec<N> {
    let Linear::Conv2d(model::Conv2d { weight, stride, padding, padding_mode, .. }) = conv.describe() else { panic!() };
    let &[outputs, _, ky, kx] = weight.shape() else { panic!("a convolution has four axes") };
    let (kernel, [stride, _]) = ((ky, kx), stride.0);
    let [padding, _] = padding.sides([ky, kx], Pair::one()).unwrap();
    let (channels, height, width) = conv.input().as_image("a test").unwrap();
    let (_, rows, columns) = conv.output().as_image("a test").unwrap();
    let place = |i: usize, tap: usize, n: usize| {
        let at = (i * stride + tap) as isize - padding as isize;
        match padding_mode {
            PaddingMode::Zeros => usize::try_from(at).ok().filter(|at| *at < n),
            PaddingMode::Circular => Some(at.rem_euclid(n as isize) as usize),
        }
    };
    let mut image = Vec::new();
    for (o, i, j) in (0..outputs).flat_map(|o| (0..rows).flat_map(move |i| (0..columns).map(move |j| (o, i, j)))) {
        let mut sum = N::default();
        for (c, a) in (0..channels).flat_map(|c| (0..kernel.0).map(move |a| (c, a))) {
            let Some(row) = place(i, a, height) else { continue };
            for b in 0..kernel.1 {
                let Some(column) = place(j, b, width) else { continue };
                let weight = &weights[((o * channels + c) * kernel.0 + a) * kernel.1 + b];
                sum += weight.clone() * N::from(x[(c * height + row) * width + column]);
            }
        }
        image.push(sum);
    }
    image
}

/// Whether `bound` is at least what the convolution on a torus makes of `x`, in integers: channel by channel, phase by phase
/// of the stride, point by point.
pub fn stands_on(conv: &Convolution<'_>, torus: Torus, bound: f64, x: &[i64]) -> bool {
    let (weights, exponent) = integers(conv.weight);
    let image = match narrow(&weights) {
        Some(weights) => widen(image_on(conv, torus, &weights, x)),
        None => image_on(conv, torus, &weights, x),
    };
    is_at_most(&image, exponent, bound, x)
}

fn image_on<N: Integer>(conv: &Convolution<'_>, torus: Torus, weights: &[N], x: &[i64]) -> Vec<N> {
    let ((outputs, channels), [ay, ax]) = (conv.channels, conv.axes);
    let [height, width] = torus.points;
    // Where a tap reads from point `i`, and with which sign.
    let place = |axis: Axis, which: usize, i: usize, tap: usize| {
        let (n, at) = (torus.points[which], i + tap / axis.stride);
        (at % n, if torus.twisted[which] && at / n % 2 == 1 { -1 } else { 1 })
    };
    let mut image = vec![N::default(); outputs * height * width];
    for (at, sum) in image.iter_mut().enumerate() {
        let (o, i, j) = (at / (height * width), at / width % height, at % width);
        for (c, a) in (0..channels).flat_map(|c| (0..ay.kernel).map(move |a| (c, a))) {
            let (row, sign) = place(ay, 0, i, a);
            for b in 0..ax.kernel {
                let (column, other) = place(ax, 1, j, b);
                let phase = a % ay.stride * ax.stride + b % ax.stride;
                let from = ((c * ay.stride * ax.stride + phase) * height + row) * width + column;
                let weight = &weights[((o * channels + c) * ay.kernel + a) * ax.kernel + b];
                *sum += weight.clone() * N::from(sign * other * x[from]);
            }
        }
    }
    image
}

/// Whether `2ᵉ·‖y‖ ≤ bound·‖x‖`.
fn is_at_most(y: &[BigInt], exponent: i32, bound: f64, x: &[i64]) -> bool {
    if bound == f64::INFINITY {
        return true;
    }
    let squares = |x: &[BigInt]| x.iter().map(|x| x * x).sum::<BigInt>();
    let (moved, apart) = (squares(y), squares(&x.iter().map(|&x| x.into()).collect::<Vec<BigInt>>()));
    let (bound, of_bound) = integers(&[bound]);
    let allowed = apart * &bound[0] * &bound[0];
    let shift = 2 * (exponent - of_bound);
    if shift >= 0 { moved << shift <= allowed } else { moved <= allowed << -shift }
}

/// Integers of one kind.
trait Integer: Clone + Default + From<i64> + std::ops::Mul<Output = Self> + std::ops::AddAssign {}

impl Integer for i128 {}

impl Integer for BigInt {}

/// The same numbers in a machine's integers, which are much faster, if the sums of products have room: with 30 bits of `x`
/// and 2¹³ terms there is room for 84 bits.
fn narrow(weights: &[BigInt]) -> Option<Vec<i128>> {
    weights.iter().map(|w| if w.bits() <= 83 { i128::try_from(w).ok() } else { None }).collect()
}

fn widen(sums: Vec<i128>) -> Vec<BigInt> {
    sums.into_iter().map(BigInt::from).collect()
}

/// Integers `n` and an exponent with `w = n·2ᵉ`.
fn integers(w: &[f64]) -> (Vec<BigInt>, i32) {
    let parts = |w: f64| {
        assert!(w.is_finite());
        let (field, fraction) = ((w.abs().to_bits() >> 52) as i32, (w.to_bits() & ((1 << 52) - 1)) as i64);
        let (n, e) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
        let zeros = if n == 0 { 0 } else { n.trailing_zeros() as i32 };
        ((n >> zeros) * if w < 0.0 { -1 } else { 1 }, e + zeros)
    };
    let least = w.iter().filter(|w| **w != 0.0).map(|&w| parts(w).1).min().unwrap_or(0);
    let shifted = |&w: &f64| {
        let (n, e) = parts(w);
        BigInt::from(n) << if n == 0 { 0 } else { e - least }
    };
    (w.iter().map(shifted).collect(), least)
}

/// The matrix of an operator, column by column.
pub fn matrix(w: &dyn Operator<f64>) -> Mat<f64> {
    let (n, m) = (w.input().len(), w.output().len());
    let mut identity = vec![0.0; n * n];
    (0..n).for_each(|i| identity[i * n + i] = 1.0);
    let mut columns = Batch::zeros(w.output(), n);
    w.apply(&Batch::new(w.input(), identity).unwrap(), &mut columns);
    Mat::from_fn(m, n, |i, j| columns.sample(j)[i])
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
