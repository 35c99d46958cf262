//! The radius of a sample: how far its input may move without changing the prediction.
//!
//! The features `φ` of a network, all layers but a last affine one, are `L`-Lipschitz. For two logits of the head,
//! `fᵢ − fⱼ = ⟨wᵢ − wⱼ, φ⟩ + bᵢ − bⱼ` changes by at most `L‖wᵢ − wⱼ‖ε` within `ε`, so the prediction `i` stands for
//! every `ε` below
//!
//! ```math
//! \min_{j \ne i} \frac{f_i - f_j}{L\,\|w_i - w_j\|}.
//! ```
//!
//! The margin in the numerator is computed in `f64`, and less a bound `E₀` of its rounding error it is one of the
//! network over the real numbers: that is *exact* semantics. *Executed* semantics is about the program. Everywhere in
//! the ball its logits carry rounding errors, and `fᵢ − fⱼ > εL‖wᵢ − wⱼ‖ + E₀ + sup E(x')` is needed. The centre is no
//! exception: there, too, it is the exact margin that counts, so `E` is paid once. An executed radius is never above
//! the exact one, and the sample itself is in its ball: the program makes the prediction that is certified.
//!
//! Errors are chained through norms, layer by layer: `D ← ℓD + ‖v‖`, where `ℓ` is the layer's Lipschitz bound and `v`
//! what it adds ([`crate::layer::Layer::rounding`]). Of the head, a margin is charged with what it adds to the two logits
//! compared ([`crate::layer::Layer::rounding_by_coordinate`]).
//!
//! # Samples that the program cannot read
//!
//! A claim is about the numbers that are given, in whatever format they come. The margin is computed at these numbers,
//! and every `x'` within the radius of *them* is covered: in exact semantics any `x'`, in executed semantics every `x'`
//! of the network's own format, since that is what its program reads. The number nearest to the sample is one of those
//! only if it is closer than the radius. Where it is not, the claim would not even say what the program does with the
//! sample, and is refused ([`Refusal::Unreadable`]).

use std::ops::Range;

use rayon::prelude::*;

use super::{Gaps, Refusal, SampleCertificate, Sealed, claim::Errors, head::Margins};
use crate::{
    certificate::{Certificate, Semantics},
    error::Result,
    layer::Layer,
    network::chunks_of,
    rigor::{
        Lower, Rounding,
        directed::{add_up, distance_up, mul_add_over, sub_down},
        environment,
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, class, finite},
};

/// Samples as they are given, and as the program reads them.
pub(super) struct Points<T: Scalar> {
    /// Exactly the given numbers.
    pub wide: Batch<f64>,
    /// The numbers nearest to them in the format of the network: only where these are asked for, in executed semantics.
    pub read: Option<Batch<T>>,
    /// For each sample, a bound of the distance between the two.
    pub apart: Vec<f64>,
    /// How far the samples that these numbers stand for may be from them: see [`crate::data::Dataset::distance_up`].
    pub off: f64,
}

impl<T: Scalar> Points<T> {
    /// Returns the points of some samples.
    ///
    /// # Errors
    /// [`crate::Error::NotFinite`] if the program would read an infinity.
    pub fn new<S: Scalar>(x: &Batch<S>, off: f64, range: Range<usize>, semantics: Semantics) -> Result<Self> {
        let wide: Batch<f64> = x.cast_slice(range);
        if semantics == Semantics::Exact {
            return Ok(Self { apart: vec![0.0; wide.samples()], wide, read: None, off });
        }
        let read: Batch<T> = wide.cast();
        finite("samples as the network reads them", read.data())?;
        let distance = |s| distance_up(wide.sample(s), read.sample(s));
        Ok(Self { apart: (0..wide.samples()).map(distance).collect(), wide, read: Some(read), off })
    }

    /// Returns what claims about these points are about.
    pub fn semantics(&self) -> Semantics {
        if self.read.is_some() { Semantics::Executed } else { Semantics::Exact }
    }

    /// Returns the range that coordinates may be bounded in for the claim about a sample: one that holds the range of its inputs, the
    /// sample itself, and what the program reads of it. There is none if one of these lies outside.
    pub fn range(&self, s: usize, [low, high]: [f64; 2]) -> Option<[f64; 2]> {
        let lies = |x: f64| (low..=high).contains(&x);
        let read = self.read.as_ref().is_none_or(|read| read.sample(s).iter().all(|x| lies(x.wide())));
        let both = read && self.wide.sample(s).iter().all(|&x| lies(x));
        both.then(|| [sub_down(low, self.off), add_up(high, self.off)])
    }

    /// Returns whether what the program reads of a sample is the sample itself, or nearer to it than `radius`.
    pub fn holds(&self, s: usize, radius: f64) -> bool {
        self.apart[s] == 0.0 || radius > self.apart[s]
    }
}

impl<T: Scalar> Sealed<T> {
    /// Returns the prediction and its radius for each sample, in parallel.
    ///
    /// Samples may come in another format than the network's: the claim is about exactly these numbers.
    ///
    /// # Errors
    /// [`crate::Error::Shape`] if the samples do not have the shape that the network is certified for;
    /// [`crate::Error::NotProved`] if a layer declares no rounding error; [`crate::Error::NotFinite`] if, in executed
    /// semantics, a sample is too large for the network's format; [`crate::Error::Environment`] if a thread does not
    /// compute as proofs assume.
    ///
    /// ```
    /// use dahlquist::{Network, Semantics, layer::AffineLayer, operator::{Affine, Dense}, tensor::{Batch, Shape}};
    /// // The logits x and 1/2, in f32, at a number that f32 does not hold.
    /// let head = Affine::new(Dense::new(2, 1, vec![1.0f32, 0.0])?, Some(vec![0.0, 0.5]))?;
    /// let sealed = Network::new(Shape::Features(1), vec![Box::new(AffineLayer::new(head))])?.seal()?;
    /// let x = Batch::new(Shape::Features(1), vec![0.5 + 1e-9f64])?;
    /// assert!(sealed.certify(&x, Semantics::Exact)?[0].holds_at(0.9e-9));
    /// assert!(!sealed.certify(&x, Semantics::Executed)?[0].holds_at(0.0));
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn certify<S: Scalar>(&self, x: &Batch<S>, semantics: Semantics) -> Result<Vec<SampleCertificate>> {
        // Twice as many as in a forward pass: the weights are read in two formats, and pass through the cache less often.
        let chunks = chunks_of(2 * self.wide().chunk(), x.samples()).into_par_iter();
        let parts: Vec<Vec<SampleCertificate>> = chunks
            .map(|range| {
                environment::check()?;
                let points = Points::new(x, 0.0, range, semantics)?;
                let (logits, tape) = self.wide().forward_recording(points.wide.clone())?;
                self.certify_recorded(&points, &logits, &tape)
            })
            .collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// For each sample its prediction `i` and lower bounds of `fᵢ − fⱼ` for every class `j` (0 for `i` itself), of the
    /// network over the real numbers; or why there are none.
    ///
    /// # Errors
    /// As [`Self::certify`].
    pub fn gaps<S: Scalar>(&self, x: &Batch<S>) -> Result<Vec<Gaps>> {
        self.gaps_in(x, Semantics::Exact)
    }

    /// As [`Self::gaps`], less what the program may be off by at any point of its format that is no further from the sample than the
    /// margins of the exact network allow.
    ///
    /// # Errors
    /// As [`Self::certify`].
    pub fn executed_gaps<S: Scalar>(&self, x: &Batch<S>) -> Result<Vec<Gaps>> {
        self.gaps_in(x, Semantics::Executed)
    }

    fn gaps_in<S: Scalar>(&self, x: &Batch<S>, semantics: Semantics) -> Result<Vec<Gaps>> {
        let chunk = |range| -> Result<Vec<Gaps>> {
            environment::check()?;
            let (logits, tape) = self.wide().forward_recording(x.cast_slice(range))?;
            let distances = self.distances(&logits);
            let margins = |s| Margins::new(self, logits.sample(s), &distances);
            let reach = (0..logits.samples()).map(|s| margins(s).reach()).collect();
            let errors = self.errors(&tape, reach, semantics)?;
            let gaps = |s: usize| Gaps { prediction: margins(s).prediction(), gaps: margins(s).gaps(&errors[s]) };
            Ok((0..logits.samples()).map(gaps).collect())
        };
        let parts: Vec<Vec<Gaps>> =
            self.wide().chunks(x.samples()).into_par_iter().map(chunk).collect::<Result<_>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// Returns the claims about samples whose logits are given, and the tape of that pass: executed, if it is known
    /// what the program reads.
    pub(super) fn certify_recorded(
        &self,
        points: &Points<T>,
        logits: &Batch<f64>,
        tape: &Tape<f64>,
    ) -> Result<Vec<SampleCertificate>> {
        let distances = self.distances(logits);
        let margins = |s| Margins::new(self, logits.sample(s), &distances);
        let reach = (0..logits.samples()).map(|s| margins(s).reach()).collect();
        let errors = self.errors(tape, reach, points.semantics())?;
        let claim = |s: usize| {
            let claim = margins(s).claim(&errors[s]);
            if claim.refusal.is_none() && !points.holds(s, claim.radius.get()) {
                return SampleCertificate { radius: Lower::ZERO, refusal: Some(Refusal::Unreadable), ..claim };
            }
            claim
        };
        let mut claims: Vec<SampleCertificate> = (0..logits.samples()).map(claim).collect();
        if let Some(read) = &points.read {
            // Where nothing is proved, the program may predict something else.
            let refused: Vec<usize> = (0..claims.len()).filter(|&s| claims[s].refusal.is_some()).collect();
            let executed = self.network().forward(&read.gather(&refused))?;
            for (i, &s) in refused.iter().enumerate() {
                claims[s].prediction = class(executed.sample(i));
            }
        }
        Ok(claims)
    }

    /// For each sample, the error of the margins on the tape, and for [`Semantics::Executed`] also that of the program
    /// anywhere within `reach`.
    pub(super) fn errors(&self, tape: &Tape<f64>, mut reach: Vec<f64>, semantics: Semantics) -> Result<Vec<Errors>> {
        let (samples, features) = (reach.len(), self.feature_layers());
        let still = vec![0.0; samples];
        let start = || vec![Errors { features: 0.0, logits: vec![0.0; self.network().output().len()] }; samples];
        let (mut centre, mut executed) = (start(), start());
        let layers = self.network().layers().zip(self.wide().layers()).zip(self.certificate().layers());
        for (i, ((layer, wide), proof)) in layers.enumerate() {
            let (tape, is_head) = (tape.inner(i), i == features);
            let pass = |executed: &mut [Errors], centre: &mut [Errors]| -> Result<()> {
                if semantics == Semantics::Executed {
                    // The program's input of this layer is off by its own error, the exact one of x' lies within the
                    // exact ball, and the tape is off by that of the centre.
                    let around = |s: usize| add_up(add_up(reach[s], executed[s].features), centre[s].features);
                    let around: Vec<f64> = (0..samples).map(around).collect();
                    charge(executed, (layer, proof, is_head), tape, &around)?;
                }
                charge(centre, (wide, proof, is_head), tape, &still)
            };
            pass(&mut executed, &mut centre).map_err(|e| e.in_layer(i.to_string()))?;
            let l = proof.bound().get();
            reach.iter_mut().for_each(|reach| *reach = mul_add_over(l, *reach, 0.0));
        }
        Ok(centre.iter().zip(&executed).map(|(a, b)| a.plus(b)).collect())
    }
}

/// Passes a layer, or the head, and adds what it rounds in `T` within `reach` of the tape.
fn charge<T: Scalar>(
    errors: &mut [Errors],
    (layer, proof, is_head): (&dyn Layer<T>, &Certificate, bool),
    tape: &Tape<f64>,
    reach: &[f64],
) -> Result<()> {
    let (rounding, l) = (Rounding::of::<T>(), proof.bound().get());
    if is_head {
        let local = layer.rounding_by_coordinate(proof, &rounding, tape, reach)?;
        errors.iter_mut().zip(local).for_each(|(e, local)| e.logits = local);
    } else {
        let local = layer.rounding(proof, &rounding, tape, reach)?;
        errors.iter_mut().zip(local).for_each(|(e, local)| e.features = mul_add_over(l, e.features, local));
    }
    Ok(())
}
