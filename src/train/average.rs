//! Averaged weights.

use crate::{network::Network, scalar::Scalar};

/// An exponential moving average of the direct parameters: with the weights `w_k` after step `k = 1, 2, …`,
///
/// ```math
/// a_1 = w_1, \qquad a_k = a_{k-1} + (1 - β_k)(w_k - a_{k-1}), \qquad β_k = \min(β, (k-1)/(k+8)).
/// ```
///
/// The first steps count less than `β` alone would have it: their weights are still near those at the start.
///
/// Source: Polyak, Juditsky, *Acceleration of stochastic approximation by averaging*, SIAM J. Control Optim. 30 (1992).
#[derive(Debug)]
pub struct Average<T> {
    beta: f64,
    steps: usize,
    values: Vec<Vec<Vec<T>>>,
}

impl<T: Scalar> Average<T> {
    /// Returns the average before the first step, with `β` in `[0, 1)`.
    pub fn new(beta: f64) -> Self {
        Self { beta, steps: 0, values: Vec::new() }
    }

    /// Adds the weights of a network after one more step.
    pub fn add(&mut self, network: &Network<T>) {
        self.steps += 1;
        let weights = network.layers().map(|layer| layer.parameters());
        if self.steps == 1 {
            self.values = weights.map(|layer| layer.into_iter().map(<[T]>::to_vec).collect()).collect();
            return;
        }
        let k = self.steps as f64;
        let share = T::of(1.0 - self.beta.min((k - 1.0) / (k + 8.0)));
        for (a, w) in self.values.iter_mut().flatten().zip(weights.flatten()) {
            a.iter_mut().zip(w).for_each(|(a, &w)| *a += share * (w - *a));
        }
    }

    /// Gives a network the averaged weights, if there are any.
    pub fn install(&self, network: &mut Network<T>) {
        for (w, a) in network.parameters_mut().into_iter().flatten().zip(self.values.iter().flatten()) {
            w.copy_from_slice(a);
        }
        network.prepare();
    }
}
