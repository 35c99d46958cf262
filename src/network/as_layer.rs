//! A network as a layer of another, and the rounding errors of layers in a row.

use super::Network;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    layer::{Layer, by_part, gradient_of},
    model::Map,
    rigor::{
        Rounding, Summation,
        directed::{add_up, mul_up},
    },
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

impl<T: Scalar> Layer<T> for Network<T> {
    fn describe(&self) -> Map {
        Network::describe(self)
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        Network::output(self)
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        self.run(x, tape)
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let Some(gradient) = gradient else {
            return self.layers.iter().enumerate().rev().fold(g, |g, (i, layer)| layer.vjp(tape.inner(i), g, None));
        };
        by_part(self.layers(), gradient, |slots| {
            self.layers
                .iter()
                .enumerate()
                .rev()
                .fold(g, |g, (i, layer)| layer.vjp(tape.inner(i), g, Some(&mut slots[i])))
        })
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.layers.iter().enumerate().fold(v, |v, (i, layer)| layer.jvp(tape.inner(i), v))
    }

    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let layers: Vec<&dyn Layer<T>> = self.layers().collect();
        let tapes: Vec<&Tape<f64>> = (0..layers.len()).map(|i| tape.inner(i)).collect();
        let proofs: Vec<&Certificate> = proof.layers().collect();
        in_a_row(&layers, &proofs, rounding, &tapes, reach)
    }

    fn set_summation(&mut self, summation: Summation) {
        Network::set_summation(self, summation);
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(Network::widen(self))
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.layers.iter().flat_map(|layer| layer.parameters()).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.layers.iter_mut().flat_map(|layer| layer.parameters_mut()).collect()
    }

    fn parameter_rows(&self) -> Vec<usize> {
        self.layers().flat_map(|layer| layer.parameter_rows()).collect()
    }

    fn gradient(&self) -> Vec<Vec<T>> {
        gradient_of(self.layers())
    }

    fn prepare(&mut self) {
        Network::prepare(self);
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        by_part(self.layers(), gradient, |slots| {
            self.layers.iter().zip(slots).for_each(|(layer, slots)| layer.pull_back(slots));
        });
    }

    fn seal(&mut self, prover: &Prover) -> Result<()> {
        self.fix_steps(prover)
    }
}

/// For each sample on the tapes, which are those of the widened layers, a bound of the rounding error of the last output
/// for every input within `reach`: `E ← ℓE + e` along the layers.
///
/// The program's input of a layer is off by `E` from the exact one, and so is the tape, which rounds no more.
///
/// # Errors
/// Those of [`Layer::rounding`], with the place of the layer.
pub(crate) fn in_a_row<T: Scalar>(
    layers: &[&dyn Layer<T>],
    proofs: &[&Certificate],
    rounding: &Rounding,
    tapes: &[&Tape<f64>],
    reach: &[f64],
) -> Result<Vec<f64>> {
    if proofs.len() != layers.len() {
        return Err(Error::not_proved("the rounding error of layers in a row", "the proof is about something else"));
    }
    let (mut errors, mut reach) = (vec![0.0; reach.len()], reach.to_vec());
    for ((layer, proof), tape) in layers.iter().zip(proofs).zip(tapes) {
        let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, &e)| add_up(r, mul_up(2.0, e))).collect();
        let local = layer.rounding(proof, rounding, tape, &around).map_err(|e| match e {
            Error::Layer { .. } => e,
            e => e.in_layer(proof.path()),
        })?;
        let l = proof.bound().get();
        for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(local) {
            *error = add_up(mul_up(l, *error), local);
            *reach = mul_up(l, *reach);
        }
    }
    Ok(errors)
}
