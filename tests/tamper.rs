//! A certificate file can be checked by someone who trusts nothing in it: whatever is changed, in the certificate or
//! in the model, either fails or leaves the claims true.

mod common;

use common::{
    certificate_of, dense_f32, every_layer, every_layer_f64,
    known::{self, Truth},
    model_bytes,
    tamper::{every_change, failed_parts, is_about, issued, parse, places},
};
use dahlquist::{
    Network,
    certificate::Basis,
    check::{Verdict, check},
    io::{AnyNetwork, Claimed, ModelFile},
    operator::{Affine, Norms},
    scalar::Scalar,
    tensor::Shape,
};
use num_rational::BigRational;
use serde_json::{Value, json};

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

/// The networks whose constants are known, as files, with what is claimed about them.
fn known() -> Vec<(ModelFile, Claimed, Truth)> {
    fn file<T: Scalar>((network, truth): (Network<T>, Truth)) -> (ModelFile, Claimed, Truth) {
        let model = ModelFile::parse(model_bytes(&network)).unwrap();
        let claimed = certificate_of(&model);
        truth.contradicts(&claimed).expect("what is issued is true");
        assert!(claimed.lipschitz < 1.001 * truth.product(0..truth.layers.len()), "{}", claimed.lipschitz);
        (model, claimed, truth)
    }
    vec![
        file(known::flows::<f32>()),
        file(known::flows::<f64>()),
        file(known::groups::<f32>()),
        file(known::groups::<f64>()),
    ]
}

#[test]
fn every_change_of_a_field_fails_or_leaves_the_claim_true() {
    for (model, claimed, truth) in known() {
        let [refused, failed, true_still] = every_change(&model, &claimed, &truth);
        assert!(refused > 200 && failed > 60 && true_still > 10, "{refused} {failed} {true_still}");
    }
}

#[test]
fn a_field_that_is_removed_or_added_is_refused_or_leaves_the_claim_true() {
    for (model, claimed, truth) in known() {
        let original = issued(&claimed);
        let mut all = vec![String::new()];
        places(&original, "", &mut all);
        for place in all {
            let Some(Value::Object(fields)) = original.pointer(&place) else { continue };
            for name in fields.keys() {
                let mut changed = original.clone();
                changed.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(name);
                if let Ok(changed) = parse(&changed)
                    && check(&changed, &model).verified.is_some()
                {
                    is_about(&changed, &claimed)
                        .and_then(|()| truth.contradicts(&changed))
                        .unwrap_or_else(|e| panic!("{place} without {name}: {e}"));
                }
            }
            let mut changed = original.clone();
            changed.pointer_mut(&place).unwrap().as_object_mut().unwrap().insert("extra".into(), json!(1));
            assert!(parse(&changed).is_err(), "an unknown field at {place:?} is read");
        }
    }
}

/// Rows and columns of a matrix are at most as long as it is stretched, exactly.
fn affine_claims_hold(claimed: &Claimed, model: &ModelFile) {
    let network = match model.network().unwrap() {
        AnyNetwork::F32(network) => network.widen(),
        AnyNetwork::F64(network) => network.widen(),
    };
    for (layer, claim) in network.layers().zip(&claimed.layers) {
        let Some(operator) = layer.as_affine().map(Affine::operator).filter(|w| !w.weight().is_empty()) else {
            continue;
        };
        let square = |x: f64| BigRational::from_float(x).map(|x| &x * &x).expect("finite");
        // The rows of a matrix, or the taps of one output of a convolution: some output reads all of them.
        let outputs = match operator.output() {
            Shape::Features(n) => n,
            Shape::Image { channels, .. } => channels,
        };
        let rows = operator.weight().chunks(operator.weight().len() / outputs);
        let longest = rows.map(|row| row.iter().map(|&w| square(w)).sum::<BigRational>()).max().expect("a row");
        assert!(longest <= square(claim.bound), "{}: a row is longer than {}", claim.path, claim.bound);
    }
}

#[test]
fn every_change_of_a_weight_is_caught_by_the_hash_and_without_it_by_the_bound_or_leaves_the_claim_true() {
    for (model, truth, _) in known() {
        let bytes = match model.network().unwrap() {
            AnyNetwork::F32(network) => model_bytes(&network),
            AnyNetwork::F64(network) => model_bytes(&network),
        };
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let [mut caught_by_bound, mut accepted] = [0; 2];
        let width = if model.scalar() == "f32" { 4 } else { 8 };
        // The highest byte of a number holds its sign and most of its exponent, the lowest its last bits.
        for from in (8 + header..bytes.len()).step_by(width) {
            for (place, flip) in
                [(from + width - 1, 0x02), (from + width - 1, 0x80), (from + width - 2, 0x10), (from, 0x01)]
            {
                let mut changed = bytes.clone();
                changed[place] ^= flip;
                let Ok(changed) = ModelFile::parse(changed) else { continue };
                let report = check(&truth, &changed);
                assert!(failed_parts(&report).contains(&"model"), "byte {place}: the hash did not notice");
                // The hash recomputed: only the numbers can catch it now.
                let mut forged = truth.clone();
                forged.model = changed.sha256();
                let report = check(&forged, &changed);
                assert!(!failed_parts(&report).contains(&"model"));
                match report.verified {
                    None => caught_by_bound += 1,
                    Some(_) => {
                        accepted += 1;
                        affine_claims_hold(&forged, &changed);
                    }
                }
            }
        }
        assert!(caught_by_bound > 10 && accepted > 10, "{caught_by_bound} caught by a bound, {accepted} accepted");
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
    let text = serde_json::to_string(&issued(&certificate_of(&model))).unwrap();
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

/// Claims about layers that a model does not have are counted, not checked one by one.
#[test]
fn very_many_claims_are_refused_in_one_sentence() {
    let model = ModelFile::parse(model_bytes(&dense_f32(2, 2, vec![3.0, 0.0, 4.0, 0.0]))).unwrap();
    let mut claimed = certificate_of(&model);
    let layer = claimed.layers[0].clone();
    claimed.layers = vec![layer; 100_000];
    let bytes = serde_json::to_vec(&claimed).unwrap();
    let report = check(&Claimed::parse(&bytes).unwrap(), &model);
    assert!(report.failed() && report.findings.len() < 10, "{} findings", report.findings.len());
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
    let original = issued(&certificate_of(&model));
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
