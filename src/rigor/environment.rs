//! What proofs assume of the arithmetic of the machine, put to the test on the thread that is about to compute.
//!
//! Bounds assume IEEE 754 arithmetic in `f32` and `f64`: rounding to nearest, ties to even; gradual underflow; no wider
//! format in between. A program can change that for a thread: flags of the processor round in another direction, flush
//! results that are subnormal to zero, or take such operands for zero, and libraries set them for speed. [`check`] does
//! sums, products, quotients and roots whose results tell these apart. It takes well under a microsecond, and is done
//! when a network is sealed, for every node of a proof that is checked, for every norm and every frequency that a worker
//! of a pool is given, and for every chunk of samples, on the thread that takes it.
//!
//! What it cannot tell: whether the flags change after it, whether a processor has an error, and whether vector units obey
//! other flags than scalar ones. On x86-64 and AArch64 they obey the same; 32-bit ARM flushes in its vector unit, which
//! [`check_products`] sees, as it looks at the kernels of faer.

use std::hint::black_box;

use faer::{Accum, Mat};

use crate::{
    error::{Error, Result},
    scalar::{Scalar, gemm},
};

/// Checks that this thread computes as proofs assume.
///
/// # Errors
/// [`Error::Environment`] if it does not.
pub fn check() -> Result<()> {
    format::<f32>()?;
    format::<f64>()
}

/// Checks that products of matrices on this thread do not flush subnormal numbers either.
///
/// # Errors
/// [`Error::Environment`] if they do.
pub fn check_products() -> Result<()> {
    products::<f32>()?;
    products::<f64>()
}

/// Returns the bound that a worker of a pool computes; infinity if its thread does not compute as proofs assume.
pub(crate) fn bounded(bound: impl FnOnce() -> f64) -> f64 {
    if check().is_ok() { bound() } else { f64::INFINITY }
}

/// What one operation must yield.
struct Expected<T> {
    result: T,
    expected: T,
    assumption: &'static str,
}

fn format<T: Scalar>() -> Result<()> {
    let n = |x: f64| black_box(T::of(x));
    let (u, one) = (T::UNIT_ROUNDOFF, n(1.0));
    let is = |result: T, expected: f64, assumption| Expected { result, expected: T::of(expected), assumption };
    let (nearest, gradual) = ("rounds to nearest, ties to even", "underflows gradually");
    let (least, normal) = (n(T::SMALLEST), n(T::SMALLEST / (2.0 * u)));
    // Half a unit is a tie, to the even neighbour; a little more or less goes to the nearer one. Each other direction of
    // rounding fails one of these, and so does a wider format that rounds twice.
    let more = u * (1.0 + 8.0 * u.sqrt().sqrt());
    let less = u * (1.0 - 8.0 * u.sqrt().sqrt());
    let barely = u * (1.0 + 2.0 * u);
    let all = [
        is(one + n(u), 1.0, nearest),
        is(n(-1.0) - n(u), -1.0, nearest),
        is(one + n(2.0 * u) + n(u), 1.0 + 4.0 * u, nearest),
        is(one + n(more), 1.0 + 2.0 * u, nearest),
        is(n(-1.0) - n(more), -1.0 - 2.0 * u, nearest),
        is(one + n(barely), 1.0 + 2.0 * u, nearest),
        is(one + n(less), 1.0, nearest),
        is(n(1.0 + 2.0 * u) * n(1.0 + 2.0 * u), 1.0 + 4.0 * u, nearest),
        is(n(1.0 - u) * n(1.0 - u), 1.0 - 2.0 * u, nearest),
        // (1/3)·3 is 1 for the nearest third, and no other.
        is(one / n(3.0) * n(3.0), 1.0, nearest),
        is(num_traits::Float::sqrt(n(1.0 + 4.0 * u)), 1.0 + 2.0 * u, nearest),
        is(normal * n(0.5) / n(0.5), T::SMALLEST / (2.0 * u), gradual),
        is(least + least, 2.0 * T::SMALLEST, gradual),
        is(least * n(4.0), 4.0 * T::SMALLEST, gradual),
        is(least / n(u), T::SMALLEST / u, gradual),
        is(n(T::SMALLEST * 3.0) * n(0.5), T::SMALLEST * 2.0, gradual),
        is(n(T::SMALLEST / (2.0 * u) * 1.5) - normal, T::SMALLEST / (4.0 * u), gradual),
    ];
    all.iter().try_for_each(Expected::check)
}

/// Sums of more terms than a vector has, some of them subnormal, in both operands.
fn products<T: Scalar>() -> Result<()> {
    let size = 17;
    let least = T::of(T::SMALLEST);
    let a = Mat::from_fn(size, size, |i, j| T::of(((i + 2 * j) % 5) as f64));
    let tiny = Mat::from_fn(size, size, |i, j| T::of(((3 * i + j) % 7) as f64) * least);
    for (left, right) in [(&a, &tiny), (&tiny, &a)] {
        let mut c: Mat<T> = Mat::zeros(size, size);
        gemm(c.as_mut(), Accum::Replace, black_box(left.as_ref()), black_box(right.as_ref()));
        for i in 0..size {
            for j in 0..size {
                // Multiples of the smallest number, and few: they are exact in every order.
                let exact: f64 = (0..size).map(|k| left[(i, k)].wide() * right[(k, j)].wide()).sum();
                let assumption = "underflows gradually in products of matrices";
                Expected { result: c[(i, j)], expected: T::of(exact), assumption }.check()?;
            }
        }
    }
    Ok(())
}

impl<T: Scalar> Expected<T> {
    fn check(&self) -> Result<()> {
        let Self { result, expected, assumption } = self;
        if result == expected {
            return Ok(());
        }
        let found = format!("{:e} came out where {:e} is due", result.wide(), expected.wide());
        Err(Error::Environment { scalar: T::NAME, assumption, found })
    }
}
