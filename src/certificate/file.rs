//! The certificate file: what is claimed about a model, to be checked by someone else.
//!
//! ```json
//! {"format": "dahlquist-certificate", "version": 2, "program": "dahlquist 0.2.0", "kernels": 1, "model": "<SHA-256 of the model file>",
//!  "scalar": "f32", "norm_proof": "torus", "summation": "any", "input": [2], "lipschitz": 1.5, "features": 1.0,
//!  "network": {"path": "", "rule": "composition", "claims": {"bound": 1.5}, "premises": [
//!   {"path": "0", "rule": "composition", "claims": {"bound": 1.0, "averaged": 0.5}, "premises": [
//!    {"path": "0.step", "rule": "gradient_step", "claims": {"bound": 1.0, "averaged": 0.5}, "premises": [
//!     {"path": "0.step.field", "rule": "gradient_field", "claims": {"bound": 4.0, "cocoercivity": 0.25, …}, "premises": [
//!      {"path": "0.step.field.operator", "rule": "operator_norm", "claims": {"bound": 2.0},
//!       "evidence": {"norm": "residual"}}]}]}]},
//!   {"path": "1", "rule": "operator_norm", "claims": {"bound": 1.5}, "evidence": {"norm": "residual"}}]},
//!  "samples": {"sha256": "…", "semantics": "executed", "predictions": [3], "radii": [0.25]}}
//! ```
//!
//! A node with a `span` is about that many maps in a row. The claims about the network are in exact semantics, always;
//! `semantics` and `summation` belong to the radii. Every number is finite and is read back as it was written, to the
//! last bit.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Certificate, Claimed, ClaimedSamples, Evidence, KERNELS, NormProof};
use crate::{
    error::{Error, Result},
    io::{Digest, read_bounded, unique_keys, write},
    model::{Map, file::Model},
    rigor::{Summation, Upper},
    tensor::Shape,
};

const FORMAT: &str = "dahlquist-certificate";
/// What the file of one shard says that it is.
pub(super) const PART: &str = "dahlquist-part";
const VERSION: u32 = 2;
/// The largest certificate file that is read: 64 MiB.
const LARGEST_FILE: u64 = 1 << 26;

/// What a certificate file says: untrusted, its numbers plain numbers and not bounds.
///
/// Only [`crate::check`] turns claims into [`crate::check::Verified`] ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFile {
    format: String,
    version: u32,
    /// The program that issued it, and its version.
    pub program: String,
    /// The version of its kernels: a declared order of summation is that of these.
    pub kernels: u32,
    /// The SHA-256 of the model file that the claims are about.
    pub model: Digest,
    /// The number format of the model: `"f32"` or `"f64"`.
    pub scalar: String,
    /// Which proof of the norms of convolutions was asked for.
    pub norm_proof: NormProof,
    /// The order of summation that executed radii hold for.
    pub summation: Summation,
    /// The shape of the input that the claims are for.
    pub input: Shape,
    /// The Lipschitz constant of the network.
    pub lipschitz: f64,
    /// The Lipschitz constant of the layers before the head.
    pub features: f64,
    /// The proof.
    pub network: Claimed,
    /// The radii of samples, if the certificate has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<ClaimedSamples>,
}

impl CertificateFile {
    /// Returns the claims about a model.
    pub fn new(proof: &Certificate, model: &Model, norm_proof: NormProof, summation: Summation) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            program: concat!("dahlquist ", env!("CARGO_PKG_VERSION")).into(),
            kernels: KERNELS,
            model: model.sha256(),
            scalar: model.scalar().into(),
            norm_proof,
            summation,
            input: model.input(),
            lipschitz: proof.bound().get(),
            features: features(proof, model.map()).get(),
            network: proof.claimed(),
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

    /// Returns the claims in the bytes of a certificate file.
    ///
    /// # Errors
    /// [`Error::Format`] for anything that is not a certificate of this version: other fields, other types, numbers
    /// that are not finite. A certificate of version 1 is none any more: its model can be certified again.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        /// What every version begins with.
        #[derive(Deserialize)]
        struct Header {
            format: String,
            version: Option<u32>,
        }
        unique_keys(bytes).map_err(|e| Error::format(format!("not a certificate: {e}")))?;
        let refuse = |e: serde_json::Error| Error::format(format!("not a certificate: {e}"));
        let Header { format, version } = serde_json::from_slice(bytes).map_err(refuse)?;
        if format == PART {
            let merge = "put all of them together with `dahlquist merge`, and check the whole";
            return Err(Error::format(format!("it is the part of a certificate that one shard wrote: {merge}")));
        }
        if format != FORMAT {
            return Err(Error::format(format!("the format is {format:?}, not {FORMAT:?}")));
        }
        let version = version.ok_or_else(|| Error::format("not a certificate: missing field `version`"))?;
        if version != VERSION {
            let again = "certify the model again with `dahlquist certify MODEL --certificate OUT`";
            return Err(Error::format(format!(
                "it is of version {version}, and this program reads {VERSION}: {again}"
            )));
        }
        let claimed: Self = serde_json::from_slice(bytes).map_err(refuse)?;
        claimed.finite()?;
        Ok(claimed)
    }

    /// Writes the certificate file.
    ///
    /// # Errors
    /// [`Error::Format`] if a number is not finite, [`Error::File`] if the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        write(path.as_ref(), &self.bytes()?)
    }

    /// Returns the bytes of the certificate file.
    ///
    /// # Errors
    /// [`Error::Format`] if a number is not finite.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        self.finite()?;
        let mut json = serde_json::to_vec_pretty(self).map_err(Error::format)?;
        json.push(b'\n');
        Ok(json)
    }

    fn finite(&self) -> Result<()> {
        let radii = self.samples.iter().flat_map(ClaimedSamples::numbers);
        let mut numbers: Vec<f64> = [self.lipschitz, self.features].into_iter().chain(radii).collect();
        collect(&self.network, &mut numbers);
        match numbers.iter().find(|x| !x.is_finite()) {
            None => Ok(()),
            Some(x) => Err(Error::format(format!("the number {x} in a certificate is not finite"))),
        }
    }
}

/// The numbers of a tree.
fn collect(proof: &Claimed, numbers: &mut Vec<f64>) {
    let claims = proof.claims();
    let options =
        [claims.averaged, claims.inverse, claims.one_sided_lipschitz, claims.cocoercivity, claims.strong_convexity];
    numbers.push(claims.bound);
    numbers.extend(options.into_iter().flatten());
    if let Some(norm) = claims.own_norm {
        numbers.extend([norm.condition, norm.bound].into_iter().chain(norm.strong_convexity));
    }
    match proof.evidence() {
        Evidence::Multipliers(multipliers) => numbers.extend(multipliers.iter().flatten()),
        Evidence::Stages(inequalities) => {
            numbers.extend(inequalities.iter().flat_map(|inequality| inequality.numbers()));
        }
        Evidence::Nothing | Evidence::Norm(_) | Evidence::Steps(_) => {}
    }
    proof.premises().iter().for_each(|premise| collect(premise, numbers));
}

/// Returns a Lipschitz bound of the layers before the head that margins are measured on; of the whole network if it has
/// none.
pub fn features(proof: &Certificate, map: &Map) -> Upper {
    match map.head() {
        Some(_) => proof.prefix(map.layers().len() - 1),
        None => proof.bound(),
    }
}
