//! Slope: a function by coordinates with slopes in `[m, L]` is `max(|m|, |L|)`-Lipschitz.
//!
//! For `0 < m` no distance shrinks by more than `m`. For `−1 < m` and `L ≤ 1` it is averaged with `α = (1 − m)/2`: `(σ − (1 − α) id)/α` has slopes in `[−1, 1]`.

use crate::{
    activation::Activation,
    certificate::Claims,
    rigor::{
        Lower, Upper,
        directed::{div_up, sub_up},
    },
};

/// Returns the claims about an activation.
pub fn bound(function: Activation) -> Claims {
    of_slopes(function.slopes())
}

/// Returns the claims about an activation of some coordinates: the others have slope 1.
pub fn of_some(function: Activation) -> Claims {
    let [m, l] = function.slopes();
    of_slopes([m.min(1.0), l.max(1.0)])
}

fn of_slopes([m, l]: [f64; 2]) -> Claims {
    let averaged = (-1.0 < m && l <= 1.0).then(|| Upper::proved(div_up(sub_up(1.0, m), 2.0)));
    // α < 1 is what averaged means; for m near −1 the rounded quotient may reach it.
    let averaged = averaged.filter(|alpha| alpha.get() < 1.0);
    let inverse = (m > 0.0).then(|| Lower::proved(m));
    Claims { averaged, inverse, ..Claims::lipschitz(Upper::proved(m.abs().max(l.abs()))) }
}

/// Returns `max(|m|, |L|)`, exactly.
pub(crate) fn largest(function: Activation) -> Upper {
    let [m, l] = function.slopes();
    Upper::proved(m.abs().max(l.abs()))
}
