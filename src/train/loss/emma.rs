//! Efficient margin maximization.

use super::cross_entropy;
use crate::{scalar::Scalar, tensor::Batch};

/// Cross-entropy of the logits that an attack could reach: with the label `y` and the distances `d_j = ‖w_y − w_j‖` of the
/// rows of the head,
///
/// ```math
/// -τ \log \frac{1}{\sum_j e^{(f_j - f_y + ε_j d_j)/τ}}, \qquad ε_j = \min(ε, \max(ε/100, (f_y - f_j)/d_j)) .
/// ```
///
/// Behind 1-Lipschitz features, `(f_y − f_j)/d_j` is the radius that a sample has against class `j`. So a sample is asked for
/// the radius `ε`, or for as much as it has: one that is far from it is not given up for another. `ε_j` and `d_j` count as
/// constants in the gradient. The radius grows from a tenth of `ε` to `ε` over the first half of the training.
///
/// Source: Hu et al., *Unlocking deterministic robustness certification on ImageNet*, NeurIPS 2023, section 4.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Emma {
    /// `τ > 0`.
    pub temperature: f64,
    /// `ε > 0`, in units of the input.
    pub radius: f64,
}

impl Emma {
    /// Returns the loss when the fraction `t`, in `[0, 1]`, of the training is over.
    pub fn at(self, t: f64) -> Self {
        Self { radius: self.radius * (0.1 + 0.9 * (2.0 * t).min(1.0)), ..self }
    }

    /// Returns the sum of the losses, the number of correct predictions, and the gradient by the logits, for the distances
    /// of every row of the head from every other.
    pub fn gradient<T: Scalar>(
        &self,
        logits: &Batch<T>,
        labels: &[usize],
        distances: &[Vec<f64>],
    ) -> ((f64, usize), Batch<T>) {
        cross_entropy(self.temperature, logits, labels, |f, label| {
            let own = f[label];
            for (f, &distance) in f.iter_mut().zip(&distances[label]) {
                let most = self.radius * distance;
                *f += (own - *f).max(0.01 * most).min(most);
            }
        })
    }
}
