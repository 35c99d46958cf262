//! Models of the family in the documented format, as somebody else would write them: read, run, proved, checked, written.

use std::collections::HashMap;

use dahlquist::{
    check::check,
    model::{Field, Flow, Linear, Map, Method, Model, Tensor},
    network::AnyNetwork,
    scalar::Scalar,
    tableau::Tableau,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::certificate_of;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value, json};

use crate::forgery::{issued, parse};

/// The file of a list of layers, its tensors random with these shapes.
fn file(input: Value, layers: &Value, tensors: &[(&str, &[usize])], seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |shape: &[usize]| -> Vec<u8> {
        (0..shape.iter().product()).flat_map(|_| rng.random_range(-0.4f32..0.4).to_le_bytes()).collect()
    };
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|(_, shape)| draw(shape)).collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, shape), bytes)| (*name, TensorView::new(Dtype::F32, shape.to_vec(), bytes).unwrap()));
    let architecture = json!({"format": "dahlquist-model", "version": 2, "input": input, "layers": layers});
    safetensors::serialize(views, Some(HashMap::from([("dahlquist".into(), architecture.to_string())]))).unwrap()
}

/// Reads, seals, certifies, checks, and writes a model; all of its claims are proved.
fn is_proved(bytes: &[u8]) -> Model {
    let model = Model::parse(bytes).unwrap();
    let again = Model::parse(&model.bytes().unwrap()).unwrap();
    assert_eq!((again.map(), again.input()), (model.map(), model.input()), "what is written is another model");
    let certificate = certificate_of(&model);
    let report = check(&certificate, &model);
    assert!(report.verified.is_some() && !report.failed(), "{:?}", report.findings);
    fn run<T: Scalar>(network: dahlquist::Network<T>, map: &Map, shape: Shape) {
        assert_eq!(network.describe(), *map, "the network describes itself as another one");
        let x = (0..shape.len()).map(|i| T::of((i as f64 * 0.37).sin())).collect();
        let x = Batch::new(shape, x).unwrap();
        let sealed = network.seal().unwrap();
        for semantics in [dahlquist::Semantics::Exact, dahlquist::Semantics::Executed] {
            let claim = sealed.certify(&x, semantics).unwrap()[0];
            assert!(claim.radius.get() > 0.0, "{semantics:?}: {claim:?}");
        }
    }
    match model.network().unwrap() {
        AnyNetwork::F32(network) => run(network, model.map(), model.input()),
        AnyNetwork::F64(network) => run(network, model.map(), model.input()),
    }
    model
}

fn flow(method: &str, step: f64, field: Value) -> Value {
    json!({"type": "flow", "method": method, "step": step, "steps": 2, "field": field})
}

#[test]
fn layers_on_images() {
    let layers = json!([
        {"type": "normalize", "mean": [0.5, 0.5], "std": [0.25, 0.5]},
        {"type": "conv2d", "weight": "c", "bias": "b", "stride": [2, 1], "padding": [1, 2], "dilation": [1, 2], "groups": 2},
        {"type": "channel_affine", "scale": "s", "shift": "t"},
        {"type": "activation", "function": "abs", "channels": [0, 2]},
        {"type": "sort", "group": 2},
        {"type": "shift", "groups": [[1, 1, 0], [1, -1, 0], [1, 0, 1]], "mode": "circular"},
        {"type": "shift", "groups": [[2, 0, 2]]},
        {"type": "mean", "branches": [[], [{"type": "mirror"}]]},
        {"type": "max_pool", "size": 3, "stride": 2, "padding": 1},
        {"type": "activation", "function": "gelu"},
        {"type": "l2_pool", "size": [1, 2]},
        {"type": "activation", "function": "hardtanh", "min": -2, "max": 2},
        {"type": "first_channels", "channels": 3},
        {"type": "avg_pool", "size": [2, 1], "stride": 1},
        {"type": "activation", "function": "elu"},
        {"type": "activation", "function": "silu"},
        {"type": "activation", "function": "mish"},
        {"type": "activation", "function": "hardswish"},
        {"type": "activation", "function": "gelu_tanh"},
        {"type": "flatten"},
        {"type": "dense", "weight": "w", "bias": null}
    ]);
    let tensors: [(&str, &[usize]); 5] = [("c", &[4, 1, 3, 3]), ("b", &[4]), ("s", &[4]), ("t", &[4]), ("w", &[3, 3])];
    let model = is_proved(&file(json!([2, 6, 6]), &layers, &tensors, 1));
    assert_eq!(model.map().output(model.input()).unwrap(), Shape::Features(3));
}

#[test]
fn convolutions_of_signals() {
    let layers = json!([
        {"type": "conv2d", "weight": "c", "bias": "b", "stride": [1, 2], "padding": [0, 3], "dilation": [1, 2]},
        {"type": "activation", "function": "relu"},
        {"type": "max_pool", "size": [1, 2]},
        {"type": "global_avg_pool"},
        {"type": "dense", "weight": "w", "bias": "d"}
    ]);
    let tensors: [(&str, &[usize]); 4] = [("c", &[4, 3, 1, 3]), ("b", &[4]), ("w", &[2, 4]), ("d", &[2])];
    is_proved(&file(json!([3, 1, 16]), &layers, &tensors, 2));
}

/// An Euler step of a skew matrix times a gradient claims no less than follows from the premises of its field, and those are checked.
#[test]
fn steps_of_skew_gradients_are_not_forged() {
    let field = json!({"type": "antisymmetric", "matrix": "s", "activation": {"function": "tanh"}, "damping": 0.1});
    let bytes = file(json!([4]), &json!([flow("euler", 0.1, field)]), &[("s", &[4, 4])], 8);
    let model = is_proved(&bytes);
    let (step, field, skew) = ("/network/premises/0/premises/0", "/premises/0", "/premises/0/premises/0");
    let passes = |change: &dyn Fn(&mut Value)| {
        let mut changed = issued(&certificate_of(&model));
        assert_eq!(changed.pointer(step).unwrap()["rule"], "skew_gradient_step");
        change(changed.pointer_mut(step).unwrap());
        // What stands above the step claims enough.
        for place in ["/network/premises/0/claims", "/network/claims"] {
            *changed.pointer_mut(place).unwrap() = json!({"bound": 1e3});
        }
        (changed["lipschitz"], changed["features"]) = (json!(1e3), json!(1e3));
        parse(&changed).is_ok_and(|claimed| check(&claimed, &model).verified.is_some())
    };
    let times = |claims: &mut Value, by: f64| claims["bound"] = json!(claims["bound"].as_f64().unwrap() * by);
    assert!(passes(&|_| {}));
    assert!(passes(&|step| times(&mut step["claims"], 1.5)));
    assert!(!passes(&|step| times(&mut step["claims"], 1.0 - 1e-12)), "less than follows");
    let looser = |step: &mut Value, by: f64| {
        times(&mut step.pointer_mut(skew).unwrap()["claims"], 1.5);
        step.pointer_mut(field).unwrap()["claims"] = json!({"bound": 1e3});
        step["claims"] = json!({"bound": by * step["claims"]["bound"].as_f64().unwrap()});
    };
    assert!(passes(&|step| looser(step, 1.5)));
    assert!(!passes(&|step| looser(step, 1.0)), "the step rests on a larger norm");
    assert!(!passes(&|step| times(&mut step.pointer_mut(skew).unwrap()["claims"], 0.5)), "a norm that is too small");
    assert!(!passes(&|step| step.pointer_mut(field).unwrap()["premises"] = json!([])), "no operators");
    assert!(!passes(&|step| step["rule"] = json!("exponential_step")), "the rule of another field");
    let gradient =
        json!({"type": "gradient", "activation": {"function": "tanh"}, "operator": {"type": "dense", "weight": "w"}});
    let model = is_proved(&file(json!([4]), &json!([flow("euler", 0.1, gradient)]), &[("w", &[4, 4])], 8));
    let mut changed = issued(&certificate_of(&model));
    changed.pointer_mut(step).unwrap()["rule"] = json!("skew_gradient_step");
    assert!(parse(&changed).is_ok_and(|claimed| check(&claimed, &model).verified.is_none()), "another field");
}

#[test]
fn fields_of_vectors() {
    let tanh = json!({"function": "tanh"});
    let operator = json!({"type": "dense", "weight": "w", "bias": "b"});
    let half = json!({"activation": tanh, "operator": {"type": "dense", "weight": "k", "bias": "b"}});
    let dissipative =
        json!({"type": "dissipative", "activation": tanh, "operator": operator, "skew": "s", "damping": 0.5});
    let hamiltonian = json!({"type": "hamiltonian", "kinetic": half, "potential": half});
    let layers = json!([
        flow("euler", 0.1, json!({"type": "gradient", "activation": tanh, "operator": operator, "weights": "d"})),
        flow("rk4", 0.1, dissipative.clone()),
        flow("exponential_euler", 0.1, dissipative.clone()),
        flow("euler", 0.1, json!({"type": "skew_linear", "skew": "s"})),
        flow("symplectic_euler", 0.1, hamiltonian.clone()),
        flow("stormer_verlet", 0.1, hamiltonian),
        flow("euler", 0.1, json!({"type": "dissipative_hamiltonian", "activation": tanh, "operator": operator,
            "quadratic": "m", "skew": "s", "damping": 0.25})),
        flow("euler", 0.1, json!({"type": "antisymmetric", "matrix": "s", "bias": "c", "activation": tanh, "damping": 0.1})),
        flow("euler", 0.1, json!({"type": "nais", "factor": "w", "bias": "c", "activation": tanh, "epsilon": 0.01})),
        flow("euler", 0.1, json!({"type": "lurie", "linear": "m", "inner": operator, "activation": tanh,
            "outer": {"type": "dense", "weight": "o"}})),
        {"type": "flow", "method": "cayley", "step": 0.5, "steps": 2, "tolerance": 1e-5,
            "field": {"type": "skew_linear", "skew": "s"}},
        {"type": "flow", "method": "implicit_midpoint", "step": 0.5, "steps": 4, "tolerance": 1e-5, "field": dissipative},
        {"type": "flow", "method": {"a": [["3/4"]], "b": ["1"]}, "step": 0.5, "steps": 1, "field": dissipative},
        {"type": "householder", "vector": "v"},
        {"type": "dense", "weight": "h"}
    ]);
    let tensors: [(&str, &[usize]); 10] = [
        ("v", &[2]),
        ("w", &[3, 4]),
        ("b", &[3]),
        ("d", &[3]),
        ("s", &[4, 4]),
        ("k", &[3, 2]),
        ("m", &[4, 4]),
        ("c", &[4]),
        ("o", &[4, 3]),
        ("h", &[2, 4]),
    ];
    // Weights must not be negative: a model whose are is refused.
    let error = Model::parse(&file(json!([4]), &layers, &tensors, 3)).unwrap_err().to_string();
    assert!(error.contains("weights") && error.contains("negative"), "{error}");
    let mut positive = layers.clone();
    positive[0]["field"].as_object_mut().unwrap().remove("weights");
    is_proved(&file(json!([4]), &positive, &tensors, 3));
}

#[test]
fn fields_of_images() {
    let relu = json!({"function": "relu"});
    let conv = |name: &str| json!({"type": "conv2d", "weight": name, "padding": "same"});
    let energy = json!({"activation": relu, "operator": conv("k")});
    let layers = json!([
        flow("heun", 0.2, json!({"type": "dissipative", "activation": relu, "operator": conv("w"), "skew": conv("s"),
            "damping": 0.5})),
        flow("stormer_verlet", 0.1, json!({"type": "hamiltonian", "kinetic": energy, "potential": energy})),
        flow("euler", 0.1, json!({"type": "antisymmetric", "matrix": conv("s"), "activation": relu, "damping": 0.1})),
        {"type": "global_avg_pool"},
        {"type": "dense", "weight": "h"}
    ]);
    let tensors: [(&str, &[usize]); 4] =
        [("w", &[3, 2, 3, 3]), ("s", &[2, 2, 3, 3]), ("k", &[2, 1, 3, 3]), ("h", &[2, 2])];
    is_proved(&file(json!([2, 4, 4]), &layers, &tensors, 4));
}

/// Methods that split their field take one field a step, too: the same network as a chain of steps, with the same constant.
#[test]
fn split_methods_of_fields_that_vary() {
    let tanh = json!({"function": "tanh"});
    let half = |name: &str| json!({"activation": tanh, "operator": {"type": "dense", "weight": name, "bias": "b"}});
    let hamiltonian = |k: &str, w: &str| json!({"type": "hamiltonian", "kinetic": half(k), "potential": half(w)});
    let dissipative = |w: &str| {
        json!({"type": "dissipative", "activation": tanh, "operator": {"type": "dense", "weight": w},
        "skew": "s", "damping": 0.5})
    };
    let tensors: [(&str, &[usize]); 7] =
        [("b", &[3]), ("k", &[3, 2]), ("l", &[3, 2]), ("w", &[3, 4]), ("v", &[3, 4]), ("s", &[4, 4]), ("h", &[2, 4])];
    let head = json!({"type": "dense", "weight": "h"});
    for (method, fields) in [
        ("symplectic_euler", [hamiltonian("k", "l"), hamiltonian("l", "k")]),
        ("stormer_verlet", [hamiltonian("k", "l"), hamiltonian("l", "k")]),
        ("exponential_euler", [dissipative("w"), dissipative("v")]),
    ] {
        let flow = |keys: Value| {
            let mut flow = json!({"type": "flow", "method": method});
            flow.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            flow
        };
        let one = |field: &Value| flow(json!({"step": 0.25, "steps": 1, "field": field}));
        let read = |layers: Value| is_proved(&file(json!([4]), &layers, &tensors, 6));
        let chain = read(json!([one(&fields[0]), one(&fields[1]), head]));
        for keys in [json!({"step": 0.25, "fields": fields}), json!({"horizon": 0.5, "fields": fields})] {
            let model = read(json!([flow(keys), head]));
            assert_eq!(certificate_of(&model).lipschitz, certificate_of(&chain).lipschitz, "{method}");
            assert_eq!(logits(&model), logits(&chain), "{method}");
        }
        let steps = read(json!([flow(json!({"horizon": 0.5, "steps": 2, "field": fields[0]})), head]));
        let chain = read(json!([one(&fields[0]), one(&fields[0]), head]));
        assert_eq!(logits(&steps), logits(&chain), "{method}");
        let error =
            Model::parse(&file(json!([4]), &json!([flow(json!({"horizon": 0.5, "field": fields[0]}))]), &tensors, 6));
        assert!(error.unwrap_err().to_string().contains("needs a number of steps"), "{method}");
    }
}

fn logits(model: &Model) -> Vec<f32> {
    let x = Batch::new(model.input(), (0..model.input().len()).map(|i| (i as f32 * 0.7).cos()).collect()).unwrap();
    match model.network().unwrap() {
        AnyNetwork::F32(network) => network.forward(&x).unwrap().data().to_vec(),
        AnyNetwork::F64(_) => panic!("its weights are of F32"),
    }
}

/// What does not fit is refused with its place, before anything is computed.
#[test]
fn what_does_not_fit_is_refused_by_name() {
    let tensors: [(&str, &[usize]); 3] = [("s", &[4, 4]), ("w", &[3, 4]), ("b", &[4])];
    let refused = |layer: Value, words: &[&str]| {
        let error = Model::parse(&file(json!([4]), &json!([layer]), &tensors, 5)).unwrap_err().to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    refused(
        flow("symplectic_euler", 0.1, json!({"type": "skew_linear", "skew": "s"})),
        &["symplectic_euler", "it is a method for fields of kind hamiltonian"],
    );
    let field =
        json!({"type": "gradient", "operator": {"type": "dense", "weight": "w"}, "activation": {"function": "relu"}});
    for (method, kind) in
        [("exponential_euler", "dissipative"), ("stormer_verlet", "hamiltonian"), ("cayley", "skew_linear")]
    {
        refused(flow(method, 0.1, field.clone()), &[method, &format!("it is a method for fields of kind {kind}")]);
    }
    let dissipative = json!({"type": "dissipative", "operator": {"type": "dense", "weight": "w"},
        "activation": {"function": "relu"}, "skew": "s", "damping": 1e3});
    refused(flow("exponential_euler", -1e3, dissipative), &["step = -1000", "overflows"]);
    let mut own = flow("euler", 0.1, field);
    own["method"] = json!({"a": [["0"]], "b": ["1"], "c": ["0"]});
    refused(own, &["a method is its name, or its coefficients in fractions alone"]);
    refused(flow("euler", 0.1, json!({"type": "skew_linear", "skew": "w"})), &["skew"]);
    let biased = json!({"type": "dense", "weight": "s", "bias": "b"});
    refused(flow("euler", 0.1, json!({"type": "skew_linear", "skew": biased})), &["bias", "skew"]);
    refused(json!({"type": "sort", "group": 3}), &["group", "3"]);
    refused(json!({"type": "activation", "function": "relu", "channels": [2, 5]}), &["channels", "[2, 5]"]);
    refused(json!({"type": "max_pool", "size": 2}), &["pooling"]);
    refused(json!({"type": "first_channels", "channels": 9}), &["channels", "9"]);
    for kind in ["max_pool", "l2_pool", "avg_pool"] {
        for (window, word) in [
            (json!({"size": [u64::MAX, 1], "padding": [u64::MAX / 2, 0]}), "size"),
            (json!({"size": 2, "stride": u64::MAX}), "stride"),
            (json!({"size": 2, "stride": 0}), "stride"),
            (json!({"size": 2, "padding": u64::MAX}), "padding"),
        ] {
            let mut layer = window;
            layer["type"] = json!(kind);
            let error = Model::parse(&file(json!([1, 4, 4]), &json!([layer]), &tensors, 5)).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
    refused(flow("euler", 0.1, json!({"type": "hamiltonian", "kinetic": 1})), &["Potential"]);
}

/// Where a field has a linear map, an operator that adds a constant is refused, whatever its kind: the field would be another.
#[test]
fn operators_that_add_a_constant_are_refused_where_a_field_has_none() {
    let relu = json!({"function": "relu"});
    let edges = json!([[0, 1], [1, 0]]);
    let tensors: [(&str, &[usize]); 3] = [("m", &[2, 2]), ("c", &[2, 2, 1, 1]), ("b", &[2])];
    let operators = [
        json!({"type": "graph_gradient", "weight": "m", "edges": edges}),
        json!({"type": "conv2d", "weight": "c"}),
        json!({"type": "channel_affine", "scale": "b"}),
    ];
    for operator in operators {
        let mut biased = operator.clone();
        let key = if operator["type"] == "channel_affine" { "shift" } else { "bias" };
        biased[key] = json!("b");
        // The same field, the operator in the place where a linear map stands.
        let fields = |o: &Value| {
            let potential = |o: &Value| json!({"activation": relu, "operator": o});
            [
                ("skew", json!({"type": "skew_linear", "skew": o})),
                (
                    "skew",
                    json!({"type": "dissipative", "activation": relu, "operator": operator, "skew": o, "damping": 0.5}),
                ),
                ("matrix", json!({"type": "antisymmetric", "activation": relu, "matrix": o, "damping": 0.5})),
                ("factor", json!({"type": "nais", "activation": relu, "factor": o, "epsilon": 0.5})),
                (
                    "quadratic",
                    json!({"type": "dissipative_hamiltonian", "activation": relu, "operator": operator, "quadratic": o,
                           "skew": operator, "damping": 0.5}),
                ),
                (
                    "outer",
                    json!({"type": "lyapunov_projected", "activation": relu, "inner": operator, "outer": o,
                           "potential": potential(&operator), "epsilon": 0.5, "rate": 0.5}),
                ),
                (
                    "potential",
                    json!({"type": "lyapunov_projected", "activation": relu, "inner": operator, "outer": operator,
                           "potential": potential(o), "epsilon": 0.5, "rate": 0.5}),
                ),
            ]
        };
        for ((part, right), (_, wrong)) in fields(&operator).into_iter().zip(fields(&biased)) {
            let read =
                |field: Value| Model::parse(&file(json!([2, 1, 2]), &json!([flow("euler", 0.1, field)]), &tensors, 5));
            read(right).unwrap();
            let error = read(wrong).unwrap_err().to_string();
            assert!(error.contains("bias") && error.contains(part), "{}: {error}", biased["type"]);
        }
    }
    let layers = json!([flow(
        "euler",
        0.1,
        json!({"type": "skew_linear",
        "skew": {"type": "normalize", "mean": [1.0, 0.0], "std": [1.0, 1.0]}})
    )]);
    assert!(Model::parse(&file(json!([2]), &layers, &tensors, 5)).unwrap_err().to_string().contains("bias"));
}

/// A step of length 0 is the identity, whose inverse constant one rule knows and another cannot show.
#[test]
fn steps_of_length_zero_are_checked() {
    let space = Shape::Features(3);
    for name in Tableau::names() {
        let field = Field::SkewLinear { skew: Linear::Dense { weight: Tensor::new(&[3, 3], &SKEW), bias: None } };
        let flow = Flow::of_steps(field, Method::Named(name.into()), 0.0, 2);
        let model = Model::new(space, Map::Chain(vec![Map::Flow(flow)]), "f64").unwrap();
        let report = check(&certificate_of(&model), &model);
        assert!(report.verified.is_some(), "{name}: {:?}", report.findings);
    }
}

const SKEW: [f64; 9] = [0.0, 0.7, -1.3, 0.2, 0.0, 0.9, 2.1, -0.4, 0.0];
