//! The properties that every layer, field and method must satisfy, for new ones from outside the crate as for its own.
//!
//! A law takes a subject and a seed, and fails with the numbers that break it. Claims are judged without any tolerance:
//! inputs are exact, differences and norms are enclosed by outward rounding ([`crate::rigor::directed`]), and what is
//! executed is within its *proved* rounding error of what is meant, so that a claim fails only if it is false. Laws
//! about derivatives, which no certificate rests on, have tolerances.
//!
//! | law of a layer | what it says |
//! |---|---|
//! | [`layer::shapes`] | outputs, pullbacks and pushforwards have the shapes that are declared |
//! | [`layer::samples`] | a sample has the same value alone as in a batch |
//! | [`layer::lipschitz`] | `‖Δy‖ ≤ L‖Δx‖`, on pairs that are close, far, and along the worst direction |
//! | [`layer::averaged`] | `‖Δy − (1 − α)Δx‖ ≤ α‖Δx‖`, where `α` is claimed |
//! | [`layer::inverse`] | `‖Δy‖ ≥ ℓ‖Δx‖`, where `ℓ` is claimed |
//! | [`layer::rounding`] | what runs in `T` is as far from what runs in `f64` as both bounds allow, anywhere in a ball |
//! | [`layer::widening`] | the layer over `f64` makes the same claim |
//! | [`layer::adjoint`] | `⟨u, Jv⟩ = ⟨Jᵀu, v⟩` |
//! | [`layer::differences`] | `Jv` and the gradient by the parameters agree with difference quotients |
//!
//! | law of a field | what it says |
//! |---|---|
//! | [`field::constants`] | the Lipschitz, one-sided Lipschitz, cocoercivity and curvature constants hold |
//! | [`field::rounding`], [`field::widening`], [`field::adjoint`], [`field::differences`] | as for a layer |
//!
//! | law of a method | what it says |
//! |---|---|
//! | [`tableau::order`] | the error shrinks at the rate that the order promises |
//! | [`tableau::circle`] | a step at the limit of circle contractivity expands nothing, in exact arithmetic |
//!
//! One line holds a new layer to all of them, in `f32` and in `f64`:
//!
//! ```
//! use dahlquist::{laws::strategies, layer_laws};
//! layer_laws! {
//!     my_dense<T>: strategies::dense_layer::<T>();
//! }
//! # fn main() {}
//! ```
//!
//! and [`search`] returns the counterexample, shrunk, where one is to be looked at. Every run is the same; the variables
//! `PROPTEST_RNG_SEED` and `PROPTEST_CASES` make another one, and a longer one.

mod enclosure;
pub mod field;
pub mod layer;
mod points;
pub mod strategies;
pub mod tableau;

use std::fmt::Debug;

use proptest::{
    prelude::{Strategy, any},
    test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner},
};

pub use field::{all as field, claims as field_claims};
pub use layer::{all as layer, claims};
pub use tableau::all as tableau;

/// Whether a law holds, and if it does not, the numbers that break it.
pub type Verdict = Result<(), TestCaseError>;

/// How many cases [`hold`] tries.
pub const CASES: u32 = 48;

/// Looks for a subject, among `cases` of them, that breaks a law, and returns the simplest one found with its seed.
///
/// # Errors
/// The counterexample, if there is one.
pub fn search<S: Strategy>(
    cases: u32,
    subjects: S,
    law: impl Fn(&S::Value, u64) -> Verdict,
) -> Result<(), TestError<(S::Value, u64)>> {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 2048, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(2510_22299);
    }
    let cases = (subjects, any::<u64>().no_shrink());
    TestRunner::new(config).run(&cases, |(subject, seed)| law(&subject, seed))
}

/// Holds subjects to a law.
///
/// # Panics
/// With the counterexample, if there is one.
pub fn hold<S: Strategy>(subjects: S, law: impl Fn(&S::Value, u64) -> Verdict)
where
    S::Value: Debug,
{
    if let Err(counterexample) = search(CASES, subjects, law) {
        panic!("{counterexample}");
    }
}

/// Returns a failure of a law.
fn broken(what: impl Into<String>) -> TestCaseError {
    TestCaseError::fail(what.into())
}

/// Tests of all laws of layers, over `f32` and `f64`, for strategies that are generic over the format.
///
/// See [`crate::laws`] for an example; each line makes a module with the tests `f32` and `f64`.
#[macro_export]
macro_rules! layer_laws {
    ($($(#[$meta:meta])* $name:ident<$T:ident>: $subjects:expr;)*) => {
        $crate::laws_of! { layer $($(#[$meta])* $name<$T>: $subjects;)* }
    };
}

/// Tests of the laws of layers on which certificates rest, as [`layer_laws`]: for strategies with numbers near the ends of
/// the exponent range, where derivatives are not to be compared.
#[macro_export]
macro_rules! claim_laws {
    ($($(#[$meta:meta])* $name:ident<$T:ident>: $subjects:expr;)*) => {
        $crate::laws_of! { claims $($(#[$meta])* $name<$T>: $subjects;)* }
    };
}

/// Tests of the laws of vector fields on which certificates rest, as [`claim_laws`].
#[macro_export]
macro_rules! field_claim_laws {
    ($($(#[$meta:meta])* $name:ident<$T:ident>: $subjects:expr;)*) => {
        $crate::laws_of! { field_claims $($(#[$meta])* $name<$T>: $subjects;)* }
    };
}

/// Tests of all laws of vector fields, as [`layer_laws`].
#[macro_export]
macro_rules! field_laws {
    ($($(#[$meta:meta])* $name:ident<$T:ident>: $subjects:expr;)*) => {
        $crate::laws_of! { field $($(#[$meta])* $name<$T>: $subjects;)* }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! laws_of {
    ($law:ident $($(#[$meta:meta])* $name:ident<$T:ident>: $subjects:expr;)*) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "subjects may be named by whole paths")]
            use super::*;

            #[test]
            fn f32() {
                type $T = f32;
                $crate::laws::hold($subjects, |subject, seed| $crate::laws::$law::<$T, _>(subject, seed));
            }

            #[test]
            fn f64() {
                type $T = f64;
                $crate::laws::hold($subjects, |subject, seed| $crate::laws::$law::<$T, _>(subject, seed));
            }
        }
    )*};
}
