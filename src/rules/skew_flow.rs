//! A step of `x' = Kx` with a skew matrix `K = S − Sᵀ`, `κ = ‖K‖`, by any Runge–Kutta method.
//!
//! It is `R(hK)`, a normal matrix, with the stability function `R` of the method; the eigenvalues of `hK` are `iy` with
//! `|y| ≤ |h|κ`. So with `|R(iy)|² = N(w)/D(w)`, `w = y²`,
//!
//! ```math
//! \min_{|y| \le |h|κ} |R(iy)| \;\|Δx\| \;\le\; \|Δx_1\| \;\le\; \max_{|y| \le |h|κ} |R(iy)| \;\|Δx\|,
//! ```
//!
//! both attained. The methods of order 4 with four stages expand nothing for `|h|κ ≤ 2√2`; Gauss methods, the implicit
//! midpoint rule among them, keep every distance, for any step.
//!
//! A claim `L` holds if `L²D − N` is not negative on `[0, (hκ)²]`. It is shown by coefficients in the basis of Bernstein, of
//! which none is negative, with the zeros at `w = 0` divided out, in exact arithmetic, before intervals are taken. A step of
//! an implicit method is one with its equations solved exactly.
//!
//! Source: Hairer, Wanner, *Solving ordinary differential equations II* (1996), IV.3.

use super::{Numbers, require};
use crate::{
    certificate::Claims,
    error::{Error, Result},
    model::{Field, Step},
    rigor::{
        Interval, Lower, Upper,
        directed::{div_down, div_up, mul_up},
    },
    tableau::{StabilityFunction, Surd},
};

/// Returns the claims about one step, those that are `claimed` and proved here.
///
/// # Errors
/// [`Error::Format`] for another field, [`Error::NotProved`] if the bound is not proved.
pub fn bound(step: Step<'_>, field: &Numbers, claimed: &Numbers) -> Result<Claims> {
    let proof = Proof::new(step, field)?;
    require(claimed.bound >= 0.0 && claimed.bound.is_finite(), "a Lipschitz bound is not negative")?;
    let unproved = || Error::not_proved("the factor of a step", "a polynomial is not proved to be nowhere negative");
    if !proof.is_bound(claimed.bound) {
        return Err(unproved());
    }
    // What this polynomial does not show of the inverse, another rule for steps may.
    let inverse = claimed.inverse.filter(|inverse| proof.is_inverse(*inverse)).map(Lower::proved);
    Ok(Claims { inverse, ..Claims::lipschitz(Upper::proved(claimed.bound)) })
}

/// How much above the largest of many values a bound is tried, relatively.
const MARGINS: [f64; 9] = [0.0, 1e-15, 1e-14, 1e-13, 1e-11, 1e-9, 1e-6, 1e-3, 1e-1];
/// How many values are looked at.
const VALUES: usize = 4096;
/// Degrees to which polynomials are raised: the higher, the closer their coefficients are to their values.
const DEGREES: [usize; 3] = [0, 24, 96];

/// Searches the bounds of a step; none for another field.
pub fn propose(step: Step<'_>, field: &Numbers) -> Option<Claims> {
    let proof = Proof::new(step, field).ok()?;
    let [least, most] = proof.range();
    // What is 1 but for rounding is tried as 1.
    let near = |x: f64| if (x - 1.0).abs() < 1e-12 { 1.0 } else { x };
    let bound = MARGINS.iter().map(|m| near(most) * (1.0 + m)).find(|l| l.is_finite() && proof.is_bound(*l))?;
    let inverse = MARGINS.iter().map(|m| near(least) * (1.0 - m)).find(|l| *l > 0.0 && proof.is_inverse(*l));
    Some(Claims { inverse: inverse.map(Lower::proved), ..Claims::lipschitz(Upper::proved(bound)) })
}

/// What claims about a step are held against.
struct Proof {
    function: StabilityFunction,
    /// Not below `(hκ)²`.
    end: f64,
}

impl Proof {
    fn new(step: Step<'_>, field: &Numbers) -> Result<Self> {
        require(matches!(step.field, Field::SkewLinear { .. }), "the rule is one for skew linear fields")?;
        require(field.bound >= 0.0, "a Lipschitz bound is not negative")?;
        let y = mul_up(step.length.abs(), field.bound);
        let end = Upper::proved(mul_up(y, y)).finite("the square of a step times the norm of its field")?.get();
        Ok(Self { function: step.method.tableau()?.stability_function(), end })
    }

    /// About the least and the largest `|R(iy)|`.
    fn range(&self) -> [f64; 2] {
        let (n, d): (Vec<f64>, Vec<f64>) = (
            self.function.numerator.iter().map(Surd::lower).collect(),
            self.function.denominator.iter().map(Surd::lower).collect(),
        );
        let horner = |p: &[f64], w: f64| p.iter().rev().fold(0.0, |sum, x| sum * w + x);
        let at = |k: usize| {
            let w = self.end * (k as f64 / VALUES as f64);
            (horner(&n, w) / horner(&d, w)).max(0.0).sqrt()
        };
        (0..=VALUES).map(at).fold([f64::INFINITY, 0.0], |[least, most], x| [least.min(x), most.max(x)])
    }

    /// Returns `L²D − N ≥ 0`.
    fn is_bound(&self, l: f64) -> bool {
        self.holds(l, 1)
    }

    /// Returns `N − ℓ²D ≥ 0`.
    fn is_inverse(&self, l: f64) -> bool {
        l >= 0.0 && self.holds(l, -1)
    }

    fn holds(&self, l: f64, sign: i64) -> bool {
        let Ok(l) = Surd::from_f64(l) else { return false };
        let (square, sign) = (&l * &l, Surd::from(sign));
        let difference: Vec<Surd> = (self.function.denominator.iter())
            .zip(&self.function.numerator)
            .map(|(d, n)| &sign * &(&(&square * d) - n))
            .collect();
        // A root at w = 0 divided out; nothing left is 0.
        let zero = Surd::default();
        let first = difference.iter().position(|x| *x != zero).unwrap_or(difference.len());
        let last = difference.iter().rposition(|x| *x != zero).map_or(first, |last| last + 1);
        let polynomial: Vec<Interval> = difference[first..last].iter().map(enclose).collect();
        polynomial.is_empty() || DEGREES.iter().any(|&degree| is_nonnegative(&polynomial, self.end, degree))
    }
}

/// Returns whether a polynomial is proved not to be negative on `[0, end]`: with `w = end·t`, its coefficients of `tʲ(1
/// − t)ᵐ⁻ʲ` times binomial ones, `b_j = Σ_k C(j, k)/C(m, k) e_k endᵏ`, are not.
fn is_nonnegative(polynomial: &[Interval], end: f64, degree: usize) -> bool {
    let m = degree.max(polynomial.len() - 1);
    let end = Interval::exact(end);
    let coefficient = |j: usize| {
        let (mut sum, mut factor) = (Interval::default(), Interval::exact(1.0));
        for (k, &e) in polynomial.iter().enumerate().take(j + 1) {
            sum = sum + e * factor;
            let (above, below) = ((j - k) as f64, (m - k) as f64);
            factor = factor * end * Interval { low: div_down(above, below), high: div_up(above, below) };
        }
        sum
    };
    (0..=m).all(|j| coefficient(j).low >= 0.0)
}

/// Returns the two numbers of `f64` that an exact one lies between.
fn enclose(x: &Surd) -> Interval {
    Interval { low: x.lower(), high: x.upper() }
}
