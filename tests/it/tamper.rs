//! A certificate file can be checked by someone who trusts nothing in it: whatever is changed, in the certificate or
//! in the model, either fails or leaves the claims true.

use dahlquist::{
    Network,
    activation::Activation,
    certificate::{NormProof, Rule, file::CertificateFile},
    check::{Verdict, check},
    layer::{ActivationLayer, AffineLayer, Layer},
    model::Model,
    operator::{Affine, Dense, Operator},
    scalar::Scalar,
    tensor::Shape,
};
use dahlquist_testkit::{
    known::{self, Truth},
    models::{certificate_of, dense_f32, every_layer, every_layer_f64, model_bytes, runs, tightened},
};
use serde_json::{Value, json};

use crate::forgery::{every_change, failed_parts, implied, issued, parse, places};

type Layers<T> = Vec<Box<dyn Layer<T>>>;

fn affine<T: Scalar>(operator: impl Operator<T> + 'static) -> Box<dyn Layer<T>> {
    Box::new(AffineLayer::new(Affine::new(operator, None).unwrap()))
}

/// Models with the claims about them, the first of which have one layer of every kind, the others runs that are proved as
/// one map.
fn models() -> Vec<(Model, CertificateFile)> {
    let plain = [model_bytes(&every_layer()), model_bytes(&every_layer_f64())].map(|bytes| (bytes, 0));
    let runs = [model_bytes(&runs::<f32>(1)), model_bytes(&runs::<f64>(2))].map(|bytes| (bytes, 64));
    let claimed = |(bytes, neurons): (Vec<u8>, usize)| {
        let model = Model::parse(&bytes).unwrap();
        let claimed = tightened(&model, neurons).unwrap();
        (model, claimed)
    };
    plain.into_iter().chain(runs).map(claimed).collect()
}

#[test]
fn an_issued_certificate_is_verified_and_read_back_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    for (model, claimed) in models() {
        let report = check(&claimed, &model);
        assert!(report.findings.iter().all(|f| f.verdict == Verdict::Proved), "{report:#?}");
        let verified = report.verified.expect("every claim is proved");
        implied(&claimed, &model).unwrap();
        let path = dir.path().join("certificate.json");
        claimed.write(&path).unwrap();
        assert_eq!(CertificateFile::read(&path).unwrap(), claimed);
        assert_eq!(verified.certificate().bound().get(), claimed.lipschitz);
        assert_eq!(verified.certificate().claimed(), claimed.network, "something is lost on the way");
    }
}

#[test]
fn runs_are_proved_as_one_map() {
    for (_, claimed) in models().drain(2..) {
        let found: Vec<_> = claimed.network.premises().iter().map(|p| (p.path(), p.span(), p.rule())).collect();
        assert_eq!(found[0], ("0", 4, Rule::OperatorNorm));
        assert_eq!(found[2], ("5", 3, Rule::QuadraticConstraint));
        assert_eq!(claimed.network.layers().nth(8).unwrap().premises()[0].rule(), Rule::QuadraticConstraint);
        let product: f64 = claimed.network.layers().map(|layer| layer.bound()).product();
        assert!(claimed.lipschitz < 0.99 * product);
    }
}

#[test]
fn every_change_of_a_field_fails_or_leaves_the_claim_true() {
    for (i, (model, claimed)) in models().into_iter().enumerate() {
        // All of some certificates, and a part of the others.
        let [refused, failed, true_still] = every_change(&model, &claimed, [1, 5, 2, 5][i], |_| Ok(()));
        assert!(refused > 100 && failed > 100 && true_still > 20, "{refused} {failed} {true_still}");
    }
}

/// Every constant of these networks is known, so that a claim below it is false by whatever little.
#[test]
fn no_change_makes_a_claim_that_is_false_of_a_network_whose_constants_are_known() {
    fn holds<T: Scalar>((network, truth): (Network<T>, Truth)) {
        let model = Model::parse(&model_bytes(&network)).unwrap();
        let claimed = tightened(&model, 64).unwrap();
        truth.contradicts(&claimed).unwrap();
        let [refused, failed, true_still] = every_change(&model, &claimed, 1, |claimed| truth.contradicts(claimed));
        assert!(refused > 100 && failed > 100 && true_still > 20, "{refused} {failed} {true_still}");
    }
    holds(known::flows::<f32>());
    holds(known::flows::<f64>());
    holds(known::groups::<f32>());
    holds(known::groups::<f64>());
}

#[test]
fn a_field_that_is_removed_or_added_is_refused_or_leaves_the_claim_true() {
    for (model, claimed) in models() {
        let original = issued(&claimed);
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
                    implied(&claimed, &model).unwrap_or_else(|e| panic!("{place} without {name}: {e}"));
                }
            }
            let mut changed = original.clone();
            changed.pointer_mut(&place).unwrap().as_object_mut().unwrap().insert("extra".into(), json!(1));
            assert!(parse(&changed).is_err(), "an unknown field at {place:?} is read");
        }
    }
}

#[test]
fn parts_of_a_proof_that_are_moved_fail() {
    for (model, claimed) in models() {
        let original = issued(&claimed);
        let mut all = Vec::new();
        places(&original["network"], "/network", &mut all);
        let nodes: Vec<&String> = all.iter().filter(|p| original.pointer(p).unwrap().get("rule").is_some()).collect();
        for from in &nodes {
            for to in &nodes {
                let [a, b] = [from, to].map(|place| original.pointer(place).unwrap().clone());
                if a == b || from.starts_with(&***to) || to.starts_with(&***from) {
                    continue;
                }
                let mut changed = original.clone();
                *changed.pointer_mut(to).unwrap() = a;
                assert!(parse(&changed).is_ok_and(|claimed| check(&claimed, &model).failed()), "{from} put to {to}");
            }
        }
    }
}

#[test]
fn every_change_of_a_weight_is_caught_by_the_hash_and_without_it_by_the_bound_or_leaves_the_claim_true() {
    for bytes in [model_bytes(&every_layer()), model_bytes(&every_layer_f64()), model_bytes(&runs::<f32>(1))] {
        let model = Model::parse(&bytes).unwrap();
        let claimed = tightened(&model, 64).unwrap();
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
            let Ok(changed) = Model::parse(&changed) else { continue };
            let report = check(&claimed, &changed);
            assert!(failed_parts(&report).contains(&"model"), "byte {place}: the hash did not notice");
            // The hash recomputed: only the numbers can catch it now.
            let mut forged = claimed.clone();
            forged.model = changed.sha256();
            let report = check(&forged, &changed);
            assert!(!failed_parts(&report).contains(&"model"));
            match report.verified {
                None => caught_by_bound += 1,
                Some(_) => implied(&forged, &changed).unwrap_or_else(|e| panic!("byte {place} ^ {flip}: {e}")),
            }
        }
        assert!(caught_by_bound > 5, "only {caught_by_bound} changes were caught by a bound");
    }
}

#[test]
fn a_change_of_the_architecture_is_caught_without_the_hash() {
    let bytes = model_bytes(&every_layer());
    let claimed = certificate_of(&Model::parse(&bytes).unwrap());
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
        let changed = Model::parse(&changed).unwrap();
        let mut forged = claimed.clone();
        forged.model = changed.sha256();
        let report = check(&forged, &changed);
        assert!(report.verified.is_none() && report.failed(), "{from} → {to} passed");
    }
}

#[test]
fn an_asserted_bound_is_reported_and_never_verified() {
    let model = Model::parse(&model_bytes(&every_layer())).unwrap();
    let mut changed = issued(&certificate_of(&model));
    let layers = changed["network"]["premises"].as_array_mut().unwrap();
    let layer = layers.iter_mut().find(|layer| layer["span"].is_null()).unwrap();
    let (path, bound) = (layer["path"].as_str().unwrap().to_string(), layer["claims"]["bound"].clone());
    *layer = json!({"path": path, "rule": "asserted", "claims": {"bound": bound}});
    let report = check(&parse(&changed).unwrap(), &model);
    assert!(report.verified.is_none() && !report.failed(), "{report:#?}");
    assert!(report.findings.iter().any(|f| f.part == format!("layer {path}") && f.verdict == Verdict::Asserted));
}

#[test]
fn a_norm_below_the_largest_singular_value_is_refused() {
    // [[3, 0], [4, 0]] has the norm 5.
    let model = Model::parse(&model_bytes(&dense_f32(2, 2, vec![3.0, 0.0, 4.0, 0.0]))).unwrap();
    let original = issued(&certificate_of(&model));
    let forged = |leaf: f64, root: f64, network: f64| {
        let mut changed = original.clone();
        changed["network"]["premises"][0]["claims"]["bound"] = json!(leaf);
        changed["network"]["claims"]["bound"] = json!(root);
        changed["lipschitz"] = json!(network);
        failed_parts(&check(&parse(&changed).unwrap(), &model)).join(", ")
    };
    let (below, above) = (5.0f64.next_down(), 5.0 + 1e-8);
    assert_eq!(forged(below, below, below), "layer 0");
    assert_eq!(forged(above, below, below), "the whole");
    assert_eq!(forged(above, above, below), "network");
    assert_eq!(forged(above, above, above), "");
}

/// Maps whose constants are known: nothing below them is verified, whatever is claimed.
#[test]
fn nothing_below_a_known_constant_is_verified() {
    let dense = |o, i, w: &[f64]| affine::<f64>(Dense::new(o, i, w.to_vec()).unwrap());
    let run = |model: &Model, count: usize, rule: &str, bound: f64, evidence: Value| {
        let mut changed = issued(&certificate_of(model));
        let members: Vec<Value> =
            certificate_of(model).network.layers().map(|layer| serde_json::to_value(layer).unwrap()).collect();
        let (inside, behind) = members.split_at(count);
        let mut run = json!({"path": "0", "span": count, "rule": rule, "claims": {"bound": bound}, "premises": inside});
        if !evidence.is_null() {
            run["evidence"] = evidence;
        }
        changed["network"]["premises"] = json!([vec![run], behind.to_vec()].concat());
        changed["network"]["claims"] = json!({"bound": 1e9});
        (changed["lipschitz"], changed["features"]) = (json!(1e9), json!(1e9));
        let report = check(&parse(&changed).unwrap(), model);
        assert!(report.verified.is_some() || failed_parts(&report) == ["layer 0"], "{:?}", failed_parts(&report));
        report.verified.is_some()
    };
    // x ↦ relu(3x₁ + 4x₂) has the constant 5.
    let relu = ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(1)).unwrap();
    let layers: Layers<f64> = vec![dense(1, 2, &[3.0, 4.0]), Box::new(relu), dense(2, 1, &[1.0, -1.0])];
    let model = Model::parse(&model_bytes(&Network::new(Shape::Features(2), layers).unwrap())).unwrap();
    let multiplier = |t: f64| json!({"multipliers": [[t]]});
    assert!(run(&model, 2, "quadratic_constraint", 5.0 * (1.0 + 1e-9), multiplier(1.0)));
    for exponent in -100..100 {
        let t = libm::exp2(f64::from(exponent) / 10.0);
        assert!(!run(&model, 2, "quadratic_constraint", 5.0f64.next_down(), multiplier(t)), "multiplier {t}");
    }
    for wrong in
        [json!({"multipliers": []}), json!({"multipliers": [[1.0], [1.0]]}), json!({"norm": "residual"}), Value::Null]
    {
        assert!(!run(&model, 2, "quadratic_constraint", 100.0, wrong));
    }
    // A shear and its inverse: the identity, of norm 1.
    let layers: Layers<f64> =
        vec![dense(2, 2, &[1.0, 16.0, 0.0, 1.0]), dense(2, 2, &[1.0, -16.0, 0.0, 1.0]), dense(2, 2, &[1.0; 4])];
    let model = Model::parse(&model_bytes(&Network::new(Shape::Features(2), layers).unwrap())).unwrap();
    assert!(run(&model, 2, "operator_norm", 1.0 + 1e-9, Value::Null));
    assert!(!run(&model, 2, "operator_norm", 1.0f64.next_down(), Value::Null));
    // No other rule proves anything about several maps but their product.
    for rule in Rule::ALL.iter().filter(|rule| !matches!(rule, Rule::OperatorNorm)) {
        assert!(!run(&model, 2, rule.name(), 1.0 + 1e-9, Value::Null), "{rule}");
    }
}

#[test]
fn hostile_certificates_are_refused() {
    let model = Model::parse(&model_bytes(&every_layer())).unwrap();
    let text = serde_json::to_string(&issued(&certificate_of(&model))).unwrap();
    let refused = |bytes: &[u8]| CertificateFile::parse(bytes).is_err();
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
    assert!(refused("{\"network\":".repeat(1 << 18).as_bytes()));
    assert!(refused(text.replace("\"premises\":", &format!("\"premises\":{}", "[".repeat(1 << 18))).as_bytes()));
    assert!(refused(format!("{text} {{}}").as_bytes()));
    assert!(refused(&[0xff; 64]) && refused(b"") && refused(b"null"));
    assert!(refused(text.replace("dahlquist-certificate", "dahlquist-model").as_bytes()));
    // One of the first version is told what to do.
    let old =
        CertificateFile::parse(text.replace("\"version\":2", "\"version\":1").as_bytes()).unwrap_err().to_string();
    assert!(old.contains("version 1") && old.contains("dahlquist certify"), "{old}");
}

#[test]
fn very_many_claims_are_refused_before_they_are_proved() {
    let model = Model::parse(&model_bytes(&dense_f32(2, 2, vec![3.0, 0.0, 4.0, 0.0]))).unwrap();
    let mut changed = issued(&certificate_of(&model));
    let layer = changed["network"]["premises"][0].clone();
    changed["network"]["premises"] = json!(vec![layer; 100_000]);
    let report = check(&parse(&changed).unwrap(), &model);
    // One line says that they do not fit; none of them is looked at.
    assert!(report.failed() && report.findings.len() < 10, "{}", report.findings.len());
}

#[test]
fn files_that_are_too_large_or_no_files_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.json");
    std::fs::File::create(&path).unwrap().set_len((1 << 26) + 1).unwrap();
    for path in [path, dir.path().to_path_buf(), dir.path().join("missing.json"), "/dev/zero".into()] {
        let error = CertificateFile::read(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        let error = Model::read(&path).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn evidence_of_another_kind_a_torus_too_small_and_a_huge_one_are_refused() {
    let (model, claimed) = models().remove(0);
    let original = issued(&claimed);
    let mut all = Vec::new();
    places(&original, "", &mut all);
    let place = all.iter().find(|place| place.ends_with("/evidence/norm/torus")).unwrap();
    let place = place.strip_suffix("/norm/torus").unwrap();
    let path = original.pointer(place.strip_suffix("/evidence").unwrap()).unwrap()["path"].as_str().unwrap();
    for evidence in [
        json!({"norm": {"torus": {"points": [1, 1], "twisted": [false, false]}}}),
        json!({"norm": {"torus": {"points": [1_000_000_000u64, 1_000_000_000u64], "twisted": [false, false]}}}),
        json!({"norm": "residual"}),
        json!({"norm": "closed_form"}),
        json!({"multipliers": [[1.0]]}),
        json!("nothing"),
    ] {
        let mut changed = original.clone();
        *changed.pointer_mut(place).unwrap() = evidence.clone();
        let report = check(&parse(&changed).unwrap(), &model);
        assert_eq!(failed_parts(&report), [format!("layer {path}")], "{evidence}");
    }
}

#[test]
fn numbers_that_are_not_finite_are_not_written() {
    let model = Model::parse(&model_bytes(&dense_f32(1, 1, vec![1.0]))).unwrap();
    let mut claimed = certificate_of(&model);
    assert_eq!(claimed.norm_proof, NormProof::Torus);
    claimed.lipschitz = f64::INFINITY;
    let dir = tempfile::tempdir().unwrap();
    assert!(claimed.write(dir.path().join("c.json")).is_err());
    assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none());
}
