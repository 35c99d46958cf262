//! Weights that are trained in another form, in model files: training goes on, and claims know nothing of it.

use std::collections::HashMap;

use dahlquist::{
    Network,
    activation::Activation,
    field::{GradientField, StructuredField},
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Reshape, Step},
    model::{Field, Linear, Map, Model, Tensor},
    network::AnyNetwork,
    operator::{Affine, Conv2d, Dense, Geometry},
    parametrize::Form,
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::Shape,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{SafeTensors, tensor::TensorView};
use serde_json::{Value, json};

const KEY: &str = "dahlquist-forms";

fn random<T: Scalar>(count: usize, seed: u64) -> Vec<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| T::of(rng.random_range(-1.0..1.0))).collect()
}

/// A network with every form, and one in every place that may have one.
fn network<T: Scalar>() -> Network<T> {
    let image = Shape::image(2, 3, 3);
    let (stride, padding, mode) = (1, 1, PaddingMode::Zeros);
    let geometry = Geometry { input: image, outputs: 3, kernel: (3, 3), stride, padding, mode };
    let kernel = Conv2d::new(geometry, random(54, 1)).unwrap();
    let kernel = Affine::new(kernel, Some(random(3, 2))).unwrap().parametrized(Form::Cayley).unwrap();
    let field = GradientField::new(kernel, Activation::Relu {}).unwrap();
    let first = Flow::new(field, Tableau::rk4(), Step::Fixed(0.5), 2).unwrap();
    let matrix = |rows: usize, seed: u64| {
        let numbers: Vec<T> = random(rows * 18, seed);
        Linear::Dense { weight: Tensor::new(&[rows, 18], &numbers), bias: None }
    };
    let (activation, damping) = (Activation::Tanh {}, 0.25);
    let field = Field::Dissipative { activation, operator: matrix(5, 3), skew: matrix(18, 4), damping };
    let field = StructuredField::<T>::new(&field, Shape::Features(18)).unwrap();
    let field = field.parametrized(0, Form::OrthonormalRows).unwrap().parametrized(1, Form::AlmostOrthogonal).unwrap();
    let second = Flow::new(field, Tableau::euler(), Step::Fixed(0.25), 1).unwrap();
    let dense = |rows: usize, columns: usize, form: Form| -> Box<dyn Layer<T>> {
        let matrix = Dense::new(rows, columns, random(rows * columns, 5)).unwrap();
        Box::new(AffineLayer::new(Affine::new(matrix, None).unwrap().parametrized(form).unwrap()))
    };
    let flat: Box<dyn Layer<T>> = Box::new(Reshape::described(&Linear::Flatten {}, image).unwrap());
    let heads = [dense(6, 18, Form::Spectral), dense(3, 6, Form::UnitRows)];
    let layers = [Box::new(first) as Box<dyn Layer<T>>, flat, Box::new(second)].into_iter().chain(heads).collect();
    Network::new(image, layers).unwrap()
}

/// What a step of an optimizer does: the free parameters move, and the weights follow.
fn train<T: Scalar>(network: &mut Network<T>, seed: u64) {
    for (i, parameter) in network.parameters_mut().into_iter().flatten().enumerate() {
        let direction: Vec<T> = random(parameter.len(), seed + i as u64);
        parameter.iter_mut().zip(direction).for_each(|(p, d)| *p += T::of(0.125) * d);
    }
    network.prepare();
}

fn free<T: Scalar>(network: &Network<T>) -> Vec<Vec<T>> {
    network.layers().flat_map(|layer| layer.parameters()).map(<[T]>::to_vec).collect()
}

fn bytes<T: Scalar>(network: &Network<T>) -> Vec<u8> {
    Model::new(network.input(), network.describe(), T::NAME).unwrap().bytes().unwrap()
}

fn goes_on<T: Scalar>(read: impl Fn(&[u8]) -> Network<T>) {
    let mut network = network::<T>();
    (0..3).for_each(|i| train(&mut network, 100 * i));
    let stored = bytes(&network);
    let mut again = read(&stored);
    assert_eq!(network.describe(), again.describe());
    assert_eq!(free(&network), free(&again));
    assert_ne!(free(&network)[0], network.layers().next().unwrap().describe().weights(), "nothing is tested");
    assert!(stored == bytes(&again), "what was read is written otherwise");
    for i in 0..2 {
        train(&mut network, 7 + i);
        train(&mut again, 7 + i);
        assert_eq!(network.describe(), again.describe(), "after {i} more steps");
    }
}

trait Weights<T> {
    /// The first weights of a tree.
    fn weights(&self) -> Vec<T>;
}

impl<T: Scalar> Weights<T> for Map {
    fn weights(&self) -> Vec<T> {
        let mut found = None;
        self.each(&mut |tensor| _ = found.get_or_insert_with(|| tensor.numbers()));
        found.unwrap()
    }
}

#[test]
fn training_goes_on_where_a_file_left_it() {
    goes_on::<f32>(|bytes| match Model::parse(bytes).unwrap().network().unwrap() {
        AnyNetwork::F32(network) => network,
        AnyNetwork::F64(_) => unreachable!("the file is in f32"),
    });
    goes_on::<f64>(|bytes| match Model::parse(bytes).unwrap().network().unwrap() {
        AnyNetwork::F64(network) => network,
        AnyNetwork::F32(_) => unreachable!("the file is in f64"),
    });
}

/// Returns the file with its forms changed by `edit`, or without them.
fn edited(file: &[u8], edit: impl FnOnce(&mut Value) -> bool) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let (_, header) = SafeTensors::read_metadata(file).unwrap();
    let mut metadata: HashMap<String, String> = header.metadata().clone().unwrap();
    let mut forms = serde_json::from_str(&metadata[KEY]).unwrap();
    if edit(&mut forms) {
        metadata.insert(KEY.into(), forms.to_string());
    } else {
        metadata.remove(KEY);
    }
    let views: Vec<(String, TensorView)> = tensors.tensors();
    safetensors::serialize(views, Some(metadata)).unwrap()
}

#[test]
fn claims_know_no_forms() {
    let file = bytes(&network::<f32>());
    let (with, without) = (Model::parse(&file).unwrap(), Model::parse(&edited(&file, |_| false)).unwrap());
    let forms = |model: &Model| {
        let mut count = 0;
        model.map().each(&mut |tensor| count += usize::from(tensor.trained().is_some()));
        count
    };
    assert_eq!((forms(&with), forms(&without)), (5, 0));
    assert_eq!(with.map(), without.map());
    let claims = |model: &Model| match model.network().unwrap() {
        AnyNetwork::F32(network) => serde_json::to_value(network.seal().unwrap().certificate()).unwrap(),
        AnyNetwork::F64(_) => unreachable!("the file is in f32"),
    };
    assert_eq!(claims(&with), claims(&without));
}

#[test]
fn a_form_that_cannot_be_is_refused() {
    let file = bytes(&network::<f32>());
    type Edit = fn(&mut Value);
    let cases: [(Edit, &str); 7] = [
        (|forms| forms["0.field.operator.weight"]["form"] = json!("caley"), "\"cayley\""),
        (|forms| forms["0.field.operator.bias"] = forms["4.weight"].clone(), "no matrix of weights"),
        (|forms| forms["9.weight"] = forms["4.weight"].clone(), "a form for 9.weight"),
        (|forms| forms["4.weight"]["free"] = json!("nothing"), "no tensor of this name"),
        (|forms| forms["4.weight"]["free"] = json!("layers.3.weight"), "shape [6, 18], not [3, 6]"),
        (|forms| _ = forms["3.weight"].as_object_mut().unwrap().remove("vector"), "has a vector"),
        (|forms| forms["4.weight"]["rows"] = json!(3), "unknown field `rows`"),
    ];
    for (edit, said) in cases {
        let file = edited(&file, |forms| {
            edit(forms);
            true
        });
        let error = Model::parse(&file).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// The weights decide what is claimed; a free matrix that makes others of them is no place to go on from.
#[test]
fn a_free_matrix_that_makes_other_weights_is_refused_and_the_weights_are_still_checked() {
    let file = bytes(&network::<f32>());
    for (path, form) in [("0.field.operator.weight", "unit_rows"), ("2.field.skew.weight", "unit_rows")] {
        let changed = edited(&file, |forms| {
            forms[path]["form"] = json!(form);
            true
        });
        let model = Model::parse(&changed).unwrap();
        assert_eq!(model.map(), Model::parse(&file).unwrap().map());
        let error = model.network().unwrap_err().to_string();
        assert!(error.starts_with(&format!("layer {}", &path[..1])) && error.contains("other weights"), "{error}");
    }
}
