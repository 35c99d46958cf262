//! The inputs that bounds are about: a Euclidean ball, a box, or what both have in common.
//!
//! For a linear function `⟨c, x⟩` and any split `c = p + q`, weak duality gives
//!
//! ```math
//! \min_{x \in B \cap Q} \langle c, x\rangle \ge \min_{x \in B} \langle p, x\rangle + \min_{x \in Q} \langle q, x\rangle .
//! ```
//!
//! The best split is known once the multiplier `λ` of the ball is: the minimizer is `x(λ) = clip(x₀ − c/λ)`, and `p = −λ(x(λ) − x₀)`.
//! The distance `‖x(λ) − x₀‖` falls with `λ`, and `λ² = Σ_free c² / (ε² − Σ_clipped (xᵢ − x₀ᵢ)²)` is a fixed point that a few steps
//! from above come near to. Nothing rests on how near.

use crate::rigor::directed::{ETA, U, add_down, add_up, enlarge_sum, gamma, mul_up, norm_up, sub_down, sub_up};

/// How often the multiplier is improved.
const STEPS: usize = 8;

/// A set of inputs.
#[derive(Debug, Clone)]
pub(in super::super) struct Region {
    /// A point; the middle of the ball, where there is one.
    center: Vec<f64>,
    /// The radius of the ball.
    radius: Option<f64>,
    /// The ends of the box, coordinate by coordinate.
    range: Option<Vec<[f64; 2]>>,
}

impl Region {
    /// The ball of a radius, and what it has in common with a box where one is given.
    pub(in super::super) fn ball(center: &[f64], radius: f64, range: Option<&[f64; 2]>) -> Self {
        let range = range.map(|&range| vec![range; center.len()]);
        Self { center: center.to_vec(), radius: Some(radius), range }
    }

    /// A box.
    pub(in super::super) fn cube(range: Vec<[f64; 2]>) -> Self {
        Self {
            center: range.iter().map(|[low, high]| low / 2.0 + high / 2.0).collect(),
            radius: None,
            range: Some(range),
        }
    }

    /// Returns a point; the middle of the ball, where there is one.
    pub(super) fn center(&self) -> &[f64] {
        &self.center
    }

    /// Returns the radius of the ball.
    pub(super) fn radius(&self) -> Option<f64> {
        self.radius
    }

    /// Returns the sides of the box.
    pub(super) fn sides(&self) -> Option<&[[f64; 2]]> {
        self.range.as_deref()
    }

    /// Returns the number of coordinates.
    pub(super) fn width(&self) -> usize {
        self.center.len()
    }

    /// Bounds of each coordinate.
    pub(super) fn ranges(&self) -> Vec<[f64; 2]> {
        let all = [f64::NEG_INFINITY, f64::INFINITY];
        let of = |(i, &x): (usize, &f64)| {
            let [low, high] = self.radius.map_or(all, |radius| [sub_down(x, radius), add_up(x, radius)]);
            let [least, most] = self.range.as_ref().map_or(all, |range| range[i]);
            [low.max(least), high.min(most)]
        };
        self.center.iter().enumerate().map(of).collect()
    }

    /// Returns an estimate of the point at which `⟨c, x⟩` is least.
    pub(super) fn minimizer(&self, c: &[f64]) -> Vec<f64> {
        let corner = |i: usize, [low, high]: [f64; 2]| match c[i] {
            c if c > 0.0 => low,
            c if c < 0.0 => high,
            _ => self.center[i].clamp(low.min(high), high.max(low)),
        };
        let Some(radius) = self.radius else {
            return self.range.iter().flatten().enumerate().map(|(i, &range)| corner(i, range)).collect();
        };
        let size = c.iter().map(|c| c * c).sum::<f64>().sqrt();
        if size == 0.0 || radius == 0.0 {
            return self.center.clone();
        }
        let mut multiplier = size / radius;
        let at = |multiplier: f64| -> Vec<f64> { self.center.iter().zip(c).map(|(x, c)| x - c / multiplier).collect() };
        let Some(range) = &self.range else { return at(multiplier) };
        for _ in 0..STEPS {
            let (mut free, mut clipped) = (0.0, 0.0);
            for ((c, x), [low, high]) in c.iter().zip(&self.center).zip(range) {
                let to = x - c / multiplier;
                if to < *low || to > *high {
                    clipped += (to.max(*low).min(*high) - x).powi(2);
                } else {
                    free += c * c;
                }
            }
            let left = radius * radius - clipped;
            let next = if left > 0.0 { (free / left).sqrt() } else { multiplier };
            if next.is_nan() || next >= 0.999 * multiplier {
                break;
            }
            if next == 0.0 {
                // The best corner of the box lies in the ball.
                return range.iter().enumerate().map(|(i, &range)| corner(i, range)).collect();
            }
            multiplier = next;
        }
        at(multiplier).iter().zip(range).map(|(to, [low, high])| to.max(*low).min(*high)).collect()
    }

    /// Returns a lower bound of `⟨c, x⟩` for all inputs.
    pub(super) fn least(&self, c: &[f64]) -> f64 {
        match (self.radius, &self.range) {
            (Some(radius), None) => self.on_ball(c, radius),
            (None, Some(range)) => on_box(c, range),
            (None, None) => f64::NEG_INFINITY,
            (Some(radius), Some(range)) => {
                let alone = self.on_ball(c, radius).max(on_box(c, range));
                let to = self.minimizer(c);
                // Where the minimizer on the ball lies in the box, the ball alone is the best.
                let size = c.iter().map(|c| c * c).sum::<f64>().sqrt();
                let is_clipped = |i: usize| {
                    let ball = self.center[i] - c[i] * (radius / size);
                    ball < range[i][0] || ball > range[i][1]
                };
                if !(0..c.len()).any(is_clipped) {
                    return alone;
                }
                // λ is read off from a coordinate that is free.
                let moved = |i: usize| to[i] - self.center[i];
                let free = (0..c.len()).filter(|&i| to[i] > range[i][0] && to[i] < range[i][1] && moved(i) != 0.0);
                let steepest = free.max_by(|&i, &j| c[i].abs().total_cmp(&c[j].abs()));
                let multiplier = steepest.map_or(0.0, |i| (-c[i] / moved(i)).max(0.0));
                let mut p = c.to_vec();
                for i in 0..c.len() {
                    if !(to[i] > range[i][0] && to[i] < range[i][1]) {
                        p[i] = -multiplier * moved(i);
                    }
                }
                let q: Vec<f64> = c.iter().zip(&p).map(|(c, p)| c - p).collect();
                // What rounding leaves of c − p − q, times the magnitude of the input.
                let mut lost = 0.0;
                for (i, [low, high]) in range.iter().enumerate() {
                    let magnitude = low.abs().max(high.abs());
                    let rest = if q[i] == 0.0 { 0.0 } else { add_up(mul_up(2.0 * U, q[i].abs()), ETA) };
                    lost = add_up(lost, if rest == 0.0 { 0.0 } else { mul_up(rest, magnitude) });
                }
                let both = sub_down(add_down(self.on_ball(&p, radius), on_box(&q, range)), lost);
                if both > alone { both } else { alone }
            }
        }
    }

    /// Returns `⟨c, x₀⟩ − ε‖c‖`.
    pub(super) fn on_ball(&self, c: &[f64], radius: f64) -> f64 {
        let (mut value, mut size) = (0.0, 0.0);
        for (c, x) in c.iter().zip(&self.center) {
            value += c * x;
            size += (c * x).abs();
        }
        let n = c.len();
        let off = add_up(mul_up(gamma(n + 2, U), enlarge_sum(size, n)), mul_up(n as f64, 2.0 * ETA));
        let least = sub_down(sub_down(value, mul_up(radius, norm_up(c))), off);
        if least.is_nan() { f64::NEG_INFINITY } else { least }
    }
}

/// Returns `Σ min(cᵢ lowᵢ, cᵢ highᵢ)`.
fn on_box(c: &[f64], range: &[[f64; 2]]) -> f64 {
    let (mut value, mut size) = (0.0, 0.0);
    for (c, [low, high]) in c.iter().zip(range) {
        let least = if *c > 0.0 {
            c * low
        } else if *c < 0.0 {
            c * high
        } else {
            c * 0.0
        };
        value += least;
        size += least.abs();
    }
    let n = c.len();
    let off = add_up(mul_up(gamma(n + 2, U), enlarge_sum(size, n)), mul_up(n as f64, 2.0 * ETA));
    let least = sub_down(value, off);
    if least.is_nan() { f64::NEG_INFINITY } else { least }
}

/// The half widths of a box around its center, as a norm: the radius of a ball that holds it.
pub(in super::super) fn circumradius(range: &[[f64; 2]], center: &[f64]) -> f64 {
    let half = |([low, high], x): (&[f64; 2], &f64)| sub_up(*high, *x).max(sub_up(*x, *low)).max(0.0);
    norm_up(&range.iter().zip(center).map(half).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// No point of the region has less, and one has hardly more.
    #[test]
    fn linear_functions_are_bounded_on_balls_in_boxes() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut gained = 0;
        for _ in 0..2000 {
            let n = rng.random_range(1..12);
            let center: Vec<f64> = (0..n).map(|_| rng.random_range(0.0..1.0)).collect();
            let c: Vec<f64> = (0..n).map(|_| rng.random_range(-1.0..1.0)).collect();
            let radius = rng.random_range(0.01..2.0);
            let region = Region::ball(&center, radius, Some(&[0.0, 1.0]));
            let least = region.least(&c);
            let value = |x: &[f64]| x.iter().zip(&c).map(|(x, c)| x * c).sum::<f64>();
            let inside = |x: &[f64]| {
                x.iter().all(|x| (0.0..=1.0).contains(x))
                    && x.iter().zip(&center).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt() < radius * (1.0 - 1e-12)
            };
            let best = region.minimizer(&c);
            for k in 0..200 {
                // Towards the minimizer, or anywhere.
                let t = rng.random_range(0.0..1.0f64);
                let x: Vec<f64> = (0..n)
                    .map(|i| {
                        let to = if k % 2 == 0 { best[i] } else { rng.random_range(0.0..1.0) };
                        center[i] + t * (to - center[i])
                    })
                    .collect();
                assert!(!inside(&x) || value(&x) >= least, "{least} and {}", value(&x));
            }
            assert!(value(&best) <= least + 0.05 * radius, "{least} is far below {}", value(&best));
            gained += usize::from(least > region.on_ball(&c, radius) + 1e-3);
        }
        assert!(gained > 500, "{gained}");
    }
}
