//! The radius of a sample: how far its input may move without changing the prediction.
//!
//! The features `φ` of a network, all layers but a last affine one, are `L`-Lipschitz. For two logits of the head,
//! `fᵢ − fⱼ = ⟨wᵢ − wⱼ, φ⟩ + bᵢ − bⱼ` changes by at most `L‖wᵢ − wⱼ‖ε` within `ε`, so the prediction `i` stands for
//! every `ε` below
//!
//! $$ \min_{j \ne i} \frac{f_i - f_j}{L\,\|w_i - w_j\|}. $$
//!
//! The margin in the numerator is computed in `f64`, and less a bound `E₀` of its rounding error it is one of the
//! network over the real numbers: that is *exact* semantics. *Executed* semantics is about the program. Everywhere in
//! the ball its logits carry rounding errors, and `fᵢ − fⱼ > εL‖wᵢ − wⱼ‖ + E₀ + sup E(x')` is needed. The centre is no
//! exception: there, too, it is the exact margin that counts, so `E` is paid once. An executed radius is never above
//! the exact one, and the sample itself is in its ball: the program makes the prediction that is certified.
//!
//! Errors are chained through norms, layer by layer: `D ← ℓD + ‖v‖`, where `ℓ` is the layer's Lipschitz bound and `v`
//! what it adds ([`crate::layer::Layer::rounding`]).

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Sealed;
use crate::{
    error::Result,
    network::Network,
    operator::Affine,
    rigor::{
        Lower, Rounding, Upper,
        directed::{add_up, div_down, div_up, mul_down, mul_up, norm_up, sqrt_up, sub_down, sub_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, cast},
};

/// What a radius is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Semantics {
    /// The network as a function over the real numbers, its weights taken as the exact binary numbers that they are.
    Exact,
    /// The network as it runs in its number format, with sums in the order that it was sealed for.
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
        let parts: Vec<Vec<SampleCertificate>> = self
            .wide()
            .chunks(x.samples())
            .into_par_iter()
            .map(|range| self.certify_chunk(&x.slice(range), semantics))
            .collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn certify_chunk(&self, x: &Batch<T>, semantics: Semantics) -> Result<Vec<SampleCertificate>> {
        let (logits, tape) = self.wide().forward_recording(x.cast())?;
        let (head, features) = (self.head(), self.certificate().features);
        let reach = (0..logits.samples()).map(|s| head.reach(logits.sample(s), features)).collect();
        let errors = self.errors(&tape, reach, semantics)?;
        let mut claims: Vec<SampleCertificate> =
            (0..logits.samples()).map(|s| head.radius(logits.sample(s), features, errors[s])).collect();
        if semantics == Semantics::Executed {
            // Where nothing is proved, the program may predict something else.
            let refused: Vec<usize> = (0..claims.len()).filter(|&s| claims[s].refusal.is_some()).collect();
            let executed = self.network().forward(&x.gather(&refused))?;
            for (i, &s) in refused.iter().enumerate() {
                claims[s].prediction = argmax(&cast::<T, f64>(executed.sample(i)));
            }
        }
        Ok(claims)
    }

    /// For each sample, the error of the margins on the tape, and for [`Semantics::Executed`] also that of the program
    /// anywhere within `reach`.
    fn errors(&self, tape: &Tape<f64>, mut reach: Vec<f64>, semantics: Semantics) -> Result<Vec<Errors>> {
        let (samples, last) = (reach.len(), self.wide().layers().len() - 1);
        let still = vec![0.0; samples];
        let (mut centre, mut executed) = (vec![Errors::default(); samples], vec![Errors::default(); samples]);
        let layers = self.network().layers().zip(self.wide().layers()).zip(&self.certificate().layers);
        for (i, ((layer, wide), entry)) in layers.enumerate() {
            let (tape, l, is_head) = (tape.inner(i), entry.lipschitz.get(), i == last && wide.as_affine().is_some());
            let named = |result: Result<Vec<f64>>| result.map_err(|e| e.in_layer(i.to_string()));
            let local = named(wide.rounding(&Rounding::of::<f64>(), tape, &still))?;
            if semantics == Semantics::Executed {
                // The program's input of this layer is off by its own error, the exact one of x' lies within the exact
                // ball, and the tape is off by that of the centre.
                let around = |s: usize| add_up(add_up(reach[s], executed[s].features), centre[s].features);
                let around: Vec<f64> = (0..samples).map(around).collect();
                let local = named(layer.rounding(&Rounding::of::<T>(), tape, &around))?;
                executed.iter_mut().zip(local).for_each(|(e, local)| e.pass(l, local, is_head));
            }
            centre.iter_mut().zip(local).for_each(|(e, local)| e.pass(l, local, is_head));
            reach.iter_mut().for_each(|reach| *reach = mul_up(l, *reach));
        }
        Ok(centre.iter().zip(&executed).map(|(a, b)| a.plus(b)).collect())
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

impl Errors {
    /// Passes a layer that is `l`-Lipschitz and adds `local`.
    fn pass(&mut self, l: f64, local: f64, is_head: bool) {
        if is_head {
            self.head = local;
        } else {
            self.features = add_up(mul_up(l, self.features), local);
        }
    }

    fn plus(&self, other: &Self) -> Self {
        Self { features: add_up(self.features, other.features), head: add_up(self.head, other.head) }
    }
}

/// The norms `‖wᵢ − wⱼ‖` of a head, or of the identity if a network ends without one.
#[derive(Debug)]
pub(super) struct Head {
    distances: Vec<Vec<f64>>,
}

impl Head {
    pub(super) fn new<T: Scalar>(network: &Network<T>) -> Self {
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

    /// A distance that no radius of this sample exceeds: its margins less nothing.
    fn reach(&self, logits: &[f64], features: Upper) -> f64 {
        let i = argmax(logits);
        let ratio = |j: usize| {
            let slope = mul_down(features.get(), self.distances[i][j]);
            if slope > 0.0 { div_up(sub_up(logits[i], logits[j]), slope) } else { LARGEST_RADIUS }
        };
        (0..logits.len()).filter(|&j| j != i).map(ratio).fold(LARGEST_RADIUS, f64::min)
    }

    fn radius(&self, logits: &[f64], features: Upper, errors: Errors) -> SampleCertificate {
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
            let error = add_up(mul_up(distance, errors.features), head);
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
