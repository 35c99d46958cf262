//! The map from rules to proofs to tests: none is missing, and nothing is proved that is neither a rule nor declared.

use std::{collections::BTreeSet, path::Path};

use dahlquist::certificate::Rule;

/// Files of `proofs/` that are not the proof of a rule of the code, and why they are there.
const OTHERS: [&str; 40] = [
    // What the proofs share, and what the rules' numbers rest on.
    "declared_order",
    "directed",
    "euclidean",
    "fourier",
    // A claim beside others: no rule is about it alone.
    "inverse_lipschitz",
    "margin_products",
    "pointwise",
    "rounding",
    // The form of a method, of which no rule makes use: stage multipliers prove as much.
    "shu_osher",
    "tableau_radii",
    "torus",
    "twisted_torus",
    // The verified checker.
    "batch_core",
    "batch_sound",
    "circulant",
    "circulant_core",
    "circulant_sound",
    "circular_sound",
    "contraction_sound",
    "convolution_sound",
    "enclosure_core",
    "enclosure_sound",
    "executed_core",
    "executed_layers",
    "executed_network",
    "executed_reach",
    "executed_sound",
    "functions_sound",
    "integer_core",
    "integer_packed",
    "integer_sound",
    "integer_tree",
    "network_core",
    "network_sound",
    "network_value",
    "phases",
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

/// The cells of the rows of a table in `proofs/functions.md`: file, function, theorems, and what is not proved.
fn functions(table: &str) -> Vec<[String; 4]> {
    let row = |line: &str| {
        let cells: Vec<String> = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_string()).collect();
        <[String; 4]>::try_from(cells).ok().filter(|[file, ..]| file.starts_with('`'))
    };
    table.lines().map(|line| line.replace("| |", "|  |")).filter_map(|line| row(&line)).collect()
}

/// Every function of the sources that makes a bound, with its file.
fn minting() -> BTreeSet<(String, String)> {
    fn visit(folder: &Path, all: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of sources") {
            let path = entry.expect("readable").path();
            if path.is_dir() { visit(&path, all) } else { all.push(path) }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut found) = (Vec::new(), BTreeSet::new());
    visit(&root, &mut files);
    for path in files.iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        let text = std::fs::read_to_string(path).expect("a source file");
        let file = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
        let mut function = String::new();
        for line in text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")) {
            let code = line.split("//").next().unwrap_or_default();
            // A closure or a binding is part of the function around it.
            let name = code.trim_start().trim_start_matches("pub(crate) ").trim_start_matches("pub(super) ");
            let name = name.trim_start_matches("pub ").trim_start_matches("const ").strip_prefix("fn ");
            if let Some(name) = name.and_then(|rest| rest.split(['(', '<']).next()) {
                function = name.to_string();
            }
            if code.contains("Upper::proved") || code.contains("Lower::proved") {
                found.insert((file.clone(), function.clone()));
            }
        }
    }
    found
}

#[test]
fn every_function_that_makes_a_bound_names_its_theorem_or_says_what_is_not_proved() {
    let text = include_str!("../../proofs/functions.md");
    let (bounds, rounding) = text.split_once("## Rounding").expect("two tables");
    let name = |cell: &str| cell.trim_matches('`').to_string();
    let listed: BTreeSet<_> =
        functions(bounds).iter().map(|[file, function, ..]| (name(file), name(function))).collect();
    let found = minting();
    assert!(found.len() > 30, "the sources are not read as they are written: {found:?}");
    assert_eq!(found.difference(&listed).collect::<Vec<_>>(), Vec::<&_>::new(), "not in proofs/functions.md");
    assert_eq!(listed.difference(&found).collect::<Vec<_>>(), Vec::<&_>::new(), "they make no bound any more");
    let theorems = include_str!("../../proofs/theorems.txt");
    for [file, function, proved, rest] in functions(bounds).iter().chain(&functions(rounding)) {
        assert!(!proved.is_empty() || !rest.is_empty(), "{file} {function} has no theorem, and does not say why");
        for theorem in proved.split(", ").filter(|theorem| !theorem.is_empty()) {
            let line = name(theorem).replacen('.', " ", 1);
            assert!(theorems.lines().any(|known| known == line), "{function}: {theorem} is not in theorems.txt");
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name(file));
        let source = std::fs::read_to_string(&source).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
        assert!(source.contains(&format!("fn {}", name(function))), "{file} has no function {function}");
    }
}
