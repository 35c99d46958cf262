//! The rounding error of one step of a flow.

use super::Flow;
use crate::{
    certificate::Certificate,
    error::Result,
    field::FieldError,
    layer::Layer,
    rigor::{
        Rounding,
        directed::{add_up, mul_up, sqrt_up},
    },
    scalar::Scalar,
    tableau::Coefficients,
    tape::Tape,
};

impl<T: Scalar> Flow<T> {
    /// For each sample, a bound of the distance between the executed and the exact step from the same point, for every
    /// point within `reach` of the one on the tape.
    ///
    /// Stage `i` is off by `Eᵢ ≤ Σⱼ |haᵢⱼ|(ℓEⱼ + eⱼ) + δ|haᵢⱼ|‖k̂ⱼ‖ + γ(‖x̂‖ + Σⱼ |haᵢⱼ|‖k̂ⱼ‖)`: the errors of earlier
    /// stages through the field, of the field's evaluation, of the coefficients, and of the additions.
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
        let h = self.h.wide().abs();
        // fl(h·â) against h·a: the coefficient's error, and one product.
        let delta = add_up(mul_up(2.0, *coefficient), mul_up(2.0, rounding.unit()));
        let weight = |w: &T| mul_up(mul_up(h, w.wide().abs()), add_up(1.0, delta));
        let width = sqrt_up(self.input().len() as f64);
        let sizes = tape.saved(step * stages).norms_up();
        let mut slopes: Vec<Vec<FieldError>> = Vec::with_capacity(stages);
        let mut slope_errors: Vec<Vec<f64>> = Vec::with_capacity(stages);
        // A stage is a Lipschitz function of the point: Sᵢ = 1 + h Σⱼ |aᵢⱼ| ℓ Sⱼ.
        let mut stage_lipschitz: Vec<f64> = Vec::with_capacity(stages);
        let combined = |weights: &[T], slopes: &[Vec<FieldError>], slope_errors: &[Vec<f64>]| -> Vec<f64> {
            let terms = slopes.len() + 1;
            (0..samples)
                .map(|s| {
                    let (mut inherited, mut size) = (0.0, add_up(sizes[s], reach[s]));
                    for ((w, slope), error) in weights.iter().zip(slopes).zip(slope_errors) {
                        let w = weight(w);
                        let through = add_up(error[s], mul_up(delta, slope[s].size));
                        inherited = add_up(inherited, mul_up(w, through));
                        size = add_up(size, mul_up(w, slope[s].size));
                    }
                    let underflow = mul_up(width, rounding.underflow(3 * terms));
                    let added = add_up(mul_up(rounding.dot(2 * terms), size), underflow);
                    // Underflow of fl(h·â) itself moves a slope by at most η times its size.
                    let small = slopes.iter().fold(0.0, |t, k| add_up(t, mul_up(rounding.underflow(1), k[s].size)));
                    let error = add_up(add_up(inherited, added), small);
                    rounding.unless_overflow(add_up(mul_up(2.0, size), error), error)
                })
                .collect()
        };
        for (i, row) in a.iter().enumerate() {
            let error = combined(&row[..i], &slopes, &slope_errors);
            let lipschitz = row[..i]
                .iter()
                .zip(&stage_lipschitz)
                .fold(1.0, |s, (w, &sj)| add_up(s, mul_up(mul_up(weight(w), l), sj)));
            let around: Vec<f64> = (0..samples).map(|s| add_up(mul_up(lipschitz, reach[s]), 2.0 * error[s])).collect();
            let evaluation = step * stages + i;
            let x = tape.saved(evaluation);
            let slope = self.field.rounding(field, rounding, x, tape.inner(evaluation), &around)?;
            slope_errors.push(slope.iter().zip(&error).map(|(k, &e)| add_up(k.error, mul_up(l, e))).collect());
            slopes.push(slope);
            stage_lipschitz.push(lipschitz);
        }
        Ok(combined(b, &slopes, &slope_errors))
    }
}
