//! One descent of projected gradients: where it starts, its steps, and what it finds.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use super::{Attack, Ball, Broken, Norm, Start, loss::is_broken};
use crate::{
    error::Result,
    network::Network,
    rigor::directed::norm_up,
    scalar::Scalar,
    tensor::{Batch, argmax},
};

/// What one descent is against: a label, and the class that it aims at where the loss names one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim {
    pub sample: usize,
    pub label: usize,
    pub target: usize,
}

/// A descent of one sample: where it stands, and where its loss was least.
pub(super) struct Descent<T> {
    pub sample: usize,
    pub best: Option<(f64, Vec<T>)>,
    pub broken: Option<Broken<T>>,
}

impl Attack {
    /// Where a descent of sample `s` starts. From `best` it goes on, and if it is `fresh` no other one goes where it
    /// goes; `run` numbers the descents of one sample, each with its own random numbers.
    pub(super) fn start<T: Scalar>(
        &self,
        ball: &Ball,
        x: &[T],
        best: Option<&(f64, Vec<T>)>,
        s: usize,
        run: usize,
        fresh: bool,
    ) -> Vec<T> {
        let mut to = x.to_vec();
        let mut v = match (self.first, best) {
            (Start::Sample, None) if fresh => return to,
            (Start::Sample, Some((_, best))) => {
                let outward = ball.eps() / self.norm.distance_up(x, best);
                let outward = if outward.is_finite() { outward } else { 1.0 };
                best.iter().zip(x).map(|(b, x)| outward * (b.wide() - x.wide())).collect()
            }
            _ => {
                let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
                rng.set_stream(s as u64);
                rng.set_word_pos((run as u128) << 36);
                random_displacement(&mut rng, ball, x.len())
            }
        };
        ball.project(x, &mut v, &mut to);
        to
    }

    /// Returns the descents of one chunk of samples. Those that are broken leave the batch.
    pub(super) fn descend<T: Scalar>(
        &self,
        network: &Network<T>,
        ball: &Ball,
        x: &Batch<T>,
        aims: &[Aim],
        from: Vec<Vec<T>>,
    ) -> Result<Vec<Descent<T>>> {
        let mut descents: Vec<Descent<T>> =
            aims.iter().map(|aim| Descent { sample: aim.sample, best: None, broken: None }).collect();
        let mut z = Batch::computed(x.shape(), aims.len(), from.concat());
        let mut active: Vec<usize> = (0..aims.len()).collect();
        let mut scratch = vec![0.0; x.shape().len()];
        for step in 0..=self.steps {
            // The last point is only looked at.
            let (mut logits, tape) = match step < self.steps {
                true => network.forward_fast(z.clone()).map(|(logits, tape)| (logits, Some(tape)))?,
                false => (network.forward(&z)?, None),
            };
            if tape.is_some() {
                // What looks broken must be so for the network as it is executed.
                let fallen: Vec<usize> =
                    (0..active.len()).filter(|&row| is_broken(logits.sample(row), aims[active[row]].label)).collect();
                let executed = network.forward(&z.gather(&fallen))?;
                fallen
                    .iter()
                    .enumerate()
                    .for_each(|(i, &row)| logits.sample_mut(row).copy_from_slice(executed.sample(i)));
            }
            let mut cotangent = Batch::zeros(network.output(), active.len());
            let mut alive = Vec::with_capacity(active.len());
            for (row, &slot) in active.iter().enumerate() {
                let descent = &mut descents[slot];
                let (point, Aim { label, target, .. }) = (z.sample(row), aims[slot]);
                if is_broken(logits.sample(row), label) {
                    let distance = self.norm.distance_up(x.sample(descent.sample), point);
                    if distance <= ball.eps() {
                        let input = self.keep_inputs.then(|| point.to_vec());
                        descent.broken = Some(Broken { distance, prediction: argmax(logits.sample(row)), input });
                        descent.best = None;
                        continue;
                    }
                }
                alive.push(row);
                let loss = self.loss.value(logits.sample(row), label, target);
                match &mut descent.best {
                    Some((least, _)) if loss.is_nan() || loss >= *least => {}
                    Some((least, best)) => {
                        *least = loss;
                        best.copy_from_slice(point);
                    }
                    none => *none = Some((loss, point.to_vec())),
                }
                self.loss.gradient(logits.sample(row), label, target, cotangent.sample_mut(row));
            }
            let Some(tape) = tape.filter(|_| !alive.is_empty()) else { break };
            let g = network.vjp(&tape, cotangent, None)?;
            drop(tape);
            if alive.len() < active.len() {
                z = z.gather(&alive);
                active = alive.iter().map(|&row| active[row]).collect();
            }
            let length = ball.eps() * self.step_size.at(step, self.steps);
            for (row, (&old, &slot)) in alive.iter().zip(&active).enumerate() {
                let sample = x.sample(descents[slot].sample);
                descend_along(ball, sample, g.sample(old), length, z.sample_mut(row), &mut scratch);
            }
        }
        Ok(descents)
    }
}

/// One step of the given length down the gradient, and back into the ball. A gradient that is 0 or not finite is none.
fn descend_along<T: Scalar>(ball: &Ball, x: &[T], g: &[T], length: f64, z: &mut [T], v: &mut [f64]) {
    let unit = match ball.norm() {
        Norm::L2 => {
            v.iter_mut().zip(g).for_each(|(v, g)| *v = g.wide());
            length / norm_up(v)
        }
        Norm::Linf => length,
    };
    if !unit.is_finite() || unit == 0.0 {
        return;
    }
    for (((v, z), x), g) in v.iter_mut().zip(&*z).zip(x).zip(g) {
        let g = g.wide();
        let along = match ball.norm() {
            Norm::L2 => unit * g,
            Norm::Linf if g > 0.0 => unit,
            Norm::Linf if g < 0.0 => -unit,
            Norm::Linf => 0.0,
        };
        *v = (z.wide() - x.wide()) - along;
    }
    ball.project(x, v, z);
}

/// Returns a displacement that is uniform in the ball.
fn random_displacement(rng: &mut ChaCha8Rng, ball: &Ball, n: usize) -> Vec<f64> {
    let eps = ball.eps();
    match ball.norm() {
        Norm::Linf => (0..n).map(|_| eps * rng.random_range(-1.0..=1.0)).collect(),
        Norm::L2 => {
            let direction: Vec<f64> = (0..n).map(|_| rng.sample(StandardNormal)).collect();
            let radius = eps * libm::pow(rng.random::<f64>(), 1.0 / n as f64);
            let scale = radius / norm_up(&direction).max(f64::MIN_POSITIVE);
            direction.iter().map(|d| d * scale).collect()
        }
    }
}
