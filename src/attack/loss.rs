//! What a descent decreases, and by which steps.
//!
//! Source: Croce, Hein, *Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free
//! attacks*, ICML 2020, on margins and on gradients of the cross-entropy that vanish.

use serde::{Deserialize, Serialize};

use crate::{scalar::Scalar, tensor::argmax};

/// What the attack decreases, as a function of the logits `f` and the label `y`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// The margin `f_y − max_{j≠y} f_j`.
    Margin,
    /// The difference `f_y − f_j` to one other class in each descent: to the nearest one, to first order, in the first
    /// descent, to the next in the second, and so on. With `classes − 1` starts every class is tried (Gowal et al.,
    /// *An alternative surrogate loss for PGD-based adversarial testing*, arXiv:1910.09338). A margin follows the class
    /// with the second largest logit and never meets a third one that is nearer, and can be caught between two classes of
    /// which neither is the nearest.
    Targeted,
    /// Minus the cross-entropy, `log softmax(f)_y`. Only the direction of a gradient counts here; it is computed without
    /// the factor that underflows where the network is confident.
    CrossEntropy,
}

/// The length of step `k` of `n`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepSize {
    /// `c·ε/n`.
    Constant(f64),
    /// `c·ε/n·(1 + cos(πk/n))`: the same distance in all, in long steps first and short ones at the end.
    Cosine(f64),
}

/// Returns whether the executed logits do not name the label: another class comes first, or a logit is NaN.
pub(super) fn is_broken<T: Scalar>(logits: &[T], label: usize) -> bool {
    argmax(logits) != label || logits.iter().any(|l| num_traits::Float::is_nan(*l))
}

/// Returns `f_y − max_{j≠y} f_j`, and the `j` that attains it; infinite if there is only one class.
pub(super) fn margin<T: Scalar>(logits: &[T], label: usize) -> (f64, Option<usize>) {
    let others = (0..logits.len()).filter(|&j| j != label);
    let other = others.reduce(|best, j| if logits[j] > logits[best] { j } else { best });
    (other.map_or(f64::INFINITY, |j| logits[label].wide() - logits[j].wide()), other)
}

/// Returns all classes but the label, by descending logits.
pub(super) fn runners_up<T: Scalar>(logits: &[T], label: usize) -> Vec<usize> {
    let mut others: Vec<usize> = (0..logits.len()).filter(|&j| j != label).collect();
    others.sort_by(|&i, &j| logits[j].wide().total_cmp(&logits[i].wide()));
    others
}

/// Returns the `k`-th of some classes, `k` from 0 and counted around; the label itself if there are none.
pub(super) fn around(classes: &[usize], label: usize, k: usize) -> usize {
    if classes.is_empty() { label } else { classes[k % classes.len()] }
}

impl Loss {
    /// Returns how far a descent has come: the margin, or the difference to the class that it aims at.
    pub(super) fn value<T: Scalar>(self, logits: &[T], label: usize, target: usize) -> f64 {
        match self {
            Self::Targeted if target != label => logits[label].wide() - logits[target].wide(),
            _ => margin(logits, label).0,
        }
    }

    /// The gradient by the logits up to a positive factor, added to `g`, which holds zeros.
    pub(super) fn gradient<T: Scalar>(self, logits: &[T], label: usize, target: usize, g: &mut [T]) {
        let Some(other) = margin(logits, label).1 else { return };
        match self {
            Self::Targeted if target != label => (g[label], g[target]) = (T::one(), -T::one()),
            Self::Margin | Self::Targeted => (g[label], g[other]) = (T::one(), -T::one()),
            Self::CrossEntropy => {
                // ∂(−log p_y)/∂f_j = p_j for j ≠ y, and −Σ_{j≠y} p_j for y, in units of the largest p_j.
                let mut sum = 0.0;
                for j in (0..logits.len()).filter(|&j| j != label) {
                    let p = (logits[j].wide() - logits[other].wide()).exp_portable();
                    g[j] = T::of(-p);
                    sum += p;
                }
                g[label] = T::of(sum);
            }
        }
    }
}

impl StepSize {
    /// Returns the length of step `k` of `n` in units of `ε`.
    pub(super) fn at(self, k: usize, n: usize) -> f64 {
        match self {
            Self::Constant(c) => c / n as f64,
            Self::Cosine(c) => c / n as f64 * (1.0 + libm::cos(std::f64::consts::PI * k as f64 / n as f64)),
        }
    }
}
