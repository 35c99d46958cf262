//! Circle contractivity: the steps of a method that do not expand a cocoercive field.

use std::cmp::Ordering;

use faer::Mat;

use super::{
    coefficients::Tableau,
    exact::{Surd, largest},
};
use crate::{
    error::{Error, Result},
    rigor::{Lower, directed::mul_down},
    scalar::eigenvalue_estimates,
};

/// The radius of circle contractivity of a method, proved.
///
/// A field with cocoercivity `ν` (`⟨Δf, Δx⟩ ≤ −ν‖Δf‖²`) is integrated without expansion by every step `0 ≤ h ≤ 2rν`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum CircleRadius {
    /// Every step `h ≥ 0` is non-expansive for a field with cocoercivity `ν ≥ 0`.
    Infinite,
    /// The largest `f64` that is not above the radius.
    Finite(Lower),
}

impl CircleRadius {
    /// Returns a proved lower bound of the radius; infinity if it is infinite.
    pub fn get(self) -> f64 {
        match self {
            Self::Infinite => f64::INFINITY,
            Self::Finite(r) => r.get(),
        }
    }

    /// Returns the longest step that is proved to be non-expansive, `2rν` rounded down, for a field with cocoercivity
    /// `ν`; 0 if no `ν > 0` is proved.
    pub fn step_limit(self, cocoercivity: Lower) -> Lower {
        let nu = cocoercivity.get();
        match self {
            _ if nu <= 0.0 => Lower::ZERO,
            Self::Infinite => Lower::proved(f64::INFINITY),
            Self::Finite(r) => Lower::proved(mul_down(mul_down(2.0, r.get()), nu)),
        }
    }
}

impl Tableau {
    /// Returns the radius of circle contractivity, the largest `r` with `M + B/r ⪰ 0`:
    ///
    /// ```math
    /// B = \mathrm{diag}\, b,\qquad M = BA + A^TB - bb^T,\qquad
    ///    r = -1/λ_{\min}(B^{-1/2} M B^{-1/2}).
    /// ```
    ///
    /// For two steps from `x` and `x + Δx`, with the differences `ΔXᵢ` and `Δfᵢ` of stages and slopes,
    ///
    /// ```math
    /// \|Δx_1\|^2 = \|Δx\|^2 + 2h \sum_i b_i ⟨Δf_i, ΔX_i⟩ - h^2 \sum_{ij} m_{ij} ⟨Δf_i, Δf_j⟩
    ///    \le \|Δx\|^2 - h^2 \sum_{ij} \Bigl(M + \tfrac{2ν}{h} B\Bigr)_{ij} ⟨Δf_i, Δf_j⟩,
    /// ```
    ///
    /// which is at most `‖Δx‖²` if `2ν/h ≥ 1/r`, in every inner product space. An implicit method is meant with its
    /// stage equations solved exactly.
    ///
    /// The number is found by bisection and proved by an exact factorisation of `B + rM` at that very `f64`: it is the
    /// largest `f64` that is not above the radius, so a radius that is an `f64` comes out exactly. Eigenvalues in
    /// floating point only say where to start.
    ///
    /// # Errors
    /// [`Error::NotCircleContractive`] if a weight is not positive, as in the explicit midpoint rule.
    ///
    /// Source: Dahlquist, Jeltsch, *Generalized disks of contractivity for explicit and implicit Runge–Kutta methods*,
    /// TRITA-NA 7906 (1979); *Reducibility and contractivity of Runge–Kutta methods revisited*, BIT 46 (2006).
    pub fn circle_radius(&self) -> Result<CircleRadius> {
        self.remembered("circle radius", || self.derived_radius())
    }

    fn derived_radius(&self) -> Result<CircleRadius> {
        if let Some((i, b)) = self.b.iter().enumerate().find(|(_, b)| b.sign() != Ordering::Greater) {
            let reason = format!("its weight b_{} = {b} is not positive", i + 1);
            return Err(Error::NotCircleContractive { method: self.name.clone(), reason });
        }
        let m = self.algebraic_stability_matrix();
        if is_positive_semidefinite(m.clone()) {
            return Ok(CircleRadius::Infinite);
        }
        let r = largest(self.radius_estimate(&m), |r| r <= 0.0 || self.contracts(&m, r));
        Ok(CircleRadius::Finite(Lower::proved(r)))
    }

    /// Returns whether the method is algebraically stable, `b ≥ 0` and `M = BA + AᵀB − bbᵀ ⪰ 0`, exactly.
    ///
    /// Source: Burrage, Butcher, *Stability criteria for implicit Runge–Kutta methods*, SIAM J. Numer. Anal. 16 (1979).
    pub fn is_algebraically_stable(&self) -> bool {
        let positive = self.b.iter().all(|b| b.sign() != Ordering::Less);
        positive && self.remembered("stability", || is_positive_semidefinite(self.algebraic_stability_matrix()))
    }

    /// Returns `B + rM ⪰ 0`, exactly: `M + B/r ⪰ 0` for `r > 0`.
    fn contracts(&self, m: &[Vec<Surd>], r: f64) -> bool {
        let Ok(r) = Surd::from_f64(r) else { return false };
        let mut sum: Vec<Vec<Surd>> = m.iter().map(|row| row.iter().map(|m| &r * m).collect()).collect();
        for (i, b) in self.b.iter().enumerate() {
            sum[i][i] = &sum[i][i] + b;
        }
        is_positive_semidefinite(sum)
    }

    /// Returns `M = BA + AᵀB − bbᵀ`, of Burrage and Butcher 1979.
    fn algebraic_stability_matrix(&self) -> Vec<Vec<Surd>> {
        let (a, b, s) = (&self.a, &self.b, self.stages());
        let entry = |i: usize, j: usize| &(&(&b[i] * &a[i][j]) + &(&b[j] * &a[j][i])) - &(&b[i] * &b[j]);
        (0..s).map(|i| (0..s).map(|j| entry(i, j)).collect()).collect()
    }

    /// About `−1/λ_min(B^{-1/2} M B^{-1/2})`, or a short number very close to it; 1 if that makes no sense.
    fn radius_estimate(&self, m: &[Vec<Surd>]) -> f64 {
        let b: Vec<f64> = self.b.iter().map(Surd::lower).collect();
        let scaled = Mat::from_fn(b.len(), b.len(), |i, j| m[i][j].lower() / (b[i] * b[j]).sqrt());
        let smallest = eigenvalue_estimates(scaled.as_ref()).and_then(|values| values.first().copied());
        let r = smallest.map(|lambda| -1.0 / lambda).filter(|r| r.is_finite() && *r > 0.0).unwrap_or(1.0);
        let short = f64::from(r as f32);
        if (r - short).abs() <= 1e-12 * r { short } else { r }
    }
}

/// Returns whether a symmetric matrix is positive semidefinite, by the factorisation `LDLᵀ`, exactly.
///
/// No pivot may be negative, and the row of a pivot that is 0 must be 0: `S_ii = 0 ≠ S_ij` makes `S` indefinite.
/// Otherwise `S ⪰ 0` if and only if the Schur complement of the pivot is.
pub(super) fn is_positive_semidefinite(mut s: Vec<Vec<Surd>>) -> bool {
    for k in 0..s.len() {
        let pivot = std::mem::take(&mut s[k]);
        match pivot[k].sign() {
            Ordering::Less => return false,
            Ordering::Equal if pivot[k..].iter().any(|x| x.sign() != Ordering::Equal) => return false,
            _ => {}
        }
        let Some(inverse) = pivot[k].recip() else { continue };
        for (i, row) in s.iter_mut().enumerate().skip(k + 1).filter(|(i, _)| pivot[*i].sign() != Ordering::Equal) {
            let factor = &pivot[i] * &inverse;
            for (x, y) in row.iter_mut().zip(&pivot).skip(k + 1) {
                *x = &*x - &(&factor * y);
            }
        }
    }
    true
}
