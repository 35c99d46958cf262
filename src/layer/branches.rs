//! Sums and means of networks on the same input: skip connections, mirror means, ensembles.

use super::{Layer, by_part, gradient_of};
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::Map,
    network::Network,
    rigor::{
        Rounding, Summation,
        directed::{add_up, div_up, mul_up, sqrt_up},
    },
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// `y = Σᵢ fᵢ(x)`, or `y = (1/n) Σᵢ fᵢ(x)`, of `n` networks.
///
/// Its Lipschitz constant is at most the sum, or the mean, of theirs ([`crate::certificate::Rule::Sum`]). The branches are
/// added in order, and a mean is divided at the end.
#[derive(Debug)]
pub struct Branches<T: Scalar> {
    branches: Vec<Network<T>>,
    is_mean: bool,
}

impl<T: Scalar> Branches<T> {
    /// Returns the sum of networks.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are none, [`Error::Shape`] if their inputs or outputs differ.
    pub fn sum(branches: Vec<Network<T>>) -> Result<Self> {
        Self::new(branches, false)
    }

    /// Returns the mean of networks.
    ///
    /// # Errors
    /// As [`Self::sum`].
    pub fn mean(branches: Vec<Network<T>>) -> Result<Self> {
        Self::new(branches, true)
    }

    fn new(branches: Vec<Network<T>>, is_mean: bool) -> Result<Self> {
        let Some(first) = branches.first() else {
            return Err(Error::parameter("branches", 0, "there must be at least one"));
        };
        let (input, output) = (first.input(), first.output());
        for branch in &branches {
            for (what, expected, found) in [("input", input, branch.input()), ("output", output, branch.output())] {
                if expected != found {
                    return Err(Error::Shape { what: format!("{what} of a branch"), expected, found });
                }
            }
        }
        Ok(Self { branches, is_mean })
    }

    fn parts(&self) -> impl Iterator<Item = &dyn Layer<T>> {
        self.branches.iter().map(|branch| branch as &dyn Layer<T>)
    }

    /// Returns `y/n` for a mean, `y` for a sum.
    fn share(&self, mut y: Batch<T>) -> Batch<T> {
        if self.is_mean {
            let n = T::of(self.branches.len() as f64);
            y.data_mut().iter_mut().for_each(|y| *y /= n);
        }
        y
    }

    /// Returns the sum over the branches.
    fn total(&self, shape: Shape, samples: usize, branches: impl Iterator<Item = Batch<T>>) -> Batch<T> {
        let mut branches = branches;
        let mut sum = branches.next().unwrap_or_else(|| Batch::zeros(shape, samples));
        branches.for_each(|y| sum.axpy(T::one(), &y));
        sum
    }
}

impl<T: Scalar> Layer<T> for Branches<T> {
    fn describe(&self) -> Map {
        let branches = self.branches.iter().map(Network::describe).collect();
        if self.is_mean { Map::Mean(branches) } else { Map::Sum(branches) }
    }

    fn input(&self) -> Shape {
        self.branches[0].input()
    }

    fn output(&self) -> Shape {
        self.branches[0].output()
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let samples = x.samples();
        let values = self.branches.iter().map(|branch| {
            tape.part(|tape| {
                let y = Layer::forward(branch, x.clone(), tape);
                // What the rounding errors of the sum are measured by.
                tape.save_copy(&y);
                y
            })
        });
        let sum = self.total(self.output(), samples, values);
        self.share(sum)
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let (g, samples) = (self.share(g), tape.inner(0).last().samples());
        let branches = self.branches.iter().enumerate();
        match gradient {
            None => {
                let pulled = branches.map(|(i, branch)| Layer::vjp(branch, tape.inner(i), g.clone(), None));
                self.total(self.input(), samples, pulled)
            }
            Some(gradient) => by_part(self.parts(), gradient, |slots| {
                let pulled = branches
                    .zip(slots)
                    .map(|((i, branch), slots)| Layer::vjp(branch, tape.inner(i), g.clone(), Some(slots)));
                self.total(self.input(), samples, pulled)
            }),
        }
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        let samples = v.samples();
        let moved = self.branches.iter().enumerate().map(|(i, branch)| Layer::jvp(branch, tape.inner(i), v.clone()));
        let sum = self.total(self.output(), samples, moved);
        self.share(sum)
    }

    /// Returns `Σ eᵢ + γₙ Σ ‖ŷᵢ‖` for a sum of `n` branches; the division of a mean is one rounding more.
    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        if proof.premises().len() != self.branches.len() {
            return Err(Error::not_proved("the rounding error of branches", "the proof is about something else"));
        }
        let (mut errors, mut sizes) = (vec![0.0; reach.len()], vec![0.0; reach.len()]);
        for (i, (branch, proof)) in self.branches.iter().zip(proof.premises()).enumerate() {
            let branch_errors = Layer::rounding(branch, proof, rounding, tape.inner(i), reach)?;
            let (l, centres) = (proof.bound().get(), tape.inner(i).last().norms_up());
            for (s, error) in branch_errors.into_iter().enumerate() {
                // ‖ŷᵢ(x')‖ ≤ ‖ỹᵢ(x)‖ + ℓ·reach + the errors of both.
                let size = add_up(add_up(centres[s], mul_up(l, reach[s])), mul_up(2.0, error));
                errors[s] = add_up(errors[s], error);
                sizes[s] = add_up(sizes[s], size);
            }
        }
        let n = self.branches.len();
        let width = sqrt_up(self.output().len() as f64);
        let depth = n + usize::from(self.is_mean);
        let underflow = mul_up(width, rounding.underflow(1));
        let bound = |(error, size): (f64, f64)| {
            let added = mul_up(rounding.dot(depth), size);
            let error = add_up(error, added);
            let error = if self.is_mean { add_up(div_up(error, n as f64), underflow) } else { error };
            // No partial sum is larger than the sizes together and their rounding.
            rounding.unless_overflow(add_up(size, added), error)
        };
        Ok(errors.into_iter().zip(sizes).map(bound).collect())
    }

    fn set_summation(&mut self, summation: Summation) {
        self.branches.iter_mut().for_each(|branch| Network::set_summation(branch, summation));
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(Branches { branches: self.branches.iter().map(Network::widen).collect(), is_mean: self.is_mean })
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.branches.iter().flat_map(|branch| Layer::parameters(branch)).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.branches.iter_mut().flat_map(Layer::parameters_mut).collect()
    }

    fn parameter_rows(&self) -> Vec<usize> {
        self.parts().flat_map(|part| part.parameter_rows()).collect()
    }

    fn gradient(&self) -> Vec<Vec<T>> {
        gradient_of(self.parts())
    }

    fn prepare(&mut self) {
        self.branches.iter_mut().for_each(Network::prepare);
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        by_part(self.parts(), gradient, |slots| {
            self.branches.iter().zip(slots).for_each(|(branch, slots)| Layer::pull_back(branch, slots));
        });
    }

    fn seal(&mut self, prover: &Prover) -> Result<()> {
        self.branches.iter_mut().try_for_each(|branch| branch.fix_steps(prover))
    }
}
