//! Claims about samples: written with their accuracies, verified with the samples only, and never passed over in silence.

use dahlquist_testkit::models::dense_f32;
use serde_json::{Value, json};

use dahlquist::{
    data::{Dataset, samples},
    network,
    tensor::{Batch, Shape},
};

use super::{Folder, dataset, succeeds, text};

fn certified(folder: &Folder, options: &str) -> Value {
    let words = "certify @single.safetensors --data @samples.safetensors --eps 0 1/255 --certificate @c.json";
    succeeds(&folder.run(&format!("{words} {options}")));
    folder.json("c.json")
}

#[test]
fn a_table_is_verified_with_the_samples() {
    let folder = Folder::new();
    let certificate = certified(&folder, "--json @r.json");
    let (samples, report) = (&certificate["samples"], folder.json("r.json"));
    assert_eq!(samples["labels"], json!((0..12).map(|i| i % 4).collect::<Vec<_>>()));
    // The file, the report and the table are of the same numbers.
    assert_eq!(samples["clean_accuracy"], report["clean_accuracy"]);
    assert_eq!(samples["certified_accuracy"], report["certified_accuracy"]);
    for (s, sample) in report["samples"].as_array().unwrap().iter().enumerate() {
        assert_eq!(sample["radius"], samples["radii"][s]);
        assert_eq!(sample["prediction"], samples["predictions"][s]);
    }
    let found = text(&folder.run("check @c.json @single.safetensors --data @samples.safetensors --json @f.json"));
    for (eps, accuracy) in [
        ("0 (clean)", &samples["clean_accuracy"]),
        ("0.00392156862745098", &samples["certified_accuracy"][1]["accuracy"]),
    ] {
        let row = format!("{:.2} %", 100.0 * accuracy.as_f64().unwrap());
        assert!(found.lines().any(|line| line.starts_with(eps) && line.ends_with(&row)), "{eps} {row}: {found}");
    }
    assert!(found.contains("recomputed  radii: of 12 samples") && !found.contains("proved      radii"), "{found}");
    let findings = folder.json("f.json");
    assert_eq!((&findings["verified"], &findings["scope"]), (&json!(true), &json!("all")));
    let radii = findings["findings"].as_array().unwrap().iter().find(|f| f["part"] == "radii").unwrap();
    assert_eq!(radii["verdict"], "recomputed");
}

#[test]
fn what_was_not_checked_has_status_3_unless_it_is_meant() {
    let folder = Folder::new();
    let certificate = certified(&folder, "");
    let output = folder.run("check @c.json @single.safetensors --json @f.json");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(folder.json("f.json")["verified"], false);
    let found = text(&output);
    assert!(
        found.contains("not checked samples: predictions and radii of 12") && found.contains("NOT VERIFIED"),
        "{found}"
    );

    let found = succeeds(&folder.run("check @c.json @single.safetensors --lipschitz-only --json @f.json"));
    assert!(found.contains("those about samples were NOT checked"), "{found}");
    let findings = folder.json("f.json");
    assert_eq!((&findings["verified"], &findings["scope"]), (&json!(true), &json!("lipschitz")));

    // Radii that cannot be are not passed over, whatever was asked for.
    let mut forged = certificate.clone();
    forged["samples"]["radii"] = json!(vec![1e6; 8000]);
    std::fs::write(folder.path("forged.json"), forged.to_string()).unwrap();
    for option in ["", "--lipschitz-only", "--data @samples.safetensors"] {
        let output = folder.run(&format!("check @forged.json @single.safetensors {option} --json @f.json"));
        assert_eq!(output.status.code(), Some(1), "{option}");
        assert_eq!(folder.json("f.json")["verified"], false);
    }
    // Radii of a million that contradict nothing.
    let mut forged = certificate.clone();
    let samples = forged["samples"].as_object_mut().unwrap();
    samples.retain(|key, _| !["labels", "clean_accuracy", "certified_accuracy"].contains(&&**key));
    samples["radii"] = json!(vec![1e6; 12]);
    std::fs::write(folder.path("forged.json"), forged.to_string()).unwrap();
    assert_eq!(folder.run("check @forged.json @single.safetensors").status.code(), Some(3));
    let output = folder.run("check @forged.json @single.safetensors --data @samples.safetensors");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("FAILED      radii"), "{}", text(&output));

    // A bound that only its author vouches for is not checked either.
    let mut asserted = certificate;
    asserted.as_object_mut().unwrap().remove("samples");
    let layer = &mut asserted["network"]["premises"][0];
    *layer = json!({"path": layer["path"], "rule": "asserted", "claims": layer["claims"]});
    std::fs::write(folder.path("asserted.json"), asserted.to_string()).unwrap();
    assert_eq!(folder.run("check @asserted.json @single.safetensors").status.code(), Some(3));
}

#[test]
fn samples_for_a_certificate_that_claims_nothing_about_them_are_not_passed_over() {
    let folder = Folder::new();
    succeeds(&folder.run("certify @single.safetensors --certificate @c.json"));
    assert!(succeeds(&folder.run("check @c.json @single.safetensors")).contains("every claim is proved\n"));
    let output = folder.run("check @c.json @single.safetensors --data @samples.safetensors --json @f.json");
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("claims nothing about samples"), "{}", text(&output));
    assert_eq!(folder.json("f.json")["verified"], false);
}

#[test]
fn a_certificate_names_program_and_kernels_and_a_declared_order_is_that_of_these() {
    let folder = Folder::new();
    let mut certificate = certified(&folder, "--summation declared");
    assert_eq!(certificate["program"], concat!("dahlquist ", env!("CARGO_PKG_VERSION")));
    assert_eq!((&certificate["kernels"], &certificate["summation"]), (&json!(1), &json!("declared")));
    succeeds(&folder.run("check @c.json @single.safetensors --data @samples.safetensors"));
    certificate["kernels"] = json!(7);
    std::fs::write(folder.path("other.json"), certificate.to_string()).unwrap();
    let output = folder.run("check @other.json @single.safetensors --data @samples.safetensors");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("that of version 7; this program has version 1"), "{}", text(&output));
    certificate["summation"] = json!("any");
    std::fs::write(folder.path("other.json"), certificate.to_string()).unwrap();
    // Any order is one of every kernel; but these radii need the declared one, or hold for both.
    let output = folder.run("check @other.json @single.safetensors --data @samples.safetensors");
    assert!(!text(&output).contains("FAILED      kernels"), "{}", text(&output));
}

#[test]
fn samples_without_labels_have_radii_and_no_accuracies() {
    let folder = Folder::new();
    let x = dataset(Shape::image(2, 8, 8), 3, 4).batch::<f32>(&[0, 1, 2]).unwrap();
    let header = r#"{"x":{"dtype":"F32","shape":[3,2,8,8],"data_offsets":[0,1536]}}"#;
    let data: Vec<u8> = x.data().iter().flat_map(|x| x.to_le_bytes()).collect();
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    std::fs::write(folder.path("bare.safetensors"), file).unwrap();

    let done = folder
        .run("certify @single.safetensors --data @bare.safetensors --certificate @c.json --json @r.json --csv @t.csv");
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && text.contains("no labels") && !text.contains('%'), "{text}");
    let report = folder.json("r.json");
    assert_eq!((&report["samples"][0]["label"], &report["clean_accuracy"]), (&Value::Null, &Value::Null));
    assert!(report["samples"].as_array().unwrap().len() == 3 && report["samples"][0]["radius"].is_number());
    assert!(folder.run("check @c.json @single.safetensors --data @bare.safetensors").status.success());

    let done = folder.run("predict @single.safetensors --data @bare.safetensors --json @p.json");
    assert!(done.status.success());
    assert_eq!((&folder.json("p.json")["accuracy"], &folder.json("p.json")["labels"]), (&Value::Null, &Value::Null));
    let refused = folder.run("attack @single.safetensors --data @bare.safetensors --eps 0.1");
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("no labels"));
}

/// A pixel outside by a rounding error does not take the range away, and every run says in which range it searched.
#[test]
fn an_attack_says_in_which_range_coordinates_stay() {
    let folder = Folder::new();
    let mut x = dataset(Shape::image(2, 8, 8), 12, 4).batch::<f32>(&(0..12).collect::<Vec<_>>()).unwrap();
    x.data_mut()[5] = -3e-8;
    let names = (0..4).map(|class| class.to_string()).collect();
    let data = Dataset::from_samples(&x, (0..12).map(|s| s % 4).collect(), names).unwrap();
    samples::save::<f32>(folder.path("near.safetensors"), &data).unwrap();
    let run = |data: &str, options: &str| {
        let words = "attack @single.safetensors --eps 0.1 --steps 2 --json @a.json";
        let text = succeeds(&folder.run(&format!("{words} --data @{data}.safetensors {options}")));
        (text, folder.json("a.json"))
    };
    for (data, options, phrase, range) in [
        ("samples", "", "coordinates stay in [0, 1]\n", json!([0.0, 1.0])),
        ("near", "", "those of samples outside of it, which are in [-2.99999", json!([0.0, 1.0])),
        ("near", "--range -1 2", "coordinates stay in [-1, 2]\n", json!([-1.0, 2.0])),
        ("near", "--no-range", "coordinates have no range", Value::Null),
    ] {
        let (text, found) = run(data, options);
        assert!(text.contains(phrase), "{data} {options}: {phrase:?} is not in {text}");
        assert_eq!((&found["range"], &found["norm"], &found["loss"]), (&range, &json!("l2"), &json!("targeted")));
    }
    for (loss, name) in [("margin", "margin"), ("cross-entropy", "cross_entropy"), ("targeted", "targeted")] {
        let (text, found) = run("samples", &format!("--loss {loss} --norm linf"));
        assert!(text.contains("ε is an ℓ∞ distance in units of the input"), "{text}");
        assert_eq!((&found["norm"], &found["loss"]), (&json!("linf"), &json!(name)));
    }
    let refused = folder.run("attack @single.safetensors --data @near.safetensors --eps 0.1 --range 0.25 0.5");
    assert_eq!(refused.status.code(), Some(2));
}

/// Of the logits x₁ + x₂ and 0 the boundary is at (x₁ + x₂)/√2, in the maximum norm at half of the sum, and inputs of at
/// least 1/8 never reach it.
#[test]
fn radii_in_another_norm_or_in_a_range_are_named_and_checked() {
    let folder = Folder::new();
    network::save(&dense_f32(2, 2, vec![1.0, 1.0, 0.0, 0.0]), &folder.path("sum.safetensors")).unwrap();
    let x = Batch::new(Shape::Features(2), vec![0.5f32, 0.25]).unwrap();
    let data = Dataset::from_samples(&x, vec![0], vec!["0".into(), "1".into()]).unwrap();
    samples::save::<f32>(folder.path("sum_sample.safetensors"), &data).unwrap();
    for (options, [least, most], within, phrase) in [
        ("", [0.53, 0.5304], json!({"norm": "l2", "range": null}), "ℓ2 distances in units of the input\n"),
        ("--norm linf", [0.374, 0.375], json!({"norm": "linf", "range": null}), "ℓ∞ distances in units of the input\n"),
        (
            "--norm linf --range 0.125 1",
            [0.376, 1e9],
            json!({"norm": "linf", "range": [0.125, 1.0]}),
            "ℓ∞ distances in units of the input, of inputs in [0.125, 1] alone\n",
        ),
        (
            "--range 0.125 1",
            [0.54, 1e9],
            json!({"norm": "l2", "range": [0.125, 1.0]}),
            "ℓ2 distances in units of the input, of inputs in [0.125, 1] alone\n",
        ),
    ] {
        let words = "certify @sum.safetensors --data @sum_sample.safetensors --eps 0.3 --certificate @c.json";
        let text = succeeds(&folder.run(&format!("{words} --json @r.json --plot @p.svg {options}")));
        assert!(text.contains(phrase), "{options}: {phrase:?} is not in {text}");
        let report = folder.json("r.json");
        assert_eq!(report["within"], within, "{options}");
        let radius = report["samples"][0]["radius"].as_f64().unwrap();
        assert!(radius >= least && radius <= most, "{options}: {radius}");
        let (norm, claimed) = (within["norm"].as_str().unwrap(), folder.json("c.json"));
        assert_eq!(claimed["samples"]["within"]["norm"], if options.is_empty() { Value::Null } else { json!(norm) });
        let title = if norm == "l2" { "ℓ2 distance ε" } else { "ℓ∞ distance ε" };
        assert!(std::fs::read_to_string(folder.path("p.svg")).unwrap().contains(title));
        let check = "check @c.json @sum.safetensors --data @sum_sample.safetensors";
        assert!(succeeds(&folder.run(check)).contains(title));
        // Of other inputs it is not true.
        let mut forged = claimed;
        forged["samples"]["within"] = json!({"norm": "l2", "range": [0.0, 1.0]});
        forged["samples"]["local"] = json!(true);
        forged["samples"]["radii"] = json!([0.6]);
        std::fs::write(folder.path("f.json"), forged.to_string()).unwrap();
        assert_eq!(folder.run(&check.replace("@c", "@f")).status.code(), Some(1), "{options}");
    }
    for options in ["--range 1 0", "--norm l1", "--range 0"] {
        let words = format!("certify @sum.safetensors --data @sum_sample.safetensors {options}");
        assert_eq!(folder.run(&words).status.code(), Some(2), "{options}");
    }
}
