//! The rounding error of a step of an explicit method.

use super::Explicit;
use crate::{
    certificate::Certificate,
    error::Result,
    field::FieldError,
    rigor::{
        Rounding,
        directed::{add_up, mul_down, mul_up, sqrt_up, sub_up},
    },
    scalar::Scalar,
    tableau::Coefficients,
    tape::Tape,
};

/// The factor of a slope in a stage or a step: `h·a` in the method, `fl(h·â)` in the program, which forms it in its own
/// format before it meets a slope.
#[derive(Debug, Clone, Copy)]
pub(in crate::layer) struct Weight {
    /// A bound of `|h·a|`.
    pub(in crate::layer) meant: f64,
    /// `|fl(h·â)|`: infinite if the product overflows, whatever the slope is.
    pub(in crate::layer) executed: f64,
    /// A bound of `|fl(h·â) − h·a|`, underflow included.
    pub(in crate::layer) error: f64,
}

impl Weight {
    /// The weight for the coefficient `a`, of which `â` is known and `|â − a| ≤ coefficient·|a|`.
    pub(in crate::layer) fn new<T: Scalar>(h: T, a: T, coefficient: f64, rounding: &Rounding) -> Self {
        let executed = (h * a).wide();
        let (h, a) = (h.wide(), a.wide());
        let product = mul_up(h.abs(), a.abs());
        // |a| ≤ |â|/(1 − coefficient) ≤ 2|â|, so |h||â − a| is at most this.
        let off = mul_up(product, mul_up(2.0, coefficient));
        let rounded = sub_up(executed, mul_down(h, a)).max(sub_up(mul_up(h, a), executed)).max(0.0);
        // The tape is taken to be no further off than the program. If all coefficients are numbers of T, its products are
        // exact (or T is f64, and they are the same). If they are not, it may round where T happens not to.
        let rounded = if coefficient > 0.0 { rounded.max(mul_up(rounding.unit(), product)) } else { rounded };
        Self { meant: add_up(product, off), executed: executed.abs(), error: add_up(rounded, off) }
    }
}

/// A sum of a point and of slopes times their factors, as the program forms it.
pub(in crate::layer) struct Sum {
    /// A bound of the sizes of all terms together.
    size: f64,
    /// A bound of how far the terms are off.
    error: f64,
    terms: usize,
}

impl Sum {
    /// The sum of `points` points of this size together, so far.
    pub(in crate::layer) fn of(size: f64, points: usize) -> Self {
        Self { size, error: 0.0, terms: points }
    }

    /// Adds a slope of a size, off by `error`.
    pub(in crate::layer) fn add(&mut self, weight: &Weight, size: f64, error: f64) {
        let of_factor = mul_up(weight.error, size);
        self.error = add_up(self.error, add_up(mul_up(weight.meant, error), of_factor));
        self.size = add_up(self.size, mul_up(weight.executed, size));
        self.terms += 1;
    }

    /// Returns how far the sum of `width²` numbers is off, its own roundings included; infinite where an overflow cannot be
    /// excluded.
    pub(in crate::layer) fn error(self, width: f64, rounding: &Rounding) -> f64 {
        let underflow = mul_up(width, rounding.underflow(3 * self.terms));
        let error = add_up(self.error, add_up(mul_up(rounding.dot(2 * self.terms), self.size), underflow));
        // No partial sum is larger than the sizes of all terms, but for the rounding.
        rounding.unless_overflow(add_up(mul_up(2.0, self.size), error), error)
    }
}

/// What is known of a slope of the step, over the balls around the samples.
struct Slope {
    /// The size of its value as executed, sample by sample.
    sizes: Vec<f64>,
    /// How far that is from what the slope is in the exact step.
    errors: Vec<f64>,
}

impl<T: Scalar> Explicit<T> {
    /// For each sample, a bound of the distance between the executed and the exact step from the same point, for every
    /// point within `reach` of the one on the tape; infinite where an overflow cannot be excluded.
    ///
    /// Let `ĉ = fl(h·â)` be what the program multiplies a slope by. Stage `i`, and likewise the step, is off by
    ///
    /// ```math
    /// E_i ≤ \sum_j |h a_{ij}| (ℓE_j + e_j) + |ĉ_{ij} - h a_{ij}| \|k̂_j\|
    ///        + γ\Bigl(\|x̂\| + \sum_j |ĉ_{ij}| \|k̂_j\|\Bigr):
    /// ```
    ///
    /// the errors of earlier stages through the field and of its evaluation, of the factors, and of products and sums.
    /// Terms with a coefficient 0 are not executed. The step of Euler's method has the factor `h`, without a product.
    pub(super) fn step_error(
        &self,
        field: &Certificate,
        rounding: &Rounding,
        tape: &Tape<f64>,
        reach: &[f64],
    ) -> Result<Vec<f64>> {
        let Coefficients { a, b, error: coefficient, .. } = &self.coefficients;
        let (stages, samples) = (self.stages(), reach.len());
        let l = field.bound().get();
        let width = sqrt_up(self.field.shape().len() as f64);
        let sizes = self.stage(tape, 0).norms_up();
        let weights = |row: &[T]| -> Vec<Option<Weight>> {
            let weight = |&a: &T| (a != T::zero()).then(|| Weight::new(self.h, a, *coefficient, rounding));
            row.iter().map(weight).collect()
        };
        let combined = |weights: &[Option<Weight>], slopes: &[Slope]| -> Vec<f64> {
            let each = |s: usize| {
                let mut sum = Sum::of(add_up(sizes[s], reach[s]), 1);
                for (weight, slope) in weights.iter().zip(slopes).filter_map(|(w, k)| Some((w.as_ref()?, k))) {
                    sum.add(weight, slope.sizes[s], slope.errors[s]);
                }
                sum.error(width, rounding)
            };
            (0..samples).map(each).collect()
        };
        let mut slopes: Vec<Slope> = Vec::with_capacity(stages);
        // A stage is a Lipschitz function of the point: Sᵢ = 1 + h Σⱼ |aᵢⱼ| ℓ Sⱼ.
        let mut stage_lipschitz: Vec<f64> = Vec::with_capacity(stages);
        for (i, row) in a.iter().enumerate() {
            let weights = weights(&row[..i]);
            let error = combined(&weights, &slopes);
            let through = |(w, &sj): (&Option<Weight>, &f64)| w.map_or(0.0, |w| mul_up(mul_up(w.meant, l), sj));
            let lipschitz = weights.iter().zip(&stage_lipschitz).map(through).fold(1.0, add_up);
            let around: Vec<f64> = (0..samples).map(|s| add_up(mul_up(lipschitz, reach[s]), 2.0 * error[s])).collect();
            let found = self.field.rounding(field, rounding, self.stage(tape, i), tape.inner(i), &around)?;
            let off = |(k, &e): (&FieldError, &f64)| add_up(k.error, mul_up(l, e));
            slopes.push(Slope {
                errors: found.iter().zip(&error).map(off).collect(),
                sizes: found.iter().map(|k| k.size).collect(),
            });
            stage_lipschitz.push(lipschitz);
        }
        Ok(combined(&weights(b), &slopes))
    }
}
