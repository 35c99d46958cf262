//! What the pass forward finds out, and the pass backward rests on.

use super::{lines::Lines, norms::NormLines};

/// What is known of a node within a region.
#[derive(Debug)]
pub(super) struct Known {
    /// Bounds of each number.
    pub(super) range: Vec<[f64; 2]>,
    /// Bounds of the magnitudes.
    pub(super) magnitude: Vec<f64>,
    /// For an affine map or a sum, bounds of `Σ |wᵢⱼ||hⱼ| + |bᵢ|`: what roundings are measured by.
    pub(super) scale: Vec<f64>,
    /// For a function, the lines of each coordinate that it is applied to.
    pub(super) lines: Vec<Lines>,
    /// For norms, the linear functions about each.
    pub(super) norms: Vec<NormLines>,
}
