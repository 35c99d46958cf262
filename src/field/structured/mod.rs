//! The fields of the family that are neither plain gradients nor residual networks: dissipative, Hamiltonian, antisymmetric,
//! skew, NAIS-Net, Lur'e, weighted gradients. Their formulas are those of [`crate::model::Field`].

mod expression;

use self::expression::{Expression, Parameters, unlike};
use super::{FieldError, VectorField};
use crate::{
    activation::Activation,
    certificate::Certificate,
    error::{Error, Result},
    model::{Field, Form, Tensor},
    operator::{Affine, Diagonal},
    rigor::{Rounding, Summation},
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
    /// The field of a description on a space.
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

/// What a field computes, its operators being numbered in the order of [`Field::parts`].
fn expression(field: &Field<Slot>, biased: bool) -> Result<Expression> {
    use Expression::{Activate, Adjoint, Apply, Chain, Embed, Half, Scale, Shift, Sum};
    // (S − Sᵀ − γI)x
    let skew = |i: usize, damping: f64| {
        let transposed = Chain(vec![Adjoint(i), Scale(-1.0)]);
        let damped = (damping != 0.0).then_some(Scale(-damping));
        Sum([Apply(i), transposed].into_iter().chain(damped).collect())
    };
    let gradient = |i: usize, activation: Activation| vec![Apply(i), Activate(activation), Adjoint(i)];
    let negative = |mut parts: Vec<Expression>| {
        parts.push(Scale(-1.0));
        Chain(parts)
    };
    let shifted = |linear: Expression, activation: Activation| {
        Chain([linear].into_iter().chain(biased.then_some(Shift(0))).chain([Activate(activation)]).collect())
    };
    Ok(match field {
        Field::Gradient { activation, weights: Some(_), .. } => {
            negative(vec![Apply(0), Activate(*activation), Apply(1), Adjoint(0)])
        }
        Field::Dissipative { activation, damping, .. } => {
            Sum(vec![negative(gradient(0, *activation)), skew(1, *damping)])
        }
        Field::SkewLinear { .. } => skew(0, 0.0),
        Field::Hamiltonian { kinetic, potential } => {
            let half = |from: bool, inside: Vec<Expression>| {
                Chain([Half(from)].into_iter().chain(inside).chain([Embed(!from)]).collect())
            };
            let force = vec![negative(gradient(1, potential.activation))];
            Sum(vec![half(true, gradient(0, kinetic.activation)), half(false, force)])
        }
        Field::DissipativeHamiltonian { activation, damping, .. } => {
            let energy = vec![Chain(gradient(0, *activation)), Chain(vec![Apply(1), Adjoint(1)])];
            Chain(vec![Sum(energy), skew(2, *damping)])
        }
        Field::Antisymmetric { activation, damping, .. } => shifted(skew(0, *damping), *activation),
        Field::Nais { activation, epsilon, .. } => {
            let square = negative(vec![Apply(0), Adjoint(0)]);
            shifted(Sum(vec![square, Scale(-epsilon)]), *activation)
        }
        Field::Lurie { activation, .. } => Sum(vec![Apply(0), Chain(vec![Apply(1), Activate(*activation), Apply(2)])]),
        Field::Gradient { .. } | Field::Residual { .. } | Field::Opaque(_) => {
            return Err(Error::not_proved(field.kind(), "this field is a type of its own"));
        }
    })
}

impl<T: Scalar> VectorField<T> for StructuredField<T> {
    fn describe(&self) -> Field {
        let tensor = &mut |_: &str, _: usize, slot: Slot| {
            let numbers: &[T] = match slot.place {
                Place::Weight(i) => self.parameters.operators[i].operator().weight(),
                Place::Bias(i) => self.parameters.operators[i].bias().unwrap_or_default(),
                Place::Vector(i) => &self.parameters.vectors[i],
            };
            Ok::<_, std::convert::Infallible>(Tensor::new(&slot.shape, numbers))
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
        // What is proved of an operator itself; of what counts as S − Sᵀ, or with weights, ‖W‖ ≤ ‖|W|‖.
        let field = self.describe();
        let mut norms = Vec::new();
        for (k, part) in field.parts(self.space)?.iter().enumerate() {
            let premise = proof.premises().get(k).ok_or_else(unlike)?;
            match part.form {
                Form::Plain => norms.push(premise.bound().get()),
                Form::Skew => norms.push(self.parameters.operators[norms.len()].operator().absolute_norm()?.get()),
                Form::Weighted(_) => {
                    for _ in 0..2 {
                        norms.push(self.parameters.operators[norms.len()].operator().absolute_norm()?.get());
                    }
                }
            }
        }
        let known = self.expression.rounding(&self.parameters, &norms, rounding, tape.inner(0), reach)?;
        Ok(known.errors.into_iter().zip(known.sizes).map(|(error, size)| FieldError { error, size }).collect())
    }

    fn set_summation(&mut self, summation: Summation) {
        self.parameters.operators.iter_mut().for_each(|operator| operator.set_summation(summation));
    }

    fn widen(&self) -> Box<dyn VectorField<f64>> {
        let operators = self.parameters.operators.iter().map(Affine::widen).collect();
        let vectors = self.parameters.vectors.iter().map(|vector| crate::tensor::cast(vector)).collect();
        Box::new(StructuredField {
            space: self.space,
            form: self.form.clone(),
            parameters: Parameters { operators, vectors },
            expression: self.expression.clone(),
        })
    }
}
