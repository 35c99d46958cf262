//! How far the end of an executed implicit step is from that of the exact one.

use super::Implicit;
use crate::{
    certificate::Certificate,
    error::Result,
    field::FieldError,
    layer::{
        flow::{Sum, Weight},
        solve::FAR,
    },
    rigor::{
        Rounding,
        directed::{add_up, mul_up, sqrt_up},
    },
    rules::implicit_step::Motion,
    scalar::Scalar,
    tape::Tape,
};

/// How often the ball of a stage is made smaller, at most.
const MOST_ROUNDS: usize = 8;
/// As long as a round makes a ball this much smaller, there is another one.
const SHRINKS: f64 = 0.75;
/// The program compares with a bound of `‖x̂‖`, which is less than this many times as large for samples of any size.
const SEEN: f64 = 1.0 + 1.0 / 1048576.0;

impl<T: Scalar> Implicit<T> {
    /// For each sample, a bound of the distance between the executed and the exact step from the same point, for every
    /// point within `reach` of the one on the tape from which the program returns a number; infinite where an overflow
    /// cannot be excluded.
    ///
    /// With the program's stages `X̂`, slopes `k̂` and factors `ĉᵢⱼ` for `haᵢⱼ`, the residual of the exact equations is at most
    ///
    /// ```math
    /// \|ρ_i\| \le τ + \sum_j \bigl(|h a_{ij}|\, e_j + |ĉ_{ij} - h a_{ij}|\, \|k̂_j\|\bigr)
    ///    + γ\Bigl(\|X̂_i\| + \|x̂\| + \sum_j |ĉ_{ij}| \|k̂_j\|\Bigr),
    /// ```
    ///
    /// the tolerance, the errors `e` of the field, those of the factors, and of sums; [`Motion`] says how far that moves
    /// stages. The errors of the field are bounded over a ball around the stages on the tape. The program returns only
    /// stages that are not far from `x`, which is a ball to begin with; in it the stages are found to be in a smaller one,
    /// and so on: each round is a proof of its own.
    pub(super) fn step_error(
        &self,
        field: &Certificate,
        rounding: &Rounding,
        tape: &Tape<f64>,
        reach: &[f64],
    ) -> Result<Vec<f64>> {
        let motion = Motion::new(&self.method.tableau, self.h.wide(), &field.claims().numbers())?;
        let (count, samples) = (self.end.len(), reach.len());
        let width = sqrt_up(self.field.shape().len() as f64);
        let sizes = tape.saved(count).norms_up();
        let stage_sizes: Vec<Vec<f64>> = (0..count).map(|i| tape.saved(i).norms_up()).collect();
        let weight = |&a: &T| (a != T::zero()).then(|| Weight::new(self.h, a, self.coefficients.error, rounding));
        let weights: Vec<Vec<Option<Weight>>> =
            self.coefficients.a.iter().map(|row| row.iter().map(weight).collect()).collect();
        let lipschitz = motion.stages(0.0, &vec![1.0; count]);
        let start: Vec<f64> = (0..samples).map(|s| add_up(sizes[s], reach[s])).collect();
        let seen: Vec<f64> = start.iter().map(|&size| mul_up(SEEN, size)).collect();
        let tolerances: Vec<f64> = seen.iter().map(|&size| mul_up(SEEN, self.tolerance_at(size))).collect();
        // ‖X̂ − x̂‖, ‖x̂ − x‖ and ‖x − X‖ on the tape, which is of a program with the same bound.
        let far = |s: usize| add_up(mul_up(2.0, mul_up(FAR, add_up(1.0, seen[s]))), reach[s]);
        let mut balls: Vec<Vec<f64>> = vec![(0..samples).map(far).collect(); count];
        let mut moved: Vec<Vec<f64>> = vec![vec![f64::INFINITY; count]; samples];
        for _ in 0..MOST_ROUNDS {
            let slopes: Vec<Vec<FieldError>> = (0..count)
                .map(|j| self.field.rounding(field, rounding, tape.saved(j), tape.inner(j), &balls[j]))
                .collect::<Result<_>>()?;
            let mut shrunk = false;
            for s in 0..samples {
                let residual = |i: usize| {
                    let mut sum = Sum::of(add_up(add_up(stage_sizes[i][s], balls[i][s]), start[s]), 2);
                    for (weight, slope) in weights[i].iter().zip(&slopes).filter_map(|(w, k)| w.as_ref().zip(k.get(s)))
                    {
                        sum.add(weight, slope.size, slope.error);
                    }
                    sum.error(width, rounding)
                };
                let residuals: Vec<f64> = (0..count).map(residual).collect();
                let errors = motion.stages(tolerances[s], &residuals);
                for i in 0..count {
                    // The tape rounds no more than the program.
                    let ball = add_up(mul_up(lipschitz[i], reach[s]), mul_up(2.0, errors[i]));
                    shrunk |= ball < mul_up(SHRINKS, balls[i][s]);
                    balls[i][s] = balls[i][s].min(ball);
                    moved[s][i] = moved[s][i].min(errors[i]);
                }
            }
            if !shrunk {
                break;
            }
        }
        let end = |s: usize| {
            let (mut size, mut off) =
                (mul_up(self.rest.executed.wide().abs(), start[s]), mul_up(self.rest.off, start[s]));
            for (i, part) in self.end.iter().enumerate().filter(|(_, part)| part.executed != T::zero()) {
                let stage = add_up(stage_sizes[i][s], balls[i][s]);
                size = add_up(size, mul_up(part.executed.wide().abs(), stage));
                off = add_up(off, mul_up(part.off, stage));
            }
            let underflow = mul_up(width, rounding.underflow(3 * (count + 1)));
            let added = add_up(mul_up(rounding.dot(2 * (count + 1)), size), underflow);
            let error = add_up(motion.end(0.0, &moved[s]), add_up(off, added));
            rounding.unless_overflow(add_up(mul_up(2.0, size), error), error)
        };
        Ok((0..samples).map(end).collect())
    }
}
