//! A set of samples that several jobs certify: merged, their parts are the certificate of one job, byte for byte.

use serde_json::Value;

use dahlquist::{data::samples, tensor::Shape};

use super::{Folder, dataset, refuses, succeeds, text};

/// More samples than one group holds, and three parts of them.
fn parts(options: &str) -> Folder {
    let folder = Folder::new();
    let samples = dataset(Shape::image(2, 8, 8), 1100, 4);
    samples::save::<f32>(folder.path("many.safetensors"), &samples).unwrap();
    for number in 1..=3 {
        let words = format!("certify @single.safetensors --data @many.safetensors --shard {number}/3 {options}");
        succeeds(&folder.run(&format!("{words} --eps 0.001 0.25 --certificate @{number}.json")));
    }
    folder
}

/// Changes a file as JSON.
fn edit(folder: &Folder, from: &str, to: &str, change: impl Fn(&mut Value)) {
    let mut value = folder.json(from);
    change(&mut value);
    std::fs::write(folder.path(to), value.to_string()).unwrap();
}

#[test]
fn merged_parts_are_the_whole() {
    for options in ["", "--semantics exact --norm-proof tight"] {
        let folder = parts(options);
        let words = "certify @single.safetensors --data @many.safetensors --eps 0.001 0.25 --certificate @whole.json";
        succeeds(&folder.run(&format!("{words} {options}")));
        succeeds(&folder.run("merge @merged.json @3.json @1.json @2.json"));
        let read = |name: &str| std::fs::read(folder.path(name)).unwrap();
        assert_eq!(read("merged.json"), read("whole.json"));
        let found = succeeds(&folder.run("check @merged.json @single.safetensors --data @many.safetensors"));
        assert!(found.contains("recomputed  radii: of 1100 samples"), "{found}");
    }
}

#[test]
fn each_shard_is_needed_once() {
    let folder = parts("");
    refuses(&folder.run("merge @m.json @1.json @3.json"), &["of 3 shards these are missing: [2]"]);
    refuses(&folder.run("merge @m.json @1.json @2.json @3.json @2.json"), &["2.json", "it is shard 2"]);
    assert!(!folder.path("m.json").exists());
    refuses(&folder.run("check @1.json @single.safetensors"), &["1.json", "one shard", "dahlquist merge"]);
}

#[test]
fn shards_of_another_whole_are_refused() {
    let folder = parts("");
    let job = |name: &str, words: &str| {
        succeeds(&folder.run(&format!("certify {words} --certificate @{name}.json")));
        refuses(
            &folder.run(&format!("merge @m.json @1.json @{name}.json @3.json")),
            &[&format!("{name}.json"), "1.json"],
        );
    };
    samples::save::<f32>(folder.path("more.safetensors"), &dataset(Shape::image(2, 8, 8), 1101, 4)).unwrap();
    let data = "--data @many.safetensors --shard";
    job("model", &format!("@double.safetensors {data} 2/3 --eps 0.001 0.25"));
    job("data", "@single.safetensors --data @more.safetensors --shard 2/3 --eps 0.001 0.25");
    job("eps", &format!("@single.safetensors {data} 2/3"));
    job("count", &format!("@single.safetensors {data} 2/4 --eps 0.001 0.25"));
    job("exact", &format!("@single.safetensors {data} 2/3 --eps 0.001 0.25 --semantics exact"));
    job("order", &format!("@single.safetensors {data} 2/3 --eps 0.001 0.25 --summation declared"));
}

#[test]
fn parts_that_contradict_themselves_are_refused() {
    let folder = parts("");
    type Change = fn(&mut Value);
    let changes: [(&str, Change); 9] = [
        ("format", |part| part["format"] = "dahlquist-certificate".into()),
        ("number", |part| part["shard"] = serde_json::json!([4, 3])),
        ("first", |part| part["first"] = 0.into()),
        ("end", |part| part["samples"] = 3.into()),
        ("field", |part| part["more"] = 1.into()),
        ("radius", |part| part["certificate"]["samples"]["radii"][0] = (-1.0).into()),
        ("lost", |part| drop(part["certificate"]["samples"]["radii"].as_array_mut().unwrap().pop())),
        ("accuracy", |part| part["certificate"]["samples"]["clean_accuracy"] = 1.0.into()),
        ("nothing", |part| drop(part["certificate"].as_object_mut().unwrap().remove("samples"))),
    ];
    for (name, change) in changes {
        edit(&folder, "2.json", "bad.json", change);
        let output = folder.run("merge @m.json @1.json @bad.json @3.json");
        refuses(&output, &["bad.json"]);
        assert!(!folder.path("m.json").exists(), "{name}");
    }
    // What is cut off is no JSON.
    let whole = std::fs::read(folder.path("2.json")).unwrap();
    std::fs::write(folder.path("bad.json"), &whole[..whole.len() / 2]).unwrap();
    refuses(&folder.run("merge @m.json @1.json @bad.json @3.json"), &["bad.json"]);
}

#[test]
fn a_false_radius_of_a_shard_is_found_by_the_checker() {
    let folder = parts("");
    edit(&folder, "2.json", "2.json", |part| part["certificate"]["samples"]["radii"][5] = 1e3.into());
    succeeds(&folder.run("merge @m.json @1.json @2.json @3.json"));
    let output = folder.run("check @m.json @single.safetensors --data @many.safetensors");
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("FAILED      radii"), "{}", text(&output));
}

#[test]
fn shards_that_are_none_are_refused() {
    let folder = Folder::new();
    for shard in ["0/3", "4/3", "1", "a/b", "1/0"] {
        let words = "certify @single.safetensors --data @samples.safetensors --certificate @c.json --shard";
        assert_eq!(folder.run(&format!("{words} {shard}")).status.code(), Some(2), "{shard}");
    }
    // Twelve samples go through the network together.
    let words = "certify @single.safetensors --data @samples.safetensors --certificate @c.json --shard 1/2";
    refuses(&folder.run(words), &["shard = 1/2", "at most 1 shards"]);
    for words in ["--shard 1/1", "--shard 1/1 --data @samples.safetensors"] {
        assert_eq!(folder.run(&format!("certify @single.safetensors {words}")).status.code(), Some(2));
    }
}
