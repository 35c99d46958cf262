//! The number formats, `f32` and `f64`, and the only calls of faer's kernels and decompositions.

use faer::{
    Accum, Mat, MatMut, MatRef, Par, Side,
    linalg::{matmul::triangular, triangular_solve},
};

use crate::lanes::Lanes;

/// A binary floating-point format of IEEE 754 in which networks are evaluated: `f32` or `f64`.
///
/// The trait is sealed by its bounds on purpose: proofs are carried out in `f64`, into which both formats embed
/// exactly.
pub trait Scalar:
    faer::traits::RealField
    + Lanes
    + num_traits::Float
    + num_traits::NumAssign
    + std::iter::Sum
    + Into<f64>
    + Default
    + std::fmt::Display
    + Send
    + Sync
    + sealed::Sealed
    + 'static
{
    /// `"f32"` or `"f64"`.
    const NAME: &'static str;
    /// The unit roundoff `u`: `2⁻²⁴` or `2⁻⁵³`. One rounding to nearest is `fl(x) = x(1 + δ)`, `|δ| ≤ u`, above the
    /// subnormal range.
    const UNIT_ROUNDOFF: f64;
    /// The smallest positive subnormal number `η`: a rounding in the subnormal range is off by at most `η/2`.
    const SMALLEST: f64;
    /// The largest finite number.
    const LARGEST: f64;

    /// Tanh, sigmoid and softplus are evaluated within this many units `u` of their value, but for what underflow adds.
    ///
    /// For `f32` it is *proved*, of `libm` 0.2.16, which Cargo.toml pins: `testkit/examples/smooth_functions.rs` compares
    /// every argument with a reference whose own error is proved. The largest errors are 2.84 units (tanh), 2.97 (sigmoid)
    /// and 2.11 (softplus); every test run compares one argument of 257. For `f64` 16 units are *assumed* of the same
    /// functions, with a wide margin: the library documents one or two units in the last place.
    const SMOOTH_ERROR: f64;

    /// Returns the number nearest to `x`.
    fn of(x: f64) -> Self;
    /// Returns the same number in `f64`, exactly.
    fn wide(self) -> f64;
    /// Returns the largest number of the format that is not above `x`.
    fn round_down(x: f64) -> Self;
    /// Returns the hyperbolic tangent of the pure Rust port of musl, the same on every platform.
    fn tanh_portable(self) -> Self;
    /// Returns the exponential function of the same library.
    fn exp_portable(self) -> Self;
    /// Returns `ln(1 + x)` of the same library.
    fn ln_1p_portable(self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! scalar {
    ($t:ty, $name:literal, $smooth:literal, $tanh:path, $exp:path, $ln_1p:path) => {
        impl Scalar for $t {
            const NAME: &'static str = $name;
            const UNIT_ROUNDOFF: f64 = <$t>::EPSILON as f64 / 2.0;
            const SMALLEST: f64 = <$t>::from_bits(1) as f64;
            const LARGEST: f64 = <$t>::MAX as f64;
            const SMOOTH_ERROR: f64 = $smooth;

            fn of(x: f64) -> Self {
                x as $t
            }
            fn wide(self) -> f64 {
                self as f64
            }
            fn round_down(x: f64) -> Self {
                let nearest = x as $t;
                if nearest as f64 > x { nearest.next_down() } else { nearest }
            }
            fn tanh_portable(self) -> Self {
                $tanh(self)
            }
            fn exp_portable(self) -> Self {
                $exp(self)
            }
            fn ln_1p_portable(self) -> Self {
                $ln_1p(self)
            }
        }
    };
}

scalar!(f32, "f32", 3.0, libm::tanhf, libm::expf, libm::log1pf);
scalar!(f64, "f64", 16.0, libm::tanh, libm::exp, libm::log1p);

/// `C = AB`, or `C += AB` with [`Accum::Add`], on the calling thread.
///
/// Each entry of the product is a sum of products in an order that the kernel chooses, with or without fused
/// multiply-add: what [`crate::rigor::Rounding`] charges holds for every such order.
pub fn gemm<T: Scalar>(mut c: MatMut<'_, T>, accum: Accum, a: MatRef<'_, T>, b: MatRef<'_, T>) {
    faer::linalg::matmul::matmul(c.as_mut(), accum, a, b, T::one(), Par::Seq);
    #[cfg(test)]
    fault::strike(c);
}

/// Which entries of a factor are read, and taken to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Structure {
    /// All of them.
    Full,
    /// Those on and below the diagonal.
    Lower,
}

impl Structure {
    /// Returns the first row of column `j` that is read.
    pub(crate) fn first(self, j: usize) -> usize {
        match self {
            Self::Full => 0,
            Self::Lower => j,
        }
    }
}

impl From<Structure> for triangular::BlockStructure {
    fn from(structure: Structure) -> Self {
        match structure {
            Structure::Full => Self::Rectangular,
            Structure::Lower => Self::TriangularLower,
        }
    }
}

/// `C += ABᵀ` for the entries of `C` that `structure` names, `B` being read as its own structure says.
pub(crate) fn gemm_transposed(
    (mut c, structure): (MatMut<'_, f64>, Structure),
    (a, of_a): (MatRef<'_, f64>, Structure),
    (b, of_b): (MatRef<'_, f64>, Structure),
) {
    let upper = match of_b {
        Structure::Full => triangular::BlockStructure::Rectangular,
        Structure::Lower => triangular::BlockStructure::TriangularUpper,
    };
    let lower = structure.into();
    triangular::matmul(c.as_mut(), lower, Accum::Add, a, of_a.into(), b.transpose(), upper, 1.0, Par::Seq);
    #[cfg(test)]
    fault::strike(c);
}

/// An approximate solution `X` of `X Lᵀ = B` for the lower triangle `L`, in the place of `B`. Nothing about it is trusted.
pub(crate) fn solve_transposed_estimate(l: MatRef<'_, f64>, b: MatMut<'_, f64>) {
    triangular_solve::solve_lower_triangular_in_place(l, b.transpose_mut(), Par::Seq);
}

/// An approximate solution `x` of `LLᵀx = b` for the lower triangle `L`, in the place of `b`. Nothing about it is
/// trusted.
pub(crate) fn solve_estimate(l: MatRef<'_, f64>, b: &mut [f64]) {
    let n = b.len();
    triangular_solve::solve_lower_triangular_in_place(l, MatMut::from_column_major_slice_mut(b, n, 1), Par::Seq);
    let b = MatMut::from_column_major_slice_mut(b, n, 1);
    triangular_solve::solve_upper_triangular_in_place(l.transpose(), b, Par::Seq);
}

/// `B ← L⁻ᵀB` for a lower triangle `L`, approximately. Nothing about it is trusted.
pub(crate) fn back_substitute_estimate(l: MatRef<'_, f64>, b: MatMut<'_, f64>) {
    triangular_solve::solve_upper_triangular_in_place(l.transpose(), b, Par::Seq);
}

/// `b ← L⁻¹b` for a lower triangle `L`, approximately. Nothing about it is trusted.
pub(crate) fn forward_substitute_estimate(l: MatRef<'_, f64>, b: &mut [f64]) {
    let n = b.len();
    triangular_solve::solve_lower_triangular_in_place(l, MatMut::from_column_major_slice_mut(b, n, 1), Par::Seq);
}

/// Returns the eigenvalues of the symmetric matrix whose lower triangle is given, ascending: an estimate, never a
/// bound.
pub(crate) fn eigenvalue_estimates(a: MatRef<'_, f64>) -> Option<Vec<f64>> {
    a.self_adjoint_eigenvalues(Side::Lower).ok()
}

/// Returns an approximate Cholesky factor `L` with `LLᵀ ≈ A`, if faer finds one. Nothing about it is trusted.
pub(crate) fn cholesky_estimate(a: MatRef<'_, f64>) -> Option<Mat<f64>> {
    a.llt(Side::Lower).ok().map(|llt| llt.L().to_owned())
}

/// Returns an approximate inverse of a positive definite matrix. Nothing about it is trusted.
pub(crate) fn inverse_estimate(a: MatRef<'_, f64>) -> Option<Mat<f64>> {
    use faer::linalg::solvers::DenseSolveCore;
    a.llt(Side::Lower).ok().map(|llt| llt.inverse())
}

/// Returns an approximate solution of `AX = B` with a positive definite `A`. Nothing about it is trusted.
pub(crate) fn solve_symmetric_estimate(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Option<Mat<f64>> {
    use faer::linalg::solvers::Solve;
    a.llt(Side::Lower).ok().map(|llt| llt.solve(b))
}

/// Kernels that do not multiply, for tests of what notices it.
#[cfg(test)]
pub(crate) mod fault {
    use std::cell::Cell;

    use faer::MatMut;

    use super::Scalar;

    /// What a faulty kernel does to a product.
    #[derive(Debug, Clone, Copy)]
    pub(crate) enum Fault {
        /// It returns zeros.
        Zeros,
        /// The largest entry of the lower triangle is off by `2⁻²⁰` of it.
        Entry,
    }

    thread_local! {
        static PLANNED: Cell<Option<(Fault, usize)>> = const { Cell::new(None) };
        static PRODUCTS: Cell<usize> = const { Cell::new(0) };
    }

    /// Calls `f` in one thread whose product number `at` is faulty; returns how many products there were, too.
    pub(crate) fn with<R: Send>(fault: Fault, at: usize, f: impl FnOnce() -> R + Send) -> (R, usize) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
        pool.install(|| {
            PLANNED.set(Some((fault, at)));
            (f(), PRODUCTS.get())
        })
    }

    pub(super) fn strike<T: Scalar>(mut c: MatMut<'_, T>) {
        let number = PRODUCTS.replace(PRODUCTS.get() + 1);
        match PLANNED.get() {
            Some((Fault::Zeros, at)) if at == number => c.fill(T::zero()),
            Some((Fault::Entry, at)) if at == number => {
                let entries = (0..c.ncols()).flat_map(|j| (j..c.nrows()).map(move |i| (i, j)));
                let size = |&(i, j): &(usize, usize)| num_traits::Float::abs(c[(i, j)]).wide();
                let largest = entries.max_by(|a, b| size(a).total_cmp(&size(b)));
                if let Some(at) = largest {
                    c[at] *= T::of(1.0 + 2f64.powi(-20));
                }
            }
            _ => {}
        }
    }
}
