//! Changes of certificates, and what still follows from them.

use dahlquist::{
    certificate::{Claimed, Claims, Rule, file::CertificateFile},
    check::{Report, Verdict, check},
    model::Model,
    rigor::Upper,
    rules::{Part, derive},
};
use serde_json::{Value, json};

/// A certificate as JSON.
pub fn issued(claimed: &CertificateFile) -> Value {
    serde_json::to_value(claimed).unwrap()
}

/// The claims of a changed certificate.
pub fn parse(value: &Value) -> dahlquist::Result<CertificateFile> {
    CertificateFile::parse(&serde_json::to_vec(value).unwrap())
}

/// The places of all leaves and containers of a JSON value.
pub fn places(value: &Value, here: &str, all: &mut Vec<String>) {
    if !here.is_empty() {
        all.push(here.to_string());
    }
    match value {
        Value::Object(fields) => fields.iter().for_each(|(k, v)| places(v, &format!("{here}/{k}"), all)),
        Value::Array(items) => items.iter().enumerate().for_each(|(i, v)| places(v, &format!("{here}/{i}"), all)),
        _ => {}
    }
}

/// Other values for a place of a certificate.
pub fn changes(value: &Value) -> Vec<Value> {
    let mut others = vec![Value::Null, json!(true), json!([]), json!({}), json!("x"), json!(-1), json!([0.0, 0.0])];
    match value {
        Value::Number(n) => {
            let x = n.as_f64().unwrap();
            let near = [x.next_down(), x.next_up(), x * (1.0 - 1e-9), x * (1.0 + 1e-9), x * 0.5, x * 2.0];
            others.extend(near.iter().chain(&[0.0, -x, 1.0, 1e300, 5e-324]).map(|x| json!(x)));
            others.extend([0u64, 1, 2, 3, u64::MAX].iter().map(|n| json!(n)));
        }
        Value::String(s) => {
            others.extend(Rule::ALL.iter().map(|rule| json!(rule.name())));
            others.extend(
                ["asserted", "f32", "f64", "torus", "tight", "0", "1", "dense", "flow", "euler", "rk4", "residual"]
                    .map(|s| json!(s)),
            );
            others.push(json!(s.chars().rev().collect::<String>()));
        }
        Value::Array(items) => {
            others.push(json!(items.iter().rev().collect::<Vec<_>>()));
            others.push(json!(items.iter().skip(1).collect::<Vec<_>>()));
            others.push(json!(items.iter().chain(items).collect::<Vec<_>>()));
        }
        _ => {}
    }
    others
}

/// What follows from the model for every node of a verified tree, computed from the leaves up, whatever the tree says on
/// the way: no claim may say more. There is no tolerance, since rules are monotone and give the same bits everywhere.
///
/// That leaves prove true bounds of their operators is tested elsewhere, against exact arithmetic.
pub fn implied(claimed: &CertificateFile, model: &Model) -> Result<(), String> {
    if claimed.model != model.sha256() || claimed.input != model.input() || claimed.scalar != model.scalar() {
        return Err("it is about something else".into());
    }
    let root = least(&Part::root(model.map(), model.input()), &claimed.network)?;
    let layers = model.map().layers().len();
    let mut features = Upper::ONE;
    let mut left = if model.map().head().is_some() { layers - 1 } else { layers };
    for premise in claimed.network.premises() {
        if premise.span() <= left {
            (features, left) = (features * Upper::trust(premise.bound()), left - premise.span());
        }
    }
    above("network", claimed.lipschitz, root.bound.get())?;
    above("features", claimed.features, features.get())
}

fn above(what: &str, claimed: f64, truth: f64) -> Result<(), String> {
    if claimed >= truth { Ok(()) } else { Err(format!("{what}: {claimed} below {truth}")) }
}

/// The least claims about a part that follow from its leaves.
fn least(part: &Part<'_>, proof: &Claimed) -> Result<Claims, String> {
    if proof.rule() == Rule::Asserted {
        return Err("a bound is only asserted".into());
    }
    let parts = part.premises(proof).map_err(|e| e.to_string())?;
    let below = parts.iter().zip(proof.premises()).map(|(part, premise)| Ok(least(part, premise)?.numbers()));
    let derived = derive(part, proof, &below.collect::<Result<Vec<_>, String>>()?).map_err(|e| e.to_string())?;
    let (claimed, path) = (proof.claims(), &part.path);
    let pairs = [
        (Some(claimed.bound), Some(derived.bound)),
        (claimed.averaged, derived.averaged),
        (claimed.one_sided_lipschitz, derived.one_sided_lipschitz),
    ];
    for (claimed, derived) in pairs {
        if let Some(claimed) = claimed {
            above(path, claimed, derived.ok_or("a claim out of nowhere")?.get())?;
        }
    }
    for (claimed, derived) in [
        (claimed.inverse, derived.inverse),
        (claimed.cocoercivity, derived.cocoercivity),
        (claimed.strong_convexity, derived.strong_convexity),
    ] {
        if let Some(claimed) = claimed {
            above(path, derived.ok_or("a claim out of nowhere")?.get(), claimed)?;
        }
    }
    if let Some(own) = claimed.own_norm {
        let proved = derived.own_norm.ok_or("a norm out of nowhere")?;
        above(path, own.condition, proved.condition.get())?;
        above(path, own.bound, proved.bound.get())?;
        if let Some(convexity) = own.strong_convexity {
            above(path, proved.strong_convexity.ok_or("a claim out of nowhere")?.get(), convexity)?;
        }
    }
    Ok(derived)
}

/// Changes every place of a certificate, or one of `part`, in every way. Returns how many changes are no certificate, how
/// many fail, and how many leave it true, of which `holds` judges as well.
pub fn every_change(
    model: &Model,
    truth: &CertificateFile,
    part: usize,
    holds: impl Fn(&CertificateFile) -> Result<(), String>,
) -> [usize; 3] {
    let original = issued(truth);
    let mut all = Vec::new();
    places(&original, "", &mut all);
    let [mut refused, mut failed, mut true_still] = [0; 3];
    for place in all.iter().step_by(part) {
        for other in changes(original.pointer(place).unwrap()) {
            if other == *original.pointer(place).unwrap() {
                continue;
            }
            let mut changed = original.clone();
            *changed.pointer_mut(place).unwrap() = other.clone();
            let Ok(claimed) = parse(&changed) else {
                refused += 1;
                continue;
            };
            if check(&claimed, model).verified.is_none() {
                failed += 1;
                continue;
            }
            true_still += 1;
            implied(&claimed, model)
                .and_then(|()| holds(&claimed))
                .unwrap_or_else(|e| panic!("{place} changed to {other}: {e}"));
        }
    }
    [refused, failed, true_still]
}

/// The parts of a certificate that failed.
pub fn failed_parts(report: &Report) -> Vec<&str> {
    let failed = report.findings.iter().filter(|f| matches!(f.verdict, Verdict::Failed(_)));
    failed.map(|f| f.part.as_str()).collect()
}
