//! One step: its stages are solved block by block, by Newton's method without matrices.

use super::{
    Implicit,
    krylov::{self, Block},
};
use crate::{
    field::VectorField,
    rigor::directed::{add_up, distance_up, mul_up},
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};

/// The most steps of Newton's method.
const MOST_STEPS: usize = 40;
/// The most times that a step of it is halved.
const MOST_HALVINGS: usize = 12;
/// How much smaller the residual of a linear system is than its right-hand side, at least.
const LINEAR: f64 = 1e-3;
/// No stage is further from the beginning of the step than so many times `1 + ‖x‖`: the program refuses such a sample, so
/// that there is a ball to begin with in which its rounding errors are bounded.
pub(super) const FAR: f64 = 1048576.0;

/// What is known of a block while it is solved.
struct Iterate<T: Scalar> {
    stages: Block<T>,
    slopes: Block<T>,
    tapes: Vec<Tape<T>>,
    /// `X − r − hAF(X)`.
    residual: Block<T>,
    /// Its norm, for each sample; infinite if it holds a NaN.
    norms: Vec<f64>,
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
            let found = self.solve(field, block.stages.start, known, &targets);
            (0..samples).for_each(|s| solved[s] &= found.norms[s] <= targets[s]);
            stages.extend(found.stages);
            slopes.extend(found.slopes);
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

    /// Returns the stages from `first` on, with `X = r + hAF(X)`.
    fn solve(&self, field: &dyn VectorField<T>, first: usize, r: Block<T>, targets: &[f64]) -> Iterate<T> {
        let samples = targets.len();
        let mut at = self.evaluate(field, first, &r, r.clone());
        for _ in 0..MOST_STEPS {
            let open = |s: usize, at: &Iterate<T>| at.norms[s] > targets[s] && at.norms[s].is_finite();
            if !(0..samples).any(|s| open(s, &at)) {
                break;
            }
            // Solved samples have nothing on the right-hand side, and stay where they are.
            let mut right: Block<T> = at.residual.iter().map(|r| r.scaled(-T::one())).collect();
            for s in (0..samples).filter(|&s| !open(s, &at)) {
                right.iter_mut().for_each(|right| right.sample_mut(s).fill(T::zero()));
            }
            let exact: Vec<f64> = (0..samples).map(|s| (LINEAR * at.norms[s]).max(0.1 * targets[s])).collect();
            let newton = krylov::solve(|v| self.linearized(field, &at, first, v), &right, &exact);
            let Some(next) = self.searched(field, first, &r, &at, &newton, targets) else { break };
            at = next;
        }
        at
    }

    /// Returns the iterate after a step that makes every residual smaller that is not small: the whole step, a half, a
    /// quarter, …, for each sample. None if no sample gains anything.
    fn searched(
        &self,
        field: &dyn VectorField<T>,
        first: usize,
        r: &[Batch<T>],
        at: &Iterate<T>,
        newton: &[Batch<T>],
        targets: &[f64],
    ) -> Option<Iterate<T>> {
        let samples = targets.len();
        let mut lengths: Vec<f64> = (0..samples).map(|s| if at.norms[s] > targets[s] { 1.0 } else { 0.0 }).collect();
        for halving in 0..=MOST_HALVINGS {
            let mut stages = at.stages.clone();
            krylov::add(&mut stages, &lengths, newton);
            let next = self.evaluate(field, first, r, stages);
            let gains =
                |s: usize| next.norms[s] <= targets[s] || next.norms[s] < at.norms[s] * (1.0 - 1e-4 * lengths[s]);
            let worse: Vec<usize> = (0..samples).filter(|&s| lengths[s] > 0.0 && !gains(s)).collect();
            if worse.is_empty() {
                return lengths.iter().any(|&t| t > 0.0).then_some(next);
            }
            for s in worse {
                // In the last round, what does not gain stays.
                lengths[s] = if halving + 1 < MOST_HALVINGS { 0.5 * lengths[s] } else { 0.0 };
            }
        }
        None
    }

    fn evaluate(&self, field: &dyn VectorField<T>, first: usize, r: &[Batch<T>], stages: Block<T>) -> Iterate<T> {
        let (mut slopes, mut tapes) = (Vec::new(), Vec::new());
        for stage in &stages {
            let mut tape = Tape::recording();
            slopes.push(field.eval(stage, &mut tape));
            tapes.push(tape);
        }
        let residual: Block<T> = (stages.iter().zip(r).enumerate())
            .map(|(i, (stage, r))| {
                let mut left = stage.clone();
                left.axpy(-T::one(), &self.combined(r, first + i, first, &slopes));
                left
            })
            .collect();
        let norms = krylov::norms(&residual);
        Iterate { stages, slopes, tapes, residual, norms }
    }

    /// Returns `v − hA⊗J v`.
    fn linearized(&self, field: &dyn VectorField<T>, at: &Iterate<T>, first: usize, v: &[Batch<T>]) -> Block<T> {
        let moved: Block<T> = v.iter().enumerate().map(|(j, v)| field.jvp(&at.stages[j], &at.tapes[j], v)).collect();
        self.less(v, &moved, first, |i, j| self.coefficients.a[i][j])
    }

    /// Returns `v − h Σⱼ aᵢⱼ wⱼ`, in a block that begins with a stage.
    pub(super) fn less(&self, v: &[Batch<T>], w: &[Batch<T>], first: usize, a: impl Fn(usize, usize) -> T) -> Block<T> {
        let each = |(i, v): (usize, &Batch<T>)| {
            let mut y = v.clone();
            for (j, w) in w.iter().enumerate() {
                let a = a(first + i, first + j);
                if a != T::zero() {
                    y.axpy(-(self.h * a), w);
                }
            }
            y
        };
        v.iter().enumerate().map(each).collect()
    }

    /// Returns the norm that what is left of the equations of a step from a point of this size may have.
    pub(super) fn tolerance_at(&self, size: f64) -> f64 {
        self.tolerance.unwrap_or(1024.0 * T::UNIT_ROUNDOFF * (1.0 + size))
    }
}
