//! Forgeries of the proof tree.

use dahlquist::certificate::Rule;
use dahlquist_testkit::forgery::places;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::draft::{Draft, other_number, pick, raw};

/// The places of all nodes of the tree.
fn nodes(certificate: &Value) -> Vec<String> {
    let mut all = Vec::new();
    places(&certificate["network"], "/network", &mut all);
    all.retain(|place| certificate.pointer(place).is_some_and(|value| value.get("rule").is_some()));
    all
}

/// One of the nodes.
fn node<'a>(certificate: &'a mut Value, rng: &mut ChaCha8Rng) -> Option<&'a mut Value> {
    let all = nodes(certificate);
    let place: &String = pick(rng, &all);
    certificate.pointer_mut(place)
}

/// One number anywhere becomes another one.
pub fn number(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let mut all = Vec::new();
    places(&draft.certificate, "", &mut all);
    all.retain(|place| draft.certificate.pointer(place).is_some_and(Value::is_number));
    let place = pick(rng, &all);
    if let Some(value) = draft.certificate.pointer_mut(place) {
        *value = other_number(rng, value);
    }
}

/// A leaf and everything above it claim less than is true, all by the same factor, so that only the leaf can tell.
pub fn consistent(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let factor = *pick(rng, &[1.0, 1.0 - 1e-15, 1.0 - 1e-12, 1.0 - 1e-9, 0.9, 0.5, 1e-6, 0.0]);
    let less = |x: f64| if factor == 1.0 { x.next_down() } else { x * factor };
    let all = nodes(&draft.certificate);
    let place = pick(rng, &all).clone();
    let change = |value: &mut Value| {
        for (key, number) in value.as_object_mut().into_iter().flatten() {
            let Some(x) = number.as_f64() else { continue };
            let lower = ["inverse", "cocoercivity", "strong_convexity"].contains(&&**key);
            *number = if lower && factor > 0.0 { json!(x / less(1.0)) } else { json!(less(x)) };
        }
    };
    let above =
        |end: usize| place.is_char_boundary(end) && (end == place.len() || place[end..].starts_with("/premises"));
    for end in ("/network".len()..=place.len()).filter(|&end| above(end)) {
        if let Some(node) = draft.certificate.pointer_mut(&place[..end]) {
            change(&mut node["claims"]);
        }
    }
    for key in ["lipschitz", "features"] {
        draft.certificate[key] = json!(less(draft.certificate[key].as_f64().unwrap_or(1.0)));
    }
}

/// A node is said to be elsewhere, or about another number of maps.
pub fn place(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let paths = ["", "0", "1", "2", "3.step", "0.step.field", "0.step.field.operator", "5.0.0", "00", " 0", "0."];
    let Some(node) = node(&mut draft.certificate, rng) else { return };
    if rng.random() {
        node["path"] = json!(pick(rng, &paths));
    } else {
        node["span"] = json!(pick(rng, &[0u64, 1, 2, 3, 4, 1 << 40, u64::MAX]));
    }
}

/// A node is said to be proved by another rule, with or without its evidence and its premises.
pub fn rule(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).chain(["asserted"]).collect();
    let Some(node) = node(&mut draft.certificate, rng) else { return };
    node["rule"] = json!(pick(rng, &names));
    if let Some(fields) = node.as_object_mut() {
        match rng.random_range(0..4) {
            0 => _ = fields.remove("evidence"),
            1 => _ = fields.remove("premises"),
            2 => _ = fields.insert("evidence".into(), json!({"norm": "closed_form"})),
            _ => {}
        }
    }
}

/// Premises are dropped, doubled, exchanged, or those of another node.
pub fn premises(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let all = nodes(&draft.certificate);
    let inner: Vec<&String> = all
        .iter()
        .filter(|place| draft.certificate.pointer(place).is_some_and(|node| node.get("premises").is_some()))
        .collect();
    let (to, from) = (*pick(rng, &inner), *pick(rng, &inner));
    let other = draft.certificate.pointer(from).map(|node| node["premises"].clone());
    let Some(premises) = draft.certificate.pointer_mut(to).and_then(|node| node["premises"].as_array_mut()) else {
        return;
    };
    let (i, j) = (rng.random_range(0..premises.len()), rng.random_range(0..premises.len()));
    match rng.random_range(0..6) {
        0 => _ = premises.remove(i),
        1 => premises.insert(j, premises[i].clone()),
        2 => premises.swap(i, j),
        3 => premises.clear(),
        4 => premises.reverse(),
        _ => *premises = other.and_then(|other| other.as_array().cloned()).unwrap_or_default(),
    }
}

/// A subtree is that of another part, under its own name.
pub fn subtree(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let all = nodes(&draft.certificate);
    let (to, from) = (pick(rng, &all), pick(rng, &all));
    let Some(mut other) = draft.certificate.pointer(from).cloned() else { return };
    let Some(node) = draft.certificate.pointer_mut(to) else { return };
    if rng.random() {
        other["path"] = node["path"].clone();
    }
    *node = other;
}

/// The evidence is that of another node, or of another kind, or a little different.
pub fn evidence(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let all = nodes(&draft.certificate);
    let holders: Vec<&String> = all
        .iter()
        .filter(|place| draft.certificate.pointer(place).is_some_and(|node| node.get("evidence").is_some()))
        .collect();
    let place = *pick(rng, &holders);
    let from = *pick(rng, &holders);
    let other = draft.certificate.pointer(from).map(|node| node["evidence"].clone());
    let side = |rng: &mut ChaCha8Rng| *pick(rng, &[1u64, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 1 << 30]);
    let torus = |rng: &mut ChaCha8Rng| {
        let points = [side(rng), side(rng)];
        json!({"norm": {"torus": {"points": points, "twisted": [rng.random::<bool>(), rng.random::<bool>()]}}})
    };
    let Some(node) = draft.certificate.pointer_mut(place) else { return };
    node["evidence"] = match rng.random_range(0..6) {
        0 => other.unwrap_or_default(),
        1 => torus(rng),
        2 => json!({"norm": pick(rng, &["residual", "banded", "closed_form"])}),
        3 => json!({"multipliers": [[1.0]]}),
        4 => json!("nothing"),
        _ => {
            let mut evidence = node["evidence"].clone();
            let mut all = Vec::new();
            places(&evidence, "", &mut all);
            all.retain(|place| evidence.pointer(place).is_some_and(Value::is_number));
            if !all.is_empty() {
                let place: &String = pick(rng, &all);
                evidence.pointer_mut(place).into_iter().for_each(|value| *value = other_number(rng, value));
            }
            evidence
        }
    };
}

/// Something is claimed that no rule proves there, or that a rule proves of something else.
pub fn claim(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let keys = ["averaged", "inverse", "one_sided_lipschitz", "cocoercivity", "strong_convexity", "bound"];
    let values = [0.0, 1e-300, 0.25, 0.5, 1.0f64.next_down(), 1.0, 2.0, 1e300, -1.0, -1e300];
    let (key, value) = (*pick(rng, &keys), *pick(rng, &values));
    if let Some(node) = node(&mut draft.certificate, rng) {
        node["claims"][key] = json!(value);
    }
}

/// What stands before the tree: formats, orders, versions, shapes.
pub fn header(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let c = &mut draft.certificate;
    match rng.random_range(0..10) {
        0 => c["summation"] = json!(pick(rng, &["any", "declared"])),
        1 => c["scalar"] = json!(pick(rng, &["f32", "f64", "f16", "F32", ""])),
        2 => c["kernels"] = json!(pick(rng, &[0u64, 1, 2, u64::MAX])),
        3 => c["norm_proof"] = json!(pick(rng, &["torus", "tight", "none"])),
        4 => {
            c["input"] =
                pick(rng, &[json!([1]), json!([2]), json!([2, 8, 8]), json!([]), json!([0]), json!([64, 2, 1])]).clone()
        }
        5 => c["version"] = pick(rng, &[json!(1), json!(3), json!(2.0), json!("2"), raw("2.0"), raw("2e0")]).clone(),
        6 => c["format"] = json!(pick(rng, &["dahlquist-model", "", "DAHLQUIST-CERTIFICATE"])),
        7 => c["model"] = json!("0".repeat(64)),
        8 => c["extra"] = json!(0),
        _ => c["lipschitz"] = raw("0.5,\"lipschitz\":1e9"),
    }
}
