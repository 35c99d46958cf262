//! Trajectories: every state of a map that is applied again and again, and every costate.

use std::sync::Arc;

use dahlquist::{Error, Network, Result, data::Dataset, network::AnyNetwork, scalar::Scalar, tensor::Batch};
use numpy::PyArrayDyn;
use pyo3::prelude::*;

use crate::{
    model::Model,
    samples::{Samples, array, sizes},
    task, with_format,
};

/// The state before and after each of `steps` applications of the model: `steps + 1` times the samples.
#[pyfunction]
pub fn states<'py>(
    py: Python<'py>,
    model: &Model,
    x: Samples<'py>,
    steps: usize,
) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
    let network = model.network()?;
    let dataset = x.dataset(model.file.input(), None, 1)?;
    let shape = [vec![steps + 1], sizes(dataset.len(), dataset.shape())].concat();
    let numbers = task::run(
        py,
        None,
        move |progress| with_format!(AnyNetwork, &*network, n => forward(n, &dataset, steps, &|| progress.add(1))),
    )?;
    array(py, numbers, shape)
}

fn forward<T: Scalar>(n: &Network<T>, x: &Dataset, steps: usize, observe: &dyn Fn()) -> Result<Vec<f64>> {
    same_space(n)?;
    let mut x = x.batch::<T>(&(0..x.len()).collect::<Vec<_>>())?;
    let mut numbers = wide(&x);
    for _ in 0..steps {
        x = n.forward(&x)?;
        numbers.extend(wide(&x));
        observe();
    }
    Ok(numbers)
}

/// The costate before and after each step: `λ_k = J_kᵀ λ_{k+1}`, `J_k` the derivative of the model at state `k`.
///
/// `states` and `last` are as they come from [`states`]: the states, and one costate for each sample after the last step.
#[pyfunction]
pub fn costates<'py>(
    py: Python<'py>,
    model: &Model,
    states: Vec<Samples<'py>>,
    last: Samples<'py>,
) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
    let network = model.network()?;
    let input = model.file.input();
    let states = states.iter().map(|x| x.dataset(input, None, 1)).collect::<PyResult<Vec<_>>>()?;
    let last = last.dataset(input, None, 1)?;
    let shape = [vec![states.len() + 1], sizes(last.len(), last.shape())].concat();
    let network = Arc::clone(&network);
    let numbers = task::run(
        py,
        None,
        move |progress| with_format!(AnyNetwork, &*network, n => backward(n, &states, &last, &|| progress.add(1))),
    )?;
    array(py, numbers, shape)
}

fn backward<T: Scalar>(n: &Network<T>, states: &[Dataset], last: &Dataset, observe: &dyn Fn()) -> Result<Vec<f64>> {
    same_space(n)?;
    let all: Vec<usize> = (0..last.len()).collect();
    let mut g = last.batch::<T>(&all)?;
    let mut pieces = vec![wide(&g)];
    for x in states.iter().rev() {
        let (_, tape) = n.forward_recording(x.batch(&all)?)?;
        g = n.vjp(&tape, g, None)?;
        pieces.push(wide(&g));
        observe();
    }
    Ok(pieces.into_iter().rev().flatten().collect())
}

fn same_space<T: Scalar>(n: &Network<T>) -> Result<()> {
    if n.input() == n.output() {
        return Ok(());
    }
    Err(Error::Shape { what: "output of a flow".into(), expected: n.input(), found: n.output() })
}

fn wide<T: Scalar>(x: &Batch<T>) -> Vec<f64> {
    x.data().iter().map(|x| x.wide()).collect()
}
