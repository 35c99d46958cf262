//! Composition: Lipschitz constants multiply.
//!
//! Averaged maps compose by `φ = Σ αᵢ/(1 − αᵢ)`, `α = φ/(1 + φ)`.
//!
//! Steps of one field that is known in a norm of its own multiply their factors there, and pay `√(λ₊/λ₋)` once ([`super::own_norm`]).
//!
//! Source: Combettes, Yamada, *Compositions and convex combinations of averaged nonexpansive operators*, J. Math. Anal.
//! Appl. 425 (2015).

use super::Numbers;
use crate::{
    certificate::{Claims, OwnNorm},
    rigor::{
        Lower, Upper,
        directed::{add_down, add_up, div_down, div_up, mul_down, sub_down},
    },
};

/// Returns the claims about maps that follow each other, from those about each.
pub fn bound(parts: &[Numbers]) -> Claims {
    let lipschitz = parts.iter().map(|part| Upper::proved(part.bound)).product();
    let inverse = parts.iter().map(|part| part.inverse).try_fold(1.0, |all, inverse| Some(shrunk(all, inverse?)));
    let averaged = match parts {
        [] => None,
        [part] => part.averaged,
        parts => averaged(parts.iter().map(|part| part.averaged)),
    };
    Claims {
        averaged: averaged.filter(|&alpha| alpha < 1.0).map(Upper::proved),
        inverse: inverse.map(Lower::proved),
        ..Claims::lipschitz(lipschitz)
    }
}

/// Returns the claims about a flow, from those about its steps: one for all `count` of them, or one for each.
pub fn flow(steps: &[Numbers], count: usize) -> Claims {
    if let [step] = steps { power(step, count) } else { bound(steps) }
}

/// Returns the claims about one map, `count` times.
pub fn power(step: &Numbers, count: usize) -> Claims {
    let averaged = match (step.averaged, count) {
        (alpha, 1) => alpha,
        (Some(alpha), _) if alpha < 1.0 => {
            let phi = div_up(crate::rigor::directed::mul_up(count as f64, alpha), sub_down(1.0, alpha));
            Some(div_up(phi, add_down(1.0, phi)))
        }
        _ => None,
    };
    let inverse = step.inverse.map(|inverse| (0..count).fold(1.0, |all, _| shrunk(all, inverse)));
    let plain = Upper::proved(step.bound).powi(count);
    // Steps of one field have one norm of their own.
    let own_norm = step.own_norm.map(|norm| OwnNorm {
        condition: Upper::proved(norm.condition),
        bound: Upper::proved(norm.bound).powi(count),
        strong_convexity: None,
    });
    let around = own_norm.map_or(plain, |norm| norm.condition * norm.bound);
    Claims {
        averaged: averaged.filter(|&alpha| alpha < 1.0).map(Upper::proved),
        inverse: inverse.map(Lower::proved),
        own_norm,
        ..Claims::lipschitz(plain.min(around))
    }
}

/// Returns a lower bound of the product of two inverse constants. What underflows is 0, which says as much as a number below it.
fn shrunk(all: f64, inverse: f64) -> f64 {
    mul_down(all, inverse.max(0.0)).max(0.0)
}

/// Returns `α` of averaged maps in a row; none if one of them is not averaged.
fn averaged(parts: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut phi = 0.0;
    for alpha in parts {
        let alpha = alpha.filter(|&alpha| alpha < 1.0)?;
        phi = add_up(phi, div_up(alpha, sub_down(1.0, alpha)));
    }
    // φ/(1 + φ) = 1/(1/φ + 1) grows with φ.
    if phi == 0.0 { Some(0.0) } else { Some(div_up(1.0, add_down(div_down(1.0, phi), 1.0))) }
}
