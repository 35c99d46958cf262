//! The classes that targeted descents aim at, the nearest first.
//!
//! The class with the second largest logit need not be the nearest in the space of inputs: where the gradient of another
//! difference is longer, its boundary may be nearer. To first order the boundary to class `j` lies at the distance
//! `(f_y − f_j)/‖∇(f_y − f_j)‖_*`, in the dual norm. Source: Moosavi-Dezfooli, Fawzi, Frossard, *DeepFool*, CVPR 2016,
//! equations (8) and (12).

use rayon::prelude::*;

use super::{Attack, Norm, loss::runners_up};
use crate::{
    error::Result,
    network::Network,
    rigor::directed::norm_up,
    scalar::Scalar,
    tensor::{Batch, finite},
};

impl Attack {
    /// Returns for each of some samples all other classes, in the order in which descents aim at them.
    ///
    /// The first [`Self::steps`] runners-up are ordered by their distance to first order, so that this takes less than one
    /// descent: a forward pass, and a backward pass for each of them. The others follow in the order of their logits.
    pub(super) fn targets<T: Scalar>(
        &self,
        network: &Network<T>,
        x: &Batch<T>,
        labels: &[usize],
        samples: &[usize],
    ) -> Result<Vec<Vec<usize>>> {
        let chunk = |samples: &[usize]| -> Result<Vec<Vec<usize>>> {
            let (logits, tape) = network.forward_fast(x.gather(samples))?;
            let mut orders: Vec<Vec<usize>> =
                samples.iter().enumerate().map(|(row, &s)| runners_up(logits.sample(row), labels[s])).collect();
            let ranked = self.steps.min(network.output().len() - 1);
            // With one other class, or none, there is nothing to order.
            if ranked < 2 {
                return Ok(orders);
            }
            let mut distances = vec![Vec::with_capacity(ranked); samples.len()];
            for rank in 0..ranked {
                let mut cotangent = Batch::zeros(network.output(), samples.len());
                for (row, order) in orders.iter().enumerate() {
                    let g = cotangent.sample_mut(row);
                    (g[labels[samples[row]]], g[order[rank]]) = (T::one(), -T::one());
                }
                let g = network.vjp(&tape, cotangent, None)?;
                for (row, order) in orders.iter().enumerate() {
                    let logits = logits.sample(row);
                    let margin = logits[labels[samples[row]]].wide() - logits[order[rank]].wide();
                    distances[row].push((self.distance(margin, g.sample(row)), order[rank]));
                }
            }
            for (order, distances) in orders.iter_mut().zip(&mut distances) {
                distances.sort_by(|a, b| a.0.total_cmp(&b.0));
                order.iter_mut().zip(&*distances).for_each(|(class, &(_, nearest))| *class = nearest);
            }
            Ok(orders)
        };
        let chunks: Vec<_> = samples.par_chunks(network.chunk()).map(chunk).collect::<Result<_>>()?;
        Ok(chunks.concat())
    }

    /// Returns the distance of a boundary to first order: infinite where the gradient vanishes or is not finite.
    fn distance<T: Scalar>(&self, margin: f64, g: &[T]) -> f64 {
        if finite("gradient", g).is_err() {
            return f64::INFINITY;
        }
        let size = match self.norm {
            Norm::L2 => norm_up(&g.iter().map(|g| g.wide()).collect::<Vec<_>>()),
            Norm::Linf => g.iter().map(|g| g.wide().abs()).sum(),
        };
        if size > 0.0 { margin / size } else { f64::INFINITY }
    }
}
