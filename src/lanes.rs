//! The vector instructions for [`Block`]s of numbers.
//!
//! The instructions come from `pulp`, which chooses them when the program runs: AVX-512, AVX2 with FMA, NEON, or none.
//! All code that is generic over [`Lanes`] and inlined below [`pulp::Simd::vectorize`] is compiled once for each.

use pulp::Simd;

pub use crate::block::{Block, LANES};

/// Numbers that come in vectors.
pub trait Lanes: Copy + Default + Send + Sync + 'static {
    /// A vector of the instruction set `S`.
    type Vector<S: Simd>: Copy;

    /// Returns the vector that holds `x` everywhere.
    fn splat<S: Simd>(simd: S, x: Self) -> Self::Vector<S>;

    /// Returns `a·b + c`, with one rounding or two.
    fn multiply_add<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>, c: Self::Vector<S>) -> Self::Vector<S>;

    /// Returns `a + b`.
    fn plus<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// Returns `a·b`.
    fn times<S: Simd>(simd: S, a: Self::Vector<S>, b: Self::Vector<S>) -> Self::Vector<S>;

    /// Returns `then` where `a < b`, `otherwise` elsewhere.
    fn where_less<S: Simd>(
        simd: S,
        a: Self::Vector<S>,
        b: Self::Vector<S>,
        then: Self::Vector<S>,
        otherwise: Self::Vector<S>,
    ) -> Self::Vector<S>;

    /// Returns the numbers as vectors; what does not fill one is left out.
    fn vectors<S: Simd>(x: &[Self]) -> &[Self::Vector<S>];

    /// Returns the numbers as vectors; what does not fill one is left out.
    fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [Self::Vector<S>];
}

macro_rules! lanes {
    ($t:ty, $vector:ident, $splat:ident, $multiply_add:ident, $plus:ident, $times:ident, $less:ident, $select:ident,
     $vectors:ident, $vectors_mut:ident) => {
        impl Lanes for $t {
            type Vector<S: Simd> = S::$vector;

            #[inline(always)]
            fn splat<S: Simd>(simd: S, x: Self) -> S::$vector {
                simd.$splat(x)
            }
            #[inline(always)]
            fn multiply_add<S: Simd>(simd: S, a: S::$vector, b: S::$vector, c: S::$vector) -> S::$vector {
                simd.$multiply_add(a, b, c)
            }
            #[inline(always)]
            fn plus<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$plus(a, b)
            }
            #[inline(always)]
            fn times<S: Simd>(simd: S, a: S::$vector, b: S::$vector) -> S::$vector {
                simd.$times(a, b)
            }
            #[inline(always)]
            fn where_less<S: Simd>(
                simd: S,
                a: S::$vector,
                b: S::$vector,
                then: S::$vector,
                otherwise: S::$vector,
            ) -> S::$vector {
                simd.$select(simd.$less(a, b), then, otherwise)
            }
            #[inline(always)]
            fn vectors<S: Simd>(x: &[Self]) -> &[S::$vector] {
                S::$vectors(x).0
            }
            #[inline(always)]
            fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [S::$vector] {
                S::$vectors_mut(x).0
            }
        }
    };
}

#[rustfmt::skip]
lanes!(
    f32, f32s, splat_f32s, mul_add_e_f32s, add_f32s, mul_f32s, less_than_f32s, select_f32s, as_simd_f32s,
    as_mut_simd_f32s
);
#[rustfmt::skip]
lanes!(
    f64, f64s, splat_f64s, mul_add_e_f64s, add_f64s, mul_f64s, less_than_f64s, select_f64s, as_simd_f64s,
    as_mut_simd_f64s
);

/// Returns `f` of each vector of `x` and the one at its place in `y`, in the place of the former.
///
/// Written with explicit vectors: of a loop over lanes the compiler makes one over blocks, which gathers and scatters.
#[inline(always)]
pub(crate) fn update<T: Lanes, S: Simd>(
    _simd: S,
    x: &mut [Block<T>],
    y: &[Block<T>],
    mut f: impl FnMut(T::Vector<S>, T::Vector<S>) -> T::Vector<S>,
) {
    for (x, y) in x.iter_mut().zip(y) {
        for (x, &y) in T::vectors_mut::<S>(&mut x.0).iter_mut().zip(T::vectors::<S>(&y.0)) {
            *x = f(*x, y);
        }
    }
}

/// Returns the number of vectors of a block: a constant for each instruction set.
pub(crate) const fn vectors_in_block<T: Lanes, S: Simd>() -> usize {
    size_of::<[T; LANES]>() / size_of::<T::Vector<S>>()
}
