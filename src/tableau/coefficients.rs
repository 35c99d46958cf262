//! Runge–Kutta tableaux with exact coefficients.

use std::cmp::Ordering;

use super::{exact::Surd, trees};
use crate::{
    error::{Error, Result},
    scalar::Scalar,
};

/// A Runge–Kutta method of a proved order, its coefficients exact.
///
/// ```math
/// X_i = x + h \sum_j a_{ij}\, f(X_j),\qquad x_1 = x + h \sum_i b_i\, f(X_i),\qquad c_i = \sum_j a_{ij}.
/// ```
///
/// A tableau in hand is a valid one: square, with the row sums `c`, and with all order conditions up to its order, each
/// checked in exact arithmetic. The methods of this crate are functions such as [`Tableau::rk4`] and have names
/// ([`Tableau::by_name`]).
///
/// Source: Butcher, *Numerical methods for ordinary differential equations* (2016); Hairer, Nørsett, Wanner, *Solving
/// ordinary differential equations I* (1993), chapter II.
///
/// ```
/// use dahlquist::integrate::Tableau;
/// let rk4 = Tableau::rk4();
/// assert_eq!((rk4.stages(), rk4.order(), rk4.is_explicit()), (4, 4, true));
/// assert_eq!(rk4.circle_radius()?.get(), 1.0);
/// assert!(Tableau::midpoint().circle_radius().is_err());
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tableau {
    pub(super) name: String,
    pub(super) order: usize,
    pub(super) a: Vec<Vec<Surd>>,
    pub(super) b: Vec<Surd>,
    pub(super) c: Vec<Surd>,
}

/// The coefficients of a [`Tableau`] as a network runs them: each one a number of `T` nearest to the exact one.
///
/// Certificates in exact semantics are about the method with its exact coefficients. What runs is the method with
/// these, each off by at most `error` times the magnitude of the *exact* coefficient: executed semantics charges it.
/// (Relative to the rounded coefficient, the bound is `error / (1 − error)`.)
#[derive(Debug, Clone, PartialEq)]
pub struct Coefficients<T> {
    /// The rows of `A`.
    pub a: Vec<Vec<T>>,
    /// The weights `b`.
    pub b: Vec<T>,
    /// The nodes `c`.
    pub c: Vec<T>,
    /// A proved bound of `|â − a| / |a|` for all coefficients: at most the unit roundoff of `T`, and 0 if and only if
    /// all of them are numbers of `T`.
    pub error: f64,
}

/// The largest order whose conditions are checked: that order has 115 trees.
const LARGEST_ORDER: usize = 8;

/// Coefficients other than 0 have magnitudes in `[2⁻¹⁰⁰, 2¹⁰⁰]`, so they are normal numbers of `f32` and `f64`.
const LARGEST_EXPONENT: i32 = 100;

impl Tableau {
    /// Returns the method with these coefficients, if it has this order.
    ///
    /// `a` is square, given by its rows; `order` is at least 1 and at most 8; coefficients other than 0 have magnitudes
    /// in `[2⁻¹⁰⁰, 2¹⁰⁰]`. A name of [`Self::by_name`] means its coefficients: files and certificates say the name alone.
    ///
    /// # Errors
    /// [`Error::Tableau`] if a shape, a range, a row sum `c_i = Σ_j a_ij` or an order condition fails, or the name is that of
    /// another method. No tolerance.
    pub fn new(name: impl Into<String>, order: usize, a: Vec<Vec<Surd>>, b: Vec<Surd>, c: Vec<Surd>) -> Result<Self> {
        let tableau = Self { name: name.into(), order, a, b, c };
        if Self::by_name(&tableau.name).is_ok_and(|known| (&known.a, &known.b) != (&tableau.a, &tableau.b)) {
            let reason = "it is the name of a method with other coefficients".into();
            return Err(Error::Tableau { name: tableau.name, reason });
        }
        match tableau.defect() {
            None => Ok(tableau),
            Some(reason) => Err(Error::Tableau { name: tableau.name, reason }),
        }
    }

    /// Returns what is wrong with the tableau, if anything.
    fn defect(&self) -> Option<String> {
        let s = self.b.len();
        if s == 0 {
            return Some("it has no stages".into());
        }
        if self.a.len() != s || self.c.len() != s || self.a.iter().any(|row| row.len() != s) {
            return Some(format!("{s} weights need a square matrix with {s} rows, and {s} nodes"));
        }
        if !(1..=LARGEST_ORDER).contains(&self.order) {
            return Some(format!("the order {} is not between 1 and {LARGEST_ORDER}", self.order));
        }
        let power = |e: i32| Surd::from_f64(2f64.powi(e)).unwrap_or_default();
        let range = power(-LARGEST_EXPONENT)..=power(LARGEST_EXPONENT);
        let in_range = |x: &&Surd| x.sign() == Ordering::Equal || range.contains(&x.abs());
        if let Some(x) = self.coefficients().find(|x| !in_range(x)) {
            return Some(format!("the magnitude of {x} is not between 2^-{LARGEST_EXPONENT} and 2^{LARGEST_EXPONENT}"));
        }
        for (i, (row, c)) in self.a.iter().zip(&self.c).enumerate() {
            let sum: Surd = row.iter().cloned().sum();
            if sum != *c {
                return Some(format!("row {} of A sums to {sum}, not to its node {c}", i + 1));
            }
        }
        trees::violated(&self.a, &self.b, self.order)
    }

    /// The order conditions up to `order` hold, exactly.
    ///
    /// # Errors
    /// [`Error::Tableau`] naming the first rooted tree whose condition fails, or an order that is not between 1 and 8.
    pub fn has_order(&self, order: usize) -> Result<()> {
        let candidate = Self { order, ..self.clone() };
        candidate.defect().map_or(Ok(()), |reason| Err(Error::Tableau { name: candidate.name, reason }))
    }

    /// Returns the name, in files and errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the order that was declared and proved; the method may have a higher one.
    pub fn order(&self) -> usize {
        self.order
    }

    /// Returns the number `s` of stages.
    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// Returns the rows of the matrix `A`.
    pub fn a(&self) -> &[Vec<Surd>] {
        &self.a
    }

    /// Returns the weights `b`.
    pub fn b(&self) -> &[Surd] {
        &self.b
    }

    /// Returns the nodes `c`.
    pub fn c(&self) -> &[Surd] {
        &self.c
    }

    /// Returns whether each stage needs only the stages before it: `a_ij = 0` for `j ≥ i`.
    pub fn is_explicit(&self) -> bool {
        self.a.iter().enumerate().all(|(i, row)| row.iter().skip(i).all(|a| a.sign() == Ordering::Equal))
    }

    /// Returns whether a step is `x + h f(x)`.
    pub fn is_euler(&self) -> bool {
        self.b.len() == 1 && self.b[0] == Surd::from(1) && self.is_explicit()
    }

    /// Returns whether a step is `x₁ = x + h f(x₁)`.
    pub fn is_implicit_euler(&self) -> bool {
        self.b.len() == 1 && self.b[0] == Surd::from(1) && self.a[0][0] == Surd::from(1)
    }

    /// Returns the coefficients rounded to the nearest numbers of `T`, and a bound of their error.
    pub fn rounded<T: Scalar>(&self) -> Coefficients<T> {
        self.remembered(T::NAME, || {
            let round = |row: &[Surd]| row.iter().map(Surd::nearest::<T>).collect::<Vec<T>>();
            let error = self.coefficients().map(|x| relative_error(x, x.nearest::<T>().wide())).fold(0.0, f64::max);
            let a = self.a.iter().map(|row| round(row)).collect();
            Coefficients { a, b: round(&self.b), c: round(&self.c), error }
        })
    }

    /// Returns all coefficients.
    fn coefficients(&self) -> impl Iterator<Item = &Surd> {
        self.a.iter().flatten().chain(&self.b).chain(&self.c)
    }
}

/// Returns an upper bound of `|x̂ − x| / |x|`; 0 for `x = x̂ = 0`.
fn relative_error(x: &Surd, rounded: f64) -> f64 {
    match (Surd::from_f64(rounded), x.recip()) {
        (Ok(rounded), Some(inverse)) => (&(&rounded - x) * &inverse).abs().upper(),
        _ if rounded == 0.0 => 0.0,
        _ => f64::INFINITY,
    }
}
