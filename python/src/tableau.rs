//! Runge–Kutta methods with exact coefficients.

use dahlquist::{
    model::{Fractions, Method},
    tableau,
};
use numpy::PyArrayDyn;
use pyo3::prelude::*;

use crate::{errors::OrRaise, samples::array};

/// A Runge–Kutta method.
#[pyclass(frozen, module = "dahlquist._native")]
pub struct Tableau(tableau::Tableau);

#[pymethods]
impl Tableau {
    /// The method of a name.
    #[staticmethod]
    fn named(name: &str) -> PyResult<Self> {
        tableau::Tableau::by_name(name).map(Self).or_raise()
    }

    /// The method with these coefficients, as fractions.
    #[staticmethod]
    fn of(a: Vec<Vec<String>>, b: Vec<String>) -> PyResult<Self> {
        Method::Own(Fractions { a, b }).tableau().map(Self).or_raise()
    }

    /// The names of all methods.
    #[staticmethod]
    fn names() -> Vec<&'static str> {
        tableau::Tableau::names().collect()
    }

    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    #[getter]
    fn stages(&self) -> usize {
        self.0.stages()
    }

    #[getter]
    fn order(&self) -> usize {
        self.0.order()
    }

    #[getter]
    fn is_explicit(&self) -> bool {
        self.0.is_explicit()
    }

    #[getter]
    fn circle_radius(&self) -> PyResult<f64> {
        Ok(self.0.circle_radius().or_raise()?.get())
    }

    #[getter]
    fn ssp_coefficient(&self) -> Option<f64> {
        self.0.ssp_coefficient().map(|c| c.get())
    }

    #[getter]
    fn a<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        let s = self.0.stages();
        array(py, self.0.rounded::<f64>().a.concat(), [s, s])
    }

    #[getter]
    fn b<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        array(py, self.0.rounded::<f64>().b, [self.0.stages()])
    }

    #[getter]
    fn c<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArrayDyn<f64>>> {
        array(py, self.0.rounded::<f64>().c, [self.0.stages()])
    }

    /// The coefficients as exact numbers, in writing.
    fn exact(&self) -> (Vec<Vec<String>>, Vec<String>, Vec<String>) {
        let row = |row: &[tableau::Surd]| row.iter().map(|x| x.to_string()).collect::<Vec<_>>();
        (self.0.a().iter().map(|a| row(a)).collect(), row(self.0.b()), row(self.0.c()))
    }
}
