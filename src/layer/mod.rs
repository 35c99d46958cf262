//! Layers: maps between samples, with derivatives and a certificate.

mod activation;
mod affine;
mod alternation;
mod branches;
mod equilibrium;
mod flow;
mod householder;
mod implicit;
mod l2_pool;
mod normalize;
mod partial;
mod reshape;
mod selection;
pub(crate) mod solve;
mod splitting;

use std::fmt::Debug;

pub use activation::ActivationLayer;
pub use affine::AffineLayer;
pub use alternation::Alternation;
pub use branches::Branches;
pub use equilibrium::Equilibrium;
pub use flow::{Explicit, Step, Stepper, Steps};
pub use householder::Householder;
pub use l2_pool::L2Pool;
pub use normalize::Normalize;
pub use partial::PartialActivation;
pub use reshape::Reshape;
pub use selection::Selection;

use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::Map,
    rigor::{Rounding, Summation},
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The flow of `x' = f(t, x)` over `steps` steps of length `h` of an explicit method: a layer from a space to itself.
///
/// It has one field for all steps, or one for each: then weights depend on time.
///
/// | field and method | rule | bound of one step |
/// |---|---|---|
/// | a gradient field, Euler | [`crate::certificate::Rule::GradientStep`] | `max(\|1 − hμ\|, \|1 − hβ\|)`, any `h` |
/// | a cocoercive field, radius `r`, `0 ≤ h ≤ 2rν` | [`crate::certificate::Rule::CircleContractivity`] | 1 |
/// | any of these, any method | [`crate::certificate::Rule::StageMultipliers`] | the least that multipliers prove |
/// | any Lipschitz field, any method | [`crate::certificate::Rule::LipschitzStep`] | a polynomial in `hℓ` |
/// | any Lipschitz field, Euler | [`crate::certificate::Rule::OneSidedLipschitz`] | `√(1 + 2hμ + h²ℓ²)` |
/// | `Bσ(Ax + b)`, dense, Euler | [`crate::certificate::Rule::QuadraticConstraint`] | what the multipliers prove |
///
/// The smallest of those that apply is claimed; a flow is refused only if it overflows.
pub type Flow<T> = Steps<Explicit<T>>;

/// The flow of `x' = f(t, x)` over `steps` steps of length `h` of an implicit method: a layer from a space to itself.
///
/// The layer *is* the exact solution of
///
/// ```math
/// X_i = x + h \sum_j a_{ij} f(X_j), \qquad x_1 = x + \sum_i d_i (X_i - x), \quad A^Td = b,
/// ```
///
/// and claims in exact semantics are about it. The program solves the stages by Newton's method, whose linear systems a Krylov
/// method solves, until the norm of the residual of a step, as computed, is at most the *tolerance*. It
/// returns NaN for a sample where it does not get there: no claim holds for that sample, and NaN logits certify nothing.
/// Claims about the program are charged with the tolerance, the rounding of the residual, and how far both move the
/// solution ([`crate::rules::implicit_step`]).
///
/// | field and method | rule | bound of one step |
/// |---|---|---|
/// | any, `hμ < α` | [`crate::certificate::Rule::ImplicitStep`] | `1/(1 − hμ)` for implicit Euler |
/// | monotone, Gauss, Radau IIA, Lobatto IIIC, implicit midpoint | [`crate::certificate::Rule::AlgebraicStability`] | 1 |
/// | cocoercive, radius `r`, `0 ≤ h ≤ 2rν` | [`crate::certificate::Rule::CircleContractivity`] | 1 |
/// | any of which more is known than `ℓ` | [`crate::certificate::Rule::StageMultipliers`] | the least that multipliers prove |
/// | skew linear | [`crate::certificate::Rule::SkewFlow`] | the largest `\|R(iy)\|`, `\|y\| ≤ hκ` |
///
/// Derivatives are those of the implicit function theorem, by the same Krylov method.
///
/// ```
/// use dahlquist::{Network, layer::Implicit, tableau::Tableau, activation::Activation, field::GradientField};
/// use dahlquist::{operator::{Affine, Dense}, tensor::{Batch, Shape}};
/// // x' = −x, one step of length 2 of the implicit midpoint rule: (1 − 1)/(1 + 1) = 0.
/// let identity = Affine::new(Dense::new(1, 1, vec![1.0])?, None)?;
/// let field = GradientField::new(identity, Activation::Identity {})?;
/// let layer = Implicit::<f64>::new(field, Tableau::implicit_midpoint(), 2.0, 1, Some(1e-12))?;
/// let sealed = Network::new(Shape::Features(1), vec![Box::new(layer)])?.seal()?;
/// let y = sealed.forward(&Batch::new(Shape::Features(1), vec![3.0])?)?;
/// assert!(y.data()[0].abs() < 1e-11 && sealed.certificate().bound().get() <= 1.0);
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub type Implicit<T> = Steps<implicit::Implicit<T>>;

/// Steps of a method that treats the parts of a field differently.
///
/// | method | field | a step |
/// |---|---|---|
/// | symplectic Euler | Hamiltonian, `q' = ∇T(p)`, `p' = −∇U(q)` | `p ← p − h∇U(q)`, then `q ← q + h∇T(p)` |
/// | Störmer–Verlet | Hamiltonian | half of that kick of `p`, the drift of `q`, half of the kick |
/// | exponential Euler | dissipative, `g(x) − γx` | `x ← Ex + Φg(x)`, `E = e^(−γh)`, `Φ = (1 − E)/γ` |
///
/// A kick and a drift are *shears*: with `s = hℓ` each is `(s + √(s² + 4))/2`-Lipschitz, and so is its inverse
/// ([`crate::certificate::Rule::Shears`]). Exponential steps are bounded by
/// [`crate::certificate::Rule::ExponentialStep`]; `E` and `Φ` are the numbers of `f64` that the program computes, not those
/// that they are near to.
pub type Splitting<T> = Steps<splitting::Split<T>>;

/// A map between samples.
///
/// # Contract
/// The batches handed to `forward`, `vjp` and `jvp` have the shapes that [`Self::input`] and [`Self::output`] name; a
/// [`crate::Network`] checks this once, when it is built and when it is fed. The tape is that of the layer's own
/// forward pass on the same batch. Samples do not influence each other.
///
/// # Direct and explicit parameters
/// What the optimiser moves is free (*direct*); [`Self::prepare`] computes from it what is evaluated (*explicit*), and
/// [`Self::pull_back`] takes a gradient back. Where the two are the same there is nothing to implement.
///
/// A new layer is one file: `describe`, the two shapes, `forward`, `vjp`, `jvp` and `widen`; with `rounding` it is
/// certified as executed, too.
pub trait Layer<T: Scalar>: Debug + Send + Sync {
    /// Returns what the layer computes, as data. Everything that is proved about it is proved about that, and a file
    /// holds it.
    ///
    /// A layer that is made of known maps is certified like this crate's own. One that is not describes itself as
    /// [`Map::Opaque`], with a bound that its author asserts: every certificate that rests on it says so.
    fn describe(&self) -> Map;

    /// Returns the shape of a sample that goes in.
    fn input(&self) -> Shape;

    /// Returns the shape of a sample that comes out.
    fn output(&self) -> Shape;

    /// Returns the value for each sample, or NaN for one that the layer cannot compute, such as a solve that does not
    /// end within its tolerance: no claim holds for it, and NaN reaches the logits. Leaves on the tape what the
    /// derivatives and error bounds need.
    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T>;

    /// Returns `Jᵀg` for each sample, and the gradient of `Σ ⟨g, y⟩` by the explicit parameters, added to `gradient`.
    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T>;

    /// Returns `Jv` for each sample.
    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T>;

    /// For each sample, a bound of `‖fl(y(x')) − y(x')‖` for every `x'` within `reach` of the sample on the tape: what
    /// this layer alone adds to the error when it runs in the format of `rounding`. Infinite where an overflow cannot
    /// be excluded.
    ///
    /// The tape is that of the *widened* layer, [`Self::widen`]: it rounds no more than `rounding` says. The proof is one
    /// of what the layer describes: its constants, and those of its parts.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the layer declares no bound.
    fn rounding(
        &self,
        _proof: &Certificate,
        _rounding: &Rounding,
        _tape: &Tape<f64>,
        _reach: &[f64],
    ) -> Result<Vec<f64>> {
        let what = format!("the rounding error of a layer of kind {}", self.describe().kind());
        Err(Error::not_proved(what, "it declares none"))
    }

    /// As [`Self::rounding`], coordinate by coordinate: for each sample, bounds of `|fl(yᵢ(x')) − yᵢ(x')|`. A margin is
    /// charged with those of the two logits that it compares.
    ///
    /// # Errors
    /// As [`Self::rounding`].
    fn rounding_by_coordinate(
        &self,
        proof: &Certificate,
        rounding: &Rounding,
        tape: &Tape<f64>,
        reach: &[f64],
    ) -> Result<Vec<Vec<f64>>> {
        let coordinates = self.output().len();
        Ok(self.rounding(proof, rounding, tape, reach)?.into_iter().map(|norm| vec![norm; coordinates]).collect())
    }

    /// Makes every sum of the layer keep to an order, and [`Self::rounding`] charge that order. A layer whose sums have
    /// no declared order ignores this.
    fn set_summation(&mut self, _summation: Summation) {}

    /// Returns the same layer over `f64`, exactly.
    fn widen(&self) -> Box<dyn Layer<f64>>;

    /// Returns the direct parameters, each a flat slice.
    fn parameters(&self) -> Vec<&[T]> {
        Vec::new()
    }

    /// Returns the direct parameters, to be changed; [`Self::prepare`] must follow before the layer is evaluated.
    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        Vec::new()
    }

    /// Returns the number of rows of each direct parameter that is a matrix, row by row, and 1 for any other: what
    /// training along orthogonalized gradients needs to know.
    fn parameter_rows(&self) -> Vec<usize> {
        vec![1; self.parameters().len()]
    }

    /// Returns a gradient of zeros by the explicit parameters. The direct parameters come first, slot by slot.
    fn gradient(&self) -> Vec<Vec<T>> {
        self.parameters().iter().map(|p| vec![T::zero(); p.len()]).collect()
    }

    /// Explicit parameters from direct ones, with estimates where a proof would be dear.
    fn prepare(&mut self) {}

    /// Turns a gradient by the explicit parameters into one by the direct parameters, in place.
    fn pull_back(&self, _gradient: &mut [Vec<T>]) {}

    /// Fixes what estimates have steered so far to values that are proved to be admissible.
    ///
    /// # Errors
    /// If a norm cannot be proved.
    fn seal(&mut self, _prover: &Prover) -> Result<()> {
        Ok(())
    }
}

/// Returns a gradient of zeros for layers that are parts of another: the slots of the direct parameters of all of them,
/// then the others.
pub(crate) fn gradient_of<'a, T: Scalar>(parts: impl Iterator<Item = &'a dyn Layer<T>>) -> Vec<Vec<T>> {
    let (mut direct, mut rest) = (Vec::new(), Vec::new());
    for part in parts {
        let mut slots = part.gradient();
        rest.extend(slots.split_off(part.parameters().len()));
        direct.append(&mut slots);
    }
    direct.append(&mut rest);
    direct
}

/// Runs `f` on such a gradient, its slots sorted by the parts.
pub(crate) fn by_part<'a, T: Scalar, R>(
    parts: impl Iterator<Item = &'a dyn Layer<T>>,
    gradient: &mut [Vec<T>],
    f: impl FnOnce(&mut [Vec<Vec<T>>]) -> R,
) -> R {
    let counts: Vec<[usize; 2]> = parts.map(|part| [part.parameters().len(), part.gradient().len()]).collect();
    let (mut first, mut rest) = (0, counts.iter().map(|[direct, _]| direct).sum::<usize>());
    let mut places: Vec<Vec<usize>> = Vec::new();
    for &[direct, all] in &counts {
        places.push((first..first + direct).chain(rest..rest + all - direct).collect());
        (first, rest) = (first + direct, rest + all - direct);
    }
    let mut take = |places: &Vec<usize>| places.iter().map(|&i| std::mem::take(&mut gradient[i])).collect();
    let mut slots: Vec<Vec<Vec<T>>> = places.iter().map(&mut take).collect();
    let result = f(&mut slots);
    for (places, slots) in places.iter().zip(slots) {
        places.iter().zip(slots).for_each(|(&i, slot)| gradient[i] = slot);
    }
    result
}
