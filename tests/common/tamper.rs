//! Changes of certificates, and what still follows from them.

use super::known::Truth;
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

/// Changes every place of a certificate in every way: how many changes are no certificate, fail, and leave it true. None that
/// is verified may be false of the network.
pub fn every_change(model: &ModelFile, issued_claims: &Claimed, truth: &Truth) -> [usize; 3] {
    let original = issued(issued_claims);
    let mut all = Vec::new();
    places(&original, "", &mut all);
    let [mut refused, mut failed, mut true_still] = [0; 3];
    for place in all {
        for other in changes(original.pointer(&place).unwrap()) {
            if other == *original.pointer(&place).unwrap() {
                continue;
            }
            let mut changed = original.clone();
            *changed.pointer_mut(&place).unwrap() = other.clone();
            let Ok(claimed) = parse(&changed) else {
                refused += 1;
                continue;
            };
            if check(&claimed, model).verified.is_none() {
                failed += 1;
                continue;
            }
            true_still += 1;
            is_about(&claimed, issued_claims)
                .and_then(|()| truth.contradicts(&claimed))
                .unwrap_or_else(|e| panic!("{place} changed to {other}: {e}"));
        }
    }
    [refused, failed, true_still]
}

/// Whether a verified certificate is about the network that another one is about, layer by layer.
pub fn is_about(claimed: &Claimed, issued: &Claimed) -> Result<(), String> {
    if claimed.model != issued.model || claimed.input != issued.input || claimed.scalar != issued.scalar {
        return Err("it is about something else".into());
    }
    let layers = claimed.layers.iter().zip(&issued.layers);
    for (c, t) in layers {
        if c.kind != t.kind || c.path != t.path || c.rule == Basis::Asserted {
            return Err("another layer".into());
        }
    }
    Ok(())
}

/// The parts of a certificate that failed.
pub fn failed_parts(report: &Report) -> Vec<&str> {
    let failed = report.findings.iter().filter(|f| matches!(f.verdict, Verdict::Failed(_)));
    failed.map(|f| f.part.as_str()).collect()
}
