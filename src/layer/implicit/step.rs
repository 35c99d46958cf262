//! One step: its stages are solved block by block, by Newton's method without matrices.

use super::Implicit;
use crate::{
    field::VectorField,
    layer::solve::{self, Block, Equations, FAR},
    rigor::directed::{add_up, distance_up, mul_up},
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};

/// The equations `X − r − hAF(X) = 0` of a block of stages.
struct Stages<'a, T: Scalar> {
    flow: &'a Implicit<T>,
    field: &'a dyn VectorField<T>,
    /// The first of the stages.
    first: usize,
    r: Block<T>,
}

impl<T: Scalar> Equations<T> for Stages<'_, T> {
    /// The slopes, and the tapes of their evaluation.
    type Seen = (Block<T>, Vec<Tape<T>>);

    fn residual(&self, x: &[Batch<T>]) -> (Block<T>, Self::Seen) {
        let (mut slopes, mut tapes) = (Vec::new(), Vec::new());
        for stage in x {
            let mut tape = Tape::recording();
            slopes.push(self.field.eval(stage, &mut tape));
            tapes.push(tape);
        }
        let left = |(i, (stage, r)): (usize, (&Batch<T>, &Batch<T>))| {
            let mut left = stage.clone();
            left.axpy(-T::one(), &self.flow.combined(r, self.first + i, self.first, &slopes));
            left
        };
        let residual = x.iter().zip(&self.r).enumerate().map(left).collect();
        (residual, (slopes, tapes))
    }

    fn linearized(&self, x: &[Batch<T>], (_, tapes): &Self::Seen, v: &[Batch<T>]) -> Block<T> {
        let moved: Block<T> = v.iter().enumerate().map(|(j, v)| self.field.jvp(&x[j], &tapes[j], v)).collect();
        solve::coupled(v, &moved, self.flow.h, |i, j| self.flow.coefficients.a[self.first + i][self.first + j])
    }
}

impl<T: Scalar> Implicit<T> {
    /// Returns the end of a step from `x`, NaN where it is not solved. The tape holds the stages, then `x`, and a part
    /// for the field at each stage.
    pub(super) fn run(&self, field: &dyn VectorField<T>, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let samples = x.samples();
        let sizes = x.norms_up();
        let targets: Vec<f64> = sizes.iter().map(|&size| self.tolerance_at(size)).collect();
        let (mut stages, mut slopes): (Block<T>, Block<T>) = (Vec::new(), Vec::new());
        let mut solved = vec![true; samples];
        for block in &self.method.stages.blocks {
            // r = x + h Σ aᵢⱼ f(Xⱼ) over what is known.
            let known: Block<T> = block.stages.clone().map(|i| self.combined(&x, i, 0, &slopes)).collect();
            if block.solvable.is_none() {
                slopes.extend(known.iter().map(|stage| field.eval(stage, &mut Tape::idle())));
                stages.extend(known);
                continue;
            }
            let start = known.clone();
            let equations = Stages { flow: self, field, first: block.stages.start, r: known };
            let found = solve::solve(&equations, start, &targets);
            (0..samples).for_each(|s| solved[s] &= found.norms[s] <= targets[s]);
            stages.extend(found.x);
            slopes.extend(found.seen.0);
        }
        for stage in &stages {
            for (s, solved) in solved.iter_mut().enumerate() {
                // A NaN is no number that is small.
                *solved &= distance_up(stage.sample(s), x.sample(s)) <= mul_up(FAR, add_up(1.0, sizes[s]));
            }
        }
        let rest = self.rest.executed;
        let mut y = if rest == T::zero() { Batch::zeros(x.shape(), samples) } else { x.scaled(rest) };
        for (d, stage) in self.end.iter().zip(&stages).filter(|(d, _)| d.executed != T::zero()) {
            y.axpy(d.executed, stage);
        }
        for s in (0..samples).filter(|&s| !solved[s]) {
            y.sample_mut(s).fill(T::of(f64::NAN));
        }
        if tape.is_recording() {
            for stage in stages {
                tape.part(|tape| field.eval(&stage, tape));
                tape.save(stage);
            }
            tape.save(x);
        }
        y
    }

    /// Returns `x + h Σ aᵢⱼ kⱼ` for the stages `j` from `first` on that have slopes.
    fn combined(&self, x: &Batch<T>, i: usize, first: usize, slopes: &[Batch<T>]) -> Batch<T> {
        let mut y = x.clone();
        for (&a, slope) in self.coefficients.a[i][first..].iter().zip(slopes).filter(|(a, _)| **a != T::zero()) {
            y.axpy(self.h * a, slope);
        }
        y
    }

    /// Returns the largest norm that the residual of a step from a point of this size may have.
    pub(super) fn tolerance_at(&self, size: f64) -> f64 {
        self.tolerance.unwrap_or(1024.0 * T::UNIT_ROUNDOFF * (1.0 + size))
    }
}
