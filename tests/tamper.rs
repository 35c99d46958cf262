//! A certificate file can be checked by someone who trusts nothing in it: whatever is changed, in the certificate or
//! in the model, either fails or leaves the claims true.

mod common;

use common::{certificate_of, dense_f32, every_layer, every_layer_f64, model_bytes};
use dahlquist::{
    Error,
    certificate::{Basis, Rule},
    check::{Report, Verdict, check},
    io::{Claimed, ModelFile},
    operator::Norms,
};
use serde_json::{Value, json};

fn issued(model: &ModelFile) -> Value {
    serde_json::to_value(certificate_of(model)).unwrap()
}

fn parse(value: &Value) -> dahlquist::Result<Claimed> {
    Claimed::parse(&serde_json::to_vec(value).unwrap())
}

/// The places of all leaves and containers of a JSON value.
fn places(value: &Value, here: &str, all: &mut Vec<String>) {
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
fn changes(value: &Value) -> Vec<Value> {
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
fn implied(claimed: &Claimed, truth: &Claimed) -> Result<(), String> {
    let above = |what: &str, claimed: f64, truth: f64| {
        // The checker may prove a norm a little better than it was issued.
        if claimed >= truth * (1.0 - 1e-10) { Ok(()) } else { Err(format!("{what}: {claimed} below {truth}")) }
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
    Ok(())
}

#[test]
fn an_issued_certificate_is_verified_and_read_back_to_the_last_bit() {
    for bytes in [model_bytes(&every_layer()), model_bytes(&every_layer_f64())] {
        let model = ModelFile::parse(bytes).unwrap();
        let claimed = certificate_of(&model);
        let report = check(&claimed, &model);
        assert!(report.verified.is_some(), "{report:#?}");
        assert!(report.findings.iter().all(|f| f.verdict == Verdict::Proved));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("certificate.json");
        claimed.write(&path).unwrap();
        assert_eq!(Claimed::read(&path).unwrap(), claimed);
        assert_eq!(report.verified.unwrap().certificate().lipschitz.get(), claimed.lipschitz);
    }
}

#[test]
fn every_change_of_a_field_fails_or_leaves_the_claim_true() {
    for bytes in [model_bytes(&every_layer()), model_bytes(&every_layer_f64())] {
        let model = ModelFile::parse(bytes).unwrap();
        let truth = certificate_of(&model);
        let original = issued(&model);
        let mut all = Vec::new();
        places(&original, "", &mut all);
        let (mut refused, mut failed, mut true_still) = (0, 0, 0);
        // All of one certificate, and some of the other.
        let part = if model.scalar() == "f32" { 1 } else { 5 };
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
                if check(&claimed, &model).verified.is_none() {
                    failed += 1;
                    continue;
                }
                true_still += 1;
                implied(&claimed, &truth).unwrap_or_else(|e| panic!("{place} changed to {other}: {e}"));
            }
        }
        assert!(refused > 200 && failed > 60 && true_still > 10, "{refused} {failed} {true_still}");
    }
}

#[test]
fn a_field_that_is_removed_or_added_is_refused_or_leaves_the_claim_true() {
    let model = ModelFile::parse(model_bytes(&every_layer())).unwrap();
    let truth = certificate_of(&model);
    let original = issued(&model);
    let mut all = vec![String::new()];
    places(&original, "", &mut all);
    for place in all {
        let Some(Value::Object(fields)) = original.pointer(&place) else { continue };
        for name in fields.keys() {
            let mut changed = original.clone();
            changed.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(name);
            if let Ok(claimed) = parse(&changed)
                && check(&claimed, &model).verified.is_some()
            {
                implied(&claimed, &truth).unwrap_or_else(|e| panic!("{place} without {name}: {e}"));
            }
        }
        let mut changed = original.clone();
        changed.pointer_mut(&place).unwrap().as_object_mut().unwrap().insert("extra".into(), json!(1));
        assert!(parse(&changed).is_err(), "an unknown field at {place:?} is read");
    }
}

fn is_nearly_short_enough(error: &Error) -> bool {
    match error {
        Error::Layer { source, .. } => is_nearly_short_enough(source),
        Error::StepTooLong { step, limit, .. } => *step <= limit * (1.0 + 1e-12),
        _ => false,
    }
}

fn failed_parts(report: &Report) -> Vec<&str> {
    let failed = report.findings.iter().filter(|f| matches!(f.verdict, Verdict::Failed(_)));
    failed.map(|f| f.part.as_str()).collect()
}

#[test]
fn every_change_of_a_weight_is_caught_by_the_hash_and_without_it_by_the_bound_or_leaves_the_claim_true() {
    for bytes in [model_bytes(&every_layer()), model_bytes(&every_layer_f64())] {
        let model = ModelFile::parse(bytes.clone()).unwrap();
        let truth = certificate_of(&model);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let mut caught_by_bound = 0;
        let width = if model.scalar() == "f32" { 4 } else { 8 };
        // The highest byte of a number holds its sign and most of its exponent, the lowest its last bits.
        for (place, flip) in (8 + header..bytes.len())
            .step_by(width)
            .enumerate()
            .filter(|(i, _)| i % 17 == 0)
            .flat_map(|(i, from)| [(from + width - 1, if i % 2 == 0 { 0x02 } else { 0x80 }), (from, 0x01)])
        {
            let mut changed = bytes.clone();
            changed[place] ^= flip;
            let Ok(changed) = ModelFile::parse(changed) else { continue };
            assert!(failed_parts(&check(&truth, &changed)).contains(&"model"), "byte {place}: the hash did not notice");
            // The hash recomputed: only the numbers can catch it now.
            let mut forged = truth.clone();
            forged.model = changed.sha256();
            let report = check(&forged, &changed);
            assert!(!failed_parts(&report).contains(&"model"));
            match report.verified {
                None => caught_by_bound += 1,
                Some(_) => {
                    // Then what can be proved of the changed model is implied by what is claimed.
                    let now = match common::try_certificate_of(&changed) {
                        Ok(now) => now,
                        // The checker may prove a norm a little better, and so a step.
                        Err(e) if is_nearly_short_enough(&e) => continue,
                        Err(e) => panic!("byte {place} ^ {flip}: {e}"),
                    };
                    implied(&forged, &now).unwrap_or_else(|e| panic!("byte {place} ^ {flip}: {e}"));
                }
            }
        }
        assert!(caught_by_bound > 10, "only {caught_by_bound} changes were caught by a bound");
    }
}

#[test]
fn a_change_of_the_architecture_is_caught_without_the_hash() {
    let bytes = model_bytes(&every_layer());
    let truth = certificate_of(&ModelFile::parse(bytes.clone()).unwrap());
    // In the metadata the quotes of the architecture are escaped.
    for (from, to) in [
        (r#"\"step\":0.25"#, r#"\"step\":0.75"#),
        (r#"\"slope\":0.125"#, r#"\"slope\":8.125"#),
        (r#"\"size\":2"#, r#"\"size\":1"#),
        (r#"\"std\":[0.5,0.5]"#, r#"\"std\":[0.5,0.1]"#),
        (r#"\"padding_mode\":\"circular\""#, r#"\"padding_mode\":\"zeros\"   "#),
    ] {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains(from), "{from} is not in the model");
        let at = bytes.windows(from.len()).position(|w| w == from.as_bytes()).unwrap();
        let mut changed = bytes[..at].to_vec();
        changed.extend_from_slice(to.as_bytes());
        changed.extend_from_slice(&bytes[at + from.len()..]);
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as i64 + to.len() as i64 - from.len() as i64;
        changed[..8].copy_from_slice(&(header as u64).to_le_bytes());
        let changed = ModelFile::parse(changed).unwrap();
        let mut forged = truth.clone();
        forged.model = changed.sha256();
        let report = check(&forged, &changed);
        assert!(report.verified.is_none() && report.failed(), "{from} → {to} passed");
    }
}

#[test]
fn an_asserted_bound_is_reported_and_never_verified() {
    let model = ModelFile::parse(model_bytes(&every_layer())).unwrap();
    let mut claimed = certificate_of(&model);
    claimed.layers[2].rule = Basis::Asserted;
    let report = check(&claimed, &model);
    assert!(report.verified.is_none() && !report.failed());
    assert!(report.findings.iter().any(|f| f.part == "layer 2" && f.verdict == Verdict::Asserted));
}

#[test]
fn a_norm_below_the_largest_singular_value_is_refused() {
    // [[3, 0], [4, 0]] has the norm 5.
    let model = ModelFile::parse(model_bytes(&dense_f32(2, 2, vec![3.0, 0.0, 4.0, 0.0]))).unwrap();
    let mut claimed = certificate_of(&model);
    claimed.lipschitz = 5.0f64.next_down();
    claimed.layers[0].bound = 5.0f64.next_down();
    assert_eq!(failed_parts(&check(&claimed, &model)), ["layer 0"]);
    claimed.layers[0].bound = 5.0 + 1e-8;
    assert_eq!(failed_parts(&check(&claimed, &model)), ["network"]);
    claimed.lipschitz = 5.0 + 1e-8;
    assert!(check(&claimed, &model).verified.is_some());
}

#[test]
fn hostile_certificates_are_refused() {
    let model = ModelFile::parse(model_bytes(&every_layer())).unwrap();
    let text = serde_json::to_string(&issued(&model)).unwrap();
    let refused = |bytes: &[u8]| Claimed::parse(bytes).is_err();
    for end in 0..text.len() {
        assert!(refused(&text.as_bytes()[..end]), "cut at {end}");
    }
    let bound = format!("\"lipschitz\":{}", certificate_of(&model).lipschitz);
    assert!(text.contains(&bound));
    for number in
        ["NaN", "nan", "Infinity", "-Infinity", "1e999", "-1e999", "null", "\"1\"", "[1]", "1e", "0x1p3", "1,1"]
    {
        assert!(refused(text.replace(&bound, &format!("\"lipschitz\":{number}")).as_bytes()), "{number}");
    }
    // A field twice, deep nesting, bytes after the end, bytes that are no text.
    assert!(refused(text.replace(&bound, &format!("{bound},{bound}")).as_bytes()));
    assert!(refused("[".repeat(1 << 20).as_bytes()));
    assert!(refused("{\"layers\":".repeat(1 << 18).as_bytes()));
    assert!(refused(text.replace("\"layers\":", &format!("\"layers\":{}", "[".repeat(1 << 18))).as_bytes()));
    assert!(refused(format!("{text} {{}}").as_bytes()));
    assert!(refused(&[0xff; 64]) && refused(b"") && refused(b"null"));
    assert!(refused(text.replace("\"version\":1", "\"version\":2").as_bytes()));
    assert!(refused(text.replace("dahlquist-certificate", "dahlquist-model").as_bytes()));
}

#[test]
fn a_certificate_with_very_many_claims_is_checked_in_linear_time() {
    let model = ModelFile::parse(model_bytes(&dense_f32(2, 2, vec![3.0, 0.0, 4.0, 0.0]))).unwrap();
    let mut claimed = certificate_of(&model);
    let layer = claimed.layers[0].clone();
    claimed.layers = vec![layer; 100_000];
    let bytes = serde_json::to_vec(&claimed).unwrap();
    let start = std::time::Instant::now();
    assert!(check(&Claimed::parse(&bytes).unwrap(), &model).failed());
    assert!(start.elapsed().as_secs() < 5);
}

#[test]
fn files_that_are_too_large_or_no_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.json");
    std::fs::File::create(&path).unwrap().set_len((1 << 26) + 1).unwrap();
    for path in [path, dir.path().to_path_buf(), dir.path().join("missing.json"), "/dev/zero".into()] {
        let error = Claimed::read(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        let error = ModelFile::read(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_witness_of_another_kind_a_torus_too_small_and_a_huge_one_are_refused() {
    let model = ModelFile::parse(model_bytes(&every_layer())).unwrap();
    let original = issued(&model);
    let convolution = original["layers"].as_array().unwrap().iter().position(|l| l["kind"] == "conv2d").unwrap();
    for witness in [
        json!({"norm": {"method": {"torus": {"points": [1, 1], "twisted": [false, false]}}}}),
        json!({"norm": {"method": {"torus": {"points": [1_000_000_000u64, 1_000_000_000u64], "twisted": [false, false]}}}}),
        json!({"norm": {"method": "residual"}}),
        json!({"slopes": {"interval": [0.0, 1.0]}}),
        Value::Null,
    ] {
        let mut changed = original.clone();
        changed["layers"][convolution]["witness"] = witness;
        let report = check(&parse(&changed).unwrap(), &model);
        assert_eq!(failed_parts(&report), [format!("layer {convolution}")]);
    }
}

#[test]
fn numbers_that_are_not_finite_are_not_written() {
    let model = ModelFile::parse(model_bytes(&dense_f32(1, 1, vec![1.0]))).unwrap();
    let mut claimed = certificate_of(&model);
    assert_eq!(claimed.norms, Norms::Torus);
    claimed.lipschitz = f64::INFINITY;
    let dir = tempfile::tempdir().unwrap();
    assert!(claimed.write(dir.path().join("c.json")).is_err());
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}
