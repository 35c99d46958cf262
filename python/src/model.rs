//! A model file in memory.

use std::sync::{Arc, OnceLock};

use dahlquist::{
    certificate::NormProof, certify::SealOptions, data::Dataset, model, network::AnyNetwork, rigor::Summation,
};
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    errors::OrRaise,
    samples::{Samples, array, forward, sizes},
    sealed::{AnySealed, Sealed},
    task, with_format,
};

/// A model, with the bytes of its file: what is saved is what its hash is of.
#[pyclass(frozen, module = "dahlquist._native")]
pub struct Model {
    pub(crate) file: Arc<model::Model>,
    network: OnceLock<Arc<AnyNetwork>>,
    bytes: Py<PyBytes>,
}

#[pymethods]
impl Model {
    #[new]
    fn parse(py: Python<'_>, bytes: Py<PyBytes>) -> PyResult<Self> {
        let content = bytes.as_bytes(py);
        let file = py.detach(|| model::Model::parse(content)).or_raise()?;
        Ok(Self { file: Arc::new(file), network: OnceLock::new(), bytes })
    }

    #[getter]
    fn bytes(&self, py: Python<'_>) -> Py<PyBytes> {
        self.bytes.clone_ref(py)
    }

    #[getter]
    fn input(&self) -> Vec<usize> {
        self.file.input().into()
    }

    #[getter]
    fn output(&self) -> PyResult<Vec<usize>> {
        Ok(self.file.map().output(self.file.input()).or_raise()?.into())
    }

    #[getter]
    fn scalar(&self) -> &'static str {
        self.file.scalar()
    }

    #[getter]
    fn sha256(&self) -> String {
        self.file.sha256().to_string()
    }

    /// The same network as a model in double precision.
    fn widened(&self, py: Python<'_>) -> PyResult<Self> {
        let file = Arc::clone(&self.file);
        let bytes = py.detach(|| file.widened()?.bytes()).or_raise()?;
        Self::parse(py, PyBytes::new(py, &bytes).unbind())
    }

    /// The kinds of the layers, in order.
    fn layers(&self) -> Vec<String> {
        self.file.map().layers().iter().map(|map| map.kind().to_string()).collect()
    }

    /// Logits as executed, in the format of the model.
    fn predict<'py>(&self, py: Python<'py>, x: Samples<'py>, declared: bool) -> PyResult<Bound<'py, PyAny>> {
        let network = self.network()?;
        // A network that runs in the declared order is another one.
        let network = if declared { Arc::new(declare(self.file.network().or_raise()?)) } else { network };
        with_format!(AnyNetwork, &*network, n => {
            let dataset = x.dataset(n.input(), None, 1)?;
            let shape = sizes(dataset.len(), n.output());
            predict(py, Arc::clone(&network), dataset, shape)
        })
    }

    /// Proves the claims.
    fn seal(&self, py: Python<'_>, tight: bool, declared: bool, tighten: usize) -> PyResult<Sealed> {
        let file = Arc::clone(&self.file);
        let options = SealOptions {
            norm_proof: if tight { NormProof::Tight } else { NormProof::Torus },
            summation: if declared { Summation::Declared } else { Summation::Any },
        };
        let sealed = task::run(py, None, move |_| {
            Ok(match file.network()? {
                AnyNetwork::F32(n) => AnySealed::F32(n.seal_with(options)?.tighten(tighten)?),
                AnyNetwork::F64(n) => AnySealed::F64(n.seal_with(options)?.tighten(tighten)?),
            })
        })?;
        Ok(Sealed { file: Arc::clone(&self.file), sealed: Arc::new(sealed) })
    }
}

impl Model {
    /// The network, built once.
    pub(crate) fn network(&self) -> PyResult<Arc<AnyNetwork>> {
        if let Some(network) = self.network.get() {
            return Ok(Arc::clone(network));
        }
        let network = Arc::new(self.file.network().or_raise()?);
        Ok(Arc::clone(self.network.get_or_init(|| network)))
    }
}

fn declare(network: AnyNetwork) -> AnyNetwork {
    match network {
        AnyNetwork::F32(n) => AnyNetwork::F32(n.with_summation(Summation::Declared)),
        AnyNetwork::F64(n) => AnyNetwork::F64(n.with_summation(Summation::Declared)),
    }
}

fn predict<'py>(
    py: Python<'py>,
    network: Arc<AnyNetwork>,
    dataset: Dataset,
    shape: Vec<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    enum Numbers {
        F32(Vec<f32>),
        F64(Vec<f64>),
    }
    let numbers = task::run(py, None, move |progress| {
        Ok(match &*network {
            AnyNetwork::F32(n) => Numbers::F32(forward(n, &dataset, &|count| progress.add(count))?),
            AnyNetwork::F64(n) => Numbers::F64(forward(n, &dataset, &|count| progress.add(count))?),
        })
    })?;
    with_format!(Numbers, numbers, data => Ok(array(py, data, shape)?.into_any()))
}
