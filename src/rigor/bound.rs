//! Numbers whose type says which way they err.

use serde::Serialize;

use super::directed::{add_up, div_down, mul_up, sqrt_up};
use crate::error::{Error, Result};

/// A number that is proved not to be below the quantity that it stands for.
///
/// Sums and products round upward. Products and roots are for quantities that are not negative: a negative bound of
/// such a quantity is read as 0.
///
/// It can be written to a file and not read from one: what a file says is a claim ([`crate::check`]).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Upper(f64);

/// A number that is proved not to be above the quantity that it stands for.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Lower(f64);

/// A number that is close to the quantity that it stands for, on either side of it: good for steering an optimiser.
///
/// Nothing converts an estimate into a bound:
///
/// ```compile_fail
/// use dahlquist::rigor::{Estimate, Upper};
/// let norm = Estimate::new(1.0);
/// let bound: Upper = norm.into();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Estimate(f64);

impl Upper {
    /// Zero, exactly.
    pub const ZERO: Self = Self(0.0);
    /// One, exactly.
    pub const ONE: Self = Self(1.0);

    /// Creates a bound that was proved where it is made: by this crate's arithmetic and its rules. A NaN becomes
    /// infinity.
    pub(crate) fn proved(bound: f64) -> Self {
        Self(if bound.is_nan() { f64::INFINITY } else { bound })
    }

    /// Creates a bound that the caller vouches for: nothing has proved it. A NaN becomes infinity.
    ///
    /// No certificate is made of it that does not say so ([`crate::certificate::Rule::Asserted`]).
    pub fn trust(bound: f64) -> Self {
        Self::proved(bound)
    }

    /// Returns the bound.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Returns the larger of two bounds, a bound of the larger of two quantities.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self(self.0.max(other.0))
    }

    /// Returns the smaller of two bounds of the same quantity.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// Returns a bound of the square root.
    #[must_use]
    pub fn sqrt(self) -> Self {
        Self(sqrt_up(self.0))
    }

    /// Returns a bound of the `n`-th power.
    #[must_use]
    pub fn powi(self, n: usize) -> Self {
        (0..n).fold(Self::ONE, |p, _| p * self)
    }

    /// Returns a lower bound of the reciprocal: infinite for a quantity that is 0.
    pub fn recip(self) -> Lower {
        Lower(if self.0 <= 0.0 { f64::INFINITY } else { div_down(1.0, self.0) })
    }

    /// Returns the same bound, or an error that names `what` if it is infinite and so says nothing.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the bound is infinite.
    pub fn finite(self, what: &str) -> Result<Self> {
        if self.0.is_finite() { Ok(self) } else { Err(Error::not_proved(what, UNBOUNDED)) }
    }
}

/// Why a bound may be infinite.
const UNBOUNDED: &str = "its bound is infinite: it overflows f64, or a product of matrices failed its check";

impl Lower {
    /// Zero, exactly.
    pub const ZERO: Self = Self(0.0);

    /// One, exactly.
    pub const ONE: Self = Self(1.0);

    /// Creates a bound that was proved where it is made. A NaN becomes minus infinity.
    pub(crate) fn proved(bound: f64) -> Self {
        Self(if bound.is_nan() { f64::NEG_INFINITY } else { bound })
    }

    /// Creates a bound that the caller vouches for: nothing has proved it. A NaN becomes minus infinity.
    pub fn trust(bound: f64) -> Self {
        Self::proved(bound)
    }

    /// Returns the bound.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl Estimate {
    /// Creates an estimate.
    pub fn new(value: f64) -> Self {
        Self(value)
    }

    /// Returns the estimate.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl std::ops::Add for Upper {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(add_up(self.0, other.0))
    }
}

impl std::ops::Mul for Upper {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        Self(mul_up(self.0.max(0.0), other.0.max(0.0)))
    }
}

impl std::iter::Sum for Upper {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::ZERO, std::ops::Add::add)
    }
}

impl std::iter::Product for Upper {
    fn product<I: Iterator<Item = Self>>(factors: I) -> Self {
        factors.fold(Self::ONE, std::ops::Mul::mul)
    }
}

impl std::fmt::Display for Upper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        short(self.0, f)
    }
}

impl std::fmt::Display for Lower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        short(self.0, f)
    }
}

/// Writes all digits of a number, and no more zeros than a reader counts.
fn short(x: f64, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    match x != 0.0 && x.is_finite() && !(1e-6..1e16).contains(&x.abs()) && f.precision().is_none() {
        true => std::fmt::LowerExp::fmt(&x, f),
        false => std::fmt::Display::fmt(&x, f),
    }
}
