//! Model files that lie or are damaged: refused by name, and nothing panics.

use std::{fmt::Write, path::PathBuf};

use dahlquist::{
    Error,
    laws::search,
    network::{AnyNetwork, load},
};
use proptest::prelude::any;

/// The bytes of a model file, its header written by hand.
fn model(architecture: &str, tensors: &[(&str, &[usize], &[f32])]) -> Vec<u8> {
    let (mut header, mut data) = (String::new(), Vec::new());
    write!(header, "{{\"__metadata__\":{{\"dahlquist\":{}}}", serde_json::to_string(architecture).unwrap()).unwrap();
    for (name, shape, numbers) in tensors {
        let start = data.len();
        data.extend(numbers.iter().flat_map(|x| x.to_le_bytes()));
        write!(
            header,
            ",\"{name}\":{{\"dtype\":\"F32\",\"shape\":{shape:?},\"data_offsets\":[{start},{}]}}",
            data.len()
        )
        .unwrap();
    }
    header.push('}');
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

fn read(bytes: &[u8]) -> Result<AnyNetwork, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("hostile.safetensors");
    std::fs::write(&path, bytes).unwrap();
    let result = load(&path);
    if let Err(error) = &result {
        assert!(error.to_string().contains("hostile.safetensors"), "the file is not named: {error}");
    }
    result
}

const DENSE: &str =
    r#"{"format":"dahlquist-model","version":1,"input":[2],"layers":[{"type":"dense","weight":"w","bias":null}]}"#;

fn flow(method: &str, step: &str, steps: &str) -> String {
    format!(
        r#"{{"format":"dahlquist-model","version":1,"input":[2],"layers":[{{"type":"flow","method":"{method}",
        "step":{step},"steps":{steps},"field":{{"type":"gradient","activation":{{"function":"relu"}},
        "operator":{{"type":"dense","weight":"w"}}}}}}]}}"#
    )
}

#[test]
fn model_files_that_lie_are_refused() {
    let w: (&str, &[usize], &[f32]) = ("w", &[1, 2], &[1.0, 2.0]);
    assert!(matches!(read(&model(DENSE, &[w])), Ok(AnyNetwork::F32(_))));
    assert!(read(&model(&flow("rk4", "0.1", "2"), &[w])).is_ok());
    let refused = |what: &str, architecture: &str, tensors: &[(&str, &[usize], &[f32])], reason: &str| {
        let error = read(&model(architecture, tensors)).expect_err(what).to_string();
        assert!(error.contains(reason), "{what}: {error}");
    };
    refused("a missing tensor", DENSE, &[("v", &[1, 2], &[1.0, 2.0])], "no tensor of this name");
    refused("a tensor of another rank", DENSE, &[("w", &[2], &[1.0, 2.0])], "shape");
    refused("a tensor of another size", DENSE, &[("w", &[2, 1], &[1.0, 2.0])], "shape");
    refused("a NaN", DENSE, &[("w", &[1, 2], &[1.0, f32::NAN])], "NaN");
    refused("an infinity", DENSE, &[("w", &[1, 2], &[1.0, f32::INFINITY])], "inf");
    for (from, to, reason) in [
        ("dahlquist-model", "another-model", "another-model"),
        ("\"version\":1", "\"version\":3", "version 3"),
        ("\"input\":[2]", "\"input\":[0]", "at least 1"),
        ("\"input\":[2]", "\"input\":[2,2]", "[features] or [channels, height, width]"),
        ("\"input\":[2]", "\"input\":[18446744073709551615,9,9]", "2³²"),
        ("\"input\":[2]", "\"input\":[3]", "shape"),
        ("\"type\":\"dense\"", "\"type\":\"attention\"", "no layer of this type"),
        ("\"bias\":null", "\"bias\":\"b\"", "no tensor of this name"),
        ("\"bias\":null", "\"biass\":null", "unknown field"),
        ("[{\"type\":\"dense\",\"weight\":\"w\",\"bias\":null}]", "[]", "at least one layer"),
        ("\"type\":\"dense\",\"weight\":\"w\",\"bias\":null", "\"type\":\"avg_pool\",\"size\":2", "image"),
    ] {
        assert!(DENSE.contains(from));
        refused(to, &DENSE.replace(from, to), &[w], reason);
    }
    refused("an unknown method", &flow("leapfrog", "0.1", "1"), &[w], "known are");
    let solved = |method, tolerance| {
        flow(method, "0.1", "1").replace("\"method\"", &format!("\"tolerance\":{tolerance},\"method\""))
    };
    refused("a tolerance of an explicit method", &solved("rk4", "1e-6"), &[w], "explicit");
    refused("a tolerance that is none", &solved("gauss2", "0"), &[w], "tolerance");
    refused("the method of Cayley for another field", &solved("cayley", "1e-6"), &[w], "skew_linear");
    refused("no steps", &flow("euler", "0.1", "0"), &[w], "at least one step");
    refused("a step that overflows", &flow("euler", "1e400", "1"), &[w], "out of range");
    refused("a step that overflows f32", &flow("euler", "1e300", "1"), &[w], "finite");
    let leaky = flow("euler", "0.1", "1").replace(r#""function":"relu""#, r#""function":"leaky_relu","slope":-0.1"#);
    refused("a negative slope", &leaky, &[w], "slope");
    // A method without a radius loads, runs, and has a factor.
    let sealed = |step: &str| match read(&model(&flow("midpoint", step, "1"), &[w])) {
        Ok(AnyNetwork::F32(network)) => network.seal(),
        _ => panic!("no network in f32"),
    };
    assert!(sealed("0.1").unwrap().certificate().bound().get() >= 1.0);
}

#[test]
fn headers_that_lie_are_refused() {
    let good = model(DENSE, &[("w", &[1, 2], &[1.0, 2.0])]);
    let text = String::from_utf8_lossy(&good[8..]).into_owned();
    let lie = |from: &str, to: &str| {
        let changed = text.replacen(from, to, 1).into_bytes();
        assert_ne!(changed, text.as_bytes(), "{from}");
        let header = changed.len() - 8;
        [&(header as u64).to_le_bytes()[..], &changed].concat()
    };
    for (from, to) in [
        ("[0,8]", "[0,16]"),
        ("[0,8]", "[4,8]"),
        ("[0,8]", "[8,0]"),
        ("[0,8]", "[0,18446744073709551615]"),
        ("[1, 2]", "[1, 3]"),
        ("[1, 2]", "[9223372036854775807, 9]"),
        ("F32", "F64"),
        ("F32", "I32"),
        ("F32", "F99"),
        ("\"w\"", "\"v\""),
        ("dahlquist\"", "somebody\""),
    ] {
        assert!(read(&lie(from, to)).is_err(), "{from} → {to}");
    }
    for length in [0, 7, 1 << 20, 1 << 40, u64::MAX] {
        assert!(read(&[&length.to_le_bytes()[..], &good[8..]].concat()).is_err(), "{length}");
    }
    for cut in 0..good.len() {
        assert!(read(&good[..cut]).is_err(), "{cut} bytes");
    }
    assert!(read(&[&good[..], &[0]].concat()).is_err());
}

/// Parsers differ in which of two equal keys they keep: a file may not mean two things.
#[test]
fn a_key_that_is_there_twice_is_refused() {
    let w: (&str, &[usize], &[f32]) = ("w", &[1, 2], &[1.0, 2.0]);
    let good = model(DENSE, &[w]);
    let header = String::from_utf8(good[8..good.len() - 8].to_vec()).unwrap();
    let with = |changed: String| {
        read(&[&(changed.len() as u64).to_le_bytes()[..], changed.as_bytes(), &good[good.len() - 8..]].concat())
    };
    assert!(with(header.clone()).is_ok());
    let end = header.strip_suffix('}').unwrap();
    let tensor = &end[end.find("\"w\":").unwrap()..];
    let metadata = &header[1..header.find("},\"w\"").unwrap() + 1];
    let architecture = &metadata[metadata.find("\"dahlquist\"").unwrap()..metadata.len() - 1];
    for (what, changed) in [
        ("a tensor", format!("{end},{tensor}}}")),
        ("a tensor, its name escaped", format!("{end},{}}}", tensor.replacen("\"w\"", "\"\\u0077\"", 1))),
        ("the metadata", format!("{end},{metadata}}}")),
        ("the architecture", header.replacen(architecture, &format!("{architecture},{architecture}"), 1)),
        ("the shape", header.replacen("\"shape\":", "\"shape\":[1,2],\"shape\":", 1)),
    ] {
        let error = with(changed).expect_err(what).to_string();
        assert!(error.contains("twice") || error.contains("duplicate field"), "{what}: {error}");
    }
    // In the architecture itself, also where a parser would skip it.
    for (from, to) in
        [("\"input\":[2]", "\"input\":[3],\"input\":[2]"), ("\"weight\":\"w\"", "\"weight\":\"v\",\"weight\":\"w\"")]
    {
        let error = read(&model(&DENSE.replace(from, to), &[w])).expect_err(to).to_string();
        assert!(error.contains("twice"), "{error}");
    }
}

/// Whatever a file holds, reading it returns.
#[test]
fn damaged_files_never_panic() {
    let good = model(DENSE, &[("w", &[1, 2], &[1.0, 2.0])]);
    let damage = (0..good.len(), any::<u8>(), 0..good.len(), any::<u8>());
    let found = search(1000, damage, |&(i, a, j, b), _| {
        let mut bytes = good.clone();
        (bytes[i], bytes[j]) = (a, b);
        let _ = read(&bytes);
        Ok(())
    });
    assert!(found.is_ok(), "{found:?}");
}
