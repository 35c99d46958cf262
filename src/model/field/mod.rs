//! Vector fields as data.
//!
//! | field | `f(x)` |
//! |---|---|
//! | gradient | `−Wᵀ diag(δ) σ(Wx + b)` |
//! | residual | `Vσ(Wx + b) + c` |
//! | dissipative | `−Wᵀσ(Wx + b) + (S − Sᵀ)x − γx` |
//! | hamiltonian | `(Kᵀσ(Kp + b), −Wᵀσ(Wq + c))`, `x = (q, p)` |
//! | dissipative_hamiltonian | `(J − Jᵀ − rI)(Kᵀσ(Kx + b) + MᵀMx)` |
//! | antisymmetric | `σ((A − Aᵀ − γI)x + b)` |
//! | skew_linear | `(S − Sᵀ)x` |
//! | nais | `σ(−(RᵀR + εI)x + b)` |
//! | lurie | `Cx + Bσ(Ax + b)` |
//! | lyapunov_projected | `f̂ − ∇V relu(⟨∇V, f̂⟩ + αV)/‖∇V‖²`, `f̂ = B(σ(Ax + b) − σ(b))`, `V = Σψ((Kx)ᵢ) + (ε/2)‖x‖²` |
//!
//! Sources: Ehrhardt, Murari, Sherry, arXiv:2510.22299; Chang et al., arXiv:1902.09689 (antisymmetric); Ciccone et al.,
//! arXiv:1804.07209 (nais); Galimberti et al., arXiv:2105.13205 (hamiltonian); Manek, Kolter, NeurIPS 2019 (lyapunov_projected).

mod traverse;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(crate) use self::traverse::Constants;
use super::{Linear, Opaque, Tensor};
use crate::{
    activation::Activation,
    error::{Error, Result},
    tensor::Shape,
};

/// The right-hand side of an ordinary differential equation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
#[serde(bound(serialize = "W: Serialize", deserialize = "W: Deserialize<'de>"))]
pub enum Field<W = super::Tensor> {
    /// `−Wᵀ diag(δ) σ(Wx + b)`.
    Gradient {
        /// `σ`, without negative slopes.
        activation: Activation,
        /// `W` and `b`.
        operator: Linear<W>,
        /// `δ`, not negative, one number for each channel or feature of `Wx`; ones, if nothing else is said.
        #[serde(default = "none", skip_serializing_if = "Option::is_none")]
        weights: Option<W>,
    },
    /// `Vσ(Wx + b) + c`.
    Residual {
        /// `σ`.
        activation: Activation,
        /// `W` and `b`.
        inner: Linear<W>,
        /// `V` and `c`.
        outer: Linear<W>,
    },
    /// `−Wᵀσ(Wx + b) + (S − Sᵀ)x − γx`.
    Dissipative {
        /// `σ`, without negative slopes.
        activation: Activation,
        /// `W` and `b`.
        operator: Linear<W>,
        /// `S`.
        #[serde(serialize_with = "write_matrix", deserialize_with = "read_matrix")]
        skew: Linear<W>,
        /// `γ`.
        #[serde(default)]
        damping: f64,
    },
    /// `(Kᵀσ(Kp + b), −Wᵀσ(Wq + c))`, where `q` is the first half of the features or channels, and `p` the second.
    Hamiltonian {
        /// `σ`, `K` and `b`.
        kinetic: Potential<W>,
        /// `σ`, `W` and `c`.
        potential: Potential<W>,
    },
    /// `(J − Jᵀ − rI)∇H(x)` with `∇H(x) = Kᵀσ(Kx + b) + MᵀMx`.
    DissipativeHamiltonian {
        /// `σ`, without negative slopes.
        activation: Activation,
        /// `K` and `b`.
        operator: Linear<W>,
        /// `M`.
        #[serde(serialize_with = "write_matrix", deserialize_with = "read_matrix")]
        quadratic: Linear<W>,
        /// `J`.
        #[serde(serialize_with = "write_matrix", deserialize_with = "read_matrix")]
        skew: Linear<W>,
        /// `r`.
        damping: f64,
    },
    /// `σ((A − Aᵀ − γI)x + b)`.
    Antisymmetric {
        /// `σ`.
        activation: Activation,
        /// `A`.
        #[serde(serialize_with = "write_matrix", deserialize_with = "read_matrix")]
        matrix: Linear<W>,
        /// `b`, one number for each feature or channel.
        #[serde(default = "none")]
        bias: Option<W>,
        /// `γ`.
        #[serde(default)]
        damping: f64,
    },
    /// `(S − Sᵀ)x`.
    SkewLinear {
        /// `S`.
        #[serde(serialize_with = "write_matrix", deserialize_with = "read_matrix")]
        skew: Linear<W>,
    },
    /// `σ(−(RᵀR + εI)x + b)`.
    Nais {
        /// `σ`.
        activation: Activation,
        /// `R`.
        #[serde(serialize_with = "write_matrix", deserialize_with = "read_matrix")]
        factor: Linear<W>,
        /// `b`, one number for each feature or channel.
        #[serde(default = "none")]
        bias: Option<W>,
        /// `ε`.
        epsilon: f64,
    },
    /// `Cx + Bσ(Ax + b)`.
    Lurie {
        /// `σ`.
        activation: Activation,
        /// `C`, and a constant if it has a bias.
        #[serde(serialize_with = "write_matrix", deserialize_with = "read_matrix")]
        linear: Linear<W>,
        /// `A` and `b`.
        inner: Linear<W>,
        /// `B`.
        outer: Linear<W>,
    },
    /// `f̂ − ∇V relu(⟨∇V, f̂⟩ + αV)/‖∇V‖²` with `f̂ = B(σ(Ax + b) − σ(b))` and `V = Σψ((Kx)ᵢ) + (ε/2)‖x‖²`, `ψ' = τ`. It is not Lipschitz:
    /// its Lyapunov function falls, and there is no radius.
    LyapunovProjected {
        /// `σ`.
        activation: Activation,
        /// `A` and `b`.
        inner: Linear<W>,
        /// `B`, without a bias.
        outer: Linear<W>,
        /// `τ`, monotone and 0 at 0, and `K`, without a bias.
        potential: Potential<W>,
        /// `ε`, positive.
        epsilon: f64,
        /// `α`, not negative.
        #[serde(default)]
        rate: f64,
    },
    /// A field from outside this crate, known by what its author asserts: its Lipschitz constant.
    #[serde(skip)]
    Opaque(Opaque),
}

/// `x ↦ Wᵀσ(Wx + b)`, the gradient of `Σψ((Wx + b)ᵢ)` with `ψ' = σ`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, bound(serialize = "W: Serialize", deserialize = "W: Deserialize<'de>"))]
pub struct Potential<W = super::Tensor> {
    /// `σ`.
    pub activation: Activation,
    /// `W` and `b`.
    pub operator: Linear<W>,
}

fn none<W>() -> Option<W> {
    None
}

/// A matrix by the name of its tensor, or any operator as an object.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "the name of a matrix, or an operator")]
#[serde(bound(serialize = "W: Serialize", deserialize = "W: Deserialize<'de>"))]
enum Named<W> {
    Matrix(W),
    Operator(Linear<W>),
}

fn read_matrix<'de, W: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Linear<W>, D::Error> {
    Ok(match Named::deserialize(from)? {
        Named::Matrix(weight) => Linear::Dense { weight, bias: None },
        Named::Operator(operator) => operator,
    })
}

fn write_matrix<W: Serialize, S: Serializer>(operator: &Linear<W>, to: S) -> Result<S::Ok, S::Error> {
    match operator {
        Linear::Dense { weight, bias: None } => weight.serialize(to),
        operator => operator.serialize(to),
    }
}

/// An operator inside a field.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// Its name, as in files.
    pub name: &'static str,
    /// What it is.
    pub operator: &'a Linear,
    /// The shape of its input.
    pub input: Shape,
    /// What of it counts.
    pub form: Form<'a>,
    /// Whether its smallest singular value counts, too.
    pub inverse: bool,
}

/// What of an operator counts.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// The operator itself.
    Plain,
    /// `S − Sᵀ`.
    Skew,
    /// `diag(√δ) W`.
    Weighted(&'a Tensor),
}

impl<W> Field<W> {
    /// Returns the name of the kind of field, as in files.
    pub fn kind(&self) -> &str {
        match self {
            Self::Gradient { .. } => "gradient",
            Self::Residual { .. } => "residual",
            Self::Dissipative { .. } => "dissipative",
            Self::Hamiltonian { .. } => "hamiltonian",
            Self::DissipativeHamiltonian { .. } => "dissipative_hamiltonian",
            Self::Antisymmetric { .. } => "antisymmetric",
            Self::SkewLinear { .. } => "skew_linear",
            Self::Nais { .. } => "nais",
            Self::Lurie { .. } => "lurie",
            Self::LyapunovProjected { .. } => "lyapunov_projected",
            Self::Opaque(opaque) => &opaque.kind,
        }
    }
}

impl Field {
    /// Returns the operators of a field on a space: what its proof has premises about, in order.
    ///
    /// # Errors
    /// As [`super::Map::output`].
    pub fn parts(&self, space: Shape) -> Result<Vec<Part<'_>>> {
        let part = |name, operator, input| Part { name, operator, input, form: Form::Plain, inverse: false };
        let skew = |name, operator| Part { name, operator, input: space, form: Form::Skew, inverse: false };
        let convex = |activation: &Activation| activation.slopes()[0] > 0.0;
        Ok(match self {
            Self::Gradient { activation, operator, weights } => {
                let form = weights.as_ref().map_or(Form::Plain, Form::Weighted);
                vec![Part { form, inverse: convex(activation), ..part("operator", operator, space) }]
            }
            Self::Residual { inner, outer, .. } => {
                vec![part("inner", inner, space), part("outer", outer, inner.output(space)?)]
            }
            Self::Dissipative { activation, operator, skew: s, .. } => {
                vec![Part { inverse: convex(activation), ..part("operator", operator, space) }, skew("skew", s)]
            }
            Self::Hamiltonian { kinetic, potential } => {
                let half = half(space)?;
                vec![
                    Part { inverse: convex(&kinetic.activation), ..part("kinetic.operator", &kinetic.operator, half) },
                    Part {
                        inverse: convex(&potential.activation),
                        ..part("potential.operator", &potential.operator, half)
                    },
                ]
            }
            Self::DissipativeHamiltonian { activation, operator, quadratic, skew: j, .. } => vec![
                Part { inverse: convex(activation), ..part("operator", operator, space) },
                Part { inverse: true, ..part("quadratic", quadratic, space) },
                skew("skew", j),
            ],
            Self::Antisymmetric { matrix, .. } => vec![skew("matrix", matrix)],
            Self::SkewLinear { skew: s } => vec![skew("skew", s)],
            Self::Nais { factor, .. } => vec![Part { inverse: true, ..part("factor", factor, space) }],
            Self::Lurie { linear, inner, outer, .. } => {
                let between = inner.output(space)?;
                vec![part("linear", linear, space), part("inner", inner, space), part("outer", outer, between)]
            }
            Self::LyapunovProjected { inner, outer, potential, .. } => vec![
                part("inner", inner, space),
                part("outer", outer, inner.output(space)?),
                part("potential.operator", &potential.operator, space),
            ],
            Self::Opaque(_) => vec![],
        })
    }
}

/// Half of the features, or of the channels.
///
/// # Errors
/// [`Error::Parameter`] if their number is odd.
fn half(space: Shape) -> Result<Shape> {
    let odd = || Error::parameter("space", space, "it has two halves, of positions and of momenta, in its channels");
    match space {
        Shape::Features(n) if n % 2 == 0 => Ok(Shape::Features(n / 2)),
        Shape::Image { channels, height, width } if channels % 2 == 0 => Ok(Shape::image(channels / 2, height, width)),
        _ => Err(odd()),
    }
}
