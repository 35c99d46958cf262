//! Weights that are trained in another form, in model files: training goes on, and claims know nothing of it.

use std::collections::HashMap;

use dahlquist::{
    Network,
    activation::Activation,
    field::{GradientField, StructuredField},
    integrate::Tableau,
    layer::{AffineLayer, Equilibrium, Flow, Implicit, Layer, Reshape, Splitting, Step},
    model::{Field, Linear, Map, Model, SplitMethod, Tensor},
    network::AnyNetwork,
    operator::{Affine, Conv2d, Dense, Geometry},
    parametrize::Form,
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::{Batch, Shape},
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

/// Returns the file of a network in f32 with the first number of every weight that has a form moved a little.
fn nudged(file: &[u8]) -> Vec<u8> {
    let tensors = SafeTensors::deserialize(file).unwrap();
    let (_, header) = SafeTensors::read_metadata(file).unwrap();
    let forms: Value = serde_json::from_str(&header.metadata().as_ref().unwrap()[KEY]).unwrap();
    let mut moved = 0;
    let mut each = |(name, view): (String, TensorView)| {
        let mut bytes = view.data().to_vec();
        if name.strip_prefix("layers.").is_some_and(|path| forms.get(path).is_some()) {
            let number = f32::from_le_bytes(bytes[..4].try_into().unwrap());
            bytes[..4].copy_from_slice(&(number + number.abs().max(0.25) / 262144.0).to_le_bytes());
            moved += 1;
        }
        (name, view.shape().to_vec(), bytes)
    };
    let parts: Vec<_> = tensors.tensors().into_iter().map(&mut each).collect();
    assert_eq!(moved, forms.as_object().unwrap().len());
    let views = parts.iter().map(|(name, shape, bytes)| {
        (name.as_str(), TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    safetensors::serialize(views, header.metadata().clone()).unwrap()
}

/// A stored weight may differ from the one that its form makes, as after training on another machine. Then the stored one is
/// evaluated, and claimed about, in every place and for every form.
#[test]
fn stored_weights_are_evaluated_not_those_that_forms_make() {
    for form in Form::ALL {
        let matrix = |rows: usize, seed: u64| {
            Affine::new(Dense::new(rows, 4, random::<f32>(4 * rows, seed)).unwrap(), None)
                .unwrap()
                .parametrized(form)
                .unwrap()
        };
        let field = |seed: u64| GradientField::new(matrix(5, seed), Activation::Tanh {}).unwrap();
        let step = |seed: u64| Flow::new(field(seed), Tableau::heun(), Step::Fixed(0.25), 2).unwrap().describe();
        let implicit = Implicit::new(field(3), Tableau::implicit_euler(), 0.5, 1, None).unwrap().describe();
        let operator = Linear::Dense { weight: Tensor::new(&[4, 4], &random::<f32>(16, 4)), bias: None };
        let dissipative =
            Field::Dissipative { activation: Activation::Tanh {}, skew: operator.clone(), operator, damping: 0.5 };
        let structured = || {
            let field = StructuredField::<f32>::new(&dissipative, Shape::Features(4)).unwrap();
            field.parametrized(0, form).unwrap().parametrized(1, form).unwrap()
        };
        let split = Splitting::new(structured(), SplitMethod::ExponentialEuler, 0.25, 1).unwrap().describe();
        let solved = Equilibrium::boxed(Box::new(structured()), None).unwrap().describe();
        let dense = AffineLayer::new(matrix(4, 7)).describe();
        let branches = Map::Sum(vec![Map::Chain(vec![step(8)]), Map::Chain(vec![])]);
        let map = Map::Chain(vec![step(1), implicit, split, solved, branches, dense]);
        let file = nudged(&Model::new(Shape::Features(4), map, "f32").unwrap().bytes().unwrap());
        let model = Model::parse(&file).unwrap();
        let AnyNetwork::F32(network) = model.network().unwrap() else { unreachable!("the file is in f32") };
        let plain = Model::parse(&edited(&file, |_| false)).unwrap();
        let AnyNetwork::F32(known) = plain.network().unwrap() else { unreachable!("the file is in f32") };
        assert!(network.describe() == known.describe(), "{form:?}: other weights");
        let x = Batch::new(Shape::Features(4), random::<f32>(12, 9)).unwrap();
        assert_eq!(network.forward(&x).unwrap(), known.forward(&x).unwrap(), "{form:?}");
    }
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
