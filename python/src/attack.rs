//! Attacks on labels and on certificates.

use std::sync::Arc;

use dahlquist::{
    Error, Network, Result,
    attack::{Attack, Falsifier, Loss, Norm, pixel_range},
    data::Dataset,
    network::AnyNetwork,
    scalar::Scalar,
};
use numpy::{PyArray1, PyArrayDyn};
use pyo3::prelude::*;

use crate::{
    errors::OrRaise,
    model::Model,
    samples::{Samples, array, sizes},
    sealed::{AnySealed, Sealed},
    task, with_format,
};

/// What an attack found.
#[pyclass(frozen, module = "dahlquist._native")]
pub struct Attacked {
    clean: f64,
    accuracy: Vec<f64>,
    /// For each sample the distance of what broke it and its class.
    broken: Vec<Option<(f64, usize)>>,
    /// All samples, those that were broken in the form that broke them.
    inputs: Option<Vec<f64>>,
    shape: Vec<usize>,
}

#[pymethods]
impl Attacked {
    #[getter]
    fn clean(&self) -> f64 {
        self.clean
    }

    fn accuracy<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        PyArray1::from_slice(py, &self.accuracy)
    }

    /// Infinite where nothing was found.
    fn distances<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<f64>> {
        let distance = |broken: &Option<(f64, usize)>| broken.map_or(f64::INFINITY, |(distance, _)| distance);
        PyArray1::from_vec(py, self.broken.iter().map(distance).collect())
    }

    /// −1 where nothing was found.
    fn predictions<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<i64>> {
        let class = |broken: &Option<(f64, usize)>| broken.map_or(-1, |(_, class)| class as i64);
        PyArray1::from_vec(py, self.broken.iter().map(class).collect())
    }

    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArrayDyn<f64>>>> {
        self.inputs.as_ref().map(|inputs| array(py, inputs.clone(), self.shape.clone())).transpose()
    }
}

/// How an attack is run, from Python.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Options {
    linf: bool,
    /// "targeted", "margin" or "cross_entropy".
    loss: String,
    steps: usize,
    starts: usize,
    seed: u64,
    first_sample: usize,
    range: Option<[f64; 2]>,
    keep_inputs: bool,
}

/// Attacks the labels of samples, or the predictions where there are none.
#[pyfunction]
#[pyo3(signature = (model, x, labels, eps, options, report=None))]
pub fn attack<'py>(
    py: Python<'py>,
    model: &Model,
    x: Samples<'py>,
    labels: Option<Vec<i64>>,
    eps: Vec<f64>,
    options: Options,
    report: Option<Bound<'py, PyAny>>,
) -> PyResult<Attacked> {
    let network = model.network()?;
    let (input, classes) = with_format!(AnyNetwork, &*network, n => (n.input(), n.output().len()));
    let dataset = x.dataset(input, labels, classes)?;
    let attack = Attack {
        norm: if options.linf { Norm::Linf } else { Norm::L2 },
        loss: loss(&options.loss).or_raise()?,
        steps: options.steps,
        starts: options.starts,
        seed: options.seed,
        first_sample: options.first_sample,
        range: options.range,
        keep_inputs: options.keep_inputs,
        ..Attack::default()
    };
    let network = Arc::clone(&network);
    task::run(
        py,
        report,
        move |progress| with_format!(AnyNetwork, &*network, n => run(&attack, n, dataset, &eps, &|count| progress.add(count))),
    )
}

fn loss(name: &str) -> Result<Loss> {
    match name {
        "targeted" => Ok(Loss::Targeted),
        "margin" => Ok(Loss::Margin),
        "cross_entropy" => Ok(Loss::CrossEntropy),
        _ => Err(Error::Parameter { name: "loss", value: name.into(), reason: "there is no such loss".into() }),
    }
}

/// Returns `(0, 1)` if the samples between two numbers are pixels.
#[pyfunction]
#[pyo3(name = "pixel_range")]
pub fn pixel_range_of(low: f64, high: f64) -> Option<[f64; 2]> {
    pixel_range([low, high])
}

fn run<T: Scalar>(
    attack: &Attack,
    network: &Network<T>,
    dataset: Dataset,
    eps: &[f64],
    observe: &(dyn Fn(usize) + Sync),
) -> Result<Attacked> {
    let found = attack.robust_accuracy_of(network, &dataset, eps, observe)?;
    let inputs = if attack.keep_inputs {
        let mut inputs: Vec<f64> = Vec::with_capacity(dataset.len() * dataset.shape().len());
        for (s, broken) in found.broken().iter().enumerate() {
            match broken.as_ref().and_then(|broken| broken.input.as_ref()) {
                Some(input) => inputs.extend(input.iter().map(|x| x.wide())),
                None => inputs.extend(dataset.batch::<T>(&[s])?.data().iter().map(|x| x.wide())),
            }
        }
        Some(inputs)
    } else {
        None
    };
    Ok(Attacked {
        clean: found.clean(),
        accuracy: found.accuracy(),
        broken: found.broken().iter().map(|b| b.as_ref().map(|b| (b.distance, b.prediction))).collect(),
        inputs,
        shape: sizes(dataset.len(), dataset.shape()),
    })
}

/// Searches for what refutes the claims, and says what it found as JSON.
#[pyfunction]
pub fn falsify(
    py: Python<'_>,
    sealed: &Sealed,
    x: Option<Samples<'_>>,
    seconds: f64,
    rounds: Option<usize>,
    seed: u64,
) -> PyResult<String> {
    let dataset = x.map(|x| x.dataset(sealed.file.input(), None, 1)).transpose()?;
    let sealed = Arc::clone(&sealed.sealed);
    task::run(py, None, move |_| {
        let falsifier = Falsifier { seconds, rounds, seed, ..Falsifier::default() };
        let found = with_format!(AnySealed, &*sealed, sealed => {
            let x = dataset.map(|d| d.batch(&(0..d.len()).collect::<Vec<_>>())).transpose()?;
            falsifier.run(sealed, x.as_ref())?
        });
        let refuse = |e: serde_json::Error| dahlquist::Error::Format { reason: e.to_string() };
        let mut value = serde_json::to_value(&found).map_err(refuse)?;
        value["refuted"] = found.refuted().into();
        // JSON has no infinity: null where nothing was found.
        value["network"]["looseness"] = found.network.looseness().into();
        for (i, layer) in found.layers.iter().enumerate() {
            value["layers"][i]["looseness"] = layer.looseness().into();
        }
        if let Some(features) = &found.features {
            value["features"]["looseness"] = features.looseness().into();
        }
        Ok(value.to_string())
    })
}
