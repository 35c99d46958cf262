//! Whether what is accepted is true.
//!
//! What is accepted ([`crate::accept`]) is true if it says no more than the crate itself issues for exactly that model and
//! these samples, in any of its ways; or, of a model whose constants are known, if it contradicts none of them; or if it
//! follows from proofs of the leaves, rule by rule. No number is compared with a tolerance. What goes beyond is tried with
//! counterexamples ([`crate::refute`]), and counts as undecided if none is found.

use dahlquist::{
    Result, Semantics,
    certificate::{Claimed, ClaimedSamples, KERNELS, NormProof, file::CertificateFile},
    certify::{SampleCertificate, SealOptions, Summation},
    network::AnyNetwork,
};
use dahlquist_testkit::forgery::implied;

use crate::{
    accept::{Accepted, accepts},
    draft::Draft,
    refute,
    subject::{Samples, Sealing, Subject, Way, certify},
};

/// What became of a forgery.
#[derive(Debug)]
pub enum Fate {
    Refused,
    /// Accepted and true, for this reason.
    True(&'static str),
    /// Accepted, and nobody knows.
    Undecided(String),
    /// Accepted and false.
    False(String),
}

/// The fate of a forgery of a subject's files.
pub fn judge(draft: &Draft, subject: &Subject) -> Fate {
    let Some(accepted) = accepts(&draft.text(), &draft.model, &draft.samples) else { return Fate::Refused };
    // What is known is known of this model only.
    let truth = subject.truth.as_ref().filter(|_| draft.model == subject.bytes);
    let (claimed, model) = (&accepted.claimed, &accepted.model);
    let about = (claimed.model, claimed.input, claimed.scalar.as_str());
    if about != (model.sha256(), model.input(), model.scalar()) {
        return Fate::False("it is about another model".into());
    }
    if let Some(Err(contradiction)) = truth.map(|truth| truth.contradicts(claimed)) {
        return Fate::False(contradiction);
    }
    let network = match no_stronger(&accepted) {
        Ok(true) => "no more than is issued",
        Ok(false) | Err(_) => {
            if let Err(reason) = implied(claimed, model) {
                return Fate::False(format!("without a proof: {reason}"));
            }
            if refute::ratio(&accepted, &draft.samples) {
                return Fate::False(format!("a pair is stretched by more than {}", claimed.lipschitz));
            }
            if truth.is_some() { "true of known constants" } else { "another proof than is issued" }
        }
    };
    match claimed.samples.as_ref().map(|claims| samples(claims, &accepted, &draft.samples)) {
        None | Some(Fate::True(_)) => Fate::True(network),
        Some(fate) => fate,
    }
}

/// The ways to seal a model that claims are compared with.
const SEALINGS: [Sealing; 3] = [
    Sealing { norms: NormProof::Torus, neurons: 0 },
    Sealing { norms: NormProof::Torus, neurons: 64 },
    Sealing { norms: NormProof::Tight, neurons: 64 },
];

/// Whether no number of the certificate says more than one that is issued, node by node.
fn no_stronger(accepted: &Accepted) -> Result<bool> {
    let Accepted { claimed, model, .. } = accepted;
    let mut files = Vec::new();
    for Sealing { norms, neurons } in SEALINGS {
        let certificate = match model.network()? {
            AnyNetwork::F32(network) => network.seal_with(options(norms))?.tighten(neurons)?.certificate().clone(),
            AnyNetwork::F64(network) => network.seal_with(options(norms))?.tighten(neurons)?.certificate().clone(),
        };
        files.push(CertificateFile::new(&certificate, model, norms, Summation::Any));
    }
    let some = |holds: &dyn Fn(&CertificateFile) -> bool| files.iter().any(holds);
    Ok(some(&|file| claimed.lipschitz >= file.lipschitz)
        && some(&|file| claimed.features >= file.features)
        && weaker(&claimed.network, &files.iter().map(|file| &file.network).collect::<Vec<_>>()))
}

fn options(norm_proof: NormProof) -> SealOptions {
    SealOptions { norm_proof, ..SealOptions::default() }
}

/// The nodes of a tree.
fn nodes<'a>(proof: &'a Claimed, all: &mut Vec<&'a Claimed>) {
    all.push(proof);
    proof.premises().iter().for_each(|premise| nodes(premise, all));
}

/// Whether every node says no more than a node about the same part of one of the trees.
fn weaker(proof: &Claimed, issued: &[&Claimed]) -> bool {
    let mut known = Vec::new();
    issued.iter().for_each(|proof| nodes(proof, &mut known));
    let mut claimed = Vec::new();
    nodes(proof, &mut claimed);
    claimed.iter().all(|claimed| {
        let same: Vec<_> = known
            .iter()
            .filter(|node| node.path() == claimed.path() && node.span() == claimed.span())
            .map(|node| node.claims())
            .collect();
        let c = claimed.claims();
        let upper = |x: Option<f64>, of: &dyn Fn(usize) -> Option<f64>| {
            x.is_none_or(|x| (0..same.len()).any(|i| of(i).is_some_and(|issued| x >= issued)))
        };
        let lower = |x: Option<f64>, of: &dyn Fn(usize) -> Option<f64>| {
            x.is_none_or(|x| (0..same.len()).any(|i| of(i).is_some_and(|issued| x <= issued)))
        };
        upper(Some(c.bound), &|i| Some(same[i].bound))
            && upper(c.averaged, &|i| same[i].averaged)
            && upper(c.one_sided_lipschitz, &|i| same[i].one_sided_lipschitz)
            && lower(c.inverse, &|i| same[i].inverse)
            && lower(c.cocoercivity, &|i| same[i].cocoercivity)
            && lower(c.strong_convexity, &|i| same[i].strong_convexity)
    })
}

/// Whether what is claimed of samples is true.
fn samples(claims: &ClaimedSamples, accepted: &Accepted, samples: &Samples) -> Fate {
    let (claimed, count) = (&accepted.claimed, samples.labels.len());
    let fails = |what: &str| Fate::False(what.into());
    if accepted.data.sha256() != Ok(claims.sha256) {
        return fails("it is about other samples");
    }
    if claims.predictions.len() != count || claims.radii.len() != count {
        return fails("there are not as many claims as samples");
    }
    if claims.labels.as_ref().is_some_and(|labels| *labels != samples.labels) {
        return fails("the labels are not those of the samples");
    }
    if claimed.summation == Summation::Declared && claimed.kernels != KERNELS {
        return fails("the order of sums is that of other kernels");
    }
    let accuracy = |eps: Option<f64>| {
        let right = |s: &usize| {
            claims.predictions[*s] == Some(samples.labels[*s]) && eps.is_none_or(|eps| claims.radii[*s] > eps)
        };
        (0..count).filter(right).count() as f64 / count as f64
    };
    let clean = claims.clean_accuracy.is_none_or(|claimed| claimed == accuracy(None));
    let certified = claims.certified_accuracy.iter().all(|claim| claim.accuracy == accuracy(Some(claim.eps)));
    let silent = claims.clean_accuracy.is_none() && claims.certified_accuracy.is_empty();
    if !clean || !certified || claims.labels.is_none() && !silent {
        return fails("an accuracy does not follow");
    }
    // A radius in one way is one in every way that asks less.
    let asks_less = |way: &Way| match (claims.semantics, way.semantics) {
        (Semantics::Exact, _) => true,
        (Semantics::Executed, Semantics::Exact) => false,
        (Semantics::Executed, Semantics::Executed) => {
            way.summation == Summation::Any || way.summation == claimed.summation
        }
    };
    let mut issued: Vec<(Way, Vec<SampleCertificate>)> = Vec::new();
    for way in Way::all().filter(asks_less) {
        for sealing in SEALINGS {
            if let Ok((_, certified)) = certify(&accepted.model, &accepted.data, sealing, way) {
                issued.push((way, certified));
            }
        }
    }
    for s in 0..count {
        let (prediction, radius) = (claims.predictions[s], claims.radii[s]);
        let says = |(way, certified): &(Way, Vec<SampleCertificate>)| {
            let same = certified[s].prediction == prediction;
            // Without a radius it is the prediction of this very meaning.
            if radius > 0.0 {
                same && radius <= certified[s].radius.get()
            } else {
                same && way.semantics == claims.semantics
            }
        };
        if issued.iter().any(says) {
            continue;
        }
        let what = format!("sample {s}: class {prediction:?} within {radius} ({:?})", claims.semantics);
        let refuted = |class| refute::radius(accepted, &samples.sample(s), claims.semantics, class, radius);
        return match prediction.is_some_and(refuted) {
            true => Fate::False(what),
            false => Fate::Undecided(what),
        };
    }
    Fate::True("")
}
