//! Intervals of `f64`: two numbers that an exact one lies between.

use std::ops::{Add, Mul, Neg};

use super::directed::{add_down, add_up, mul_down, mul_up};

/// A number that is known to lie between two of `f64`.
///
/// Sums and products hold those of all numbers that their operands may be. An end that overflows is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Interval {
    /// Not above the number.
    pub low: f64,
    /// Not below the number.
    pub high: f64,
}

impl Interval {
    /// Returns the number `x` alone.
    pub fn exact(x: f64) -> Self {
        Self { low: x, high: x }
    }

    /// Returns the largest magnitude.
    pub fn magnitude(self) -> f64 {
        self.low.abs().max(self.high.abs())
    }

    /// Returns whether it holds nothing but 0.
    pub fn is_zero(self) -> bool {
        self.low == 0.0 && self.high == 0.0
    }
}

impl Add for Interval {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { low: add_down(self.low, other.low), high: add_up(self.high, other.high) }
    }
}

impl Neg for Interval {
    type Output = Self;

    fn neg(self) -> Self {
        Self { low: -self.high, high: -self.low }
    }
}

impl Mul for Interval {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let (a, b) = (self, other);
        let corners = [(a.low, b.low), (a.low, b.high), (a.high, b.low), (a.high, b.high)];
        Self {
            low: corners.iter().map(|&(x, y)| mul_down(x, y)).fold(f64::INFINITY, f64::min),
            high: corners.iter().map(|&(x, y)| mul_up(x, y)).fold(f64::NEG_INFINITY, f64::max),
        }
    }
}
