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
    /// Returns the loss when the fraction `t` of the training is over.
    pub(super) fn at(self, t: f64) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    #[test]
    fn a_sample_is_asked_for_what_it_may_have() {
        let loss = Emma { temperature: 0.5, radius: 0.2 };
        let distances = vec![vec![0.0, 1.0, 2.0], vec![1.0, 0.0, 1.0], vec![2.0, 1.0, 0.0]];
        // Against class 1 the sample has radius 0.1, which is less than 0.2; against class 2, 0.5.
        let logits = Batch::new(Shape::Features(3), vec![1.0, 0.9, 0.0]).unwrap();
        let ((value, correct), g) = loss.gradient::<f64>(&logits, &[0], &distances);
        let shifted: [f64; 3] = [1.0, 0.9 + 0.1, 0.0 + 0.4];
        let total: f64 = shifted.iter().map(|f| (f / 0.5).exp()).sum();
        assert!((value - (0.5 * total.ln() - 1.0)).abs() < 1e-12, "{value}");
        assert_eq!(correct, 1);
        for (j, (g, f)) in g.data().iter().zip(shifted).enumerate() {
            let expected = (f / 0.5).exp() / total - f64::from(u8::from(j == 0));
            assert!((g - expected).abs() < 1e-12, "{j}: {g}");
        }
        // A sample that is classified wrongly is asked for a hundredth.
        let ((value, correct), _) = loss.gradient::<f64>(&logits, &[2], &distances);
        let shifted: [f64; 3] = [1.0 + 0.004, 0.9 + 0.002, 0.0];
        let total: f64 = shifted.iter().map(|f| (f / 0.5).exp()).sum();
        assert!((value - 0.5 * total.ln()).abs() < 1e-12, "{value}");
        assert_eq!(correct, 0);
    }

    #[test]
    fn the_radius_grows_over_the_first_half() {
        let loss = Emma { temperature: 0.5, radius: 0.2 };
        let radii = [0.0, 0.25, 0.5, 1.0].map(|t| loss.at(t).radius);
        for (found, expected) in radii.into_iter().zip([0.02, 0.11, 0.2, 0.2]) {
            assert!((found - expected).abs() < 1e-15, "{found}");
        }
    }
}
