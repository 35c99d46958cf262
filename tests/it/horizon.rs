//! Flows over a horizon and flows with one field a step: what files mean, and what is claimed.

use dahlquist::{
    Network,
    activation::Activation,
    certificate::{Evidence, Rule},
    check::check,
    field::{GradientField, VectorField},
    integrate::Tableau,
    layer::{Flow, Layer, Step},
    model::{Map, Model},
    network::AnyNetwork,
    operator::{Affine, Dense},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{certificate_of, proof};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Value, json};

use crate::forgery::{issued, parse};

/// The field `−Wᵀrelu(Wx)` of a number.
fn field<T: Scalar>(w: f64) -> GradientField<T> {
    GradientField::new(Affine::new(Dense::new(1, 1, vec![T::of(w)]).unwrap(), None).unwrap(), Activation::Relu {})
        .unwrap()
}

/// A model file in f64 with one flow; the tensor `w2` is the matrix 2, and so on.
fn file(flow: &Value) -> dahlquist::Result<Model> {
    let numbers: Vec<(String, [u8; 8])> =
        [1.0f64, 2.0, 3.0].iter().map(|w| (format!("w{w}"), w.to_le_bytes())).collect();
    let tensors = numbers.iter().map(|(name, bytes)| (name, TensorView::new(Dtype::F64, vec![1, 1], bytes).unwrap()));
    let architecture = json!({"format": "dahlquist-model", "version": 2, "input": [1], "layers": [flow]});
    let metadata = [("dahlquist".to_string(), architecture.to_string())].into();
    Model::parse(&safetensors::serialize(tensors, Some(metadata)).unwrap())
}

fn stored(w: u32) -> Value {
    let operator = json!({"type": "dense", "weight": format!("w{w}")});
    json!({"type": "gradient", "activation": {"function": "relu"}, "operator": operator})
}

fn flow(keys: Value) -> Value {
    let mut flow = json!({"type": "flow", "method": "euler"});
    flow.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    flow
}

/// The number of steps of the first layer and their length.
fn steps_of(map: &Map) -> (usize, f64) {
    match &map.layers()[0] {
        Map::Flow(flow) => (flow.steps, flow.step),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_open_horizon_takes_the_least_number_of_steps_within_the_limit() {
    // ‖W‖² = 4, so 2rν = 1/2 for Euler's method.
    for (horizon, steps) in [(3.0, 6), (3.0f64.next_down(), 6), (3.0f64.next_up(), 7), (3.1, 7), (0.1, 1), (0.5, 1)] {
        let model = file(&flow(json!({"field": stored(2), "horizon": horizon}))).unwrap();
        assert_eq!(steps_of(model.map()).0, 0, "a file says what it says");
        let AnyNetwork::F64(network) = model.network().unwrap() else { panic!("f64") };
        assert_eq!(steps_of(&network.describe()), (steps, horizon / steps as f64), "{horizon}");
        // What is written holds the number, and means the same network.
        let written = Model::new(network.input(), network.describe(), "f64").unwrap();
        let again = Model::parse(&written.bytes().unwrap()).unwrap();
        assert_eq!(again.map(), &network.describe());
        // The certificate says how many steps it is about; with another number it fails.
        let claimed = certificate_of(&model);
        assert!(check(&claimed, &model).verified.is_some(), "{horizon}");
        let original = issued(&claimed);
        let place = "/network/premises/0/evidence";
        assert_eq!(original.pointer(place), Some(&json!({"steps": steps})));
        for other in [json!({"steps": steps + 1}), json!({"steps": 0}), json!("nothing")] {
            let mut changed = original.clone();
            *changed.pointer_mut(place).unwrap() = other;
            assert!(check(&parse(&changed).unwrap(), &model).verified.is_none());
        }
        let bound = claimed.lipschitz;
        assert!(bound <= 1.0, "{bound}");
    }
    // A method without a radius has no such number, and so many steps are refused.
    let refused = |keys: Value| file(&flow(keys)).and_then(|model| model.network().map(|_| ())).is_err();
    assert!(refused(json!({"field": stored(2), "horizon": 1.0, "method": "midpoint"})));
    assert!(refused(json!({"field": stored(2), "horizon": 1e9})));
    for bad in [0.0, -1.0] {
        assert!(refused(json!({"field": stored(2), "horizon": bad})), "{bad}");
    }
}

#[test]
fn a_horizon_with_a_number_of_steps_is_taken_as_it_is() {
    let model = file(&flow(json!({"field": stored(2), "horizon": 3.0, "steps": 4}))).unwrap();
    assert_eq!(steps_of(model.map()), (4, 0.75));
    let AnyNetwork::F64(network) = model.network().unwrap() else { panic!("f64") };
    let sealed = network.seal().unwrap();
    assert_eq!(steps_of(sealed.map()), (4, 0.75));
    // |1 − 0.75·4| = 2 a step.
    assert_eq!(sealed.certificate().bound().get(), 16.0);
    assert_eq!(sealed.certificate().layers().next().unwrap().evidence(), &Evidence::Steps(4));
}

#[test]
fn keys_that_do_not_go_together_are_refused() {
    let refused = |keys: Value| {
        let error = file(&flow(keys.clone())).map(|_| ()).expect_err(&keys.to_string()).to_string();
        assert!(error.contains("layer 0"), "{error}");
    };
    refused(json!({"field": stored(1), "fields": [stored(1)], "step": 0.5, "steps": 1}));
    refused(json!({"step": 0.5, "steps": 1}));
    refused(json!({"fields": [], "step": 0.5}));
    refused(json!({"field": stored(1), "steps": 1}));
    refused(json!({"field": stored(1), "step": 0.5}));
    refused(json!({"field": stored(1), "step": 0.5, "horizon": 1.0, "steps": 1}));
    refused(json!({"field": stored(1), "horizon": 1.0, "steps": 0}));
    refused(json!({"fields": [stored(1), stored(2)], "step": 0.5, "steps": 3}));
    refused(json!({"field": stored(1), "step": 0.5, "steps": 1, "horizons": 1.0}));
}

#[test]
fn one_field_a_step_is_the_product_of_its_steps() {
    for keys in [json!({"step": 0.125}), json!({"horizon": 0.375}), json!({"horizon": 0.375, "steps": 3})] {
        let mut keys = keys;
        keys["fields"] = json!([stored(1), stored(2), stored(3)]);
        let model = file(&flow(keys)).unwrap();
        assert_eq!(steps_of(model.map()), (3, 0.125));
        let AnyNetwork::F64(network) = model.network().unwrap() else { panic!("f64") };
        let x = Batch::new(Shape::Features(1), vec![1.0, -1.0]).unwrap();
        // Where all units are active, the steps are factors 1 − h w².
        let factors = 0.875 * 0.5 * (1.0 - 0.125 * 9.0);
        assert_eq!(network.forward(&x).unwrap().data(), [factors, -1.0]);
        let claimed = certificate_of(&model);
        assert!(check(&claimed, &model).verified.is_some());
        let layer = &claimed.network.premises()[0];
        let paths: Vec<&str> = layer.premises().iter().map(|step| step.path()).collect();
        assert_eq!(paths, ["0.steps.0", "0.steps.1", "0.steps.2"]);
        assert!(layer.premises().iter().all(|step| step.rule() == Rule::GradientStep));
        // Steps in another order, or one of them left out, are not those of the network.
        let original = issued(&claimed);
        for steps in [[1, 0, 2], [0, 1, 1]] {
            let mut changed = original.clone();
            let premises = &original["network"]["premises"][0]["premises"];
            changed["network"]["premises"][0]["premises"] = json!(steps.map(|k| premises[k].clone()));
            assert!(check(&parse(&changed).unwrap(), &model).verified.is_none());
        }
    }
}

#[test]
fn constants_differ_by_step() {
    // Leaky fields with curvature in [w²/2, w²]: factors 1 − h w²/2 and so on.
    let leaky = |w: f64| -> Box<dyn VectorField<f64>> {
        let map = Affine::new(Dense::new(1, 1, vec![w]).unwrap(), None).unwrap();
        Box::new(GradientField::new(map, Activation::LeakyRelu { slope: 0.5 }).unwrap())
    };
    let flow = Flow::boxed(vec![leaky(1.0), leaky(2.0)], Tableau::euler(), Step::Fixed(0.25), 2).unwrap();
    let bound = proof(&flow).unwrap().bound().get();
    let truth = (1.0 - 0.125) * (1.0 - 0.5);
    assert!(truth <= bound && bound <= truth * (1.0 + 1e-12), "{bound}");
    // Three fields, two steps; two spaces.
    assert!(Flow::boxed(vec![leaky(1.0), leaky(2.0), leaky(1.0)], Tableau::euler(), Step::Fixed(0.25), 2).is_err());
    let map = Affine::new(Dense::new(1, 2, vec![1.0, 1.0]).unwrap(), None).unwrap();
    let wide: Box<dyn VectorField<f64>> = Box::new(GradientField::new(map, Activation::Relu {}).unwrap());
    assert!(Flow::boxed(vec![leaky(1.0), wide], Tableau::euler(), Step::Fixed(0.25), 2).is_err());
}

#[test]
fn sealing_fixes_the_number_of_steps_by_the_proof() {
    fn holds<T: Scalar>() {
        let flow = Flow::<T>::new(field(2.0), Tableau::heun(), Step::Horizon(3.0), 1).unwrap();
        let sealed =
            Network::new(Shape::Features(1), vec![Box::new(flow) as Box<dyn Layer<T>>]).unwrap().seal().unwrap();
        assert_eq!(steps_of(sealed.map()), (6, 0.5));
        assert!(sealed.certificate().bound().get() <= 1.0);
        // More steps than needed may be asked for.
        let flow = Flow::<T>::new(field(2.0), Tableau::heun(), Step::Horizon(3.0), 12).unwrap();
        let sealed =
            Network::new(Shape::Features(1), vec![Box::new(flow) as Box<dyn Layer<T>>]).unwrap().seal().unwrap();
        assert_eq!(steps_of(sealed.map()), (12, 0.25));
        // The tape has as many parts as there are steps.
        let flow = Flow::<T>::new(field(2.0), Tableau::euler(), Step::Horizon(3.0), 1).unwrap();
        let x = Batch::new(Shape::Features(1), vec![T::of(1.0)]).unwrap();
        let (mut tape, mut gradient) = (Tape::recording(), flow.gradient());
        let y = flow.forward(x, &mut tape);
        flow.vjp(&tape, y, Some(&mut gradient));
        flow.pull_back(&mut gradient);
    }
    holds::<f32>();
    holds::<f64>();
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Flow::<f64>::new(field(2.0), Tableau::heun(), Step::Horizon(bad), 1).is_err(), "{bad}");
    }
    assert!(Flow::<f64>::new(field(2.0), Tableau::midpoint(), Step::Horizon(1.0), 1).is_err());
}
