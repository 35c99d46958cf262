//! Graphs: the norm of differences along edges, diffusion, refusals and files.

use dahlquist::{
    Network,
    activation::Activation,
    field::GradientField,
    layer::{Flow, Layer, Step},
    model::{Linear, Map, Model, Tensor},
    network::AnyNetwork,
    operator::{Affine, Dense, GraphGradient, Operator},
    rules::Prover,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{certificate_of, model_bytes};
use serde_json::json;

/// Every edge of a grid of points.
fn grid(rows: usize, columns: usize) -> Vec<(usize, usize)> {
    let at = |i: usize, j: usize| i * columns + j;
    let right = (0..rows).flat_map(|i| (1..columns).map(move |j| (at(i, j - 1), at(i, j))));
    let down = (1..rows).flat_map(|i| (0..columns).map(move |j| (at(i - 1, j), at(i, j))));
    right.chain(down).collect()
}

fn norm(operator: &GraphGradient<f64>) -> f64 {
    Prover::default().operator(&operator.describe(), operator.input(), false).unwrap().0.bound.get()
}

fn graph(nodes: Shape, edges: Vec<(usize, usize)>, k: &[f64]) -> GraphGradient<f64> {
    let channels = nodes.as_image("").unwrap().0;
    GraphGradient::new(nodes, edges, k.len() / channels, k.to_vec()).unwrap()
}

#[test]
fn the_norm_is_that_of_the_laplacian() {
    // The largest eigenvalue of the Laplacian: n for a star of n nodes, 2 − 2 cos(π(n − 1)/n) for a path, n for a complete graph.
    let line = |n: usize| Shape::image(1, 1, n);
    let star = (1..7).map(|v| (0, v)).collect();
    let complete = (0..5).flat_map(|u| (u + 1..5).map(move |v| (u, v))).collect();
    let path: Vec<(usize, usize)> = (1..9).map(|v| (v - 1, v)).collect();
    let of_path = 2.0 - 2.0 * (std::f64::consts::PI * 8.0 / 9.0).cos();
    for (nodes, edges, square) in [(7, star, 7.0), (5, complete, 5.0), (9, path, of_path)] {
        let found = norm(&graph(line(nodes), edges, &[1.0])).powi(2);
        assert!((square..square * (1.0 + 1e-6)).contains(&(found * (1.0 + 1e-15))), "{nodes}: {found} {square}");
    }
    // Of a large grid: deg u + deg v = 8, which is its limit; and a matrix for the channels.
    let large = graph(Shape::image(2, 40, 40), grid(40, 40), &[3.0, 0.0, 0.0, 4.0]);
    assert!((norm(&large) - 4.0 * 8f64.sqrt()).abs() < 1e-6, "{}", norm(&large));
}

#[test]
fn the_norm_is_that_of_the_matrix() {
    let nodes = Shape::image(2, 2, 3);
    let operator = graph(nodes, vec![(0, 1), (1, 2), (5, 2), (0, 4), (4, 0)], &[1.0, -0.5, 2.0, 0.25, 0.0, 1.5]);
    let (n, m) = (nodes.len(), operator.output().len());
    let mut columns = Vec::new();
    for j in 0..n {
        let mut unit = vec![0.0; n];
        unit[j] = 1.0;
        let mut y = Batch::zeros(operator.output(), 1);
        operator.apply(&Batch::new(nodes, unit).unwrap(), &mut y);
        columns.push(y.data().to_vec());
    }
    let entries = (0..m * n).map(|k| columns[k % n][k / n]).collect();
    let matrix = Dense::new(m, n, entries).unwrap();
    let written = Prover::default().operator(&matrix.describe(), Shape::Features(n), false).unwrap().0.bound.get();
    assert!((norm(&operator) / written - 1.0).abs() < 1e-6, "{} {written}", norm(&operator));
    // Its adjoint is the transposed matrix.
    let y: Vec<f64> = (0..m).map(|i| (i * i % 7) as f64 - 3.0).collect();
    let (mut x, mut x2) = (Batch::zeros(nodes, 1), Batch::zeros(Shape::Features(n), 1));
    operator.adjoint(&Batch::new(operator.output(), y.clone()).unwrap(), &mut x);
    matrix.adjoint(&Batch::new(Shape::Features(m), y).unwrap(), &mut x2);
    assert_eq!(x.data(), x2.data());
}

/// Heat on a graph: at the limit of contractivity nothing expands, the sum of every channel stays, and differences fade.
#[test]
fn diffusion_keeps_the_mean() {
    let nodes = Shape::image(1, 6, 6);
    let map = Affine::new(graph(nodes, grid(6, 6), &[1.0]), None).unwrap();
    let field = GradientField::new(map, Activation::Tanh {}).unwrap();
    let layer = Flow::new(field, Tableau::euler(), Step::Relative(0.9), 400).unwrap();
    let sealed = Network::new(nodes, vec![Box::new(layer)]).unwrap().seal().unwrap();
    assert!(sealed.certificate().bound().get() <= 1.0);
    let x = Batch::new(nodes, (0..36).map(|i| f64::from(i % 5) - f64::from(i % 3)).collect()).unwrap();
    let y = sealed.forward(&x).unwrap();
    let mean = x.data().iter().sum::<f64>() / 36.0;
    assert!(y.data().iter().all(|y| (y - mean).abs() < 1e-3), "{y:?} {mean}");
}

#[test]
fn a_file_holds_it_and_what_is_no_graph_is_refused() {
    let nodes = Shape::image(2, 2, 2);
    let bias = Some(vec![0.5, -0.25, 0.0]);
    let map = Affine::new(graph(nodes, vec![(0, 1), (1, 3), (2, 0)], &[1.0, 2.0, 0.5, -1.0, 0.0, 0.25]), bias).unwrap();
    let field = GradientField::new(map, Activation::Relu {}).unwrap();
    let flow = Flow::new(field, Tableau::rk4(), Step::Fixed(0.05), 2).unwrap();
    let built = Network::new(nodes, vec![Box::new(flow) as Box<dyn Layer<f64>>]).unwrap();
    let model = Model::parse(&model_bytes(&built)).unwrap();
    assert_eq!(model.map(), &built.describe());
    let AnyNetwork::F64(read) = model.network().unwrap() else { panic!("not f64") };
    let x = Batch::new(nodes, (0..8).map(|i| f64::from(i) / 4.0 - 1.0).collect()).unwrap();
    let value = |network: &Network<f64>| Layer::forward(network, x.clone(), &mut Tape::idle());
    assert_eq!(value(&read), value(&built));
    assert!(dahlquist::check::check(&certificate_of(&model), &model).verified.is_some());
    for (edges, why) in [(json!([[0, 4]]), "[0, 4]"), (json!([[1, 1]]), "[1, 1]"), (json!([]), "one edge")] {
        let linear: Linear<String> =
            serde_json::from_value(json!({"type": "graph_gradient", "weight": "k", "edges": edges})).unwrap();
        let mut tensor = |_: &str, _: usize, _: String| Ok::<_, ()>(Tensor::new(&[1, 2], &[1.0, 1.0]));
        let refusal = Map::Linear(linear).try_map("", &mut tensor).unwrap().output(nodes).unwrap_err();
        assert!(refusal.to_string().contains(why), "{refusal}");
    }
    assert!(GraphGradient::new(Shape::Features(4), vec![(0, 1)], 1, vec![1.0f32; 4]).is_err());
}
