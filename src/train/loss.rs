//! The losses.

mod emma;
mod margin;

pub use emma::Emma;
pub use margin::MarginCrossEntropy;

use crate::{
    error::{Error, Result},
    model::{Linear, Map},
    network::Network,
    scalar::Scalar,
    tensor::{Batch, argmax, cast},
};

/// What training makes small.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Loss {
    /// Cross-entropy that asks every sample for the same margin.
    Margin(MarginCrossEntropy),
    /// Cross-entropy that asks for the margin of a radius, class by class, as far as a sample is able to have it.
    Emma(Emma),
}

impl From<MarginCrossEntropy> for Loss {
    fn from(loss: MarginCrossEntropy) -> Self {
        Self::Margin(loss)
    }
}

impl From<Emma> for Loss {
    fn from(loss: Emma) -> Self {
        Self::Emma(loss)
    }
}

/// A loss at one step of the training: it may depend on the step and on the head.
#[derive(Debug)]
pub(super) enum Current {
    Margin(MarginCrossEntropy),
    Emma(Emma, Vec<Vec<f64>>),
}

impl Loss {
    /// Returns the loss when the fraction `t`, in `[0, 1]`, of the training is over.
    ///
    /// # Errors
    /// [`Error::NotProved`] for EMMA on a network whose last layer is not dense: it has no distances of rows.
    pub(super) fn at<T: Scalar>(&self, t: f64, network: &Network<T>) -> Result<Current> {
        Ok(match self {
            Self::Margin(loss) => Current::Margin(*loss),
            Self::Emma(loss) => Current::Emma(loss.at(t), distances(network)?),
        })
    }
}

impl Current {
    /// Returns the sum of the losses, the number of correct predictions, and the gradient by the logits.
    pub(super) fn gradient<T: Scalar>(&self, logits: &Batch<T>, labels: &[usize]) -> ((f64, usize), Batch<T>) {
        match self {
            Self::Margin(loss) => loss.gradient(logits, labels),
            Self::Emma(loss, distances) => loss.gradient(logits, labels, distances),
        }
    }
}

/// Returns the distances `‖wᵢ − wⱼ‖` of the rows of the last layer.
fn distances<T: Scalar>(network: &Network<T>) -> Result<Vec<Vec<f64>>> {
    let Some(Map::Linear(Linear::Dense { weight, .. })) = network.layers().last().map(|layer| layer.describe()) else {
        return Err(Error::not_proved("the loss EMMA", "the last layer is not dense"));
    };
    let weight: Vec<f64> = weight.numbers();
    let rows: Vec<&[f64]> = weight.chunks(weight.len() / network.output().len()).collect();
    let distance = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    Ok(rows.iter().map(|a| rows.iter().map(|b| distance(a, b)).collect()).collect())
}

/// Sums `-τ log softmax(s/τ)_y` over the samples, `s` being what `shift` makes of the logits of a sample and its label
/// `y`; counts the labels that have the largest logit, and returns the gradient by `s`.
fn cross_entropy<T: Scalar>(
    temperature: f64,
    logits: &Batch<T>,
    labels: &[usize],
    shift: impl Fn(&mut [f64], usize),
) -> ((f64, usize), Batch<T>) {
    let mut g = Batch::zeros(logits.shape(), logits.samples());
    let (mut loss, mut correct) = (0.0, 0);
    for (s, &label) in labels.iter().enumerate() {
        let mut f: Vec<f64> = cast(logits.sample(s));
        correct += usize::from(argmax(&f) == label);
        shift(&mut f, label);
        let largest = f.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = f.iter().map(|f| ((f - largest) / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        loss += temperature * total.ln() + largest - f[label];
        for (j, (g, weight)) in g.sample_mut(s).iter_mut().zip(&weights).enumerate() {
            *g = T::of(weight / total - f64::from(u8::from(j == label)));
        }
    }
    ((loss, correct), g)
}
