//! The rule by which parameters move.

use rayon::prelude::*;

use crate::{
    network::{Gradient, Network},
    scalar::Scalar,
};

/// An optimiser and its constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimiser {
    /// `m ← βm + g`, `w ← w − rate·m`.
    Sgd {
        /// `β` in `[0, 1)`.
        momentum: f64,
        /// The coefficient of `w` in the gradient.
        weight_decay: f64,
    },
    /// `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`, `w ← w − rate·m̂/(√v̂ + ε)`, with `m̂`, `v̂` freed of the bias of
    /// their start at 0 (Kingma, Ba, arXiv:1412.6980); weight decay is decoupled (Loshchilov, Hutter, arXiv:1711.05101).
    Adam {
        /// `β₁` and `β₂` in `[0, 1)`.
        betas: (f64, f64),
        /// The rate at which parameters decay, times the learning rate.
        weight_decay: f64,
    },
}

impl Optimiser {
    /// Adam with `β = (0.9, 0.99)` and no decay.
    pub const ADAM: Self = Self::Adam { betas: (0.9, 0.99), weight_decay: 0.0 };
}

/// What an optimiser remembers of each parameter.
#[derive(Debug)]
pub struct State<T> {
    steps: i32,
    first: Vec<Vec<Vec<T>>>,
    second: Vec<Vec<Vec<T>>>,
}

/// Parameters are updated in pieces of this length, in parallel.
const PIECE: usize = 1 << 14;

impl<T: Scalar> State<T> {
    /// The state before the first step.
    pub fn new(network: &Network<T>) -> Self {
        let zeros = || {
            let layer = |p: Vec<&[T]>| p.iter().map(|p| vec![T::zero(); p.len()]).collect();
            network.layers().map(|l| layer(l.parameters())).collect()
        };
        Self { steps: 0, first: zeros(), second: zeros() }
    }

    /// One step along `scale` times a gradient by the direct parameters.
    pub fn step(&mut self, network: &mut Network<T>, gradient: &Gradient<T>, rule: &Optimiser, rate: f64, scale: f64) {
        self.steps += 1;
        let update = Update::new(rule, rate, scale, self.steps);
        for (((layer, g), m), v) in
            network.parameters_mut().into_iter().zip(&gradient.0).zip(&mut self.first).zip(&mut self.second)
        {
            for (((w, g), m), v) in layer.into_iter().zip(g).zip(m).zip(v) {
                let pieces = w.par_chunks_mut(PIECE).zip(g.par_chunks(PIECE));
                let state = m.par_chunks_mut(PIECE).zip(v.par_chunks_mut(PIECE));
                pieces.zip(state).for_each(|((w, g), (m, v))| update.apply(w, g, m, v));
            }
        }
    }
}

/// The constants of one step, in the format of the parameters.
enum Update<T> {
    Sgd { rate: T, scale: T, momentum: T, decay: T },
    Adam { rate: T, scale: T, betas: (T, T), corrections: (T, T), keep: T },
}

impl<T: Scalar> Update<T> {
    fn new(rule: &Optimiser, rate: f64, scale: f64, steps: i32) -> Self {
        let scale = T::of(scale);
        match *rule {
            Optimiser::Sgd { momentum, weight_decay } => {
                Self::Sgd { rate: T::of(rate), scale, momentum: T::of(momentum), decay: T::of(weight_decay) }
            }
            Optimiser::Adam { betas: (b1, b2), weight_decay } => Self::Adam {
                rate: T::of(rate),
                scale,
                betas: (T::of(b1), T::of(b2)),
                corrections: (T::of(1.0 / (1.0 - b1.powi(steps))), T::of(1.0 / (1.0 - b2.powi(steps)))),
                keep: T::of(1.0 - rate * weight_decay),
            },
        }
    }

    fn apply(&self, w: &mut [T], g: &[T], m: &mut [T], v: &mut [T]) {
        match *self {
            Self::Sgd { rate, scale, momentum, decay } => {
                for ((w, &g), m) in w.iter_mut().zip(g).zip(m) {
                    *m = momentum * *m + scale * g + decay * *w;
                    *w -= rate * *m;
                }
            }
            Self::Adam { rate, scale, betas: (b1, b2), corrections: (c1, c2), keep } => {
                let (one, epsilon) = (T::one(), T::of(1e-8));
                for (((w, &g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
                    let g = scale * g;
                    *m = b1 * *m + (one - b1) * g;
                    *v = b2 * *v + (one - b2) * g * g;
                    *w = keep * *w - rate * c1 * *m / (num_traits::Float::sqrt(c2 * *v) + epsilon);
                }
            }
        }
    }
}
