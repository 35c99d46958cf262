//! Local radii: a neuron that cannot switch within the ball counts as the linear map that it is there.
//!
//! Within `ε` of a sample, what goes into an activation behind a matrix `W` moves by at most `‖wᵢ‖Λε`, `Λ` being a
//! Lipschitz constant on the ball of what comes before. A piecewise linear activation has one slope there if it cannot
//! reach the next piece, and what has slope 0 does not move: it is one column less of the next matrix
//! ([`motion`]). Going back from the difference of two logits, the fixed slopes make a row of numbers, its gradient, and
//! the others an error of it that is known ([`sensitivity`]).
//!
//! A constant that holds on the ball of radius `ε` certifies no more than `ε`. The best ball is sought by bisection
//! between the global radius and what the constant of that ball promises; each of its steps is a proof.
//!
//! The margins over the ball are bounded by linear functions as well ([`linear`]), and the larger radius counts, sample by
//! sample. These bounds know other norms, ranges and boxes, too. Where they fail, quadratic bounds may be asked for.
//!
//! Sources: Huang, Zhang, Shi, Kolter, Anandkumar, *Training certifiably robust neural networks with efficient local
//! Lipschitz bounds*, NeurIPS 2021; Zhang, Zhang, Hsieh, *RecurJac*, AAAI 2019.

mod boxes;
mod extend;
mod linear;
mod motion;
mod reach;
mod sensitivity;

use std::{collections::BTreeMap, ops::Range};

pub use boxes::LinearBounds;
use faer::Mat;
use rayon::prelude::*;

use self::{extend::MarginBounds, linear::Tail, motion::Motion, sensitivity::Sensitivity};
use super::{
    Refusal, Sealed,
    claim::Errors,
    head::{Distances, LARGEST_RADIUS},
    radius::Points,
};
use crate::{
    activation::Activation,
    certificate::{Norm, Perturbation, RadiusProof, Semantics},
    certify::SampleCertificate,
    error::{Error, Result},
    model::{Linear, Map},
    rigor::{
        Lower, Rounding,
        directed::{add_up, div_down, mul_up, norm_up, sqrt_up, sub_down},
        environment,
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, argmax},
};
pub use reach::Effort;
pub(super) use reach::{Asked, Goal, ascending};

/// How often the interval that holds a local radius is halved.
const HALVINGS: usize = 4;

/// A part of the features, as far as local constants know it.
enum Part {
    /// The transpose of a matrix, so that its rows are contiguous, and the activation behind it if there is one.
    Dense(Mat<f64>, Option<Activation>),
    /// Nothing but a new shape.
    Flatten,
    /// One other layer.
    Other,
}

impl Part {
    /// Returns the number of layers.
    fn layers(&self) -> usize {
        1 + usize::from(matches!(self, Self::Dense(_, Some(_))))
    }
}

impl<T: Scalar> Sealed<T> {
    /// As [`Self::certify`], with radii that are at least as large: within its ball, a neuron of a dense layer that
    /// cannot switch counts as what it is. Errors of the program count with the sensitivity of the margin to them.
    ///
    /// Linear bounds of the margins over the ball count, too: for all layers of this crate (explicit flows, skips, pools, every
    /// function), or for as many of the last ones as take at most 2³² products for a ball. They are computed in `f64`, and
    /// every rounding is charged.
    ///
    /// A sample costs a proof of the norms of the dense layers' matrices for each of about ten balls, and as many backward
    /// passes, far more than a forward pass.
    ///
    /// # Errors
    /// As [`Self::certify`].
    ///
    /// ```
    /// use dahlquist::{Network, Semantics, activation::Activation, tensor::{Batch, Shape}};
    /// use dahlquist::{layer::{ActivationLayer, AffineLayer, Layer}, operator::{Affine, Dense}};
    /// // f(x) = (relu(x) − 8 relu(−x), 1/2)
    /// let dense = |o, i, w: &[f64], b: &[f64]| -> dahlquist::Result<Box<dyn Layer<f64>>> {
    ///     Ok(Box::new(AffineLayer::new(Affine::new(Dense::new(o, i, w.to_vec())?, Some(b.to_vec()))?)))
    /// };
    /// let relu = Box::new(ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(2))?);
    /// let layers = vec![dense(2, 1, &[1.0, -1.0], &[0.0; 2])?, relu, dense(2, 2, &[1.0, -8.0, 0.0, 0.0], &[0.0, 0.5])?];
    /// let sealed = Network::new(Shape::Features(1), layers)?.seal()?;
    /// let x = Batch::new(Shape::Features(1), vec![1.0])?;
    /// assert!(!sealed.certify(&x, Semantics::Exact)?[0].holds_at(0.1));
    /// assert!(sealed.certify_locally(&x, Semantics::Exact)?[0].holds_at(0.499));
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn certify_locally<S: Scalar>(&self, x: &Batch<S>, semantics: Semantics) -> Result<Vec<SampleCertificate>> {
        self.certify_locally_within(x, semantics, &Perturbation::default())
    }

    /// As [`Self::certify_locally`], for inputs at a distance in a norm, in a range where one is given: there is no other input.
    /// Radii are in that norm. A sample that lies outside of the range, or what the program reads of it, is an input all the same:
    /// then the radius is that of the whole ball.
    ///
    /// # Errors
    /// As [`Self::certify`], and [`Error::Parameter`] for a range that is none.
    pub fn certify_locally_within<S: Scalar>(
        &self,
        x: &Batch<S>,
        semantics: Semantics,
        perturbation: &Perturbation,
    ) -> Result<Vec<SampleCertificate>> {
        self.locally((x, 0.0, semantics), perturbation, Goal::Largest(Effort::Linear), &|_| ())
    }

    /// Certifies samples in parallel, some of them at a time; `observe` is called with how many. The numbers of `x` are at most `off`
    /// from the samples that they stand for.
    pub(super) fn locally<S: Scalar>(
        &self,
        (x, off, semantics): (&Batch<S>, f64, Semantics),
        perturbation: &Perturbation,
        goal: Goal<'_>,
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<SampleCertificate>> {
        perturbation.validate()?;
        let local = Local::new(self);
        let certify = |range: Range<usize>| {
            environment::check()?;
            let points = Points::new(x, off, range.clone(), semantics)?;
            let claims = match goal {
                Goal::Largest(effort) => local.certify(&points, perturbation, effort),
                Goal::Distances(distances, effort) => local.decide(&points, perturbation, distances, effort),
                Goal::Claimed(claimed) => local.confirm(&points, perturbation, &claimed[range.clone()]),
            };
            observe(range.len());
            claims
        };
        let claims: Vec<Vec<SampleCertificate>> =
            self.wide().chunks(x.samples()).into_par_iter().map(certify).collect::<Result<_>>()?;
        Ok(claims.into_iter().flatten().collect())
    }
}

/// A sealed network in plain numbers.
struct Local<'a, T: Scalar> {
    sealed: &'a Sealed<T>,
    parts: Vec<Part>,
    /// For each part, an upper bound of the Frobenius norm of its matrix.
    frobenius: Vec<f64>,
    /// The matrix of a dense head.
    head: Option<Mat<f64>>,
    /// The layers that linear bounds pass, up to the last.
    tail: Option<Tail>,
}

/// Samples, and the pass over them that margins are computed with.
struct Pass {
    /// What goes into the layers that linear bounds pass.
    front: Batch<f64>,
    logits: Batch<f64>,
    tape: Tape<f64>,
    /// For each layer, bounds of the rounding errors of its inputs on the tape.
    inputs: Vec<Vec<f64>>,
    /// The rounding errors of the margins.
    centre: Vec<Errors>,
    /// The distances from the classes that are predicted to the others.
    distances: BTreeMap<usize, Distances>,
}

impl Pass {
    /// Returns the class of each sample, as computed.
    fn classes(&self) -> Vec<usize> {
        (0..self.logits.samples()).map(|s| argmax(self.logits.sample(s))).collect()
    }
}

impl<'a, T: Scalar> Local<'a, T> {
    fn new(sealed: &'a Sealed<T>) -> Self {
        let (features, head) = sealed.map().layers().split_at(sealed.feature_layers());
        let head = match head {
            [Map::Linear(Linear::Dense { weight, .. })] => Some(weight.matrix()),
            _ => None,
        };
        let (mut parts, mut rest) = (Vec::new(), features.iter().peekable());
        while let Some(layer) = rest.next() {
            parts.push(match layer {
                Map::Linear(Linear::Dense { weight, .. }) => {
                    let behind = rest.next_if(|next| matches!(next, Map::Activation(_)));
                    let function = behind.and_then(|next| if let Map::Activation(f) = next { Some(*f) } else { None });
                    Part::Dense(weight.matrix().transpose().to_owned(), function)
                }
                Map::Linear(Linear::Flatten {}) => Part::Flatten,
                _ => Part::Other,
            });
        }
        let frobenius = |part: &Part| match part {
            Part::Dense(w, _) => {
                norm_up(&w.col_iter().map(|c| norm_up(&c.iter().copied().collect::<Vec<_>>())).collect::<Vec<_>>())
            }
            Part::Flatten | Part::Other => 0.0,
        };
        let tail = Tail::new(sealed.map(), sealed.network().input());
        Self { sealed, frobenius: parts.iter().map(frobenius).collect(), parts, head, tail }
    }

    /// Returns a pass over samples.
    fn pass(&self, wide: &Batch<f64>) -> Result<Pass> {
        let samples = wide.samples();
        let (logits, tape) = self.sealed.wide().forward_recording(wide.clone())?;
        let inputs = self.input_errors(&tape, samples)?;
        let centre = self.sealed.errors(&tape, vec![0.0; samples], Semantics::Exact)?;
        let distances = self.sealed.distances(&logits);
        Ok(Pass { front: self.front(wide), logits, tape, inputs, centre, distances })
    }

    fn certify(
        &self,
        points: &Points<T>,
        perturbation: &Perturbation,
        effort: Effort,
    ) -> Result<Vec<SampleCertificate>> {
        let samples = points.wide.samples();
        let pass = self.pass(&points.wide)?;
        let exact = Points { wide: points.wide.clone(), read: None, apart: vec![0.0; samples], off: points.off };
        let mut claims = self.sealed.certify_recorded(&exact, &pass.logits, &pass.tape)?;
        let radii = |claims: &[SampleCertificate]| claims.iter().map(|claim| claim.radius.get()).collect::<Vec<_>>();
        let mut proved = radii(&claims);
        let (mut beyond, mut known) = self.prove(&pass, &proved, Semantics::Exact, &[])?;
        self.search(&pass, Semantics::Exact, (&mut proved, &mut beyond), &mut known)?;
        let classes = pass.classes();
        let enlarge = |meaning: (Semantics, &Perturbation, Effort), guesses: Option<&[f64]>, proved: &mut [f64]| {
            let bounds = MarginBounds::new(self, (points, &pass), &classes, meaning);
            bounds.map_or(Ok(()), |bounds| bounds.enlarge(guesses, proved))
        };
        let mut by_motion = proved.clone();
        let ball = Perturbation::default();
        enlarge((Semantics::Exact, &ball, Effort::Linear), None, &mut proved)?;
        if points.read.is_some() {
            claims = self.sealed.certify_recorded(points, &pass.logits, &pass.tape)?;
            // An executed radius is never above the exact one.
            beyond.clone_from(&by_motion);
            let exact = std::mem::replace(&mut proved, radii(&claims));
            self.search(&pass, Semantics::Executed, (&mut proved, &mut beyond), &mut known)?;
            by_motion.clone_from(&proved);
            enlarge((Semantics::Executed, &ball, Effort::Linear), Some(&exact), &mut proved)?;
            // An executed radius is never above the exact one, wherever the two searches ended.
            proved.iter_mut().zip(&exact).for_each(|(proved, &exact)| *proved = proved.min(exact));
        }
        if !perturbation.is_plain() {
            self.inscribe(&mut claims, points, perturbation.norm);
            let radii = proved.iter_mut().chain(&mut by_motion);
            radii.for_each(|radius| *radius = self.inradius(*radius, perturbation.norm));
            enlarge((points.semantics(), perturbation, Effort::Linear), None, &mut proved)?;
        }
        let by_lines = proved.clone();
        if effort == Effort::Quadratic {
            enlarge((points.semantics(), perturbation, effort), None, &mut proved)?;
        }
        for (s, (claim, radius)) in claims.iter_mut().zip(proved).enumerate() {
            if radius > claim.radius.get() && points.holds(s, radius) {
                let by = match radius {
                    radius if radius > by_lines[s] => RadiusProof::Quadratic,
                    radius if radius > by_motion[s] => RadiusProof::Linear,
                    _ => RadiusProof::Local,
                };
                let radius = Lower::proved(radius.min(LARGEST_RADIUS));
                *claim = SampleCertificate { prediction: Some(classes[s]), radius, refusal: None, by };
            }
        }
        Ok(claims)
    }

    /// Returns the radius of a ball in a norm that lies in a Euclidean one.
    fn inradius(&self, radius: f64, norm: Norm) -> f64 {
        match norm {
            Norm::L2 => radius,
            Norm::Linf => div_down(radius, self.width()).max(0.0),
        }
    }

    /// Returns the radius of a Euclidean ball that holds one in a norm.
    fn circumradius(&self, radius: f64, norm: Norm) -> f64 {
        match norm {
            Norm::L2 => radius,
            Norm::Linf => mul_up(radius, self.width()),
        }
    }

    /// Returns an upper bound of `√d` for inputs of `d` numbers: `‖x‖_∞ ≤ ‖x‖₂ ≤ √d ‖x‖_∞`.
    fn width(&self) -> f64 {
        sqrt_up(self.sealed.network().input().len() as f64)
    }

    /// Makes claims about Euclidean balls claims about the balls in a norm that lie in them.
    fn inscribe(&self, claims: &mut [SampleCertificate], points: &Points<T>, norm: Norm) {
        for (s, claim) in claims.iter_mut().enumerate().filter(|(_, claim)| claim.refusal.is_none()) {
            let radius = self.inradius(claim.radius.get(), norm);
            (claim.radius, claim.refusal) = match points.holds(s, radius) {
                true => (Lower::proved(radius), None),
                false => (Lower::ZERO, Some(Refusal::Unreadable)),
            };
        }
    }

    /// Enlarges what is proved, towards `beyond`.
    fn search(
        &self,
        pass: &Pass,
        semantics: Semantics,
        (proved, beyond): (&mut [f64], &mut [f64]),
        known: &mut Vec<Motion>,
    ) -> Result<()> {
        // The end itself is tried first: often the same neurons are fixed there.
        for part in std::iter::once(1.0).chain([0.5; HALVINGS]) {
            let between = |(&a, &b): (&f64, &f64)| if b > a { (a + part * (b - a)).min(b) } else { a };
            let balls: Vec<f64> = proved.iter().zip(&*beyond).map(between).collect();
            let (radii, motions) = self.prove(pass, &balls, semantics, known)?;
            *known = motions;
            for (s, radius) in radii.into_iter().enumerate() {
                proved[s] = proved[s].max(radius.min(balls[s]));
                if radius < balls[s] {
                    beyond[s] = balls[s];
                }
            }
        }
        Ok(())
    }

    /// For each sample, the radius that the constants of its ball promise, and these: up to that of the ball it is proved.
    fn prove(
        &self,
        pass: &Pass,
        balls: &[f64],
        semantics: Semantics,
        known: &[Motion],
    ) -> Result<(Vec<f64>, Vec<Motion>)> {
        let motions = self.motions(&pass.tape, balls, &pass.inputs, semantics, known)?;
        // The program's features are off the tape by what they move, by their own error, and by what the tape is off.
        let off = |(s, m): (usize, &Motion)| {
            add_up(add_up(mul_up(m.lipschitz.get(), balls[s]), m.error), pass.centre[s].features)
        };
        let reach: Vec<f64> = motions.iter().enumerate().map(off).collect();
        let head = self.head_rounding(&pass.tape, &reach, semantics)?;
        let radii = motions.iter().enumerate().map(|(s, motion)| self.radius(pass, s, motion, &head[s])).collect();
        Ok((radii, motions))
    }

    /// Returns the errors that the head as executed adds to each logit, or none for exact semantics and where there is
    /// no head.
    fn head_rounding(&self, tape: &Tape<f64>, reach: &[f64], semantics: Semantics) -> Result<Vec<Vec<f64>>> {
        let (i, network) = (self.sealed.feature_layers(), self.sealed.network());
        let unlike = || Error::not_proved("the rounding error of a head", "the proof is not about this network");
        match network.layers().nth(i).filter(|_| semantics == Semantics::Executed) {
            Some(head) => {
                let proof = self.sealed.certificate().layers().nth(i).ok_or_else(unlike)?;
                head.rounding_by_coordinate(proof, &Rounding::of::<T>(), tape.inner(i), reach)
                    .map_err(|e| e.in_layer(i.to_string()))
            }
            None => Ok(vec![vec![0.0; network.output().len()]; reach.len()]),
        }
    }

    /// Returns the radius of a sample whose features move like this, `head` being the errors of the head as executed.
    fn radius(&self, pass: &Pass, s: usize, motion: &Motion, head: &[f64]) -> f64 {
        let (logits, centre) = (pass.logits.sample(s), &pass.centre[s]);
        let i = argmax(logits);
        let distances = &pass.distances[&i];
        let of_head = |j: usize| add_up(head[j], centre.logits[j]);
        let mut radius = LARGEST_RADIUS;
        for j in (0..logits.len()).filter(|&j| j != i) {
            let Sensitivity { slope, error } = self.sensitivity(motion, (i, j), distances.to(j));
            let features = add_up(mul_up(distances.to(j), centre.features), error);
            let errors = add_up(features, add_up(of_head(i), of_head(j)));
            let margin = sub_down(sub_down(logits[i], logits[j]), errors);
            if margin.is_nan() || margin <= 0.0 {
                return 0.0;
            }
            if slope != 0.0 {
                radius = radius.min(div_down(margin, slope));
            }
        }
        radius.max(0.0)
    }

    /// For each layer and sample, a bound of the rounding error of the layer's input on the tape, as a norm.
    fn input_errors(&self, tape: &Tape<f64>, samples: usize) -> Result<Vec<Vec<f64>>> {
        let still = vec![0.0; samples];
        let mut errors = vec![still.clone()];
        let layers = self.sealed.wide().layers().zip(self.sealed.certificate().layers());
        for (i, (layer, proof)) in layers.enumerate() {
            let local = layer.rounding(proof, &Rounding::of::<f64>(), tape.inner(i), &still);
            let local = local.map_err(|e| e.in_layer(i.to_string()))?;
            let pass = |(&e, local): (&f64, f64)| add_up(mul_up(proof.bound().get(), e), local);
            errors.push(errors[i].iter().zip(local).map(pass).collect());
        }
        Ok(errors)
    }
}
