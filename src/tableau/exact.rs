//! Numbers of the fields `$\mathbb Q(\sqrt 2, \sqrt 3, \sqrt 5, …)$`, exactly.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fmt,
    iter::Sum,
    ops::{Add, Mul, Neg, Sub},
};

use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use crate::{
    error::{Error, Result},
    scalar::Scalar,
};

/// A sum of square roots with rational coefficients, such as `$\tfrac14 - \tfrac16\sqrt3$`.
///
/// A root is the set of its primes, `√6 = {2, 3}`, so that products of roots are symmetric differences of sets. The
/// roots of distinct squarefree numbers are linearly independent over the rationals (Besicovitch 1940): a number has
/// one representation, and it is 0 only if it has no terms. All operations are exact and total.
///
/// ```
/// use dahlquist::tableau::Surd;
/// let golden = &Surd::ratio(1, 2)? * &(&Surd::from(1) + &Surd::sqrt(5));
/// assert_eq!(&golden * &golden, &golden + &Surd::from(1));
/// assert_eq!((golden.lower(), golden.upper()), (1.6180339887498947, 1.618033988749895));
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Surd(BTreeMap<Vec<u32>, BigRational>);

impl Surd {
    /// Returns the fraction `numerator / denominator`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the denominator is 0.
    pub fn ratio(numerator: i64, denominator: i64) -> Result<Self> {
        if denominator == 0 {
            return Err(Error::parameter("denominator", denominator, "a fraction has a denominator other than 0"));
        }
        Ok(BigRational::new(numerator.into(), denominator.into()).into())
    }

    /// Returns the square root of `n`.
    pub fn sqrt(n: u32) -> Self {
        if n == 0 {
            return Self::default();
        }
        let (mut rest, mut factor, mut primes, mut p) = (n, 1u32, Vec::new(), 2u32);
        while rest > 1 {
            if u64::from(p) * u64::from(p) > u64::from(rest) {
                p = rest;
            }
            let mut power = 0;
            while rest % p == 0 {
                rest /= p;
                power += 1;
            }
            factor *= p.pow(power / 2);
            if power % 2 == 1 {
                primes.push(p);
            }
            p += 1;
        }
        Self(BTreeMap::from([(primes, BigRational::from_integer(factor.into()))]))
    }

    /// Returns the number that `x` is, exactly.
    ///
    /// # Errors
    /// [`Error::NotFinite`] for a NaN or an infinity.
    pub fn from_f64(x: f64) -> Result<Self> {
        Self::finite(x).ok_or_else(|| Error::NotFinite { what: "an exact number".into(), index: 0, value: x })
    }

    /// Returns the number that `x` is, if it is finite.
    fn finite(x: f64) -> Option<Self> {
        BigRational::from_float(x).map(Self::from)
    }

    /// Returns the comparison of the number with 0.
    ///
    /// Split at a prime, `x = u + v√p`: if `u` and `v` differ in sign, `u² − pv²` tells which of them wins.
    pub fn sign(&self) -> Ordering {
        let Some(p) = self.prime() else {
            return self.0.values().next().map_or(Ordering::Equal, |q| q.cmp(&BigRational::zero()));
        };
        let (u, v) = self.split(p);
        match (u.sign(), v.sign()) {
            (Ordering::Equal, sign) => sign,
            (sign, other) if sign == other => sign,
            (sign, other) => match u.norm(&v, p).sign() {
                Ordering::Greater => sign,
                _ => other,
            },
        }
    }

    /// Returns the absolute value.
    #[must_use]
    pub fn abs(&self) -> Self {
        if self.sign() == Ordering::Less { -self } else { self.clone() }
    }

    /// Returns the reciprocal, `1/(u + v√p) = (u − v√p)/(u² − pv²)`; `None` for 0.
    pub fn recip(&self) -> Option<Self> {
        let Some(p) = self.prime() else {
            return self.0.values().next().map(|q| q.recip().into());
        };
        let (u, v) = self.split(p);
        let conjugate = &u - &(&v * &Self::sqrt(p));
        Some(&conjugate * &u.norm(&v, p).recip()?)
    }

    /// Returns the fraction that the number is, if it is rational.
    pub fn rational(&self) -> Option<BigRational> {
        match self.prime() {
            None => Some(self.0.values().next().cloned().unwrap_or_else(BigRational::zero)),
            Some(_) => None,
        }
    }

    /// Returns the largest `f64` that is not above the number; minus infinity if there is none.
    pub fn lower(&self) -> f64 {
        largest(self.estimate(), |x| Self::finite(x).is_some_and(|x| x <= *self))
    }

    /// Returns the smallest `f64` that is not below the number; infinity if there is none.
    pub fn upper(&self) -> f64 {
        -(-self).lower()
    }

    /// Returns a number of `T` that is nearest to this one: off by at most `u|x|` while `|x|` is a normal number of
    /// `T`.
    ///
    /// Rounding is monotone, so it needs no care unless the two `f64` around `x` are rounded to different numbers;
    /// then `x` is compared with the middle of these, exactly. (Rounding twice, to `f64` and to `f32`, may be wrong.)
    pub fn nearest<T: Scalar>(&self) -> T {
        let (below, above) = (T::of(self.lower()), T::of(self.upper()));
        match (Self::finite(below.wide()), Self::finite(above.wide())) {
            (Some(x), Some(y)) if self - &x > &y - self => above,
            (None, Some(_)) => above,
            _ => below,
        }
    }

    /// Close to the number, and trusted nowhere.
    fn estimate(&self) -> f64 {
        let root = |primes: &[u32]| primes.iter().map(|&p| f64::from(p).sqrt()).product::<f64>();
        self.0.iter().map(|(primes, q)| q.to_f64().unwrap_or(0.0) * root(primes)).sum()
    }

    /// Returns the largest prime below a root; `None` for a rational number.
    fn prime(&self) -> Option<u32> {
        self.0.keys().filter_map(|primes| primes.last()).max().copied()
    }

    /// Returns the numbers `u` and `v`, free of `√p`, with `self = u + v√p`.
    fn split(&self, p: u32) -> (Self, Self) {
        let (with, without): (BTreeMap<_, _>, _) =
            self.0.clone().into_iter().partition(|(primes, _)| primes.contains(&p));
        let strip = |primes: Vec<u32>| primes.into_iter().filter(|&q| q != p).collect();
        (Self(without), Self(with.into_iter().map(|(primes, q)| (strip(primes), q)).collect()))
    }

    /// Returns `u² − pv²` for `u = self`.
    fn norm(&self, v: &Self, p: u32) -> Self {
        &(self * self) - &(&(v * v) * &Self::from(i64::from(p)))
    }

    /// Adds `q √(Π primes)`.
    fn accumulate(&mut self, primes: Vec<u32>, q: BigRational) {
        let sum = q + self.0.remove(&primes).unwrap_or_else(BigRational::zero);
        if !sum.is_zero() {
            self.0.insert(primes, sum);
        }
    }
}

impl From<i64> for Surd {
    fn from(n: i64) -> Self {
        BigRational::from_integer(n.into()).into()
    }
}

impl From<BigRational> for Surd {
    fn from(q: BigRational) -> Self {
        let mut sum = Self::default();
        sum.accumulate(Vec::new(), q);
        sum
    }
}

impl Add for &Surd {
    type Output = Surd;

    fn add(self, other: Self) -> Surd {
        let mut sum = self.clone();
        for (primes, q) in &other.0 {
            sum.accumulate(primes.clone(), q.clone());
        }
        sum
    }
}

impl Sub for &Surd {
    type Output = Surd;

    fn sub(self, other: Self) -> Surd {
        self + &-other
    }
}

impl Neg for &Surd {
    type Output = Surd;

    fn neg(self) -> Surd {
        Surd(self.0.iter().map(|(primes, q)| (primes.clone(), -q)).collect())
    }
}

impl Mul for &Surd {
    type Output = Surd;

    fn mul(self, other: Self) -> Surd {
        let mut product = Surd::default();
        for (m, x) in &self.0 {
            for (n, y) in &other.0 {
                let (common, mut primes): (Vec<u32>, Vec<u32>) = m.iter().partition(|p| n.contains(p));
                primes.extend(n.iter().filter(|p| !m.contains(p)));
                primes.sort_unstable();
                let square =
                    common.into_iter().fold(BigRational::one(), |q, p| q * BigRational::from_integer(p.into()));
                product.accumulate(primes, x * y * square);
            }
        }
        product
    }
}

impl Sum for Surd {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms.fold(Self::default(), |sum, term| &sum + &term)
    }
}

impl PartialOrd for Surd {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Surd {
    fn cmp(&self, other: &Self) -> Ordering {
        (self - other).sign()
    }
}

impl fmt::Display for Surd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("0");
        }
        for (k, (primes, q)) in self.0.iter().enumerate() {
            match (k, q.is_negative()) {
                (0, false) => {}
                (0, true) => f.write_str("-")?,
                (_, false) => f.write_str(" + ")?,
                (_, true) => f.write_str(" - ")?,
            }
            let q = q.abs();
            if primes.is_empty() || !q.is_one() {
                write!(f, "{q}")?;
            }
            for p in primes {
                write!(f, "√{p}")?;
            }
        }
        Ok(())
    }
}

/// Returns the largest finite `f64` for which `holds`, a property that is lost from some number on; minus infinity if
/// there is none.
///
/// Bisection on the numbers in their order, at first near `start`, in steps that double. Whatever `start` and `holds`
/// are, the property was found to hold at the number returned and not to hold at the next one.
pub(super) fn largest(start: f64, holds: impl Fn(f64) -> bool) -> f64 {
    // The position of a number among all f64: 0 for 0, 1 for the smallest positive number, …
    let infinity = f64::INFINITY.to_bits() as i64;
    let number = |k: i64| f64::from_bits(k.unsigned_abs()).copysign(if k < 0 { -1.0 } else { 1.0 });
    let position = start.abs().to_bits() as i64;
    let (mut lo, mut hi, mut step) = (-infinity, infinity, 1i64);
    let mut probe = if start < 0.0 { -position } else { position };
    while lo + 1 < hi {
        let k = if lo < probe && probe < hi { probe } else { i64::midpoint(lo, hi) };
        if holds(number(k)) {
            (lo, probe) = (k, k.saturating_add(step));
        } else {
            (hi, probe) = (k, k.saturating_sub(step));
        }
        step = step.saturating_mul(2);
    }
    number(lo)
}
