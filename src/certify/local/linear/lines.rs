//! Lines above and below a function of one number on an interval.
//!
//! Any slope `s` is one of a line above `σ`: its intercept is `sup σ(z) − sz`, and that is *proved* for whatever slope
//! is chosen, so nothing rests on the choice. The best line above is the one whose value in the middle is least; it
//! touches the concave envelope of `σ` there, and its slope is read off from a few points of `σ`.
//!
//! The supremum of `g(z) = σ(z) − sz` is found by branch and bound. Between two kinks `|σ''| ≤ K`, so `g` exceeds its
//! larger end on `[a, b]` by at most `K(b − a)²/8`, the error of linear interpolation; and as the slopes of `g` lie in
//! `[m − s, L − s]`, by at most the larger of these times `b − a`. A function that is linear between its kinks has `K = 0`:
//! the ends and the kinks decide.

use crate::{
    activation::Activation,
    rigor::{
        Rounding,
        directed::{add_up, mul_down, mul_up, sub_down, sub_up},
    },
};

/// A line `sz + t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line {
    pub(super) slope: f64,
    pub(super) intercept: f64,
}

/// A line below and one above a function on an interval.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines {
    pub(super) below: Line,
    pub(super) above: Line,
    /// Whether any line through 0 with a slope in [`Curve::free`] lies below the function as well.
    pub(super) is_free: bool,
}

impl Lines {
    /// Returns the larger magnitude of the two slopes.
    pub(super) fn steepest(&self) -> f64 {
        self.below.slope.abs().max(self.above.slope.abs())
    }
}

/// A function, and what is known of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Curve {
    function: Activation,
    /// `K`.
    curvature: f64,
    /// The relative and the absolute error of a value in `f64`.
    error: (f64, f64),
}

/// The number of points of a curved function from which slopes are chosen.
const POINTS: usize = 16;
/// The most halvings of an interval for one intercept.
const MOST_HALVINGS: usize = 48;

impl Curve {
    pub(super) fn new(function: Activation) -> Self {
        // tanh'' = −2t(1 − t²), the largest at t = 1/√3: 4/(3√3). With s = sigmoid: s'' = s(1 − s)(1 − 2s) ≤ 1/(6√3);
        // softplus'' = s(1 − s) ≤ 1/4; silu'' = s(1 − s)(2 − x tanh(x/2)), below 1/2 where the last factor is positive and
        // above −|x|e^(−|x|) ≥ −1/e elsewhere; gelu'' = φ(x)(2 − x²) between 2φ(0) and −2φ(2); elu'' = αeˣ ≤ α for x < 0;
        // hardswish'' = 1/3 between its kinks.
        // gelu_tanh'' = sech²u (2u' + xu'' − 2xu'² tanh u)/2, u' = c(1 + 3ax²), and for x > 0, as u ≥ cx, sech²u ≤ 4e^(−2cx): it is at
        // most c(1 + 24a max x²e^(−2cx)) < 0.99 and at least −4c² max x(1 + 3ax²)²e^(−2cx) > −0.91, term by term.
        // mish'' = sech²p (2s + xs(1 − s) − 2xs² tanh p), p = softplus: for x ≤ 0 at most 1 + 0.6/e, at least −1/e; for x > 0, where
        // sech²p ≤ 16/25, at most 16/25 (2 + 1/e) < 1.52, and at least −2x sech²p ≥ −8xe^(−2x) ≥ −4/e > −1.48.
        let curvature = match function {
            Activation::Tanh {} => 0.77,
            Activation::Sigmoid {} => 0.0963,
            Activation::Softplus {} => 0.25,
            Activation::Silu {} => 0.5,
            Activation::Gelu {} => 0.798,
            Activation::GeluTanh {} => 0.99,
            Activation::Mish {} => 1.52,
            Activation::Hardswish {} => 1.0 / 3.0 + f64::EPSILON,
            Activation::Elu { alpha } => alpha,
            Activation::Identity {}
            | Activation::Relu {}
            | Activation::LeakyRelu { .. }
            | Activation::Abs {}
            | Activation::Hardtanh { .. } => 0.0,
        };
        Self { function, curvature, error: function.error(&Rounding::of::<f64>()) }
    }

    /// For a convex function that is linear on either side of 0, where it is 0: its slopes.
    pub(super) fn free(&self) -> Option<[f64; 2]> {
        match self.function {
            Activation::Relu {} => Some([0.0, 1.0]),
            Activation::LeakyRelu { slope } if slope <= 1.0 => Some([slope, 1.0]),
            Activation::Abs {} => Some([-1.0, 1.0]),
            _ => None,
        }
    }

    /// Returns whether the function is one line on an interval.
    pub(super) fn is_straight(&self, [low, high]: [f64; 2]) -> bool {
        let [m, l] = self.slopes_on(low, high);
        m == l
    }

    /// As [`Activation::slopes_on`], and for the absolute value.
    fn slopes_on(&self, low: f64, high: f64) -> [f64; 2] {
        match self.function {
            Activation::Abs {} if low >= 0.0 => [1.0; 2],
            Activation::Abs {} if high <= 0.0 => [-1.0; 2],
            function => function.slopes_on(low, high),
        }
    }

    /// Bounds of the function on an interval.
    pub(super) fn range(&self, [low, high]: [f64; 2]) -> [f64; 2] {
        let interval = [low.min(high), low.max(high)];
        if !(interval[0].is_finite() && interval[1].is_finite()) {
            return [f64::NEG_INFINITY, f64::INFINITY];
        }
        if self.function.slopes()[0] >= 0.0 {
            return [-self.value_up(interval[0], -1.0), self.value_up(interval[1], 1.0)];
        }
        [-self.excess(interval, 0.0, -1.0), self.excess(interval, 0.0, 1.0)]
    }

    /// Returns the lines about an interval.
    pub(super) fn lines(&self, [low, high]: [f64; 2]) -> Lines {
        // Two bounds of a number that contradict each other do so by rounding, or because there is no such input.
        let interval @ [low, high] = [low.min(high), low.max(high)];
        if !(low.is_finite() && high.is_finite()) {
            let line = |intercept| Line { slope: 0.0, intercept };
            return Lines { below: line(f64::NEG_INFINITY), above: line(f64::INFINITY), is_free: false };
        }
        let [m, l] = self.slopes_on(low, high);
        if m == l {
            let above = Line { slope: l, intercept: self.excess(interval, l, 1.0) };
            let below = Line { slope: l, intercept: -self.excess(interval, l, -1.0) };
            return Lines { below, above, is_free: false };
        }
        let points = self.points(interval);
        let slope = |sign: f64| {
            let value = |z: f64| sign * self.function.value(z);
            let middle = low / 2.0 + high / 2.0;
            if points.len() < 2 {
                return self.function.derivative(middle);
            }
            let split = points.partition_point(|&z| z <= middle).clamp(1, points.len() - 1);
            let (mut best, mut slope) = (f64::NEG_INFINITY, 0.0);
            for &a in &points[..split] {
                for &b in &points[split..] {
                    let chord = (value(b) - value(a)) / (b - a);
                    let height = value(a) + chord * (middle - a);
                    if height > best {
                        (best, slope) = (height, sign * chord);
                    }
                }
            }
            if best > f64::NEG_INFINITY { slope } else { self.function.derivative(middle) }
        };
        let (over, under) = (slope(1.0), slope(-1.0));
        let above = Line { slope: over, intercept: self.excess(interval, over, 1.0) };
        let below = Line { slope: under, intercept: -self.excess(interval, under, -1.0) };
        Lines { below, above, is_free: self.free().is_some() && low < 0.0 && high > 0.0 }
    }

    /// Returns the points at which the function is not smooth.
    fn kinks(&self) -> Vec<f64> {
        match self.function {
            Activation::Relu {} | Activation::LeakyRelu { .. } | Activation::Abs {} | Activation::Elu { .. } => {
                vec![0.0]
            }
            Activation::Hardtanh { min, max } => vec![min, max],
            Activation::Hardswish {} => vec![-3.0, 3.0],
            _ => vec![],
        }
    }

    /// Returns the ends of an interval, the kinks in it and, of a curved function, some points between.
    fn points(&self, [low, high]: [f64; 2]) -> Vec<f64> {
        let inner = if self.curvature > 0.0 { POINTS } else { 1 };
        let mut points: Vec<f64> = (1..inner).map(|k| low + (high - low) * (k as f64 / inner as f64)).collect();
        points.extend(self.kinks());
        points.retain(|z| low < *z && *z < high);
        points.extend([low, high]);
        points.sort_by(f64::total_cmp);
        points.dedup();
        points
    }

    /// Returns an upper bound of `±σ(z)`.
    fn value_up(&self, z: f64, sign: f64) -> f64 {
        let value = self.function.value(z);
        // |fl(σ) − σ| ≤ e|σ| + a, and |σ| exceeds |fl(σ)| by so little that a factor 2 covers it.
        let (relative, absolute) = self.error;
        let off = if relative == 0.0 && absolute == 0.0 {
            0.0
        } else {
            mul_up(2.0, add_up(mul_up(relative, value.abs()), absolute))
        };
        add_up(sign * value, off)
    }

    /// Returns an upper bound of `sup ±(σ(z) − sz)` on a finite interval.
    fn excess(&self, [low, high]: [f64; 2], s: f64, sign: f64) -> f64 {
        // ±(σ(z) − sz) at a point, from above.
        let at = |z: f64| sub_up(self.value_up(z, sign), mul_down(sign * s, z));
        let [m, l] = self.slopes_on(low, high);
        let (rise, fall) = if sign > 0.0 { (sub_up(l, s), sub_up(s, m)) } else { (sub_up(s, m), sub_up(l, s)) };
        let piece = |a: f64, b: f64, left: f64, right: f64| {
            let width = sub_up(b, a);
            let curved = add_up(left.max(right), mul_up(self.curvature, mul_up(mul_up(width, width), 0.125)));
            // By the slopes alone, from either end.
            let ends = add_up(left, mul_up(rise.max(0.0), width)).min(add_up(right, mul_up(fall.max(0.0), width)));
            Piece { bound: if self.curvature == 0.0 { left.max(right) } else { curved.min(ends) }, a, b, left, right }
        };
        let mut corners = self.kinks();
        corners.retain(|z| low < *z && *z < high);
        corners.push(high);
        let (mut a, mut left) = (low, at(low));
        let (mut best, mut pieces) = (left, Vec::new());
        for b in corners {
            let right = at(b);
            best = best.max(right);
            pieces.push(piece(a, b, left, right));
            (a, left) = (b, right);
        }
        // A hundredth of what curvature alone leaves between the two lines.
        let width = high - low;
        let enough = (0.01 * self.curvature * width * width / 8.0).min(0.01 * (l - m) * width);
        for _ in 0..MOST_HALVINGS {
            let Some(worst) = (0..pieces.len()).max_by(|&i, &j| pieces[i].bound.total_cmp(&pieces[j].bound)) else {
                break;
            };
            let Piece { bound, a, b, left, right } = pieces[worst];
            let middle = a / 2.0 + b / 2.0;
            if sub_down(bound, best) <= enough || !(a < middle && middle < b) {
                break;
            }
            let value = at(middle);
            best = best.max(value);
            pieces[worst] = piece(a, middle, left, value);
            pieces.push(piece(middle, b, value, right));
        }
        pieces.iter().map(|piece| piece.bound).fold(best, f64::max)
    }
}

/// A part of an interval.
#[derive(Debug, Clone, Copy)]
struct Piece {
    /// An upper bound on it.
    bound: f64,
    a: f64,
    b: f64,
    /// Upper bounds at the ends.
    left: f64,
    right: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTIONS: [Activation; 17] = [
        Activation::Identity {},
        Activation::Relu {},
        Activation::LeakyRelu { slope: 0.1 },
        Activation::LeakyRelu { slope: 2.5 },
        Activation::Abs {},
        Activation::Tanh {},
        Activation::Sigmoid {},
        Activation::Softplus {},
        Activation::Elu { alpha: 1.0 },
        Activation::Elu { alpha: 0.3 },
        Activation::Elu { alpha: 2.0 },
        Activation::Silu {},
        Activation::Gelu {},
        Activation::GeluTanh {},
        Activation::Mish {},
        Activation::Hardswish {},
        Activation::Hardtanh { min: -0.7, max: 1.1 },
    ];

    fn intervals() -> impl Iterator<Item = [f64; 2]> {
        let ends = [-900.0, -30.0, -7.0, -2.5, -1.0, -0.3, -1e-7, 0.0, 1e-9, 0.2, 0.9, 1.7, 4.0, 12.0, 700.0];
        (0..ends.len()).flat_map(move |i| (i..ends.len()).map(move |j| [ends[i], ends[j]]))
    }

    #[test]
    fn no_point_of_a_function_lies_outside_its_lines() {
        for function in FUNCTIONS {
            let curve = Curve::new(function);
            for interval @ [low, high] in intervals() {
                let (Lines { below, above, is_free }, [least, most]) = (curve.lines(interval), curve.range(interval));
                let between = (0..=2000).map(|k| (low + (high - low) * (f64::from(k) / 2000.0)).clamp(low, high));
                for z in between.chain(curve.points(interval)) {
                    // Bounds of the function from inside and of the lines from outside: what is asserted is never false by
                    // rounding.
                    let [less, more] = [-curve.value_up(z, -1.0), curve.value_up(z, 1.0)];
                    let top = add_up(mul_up(above.slope, z), above.intercept);
                    let bottom = -add_up(mul_up(-below.slope, z), -below.intercept);
                    assert!(less <= top, "{function:?} {interval:?} at {z}: {above:?}");
                    assert!(more >= bottom, "{function:?} {interval:?} at {z}: {below:?}");
                    assert!(least <= more && less <= most, "{function:?} {interval:?} at {z}: {least} to {most}");
                    for slope in curve.free().filter(|_| is_free).into_iter().flatten() {
                        assert!(more >= mul_down(slope, z), "{function:?} at {z}");
                    }
                }
            }
        }
    }

    /// The gap between the lines is that of curvature: near the best.
    #[test]
    fn lines_are_close_to_the_function() {
        for function in FUNCTIONS {
            let curve = Curve::new(function);
            for center in [-1.5, -0.4, 0.1, 0.8, 2.0] {
                for half in [1e-3, 0.05, 0.3] {
                    let interval = [center - half, center + half];
                    let Lines { below, above, .. } = curve.lines(interval);
                    let gap = |z: f64| (above.slope - below.slope) * z + above.intercept - below.intercept;
                    if curve.kinks().iter().all(|kink| (kink - center).abs() > half) {
                        let allowed = 1.2 * curve.curvature * half * half / 2.0 + 1e-12;
                        assert!(gap(center) <= allowed, "{function:?} {interval:?}: {} > {allowed}", gap(center));
                    }
                }
            }
        }
    }
}
