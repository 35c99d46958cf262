//! Quadratic constraints: multipliers that prove more than a product of norms.
//!
//! For one Euler step of `Cx + Bσ(Ax + b)`, with `C` or without; for the constants of such a field with `C`, from which all
//! other methods have theirs; and for a stack `Bσ_k(W_k ⋯ σ₁(W₁x))`, of which the last matrix may be the head: then the same
//! multipliers bound how fast the difference of any two logits changes ([`pairs`]). The matrix inequality is proved by
//! [`crate::rigor::quadratic_constraint`]; the multipliers are the evidence, and any solver may propose them.
//!
//! Sources: Fazlyab et al., *Efficient and accurate estimation of Lipschitz constants*, NeurIPS 2019; Araujo et al., *A
//! unified algebraic perspective on Lipschitz neural networks*, ICLR 2023.

use faer::Mat;

use super::{Numbers, require, residual_field};
use crate::{
    certificate::{Claims, Evidence},
    error::{Error, Result},
    model::{Field, Linear, Map, Step},
    rigor::{
        Upper,
        quadratic_constraint::{Chain, Ellipsoid, Lurie, Proposal, Stage},
    },
    tensor::Shape,
};

/// The largest matrix that is proved positive semidefinite: of half a gigabyte.
const LARGEST: usize = 1 << 13;
/// The largest number of coordinates and neurons of a step for which multipliers are searched: about two seconds on one
/// core.
const LARGEST_SEARCH: usize = 768;
/// The same for the constants of a field, which take a dozen searches.
const LARGEST_FIELD: usize = 192;

/// Returns the claims about one Euler step that multipliers prove: `claimed`, or none.
///
/// # Errors
/// [`Error::Format`] for another method, another field or no multipliers, [`Error::NotProved`] if they do not prove it.
pub fn of_step(step: Step<'_>, input: Shape, evidence: &Evidence, claimed: f64) -> Result<Claims> {
    prove(&euler(step, input)?, evidence, claimed)
}

/// Returns the claims about a field that multipliers prove: those for its Lipschitz constant first, then those for its one-sided
/// Lipschitz constant, and those for its cocoercivity if it is claimed. `operators` are the claims about its operators.
///
/// # Errors
/// As [`of_step`].
pub fn of_field(field: &Field, operators: &[Numbers], evidence: &Evidence, claimed: &Numbers) -> Result<Claims> {
    let plain = residual_field::bound(field, operators)?;
    let lurie = lurie(field)?;
    let Evidence::Multipliers(multipliers) = evidence else {
        return Err(Error::format("the evidence of a quadratic constraint is its multipliers"));
    };
    require(lurie.size() <= LARGEST, &format!("it is of more than {LARGEST} coordinates and neurons"))?;
    let missing = || Error::format("a field has multipliers for each of its constants");
    let mu = claimed.one_sided_lipschitz.ok_or_else(missing)?;
    let (value, one_sided, averse) = match (&multipliers[..], claimed.cocoercivity) {
        ([value, one_sided], None) => (value, one_sided, None),
        ([value, one_sided, averse], Some(nu)) => (value, one_sided, Some((nu, averse))),
        _ => return Err(missing()),
    };
    // Where the product of the norms is no more, it needs no multipliers.
    let bound = if claimed.bound >= plain.bound.get() {
        plain.bound
    } else {
        lurie.value()?.prove(&Proposal { bound: claimed.bound, multipliers: vec![value.clone()] })?
    };
    Ok(Claims {
        one_sided_lipschitz: Some(lurie.one_sided(mu, one_sided)?),
        cocoercivity: averse.map(|(nu, t)| lurie.cocoercive(nu, t)).transpose()?,
        ..Claims::lipschitz(bound)
    })
}

/// Searches multipliers for the constants of a field with a linear part, if it is of a moderate size.
pub(super) fn propose_field(field: &Field, operators: &[Numbers]) -> Option<(Claims, Evidence)> {
    let Field::Lurie { .. } = field else { return None };
    let lurie = lurie(field).ok().filter(|lurie| lurie.size() <= LARGEST_FIELD)?;
    let plain = residual_field::bound(field, operators).ok()?;
    let (mut bound, mut value) = (plain.bound, vec![]);
    if let Ok((proved, proposal)) = lurie.value().and_then(|chain| chain.search())
        && proved < bound
    {
        (bound, value) = (proved, proposal.multipliers.into_iter().next()?);
    }
    let (mu, one_sided) = lurie.search_one_sided()?;
    let averse = if mu.get() < 0.0 { lurie.search_cocoercive(&one_sided) } else { None };
    let cocoercivity = averse.as_ref().map(|(nu, _)| *nu);
    let multipliers = [value, one_sided].into_iter().chain(averse.map(|(_, t)| t)).collect();
    let claims = Claims { one_sided_lipschitz: Some(mu), cocoercivity, ..Claims::lipschitz(bound) };
    Some((claims, Evidence::Multipliers(multipliers)))
}

/// Returns the claims about a stack that multipliers prove.
///
/// # Errors
/// As [`of_step`].
pub fn of_run(maps: &[Map], input: Shape, evidence: &Evidence, claimed: f64) -> Result<Claims> {
    let whole = |found: &(Chain, usize)| found.1 == maps.len();
    let stack = || Error::format("they are not a stack of matrices and activations in turn");
    let (chain, _) = stack_of(maps, input, usize::MAX)?.filter(whole).ok_or_else(stack)?;
    prove(&chain, evidence, claimed)
}

fn prove(chain: &Chain, evidence: &Evidence, claimed: f64) -> Result<Claims> {
    let Evidence::Multipliers(multipliers) = evidence else {
        return Err(Error::format("the evidence of a quadratic constraint is its multipliers"));
    };
    require(chain.size() <= LARGEST, &format!("it is of more than {LARGEST} inputs and neurons"))?;
    require(claimed > 0.0, "a quadratic constraint proves a positive bound")?;
    let proposal = Proposal { bound: claimed, multipliers: multipliers.clone() };
    chain.prove(&proposal).map(Claims::lipschitz)
}

/// Searches multipliers for one Euler step, if it is of a moderate size.
pub(super) fn propose_step(step: Step<'_>, input: Shape) -> Option<(Claims, Evidence)> {
    if input.len() >= LARGEST_SEARCH {
        return None;
    }
    let chain = euler(step, input).ok().filter(|chain| chain.size() <= LARGEST_SEARCH)?;
    search(&chain)
}

/// Returns how fast differences of the outputs may change of a stack that ends with a matrix and for which multipliers prove
/// `claimed`; the maps before that matrix are together `lipschitz`-Lipschitz.
///
/// # Errors
/// As [`of_step`].
pub fn pairs(maps: &[Map], input: Shape, evidence: &Evidence, claimed: f64, lipschitz: Upper) -> Result<Ellipsoid> {
    let (Evidence::Multipliers(multipliers), [features @ .., Map::Linear(_)]) = (evidence, maps) else {
        return Err(Error::format("they are no stack with a matrix at its end and multipliers"));
    };
    let stack = |maps: &[Map]| -> Result<Chain> {
        let found = stack_of(maps, input, usize::MAX)?.filter(|found| found.1 == maps.len());
        Ok(found.ok_or_else(|| Error::format("they are not a stack of matrices and activations in turn"))?.0)
    };
    let (whole, features) = (stack(maps)?, stack(features)?);
    require(whole.size() <= LARGEST, &format!("it is of more than {LARGEST} inputs and neurons"))?;
    let proposal = Proposal { bound: claimed, multipliers: multipliers.clone() };
    features.ellipsoid(&whole.unscaled(&proposal), lipschitz)
}

/// Searches multipliers for the longest stack of up to `neurons` neurons that the maps begin with, or where that has none
/// for a shorter one; also how many maps it takes.
pub(super) fn propose_run(maps: &[Map], input: Shape, neurons: usize) -> Result<(Option<(Claims, Evidence)>, usize)> {
    let mut neurons = neurons;
    loop {
        match stack_of(maps, input, neurons)? {
            // One matrix and its activation are no better together than apart.
            Some((chain, count)) if count > 2 => match search(&chain) {
                None => neurons = (chain.neurons() / 2).min(neurons - 1),
                found => return Ok((found, count)),
            },
            Some((_, count)) => return Ok((None, count)),
            None => return Ok((None, 0)),
        }
    }
}

/// Searches multipliers for maps that are one stack of up to `neurons` neurons and the head.
pub(super) fn propose_with_head(maps: &[Map], input: Shape, neurons: usize) -> Result<Option<(Claims, Evidence)>> {
    let whole = stack_of(maps, input, neurons)?.filter(|(chain, count)| *count == maps.len() && chain.has_outer());
    Ok(whole.and_then(|(chain, _)| search(&chain)))
}

fn search(chain: &Chain) -> Option<(Claims, Evidence)> {
    if chain.size() > LARGEST {
        return None;
    }
    let (bound, proposal) = chain.search().ok()?;
    Some((Claims::lipschitz(bound), Evidence::Multipliers(proposal.multipliers)))
}

/// Returns the chain of one Euler step of a field with matrices.
fn euler(step: Step<'_>, input: Shape) -> Result<Chain> {
    require(step.method.tableau()?.is_euler(), "the rule is one for Euler's method")?;
    step.field.check(input)?;
    lurie(step.field)?.step(step.length)
}

/// Returns a field with matrices in Lur'e form.
fn lurie(field: &Field) -> Result<Lurie> {
    let dense = |operator: &Linear| match operator {
        Linear::Dense { weight, .. } => Ok(weight.matrix()),
        _ => Err(Error::format("the rule applies to fields with matrices only")),
    };
    let (linear, activation, inner, outer) = match field {
        Field::Residual { activation, inner, outer } => (None, activation, inner, outer),
        Field::Lurie { activation, linear, inner, outer } => (Some(dense(linear)?), activation, inner, outer),
        _ => return Err(Error::format("the rule applies to residual and Lur'e fields only")),
    };
    Lurie::new(linear, Stage { weight: dense(inner)?, slopes: activation.slopes() }, dense(outer)?)
}

/// Returns the longest stack that the maps begin with, of up to `neurons` neurons, and how many maps it takes; none if
/// they begin with something else.
fn stack_of(maps: &[Map], input: Shape, neurons: usize) -> Result<Option<(Chain, usize)>> {
    let (mut stages, mut count, mut total): (Vec<Stage>, usize, usize) = (Vec::new(), 0, 0);
    let mut shape = input;
    let mut outer: Option<Mat<f64>> = None;
    while let [Map::Linear(linear @ Linear::Dense { weight, .. }), rest @ ..] = &maps[count..] {
        let rows = linear.output(shape)?;
        match rest {
            [Map::Activation(function), ..] if total.saturating_add(rows.len()) <= neurons => {
                total += rows.len();
                stages.push(Stage { weight: weight.matrix(), slopes: function.slopes() });
                (count, shape) = (count + 2, rows);
            }
            _ => {
                if count > 0 {
                    (outer, count) = (Some(weight.matrix()), count + 1);
                }
                break;
            }
        }
    }
    if stages.is_empty() { Ok(None) } else { Ok(Chain::stack(stages, outer).ok().map(|chain| (chain, count))) }
}
