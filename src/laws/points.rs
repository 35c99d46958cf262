//! Where a claim is tested: pairs of points that are close, far apart, and along the direction that is stretched most.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::{
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// How many pairs one law looks at in one case.
pub(super) const PAIRS: usize = 12;

pub(super) fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Normal numbers times a power of two for each sample, so that all magnitudes are met.
pub(super) fn points<T: Scalar>(shape: Shape, samples: usize, rng: &mut impl Rng) -> Batch<T> {
    let mut data = Vec::with_capacity(samples * shape.len());
    for _ in 0..samples {
        // Mostly of about the size of an input, now and then of about any size.
        let wide = rng.random_bool(0.1);
        let exponent = if wide { rng.random_range(-60..=60) } else { rng.random_range(-4..=4) };
        let scale = 2f64.powi(exponent);
        data.extend((0..shape.len()).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))));
    }
    Batch::computed(shape, samples, data)
}

/// Directions, each about as long as the point that it starts from.
pub(super) fn directions(x: &Batch<f64>, rng: &mut impl Rng) -> Batch<f64> {
    let mut v = Batch::zeros(x.shape(), x.samples());
    for s in 0..x.samples() {
        let scale = norm(x.sample(s)).max(f64::MIN_POSITIVE) / (x.shape().len() as f64).sqrt();
        v.sample_mut(s).iter_mut().for_each(|v| *v = scale * rng.sample::<f64, _>(StandardNormal));
    }
    v
}

/// [`PAIRS`] pairs; `stretch` maps directions `v` at points `x` to `JᵀJv`.
pub(super) fn pairs<T: Scalar>(
    shape: Shape,
    rng: &mut impl Rng,
    stretch: impl Fn(&Batch<f64>, Batch<f64>) -> Batch<f64>,
) -> [Batch<T>; 2] {
    let x: Batch<T> = points(shape, PAIRS, rng);
    let centres: Batch<f64> = x.cast();
    let random = directions(&centres, rng);
    let worst = (0..24).fold(random.clone(), |v, _| rescaled(stretch(&centres, v), &random));
    let mut other = x.clone();
    for s in 0..PAIRS {
        let length = 2f64.powi([0, -10, 8, -1, -30, 2][s % 6]);
        let direction = if s % 2 == 0 { random.sample(s) } else { worst.sample(s) };
        for (y, v) in other.sample_mut(s).iter_mut().zip(direction) {
            let moved = T::of(y.wide() + length * v);
            if moved.wide().is_finite() {
                *y = moved;
            }
        }
    }
    [x, other]
}

/// Returns the directions of `v` with the lengths of `like`; a direction that is lost is replaced.
fn rescaled(mut v: Batch<f64>, like: &Batch<f64>) -> Batch<f64> {
    for s in 0..v.samples() {
        let factor = norm(like.sample(s)) / norm(v.sample(s));
        if factor.is_finite() && factor > 0.0 && v.sample(s).iter().all(|v| (v * factor).is_finite()) {
            v.sample_mut(s).iter_mut().for_each(|v| *v *= factor);
        } else {
            v.sample_mut(s).copy_from_slice(like.sample(s));
        }
    }
    v
}

/// Returns a Euclidean norm as an estimate, for choosing points and comparing derivatives.
pub(super) fn norm(x: &[f64]) -> f64 {
    let largest = x.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * x.iter().map(|x| (x / largest).powi(2)).sum::<f64>().sqrt()
}

/// Returns `⟨x, y⟩` in `f64`.
pub(super) fn dot<T: Scalar>(x: &[T], y: &[T]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x.wide() * y.wide()).sum()
}
