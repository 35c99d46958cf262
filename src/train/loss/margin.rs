//! Cross-entropy with an offset.

use super::cross_entropy;
use crate::{scalar::Scalar, tensor::Batch};

/// Cross-entropy with a temperature `τ` and a margin offset `κ`:
///
/// ```math
/// -τ \log \frac{e^{(f_y - \sqrt 2 κ)/τ}}{e^{(f_y - \sqrt 2 κ)/τ} + \sum_{j \ne y} e^{f_j/τ}} .
/// ```
///
/// Logits of a 1-Lipschitz network with unit rows measure distances, so `κ` is the radius in units of the input that
/// the loss asks for (the `√2` is the largest distance of two orthogonal unit rows), and a low temperature makes it
/// care for the samples near it.
///
/// Source: Prach, Lampert, *Almost-orthogonal layers for efficient general-purpose Lipschitz networks*, ECCV 2022.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarginCrossEntropy {
    /// `τ > 0`.
    pub temperature: f64,
    /// `κ ≥ 0`, in units of the input.
    pub offset: f64,
}

impl MarginCrossEntropy {
    /// The common cross-entropy: `τ = 1`, `κ = 0`.
    pub const PLAIN: Self = Self { temperature: 1.0, offset: 0.0 };

    /// Returns the sum of the losses, the number of correct predictions, and the gradient by the logits.
    pub fn gradient<T: Scalar>(&self, logits: &Batch<T>, labels: &[usize]) -> ((f64, usize), Batch<T>) {
        let offset = std::f64::consts::SQRT_2 * self.offset;
        cross_entropy(self.temperature, logits, labels, |f, label| f[label] -= offset)
    }
}
