//! Sums and means of branches: `‖Σ Δyᵢ‖ ≤ Σ ‖Δyᵢ‖`.
//!
//! Where one branch shrinks no distance more than the others stretch it, `‖Σ Δyᵢ‖ ≥ (ℓᵢ − Σ_{j≠i} L_j)‖Δx‖`: a skip connection around a
//! contraction loses no gradient.

use super::Numbers;
use crate::{
    certificate::Claims,
    rigor::{
        Lower, Upper,
        directed::{add_up, div_down, div_up, sub_down},
    },
};

/// Returns the claims about a sum, from those about its branches.
pub fn bound(branches: &[Numbers]) -> Claims {
    let lipschitz = branches.iter().map(|branch| Upper::proved(branch.bound)).sum();
    Claims { inverse: least(branches).map(Lower::proved), ..Claims::lipschitz(lipschitz) }
}

/// Returns the claims about a mean, from those about its branches.
pub fn mean(branches: &[Numbers]) -> Claims {
    let (sum, count) = (bound(branches), branches.len() as f64);
    let inverse = sum.inverse.map(|inverse| Lower::proved(div_down(inverse.get(), count)));
    Claims { inverse, ..Claims::lipschitz(Upper::proved(div_up(sum.bound.get(), count))) }
}

/// Returns `max ℓᵢ − Σ_{j≠i} L_j`, if that is positive.
fn least(branches: &[Numbers]) -> Option<f64> {
    let alone = |(i, branch): (usize, &Numbers)| {
        let others = branches.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, other)| other.bound);
        Some(sub_down(branch.inverse?, others.fold(0.0, add_up)))
    };
    branches.iter().enumerate().filter_map(alone).filter(|least| *least > 0.0).reduce(f64::max)
}
