//! Layers in parallel, with a proved error.
//!
//! A deep network is evaluated layer after layer, however many processors there are. Parareal guesses all states at once by cheap
//! layers, evaluates all layers in parallel, and corrects the guess. Whatever the states are, the residuals say how far the last
//! one is from the truth:
//!
//! ```math
//! \|x_N - x_N^*\| \le \sum_n \Bigl(\prod_{m > n} L_m\Bigr) \|r_n\|, \qquad r_n = x_{n+1} - F_n(x_n),
//! ```
//!
//! where `x*` is the network over the real numbers and `L_m` the proved Lipschitz constant of `F_m`. *Proof.* `e_{n+1} = x_{n+1} − x*_{n+1}
//! = r_n + F_n(x_n) − F_n(x*_n)`, so `‖e_{n+1}‖ ≤ ‖r_n‖ + L_n‖e_n‖`, and `e_0 = 0`. ∎ For non-expansive layers it is the sum of the
//! residuals.
//!
//! Sources: Lions, Maday, Turinici, C. R. Acad. Sci. Paris 332 (2001); Günther, Ruthotto, Schroder, Cyr, Gauger, *Layer-parallel
//! training of deep residual neural networks*, SIAM J. Math. Data Sci. 2 (2020).

use std::ops::Range;

use rayon::prelude::*;

use crate::{
    certificate::Certificate,
    certify::Sealed,
    error::{Error, Result},
    layer::Layer,
    rigor::{
        Rounding, Upper,
        directed::{add_up, distance_up, mul_up},
        environment,
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// Windows of a sealed network, evaluated in parallel, with a cheap layer for each.
#[derive(Debug)]
pub struct Parareal<'a, T: Scalar> {
    sealed: &'a Sealed<T>,
    proofs: Vec<&'a Certificate>,
    windows: Vec<Range<usize>>,
    /// The shapes before the first window, between windows, behind the last.
    spaces: Vec<Shape>,
    coarse: Vec<Box<dyn Layer<T>>>,
}

/// All states of a sweep, and what is known of them.
#[derive(Debug, Clone)]
pub struct Sweep<T: Scalar> {
    /// `x_0, …, x_N`: before the first window, between windows, behind the last.
    states: Vec<Batch<T>>,
    /// `fl(F_n(x_n))`.
    fine: Vec<Batch<T>>,
    /// What the cheap layers make of the states.
    coarse: Vec<Batch<T>>,
    /// For each sample, the bound of [`Sweep::error`].
    error: Vec<Upper>,
}

/// A value of a network that was computed in parallel.
#[derive(Debug, Clone)]
pub struct Inference<T: Scalar> {
    /// `x_N` for each sample, as executed.
    pub output: Batch<T>,
    /// For each sample, a proved bound of its distance to the value of the network over the real numbers.
    pub error: Vec<Upper>,
    /// How many sweeps were made: the passes through the cheap layers after the first guess.
    pub sweeps: usize,
}

impl<'a, T: Scalar> Parareal<'a, T> {
    /// Splits the layers of a network into windows of the given lengths, each with a cheap layer beside it.
    ///
    /// A cheap layer maps between the same shapes, and may compute anything else: a flow with fewer steps, say. No claim
    /// rests on it.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the windows do not cover the layers, or are empty; [`Error::Length`] if there is not one cheap layer
    /// for each; [`Error::Shape`] if one of them does not fit.
    pub fn new(sealed: &'a Sealed<T>, counts: &[usize], coarse: Vec<Box<dyn Layer<T>>>) -> Result<Self> {
        let layers: Vec<&dyn Layer<T>> = sealed.network().layers().collect();
        if counts.contains(&0) || counts.iter().sum::<usize>() != layers.len() {
            let reason = format!("windows of at least one layer cover the {} layers of the network", layers.len());
            return Err(Error::parameter("windows", format!("{counts:?}"), reason));
        }
        if counts.len() != coarse.len() {
            return Err(Error::Length { what: "cheap layers".into(), expected: counts.len(), found: coarse.len() });
        }
        let mut windows: Vec<Range<usize>> = Vec::new();
        let mut spaces = vec![sealed.network().input()];
        for (count, coarse) in counts.iter().zip(&coarse) {
            let start = windows.last().map_or(0, |window| window.end);
            windows.push(start..start + count);
            let (input, output) = (layers[start].input(), layers[start + count - 1].output());
            expect("input of a cheap layer", input, coarse.input())?;
            expect("output of a cheap layer", output, coarse.output())?;
            spaces.push(output);
        }
        let proofs: Vec<&Certificate> = sealed.certificate().layers().collect();
        if proofs.len() != layers.len() {
            return Err(Error::not_proved("an error of layers", "the certificate has not one proof for each layer"));
        }
        Ok(Self { sealed, proofs, windows, spaces, coarse })
    }

    /// Returns the first guess: the states that the cheap layers make, and all windows evaluated at them.
    ///
    /// # Errors
    /// [`Error::Shape`] for samples of another shape, or from a cheap layer that does not keep to its own; [`Error::Length`] for
    /// another number of samples from it; [`Error::NotProved`] if a layer declares no rounding error; [`Error::Environment`] if a
    /// thread does not compute as proofs assume.
    pub fn guess(&self, x: &Batch<T>) -> Result<Sweep<T>> {
        expect("input of the network", self.spaces[0], x.shape())?;
        let mut states = vec![x.clone()];
        for n in 0..self.windows.len() {
            states.push(self.cheap(n, &states[n])?);
        }
        let coarse = states[1..].to_vec();
        self.evaluate(states, coarse)
    }

    /// Returns one sweep: `x_{n+1} ← F_n(x_n) + (C_n(x_n^{new}) − C_n(x_n))`, with `F` from before, then all windows in
    /// parallel.
    ///
    /// After `k` sweeps the first `k` states are those of the program that runs layer after layer, to the last bit. The sweep before
    /// may be one of other windows or of another network, as long as its states fit: it is a guess like any other.
    ///
    /// # Errors
    /// As [`Self::guess`], and [`Error::Length`] or [`Error::Shape`] for a sweep whose states do not fit.
    pub fn sweep(&self, before: &Sweep<T>) -> Result<Sweep<T>> {
        let (expected, found) = (self.spaces.len(), before.states.len());
        if expected != found {
            return Err(Error::Length { what: "states of a sweep".into(), expected, found });
        }
        for (space, state) in self.spaces.iter().zip(&before.states) {
            expect("a state of a sweep", *space, state.shape())?;
        }
        let (mut states, mut coarse) = (vec![before.states[0].clone()], Vec::new());
        for n in 0..self.windows.len() {
            let guess = self.cheap(n, &states[n])?;
            // The difference first: where nothing has changed it is 0, and what is fine stays as it is.
            let mut change = guess.clone();
            change.axpy(-T::one(), &before.coarse[n]);
            let mut next = before.fine[n].clone();
            next.axpy(T::one(), &change);
            states.push(next);
            coarse.push(guess);
        }
        self.evaluate(states, coarse)
    }

    /// Returns what a cheap layer makes of a state. It may come from anywhere, so its shape is not taken on trust: a distance of
    /// states of two shapes would leave coordinates out.
    fn cheap(&self, n: usize, state: &Batch<T>) -> Result<Batch<T>> {
        let found = self.coarse[n].forward(state.clone(), &mut Tape::idle());
        expect("value of a cheap layer", self.spaces[n + 1], found.shape())?;
        if found.samples() != state.samples() {
            let (expected, found) = (state.samples(), found.samples());
            return Err(Error::Length { what: "samples from a cheap layer".into(), expected, found });
        }
        Ok(found)
    }

    /// Evaluates every window at its state, in parallel.
    fn evaluate(&self, states: Vec<Batch<T>>, coarse: Vec<Batch<T>>) -> Result<Sweep<T>> {
        let windows = self.windows.par_iter().zip(&states);
        let found: Vec<(Batch<T>, Vec<f64>)> =
            windows.map(|(window, x)| self.window(window.clone(), x)).collect::<Result<_>>()?;
        let (fine, rounding): (Vec<Batch<T>>, Vec<Vec<f64>>) = found.into_iter().unzip();
        let error = self.error(&states, &fine, &rounding);
        Ok(Sweep { states, fine, coarse, error })
    }

    /// Returns the value of a window at a state, as executed, and a bound of its rounding error: `D ← L D + δ`, layer
    /// by layer, where `δ` is what the layer adds at the point that the program is at.
    fn window(&self, window: Range<usize>, x: &Batch<T>) -> Result<(Batch<T>, Vec<f64>)> {
        environment::check()?;
        let layers = self.sealed.network().layers().zip(self.sealed.wide().layers()).zip(&self.proofs);
        let (mut x, mut errors) = (x.clone(), vec![0.0; x.samples()]);
        for ((layer, wide), proof) in layers.skip(window.start).take(window.len()) {
            let mut tape = Tape::recording();
            wide.forward(x.cast(), &mut tape);
            let local = layer.rounding(proof, &Rounding::of::<T>(), &tape, &vec![0.0; x.samples()])?;
            let l = proof.bound().get();
            errors.iter_mut().zip(local).for_each(|(e, local)| *e = add_up(mul_up(l, *e), local));
            x = layer.forward(x, &mut Tape::idle());
        }
        Ok((x, errors))
    }

    /// Returns the bounds of [`Sweep::error`], from the values of the windows at the states and bounds of their rounding errors.
    fn error(&self, states: &[Batch<T>], fine: &[Batch<T>], rounding: &[Vec<f64>]) -> Vec<Upper> {
        let mut errors = vec![0.0; states[0].samples()];
        for (n, window) in self.windows.iter().enumerate() {
            let l = self.proofs[window.clone()].iter().fold(Upper::ONE, |l, proof| l * proof.bound()).get();
            for (s, error) in errors.iter_mut().enumerate() {
                let apart = distance_up(states[n + 1].sample(s), fine[n].sample(s));
                let residual = add_up(apart, rounding[n][s]);
                *error = add_up(mul_up(l, *error), residual);
            }
        }
        errors.into_iter().map(Upper::proved).collect()
    }

    /// Returns the value of the network for each sample, by as few sweeps as it takes until every error is proved to be
    /// at most `tolerance`.
    ///
    /// So the program *is* one whose distance to the network over the real numbers is at most `tolerance` wherever it returns: what
    /// is charged to a margin instead of the rounding error of the layers. After as many sweeps as there are windows only rounding
    /// is left, and it refuses.
    ///
    /// # Errors
    /// As [`Self::guess`], and [`Error::NotProved`] if the tolerance is not reached.
    pub fn infer(&self, x: &Batch<T>, tolerance: f64) -> Result<Inference<T>> {
        let mut sweep = self.guess(x)?;
        for sweeps in 0..=self.windows.len() {
            let worst = sweep.error.iter().map(|e| e.get()).fold(0.0, f64::max);
            if worst <= tolerance {
                let output = sweep.states[self.windows.len()].clone();
                return Ok(Inference { output, error: sweep.error, sweeps });
            }
            if sweeps == self.windows.len() {
                let reason = format!("{worst} is left after {sweeps} sweeps, and {tolerance} is asked for");
                return Err(Error::not_proved("the error of layers in parallel", reason));
            }
            sweep = self.sweep(&sweep)?;
        }
        Err(Error::not_proved("the error of layers in parallel", "there are no windows"))
    }
}

impl<T: Scalar> Sweep<T> {
    /// Returns `x_0, …, x_N`.
    pub fn states(&self) -> &[Batch<T>] {
        &self.states
    }

    /// For each sample, a proved bound of the distance of the last state to the value of the network over the real numbers, at the
    /// first state: for any states, converged or not. Residuals are bounded from above, their rounding included.
    ///
    /// The network is that of the [`Parareal`] which made this sweep.
    pub fn error(&self) -> &[Upper] {
        &self.error
    }

    /// Returns the last state, `x_N`.
    pub fn last(&self) -> &Batch<T> {
        &self.states[self.states.len() - 1]
    }
}

fn expect(what: &str, expected: Shape, found: Shape) -> Result<()> {
    if expected == found { Ok(()) } else { Err(Error::Shape { what: what.into(), expected, found }) }
}
