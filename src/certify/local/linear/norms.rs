//! Linear functions below and above the Euclidean norm on a box.
//!
//! Below: `‖x‖ ≥ ⟨g, x⟩` for every `g` with `‖g‖ ≤ 1`. Above: `‖x‖ ≤ c/2 + ‖x‖²/(2c)` for every `c > 0`, and a square lies
//! below its chord, so that with slopes `a` near `(l + u)/(2c)`
//!
//! ```math
//! \|x\| \le \langle a, x\rangle + \frac c2 + \sum_j \max_{x \in \{l_j, u_j\}} \Big(\frac{x^2}{2c} - a_j x\Big).
//! ```
//!
//! The value in the middle is least for `c² = Σ (m² + r²)`, with the middles `m` and the half widths `r`.

use crate::rigor::directed::{U, add_up, div_up, mul_down, mul_up, norm_up, sub_up};

/// Linear functions about a norm.
#[derive(Debug)]
pub(super) struct NormLines {
    /// The slopes of the one below, which goes through 0.
    pub(super) below: Vec<f64>,
    /// The slopes of the one above.
    pub(super) above: Vec<f64>,
    /// Its intercept.
    pub(super) intercept: f64,
}

impl NormLines {
    /// Returns the functions about a box.
    pub(super) fn new(range: Vec<[f64; 2]>) -> Self {
        let n = range.len();
        if range.iter().flatten().any(|x| !x.is_finite()) {
            return Self { below: vec![0.0; n], above: vec![0.0; n], intercept: f64::INFINITY };
        }
        let middles: Vec<f64> = range.iter().map(|[l, u]| l / 2.0 + u / 2.0).collect();
        let size = norm_up(&middles);
        let shrunk = if size > 0.0 { (1.0 - 8.0 * U) / size } else { 0.0 };
        let mut below: Vec<f64> = middles.iter().map(|m| m * shrunk).collect();
        if norm_up(&below).partial_cmp(&1.0).is_none_or(|order| order.is_gt()) {
            below.fill(0.0);
        }
        let squares = range.iter().zip(&middles).map(|([l, u], m)| m * m + (u / 2.0 - l / 2.0).powi(2));
        let c = squares.sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
        let above: Vec<f64> = middles.iter().map(|m| m / c).collect();
        let mut intercept = c / 2.0;
        for ([l, u], a) in range.iter().zip(&above) {
            let end = |x: f64| sub_up(div_up(mul_up(x, x), 2.0 * c), mul_down(*a, x));
            intercept = add_up(intercept, end(*l).max(end(*u)));
        }
        Self { below, above, intercept }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn no_norm_lies_outside_its_lines() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for round in 0..3000 {
            let n = rng.random_range(1..6);
            let around = if round % 3 == 0 { 0.0 } else { 1.0 };
            let range: Vec<[f64; 2]> = (0..n)
                .map(|_| {
                    let (m, r) = (around * rng.random_range(-2.0..2.0), rng.random_range(0.0..1.0f64).powi(3));
                    [m - r, m + r]
                })
                .collect();
            let lines = NormLines::new(range.clone());
            for k in 0..40 {
                let draw = |[l, u]: &[f64; 2], t: f64| (l + t * (u - l)).clamp(*l, *u);
                let x: Vec<f64> = range
                    .iter()
                    .map(|range| {
                        draw(
                            range,
                            if k % 2 == 0 { f64::from(rng.random_range(0..2)) } else { rng.random_range(0.0..1.0) },
                        )
                    })
                    .collect();
                // The sums from the side that is never false by rounding.
                let top = x.iter().zip(&lines.above).fold(lines.intercept, |sum, (x, a)| add_up(sum, mul_up(*a, *x)));
                let bottom = x.iter().zip(&lines.below).fold(0.0, |sum, (x, g)| add_up(sum, mul_up(-g, *x)));
                assert!(crate::rigor::directed::norm_down(&x) <= top, "{range:?} at {x:?}");
                assert!(norm_up(&x) >= -bottom, "{range:?} at {x:?}");
            }
        }
    }
}
