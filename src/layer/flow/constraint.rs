//! The quadratic constraint of an Euler step of a dense residual field.

use crate::{
    field::VectorField,
    io::{FieldSpec, OperatorSpec, TensorWriter},
    rigor::{
        Upper,
        quadratic_constraint::{Chain, Proposal, Stage},
    },
    scalar::Scalar,
};

/// The largest number of coordinates and neurons of a step for which multipliers are searched: about two seconds on one
/// core.
const LARGEST: usize = 768;

/// A bound of the step `x ↦ x + h f(x)` by a quadratic constraint, with its witness, if `f(x) = Bσ(Ax + b) + c` with
/// matrices of a moderate size and the search finds one.
pub(super) fn euler_step<T: Scalar>(field: &dyn VectorField<T>, h: f64) -> Option<(Upper, Proposal)> {
    if field.shape().len() >= LARGEST || field.kind() != "residual" {
        return None;
    }
    let mut tensors = TensorWriter::default();
    let FieldSpec::Residual { activation, inner: OperatorSpec::Dense(inner), outer: OperatorSpec::Dense(outer) } =
        field.describe("field", &mut tensors).ok()?
    else {
        return None;
    };
    let inner = Stage { weight: tensors.matrix(&inner.weight)?, slopes: activation.slopes() };
    let chain = Chain::residual(inner, tensors.matrix(&outer.weight)?, h).ok()?;
    if chain.size() > LARGEST { None } else { chain.search().ok() }
}
