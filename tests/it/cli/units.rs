//! What is easily misunderstood is said every time: the norm, the units, the order of sums, steps that expand.

use dahlquist::{
    Network,
    activation::Activation,
    data::{Dataset, samples},
    field::{GradientField, ResidualField},
    integrate::Tableau,
    layer::{AffineLayer, Flow, Step},
    network,
    operator::{Affine, Dense},
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::dense_f32;
use serde_json::json;

use super::{Folder, errors, refuses, succeeds};

/// Samples in `[0, 255]`.
fn bytes() -> Dataset {
    let x = Batch::new(Shape::image(2, 8, 8), (0..128 * 6).map(|i| (i * 7 % 256) as f32).collect()).unwrap();
    let names = (0..4).map(|c| c.to_string()).collect();
    Dataset::from_samples(&x, vec![0, 1, 2, 3, 0, 1], names).unwrap()
}

#[test]
fn samples_outside_the_range_of_pixels_are_named_every_time() {
    let folder = Folder::new();
    samples::save::<f32>(folder.path("bytes.safetensors"), &bytes()).unwrap();
    succeeds(&folder.run("certify @single.safetensors --data @bytes.safetensors --certificate @c.json"));
    for words in [
        "certify @single.safetensors --data @bytes.safetensors",
        "predict @single.safetensors --data @bytes.safetensors",
        "attack @single.safetensors --data @bytes.safetensors --eps 0.1 --steps 1 --starts 1",
        "falsify @single.safetensors --data @bytes.safetensors --budget 0",
        "check @c.json @single.safetensors --data @bytes.safetensors",
    ] {
        let output = folder.run(words);
        succeeds(&output);
        let notes = errors(&output);
        let lines: Vec<&str> = notes.lines().filter(|line| line.contains("outside [0, 1]")).collect();
        assert_eq!(lines.len(), 1, "{words}: {notes}");
        assert!(lines[0].contains("bytes.safetensors") && lines[0].contains("ℓ2"), "{notes}");
        let output = folder.run(&words.replace("bytes", "samples"));
        assert!(!errors(&output).contains("outside"), "{words}");
    }
}

/// A radius says that the prediction stays: of a model that can predict nothing else, it says nothing.
#[test]
fn a_model_with_one_output_is_said_to_have_no_predictions() {
    let folder = Folder::new();
    network::save(&dense_f32(1, 2, vec![1.0, -1.0]), &folder.path("one.safetensors")).unwrap();
    let x = Batch::new(Shape::Features(2), vec![0.5f32, 0.25]).unwrap();
    let data = Dataset::from_samples(&x, vec![0], vec!["0".into()]).unwrap();
    samples::save::<f32>(folder.path("one_sample.safetensors"), &data).unwrap();
    for words in [
        "certify @one.safetensors --data @one_sample.safetensors --certificate @c.json",
        "check @c.json @one.safetensors --data @one_sample.safetensors",
    ] {
        let output = folder.run(words);
        succeeds(&output);
        assert_eq!(errors(&output).lines().filter(|line| line.contains("one output")).count(), 1, "{words}");
    }
}

#[test]
fn the_norm_and_the_order_of_sums_are_named_in_help_and_output() {
    let folder = Folder::new();
    for command in ["show", "certify", "check", "attack", "falsify", "train"] {
        let help = succeeds(&folder.run(&format!("{command} --help")));
        assert!(help.contains("ℓ2") && help.contains("Example:"), "{command}: {help}");
    }
    for command in ["certify", "predict", "attack", "falsify"] {
        let help = succeeds(&folder.run(&format!("{command} --help")));
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains("in any order, with or without fused multiply-add, in IEEE arithmetic"), "{help}");
    }
    for (words, phrases) in [
        (
            "certify @single.safetensors --data @samples.safetensors",
            ["ℓ2 distances in units of the input", "sums in any order"],
        ),
        ("predict @single.safetensors --data @samples.safetensors", ["executed in f32", "sums in any order"]),
        (
            "attack @single.safetensors --data @samples.safetensors --eps 0.1 --steps 1",
            ["ℓ2 distance in units of the input", "sums in any order"],
        ),
        ("falsify @single.safetensors --budget 0", ["ℓ2 bound", "sums in any order"]),
    ] {
        for phrase in phrases {
            let text = succeeds(&folder.run(words));
            assert!(text.contains(phrase), "{words}: {phrase:?} is not in {text}");
        }
        let text = succeeds(&folder.run(&format!("{words} --summation declared")));
        assert!(text.contains("sums in the declared order of kernels version 1"), "{words}: {text}");
    }
}

/// `certify` and `predict` can run the same program.
#[test]
fn predict_and_attack_run_in_the_order_that_is_certified() {
    let folder = Folder::new();
    // A sum of 400 terms whose last bits depend on the order.
    let weight: Vec<f32> = (0..800).map(|i| ((i * 37 % 101) as f32 - 50.0) / 97.0).collect();
    let network = super::dense_f32(2, 400, weight);
    network::save(&network, &folder.path("long.safetensors")).unwrap();
    let data = super::dataset(Shape::Features(400), 24, 2);
    samples::save::<f32>(folder.path("long_samples.safetensors"), &data).unwrap();
    let x = data.batch::<f32>(&(0..24).collect::<Vec<_>>()).unwrap();
    let mut found = Vec::new();
    for (name, summation) in
        [("any", dahlquist::rigor::Summation::Any), ("declared", dahlquist::rigor::Summation::Declared)]
    {
        let words =
            format!("predict @long.safetensors --data @long_samples.safetensors --summation {name} --json @p.json");
        succeeds(&folder.run(&words));
        let value = folder.json("p.json");
        assert_eq!(value["summation"], name);
        let network = match network::load(&folder.path("long.safetensors")).unwrap() {
            network::AnyNetwork::F32(network) => network.with_summation(summation),
            network::AnyNetwork::F64(_) => panic!("it was f32"),
        };
        let y = network.forward(&x).unwrap();
        let logits: Vec<Vec<f64>> = (0..24).map(|s| y.sample(s).iter().map(|&l| f64::from(l)).collect()).collect();
        assert_eq!(value["logits"], json!(logits));
        found.push(value["logits"].clone());
        let words =
            "attack @long.safetensors --data @long_samples.safetensors --eps 0 --steps 1 --starts 1 --json @a.json";
        succeeds(&folder.run(&format!("{words} --summation {name}")));
        assert_eq!(folder.json("a.json")["summation"], name);
        succeeds(&folder.run(&format!(
            "certify @long.safetensors --data @long_samples.safetensors --summation {name} --certificate @c.json"
        )));
        assert_eq!(folder.json("c.json")["summation"], name);
    }
    assert_ne!(found[0], found[1], "the orders are not told apart by these samples");
}

#[test]
fn options_that_would_be_ignored_are_bad_usage() {
    let folder = Folder::new();
    for option in ["--eps 0.1", "--local", "--semantics exact", "--csv @s.csv", "--plot @p.svg", "--limit 3"] {
        let output = folder.run(&format!("certify @single.safetensors {option}"));
        assert_eq!(output.status.code(), Some(2), "{option}");
        assert!(errors(&output).contains("--data"), "{option}: {}", errors(&output));
    }
    succeeds(&folder.run("certify @single.safetensors --data @samples.safetensors --certificate @c.json"));
    let both = "check @c.json @single.safetensors --data @samples.safetensors --lipschitz-only";
    assert_eq!(folder.run(both).status.code(), Some(2));
}

#[test]
fn distances_are_separated_by_spaces_or_commas() {
    let folder = Folder::new();
    let accuracies = |eps: &str| {
        succeeds(&folder.run(&format!("certify @single.safetensors --data @samples.safetensors {eps} --json @r.json")));
        let value = folder.json("r.json");
        let eps = value["certified_accuracy"].as_array().unwrap().iter().map(|a| a["eps"].as_f64().unwrap());
        eps.collect::<Vec<_>>()
    };
    assert_eq!(accuracies("--eps 36/255 0.5"), [36.0 / 255.0, 0.5]);
    assert_eq!(accuracies("--eps 0.5,36/255"), [36.0 / 255.0, 0.5]);
    assert_eq!(accuracies("--eps 0.5, 36/255"), [36.0 / 255.0, 0.5]);
    assert_eq!(accuracies(""), [36.0 / 255.0, 72.0 / 255.0, 108.0 / 255.0]);
}

#[test]
fn a_flow_that_expands_is_named() {
    let folder = Folder::new();
    let dense = |m, n, weight: Vec<f32>| Affine::new(Dense::new(m, n, weight).unwrap(), None).unwrap();
    let still = GradientField::new(dense(2, 2, vec![1.0, 0.5, 0.0, 1.0]), Activation::Relu {}).unwrap();
    let moving =
        ResidualField::new(dense(2, 2, vec![1.0, 0.5, 0.0, 1.0]), Activation::Relu {}, dense(2, 2, vec![1.0; 4]));
    let network = Network::new(
        Shape::Features(2),
        vec![
            Box::new(Flow::new(still, Tableau::euler(), Step::Relative(1.0), 1).unwrap()),
            Box::new(Flow::new(moving.unwrap(), Tableau::euler(), Step::Fixed(0.5), 1).unwrap()),
            Box::new(AffineLayer::new(dense(2, 2, vec![5.0, 0.0, 0.0, 5.0]))),
        ],
    );
    let sealed = network.unwrap().seal().unwrap();
    network::save(sealed.network(), &folder.path("flows.safetensors")).unwrap();
    let certify = folder.run("certify @flows.safetensors --certificate @c.json");
    for output in
        [certify, folder.run("check @c.json @flows.safetensors"), folder.run("falsify @flows.safetensors --budget 0")]
    {
        succeeds(&output);
        let notes = errors(&output);
        // The head expands too, and is no flow.
        assert_eq!(notes.lines().count(), 1, "{notes}");
        assert!(notes.contains("layer 1 is a flow that may expand: its bound 2."), "{notes}");
    }
    refuses(&folder.run("show @nothing"), &["nothing"]);
}
