//! Training: a loss that asks for margins, an optimiser, a schedule, averaged weights, and the constraint kept on the way.

mod average;
mod loss;
mod optimiser;
mod orthogonal;
mod schedule;

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

pub use average::Average;
use loss::Current;
pub use loss::{Emma, Loss, MarginCrossEntropy};
pub use optimiser::{Optimiser, State};
pub use orthogonal::orthogonalize;
pub use schedule::OneCycle;

use crate::{
    data::{Dataset, augment},
    error::{Error, Result},
    network::{Gradient, Network},
    scalar::Scalar,
    tensor::Batch,
};

/// How a network is trained.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// The number of passes over the data.
    pub epochs: usize,
    /// The number of samples of one step of the optimiser.
    pub batch: usize,
    /// The rule by which parameters move.
    pub optimiser: Optimiser,
    /// The learning rate over the training.
    pub schedule: OneCycle,
    /// The loss.
    pub loss: Loss,
    /// The `β` of the average of the weights that is kept in the end ([`Average`]); the last weights without one.
    pub average: Option<f64>,
    /// Whether half of the images are mirrored.
    pub flip: bool,
    /// The largest shift of an image, in pixels.
    pub crop: usize,
    /// The seed of every random choice. With the same number of threads the result is the same to the last bit.
    pub seed: u64,
}

/// Where a training stands, after one step of the optimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The number of steps taken.
    pub step: usize,
    /// The number of steps there will be.
    pub steps: usize,
    /// The number of the pass over the data, from 0.
    pub epoch: usize,
    /// The mean loss of the step's samples.
    pub loss: f64,
    /// The fraction of the step's samples that were predicted correctly.
    pub accuracy: f64,
}

/// Trains a network on a data set.
///
/// After every step, [`Network::prepare`] renews what the constraint determines: relative steps of flows from a
/// power iteration that goes on from where it was, normalised rows of a head. The trained network is not certified
/// before it is sealed.
///
/// # Errors
/// [`Error::Parameter`] for an empty data set, no epochs, an empty batch or labels beyond the logits;
/// [`Error::NotProved`] if the loss ceases to be finite, or needs a dense head that is not there.
pub fn train<T: Scalar>(
    network: &mut Network<T>,
    data: &Dataset,
    recipe: &Recipe,
    mut observe: impl FnMut(Progress),
) -> Result<()> {
    if data.len() == 0 || recipe.epochs == 0 || recipe.batch == 0 {
        let value = format!("{} samples, {} epochs, batches of {}", data.len(), recipe.epochs, recipe.batch);
        return Err(Error::parameter("training", value, "each must be at least 1"));
    }
    if data.classes() > network.output().len() {
        return Err(Error::parameter(
            "classes",
            data.classes(),
            format!("the network has {} logits", network.output()),
        ));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(recipe.seed);
    let mut order: Vec<usize> = (0..data.len()).collect();
    let per_epoch = data.len().div_ceil(recipe.batch);
    let steps = recipe.epochs * per_epoch;
    let mut state = State::new(network);
    let mut average = recipe.average.map(Average::new);
    let mut shards: Vec<Gradient<T>> = Vec::new();
    for epoch in 0..recipe.epochs {
        order.shuffle(&mut rng);
        for (i, indices) in order.chunks(recipe.batch).enumerate() {
            let step = epoch * per_epoch + i;
            let mut x: Batch<T> = data.batch(indices)?;
            augment(&mut x, &mut rng, recipe.flip, recipe.crop)?;
            let passed = step as f64 / steps as f64;
            let loss = recipe.loss.at(passed, network)?;
            let sums = gradient(network, &x, &data.labels_at(indices)?, &loss, &mut shards)?;
            let scale = 1.0 / indices.len() as f64;
            let progress = Progress {
                step: step + 1,
                steps,
                epoch,
                loss: sums.loss * scale,
                accuracy: sums.correct as f64 * scale,
            };
            if !progress.loss.is_finite() {
                return Err(Error::not_proved("convergence", format!("the loss of step {step} is {}", progress.loss)));
            }
            network.pull_back(&mut shards[0]);
            let rate = recipe.schedule.rate(passed);
            state.step(network, &shards[0], &recipe.optimiser, rate, scale);
            network.prepare();
            if let Some(average) = &mut average {
                average.add(network);
            }
            observe(progress);
        }
    }
    if let Some(average) = average {
        average.install(network);
    }
    Ok(())
}

/// Sums over the samples of a step.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    loss: f64,
    correct: usize,
}

/// Returns the sum of the samples' gradients by the explicit parameters, left in `shards[0]`: one shard for each
/// thread.
fn gradient<T: Scalar>(
    network: &Network<T>,
    x: &Batch<T>,
    labels: &[usize],
    loss: &Current,
    shards: &mut Vec<Gradient<T>>,
) -> Result<Sums> {
    let size = x.samples().div_ceil(rayon::current_num_threads());
    let count = x.samples().div_ceil(size);
    shards.resize_with(count.max(shards.len()), || network.gradient());
    let run = |(i, shard): (usize, &mut Gradient<T>)| {
        shard.clear();
        let (start, end) = (i * size, ((i + 1) * size).min(x.samples()));
        let mut sums = Sums::default();
        for part in network.chunks(end - start) {
            let part = start + part.start..start + part.end;
            let (logits, tape) = network.forward_fast(x.slice(part.clone()))?;
            let ((loss, correct), g) = loss.gradient(&logits, &labels[part]);
            network.vjp(&tape, g, Some(&mut *shard))?;
            sums = Sums { loss: sums.loss + loss, correct: sums.correct + correct };
        }
        Ok(sums)
    };
    let sums: Vec<Sums> = shards[..count].par_iter_mut().enumerate().map(run).collect::<Result<_>>()?;
    if let Some((first, rest)) = shards[..count].split_first_mut() {
        rest.iter().for_each(|shard| first.add(shard));
    }
    Ok(sums.iter().fold(Sums::default(), |a, b| Sums { loss: a.loss + b.loss, correct: a.correct + b.correct }))
}
