//! Equilibria: how well they are solved, what is refused, their derivatives, and their files.

use dahlquist::{
    Error, Network, Semantics,
    activation::Activation,
    field::{GradientField, StructuredField},
    layer::{AffineLayer, Equilibrium, Layer},
    lyapunov::equilibrium_errors,
    model::{Field, Linear, Model, Tensor},
    network::{self, AnyNetwork},
    operator::{Affine, Dense},
    rigor::{Rounding, directed::norm_down},
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{certificate_of, model_bytes, proof};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

const SPACE: Shape = Shape::Features(4);

fn normal<T: Scalar>(n: usize, scale: f64, rng: &mut impl Rng) -> Vec<T> {
    (0..n).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
}

/// `−Wᵀtanh(Wx + b) + (S − Sᵀ)x − γx`.
fn dissipative<T: Scalar>(damping: f64, seed: u64) -> StructuredField<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut matrix = |rows: usize, scale: f64| -> Linear {
        let weight = Tensor::new(&[rows, 4], &normal::<T>(4 * rows, scale, &mut rng));
        Linear::Dense { weight, bias: None }
    };
    let (operator, skew) = (matrix(3, 0.7), matrix(4, 0.7));
    let operator = operator.with_bias(Some(Tensor::new(&[3], &[0.5, -1.0, 0.25])));
    let field = Field::Dissipative { activation: Activation::Tanh {}, operator, skew, damping: T::of(damping).wide() };
    StructuredField::new(&field, SPACE).unwrap()
}

fn layer<T: Scalar>(damping: f64, seed: u64, tolerance: Option<f64>) -> Equilibrium<T> {
    Equilibrium::new(dissipative(damping, seed), tolerance).unwrap()
}

/// The value, and its declared error over a ball.
fn run<T: Scalar>(layer: &Equilibrium<T>, u: &Batch<T>, reach: f64) -> (Batch<T>, Vec<f64>) {
    let proof = proof::<T>(layer).unwrap();
    let mut tape = Tape::recording();
    layer.widen().forward(u.cast(), &mut tape);
    let errors = layer.rounding(&proof, &Rounding::of::<T>(), &tape, &vec![reach; u.samples()]).unwrap();
    (layer.forward(u.clone(), &mut Tape::idle()), errors)
}

fn dot(x: &Batch<f64>, y: &Batch<f64>) -> f64 {
    x.data().iter().zip(y.data()).map(|(x, y)| x * y).sum()
}

fn distance(x: &[f64], y: &[f64]) -> f64 {
    norm_down(&x.iter().zip(y).map(|(x, y)| x - y).collect::<Vec<f64>>())
}

#[test]
fn a_coarse_solution_is_within_its_declared_error_of_a_fine_one() {
    let mut farthest: f64 = 0.0;
    for seed in 0..12 {
        let u = Batch::new(SPACE, normal(40, 2.0, &mut ChaCha8Rng::seed_from_u64(seed))).unwrap();
        for damping in [0.05, 1.0] {
            let (fine, exact) = run(&layer::<f64>(damping, seed, Some(1e-12)), &u, 0.0);
            let (coarse, errors) = run(&layer::<f64>(damping, seed, Some(0.1)), &u, 0.0);
            for s in 0..u.samples() {
                let apart = distance(fine.sample(s), coarse.sample(s));
                assert!(exact[s] < 1e-10, "{}", exact[s]);
                assert!(apart <= errors[s] + exact[s], "{apart} > {}", errors[s]);
                farthest = farthest.max(apart / errors[s]);
            }
        }
    }
    // Newton's method stops short of the tolerance now and then.
    assert!(farthest > 0.01, "{farthest}");
}

/// `‖x̂ − x*‖ ≤ τ/μ`, and rounding: nothing more, and nothing less.
#[test]
fn the_error_of_a_solve_is_that_of_the_theorem() {
    let map = Affine::new(Dense::new(1, 1, vec![2.0]).unwrap(), None).unwrap();
    let field = GradientField::<f64>::new(map, Activation::Identity {}).unwrap();
    let layer = Equilibrium::new(field, Some(1e-3)).unwrap();
    let (_, errors) = run(&layer, &Batch::new(Shape::Features(1), vec![1.0]).unwrap(), 0.0);
    assert!((1e-3 / 4.0..1e-3 / 4.0 + 1e-9).contains(&errors[0]), "{}", errors[0]);
}

/// Two proofs of one thing: what the layer returns, and the error that `lyapunov` proves of a point.
#[test]
fn the_point_is_an_equilibrium() {
    let (field, u) = (dissipative::<f64>(0.5, 7), Batch::zeros(SPACE, 1));
    let (x, errors) = run(&layer::<f64>(0.5, 7, Some(1e-11)), &u, 0.0);
    let proved = equilibrium_errors(&field, &x, &Prover::default()).unwrap()[0].get();
    assert!(proved < 1e-10 && errors[0] < 1e-10, "{proved} {}", errors[0]);
    assert!(x.norms_up()[0] > 0.01);
}

#[test]
fn executed_values_in_a_ball_are_within_the_declared_error() {
    for seed in 0..8 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let narrow = layer::<f32>(0.25, seed, None);
        let fine = Equilibrium::boxed(narrow.field().widen(), Some(1e-12)).unwrap();
        let (u, v) = (normal::<f32>(4, 3.0, &mut rng), normal::<f64>(4, 0.2, &mut rng));
        let near: Vec<f32> = u.iter().zip(&v).map(|(u, v)| u + *v as f32).collect();
        let (_, errors) = run(&narrow, &Batch::new(SPACE, u).unwrap(), 2.0);
        let near = Batch::new(SPACE, near).unwrap();
        let executed = narrow.forward(near.clone(), &mut Tape::idle()).cast::<f64>();
        let (exact, off) = run(&fine, &near.cast(), 0.0);
        let apart = distance(executed.data(), exact.data());
        assert!(apart <= errors[0] + off[0] && errors[0] < 0.05, "{apart} {}", errors[0]);
    }
}

#[test]
fn what_does_not_contract_has_no_proof_and_what_is_not_reached_is_no_number() {
    // relu has slope 0: nothing contracts.
    let map = Affine::new(Dense::new(2, 2, vec![1.0, 0.5, 0.0, 1.0]).unwrap(), None).unwrap();
    let flat = Equilibrium::new(GradientField::<f64>::new(map, Activation::Relu {}).unwrap(), None).unwrap();
    let network = Network::new(Shape::Features(2), vec![Box::new(flat)]).unwrap();
    let refusal = network.seal().unwrap_err();
    assert!(refusal.to_string().contains("equilibrium"), "{refusal}");
    // A tolerance that no program reaches: NaN, no radius.
    let sealed = Network::new(SPACE, vec![Box::new(layer::<f32>(0.5, 1, Some(1e-30)))]).unwrap().seal().unwrap();
    let u = Batch::new(SPACE, vec![1.0f32, -2.0, 0.5, 3.0]).unwrap();
    assert!(sealed.forward(&u).unwrap().data().iter().all(|x| x.is_nan()));
    for semantics in [Semantics::Exact, Semantics::Executed] {
        match sealed.certify(&u, semantics) {
            Ok(claims) => assert_eq!(claims[0].radius.get(), 0.0),
            Err(error) => assert!(!matches!(error, Error::Shape { .. }), "{error}"),
        }
    }
    for tolerance in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(Equilibrium::new(dissipative::<f32>(1.0, 1), Some(tolerance)).is_err());
    }
}

#[test]
fn derivatives_are_those_of_the_implicit_function_theorem() {
    let layer = layer::<f64>(0.3, 3, Some(1e-13));
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut draw = || Batch::new(SPACE, normal::<f64>(4, 1.0, &mut rng)).unwrap();
    let (u, v, g) = (draw(), draw(), draw());
    let mut tape = Tape::recording();
    layer.forward(u.clone(), &mut tape);
    let at = |t: f64| {
        let mut u = u.clone();
        u.axpy(t, &v);
        layer.forward(u, &mut Tape::idle())
    };
    let (plus, minus, jv) = (at(1e-5), at(-1e-5), layer.jvp(&tape, v.clone()));
    for i in 0..4 {
        let quotient = (plus.data()[i] - minus.data()[i]) / 2e-5;
        assert!((quotient - jv.data()[i]).abs() < 1e-8, "{quotient} {}", jv.data()[i]);
    }
    let mut gradient = layer.gradient();
    let pulled = layer.vjp(&tape, g.clone(), Some(&mut gradient));
    assert!((dot(&pulled, &v) - dot(&g, &jv)).abs() < 1e-12);
    // Each weight, moved a little.
    let mut moved = layer;
    for (slot, by_slot) in gradient.iter().enumerate() {
        for (i, by_weight) in by_slot.iter().enumerate() {
            let mut value = |t: f64| {
                moved.parameters_mut()[slot][i] += t;
                dot(&g, &moved.forward(u.clone(), &mut Tape::idle()))
            };
            let (plus, minus) = (value(1e-5), value(-2e-5));
            value(1e-5);
            let quotient = (plus - minus) / 2e-5;
            assert!((quotient - by_weight).abs() < 1e-7, "{slot} {i}: {quotient} {by_weight}");
        }
    }
}

#[test]
fn a_file_holds_it_and_a_checker_proves_it_again() {
    let push = Affine::new(Dense::new(4, 4, normal::<f32>(16, 0.5, &mut ChaCha8Rng::seed_from_u64(2))).unwrap(), None);
    let layers: Vec<Box<dyn Layer<f32>>> =
        vec![Box::new(AffineLayer::new(push.unwrap())), Box::new(layer::<f32>(0.5, 3, Some(1e-4)))];
    let built = Network::new(SPACE, layers).unwrap();
    let model = Model::parse(&model_bytes(&built)).unwrap();
    assert_eq!(model.map(), &built.describe());
    let AnyNetwork::F32(read) = model.network().unwrap() else { panic!("not f32") };
    let u = Batch::new(SPACE, vec![1.0, 2.0, -1.0, 0.5]).unwrap();
    assert_eq!(network::Network::seal(read).unwrap().forward(&u).unwrap(), built.seal().unwrap().forward(&u).unwrap());
    let mut claimed = certificate_of(&model);
    let report = dahlquist::check::check(&claimed, &model);
    assert!(report.verified.is_some(), "{report:?}");
    // Less than follows is refused.
    claimed.lipschitz *= 0.99;
    assert!(dahlquist::check::check(&claimed, &model).failed());
}
