//! How long the steps of a flow are.

use crate::{model::length, scalar::Scalar};

/// How the length of a step is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Step {
    /// The length `h` itself.
    Fixed(f64),
    /// This fraction, in `(0, 1]`, of the longest step that circle contractivity proves, `2rν`. In training an estimate
    /// of `ν` stands in for its proof; sealing fixes the step by the proved one.
    Relative(f64),
    /// The whole time `T`, over `n` steps of `T/n`: `n = ⌈T/(2rν)⌉`, so that each is within the limit of circle
    /// contractivity, or as many as are asked for, if that is more. In training an estimate of `ν` stands in for its proof;
    /// sealing fixes `n` by the proved one. With one field a step, `n` is the number of fields.
    Horizon(f64),
}

/// The most steps that an estimate chooses in training; a proof may choose more.
pub(super) const MOST_ESTIMATED: f64 = 1000.0;

/// Returns `horizon/steps` in the format of the network, as files mean it.
pub(super) fn quotient<T: Scalar>(horizon: f64, steps: usize) -> T {
    T::of(length(T::of(horizon).wide(), steps, &|x| x))
}
