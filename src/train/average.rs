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
    /// The average before the first step, with `β` in `[0, 1)`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        layer::AffineLayer,
        operator::{Affine, Dense},
        tensor::Shape,
    };

    #[test]
    fn averages_are_those_of_the_recursion() {
        let dense = Dense::new(1, 2, vec![1.0, -1.0]).unwrap();
        let layer = AffineLayer::new(Affine::new(dense, Some(vec![0.0])).unwrap());
        let mut network = Network::<f64>::new(Shape::Features(2), vec![Box::new(layer)]).unwrap();
        let (mut average, mut expected) = (Average::new(0.5), [0.0; 3]);
        for k in 1..=30 {
            let w = [f64::from(k), f64::from(k * k), 1.0 / f64::from(k)];
            let mut parameters = network.parameters_mut().remove(0);
            parameters[0].copy_from_slice(&w[..2]);
            parameters[1].copy_from_slice(&w[2..]);
            average.add(&network);
            // β is reached at k = 10, where (k − 1)/(k + 8) = 1/2.
            let beta = if k < 10 { f64::from(k - 1) / f64::from(k + 8) } else { 0.5 };
            for (a, w) in expected.iter_mut().zip(w) {
                *a = beta * *a + (1.0 - beta) * w;
            }
        }
        average.install(&mut network);
        let found: Vec<f64> = network.layers().flat_map(|layer| layer.parameters().concat()).collect();
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12 * expected.abs(), "{found} for {expected}");
        }
    }
}
