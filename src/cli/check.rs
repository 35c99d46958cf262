//! `dahlquist check`.

use std::path::PathBuf;

use clap::Args;
use dahlquist::{
    Network, Result,
    certify::SealOptions,
    check::{Finding, Verdict, check},
    data::Dataset,
    io::{Claimed, ClaimedSamples},
    scalar::Scalar,
};

use super::{
    Outcome, certify,
    input::{self, OptionalData, with_network},
    output,
};

#[derive(Debug, Args)]
pub(super) struct Check {
    /// A certificate file.
    certificate: PathBuf,
    /// The model file that it is about.
    model: PathBuf,
    /// The samples whose radii are in the certificate, to recompute them.
    #[command(flatten)]
    data: OptionalData,
    /// Write the findings as JSON.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

impl Check {
    pub(super) fn run(&self) -> Result<Outcome> {
        let claimed = Claimed::read(&self.certificate)?;
        let (file, network) = input::model(&self.model)?;
        let report = check(&claimed, &file);
        let mut findings = report.findings;
        let mut verified = report.verified.is_some();
        if let Some(samples) = &claimed.samples {
            let dataset = with_network!(&network, network => self.data.load(network))?;
            if let (Some(dataset), true) = (dataset, verified) {
                let verdict = with_network!(network, network => self.samples(&claimed, samples, network, &dataset))?;
                verified &= verdict == Verdict::Proved;
                let claim = format!(
                    "{} predictions and radii, recomputed by the program that issues certificates",
                    samples.radii.len()
                );
                findings.retain(|finding| finding.part != "samples");
                findings.push(Finding { part: "samples".into(), claim, verdict });
            }
        }
        let mut text: String = findings.iter().map(line).collect();
        text += if verified { "every claim that was checked is proved\n" } else { "NOT PROVED\n" };
        if let Some(path) = &self.json {
            let findings: Vec<serde_json::Value> = findings.iter().map(value).collect();
            output::json(path, &serde_json::json!({"verified": verified, "findings": findings}))?;
        }
        Ok(Outcome { text, failed: !verified })
    }

    /// Radii are recomputed as they were issued: a forward pass and its rounding errors have no short proof.
    fn samples<T: Scalar>(
        &self,
        certificate: &Claimed,
        claimed: &ClaimedSamples,
        network: Network<T>,
        dataset: &Dataset,
    ) -> Result<Verdict> {
        let failed = |reason: String| Ok(Verdict::Failed(reason));
        if claimed.sha256 != dataset.sha256()? {
            return failed("the samples have another SHA-256".into());
        }
        if claimed.radii.len() != dataset.len() || claimed.predictions.len() != dataset.len() {
            return failed(format!("there are {} samples", dataset.len()));
        }
        let options = SealOptions { summation: certificate.summation, norms: certificate.norms };
        let sealed = input::seal(&self.model, network, options)?.tighten_by(&certificate.groups)?;
        let proved = certify::radii(&sealed, dataset, claimed.semantics, claimed.local)?;
        for (s, (claim, (&prediction, &radius))) in
            proved.iter().zip(claimed.predictions.iter().zip(&claimed.radii)).enumerate()
        {
            if claim.prediction != prediction || radius > claim.radius.get() {
                let (p, r) = (claim.prediction, claim.radius);
                return failed(format!(
                    "sample {s} has the prediction {p} and the radius {r}, not {prediction} and {radius}"
                ));
            }
        }
        Ok(Verdict::Proved)
    }
}

fn words(verdict: &Verdict) -> (&'static str, Option<&str>) {
    match verdict {
        Verdict::Proved => ("proved", None),
        Verdict::Asserted => ("NOT PROVED", Some("only its author vouches for it")),
        Verdict::Unchecked(reason) => ("not checked", Some(reason)),
        Verdict::Failed(reason) => ("FAILED", Some(reason)),
    }
}

fn line(finding: &Finding) -> String {
    let (word, reason) = words(&finding.verdict);
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    let text = format!("{word:11} {}: {}{reason}", finding.part, finding.claim);
    // Whatever a file has put into it.
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).chain(['\n']).collect()
}

fn value(finding: &Finding) -> serde_json::Value {
    let (verdict, reason) = match &finding.verdict {
        Verdict::Proved => ("proved", None),
        Verdict::Asserted => ("asserted", None),
        Verdict::Unchecked(reason) => ("unchecked", Some(reason)),
        Verdict::Failed(reason) => ("failed", Some(reason)),
    };
    serde_json::json!({"part": finding.part, "claim": finding.claim, "verdict": verdict, "reason": reason})
}
