//! Linear maps, with their adjoints and their proved norms.

mod affine;
mod conv2d;
mod dense;
mod described;
mod diagonal;
mod direct;
mod graph;
mod pool;
mod summation;

use std::fmt::Debug;

pub use affine::Affine;
pub use conv2d::{Conv2d, Geometry};
pub use dense::Dense;
pub use diagonal::Diagonal;
pub use direct::Direct;
pub(crate) use direct::Middle;
pub use graph::GraphGradient;
pub use pool::MeanPool;

use crate::{
    error::Result,
    model::Linear,
    rigor::{Summation, Upper},
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// A linear map `W` between spaces of samples, with the Euclidean inner product on both.
///
/// `apply`, `adjoint` and `accumulate` expect batches of the shapes that [`Self::input`] and [`Self::output`] name; a
/// [`crate::Network`] checks that once for all of its layers.
pub trait Operator<T: Scalar>: Debug + Send + Sync {
    /// Returns what the operator is, as data: everything that is proved about it is proved about that. Its bias is
    /// another's.
    fn describe(&self) -> Linear;

    /// Returns the shape of `x`.
    fn input(&self) -> Shape;

    /// Returns the shape of `Wx`.
    fn output(&self) -> Shape;

    /// `y ← y + Wx`.
    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>);

    /// `x ← x + Wᵀy`.
    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>);

    /// Returns the gradient of `Σ ⟨y, Wx⟩` with respect to the weights, added to `gradient`.
    fn accumulate(&self, _y: &Batch<T>, _x: &Batch<T>, _gradient: &mut [T]) {}

    /// Returns the operator as a direct convolution, if it is one: then nothing is computed by the methods above.
    fn direct(&self) -> Option<&Direct<T>> {
        None
    }

    /// Returns the weights; empty for an operator without any.
    fn weight(&self) -> &[T] {
        &[]
    }

    /// Upper bounds of the norms of the rows, one for each coordinate of the output, if they are known.
    fn row_norms(&self) -> Option<&[f64]> {
        None
    }

    /// Returns the weights, to be changed. Forgets whatever was proved about them.
    fn weight_mut(&mut self) -> &mut [T] {
        &mut []
    }

    /// Returns the largest numbers of terms that one entry of `Wx`, and one of `Wᵀy`, sums.
    fn terms(&self) -> [usize; 2];

    /// Returns the largest numbers of roundings that a product passes through on its way into an entry of `Wx`, and of
    /// `Wᵀy`, as the kernels run now: the `d` of [`crate::rigor::Rounding::dot`]. For kernels that may choose any order
    /// of summation it is the number of terms.
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

    /// Returns a proved upper bound of `‖ |W| ‖₂`. Kept until the weights change.
    ///
    /// # Errors
    /// If the bound overflows.
    fn absolute_norm(&self) -> Result<Upper>;

    /// Returns the same operator over `f64`, exactly.
    fn widen(&self) -> Box<dyn Operator<f64>>;
}
