//! The theorems that certificates are built from, by name.

use serde::{Deserialize, Serialize};

/// A theorem. Each has a machine-checked proof in `proofs/`, and a property test under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// `x ↦ Wx + b` is `‖W‖₂`-Lipschitz, and `‖Δy‖ ≥ σ_min(W)‖Δx‖`.
    OperatorNorm,
    /// A function by coordinates with slopes in `[m, L]` is `max(|m|, |L|)`-Lipschitz; with `−1 < m`, `L ≤ 1` it is
    /// averaged with `α = (1 − m)/2`.
    Slope,
    /// What is 1-Lipschitz in each window (sorting, a maximum, a norm) is `√m`-Lipschitz, if a coordinate lies in at most
    /// `m` windows.
    Windows,
    /// `z ↦ z` if `vᵀz > 0`, else `z − 2v(vᵀz)`, is `max(1, |1 − 2‖v‖²|)`-Lipschitz: a gradient step of
    /// `min(vᵀz, 0)²`.
    Householder,
    /// A reordering of coordinates, or an embedding by zeros, keeps every distance.
    Isometry,
    /// `f(x) = −Wᵀσ(Wx + b)` with slopes in `[m, L]`, `0 ≤ m`, is the gradient field of a potential with curvature in
    /// `[m σ_min(W)², L‖W‖²]`, and so cocoercive with `ν = 1/(L‖W‖²)`.
    GradientField,
    /// `f(x) = Vσ(Wx + b) + c` is `‖V‖ max(|m|, |L|) ‖W‖`-Lipschitz.
    ResidualField,
    /// `f(x) = −Wᵀσ(Wx + b) + (S − Sᵀ)x − γx` has `⟨Δf, Δx⟩ ≤ −a‖Δx‖²` and is cocoercive with `ν = a/(ab + κ²)`, for
    /// `a = γ + m σ_min(W)²`, `b = γ + L‖W‖²`, `κ = ‖S − Sᵀ‖`.
    DissipativeField,
    /// A skew matrix `K`, damped, times a gradient of curvature in `[c₁, c₂]`, has
    /// `⟨Δf, Δx⟩ ≤ (−r(c₁ + c₂)/2 + (c₂ − c₁)/2·√(‖K‖² + r²))‖Δx‖²`.
    HamiltonianField,
    /// `f(x) = σ(−(RᵀR + εI)x + b)`.
    NaisField,
    /// A step of a field that is a gradient field in the norm of `P` has the factor of gradient fields there, and is Lipschitz with
    /// `√(λ₊/λ₋)` times that; so are many steps, with a power of the factor.
    OwnNorm,
    /// `x ↦ x + h f(x)` for `f = −∇V` with curvature in `[μ, β]` is `max(|1 − hμ|, |1 − hβ|)`-Lipschitz, for `h` of
    /// either sign; for `0 ≤ h < 2/β` it is averaged with `α = hβ/2`.
    GradientStep,
    /// A kick or a drift of a Hamiltonian field with `s = hℓ` is `(s + √(s² + 4))/2`-Lipschitz, and so is its inverse.
    Shears,
    /// `x ↦ Ex + Φg(x)` with `g = K − G` is `(√(Φ²κ² + c²) + d)`-Lipschitz, `c` and `d` the middle and half the width of
    /// `ΦG − E`.
    ExponentialStep,
    /// `x ↦ x + h f(x)` for `Δf = (K − rI)GΔx` or `G(K − rI)Δx` is `(√((1 − hrc)² + h²c²κ²) + |h|d√(κ² + r²))`-Lipschitz, `c` and `d` the
    /// middle and half the width of `G`.
    SkewGradientStep,
    /// A Runge–Kutta step with `h ≤ 2rν` for a `ν`-cocoercive field and the method's radius `r` is non-expansive.
    CircleContractivity,
    /// A step of a method with `b ≥ 0` and `BA + AᵀB − bbᵀ ⪰ 0` is non-expansive for a field with `⟨Δf, Δx⟩ ≤ 0`, `h ≥ 0`.
    AlgebraicStability,
    /// The stages of an implicit method exist, are unique, and move with the residual of their equations by at most
    /// `‖A⁻¹ρ‖_D/(α_D − hμ)` in a norm `D`; so its step has a Lipschitz constant, which is `1/(1 − hμ)` for implicit Euler.
    ImplicitStep,
    /// The equilibrium of `f(x) + u = 0` for a field with `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`, `μ > 0`, and `‖Δf‖ ≤ ℓ‖Δx‖`: `‖Δu‖/ℓ ≤ ‖Δx*‖ ≤ ‖Δu‖/μ`.
    Equilibrium,
    /// A step of `x' = Kx`, `K` skew, is Lipschitz with the largest `|R(iy)|`, `|y| ≤ hκ`, of the stability function.
    SkewFlow,
    /// A Runge–Kutta step is `ρ`-Lipschitz if multipliers of quadratic inequalities of its field, one for each stage, make
    /// one form in `s + 1` variables positive semidefinite.
    StageMultipliers,
    /// An explicit step of an `ℓ`-Lipschitz field is Lipschitz with `Lᵢ = 1 + |h|ℓ Σ |aᵢⱼ| Lⱼ` for its stages, and likewise
    /// for its end.
    LipschitzStep,
    /// An Euler step of a field with `⟨Δf, Δx⟩ ≤ μ‖Δx‖²` and `‖Δf‖ ≤ ℓ‖Δx‖` is `√(1 + 2hμ + h²ℓ²)`-Lipschitz for `h ≥ 0`.
    OneSidedLipschitz,
    /// `x ↦ x + hBσ(Ax + b)` is `ρ`-Lipschitz if some diagonal `T ⪰ 0` makes
    /// `[[ρ²I − I + 2mL AᵀTA, −hB − (m+L)AᵀT], [·, 2T − h²BᵀB]] ⪰ 0`; a stack `Bσ_k(W_k ⋯ σ₁(W₁x))` has one such block
    /// for each activation.
    QuadraticConstraint,
    /// Lipschitz constants multiply along a composition; averaged operators compose with `φ = Σ αᵢ/(1 − αᵢ)`,
    /// `α = φ/(1 + φ)`.
    Composition,
    /// Lipschitz constants of a sum add up; those of a mean are averaged.
    Sum,
    /// A step of the gradient field decreases its potential: `V(x⁺) ≤ V(x) − h(1 − hβ/2)‖∇V(x)‖²`.
    Descent,
    /// A pair of logits keeps its order within `(fᵢ − fⱼ)/(L‖wᵢ − wⱼ‖)`, strictly.
    Margin,
    /// No theorem: the author of a layer from outside this crate vouches for the bound. Laws can test it; nothing has
    /// proved it.
    Asserted,
}

impl Rule {
    /// Every theorem.
    pub const ALL: [Self; 28] = [
        Self::OperatorNorm,
        Self::Slope,
        Self::Windows,
        Self::Householder,
        Self::Isometry,
        Self::GradientField,
        Self::ResidualField,
        Self::DissipativeField,
        Self::HamiltonianField,
        Self::NaisField,
        Self::OwnNorm,
        Self::GradientStep,
        Self::Shears,
        Self::ExponentialStep,
        Self::SkewGradientStep,
        Self::CircleContractivity,
        Self::AlgebraicStability,
        Self::ImplicitStep,
        Self::Equilibrium,
        Self::SkewFlow,
        Self::StageMultipliers,
        Self::LipschitzStep,
        Self::OneSidedLipschitz,
        Self::QuadraticConstraint,
        Self::Composition,
        Self::Sum,
        Self::Descent,
        Self::Margin,
    ];

    /// Returns whether it is about a step of a flow. [`Self::QuadraticConstraint`] is, and about several maps in a row besides.
    pub(crate) fn is_of_steps(self) -> bool {
        matches!(
            self,
            Self::OwnNorm
                | Self::GradientStep
                | Self::Shears
                | Self::ExponentialStep
                | Self::SkewGradientStep
                | Self::CircleContractivity
                | Self::AlgebraicStability
                | Self::ImplicitStep
                | Self::SkewFlow
                | Self::StageMultipliers
                | Self::LipschitzStep
                | Self::OneSidedLipschitz
                | Self::QuadraticConstraint
        )
    }

    /// Returns the name in files, and of the property test.
    pub fn name(self) -> &'static str {
        match self {
            Self::OperatorNorm => "operator_norm",
            Self::Slope => "slope",
            Self::Windows => "windows",
            Self::Householder => "householder",
            Self::Isometry => "isometry",
            Self::GradientField => "gradient_field",
            Self::ResidualField => "residual_field",
            Self::DissipativeField => "dissipative_field",
            Self::HamiltonianField => "hamiltonian_field",
            Self::NaisField => "nais_field",
            Self::OwnNorm => "own_norm",
            Self::GradientStep => "gradient_step",
            Self::Shears => "shears",
            Self::ExponentialStep => "exponential_step",
            Self::SkewGradientStep => "skew_gradient_step",
            Self::CircleContractivity => "circle_contractivity",
            Self::AlgebraicStability => "algebraic_stability",
            Self::ImplicitStep => "implicit_step",
            Self::Equilibrium => "equilibrium",
            Self::SkewFlow => "skew_flow",
            Self::StageMultipliers => "stage_multipliers",
            Self::LipschitzStep => "lipschitz_step",
            Self::OneSidedLipschitz => "one_sided_lipschitz",
            Self::QuadraticConstraint => "quadratic_constraint",
            Self::Composition => "composition",
            Self::Sum => "sum",
            Self::Descent => "descent",
            Self::Margin => "margin",
            Self::Asserted => "asserted",
        }
    }

    /// Returns the file of `proofs/` and the theorem in it that this rule rests on; none for [`Self::Asserted`].
    pub fn theorem(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::OperatorNorm => ("operator_norm", "residual_certificate"),
            Self::Slope => ("slope", "slope_lipschitz"),
            Self::Windows => ("windows", "windows"),
            Self::Householder => ("gradient_step", "step_interval"),
            Self::Isometry => ("isometry", "reshape_isometry_diff"),
            Self::GradientField => ("gradient_step", "cocoercive"),
            Self::ResidualField => ("composition", "lipschitz_comp"),
            Self::DissipativeField => ("family_fields", "dissipative_cocoercive"),
            Self::HamiltonianField => ("family_fields", "skew_gradient_one_sided"),
            Self::NaisField => ("family_fields", "nais_one_sided"),
            Self::OwnNorm => ("own_norm", "own_norm_field"),
            Self::GradientStep => ("gradient_step", "step_interval"),
            Self::Shears => ("shear", "shear_lipschitz"),
            Self::ExponentialStep => ("family_fields", "dissipative_lipschitz"),
            Self::SkewGradientStep => ("family_fields", "skew_gradient_step"),
            Self::CircleContractivity => ("circle_contractivity", "circle_contractivity"),
            Self::AlgebraicStability => ("circle_contractivity", "algebraic_stability"),
            Self::ImplicitStep => ("implicit_step", "implicit_stages"),
            Self::Equilibrium => ("equilibrium", "equilibrium_lipschitz"),
            Self::SkewFlow => ("skew_flow", "skew_flow"),
            Self::StageMultipliers => ("stage_multipliers", "stage_multipliers"),
            Self::LipschitzStep => ("stage_multipliers", "lipschitz_step"),
            Self::OneSidedLipschitz => ("one_sided_lipschitz", "euler_step"),
            Self::QuadraticConstraint => ("quadratic_constraint", "quadratic_constraint"),
            Self::Composition => ("composition", "lipschitz_comp"),
            Self::Sum => ("composition", "lipschitz_sum"),
            Self::Descent => ("descent", "descent"),
            Self::Margin => ("margin", "margin"),
            Self::Asserted => return None,
        })
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
