//! What a certificate file claims about samples: predictions, radii, and the accuracies that follow from them.
//!
//! ```json
//! {"sha256": "…", "semantics": "executed", "predictions": [3, 1], "radii": [0.25, 0.0], "labels": [3, 2],
//!  "clean_accuracy": 0.5, "certified_accuracy": [{"eps": 0.1, "accuracy": 0.5}]}
//! ```
//!
//! `local` is absent where radii are not local, `labels` and the accuracies where the labels are not known. Radii in another norm
//! than the Euclidean one, or of inputs in a range alone, say so: `"within": {"norm": "linf", "range": [0.0, 1.0]}`.

use serde::{Deserialize, Serialize};

use super::{Perturbation, Semantics};
use crate::{
    error::{Error, Result},
    io::Digest,
};

/// The claims about samples: untrusted, as everything that a file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedSamples {
    /// The SHA-256 of the samples, [`crate::data::Dataset::sha256`].
    pub sha256: Digest,
    /// What the radii are about.
    pub semantics: Semantics,
    /// Whether they are local: [`crate::Sealed::certify_locally`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub local: bool,
    /// The inputs that the radii are about; others than those of a Euclidean ball are known to local radii alone.
    #[serde(default, skip_serializing_if = "Perturbation::is_plain")]
    pub within: Perturbation,
    /// The prediction for each sample, `null` for none.
    pub predictions: Vec<Option<usize>>,
    /// The prediction of each sample stands at every distance below this, in units of the input: an ℓ2 distance, if `within` does
    /// not say otherwise.
    pub radii: Vec<f64>,
    /// What proves each radius, of local ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<RadiusProof>,
    /// The label of each sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<usize>>,
    /// The fraction of samples whose prediction is their label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean_accuracy: Option<f64>,
    /// For some `ε`, the fraction of samples that keep their label at every distance up to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certified_accuracy: Vec<ClaimedAccuracy>,
}

/// What proves a radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RadiusProof {
    /// Lipschitz constants that hold everywhere: of layers, or of groups of them.
    #[default]
    Lipschitz,
    /// Lipschitz constants that hold in the ball, where some neurons cannot switch.
    Local,
    /// Linear bounds of the margins over the ball.
    Linear,
    /// Quadratic bounds of the margins over the ball.
    Quadratic,
}

/// The certified accuracy at one distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedAccuracy {
    /// The distance `ε`.
    pub eps: f64,
    /// The fraction of samples whose prediction is their label and whose radius is more than `ε`, in `[0, 1]`.
    pub accuracy: f64,
}

impl ClaimedSamples {
    /// Returns the fraction of samples whose prediction is their label and, if an `ε` is given, whose radius is more
    /// than it.
    pub(crate) fn accuracy(&self, labels: &[usize], eps: Option<f64>) -> f64 {
        let samples = self.predictions.iter().zip(&self.radii).zip(labels);
        let holds =
            samples.filter(|((class, radius), label)| **class == Some(**label) && eps.is_none_or(|eps| **radius > eps));
        holds.count() as f64 / self.predictions.len() as f64
    }

    /// Returns the same claims with the accuracies that follow from them at each `ε`; none without labels.
    ///
    /// # Errors
    /// [`Error::Format`] if there is not one prediction, radius and label for each sample.
    pub fn with_accuracies(mut self, eps: &[f64]) -> Result<Self> {
        self.lengths()?;
        let Some(labels) = &self.labels else { return Ok(self) };
        let accuracy = |&eps: &f64| ClaimedAccuracy { eps, accuracy: self.accuracy(labels, Some(eps)) };
        let (clean, certified) = (self.accuracy(labels, None), eps.iter().map(accuracy).collect());
        (self.clean_accuracy, self.certified_accuracy) = (Some(clean), certified);
        Ok(self)
    }

    /// Refuses claims that contradict themselves: what can be seen without the samples.
    ///
    /// There is one prediction, radius and label for each sample and at least one sample; radii are finite and not
    /// negative; predictions and labels are below `classes`; and the accuracies are those that follow.
    ///
    /// # Errors
    /// [`Error::Format`] with the first claim that cannot be.
    pub fn validate(&self, classes: usize) -> Result<()> {
        self.lengths()?;
        self.within.validate()?;
        if !(self.local || self.within.is_plain()) {
            return Err(Error::format("radii in another norm, or within a range, must be local radii"));
        }
        let refuse = |what: String| Err(Error::format(what));
        let predictions = self.predictions.iter().enumerate().filter_map(|(s, prediction)| Some((s, (*prediction)?)));
        let labels = self.labels.iter().flatten().copied().enumerate();
        let all = predictions.map(|value| ("prediction", value)).chain(labels.map(|value| ("label", value)));
        for (what, (s, value)) in all {
            if value >= classes {
                return refuse(format!("sample {s} has the {what} {value}, and there are {classes} classes"));
            }
        }
        if let Some(s) = self.radii.iter().position(|radius| !(radius.is_finite() && *radius >= 0.0)) {
            return refuse(format!(
                "sample {s} has the radius {}, which is not a finite number of at least 0",
                self.radii[s]
            ));
        }
        if let Some(s) = (0..self.radii.len()).find(|&s| self.predictions[s].is_none() && self.radii[s] > 0.0) {
            return refuse(format!("sample {s} has the radius {} and no prediction", self.radii[s]));
        }
        let Some(labels) = &self.labels else {
            return match (self.clean_accuracy, &self.certified_accuracy[..]) {
                (None, []) => Ok(()),
                _ => refuse("it claims accuracies without labels".into()),
            };
        };
        let clean = self.clean_accuracy.map(|accuracy| (None, accuracy));
        let certified = self.certified_accuracy.iter().map(|claim| (Some(claim.eps), claim.accuracy));
        for (eps, claimed) in clean.into_iter().chain(certified) {
            if eps.is_some_and(|eps| !(eps.is_finite() && eps >= 0.0)) {
                return refuse(format!(
                    "an accuracy is claimed at the distance {}, which is not a finite number of at least 0",
                    eps.unwrap_or_default()
                ));
            }
            let accuracy = self.accuracy(labels, eps);
            if claimed != accuracy {
                let which = eps.map_or("clean accuracy".into(), |eps| format!("certified accuracy at {eps}"));
                return refuse(format!(
                    "the {which} that follows from its radii and labels is {accuracy}, not {claimed}"
                ));
            }
        }
        Ok(())
    }

    /// Returns the numbers that may not be infinite.
    pub(super) fn numbers(&self) -> impl Iterator<Item = f64> {
        let accuracies = self.certified_accuracy.iter().flat_map(|claim| [claim.eps, claim.accuracy]);
        let ends = self.within.range.into_iter().flatten();
        self.radii.iter().copied().chain(self.clean_accuracy).chain(accuracies).chain(ends)
    }

    pub(crate) fn lengths(&self) -> Result<()> {
        let (samples, radii) = (self.predictions.len(), self.radii.len());
        let labels = self.labels.as_ref().map_or(samples, Vec::len);
        if !self.by.is_empty() && self.by.len() != samples {
            return Err(Error::format(format!("it has {samples} predictions and {} proofs of radii", self.by.len())));
        }
        if samples > 0 && radii == samples && labels == samples {
            return Ok(());
        }
        let labels = self.labels.as_ref().map_or(String::new(), |labels| format!(" and {} labels", labels.len()));
        Err(Error::format(format!("it has {samples} predictions, {radii} radii{labels}")))
    }
}
