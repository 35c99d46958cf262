//! The map from rules to proofs to tests: none is missing, and nothing is proved that is neither a rule nor declared.

use std::{collections::BTreeSet, path::Path};

use dahlquist::certificate::Rule;

/// Files of `proofs/` that are not the proof of a rule of the code, and why they are there.
const OTHERS: [&str; 18] = [
    // What the proofs share, and what the rules' numbers rest on.
    "euclidean",
    "fourier",
    "pointwise",
    "rounding",
    // The form of a method, of which no rule makes use: stage multipliers prove as much.
    "shu_osher",
    "tableau_radii",
    "torus",
    // The verified checker.
    "integer_core",
    "integer_packed",
    "integer_sound",
    "integer_tree",
    "network_core",
    "network_sound",
    "network_value",
    "witness_core",
    "witness_extract",
    "witness_norm",
    "witness_sound",
];

fn proofs() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs");
    let files = std::fs::read_dir(folder).expect("the folder proofs").map(|file| file.expect("readable").path());
    let proofs = files.filter(|path| path.extension().is_some_and(|e| e == "v"));
    // `make -C proofs` leaves a file of its own, the list of assumptions to be printed.
    let names = proofs.map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned());
    names.filter(|name| name != "assumptions").collect()
}

/// The files that the map of the proofs marks as ahead of the code.
fn ahead() -> BTreeSet<String> {
    let map = include_str!("../../proofs/README.md");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        Some(cells.get(2)?.trim_matches('`').strip_suffix(".v")?.to_string())
    };
    map.lines().filter(|line| line.contains("*ahead of the code*")).filter_map(row).collect()
}

#[test]
fn every_rule_has_a_proof_file_and_every_proof_file_a_place_in_the_map() {
    let (proofs, ahead) = (proofs(), ahead());
    assert!(!ahead.is_empty(), "the map marks no file as ahead: has its wording changed?");
    let theorems: Vec<(&str, &str)> = Rule::ALL.iter().map(|rule| rule.theorem().expect("a theorem")).collect();
    let listed = include_str!("../../proofs/theorems.txt");
    for (file, theorem) in &theorems {
        assert!(proofs.contains(*file), "there is no file proofs/{file}.v");
        assert!(!ahead.contains(*file), "{file}.v is the proof of a rule, but the map marks it as ahead");
        assert!(
            listed.lines().any(|line| line == format!("{file} {theorem}")),
            "{theorem} is no main theorem of {file}.v"
        );
    }
    assert_eq!(Rule::Asserted.theorem(), None);
    let known =
        |name: &str| theorems.iter().any(|(file, _)| *file == name) || ahead.contains(name) || OTHERS.contains(&name);
    for proof in &proofs {
        assert!(known(proof), "proofs/{proof}.v is neither a rule nor marked as ahead of the code");
    }
}

#[test]
fn every_main_theorem_is_in_the_file_that_the_map_names() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proofs");
    for line in
        include_str!("../../proofs/theorems.txt").lines().filter(|l| !l.starts_with('#') && !l.trim().is_empty())
    {
        let (file, theorem) = line.split_once(' ').expect("file and theorem");
        let text = std::fs::read_to_string(folder.join(format!("{file}.v"))).expect("the proof file");
        let stated = ["Theorem", "Lemma", "Corollary"].iter().any(|kind| {
            text.split_whitespace()
                .collect::<Vec<_>>()
                .windows(2)
                .any(|w| w[0] == *kind && w[1].trim_end_matches(':') == theorem)
        });
        assert!(stated, "{file}.v does not state {theorem}");
    }
}
