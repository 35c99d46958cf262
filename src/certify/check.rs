//! Claims about samples: what contradicts itself is refused without them, the rest is recomputed from them.
//!
//! A forward pass and its rounding errors have no short proof. So predictions and radii are computed once more by the
//! code that issues certificates, and what it confirms is *recomputed*, not proved.

use super::{SampleCertificate, Sealed, Semantics, Sought};
use crate::{
    certificate::{ClaimedSamples, Norm, Perturbation},
    check::{Finding, Verdict, require, same},
    data::Dataset,
    error::{Error, Result},
    io::Digest,
    scalar::Scalar,
};

impl ClaimedSamples {
    /// Claims what was certified about the samples with the given hash and labels; of samples without labels there are
    /// none, and no accuracies.
    ///
    /// Radii are rounded down to `f32`: they stay true, and are confirmed on a machine where the last bits of an `f64`
    /// come out differently.
    ///
    /// # Errors
    /// [`Error::Format`] if there is not one label for each sample.
    pub fn new(
        sha256: Digest,
        (semantics, local): (Semantics, bool),
        certified: &[SampleCertificate],
        labels: &[usize],
        eps: &[f64],
    ) -> Result<Self> {
        let down = |claim: &SampleCertificate| f64::from(<f32 as Scalar>::round_down(claim.radius.get()));
        let claimed = Self {
            sha256,
            semantics,
            local,
            within: Perturbation::default(),
            predictions: certified.iter().map(|claim| claim.prediction).collect(),
            radii: certified.iter().map(down).collect(),
            by: if local { certified.iter().map(|claim| claim.by).collect() } else { Vec::new() },
            labels: (!labels.is_empty()).then(|| labels.to_vec()),
            clean_accuracy: None,
            certified_accuracy: Vec::new(),
        };
        claimed.with_accuracies(eps)
    }

    /// Returns the same claims, their radii being about other inputs than those of a Euclidean ball:
    /// [`Sealed::certify_locally_within`].
    #[must_use]
    pub fn within(self, perturbation: Perturbation) -> Self {
        Self { within: perturbation, ..self }
    }
}

/// Checks every claim about samples: hash and labels are compared with those of `dataset`, predictions and radii are
/// recomputed by `sealed`, and the accuracies must follow from them. `observe` is called with the number of samples
/// that were just recomputed.
///
/// `sealed` is the model that the certificate is about, sealed by the claims that were verified
/// ([`crate::Network::seal_by`]) and for the order of summation of the certificate.
///
/// # Errors
/// As [`Dataset::batch`] and [`Sealed::certify`]. A claim that is false is no error but a finding.
pub fn check_samples<T: Scalar>(
    claimed: &ClaimedSamples,
    sealed: &Sealed<T>,
    dataset: &Dataset,
    observe: &(dyn Fn(usize) + Sync),
) -> Result<Vec<Finding>> {
    let count = dataset.len();
    let norm = match claimed.within.norm {
        Norm::L2 => "",
        Norm::Linf => ", radii in the maximum norm",
    };
    let range = claimed.within.range.map_or(String::new(), |[low, high]| format!(", of inputs in [{low}, {high}]"));
    let claim = format!("{} samples with SHA-256 {}{norm}{range}", claimed.predictions.len(), claimed.sha256);
    let hash = dataset.sha256()?;
    let agrees = || {
        claimed.validate(sealed.network().output().len())?;
        same("the number of samples is", claimed.predictions.len(), count)?;
        same("the samples have SHA-256", claimed.sha256, hash)?;
        claimed.labels.as_deref().map_or(Ok(()), |labels| require(labels == dataset.labels(), "they have other labels"))
    };
    let mut findings = vec![finding("samples", claim, agrees(), Verdict::Proved)];
    if findings[0].verdict != Verdict::Proved {
        return Ok(findings);
    }
    let sought = Sought::Claimed(claimed);
    let certified = sealed.certify_part(dataset, 0..count, (claimed.semantics, sought), observe)?;

    let prediction = |s: usize| {
        let name =
            |prediction: Option<usize>| prediction.map_or("no prediction".into(), |i| format!("the prediction {i}"));
        let (found, claimed) = (certified[s].prediction, claimed.predictions[s]);
        (found != claimed).then(|| format!("sample {s} has {}, not {}", name(found), name(claimed)))
    };
    let radius = |s: usize| {
        (claimed.radii[s] > certified[s].radius.get()).then(|| {
            format!("sample {s} has the radius {}, less than the claimed {}", certified[s].radius, claimed.radii[s])
        })
    };
    let all = |fault: &dyn Fn(usize) -> Option<String>| match (0..count).find_map(fault) {
        Some(fault) => Err(Error::format(fault)),
        None => Ok(()),
    };
    findings.push(finding("predictions", format!("of {count} samples"), all(&prediction), Verdict::Recomputed));
    findings.push(finding("radii", format!("of {count} samples"), all(&radius), Verdict::Recomputed));
    if !claimed.by.is_empty() {
        let by = |s: usize| {
            (claimed.by[s] != certified[s].by).then(|| {
                format!("the radius of sample {s} is proved by {:?}, not {:?}", certified[s].by, claimed.by[s])
            })
        };
        findings.push(finding("proofs of radii", format!("of {count} samples"), all(&by), Verdict::Recomputed));
    }
    if findings.iter().all(|finding| !matches!(finding.verdict, Verdict::Failed(_))) {
        let clean = claimed.clean_accuracy.map(|accuracy| ("clean accuracy".to_string(), accuracy));
        let certified = claimed.certified_accuracy.iter();
        let certified = certified.map(|claim| (format!("certified accuracy at {}", claim.eps), claim.accuracy));
        // That they follow from predictions, radii and labels is part of the first finding.
        for (part, accuracy) in clean.into_iter().chain(certified) {
            findings.push(Finding { part, claim: accuracy.to_string(), verdict: Verdict::Recomputed });
        }
    }
    Ok(findings)
}

fn finding(part: &str, claim: String, outcome: Result<()>, otherwise: Verdict) -> Finding {
    let verdict = outcome.map_or_else(|e| Verdict::Failed(e.to_string()), |()| otherwise);
    Finding { part: part.into(), claim, verdict }
}
