//! The rules: how a bound of a map follows from its numbers and from bounds of its parts.
//!
//! One file holds one theorem: its formula, and how to look for what it needs. The formula is a function from a part of
//! the network and the *numbers* claimed about its own parts to the claims that follow. Issuing a certificate and
//! checking one call the same function; what differs is where the numbers come from. Independence of the two is the
//! business of the verified checker in `proofs/`: a formula that one hand types twice is no more certain.
//!
//! | rule | about | claims |
//! |---|---|---|
//! | [`operator_norm`] | an affine map; several in a row | its norm, its smallest singular value |
//! | [`isometry`] | a reordering, an embedding by zeros | 1 |
//! | [`slope`] | an activation | its largest slope |
//! | [`windows`] | sorting, pooling | 1, or the root of the overlap |
//! | [`householder`] | reflections of groups | 1, or more for a long vector |
//! | [`gradient_field`], [`residual_field`], [`dissipative_field`], [`hamiltonian_field`], [`nais_field`] | a vector field | Lipschitz constant, cocoercivity, convexity |
//! | [`gradient_step`], [`one_sided_lipschitz`] | an Euler step | its factor |
//! | [`circle_contractivity`], [`stage_multipliers`], [`lipschitz_step`] | a Runge–Kutta step | its factor |
//! | [`implicit_step`], [`algebraic_stability`] | a step of an implicit method | its factor; that it exists |
//! | [`equilibrium`] | where a pushed field comes to rest | one over its rate, both ways |
//! | [`own_norm`] | a step in a norm of its own | its factor there |
//! | [`skew_flow`] | a Runge–Kutta step of a skew linear field | its factor, both ways |
//! | [`shears`], [`exponential_step`] | a step of a split method, an Euler step of a dissipative field | its factor |
//! | [`skew_gradient_step`] | an Euler step of a Hamiltonian field | its factor |
//! | [`quadratic_constraint`] | an Euler step, a field with a linear part; a stack of layers | what multipliers prove |
//! | [`composition`] | a chain; the steps of a flow | the product |
//! | [`sum`] | a sum or a mean of branches | the sum, the mean |
//! | [`descent`], [`margin`] | a step; a pair of logits | decrease of the potential; a radius |
//!
//! [`Prover`] looks for the proofs of a network, [`derive()`] recomputes what one node of a tree claims.

pub mod algebraic_stability;
pub mod circle_contractivity;
pub mod composition;
mod derived;
pub mod descent;
pub mod dissipative_field;
pub mod equilibrium;
pub mod exponential_step;
pub mod gradient_field;
pub mod gradient_step;
pub mod hamiltonian_field;
mod horizon;
pub mod householder;
pub mod implicit_step;
mod inverse;
pub mod isometry;
pub mod lipschitz_step;
pub mod margin;
pub mod nais_field;
pub mod one_sided_lipschitz;
pub mod operator_norm;
pub mod own_norm;
mod part;
mod propose;
pub mod quadratic_constraint;
pub mod residual_field;
mod runs;
pub mod shears;
pub mod skew_flow;
pub mod skew_gradient_step;
pub mod slope;
pub mod stage_multipliers;
pub mod sum;
pub mod windows;

pub use part::{Part, Subject};
pub use propose::Prover;

use crate::{
    certificate::{Claimed, Claims, Evidence, Rule},
    error::{Error, Result},
    model::{Field, Flow, Linear, Map, Method, Step},
    rigor::{
        directed::{mul_down, mul_up},
        torus::PaddingMode,
    },
};

/// The numbers that are claimed about a part.
pub type Numbers = Claims<f64, f64>;

/// Returns what a rule makes of a part of a network and of what is claimed about its own parts.
///
/// The match is exhaustive in the rules: a new one must be decided here.
///
/// # Errors
/// [`Error::Format`] if the rule is none for this part or has not the premises that it needs; [`Error::NotProved`] or
/// [`Error::StepTooLong`] if a hypothesis does not hold.
pub fn derive(part: &Part<'_>, proof: &Claimed, premises: &[Numbers]) -> Result<Claims> {
    let rule = proof.rule();
    let other = || Error::format(format!("the rule {rule} does not apply to {}", part.subject));
    let is_flow = matches!(part.subject, Subject::Map(Map::Flow(_)));
    let needs_evidence = matches!(rule, Rule::OperatorNorm | Rule::QuadraticConstraint | Rule::StageMultipliers);
    if proof.evidence() != &Evidence::Nothing && !needs_evidence && !is_flow {
        return Err(Error::format(format!("the rule {rule} needs no evidence")));
    }
    if let (Subject::Step(step @ Step { method: Method::Named(_) | Method::Own(_), .. }), [field]) =
        (part.subject, premises)
    {
        implicit_step::is_solvable(step, field)?;
    }
    let claims = match (rule, part.subject, premises) {
        (Rule::OperatorNorm, Subject::Map(Map::Linear(linear)) | Subject::Operator(linear), []) => {
            operator_norm::bound(linear, part.input, proof.evidence(), proof.claims().inverse.is_some())
        }
        (Rule::OperatorNorm, Subject::Run(maps), _) => {
            let claims = operator_norm::of_run(maps, part.input, proof.evidence())?;
            Ok(Claims { inverse: composition::bound(premises).inverse, ..claims })
        }
        (Rule::Isometry, Subject::Map(Map::Linear(linear)) | Subject::Operator(linear), []) => isometry::bound(linear),
        (Rule::Slope, Subject::Map(Map::Activation(function)), []) => Ok(slope::bound(*function)),
        (Rule::Slope, Subject::Map(Map::Partial(partial)), []) => Ok(slope::of_some(partial.function)),
        (Rule::Windows, Subject::Map(Map::Window(window)), []) => Ok(windows::bound(window)),
        (Rule::Householder, Subject::Map(Map::Householder(map)), []) => householder::bound(map, part.input),
        (Rule::Equilibrium, Subject::Map(Map::Equilibrium(_)), [field]) => equilibrium::bound(field),
        (Rule::OperatorNorm, Subject::Derived(part), []) => {
            derived::bound(&part, proof.evidence(), proof.claims().inverse.is_some())
        }
        (_, Subject::Field(field), operators) if field_rule(field) == Some(rule) => of_field(field, operators),
        (Rule::QuadraticConstraint, Subject::Field(field @ Field::Lurie { .. }), operators) => {
            quadratic_constraint::of_field(field, operators, proof.evidence(), &proof.claims())
        }
        (Rule::Shears, Subject::Step(step), operators) => shears::bound(step, operators),
        (Rule::ExponentialStep, Subject::Step(step @ Step { method: Method::Split(_), .. }), operators) => {
            exponential_step::bound(step, operators)
        }
        // What the field's own claims do not say: the premises of its proof, which are checked as every node is.
        (Rule::ExponentialStep | Rule::SkewGradientStep, Subject::Step(step), [_]) => {
            let field = proof.premises().first().ok_or_else(other)?;
            let operators: Vec<Numbers> = field.premises().iter().map(|premise| premise.claims()).collect();
            let bound = if rule == Rule::ExponentialStep { exponential_step::bound } else { skew_gradient_step::bound };
            bound(step, &operators)
        }
        (Rule::OwnNorm, Subject::Step(step), [field]) => own_norm::bound(step, field),
        (Rule::GradientStep, Subject::Step(step), [field]) => gradient_step::bound(step, field),
        (Rule::OneSidedLipschitz, Subject::Step(step), [field]) => one_sided_lipschitz::bound(step, field),
        (Rule::CircleContractivity, Subject::Step(step), [field]) => circle_contractivity::bound(step, field),
        (Rule::AlgebraicStability, Subject::Step(step), [field]) => algebraic_stability::bound(step, field),
        (Rule::ImplicitStep, Subject::Step(step), [field]) => implicit_step::bound(step, field),
        (Rule::SkewFlow, Subject::Step(step), [field]) => skew_flow::bound(step, field, &proof.claims()),
        (Rule::LipschitzStep, Subject::Step(step), [field]) => lipschitz_step::bound(step, field),
        (Rule::StageMultipliers, Subject::Step(step), [field]) => {
            stage_multipliers::bound(step, field, proof.evidence(), proof.claims().bound)
        }
        (Rule::QuadraticConstraint, Subject::Step(step), [_]) => {
            quadratic_constraint::of_step(step, part.input, proof.evidence(), proof.claims().bound)
        }
        (Rule::QuadraticConstraint, Subject::Run(maps), _) => {
            quadratic_constraint::of_run(maps, part.input, proof.evidence(), proof.claims().bound)
        }
        (Rule::Composition, Subject::Map(Map::Chain(_)) | Subject::Run(_), _) => Ok(composition::bound(premises)),
        (Rule::Composition, Subject::Map(Map::Flow(flow)), steps) => {
            require(
                proof.evidence() == &steps_of(flow),
                "a flow with a horizon says over how many steps it is proved",
            )?;
            Ok(composition::flow(steps, flow.steps))
        }
        (Rule::Sum, Subject::Map(Map::Sum(_)), _) => Ok(sum::bound(premises)),
        (Rule::Sum, Subject::Map(Map::Mean(_)), _) => Ok(sum::mean(premises)),
        _ => Err(other()),
    };
    claims.map(|claims| with_inverse(part.subject, premises, claims))
}

/// Returns the claims about a part, with what [`inverse`] proves of a step, whatever rule the others are proved by.
pub(crate) fn with_inverse(subject: Subject<'_>, premises: &[Numbers], claims: Claims) -> Claims {
    let (Subject::Step(step @ Step { method: Method::Named(_) | Method::Own(_), .. }), [field]) = (subject, premises)
    else {
        return claims;
    };
    let least = [claims.inverse, inverse::of_step(step, field)].into_iter().flatten();
    Claims { inverse: least.reduce(|a, b| if b > a { b } else { a }), ..claims }
}

/// Returns the rule for a kind of field; none for one from outside.
pub(crate) fn field_rule(field: &Field) -> Option<Rule> {
    match field {
        Field::Gradient { .. } => Some(Rule::GradientField),
        Field::Residual { .. } | Field::Lurie { .. } => Some(Rule::ResidualField),
        Field::Dissipative { .. } | Field::SkewLinear { .. } => Some(Rule::DissipativeField),
        Field::Hamiltonian { .. } | Field::DissipativeHamiltonian { .. } | Field::Antisymmetric { .. } => {
            Some(Rule::HamiltonianField)
        }
        Field::Nais { .. } => Some(Rule::NaisField),
        Field::LyapunovProjected { .. } | Field::Opaque(_) => None,
    }
}

/// Returns the claims about a field by its rule, from those about its operators.
///
/// # Errors
/// As the rules.
pub(crate) fn of_field(field: &Field, operators: &[Numbers]) -> Result<Claims> {
    let claims = match field_rule(field) {
        Some(Rule::GradientField) => gradient_field::bound(field, operators),
        Some(Rule::ResidualField) => residual_field::bound(field, operators),
        Some(Rule::DissipativeField) => dissipative_field::bound(field, operators),
        Some(Rule::HamiltonianField) => hamiltonian_field::bound(field, operators),
        Some(Rule::NaisField) => nais_field::bound(field, operators),
        _ => Err(Error::format("no rule applies to this field")),
    }?;
    claims.bound.finite("the Lipschitz constant of a field")?;
    Ok(claims)
}

/// Returns the curvature of `Wᵀσ(Wx + b)` with slopes in `[m, L]`: `[m s², L w²]` for `0 ≤ m`, `w = ‖W‖` and `s =
/// σ_min(W)`, which is 0 if it is not known; `[m w², L w²]` for `m < 0 ≤ L`.
fn curvature([m, l]: [f64; 2], operator: &Numbers) -> [f64; 2] {
    let (w, s) = (operator.bound, operator.inverse.map_or(0.0, |s| s.max(0.0)));
    let least = if m >= 0.0 { mul_down(m, mul_down(s, s)) } else { -mul_up(-m, mul_up(w, w)) };
    [least, mul_up(l, mul_up(w, w))]
}

/// Returns whether an affine map only moves coordinates, or embeds them among zeros.
pub(crate) fn is_isometry<W>(linear: &Linear<W>) -> bool {
    match linear {
        Linear::Flatten {} | Linear::PadChannels { .. } | Linear::SpaceToDepth { .. } | Linear::Mirror {} => true,
        Linear::Shift { mode, .. } => *mode == PaddingMode::Circular,
        _ => false,
    }
}

/// Returns the evidence of a flow: its number of steps, if it has a horizon.
fn steps_of(flow: &Flow) -> Evidence {
    if flow.horizon.is_some() { Evidence::Steps(flow.steps) } else { Evidence::Nothing }
}

fn require(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::format(otherwise)) }
}
