//! Proposals for proofs: estimates of the largest eigenvalue. Nothing here is trusted, and nothing proved rests on it.

use faer::Mat;

use crate::scalar::eigenvalue_estimates;

/// Returns the largest eigenvalue of a symmetric `n × n` matrix that is given by its products with vectors, from below.
///
/// Lanczos' method with full reorthogonalisation, until ten more steps change the value by less than `tolerance`,
/// relatively.
pub(super) fn largest_eigenvalue(n: usize, tolerance: f64, mut apply: impl FnMut(&[f64]) -> Vec<f64>) -> f64 {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    let (mut diagonal, mut beside): (Vec<f64>, Vec<f64>) = Default::default();
    let mut next = noise(n);
    let mut value = 0.0;
    while basis.len() < n.min(STEPS) {
        let norm = dot(&next, &next).sqrt();
        if norm.is_nan() || norm <= value * f64::EPSILON || norm < f64::MIN_POSITIVE {
            // The space is invariant.
            return ritz(&diagonal, &beside);
        }
        if !basis.is_empty() {
            beside.push(norm);
        }
        next.iter_mut().for_each(|x| *x /= norm);
        let mut image = apply(&next);
        diagonal.push(dot(&next, &image));
        basis.push(next);
        for _ in 0..2 {
            for v in &basis {
                let along = dot(v, &image);
                image.iter_mut().zip(v).for_each(|(x, &v)| *x -= along * v);
            }
        }
        next = image;
        if basis.len().is_multiple_of(INTERVAL) {
            let better = ritz(&diagonal, &beside);
            if better - value <= tolerance * better {
                return better;
            }
            value = better;
        }
    }
    ritz(&diagonal, &beside)
}

/// The largest number of steps.
const STEPS: usize = 300;
/// The number of steps between two looks at the value.
const INTERVAL: usize = 10;

/// Returns the largest eigenvalue of a tridiagonal matrix.
fn ritz(diagonal: &[f64], beside: &[f64]) -> f64 {
    let entry = |i: usize, j: usize| match i.abs_diff(j) {
        0 => diagonal[i],
        1 => beside[i.min(j)],
        _ => 0.0,
    };
    let tridiagonal = Mat::from_fn(diagonal.len(), diagonal.len(), entry);
    eigenvalue_estimates(tridiagonal.as_ref()).and_then(|e| e.last().copied()).unwrap_or(0.0).max(0.0)
}

/// Returns a scalar product in an order that vector units like.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let ((xs, x), (ys, y)) = (x.as_chunks::<8>(), y.as_chunks::<8>());
    let mut sums = [0.0; 8];
    for (x, y) in xs.iter().zip(ys) {
        for ((sum, x), y) in sums.iter_mut().zip(x).zip(y) {
            *sum += x * y;
        }
    }
    sums.iter().sum::<f64>() + x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>()
}

/// Numbers in `[−1, 1)` without structure, the same for every run: SplitMix64.
pub(super) fn noise(n: usize) -> Vec<f64> {
    let mix = |i: u64| {
        let z = i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) as i64) as f64 / (1u64 << 63) as f64
    };
    (1..=n as u64).map(mix).collect()
}
