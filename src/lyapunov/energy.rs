//! The energy of a field: what its flow decreases, or keeps.

use super::primitive;
use crate::{
    activation::Activation,
    control::Trajectory,
    error::{Error, Result},
    model::{Field, Linear, Potential, Tensor},
    operator::Affine,
    tensor::{Batch, Shape},
};

/// The energy of a field of the family, `V(x) = Σ_terms Σᵢ δᵢ ψ(zᵢ)` with affine functions `z` of `x` and primitives `ψ` of
/// activations.
///
/// It is `f = −∇V` for a gradient field, the Hamiltonian `H` of a Hamiltonian one, `f = (J − rI)∇H` of a damped one; for an
/// antisymmetric field and NAIS-Net, `f = σ(z)` and `V = Σψ(zᵢ)`. See the table of [`super`].
///
/// Values are executed in `f64` and are no bounds; what is proved about them is [`super::Decrease`].
#[derive(Debug)]
pub struct Energy {
    space: Shape,
    terms: Vec<Term>,
}

/// `Σᵢ δᵢ ψ(zᵢ)`.
#[derive(Debug)]
struct Term {
    inner: Inner,
    /// Which half of the channels it looks at, if not at all of them.
    half: Option<bool>,
    activation: Activation,
    weights: Option<Vec<f64>>,
}

/// An affine function of `x`.
#[derive(Debug)]
enum Inner {
    /// `Wx + b`.
    Plain(Affine<f64>),
    /// `Ax − Aᵀx − γx + b`.
    Antisymmetric(Affine<f64>, f64, Vec<f64>),
    /// `−RᵀRx − εx + b`.
    Definite(Affine<f64>, f64, Vec<f64>),
}

impl Energy {
    /// Returns the energy of a field on a space.
    ///
    /// # Errors
    /// As [`Field::check`]; [`Error::Field`] for a field that is not known to have one: dissipative fields with a skew part,
    /// residual, skew linear and Lur'e fields, and those from outside.
    pub fn of(field: &Field, space: Shape) -> Result<Self> {
        field.check(space)?;
        let plain = |operator: &Linear, input: Shape| -> Result<Inner> {
            Ok(Inner::Plain(Affine::described(operator, input)?))
        };
        let term = |inner, activation| Term { inner, half: None, activation, weights: None };
        let numbers = |bias: &Option<Tensor>| bias.as_ref().map_or_else(Vec::new, Tensor::numbers::<f64>);
        let terms = match field {
            Field::Gradient { activation, operator, weights } => {
                let weights = weights.as_ref().map(|w| w.numbers());
                vec![Term { weights, ..term(plain(operator, space)?, *activation) }]
            }
            Field::Hamiltonian { kinetic, potential } => {
                let half = field.parts(space)?[0].input;
                let of = |energy: &Potential, second: bool| -> Result<Term> {
                    Ok(Term { half: Some(second), ..term(plain(&energy.operator, half)?, energy.activation) })
                };
                vec![of(kinetic, true)?, of(potential, false)?]
            }
            Field::DissipativeHamiltonian { activation, operator, quadratic, .. } => vec![
                term(plain(operator, space)?, *activation),
                term(plain(quadratic, space)?, Activation::Identity {}),
            ],
            Field::Antisymmetric { activation, matrix, bias, damping } => {
                let inner = Inner::Antisymmetric(Affine::described(matrix, space)?, *damping, numbers(bias));
                vec![term(inner, *activation)]
            }
            Field::Nais { activation, factor, bias, epsilon } => {
                let inner = Inner::Definite(Affine::described(factor, space)?, *epsilon, numbers(bias));
                vec![term(inner, *activation)]
            }
            _ => return Err(none()),
        };
        Ok(Self { space, terms })
    }

    /// Returns `V(x)` for each sample.
    ///
    /// # Panics
    /// If the samples are not of the space.
    pub fn values(&self, x: &Batch<f64>) -> Vec<f64> {
        assert_eq!(x.shape(), self.space, "samples of the space of the energy");
        let mut values = vec![0.0; x.samples()];
        for term in &self.terms {
            let z = term.inner.apply(&term.restrict(x));
            let weighted = |(i, &z): (usize, &f64), n: usize| term.weight(n, i) * primitive(term.activation, z);
            for (s, value) in values.iter_mut().enumerate() {
                let z = z.sample(s);
                *value += z.iter().enumerate().map(|z_i| weighted(z_i, z.len())).sum::<f64>();
            }
        }
        values
    }

    /// Returns `∇V(x)` for each sample.
    ///
    /// # Panics
    /// If the samples are not of the space.
    pub fn gradient(&self, x: &Batch<f64>) -> Batch<f64> {
        assert_eq!(x.shape(), self.space, "samples of the space of the energy");
        let mut gradient = Batch::zeros(self.space, x.samples());
        for term in &self.terms {
            let mut slope = term.activation.apply(&term.inner.apply(&term.restrict(x)));
            let n = slope.shape().len();
            slope.data_mut().iter_mut().enumerate().for_each(|(i, s)| *s *= term.weight(n, i % n));
            let pulled = term.inner.adjoint(&slope);
            term.add_to(&mut gradient, &pulled);
        }
        gradient
    }

    /// Returns `V` along a trajectory: for each state, its value for each sample.
    pub fn along(&self, trajectory: &Trajectory<f64>) -> Vec<Vec<f64>> {
        trajectory.states().iter().map(|x| self.values(x)).collect()
    }
}

fn none() -> Error {
    let reason = "no function is known that its flow decreases or keeps".into();
    Error::Field { field: "of this kind", constant: "energy", reason }
}

impl Term {
    /// Returns `δᵢ` of `n` coordinates: one number for each feature or channel.
    fn weight(&self, n: usize, i: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[i / (n / weights.len())])
    }

    /// Returns the half that the term looks at.
    fn restrict(&self, x: &Batch<f64>) -> Batch<f64> {
        let (Some(second), Inner::Plain(operator)) = (self.half, &self.inner) else { return x.clone() };
        let (input, n) = (operator.operator().input(), x.shape().len() / 2);
        let data = (0..x.samples()).flat_map(|s| x.sample(s)[usize::from(second) * n..][..n].iter().copied()).collect();
        Batch::computed(input, x.samples(), data)
    }

    /// Adds what [`Self::restrict`] is the adjoint of.
    fn add_to(&self, gradient: &mut Batch<f64>, pulled: &Batch<f64>) {
        let (n, start) = (pulled.shape().len(), if self.half == Some(true) { pulled.shape().len() } else { 0 });
        for s in 0..pulled.samples() {
            let to = &mut gradient.sample_mut(s)[start..start + n];
            to.iter_mut().zip(pulled.sample(s)).for_each(|(to, from)| *to += from);
        }
    }
}

impl Inner {
    fn apply(&self, x: &Batch<f64>) -> Batch<f64> {
        match self {
            Self::Plain(operator) => operator.apply(x),
            Self::Antisymmetric(matrix, gamma, bias) => shifted(turned(matrix, *gamma, x, 1.0), bias),
            Self::Definite(factor, epsilon, bias) => shifted(definite(factor, *epsilon, x), bias),
        }
    }

    fn adjoint(&self, y: &Batch<f64>) -> Batch<f64> {
        match self {
            Self::Plain(operator) => operator.adjoint(y),
            Self::Antisymmetric(matrix, gamma, _) => turned(matrix, *gamma, y, -1.0),
            Self::Definite(factor, epsilon, _) => definite(factor, *epsilon, y),
        }
    }
}

/// Returns `±(Ax − Aᵀx) − γx`.
fn turned(matrix: &Affine<f64>, gamma: f64, x: &Batch<f64>, sign: f64) -> Batch<f64> {
    let mut y = x.scaled(-gamma);
    y.axpy(sign, &matrix.linear(x));
    y.axpy(-sign, &matrix.adjoint(x));
    y
}

/// Returns `−RᵀRx − εx`.
fn definite(factor: &Affine<f64>, epsilon: f64, x: &Batch<f64>) -> Batch<f64> {
    let mut y = x.scaled(-epsilon);
    y.axpy(-1.0, &factor.adjoint(&factor.linear(x)));
    y
}

/// Returns `x + b`, one number for each feature or channel.
fn shifted(mut x: Batch<f64>, bias: &[f64]) -> Batch<f64> {
    if bias.is_empty() {
        return x;
    }
    let n = x.shape().len();
    let points = n / bias.len();
    x.data_mut().iter_mut().enumerate().for_each(|(i, x)| *x += bias[i % n / points]);
    x
}
