//! Runge–Kutta methods as convex combinations of Euler steps.

use std::cmp::Ordering;

use super::{
    coefficients::Tableau,
    exact::{Surd, largest},
};
use crate::{
    error::{Error, Result},
    rigor::{Lower, Upper},
};

/// The canonical Shu–Osher form of an explicit method: convex combinations of Euler steps of length `h/r`,
///
/// ```math
/// X_i = v_i\, x + \sum_{j < i} p_{ij} \Bigl(X_j + \frac hr f(X_j)\Bigr),\qquad v_i + \sum_j p_{ij} = 1,
/// ```
///
/// the last row being the new value. In hand, `v ≥ 0` and `p ≥ 0` exactly.
///
/// Source: Shu, Osher, J. Comput. Phys. 77 (1988); Gottlieb, Shu, Tadmor, *Strong stability-preserving high-order time
/// discretization methods*, SIAM Review 43 (2001); Ferracina, Spijker, SIAM J. Numer. Anal. 42 (2004).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShuOsher {
    v: Vec<Surd>,
    p: Vec<Vec<Surd>>,
}

impl ShuOsher {
    /// Returns the weights `v` of the old value, one for each stage and one for the new value.
    pub fn v(&self) -> &[Surd] {
        &self.v
    }

    /// Returns the weights `p` of the Euler steps: row `i` has one for each stage, 0 from the `i`-th on.
    pub fn p(&self) -> &[Vec<Surd>] {
        &self.p
    }

    /// Returns a Lipschitz bound of one step of length `h`, if `φ` is one of the Euler step `x ↦ x + (h/r) f(x)`:
    ///
    /// ```math
    /// ℓ_i = v_i + φ \sum_{j < i} p_{ij}\, ℓ_j .
    /// ```
    ///
    /// Evaluated exactly and rounded up once: `φ = 1` gives 1, and `φ < 1` a rate of contraction. Here `h/r` is the
    /// real number, not its rounded quotient; it is a number of the format if `r` is a power of two.
    pub fn lipschitz(&self, euler: Upper) -> Upper {
        let Ok(phi) = Surd::from_f64(euler.get().max(0.0)) else { return Upper::proved(f64::INFINITY) };
        let mut bounds: Vec<Surd> = Vec::with_capacity(self.v.len());
        for (v, p) in self.v.iter().zip(&self.p) {
            let steps: Surd = p.iter().zip(&bounds).map(|(p, bound)| p * bound).sum();
            bounds.push(v + &(&phi * &steps));
        }
        bounds.last().map_or(Upper::ONE, |bound| Upper::proved(bound.upper()))
    }
}

impl Tableau {
    /// Returns the coefficient of strong stability preservation: the largest `r` with a Shu–Osher form; `None` if there
    /// is none above 2⁻³² or the method is implicit.
    ///
    /// The forms exist for `0 < r ≤ C` (Kraaijevanger 1991). The number is the largest `f64` that is not above `C`, and
    /// the signs of the form at that very number are proved exactly.
    pub fn ssp_coefficient(&self) -> Option<Lower> {
        let exists = |r: f64| r <= 0.0 || self.shu_osher(r).is_ok();
        if !exists(2f64.powi(-32)) {
            return None;
        }
        // C is at most the number of stages, and often an integer: then the bisection starts where it ends.
        let start = (1..=self.stages()).rev().map(|r| r as f64).find(|&r| exists(r)).unwrap_or(0.5);
        Some(Lower::proved(largest(start, exists)))
    }

    /// Returns the canonical Shu–Osher form for Euler steps of length `h/r`:
    ///
    /// ```math
    /// P = rK(I + rK)^{-1},\qquad v = (I - P)\mathbf 1,\qquad K = \begin{pmatrix} A & 0 \\ b^T & 0 \end{pmatrix}.
    /// ```
    ///
    /// `r > 0` is taken as the exact number that it is.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `r` is not a positive number or a coefficient is negative, [`Error::Tableau`] if the
    /// method is implicit.
    pub fn shu_osher(&self, r: f64) -> Result<ShuOsher> {
        if !self.is_explicit() {
            let reason = "only explicit methods have a Shu–Osher form here".into();
            return Err(Error::Tableau { name: self.name.clone(), reason });
        }
        if r.is_nan() || r <= 0.0 {
            return Err(Error::parameter("r", r, "Euler steps of length h/r need r > 0"));
        }
        let rate = Surd::from_f64(r)?;
        let negative = |x: &Surd| x.sign() == Ordering::Less;
        let s = self.stages();
        let (mut v, mut p) = (Vec::with_capacity(s + 1), Vec::<Vec<Surd>>::with_capacity(s + 1));
        // Row i of P = rK(I − P).
        for k in self.a.iter().chain([&self.b]) {
            let mut row = vec![Surd::default(); s];
            for ((j, k), below) in k.iter().enumerate().zip(&p) {
                let scaled = &rate * k;
                row[j] = &row[j] + &scaled;
                for (x, y) in row.iter_mut().zip(below) {
                    *x = &*x - &(&scaled * y);
                }
            }
            let old = &Surd::from(1) - &row.iter().cloned().sum();
            if negative(&old) || row.iter().any(negative) {
                let reason = format!("the Shu–Osher form of {} has a negative coefficient", self.name);
                return Err(Error::parameter("r", r, reason));
            }
            v.push(old);
            p.push(row);
        }
        Ok(ShuOsher { v, p })
    }
}
