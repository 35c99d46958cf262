//! The certificate file: what is claimed about a model, to be checked by someone else.
//!
//! ```json
//! {"format": "dahlquist-certificate", "version": 1, "program": "dahlquist 0.1.0", "kernels": 1,
//!  "model": "<SHA-256 of the model file>", "scalar": "f32", "norms": "torus", "summation": "any", "input": [2],
//!  "layers": [
//!   {"path": "0", "kind": "flow", "rule": "gradient_step", "bound": 1.0, "averaged": 0.5,
//!    "witness": {"flow": {"method": "euler", "step": 0.25, "steps": 1, "factor": 1.0, "radius": 1.0,
//!     "cocoercivity": 0.25, "field": [["norm", 2.0], ["smallest_slope", 0.0], …]}}},
//!   {"path": "1", "kind": "dense", "rule": "operator_norm", "bound": 1.5,
//!    "witness": {"norm": {"method": "residual"}}}],
//!  "groups": [{"first": 0, "count": 3, "rule": "quadratic_constraint", "bound": 0.75, "multipliers": [[1.0, 0.5]]}],
//!  "features": 1.0, "lipschitz": 1.5,
//!  "samples": {"sha256": "…", "semantics": "executed", "predictions": [3], "radii": [0.25]}}
//! ```
//!
//! `groups` is absent where no layers are certified together; [`ClaimedSamples`] says more of `samples`. The bounds of layers and
//! of the network are in exact semantics, always; `semantics` and `summation` belong to the radii. Every number is finite
//! and is read back as it was written, to the last bit.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    certificate_samples::ClaimedSamples,
    digest::Digest,
    file::{read_bounded, write},
};
use crate::{
    certificate::{Basis, Certificate, Entry, Group, Rule, Witness},
    error::{Error, Result},
    operator::{KERNELS, NormMethod, Norms},
    rigor::Summation,
    tensor::Shape,
};

const FORMAT: &str = "dahlquist-certificate";
const VERSION: u32 = 1;
const PROGRAM: &str = concat!("dahlquist ", env!("CARGO_PKG_VERSION"));
/// The largest certificate file that is read: 64 MiB.
const LARGEST_FILE: u64 = 1 << 26;

/// What a certificate file says: untrusted, its numbers plain numbers and not bounds.
///
/// Only [`crate::check`] turns claims into [`crate::check::Verified`] ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claimed {
    format: String,
    version: u32,
    /// The program that made the certificate, with its version.
    pub program: String,
    /// The version of its kernels, [`KERNELS`]: a declared order of summation is that of these.
    pub kernels: u32,
    /// The SHA-256 of the model file that the claims are about.
    pub model: Digest,
    /// The number format of the model: `"f32"` or `"f64"`.
    pub scalar: String,
    /// How norms of convolutions were proved.
    pub norms: Norms,
    /// The order of summation that executed radii hold for.
    pub summation: Summation,
    /// The shape of the input that the claims are for.
    pub input: Shape,
    /// The claims about the layers, in order.
    pub layers: Vec<ClaimedLayer>,
    /// The claims about consecutive layers as one map, in order; no two share a layer, and none holds the head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ClaimedGroup>,
    /// The Lipschitz constant of the layers before the head.
    pub features: f64,
    /// The Lipschitz constant of the network.
    pub lipschitz: f64,
    /// The claims about samples, if the certificate has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<ClaimedSamples>,
}

/// The claim about one layer, in exact semantics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedLayer {
    /// The position of the layer, from 0.
    pub path: String,
    /// The kind of layer.
    pub kind: String,
    /// The rule that proves the bound, or that it is only asserted.
    pub rule: Basis,
    /// `‖Δy‖ ≤ bound · ‖Δx‖`.
    pub bound: f64,
    /// The layer is so much averaged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaged: Option<f64>,
    /// The numbers that the bound was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<ClaimedWitness>,
}

/// The claim about consecutive layers as one map, as [`Group`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimedGroup {
    /// The position of the first of the layers, from 0.
    pub first: usize,
    /// How many they are.
    pub count: usize,
    /// The rule that proves the bound.
    pub rule: Rule,
    /// `‖Δy‖ ≤ bound · ‖Δx‖` for the composition.
    pub bound: f64,
    /// One number for each neuron, activation by activation, where the rule needs it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub multipliers: Vec<Vec<f64>>,
}

/// The numbers behind a claim, as [`Witness`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClaimedWitness {
    /// A norm.
    Norm {
        /// How it was proved.
        method: NormMethod,
    },
    /// A slope interval.
    Slopes {
        /// `m` and `L`.
        interval: [f64; 2],
    },
    /// A flow.
    Flow {
        /// The name of the tableau.
        method: String,
        /// The step `h`.
        step: f64,
        /// The number of steps.
        steps: usize,
        /// The Lipschitz bound of one step.
        factor: f64,
        /// The radius of circle contractivity, if the method has a finite one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        radius: Option<f64>,
        /// The constant of cocoercivity, if the field has a finite one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cocoercivity: Option<f64>,
        /// The constants of the field.
        field: Vec<(String, f64)>,
    },
    /// Euler steps that multipliers prove.
    QuadraticConstraint {
        /// The step `h`.
        step: f64,
        /// The number of steps.
        steps: usize,
        /// The Lipschitz bound of one step.
        factor: f64,
        /// One number for each neuron.
        multipliers: Vec<f64>,
    },
}

impl Claimed {
    /// The claims of a certificate about the model with the given hash.
    pub fn new(certificate: &Certificate, model: Digest, scalar: &str) -> Self {
        let layer = |(i, entry): (usize, &Entry)| ClaimedLayer {
            path: i.to_string(),
            kind: entry.kind.clone(),
            rule: entry.basis,
            bound: entry.lipschitz.get(),
            averaged: entry.averaged.map(|a| a.get()),
            witness: entry.witness.as_ref().map(ClaimedWitness::from),
        };
        Self {
            format: FORMAT.into(),
            version: VERSION,
            program: PROGRAM.into(),
            kernels: KERNELS,
            model,
            scalar: scalar.into(),
            norms: certificate.norms,
            summation: certificate.summation,
            input: certificate.input,
            layers: certificate.layers.iter().enumerate().map(layer).collect(),
            groups: certificate.groups.iter().map(ClaimedGroup::from).collect(),
            features: certificate.features.get(),
            lipschitz: certificate.lipschitz.get(),
            samples: None,
        }
    }

    /// Reads a certificate file.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be read, is larger than 64 MiB, or is refused by [`Self::parse`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(&read_bounded(path, LARGEST_FILE)?).map_err(|e| Error::file(path, e))
    }

    /// The claims in the bytes of a certificate file.
    ///
    /// # Errors
    /// [`Error::Format`] for anything that is not a certificate of this version: other fields, other types, numbers
    /// that are not finite.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let claimed: Self =
            serde_json::from_slice(bytes).map_err(|e| Error::format(format!("not a certificate: {e}")))?;
        if claimed.format != FORMAT || claimed.version != VERSION {
            let found = format!("the format {} version {}", claimed.format, claimed.version);
            return Err(Error::format(format!("{found} is not {FORMAT} version {VERSION}")));
        }
        claimed.finite()?;
        Ok(claimed)
    }

    /// Writes the certificate file.
    ///
    /// # Errors
    /// [`Error::Format`] if a number is not finite, [`Error::File`] if the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        self.finite()?;
        let mut json = serde_json::to_vec_pretty(self).map_err(|e| Error::file(path, e))?;
        json.push(b'\n');
        write(path, &json)
    }

    fn finite(&self) -> Result<()> {
        let layers = self.layers.iter().flat_map(|layer| {
            let witness = layer.witness.iter().flat_map(ClaimedWitness::numbers);
            [Some(layer.bound), layer.averaged].into_iter().flatten().chain(witness)
        });
        let radii = self.samples.iter().flat_map(ClaimedSamples::numbers);
        let groups = self.groups.iter().flat_map(|g| g.multipliers.iter().flatten().chain([&g.bound]).copied());
        let network = [self.features, self.lipschitz].into_iter();
        match network.chain(layers).chain(groups).chain(radii).find(|x| !x.is_finite()) {
            None => Ok(()),
            Some(x) => Err(Error::format(format!("the number {x} in a certificate is not finite"))),
        }
    }
}

impl ClaimedWitness {
    fn numbers(&self) -> Vec<f64> {
        match self {
            Self::Norm { .. } => vec![],
            Self::Slopes { interval } => interval.to_vec(),
            Self::Flow { step, factor, radius, cocoercivity, field, .. } => {
                let options = radius.iter().chain(cocoercivity).copied();
                [*step, *factor].into_iter().chain(options).chain(field.iter().map(|(_, x)| *x)).collect()
            }
            Self::QuadraticConstraint { step, factor, multipliers, .. } => {
                [*step, *factor].into_iter().chain(multipliers.iter().copied()).collect()
            }
        }
    }
}

impl From<&Witness> for ClaimedWitness {
    fn from(witness: &Witness) -> Self {
        match witness.clone() {
            Witness::Norm { method } => Self::Norm { method },
            Witness::Slopes { interval } => Self::Slopes { interval },
            Witness::Flow { method, step, steps, factor, radius, cocoercivity, field } => {
                Self::Flow { method, step, steps, factor: factor.get(), radius, cocoercivity, field }
            }
            Witness::QuadraticConstraint { step, steps, factor, multipliers } => {
                Self::QuadraticConstraint { step, steps, factor: factor.get(), multipliers }
            }
        }
    }
}

impl From<&Group> for ClaimedGroup {
    fn from(group: &Group) -> Self {
        let Group { first, count, rule, lipschitz, multipliers } = group.clone();
        Self { first, count, rule, bound: lipschitz.get(), multipliers }
    }
}
