//! The fields of the family that are neither plain gradients nor residual networks: dissipative, Hamiltonian, antisymmetric,
//! skew, NAIS-Net, Lur'e, weighted gradients. Their formulas are those of [`crate::model::Field`].

mod expression;

pub(crate) use self::expression::Expression;
use self::expression::{Parameters, unlike};
use super::{FieldError, VectorField};
use crate::{
    activation::Activation,
    certificate::Certificate,
    error::{Error, Result},
    model::{Field, Form, SplitMethod, Tensor},
    operator::{Affine, Diagonal},
    parametrize,
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// A field of the family, by its description.
///
/// ```
/// use dahlquist::{Network, Semantics, tensor::{Batch, Shape}, layer::{Flow, Step}, tableau::Tableau};
/// use dahlquist::{activation::Activation, field::StructuredField, model::{Field, Linear, Tensor}};
/// // x' = −Wᵀ tanh(Wx) + (S − Sᵀ)x − x/2: every step of RK4 up to 2rν is non-expansive.
/// let matrix = |entries: &[f64]| Linear::Dense { weight: Tensor::new(&[2, 2], entries), bias: None };
/// let field = Field::Dissipative {
///     activation: Activation::Tanh {},
///     operator: matrix(&[1.0, 0.0, 0.5, 1.0]),
///     skew: matrix(&[0.0, 1.0, 0.0, 0.0]),
///     damping: 0.5,
/// };
/// let field = StructuredField::<f64>::new(&field, Shape::Features(2))?;
/// let flow = Flow::new(field, Tableau::rk4(), Step::Fixed(0.1), 10)?;
/// let sealed = Network::new(Shape::Features(2), vec![Box::new(flow)])?.seal()?;
/// assert!(sealed.certificate().bound().get() <= 1.0);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug)]
pub struct StructuredField<T: Scalar> {
    space: Shape,
    form: Field<Slot>,
    parameters: Parameters<T>,
    expression: Expression,
}

/// Where a tensor of the description is, and its shape.
#[derive(Debug, Clone)]
struct Slot {
    place: Place,
    shape: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Weight(usize),
    Bias(usize),
    Vector(usize),
}

impl<T: Scalar> StructuredField<T> {
    /// Returns the field of a description on a space.
    ///
    /// # Errors
    /// As [`Field::check`], and [`Error::NotProved`] for a field that is a type of its own ([`super::GradientField`] without
    /// weights, [`super::ResidualField`]) or comes from outside.
    pub fn new(field: &Field, space: Shape) -> Result<Self> {
        field.check(space)?;
        let mut parameters = Parameters { operators: Vec::new(), vectors: Vec::new() };
        let mut places = Vec::new();
        for part in field.parts(space)? {
            let operator = Affine::<T>::described(part.operator, part.input)?;
            let i = parameters.operators.len();
            if !operator.operator().weight().is_empty() {
                places.push(Place::Weight(i));
            }
            places.extend(operator.bias().map(|_| Place::Bias(i)));
            parameters.operators.push(operator);
            if let Form::Weighted(weights) = part.form {
                let weights = Diagonal::new(part.operator.output(part.input)?, weights.numbers())?;
                places.push(Place::Weight(i + 1));
                parameters.operators.push(Affine::new(weights, None)?);
            }
        }
        if let Field::Antisymmetric { bias: Some(bias), .. } | Field::Nais { bias: Some(bias), .. } = field {
            places.push(Place::Vector(0));
            parameters.vectors.push(bias.numbers());
        }
        let mut places = places.into_iter();
        let unknown = || Error::not_proved(field.kind(), "one of its operators has no weights");
        let slot = &mut |_: &str, _: usize, tensor: Tensor| {
            Ok(Slot { place: places.next().ok_or_else(unknown)?, shape: tensor.shape().to_vec() })
        };
        let form = field.clone().try_map("", slot)?.in_format::<T>()?;
        let expression = expression(&form, !parameters.vectors.is_empty())?;
        Ok(Self { space, form, parameters, expression })
    }
}

impl<T: Scalar> StructuredField<T> {
    /// Returns the field with the weights of operator `i`, in the order of [`Field::parts`], trained in another form.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is no such operator, or it has no matrix of weights.
    pub fn parametrized(mut self, i: usize, form: parametrize::Form) -> Result<Self> {
        let count = self.parameters.operators.len();
        if i >= count {
            return Err(Error::parameter("operator", i, format!("the field has {count} operators, counted from 0")));
        }
        let operator = self.parameters.operators.remove(i).parametrized(form)?;
        self.parameters.operators.insert(i, operator);
        Ok(self)
    }

    pub(crate) fn parts(&self) -> &Parameters<T> {
        &self.parameters
    }

    /// Bounds of the norms of the operators: what is proved of an operator itself; of what counts as `S − Sᵀ`, or with
    /// weights, `‖W‖ ≤ ‖|W|‖`.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the premises are not those of the field.
    pub(crate) fn norms(&self, premises: &[Certificate]) -> Result<Vec<f64>> {
        let (field, mut norms) = (self.describe(), Vec::new());
        for (k, part) in field.parts(self.space)?.iter().enumerate() {
            let premise = premises.get(k).ok_or_else(unlike)?;
            let own = |i: usize| Ok::<f64, Error>(self.parameters.operators[i].operator().absolute_norm()?.get());
            match part.form {
                Form::Plain => norms.push(premise.bound().get()),
                Form::Skew => norms.push(own(norms.len())?),
                Form::Weighted(_) => norms.extend([own(norms.len())?, own(norms.len() + 1)?]),
            }
        }
        Ok(norms)
    }

    /// Returns one step of a split method.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a method that does not fit the field.
    pub(crate) fn split_step(&self, method: SplitMethod, h: f64) -> Result<Expression> {
        use Expression::{Chain, Identity, Scale, Sum};
        match (method, &self.form) {
            (SplitMethod::SymplecticEuler | SplitMethod::StormerVerlet, Field::Hamiltonian { kinetic, potential }) => {
                let kick = |h: f64| Sum(vec![Identity, force(1, potential.activation, h)]);
                let drift = |h: f64| Sum(vec![Identity, velocity(0, kinetic.activation, h)]);
                Ok(Chain(if method == SplitMethod::SymplecticEuler {
                    vec![kick(h), drift(h)]
                } else {
                    vec![kick(h / 2.0), drift(h), kick(h / 2.0)]
                }))
            }
            (SplitMethod::ExponentialEuler, Field::Dissipative { activation, damping, .. }) => {
                let (e, phi) = SplitMethod::exponentials(*damping, h);
                Ok(Sum(vec![Scale(e), Chain(vec![dissipative(*activation, 0.0), Scale(phi)])]))
            }
            _ => Err(Error::parameter("method", method.name(), "it is no method for this field")),
        }
    }

    pub(crate) fn widened(&self) -> StructuredField<f64> {
        let operators = self.parameters.operators.iter().map(Affine::widen).collect();
        let vectors = self.parameters.vectors.iter().map(|vector| crate::tensor::cast(vector)).collect();
        StructuredField {
            space: self.space,
            form: self.form.clone(),
            parameters: Parameters { operators, vectors },
            expression: self.expression.clone(),
        }
    }
}

/// Returns `Wᵀσ(Wx + b)` with operator `i`.
fn gradient(i: usize, activation: Activation) -> Vec<Expression> {
    vec![Expression::Apply(i), Expression::Activate(activation), Expression::Adjoint(i)]
}

/// Returns `c` times a chain.
fn scaled(mut parts: Vec<Expression>, c: f64) -> Expression {
    if c != 1.0 {
        parts.push(Expression::Scale(c));
    }
    Expression::Chain(parts)
}

/// Returns `(S − Sᵀ − γI)x` with operator `i`.
fn skew(i: usize, damping: f64) -> Expression {
    let damped = (damping != 0.0).then_some(Expression::Scale(-damping));
    let parts = [Expression::Apply(i), scaled(vec![Expression::Adjoint(i)], -1.0)];
    Expression::Sum(parts.into_iter().chain(damped).collect())
}

/// Returns `−Wᵀσ(Wx + b) + (S − Sᵀ)x − γx` with the operators 0 and 1.
fn dissipative(activation: Activation, damping: f64) -> Expression {
    Expression::Sum(vec![scaled(gradient(0, activation), -1.0), skew(1, damping)])
}

/// Returns `(h Kᵀσ(Kp + b), 0)` with operator `i`.
fn velocity(i: usize, activation: Activation, h: f64) -> Expression {
    let inside = [scaled(gradient(i, activation), h)];
    Expression::Chain([Expression::Half(true)].into_iter().chain(inside).chain([Expression::Embed(false)]).collect())
}

/// Returns `(0, −h Wᵀσ(Wq + c))` with operator `i`.
fn force(i: usize, activation: Activation, h: f64) -> Expression {
    let inside = [scaled(gradient(i, activation), -h)];
    Expression::Chain([Expression::Half(false)].into_iter().chain(inside).chain([Expression::Embed(true)]).collect())
}

/// Returns what a field computes, its operators being numbered in the order of [`Field::parts`].
fn expression(field: &Field<Slot>, biased: bool) -> Result<Expression> {
    use Expression::{Activate, Adjoint, Apply, Chain, Scale, Shift, Sum};
    let shifted = |linear: Expression, activation: Activation| {
        Chain([linear].into_iter().chain(biased.then_some(Shift(0))).chain([Activate(activation)]).collect())
    };
    Ok(match field {
        Field::Gradient { activation, weights: Some(_), .. } => {
            scaled(vec![Apply(0), Activate(*activation), Apply(1), Adjoint(0)], -1.0)
        }
        Field::Dissipative { activation, damping, .. } => dissipative(*activation, *damping),
        Field::SkewLinear { .. } => skew(0, 0.0),
        Field::Hamiltonian { kinetic, potential } => {
            Sum(vec![velocity(0, kinetic.activation, 1.0), force(1, potential.activation, 1.0)])
        }
        Field::DissipativeHamiltonian { activation, damping, .. } => {
            let energy = vec![Chain(gradient(0, *activation)), Chain(vec![Apply(1), Adjoint(1)])];
            Chain(vec![Sum(energy), skew(2, *damping)])
        }
        Field::Antisymmetric { activation, damping, .. } => shifted(skew(0, *damping), *activation),
        Field::Nais { activation, epsilon, .. } => {
            let square = scaled(vec![Apply(0), Adjoint(0)], -1.0);
            shifted(Sum(vec![square, Scale(-epsilon)]), *activation)
        }
        Field::Lurie { activation, .. } => Sum(vec![Apply(0), Chain(vec![Apply(1), Activate(*activation), Apply(2)])]),
        Field::Gradient { .. } | Field::Residual { .. } | Field::LyapunovProjected { .. } | Field::Opaque(_) => {
            return Err(Error::not_proved(field.kind(), "this field is a type of its own"));
        }
    })
}

impl<T: Scalar> VectorField<T> for StructuredField<T> {
    fn describe(&self) -> Field {
        let tensor = &mut |_: &str, _: usize, slot: Slot| {
            let numbers = |numbers: &[T]| Tensor::new(&slot.shape, numbers);
            Ok::<_, std::convert::Infallible>(match slot.place {
                Place::Weight(i) => {
                    let map = &self.parameters.operators[i];
                    map.in_form(numbers(map.operator().weight()))
                }
                Place::Bias(i) => numbers(self.parameters.operators[i].bias().unwrap_or_default()),
                Place::Vector(i) => numbers(&self.parameters.vectors[i]),
            })
        };
        match self.form.clone().try_map("", tensor) {
            Ok(field) => field,
            Err(never) => match never {},
        }
    }

    fn shape(&self) -> Shape {
        self.space
    }

    fn eval(&self, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        tape.part(|tape| self.expression.eval(&self.parameters, x.clone(), tape))
    }

    fn vjp(&self, _x: &Batch<T>, tape: &Tape<T>, g: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        self.expression.vjp(&self.parameters, tape.inner(0), g.clone(), gradient)
    }

    fn jvp(&self, _x: &Batch<T>, tape: &Tape<T>, v: &Batch<T>) -> Batch<T> {
        self.expression.jvp(&self.parameters, tape.inner(0), v.clone())
    }

    fn maps(&self) -> Vec<&Affine<T>> {
        self.parameters.operators.iter().collect()
    }

    fn maps_mut(&mut self) -> Vec<&mut Affine<T>> {
        self.parameters.operators.iter_mut().collect()
    }

    fn parameters(&self) -> Vec<&[T]> {
        let operators = self.parameters.operators.iter().flat_map(Affine::parameters);
        operators.chain(self.parameters.vectors.iter().map(Vec::as_slice)).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        let operators = self.parameters.operators.iter_mut().flat_map(Affine::parameters_mut);
        operators.chain(self.parameters.vectors.iter_mut().map(Vec::as_mut_slice)).collect()
    }

    fn rounding(
        &self,
        proof: &Certificate,
        rounding: &Rounding,
        _x: &Batch<f64>,
        tape: &Tape<f64>,
        reach: &[f64],
    ) -> Result<Vec<FieldError>> {
        let norms = self.norms(proof.premises())?;
        let known = self.expression.rounding(&self.parameters, &norms, rounding, tape.inner(0), reach)?;
        Ok(known.errors.into_iter().zip(known.sizes).map(|(error, size)| FieldError { error, size }).collect())
    }

    fn widen(&self) -> Box<dyn VectorField<f64>> {
        Box::new(self.widened())
    }
}
