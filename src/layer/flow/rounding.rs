//! The rounding error of one step of a flow.

use super::Flow;
use crate::{
    certificate::Certificate,
    error::Result,
    field::FieldError,
    layer::Layer,
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

/// What is known of a slope of the step, over the balls around the samples.
struct Slope {
    /// The size of its value as executed, sample by sample.
    sizes: Vec<f64>,
    /// How far that is from what the slope is in the exact step.
    errors: Vec<f64>,
}

impl<T: Scalar> Flow<T> {
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
        step: usize,
        reach: &[f64],
    ) -> Result<Vec<f64>> {
        let Coefficients { a, b, error: coefficient, .. } = &self.coefficients;
        let (stages, samples) = (self.stages(), reach.len());
        let l = field.bound().get();
        let width = sqrt_up(self.input().len() as f64);
        let sizes = tape.saved(step * stages).norms_up();
        let weights = |row: &[T]| -> Vec<Option<Weight>> {
            let weight = |&a: &T| (a != T::zero()).then(|| Weight::new(self.h, a, *coefficient, rounding));
            row.iter().map(weight).collect()
        };
        let combined = |weights: &[Option<Weight>], slopes: &[Slope]| -> Vec<f64> {
            let terms = slopes.len() + 1;
            (0..samples)
                .map(|s| {
                    let (mut inherited, mut size) = (0.0, add_up(sizes[s], reach[s]));
                    for (weight, slope) in weights.iter().zip(slopes).filter_map(|(w, k)| w.as_ref().zip(Some(k))) {
                        let through = mul_up(weight.meant, slope.errors[s]);
                        inherited = add_up(inherited, add_up(through, mul_up(weight.error, slope.sizes[s])));
                        size = add_up(size, mul_up(weight.executed, slope.sizes[s]));
                    }
                    let underflow = mul_up(width, rounding.underflow(3 * terms));
                    let added = add_up(mul_up(rounding.dot(2 * terms), size), underflow);
                    let error = add_up(inherited, added);
                    // No partial sum is larger than the sizes of all terms, but for the rounding.
                    rounding.unless_overflow(add_up(mul_up(2.0, size), error), error)
                })
                .collect()
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
            let evaluation = step * stages + i;
            let found =
                self.field(step).rounding(field, rounding, tape.saved(evaluation), tape.inner(evaluation), &around)?;
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
