//! The radius of a sample: how far its input may move without changing the prediction.
//!
//! The features `φ` of a network, all layers but a last affine one, are `L`-Lipschitz. For two logits of the head,
//! `fᵢ − fⱼ = ⟨wᵢ − wⱼ, φ⟩ + bᵢ − bⱼ` changes by at most `L‖wᵢ − wⱼ‖ε` within `ε`, so the prediction `i` stands for
//! every `ε` below
//!
//! $$ \min_{j \ne i} \frac{f_i - f_j}{L\,\|w_i - w_j\|}. $$
//!
//! *Exact* semantics is about the network over the real numbers. The margin in the numerator is then bounded from below
//! by the one computed in `f64` less a bound of its rounding error. *Executed* semantics is about the program: both the
//! logits at the sample and those anywhere in the ball carry rounding errors, and
//! `f̂ᵢ − f̂ⱼ > εL‖wᵢ − wⱼ‖ + E(x) + sup E(x')` is needed.
//!
//! Errors are chained through norms, layer by layer: `D ← ℓD + ‖v‖`, where `ℓ` is the layer's Lipschitz bound and `v`
//! what it adds ([`crate::layer::Layer::rounding`]).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Sealed;
use crate::{
    error::Result,
    network::{CHUNK, Network, chunks},
    operator::Affine,
    rigor::{
        Lower, Rounding, Summation, Upper,
        directed::{add_up, div_down, mul_up, norm_up, sqrt_up, sub_down, sub_up},
    },
    scalar::Scalar,
    tensor::{Batch, cast},
};

/// What a radius is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Semantics {
    /// The network as a function over the real numbers, its weights taken as the exact binary numbers that they are.
    Exact,
    /// The network as it runs in its number format, with sums in any order.
    Executed,
}

/// Why a sample has radius 0 although one logit was computed to be the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// The margin does not exceed what is not known about it: a tie, or nearly one.
    Tie,
    /// An overflow cannot be excluded, or a logit is not finite.
    Overflow,
}

/// The claim about one sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SampleCertificate {
    /// The class whose logit is the largest; the first of several.
    pub prediction: usize,
    /// The prediction is the same for every input at a Euclidean distance *below* this, in units of the input (pixels
    /// in `[0, 1]`). 0 if nothing is proved.
    pub radius: Lower,
    /// Why the radius is 0, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

impl SampleCertificate {
    /// Whether the prediction is proved for every input at a distance of at most `eps`.
    pub fn holds_at(&self, eps: f64) -> bool {
        self.radius.get() > eps
    }
}

impl<T: Scalar> Sealed<T> {
    /// The prediction and its radius for each sample, in parallel.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the samples do not have the shape that the network is certified for;
    /// [`crate::Error::NotProved`] if a layer declares no rounding error.
    pub fn certify(&self, x: &Batch<T>, semantics: Semantics) -> Result<Vec<SampleCertificate>> {
        let parts: Vec<Vec<SampleCertificate>> = chunks(x.samples())
            .into_par_iter()
            .map(|range| {
                let part = x.slice(range);
                match semantics {
                    Semantics::Exact => self.certify_chunk(self.wide(), part.cast(), semantics),
                    Semantics::Executed => self.certify_chunk(self.network(), part, semantics),
                }
            })
            .collect::<Result<_>>()?;
        debug_assert!(parts.iter().all(|part| part.len() <= CHUNK));
        Ok(parts.into_iter().flatten().collect())
    }

    fn certify_chunk<U: Scalar>(
        &self,
        network: &Network<U>,
        x: Batch<U>,
        semantics: Semantics,
    ) -> Result<Vec<SampleCertificate>> {
        let (logits, tape) = network.forward_recording(x)?;
        let head = Head::new(network);
        let features = self.certificate().features;
        // The ball of each sample: no radius exceeds what its margins would allow without rounding.
        let reach: Vec<f64> = match semantics {
            Semantics::Exact => vec![0.0; logits.samples()],
            Semantics::Executed => {
                (0..logits.samples()).map(|s| head.reach(&wide(logits.sample(s)), features)).collect()
            }
        };
        let errors = self.chain(network, &tape, &reach)?;
        let sides = if semantics == Semantics::Exact { 1.0 } else { 2.0 };
        Ok((0..logits.samples()).map(|s| head.radius(&wide(logits.sample(s)), features, errors[s], sides)).collect())
    }

    /// The error of the features and what the head adds to it, over the ball of each sample.
    fn chain<U: Scalar>(
        &self,
        network: &Network<U>,
        tape: &crate::tape::Tape<U>,
        reach: &[f64],
    ) -> Result<Vec<Errors>> {
        let rounding = Rounding::of::<U>(Summation::Any);
        let mut errors = vec![Errors::default(); reach.len()];
        let mut reach = reach.to_vec();
        let last = network.layers().len() - 1;
        for (i, (layer, entry)) in network.layers().zip(&self.certificate().layers).enumerate() {
            // Executed inputs of this layer lie within the exact ball and two errors of the one on the tape.
            let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, e)| add_up(r, 2.0 * e.features)).collect();
            let local = layer.rounding(&rounding, tape.inner(i), &around).map_err(|e| e.in_layer(i.to_string()))?;
            let l = entry.lipschitz.get();
            for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(local) {
                if i == last && layer.as_affine().is_some() {
                    error.head = local;
                } else {
                    error.features = add_up(mul_up(l, error.features), local);
                    *reach = mul_up(l, *reach);
                }
            }
        }
        Ok(errors)
    }
}

/// Rounding errors of one sample.
#[derive(Debug, Clone, Copy, Default)]
struct Errors {
    /// Of the features, as a norm.
    features: f64,
    /// What the head adds to its logits, as a norm.
    head: f64,
}

/// The norms `‖wᵢ − wⱼ‖` of a head, or of the identity if a network ends without one.
struct Head {
    distances: Vec<Vec<f64>>,
}

impl Head {
    fn new<U: Scalar>(network: &Network<U>) -> Self {
        let classes = network.output().len();
        let affine = network.layers().last().and_then(|layer| layer.as_affine());
        let rows: Vec<Vec<f64>> = match affine.map(Affine::operator) {
            Some(w) if w.kind() == "dense" => cast(w.weight()).chunks(w.input().len()).map(<[f64]>::to_vec).collect(),
            // The rows of any other operator differ by at most √2 times its norm.
            Some(w) => return Self::uniform(classes, w.norm().map_or(f64::INFINITY, |norm| norm.bound.get())),
            None => return Self::uniform(classes, 1.0),
        };
        let distance = |a: &[f64], b: &[f64]| {
            // |fl(a − b)| may be below |a − b|; the larger of the two outward results is not.
            let d: Vec<f64> = a.iter().zip(b).map(|(&a, &b)| sub_up(a, b).abs().max(sub_down(a, b).abs())).collect();
            norm_up(&d)
        };
        Self { distances: rows.iter().map(|a| rows.iter().map(|b| distance(a, b)).collect()).collect() }
    }

    fn uniform(classes: usize, norm: f64) -> Self {
        Self { distances: vec![vec![mul_up(sqrt_up(2.0), norm); classes]; classes] }
    }

    /// A distance that no radius of this sample exceeds.
    fn reach(&self, logits: &[f64], features: Upper) -> f64 {
        let i = argmax(logits);
        let ratio = |j: usize| sub_up(logits[i], logits[j]) / (features.get() * self.distances[i][j]);
        let least = (0..logits.len()).filter(|&j| j != i).map(ratio).fold(f64::INFINITY, f64::min);
        // A network that cannot change its mind is certified within the largest ball that is ever asked for.
        if least.is_finite() { (2.0 * least).max(0.0) } else { LARGEST_RADIUS }
    }

    fn radius(&self, logits: &[f64], features: Upper, errors: Errors, sides: f64) -> SampleCertificate {
        let i = argmax(logits);
        let refuse = |refusal| SampleCertificate { prediction: i, radius: Lower::ZERO, refusal: Some(refusal) };
        if logits.iter().any(|l| !l.is_finite()) || errors.features.is_infinite() || errors.head.is_infinite() {
            return refuse(Refusal::Overflow);
        }
        // Two components of a vector add up to at most √2 times its norm.
        let head = mul_up(sqrt_up(2.0), errors.head);
        let mut radius = LARGEST_RADIUS;
        for j in (0..logits.len()).filter(|&j| j != i) {
            let distance = self.distances[i][j];
            let error = mul_up(sides, add_up(mul_up(distance, errors.features), head));
            let margin = sub_down(sub_down(logits[i], logits[j]), error);
            if margin <= 0.0 {
                return refuse(Refusal::Tie);
            }
            let slope = mul_up(features.get(), distance);
            if slope > 0.0 {
                radius = radius.min(div_down(margin, slope));
            }
        }
        SampleCertificate { prediction: i, radius: Lower::proved(radius.max(0.0)), refusal: None }
    }
}

/// Radii are capped here: pixels lie in `[0, 1]`, and no ball that is asked for is larger.
const LARGEST_RADIUS: f64 = 1e6;

/// The position of the largest logit, the first of several; 0 if none is larger than another.
pub(crate) fn argmax(logits: &[f64]) -> usize {
    (1..logits.len()).fold(0, |best, j| if logits[j] > logits[best] { j } else { best })
}

fn wide<U: Scalar>(logits: &[U]) -> Vec<f64> {
    cast(logits)
}
