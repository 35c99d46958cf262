//! What is claimed of one sample, and what rounding takes from it.

use serde::Serialize;

use crate::{
    certificate::{RadiusProof, Semantics},
    rigor::{
        Lower,
        directed::{add_up, sub_down},
    },
};

/// Why a sample has radius 0 although one logit was computed to be the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The margin does not exceed what is not known about it: a tie, or nearly one.
    Tie,
    /// An overflow cannot be excluded, or a logit is not finite, as where a layer did not get to the solution of its equations.
    Overflow,
    /// The sample has numbers that the network's format does not hold, in exact semantics bytes `p/255`, and what stands for it lies
    /// outside the ball that is proved.
    Unreadable,
}

/// The claim about one sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampleCertificate {
    /// The class whose logit is the largest. Where nothing is proved: none in exact semantics; in executed semantics the class that
    /// the program predicts, the first of several, and none if a logit is NaN ([`crate::tensor::class`]).
    pub prediction: Option<usize>,
    /// The prediction is the same for every input at a Euclidean distance *below* this, in units of the input (pixels
    /// in `[0, 1]`). 0 if nothing is proved.
    pub radius: Lower,
    /// Why the radius is 0, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What proves the radius: of all proofs that were tried, the one that gives most.
    pub by: RadiusProof,
}

/// By how much the prediction of a sample leads.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaps {
    /// The class whose logit is the largest; the first of several.
    pub prediction: usize,
    /// For every class a positive lower bound of the lead over it, 0 for the prediction itself.
    pub gaps: std::result::Result<Vec<f64>, Refusal>,
}

impl SampleCertificate {
    /// Returns whether the prediction is proved for every input at a distance of at most `eps`.
    pub fn holds_at(&self, eps: f64) -> bool {
        self.radius.get() > eps
    }

    /// Returns the claim about a point that is at most `distance` away: its radius is smaller by that. If nothing is left, no class is
    /// proved in exact semantics; in executed semantics the program reads both points as the same number.
    #[must_use]
    pub fn moved_by(self, distance: f64, semantics: Semantics) -> Self {
        let radius = sub_down(self.radius.get(), distance);
        if distance == 0.0 || self.refusal.is_some() {
            self
        } else if radius > 0.0 {
            Self { radius: Lower::proved(radius), ..self }
        } else {
            let prediction = self.prediction.filter(|_| semantics == Semantics::Executed);
            Self { prediction, radius: Lower::ZERO, refusal: Some(Refusal::Unreadable), ..self }
        }
    }
}

/// Rounding errors of one sample.
#[derive(Debug, Clone)]
pub(super) struct Errors {
    /// Of the features, as a norm.
    pub(super) features: f64,
    /// What the head adds to each of its logits.
    pub(super) logits: Vec<f64>,
}

impl Errors {
    /// Both together.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let logits = self.logits.iter().zip(&other.logits).map(|(&a, &b)| add_up(a, b)).collect();
        Self { features: add_up(self.features, other.features), logits }
    }
}
