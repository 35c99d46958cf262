//! Linear systems, by a Krylov method that needs nothing but products with the matrix: for each sample its own.

use crate::{rigor::directed::norm_up, scalar::Scalar, tensor::Batch};

/// One batch for each stage of a block.
pub(crate) type Block<T> = Vec<Batch<T>>;

/// The most products with the matrix in one solve.
const MOST_PRODUCTS: usize = 60;
/// An image is a new direction if its part orthogonal to the known ones is larger than this many units of its rounding.
const NEW: f64 = 1024.0;
/// The most of them in a row that gain nothing.
const MOST_STALLED: usize = 3;

/// Solves `Mx = b` until for each sample the residual has about the norm `target`, or the search makes no more progress.
///
/// It is the method of generalized conjugate residuals (Eisenstat, Elman, Schultz, SIAM J. Numer. Anal. 20, 1983): the
/// least residual over a Krylov space, for matrices whose symmetric part is definite. How good the solution is decides nothing:
/// whoever needs that looks at a residual.
pub(crate) fn solve<T: Scalar>(matrix: impl Fn(&[Batch<T>]) -> Block<T>, b: &[Batch<T>], target: &[f64]) -> Block<T> {
    let samples = target.len();
    let mut x: Block<T> = b.iter().map(|b| Batch::zeros(b.shape(), samples)).collect();
    let mut left = b.to_vec();
    let mut known: Vec<[Block<T>; 2]> = Vec::new();
    let (mut sizes, mut stalled) = (norms(&left), 0);
    for _ in 0..MOST_PRODUCTS {
        // What is NaN or infinite is not worked on.
        let open: Vec<bool> = (0..samples).map(|s| sizes[s] > target[s] && sizes[s].is_finite()).collect();
        if !open.contains(&true) {
            break;
        }
        // Where the residual does not shrink, the last image leads on.
        let mut direction = if stalled == 0 { left.clone() } else { known.last().map_or(&left, |[_, q]| q).clone() };
        let mut image = matrix(&direction);
        let whole = norms(&image);
        // Twice, so that rounding does not spoil what is orthogonal.
        for [p, q] in known.iter().chain(&known) {
            let along: Vec<f64> = (0..samples).map(|s| -dot(&image, q, s)).collect();
            add(&mut image, &along, q);
            add(&mut direction, &along, p);
        }
        // What rounding has left of an image that lies among the known ones is no direction.
        let new = |(&n, &whole): (&f64, &f64)| n > NEW * T::UNIT_ROUNDOFF * whole && (1.0 / n).is_finite();
        let scale = |pair: (&f64, &f64)| if new(pair) { 1.0 / pair.0 } else { 0.0 };
        let scale: Vec<f64> = norms(&image).iter().zip(&whole).map(scale).collect();
        scale_by(&mut image, &scale);
        scale_by(&mut direction, &scale);
        let step: Vec<f64> = (0..samples).map(|s| if open[s] { dot(&left, &image, s) } else { 0.0 }).collect();
        let step: Vec<f64> = step.iter().map(|&a| if a.is_finite() { a } else { 0.0 }).collect();
        add(&mut x, &step, &direction);
        let back: Vec<f64> = step.iter().map(|a| -a).collect();
        add(&mut left, &back, &image);
        let now = norms(&left);
        let progress = (0..samples).any(|s| open[s] && now[s] < sizes[s] * (1.0 - 1e-3));
        stalled = if progress { 0 } else { stalled + 1 };
        sizes = now;
        if stalled > MOST_STALLED {
            break;
        }
        known.push([direction, image]);
    }
    x
}

/// For each sample, an upper bound of the norm over all stages; infinite if it holds a NaN.
pub(crate) fn norms<T: Scalar>(x: &[Batch<T>]) -> Vec<f64> {
    let stages: Vec<Vec<f64>> = x.iter().map(Batch::norms_up).collect();
    let samples = x.first().map_or(0, Batch::samples);
    (0..samples).map(|s| norm_up(&stages.iter().map(|norms| norms[s]).collect::<Vec<f64>>())).collect()
}

/// As [`solve`], to what rounding leaves of a residual: derivatives are this sharp.
pub(crate) fn solve_sharply<T: Scalar>(matrix: impl Fn(&[Batch<T>]) -> Block<T>, b: &[Batch<T>]) -> Block<T> {
    let targets: Vec<f64> = norms(b).into_iter().map(|norm| 4.0 * T::UNIT_ROUNDOFF * norm).collect();
    solve(matrix, b, &targets)
}

/// Returns `⟨x, y⟩` of sample `s`.
fn dot<T: Scalar>(x: &[Batch<T>], y: &[Batch<T>], s: usize) -> f64 {
    let each = |(x, y): (&Batch<T>, &Batch<T>)| -> f64 {
        x.sample(s).iter().zip(y.sample(s)).map(|(x, y)| x.wide() * y.wide()).sum()
    };
    x.iter().zip(y).map(each).sum()
}

/// `x ← x + aₛy`, sample by sample.
pub(crate) fn add<T: Scalar>(x: &mut [Batch<T>], a: &[f64], y: &[Batch<T>]) {
    for (x, y) in x.iter_mut().zip(y) {
        for (s, &a) in a.iter().enumerate().filter(|(_, a)| **a != 0.0) {
            let a = T::of(a);
            x.sample_mut(s).iter_mut().zip(y.sample(s)).for_each(|(x, &y)| *x += a * y);
        }
    }
}

fn scale_by<T: Scalar>(x: &mut [Batch<T>], a: &[f64]) {
    for x in x {
        a.iter().enumerate().for_each(|(s, &a)| x.sample_mut(s).iter_mut().for_each(|x| *x *= T::of(a)));
    }
}
