//! The page on files, `docs/format.md`: every example on it is read, proved and checked, and it names all that files may hold.

use std::collections::HashMap;

use dahlquist::{
    check::check,
    model::{Model, kinds},
    tableau::Tableau,
};
use dahlquist_testkit::models::certificate_of;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../docs/format.md");
/// Methods that are no tableau of their own.
const OTHER_METHODS: [&str; 4] = ["cayley", "symplectic_euler", "stormer_verlet", "exponential_euler"];

/// Returns the tensors that the page names, in its table of them.
fn tensors() -> Vec<(String, Vec<usize>)> {
    let table = PAGE.split("### The tensors").nth(1).unwrap().split("\n## ").next().unwrap();
    let cells: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).flat_map(|l| l.split('|')).collect();
    let cells: Vec<&str> = cells.into_iter().map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let shape = |cell: &str| cell.split(" × ").map(|size| size.parse().unwrap()).collect();
    cells.chunks(2).map(|pair| (pair[0].trim_matches('`').to_string(), shape(pair[1]))).collect()
}

fn read(architecture: &Value) -> Result<Model, String> {
    let tensors = tensors();
    let number = |i: usize| (((i * 37) % 11) as f32 / 40.0).to_le_bytes();
    let bytes: Vec<Vec<u8>> =
        tensors.iter().map(|(_, shape)| (0..shape.iter().product()).flat_map(number).collect()).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    let metadata = HashMap::from([("dahlquist".to_string(), architecture.to_string())]);
    Model::parse(&safetensors::serialize(views, Some(metadata)).unwrap()).map_err(|error| error.to_string())
}

/// Reads a layer of a vector, or else of an image.
fn layer(layer: &Value) -> Result<Model, String> {
    let of =
        |input: Value| read(&json!({"format": "dahlquist-model", "version": 2, "input": input, "layers": [layer]}));
    of(json!([4])).or_else(|vector| of(json!([2, 4, 4])).map_err(|image| format!("{vector}; {image}")))
}

/// Returns the layer that an example stands for: functions and fields are parts of one.
fn whole(example: &Value) -> Value {
    let kind = example["type"].as_str();
    match (kind, example.get("function")) {
        (None, Some(_)) => {
            let mut layer = example.clone();
            layer["type"] = json!("activation");
            layer
        }
        (Some(kind), _) if kinds().any(|known| known == kind) => example.clone(),
        _ => json!({"type": "flow", "method": "euler", "step": 0.1, "steps": 1, "field": example}),
    }
}

/// Returns the examples in the tables, each with its row.
fn examples() -> Vec<(&'static str, Value)> {
    let spans = |row: &'static str| {
        row.split('`').skip(1).step_by(2).filter(|span| span.starts_with("{\"")).map(move |span| (row, span))
    };
    let rows = PAGE.lines().filter(|line| line.starts_with('|')).flat_map(spans);
    rows.map(|(row, span)| (row, serde_json::from_str(span).unwrap_or_else(|error| panic!("{span}: {error}"))))
        .collect()
}

fn holds(model: &Model, of: &Value) {
    let again = Model::parse(&model.bytes().unwrap()).unwrap();
    assert_eq!((again.map(), again.input()), (model.map(), model.input()), "{of}");
    let report = check(&certificate_of(model), model);
    assert!(report.verified.is_some() && !report.failed(), "{of}: {:?}", report.findings);
}

#[test]
fn every_example_is_read_and_proved() {
    let examples = examples();
    assert!(examples.len() > 45, "only {} are found", examples.len());
    for (_, example) in &examples {
        let model = layer(&whole(example)).unwrap_or_else(|error| panic!("{example}: {error}"));
        match example["type"] == "lyapunov_projected" {
            true => assert!(model.network().is_ok(), "{example}"),
            false => holds(&model, example),
        }
    }
    let block = PAGE.split("```json").nth(1).unwrap().split("```").next().unwrap();
    let block: Value = serde_json::from_str(block).unwrap();
    holds(&read(&block).unwrap(), &block);
}

/// Returns the words in backticks of what is expected in the place of something else.
fn expected(error: &str) -> Vec<&str> {
    // What is said of a vector; the same is said of an image behind a semicolon.
    let first = error.split(';').next().unwrap_or_default();
    first.split("expected").nth(1).unwrap_or_default().split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_name_is_on_the_page() {
    let is_there =
        |text: &str, name: &str| text.contains(&format!("`{name}`")) || text.contains(&format!("\"{name}\""));
    let function = layer(&json!({"type": "activation", "function": "?"})).unwrap_err();
    let field = layer(&whole(&json!({"type": "?"}))).unwrap_err();
    let (functions, fields) = (expected(&function), expected(&field));
    assert!(functions.len() >= 11 && fields.len() >= 10, "{function}; {field}");
    let known = kinds().chain(Tableau::names()).chain(OTHER_METHODS).map(String::from);
    for name in known.chain([functions, fields].concat().into_iter().map(String::from)) {
        let name = &name;
        assert!(is_there(PAGE, name), "{name} is not on the page");
    }
    // The keys of each kind: those that it has instead of one that it has not.
    let mut keys = 0;
    for (row, example) in examples() {
        let mut other = example.clone();
        other["?"] = json!(0);
        let error = layer(&whole(&other)).expect_err(row);
        // A flow has a row for each of its forms.
        let place = if example["type"] == "flow" { PAGE } else { row };
        for key in expected(&error) {
            assert!(is_there(place, key), "the key {key} is not in {row}");
            keys += 1;
        }
    }
    assert!(keys > 60, "only {keys} keys are found");
}
