//! `dahlquist check`.

use std::path::{Path, PathBuf};

use clap::Args;
use dahlquist::{
    Network, Result,
    certificate::{ClaimedSamples, file::CertificateFile},
    certify::{SealOptions, check_samples},
    check::{Finding, Verdict, Verified, check},
    scalar::Scalar,
};
use serde_json::json;

use super::{
    Outcome, Run, Status,
    input::{self, OptionalData, with_network},
    output::{self, Out, columns, percent},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dahlquist check cert.json model.safetensors --data test.safetensors

`proved`: proved again from the weights, trusting nothing in the certificate. `recomputed`: computed once more by the
code that issues certificates, which is less. Radii are distances in units of the input: in ℓ2, if the certificate says
nothing else.

Exit status: 0 every claim holds, 1 a claim is false, 3 something claimed was not checked.")]
pub(super) struct Check {
    /// Certificate file
    certificate: PathBuf,
    /// Model file that it is about
    model: PathBuf,
    #[command(flatten)]
    data: OptionalData,
    /// Check what is claimed about the network, and leave out what is claimed about samples
    #[arg(long, conflicts_with = "path")]
    lipschitz_only: bool,
    /// Write the findings as JSON (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
}

impl Run for Check {
    fn run(&self) -> Result<Outcome> {
        let claimed = CertificateFile::read(&self.certificate)?;
        let (file, network) = input::model(&self.model)?;
        let report = check(&claimed, &file);
        let mut findings = report.findings;
        if let Some(verified) = &report.verified {
            input::note_expansive(verified.map(), verified.certificate());
        }
        match (&claimed.samples, self.data.is_given(), &report.verified) {
            (Some(samples), true, Some(verified)) => {
                // What could be said without the samples is said again with them.
                findings.retain(|finding| finding.part != "samples");
                findings.extend(with_network!(network, network => self.samples(&claimed, samples, verified, network))?);
            }
            (None, true, _) => findings.push(Finding {
                part: "samples".into(),
                claim: "none".into(),
                verdict: Verdict::Unchecked(
                    "the certificate claims nothing about samples, so --data is of no use".into(),
                ),
            }),
            _ => {}
        }
        let left_out = |finding: &&Finding| self.lipschitz_only && finding.part == "samples";
        let checked: Vec<&Finding> = findings.iter().filter(|f| !left_out(f) || is_failed(f)).collect();
        let status = status(&checked);
        let mut text: String = findings.iter().map(line).collect();
        if status == Status::Done && self.data.is_given() {
            text += &claimed.samples.as_ref().map_or(String::new(), table);
        }
        text += &self.conclusion(status, &findings);
        if let Some(out) = &self.json {
            out.json(&json!({
                "verified": status == Status::Done, "scope": if self.lipschitz_only { "lipschitz" } else { "all" },
                "norm": "l2", "within": claimed.samples.as_ref().map(|samples| samples.within),
                "program": claimed.program, "kernels": claimed.kernels,
                "findings": findings.iter().map(value).collect::<Vec<_>>(),
            }))?;
        }
        Ok(Outcome { text, status })
    }

    fn inputs(&self) -> Vec<&Path> {
        [&*self.certificate, &self.model].into_iter().chain(self.data.path()).collect()
    }

    fn outputs(&self) -> Vec<&Out> {
        self.json.iter().collect()
    }
}

impl Check {
    fn samples<T: Scalar>(
        &self,
        claimed: &CertificateFile,
        samples: &ClaimedSamples,
        verified: &Verified,
        network: Network<T>,
    ) -> Result<Vec<Finding>> {
        let Some(dataset) = self.data.load(&network)? else { return Ok(Vec::new()) };
        // Nothing is proved again: radii rest on the very numbers that were verified.
        let options = SealOptions { summation: claimed.summation, norm_proof: claimed.norm_proof };
        let sealed = network.seal_by(verified, options)?;
        let bar = output::progress("check", dataset.len());
        let findings = check_samples(samples, &sealed, &dataset, &|count| bar.inc(count as u64))?;
        bar.finish_and_clear();
        Ok(findings)
    }

    fn conclusion(&self, status: Status, findings: &[Finding]) -> String {
        let recomputed = findings.iter().any(|finding| finding.verdict == Verdict::Recomputed);
        let unchecked = findings.iter().any(|finding| matches!(finding.verdict, Verdict::Unchecked(_)));
        match status {
            Status::Failed => "NOT VERIFIED: a claim is false\n",
            Status::Unchecked if findings.iter().any(|finding| finding.verdict == Verdict::Asserted) => {
                "NOT VERIFIED: only its author vouches for the bound of a layer\n"
            }
            Status::Unchecked if self.data.is_given() => "NOT VERIFIED: not everything could be checked\n",
            Status::Unchecked => {
                "NOT VERIFIED: what is claimed about samples was not checked; give --data, or --lipschitz-only to leave \
                 it out\n"
            }
            Status::Done if unchecked => {
                "every claim about the network is proved; those about samples were NOT checked, as asked \
                 (--lipschitz-only)\n"
            }
            Status::Done if recomputed => "every claim about the network is proved, every claim about samples recomputed\n",
            Status::Done => "every claim is proved\n",
        }
        .into()
    }
}

fn is_failed(finding: &Finding) -> bool {
    matches!(finding.verdict, Verdict::Failed(_))
}

fn status(findings: &[&Finding]) -> Status {
    let holds = |finding: &&&Finding| matches!(finding.verdict, Verdict::Proved | Verdict::Recomputed);
    if findings.iter().any(|finding| is_failed(finding)) {
        Status::Failed
    } else if findings.iter().all(|finding| holds(&finding)) {
        Status::Done
    } else {
        Status::Unchecked
    }
}

/// Returns the accuracies that were verified.
fn table(claimed: &ClaimedSamples) -> String {
    let Some(clean) = claimed.clean_accuracy else { return String::new() };
    let range = claimed.within.range.map_or(String::new(), |[low, high]| format!(" of inputs in [{low}, {high}]"));
    let title = vec![format!("{} distance ε{range}", input::norm(claimed.within.norm)), "certified accuracy".into()];
    let certified = claimed.certified_accuracy.iter().map(|claim| vec![claim.eps.to_string(), percent(claim.accuracy)]);
    columns(&[title, vec!["0 (clean)".into(), percent(clean)]].into_iter().chain(certified).collect::<Vec<_>>())
}

fn words(verdict: &Verdict) -> (&'static str, &'static str, Option<&str>) {
    match verdict {
        Verdict::Proved => ("proved", "proved", None),
        Verdict::Recomputed => ("recomputed", "recomputed", None),
        Verdict::Asserted => ("asserted", "NOT PROVED", Some("only its author vouches for it")),
        Verdict::Unchecked(reason) => ("unchecked", "not checked", Some(reason)),
        Verdict::Failed(reason) => ("failed", "FAILED", Some(reason)),
    }
}

fn line(finding: &Finding) -> String {
    let (_, word, reason) = words(&finding.verdict);
    let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
    let text = format!("{word:11} {}: {}{reason}", finding.part, finding.claim);
    // Whatever a file has put into it.
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).chain(['\n']).collect()
}

fn value(finding: &Finding) -> serde_json::Value {
    let (verdict, _, reason) = words(&finding.verdict);
    json!({"part": finding.part, "claim": finding.claim, "verdict": verdict, "reason": reason})
}
