//! Radii that are given: one ball for each sample, in place of the search for the largest.
//!
//! Whoever asks for the accuracy at a distance, and whoever checks a certificate, knows the radius that is to be proved.

use super::{LARGEST_RADIUS, Local, Pass, Points, extend::MarginBounds};
use crate::{
    certificate::{Perturbation, RadiusProof, Semantics},
    certify::{SampleCertificate, Sealed},
    error::{Error, Result},
    rigor::{Lower, directed::mul_up},
    scalar::Scalar,
    tensor::Batch,
};

/// Radii that are to be above a distance are asked for at this many times it: then they still are when a certificate rounds them
/// down to `f32`.
const BEYOND: f64 = 1.0 + 1.0 / (1u64 << 20) as f64;

/// A radius that is claimed is the largest that was proved, rounded down. Next to it bounds hold or not by what their slopes were
/// improved to: it is asked for at a few multiples.
const RETRIES: [f64; 4] = [1.0, 1.0 + 6e-8, 1.0 + 1e-6, 1.0 + 5e-5];

/// A radius that is asked for, and what is to prove it.
#[derive(Clone, Copy)]
pub(in crate::certify) struct Asked {
    pub radius: f64,
    pub by: RadiusProof,
}

/// By what margins over a ball are bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effort {
    /// By linear functions.
    #[default]
    Linear,
    /// By quadratic functions as well, where linear ones fail: many times as long.
    Quadratic,
}

/// Which radii are sought.
#[derive(Clone, Copy)]
pub(in crate::certify) enum Goal<'a> {
    /// The largest.
    Largest(Effort),
    /// Those that are larger than distances, which ascend.
    Distances(&'a [f64], Effort),
    /// One for each sample, by one proof; where it is not found, the largest.
    Claimed(&'a [Asked]),
}

impl<T: Scalar> Sealed<T> {
    /// As [`Self::certify_locally_within`], for distances that are given: whether a sample's radius is larger than each of them is
    /// decided, the largest radius is not sought. A sample costs one ball for each distance up to the first that is not proved, and
    /// not the twenty of a search. Where linear bounds pass all layers, the constants of the ball are not tried: they take as long
    /// again, and hardly a sample needs them.
    ///
    /// Radii are proved, and for a distance that holds at most 2⁻²⁰ larger than it, if global constants do not prove more.
    ///
    /// # Errors
    /// As [`Self::certify_locally_within`], and [`Error::Parameter`] for a distance that is negative or not finite.
    ///
    /// ```
    /// use dahlquist::{Network, Semantics, activation::Activation, certificate::Perturbation, tensor::{Batch, Shape}};
    /// use dahlquist::{layer::{ActivationLayer, AffineLayer, Layer}, operator::{Affine, Dense}};
    /// // f(x) = (relu(x) − 8 relu(−x), 1/2): at 1, the class stands up to 1/2, and the Lipschitz constant proves 1/16.
    /// let dense = |o, i, w: &[f64], b: &[f64]| -> dahlquist::Result<Box<dyn Layer<f64>>> {
    ///     Ok(Box::new(AffineLayer::new(Affine::new(Dense::new(o, i, w.to_vec())?, Some(b.to_vec()))?)))
    /// };
    /// let relu = Box::new(ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(2))?);
    /// let layers = vec![dense(2, 1, &[1.0, -1.0], &[0.0; 2])?, relu, dense(2, 2, &[1.0, -8.0, 0.0, 0.0], &[0.0, 0.5])?];
    /// let sealed = Network::new(Shape::Features(1), layers)?.seal()?;
    /// let x = Batch::new(Shape::Features(1), vec![1.0])?;
    /// let decide = |eps: &[f64]| sealed.decide_locally(&x, Semantics::Exact, &Perturbation::default(), eps);
    /// assert!(decide(&[0.25, 0.375])?[0].holds_at(0.375));
    /// assert!(!decide(&[0.625])?[0].holds_at(0.625));
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn decide_locally<S: Scalar>(
        &self,
        x: &Batch<S>,
        semantics: Semantics,
        perturbation: &Perturbation,
        distances: &[f64],
    ) -> Result<Vec<SampleCertificate>> {
        let goal = Goal::Distances(&ascending(distances)?, Effort::Linear);
        self.locally((x, 0.0, semantics), perturbation, goal, &|_| ())
    }
}

/// Returns distances in order.
///
/// # Errors
/// [`Error::Parameter`] for one that is negative or not finite.
pub(in crate::certify) fn ascending(distances: &[f64]) -> Result<Vec<f64>> {
    if let Some(distance) = distances.iter().find(|distance| !(distance.is_finite() && **distance >= 0.0)) {
        return Err(Error::parameter("distance", distance, "it is a finite number of at least 0"));
    }
    let mut ascending = distances.to_vec();
    ascending.sort_by(f64::total_cmp);
    Ok(ascending)
}

impl<T: Scalar> Local<'_, T> {
    /// Returns claims whose radii are larger than as many of the distances, which ascend, as are proved.
    pub(super) fn decide(
        &self,
        points: &Points<T>,
        perturbation: &Perturbation,
        distances: &[f64],
        effort: Effort,
    ) -> Result<Vec<SampleCertificate>> {
        let mut reach = Reach::new(self, points, perturbation)?;
        let mut open: Vec<usize> = (0..points.wide.samples()).collect();
        let is_passed = self.tail.as_ref().is_some_and(|tail| tail.first == 0 && tail.bends());
        let mut proofs = vec![RadiusProof::Linear];
        if !is_passed {
            proofs.push(RadiusProof::Local);
        }
        if effort == Effort::Quadratic {
            proofs.push(RadiusProof::Quadratic);
        }
        for &distance in distances {
            let radius = mul_up(distance, BEYOND).max(f64::MIN_POSITIVE);
            for &by in &proofs {
                reach.prove(by, &reach.below(&open, radius))?;
            }
            let below = reach.below(&open, radius);
            open.retain(|s| below.iter().all(|(other, _)| other != s));
        }
        Ok(reach.claims)
    }

    /// Returns claims as large as those that are asked for, by the same proofs, or the largest.
    pub(super) fn confirm(
        &self,
        points: &Points<T>,
        perturbation: &Perturbation,
        asked: &[Asked],
    ) -> Result<Vec<SampleCertificate>> {
        let mut reach = Reach::new(self, points, perturbation)?;
        for more in RETRIES {
            for by in [RadiusProof::Linear, RadiusProof::Local, RadiusProof::Quadratic] {
                let missing = reach.missing(asked).filter(|&s| asked[s].by == by);
                let tried: Vec<(usize, f64)> = missing.map(|s| (s, more * asked[s].radius)).collect();
                reach.prove(by, &tried)?;
            }
        }
        let missing: Vec<usize> = reach.missing(asked).collect();
        if !missing.is_empty() {
            // All samples of the batch, as when they were certified: last bits decide what slopes are improved to.
            let is_quadratic = asked.iter().any(|asked| asked.by == RadiusProof::Quadratic);
            let effort = if is_quadratic { Effort::Quadratic } else { Effort::Linear };
            let largest = self.certify(points, perturbation, effort)?;
            missing.into_iter().for_each(|s| reach.claims[s] = largest[s]);
        }
        Ok(reach.claims)
    }
}

/// Claims about some samples, which grow.
struct Reach<'a, T: Scalar> {
    local: &'a Local<'a, T>,
    points: &'a Points<T>,
    perturbation: &'a Perturbation,
    pass: Pass,
    classes: Vec<usize>,
    claims: Vec<SampleCertificate>,
}

impl<'a, T: Scalar> Reach<'a, T> {
    /// Returns the claims that global constants prove.
    fn new(local: &'a Local<'a, T>, points: &'a Points<T>, perturbation: &'a Perturbation) -> Result<Self> {
        let pass = local.pass(&points.wide)?;
        let mut claims = local.sealed.certify_recorded(points, &pass.logits, &pass.tape)?;
        local.inscribe(&mut claims, points, perturbation.norm);
        let classes = pass.classes();
        Ok(Self { local, points, perturbation, pass, classes, claims })
    }

    /// Returns the samples whose radius is less than it should be, or proved by something else.
    fn missing(&self, asked: &[Asked]) -> impl Iterator<Item = usize> {
        let is_missing =
            |s: &usize| self.claims[*s].radius.get() < asked[*s].radius || self.claims[*s].by != asked[*s].by;
        (0..asked.len()).filter(is_missing)
    }

    /// Returns those of some samples whose radius is below another one, with that.
    fn below(&self, samples: &[usize], radius: f64) -> Vec<(usize, f64)> {
        let below = samples.iter().filter(|&&s| self.claims[s].radius.get() < radius);
        below.map(|&s| (s, radius)).collect()
    }

    /// Tries to prove radii of some samples.
    fn prove(&mut self, by: RadiusProof, tried: &[(usize, f64)]) -> Result<()> {
        let tried: Vec<(usize, f64)> = tried.iter().copied().filter(|(_, radius)| *radius <= LARGEST_RADIUS).collect();
        if tried.is_empty() {
            return Ok(());
        }
        let holds = match by {
            RadiusProof::Lipschitz => return Ok(()),
            RadiusProof::Local => self.by_motion(&tried)?,
            RadiusProof::Linear => self.by_margins(&tried, Effort::Linear)?,
            RadiusProof::Quadratic => self.by_margins(&tried, Effort::Quadratic)?,
        };
        for (&(s, radius), holds) in tried.iter().zip(holds) {
            let claim = &mut self.claims[s];
            if holds && radius > claim.radius.get() && self.points.holds(s, radius) {
                let prediction = Some(self.classes[s]);
                *claim = SampleCertificate { prediction, radius: Lower::proved(radius), refusal: None, by };
            }
        }
        Ok(())
    }

    /// Returns for some samples whether the constants of a ball prove it.
    fn by_motion(&self, tried: &[(usize, f64)]) -> Result<Vec<bool>> {
        let mut balls = vec![0.0; self.claims.len()];
        for &(s, radius) in tried {
            balls[s] = self.local.circumradius(radius, self.perturbation.norm);
        }
        let (promised, _) = self.local.prove(&self.pass, &balls, self.semantics(), &[])?;
        Ok(tried.iter().map(|&(s, _)| promised[s] >= balls[s]).collect())
    }

    /// Returns for some samples whether bounds of the margins prove a ball.
    fn by_margins(&self, tried: &[(usize, f64)], effort: Effort) -> Result<Vec<bool>> {
        let meaning = (self.semantics(), self.perturbation, effort);
        let Some(bounds) = MarginBounds::new(self.local, (self.points, &self.pass), &self.classes, meaning) else {
            return Ok(vec![false; tried.len()]);
        };
        Ok(bounds.left(tried)?.into_iter().map(|left| left > 0.0).collect())
    }

    fn semantics(&self) -> Semantics {
        self.points.semantics()
    }
}
