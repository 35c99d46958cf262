//! The border between Python and the crate: arrays in, arrays out, errors as exceptions, the GIL released.
//!
//! Everything that a person sees is written in Python, in `python/lib/dahlquist`; what is here is called from there and has
//! no opinion. The program `dahlquist` is compiled in, from its own source, so that one wheel holds both.

mod attack;
mod check;
mod errors;
mod flow;
mod model;
mod samples;
mod sealed;
mod tableau;
mod task;

#[path = "../../src/bin/dahlquist/main.rs"]
#[allow(dead_code, reason = "the program's own main function is not called here")]
mod program;

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs `f` with what a value of `F32` or `F64` holds.
macro_rules! with_format {
    ($kind:ident, $any:expr, $value:ident => $body:expr) => {
        match $any {
            $kind::F32($value) => $body,
            $kind::F64($value) => $body,
        }
    };
}
pub(crate) use with_format;

/// Runs the program with its name and its arguments, and returns its exit status.
#[pyfunction]
fn run_program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| program::run(arguments))
}

/// The types of layers that this version reads, and the names of its activation functions.
#[pyfunction]
fn kinds() -> (Vec<&'static str>, Vec<&'static str>) {
    let functions = dahlquist::activation::Activation::ALL.map(dahlquist::activation::Activation::name);
    (dahlquist::model::kinds().collect(), functions.to_vec())
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{
        attack::{Attacked, attack, falsify, pixel_range_of},
        check::check,
        flow::{costates, states},
        kinds,
        model::Model,
        run_program,
        sealed::{Certified, Sealed},
        tableau::Tableau,
    };

    #[pymodule_export]
    #[allow(non_upper_case_globals, reason = "the name that Python has for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
