//! Lipschitz bounds of residual steps and short stacks from the slopes of their activations, proved by a residual.
//!
//! A function by coordinates with slopes in `[m, L]` has `(Δs − mΔz)(Δs − LΔz) ≤ 0` for each of them, and so has the
//! sum of these with weights `tᵢ ≥ 0`. For the step `y = x + hBσ(Ax + b)` and `T = diag t` it follows that
//! `‖Δy‖ ≤ ρ‖Δx‖` if
//!
//! ```math
//! \begin{pmatrix} (ρ² − 1)I + 2mL\,AᵀTA & −hB − (m+L)AᵀT \\ · & 2T − h²BᵀB \end{pmatrix} \succeq 0:
//! ```
//!
//! its value at `(Δx, Δs)` is `ρ²‖Δx‖² − ‖Δy‖² + 2 Σ tᵢ(Δs − mΔz)ᵢ(Δs − LΔz)ᵢ`, with `Δz = AΔx`. A stack
//! `y = Bσ_k(W_k ⋯ σ₁(W₁x))` has one such block for each activation. Of a field `f(x) = Cx + Bσ(Ax + b)` the same proves
//! every bound `2a⟨Δx, Δf⟩ + b‖Δf‖² ≤ κ‖Δx‖²`: [`Lurie`]. The multipliers `t` are a witness: whoever proposes them
//! ([`Chain::propose`]), only the proof counts.
//!
//! Everything is scaled by powers of two first: the largest entry of each matrix lies in `[1, 2)`, and multipliers are
//! meant in these units. It changes nothing about slopes, and makes the result the same however weights are shifted
//! from one layer to the next.
//!
//! Sources: Fazlyab, Robey, Hassani, Morari, Pappas, *Efficient and accurate estimation of Lipschitz constants for deep
//! neural networks*, NeurIPS 2019; Araujo, Havens, Delattre, Allauzen, Hu, *A unified algebraic perspective on Lipschitz
//! neural networks*, ICLR 2023; for the diagonal multipliers, Pauli et al., arXiv:2005.02929.

mod assemble;
mod ellipsoid;
mod layerwise;
mod lurie;
mod multipliers;
mod supply;

use faer::Mat;

use self::supply::Supply;
pub use self::{ellipsoid::Ellipsoid, lurie::Lurie};
use super::{
    bound::Upper,
    directed::{exponent, mul_down, scale_up},
    psd::is_positive_semidefinite,
};
use crate::error::{Error, Result};

/// A matrix followed by a function by coordinates with slopes in `[m, L]`.
#[derive(Debug, Clone)]
pub struct Stage {
    /// The matrix `W`.
    pub weight: Mat<f64>,
    /// `[m, L]`.
    pub slopes: [f64; 2],
}

/// `x ↦ x + h(Cx + Bσ(Ax))`, or `x ↦ Bσ_k(W_k ⋯ σ₁(W₁x))`, in units in which every matrix has its largest entry in
/// `[1, 2)`.
#[derive(Debug, Clone)]
pub struct Chain {
    stages: Vec<Stage>,
    /// `B`; the identity if absent.
    outer: Option<Mat<f64>>,
    /// What is bounded.
    supply: Supply,
    /// A bound of the chain is `2ᵉ` times that of the scaled one.
    exponent: i32,
}

/// Multipliers, one for each neuron of each stage, and the Lipschitz bound that they are meant to prove.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// The bound `ρ`.
    pub bound: f64,
    /// `t`, stage by stage, in the units of the chain.
    pub multipliers: Vec<Vec<f64>>,
}

/// The magnitudes of multipliers, steps and bounds that are dealt with: nothing overflows, and what underflows is
/// covered by the constant of `assemble.rs`.
const LARGEST: f64 = f64::from_bits((1023 + 200) << 52);
const SMALLEST: f64 = f64::from_bits((1023 - 200) << 52);

/// The most neurons for which the program of the multipliers is solved as a whole: a step takes a few times their cube.
const WHOLE: usize = 192;

impl Chain {
    /// Returns the step `x ↦ x + hBσ(Ax + b)` with `A` the matrix of `inner` and `B = outer`.
    ///
    /// # Errors
    /// [`Error::Length`] if the matrices do not fit, [`Error::NotProved`] for a zero matrix, numbers that are not
    /// finite, or a scale beyond what the proof deals with.
    pub fn residual(inner: Stage, outer: Mat<f64>, step: f64) -> Result<Self> {
        Lurie::new(None, inner, outer)?.step(step)
    }

    /// Returns the stack `x ↦ Bσ_k(W_k ⋯ σ₁(W₁x))`, the last matrix being the identity if `outer` is absent.
    ///
    /// # Errors
    /// As [`Self::residual`].
    pub fn stack(stages: Vec<Stage>, outer: Option<Mat<f64>>) -> Result<Self> {
        Self::scaled(stages, outer)
    }

    fn scaled(mut stages: Vec<Stage>, mut outer: Option<Mat<f64>>) -> Result<Self> {
        let mut width = stages.first().ok_or_else(|| refuse("it has no activation"))?.weight.ncols();
        for stage in &stages {
            fits(&stage.weight, width)?;
            width = stage.weight.nrows();
            let [m, l] = stage.slopes;
            let admissible = m < l && l <= 1e6 && m >= -1e6 && l - m >= 1e-6 && l > 0.0;
            // The products 2mL are to be normal numbers.
            if !admissible || (m != 0.0 && m.abs() < 1e-100) || l < 1e-100 {
                return Err(refuse(&format!("slopes in [{m}, {l}]")));
            }
        }
        if let Some(b) = &outer {
            fits(b, width)?;
        }
        let mut total = 0i64;
        for w in stages.iter_mut().map(|s| &mut s.weight).chain(&mut outer) {
            total += i64::from(normalise(w)?);
        }
        let exponent = i32::try_from(total).map_err(|_| refuse("its scale is out of range"))?;
        Ok(Self { stages, outer, supply: Supply::lipschitz(), exponent })
    }

    /// Returns the number of inputs and of neurons: the size of the matrix that is proved.
    pub fn size(&self) -> usize {
        self.input() + self.stages.iter().map(|s| s.weight.nrows()).sum::<usize>()
    }

    /// Returns the number of neurons.
    pub fn neurons(&self) -> usize {
        self.size() - self.input()
    }

    /// Returns whether a matrix is behind the last activation.
    pub fn has_outer(&self) -> bool {
        self.outer.is_some()
    }

    fn input(&self) -> usize {
        self.stages[0].weight.ncols()
    }

    /// Returns `bound`, if the multipliers prove that the chain is so much Lipschitz.
    ///
    /// # Errors
    /// [`Error::NotProved`] if they do not, or if there is not one finite positive multiplier for each neuron.
    pub fn prove(&self, proposal: &Proposal) -> Result<Upper> {
        let Proposal { bound, multipliers } = proposal;
        let scaled = libm::scalbn(*bound, -self.exponent);
        // What scaling would round away is given away: the smaller number is proved.
        let squared = mul_down(scaled, scaled);
        if !(SMALLEST..=LARGEST).contains(&squared) || scale_up(scaled, self.exponent) > *bound {
            return Err(refuse("a multiplier or the bound is out of range"));
        }
        if self.holds(squared, multipliers)? {
            Ok(Upper::proved(*bound))
        } else {
            Err(refuse(&format!("the multipliers do not prove {bound}")))
        }
    }

    /// Returns whether the multipliers prove the matrix positive semidefinite for a level.
    fn holds(&self, level: f64, multipliers: &[Vec<f64>]) -> Result<bool> {
        let sizes = self.stages.iter().map(|s| s.weight.nrows());
        if multipliers.len() != self.stages.len() || !multipliers.iter().map(Vec::len).eq(sizes) {
            return Err(refuse("there is not one multiplier for each neuron"));
        }
        if !multipliers.iter().flatten().all(|t| (SMALLEST..=LARGEST).contains(t)) {
            return Err(refuse("a multiplier or the bound is out of range"));
        }
        let (image, error) = self.assemble(level, multipliers);
        Ok(is_positive_semidefinite(image.as_ref(), &error))
    }

    /// Returns the best bound that a search for multipliers finds, proved, with its witness.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the search ends without a proof.
    pub fn search(&self) -> Result<(Upper, Proposal)> {
        let by_layers = self.propose_by_layers();
        // As a whole the program is solved to its end where it is small, or where nothing else is known.
        let is_small = self.stages.iter().map(|stage| stage.weight.nrows()).sum::<usize>() <= WHOLE;
        let whole = if is_small || by_layers.is_none() { self.propose() } else { None };
        let mut proposals: Vec<Proposal> = [whole, by_layers].into_iter().flatten().collect();
        proposals.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        let proved = proposals.into_iter().find_map(|proposal| self.nearly(proposal).ok());
        proved.ok_or_else(|| refuse("no multipliers were found"))
    }

    /// Returns what the multipliers prove.
    fn nearly(&self, mut proposal: Proposal) -> Result<(Upper, Proposal)> {
        let best = proposal.bound;
        let bound = first_proved(|gap| {
            proposal.bound = best * (1.0 + gap);
            self.prove(&proposal)
        })?;
        Ok((bound, proposal))
    }
}

/// Returns the first proof as more and more is given away, relatively: a proposal has a little slack, which rounding may have eaten.
fn first_proved<T>(mut prove: impl FnMut(f64) -> Result<T>) -> Result<T> {
    let mut gap = 0.0;
    loop {
        match prove(gap) {
            Err(_) if gap <= 0.1 => gap = if gap == 0.0 { 1e-12 } else { 16.0 * gap },
            found => return found,
        }
    }
}

fn refuse(reason: &str) -> Error {
    Error::not_proved("a quadratic constraint", reason)
}

fn fits(w: &Mat<f64>, width: usize) -> Result<()> {
    if w.ncols() != width || w.nrows() == 0 || width == 0 {
        return Err(Error::Length { what: "matrix of a chain".into(), expected: width, found: w.ncols() });
    }
    Ok(())
}

/// Divides a matrix by `2ᵉ`, exactly, so that its largest entry lies in `[1, 2)`, and returns `e`.
fn normalise(w: &mut Mat<f64>) -> Result<i32> {
    let mut largest = 0.0f64;
    for j in 0..w.ncols() {
        for i in 0..w.nrows() {
            if !w[(i, j)].is_finite() {
                return Err(refuse("a weight is not finite"));
            }
            largest = largest.max(w[(i, j)].abs());
        }
    }
    if largest == 0.0 {
        return Err(refuse("a matrix is zero"));
    }
    let e = exponent(largest);
    for j in 0..w.ncols() {
        for i in 0..w.nrows() {
            let scaled = libm::scalbn(w[(i, j)], -e);
            if libm::scalbn(scaled, e) != w[(i, j)] {
                return Err(refuse("the weights of a matrix are too far apart"));
            }
            w[(i, j)] = scaled;
        }
    }
    Ok(e)
}
