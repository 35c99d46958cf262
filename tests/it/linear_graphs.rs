//! Linear bounds pass every layer: no input of a box or a ball contradicts one, as the program computes it.

use dahlquist::{
    Network, Sealed, Semantics,
    activation::Activation,
    certificate::{Norm, Perturbation},
    layer::Layer,
    model::{
        Conv2d, Field, Flow, Linear, Map, Method, Padding, Pair, Partial, Pooling, Potential, SplitMethod, Tensor,
        Window,
    },
    rigor::{
        directed::{add_up, mul_up},
        torus::PaddingMode,
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape, argmax},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

type Draw<'a> = &'a mut dyn FnMut(&[usize], f64) -> Tensor;

/// What comes before each of the maps.
const BETWEEN: Shape = Shape::image(4, 6, 6);
/// The size of vectors.
const N: usize = 8;

fn dense(o: usize, i: usize, draw: Draw<'_>) -> Linear {
    Linear::Dense { weight: draw(&[o, i], (1.0 / i as f64).sqrt()), bias: Some(draw(&[o], 0.3)) }
}

fn bare(o: usize, i: usize, draw: Draw<'_>) -> Linear {
    Linear::Dense { weight: draw(&[o, i], (1.0 / i as f64).sqrt()), bias: None }
}

fn conv(o: usize, i: usize, draw: Draw<'_>) -> Conv2d {
    Conv2d {
        weight: draw(&[o, i, 3, 3], (1.0 / (9 * i) as f64).sqrt()),
        bias: Some(draw(&[o], 0.3)),
        stride: Pair([1, 1]),
        padding: Padding::Sides(Pair([1, 1])),
        dilation: Pair([1, 1]),
        groups: 1,
        padding_mode: PaddingMode::Zeros,
    }
}

/// Maps of images, each by its name.
fn of_images(draw: Draw<'_>) -> Vec<(&'static str, Map)> {
    let functions = [
        ("relu", Activation::Relu {}),
        ("leaky_relu", Activation::LeakyRelu { slope: 0.125 }),
        ("steep leaky_relu", Activation::LeakyRelu { slope: 2.5 }),
        ("abs", Activation::Abs {}),
        ("tanh", Activation::Tanh {}),
        ("sigmoid", Activation::Sigmoid {}),
        ("softplus", Activation::Softplus {}),
        ("elu", Activation::Elu { alpha: 0.75 }),
        ("steep elu", Activation::Elu { alpha: 1.5 }),
        ("silu", Activation::Silu {}),
        ("gelu", Activation::Gelu {}),
        ("gelu_tanh", Activation::GeluTanh {}),
        ("mish", Activation::Mish {}),
        ("hardswish", Activation::Hardswish {}),
        ("hardtanh", Activation::Hardtanh { min: -0.5, max: 0.75 }),
    ];
    let mut maps: Vec<_> = functions.map(|(name, function)| (name, Map::Activation(function))).into();
    let partial = |function, channels| Map::Partial(Partial { function, channels });
    maps.push(("partial", partial(Activation::Tanh {}, [1, 3])));
    maps.push(("partial abs", partial(Activation::Abs {}, [0, 2])));
    let overlapping = Pooling { size: Pair([3, 3]), stride: Some(Pair([2, 2])), padding: Pair([1, 1]) };
    for (name, window) in [
        ("sort 2", Window::Sort { group: 2 }),
        ("sort 4", Window::Sort { group: 4 }),
        ("max_pool", Window::MaxPool(Pooling::disjoint(2))),
        ("overlapping max_pool", Window::MaxPool(overlapping)),
        ("l2_pool", Window::L2Pool(Pooling::disjoint(2))),
        ("overlapping l2_pool", Window::L2Pool(overlapping)),
    ] {
        maps.push((name, Map::Window(window)));
    }
    let linear = [
        ("avg_pool", Linear::AvgPool(overlapping)),
        ("global_avg_pool", Linear::GlobalAvgPool {}),
        ("channel_affine", Linear::ChannelAffine { scale: draw(&[4], 1.0), shift: Some(draw(&[4], 0.5)) }),
        ("normalize", Linear::Normalize { mean: vec![0.25, -0.5, 0.0, 1.0], std: vec![0.5, 2.0, 0.75, 1.5] }),
        ("first_channels", Linear::FirstChannels { channels: 3 }),
        ("pad_channels", Linear::PadChannels { channels: 6 }),
        ("shift", Linear::Shift { groups: vec![(1, 1, 0), (2, -1, 2)], mode: PaddingMode::Zeros }),
        ("circular shift", Linear::Shift { groups: vec![(2, 1, -1), (1, 0, 3)], mode: PaddingMode::Circular }),
        ("mirror", Linear::Mirror {}),
        ("space_to_depth", Linear::SpaceToDepth { block: 2 }),
        ("strided", Linear::Conv2d(Conv2d { stride: Pair([2, 1]), ..conv(3, 4, draw) })),
        ("dilated", Linear::Conv2d(Conv2d { dilation: Pair([2, 1]), groups: 2, ..conv(4, 2, draw) })),
        (
            "circular",
            Linear::Conv2d(Conv2d {
                padding_mode: PaddingMode::Circular,
                dilation: Pair([3, 2]),
                padding: Padding::Sides(Pair([3, 2])),
                ..conv(4, 4, draw)
            }),
        ),
    ];
    maps.extend(linear.map(|(name, linear)| (name, Map::Linear(linear))));
    let mut branch = |f| {
        let maps = [
            Map::Linear(Linear::Conv2d(conv(4, 4, draw))),
            Map::Activation(f),
            Map::Linear(Linear::Conv2d(conv(4, 4, draw))),
        ];
        Map::Chain(maps.into())
    };
    maps.push(("skip", Map::Sum(vec![Map::Chain(vec![]), branch(Activation::Relu {})])));
    maps.push((
        "mean",
        Map::Mean(vec![branch(Activation::Relu {}), branch(Activation::Tanh {}), Map::Linear(Linear::Mirror {})]),
    ));
    let field = |draw: Draw<'_>, f| Field::Gradient {
        activation: f,
        operator: Linear::Conv2d(conv(5, 4, draw)),
        weights: None,
    };
    for (name, method, f) in [("euler", "euler", Activation::Relu {}), ("rk4", "rk4", Activation::Softplus {})] {
        let flow = Flow::of_steps(field(draw, f), Method::Named(method.into()), 0.25, 2);
        maps.push((name, Map::Flow(flow)));
    }
    let fields = vec![field(draw, Activation::Relu {}), field(draw, Activation::Tanh {})];
    let listed =
        Flow { fields, method: Method::Named("heun".into()), step: 0.3, steps: 2, horizon: None, tolerance: None };
    maps.push(("fields", Map::Flow(listed)));
    maps
}

/// Flows of vectors, each by its name.
fn of_vectors(draw: Draw<'_>) -> Vec<(&'static str, Map)> {
    let relu = Activation::Relu {};
    let potential = |draw: Draw<'_>, f| Potential { activation: f, operator: dense(6, N / 2, draw) };
    let weights = Tensor::new(&[6], &[0.5, 0.0, 1.0, 2.0, 0.25, 1.5]);
    let dissipative = |draw: Draw<'_>| Field::Dissipative {
        activation: Activation::Tanh {},
        operator: dense(6, N, draw),
        skew: bare(N, N, draw),
        damping: 0.5,
    };
    let hamiltonian = |draw: Draw<'_>| Field::Hamiltonian {
        kinetic: potential(draw, Activation::Tanh {}),
        potential: potential(draw, Activation::Relu {}),
    };
    let fields = vec![
        ("weighted", Field::Gradient { activation: relu, operator: dense(6, N, draw), weights: Some(weights) }),
        (
            "residual",
            Field::Residual { activation: Activation::Gelu {}, inner: dense(6, N, draw), outer: dense(N, 6, draw) },
        ),
        ("dissipative", dissipative(draw)),
        ("hamiltonian", hamiltonian(draw)),
        (
            "dissipative_hamiltonian",
            Field::DissipativeHamiltonian {
                activation: relu,
                operator: dense(6, N, draw),
                quadratic: bare(5, N, draw),
                skew: bare(N, N, draw),
                damping: 0.25,
            },
        ),
        (
            "antisymmetric",
            Field::Antisymmetric {
                activation: Activation::Tanh {},
                matrix: bare(N, N, draw),
                bias: Some(draw(&[N], 0.3)),
                damping: 0.25,
            },
        ),
        ("skew_linear", Field::SkewLinear { skew: bare(N, N, draw) }),
        (
            "nais",
            Field::Nais { activation: relu, factor: bare(6, N, draw), bias: Some(draw(&[N], 0.3)), epsilon: 0.125 },
        ),
        (
            "lurie",
            Field::Lurie {
                activation: relu,
                linear: bare(N, N, draw),
                inner: dense(6, N, draw),
                outer: bare(N, 6, draw),
            },
        ),
    ];
    let flow = |(name, field): (&'static str, Field)| {
        (name, Map::Flow(Flow::of_steps(field, Method::Named("kutta3".into()), 0.2, 2)))
    };
    let mut maps: Vec<_> = fields.into_iter().map(flow).collect();
    for (name, method) in
        [("symplectic_euler", SplitMethod::SymplecticEuler), ("stormer_verlet", SplitMethod::StormerVerlet)]
    {
        maps.push((name, Map::Flow(Flow::of_steps(hamiltonian(draw), Method::Split(method), 0.2, 2))));
    }
    maps.push((
        "exponential_euler",
        Map::Flow(Flow::of_steps(dissipative(draw), Method::Split(SplitMethod::ExponentialEuler), 0.3, 2)),
    ));
    maps
}

/// A network around each map: something linear before it, two dense layers behind it.
pub fn networks<T: Scalar>(seed: u64) -> Vec<(&'static str, Network<T>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |shape: &[usize], scale: f64| {
        let numbers = (0..shape.iter().product()).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal)));
        Tensor::new(shape, &numbers.collect::<Vec<T>>())
    };
    let draw: Draw<'_> = &mut draw;
    let mut networks = Vec::new();
    let mut around = |name, first: Linear, map: Map, shape: Shape, draw: Draw<'_>| {
        let between = map.output(first.output(shape).unwrap()).unwrap();
        let mut layers = vec![Map::Linear(first), map, Map::Linear(Linear::Flatten {})];
        layers.push(Map::Linear(dense(6, between.len(), draw)));
        layers.push(Map::Activation(Activation::Relu {}));
        layers.push(Map::Linear(dense(3, 6, draw)));
        networks.push((name, Network::build(&Map::Chain(layers), shape).unwrap()));
    };
    for (name, map) in of_images(draw) {
        around(name, Linear::Conv2d(conv(4, 2, draw)), map, Shape::image(2, 6, 6), draw);
    }
    for (name, map) in of_vectors(draw) {
        around(name, dense(N, 5, draw), map, Shape::Features(5), draw);
    }
    assert_eq!(BETWEEN.len(), 144);
    networks
}

/// What the program computes of a linear function of the logits, from above.
fn value<T: Scalar>(network: &Network<T>, x: &[T], row: &[f64]) -> f64 {
    let y = network.forward(&Batch::new(network.input(), x.to_vec()).unwrap()).unwrap();
    y.data().iter().zip(row).fold(0.0, |sum, (y, c)| add_up(sum, mul_up(*c, y.wide())))
}

/// The gradient of a linear function of the logits.
fn gradient<T: Scalar>(network: &Network<T>, x: &[T], row: &[f64]) -> Vec<f64> {
    let mut tape = Tape::recording();
    let out = Layer::forward(network, Batch::new(network.input(), x.to_vec()).unwrap(), &mut tape);
    let mut g = Batch::zeros(out.shape(), 1);
    g.data_mut().iter_mut().zip(row).for_each(|(g, c)| *g = T::of(*c));
    Layer::vjp(network, &tape, g, None).data().iter().map(|g| g.wide()).collect()
}

/// Rounded to the format, and into an interval of numbers of the format.
fn inside<T: Scalar>(x: f64, [low, high]: [f64; 2]) -> T {
    T::of(x.clamp(low, high))
}

/// The least value that is found on a box: its corners, points of it at random, and steps down the gradient.
fn search<T: Scalar>(network: &Network<T>, range: &[[f64; 2]], row: &[f64], rng: &mut ChaCha8Rng) -> f64 {
    let mut least = f64::INFINITY;
    for attempt in 0..6 {
        let start = |range: &[f64; 2], rng: &mut ChaCha8Rng| match attempt {
            0 => range[0] / 2.0 + range[1] / 2.0,
            1 | 2 => range[rng.random_range(0..2)],
            _ => range[0] + rng.random_range(0.0..1.0) * (range[1] - range[0]),
        };
        let mut x: Vec<T> = range.iter().map(|range| inside(start(range, rng), *range)).collect();
        for step in 0..10 {
            least = least.min(value(network, &x, row));
            let g = gradient(network, &x, row);
            let length = 1.0 / f64::from(1 << (step / 2));
            let moved = x
                .iter()
                .zip(&g)
                .zip(range)
                .map(|((x, g), range)| inside(x.wide() - length * g.signum() * (range[1] - range[0]), *range));
            x = moved.collect();
        }
        least = least.min(value(network, &x, row));
    }
    least
}

/// Boxes whose ends are numbers of the format, around a point.
fn around<T: Scalar>(n: usize, half: f64, rng: &mut ChaCha8Rng) -> Vec<[f64; 2]> {
    let side = |_| {
        let (x, half) = (rng.sample::<f64, _>(StandardNormal), half * rng.random_range(0.0..1.0));
        [T::of(x - half).wide(), T::of(x + half).wide()]
    };
    (0..n).map(side).collect()
}

const ROWS: [[f64; 3]; 4] = [[1.0, -1.0, 0.0], [0.0, -1.0, 1.0], [-1.0, 0.0, 0.0], [0.5, 0.25, -2.0]];

fn no_box_contradicts<T: Scalar>(seed: u64) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let rows: Vec<Vec<f64>> = ROWS.iter().map(|row| row.to_vec()).collect();
    for (name, network) in networks::<T>(seed) {
        let sealed = network.seal().unwrap();
        let bounds = sealed.linear_bounds();
        for half in [1e-6, 0.02, 0.5] {
            let range = around::<T>(sealed.network().input().len(), half, rng);
            let executed = bounds.least(&range, &rows, Semantics::Executed).unwrap();
            for (row, executed) in rows.iter().zip(&executed) {
                let found = search(sealed.network(), &range, row, rng);
                assert!(executed.is_finite() && found >= *executed, "{name}, {half}: {found} is less than {executed}");
            }
        }
    }
}

#[test]
fn nothing_in_a_box_contradicts_a_linear_bound_in_f32() {
    no_box_contradicts::<f32>(1);
}

#[test]
fn nothing_in_a_box_contradicts_a_linear_bound_in_f64() {
    no_box_contradicts::<f64>(2);
}

/// On small boxes a linear function is nearly all that there is, whatever the layer: none of them is passed by its Lipschitz
/// constant.
#[test]
fn every_layer_is_passed_by_lines() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for (name, network) in networks::<f64>(3) {
        let sealed = network.seal().unwrap();
        let bounds = sealed.linear_bounds();
        let (mut lost, mut moved) = (0.0, 0.0);
        for _ in 0..4 {
            let range = around::<f64>(sealed.network().input().len(), 2e-3, rng);
            for row in ROWS {
                let bound = bounds.least(&range, &[row.to_vec()], Semantics::Exact).unwrap()[0];
                let middle: Vec<f64> = range.iter().map(|[low, high]| low / 2.0 + high / 2.0).collect();
                let found = search(sealed.network(), &range, &row, rng);
                lost += found - bound;
                moved += value(sealed.network(), &middle, &row) - found;
            }
        }
        // A network whose functions are all off does not move.
        assert!(lost < 0.15 * moved + 1e-9, "{name}: {lost} of {moved}");
    }
}

/// No input at a distance below a radius, in its norm and its range, has another prediction.
pub fn survives<T: Scalar>(
    sealed: &Sealed<T>,
    x: &[T],
    class: usize,
    radius: f64,
    p: &Perturbation,
    rng: &mut ChaCha8Rng,
) {
    let network = sealed.network();
    let [least, most] = p.range.unwrap_or([f64::MIN, f64::MAX]);
    let lies_inside = |y: &[T]| {
        let apart: Vec<f64> = y.iter().zip(x).map(|(y, x)| (y.wide() - x.wide()).abs()).collect();
        let distance = match p.norm {
            Norm::L2 => apart.iter().map(|d| d * d).sum::<f64>().sqrt(),
            Norm::Linf => apart.iter().copied().fold(0.0, f64::max),
        };
        distance < radius * (1.0 - 1e-12) && y.iter().all(|y| (least..=most).contains(&y.wide()))
    };
    for attempt in 0..12 {
        let other = (class + 1 + attempt % 2) % 3;
        let mut row = vec![0.0; 3];
        (row[class], row[other]) = (1.0, -1.0);
        let mut y = x.to_vec();
        for step in 0..12 {
            let g: Vec<f64> = match attempt % 3 {
                0 => (0..x.len()).map(|_| rng.sample::<f64, _>(StandardNormal)).collect(),
                _ => gradient(network, &y, &row),
            };
            let size = g.iter().map(|g| g * g).sum::<f64>().sqrt().max(1e-300);
            let length = radius / f64::from(1 + step);
            let to: Vec<f64> = y
                .iter()
                .zip(&g)
                .map(|(y, g)| y.wide() - length * if p.norm == Norm::L2 { g / size } else { g.signum() })
                .collect();
            let apart: Vec<f64> = to.iter().zip(x).map(|(y, x)| y - x.wide()).collect();
            let norm = apart.iter().map(|d| d * d).sum::<f64>().sqrt();
            let shrink = if p.norm == Norm::L2 && norm > radius { 0.999_99 * radius / norm } else { 1.0 };
            y = x
                .iter()
                .zip(&apart)
                .map(|(x, d)| {
                    let d =
                        if p.norm == Norm::Linf { d.clamp(-0.999_99 * radius, 0.999_99 * radius) } else { shrink * d };
                    T::of((x.wide() + d).clamp(least, most))
                })
                .collect();
            if lies_inside(&y) {
                let found = network.forward(&Batch::new(network.input(), y.clone()).unwrap()).unwrap();
                let data = found.data();
                assert!(
                    (0..3).all(|j| j == class || data[j] < data[class]),
                    "class {class} within {radius}: {data:?}, {}",
                    argmax(data)
                );
            }
        }
    }
}

#[test]
fn nothing_within_a_radius_in_a_norm_and_a_range_contradicts_it() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let (mut larger, mut cut) = (0, 0);
    for (name, network) in networks::<f32>(4) {
        let shape = network.input();
        let sealed = network.seal().unwrap();
        let x: Vec<f32> = (0..3 * shape.len()).map(|_| rng.random_range(0.0..1.0)).collect();
        let batch = Batch::new(shape, x).unwrap();
        let plain = sealed.certify_locally(&batch, Semantics::Executed).unwrap();
        for norm in [Norm::L2, Norm::Linf] {
            let mut whole = [0.0; 3];
            for range in [None, Some([0.0, 1.0])] {
                let p = Perturbation { norm, range };
                let claims = sealed.certify_locally_within(&batch, Semantics::Executed, &p).unwrap();
                for (s, claim) in claims.iter().enumerate() {
                    let radius = claim.radius.get();
                    assert_eq!(claim.prediction, plain[s].prediction);
                    match (norm, range) {
                        (Norm::L2, None) => assert_eq!(radius, plain[s].radius.get()),
                        (Norm::L2, _) => assert!(radius >= plain[s].radius.get()),
                        _ => larger += usize::from(radius > 1.01 * plain[s].radius.get() / (shape.len() as f64).sqrt()),
                    }
                    cut += usize::from(range.is_some() && radius > 1.01 * whole[s] && radius > 0.0);
                    whole[s] = radius;
                    if let Some(class) = claim.prediction.filter(|_| radius > 0.0) {
                        survives(&sealed, batch.sample(s), class, radius, &p, rng);
                    }
                }
            }
        }
        assert!(plain.iter().any(|claim| claim.radius.get() > 0.0), "{name}");
    }
    assert!(larger > 100 && cut > 50, "{larger} and {cut}");
}
