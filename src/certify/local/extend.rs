//! Radii by linear and quadratic bounds: what is known of the network within a ball, and the search for the largest ball that holds.

use rayon::prelude::*;

use super::{
    Effort, Goal, Local, Pass, Points, ascending,
    linear::{self, Region, Tail},
};
use crate::{
    certificate::{Norm, Perturbation, Semantics},
    certify::{SampleCertificate, Sealed},
    error::Result,
    rigor::{
        Rounding,
        directed::{add_up, mul_up, sub_down},
        environment,
    },
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};

impl<T: Scalar> Sealed<T> {
    /// As [`Self::certify_locally_within`], with quadratic bounds of the margins that linear ones do not prove: for balls in
    /// which at most 256 neurons can switch, all of them convex and linear on either side of 0 (ReLU, leaky ReLU up to a slope of 1,
    /// absolute values). Intervals of inputs are used where there are at most 256 of them. On ordinary ReLU networks radii are larger by a tenth to a third, and a sample
    /// takes seconds.
    ///
    /// # Errors
    /// As [`Self::certify_locally_within`].
    ///
    /// ```
    /// use dahlquist::{Network, Semantics, activation::Activation, certificate::{Perturbation, RadiusProof}, tensor::{Batch, Shape}};
    /// use dahlquist::{layer::{ActivationLayer, AffineLayer, Layer}, operator::{Affine, Dense}};
    /// // f(x) = (3 − relu(x₁ + x₂) − relu(x₁ − x₂) − relu(−2x₁), 0): they are not large at once, which no line sees.
    /// let dense = |o, i, w: &[f64], b: &[f64]| -> dahlquist::Result<Box<dyn Layer<f64>>> {
    ///     Ok(Box::new(AffineLayer::new(Affine::new(Dense::new(o, i, w.to_vec())?, Some(b.to_vec()))?)))
    /// };
    /// let relu = Box::new(ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(3))?);
    /// let (first, head) = ([1.0, 1.0, 1.0, -1.0, -2.0, 0.0], [-1.0, -1.0, -1.0, 0.0, 0.0, 0.0]);
    /// let layers = vec![dense(3, 2, &first, &[0.0; 3])?, relu, dense(2, 3, &head, &[3.0, 0.0])?];
    /// let sealed = Network::new(Shape::Features(2), layers)?.seal()?;
    /// let (x, ball) = (Batch::new(Shape::Features(2), vec![0.0; 2])?, Perturbation::default());
    /// let linear = sealed.certify_locally(&x, Semantics::Exact)?[0];
    /// let quadratic = sealed.certify_quadratically(&x, Semantics::Exact, &ball)?[0];
    /// assert!(quadratic.radius > linear.radius && quadratic.by == RadiusProof::Quadratic);
    /// // The nearest input of the other class is at 3/2.
    /// assert!(quadratic.holds_at(1.49) && !quadratic.holds_at(1.5));
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn certify_quadratically<S: Scalar>(
        &self,
        x: &Batch<S>,
        semantics: Semantics,
        perturbation: &Perturbation,
    ) -> Result<Vec<SampleCertificate>> {
        self.locally((x, 0.0, semantics), perturbation, Goal::Largest(Effort::Quadratic), &|_| ())
    }

    /// As [`Self::decide_locally`], with quadratic bounds where linear ones decide nothing: [`Self::certify_quadratically`].
    ///
    /// # Errors
    /// As [`Self::decide_locally`].
    pub fn decide_quadratically<S: Scalar>(
        &self,
        x: &Batch<S>,
        semantics: Semantics,
        perturbation: &Perturbation,
        distances: &[f64],
    ) -> Result<Vec<SampleCertificate>> {
        let goal = Goal::Distances(&ascending(distances)?, Effort::Quadratic);
        self.locally((x, 0.0, semantics), perturbation, goal, &|_| ())
    }
}

/// What is known within the ball around each sample.
pub(super) struct Around {
    /// For each sample, how far off what goes into the layers that linear bounds pass can be, in norm.
    pub(super) front: Vec<f64>,
    /// For each layer of the features and each sample, what the layer adds when it is executed, as a norm; zeros in exact
    /// semantics.
    pub(super) added: Vec<Vec<f64>>,
    /// For each sample, what all layers of the features have added by then, as a norm.
    pub(super) features: Vec<f64>,
    /// For each sample, what the head adds to each logit.
    pub(super) head: Vec<Vec<f64>>,
}

/// Linear bounds of the margins of some samples over balls around them.
pub(super) struct MarginBounds<'a, T: Scalar> {
    local: &'a Local<'a, T>,
    tail: &'a Tail,
    points: &'a Points<T>,
    pass: &'a Pass,
    classes: &'a [usize],
    /// The margins at the samples, as computed: an estimate.
    centers: Vec<f64>,
    semantics: Semantics,
    perturbation: &'a Perturbation,
    effort: Effort,
}

impl<'a, T: Scalar> MarginBounds<'a, T> {
    /// Returns the margins of the classes that are predicted; none where linear bounds do not pass the head, or gain nothing.
    pub(super) fn new(
        local: &'a Local<'a, T>,
        (points, pass): (&'a Points<T>, &'a Pass),
        classes: &'a [usize],
        (semantics, perturbation, effort): (Semantics, &'a Perturbation, Effort),
    ) -> Option<Self> {
        let gains =
            |tail: &&Tail| (tail.bends() || !perturbation.is_plain()) && tail.first <= local.sealed.feature_layers();
        let tail = local.tail.as_ref().filter(gains)?;
        if effort == Effort::Quadratic && !tail.has_products() {
            return None;
        }
        let count = pass.logits.shape().len();
        let lead = |s: usize| {
            let (logits, class) = (pass.logits.sample(s), classes[s]);
            let next = (0..count).filter(|&j| j != class).map(|j| logits[j]).fold(f64::NEG_INFINITY, f64::max);
            logits[class] - next
        };
        let centers = (0..classes.len()).map(lead).collect();
        Some(Self { local, tail, points, pass, classes, centers, semantics, perturbation, effort })
    }

    /// Enlarges what is proved, sample by sample; `guesses` are radii that are likely to hold.
    pub(super) fn enlarge(&self, guesses: Option<&[f64]>, proved: &mut [f64]) -> Result<()> {
        linear::search(proved, &self.centers, guesses, |tried| self.left(tried))
    }

    /// For some samples and radii, returns the margin that is left there, positive where the radius is proved.
    pub(super) fn left(&self, tried: &[(usize, f64)]) -> Result<Vec<f64>> {
        let Self { local, tail, pass, perturbation, .. } = self;
        let count = pass.logits.shape().len();
        let mut radii = vec![0.0; self.classes.len()];
        tried.iter().for_each(|&(s, radius)| radii[s] = local.circumradius(radius, perturbation.norm));
        let around = local.around(pass, &radii, self.semantics)?;
        let left = |&(s, radius): &(usize, f64)| {
            // Each of these runs on a thread of its own.
            environment::check()?;
            let front = pass.front.sample(s);
            // What is proved must hold for the sample, and for what the program reads of it, wherever they lie.
            let range = perturbation.range.and_then(|range| self.points.range(s, range));
            let range = range.as_ref();
            let region = match (tail.first, perturbation.norm) {
                (0, Norm::L2) => Region::ball(front, radius, range),
                (0, Norm::Linf) => Region::cube(cube(front, radius, range)),
                _ => Region::ball(front, around.front[s], None),
            };
            let class = self.classes[s];
            let others: Vec<usize> = (0..count).filter(|&j| j != class).collect();
            let head = |j: &usize| add_up(around.head[s][class], around.head[s][*j]);
            let lead = self.centers[s];
            Ok(match self.effort {
                Effort::Linear => {
                    let needed: Vec<f64> = others.iter().map(head).collect();
                    let added: Vec<f64> = around.added.iter().map(|layer| layer[s]).collect();
                    tail.separate(class, &needed, 0.25 * lead, &region, &added)
                }
                // Multipliers are large, and would be charged with what each layer adds: the margin is charged with the whole.
                Effort::Quadratic => {
                    let distances = &pass.distances[&class];
                    let needed = others.iter().map(|j| add_up(head(j), mul_up(distances.to(*j), around.features[s])));
                    tail.separate_quadratically(class, &needed.collect::<Vec<_>>(), lead, &region)
                }
            })
        };
        tried.par_iter().map(left).collect()
    }
}

impl<T: Scalar> Local<'_, T> {
    /// Returns what goes into the layers that linear bounds pass, on the samples.
    pub(super) fn front(&self, wide: &Batch<f64>) -> Batch<f64> {
        let before = self.tail.as_ref().map_or(0, |tail| tail.first);
        let layers = self.sealed.wide().layers().take(before);
        layers.fold(wide.clone(), |x, layer| layer.forward(x, &mut Tape::idle()))
    }

    /// Returns what is known of the network within Euclidean balls around the samples.
    pub(super) fn around(&self, pass: &Pass, radii: &[f64], semantics: Semantics) -> Result<Around> {
        let (features, samples) = (self.sealed.feature_layers(), radii.len());
        let first = self.tail.as_ref().map_or(0, |tail| tail.first);
        let is_executed = semantics == Semantics::Executed;
        let (mut reach, mut off) = (radii.to_vec(), vec![0.0; samples]);
        let (mut added, mut front) = (Vec::new(), Vec::new());
        let layers = self.sealed.network().layers().zip(self.sealed.certificate().layers());
        for (i, (layer, proof)) in layers.take(features).enumerate() {
            let around: Vec<f64> = (0..samples).map(|s| add_up(add_up(reach[s], off[s]), pass.inputs[i][s])).collect();
            if i == first {
                front.clone_from(&around);
            }
            let local = if is_executed {
                let local = layer.rounding(proof, &Rounding::of::<T>(), pass.tape.inner(i), &around);
                local.map_err(|e| e.in_layer(i.to_string()))?
            } else {
                vec![0.0; samples]
            };
            let (l, whole) = (proof.bound().get(), self.sealed.certificate().prefix(i + 1).get());
            for s in 0..samples {
                off[s] = add_up(mul_up(l, off[s]), local[s]);
                reach[s] = mul_up(l, reach[s]).min(mul_up(whole, radii[s]));
            }
            added.push(local);
        }
        let around: Vec<f64> =
            (0..samples).map(|s| add_up(add_up(reach[s], off[s]), pass.inputs[features][s])).collect();
        if first >= features {
            front.clone_from(&around);
        }
        let head = self.head_rounding(&pass.tape, &around, semantics)?;
        Ok(Around { front, added, features: off, head })
    }
}

/// Returns the box of the numbers that are no further from each coordinate than a radius, in a range.
fn cube(center: &[f64], radius: f64, range: Option<&[f64; 2]>) -> Vec<[f64; 2]> {
    let [least, most] = range.copied().unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
    center.iter().map(|&x| [sub_down(x, radius).max(least), add_up(x, radius).min(most)]).collect()
}
