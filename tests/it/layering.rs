//! The layering of the house: a module imports only what is listed before it, and no string decides what a layer is.
//!
//! The source is read as text. Comments and tests inside a file are left out: tests may look at everything.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The modules of the library. Each may import those before it, and no other.
const ORDER: [&str; 33] = [
    "block",
    "shape",
    "lanes",
    "buffer",
    "error",
    "scalar",
    "rigor",
    "tensor",
    "tape",
    "io",
    "activation",
    "tableau",
    "parametrize",
    "model",
    "certificate",
    "rules",
    "check",
    "integrate",
    "operator",
    "field",
    "layer",
    "network",
    "zoo",
    "data",
    "certify",
    "control",
    "lyapunov",
    "attack",
    "train",
    "witness",
    "laws",
    // Not a module: the root of the crate, which names them all, and the program.
    "lib",
    "bin",
];

/// The arrows that run upwards, file by file, and why they are there.
const UPWARDS: [(&str, &str); 1] = [
    // A branch of a sum is a whole network, and a network is a layer.
    ("layer/branches.rs", "network"),
];

/// What the checker may import: an auditor reads these, and nothing else of the crate.
const CHECKER: [&str; 8] = ["certificate", "error", "io", "model", "rigor", "rules", "shape", "tensor"];

/// What the root of the crate exports under a second name.
const EXPORTS: [(&str, &str); 5] =
    [("Error", "error"), ("Network", "network"), ("Result", "error"), ("Sealed", "certify"), ("Semantics", "certify")];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Returns every Rust file below a folder, with its path inside `src`.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of the source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("a file of the source");
            let place = path.strip_prefix(source()).expect("a file of the source");
            let names: Vec<_> = place.iter().map(|name| name.to_string_lossy()).collect();
            found.push((names.join("/"), text));
        }
    }
    found.sort();
    found
}

/// Returns the top-level module that a file belongs to.
fn module(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// Returns how many times `super` leads from a file to the root of the crate.
fn depth(file: &str) -> usize {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    path.strip_suffix("/mod").unwrap_or(path).split('/').count()
}

/// Returns the code without comments and without what is compiled for tests alone, at its end.
fn code(text: &str) -> String {
    let ends = ["#[cfg(test)]\nmod tests {", "#[cfg(test)]\npub(crate) mod "];
    let end = ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
    let text = &text[..end];
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// Returns the names at the beginning of what follows `crate::`: one, or those of a group in braces.
fn first_names(rest: &str) -> Vec<String> {
    let is_of_name = |c: &char| c.is_alphanumeric() || *c == '_';
    let name = |text: &str| text.trim_start().chars().take_while(is_of_name).collect::<String>();
    let Some(group) = rest.strip_prefix('{') else { return vec![name(rest)] };
    let (mut level, mut top) = (1, String::new());
    for c in group.chars() {
        match c {
            '{' => level += 1,
            '}' => level -= 1,
            c if level == 1 => top.push(c),
            _ => {}
        }
        if level == 0 {
            break;
        }
    }
    top.split(',').map(name).filter(|name| !name.is_empty()).collect()
}

/// Returns the top-level names that a file imports, or uses by a path from the root of the crate.
fn imports(code: &str, depth: usize) -> BTreeSet<String> {
    let from_root = "super::".repeat(depth);
    let mut found = BTreeSet::new();
    for start in ["crate::", &from_root[..]] {
        for (at, _) in code.match_indices(start) {
            // `$crate::` belongs to the caller of a macro, and `super::super::` is counted from its beginning.
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$' | ':')) {
                continue;
            }
            found.extend(first_names(&code[at + start.len()..]));
        }
    }
    let exported = |name: String| {
        EXPORTS.iter().find(|(export, _)| *export == name).map_or(name, |(_, module)| (*module).to_string())
    };
    found.into_iter().map(exported).collect()
}

/// Returns the files of the library that are held to the order.
fn library() -> Vec<(String, String)> {
    let of_library = |file: &str| !matches!(module(file), "lib" | "bin") && !file.ends_with("/tests.rs");
    files(&source()).into_iter().filter(|(file, _)| of_library(file)).collect()
}

/// Returns what is wrong with the imports of a file.
fn faults(file: &str, text: &str) -> Vec<String> {
    let place = |name: &str| ORDER.iter().position(|module| *module == name);
    let own = place(module(file));
    let fault = |name: String| {
        // What a macro writes is in a module of its caller, where `super::*` is not the root.
        let in_macro = name.is_empty() && text.contains("macro_rules!");
        if name == module(file) || UPWARDS.contains(&(file, &name[..])) || in_macro {
            return None;
        }
        match (own, place(&name)) {
            (Some(own), Some(other)) if other < own => None,
            (_, Some(_)) => Some(format!("src/{file} imports {name}, which comes after it")),
            (_, None) => Some(format!("src/{file} imports {name}, which is no module in the list")),
        }
    };
    imports(&code(text), depth(file)).into_iter().filter_map(fault).collect()
}

#[test]
fn a_module_imports_only_what_comes_before_it() {
    let faults: Vec<String> = library().iter().flat_map(|(file, text)| faults(file, text)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_list_is_that_of_the_modules() {
    let found: BTreeSet<String> = files(&source()).iter().map(|(file, _)| module(file).to_string()).collect();
    let listed: BTreeSet<String> = ORDER.iter().map(|name| (*name).to_string()).collect();
    assert_eq!(found, listed);
}

#[test]
fn no_exception_is_left_over() {
    let files = library();
    for (file, name) in UPWARDS {
        let text = files.iter().find(|(found, _)| found == file).map(|(_, text)| text);
        let text = text.unwrap_or_else(|| panic!("src/{file} has an exception, and there is no such file"));
        assert!(imports(&code(text), depth(file)).contains(name), "src/{file} does not import {name} any more");
    }
}

#[test]
fn the_checker_imports_what_an_auditor_reads() {
    let files = library();
    let (file, text) = files.iter().find(|(file, _)| file == "check.rs").expect("src/check.rs");
    for name in imports(&code(text), depth(file)) {
        assert!(CHECKER.contains(&&name[..]), "src/{file} imports {name}");
    }
}

/// What a layer is called is for people. A decision by its name takes a stranger's layer for our own.
#[test]
fn no_decision_rests_on_the_name_of_a_kind() {
    for (file, text) in files(&source()) {
        // Whether a file is missing is a kind of error of the standard library, and no string.
        for line in code(&text).lines().filter(|line| !line.contains("ErrorKind::")) {
            let compared = line.contains("kind() ==") || line.contains("kind() !=");
            let matched = line.contains(".kind()") && (line.contains("match ") || line.contains("matches!("));
            assert!(!compared && !matched, "src/{file} decides by a string: {}", line.trim());
        }
    }
}

/// The page that an auditor reads first says how long the files are, within a tenth.
#[test]
fn an_auditor_knows_how_much_there_is_to_read() {
    let page = include_str!("../../docs/architecture.md");
    let part = page.split("## What an auditor reads").nth(1).unwrap().split("\n## ").next().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut all, mut rows) = (0, 0);
    for row in part.lines().filter(|line| line.starts_with("| `src/") || line.starts_with("| together")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let claimed: usize = cells[2].replace(',', "").parse().unwrap();
        let path = root.join(cells[1].trim_matches('`'));
        let lines = match path.is_dir() {
            true => files(&path).iter().map(|(_, text)| text.lines().count()).sum(),
            false => std::fs::read_to_string(&path).map_or(all, |text| text.lines().count()),
        };
        assert!(lines.abs_diff(claimed) * 10 <= lines, "{row}: there are {lines}");
        (all, rows) = (all + lines, rows + 1);
    }
    assert_eq!(rows, 8, "rows are missing");
}
