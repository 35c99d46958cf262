//! Claims about samples in a certificate: none that is false, or contradicts itself, is accepted.

use dahlquist::{
    Network, Semantics,
    certificate::{ClaimedSamples, KERNELS, file::CertificateFile},
    certify::{SealOptions, check_samples},
    check::{Finding, Verdict, check},
    data::Dataset,
    model::Model,
    rigor::Summation,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{dense_stack, every_layer, model_bytes};
use serde_json::{Value, json};

use crate::forgery::{issued, parse, places};

/// A model, its samples, and how it is sealed.
struct Subject {
    model: Model,
    data: Dataset,
    options: SealOptions,
    eps: [f64; 3],
}

fn dataset(shape: Shape, count: usize, classes: usize, step: usize) -> Dataset {
    let pixel = |i: usize| ((i * step) % 101) as f32 / 101.0;
    let x = Batch::new(shape, (0..shape.len() * count).map(pixel).collect()).unwrap();
    let labels = (0..count).map(|i| i % classes).collect();
    Dataset::from_samples(&x, labels, (0..classes).map(|c| c.to_string()).collect()).unwrap()
}

impl Subject {
    fn new(network: &Network<f32>, data: Dataset, summation: Summation, eps: [f64; 3]) -> Self {
        let model = Model::parse(&model_bytes(network)).unwrap();
        Self { model, data, options: SealOptions { summation, ..SealOptions::default() }, eps }
    }

    fn network(&self) -> Network<f32> {
        match self.model.network().unwrap() {
            dahlquist::network::AnyNetwork::F32(network) => network,
            dahlquist::network::AnyNetwork::F64(_) => panic!("it was f32"),
        }
    }

    /// What is certified, to the last bit of an `f64`.
    fn radii(&self, semantics: Semantics, local: bool) -> Vec<f64> {
        let sealed = self.network().seal_with(self.options).unwrap();
        let certified = sealed.certify_dataset(&self.data, (semantics, local), &|_| {}).unwrap();
        certified.iter().map(|claim| claim.radius.get()).collect()
    }

    fn issue(&self, semantics: Semantics, local: bool) -> CertificateFile {
        let sealed = self.network().seal_with(self.options).unwrap();
        let certified = sealed.certify_dataset(&self.data, (semantics, local), &|_| {}).unwrap();
        let SealOptions { norm_proof, summation } = self.options;
        let mut claimed = CertificateFile::new(sealed.certificate(), &self.model, norm_proof, summation);
        let (hash, labels) = (self.data.sha256().unwrap(), self.data.labels());
        claimed.samples = Some(ClaimedSamples::new(hash, (semantics, local), &certified, labels, &self.eps).unwrap());
        claimed
    }

    /// Everything that the checker finds: the network first, then the samples.
    fn findings(&self, claimed: &CertificateFile) -> Vec<Finding> {
        let report = check(claimed, &self.model);
        let mut findings: Vec<Finding> = report.findings;
        if let (Some(verified), Some(samples)) = (&report.verified, &claimed.samples) {
            let options = SealOptions { summation: claimed.summation, norm_proof: claimed.norm_proof };
            let sealed = self.network().seal_by(verified, options).unwrap();
            findings.retain(|finding| finding.part != "samples");
            findings.extend(check_samples(samples, &sealed, &self.data, &|_| {}).unwrap());
        }
        findings
    }

    fn accepts(&self, claimed: &CertificateFile) -> bool {
        self.findings(claimed).iter().all(|f| matches!(f.verdict, Verdict::Proved | Verdict::Recomputed))
    }
}

fn stack(summation: Summation) -> Subject {
    Subject::new(&dense_stack(), dataset(Shape::Features(2), 20, 3, 37), summation, [0.0, 0.01, 0.25])
}

fn images(summation: Summation) -> Subject {
    Subject::new(&every_layer(), dataset(Shape::image(2, 8, 8), 12, 4, 37), summation, [0.0, 1e-4, 0.5])
}

#[test]
fn what_was_issued_is_recomputed_and_never_called_proved() {
    for subject in [stack(Summation::Any), stack(Summation::Declared), images(Summation::Any)] {
        for semantics in [Semantics::Exact, Semantics::Executed] {
            let claimed = subject.issue(semantics, false);
            let written = parse(&issued(&claimed)).unwrap();
            assert_eq!(written, claimed);
            assert!(written.samples.as_ref().unwrap().radii.iter().any(|radius| *radius > 0.0));
            let findings = subject.findings(&written);
            for finding in &findings {
                let samples = ["predictions", "radii", "clean accuracy"].contains(&&*finding.part)
                    || finding.part.starts_with("certified accuracy");
                assert_eq!(finding.verdict, if samples { Verdict::Recomputed } else { Verdict::Proved }, "{finding:?}");
            }
            assert_eq!(findings.iter().filter(|f| f.verdict == Verdict::Recomputed).count(), 6);
            // Without the samples nothing is said about them, but the network is verified.
            let report = check(&written, &subject.model);
            assert!(report.verified.is_some());
            assert!(matches!(&report.findings.last().unwrap().verdict, Verdict::Unchecked(_)));
        }
    }
}

/// How far beyond a local radius one may be proved: the search for the largest ends there, and a checker tries what is claimed.
const SETTLED: f64 = 1.005;

/// Whether a change of what is claimed leaves it true, because it claims no more than is proved.
fn claims_less((truth, radii): (&CertificateFile, &[f64]), changed: &CertificateFile) -> bool {
    let (Some(a), Some(b)) = (&truth.samples, &changed.samples) else { return changed.samples.is_none() };
    let exact_is_weaker = a.semantics == b.semantics || b.semantics == Semantics::Exact;
    let same_labels = b.labels.is_none() || a.labels == b.labels;
    let same_accuracies = b.clean_accuracy.is_none_or(|c| Some(c) == a.clean_accuracy);
    a.sha256 == b.sha256
        && exact_is_weaker
        && (b.local || !a.local)
        && same_labels
        && same_accuracies
        && a.predictions == b.predictions
        && a.radii.len() == b.radii.len()
        && radii.iter().zip(&b.radii).all(|(truth, claimed)| *claimed <= if b.local { SETTLED * truth } else { *truth })
}

/// Changes every place of the claims about samples in every way.
#[test]
fn no_changed_claim_about_samples_is_accepted_unless_it_claims_less() {
    for (subject, local) in [(stack(Summation::Any), false), (stack(Summation::Declared), true)] {
        for semantics in [Semantics::Exact, Semantics::Executed] {
            let (truth, radii) = (subject.issue(semantics, local), subject.radii(semantics, local));
            // The network is the same: it is enough to check what is claimed about the samples.
            let sealed = subject.network().seal_with(subject.options).unwrap();
            let holds = |claimed: &CertificateFile| {
                let findings =
                    claimed.samples.as_ref().map(|s| check_samples(s, &sealed, &subject.data, &|_| {}).unwrap());
                let holds = |f: &Finding| matches!(f.verdict, Verdict::Proved | Verdict::Recomputed);
                findings.is_none_or(|findings| findings.iter().all(holds))
            };
            let original = issued(&truth);
            let mut all = Vec::new();
            places(&original["samples"], "/samples", &mut all);
            let [mut refused, mut weaker] = [0; 2];
            for place in &all {
                let mut others = crate::forgery::changes(original.pointer(place).unwrap());
                others.extend([json!(1e6), json!(7), json!("exact"), json!("executed")]);
                for other in others {
                    let mut changed = original.clone();
                    if other == *original.pointer(place).unwrap() {
                        continue;
                    }
                    *changed.pointer_mut(place).unwrap() = other.clone();
                    match parse(&changed) {
                        Ok(claimed) if holds(&claimed) => {
                            assert!(claims_less((&truth, &radii), &claimed), "{place} changed to {other}");
                            weaker += 1;
                        }
                        _ => refused += 1,
                    }
                }
            }
            assert!(refused > 1000 && weaker < refused / 5, "{refused} {weaker}");
        }
    }
}

/// The forgeries by which a table was once "verified".
#[test]
fn forgeries_are_refused_with_the_samples() {
    for (subject, local) in
        [(stack(Summation::Any), false), (images(Summation::Any), false), (stack(Summation::Any), true)]
    {
        let truth = issued(&subject.issue(Semantics::Executed, local));
        let exact = issued(&subject.issue(Semantics::Exact, local));
        assert!(subject.accepts(&parse(&truth).unwrap()));
        let count = truth["samples"]["radii"].as_array().unwrap().len();
        let forge = |what: &str, forgery: &mut dyn FnMut(&mut Value)| {
            let mut forged = truth.clone();
            forgery(&mut forged);
            assert!(!parse(&forged).is_ok_and(|claimed| subject.accepts(&claimed)), "{what}");
        };
        // Without labels, so that no accuracy gives it away.
        let bare = |forged: &mut Value| {
            let samples = forged["samples"].as_object_mut().unwrap();
            samples.retain(|key, _| !["labels", "clean_accuracy", "certified_accuracy"].contains(&&**key));
        };
        forge("all radii a million", &mut |forged| {
            bare(forged);
            forged["samples"]["radii"] = json!(vec![1e6; count]);
        });
        forge("another prediction", &mut |forged| {
            bare(forged);
            let prediction = &mut forged["samples"]["predictions"][1];
            *prediction = json!(u64::from(*prediction == json!(0)));
        });
        forge("exact radii for the program", &mut |forged| {
            *forged = exact.clone();
            bare(forged);
            forged["samples"]["semantics"] = json!("executed");
        });
        if local {
            forge("local radii that are said not to be", &mut |forged| {
                bare(forged);
                forged["samples"].as_object_mut().unwrap().remove("local");
            });
        }
        forge("radii of 8,000 samples", &mut |forged| forged["samples"]["radii"] = json!(vec![0.0; 8000]));
        forge("one radius, one ulp of f32 too large, or more than one that is sought", &mut |forged| {
            bare(forged);
            let radii = forged["samples"]["radii"].as_array_mut().unwrap();
            let radius = radii.iter_mut().find(|radius| radius.as_f64() > Some(0.0)).unwrap();
            let most = if local { SETTLED } else { 1.0 } * radius.as_f64().unwrap();
            *radius = json!(f64::from((most as f32).next_up()));
        });
        forge("another label", &mut |forged| {
            let samples = &mut forged["samples"];
            let label = samples["labels"][0].as_u64().unwrap();
            samples["labels"][0] = json!(u64::from(label == 0));
        });
    }
}

/// A declared order has smaller rounding errors and larger radii, which do not hold for any order.
#[test]
fn radii_for_a_declared_order_are_no_radii_for_any() {
    let weight: Vec<f32> = (0..800).map(|i| ((i * 37 % 101) as f32 - 50.0) / 97.0).collect();
    let network = dahlquist_testkit::models::dense_f32(2, 400, weight);
    let subject =
        |summation| Subject::new(&network, dataset(Shape::Features(400), 12, 2, 37), summation, [0.0, 0.01, 0.25]);
    let issue = |subject: &Subject| issued(&subject.issue(Semantics::Executed, false));
    let (any, declared) = (subject(Summation::Any), subject(Summation::Declared));
    let mut forged = issue(&declared);
    assert!(declared.accepts(&parse(&forged).unwrap()));
    assert_ne!(forged["samples"]["radii"], issue(&any)["samples"]["radii"]);
    forged["summation"] = json!("any");
    assert!(!declared.accepts(&parse(&forged).unwrap()));
    // What holds for any order holds for the declared one.
    let mut weaker = issue(&any);
    weaker["summation"] = json!("declared");
    assert!(any.accepts(&parse(&weaker).unwrap()));
}

/// What contradicts itself is seen without the samples.
#[test]
fn contradictions_are_refused_without_the_samples() {
    let subject = stack(Summation::Any);
    let truth = issued(&subject.issue(Semantics::Executed, false));
    let refused = |what: &str, words: &str, place: &str, value: Value| {
        let mut changed = truth.clone();
        *changed.pointer_mut(&format!("/samples{place}")).unwrap() = value;
        let report = check(&parse(&changed).unwrap(), &subject.model);
        let verdict = &report.findings.last().unwrap().verdict;
        assert!(matches!(verdict, Verdict::Failed(reason) if reason.contains(words)), "{what}: {verdict:?}");
        assert!(report.failed() && report.verified.is_none());
    };
    refused("too many radii", "20 predictions, 8000 radii", "/radii", json!(vec![0.5; 8000]));
    refused("too few labels", "20 labels", "/predictions", json!([0]));
    refused("no samples", "0 predictions", "/predictions", json!([]));
    refused("a negative radius", "radius", "/radii/3", json!(-1e-9));
    refused("a radius without a prediction", "and no prediction", "/predictions", json!(vec![Value::Null; 20]));
    refused("a prediction out of range", "there are 3 classes", "/predictions/0", json!(3));
    refused("a label out of range", "there are 3 classes", "/labels/19", json!(3));
    refused("an accuracy", "clean accuracy", "/clean_accuracy", json!(1.0));
    refused("a certified accuracy", "certified accuracy", "/certified_accuracy/1/accuracy", json!(0.999));
    refused("a distance", "distance", "/certified_accuracy/1/eps", json!(-1.0));
    refused("accuracies of nobody's labels", "without labels", "/labels", Value::Null);
    refused("radii for other accuracies", "accuracy", "/radii", json!(vec![1e6; 20]));
    let mut changed = truth.clone();
    changed["samples"]["clean_accuracy"] = json!(Value::Null);
    changed["samples"]["extra"] = json!(1);
    assert!(parse(&changed).is_err(), "an unknown key");
}

/// A declared order is the order of the kernels that declare it.
#[test]
fn a_declared_order_of_other_kernels_is_refused() {
    for (summation, accepted) in [(Summation::Any, true), (Summation::Declared, false)] {
        let subject = stack(summation);
        let truth = subject.issue(Semantics::Executed, false);
        assert_eq!((truth.kernels, &*truth.program), (KERNELS, concat!("dahlquist ", env!("CARGO_PKG_VERSION"))));
        let mut other = truth.clone();
        other.kernels += 1;
        let report = check(&other, &subject.model);
        assert_eq!(report.verified.is_some(), accepted);
        let finding = report.findings.iter().find(|finding| finding.part == "kernels").unwrap();
        assert_eq!(finding.verdict == Verdict::Proved, accepted);
        if let Verdict::Failed(reason) = &finding.verdict {
            assert!(reason.contains("version 2; this program has version 1"), "{reason}");
        }
    }
}

/// Other samples are noticed before anything is computed from them.
#[test]
fn other_samples_are_refused() {
    let subject = stack(Summation::Any);
    let claimed = subject.issue(Semantics::Executed, false);
    let other = Subject { data: dataset(Shape::Features(2), 20, 3, 38), ..stack(Summation::Any) };
    let findings = other.findings(&claimed);
    let last = findings.last().unwrap();
    assert!(matches!(&last.verdict, Verdict::Failed(reason) if reason.contains("SHA-256")), "{last:?}");
    // The hash is written in digits, not as a list of numbers.
    assert!(!format!("{last:?}").contains('['), "{last:?}");
}
