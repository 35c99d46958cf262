//! Errors of the crate as Python exceptions, with their sentence.

use dahlquist::Error;
use pyo3::{exceptions::PyRuntimeError, prelude::*};

/// The name of the exception in `dahlquist.errors`.
fn class(error: &Error) -> &'static str {
    match error {
        Error::Shape { .. } | Error::Length { .. } => "ShapeError",
        Error::NotFinite { .. } => "NotFiniteError",
        Error::Parameter { .. } => "ParameterError",
        Error::NotProved { .. } => "NotProvedError",
        Error::StepTooLong { .. } => "StepTooLongError",
        Error::NotCircleContractive { .. } => "NotCircleContractiveError",
        Error::Tableau { .. } => "TableauError",
        Error::Field { .. } => "FieldError",
        Error::Environment { .. } => "ArithmeticEnvironmentError",
        Error::Layer { source, .. } => class(source),
        Error::Format { .. } | Error::File { .. } => "FormatError",
        _ => "DahlquistError",
    }
}

/// The whole path of the layer that an error is about.
fn layer(error: &Error) -> Option<&str> {
    match error {
        Error::Layer { path, source } => layer(source).or(Some(path)),
        _ => None,
    }
}

/// The exception that says what an error says.
pub fn exception(error: Error) -> PyErr {
    Python::attach(|py| {
        let make = || -> PyResult<Bound<'_, PyAny>> {
            let exception = py.import("dahlquist.errors")?.getattr(class(&error))?.call1((error.to_string(),))?;
            exception.setattr("layer", layer(&error))?;
            Ok(exception)
        };
        match make() {
            Ok(exception) => PyErr::from_value(exception),
            Err(_) => PyRuntimeError::new_err(error.to_string()),
        }
    })
}

/// Converts the error of a result.
pub trait OrRaise<T> {
    /// The same result with an exception.
    fn or_raise(self) -> PyResult<T>;
}

impl<T> OrRaise<T> for dahlquist::Result<T> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(exception)
    }
}
