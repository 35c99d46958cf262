//! Everything that this crate refuses, with the values that made it refuse.

use std::path::PathBuf;

use crate::shape::Shape;

/// The result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something was refused.
///
/// A refusal is an answer: what cannot be proved, read or computed is named here, with its reason, and never passes
/// silently.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two shapes that must agree do not.
    #[error("{what}: expected shape {expected}, found {found}")]
    Shape {
        /// What was being built or evaluated.
        what: String,
        /// The shape that is needed.
        expected: Shape,
        /// The shape that was given.
        found: Shape,
    },
    /// A buffer does not hold as many numbers as its shape says.
    #[error("{what}: expected {expected} numbers, found {found}")]
    Length {
        /// What was being built.
        what: String,
        /// How many numbers are needed.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A NaN or an infinity where only finite numbers make sense.
    #[error("{what}: entry {index} is {value}, which is not a finite number")]
    NotFinite {
        /// What holds the number.
        what: String,
        /// Its position in row-major order.
        index: usize,
        /// The number.
        value: f64,
    },
    /// A parameter outside the range in which it has a meaning.
    #[error("{name} = {value}: {reason}")]
    Parameter {
        /// The name of the parameter.
        name: &'static str,
        /// Its value as text.
        value: String,
        /// What is required of it.
        reason: String,
    },
    /// A bound that could not be proved.
    #[error("no proof for {what}: {reason}")]
    NotProved {
        /// The quantity to be bounded.
        what: String,
        /// Where the proof failed.
        reason: String,
    },
    /// A time step longer than its rule allows.
    #[error("step {step} is longer than {limit}, the limit of {rule} for the method {method}")]
    StepTooLong {
        /// The step `h`.
        step: f64,
        /// The largest step that is proved to be admissible.
        limit: f64,
        /// The rule that fails.
        rule: &'static str,
        /// The name of the tableau.
        method: String,
    },
    /// A Runge–Kutta method with no positive radius of circle contractivity.
    #[error("the method {method} is not circle contractive: {reason}")]
    NotCircleContractive {
        /// The name of the tableau.
        method: String,
        /// The weight or the matrix that fails.
        reason: String,
    },
    /// Coefficients that are not those of a Runge–Kutta method of the order claimed.
    #[error("tableau {name}: {reason}")]
    Tableau {
        /// The name of the tableau.
        name: String,
        /// The condition that fails.
        reason: String,
    },
    /// A vector field without the structure that a rule needs.
    #[error("the field {field} has no {constant}: {reason}")]
    Field {
        /// The kind of the field.
        field: &'static str,
        /// The constant asked for.
        constant: &'static str,
        /// Why there is none.
        reason: String,
    },
    /// A thread of this machine does not compute as proofs assume.
    #[error("arithmetic in {scalar} on this thread is not one that {assumption}: {found}")]
    Environment {
        /// The number format.
        scalar: &'static str,
        /// What is assumed.
        assumption: &'static str,
        /// What was found.
        found: String,
    },
    /// A layer of a network, with what is wrong in it.
    #[error("layer {path}: {source}")]
    Layer {
        /// The path of the layer, such as `2` or `2.field`.
        path: String,
        /// The reason.
        source: Box<Error>,
    },
    /// Bytes that are not what they should be, before it is known which file they are from.
    #[error("{reason}")]
    Format {
        /// What is wrong with them.
        reason: String,
    },
    /// A file, with what is wrong in it.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Shape {
    /// Returns channels, height and width.
    ///
    /// # Errors
    /// [`Error::Parameter`], which says that `what` needs an image, for a vector of features.
    pub fn as_image(self, what: &str) -> Result<(usize, usize, usize)> {
        match self {
            Self::Image { channels, height, width } => Ok((channels, height, width)),
            Self::Features(n) => {
                Err(Error::parameter("input", n, format!("{what} needs an image of channels × height × width")))
            }
        }
    }
}

impl TryFrom<Vec<usize>> for Shape {
    type Error = Error;

    fn try_from(sizes: Vec<usize>) -> Result<Self> {
        Self::from_sizes(&sizes).map_err(|reason| Error::parameter("shape", format!("{sizes:?}"), reason))
    }
}

impl Error {
    /// Returns the same error, said to have happened in the layer at `path`.
    #[must_use]
    pub fn in_layer(self, path: impl Into<String>) -> Self {
        Self::Layer { path: path.into(), source: Box::new(self) }
    }

    /// Returns the error about a file that cannot be used, with the reason.
    pub fn file(path: impl Into<PathBuf>, reason: impl std::fmt::Display) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }

    pub(crate) fn format(reason: impl std::fmt::Display) -> Self {
        Self::Format { reason: reason.to_string() }
    }

    pub(crate) fn parameter(name: &'static str, value: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        Self::Parameter { name, value: value.to_string(), reason: reason.into() }
    }

    pub(crate) fn not_proved(what: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::NotProved { what: what.into(), reason: reason.into() }
    }
}
