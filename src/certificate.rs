//! What is claimed about a layer, by which rule, and the numbers that the claim rests on. Data only.

use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    operator::{NormMethod, Norms},
    rigor::{Summation, Upper},
    tensor::Shape,
};

/// The theorems that certificates are built from. Each has a machine-checked proof in `proofs/` under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `x ↦ Wx + b` is `‖W‖₂`-Lipschitz.
    OperatorNorm,
    /// A function by coordinates with slopes in `[m, L]` is `max(|m|, |L|)`-Lipschitz; with `−1 < m`, `L ≤ 1` it is
    /// averaged with `α = (1 − m)/2`.
    Slope,
    /// A reordering of coordinates, or an embedding by zeros, keeps every distance.
    Isometry,
    /// `x ↦ x + h f(x)` for `f = −∇V` with curvature in `[μ, β]` is `max(|1 − hμ|, |1 − hβ|)`-Lipschitz, for `h` of
    /// either sign; for `0 ≤ h < 2/β` it is averaged with `α = hβ/2`.
    GradientStep,
    /// A Runge–Kutta step with `h ≤ 2rν` for a `ν`-cocoercive field and the method's radius `r` is non-expansive.
    CircleContractivity,
    /// A step that is written as convex combinations of Euler steps has the same combination of their factors.
    ShuOsher,
    /// An Euler step of a field with `⟨Δf, Δx⟩ ≤ μ‖Δx‖²` and `‖Δf‖ ≤ ℓ‖Δx‖` is `√(1 + 2hμ + h²ℓ²)`-Lipschitz for `h ≥ 0`.
    OneSidedLipschitz,
    /// `x ↦ x + hBσ(Ax + b)` is `ρ`-Lipschitz if some diagonal `T ⪰ 0` makes
    /// `[[ρ²I − I + 2mL AᵀTA, −hB − (m+L)AᵀT], [·, 2T − h²BᵀB]] ⪰ 0`; a stack `Bσ_k(W_k ⋯ σ₁(W₁x))` has one such block
    /// for each activation.
    QuadraticConstraint,
    /// Lipschitz constants multiply along a composition; averaged operators compose with `φ = Σ αᵢ/(1 − αᵢ)`,
    /// `α = φ/(1 + φ)`.
    Composition,
    /// A step of the gradient field decreases its potential: `V(x⁺) ≤ V(x) − h(1 − hβ/2)‖∇V(x)‖²`.
    Descent,
    /// A pair of logits keeps its order within `(fᵢ − fⱼ)/(L‖wᵢ − wⱼ‖)`, strictly.
    Margin,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Self; 11] = [
        Self::OperatorNorm,
        Self::Slope,
        Self::Isometry,
        Self::GradientStep,
        Self::CircleContractivity,
        Self::ShuOsher,
        Self::OneSidedLipschitz,
        Self::QuadraticConstraint,
        Self::Composition,
        Self::Descent,
        Self::Margin,
    ];

    /// The name in files, of the proof and of the test.
    pub fn name(self) -> &'static str {
        match self {
            Self::OperatorNorm => "operator_norm",
            Self::Slope => "slope",
            Self::Isometry => "isometry",
            Self::GradientStep => "gradient_step",
            Self::CircleContractivity => "circle_contractivity",
            Self::ShuOsher => "shu_osher",
            Self::OneSidedLipschitz => "one_sided_lipschitz",
            Self::QuadraticConstraint => "quadratic_constraint",
            Self::Composition => "composition",
            Self::Descent => "descent",
            Self::Margin => "margin",
        }
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Where a bound comes from.
///
/// In files it is the name of the rule, or `asserted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Basis {
    /// Proved by a rule from proved numbers.
    Proved(Rule),
    /// Declared by a layer from outside this crate. Laws can test it; nothing has proved it.
    Asserted,
}

impl From<Basis> for String {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Proved(rule) => rule.name().into(),
            Basis::Asserted => "asserted".into(),
        }
    }
}

impl TryFrom<String> for Basis {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        match Rule::ALL.into_iter().find(|rule| rule.name() == name) {
            Some(rule) => Ok(Self::Proved(rule)),
            None if name == "asserted" => Ok(Self::Asserted),
            None => Err(Error::parameter("rule", name, "there is no rule of this name")),
        }
    }
}

impl std::fmt::Display for Basis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Proved(rule) => rule.fmt(f),
            Self::Asserted => f.pad("asserted (not proved)"),
        }
    }
}

/// The claim about one layer, in exact semantics: the layer as a function over the real numbers, its stored weights
/// taken as the exact binary numbers that they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// The kind of layer.
    pub kind: String,
    /// The rule that proves the bound.
    pub basis: Basis,
    /// `‖Δy‖ ≤ lipschitz · ‖Δx‖`. A contraction if below 1.
    pub lipschitz: Upper,
    /// The layer is `α`-averaged: `(1 − α)·id + α·N` with `N` non-expansive. Absent where it is not proved to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub averaged: Option<Upper>,
    /// The numbers that the bound was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Witness>,
}

/// The numbers behind a claim.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Witness {
    /// A norm.
    Norm {
        /// How it was proved.
        method: NormMethod,
    },
    /// A slope interval.
    Slopes {
        /// `m` and `L`.
        interval: [f64; 2],
    },
    /// A flow.
    Flow {
        /// The name of the tableau.
        method: String,
        /// The step `h`.
        step: f64,
        /// The number of steps.
        steps: usize,
        /// The Lipschitz bound of one step.
        factor: Upper,
        /// The radius of circle contractivity, where the rule uses it; absent if infinite.
        #[serde(skip_serializing_if = "Option::is_none")]
        radius: Option<f64>,
        /// The constant `ν` of cocoercivity, where the field has one.
        #[serde(skip_serializing_if = "Option::is_none")]
        cocoercivity: Option<f64>,
        /// The constants of the field.
        field: Vec<(String, f64)>,
    },
    /// Euler steps that multipliers prove.
    QuadraticConstraint {
        /// The step `h`.
        step: f64,
        /// The number of steps.
        steps: usize,
        /// The Lipschitz bound of one step.
        factor: Upper,
        /// `T`, one number for each neuron, in the units of [`crate::rigor::quadratic_constraint`].
        multipliers: Vec<f64>,
    },
}

impl Entry {
    /// A bound that a rule proves.
    pub fn proved(kind: &str, rule: Rule, lipschitz: Upper) -> Self {
        Self { kind: kind.into(), basis: Basis::Proved(rule), lipschitz, averaged: None, witness: None }
    }

    /// A bound that only its author vouches for: every certificate that uses it says so.
    pub fn asserted(kind: &str, lipschitz: f64) -> Self {
        let lipschitz = Upper::proved(lipschitz);
        Self { kind: kind.into(), basis: Basis::Asserted, lipschitz, averaged: None, witness: None }
    }

    /// The same claim with its witness.
    #[must_use]
    pub fn with(mut self, witness: Witness) -> Self {
        self.witness = Some(witness);
        self
    }

    /// The factor by which the layer contracts, if that is below 1.
    pub fn contraction(&self) -> Option<Upper> {
        Some(self.lipschitz).filter(|l| l.get() < 1.0)
    }
}

/// A claim about consecutive layers as one map, better than the product of theirs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// The first of the layers.
    pub first: usize,
    /// How many they are.
    pub count: usize,
    /// [`Rule::OperatorNorm`] for linear maps in a row, [`Rule::QuadraticConstraint`] for a dense stack.
    pub rule: Rule,
    /// `‖Δy‖ ≤ lipschitz · ‖Δx‖` for the composition.
    pub lipschitz: Upper,
    /// `T`, one number for each neuron, activation by activation, where the rule needs it; in the units of
    /// [`crate::rigor::quadratic_constraint`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub multipliers: Vec<Vec<f64>>,
}

/// What is claimed about a network, layer by layer and as a whole, in exact semantics.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Certificate {
    /// The shape of the input that the claims are for.
    pub input: Shape,
    /// Which proof of the norms of convolutions was asked for.
    #[serde(default)]
    pub norms: Norms,
    /// The claim about each layer, in order.
    pub layers: Vec<Entry>,
    /// Claims about consecutive layers; no two share a layer, and none holds the head.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// A bound of the Lipschitz constant of the network: the product of those of the groups and of the layers in none.
    pub lipschitz: Upper,
    /// The same for the layers before the head that margins are measured on; for the whole network if it has no head.
    pub features: Upper,
    /// The order of summation that the network runs in: claims about it as executed are for that order.
    #[serde(default)]
    pub summation: Summation,
}

impl Certificate {
    /// The product of the bounds of the first `count` layers, a group counting as one where it is among them.
    pub fn product(layers: &[Entry], groups: &[Group], count: usize) -> Upper {
        let (mut bound, mut i) = (Upper::ONE, 0);
        while i < count.min(layers.len()) {
            match groups.iter().find(|g| g.first == i && g.count > 0 && i + g.count <= count) {
                Some(group) => (bound, i) = (bound * group.lipschitz, i + group.count),
                None => (bound, i) = (bound * layers[i].lipschitz, i + 1),
            }
        }
        bound
    }

    /// Whether every bound is proved by a rule, none merely asserted.
    pub fn is_proved(&self) -> bool {
        self.layers.iter().all(|entry| entry.basis != Basis::Asserted)
    }
}
