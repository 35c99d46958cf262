//! Vectors of intervals: differences of exact numbers, their norms and inner products.

use crate::{
    rigor::directed::{add_down, add_up, mul_down, mul_up, norm_down, norm_up, sub_down, sub_up},
    scalar::Scalar,
};

/// A vector each of whose coordinates lies in an interval.
#[derive(Debug, Clone)]
pub(super) struct Enclosure(Vec<[f64; 2]>);

impl Enclosure {
    /// Returns `a − b` for exact numbers.
    pub(super) fn difference<T: Scalar>(a: &[T], b: &[T]) -> Self {
        let each = |(a, b): (&T, &T)| [sub_down(a.wide(), b.wide()), sub_up(a.wide(), b.wide())];
        Self(a.iter().zip(b).map(each).collect())
    }

    /// Returns `self − c·other` for any `c` in the interval.
    pub(super) fn minus(&self, c: [f64; 2], other: &Self) -> Self {
        let each = |(&x, &y): (&[f64; 2], &[f64; 2])| {
            let [low, high] = product(c, y);
            [sub_down(x[0], high), sub_up(x[1], low)]
        };
        Self(self.0.iter().zip(&other.0).map(each).collect())
    }

    /// Returns an upper bound of the norm.
    pub(super) fn norm_up(&self) -> f64 {
        norm_up(&self.0.iter().map(|[low, high]| low.abs().max(high.abs())).collect::<Vec<_>>())
    }

    /// Returns a lower bound of the norm.
    pub(super) fn norm_down(&self) -> f64 {
        let least = |&[low, high]: &[f64; 2]| if low <= 0.0 && high >= 0.0 { 0.0 } else { low.abs().min(high.abs()) };
        norm_down(&self.0.iter().map(least).collect::<Vec<_>>())
    }

    /// Returns the interval of the inner product.
    pub(super) fn dot(&self, other: &Self) -> [f64; 2] {
        self.0.iter().zip(&other.0).fold([0.0, 0.0], |[low, high], (&x, &y)| {
            let [a, b] = product(x, y);
            [add_down(low, a), add_up(high, b)]
        })
    }
}

fn product(x: [f64; 2], y: [f64; 2]) -> [f64; 2] {
    let pairs = [(x[0], y[0]), (x[0], y[1]), (x[1], y[0]), (x[1], y[1])];
    let low = pairs.iter().map(|&(a, b)| mul_down(a, b)).fold(f64::INFINITY, f64::min);
    let high = pairs.iter().map(|&(a, b)| mul_up(a, b)).fold(f64::NEG_INFINITY, f64::max);
    [low, high]
}
