//! A shard of a set of samples, and the part of a certificate that is about it: several machines certify one set.
//!
//! ```json
//! {"format": "dahlquist-part", "shard": [2, 10], "samples": 10000, "first": 1024, "eps": [0.25],
//!  "certificate": {"format": "dahlquist-certificate", …, "samples": {"sha256": "…", "predictions": [3], "radii": [0.25]}}}
//! ```
//!
//! The hash is that of all samples; accuracies are claimed by the whole alone.

use std::{collections::BTreeMap, fmt, ops::Range, path::Path, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    ClaimedSamples,
    file::{CertificateFile, PART},
};
use crate::{
    error::{Error, Result},
    io::{read_bounded, unique_keys, write},
};

/// The largest part that is read, as for certificates.
const LARGEST_FILE: u64 = 1 << 26;

/// One of several jobs: `2/10` is the second of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 1 to `of`.
    pub number: usize,
    /// The number of shards.
    pub of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| format!("{text:?} is not a number"));
        let (a, b) = text.split_once('/').ok_or("a shard is written as I/N, the first of ten as 1/10")?;
        let (number, of) = (number(a)?, number(b)?);
        if (1..=of).contains(&number) { Ok(Self { number, of }) } else { Err("the shards of N are 1/N to N/N".into()) }
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Shard {
    /// Returns the samples of this shard, where `pieces` are those that are certified together.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are fewer pieces than shards.
    pub fn range(self, pieces: &[Range<usize>]) -> Result<Range<usize>> {
        let place = |number: usize| (pieces.len() as u128 * number as u128 / self.of as u128) as usize;
        match pieces.get(place(self.number - 1)..place(self.number)) {
            Some([first, .., last]) if self.of <= pieces.len() => Ok(first.start..last.end),
            Some([only]) if self.of <= pieces.len() => Ok(only.clone()),
            _ => {
                let count = pieces.len();
                let reason = format!(
                    "samples are certified in pieces that are never cut; these are {count}, so at most {count} shards"
                );
                Err(Error::Parameter { name: "shard", value: self.to_string(), reason })
            }
        }
    }
}

/// What one job claims: untrusted, as everything that a file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Which shard it is.
    pub shard: Shard,
    /// The number of all samples.
    pub samples: usize,
    /// The number of the first sample of this shard.
    pub first: usize,
    /// The distances at which the whole claims accuracies.
    pub eps: Vec<f64>,
    /// The certificate of the network.
    pub certificate: CertificateFile,
    /// What is claimed about the samples of this shard: the hash is that of all samples, and there are no accuracies.
    pub claims: ClaimedSamples,
}

/// A part as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    shard: [usize; 2],
    samples: usize,
    first: usize,
    eps: Vec<f64>,
    certificate: Value,
}

impl Part {
    /// Reads a part.
    ///
    /// # Errors
    /// [`Error::File`] for what is no part, or contradicts itself.
    pub fn read(path: &Path) -> Result<Self> {
        let refuse = |e: &dyn fmt::Display| Error::file(path, format!("not a part of a certificate: {e}"));
        let bytes = read_bounded(path, LARGEST_FILE)?;
        unique_keys(&bytes).map_err(|e| refuse(&e))?;
        let written: Written = serde_json::from_slice(&bytes).map_err(|e| refuse(&e))?;
        let Written { format, shard: [number, of], samples, first, eps, certificate } = written;
        if format != PART {
            return Err(refuse(&format!("the format is {format:?}, not {PART:?}")));
        }
        let bytes = serde_json::to_vec(&certificate).map_err(|e| refuse(&e))?;
        let mut certificate = CertificateFile::parse(&bytes).map_err(|e| refuse(&e))?;
        let claims = certificate.samples.take().ok_or_else(|| refuse(&"it claims nothing about samples"))?;
        // Accuracies are those of the whole.
        claims.validate(usize::MAX).map_err(|e| refuse(&e))?;
        let end = first.checked_add(claims.predictions.len()).filter(|&end| end <= samples);
        if !(1..=of).contains(&number) || end.is_none() || claims.clean_accuracy.is_some() {
            return Err(refuse(
                &"its shard does not exist, it has more samples than there are, or it claims an accuracy",
            ));
        }
        Ok(Self { shard: Shard { number, of }, samples, first, eps, certificate, claims })
    }

    /// Writes the part.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written.
    pub fn write(self, path: &Path) -> Result<()> {
        let refuse = |e| Error::file(path, e);
        let mut certificate = self.certificate;
        certificate.samples = Some(self.claims);
        let certificate = serde_json::from_slice(&certificate.bytes()?).map_err(refuse)?;
        let Shard { number, of } = self.shard;
        let (samples, first, eps) = (self.samples, self.first, self.eps);
        let written = Written { format: PART.into(), shard: [number, of], samples, first, eps, certificate };
        let mut bytes = serde_json::to_vec_pretty(&written).map_err(refuse)?;
        bytes.push(b'\n');
        write(path, &bytes)
    }

    /// Returns the certificate of all samples, from every part of it, with where each came from, in any order.
    ///
    /// # Errors
    /// [`Error::Format`] if they are not parts of one whole, or one is missing or there twice.
    pub fn merge(parts: Vec<(String, Self)>) -> Result<CertificateFile> {
        let Some((origin, first)) = parts.first().cloned() else {
            return Err(Error::format("there are no parts"));
        };
        let mut sorted: BTreeMap<usize, (String, Self)> = BTreeMap::new();
        for (name, part) in parts {
            let number = part.shard.number;
            if let Some(what) = part.differs(&first) {
                return Err(Error::format(format!("{name}: its {what} is not that of {origin}")));
            }
            if let Some((other, _)) = sorted.insert(number, (name.clone(), part)) {
                return Err(Error::format(format!("{name}: it is shard {number}, and so is {other}")));
            }
        }
        let missing: Vec<usize> = (1..=first.shard.of).filter(|number| !sorted.contains_key(number)).take(20).collect();
        if !missing.is_empty() {
            return Err(Error::format(format!("of {} shards these are missing: {missing:?}", first.shard.of)));
        }
        let empty = |labels: &Vec<usize>| labels[..0].to_vec();
        let mut whole = ClaimedSamples {
            predictions: Vec::new(),
            radii: Vec::new(),
            by: Vec::new(),
            labels: first.claims.labels.as_ref().map(empty),
            ..first.claims.clone()
        };
        for (name, part) in sorted.into_values() {
            let end = whole.predictions.len();
            if part.first != end {
                let reason = format!("it begins with sample {}, and those before it end with {end}", part.first);
                return Err(Error::format(format!("{name}: {reason}")));
            }
            whole.predictions.extend(part.claims.predictions);
            whole.radii.extend(part.claims.radii);
            whole.by.extend(part.claims.by);
            if let (Some(labels), Some(more)) = (&mut whole.labels, part.claims.labels) {
                labels.extend(more);
            }
        }
        if whole.predictions.len() != first.samples {
            let found = whole.predictions.len();
            return Err(Error::format(format!("they are about {found} samples, and there are {}", first.samples)));
        }
        let mut certificate = first.certificate;
        certificate.samples = Some(whole.with_accuracies(&first.eps)?);
        Ok(certificate)
    }

    /// Returns what this part does not share with another one of the same whole, if there is something.
    fn differs(&self, other: &Self) -> Option<&'static str> {
        let (a, b) = (&self.claims, &other.claims);
        let shared = [
            ("number of shards", self.shard.of == other.shard.of),
            ("number of samples", self.samples == other.samples),
            ("list of distances", self.eps == other.eps),
            ("model", self.certificate.model == other.certificate.model),
            ("certificate of the network", self.certificate == other.certificate),
            ("hash of the samples", a.sha256 == b.sha256),
            ("semantics", (a.semantics, a.local) == (b.semantics, b.local)),
            ("norm or range", a.within == b.within),
            ("knowledge of labels", a.labels.is_some() == b.labels.is_some()),
        ];
        shared.into_iter().find(|(_, same)| !same).map(|(what, _)| what)
    }
}
