//! How fast single combinations of the outputs of a stack may change: a constant for each pair of logits.
//!
//! Multipliers for which `N` of `layerwise.rs` is positive definite say that the outputs of the last activation move
//! within an ellipsoid, `‖RΔφ‖ ≤ ρ‖Δx‖`, with `RᵀR` the last pivot and `ρ ≈ 1`: the stack with the matrix `R` behind it is
//! `ρ`-Lipschitz, which its own quadratic constraint proves. For any `u` and `y`, `⟨u, Δφ⟩ = ⟨y, RΔφ⟩ + ⟨u − Rᵀy, Δφ⟩`, so
//!
//! ```math
//! |⟨u, Δφ⟩| ≤ (ρ\,‖y‖ + L\,‖u − Rᵀy‖)\,‖Δx‖
//! ```
//!
//! if the stack is `L`-Lipschitz. With `y ≈ R^{−ᵀ}u` the second term is what rounding has left.

use faer::Mat;

use super::{Chain, Proposal, normalise, refuse};
use crate::{
    error::Result,
    rigor::{
        bound::Upper,
        directed::{ETA, U, add_up, enlarge_sum, gamma, mul_up, norm_up},
    },
    scalar::forward_substitute_estimate,
};

/// `‖RΔφ‖ ≤ ρ‖Δx‖` and `‖Δφ‖ ≤ L‖Δx‖` for the outputs `φ` of a stack.
#[derive(Debug, Clone)]
pub struct Ellipsoid {
    /// `Rᵀ`, a lower triangle.
    factor: Mat<f64>,
    rho: Upper,
    lipschitz: Upper,
}

impl Chain {
    /// Returns the multipliers as they are for the bound 1.
    pub fn unscaled(&self, proposal: &Proposal) -> Vec<Vec<f64>> {
        let scaled = libm::scalbn(proposal.bound, -self.exponent);
        let unscale = |t: &Vec<f64>| t.iter().map(|t| t / (scaled * scaled)).collect();
        proposal.multipliers.iter().map(unscale).collect()
    }

    /// Returns the ellipsoid that multipliers for the bound 1 prove for a stack without an outer matrix, which is
    /// `lipschitz`-Lipschitz.
    ///
    /// # Errors
    /// [`crate::Error::NotProved`] if they prove none.
    pub fn ellipsoid(&self, multipliers: &[Vec<f64>], lipschitz: Upper) -> Result<Ellipsoid> {
        let fits = multipliers.iter().map(Vec::len).eq(self.stages.iter().map(|stage| stage.weight.nrows()));
        if self.outer.is_some() || self.supply.has_input() || !fits {
            return Err(refuse("it is not one multiplier for each neuron of a stack without an outer matrix"));
        }
        let factor = self.last_pivot(multipliers).ok_or_else(|| refuse("the multipliers have no pivots"))?;
        let mut outer = factor.transpose().to_owned();
        let exponent = normalise(&mut outer)?;
        let chain = Self { outer: Some(outer), exponent: self.exponent + exponent, ..self.clone() };
        let mut gap = 1e-12;
        loop {
            let squared = libm::scalbn(1.0 + gap, -2 * exponent);
            let bound = libm::scalbn((1.0 + gap).sqrt(), self.exponent) * (1.0 + 4.0 * U);
            let scale = |t: &Vec<f64>| t.iter().map(|t| squared * t).collect();
            match chain.prove(&Proposal { bound, multipliers: multipliers.iter().map(scale).collect() }) {
                Ok(rho) => return Ok(Ellipsoid { factor, rho, lipschitz }),
                Err(error) if gap > 0.1 => return Err(error),
                Err(_) => gap *= 16.0,
            }
        }
    }
}

impl Ellipsoid {
    /// Returns the number of outputs.
    pub fn outputs(&self) -> usize {
        self.factor.nrows()
    }

    /// Returns an upper bound of `|⟨a − b, Δφ⟩|/‖Δx‖`; infinite or NaN where something overflows.
    pub fn constant(&self, a: &[f64], b: &[f64]) -> f64 {
        let n = self.outputs();
        let mut y: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        forward_substitute_estimate(self.factor.as_ref(), &mut y);
        // Each entry of a − b − Rᵀy is a sum of j + 3 terms, off by γ of their magnitudes and what underflows.
        let mut left: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        let mut sizes: Vec<f64> = a.iter().zip(b).map(|(a, b)| a.abs() + b.abs()).collect();
        for (j, &y) in y.iter().enumerate() {
            for i in j..n {
                let product = self.factor[(i, j)] * y;
                left[i] -= product;
                sizes[i] += product.abs();
            }
        }
        let rounding = gamma(n + 4, U);
        let entry = |(left, size): (&f64, &f64)| {
            let error = mul_up(rounding, enlarge_sum(*size, n + 2));
            add_up(left.abs(), add_up(error, mul_up(ETA, (2 * n + 4) as f64)))
        };
        let rest = norm_up(&left.iter().zip(&sizes).map(entry).collect::<Vec<_>>());
        add_up(mul_up(self.rho.get(), norm_up(&y)), mul_up(self.lipschitz.get(), rest))
    }
}
