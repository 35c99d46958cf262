//! The norm of an operator from below, and Gaussian convolutions to ask it for.

use dahlquist::{
    operator::{Conv2d, Geometry, Operator},
    rigor::torus::PaddingMode,
    tensor::{Batch, Shape},
};
use faer::{Mat, Side};
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

/// The square root of the largest Ritz value of `WᵀW` after so many steps of Lanczos' method: but for rounding errors
/// of some 1e-14, the value of `‖Wx‖/‖x‖` for some `x`, so a lower bound of the norm.
pub fn from_below(w: &dyn Operator<f64>, steps: usize, seed: u64) -> f64 {
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
    tridiagonal.self_adjoint_eigenvalues(Side::Lower).unwrap()[steps - 1].sqrt()
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
