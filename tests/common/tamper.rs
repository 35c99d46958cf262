//! Changes of certificates, and what still follows from them.

use dahlquist::{
    certificate::{Basis, Rule},
    check::{Report, Verdict, check},
    io::{Claimed, ModelFile},
};
use serde_json::{Value, json};

/// A certificate as JSON.
pub fn issued(claimed: &Claimed) -> Value {
    serde_json::to_value(claimed).unwrap()
}

/// The claims of a changed certificate.
pub fn parse(value: &Value) -> dahlquist::Result<Claimed> {
    Claimed::parse(&serde_json::to_vec(value).unwrap())
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

/// What is verified is implied by what was proved when the certificate was issued: no upper bound is below it.
pub fn implied(claimed: &Claimed, truth: &Claimed) -> Result<(), String> {
    // A searched multiplier is not the best one: what is proved with it may be undercut by so much.
    let searched = claimed.layers.iter().any(|layer| layer.rule == Basis::Proved(Rule::QuadraticConstraint))
        || claimed.groups.iter().any(|group| group.rule == Rule::QuadraticConstraint);
    let slack = if searched { 1e-4 } else { 1e-10 };
    let above = |what: &str, claimed: f64, truth: f64| {
        // The checker may prove a norm a little better than it was issued.
        if claimed >= truth * (1.0 - slack) { Ok(()) } else { Err(format!("{what}: {claimed} below {truth}")) }
    };
    if claimed.model != truth.model || claimed.input != truth.input || claimed.scalar != truth.scalar {
        return Err("it is about something else".into());
    }
    above("network", claimed.lipschitz, truth.lipschitz)?;
    above("features", claimed.features, truth.features)?;
    if claimed.layers.len() != truth.layers.len() {
        return Err("other layers".into());
    }
    for (c, t) in claimed.layers.iter().zip(&truth.layers) {
        above("layer", c.bound, t.bound)?;
        if c.kind != t.kind || c.path != t.path || c.rule == Basis::Asserted {
            return Err("another layer".into());
        }
        match (c.averaged, t.averaged) {
            (Some(c), Some(t)) => above("averaged", c, t)?,
            (Some(_), None) => return Err("averaged out of nowhere".into()),
            (None, _) => {}
        }
    }
    for group in &claimed.groups {
        let same = truth.groups.iter().find(|t| (t.first, t.count, t.rule) == (group.first, group.count, group.rule));
        same.map_or(Ok(()), |t| above("group", group.bound, t.bound))?;
    }
    Ok(())
}

/// Changes every place of a certificate, or every so manieth, in every way: how many changes are no certificate, fail, and
/// leave it true.
pub fn every_change(model: &ModelFile, truth: &Claimed, part: usize) -> [usize; 3] {
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
            implied(&claimed, truth).unwrap_or_else(|e| panic!("{place} changed to {other}: {e}"));
        }
    }
    [refused, failed, true_still]
}

/// The parts of a certificate that failed.
pub fn failed_parts(report: &Report) -> Vec<&str> {
    let failed = report.findings.iter().filter(|f| matches!(f.verdict, Verdict::Failed(_)));
    failed.map(|f| f.part.as_str()).collect()
}
