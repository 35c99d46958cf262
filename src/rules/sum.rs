//! Sums and means of branches: `‖Σ Δyᵢ‖ ≤ Σ ‖Δyᵢ‖`.

use super::Numbers;
use crate::{
    certificate::Claims,
    rigor::{Upper, directed::div_up},
};

/// Returns the claims about a sum, from those about its branches.
pub fn bound(branches: &[Numbers]) -> Claims {
    Claims::lipschitz(branches.iter().map(|branch| Upper::proved(branch.bound)).sum())
}

/// Returns the claims about a mean, from those about its branches.
pub fn mean(branches: &[Numbers]) -> Claims {
    let sum: Upper = branches.iter().map(|branch| Upper::proved(branch.bound)).sum();
    Claims::lipschitz(Upper::proved(div_up(sum.get(), branches.len() as f64)))
}
