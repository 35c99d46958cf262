//! Radii by linear bounds: what is known of the network within a ball, and the search for the largest ball that holds.

use rayon::prelude::*;

use super::{
    Local, Pass, Points,
    linear::{self, Region, Tail},
};
use crate::{
    certificate::{Norm, Perturbation, Semantics},
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

/// What is known within the ball around each sample.
pub(super) struct Around {
    /// For each sample, how far off what goes into the layers that linear bounds pass can be, in norm.
    pub(super) front: Vec<f64>,
    /// For each layer of the features and each sample, what the layer adds when it is executed, as a norm; zeros in exact
    /// semantics.
    pub(super) added: Vec<Vec<f64>>,
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
}

impl<'a, T: Scalar> MarginBounds<'a, T> {
    /// Returns the margins of the classes that are predicted; none where linear bounds do not pass the head, or gain nothing.
    pub(super) fn new(
        local: &'a Local<'a, T>,
        (points, pass): (&'a Points<T>, &'a Pass),
        classes: &'a [usize],
        (semantics, perturbation): (Semantics, &'a Perturbation),
    ) -> Option<Self> {
        let gains =
            |tail: &&Tail| (tail.bends() || !perturbation.is_plain()) && tail.first <= local.sealed.feature_layers();
        let tail = local.tail.as_ref().filter(gains)?;
        let count = pass.logits.shape().len();
        let lead = |s: usize| {
            let (logits, class) = (pass.logits.sample(s), classes[s]);
            let next = (0..count).filter(|&j| j != class).map(|j| logits[j]).fold(f64::NEG_INFINITY, f64::max);
            logits[class] - next
        };
        let centers = (0..classes.len()).map(lead).collect();
        Some(Self { local, tail, points, pass, classes, centers, semantics, perturbation })
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
            let others = (0..count).filter(|&j| j != class);
            let needed: Vec<f64> = others.map(|j| add_up(around.head[s][class], around.head[s][j])).collect();
            let added: Vec<f64> = around.added.iter().map(|layer| layer[s]).collect();
            Ok(tail.separate(class, &needed, 0.25 * self.centers[s], &region, &added))
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
        Ok(Around { front, added, head })
    }
}

/// Returns the box of the numbers that are no further from each coordinate than a radius, in a range.
fn cube(center: &[f64], radius: f64, range: Option<&[f64; 2]>) -> Vec<[f64; 2]> {
    let [least, most] = range.copied().unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
    center.iter().map(|&x| [sub_down(x, radius).max(least), add_up(x, radius).min(most)]).collect()
}
