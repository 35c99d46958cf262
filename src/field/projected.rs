//! Manek and Kolter's field: a nominal one, projected so that a Lyapunov function falls along it.
//!
//! ```math
//! f = \hat f - ∇V\,\frac{\mathrm{relu}(⟨∇V, \hat f⟩ + αV)}{\|∇V\|^2}, \qquad ⟨∇V, f⟩ \le -αV .
//! ```
//!
//! Here `f̂(x) = B(σ(Ax + b) − σ(b))`, so `f̂(0) = 0`, and `V(x) = Σψ((Kx)ᵢ) + (ε/2)‖x‖²` with `ψ' = τ`, `τ(0) = 0`, monotone: `V` is convex,
//! `V(0) = 0` whatever the weights are, and `V(x) ≥ (ε/2)‖x‖²`.
//!
//! The field is not Lipschitz (the projection switches where `∇V` vanishes), so there is no radius: what is proved is its discrete
//! decrease ([`crate::lyapunov::projected_decrease`]).
//!
//! Source: Manek, Kolter, *Learning stable deep dynamics models*, NeurIPS 2019, equation (10).

use super::{VectorField, primitive};
use crate::{
    activation::Activation,
    error::{Error, Result},
    model::{Field, Potential},
    operator::Affine,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The field `f̂ − ∇V relu(⟨∇V, f̂⟩ + αV)/‖∇V‖²`; where `∇V = 0` it is `f̂`, which is 0 there.
///
/// Values and derivatives are executed in `T`; rounding errors are not declared, for there is no claim to charge them to.
#[derive(Debug)]
pub struct ProjectedField<T: Scalar> {
    inner: Affine<T>,
    outer: Affine<T>,
    activation: Activation,
    potential: Affine<T>,
    slope: Activation,
    epsilon: f64,
    rate: f64,
}

/// What a value of the field is made of, sample by sample.
struct Pieces<T: Scalar> {
    /// `Ax + b` and `Kx`.
    z: Batch<T>,
    k: Batch<T>,
    /// `f̂` and `∇V`.
    nominal: Batch<T>,
    gradient: Batch<T>,
    /// `relu(⟨∇V, f̂⟩ + αV)`, `‖∇V‖²`: nothing is projected where either is 0.
    excess: Vec<T>,
    square: Vec<T>,
}

impl<T: Scalar> ProjectedField<T> {
    /// Returns the field of a description on a space: one of kind `lyapunov_projected`.
    ///
    /// # Errors
    /// As [`Field::check`]; [`Error::Parameter`] for constants that are none in `T`; [`Error::NotProved`] for another field.
    pub fn new(field: &Field, space: Shape) -> Result<Self> {
        field.check(space)?;
        let Field::LyapunovProjected { activation, inner, outer, potential, epsilon, rate } = field else {
            return Err(Error::not_proved(field.kind(), "it is no projected field"));
        };
        let inner = Affine::described(inner, space)?;
        let outer = Affine::described(outer, inner.operator().output())?;
        let Potential { activation: slope, operator } = potential;
        let (slope, operator) = (slope.in_format::<T>()?, Affine::described(operator, space)?);
        let (epsilon, rate) = (T::of(*epsilon).wide(), T::of(*rate).wide());
        if epsilon == 0.0 || !epsilon.is_finite() || !rate.is_finite() {
            return Err(Error::parameter(
                "epsilon",
                epsilon,
                "it must not be 0, and both it and the rate must be finite in the format of the network",
            ));
        }
        let activation = activation.in_format::<T>()?;
        Ok(Self { inner, outer, activation, potential: operator, slope, epsilon, rate })
    }
}

impl<T: Scalar> ProjectedField<T> {
    /// Returns `σ(Ax + b) − σ(b)` from `z = Ax + b`, and the `z` of 0.
    fn hidden(&self, z: &Batch<T>) -> (Batch<T>, Batch<T>) {
        let origin = self.inner.apply(&Batch::zeros(self.shape(), 1));
        let (mut hidden, at_origin) = (self.activation.apply(z), self.activation.apply(&origin));
        for s in 0..z.samples() {
            hidden.sample_mut(s).iter_mut().zip(at_origin.data()).for_each(|(h, &o)| *h -= o);
        }
        (hidden, origin)
    }

    fn pieces(&self, x: &Batch<T>) -> Pieces<T> {
        let (z, k) = (self.inner.apply(x), self.potential.apply(x));
        let nominal = self.outer.linear(&self.hidden(&z).0);
        let mut gradient = self.potential.adjoint(&self.slope.apply(&k));
        gradient.axpy(T::of(self.epsilon), x);
        let (mut excess, mut square) = (Vec::new(), Vec::new());
        for s in 0..x.samples() {
            let value: f64 = k.sample(s).iter().map(|k| primitive(self.slope, k.wide())).sum();
            let value = value + 0.5 * self.epsilon * dot(x.sample(s), x.sample(s)).wide();
            let g = gradient.sample(s);
            let (along, size) = (dot(g, nominal.sample(s)) + T::of(self.rate * value), dot(g, g));
            // A NaN is let through.
            excess.push(if along < T::zero() || size == T::zero() { T::zero() } else { along });
            square.push(size);
        }
        Pieces { z, k, nominal, gradient, excess, square }
    }

    /// Returns `∇²V v`.
    fn hessian(&self, k: &Batch<T>, v: &Batch<T>) -> Batch<T> {
        let mut hv = self.potential.adjoint(&self.slope.differentiate(k, T::one(), self.potential.linear(v)));
        hv.axpy(T::of(self.epsilon), v);
        hv
    }
}

fn dot<T: Scalar>(x: &[T], y: &[T]) -> T {
    x.iter().zip(y).map(|(&x, &y)| x * y).sum()
}

/// `y ← y + c x` for one sample.
fn add<T: Scalar>(y: &mut [T], c: T, x: &[T]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y += c * x);
}

impl<T: Scalar> Pieces<T> {
    /// Returns the samples that are projected, with `r` and `‖∇V‖²`.
    fn projected(&self) -> impl Iterator<Item = (usize, T, T)> {
        let each = self.excess.iter().zip(&self.square).enumerate();
        each.filter(|(_, (r, _))| **r != T::zero()).map(|(s, (&r, &n))| (s, r, n))
    }
}

impl<T: Scalar> VectorField<T> for ProjectedField<T> {
    fn describe(&self) -> Field {
        let potential = Potential { activation: self.slope, operator: self.potential.describe() };
        let (inner, outer) = (self.inner.describe(), self.outer.describe());
        let (epsilon, rate) = (self.epsilon, self.rate);
        Field::LyapunovProjected { activation: self.activation, inner, outer, potential, epsilon, rate }
    }

    fn shape(&self) -> Shape {
        self.inner.operator().input()
    }

    fn eval(&self, x: &Batch<T>, _tape: &mut Tape<T>) -> Batch<T> {
        let pieces = self.pieces(x);
        let mut f = pieces.nominal.clone();
        for (s, r, n) in pieces.projected() {
            add(f.sample_mut(s), -(r / n), pieces.gradient.sample(s));
        }
        f
    }

    fn jvp(&self, x: &Batch<T>, _tape: &Tape<T>, v: &Batch<T>) -> Batch<T> {
        let pieces = self.pieces(x);
        let moved = self.activation.differentiate(&pieces.z, T::one(), self.inner.linear(v));
        let mut df = self.outer.linear(&moved);
        let dg = self.hessian(&pieces.k, v);
        for (s, r, n) in pieces.projected() {
            let (g, dg, two) = (pieces.gradient.sample(s), dg.sample(s), T::one() + T::one());
            let dr = dot(dg, pieces.nominal.sample(s)) + dot(g, df.sample(s)) + T::of(self.rate) * dot(g, v.sample(s));
            let along = dr / n - two * r * dot(g, dg) / (n * n);
            add(df.sample_mut(s), -(r / n), dg);
            add(df.sample_mut(s), -along, g);
        }
        df
    }

    fn vjp(&self, x: &Batch<T>, _tape: &Tape<T>, y: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let pieces = self.pieces(x);
        // The cotangents of f̂, of ∇V and of V.
        let (mut of_nominal, mut of_gradient) = (y.clone(), Batch::zeros(y.shape(), y.samples()));
        let mut of_value = vec![T::zero(); y.samples()];
        for (s, r, n) in pieces.projected() {
            let (g, two) = (pieces.gradient.sample(s), T::one() + T::one());
            let along = dot(g, y.sample(s));
            add(of_nominal.sample_mut(s), -(along / n), g);
            let to = of_gradient.sample_mut(s);
            add(to, -(r / n), y.sample(s));
            add(to, -(along / n), pieces.nominal.sample(s));
            add(to, two * along * r / (n * n), g);
            of_value[s] = -T::of(self.rate) * along / n;
        }
        let q = self.activation.differentiate(&pieces.z, T::one(), self.outer.adjoint(&of_nominal));
        let mut pulled = self.inner.adjoint(&q);
        pulled.axpy(T::one(), &self.hessian(&pieces.k, &of_gradient));
        for (s, &c) in of_value.iter().enumerate() {
            add(pulled.sample_mut(s), c, pieces.gradient.sample(s));
        }
        let Some(gradient) = gradient else { return pulled };
        let (inner, rest) = gradient.split_at_mut(self.inner.parameters().len());
        let (outer, potential) = rest.split_at_mut(self.outer.parameters().len());
        let (hidden, origin) = self.hidden(&pieces.z);
        self.outer.accumulate(&of_nominal, &hidden, outer);
        self.inner.accumulate(&q, x, inner);
        // −Bσ(b): the bias alone moves it.
        let mut sum = Batch::zeros(y.shape(), 1);
        (0..y.samples()).for_each(|s| add(sum.data_mut(), -T::one(), of_nominal.sample(s)));
        let at_origin = self.activation.differentiate(&origin, T::one(), self.outer.adjoint(&sum));
        self.inner.accumulate(&at_origin, &Batch::zeros(self.shape(), 1), inner);
        // ∇V = Kᵀτ(Kx) + εx, and V.
        let slope = self.slope.apply(&pieces.k);
        let mut bent = self.slope.differentiate(&pieces.k, T::one(), self.potential.linear(&of_gradient));
        for (s, &c) in of_value.iter().enumerate() {
            add(bent.sample_mut(s), c, slope.sample(s));
        }
        self.potential.accumulate(&bent, x, potential);
        self.potential.accumulate(&slope, &of_gradient, &mut potential[..1]);
        pulled
    }

    fn maps(&self) -> Vec<&Affine<T>> {
        vec![&self.inner, &self.outer, &self.potential]
    }

    fn maps_mut(&mut self) -> Vec<&mut Affine<T>> {
        vec![&mut self.inner, &mut self.outer, &mut self.potential]
    }

    fn widen(&self) -> Box<dyn VectorField<f64>> {
        Box::new(ProjectedField {
            inner: self.inner.widen(),
            outer: self.outer.widen(),
            activation: self.activation,
            potential: self.potential.widen(),
            slope: self.slope,
            epsilon: self.epsilon,
            rate: self.rate,
        })
    }
}
