//! Flows: a field over a number of steps, or one field a step; a step, or the whole time.

use serde::{Deserialize, Serialize};

use super::{Field, Method, Tensor};
use crate::error::{Error, Result};

/// The flow of `x' = f(t, x)` over a number of steps of a method.
///
/// In a file:
///
/// | keys | meaning |
/// |---|---|
/// | `field`, `step`, `steps` | one field, and this number of steps of the length `step` |
/// | `fields`, `step` | one step of the length `step` for each field, in order: weights that depend on time |
/// | `field`, `horizon`, `steps` | this number of steps of the length `horizon/steps` |
/// | `fields`, `horizon` | one step of the length `horizon/n` for each of `n` fields |
/// | `field`, `horizon` | the same, with the number of steps *open*: `n = ⌈T/(2rν)⌉`, the least for which a step is within the proved limit of circle contractivity; [`crate::rules::Prover::settled`] chooses it |
///
/// A method that splits its field ([`super::SplitMethod`]) has the keys of all rows but the last.
///
/// A length `horizon/n` is the quotient in `f64`, rounded to the format of the network. A flow with a horizon that is
/// written again holds the number of steps that was chosen for it.
///
/// An implicit method has a key `tolerance` besides: its equations are solved until their residual, as computed, has at
/// most this Euclidean norm in every step. Where the program does not get there it returns no number. The flow is the
/// exact solution in any case; the tolerance is part of the rounding error of the program. Without the key it is a few
/// hundred units of rounding of what a step begins with ([`crate::layer::Implicit`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written<W>", into = "Written<W>", bound(serialize = "W: Clone + Serialize"))]
pub struct Flow<W = Tensor> {
    /// The right-hand sides: one for all steps, or one for each.
    pub fields: Vec<Field<W>>,
    /// The method.
    pub method: Method,
    /// The length `h` of a step; of no meaning where the number of steps is open.
    pub step: f64,
    /// The number of steps; 0 where it is open.
    pub steps: usize,
    /// The whole time `T`, if `h` is `T` over the number of steps.
    pub horizon: Option<f64>,
    /// How well the equations of an implicit method are solved.
    pub tolerance: Option<f64>,
}

/// One step of a flow.
#[derive(Debug)]
pub struct Step<'a, W = Tensor> {
    /// The method.
    pub method: &'a Method,
    /// The length `h`.
    pub length: f64,
    /// The right-hand side.
    pub field: &'a Field<W>,
}

// What is derived would ask for weights that can be copied.
impl<W> Clone for Step<'_, W> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<W> Copy for Step<'_, W> {}

impl<W> Flow<W> {
    /// Returns a number of steps of the length `h` with one field.
    pub fn of_steps(field: Field<W>, method: Method, h: f64, steps: usize) -> Self {
        Self { fields: vec![field], method, step: h, steps, horizon: None, tolerance: None }
    }

    /// Returns the steps that differ: one for all of them, or one for each field.
    pub fn each(&self) -> impl Iterator<Item = Step<'_, W>> {
        self.fields.iter().map(|field| Step { method: &self.method, length: self.step, field })
    }

    /// Returns whether the number of steps is still to be chosen.
    pub fn is_open(&self) -> bool {
        self.horizon.is_some() && self.steps == 0
    }

    /// Returns the same flow over `steps` steps, each of the length `horizon/steps`, rounded to a format by `round`;
    /// unchanged without a horizon.
    #[must_use]
    pub fn over(mut self, steps: usize, round: &impl Fn(f64) -> f64) -> Self {
        if let Some(horizon) = self.horizon {
            (self.steps, self.step) = (steps, length(horizon, steps, round));
        }
        self
    }
}

/// Returns `horizon/steps`, in `f64`, rounded to a format.
pub(crate) fn length(horizon: f64, steps: usize, round: &impl Fn(f64) -> f64) -> f64 {
    if steps == 0 { 0.0 } else { round(horizon / steps as f64) }
}

/// A flow as files write it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<W> {
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    field: Option<Field<W>>,
    #[serde(default = "absent", skip_serializing_if = "Option::is_none")]
    fields: Option<Vec<Field<W>>>,
    method: Method,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    horizon: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tolerance: Option<f64>,
}

fn absent<T>() -> Option<T> {
    None
}

impl<W> TryFrom<Written<W>> for Flow<W> {
    type Error = Error;

    fn try_from(written: Written<W>) -> Result<Self> {
        let Written { field, fields, method, step, horizon, steps, tolerance } = written;
        let refuse = |reason: String| Err(Error::format(reason));
        let (fields, listed) = match (field, fields) {
            (Some(field), None) => (vec![field], false),
            (None, Some(fields)) => (fields, true),
            _ => return refuse("a flow has a field, or a list of fields, one a step, and not both".into()),
        };
        if step.is_some() == horizon.is_some() {
            return refuse("a flow has a step, or a horizon, and not both".into());
        }
        let steps = match (listed, steps, horizon) {
            (true, None, _) => fields.len(),
            (true, Some(steps), _) if steps == fields.len() => steps,
            (true, Some(steps), _) => {
                return refuse(format!("{} fields are one for each of as many steps, not of {steps}", fields.len()));
            }
            (false, Some(0), _) => return refuse("a flow has at least one step".into()),
            (false, Some(steps), _) => steps,
            (false, None, Some(_)) => 0,
            (false, None, None) => return refuse("a flow of one field has a number of steps, or a horizon".into()),
        };
        let flow = Self { fields, method, step: step.unwrap_or(0.0), steps, horizon, tolerance };
        Ok(flow.over(steps, &|x| x))
    }
}

impl<W> From<Flow<W>> for Written<W> {
    fn from(flow: Flow<W>) -> Self {
        let Flow { mut fields, method, step, steps, horizon, tolerance } = flow;
        let one = if fields.len() == 1 { fields.pop() } else { None };
        Self {
            steps: (one.is_some() && steps > 0).then_some(steps),
            fields: if one.is_none() { Some(fields) } else { None },
            field: one,
            method,
            step: if horizon.is_none() { Some(step) } else { None },
            horizon,
            tolerance,
        }
    }
}
