//! Implicit steps: what is solved, how well, how often the field is evaluated, and what is refused.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use dahlquist::{
    Network, Semantics,
    activation::Activation,
    field::{GradientField, StructuredField, VectorField},
    integrate::Tableau,
    layer::{Implicit, Layer},
    model::{Field, Flow, Fractions, Linear, Map, Method, Model, Tensor},
    operator::{Affine, Dense},
    rigor::{Rounding, directed::norm_down},
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{proof, step_rule};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const METHODS: [&str; 7] =
    ["implicit_euler", "implicit_midpoint", "trapezoid", "sdirk2", "gauss2", "radau_iia2", "lobatto_iiic2"];

fn normal<T: Scalar>(n: usize, scale: f64, rng: &mut impl Rng) -> Vec<T> {
    (0..n).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
}

fn gradient<T: Scalar>(n: usize, m: usize, activation: Activation, rng: &mut impl Rng) -> GradientField<T> {
    let w = Dense::new(m, n, normal(m * n, 1.0 / (n as f64).sqrt(), rng)).unwrap();
    GradientField::new(Affine::new(w, Some(normal(m, 0.3, rng))).unwrap(), activation).unwrap()
}

fn matrix(n: usize, w: &[f64]) -> Linear {
    Linear::Dense { weight: Tensor::new(&[w.len() / n, n], w), bias: None }
}

/// `−Wᵀtanh(Wx) + (S − Sᵀ)x − x/10` on four features.
fn dissipative<T: Scalar>(rng: &mut impl Rng) -> StructuredField<T> {
    let field = Field::Dissipative {
        activation: Activation::Tanh {},
        operator: matrix(4, &normal::<f64>(12, 0.7, rng)),
        skew: matrix(4, &normal::<f64>(16, 0.7, rng)),
        damping: T::of(0.1).wide(),
    };
    StructuredField::new(&field, Shape::Features(4)).unwrap()
}

/// The declared error of a pass at `x`, and the value.
fn run<T: Scalar>(layer: &Implicit<T>, x: &Batch<T>) -> (Batch<T>, Vec<f64>) {
    let proof = proof::<T>(layer).unwrap();
    let mut tape = Tape::recording();
    layer.widen().forward(x.cast(), &mut tape);
    let errors = layer.rounding(&proof, &Rounding::of::<T>(), &tape, &vec![0.0; x.samples()]).unwrap();
    (layer.forward(x.clone(), &mut Tape::idle()), errors)
}

#[test]
fn a_coarse_solution_is_within_its_declared_error_of_a_fine_one() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut farthest: f64 = 0.0;
    for name in METHODS {
        for h in [0.3, 1.0, 5.0] {
            for kind in 0..2 {
                let field = |rng: &mut ChaCha8Rng| -> Box<dyn VectorField<f64>> {
                    if kind == 0 {
                        Box::new(gradient(4, 6, Activation::Tanh {}, rng))
                    } else {
                        Box::new(dissipative(rng))
                    }
                };
                let seed = rng.random();
                let layer = |tolerance: f64| {
                    let field = field(&mut ChaCha8Rng::seed_from_u64(seed));
                    Implicit::boxed(vec![field], Tableau::by_name(name).unwrap(), h, 2, Some(tolerance)).unwrap()
                };
                let x = Batch::new(Shape::Features(4), normal(40, 2.0, &mut rng)).unwrap();
                let (fine, exact) = run(&layer(1e-12), &x);
                let (coarse, errors) = run(&layer(1e-3), &x);
                for s in 0..x.samples() {
                    let apart: Vec<f64> = fine.sample(s).iter().zip(coarse.sample(s)).map(|(a, b)| a - b).collect();
                    assert!(exact[s] < 1e-9, "{name}: {}", exact[s]);
                    assert!(norm_down(&apart) <= errors[s] + exact[s], "{name}, h = {h}: {apart:?} > {}", errors[s]);
                    farthest = farthest.max(norm_down(&apart) / errors[s]);
                }
            }
        }
    }
    // Newton's method stops short of the tolerance now and then.
    assert!(farthest > 0.01, "{farthest}");
}

/// For one step of implicit Euler the error is `τ/(1 − hμ)` and rounding, no more.
#[test]
fn the_error_of_a_solve_is_that_of_the_theorem() {
    let field = GradientField::<f64>::new(
        Affine::new(Dense::new(1, 1, vec![2.0]).unwrap(), None).unwrap(),
        Activation::Identity {},
    );
    let layer = Implicit::new(field.unwrap(), Tableau::implicit_euler(), 0.5, 1, Some(1e-3)).unwrap();
    let (_, errors) = run(&layer, &Batch::new(Shape::Features(1), vec![1.0]).unwrap());
    // μ = −4, so 1 − hμ = 3.
    assert!((1e-3 / 3.0..1e-3 / 3.0 + 1e-9).contains(&errors[0]), "{}", errors[0]);
}

/// A field that counts how often it is evaluated.
#[derive(Debug)]
struct Counted<T: Scalar> {
    field: Box<dyn VectorField<T>>,
    values: Arc<AtomicUsize>,
    products: Arc<AtomicUsize>,
}

impl<T: Scalar> VectorField<T> for Counted<T> {
    fn describe(&self) -> Field {
        self.field.describe()
    }
    fn shape(&self) -> Shape {
        self.field.shape()
    }
    fn eval(&self, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        self.values.fetch_add(1, Ordering::Relaxed);
        self.field.eval(x, tape)
    }
    fn vjp(&self, x: &Batch<T>, tape: &Tape<T>, g: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        self.field.vjp(x, tape, g, gradient)
    }
    fn jvp(&self, x: &Batch<T>, tape: &Tape<T>, v: &Batch<T>) -> Batch<T> {
        self.products.fetch_add(1, Ordering::Relaxed);
        self.field.jvp(x, tape, v)
    }
    fn parameters(&self) -> Vec<&[T]> {
        self.field.parameters()
    }
    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.field.parameters_mut()
    }
    fn widen(&self) -> Box<dyn VectorField<f64>> {
        self.field.widen()
    }
}

/// At the limit of contractivity of Euler's method a solve to 10⁻⁶ takes at most 6 evaluations of the field at each stage.
#[test]
fn a_solve_takes_few_evaluations() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for activation in [Activation::Relu {}, Activation::Tanh {}, Activation::Softplus {}] {
        for name in METHODS {
            let field = gradient::<f32>(32, 48, activation, &mut rng);
            let limit = 2.0 / Prover::default().field(&field.describe(), field.shape()).unwrap().bound().get();
            let [values, products] = [0, 0].map(|_| Arc::new(AtomicUsize::new(0)));
            let counted = Counted { field: Box::new(field), values: values.clone(), products: products.clone() };
            let tableau = Tableau::by_name(name).unwrap();
            // Explicit stages are evaluated once.
            let solved = tableau
                .stage_blocks()
                .unwrap()
                .blocks
                .iter()
                .filter(|b| b.solvable.is_some())
                .map(|b| b.stages.len())
                .sum::<usize>();
            let layer = Implicit::new(counted, tableau, limit, 1, Some(1e-5)).unwrap();
            let x = Batch::new(Shape::Features(32), normal(32 * 16, 1.0, &mut rng)).unwrap();
            let y = layer.forward(x, &mut Tape::idle());
            assert!(y.data().iter().all(|y| y.is_finite()), "{name}");
            let [values, products] = [values, products].map(|count| count.load(Ordering::Relaxed));
            println!("{name} {activation:?}: {values} values and {products} products at {solved} stages");
            assert!(values <= 6 * solved + 1, "{name} {activation:?}: {values} for {solved} stages");
        }
    }
}

#[test]
fn what_is_not_solved_is_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let flow = |tolerance: f64, rng: &mut _| -> Box<dyn Layer<f64>> {
        let field = gradient(32, 48, Activation::Tanh {}, rng);
        Box::new(Implicit::new(field, Tableau::implicit_midpoint(), 1.0, 1, Some(tolerance)).unwrap())
    };
    // Of so many sums one at least is not exactly 0.
    let x = Batch::new(Shape::Features(32), normal(32, 1.0, &mut rng)).unwrap();
    let unsolved = Network::new(Shape::Features(32), vec![flow(1e-300, &mut rng)]).unwrap().seal().unwrap();
    assert!(unsolved.forward(&x).unwrap().data().iter().all(|y| y.is_nan()));
    for semantics in [Semantics::Exact, Semantics::Executed] {
        let claim = unsolved.certify(&x, semantics).unwrap()[0];
        assert!(claim.refusal.is_some() && claim.radius.get() == 0.0, "{claim:?}");
    }
    let solved = Network::new(Shape::Features(32), vec![flow(1e-9, &mut rng)]).unwrap().seal().unwrap();
    for semantics in [Semantics::Exact, Semantics::Executed] {
        assert!(solved.certify(&x, semantics).unwrap()[0].radius.get() > 0.0);
    }
}

/// What a file holds is what runs, and what is proved of it is checked again.
#[test]
fn files_hold_implicit_flows() {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let own = Method::Own(Fractions { a: vec![vec!["3/4".into()]], b: vec!["1".into()] });
    let named = METHODS.map(|name| Method::Named(name.into()));
    for method in named.into_iter().chain([own]) {
        let field = gradient::<f64>(3, 4, Activation::LeakyRelu { slope: 0.5 }, &mut rng).describe();
        let flow = Flow { tolerance: Some(1e-8), ..Flow::of_steps(field, method.clone(), 0.5, 2) };
        let model = Model::new(Shape::Features(3), Map::Chain(vec![Map::Flow(flow)]), f64::NAME).unwrap();
        let again = Model::parse(&model.bytes().unwrap()).unwrap();
        assert_eq!(model.map(), again.map());
        let file = dahlquist_testkit::models::certificate_of(&again);
        let report = dahlquist::check::check(&file, &again);
        assert!(report.verified.is_some(), "{method}: {:?}", report.findings);
        assert!(file.network.bound() < 1.0, "{method}: {}", file.network.bound());
        // A constant that is a little too small is found.
        let mut forged = file;
        forged.lipschitz *= 1.0 - 1e-9;
        assert!(dahlquist::check::check(&forged, &again).verified.is_none());
    }
}

#[test]
fn cayley_and_tolerances_are_for_what_they_are_for() {
    let skew = Field::SkewLinear { skew: matrix(2, &[0.0, 1.0, -3.0, 0.0]) };
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let other = gradient::<f64>(2, 2, Activation::Relu {}, &mut rng).describe();
    let flow = |field: &Field, method: &str, tolerance| Flow {
        tolerance,
        ..Flow::of_steps(field.clone(), Method::Named(method.into()), 0.7, 1)
    };
    let read = |flow: Flow| Model::new(Shape::Features(2), Map::Chain(vec![Map::Flow(flow)]), f64::NAME);
    assert!(read(flow(&other, "cayley", None)).is_err());
    assert!(read(flow(&other, "euler", Some(1e-6))).is_err());
    assert!(read(flow(&other, "implicit_euler", Some(0.0))).is_err());
    let model = read(flow(&skew, "cayley", Some(1e-10))).unwrap();
    let network = Network::<f64>::build(model.map(), model.input()).unwrap();
    let y = network.forward(&Batch::new(Shape::Features(2), vec![3.0, 4.0]).unwrap()).unwrap();
    assert!((y.data()[0].hypot(y.data()[1]) - 5.0).abs() < 1e-9, "{y:?}");
    let proof = Prover::default().network(model.map(), model.input()).unwrap();
    assert_eq!(step_rule(&proof.premises()[0]), dahlquist::certificate::Rule::SkewFlow);
    assert_eq!((proof.bound().get(), proof.claims().inverse.unwrap().get()), (1.0, 1.0));
}

/// A step whose equations may have no solution, or two, has no certificate.
#[test]
fn a_step_that_may_not_exist_is_refused() {
    let space = Shape::Features(1);
    // x' = x, of which only ℓ = 1 is known.
    let field =
        Field::Residual { activation: Activation::Identity {}, inner: matrix(1, &[1.0]), outer: matrix(1, &[1.0]) };
    let prove = |name: &str, h: f64| {
        let flow = Map::Flow(Flow::of_steps(field.clone(), Method::Named(name.into()), h, 1));
        Prover::default().network(&flow, space)
    };
    for name in METHODS {
        assert!(prove(name, 0.25).unwrap().bound().get() >= 0.25f64.exp() * 0.99, "{name}");
        assert!(prove(name, 10.0).is_err(), "{name}");
    }
    assert!((prove("implicit_euler", 0.5).unwrap().bound().get() - 2.0).abs() < 1e-12);
    assert!(prove("implicit_euler", 1.0).is_err());
}

/// Derivatives by the point and by the weights, through the solve, against difference quotients.
#[test]
fn derivatives_go_through_every_solve() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for name in ["implicit_euler", "implicit_midpoint", "trapezoid", "sdirk2", "gauss2", "radau_iia2", "lobatto_iiic2"]
    {
        for n in [1, 3] {
            let field: GradientField<f64> = gradient(n, 2, Activation::Softplus {}, &mut rng);
            let mut layer = Implicit::new(field, Tableau::by_name(name).unwrap(), 3.0, 2, None).unwrap();
            let x = Batch::new(Shape::Features(n), normal(n, 1.0, &mut rng)).unwrap();
            let g = Batch::new(Shape::Features(n), normal(n, 1.0, &mut rng)).unwrap();
            let mut tape = Tape::recording();
            layer.forward(x.clone(), &mut tape);
            let mut by_weights = layer.gradient();
            let by_point = layer.vjp(&tape, g.clone(), Some(&mut by_weights));
            let along: Vec<f64> = normal(n, 1.0, &mut rng);
            let directions: Vec<Vec<f64>> = layer.parameters().iter().map(|p| normal(p.len(), 1.0, &mut rng)).collect();
            let pulled: f64 = by_point.data().iter().zip(&along).map(|(a, b)| a * b).sum();
            let pushed = layer.jvp(&tape, Batch::new(Shape::Features(n), along.clone()).unwrap());
            let pushed: f64 = pushed.data().iter().zip(g.data()).map(|(a, b)| a * b).sum();
            let by_weights: f64 =
                by_weights.iter().zip(&directions).flat_map(|(a, b)| a.iter().zip(b)).map(|(a, b)| a * b).sum();
            let value = |layer: &Implicit<f64>, t: f64| {
                let moved = x.data().iter().zip(&along).map(|(x, d)| x + t * d).collect();
                let y = layer.forward(Batch::new(Shape::Features(n), moved).unwrap(), &mut Tape::idle());
                y.data().iter().zip(g.data()).map(|(a, b)| a * b).sum::<f64>()
            };
            let quotient = (value(&layer, 1e-5) - value(&layer, -1e-5)) / 2e-5;
            let near = |a: f64, b: f64| (a - b).abs() <= 1e-5 * (1.0 + b.abs());
            assert!(near(pulled, quotient) && near(pushed, quotient), "{name}, {n}: {pulled}, {pushed}, {quotient}");
            let mut moved = |t: f64| {
                for (p, d) in layer.parameters_mut().into_iter().zip(&directions) {
                    p.iter_mut().zip(d).for_each(|(p, d)| *p += t * d);
                }
                value(&layer, 0.0)
            };
            let (plus, minus) = (moved(1e-5), moved(-2e-5));
            assert!(near(by_weights, (plus - minus) / 2e-5), "{name}, {n}: {by_weights} by the weights");
        }
    }
}
