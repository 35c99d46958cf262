//! Margins: by how much one logit leads, and how fast the lead may shrink.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::{
    Sealed,
    claim::{Errors, Refusal, SampleCertificate},
};
use crate::{
    certificate::RadiusProof,
    rigor::{
        Lower, Upper,
        directed::{ETA, U, add_up, distance_up, mul_up, sqrt_up, sub_down},
        environment::bounded,
    },
    rules::margin,
    scalar::Scalar,
    tensor::{Batch, argmax},
};

/// Radii are capped here: pixels lie in `[0, 1]`, and no ball that is asked for is larger.
pub(super) const LARGEST_RADIUS: f64 = 1e6;

/// Upper bounds of `‖wᵢ − wⱼ‖` for one class `i`, the `w` being the rows of the head, or of the identity if a network
/// ends without one.
///
/// They are computed for the classes that are predicted, when they are: a network with many outputs, such as a map from
/// images to images, has no room for all pairs.
#[derive(Debug)]
pub(super) enum Distances {
    /// One for every class; and how fast the difference to its logit changes, where that is known of each pair.
    Each(Vec<f64>, Option<Vec<f64>>),
    /// The same for all.
    All(f64),
}

impl Distances {
    /// Returns the distance to class `j`.
    pub(super) fn to(&self, j: usize) -> f64 {
        match self {
            Self::Each(distances, _) => distances[j],
            Self::All(distance) => *distance,
        }
    }

    /// Returns how fast the difference to the logit of class `j` changes at most, for features with this bound.
    fn slope(&self, j: usize, features: Upper) -> f64 {
        let slope = margin::slope(features, self.to(j));
        match self {
            // The smaller one; of a NaN nothing is known.
            Self::Each(_, Some(pairs)) => slope.min(pairs[j]),
            _ => slope,
        }
    }
}

impl<T: Scalar> Sealed<T> {
    /// Returns the distances from every class that one of the samples is predicted to have.
    pub(super) fn distances(&self, logits: &Batch<f64>) -> BTreeMap<usize, Distances> {
        let (rows, head) = (self.rows(), self.map().head());
        let all = |norm: f64| Distances::All(mul_up(sqrt_up(2.0), norm));
        let from = |i: usize| match (rows, head) {
            (Some(rows), _) => {
                let n = logits.shape().len();
                let rows: Vec<&[f64]> = rows.chunks(rows.len() / n).collect();
                let distances = rows.par_iter().map(|row| bounded(|| distance_up(rows[i], row))).collect();
                let pair = |j: usize| bounded(|| self.pair(i, j).unwrap_or(f64::INFINITY));
                let pairs = self.pair(i, i).map(|_| (0..n).into_par_iter().map(pair).collect());
                Distances::Each(distances, pairs)
            }
            // The rows of any other operator differ by at most √2 times its norm.
            (None, Some(_)) => all(self.certificate().layers().last().map_or(f64::INFINITY, |head| head.bound().get())),
            (None, None) => all(1.0),
        };
        let mut distances = BTreeMap::new();
        for s in 0..logits.samples() {
            let i = argmax(logits.sample(s));
            distances.entry(i).or_insert_with(|| from(i));
        }
        distances
    }
}

/// The logits of one sample, and what they rest on.
pub(super) struct Margins<'a> {
    logits: &'a [f64],
    prediction: usize,
    distances: &'a Distances,
    /// A Lipschitz bound of the features.
    features: Upper,
}

impl<'a> Margins<'a> {
    /// Returns the margins of a sample, `distances` being those from its prediction among others.
    pub(super) fn new<T: Scalar>(
        sealed: &Sealed<T>,
        logits: &'a [f64],
        distances: &'a BTreeMap<usize, Distances>,
    ) -> Self {
        let prediction = argmax(logits);
        Self { logits, prediction, distances: &distances[&prediction], features: sealed.features() }
    }

    /// Returns the class whose logit is the largest; the first of several.
    pub(super) fn prediction(&self) -> usize {
        self.prediction
    }

    /// Returns the other classes.
    fn others(&self) -> impl Iterator<Item = usize> {
        let prediction = self.prediction;
        (0..self.logits.len()).filter(move |&j| j != prediction)
    }

    /// Returns how fast, at most, the lead over class `j` changes with the input.
    fn slope(&self, j: usize) -> f64 {
        self.distances.slope(j, self.features)
    }

    /// Returns a distance that no radius of this sample exceeds: what its margins would allow without any error.
    pub(super) fn reach(&self) -> f64 {
        let ratio = |j: usize| (self.logits[self.prediction] - self.logits[j]) / self.slope(j);
        let least = self.others().map(ratio).fold(LARGEST_RADIUS, f64::min);
        // Two roundings, and η where the quotient is subnormal.
        add_up(mul_up(least, 1.0 + 8.0 * U), ETA)
    }

    /// For every class `j` a lower bound of `fᵢ − fⱼ`, of the network over the real numbers, that is positive but for the
    /// prediction `j = i`.
    pub(super) fn gaps(&self, errors: &Errors) -> Result<Vec<f64>, Refusal> {
        let (i, logits) = (self.prediction, self.logits);
        if errors.features.is_infinite() || logits.iter().chain(&errors.logits).any(|x| !x.is_finite()) {
            return Err(Refusal::Overflow);
        }
        let mut gaps = vec![0.0; logits.len()];
        for j in self.others() {
            let head = add_up(errors.logits[i], errors.logits[j]);
            let error = add_up(mul_up(self.distances.to(j), errors.features), head);
            gaps[j] = sub_down(sub_down(logits[i], logits[j]), error);
            if gaps[j].is_nan() || gaps[j] <= 0.0 {
                return Err(Refusal::Tie);
            }
        }
        Ok(gaps)
    }

    /// Returns the claim that the margins and their errors allow.
    pub(super) fn claim(&self, errors: &Errors) -> SampleCertificate {
        let by = RadiusProof::Lipschitz;
        let gaps = match self.gaps(errors) {
            Ok(gaps) => gaps,
            Err(refusal) => {
                return SampleCertificate { prediction: None, radius: Lower::ZERO, refusal: Some(refusal), by };
            }
        };
        let mut radius = LARGEST_RADIUS;
        for j in self.others() {
            if let Some(bound) = margin::radius(Lower::proved(gaps[j]), self.slope(j)) {
                radius = radius.min(bound);
            }
        }
        let radius = Lower::proved(radius.max(0.0));
        SampleCertificate { prediction: Some(self.prediction), radius, refusal: None, by }
    }
}
