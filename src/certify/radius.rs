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

use std::ops::Range;

use rayon::prelude::*;
use serde::Serialize;

use super::Sealed;
use crate::{
    error::Result,
    certificate::{Certificate, Semantics, file::features},
    model::{Linear, Map},
    network::chunks_of,
    rigor::{
        Lower, Rounding, Upper,
        directed::{ETA, U, add_up, mul_add_over, mul_up, norm_up, sqrt_up, sub_down, sub_up},
    },
    rules::margin,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape, cast},
};

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

/// By how much the prediction of a sample leads.
#[derive(Debug, Clone, PartialEq)]
pub struct Gaps {
    /// The class whose logit is the largest; the first of several.
    pub prediction: usize,
    /// For every class a positive lower bound of the lead over it, 0 for the prediction itself.
    pub gaps: std::result::Result<Vec<f64>, Refusal>,
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
        // Twice as many as in a forward pass: the weights are read in two formats, and pass through the cache less often.
        let chunks = chunks_of(2 * self.wide().chunk(), x.samples()).into_par_iter();
        let parts: Vec<Vec<SampleCertificate>> =
            chunks.map(|range| self.certify_chunk(x, range, semantics)).collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// For each sample its prediction `i` and lower bounds of `fᵢ − fⱼ` for every class `j` (0 for `i` itself), of the
    /// network over the real numbers; or why there are none.
    ///
    /// # Errors
    /// As [`Self::certify`].
    pub fn gaps(&self, x: &Batch<T>) -> Result<Vec<Gaps>> {
        let chunk = |range| -> Result<Vec<Gaps>> {
            let (logits, tape) = self.wide().forward_recording(x.cast_slice(range))?;
            let errors = self.errors(&tape, vec![0.0; logits.samples()], Semantics::Exact)?;
            let gaps = |s: usize| {
                let logits = logits.sample(s);
                Gaps { prediction: argmax(logits), gaps: self.head().gaps(logits, errors[s]) }
            };
            Ok((0..logits.samples()).map(gaps).collect())
        };
        let parts: Vec<Vec<Gaps>> =
            self.wide().chunks(x.samples()).into_par_iter().map(chunk).collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    fn certify_chunk(&self, x: &Batch<T>, range: Range<usize>, semantics: Semantics) -> Result<Vec<SampleCertificate>> {
        let (logits, tape) = self.wide().forward_recording(x.cast_slice(range.clone()))?;
        self.certify_recorded((x, range.start), &logits, &tape, semantics)
    }

    /// The claims about samples of `x`, those from `first` on, whose logits are given, and the tape of that pass.
    pub(super) fn certify_recorded(
        &self,
        (x, first): (&Batch<T>, usize),
        logits: &Batch<f64>,
        tape: &Tape<f64>,
        semantics: Semantics,
    ) -> Result<Vec<SampleCertificate>> {
        let head = self.head();
        let reach = (0..logits.samples()).map(|s| head.reach(logits.sample(s))).collect();
        let errors = self.errors(tape, reach, semantics)?;
        let mut claims: Vec<SampleCertificate> =
            (0..logits.samples()).map(|s| head.radius(logits.sample(s), errors[s])).collect();
        if semantics == Semantics::Executed {
            // Where nothing is proved, the program may predict something else.
            let refused: Vec<usize> = (0..claims.len()).filter(|&s| claims[s].refusal.is_some()).collect();
            let executed = self.network().forward(&x.gather(&refused.iter().map(|s| first + s).collect::<Vec<_>>()))?;
            for (i, &s) in refused.iter().enumerate() {
                claims[s].prediction = argmax(&cast::<T, f64>(executed.sample(i)));
            }
        }
        Ok(claims)
    }

    /// For each sample, the error of the margins on the tape, and for [`Semantics::Executed`] also that of the program
    /// anywhere within `reach`.
    pub(super) fn errors(&self, tape: &Tape<f64>, mut reach: Vec<f64>, semantics: Semantics) -> Result<Vec<Errors>> {
        let (samples, last) = (reach.len(), self.wide().layers().len() - 1);
        let still = vec![0.0; samples];
        let (mut centre, mut executed) = (vec![Errors::default(); samples], vec![Errors::default(); samples]);
        let has_head = self.map().head().is_some();
        let layers = self.network().layers().zip(self.wide().layers()).zip(self.certificate().layers());
        for (i, ((layer, wide), proof)) in layers.enumerate() {
            let (tape, l, is_head) = (tape.inner(i), proof.bound().get(), i == last && has_head);
            let named = |result: Result<Vec<f64>>| result.map_err(|e| e.in_layer(i.to_string()));
            let local = named(wide.rounding(proof, &Rounding::of::<f64>(), tape, &still))?;
            if semantics == Semantics::Executed {
                // The program's input of this layer is off by its own error, the exact one of x' lies within the exact
                // ball, and the tape is off by that of the centre.
                let around = |s: usize| add_up(add_up(reach[s], executed[s].features), centre[s].features);
                let around: Vec<f64> = (0..samples).map(around).collect();
                let local = named(layer.rounding(proof, &Rounding::of::<T>(), tape, &around))?;
                executed.iter_mut().zip(local).for_each(|(e, local)| e.pass(l, local, is_head));
            }
            centre.iter_mut().zip(local).for_each(|(e, local)| e.pass(l, local, is_head));
            reach.iter_mut().for_each(|reach| *reach = mul_add_over(l, *reach, 0.0));
        }
        Ok(centre.iter().zip(&executed).map(|(a, b)| a.plus(b)).collect())
    }
}

/// Rounding errors of one sample.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Errors {
    /// Of the features, as a norm.
    pub(super) features: f64,
    /// What the head adds to its logits, as a norm.
    pub(super) head: f64,
}

impl Errors {
    /// Passes a layer that is `l`-Lipschitz and adds `local`.
    fn pass(&mut self, l: f64, local: f64, is_head: bool) {
        if is_head {
            self.head = local;
        } else {
            self.features = mul_add_over(l, self.features, local);
        }
    }

    fn plus(&self, other: &Self) -> Self {
        Self { features: add_up(self.features, other.features), head: add_up(self.head, other.head) }
    }
}

/// The distances `‖wᵢ − wⱼ‖` of the rows of a head, or of the identity if a network ends without one, and how fast the
/// differences of logits may change with the input.
#[derive(Debug)]
pub(super) struct Head {
    distances: Vec<Vec<f64>>,
    /// `L‖wᵢ − wⱼ‖` for features that are `L`-Lipschitz.
    slopes: Vec<Vec<f64>>,
}

impl Head {
    pub(super) fn of(certificate: &Certificate, map: &Map, output: Shape) -> Self {
        let features = features(certificate, map);
        let distances = distances(map, output, certificate.premises().last().map(Certificate::bound));
        let slopes = distances.iter().map(|row| row.iter().map(|&d| margin::slope(features, d)).collect()).collect();
        Self { distances, slopes }
    }

    /// An upper bound of `‖wᵢ − wⱼ‖`.
    pub(super) fn distance(&self, i: usize, j: usize) -> f64 {
        self.distances[i][j]
    }

    /// A distance that no radius of this sample exceeds: what its margins would allow without any error.
    fn reach(&self, logits: &[f64]) -> f64 {
        let i = argmax(logits);
        let ratio = |j: usize| (logits[i] - logits[j]) / self.slopes[i][j];
        let least = (0..logits.len()).filter(|&j| j != i).map(ratio).fold(LARGEST_RADIUS, f64::min);
        // Two roundings, and η where the quotient is subnormal.
        add_up(mul_up(least, 1.0 + 8.0 * U), ETA)
    }

    /// The prediction `i`, and for every `j` a lower bound of `fᵢ − fⱼ`, of the network over the real numbers, that is
    /// positive but for `j = i`.
    fn gaps(&self, logits: &[f64], errors: Errors) -> std::result::Result<Vec<f64>, Refusal> {
        if logits.iter().any(|l| !l.is_finite()) || errors.features.is_infinite() || errors.head.is_infinite() {
            return Err(Refusal::Overflow);
        }
        let i = argmax(logits);
        // Two components of a vector add up to at most √2 times its norm.
        let head = mul_up(sqrt_up(2.0), errors.head);
        let gap = |j: usize| {
            let error = add_up(mul_up(self.distances[i][j], errors.features), head);
            let gap = sub_down(sub_down(logits[i], logits[j]), error);
            if gap > 0.0 { Ok(gap) } else { Err(Refusal::Tie) }
        };
        (0..logits.len()).map(|j| if j == i { Ok(0.0) } else { gap(j) }).collect()
    }

    fn radius(&self, logits: &[f64], errors: Errors) -> SampleCertificate {
        let prediction = argmax(logits);
        let gaps = match self.gaps(logits, errors) {
            Ok(gaps) => gaps,
            Err(refusal) => return SampleCertificate { prediction, radius: Lower::ZERO, refusal: Some(refusal) },
        };
        let mut radius = LARGEST_RADIUS;
        for j in (0..gaps.len()).filter(|&j| j != prediction) {
            if let Some(bound) = margin::radius(Lower::proved(gaps[j]), self.slopes[prediction][j]) {
                radius = radius.min(bound);
            }
        }
        SampleCertificate { prediction, radius: Lower::proved(radius.max(0.0)), refusal: None }
    }
}

/// Upper bounds of `‖wᵢ − wⱼ‖`, `norm` being one of the head's.
fn distances(map: &Map, output: Shape, norm: Option<Upper>) -> Vec<Vec<f64>> {
    let classes = output.len();
    let uniform = |norm: f64| vec![vec![mul_up(sqrt_up(2.0), norm); classes]; classes];
    let rows: Vec<Vec<f64>> = match map.head() {
        Some(Linear::Dense { weight, .. }) => {
            weight.wide().chunks(weight.count() / classes).map(<[f64]>::to_vec).collect()
        }
        // The rows of any other operator differ by at most √2 times its norm.
        Some(_) => return uniform(norm.map_or(f64::INFINITY, Upper::get)),
        None => return uniform(1.0),
    };
    let distance = |a: &[f64], b: &[f64]| {
        // |fl(a − b)| may be below |a − b|; the larger of the two outward results is not.
        let d: Vec<f64> = a.iter().zip(b).map(|(&a, &b)| sub_up(a, b).abs().max(sub_down(a, b).abs())).collect();
        norm_up(&d)
    };
    rows.iter().map(|a| rows.iter().map(|b| distance(a, b)).collect()).collect()
}

/// Radii are capped here: pixels lie in `[0, 1]`, and no ball that is asked for is larger.
pub(super) const LARGEST_RADIUS: f64 = 1e6;

/// The position of the largest logit, the first of several; 0 if none is larger than another.
pub(crate) fn argmax(logits: &[f64]) -> usize {
    (1..logits.len()).fold(0, |best, j| if logits[j] > logits[best] { j } else { best })
}
