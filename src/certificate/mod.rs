//! A certificate: a proof tree over the tree of a network.
//!
//! A node claims numbers about one map (or about several that follow each other, or about the vector field of a flow),
//! names the rule that proves them, and has the proofs of what the rule needs as its children. A [`Certificate`] holds
//! bounds that were proved in this process; a [`Claimed`] holds what a file says, plain numbers that prove nothing until
//! they are checked ([`crate::check`]). They are one type, so what is issued is what is checked.
//!
//! All claims are in exact semantics: about the network over the real numbers, its stored weights taken as the exact
//! binary numbers that they are.

pub mod file;
pub mod part;
mod perturbation;
mod rule;
mod samples;
mod stages;

use serde::{Deserialize, Serialize};

pub use perturbation::{Norm, Perturbation};
pub use rule::Rule;
pub use samples::{ClaimedAccuracy, ClaimedSamples, RadiusProof};
pub use stages::{Inequality, StageInequality};

use crate::rigor::{Lower, Upper, torus::Torus};

/// A proof of claims about a map: a node of the tree.
///
/// The numbers behind it are private on purpose: [`crate::rules`] alone makes proofs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof<U = Upper, L = Lower> {
    /// The place of the map: `3`, `3.1.0`, or `3.field.operator` inside a flow. Empty for the whole network.
    pub(crate) path: String,
    /// How many maps that follow each other the claim is about.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub(crate) span: usize,
    pub(crate) rule: Rule,
    pub(crate) claims: Claims<U, L>,
    #[serde(default = "Evidence::nothing", skip_serializing_if = "Evidence::is_nothing")]
    pub(crate) evidence: Evidence,
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub(crate) premises: Vec<Proof<U, L>>,
}

/// Proved claims. They can be written to a file, and not read from one.
pub type Certificate = Proof<Upper, Lower>;

/// What a file claims. Its numbers are numbers, not bounds.
pub type Claimed = Proof<f64, f64>;

/// A norm of one's own: `‖x‖_P = √⟨Px, x⟩` for some `P` with `λ₋I ⪯ P ⪯ λ₊I`, `λ₋ > 0`, and what is claimed in it.
///
/// Steps of one field have one `P`: their factors multiply in its norm, and the way in and out is paid for once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnNorm<U = Upper, L = Lower> {
    /// A bound of `√(λ₊/λ₋)`.
    pub condition: U,
    /// `‖Δy‖_P ≤ bound · ‖Δx‖_P`.
    pub bound: U,
    /// Of a field: it is a gradient field in the inner product of `P`, with curvature between this and the bound.
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    pub strong_convexity: Option<L>,
}

/// What is claimed about a map `x ↦ y`, or about a field `x ↦ f(x)` with `y = f(x)`.
///
/// `U` is the type of numbers that are not below, `L` of numbers that are not above what they stand for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims<U = Upper, L = Lower> {
    /// `‖Δy‖ ≤ bound · ‖Δx‖`. A contraction if below 1.
    pub bound: U,
    /// The map is `α`-averaged: `(1 − α)·id + α·N` with `N` non-expansive.
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    pub averaged: Option<U>,
    /// `‖Δy‖ ≥ inverse · ‖Δx‖`: gradients cannot vanish.
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    pub inverse: Option<L>,
    /// Of a field: `⟨Δf, Δx⟩ ≤ μ‖Δx‖²`; it may be negative.
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    pub one_sided_lipschitz: Option<U>,
    /// Of a field: `⟨Δf, Δx⟩ ≤ −ν‖Δf‖²`.
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    pub cocoercivity: Option<L>,
    /// Of a field: it is `−∇V`, and the Hessian of `V` lies between this and the bound, where it exists.
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    pub strong_convexity: Option<L>,
    /// What is claimed in another norm.
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    pub own_norm: Option<OwnNorm<U, L>>,
}

// Without these, serde would ask for a default of the generic types.
fn absent<T>() -> Option<T> {
    None
}

fn one() -> usize {
    1
}

fn is_one(n: &usize) -> bool {
    *n == 1
}

/// Numbers that a proof was found with, and that shorten its check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Evidence {
    /// None is needed.
    Nothing,
    /// How a norm was proved.
    Norm(NormMethod),
    /// `T` of a quadratic constraint, one number for each neuron, activation by activation, in the units of
    /// [`crate::rigor::quadratic_constraint`]. Of a field, that for its Lipschitz constant, empty where the norms of its operators
    /// prove it, that for its one-sided Lipschitz constant, and that for its cocoercivity, if it is claimed.
    Multipliers(Vec<Vec<f64>>),
    /// Inequalities of the field of a step, with a multiplier for each stage.
    Stages(Vec<StageInequality>),
    /// The number of steps of a flow with a horizon: the certificate is about the network that takes this many.
    Steps(usize),
}

impl Evidence {
    fn nothing() -> Self {
        Self::Nothing
    }

    fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// How a norm was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormMethod {
    /// By the residual certificate of [`crate::rigor::matrix`].
    Residual,
    /// As the compression of a circular convolution on a torus, [`crate::rigor::torus`].
    Torus(Torus),
    /// By a block-banded factor of the Gram matrix of a zero-padded convolution, [`crate::rigor::convolution::band`].
    Banded,
    /// In closed form.
    ClosedForm,
}

/// Which proof of the norm of a convolution is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormProof {
    /// That of a circular convolution of which a zero-padded one is a part: milliseconds, up to a few percent loose.
    #[default]
    Torus,
    /// That of the operator itself where that is smaller: seconds, within `10⁻³` of the norm.
    Tight,
}

/// The version of the kernels, part of every certificate: what is claimed for the *declared* order of summation is
/// claimed for the order of these kernels.
///
/// It must be raised whenever a kernel, one here or one of the direct convolution, splits or adds its sums differently.
pub const KERNELS: u32 = 1;

/// What a radius is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Semantics {
    /// The network as a function over the real numbers, its weights taken as the exact binary numbers that they are.
    Exact,
    /// The network as it runs in its number format, with sums in the order that it was sealed for.
    Executed,
}

impl<U, L> Claims<U, L> {
    /// Creates a Lipschitz bound and nothing else.
    pub fn lipschitz(bound: U) -> Self {
        Self {
            bound,
            averaged: None,
            inverse: None,
            one_sided_lipschitz: None,
            cocoercivity: None,
            strong_convexity: None,
            own_norm: None,
        }
    }

    /// Returns the same claims with numbers of other types.
    pub fn map<V, M>(self, upper: impl Fn(U) -> V, lower: impl Fn(L) -> M) -> Claims<V, M> {
        Claims {
            bound: upper(self.bound),
            averaged: self.averaged.map(&upper),
            inverse: self.inverse.map(&lower),
            one_sided_lipschitz: self.one_sided_lipschitz.map(&upper),
            cocoercivity: self.cocoercivity.map(&lower),
            strong_convexity: self.strong_convexity.map(&lower),
            own_norm: self.own_norm.map(|norm| OwnNorm {
                condition: upper(norm.condition),
                bound: upper(norm.bound),
                strong_convexity: norm.strong_convexity.map(&lower),
            }),
        }
    }
}

impl Claims {
    /// Returns the claims as plain numbers. A field that is constant has infinite cocoercivity, which is left out: its
    /// bound, 0, says the same, and files hold no infinity.
    pub fn numbers(self) -> Claims<f64, f64> {
        let numbers = self.map(Upper::get, Lower::get);
        Claims { cocoercivity: numbers.cocoercivity.filter(|nu| nu.is_finite()), ..numbers }
    }
}

impl<U: Copy, L: Copy> Proof<U, L> {
    /// Returns the place of the map in the network; empty for the whole of it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns how many maps that follow each other the claims are about.
    pub fn span(&self) -> usize {
        self.span
    }

    /// Returns the rule that proves the claims.
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Returns the claims.
    pub fn claims(&self) -> Claims<U, L> {
        self.claims
    }

    /// Returns `‖Δy‖ ≤ bound · ‖Δx‖`.
    pub fn bound(&self) -> U {
        self.claims.bound
    }

    /// Returns the numbers that the proof was found with.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Returns the proofs of what the rule needs.
    pub fn premises(&self) -> &[Self] {
        &self.premises
    }

    /// For each layer of a network its own proof, where the tree is one of a network: a run that is proved as a whole
    /// has the proofs of its layers as premises, or of shorter runs.
    pub fn layers(&self) -> std::vec::IntoIter<&Self> {
        let mut layers = Vec::new();
        for part in &self.premises {
            if part.span == 1 { layers.push(part) } else { layers.extend(part.layers()) }
        }
        layers.into_iter()
    }

    /// Returns the runs of layers that are proved as a whole, a longer one before those that it is made of.
    pub fn runs(&self) -> Vec<&Self> {
        let runs = self.premises.iter().filter(|part| part.span > 1);
        runs.flat_map(|run| std::iter::once(run).chain(run.runs())).collect()
    }

    /// Returns whether everything that the claims rest on is proved by rules, nothing merely asserted.
    pub fn is_proved(&self) -> bool {
        self.rule != Rule::Asserted && self.premises.iter().all(Self::is_proved)
    }

    /// Returns the number of nodes of the tree.
    pub fn size(&self) -> usize {
        1 + self.premises.iter().map(Self::size).sum::<usize>()
    }
}

impl Certificate {
    /// Returns the same tree as plain numbers: what a file holds.
    pub fn claimed(&self) -> Claimed {
        self.with(&Claims::numbers)
    }

    /// Returns a bound for the first `count` layers of a network: a run that is proved as a whole counts as one where
    /// it is among them.
    pub fn prefix(&self, count: usize) -> Upper {
        let (mut bound, mut left) = (Upper::ONE, count);
        for part in &self.premises {
            if part.span <= left {
                (bound, left) = (bound * part.bound(), left - part.span);
            } else {
                return bound * part.prefix(left);
            }
        }
        bound
    }
}

impl<U: Copy, L: Copy> Proof<U, L> {
    /// Returns the same tree with other claims in every node.
    pub(crate) fn with<V, M>(&self, claims: &impl Fn(Claims<U, L>) -> Claims<V, M>) -> Proof<V, M> {
        Proof {
            path: self.path.clone(),
            span: self.span,
            rule: self.rule,
            claims: claims(self.claims),
            evidence: self.evidence.clone(),
            premises: self.premises.iter().map(|premise| premise.with(claims)).collect(),
        }
    }
}
