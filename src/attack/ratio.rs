//! The search for two inputs that a map takes further apart than its certificate allows.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::part::Part;
use crate::{
    certificate::Certificate,
    error::Result,
    rigor::{
        Lower, Rounding,
        directed::{U, add_up, div_down, div_up, mul_down, mul_up, norm_down, norm_up, sub_down},
    },
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// Iterations of the power method on `JᵀJ` that a round starts with.
const POWER_STEPS: usize = 8;
/// Steps of the ascent that follows.
pub(super) const ASCENT_STEPS: usize = 12;

/// Two inputs and what is known about the ratio of their distances.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) x: Vec<f64>,
    pub(super) y: Vec<f64>,
    /// `‖f(x) − f(y)‖/‖x − y‖` as computed.
    pub(super) estimate: f64,
    /// A lower bound of the exact ratio, if the layers declare their rounding errors.
    pub(super) lower: Option<Lower>,
}

/// The ascent of one batch of pairs.
struct Ascent<'a> {
    part: &'a Part<'a, f64>,
    rng: &'a mut ChaCha8Rng,
    x: Batch<f64>,
    y: Batch<f64>,
    /// `J(x)ᵀ(f(y) − f(x))` and `J(y)ᵀ(f(y) − f(x))`.
    gx: Batch<f64>,
    gy: Batch<f64>,
    ratio: Vec<f64>,
    /// How far a proposal goes, in `(0, 1]`.
    step: Vec<f64>,
}

/// Returns one round from the points in `x`: power iteration on `JᵀJ`, then ascent of `‖f(x) − f(y)‖/‖x − y‖` over
/// pairs.
///
/// Along the difference `d = y − x` an ascent step is one of the power method, `d ∝ (J(x) + J(y))ᵀ(f(y) − f(x))`; the
/// centre follows the gradient `(J(y) − J(x))ᵀ(f(y) − f(x))`, and chance where that vanishes, as it does within a linear
/// piece. What does not increase the ratio is dropped.
pub(super) fn round(part: &Part<'_, f64>, x: Batch<f64>, rng: &mut ChaCha8Rng) -> (Batch<f64>, Batch<f64>, Vec<f64>) {
    let samples = x.samples();
    let mut v = gaussian(rng, x.shape(), samples);
    let (_, tapes) = part.record(x.clone());
    for _ in 0..POWER_STEPS {
        normalise(&mut v);
        let w = part.vjp(&tapes, part.jvp(&tapes, v.clone()));
        // A direction that the map forgets stays as it is.
        for s in 0..samples {
            if norm(w.sample(s)) > 0.0 && norm(w.sample(s)).is_finite() {
                v.sample_mut(s).copy_from_slice(w.sample(s));
            }
        }
    }
    drop(tapes);
    normalise(&mut v);
    let mut y = x.clone();
    for s in 0..samples {
        let size = norm(x.sample(s));
        let distance = libm::exp2(rng.random_range(-20.0..=1.0)) * if size > 0.0 { size } else { 1.0 };
        y.sample_mut(s).iter_mut().zip(v.sample(s)).for_each(|(y, v)| *y += distance * v);
    }
    let zeros = Batch::zeros(x.shape(), samples);
    let (ratio, step) = (vec![f64::NEG_INFINITY; samples], vec![1.0; samples]);
    let mut ascent = Ascent { part, rng, x: x.clone(), y: y.clone(), gx: zeros.clone(), gy: zeros, ratio, step };
    ascent.accept(x, y);
    for _ in 0..ASCENT_STEPS {
        let (x, y) = ascent.propose();
        ascent.accept(x, y);
    }
    (ascent.x, ascent.y, ascent.ratio)
}

impl Ascent<'_> {
    fn propose(&mut self) -> (Batch<f64>, Batch<f64>) {
        let (mut x, mut y) = (self.x.clone(), self.y.clone());
        let mut chance = gaussian(self.rng, x.shape(), x.samples());
        normalise(&mut chance);
        for s in 0..x.samples() {
            let (x, y, step) = (x.sample_mut(s), y.sample_mut(s), self.step[s]);
            let (gx, gy, chance) = (self.gx.sample(s), self.gy.sample(s), chance.sample(s));
            let difference: Vec<f64> = y.iter().zip(&*x).map(|(y, x)| y - x).collect();
            let sum: Vec<f64> = gx.iter().zip(gy).map(|(a, b)| a + b).collect();
            let across: Vec<f64> = gy.iter().zip(gx).map(|(b, a)| b - a).collect();
            let (distance, sum_norm, across_norm) = (norm(&difference), norm(&sum), norm(&across));
            let bent = across_norm > 1e-9 * sum_norm;
            let length = distance * libm::exp2(self.rng.random_range(-1.0..=0.5) * (1.0 - step));
            let along: Vec<f64> = (0..x.len())
                .map(|i| {
                    (1.0 - step) * difference[i] / distance
                        + step * if sum_norm > 0.0 { sum[i] / sum_norm } else { 0.0 }
                })
                .collect();
            let along_norm = norm(&along);
            for i in 0..x.len() {
                let random = self.rng.random::<f64>().min(1.0);
                let drift = if bent { across[i] / across_norm + 0.3 * random * chance[i] } else { chance[i] };
                let centre = 0.5 * (x[i] + y[i]) + step * distance * drift;
                let half = 0.5 * length * along[i] / along_norm;
                (x[i], y[i]) = (centre - half, centre + half);
            }
        }
        (x, y)
    }

    fn accept(&mut self, x: Batch<f64>, y: Batch<f64>) {
        let (fx, tx) = self.part.record(x.clone());
        let (fy, ty) = self.part.record(y.clone());
        let mut r = fy;
        r.axpy(-1.0, &fx);
        let (gx, gy) = (self.part.vjp(&tx, r.clone()), self.part.vjp(&ty, r.clone()));
        for s in 0..x.samples() {
            let difference: Vec<f64> = y.sample(s).iter().zip(x.sample(s)).map(|(y, x)| y - x).collect();
            let ratio = norm(r.sample(s)) / norm(&difference);
            if ratio.is_finite() && ratio > self.ratio[s] {
                self.ratio[s] = ratio;
                self.step[s] = (1.5 * self.step[s]).min(1.0);
                let from = [(&x, &mut self.x), (&y, &mut self.y), (&gx, &mut self.gx), (&gy, &mut self.gy)];
                from.into_iter().for_each(|(from, to)| to.sample_mut(s).copy_from_slice(from.sample(s)));
            } else {
                self.step[s] *= 0.5;
            }
        }
    }
}

/// Returns what can be said for certain about the pair with the largest lower bound, or the largest estimate where
/// there is none.
pub(super) fn best(
    part: &Part<'_, f64>,
    certificate: &Certificate,
    x: &Batch<f64>,
    y: &Batch<f64>,
    ratio: &[f64],
) -> Result<Option<Pair>> {
    let lower = lower_bounds(part, certificate, x, y)?;
    let value = |s: usize| lower.as_ref().map_or(ratio[s], |lower| lower[s]);
    let largest =
        (0..ratio.len()).filter(|&s| ratio[s].is_finite()).reduce(|a, b| if value(b) > value(a) { b } else { a });
    Ok(largest.map(|s| Pair {
        x: x.sample(s).to_vec(),
        y: y.sample(s).to_vec(),
        estimate: ratio[s],
        lower: lower.as_ref().map(|lower| Lower::proved(lower[s])),
    }))
}

/// Returns `(‖f̂(x) − f̂(y)‖ − E(x) − E(y))/‖x − y‖`, rounded down: never above the exact ratio.
fn lower_bounds(
    part: &Part<'_, f64>,
    certificate: &Certificate,
    x: &Batch<f64>,
    y: &Batch<f64>,
) -> Result<Option<Vec<f64>>> {
    let rounding = Rounding::of::<f64>();
    let still = vec![0.0; x.samples()];
    let (fx, tx) = part.record(x.clone());
    let Some(ex) = part.error(&rounding, certificate, &tx, &still)? else { return Ok(None) };
    drop(tx);
    let (fy, ty) = part.record(y.clone());
    let Some(ey) = part.error(&rounding, certificate, &ty, &still)? else { return Ok(None) };
    let bound = |s: usize| {
        let moved = distance_down(fx.sample(s), fy.sample(s));
        div_down(sub_down(moved, add_up(ex[s], ey[s])), distance_up(x.sample(s), y.sample(s)))
    };
    Ok(Some((0..x.samples()).map(bound).collect()))
}

/// Returns how much of the rounding error that the layers declare over balls was observed: the largest
/// `observed/declared` over the pairs, the ball of each being around `x` and through `y`; none if a layer declares
/// nothing. Above 1 it refutes.
pub(super) fn rounding_observed<T: Scalar>(
    part: &Part<'_, T>,
    wide: &Part<'_, f64>,
    certificate: &Certificate,
    x: &Batch<f64>,
    y: &Batch<f64>,
) -> Result<Option<f64>> {
    let (x, y): (Batch<T>, Batch<T>) = (x.cast(), y.cast());
    let (xw, yw): (Batch<f64>, Batch<f64>) = (x.cast(), y.cast());
    let reach: Vec<f64> = (0..x.samples()).map(|s| distance_up(xw.sample(s), yw.sample(s))).collect();
    let fx = part.forward(x);
    let (_, tape) = wide.record(xw.clone());
    let own = Rounding::of::<T>();
    let Some(declared) = part.error(&own, certificate, &tape, &reach)? else { return Ok(None) };
    drop(tape);
    let fy = part.forward(y);
    let reference = Rounding::of::<f64>();
    let still = vec![0.0; xw.samples()];
    let mut worst = 0.0f64;
    for (input, executed) in [(xw, fx), (yw, fy)] {
        let (exact, tape) = wide.record(input);
        let Some(error) = wide.error(&reference, certificate, &tape, &still)? else { return Ok(None) };
        let executed: Batch<f64> = executed.cast();
        for s in 0..executed.samples() {
            if !declared[s].is_finite() {
                continue;
            }
            let observed = sub_down(distance_down(executed.sample(s), exact.sample(s)), error[s]);
            if observed > 0.0 {
                worst = worst.max(div_up(observed, declared[s]));
            }
        }
    }
    Ok(Some(worst))
}

/// Returns a lower bound of `‖y − x‖`: 0 if an entry is not finite.
fn distance_down(x: &[f64], y: &[f64]) -> f64 {
    let difference: Vec<f64> = y.iter().zip(x).map(|(y, x)| y - x).collect();
    mul_down(norm_down(&difference), 1.0 - 4.0 * U)
}

/// Returns an upper bound of `‖y − x‖`.
fn distance_up(x: &[f64], y: &[f64]) -> f64 {
    let difference: Vec<f64> = y.iter().zip(x).map(|(y, x)| y - x).collect();
    mul_up(norm_up(&difference), 1.0 + 4.0 * U)
}

/// Returns the norm, scaled so that no square overflows or underflows; infinite for a NaN.
pub(super) fn norm(x: &[f64]) -> f64 {
    norm_up(x)
}

fn normalise(v: &mut Batch<f64>) {
    for s in 0..v.samples() {
        let size = norm(v.sample(s));
        if size > 0.0 && size.is_finite() {
            v.sample_mut(s).iter_mut().for_each(|v| *v /= size);
        }
    }
}

/// Standard Gaussian samples.
pub(super) fn gaussian(rng: &mut ChaCha8Rng, shape: Shape, samples: usize) -> Batch<f64> {
    Batch::computed(shape, samples, (0..samples * shape.len()).map(|_| rng.sample(StandardNormal)).collect())
}
