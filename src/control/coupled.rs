//! Steps of implicit methods: all their stages at once, and so their costates and variations.

use super::process::{Process, Stage};
use crate::{
    error::{Error, Result},
    layer::solve::{self, Block, Equations, krylov},
    rigor::directed::mul_up,
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};

/// The residual that a solve may leave, in units of roundoff: of `1 + ‖x‖` for stages, of the right-hand side for linear systems.
const TOLERANCE: f64 = 1024.0;

/// The equations `X_i − x − h Σ a_ij f(X_j) = 0` of a step.
struct Stages<'a, 'f, T: Scalar> {
    process: &'a Process<'f, T>,
    step: usize,
    x: &'a Batch<T>,
}

impl<T: Scalar> Equations<T> for Stages<'_, '_, T> {
    /// The slopes, and the tapes of their evaluation.
    type Seen = (Block<T>, Vec<Tape<T>>);

    fn residual(&self, points: &[Batch<T>]) -> (Block<T>, Self::Seen) {
        let evaluate = |(i, point): (usize, &Batch<T>)| {
            let mut tape = Tape::recording();
            (self.process.field(self.step, i).eval(point, &mut tape), tape)
        };
        let (slopes, tapes): (Block<T>, Vec<Tape<T>>) = points.iter().enumerate().map(evaluate).unzip();
        let moved = |point: &Batch<T>| {
            let mut moved = point.clone();
            moved.axpy(-T::one(), self.x);
            moved
        };
        let moved: Block<T> = points.iter().map(moved).collect();
        (self.process.coupled(self.step, &moved, &slopes), (slopes, tapes))
    }

    fn linearized(&self, points: &[Batch<T>], (_, tapes): &Self::Seen, v: &[Batch<T>]) -> Block<T> {
        let moved = |(i, v): (usize, &Batch<T>)| self.process.field(self.step, i).jvp(&points[i], &tapes[i], v);
        let moved: Block<T> = v.iter().enumerate().map(moved).collect();
        self.process.coupled(self.step, v, &moved)
    }
}

impl<T: Scalar> Process<'_, T> {
    /// Returns `v_i − h Σ a_ij w_j`.
    fn coupled(&self, step: usize, v: &[Batch<T>], w: &[Batch<T>]) -> Block<T> {
        solve::coupled(v, w, self.lengths()[step], |i, j| self.coefficients.a[i][j])
    }

    /// Returns the stages of a step from `x`: what an implicit method solves for.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the equations are not solved to rounding.
    pub(super) fn solved_stages(&self, step: usize, x: &Batch<T>) -> Result<Vec<Stage<T>>> {
        let targets: Vec<f64> =
            x.norms_up().into_iter().map(|norm| mul_up(TOLERANCE * T::UNIT_ROUNDOFF, 1.0 + norm)).collect();
        let found = solve::solve(&Stages { process: self, step, x }, vec![x.clone(); self.stages()], &targets);
        refuse_unsolved("the stages", step, &found.norms, &targets)?;
        let (slopes, tapes) = found.seen;
        let stage = |((point, slope), tape)| Stage { point, slope, tape };
        Ok(found.x.into_iter().zip(slopes).zip(tapes).map(stage).collect())
    }

    /// Returns `Γ_i`, the solution of `Γ_i − h Σ_j a_ji F_jᵀΓ_j = b_i λ + Σ_j a_ji h b_j r_j`, from the products `h b_j r_j`.
    ///
    /// # Errors
    /// As [`Self::solved_stages`].
    pub(super) fn solved_costates(
        &self,
        step: usize,
        stages: &[Stage<T>],
        terminal: &Batch<T>,
        running: &[Option<Batch<T>>],
    ) -> Result<Block<T>> {
        let (a, h) = (&self.coefficients.a, self.lengths()[step]);
        let right = |(i, &b): (usize, &T)| {
            let mut right = terminal.scaled(b);
            for (row, running) in a.iter().zip(running) {
                running.iter().for_each(|running| right.axpy(row[i], running));
            }
            right
        };
        let right: Block<T> = self.coefficients.b.iter().enumerate().map(right).collect();
        let matrix = |v: &[Batch<T>]| {
            let pulled =
                |(j, stage): (usize, &Stage<T>)| self.field(step, j).vjp(stage.point(), stage.tape(), &v[j], None);
            let pulled: Block<T> = stages.iter().enumerate().map(pulled).collect();
            solve::coupled(v, &pulled, h, |i, j| a[j][i])
        };
        solve_linear("the costates", step, matrix, &right)
    }

    /// Returns `F_iV_i` for the solution of `V_i − h Σ_j a_ij F_jV_j = v`.
    ///
    /// # Errors
    /// As [`Self::solved_stages`].
    pub(super) fn solved_variations(&self, step: usize, stages: &[Stage<T>], v: &Batch<T>) -> Result<Block<T>> {
        let moved = |v: &[Batch<T>]| -> Block<T> {
            let moved = |(j, stage): (usize, &Stage<T>)| self.field(step, j).jvp(stage.point(), stage.tape(), &v[j]);
            stages.iter().enumerate().map(moved).collect()
        };
        let right = vec![v.clone(); stages.len()];
        let found = solve_linear("the variations", step, |v| self.coupled(step, v, &moved(v)), &right)?;
        Ok(moved(&found))
    }
}

/// Solves a linear system to rounding.
fn solve_linear<T: Scalar>(
    what: &str,
    step: usize,
    matrix: impl Fn(&[Batch<T>]) -> Block<T>,
    right: &[Batch<T>],
) -> Result<Block<T>> {
    let found = krylov::solve_sharply(&matrix, right);
    let mut left = matrix(&found);
    left.iter_mut().zip(right).for_each(|(left, right)| left.axpy(-T::one(), right));
    let relative = |norm: f64| mul_up(TOLERANCE * T::UNIT_ROUNDOFF, norm);
    let targets: Vec<f64> = krylov::norms(right).into_iter().map(relative).collect();
    refuse_unsolved(what, step, &krylov::norms(&left), &targets)?;
    Ok(found)
}

/// Refuses the first sample whose residual is not within its target, or not finite.
fn refuse_unsolved(what: &str, step: usize, norms: &[f64], targets: &[f64]) -> Result<()> {
    match norms.iter().zip(targets).position(|(norm, target)| norm > target || !norm.is_finite()) {
        None => Ok(()),
        Some(s) => Err(Error::not_proved(
            format!("{what} of step {step} of a process"),
            format!("the solve for sample {s} leaves {:e}, and may leave {:e}", norms[s], targets[s]),
        )),
    }
}
