//! The rule by which parameters move.

use rayon::prelude::*;

use super::orthogonal::orthogonalize;
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
    /// Orthogonalized momentum for the weights of hidden layers: `m ← μm + g`, `W ← W − rate·O(g + μm)` with
    /// [`orthogonalize`], the weights of a convolution being a matrix with one row for each output channel. Every
    /// direction moves by about the same length, so that weak ones are learned too; for a gradient field with a relative
    /// step only the direction of `W` counts, and `rate` is an angle, over `‖W‖`. The biases, and the last layer, move by
    /// Adam.
    ///
    /// Source: Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024.
    Muon {
        /// `μ` in `[0, 1)`.
        momentum: f64,
        /// The rate at which matrices decay, times the learning rate.
        weight_decay: f64,
        /// `β₁` and `β₂` of Adam.
        betas: (f64, f64),
        /// The learning rate of Adam over that of the matrices.
        vector_rate: f64,
    },
}

impl Optimiser {
    /// Adam with `β = (0.9, 0.99)` and no decay.
    pub const ADAM: Self = Self::Adam { betas: (0.9, 0.99), weight_decay: 0.0 };
    /// Orthogonalized momentum with `μ = 0.9`, no decay, and Adam at a fiftieth of its rate.
    pub const MUON: Self = Self::Muon { momentum: 0.9, weight_decay: 0.0, betas: (0.9, 0.99), vector_rate: 0.02 };
}

/// What an optimiser remembers of each parameter.
#[derive(Debug)]
pub struct State<T> {
    steps: i32,
    layers: Vec<Vec<Slot<T>>>,
}

/// What it remembers of one parameter.
#[derive(Debug)]
struct Slot<T> {
    /// The number of rows, if it is a matrix of a hidden layer.
    rows: Option<usize>,
    first: Vec<T>,
    second: Vec<T>,
}

/// Parameters are updated in pieces of this length, in parallel.
const PIECE: usize = 1 << 14;

impl<T: Scalar> State<T> {
    /// Returns the state before the first step.
    pub fn new(network: &Network<T>) -> Self {
        let last = network.layers().len() - 1;
        let slot = |hidden: bool, (w, rows): (&[T], usize)| Slot {
            rows: Some(rows).filter(|&rows| hidden && 1 < rows && rows < w.len() && w.len().is_multiple_of(rows)),
            first: vec![T::zero(); w.len()],
            second: vec![T::zero(); w.len()],
        };
        let layers = network.layers().enumerate().map(|(i, layer)| {
            layer
                .parameters()
                .into_iter()
                .zip(layer.parameter_rows())
                .map(|parameter| slot(i < last, parameter))
                .collect()
        });
        Self { steps: 0, layers: layers.collect() }
    }

    /// One step along `scale` times a gradient by the direct parameters.
    pub fn step(&mut self, network: &mut Network<T>, gradient: &Gradient<T>, rule: &Optimiser, rate: f64, scale: f64) {
        self.steps += 1;
        let update = Update::new(rule, rate, scale, self.steps);
        for ((weights, gradient), slots) in network.parameters_mut().into_iter().zip(&gradient.0).zip(&mut self.layers)
        {
            for ((w, g), Slot { rows, first, second }) in weights.into_iter().zip(gradient).zip(slots) {
                if let (Optimiser::Muon { momentum, weight_decay, .. }, Some(rows)) = (*rule, *rows) {
                    let keep = T::of(1.0 - rate * weight_decay);
                    descend(w, g, first, rows, [T::of(momentum), T::of(scale), keep, T::of(rate)]);
                    continue;
                }
                let pieces = w.par_chunks_mut(PIECE).zip(g.par_chunks(PIECE));
                let state = first.par_chunks_mut(PIECE).zip(second.par_chunks_mut(PIECE));
                pieces.zip(state).for_each(|((w, g), (m, v))| update.apply(w, g, m, v));
            }
        }
    }
}

/// A step of a matrix along its orthogonalized momentum.
fn descend<T: Scalar>(w: &mut [T], g: &[T], m: &mut [T], rows: usize, [mu, scale, keep, rate]: [T; 4]) {
    let ahead = |(m, &g): (&mut T, &T)| {
        *m = mu * *m + scale * g;
        scale * g + mu * *m
    };
    let ahead: Vec<T> = m.iter_mut().zip(g).map(ahead).collect();
    let direction = orthogonalize(&ahead, rows);
    w.iter_mut().zip(direction).for_each(|(w, d)| *w = keep * *w - rate * d);
}

/// The constants of one step by coordinates, in the format of the parameters.
enum Update<T> {
    Sgd { rate: T, scale: T, momentum: T, decay: T },
    Adam { rate: T, scale: T, betas: (T, T), corrections: (T, T), keep: T },
}

impl<T: Scalar> Update<T> {
    fn new(rule: &Optimiser, rate: f64, scale: f64, steps: i32) -> Self {
        match *rule {
            Optimiser::Sgd { momentum, weight_decay } => Self::Sgd {
                rate: T::of(rate),
                scale: T::of(scale),
                momentum: T::of(momentum),
                decay: T::of(weight_decay),
            },
            Optimiser::Adam { betas, weight_decay } => Self::adam(betas, rate, weight_decay, scale, steps),
            Optimiser::Muon { betas, vector_rate, .. } => Self::adam(betas, rate * vector_rate, 0.0, scale, steps),
        }
    }

    fn adam((b1, b2): (f64, f64), rate: f64, weight_decay: f64, scale: f64, steps: i32) -> Self {
        Self::Adam {
            rate: T::of(rate),
            scale: T::of(scale),
            betas: (T::of(b1), T::of(b2)),
            corrections: (T::of(1.0 / (1.0 - b1.powi(steps))), T::of(1.0 / (1.0 - b2.powi(steps)))),
            keep: T::of(1.0 - rate * weight_decay),
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
