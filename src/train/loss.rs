//! The loss.

use crate::{
    scalar::Scalar,
    tensor::{Batch, argmax, cast},
};

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

    /// The sum of the losses, the number of correct predictions, and the gradient by the logits.
    pub fn gradient<T: Scalar>(&self, logits: &Batch<T>, labels: &[usize]) -> ((f64, usize), Batch<T>) {
        let mut g = Batch::zeros(logits.shape(), logits.samples());
        let (mut loss, mut correct) = (0.0, 0);
        for (s, &label) in labels.iter().enumerate() {
            let mut f: Vec<f64> = cast(logits.sample(s));
            correct += usize::from(argmax(&f) == label);
            f[label] -= std::f64::consts::SQRT_2 * self.offset;
            let largest = f.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = f.iter().map(|f| ((f - largest) / self.temperature).exp()).collect();
            let total: f64 = weights.iter().sum();
            loss += self.temperature * total.ln() + largest - f[label];
            for (j, (g, weight)) in g.sample_mut(s).iter_mut().zip(&weights).enumerate() {
                *g = T::of(weight / total - f64::from(u8::from(j == label)));
            }
        }
        ((loss, correct), g)
    }
}
