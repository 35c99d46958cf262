//! Arrays as samples, and numbers as arrays.

use dahlquist::{
    Error, Network, Result,
    data::Dataset,
    scalar::Scalar,
    tensor::{Batch, Shape},
};
use numpy::{Element, PyArray1, PyArrayDyn, PyArrayMethods, PyReadonlyArrayDyn, PyUntypedArrayMethods};
use pyo3::prelude::*;

use crate::errors::OrRaise;

/// Samples in a format in which they may come: bytes stand for pixels `p/255`.
#[derive(FromPyObject)]
pub enum Samples<'py> {
    Bytes(PyReadonlyArrayDyn<'py, u8>),
    Single(PyReadonlyArrayDyn<'py, f32>),
    Double(PyReadonlyArrayDyn<'py, f64>),
}

impl Samples<'_> {
    /// The samples as a data set whose labels are below `classes`.
    pub fn dataset(&self, shape: Shape, labels: Option<Vec<i64>>, classes: usize) -> PyResult<Dataset> {
        match self {
            Self::Bytes(x) => {
                let (bytes, count) = (x.as_slice()?.to_vec(), count(x.shape(), shape)?);
                finish(labels, count, classes, |labels, names| Dataset::from_bytes(shape, bytes, labels, names))
            }
            Self::Single(x) => numbers(x, shape, labels, classes),
            Self::Double(x) => numbers(x, shape, labels, classes),
        }
    }
}

fn numbers<T: Scalar + Element>(
    x: &PyReadonlyArrayDyn<'_, T>,
    shape: Shape,
    labels: Option<Vec<i64>>,
    classes: usize,
) -> PyResult<Dataset> {
    let count = count(x.shape(), shape)?;
    let batch = Batch::new(shape, x.as_slice()?.to_vec()).or_raise()?;
    finish(labels, count, classes, |labels, names| Dataset::from_samples(&batch, labels, names))
}

/// The number of samples in an array: the first of its sizes.
fn count(sizes: &[usize], shape: Shape) -> PyResult<usize> {
    match sizes {
        [count, rest @ ..] if rest == Vec::from(shape) => Ok(*count),
        _ => {
            let reason = format!("it has the shape {sizes:?}; samples come first, and each has the shape {shape}");
            Err(Error::Parameter { name: "x", value: "an array".into(), reason }).or_raise()
        }
    }
}

fn finish(
    labels: Option<Vec<i64>>,
    count: usize,
    classes: usize,
    make: impl FnOnce(Vec<usize>, Vec<String>) -> Result<Dataset>,
) -> PyResult<Dataset> {
    let names = (0..classes).map(|class| class.to_string()).collect();
    let Some(labels) = labels else {
        return make(vec![0; count], names).map(Dataset::without_labels).or_raise();
    };
    let label = |(s, label): (usize, i64)| {
        usize::try_from(label).ok().filter(|label| *label < classes).ok_or_else(|| Error::Parameter {
            name: "label",
            value: label.to_string(),
            reason: format!("sample {s} needs a class from 0 to {}", classes - 1),
        })
    };
    let labels = labels.into_iter().enumerate().map(label).collect::<Result<Vec<_>>>().or_raise()?;
    make(labels, names).or_raise()
}

/// Numbers as an array of the given sizes.
pub fn array<'py, T: Element>(
    py: Python<'py>,
    data: Vec<T>,
    sizes: impl IntoIterator<Item = usize>,
) -> PyResult<Bound<'py, PyArrayDyn<T>>> {
    PyArray1::from_vec(py, data).reshape(sizes.into_iter().collect::<Vec<_>>())
}

/// The sizes of an array that holds samples of a shape.
pub fn sizes(samples: usize, shape: Shape) -> Vec<usize> {
    std::iter::once(samples).chain(Vec::from(shape)).collect()
}

/// The samples that are taken at a time.
const GROUP: usize = 1024;

/// The outputs of all samples, one after the other.
pub fn forward<T: Scalar + Element>(
    network: &Network<T>,
    dataset: &Dataset,
    observe: &dyn Fn(usize),
) -> Result<Vec<T>> {
    let mut numbers = Vec::with_capacity(dataset.len() * network.output().len());
    for start in (0..dataset.len()).step_by(GROUP) {
        let indices: Vec<usize> = (start..dataset.len().min(start + GROUP)).collect();
        numbers.extend_from_slice(network.forward(&dataset.batch(&indices)?)?.data());
        observe(indices.len());
    }
    Ok(numbers)
}
