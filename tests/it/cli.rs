//! The program `dahlquist`: exit status, JSON, and errors in one sentence that name the file.

#![cfg(feature = "cli")]

#[path = "cli/samples.rs"]
mod claims;
mod outputs;
mod shards;
mod units;
mod witness;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use dahlquist::{
    Network,
    activation::Activation,
    data::{Dataset, samples},
    layer::{ActivationLayer, AffineLayer, Layer},
    network,
    operator::{Affine, Dense},
    scalar::Scalar,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{dense_f32, dense_stack, every_layer, every_layer_f64};
use serde_json::{Value, json};

/// A folder with a model of every layer, in `f32` and in `f64`, and samples for both.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        network::save(&every_layer(), &folder.path("single.safetensors")).unwrap();
        network::save(&every_layer_f64(), &folder.path("double.safetensors")).unwrap();
        samples::save::<f32>(folder.path("samples.safetensors"), &dataset(Shape::image(2, 8, 8), 12, 4)).unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs the program; words that name a file of the folder become its path.
    fn run(&self, words: &str) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dahlquist"));
        for word in words.split_whitespace() {
            match word.strip_prefix('@') {
                Some(name) => command.arg(self.path(name)),
                None => command.arg(word),
            };
        }
        command
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(self.path(name)).unwrap()).unwrap()
    }
}

fn dataset(shape: Shape, count: usize, classes: usize) -> Dataset {
    let pixel = |i: usize| ((i * 37) % 101) as f32 / 101.0;
    let x = Batch::new(shape, (0..shape.len() * count).map(pixel).collect()).unwrap();
    let labels = (0..count).map(|i| i % classes).collect();
    Dataset::from_samples(&x, labels, (0..classes).map(|c| c.to_string()).collect()).unwrap()
}

/// Status 0, and nothing but notes on stderr: no bar is drawn where it is no terminal.
fn succeeds(output: &Output) -> String {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    assert!(errors.lines().all(|line| line.starts_with("dahlquist: note: ")), "{errors}");
    text(output)
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Status 2, nothing on stdout, one line on stderr with these words in it.
fn refuses(output: &Output, words: &[&str]) {
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(output.stdout.is_empty());
    assert_eq!(errors.lines().filter(|line| !line.starts_with("dahlquist: note: ")).count(), 1, "{errors}");
    for word in words {
        assert!(errors.contains(word), "{word:?} is not in {errors}");
    }
}

#[test]
fn show_lists_layers_shapes_parameters_and_claims() {
    let folder = Folder::new();
    let text = succeeds(&folder.run("show @single.safetensors --json @show.json"));
    for word in ["gradient_step", "circle_contractivity", "operator_norm", "isometry", "slope", "2×8×8", "f32"] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    let value = folder.json("show.json");
    assert_eq!(value["layers"].as_array().unwrap().len(), every_layer().layers().count());
    assert_eq!(value["layers"][1]["claim"]["bound"], 1.0);
    assert_eq!(value["input"], json!([2, 8, 8]));
}

#[test]
fn predict_writes_the_logits_that_the_library_computes() {
    fn compare<T: Scalar>(network: &dahlquist::Network<T>, value: &Value) {
        let x = dataset(Shape::image(2, 8, 8), 12, 4).batch::<T>(&(0..12).collect::<Vec<_>>()).unwrap();
        let y = network.forward(&x).unwrap();
        let logits: Vec<Vec<f64>> = serde_json::from_value(value["logits"].clone()).unwrap();
        assert_eq!(logits.len(), 12);
        for (s, logits) in logits.iter().enumerate() {
            assert_eq!(*logits, y.sample(s).iter().map(|l| l.wide()).collect::<Vec<_>>());
        }
    }
    let folder = Folder::new();
    for model in ["single", "double"] {
        succeeds(
            &folder.run(&format!("predict @{model}.safetensors --data @samples.safetensors --json @{model}.json")),
        );
    }
    compare(&every_layer(), &folder.json("single.json"));
    compare(&every_layer_f64(), &folder.json("double.json"));
}

#[test]
fn certify_writes_what_is_promised_and_check_verifies_it() {
    let folder = Folder::new();
    for model in ["single", "double"] {
        for semantics in ["exact", "executed"] {
            let text = succeeds(&folder.run(&format!(
                "certify @{model}.safetensors --data @samples.safetensors --eps 0,1/255,0.5 --semantics {semantics} \
                 --certificate @c.json --json @r.json"
            )));
            assert!(text.contains("certified at ε = 0.0039 (1/255)"), "{text}");
            let value = folder.json("r.json");
            assert_eq!((&value["semantics"], &value["norm"]), (&json!(semantics), &json!("l2")));
            assert_eq!((&value["summation"], &value["norm_proof"]), (&json!("any"), &json!("torus")));
            assert_eq!(value["scalar"], if model == "single" { "f32" } else { "f64" });
            assert!(value["lipschitz"].as_f64().unwrap() > 0.0);
            assert_eq!(value["layers"].as_array().unwrap().len(), every_layer().layers().count());
            for layer in value["layers"].as_array().unwrap() {
                assert!(layer["path"].is_string() && layer["rule"].is_string() && layer["bound"].is_f64());
            }
            let samples = value["samples"].as_array().unwrap();
            assert_eq!(samples.len(), 12);
            assert!(samples.iter().any(|s| s["radius"].as_f64().unwrap() > 0.0));
            assert!(samples.iter().all(|s| s["prediction"].is_u64() && s["label"].is_u64()));
            let accuracies: Vec<f64> = value["certified_accuracy"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a["accuracy"].as_f64().unwrap())
                .collect();
            assert_eq!(value["certified_accuracy"][1]["eps"].as_f64().unwrap(), 1.0 / 255.0);
            assert!(accuracies.is_sorted_by(|a, b| a >= b));
            assert!(value["clean_accuracy"].as_f64().unwrap() >= accuracies[0]);

            let with_data = format!("check @c.json @{model}.safetensors --data @samples.safetensors --json @f.json");
            let text = succeeds(&folder.run(&with_data));
            assert!(text.contains("every claim about samples recomputed"), "{text}");
            assert_eq!(folder.json("f.json")["verified"], true);
        }
    }
}

#[test]
fn stacks_that_are_certified_as_one_and_local_radii_are_larger_and_verified() {
    let folder = Folder::new();
    network::save(&dense_stack(), &folder.path("stack.safetensors")).unwrap();
    samples::save::<f32>(folder.path("points.safetensors"), &dataset(Shape::Features(2), 20, 3)).unwrap();
    let radii = |options: &str| -> Vec<f64> {
        let certify = "certify @stack.safetensors --data @points.safetensors --certificate @c.json --json @r.json";
        succeeds(&folder.run(&format!("{certify} {options}")));
        let check = "check @c.json @stack.safetensors --data @points.safetensors";
        assert!(succeeds(&folder.run(check)).contains("every claim about samples recomputed"), "{options}");
        folder.json("r.json")["samples"].as_array().unwrap().iter().map(|s| s["radius"].as_f64().unwrap()).collect()
    };
    let (plain, tightened, local) = (radii(""), radii("--tighten 64"), radii("--local --norm-proof tight"));
    let both = radii("--tighten 64 --local --semantics exact --summation declared");
    assert_eq!(folder.json("r.json")["runs"][0]["rule"], "quadratic_constraint");
    let larger = |a: &[f64], b: &[f64]| a.iter().zip(b).filter(|(a, b)| **a > 1.01 * **b).count();
    for (a, b) in [(&tightened, &plain), (&local, &plain), (&both, &tightened)] {
        assert!(a.iter().zip(b).all(|(a, b)| a >= b) && larger(a, b) > 10);
    }
    let mut changed = folder.json("c.json");
    let samples = changed["samples"].as_object_mut().unwrap();
    samples.retain(|key, _| !["labels", "clean_accuracy", "certified_accuracy"].contains(&&**key));
    let radius = &mut changed["samples"]["radii"][0];
    *radius = json!(radius.as_f64().unwrap() * 1.01);
    std::fs::write(folder.path("d.json"), changed.to_string()).unwrap();
    let output = folder.run("check @d.json @stack.safetensors --data @points.safetensors");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stdout).unwrap().contains("sample 0"));
}

#[test]
fn a_claim_that_fails_has_status_1() {
    let folder = Folder::new();
    succeeds(&folder.run("certify @single.safetensors --data @samples.safetensors --certificate @c.json"));
    let text = std::fs::read_to_string(folder.path("c.json")).unwrap();
    let mut changed: Value = serde_json::from_str(&text).unwrap();
    let bound = changed["lipschitz"].as_f64().unwrap();
    changed["lipschitz"] = (bound * 0.999).into();
    std::fs::write(folder.path("low.json"), changed.to_string()).unwrap();
    let output = folder.run("check @low.json @single.safetensors");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("FAILED      network"));
    // Another model, other samples, a longer radius.
    assert_eq!(folder.run("check @c.json @double.safetensors").status.code(), Some(1));
    samples::save::<f32>(folder.path("other.safetensors"), &dataset(Shape::image(2, 8, 8), 11, 4)).unwrap();
    assert_eq!(folder.run("check @c.json @single.safetensors --data @other.safetensors").status.code(), Some(1));
    let mut changed: Value = serde_json::from_str(&text).unwrap();
    let radii = changed["samples"]["radii"].as_array_mut().unwrap();
    let longest = radii.iter_mut().max_by(|a, b| a.as_f64().unwrap().total_cmp(&b.as_f64().unwrap())).unwrap();
    *longest = (longest.as_f64().unwrap() * 1.001).into();
    std::fs::write(folder.path("long.json"), changed.to_string()).unwrap();
    assert_eq!(folder.run("check @long.json @single.safetensors --data @samples.safetensors").status.code(), Some(1));
}

#[test]
fn attack_and_falsify_report_and_find_nothing_against_a_true_certificate() {
    let folder = Folder::new();
    let words = "attack @single.safetensors --data @samples.safetensors --eps 0.5,0.01 --steps 3 --json @a.json";
    assert!(succeeds(&folder.run(words)).contains("under attack at ε = 0.0100"));
    assert_eq!(errors(&folder.run(words)), "", "samples are in [0, 1]");
    let value = folder.json("a.json");
    assert_eq!((&value["summation"], &value["norm"]), (&json!("any"), &json!("l2")));
    let robust = value["robust_accuracy"].as_array().unwrap();
    assert_eq!(robust[0]["eps"], 0.01);
    assert!(robust[0]["accuracy"].as_f64().unwrap() <= value["clean_accuracy"].as_f64().unwrap());
    for data in ["", "--data @samples.safetensors"] {
        for options in ["", "--summation declared --norm-proof tight"] {
            let words = format!("falsify @single.safetensors {data} {options} --budget 0 --json @f.json");
            assert!(succeeds(&folder.run(&words)).contains("nothing refuted"));
            let value = folder.json("f.json");
            assert_eq!(value["refuted"], false);
            let layers = value["layers"].as_array().unwrap();
            assert_eq!(layers.len(), every_layer().layers().count());
            for found in layers.iter().chain([&value["features"], &value["network"]]) {
                let number = |name: &str| found[name].as_f64().unwrap();
                assert!(number("bound") >= number("lower") && number("looseness") >= 1.0, "{found}");
            }
        }
    }
}

#[test]
fn train_writes_a_model_that_is_certified() {
    let folder = Folder::new();
    let dir = folder.path("cifar");
    std::fs::create_dir(&dir).unwrap();
    for (file, name) in (0u8..).zip([
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
    ]) {
        let records = (0..8u8)
            .flat_map(|i| std::iter::once(i % 10).chain((0..3072).map(move |p| (p as u8).wrapping_mul(i + file + 1))));
        std::fs::write(dir.join(name), records.collect::<Vec<u8>>()).unwrap();
    }
    let text = succeeds(
        &folder
            .run("train --data @cifar --out @m.safetensors --epochs 1 --batch 4 --limit 8 --threads 1 --json @t.json"),
    );
    assert!(text.contains("written to"));
    assert_eq!(folder.json("t.json")["images"], 8);
    succeeds(&folder.run("certify @m.safetensors --data @cifar --limit 2 --certificate @c.json --json @r.json"));
    assert_eq!(folder.json("r.json")["features"], 1.0);
    assert_eq!(folder.json("r.json")["samples"].as_array().unwrap().len(), 2);
    succeeds(&folder.run("check @c.json @m.safetensors --data @cifar --limit 2"));
}

#[test]
fn a_network_without_a_proof_is_not_certified() {
    let folder = Folder::new();
    // The product of the norms of two layers is no number of f64.
    let dense = |outputs: usize, weights: Vec<f64>| -> Box<dyn Layer<f64>> {
        Box::new(AffineLayer::new(Affine::new(Dense::new(outputs, 1, weights).unwrap(), None).unwrap()))
    };
    let tanh = || Box::new(ActivationLayer::new::<f64>(Activation::Tanh {}, Shape::Features(1)).unwrap());
    let layers = vec![dense(1, vec![1e200]), tanh(), dense(1, vec![1e200]), tanh(), dense(2, vec![1.0, 0.0])];
    network::save(&Network::new(Shape::Features(1), layers).unwrap(), &folder.path("steep.safetensors")).unwrap();
    let output = folder.run("certify @steep.safetensors");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("steep.safetensors: not certified"), "{text}");
    assert!(succeeds(&folder.run("show @steep.safetensors")).contains("dense"));
}

#[test]
fn unreadable_input_has_status_2_and_one_sentence_that_names_the_file() {
    let folder = Folder::new();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path(name), bytes).unwrap();
    let model = std::fs::read(folder.path("single.safetensors")).unwrap();
    write("empty.safetensors", b"");
    write("short.safetensors", &model[..model.len() - 1]);
    write("long.safetensors", &[&model[..], &[0]].concat());
    write("noise.safetensors", &[0xff; 4096]);
    let plain = samples_without_architecture(&folder);
    for name in [
        "empty.safetensors",
        "short.safetensors",
        "long.safetensors",
        "noise.safetensors",
        &plain,
        "missing.safetensors",
        "",
    ] {
        refuses(&folder.run(&format!("show @{name}")), &[name, folder.0.path().to_str().unwrap()]);
        refuses(&folder.run(&format!("certify @{name}")), &[name]);
    }
    refuses(&folder.run(&format!("show @{plain}")), &["no architecture"]);

    // Samples that do not fit, are no samples, or have labels out of range.
    network::save(&dense_f32(2, 3, vec![1.0; 6]), &folder.path("dense.safetensors")).unwrap();
    refuses(&folder.run("predict @dense.safetensors --data @samples.safetensors"), &["samples.safetensors"]);
    refuses(
        &folder.run("predict @single.safetensors --data @single.safetensors"),
        &["single.safetensors", "x is missing"],
    );
    samples::save::<f32>(folder.path("labels.safetensors"), &dataset(Shape::image(2, 8, 8), 12, 6)).unwrap();
    refuses(&folder.run("certify @single.safetensors --data @labels.safetensors"), &["labels.safetensors", "label"]);
    samples::save::<f32>(folder.path("shape.safetensors"), &dataset(Shape::image(2, 8, 9), 4, 4)).unwrap();
    refuses(&folder.run("certify @single.safetensors --data @shape.safetensors"), &["shape.safetensors", "2×8×9"]);
    refuses(&folder.run("attack @single.safetensors --data @nowhere --eps 1"), &["nowhere"]);

    // Certificates.
    write("bad.json", b"{\"format\": \"dahlquist-certificate\", \"lipschitz\": 1e999}");
    write("deep.json", "[".repeat(100_000).as_bytes());
    for name in ["bad.json", "deep.json", "single.safetensors", "missing.json"] {
        refuses(&folder.run(&format!("check @{name} @single.safetensors")), &[name]);
    }
    // Outputs that cannot be written.
    for words in
        ["certify @single.safetensors --json @no/r.json", "certify @single.safetensors --certificate @no/c.json"]
    {
        refuses(&folder.run(words), &["no/"]);
    }
    refuses(&folder.run("train --data @nowhere --out @m.safetensors"), &["nowhere"]);
}

/// A safetensors file that is no model.
fn samples_without_architecture(folder: &Folder) -> String {
    assert!(Path::new(&folder.path("samples.safetensors")).exists());
    "samples.safetensors".into()
}

#[test]
fn bad_usage_has_status_2_and_help_has_status_0() {
    let folder = Folder::new();
    for words in [
        "",
        "frobnicate",
        "show",
        "predict @single.safetensors",
        "certify @single.safetensors --data @samples.safetensors --eps -1",
        "certify @single.safetensors --data @samples.safetensors --eps 1/0",
        "certify @single.safetensors --data @samples.safetensors --eps nan",
        "certify @single.safetensors --data @samples.safetensors --eps 36/255,x",
        "certify @single.safetensors --data @samples.safetensors --semantics approximate",
        "certify @single.safetensors --norms tight",
        "certify @single.safetensors --witness-layers 26..28",
        "certify @single.safetensors --witness @w.txt --witness-layers 11",
        "certify @single.safetensors --data @samples.safetensors --limit 0",
        "attack @single.safetensors --data @samples.safetensors",
        "attack @single.safetensors --data @samples.safetensors --eps 1 --starts 0",
        "falsify @single.safetensors --budget nan",
        "falsify @single.safetensors --budget -1",
        "train --data @x --out @m --rate 0",
        "show @single.safetensors --threads 0",
        "show @single.safetensors --threads 1025",
    ] {
        let output = folder.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!output.stderr.is_empty() && output.stdout.is_empty(), "{words}");
    }
    for words in ["--help", "certify --help", "--version"] {
        succeeds(&folder.run(words));
    }
    // Which norm it is, and that it may be another.
    assert!(succeeds(&folder.run("--help")).contains("unless --norm says otherwise"));
}
