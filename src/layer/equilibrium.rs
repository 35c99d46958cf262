//! The equilibrium of a field that the sample pushes.

use super::{
    Layer,
    solve::{self, Block, Equations, FAR, krylov},
};
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::VectorField,
    model::{self, Map},
    rigor::{
        Rounding, Summation,
        directed::{add_up, div_up, mul_up, sqrt_up},
    },
    rules::equilibrium::rate,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// How often the ball of a solution is made smaller, at most.
const MOST_ROUNDS: usize = 8;
/// As long as a round makes a ball this much smaller, there is another one.
const SHRINKS: f64 = 0.75;
/// The program compares with a bound of `‖u‖`, which is less than this many times as large for samples of any size.
const SEEN: f64 = 1.0 + 1.0 / 1048576.0;

/// The layer `u ↦ x*` with `f(x*) + u = 0`, for a field with `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`, `μ > 0`: the state in which `x' = f(x) + u` comes
/// to rest, an infinitely deep flow. A layer in front says how the input pushes: for `f(x) + Bu + c`, an affine one.
///
/// The layer *is* the exact equilibrium, and claims in exact semantics are about it ([`crate::rules::equilibrium`]):
///
/// ```math
/// \|Δu\|/ℓ \;\le\; \|Δx^*\| \;\le\; \|Δu\|/μ, \qquad \|\hat x - x^*\| \le \|f(\hat x) + u\|/μ .
/// ```
///
/// The program solves it by Newton's method, whose linear systems a Krylov method solves, until `‖f(x̂) + u‖`, as computed, is
/// at most the *tolerance*. It returns NaN for a sample where it does not get there: no claim holds for that sample, and NaN
/// logits certify nothing. Claims about the program are charged with the tolerance and the rounding of the residual, over `μ`.
/// Derivatives are those of the implicit function theorem, by the same Krylov method.
///
/// ```
/// use dahlquist::{Network, layer::Equilibrium, activation::Activation, field::GradientField};
/// use dahlquist::{operator::{Affine, Dense}, tensor::{Batch, Shape}};
/// // f(x) = −4 leaky(x): 4x = u for u ≥ 0.
/// let double = Affine::new(Dense::new(1, 1, vec![2.0])?, None)?;
/// let field = GradientField::new(double, Activation::LeakyRelu { slope: 0.5 })?;
/// let layer = Equilibrium::<f64>::new(field, Some(1e-12))?;
/// let sealed = Network::new(Shape::Features(1), vec![Box::new(layer)])?.seal()?;
/// let x = sealed.forward(&Batch::new(Shape::Features(1), vec![3.0])?)?;
/// assert!((x.data()[0] - 0.75).abs() < 1e-12 && sealed.certificate().bound().get() <= 0.5000001);
/// # Ok::<(), dahlquist::Error>(())
/// ```
///
/// Sources: Bai, Kolter, Koltun, *Deep equilibrium models*, NeurIPS 2019; Winston, Kolter, *Monotone operator equilibrium networks*,
/// NeurIPS 2020.
#[derive(Debug)]
pub struct Equilibrium<T: Scalar> {
    field: Box<dyn VectorField<T>>,
    tolerance: Option<f64>,
}

/// The equations `−f(x) − u = 0`.
struct Rest<'a, T: Scalar> {
    field: &'a dyn VectorField<T>,
    u: &'a Batch<T>,
}

impl<T: Scalar> Equations<T> for Rest<'_, T> {
    type Seen = Tape<T>;

    fn residual(&self, x: &[Batch<T>]) -> (Block<T>, Tape<T>) {
        let mut tape = Tape::recording();
        let mut sum = self.field.eval(&x[0], &mut tape);
        sum.axpy(T::one(), self.u);
        (vec![sum.scaled(-T::one())], tape)
    }

    fn linearized(&self, x: &[Batch<T>], tape: &Tape<T>, v: &[Batch<T>]) -> Block<T> {
        vec![self.field.jvp(&x[0], tape, &v[0]).scaled(-T::one())]
    }
}

impl<T: Scalar> Equilibrium<T> {
    /// Creates the equilibrium of a field, solved to a tolerance.
    ///
    /// Without a tolerance it is `1024ε(1 + ‖u‖)`, `ε` being the unit roundoff of `T`. That the field contracts is proved when the
    /// network is sealed.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the tolerance is not a positive finite number.
    pub fn new(field: impl VectorField<T> + 'static, tolerance: Option<f64>) -> Result<Self> {
        Self::boxed(Box::new(field), tolerance)
    }

    /// As [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn boxed(field: Box<dyn VectorField<T>>, tolerance: Option<f64>) -> Result<Self> {
        if let Some(tolerance) = tolerance.filter(|tolerance| !(tolerance.is_finite() && *tolerance > 0.0)) {
            return Err(Error::parameter("tolerance", tolerance, "a tolerance must be a positive finite number"));
        }
        Ok(Self { field, tolerance })
    }

    /// Returns the field.
    pub fn field(&self) -> &dyn VectorField<T> {
        &*self.field
    }

    /// Returns the largest norm that the residual may have for a sample of this size.
    fn tolerance_at(&self, size: f64) -> f64 {
        self.tolerance.unwrap_or(1024.0 * T::UNIT_ROUNDOFF * (1.0 + size))
    }
}

impl<T: Scalar> Layer<T> for Equilibrium<T> {
    fn describe(&self) -> Map {
        Map::Equilibrium(model::Equilibrium { field: self.field.describe(), tolerance: self.tolerance })
    }

    fn input(&self) -> Shape {
        self.field.shape()
    }

    fn output(&self) -> Shape {
        self.field.shape()
    }

    /// The tape holds the point where the search ended, the sample, and the norm of what was left, infinite where the program
    /// refuses; and a part for the field at the point.
    fn forward(&self, u: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let (samples, sizes) = (u.samples(), u.norms_up());
        let targets: Vec<f64> = sizes.iter().map(|&size| self.tolerance_at(size)).collect();
        let start = vec![Batch::zeros(u.shape(), samples)];
        let mut found = solve::solve(&Rest { field: &*self.field, u: &u }, start, &targets);
        let x = found.x.swap_remove(0);
        let mut y = x.clone();
        let far = x.norms_up();
        for (s, left) in found.norms.iter_mut().enumerate() {
            // A NaN is no number that is small.
            if !(*left <= targets[s] && far[s] <= mul_up(FAR, add_up(1.0, sizes[s]))) {
                *left = f64::INFINITY;
                y.sample_mut(s).fill(T::of(f64::NAN));
            }
        }
        if tape.is_recording() {
            tape.part(|tape| self.field.eval(&x, tape));
            tape.save(x);
            tape.save(u);
            let mut left = Batch::zeros(Shape::Features(1), samples);
            left.data_mut().iter_mut().zip(&found.norms).for_each(|(to, &norm)| *to = T::of(norm));
            tape.save(left);
        }
        y
    }

    /// With `−Jλ = Δu` transposed, `λ` is the gradient by `u`, and by `f(x*)`.
    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let (x, inner) = (tape.saved(0), tape.inner(0));
        let matrix = |v: &[Batch<T>]| vec![self.field.vjp(x, inner, &v[0], None).scaled(-T::one())];
        let right = [g];
        let multiplier = krylov::solve_sharply(matrix, &right).swap_remove(0);
        if gradient.is_some() {
            self.field.vjp(x, inner, &multiplier, gradient);
        }
        multiplier
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        let (x, inner) = (tape.saved(0), tape.inner(0));
        let matrix = |v: &[Batch<T>]| vec![self.field.jvp(x, inner, &v[0]).scaled(-T::one())];
        let right = [v];
        krylov::solve_sharply(matrix, &right).swap_remove(0)
    }

    /// What is left of the exact equation at the program's `x̂` is at most the tolerance, the error of the field there and that
    /// of one sum; `x̂` is as far from `x*` as that over `μ`. The error of the field is bounded over a ball around the point on
    /// the tape. The program returns only points that are not far from 0, which is a ball to begin with; in it `x̂` is found to be in
    /// a smaller one, and so on: each round is a proof of its own.
    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let unlike = || Error::not_proved("the rounding error of an equilibrium", "the proof is not one of it");
        let field = proof.premises().first().ok_or_else(unlike)?;
        let mu = rate(&field.claims().numbers())?;
        let width = sqrt_up(self.input().len() as f64);
        let (points, sizes, left) = (tape.saved(0).norms_up(), tape.saved(1).norms_up(), tape.saved(2).data());
        let seen: Vec<f64> = sizes.iter().zip(reach).map(|(&size, &r)| mul_up(SEEN, add_up(size, r))).collect();
        let far = |s: usize| add_up(points[s], mul_up(FAR, add_up(1.0, seen[s])));
        let mut balls: Vec<f64> = (0..reach.len()).map(far).collect();
        let mut errors = vec![f64::INFINITY; reach.len()];
        for _ in 0..MOST_ROUNDS {
            let slopes = self.field.rounding(field, rounding, tape.saved(0), tape.inner(0), &balls)?;
            let mut shrunk = false;
            for (s, slope) in slopes.iter().enumerate() {
                let size = add_up(slope.size, seen[s]);
                let added = add_up(mul_up(rounding.dot(2), size), mul_up(width, rounding.underflow(3)));
                let rounded = add_up(slope.error, added);
                let rounded = rounding.unless_overflow(mul_up(2.0, size), rounded);
                let off = |tolerance: f64| div_up(add_up(tolerance, rounded), mu);
                let error = off(mul_up(SEEN, self.tolerance_at(seen[s])));
                // A refusal on the tape says nothing about where x* is. The tape rounds no more than the program.
                let ball = add_up(add_up(div_up(reach[s], mu), error), off(left[s]));
                if error.is_nan() || !ball.is_finite() {
                    continue;
                }
                shrunk |= ball < mul_up(SHRINKS, balls[s]);
                balls[s] = balls[s].min(ball);
                errors[s] = errors[s].min(error);
            }
            if !shrunk {
                break;
            }
        }
        Ok(errors)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.field.set_summation(summation);
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(Equilibrium { field: self.field.widen(), tolerance: self.tolerance })
    }

    fn prepare(&mut self) {
        self.field.prepare();
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        self.field.pull_back(gradient);
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.field.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.field.parameters_mut()
    }

    fn parameter_rows(&self) -> Vec<usize> {
        self.field.parameter_rows()
    }
}
