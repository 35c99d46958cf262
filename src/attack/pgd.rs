//! Projected gradient descent against the label of a sample.
//!
//! Source: Madry, Makelov, Schmidt, Tsipras, Vladu, *Towards deep learning models resistant to adversarial attacks*,
//! ICLR 2018. The margin loss and the decaying step follow Croce, Hein, *Reliable evaluation of adversarial robustness
//! with an ensemble of diverse parameter-free attacks*, ICML 2020.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    Ball, Loss, Norm, StepSize,
    descent::{Aim, Descent},
    loss::{around, is_broken},
    predictions,
};
use crate::{
    data::Dataset,
    error::{Error, Result},
    network::{Network, chunks_of},
    rigor::directed::{add_up, sub_down},
    scalar::Scalar,
    tensor::{Batch, argmax, finite},
};

/// The number of samples of a data set that are attacked at a time.
pub const AT_ONCE: usize = 1024;

/// Where descents start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// At the sample, the first time that a descent goes where it goes: the first one, and with [`Loss::Targeted`] the
    /// first one to each class. For the second and every further `ε` the very first one starts at the best point of the
    /// `ε` before it, moved outward. All others start at random.
    Sample,
    /// All at random: uniform in the ball, then cut by the range.
    Random,
}

/// Projected gradient descent (PGD): how it is run.
///
/// ```
/// use dahlquist::{Network, attack::Attack, layer::AffineLayer, operator::{Affine, Dense}};
/// use dahlquist::tensor::{Batch, Shape};
/// let head = Affine::new(Dense::new(2, 1, vec![1.0, -1.0])?, Some(vec![0.0, 1.0]))?;
/// let network = Network::<f64>::new(Shape::Features(1), vec![Box::new(AffineLayer::new(head))])?;
/// let x = Batch::new(Shape::Features(1), vec![0.75])?;
/// // The boundary is at 1/2, a quarter away.
/// let found = Attack::default().robust_accuracy(&network, &x, &[0], &[0.2, 0.3])?;
/// assert_eq!(found.broken_at(), [Some(1)]);
/// assert_eq!(found.accuracy(), [1.0, 0.0]);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attack {
    /// The norm of the ball. Default ℓ2.
    pub norm: Norm,
    /// What is decreased. Default the difference to one class after the other, the nearest first.
    pub loss: Loss,
    /// Gradient steps of one descent. Default 20.
    pub steps: usize,
    /// Descents for each `ε`, at least 1. Default 2, which aim at the two nearest classes; `classes − 1` aim at all.
    pub starts: usize,
    /// Where they start. Default at the sample.
    pub first: Start,
    /// The length of a step. Default a cosine from `10ε/steps` to 0: half of `ε` for 20 steps.
    pub step_size: StepSize,
    /// The range of every coordinate of an input, or none. Default `[0, 1]`. A coordinate of a sample that lies outside of
    /// it by less than a pixel can be told apart (a 510th of the range) may move between its own value and the range; a
    /// sample that lies further outside is refused.
    pub range: Option<[f64; 2]>,
    /// The seed of the random starts. Default 0.
    pub seed: u64,
    /// The number of the first sample. Random starts depend on the numbers of samples: a group of [`AT_ONCE`] samples that
    /// keep their numbers is attacked as it is in the whole set. Default 0.
    pub first_sample: usize,
    /// Whether the adversarial inputs are kept in the result. Default no.
    pub keep_inputs: bool,
}

impl Default for Attack {
    fn default() -> Self {
        Self {
            norm: Norm::L2,
            loss: Loss::Targeted,
            steps: 20,
            starts: 2,
            first: Start::Sample,
            step_size: StepSize::Cosine(5.0),
            range: Some([0.0, 1.0]),
            seed: 0,
            first_sample: 0,
            keep_inputs: false,
        }
    }
}

/// An input near a sample that is not classified as its label.
#[derive(Debug, Clone, PartialEq)]
pub struct Broken<T> {
    /// An upper bound of the exact distance to the sample, by outward rounding; 0 for the sample itself.
    pub distance: f64,
    /// The class that it is executed as.
    pub prediction: usize,
    /// The input, if it was to be kept.
    pub input: Option<Vec<T>>,
}

/// What an attack found.
#[derive(Debug, Clone, PartialEq)]
pub struct RobustAccuracy<T> {
    eps: Vec<f64>,
    broken: Vec<Option<Broken<T>>>,
}

impl<T> RobustAccuracy<T> {
    /// Returns the radii, ascending.
    pub fn eps(&self) -> &[f64] {
        &self.eps
    }

    /// For each sample, the input that broke it, if one was found within the largest `ε`.
    pub fn broken(&self) -> &[Option<Broken<T>>] {
        &self.broken
    }

    /// For each sample, the position in [`Self::eps`] of the smallest `ε` that its adversarial input is within.
    pub fn broken_at(&self) -> Vec<Option<usize>> {
        let index = |broken: &Broken<T>| self.eps.iter().position(|&eps| broken.distance <= eps);
        self.broken.iter().map(|broken| broken.as_ref().and_then(index)).collect()
    }

    /// Returns the fraction of samples that are classified as their labels, in `[0, 1]`; NaN for no samples.
    pub fn clean(&self) -> f64 {
        self.fraction(|broken| broken.distance > 0.0)
    }

    /// For each `ε`, the fraction of samples for which no adversarial input within `ε` was found: an upper bound of the
    /// robust accuracy of the executed network.
    pub fn accuracy(&self) -> Vec<f64> {
        self.eps.iter().map(|&eps| self.fraction(|broken| broken.distance > eps)).collect()
    }

    fn fraction(&self, survives: impl Fn(&Broken<T>) -> bool) -> f64 {
        let count = self.broken.iter().filter(|broken| broken.as_ref().is_none_or(&survives)).count();
        count as f64 / self.broken.len() as f64
    }
}

impl Attack {
    /// Looks, for each sample, for an input within each `ε` that is not classified as the label.
    ///
    /// `eps` ascends. A sample that is misclassified itself is broken at distance 0, so at every `ε`; one that is broken
    /// within an `ε` is within every larger one, and is not attacked again. A logit that is NaN counts as broken. Each
    /// adversarial input was executed in `T` as the network executes a batch, lies in [`Self::range`], and is within `ε`
    /// by the exact distance. The result depends on the seed, not on the number of threads.
    ///
    /// # Errors
    /// [`Error::Shape`] for samples of another shape than the input of the network; [`Error::Length`] if there is not one
    /// label for each; [`Error::Parameter`] for a label that is no class, no or descending `eps`, a sample outside of the
    /// range, or options that make no sense; [`Error::NotFinite`] for a sample that is not finite.
    pub fn robust_accuracy<T: Scalar>(
        &self,
        network: &Network<T>,
        x: &Batch<T>,
        labels: &[usize],
        eps: &[f64],
    ) -> Result<RobustAccuracy<T>> {
        self.robust_accuracy_observed(network, x, labels, eps, &|_| ())
    }

    /// As [`Self::robust_accuracy`]; `observe` is told, now and then and from any thread, how many descents have ended.
    /// There are at most `samples · starts · (number of ε)`.
    ///
    /// # Errors
    /// As [`Self::robust_accuracy`].
    pub fn robust_accuracy_observed<T: Scalar>(
        &self,
        network: &Network<T>,
        x: &Batch<T>,
        labels: &[usize],
        eps: &[f64],
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<RobustAccuracy<T>> {
        let broken = self.attack(network, x, labels, eps, 0, observe)?;
        Ok(RobustAccuracy { eps: eps.to_vec(), broken })
    }

    /// As [`Self::robust_accuracy_observed`], for samples that are not all in memory: [`AT_ONCE`] of them at a time, so
    /// that a set of any size is attacked in the same memory. Without labels it is turned against the predictions.
    ///
    /// Balls and distances are those of the samples themselves, as certified radii are, whatever the program reads of them: the
    /// balls around what it reads are smaller by the distance, and an adversarial input is within `ε` of the sample.
    ///
    /// # Errors
    /// As [`Self::robust_accuracy`], and as [`Dataset::batch`].
    pub fn robust_accuracy_of<T: Scalar>(
        &self,
        network: &Network<T>,
        dataset: &Dataset,
        eps: &[f64],
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<RobustAccuracy<T>> {
        let mut broken = Vec::with_capacity(dataset.len());
        for samples in chunks_of(AT_ONCE, dataset.len()) {
            let (first, indices): (usize, Vec<usize>) = (samples.start, samples.collect());
            let (x, wide) = (dataset.batch(&indices)?, dataset.batch::<f64>(&indices)?);
            let labels = match dataset.is_labelled() {
                true => dataset.labels_at(&indices)?,
                false => predictions(network, &x)?,
            };
            let read = x.cast::<f64>();
            let off = |s: usize| add_up(self.norm.distance_up(wide.sample(s), read.sample(s)), dataset.distance_up());
            let off: Vec<f64> = (0..indices.len()).map(off).collect();
            let furthest = off.iter().copied().fold(0.0, f64::max);
            let smaller = |&eps: &f64| match furthest > 0.0 && eps >= 0.0 && eps.is_finite() {
                true => sub_down(eps, furthest).max(0.0),
                false => eps,
            };
            let balls: Vec<f64> = eps.iter().map(smaller).collect();
            let found = self.attack(network, &x, &labels, &balls, first, observe)?;
            broken.extend(found.into_iter().zip(off).map(|(broken, off)| {
                let moved = |distance: f64| if distance > 0.0 { add_up(distance, off) } else { distance };
                broken.map(|broken| Broken { distance: moved(broken.distance), ..broken })
            }));
        }
        Ok(RobustAccuracy { eps: eps.to_vec(), broken })
    }

    /// Returns the attack on samples whose numbers begin with `first`: these decide their random starts.
    fn attack<T: Scalar>(
        &self,
        network: &Network<T>,
        x: &Batch<T>,
        labels: &[usize],
        eps: &[f64],
        first: usize,
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<Option<Broken<T>>>> {
        let balls = self.check(network, x, labels, eps, first)?;
        let numbered = self.first_sample.wrapping_add(first);
        let logits = network.forward(x)?;
        let clean = |s: usize| {
            let (value, label) = (logits.sample(s), labels[s]);
            let keep = || self.keep_inputs.then(|| x.sample(s).to_vec());
            is_broken(value, label).then(|| Broken { distance: 0.0, prediction: argmax(value), input: keep() })
        };
        let mut broken: Vec<Option<Broken<T>>> = (0..x.samples()).map(clean).collect();
        let targets = self.targets_of(network, x, labels, &broken)?;
        let mut best: Vec<Option<(f64, Vec<T>)>> = vec![None; x.samples()];
        for (k, ball) in balls.iter().enumerate().filter(|(_, ball)| ball.eps() > 0.0) {
            let previous = std::mem::replace(&mut best, vec![None; x.samples()]);
            for start in 0..self.starts {
                let alive: Vec<usize> = (0..x.samples()).filter(|&s| broken[s].is_none()).collect();
                let run = |ids: &[usize]| -> Result<Vec<Descent<T>>> {
                    let from: Vec<Vec<T>> = ids
                        .iter()
                        .map(|&s| {
                            self.start(
                                ball,
                                x.sample(s),
                                // Where each descent aims at a class of its own, only the first goes on.
                                previous[s].as_ref().filter(|_| start == 0),
                                numbered.wrapping_add(s),
                                k * self.starts + start,
                                start < targets[s].len().max(1),
                            )
                        })
                        .collect();
                    let aims: Vec<Aim> = ids
                        .iter()
                        .map(|&s| Aim { sample: s, label: labels[s], target: around(&targets[s], labels[s], start) })
                        .collect();
                    let descents = self.descend(network, ball, x, &aims, from)?;
                    observe(ids.len());
                    Ok(descents)
                };
                let descents: Vec<Vec<Descent<T>>> =
                    alive.par_chunks(network.chunk()).map(run).collect::<Result<_>>()?;
                for descent in descents.into_iter().flatten() {
                    let s = descent.sample;
                    broken[s] = descent.broken;
                    // Where each descent aims at a class of its own, only the first goes on from its own best point.
                    if let Some(found) = descent.best
                        && (start == 0 || self.loss != Loss::Targeted)
                        && best[s].as_ref().is_none_or(|(loss, _)| found.0 < *loss)
                    {
                        best[s] = Some(found);
                    }
                }
            }
        }
        Ok(broken)
    }

    /// Returns for each sample that is not broken the classes that are aimed at, if the loss aims at any.
    fn targets_of<T: Scalar>(
        &self,
        network: &Network<T>,
        x: &Batch<T>,
        labels: &[usize],
        broken: &[Option<Broken<T>>],
    ) -> Result<Vec<Vec<usize>>> {
        let mut targets = vec![Vec::new(); x.samples()];
        if self.loss == Loss::Targeted {
            let alive: Vec<usize> = (0..x.samples()).filter(|&s| broken[s].is_none()).collect();
            for (&s, order) in alive.iter().zip(self.targets(network, x, labels, &alive)?) {
                targets[s] = order;
            }
        }
        Ok(targets)
    }

    fn check<T: Scalar>(
        &self,
        network: &Network<T>,
        x: &Batch<T>,
        labels: &[usize],
        eps: &[f64],
        first: usize,
    ) -> Result<Vec<Ball>> {
        if x.shape() != network.input() {
            let (what, expected, found) = ("attacked samples".into(), network.input(), x.shape());
            return Err(Error::Shape { what, expected, found });
        }
        if labels.len() != x.samples() {
            return Err(Error::Length { what: "labels".into(), expected: x.samples(), found: labels.len() });
        }
        let classes = network.output().len();
        if let Some((s, label)) = labels.iter().enumerate().find(|&(_, &label)| label >= classes) {
            return Err(Error::parameter(
                "label",
                label,
                format!("sample {} needs a class below {classes}", first + s),
            ));
        }
        if eps.is_empty() || eps.windows(2).any(|pair| pair[0] > pair[1]) {
            return Err(Error::parameter(
                "eps",
                format!("{eps:?}"),
                "at least one radius is needed, in ascending order",
            ));
        }
        for (name, count) in [("steps", self.steps), ("starts", self.starts)] {
            if count == 0 {
                return Err(Error::parameter(name, count, "an attack needs at least one"));
            }
        }
        let (StepSize::Constant(c) | StepSize::Cosine(c)) = self.step_size;
        if !(c.is_finite() && c > 0.0) {
            return Err(Error::parameter("step_size", c, "a step must be a finite positive number"));
        }
        let balls: Vec<Ball> = eps.iter().map(|&eps| Ball::new(self.norm, eps, self.range)).collect::<Result<_>>()?;
        finite("attacked samples", x.data())?;
        if let Some(s) = (0..x.samples()).find(|&s| !balls[0].admits(x.sample(s))) {
            let range = self.range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
            return Err(Error::parameter(
                "range",
                format!("{range:?}"),
                format!("sample {} does not lie in it, nor within a 510th of it", first + s),
            ));
        }
        Ok(balls)
    }
}
