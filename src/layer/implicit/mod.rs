//! Steps of implicit Runge–Kutta methods.

mod rounding;
mod step;

use std::sync::Arc;

use super::{
    Step, Stepper, Steps,
    solve::{self, Block, krylov},
};
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::VectorField,
    model::Method,
    rigor::Rounding,
    scalar::Scalar,
    tableau::{Coefficients, Stages, Surd, Tableau},
    tape::Tape,
    tensor::Batch,
};

/// A step of an implicit Runge–Kutta method, whose stages are solved.
///
/// The tape has a part for the evaluation of the field at each stage. It holds the stages, then the point before the step.
#[derive(Debug)]
pub struct Implicit<T: Scalar> {
    field: Box<dyn VectorField<T>>,
    method: Arc<Derived>,
    coefficients: Coefficients<T>,
    /// `dᵢ`, and `1 − Σ dᵢ`.
    end: Vec<Part<T>>,
    rest: Part<T>,
    h: T,
    tolerance: Option<f64>,
}

/// A tableau and its blocks of stages.
#[derive(Debug)]
struct Derived {
    tableau: Tableau,
    stages: Stages,
}

/// A coefficient of the end of a step.
#[derive(Debug, Clone, Copy)]
struct Part<T> {
    /// As the program has it.
    executed: T,
    /// A bound of how far that is from what it stands for.
    off: f64,
}

impl<T: Scalar> Part<T> {
    fn new(exact: &Surd) -> Self {
        let executed = exact.nearest::<T>();
        let off = Surd::from_f64(executed.wide()).map_or(f64::INFINITY, |x| (&x - exact).abs().upper());
        Self { executed, off }
    }
}

impl<T: Scalar> Steps<Implicit<T>> {
    /// Creates a flow of a field, its equations solved to a tolerance.
    ///
    /// Without a tolerance it is `1024u(1 + ‖x‖)` in a step from `x`, `u` being the unit roundoff of `T`.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are no steps, the step is not finite in `T` or the tolerance is not positive;
    /// [`Error::Tableau`] if the method is explicit, or as [`Tableau::stage_blocks`].
    pub fn new(
        field: impl VectorField<T> + 'static,
        tableau: Tableau,
        h: f64,
        steps: usize,
        tolerance: Option<f64>,
    ) -> Result<Self> {
        Self::boxed(vec![Box::new(field)], tableau, h, steps, tolerance)
    }

    /// As [`Self::new`], for one field for all steps, or for one a step.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Parameter`] if there are several fields and not one for each step, [`Error::Shape`] if they
    /// are not of one space.
    pub fn boxed(
        fields: Vec<Box<dyn VectorField<T>>>,
        tableau: Tableau,
        h: f64,
        steps: usize,
        tolerance: Option<f64>,
    ) -> Result<Self> {
        if tableau.is_explicit() {
            let reason = "an explicit method has no equations to solve".into();
            return Err(Error::Tableau { name: tableau.name().into(), reason });
        }
        if let Some(tolerance) = tolerance.filter(|tolerance| !(tolerance.is_finite() && *tolerance > 0.0)) {
            return Err(Error::parameter("tolerance", tolerance, "a tolerance must be a positive finite number"));
        }
        let h = T::of(h);
        let stages = tableau.stage_blocks()?;
        let method = Arc::new(Derived { tableau, stages });
        let part = |field| Implicit::of(field, Arc::clone(&method), h, tolerance);
        Self::of(fields.into_iter().map(part).collect(), Step::Fixed(h.wide()), steps)
    }

    /// Returns the method.
    pub fn tableau(&self) -> &Tableau {
        &self.parts()[0].method.tableau
    }
}

impl<T: Scalar> Implicit<T> {
    fn of(field: Box<dyn VectorField<T>>, method: Arc<Derived>, h: T, tolerance: Option<f64>) -> Self {
        let key = if T::NAME == f32::NAME { "end of a step in f32" } else { "end of a step in f64" };
        let (end, rest) = method.tableau.remembered(key, || {
            let rest = &Surd::from(1) - &method.stages.end.iter().cloned().sum::<Surd>();
            (method.stages.end.iter().map(Part::new).collect::<Vec<Part<T>>>(), Part::new(&rest))
        });
        Self { field, coefficients: method.tableau.rounded::<T>(), end, rest, method, h, tolerance }
    }
}

impl<T: Scalar> Stepper for Implicit<T> {
    type Scalar = T;
    type Wide = Implicit<f64>;

    fn field(&self) -> &dyn VectorField<T> {
        &*self.field
    }

    fn field_mut(&mut self) -> &mut dyn VectorField<T> {
        &mut *self.field
    }

    fn method(&self) -> Method {
        Method::from(&self.method.tableau)
    }

    fn tableau(&self) -> Option<&Tableau> {
        Some(&self.method.tableau)
    }

    fn tolerance(&self) -> Option<f64> {
        self.tolerance
    }

    fn length(&self) -> T {
        self.h
    }

    fn set_length(&mut self, h: T) {
        self.h = h;
    }

    fn step(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        self.run(&*self.field, x, tape)
    }

    /// With `Xᵢ = x + h Σ aᵢⱼ f(Xⱼ)` and gradients `pᵢ = dᵢg` by the stages, `λ = p + h(Aᵀ⊗Jᵀ)λ`; that by `x` is `Σ λᵢ` and what
    /// the end has of `x`, and `h Σᵢ aᵢⱼλᵢ` is the one by `f(Xⱼ)`. Blocks are solved from the last to the first.
    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, mut gradient: Option<&mut [Vec<T>]>) -> (Batch<T>, Option<T>) {
        let (field, a) = (&*self.field, &self.coefficients.a);
        let transposed = |j: usize, v: &Batch<T>| field.vjp(tape.saved(j), tape.inner(j), v, None);
        let mut multipliers: Vec<Batch<T>> = vec![Batch::zeros(g.shape(), 0); self.end.len()];
        // h Σᵢ aᵢⱼλᵢ over stages.
        let by_slope = |j: usize, stages: std::ops::Range<usize>, multipliers: &[Batch<T>]| {
            let mut sum: Option<Batch<T>> = None;
            for i in stages.filter(|&i| a[i][j] != T::zero()) {
                let mut zero = sum.take().unwrap_or_else(|| Batch::zeros(g.shape(), g.samples()));
                zero.axpy(self.h * a[i][j], &multipliers[i]);
                sum = Some(zero);
            }
            sum
        };
        let count = self.end.len();
        for block in self.method.stages.blocks.iter().rev() {
            let first = block.stages.start;
            let right: Block<T> = (block.stages.clone())
                .map(|j| {
                    let mut right = g.scaled(self.end[j].executed);
                    if let Some(later) = by_slope(j, block.stages.end..count, &multipliers) {
                        right.axpy(T::one(), &transposed(j, &later));
                    }
                    right
                })
                .collect();
            let found = if block.solvable.is_none() {
                right
            } else {
                let matrix = |v: &[Batch<T>]| {
                    // (Aᵀ⊗Jᵀ)v, the transposed Jacobian being applied to sums of stages.
                    let zeros: Block<T> = v.iter().map(|v| Batch::zeros(v.shape(), v.samples())).collect();
                    let sums = solve::coupled(&zeros, v, self.h, |i, j| a[first + j][first + i]);
                    let each = |(k, (v, sum)): (usize, (&Batch<T>, &Batch<T>))| {
                        let mut y = transposed(first + k, sum);
                        y.axpy(T::one(), v);
                        y
                    };
                    v.iter().zip(&sums).enumerate().map(each).collect::<Block<T>>()
                };
                krylov::solve_sharply(matrix, &right)
            };
            block.stages.clone().zip(found).for_each(|(i, found)| multipliers[i] = found);
        }
        if gradient.is_some() {
            for j in 0..count {
                if let Some(along) = by_slope(j, 0..count, &multipliers) {
                    field.vjp(tape.saved(j), tape.inner(j), &along, gradient.as_deref_mut());
                }
            }
        }
        let mut pulled = g.scaled(self.rest.executed);
        multipliers.iter().for_each(|multiplier| pulled.axpy(T::one(), multiplier));
        (pulled, None)
    }

    /// Returns `Vᵢ = v + h Σ aᵢⱼ JVⱼ`, block by block.
    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        let (field, a) = (&*self.field, &self.coefficients.a);
        let moved = |j: usize, v: &Batch<T>| field.jvp(tape.saved(j), tape.inner(j), v);
        let mut slopes: Vec<Batch<T>> = Vec::new();
        let mut y = v.scaled(self.rest.executed);
        for block in &self.method.stages.blocks {
            let first = block.stages.start;
            let right: Block<T> = (block.stages.clone())
                .map(|i| {
                    let mut right = v.clone();
                    let known = a[i].iter().zip(&slopes).filter(|(a, _)| **a != T::zero());
                    known.for_each(|(&a, slope)| right.axpy(self.h * a, slope));
                    right
                })
                .collect();
            let found = if block.solvable.is_none() {
                right
            } else {
                let matrix = |v: &[Batch<T>]| {
                    let w: Block<T> = v.iter().enumerate().map(|(k, v)| moved(first + k, v)).collect();
                    solve::coupled(v, &w, self.h, |i, j| a[first + i][first + j])
                };
                krylov::solve_sharply(matrix, &right)
            };
            for (i, found) in block.stages.clone().zip(found) {
                slopes.push(moved(i, &found));
                y.axpy(self.end[i].executed, &found);
            }
        }
        y
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let unlike = || Error::not_proved("the rounding error of a flow", "the proof is not about a flow");
        self.step_error(proof.premises().first().ok_or_else(unlike)?, rounding, tape, reach)
    }

    fn widen(&self) -> Implicit<f64> {
        Implicit::of(self.field.widen(), Arc::clone(&self.method), self.h.wide(), self.tolerance)
    }
}
