//! The search for proofs: what is proved about each map, and which runs of maps are proved as one.

use std::sync::Mutex;

use rayon::prelude::*;

use super::{
    Numbers, Part, Subject, algebraic_stability, circle_contractivity, composition, derived, equilibrium,
    exponential_step, field_rule, gradient_step, householder, implicit_step, is_isometry, isometry, lipschitz_step,
    of_field, one_sided_lipschitz, operator_norm, own_norm, quadratic_constraint,
    runs::{Run, assemble, known_runs},
    shears, skew_flow, skew_gradient_step, slope, stage_multipliers, steps_of, sum, windows, with_inverse,
};
use crate::{
    certificate::{Certificate, Claims, Evidence, NormProof, Rule},
    error::{Error, Result},
    model::{Conv2d, Field, Linear, Map, Method, SplitMethod, Step},
    rigor::{Lower, Upper, environment},
    tableau::Tableau,
    tensor::Shape,
};

/// Looks for proofs, and remembers those of operators: a flow needs the norm of its operator to choose its step, before
/// there is a flow to be certified.
#[derive(Debug, Default)]
pub struct Prover {
    norms: NormProof,
    /// Whether smallest singular values of layers are wanted.
    inverses: bool,
    known: Mutex<Vec<Known>>,
}

/// An operator and what is proved about it.
#[derive(Debug)]
struct Known {
    operator: Linear,
    input: Shape,
    inverse: bool,
    proof: (Claims, Evidence),
}

impl Prover {
    /// Creates a prover that proves norms of convolutions in this way.
    pub fn new(norms: NormProof) -> Self {
        Self { norms, ..Self::default() }
    }

    /// Proves the smallest singular values of affine layers, too: then `inverse` of a network says how far its gradients can
    /// fade, wherever each of its layers has one.
    ///
    /// ```
    /// use dahlquist::{model::{Linear, Map, Tensor}, rules::Prover, tensor::Shape};
    /// let dense = |w: &[f64]| Map::Linear(Linear::Dense { weight: Tensor::new(&[2, 2], w), bias: None });
    /// let map = Map::Chain(vec![dense(&[2.0, 0.0, 0.0, 0.5]), dense(&[0.0, 1.0, -1.0, 0.0])]);
    /// let inverse = Prover::default().with_inverses().network(&map, Shape::Features(2))?.claims().inverse;
    /// assert!(inverse.is_some_and(|inverse| inverse.get() > 0.499999));
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    #[must_use]
    pub fn with_inverses(self) -> Self {
        Self { inverses: true, ..self }
    }

    /// Proves a whole network.
    ///
    /// # Errors
    /// [`Error::Layer`] with the place of a map that has no proof, and why; [`Error::NotFinite`] for a weight or a bias with a NaN or
    /// an infinity.
    pub fn network(&self, map: &Map, input: Shape) -> Result<Certificate> {
        // Everything that the rules rely on: shapes, finite numbers, positive deviations.
        map.output(input)?;
        map.finite()?;
        let root = Part::root(map, input);
        let Map::Chain(maps) = map else {
            return self.part(&root);
        };
        // Margins are measured on the head, so no run of affine maps holds it.
        let features = maps.len() - usize::from(map.head().is_some());
        self.chain(&root, maps, features)
    }

    /// Proves a network again, with stacks of matrices and activations of up to `neurons` neurons each as one map where
    /// that is better, the last one together with the head.
    ///
    /// # Errors
    /// As [`Self::network`].
    pub fn tighten(&self, map: &Map, input: Shape, proof: Certificate, neurons: usize) -> Result<Certificate> {
        let Map::Chain(maps) = map else { return Ok(proof) };
        let features = maps.len() - usize::from(map.head().is_some());
        let inputs = inputs(maps, input)?;
        let (mut runs, mut last) = (Vec::new(), None);
        let mut first = 0;
        while first < features {
            let (found, count) = quadratic_constraint::propose_run(&maps[first..features], inputs[first], neurons)?;
            if let Some((claims, evidence)) = found {
                runs.push(Run { first, count, rule: Rule::QuadraticConstraint, claims, evidence });
            }
            last = (count > 0 && first + count == features).then_some(first);
            first += count.max(1);
        }
        if let Some(first) = last.filter(|_| features < maps.len())
            && let Some((claims, evidence)) =
                quadratic_constraint::propose_with_head(&maps[first..], inputs[first], neurons)?
        {
            let count = maps.len() - first;
            runs.push(Run { first, count, rule: Rule::QuadraticConstraint, claims, evidence });
        }
        // The runs that are there already are candidates, too.
        known_runs(&proof, 0, &mut runs);
        let layers = proof.layers().cloned().collect();
        Ok(assemble(&Part::root(map, input), layers, runs, features))
    }

    /// Proves an affine map.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the bound overflows; [`Error::NotFinite`] for a weight or a bias with a NaN or an infinity.
    pub fn operator(&self, operator: &Linear, input: Shape, inverse: bool) -> Result<(Claims, Evidence)> {
        operator.output(input)?;
        operator.finite()?;
        self.finite_operator(operator, input, inverse)
    }

    /// As [`Self::operator`], of one that is known to be finite.
    fn finite_operator(&self, operator: &Linear, input: Shape, inverse: bool) -> Result<(Claims, Evidence)> {
        let same =
            |known: &Known| known.input == input && known.inverse >= inverse && is_same(&known.operator, operator);
        if let Ok(known) = self.known.lock()
            && let Some(known) = known.iter().find(|known| same(known))
        {
            return Ok(known.proof.clone());
        }
        let proof = operator_norm::propose(operator, input, self.norms, inverse)?;
        if let Ok(mut known) = self.known.lock() {
            known.push(Known { operator: operator.clone(), input, inverse, proof: proof.clone() });
        }
        Ok(proof)
    }

    /// Proves the constants of a field.
    ///
    /// # Errors
    /// [`Error::NotProved`] if a bound overflows, [`Error::Parameter`] for an activation that the field cannot have,
    /// [`Error::NotFinite`] for a weight or a bias with a NaN or an infinity.
    pub fn field(&self, field: &Field, space: Shape) -> Result<Certificate> {
        field.check(space)?;
        field.finite()?;
        self.part(&Part { path: "field".into(), input: space, subject: Subject::Field(field) })
    }

    /// Returns the longest step of a method that circle contractivity proves to be non-expansive for a field.
    ///
    /// # Errors
    /// As [`Self::field`] and [`circle_contractivity::longest`].
    pub fn longest_step(&self, field: &Field, space: Shape, method: &Tableau) -> Result<Lower> {
        circle_contractivity::longest(method, &self.field(field, space)?.claims().numbers())
    }

    /// Proves a part.
    fn part(&self, part: &Part<'_>) -> Result<Certificate> {
        let here = |e: Error| match e {
            // The path is that of the innermost part.
            Error::Layer { .. } => e,
            e if part.path.is_empty() => e,
            e => e.in_layer(&part.path),
        };
        self.part_unnamed(part).map_err(here)
    }

    fn part_unnamed(&self, part: &Part<'_>) -> Result<Certificate> {
        // Parts are spread over the workers of a pool, whose flags may be others than those of the thread that asks.
        environment::check()?;
        match part.subject {
            Subject::Map(Map::Linear(linear)) if is_isometry(linear) => {
                Ok(part.node(Rule::Isometry, isometry::bound(linear)?, vec![]))
            }
            Subject::Map(Map::Linear(linear)) => self.affine(part, linear, self.inverses),
            Subject::Operator(linear) => self.affine(part, linear, false),
            Subject::Derived(_) => Err(Error::not_proved("an operator of a field", "it is proved with the field")),
            Subject::Map(Map::Activation(function)) => Ok(part.node(Rule::Slope, slope::bound(*function), vec![])),
            Subject::Map(Map::Partial(partial)) => Ok(part.node(Rule::Slope, slope::of_some(partial.function), vec![])),
            Subject::Map(Map::Window(window)) => Ok(part.node(Rule::Windows, windows::bound(window), vec![])),
            Subject::Map(Map::Householder(map)) => {
                Ok(part.node(Rule::Householder, householder::bound(map, part.input)?, vec![]))
            }
            Subject::Map(Map::Flow(flow)) => {
                if flow.is_open() {
                    return Err(Error::not_proved("a flow with a horizon", "its number of steps is not chosen yet"));
                }
                let steps: Vec<_> = flow.each().enumerate().collect();
                let prove = |(k, step): &(usize, Step<'_>)| self.part(&part.step(flow.fields.len(), *k, *step));
                let proofs: Vec<Certificate> = steps.par_iter().map(prove).collect::<Result<_>>()?;
                let proofs: Vec<Certificate> = match (&proofs[..], &steps[..]) {
                    ([proof], [(k, step)]) => {
                        let own = own_norm_step(&part.step(1, *k, *step), *step, proof, flow.steps);
                        own.map_or(proofs, |own| vec![own])
                    }
                    _ => proofs,
                };
                let numbers: Vec<Numbers> = proofs.iter().map(|proof| proof.claims().numbers()).collect();
                let claims = composition::flow(&numbers, flow.steps);
                claims.bound.finite("the Lipschitz constant of a flow")?;
                Ok(Certificate { evidence: steps_of(flow), ..part.node(Rule::Composition, claims, proofs) })
            }
            Subject::Map(Map::Equilibrium(map)) => {
                let field = self.part(&part.below("field", part.input, Subject::Field(&map.field)))?;
                let claims = equilibrium::bound(&field.claims().numbers())?;
                Ok(part.node(Rule::Equilibrium, claims, vec![field]))
            }
            Subject::Step(step) => self.step(part, step),
            Subject::Field(field) => self.field_of(part, field),
            Subject::Map(Map::Chain(maps)) => self.chain(part, maps, maps.len()),
            Subject::Run(_) => Err(Error::not_proved("a run of maps", "it is proved with the chain that holds it")),
            Subject::Map(Map::Sum(branches) | Map::Mean(branches)) => {
                let branch =
                    |(i, map): (usize, &Map)| self.part(&part.below(&i.to_string(), part.input, Subject::Map(map)));
                let proofs: Vec<Certificate> = branches.par_iter().enumerate().map(branch).collect::<Result<_>>()?;
                let numbers: Vec<Numbers> = proofs.iter().map(|proof| proof.claims().numbers()).collect();
                let is_sum = matches!(part.subject, Subject::Map(Map::Sum(_)));
                let claims = if is_sum { sum::bound(&numbers) } else { sum::mean(&numbers) };
                Ok(part.node(Rule::Sum, claims, proofs))
            }
            Subject::Map(Map::Opaque(opaque)) => Ok(asserted(part, opaque.lipschitz)),
        }
    }

    fn affine(&self, part: &Part<'_>, linear: &Linear, inverse: bool) -> Result<Certificate> {
        if is_isometry(linear) {
            return Ok(part.node(Rule::Isometry, isometry::bound(linear)?, vec![]));
        }
        let (claims, evidence) = self.finite_operator(linear, part.input, inverse)?;
        // What is remembered may say more than is asked for.
        let claims = if inverse { claims } else { Claims { inverse: None, ..claims } };
        Ok(Certificate { evidence, ..part.node(Rule::OperatorNorm, claims, vec![]) })
    }

    fn field_of(&self, part: &Part<'_>, field: &Field) -> Result<Certificate> {
        if let Field::Opaque(opaque) = field {
            return Ok(asserted(part, opaque.lipschitz));
        }
        if let Field::LyapunovProjected { .. } = field {
            let reason = "the projection is not Lipschitz where ∇V vanishes; what is proved of it is the decrease of V, and no radius";
            return Err(Error::not_proved("a Lipschitz constant of a lyapunov_projected field", reason));
        }
        let rule = field_rule(field).ok_or_else(|| Error::not_proved("a field", "no rule applies to it"))?;
        let proofs = self.operators(part, field)?;
        let numbers: Vec<Numbers> = proofs.iter().map(|proof| proof.claims().numbers()).collect();
        let claims = of_field(field, &numbers)?;
        if let Some((claims, evidence)) = quadratic_constraint::propose_field(field, &numbers) {
            return Ok(Certificate { evidence, ..part.node(Rule::QuadraticConstraint, claims, proofs) });
        }
        Ok(part.node(rule, claims, proofs))
    }

    /// Proves the operators of a field.
    fn operators(&self, part: &Part<'_>, field: &Field) -> Result<Vec<Certificate>> {
        let parts = part.operators(field)?;
        let inverses = field.parts(part.input)?.into_iter().map(|part| part.inverse);
        let operator = |(part, inverse): (&Part<'_>, bool)| match part.subject {
            Subject::Operator(linear) => self.affine(part, linear, inverse),
            Subject::Derived(field_part) => {
                let (claims, evidence) = derived::propose(&field_part, self.norms)?;
                Ok(Certificate { evidence, ..part.node(Rule::OperatorNorm, claims, vec![]) })
            }
            _ => self.part(part),
        };
        parts.iter().zip(inverses).map(operator).collect()
    }

    /// Returns a step of a split method, by the rule for it.
    fn split_step(&self, part: &Part<'_>, step: Step<'_>, method: SplitMethod) -> Result<Certificate> {
        let proofs = self.operators(&part.below("field", part.input, Subject::Field(step.field)), step.field)?;
        let numbers: Vec<Numbers> = proofs.iter().map(|proof| proof.claims().numbers()).collect();
        let (rule, claims) = match method {
            SplitMethod::SymplecticEuler | SplitMethod::StormerVerlet => (Rule::Shears, shears::bound(step, &numbers)?),
            SplitMethod::ExponentialEuler => (Rule::ExponentialStep, exponential_step::bound(step, &numbers)?),
        };
        Ok(part.node(rule, claims, proofs))
    }

    /// Returns the rule that proves most of one step: of those that apply, the one with the smallest bound.
    fn step(&self, part: &Part<'_>, step: Step<'_>) -> Result<Certificate> {
        if let Method::Split(method) = step.method {
            return self.split_step(part, step, *method);
        }
        let field = self.part(&part.below("field", part.input, Subject::Field(step.field)))?;
        let numbers = field.claims().numbers();
        implicit_step::is_solvable(step, &numbers)?;
        // Of a skew linear field nothing proves more, both ways.
        if let Some(claims) = skew_flow::propose(step, &numbers) {
            let claims = with_inverse(part.subject, &[numbers], claims);
            return Ok(part.node(Rule::SkewFlow, claims, vec![field]));
        }
        let plain = |(rule, claims): (Rule, Result<Claims>)| Some((rule, claims.ok()?, Evidence::Nothing));
        let mut candidates: Vec<(Rule, Claims, Evidence)> = [
            (Rule::GradientStep, gradient_step::bound(step, &numbers)),
            (Rule::CircleContractivity, circle_contractivity::bound(step, &numbers)),
            (Rule::OneSidedLipschitz, one_sided_lipschitz::bound(step, &numbers)),
            (Rule::AlgebraicStability, algebraic_stability::bound(step, &numbers)),
            (Rule::ImplicitStep, implicit_step::bound(step, &numbers)),
            (Rule::LipschitzStep, lipschitz_step::bound(step, &numbers)),
        ]
        .into_iter()
        .filter_map(plain)
        .collect();
        let least = |candidates: &[(Rule, Claims, Evidence)]| {
            candidates.iter().map(|(_, claims, _)| claims.bound.get()).fold(f64::INFINITY, f64::min)
        };
        // The factor of an Euler step of a gradient is sharp, and so is that of a dissipative field. Of other fields a constant
        // one may be among those that the numbers allow, and then no step contracts.
        let operators: Vec<Numbers> = field.premises().iter().map(|proof| proof.claims().numbers()).collect();
        candidates.extend(plain((Rule::ExponentialStep, exponential_step::bound(step, &operators))));
        candidates.extend(plain((Rule::SkewGradientStep, skew_gradient_step::bound(step, &operators))));
        let sharp = candidates.iter().any(|(rule, ..)| matches!(rule, Rule::GradientStep | Rule::ExponentialStep));
        let contracts = [numbers.strong_convexity, numbers.one_sided_lipschitz.map(|mu| -mu)];
        let contracts = contracts.into_iter().flatten().any(|mu| mu > 0.0);
        if !sharp
            && (contracts || least(&candidates) > 1.0)
            && let Some((claims, evidence)) = stage_multipliers::propose(step, &numbers)
        {
            candidates.push((Rule::StageMultipliers, claims, evidence));
        }
        // The constants of a field forget how its parts lie together: multipliers for the step itself do not.
        if !sharp
            && (field.rule() == Rule::QuadraticConstraint || least(&candidates) > 1.0)
            && let Some((claims, evidence)) = quadratic_constraint::propose_step(step, part.input)
        {
            candidates.push((Rule::QuadraticConstraint, claims, evidence));
        }
        let mut best: Option<(Rule, Claims, Evidence)> = None;
        for found in candidates {
            if best.as_ref().is_none_or(|best| found.1.bound < best.1.bound) {
                best = Some(found);
            }
        }
        let overflow = || Error::not_proved("the factor of a step", "it overflows f64");
        let (rule, claims, evidence) = best.ok_or_else(overflow)?;
        let claims = with_inverse(part.subject, &[numbers], claims);
        Ok(Certificate { evidence, ..part.node(rule, claims, vec![field]) })
    }

    /// Proves maps in a row; runs of affine ones among the first `features` are proved as one where that is better.
    fn chain(&self, part: &Part<'_>, maps: &[Map], features: usize) -> Result<Certificate> {
        let inputs = inputs(maps, part.input)?;
        let layer = |(i, map): (usize, &Map)| self.part(&part.below(&i.to_string(), inputs[i], Subject::Map(map)));
        let layers: Vec<Certificate> = maps.par_iter().enumerate().map(layer).collect::<Result<_>>()?;
        let (mut runs, mut first) = (Vec::new(), 0);
        while first < features {
            let count = maps[first..features].iter().take_while(|map| operator_norm::composes(map)).count();
            if let Ok(Some(claims)) = operator_norm::propose_run(&maps[first..first + count], inputs[first]) {
                runs.push(Run { first, count, rule: Rule::OperatorNorm, claims, evidence: Evidence::Nothing });
            }
            first += count.max(1);
        }
        let proof = assemble(part, layers, runs, features);
        proof.bound().finite("the Lipschitz constant of a network")?;
        Ok(proof)
    }
}

/// Returns the proof of a step in a norm of its own, if it bounds `count` steps by less than `proof` does.
fn own_norm_step(part: &Part<'_>, step: Step<'_>, proof: &Certificate, count: usize) -> Option<Certificate> {
    let [field] = proof.premises() else { return None };
    let numbers = field.claims().numbers();
    numbers.own_norm?;
    let claims = with_inverse(part.subject, &[numbers], own_norm::bound(step, &numbers).ok()?);
    let over = |claims: Claims| composition::power(&claims.numbers(), count).bound;
    (over(claims) < over(proof.claims())).then(|| part.node(Rule::OwnNorm, claims, vec![field.clone()]))
}

fn asserted(part: &Part<'_>, lipschitz: f64) -> Certificate {
    part.node(Rule::Asserted, Claims::lipschitz(Upper::trust(lipschitz)), vec![])
}

/// Returns the shapes that go into maps in a row.
fn inputs(maps: &[Map], input: Shape) -> Result<Vec<Shape>> {
    let mut shape = input;
    let step = |(i, map): (usize, &Map)| {
        let before = shape;
        shape = map.output_at(&i.to_string(), shape)?;
        Ok(before)
    };
    maps.iter().enumerate().map(step).collect()
}

/// Returns whether two operators are one: the same numbers, read in the same way. Biases do not matter.
fn is_same(a: &Linear, b: &Linear) -> bool {
    match (a, b) {
        (Linear::Dense { weight: a, .. }, Linear::Dense { weight: b, .. }) => a == b,
        (
            Linear::GraphGradient { weight: a, edges: of_a, .. },
            Linear::GraphGradient { weight: b, edges: of_b, .. },
        ) => of_a == of_b && a == b,
        (Linear::Conv2d(a), Linear::Conv2d(b)) => {
            let geometry = |c: &Conv2d| (c.stride, c.padding, c.dilation, c.groups, c.padding_mode);
            geometry(a) == geometry(b) && a.weight == b.weight
        }
        _ => false,
    }
}
