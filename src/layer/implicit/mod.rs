//! A vector field, or one a step, integrated by an implicit Runge–Kutta method.

mod krylov;
mod rounding;
mod step;

use std::sync::Arc;

use self::krylov::Block;
use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::VectorField,
    model::{self, Map, Method},
    rigor::{
        Rounding, Summation,
        directed::{add_up, mul_up},
    },
    scalar::Scalar,
    tableau::{Coefficients, Stages, Surd, Tableau},
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The flow of `x' = f(t, x)` over `steps` steps of length `h` of an implicit method: a layer from a space to itself.
///
/// The layer *is* the exact solution of
///
/// ```math
/// X_i = x + h \sum_j a_{ij} f(X_j), \qquad x_1 = x + \sum_i d_i (X_i - x), \quad A^Td = b,
/// ```
///
/// and claims in exact semantics are about it. The program solves the stages by Newton's method, whose linear systems a Krylov
/// method solves, until the norm of what is left of the equations of a step, as computed, is at most the *tolerance*. It
/// returns NaN for a sample where it does not get there: no claim holds for that sample, and NaN logits certify nothing.
/// Claims about the program are charged with the tolerance, the rounding of what is left, and how far both move the
/// solution ([`crate::rules::implicit_step`]).
///
/// | field and method | rule | bound of one step |
/// |---|---|---|
/// | any, `hμ < α` | [`crate::certificate::Rule::ImplicitStep`] | `1/(1 − hμ)` for implicit Euler |
/// | monotone, Gauss, Radau IIA, Lobatto IIIC, implicit midpoint | [`crate::certificate::Rule::AlgebraicStability`] | 1 |
/// | cocoercive, radius `r`, `0 ≤ h ≤ 2rν` | [`crate::certificate::Rule::CircleContractivity`] | 1 |
/// | any of which more is known than `ℓ` | [`crate::certificate::Rule::StageMultipliers`] | the least that multipliers prove |
/// | skew linear | [`crate::certificate::Rule::SkewFlow`] | the largest `\|R(iy)\|`, `\|y\| ≤ hκ` |
///
/// Derivatives are those of the implicit function theorem, by the same Krylov method.
///
/// ```
/// use dahlquist::{Network, layer::Implicit, tableau::Tableau, activation::Activation, field::GradientField};
/// use dahlquist::{operator::{Affine, Dense}, tensor::{Batch, Shape}};
/// // x' = −x, one step of length 2 of the implicit midpoint rule: (1 − 1)/(1 + 1) = 0.
/// let identity = Affine::new(Dense::new(1, 1, vec![1.0])?, None)?;
/// let field = GradientField::new(identity, Activation::Identity {})?;
/// let layer = Implicit::<f64>::new(field, Tableau::implicit_midpoint(), 2.0, 1, Some(1e-12))?;
/// let sealed = Network::new(Shape::Features(1), vec![Box::new(layer)])?.seal()?;
/// let y = sealed.forward(&Batch::new(Shape::Features(1), vec![3.0])?)?;
/// assert!(y.data()[0].abs() < 1e-11 && sealed.certificate().bound().get() <= 1.0);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug)]
pub struct Implicit<T: Scalar> {
    /// One for all steps, or one for each.
    fields: Vec<Box<dyn VectorField<T>>>,
    method: Arc<Derived>,
    coefficients: Coefficients<T>,
    /// `dᵢ`, and `1 − Σ dᵢ`.
    end: Vec<Part<T>>,
    rest: Part<T>,
    h: T,
    steps: usize,
    horizon: Option<f64>,
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

impl<T: Scalar> Implicit<T> {
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
        let Some(space) = fields.first().map(|field| field.shape()) else {
            return Err(Error::parameter("fields", 0, "a flow has at least one field"));
        };
        if steps == 0 || fields.len() > 1 && fields.len() != steps {
            return Err(Error::parameter(
                "steps",
                steps,
                "a flow has at least one step, and one field or one for each",
            ));
        }
        if let Some(other) = fields.iter().find(|field| field.shape() != space) {
            return Err(Error::Shape { what: "fields of a flow".into(), expected: space, found: other.shape() });
        }
        if tableau.is_explicit() {
            let reason = "an explicit method has no equations to solve".into();
            return Err(Error::Tableau { name: tableau.name().into(), reason });
        }
        if let Some(tolerance) = tolerance.filter(|tolerance| !(tolerance.is_finite() && *tolerance > 0.0)) {
            return Err(Error::parameter("tolerance", tolerance, "a tolerance must be a positive finite number"));
        }
        let h = T::of(h);
        if !h.wide().is_finite() {
            return Err(Error::parameter("step", h, "a step must be a finite number"));
        }
        let stages = tableau.stage_blocks()?;
        Ok(Self::of(fields, Arc::new(Derived { tableau, stages }), h, steps, tolerance))
    }

    fn of(
        fields: Vec<Box<dyn VectorField<T>>>,
        method: Arc<Derived>,
        h: T,
        steps: usize,
        tolerance: Option<f64>,
    ) -> Self {
        let key = if T::NAME == f32::NAME { "end of a step in f32" } else { "end of a step in f64" };
        let (end, rest) = method.tableau.remembered(key, || {
            let rest = &Surd::from(1) - &method.stages.end.iter().cloned().sum::<Surd>();
            (method.stages.end.iter().map(Part::new).collect::<Vec<Part<T>>>(), Part::new(&rest))
        });
        Self {
            fields,
            coefficients: method.tableau.rounded::<T>(),
            end,
            rest,
            method,
            h,
            steps,
            horizon: None,
            tolerance,
        }
    }

    /// Returns the same flow, its steps as they are, said to be so many of a whole time.
    pub(crate) fn over(self, horizon: Option<f64>) -> Self {
        Self { horizon, ..self }
    }

    /// Returns the method.
    pub fn tableau(&self) -> &Tableau {
        &self.method.tableau
    }

    /// Returns the length `h` of a step, as it is evaluated.
    pub fn step(&self) -> T {
        self.h
    }

    /// Returns the number of steps.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn field(&self, step: usize) -> &dyn VectorField<T> {
        if let [field] = &self.fields[..] { &**field } else { &*self.fields[step] }
    }

    /// Returns the slots of the field of a step in a gradient.
    fn slots<'a>(&self, step: usize, gradient: Option<&'a mut [Vec<T>]>) -> Option<&'a mut [Vec<T>]> {
        let before = if self.fields.len() == 1 { 0 } else { step };
        let first: usize = self.fields[..before].iter().map(|field| field.parameters().len()).sum();
        let count = self.field(step).parameters().len();
        gradient.map(|gradient| &mut gradient[first..first + count])
    }

    /// Returns the residual to which a linear system with such right-hand sides is solved for derivatives.
    fn sharp(right: &[Batch<T>]) -> Vec<f64> {
        krylov::norms(right).into_iter().map(|norm| 4.0 * T::UNIT_ROUNDOFF * norm).collect()
    }

    /// With `Xᵢ = x + h Σ aᵢⱼ f(Xⱼ)` and gradients `pᵢ = dᵢg` by the stages, `λ = p + h(Aᵀ⊗Jᵀ)λ`; that by `x` is `Σ λᵢ` and what
    /// the end has of `x`, and `h Σᵢ aᵢⱼλᵢ` is the one by `f(Xⱼ)`. Blocks are solved from the last to the first.
    fn step_vjp(&self, step: usize, tape: &Tape<T>, g: Batch<T>, mut gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let (field, a) = (self.field(step), &self.coefficients.a);
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
                    let sums = self.less(&zeros, v, first, |i, j| a[j][i]);
                    let each = |(k, (v, sum)): (usize, (&Batch<T>, &Batch<T>))| {
                        let mut y = transposed(first + k, sum);
                        y.axpy(T::one(), v);
                        y
                    };
                    v.iter().zip(&sums).enumerate().map(each).collect::<Block<T>>()
                };
                krylov::solve(matrix, &right, &Self::sharp(&right))
            };
            block.stages.clone().zip(found).for_each(|(i, found)| multipliers[i] = found);
        }
        if gradient.is_some() {
            for j in 0..count {
                if let Some(along) = by_slope(j, 0..count, &multipliers) {
                    let slots = self.slots(step, gradient.as_deref_mut());
                    field.vjp(tape.saved(j), tape.inner(j), &along, slots);
                }
            }
        }
        let mut pulled = g.scaled(self.rest.executed);
        multipliers.iter().for_each(|multiplier| pulled.axpy(T::one(), multiplier));
        pulled
    }

    /// Returns `Vᵢ = v + h Σ aᵢⱼ JVⱼ`, block by block.
    fn step_jvp(&self, step: usize, tape: &Tape<T>, v: &Batch<T>) -> Batch<T> {
        let (field, a) = (self.field(step), &self.coefficients.a);
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
                    self.less(v, &w, first, |i, j| a[i][j])
                };
                krylov::solve(matrix, &right, &Self::sharp(&right))
            };
            for (i, found) in block.stages.clone().zip(found) {
                slopes.push(moved(i, &found));
                y.axpy(self.end[i].executed, &found);
            }
        }
        y
    }
}

impl<T: Scalar> Layer<T> for Implicit<T> {
    fn describe(&self) -> Map {
        let method = Method::from(&self.method.tableau);
        let fields = self.fields.iter().map(|field| field.describe()).collect();
        let (step, steps, horizon, tolerance) = (self.h.wide(), self.steps, self.horizon, self.tolerance);
        Map::Flow(model::Flow { fields, method, step, steps, horizon, tolerance })
    }

    fn input(&self) -> Shape {
        self.fields[0].shape()
    }

    fn output(&self) -> Shape {
        self.fields[0].shape()
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        (0..self.steps).fold(x, |x, step| tape.part(|tape| self.run(self.field(step), x, tape)))
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, mut gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        (0..self.steps).rev().fold(g, |g, step| self.step_vjp(step, tape.inner(step), g, gradient.as_deref_mut()))
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        (0..self.steps).fold(v, |v, step| self.step_jvp(step, tape.inner(step), &v))
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let unlike = || Error::not_proved("the rounding error of a flow", "the proof is not one of a flow");
        if proof.premises().len() != self.fields.len() {
            return Err(unlike());
        }
        let mut errors = vec![0.0; reach.len()];
        let mut reach = reach.to_vec();
        for step in 0..self.steps {
            let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, &e)| add_up(r, mul_up(2.0, e))).collect();
            let proof = &proof.premises()[if self.fields.len() == 1 { 0 } else { step }];
            let (field, factor) = (proof.premises().first().ok_or_else(unlike)?, proof.bound().get());
            let local = self.step_error(field, rounding, tape.inner(step), step, &around)?;
            for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(local) {
                *error = add_up(mul_up(factor, *error), local);
                *reach = mul_up(factor, *reach);
            }
        }
        Ok(errors)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.fields.iter_mut().for_each(|field| field.set_summation(summation));
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        let fields = self.fields.iter().map(|field| field.widen()).collect();
        let wide = Implicit::of(fields, Arc::clone(&self.method), self.h.wide(), self.steps, self.tolerance);
        Box::new(wide.over(self.horizon))
    }

    fn prepare(&mut self) {
        self.fields.iter_mut().for_each(|field| field.prepare());
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        let mut rest = gradient;
        for field in &self.fields {
            let (slots, others) = rest.split_at_mut(field.parameters().len());
            field.pull_back(slots);
            rest = others;
        }
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.fields.iter().flat_map(|field| field.parameters()).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.fields.iter_mut().flat_map(|field| field.parameters_mut()).collect()
    }
}
