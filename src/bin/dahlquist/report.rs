//! What `dahlquist certify` reports: text, JSON and CSV.

use dahlquist::{
    Semantics,
    certificate::{Certificate, ClaimedSamples, KERNELS, Perturbation, Rule},
    certify::{Refusal, SealOptions},
    model::Map,
    rigor::{Summation, Upper},
};
use serde_json::{Value, json};

use super::{
    input::{self, Eps},
    output::{columns, percent},
};

/// What was certified.
pub(super) struct Report<'a> {
    pub(super) map: &'a Map,
    pub(super) features: Upper,
    pub(super) options: SealOptions,
    pub(super) certificate: &'a Certificate,
    pub(super) scalar: &'static str,
    pub(super) samples: Option<&'a Samples>,
}

/// What was certified about samples.
pub(super) struct Samples {
    pub(super) claimed: ClaimedSamples,
    /// Why a sample has no radius.
    pub(super) refusals: Vec<Option<Refusal>>,
    pub(super) eps: Vec<Eps>,
}

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let SealOptions { summation, norm_proof } = self.options;
        let layer = |(map, proof): (&Map, &Certificate)| {
            json!({
                "path": proof.path(), "kind": map.kind(), "rule": rule(map, proof), "bound": proof.bound(),
                "averaged": proof.claims().averaged,
            })
        };
        let run = |proof: &&Certificate| json!({"path": proof.path(), "span": proof.span(), "rule": proof.rule(), "bound": proof.bound()});
        let mut value = json!({
            "program": concat!("dahlquist ", env!("CARGO_PKG_VERSION")), "kernels": KERNELS, "norm": "l2",
            "scalar": self.scalar, "summation": summation, "norm_proof": norm_proof,
            "proved": self.certificate.is_proved(), "lipschitz": self.certificate.bound(), "features": self.features,
            "layers": self.layers().map(layer).collect::<Vec<_>>(),
            "runs": self.runs().iter().map(run).collect::<Vec<_>>(),
        });
        if let Some(Samples { claimed, refusals, .. }) = self.samples {
            let sample = |(s, refusal): (usize, &Option<Refusal>)| {
                json!({
                    "prediction": claimed.predictions[s], "label": label(claimed, s), "radius": claimed.radii[s],
                    "refusal": refusal,
                })
            };
            value["semantics"] = json!(claimed.semantics);
            value["local"] = json!(claimed.local);
            value["within"] = json!({"norm": claimed.within.norm, "range": claimed.within.range});
            value["samples"] = refusals.iter().enumerate().map(sample).collect();
            value["clean_accuracy"] = json!(claimed.clean_accuracy);
            value["certified_accuracy"] = json!(claimed.certified_accuracy);
        }
        value
    }

    pub(super) fn text(&self) -> String {
        let (lipschitz, features) = (self.certificate.bound(), self.features);
        let title = ["", "kind", "rule", "bound"].map(String::from).to_vec();
        let row = |(map, proof): (&Map, &Certificate)| {
            vec![proof.path().into(), map.kind().into(), rule(map, proof).to_string(), proof.bound().to_string()]
        };
        let run = |proof: &&Certificate| {
            let layers = format!("{} layers from {}", proof.span(), proof.path());
            vec![layers, "together".into(), proof.rule().to_string(), proof.bound().to_string()]
        };
        let runs = self.runs();
        let rows = self.layers().map(row).chain(runs.iter().map(run));
        let mut text = columns(&std::iter::once(title).chain(rows).collect::<Vec<_>>());
        text += &format!(
            "ℓ2 Lipschitz constant of the network {lipschitz}, of its features {features} (over the real numbers)\n"
        );
        if !self.certificate.is_proved() {
            text += "NOT PROVED: the bound of a layer is only asserted\n";
        }
        if let Some(samples) = self.samples {
            text += &samples.text(self.scalar, self.options.summation);
        }
        text
    }
}

impl Report<'_> {
    /// Returns each layer with what is proved about it.
    fn layers(&self) -> impl Iterator<Item = (&Map, &Certificate)> {
        self.map.layers().iter().zip(self.certificate.layers())
    }

    /// Returns the layers in a row that are proved as one map.
    fn runs(&self) -> Vec<&Certificate> {
        self.certificate.runs()
    }
}

/// Returns the rule that a claim about a layer rests on: for a flow that of its steps, if there is one rule for all of
/// them.
pub(super) fn rule(map: &Map, proof: &Certificate) -> Rule {
    match (map, proof.premises()) {
        (Map::Flow(_), [step, rest @ ..]) if rest.iter().all(|other| other.rule() == step.rule()) => step.rule(),
        _ => proof.rule(),
    }
}

impl Samples {
    fn text(&self, scalar: &str, summation: Summation) -> String {
        let meaning = match self.claimed.semantics {
            Semantics::Exact => "exact".to_string(),
            Semantics::Executed => format!("executed in {scalar}, {}", input::order(summation)),
        };
        let refused = self.refusals.iter().filter(|refusal| refusal.is_some()).count();
        let mut text = format!("{} samples, {meaning}; {refused} without a radius\n", self.refusals.len());
        let Perturbation { norm, range } = self.claimed.within;
        let range = range.map_or(String::new(), |[low, high]| format!(", of inputs in [{low}, {high}] alone"));
        text += &format!("radii and ε are {} distances in units of the input{range}\n", input::norm(norm));
        let accuracies = self.eps.iter().zip(&self.claimed.certified_accuracy);
        let certified = accuracies.map(|(eps, claim)| vec![format!("certified at ε = {eps}"), percent(claim.accuracy)]);
        let Some(clean) = self.claimed.clean_accuracy else {
            return text + "no labels, so there is no accuracy\n";
        };
        let clean = vec!["clean accuracy".into(), percent(clean)];
        text + &columns(&std::iter::once(clean).chain(certified).collect::<Vec<_>>())
    }

    /// Returns one line for each sample, in order.
    pub(super) fn csv(&self) -> String {
        let mut text = String::from("sample,label,prediction,radius,refusal\n");
        for (s, refusal) in self.refusals.iter().enumerate() {
            let refusal = json!(refusal);
            let (prediction, radius) = (self.claimed.predictions[s], self.claimed.radii[s]);
            let text_of = |class: Option<usize>| class.map_or(String::new(), |class| class.to_string());
            let (label, prediction) = (text_of(label(&self.claimed, s)), text_of(prediction));
            text += &format!("{s},{label},{prediction},{radius},{}\n", refusal.as_str().unwrap_or_default());
        }
        text
    }

    /// Returns the certified accuracy as a step function: it has each value below the distance beside it, from the
    /// distance before.
    pub(super) fn curve(&self) -> Vec<(f64, f64)> {
        let ClaimedSamples { predictions, radii, .. } = &self.claimed;
        let correct = (0..radii.len()).filter(|&s| radii[s] > 0.0 && label(&self.claimed, s) == predictions[s]);
        let mut ends: Vec<f64> = correct.map(|s| radii[s]).collect();
        ends.sort_by(f64::total_cmp);
        let (count, all) = (ends.len(), radii.len() as f64);
        ends.into_iter().enumerate().map(|(i, end)| (end, (count - i) as f64 / all)).collect()
    }

    /// Returns the accuracies at 0 and at each `ε`.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        let clean = self.claimed.clean_accuracy.map(|accuracy| (0.0, accuracy));
        let certified = self.claimed.certified_accuracy.iter().map(|claim| (claim.eps, claim.accuracy));
        clean.into_iter().chain(certified).collect()
    }
}

fn label(claimed: &ClaimedSamples, s: usize) -> Option<usize> {
    claimed.labels.as_ref().and_then(|labels| labels.get(s)).copied()
}
