//! Quadratic constraints: what the claimed multipliers prove, proved once more from the weights.

use super::{Checked, at_least, equal, operator::Linear, require, slopes};
use crate::{
    error::{Error, Result},
    io::{ClaimedWitness, FieldSpec},
    rigor::{
        Upper,
        quadratic_constraint::{Chain, Proposal, Stage},
    },
};

/// The largest matrix that is proved positive semidefinite: of half a gigabyte.
const LARGEST: usize = 1 << 13;

/// Checks the claim about `steps` Euler steps of length `h` of the field `Vσ(Wx + b) + c`.
pub(super) fn steps(checked: &Checked<'_>, field: &FieldSpec, maps: &[Linear], (h, count): (f64, usize)) -> Result<()> {
    let Some(ClaimedWitness::QuadraticConstraint { step, steps, factor, multipliers }) = &checked.layer.witness else {
        return Err(Error::format("the witness is not one of a quadratic constraint"));
    };
    checked.not_averaged()?;
    equal("the step is", *step, h)?;
    equal("the number of steps is", *steps, count)?;
    let (FieldSpec::Residual { activation, .. }, [inner, outer]) = (field, maps) else {
        return Err(Error::format("the rule is one for residual fields"));
    };
    let (Some(weight), Some(outer)) = (inner.as_matrix(), outer.as_matrix()) else {
        return Err(Error::format("the rule is one for matrices"));
    };
    let stage = Stage { weight, slopes: slopes(*activation, checked.model)? };
    proves(&Chain::residual(stage, outer, h)?, *factor, std::slice::from_ref(multipliers))?;
    let bound = Upper::proved(*factor).powi(*steps);
    at_least("the factor to the power of the number of steps is", checked.layer.bound, bound)
}

/// Whether the multipliers prove that the chain is `claimed`-Lipschitz.
pub(super) fn proves(chain: &Chain, claimed: f64, multipliers: &[Vec<f64>]) -> Result<()> {
    require(chain.size() <= LARGEST, &format!("it is of more than {LARGEST} inputs and neurons"))?;
    require(claimed > 0.0, "a quadratic constraint proves a positive bound")?;
    let proposal = Proposal { bound: claimed, multipliers: multipliers.to_vec() };
    at_least("the multipliers prove", claimed, chain.prove(&proposal)?)
}
