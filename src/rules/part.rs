//! What a node of a proof is about, and what the nodes below it are about.

use std::fmt;

use crate::{
    certificate::{Certificate, Claims, Evidence, Proof, Rule},
    error::{Error, Result},
    model::{Field, FieldPart, Form, Linear, Map, Method, Step, join},
    tensor::Shape,
};

/// A part of a network: where it is, what goes into it, and what it is.
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// Its place, such as `3` or `3.step.field.operator`.
    pub path: String,
    /// The shape of its input.
    pub input: Shape,
    /// What it is.
    pub subject: Subject<'a>,
}

/// What a claim may be about.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A map.
    Map(&'a Map),
    /// Some maps of a chain, one after the other.
    Run(&'a [Map]),
    /// One step of a flow.
    Step(Step<'a>),
    /// A vector field.
    Field(&'a Field),
    /// An operator of a field.
    Operator(&'a Linear),
    /// What counts of an operator of a field, where that is not the operator itself.
    Derived(FieldPart<'a>),
}

impl Subject<'_> {
    /// Returns how many maps that follow each other it is.
    pub fn span(&self) -> usize {
        if let Self::Run(maps) = self { maps.len() } else { 1 }
    }
}

impl fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(map) => write!(f, "a map of kind {}", map.kind()),
            Self::Run(maps) => write!(f, "{} maps in a row", maps.len()),
            Self::Step(step) => write!(f, "a step of {}", step.method),
            Self::Field(field) => write!(f, "a field of kind {}", field.kind()),
            Self::Operator(linear) => write!(f, "an operator of kind {}", linear.kind()),
            Self::Derived(part) => write!(f, "what counts of the operator {}", part.name),
        }
    }
}

impl<'a> Part<'a> {
    /// Returns the part that is a whole network.
    pub fn root(map: &'a Map, input: Shape) -> Self {
        Self { path: String::new(), input, subject: Subject::Map(map) }
    }

    /// Returns the part at `name` below this one.
    pub(crate) fn below(&self, name: &str, input: Shape, subject: Subject<'a>) -> Self {
        Self { path: join(&self.path, name), input, subject }
    }

    /// Returns the proof of this part by a rule that needs no evidence but its premises.
    pub(super) fn node(&self, rule: Rule, claims: Claims, premises: Vec<Certificate>) -> Certificate {
        Certificate { path: self.path.clone(), span: 1, rule, claims, evidence: Evidence::Nothing, premises }
    }

    /// Returns the parts that the premises of a proof of this one are about, in order.
    ///
    /// # Errors
    /// [`Error::Format`] if the premises do not fit the part; an error of [`Map::output`] if its maps do not fit together.
    pub fn premises<U: Copy, L: Copy>(&self, proof: &Proof<U, L>) -> Result<Vec<Self>> {
        let parts = match (self.subject, proof.rule()) {
            (_, Rule::Asserted) => Vec::new(),
            (Subject::Map(Map::Chain(maps)), _) => self.runs(maps, proof)?,
            (Subject::Run(maps), _) => self.runs(maps, proof)?,
            (Subject::Map(Map::Sum(branches) | Map::Mean(branches)), _) => {
                let branch = |(i, map): (usize, &'a Map)| self.below(&i.to_string(), self.input, Subject::Map(map));
                branches.iter().enumerate().map(branch).collect()
            }
            (Subject::Map(Map::Flow(flow)), _) => {
                if flow.is_open() {
                    return Err(Error::format("its number of steps is not chosen yet"));
                }
                flow.each().enumerate().map(|(k, step)| self.step(flow.fields.len(), k, step)).collect()
            }
            (Subject::Map(Map::Equilibrium(equilibrium)), _) => {
                vec![self.below("field", self.input, Subject::Field(&equilibrium.field))]
            }
            (Subject::Step(step), _) if matches!(step.method, Method::Split(_)) => {
                self.below("field", self.input, Subject::Field(step.field)).operators(step.field)?
            }
            (Subject::Step(step), _) => vec![self.below("field", self.input, Subject::Field(step.field))],
            (Subject::Field(field), _) => self.operators(field)?,
            (Subject::Map(_) | Subject::Operator(_) | Subject::Derived(_), _) => Vec::new(),
        };
        if parts.len() == proof.premises().len() {
            return Ok(parts);
        }
        let (needed, found) = (parts.len(), proof.premises().len());
        Err(Error::format(format!(
            "a proof about {} by {} has {needed} premises, not {found}",
            self.subject,
            proof.rule()
        )))
    }

    /// Returns the operators of a field.
    pub(super) fn operators(&self, field: &'a Field) -> Result<Vec<Self>> {
        let operator = |part: FieldPart<'a>| {
            let subject = match part.form {
                Form::Plain => Subject::Operator(part.operator),
                Form::Skew | Form::Weighted(_) => Subject::Derived(part),
            };
            self.below(part.name, part.input, subject)
        };
        Ok(field.parts(self.input)?.into_iter().map(operator).collect())
    }

    /// Returns one step of a flow: the step that all are, or the `k`-th of `count` different ones.
    pub(super) fn step(&self, count: usize, k: usize, step: Step<'a>) -> Self {
        let name = if count == 1 { "step".to_string() } else { format!("steps.{k}") };
        self.below(&name, self.input, Subject::Step(step))
    }

    /// Returns the runs of maps that the premises cover, one after the other.
    fn runs<U: Copy, L: Copy>(&self, maps: &'a [Map], proof: &Proof<U, L>) -> Result<Vec<Self>> {
        // The path of a run is that of its first map; the maps inside are numbered on.
        let (place, mut at) = match self.subject {
            Subject::Run(_) => {
                let (place, first) = self.path.rsplit_once('.').unwrap_or(("", &self.path));
                (place, first.parse().map_err(|_| Error::format(format!("{:?} is not the path of a map", self.path)))?)
            }
            _ => (&self.path[..], 0usize),
        };
        let (mut rest, mut input, mut parts) = (maps, self.input, Vec::new());
        for premise in proof.premises() {
            if premise.span() == 0 || premise.span() > rest.len() {
                return Err(Error::format("its premises do not cover its maps one after the other"));
            }
            let (run, behind) = rest.split_at(premise.span());
            let subject = if let [map] = run { Subject::Map(map) } else { Subject::Run(run) };
            let path = join(place, &at.to_string());
            let mut shape = input;
            for (i, map) in run.iter().enumerate() {
                shape = map.output_at(&join(place, &(at + i).to_string()), shape)?;
            }
            parts.push(Self { path, input, subject });
            (rest, at, input) = (behind, at + run.len(), shape);
        }
        if rest.is_empty() { Ok(parts) } else { Err(Error::format("its premises do not cover all of its maps")) }
    }
}
