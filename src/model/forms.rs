//! Weights that are trained in another form, in a model file.
//!
//! In the metadata, beside the architecture and under the key `dahlquist-forms`, a file may say how some of its weights are
//! trained:
//!
//! ```json
//! {"3.weight": {"form": "cayley", "free": "forms.3.weight"},
//!  "1.field.operator.weight": {"form": "spectral", "free": "forms.1.field.operator.weight", "vector": "forms.1.field.operator.vector"}}
//! ```
//!
//! A weight is named by its place in the architecture; `free` is the tensor that the optimizer moves, of the shape of the
//! weight, and `vector` what the power iteration of the spectral form has reached. The weight itself is in the file as
//! ever, and *no claim and no evaluation looks at its form*: a program that does not know the key reads the same network.
//!
//! When a network is built from a file whose form makes other weights of the free matrix than the file holds, it is
//! refused. Another machine may round otherwise, so "other" means: by more than 2⁻¹⁶ of the largest weight.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Tensor, json::nearest, traverse::MATRIX};
use crate::{
    error::{Error, Result},
    io::unique_keys,
    parametrize::Form,
};

/// The key in the metadata.
pub(super) const KEY: &str = "dahlquist-forms";

/// The form in which a weight is trained, and the numbers that the weight is computed from.
///
/// In a file, under the key `dahlquist-forms` of the metadata: `{"3.weight": {"form": "cayley", "free": "m"}}`. The weight
/// is named by its place in the architecture, and `free` is the name of a tensor of its shape. The form `spectral` has a
/// `vector`, too. The weight is in the file as ever, and no claim and no evaluation looks at its form.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The form.
    pub form: Form,
    /// The free matrix `M`, in the shape of the weight.
    pub free: Tensor,
    /// About a right singular vector of `M`: what the power iteration of [`Form::Spectral`] has reached.
    pub vector: Option<Tensor>,
}

/// The forms of a file, by the places of their weights.
#[derive(Debug, Default)]
pub(super) struct Forms(BTreeMap<String, Written>);

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    form: String,
    free: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vector: Option<String>,
}

impl Forms {
    pub fn parse(json: &str) -> Result<Self> {
        let refuse = |e: &dyn std::fmt::Display| Error::format(format!("its forms of weights are not valid: {e}"));
        unique_keys(json.as_bytes()).map_err(|e| refuse(&e))?;
        serde_json::from_str(json).map(Self).map_err(|e| refuse(&e))
    }

    /// Returns the names of the tensors that forms need.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.0.values().flat_map(|written| std::iter::once(&written.free).chain(&written.vector))
    }

    /// Returns a weight with its form, if it has one; each is used once.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a form that is unknown, has not the tensors that it needs, or is one of a vector; as `read`.
    pub fn attach(
        &mut self,
        path: &str,
        axes: usize,
        weight: Tensor,
        read: &impl Fn(&str, usize) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let Some(Written { form: name, free, vector }) = self.0.remove(path) else { return Ok(weight) };
        let refuse = |reason: String| Error::parameter("form", format!("{name:?}"), reason);
        let Some(form) = Form::ALL.into_iter().find(|form| form.name() == name) else {
            let nearest = nearest(Form::ALL.into_iter().map(Form::name), &name);
            return Err(refuse(format!(
                "this program has no form of this name; the nearest that it has is {nearest:?}"
            )));
        };
        if axes < MATRIX {
            return Err(refuse(format!("{path} is no matrix of weights and no kernel")));
        }
        if vector.is_some() != (form == Form::Spectral) {
            return Err(refuse("the spectral form has a vector, and no other form has one".into()));
        }
        let read = |name: &str, shape: &[usize]| {
            let tensor = read(name, shape.len())?;
            if tensor.shape() == shape {
                return Ok(tensor);
            }
            Err(refuse(format!("the tensor {name} has the shape {:?}, not {shape:?}", tensor.shape())))
        };
        let free = read(&free, weight.shape())?;
        let columns = weight.shape()[1..].iter().product();
        let vector = vector.map(|vector| read(&vector, &[columns])).transpose()?;
        Ok(weight.in_form(Trained { form, free, vector }))
    }

    /// # Errors
    /// [`Error::Format`] if a form was attached to nothing.
    pub fn all_attached(&self) -> Result<()> {
        match self.0.keys().next() {
            Some(path) => Err(Error::format(format!("it has a form for {path}, and no layer has such a weight"))),
            None => Ok(()),
        }
    }

    /// Adds the form of a weight, if it has one. Returns the tensors to be stored for it.
    pub fn add(&mut self, path: &str, weight: &Tensor) -> Vec<(String, Tensor)> {
        let Some(Trained { form, free, vector }) = weight.trained() else { return vec![] };
        let named = |tensor: &Tensor, part: &str| (format!("forms.{path}.{part}"), tensor.clone());
        let free = named(free, "free");
        let vector = vector.as_ref().map(|vector| named(vector, "vector"));
        let name = |(name, _): &(String, Tensor)| name.clone();
        let written = Written { form: form.name().into(), free: name(&free), vector: vector.as_ref().map(name) };
        self.0.insert(path.into(), written);
        std::iter::once(free).chain(vector).collect()
    }

    /// Returns the entry of the metadata, if there are forms.
    pub fn text(&self) -> Result<Option<String>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        serde_json::to_string(&self.0).map(Some).map_err(Error::format)
    }
}
