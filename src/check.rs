//! The checker: every claim of a certificate proved again from the numbers of the model.
//!
//! It is one fold over two trees, the network and its claimed proof. At each node the leaves are proved again and the
//! rules are applied once more, to the *claimed* numbers of the nodes below; a claim is accepted if it says no more than
//! what follows. So a certificate that was issued elsewhere is accepted, and a changed number is refused or leaves the
//! claim true. Nothing that a file says is taken for granted.
//!
//! What the verdict rests on: this file, [`crate::rules`], [`crate::certificate`], [`crate::model`], [`crate::rigor`],
//! [`crate::tableau`] and [`crate::activation`].

use rayon::prelude::*;

use crate::{
    certificate::{Certificate, Claimed, ClaimedSamples, Claims, KERNELS, Rule, file::CertificateFile},
    error::{Error, Result},
    io::Digest,
    model::{Map, Model},
    rigor::{Lower, Summation, Upper, environment},
    rules::{self, Part},
    tensor::Shape,
};

/// What became of one claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is proved.
    Proved,
    /// The code that issues certificates computes the same once more: less than a proof, since a fault of that code would
    /// be repeated.
    Recomputed,
    /// Only its author vouches for it.
    Asserted,
    /// It was not looked at, for this reason.
    Unchecked(String),
    /// It is not proved, for this reason.
    Failed(String),
}

/// One claim and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The part of the certificate that makes the claim.
    pub part: String,
    /// The claim in words.
    pub claim: String,
    /// What became of it.
    pub verdict: Verdict,
}

/// Every claim of a certificate with what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// One line for each claim.
    pub findings: Vec<Finding>,
    /// The claims about the network, if all of them are proved and no other is seen to be false. Claims about samples are
    /// not among them: [`crate::certify::check_samples`].
    pub verified: Option<Verified>,
}

/// Claims about a model that this checker has proved. Nothing else makes one.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    certificate: Certificate,
    input: Shape,
    map: Map,
    model: Digest,
}

impl Verified {
    /// Returns the claims.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Returns the shape of the input that they are for.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Returns what they are about.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Returns the SHA-256 of the model that they are about.
    pub fn model(&self) -> Digest {
        self.model
    }
}

impl Report {
    /// Returns whether a claim failed.
    pub fn failed(&self) -> bool {
        self.findings.iter().any(|f| matches!(f.verdict, Verdict::Failed(_)))
    }

    fn add(&mut self, part: &str, claim: impl Into<String>, outcome: Result<()>) {
        self.findings.push(Finding { part: part.into(), claim: claim.into(), verdict: verdict(outcome) });
    }
}

fn verdict(outcome: Result<()>) -> Verdict {
    match outcome {
        Ok(()) => Verdict::Proved,
        // Whoever computes wrongly knows nothing about the claim.
        Err(error @ Error::Environment { .. }) => Verdict::Unchecked(error.to_string()),
        Err(error) => Verdict::Failed(error.to_string()),
    }
}

/// Checks every claim of a certificate about a model; the radii of samples are not among them.
///
/// On a thread that does not compute as proofs assume ([`environment`]) nothing is proved and nothing fails: what would be
/// proved there is [`Verdict::Unchecked`].
///
/// ```no_run
/// use dahlquist::{certificate::file::CertificateFile, check::check, model::file::Model};
/// let report = check(&CertificateFile::read("certificate.json")?, &Model::read("model.safetensors")?);
/// let verified = report.verified.expect("every claim is proved");
/// println!("‖f(x) − f(x')‖ ≤ {} ‖x − x'‖", verified.certificate().bound());
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub fn check(claimed: &CertificateFile, model: &Model) -> Report {
    let mut report = Report { findings: Vec::new(), verified: None };
    if let Err(error) = environment::check().and_then(|()| environment::check_products()) {
        report.add("arithmetic", "what every proof assumes", Err(error));
    }
    let hash = model.sha256();
    report.add("model", format!("SHA-256 {}", claimed.model), same("the model file has SHA-256", claimed.model, hash));
    let scalar = same("the tensors of the model are", claimed.scalar.as_str(), model.scalar());
    report.add("scalar", format!("weights in {}", claimed.scalar), scalar);
    report.add("kernels", order(claimed), of_these_kernels(claimed));
    let input = same("the model has shape", claimed.input, model.input());
    report.add("input", format!("shape {}", claimed.input), input);
    let map = match settled(model) {
        Ok(map) => map,
        Err(error) => {
            report.add("network", "its numbers of steps", Err(error));
            return report;
        }
    };
    report.findings.extend(fold(&Part::root(&map, model.input()), &claimed.network));

    // The tree as bounds: what is said about it holds only if every finding is a proof.
    let certificate: Certificate =
        claimed.network.with(&|claims: Claims<f64, f64>| claims.map(Upper::proved, Lower::proved));
    let bounds = [
        ("network", claimed.lipschitz, certificate.bound()),
        ("features", claimed.features, crate::certificate::file::features(&certificate, &map)),
    ];
    for (part, bound, proved) in bounds {
        let outcome = at_least("the proof says", bound, proved.get());
        report.add(part, format!("Lipschitz constant {bound}"), outcome);
    }
    let proved = report.findings.iter().all(|f| f.verdict == Verdict::Proved);
    if let Some(samples) = &claimed.samples {
        report.findings.push(unchecked(samples, model));
    }
    if proved && !report.failed() {
        let input = model.input();
        report.verified = Some(Verified { certificate, input, map, model: hash });
    }
    report
}

/// Returns the network that the model means, every number of steps chosen. Whatever is chosen, claims are proved for
/// it.
fn settled(model: &Model) -> Result<crate::model::Map> {
    let prover = rules::Prover::default();
    match model.scalar() {
        "f32" => prover.settled::<f32>(model.map(), model.input()),
        _ => prover.settled::<f64>(model.map(), model.input()),
    }
}

/// Returns what can be said about the claims about samples without them.
fn unchecked(claimed: &ClaimedSamples, model: &Model) -> Finding {
    let claim = format!("predictions and radii of {} samples", claimed.predictions.len());
    let valid = model.map().output(model.input()).and_then(|output| claimed.validate(output.len()));
    let verdict = match valid {
        Err(reason) => Verdict::Failed(reason.to_string()),
        Ok(()) => Verdict::Unchecked("it takes the samples to recompute them".into()),
    };
    Finding { part: "samples".into(), claim, verdict }
}

/// A declared order of summation is one of the kernels that declared it; any order is one of all.
fn of_these_kernels(claimed: &CertificateFile) -> Result<()> {
    let known = claimed.summation == Summation::Any || claimed.kernels == KERNELS;
    let (theirs, ours) = (claimed.kernels, KERNELS);
    require(known, &format!("the declared order is that of version {theirs}; this program has version {ours}"))
}

/// Returns the order of summation in words.
fn order(claimed: &CertificateFile) -> String {
    match claimed.summation {
        Summation::Any => "sums in any order".into(),
        Summation::Declared => format!("sums in the order that kernels of version {} declare", claimed.kernels),
    }
}

/// Returns the claims of a part and of those below it.
fn fold(part: &Part<'_>, proof: &Claimed) -> Vec<Finding> {
    let claims = proof.claims();
    let place = if part.path.is_empty() { "the whole".to_string() } else { format!("layer {}", part.path) };
    let claim = format!("{}, {}: {}", part.subject, proof.rule(), words(&claims));
    let own = |verdict| Finding { part: place.clone(), claim: claim.clone(), verdict };
    let placed = same("its place is", proof.path(), &part.path)
        .and_then(|()| same("the number of its maps is", proof.span(), part.subject.span()));
    let below = match placed.and_then(|()| part.premises(proof)) {
        Ok(below) => below,
        Err(error) => return vec![own(Verdict::Failed(error.to_string()))],
    };
    let mut findings = if proof.rule() == Rule::Asserted {
        let outcome = at_least("a Lipschitz bound is at least", claims.bound, 0.0).and_then(|()| bare(&claims));
        vec![own(outcome.map_or_else(|e| Verdict::Failed(e.to_string()), |()| Verdict::Asserted))]
    } else {
        let premises: Vec<Claims<f64, f64>> = proof.premises().iter().map(|premise| premise.claims()).collect();
        // On this very thread: nodes are spread over the workers of a pool.
        let derived = environment::check().and_then(|()| rules::derive(part, proof, &premises));
        let outcome = derived.and_then(|derived| follows(&claims, &derived));
        vec![own(verdict(outcome))]
    };
    let rest: Vec<Vec<Finding>> =
        below.par_iter().zip(proof.premises()).map(|(part, premise)| fold(part, premise)).collect();
    findings.extend(rest.into_iter().flatten());
    findings
}

/// Whether what is claimed says no more than what is derived.
fn follows(claimed: &Claims<f64, f64>, derived: &Claims) -> Result<()> {
    at_least("the bound that is proved is", claimed.bound, derived.bound.get())?;
    upper("averaged", claimed.averaged, derived.averaged)?;
    if claimed.averaged.is_some_and(|alpha| alpha >= 1.0) {
        return Err(Error::format("an averaged map has a constant below 1"));
    }
    upper("one-sided Lipschitz", claimed.one_sided_lipschitz, derived.one_sided_lipschitz)?;
    lower("the inverse", claimed.inverse, derived.inverse)?;
    lower("the cocoercivity", claimed.cocoercivity, derived.cocoercivity)?;
    lower("the strong convexity", claimed.strong_convexity, derived.strong_convexity)?;
    let Some(own) = claimed.own_norm else { return Ok(()) };
    let none = || Error::format("no rule proves anything in a norm of its own here");
    let proved = derived.own_norm.ok_or_else(none)?;
    at_least("the condition of its own norm is proved to be", own.condition, proved.condition.get())?;
    at_least("in its own norm the bound that is proved is", own.bound, proved.bound.get())?;
    lower("the strong convexity in its own norm", own.strong_convexity, proved.strong_convexity)
}

/// Whether nothing but a Lipschitz bound is claimed.
fn bare(claims: &Claims<f64, f64>) -> Result<()> {
    let only = *claims == Claims::lipschitz(claims.bound);
    if only { Ok(()) } else { Err(Error::format("only a Lipschitz bound can be asserted")) }
}

fn upper(what: &str, claimed: Option<f64>, derived: Option<Upper>) -> Result<()> {
    match (claimed, derived) {
        (None, _) => Ok(()),
        (Some(claimed), Some(derived)) => {
            at_least(&format!("what is proved of the constant «{what}» is"), claimed, derived.get())
        }
        (Some(_), None) => Err(Error::format(format!("no rule proves the constant «{what}» here"))),
    }
}

fn lower(what: &str, claimed: Option<f64>, derived: Option<Lower>) -> Result<()> {
    match (claimed, derived) {
        (None, _) => Ok(()),
        (Some(claimed), Some(derived)) if claimed <= derived.get() => Ok(()),
        (Some(claimed), Some(derived)) => {
            Err(Error::format(format!("{what} is proved to be {derived}, which is less than the claimed {claimed}")))
        }
        (Some(_), None) => Err(Error::format(format!("no rule proves {what} here"))),
    }
}

/// An upper bound is accepted if it is not below one that is proved here. A NaN is below everything.
fn at_least(truth: &str, claimed: f64, proved: f64) -> Result<()> {
    if claimed >= proved {
        return Ok(());
    }
    Err(Error::format(format!("{truth} {proved}, which is more than the claimed {claimed}")))
}

pub(crate) fn require(holds: bool, otherwise: &str) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::format(otherwise)) }
}

pub(crate) fn same<T: PartialEq + std::fmt::Display>(truth: &str, claimed: T, found: T) -> Result<()> {
    if claimed == found { Ok(()) } else { Err(Error::format(format!("{truth} {found}, not {claimed}"))) }
}

/// Returns the claims in words.
fn words(claims: &Claims<f64, f64>) -> String {
    let named = [
        ("averaged", claims.averaged),
        ("inverse", claims.inverse),
        ("one-sided Lipschitz", claims.one_sided_lipschitz),
        ("cocoercivity", claims.cocoercivity),
        ("strong convexity", claims.strong_convexity),
    ];
    let mut text = format!("Lipschitz bound {}", claims.bound);
    for (name, value) in named {
        if let Some(value) = value {
            text += &format!(", {name} {value}");
        }
    }
    if let Some(norm) = claims.own_norm {
        text += &format!(", {} in a norm of its own, of condition {}", norm.bound, norm.condition);
    }
    text
}
