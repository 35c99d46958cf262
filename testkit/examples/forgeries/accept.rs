//! Whether a forgery is accepted: if `dahlquist check CERTIFICATE MODEL --data SAMPLES` would end with status 0.

use dahlquist::{
    Network,
    certificate::{ClaimedSamples, file::CertificateFile},
    certify::{SealOptions, check_samples},
    check::{Finding, Verdict, Verified, check},
    data::Dataset,
    model::Model,
    network::AnyNetwork,
    scalar::Scalar,
};

use crate::subject::Samples;

/// An accepted certificate, and what it was accepted for.
pub struct Accepted {
    pub claimed: CertificateFile,
    pub model: Model,
    pub data: Dataset,
}

/// What the program would accept: every finding is a proof, or recomputed.
pub fn accepts(certificate: &[u8], model: &[u8], samples: &Samples) -> Option<Accepted> {
    let claimed = CertificateFile::parse(certificate).ok()?;
    let model = Model::parse(model).ok()?;
    let network = model.network().ok()?;
    let report = check(&claimed, &model);
    let mut findings = report.findings;
    let data = samples.dataset().ok()?;
    if let Some(claims) = &claimed.samples {
        let verified = report.verified.as_ref()?;
        findings.retain(|finding| finding.part != "samples");
        findings.extend(match network {
            AnyNetwork::F32(network) => recomputed(network, verified, &claimed, claims, &data),
            AnyNetwork::F64(network) => recomputed(network, verified, &claimed, claims, &data),
        }?);
    }
    let holds = |finding: &Finding| matches!(finding.verdict, Verdict::Proved | Verdict::Recomputed);
    findings.iter().all(holds).then_some(Accepted { claimed, model, data })
}

fn recomputed<T: Scalar>(
    network: Network<T>,
    verified: &Verified,
    claimed: &CertificateFile,
    claims: &ClaimedSamples,
    data: &Dataset,
) -> Option<Vec<Finding>> {
    // The program refuses samples of another shape, and labels that are no classes.
    let classes = network.output().len();
    if data.shape() != network.input() || data.labels().iter().any(|&label| label >= classes) {
        return None;
    }
    let options = SealOptions { summation: claimed.summation, norm_proof: claimed.norm_proof };
    let sealed = network.seal_by(verified, options).ok()?;
    check_samples(claims, &sealed, data, &|_| {}).ok()
}
