//! Linear maps, with their adjoints and their proved norms.

mod affine;
mod conv2d;
mod dense;
mod direct;
mod pool;
mod summation;

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

pub use affine::Affine;
pub use conv2d::{Conv2d, Geometry};
pub use dense::Dense;
pub use direct::Direct;
pub(crate) use direct::Middle;
pub use pool::MeanPool;
pub use summation::KERNELS;

use crate::{
    error::Result,
    io::{OperatorSpec, TensorWriter},
    rigor::{Lower, Summation, Upper, torus::Torus},
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// A linear map `W` between spaces of samples, with the Euclidean inner product on both.
///
/// `apply`, `adjoint` and `accumulate` expect batches of the shapes that [`Self::input`] and [`Self::output`] name; a
/// [`crate::Network`] checks that once for all of its layers.
pub trait Operator<T: Scalar>: Debug + Send + Sync {
    /// The name of the kind of operator, as in files.
    fn kind(&self) -> &'static str;

    /// The shape of `x`.
    fn input(&self) -> Shape;

    /// The shape of `Wx`.
    fn output(&self) -> Shape;

    /// `y ← y + Wx`.
    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>);

    /// `x ← x + Wᵀy`.
    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>);

    /// The gradient of `Σ ⟨y, Wx⟩` with respect to the weights, added to `gradient`.
    fn accumulate(&self, _y: &Batch<T>, _x: &Batch<T>, _gradient: &mut [T]) {}

    /// The operator as a direct convolution, if it is one: then nothing is computed by the methods above.
    fn direct(&self) -> Option<&Direct<T>> {
        None
    }

    /// The weights; empty for an operator without any.
    fn weight(&self) -> &[T] {
        &[]
    }

    /// The weights, to be changed. Forgets whatever was proved about them.
    fn weight_mut(&mut self) -> &mut [T] {
        &mut []
    }

    /// A proved upper bound of the norm `‖W‖₂`, and how it was proved. Kept until the weights change.
    ///
    /// # Errors
    /// If a weight is not finite, or the bound overflows.
    fn norm(&self) -> Result<ProvedNorm>;

    /// Proves the norm in this way, where there is a choice: from now on [`Self::norm`] answers with that proof.
    ///
    /// # Errors
    /// As [`Self::norm`].
    fn prove_norm(&mut self, _norms: Norms) -> Result<()> {
        Ok(())
    }

    /// A proved lower bound of `min ‖Wx‖/‖x‖`: positive only if `W` is proved to be injective.
    ///
    /// # Errors
    /// If a weight is not finite.
    fn smallest_singular_value(&self) -> Result<Lower> {
        Ok(Lower::ZERO)
    }

    /// The largest numbers of terms that one entry of `Wx`, and one of `Wᵀy`, sums.
    fn terms(&self) -> [usize; 2];

    /// The largest numbers of roundings that a product passes through on its way into an entry of `Wx`, and of `Wᵀy`,
    /// as the kernels run now: the `d` of [`crate::rigor::Rounding::dot`]. For kernels that may choose any order of
    /// summation it is the number of terms.
    fn depth(&self) -> [usize; 2] {
        self.terms()
    }

    /// Makes the kernels keep to an order of summation, and [`Self::depth`] tell its depth. An operator that declares
    /// no order ignores this, and its depth remains that of any order.
    fn set_summation(&mut self, _summation: Summation) {}

    /// `y ← y + |W|x`, with the absolute values of the weights; in any order of summation.
    fn apply_absolute(&self, x: &Batch<T>, y: &mut Batch<T>);

    /// `x ← x + |W|ᵀy`; in any order of summation.
    fn adjoint_absolute(&self, y: &Batch<T>, x: &mut Batch<T>);

    /// A proved upper bound of `‖ |W| ‖₂`. Kept until the weights change.
    ///
    /// # Errors
    /// If the bound overflows.
    fn absolute_norm(&self) -> Result<Upper>;

    /// The same operator over `f64`, exactly.
    fn widen(&self) -> Box<dyn Operator<f64>>;

    /// The operator as it is written to a file; its tensors go to `tensors` under names that begin with `prefix`.
    fn describe(&self, prefix: &str, tensors: &mut TensorWriter) -> OperatorSpec;
}

/// Which proof of the norm of a convolution is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norms {
    /// That of a circular convolution of which a zero-padded one is a part: milliseconds, up to a few percent loose.
    #[default]
    Torus,
    /// That of the operator itself where that is smaller: seconds, within `10⁻³` of the norm.
    Tight,
}

/// A proved norm and the proof that was used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ProvedNorm {
    /// The bound.
    pub bound: Upper,
    /// The proof.
    pub method: NormMethod,
}

/// How a norm was proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormMethod {
    /// By the residual certificate of [`crate::rigor::matrix`].
    Residual,
    /// As the compression of a circular convolution on a torus, [`crate::rigor::torus`].
    Torus(Torus),
    /// By a block-banded factor of the Gram matrix of a zero-padded convolution, [`crate::rigor::band`].
    Banded,
    /// In closed form.
    ClosedForm,
}
