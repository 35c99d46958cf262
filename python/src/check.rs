//! The checker.

use std::sync::Arc;

use dahlquist::{
    certificate::file::CertificateFile,
    certify::{SealOptions, check_samples},
    check::{Finding, Verdict},
    network::AnyNetwork,
};
use pyo3::prelude::*;

use crate::{errors::OrRaise, model::Model, samples::Samples, task, with_format};

/// The part, the claim, the verdict and, where there is one, the reason.
type Row = (String, String, &'static str, Option<String>);

/// Checks a certificate about a model, with samples if there are any.
#[pyfunction]
#[pyo3(signature = (certificate, model, x, labels, report=None))]
pub fn check<'py>(
    py: Python<'py>,
    certificate: &[u8],
    model: &Model,
    x: Option<Samples<'py>>,
    labels: Option<Vec<i64>>,
    report: Option<Bound<'py, PyAny>>,
) -> PyResult<Vec<Row>> {
    let claimed = CertificateFile::parse(certificate).or_raise()?;
    let file = Arc::clone(&model.file);
    let classes = file.map().output(file.input()).or_raise()?.len();
    let dataset = x.map(|x| x.dataset(file.input(), labels, classes)).transpose()?;
    let findings = task::run(py, report, move |progress| {
        let found = dahlquist::check::check(&claimed, &file);
        let mut findings = found.findings;
        let Some(dataset) = dataset else { return Ok(findings) };
        match (&claimed.samples, &found.verified) {
            (Some(samples), Some(verified)) => {
                // What could be said without the samples is said again with them.
                findings.retain(|finding| finding.part != "samples");
                let options = SealOptions { summation: claimed.summation, norm_proof: claimed.norm_proof };
                let observe = |count| progress.add(count);
                findings.extend(with_format!(AnyNetwork, file.network()?, network => {
                    check_samples(samples, &network.seal_by(verified, options)?, &dataset, &observe)?
                }));
            }
            (None, _) => findings.push(Finding {
                part: "samples".into(),
                claim: "none".into(),
                verdict: Verdict::Unchecked("the certificate claims nothing about samples".into()),
            }),
            _ => {}
        }
        Ok(findings)
    })?;
    Ok(findings.into_iter().map(row).collect())
}

fn row(Finding { part, claim, verdict }: Finding) -> Row {
    let (verdict, reason) = match verdict {
        Verdict::Proved => ("proved", None),
        Verdict::Recomputed => ("recomputed", None),
        Verdict::Asserted => ("asserted", Some("only its author vouches for it".into())),
        Verdict::Unchecked(reason) => ("unchecked", Some(reason)),
        Verdict::Failed(reason) => ("failed", Some(reason)),
    };
    (part, claim, verdict, reason)
}
