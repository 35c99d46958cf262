//! Costates of implicit methods: against the layer's own derivatives, exact stability matrices, and differences of costs.

use dahlquist::{
    activation::Activation,
    control::{Cost, Process, Terminal},
    field::{GradientField, StructuredField, VectorField},
    layer::{Implicit, Layer, Splitting},
    model::{Field, Linear, SplitMethod, Tensor},
    operator::{Affine, Dense},
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::control::numbers;

/// Every implicit method that has a name.
fn implicit() -> impl Iterator<Item = Tableau> {
    Tableau::names().map(|name| Tableau::by_name(name).unwrap()).filter(|tableau| !tableau.is_explicit())
}

/// `−Wᵀtanh(Wx + b)` on a plane.
fn field(rng: &mut impl Rng) -> GradientField<f64> {
    let w = Dense::new(3, 2, numbers(6, rng)).unwrap();
    GradientField::new(Affine::new(w, Some(numbers(3, rng))).unwrap(), Activation::Tanh {}).unwrap()
}

fn plane(x: Vec<f64>) -> Batch<f64> {
    Batch::new(Shape::Features(2), x).unwrap()
}

fn dot(x: &Batch<f64>, y: &Batch<f64>) -> f64 {
    x.data().iter().zip(y.data()).map(|(x, y)| x * y).sum()
}

fn assert_close(found: &[f64], expected: &[f64], relative: f64, what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= relative * (1.0 + expected.abs()), "{what}: {found} for {expected}");
    }
}

/// The layer solves its equations block by block and differentiates another formula of the same step.
#[test]
fn an_implicit_flow_is_a_process() {
    for tableau in implicit() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let name = tableau.name().to_owned();
        let flow = Implicit::new(field(&mut rng), tableau, 0.7, 4, Some(1e-13)).unwrap();
        let (x, g) = (plane(numbers(6, &mut rng)), plane(numbers(6, &mut rng)));
        let process = Process::of_flow(&flow).unwrap();
        let trajectory = process.states(&x).unwrap();
        let mut tape = Tape::recording();
        assert_close(flow.forward(x, &mut tape).data(), trajectory.last().data(), 1e-11, &name);
        let mut gradient = flow.gradient();
        let pulled = flow.vjp(&tape, g.clone(), Some(&mut gradient));
        let costates = process.costates(&trajectory, &Terminal(g)).unwrap();
        assert_close(costates.states()[0].data(), pulled.data(), 1e-11, &name);
        assert_close(&costates.weights()[0][0], &gradient[0], 1e-11, &name);
        assert_close(&costates.weights()[0][1], &gradient[1], 1e-11, &name);
    }
}

/// `⟨λ_n, δ_n⟩` is the same at every state, with a field of its own for every stage.
#[test]
fn costates_and_variations_stay_dual() {
    for tableau in implicit() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let fields: Vec<_> = (0..3 * tableau.stages()).map(|_| field(&mut rng)).collect();
        let fields = fields.iter().map(|field| field as &dyn VectorField<f64>).collect();
        let process = Process::new(fields, &tableau, vec![0.5, -0.125, 0.75]).unwrap();
        let trajectory = process.states(&plane(numbers(2, &mut rng))).unwrap();
        let costates = process.costates(&trajectory, &Terminal(plane(numbers(2, &mut rng)))).unwrap();
        let variations = process.variations(&trajectory, &plane(numbers(2, &mut rng))).unwrap();
        let products: Vec<f64> = costates.states().iter().zip(&variations).map(|(l, d)| dot(l, d)).collect();
        assert!(products[0].abs() > 1e-3, "{}: nothing is compared", tableau.name());
        assert_close(&products, &[products[3]; 4], 1e-12, tableau.name());
    }
}

/// `Φ = Σ sin x`, `R = ‖x‖²/2`.
struct Smooth;

impl Cost<f64> for Smooth {
    fn terminal(&self, x: &Batch<f64>) -> (f64, Batch<f64>) {
        let map = |f: fn(f64) -> f64| x.data().iter().map(|&x| f(x)).collect::<Vec<f64>>();
        (map(f64::sin).iter().sum(), plane(map(f64::cos)))
    }

    fn running(&self, x: &Batch<f64>) -> Option<(f64, Batch<f64>)> {
        Some((0.5 * dot(x, x), x.clone()))
    }
}

/// The gradient by lengths, weights and the first state is that of the cost, running costs included: central differences with
/// `ε = 10⁻⁴` are off by `O(ε²)` and `10⁻¹³/ε`.
#[test]
fn gradients_of_implicit_methods() {
    const SMALL: f64 = 1e-4;
    for tableau in implicit() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let (w, b, x) = (numbers(6, &mut rng), numbers(3, &mut rng), numbers(2, &mut rng));
        let lengths = vec![0.25, 1.5];
        let field = |w: &[f64]| {
            let w = Dense::new(3, 2, w.to_vec()).unwrap();
            GradientField::new(Affine::new(w, Some(b.clone())).unwrap(), Activation::Tanh {}).unwrap()
        };
        let cost = |w: &[f64], lengths: &[f64], x: &[f64]| -> f64 {
            let field = field(w);
            let process = Process::new(vec![&field], &tableau, lengths.to_vec()).unwrap();
            process.cost(&process.states(&plane(x.to_vec())).unwrap(), &Smooth)
        };
        let one = field(&w);
        let process = Process::new(vec![&one], &tableau, lengths.clone()).unwrap();
        let costates = process.costates(&process.states(&plane(x.clone())).unwrap(), &Smooth).unwrap();
        assert_close(&[costates.cost()], &[cost(&w, &lengths, &x)], 1e-13, "J");
        let differences = |at: &[f64], cost: &dyn Fn(&[f64]) -> f64| -> Vec<f64> {
            let moved = |k: usize, t: f64| {
                let mut moved = at.to_vec();
                moved[k] += t;
                cost(&moved)
            };
            (0..at.len()).map(|k| (moved(k, SMALL) - moved(k, -SMALL)) / (2.0 * SMALL)).collect()
        };
        let name = tableau.name();
        assert_close(costates.lengths(), &differences(&lengths, &|l| cost(&w, l, &x)), 1e-7, &format!("{name}, by h"));
        assert_close(
            &costates.weights()[0][0],
            &differences(&w, &|w| cost(w, &lengths, &x)),
            1e-7,
            &format!("{name}, by W"),
        );
        assert_close(
            costates.states()[0].data(),
            &differences(&x, &|x| cost(&w, &lengths, x)),
            1e-7,
            &format!("{name}, by x"),
        );
    }
}

/// `x' = −x`: every costate is a power of the stability function, known in closed form.
#[test]
fn costates_of_linear_decay_are_powers_of_the_stability_function() {
    let identity = Affine::new(Dense::new(1, 1, vec![1.0]).unwrap(), None).unwrap();
    let field = GradientField::new(identity, Activation::Identity {}).unwrap();
    // R(−1) for h = 1.
    let known = [
        ("implicit_euler", 1.0 / 2.0),
        ("implicit_midpoint", 1.0 / 3.0),
        ("trapezoid", 1.0 / 3.0),
        ("gauss2", (1.0 - 0.5 + 1.0 / 12.0) / (1.0 + 0.5 + 1.0 / 12.0)),
        ("radau_iia2", (1.0 - 1.0 / 3.0) / (1.0 + 2.0 / 3.0 + 1.0 / 6.0)),
        ("lobatto_iiic2", 1.0 / (1.0 + 1.0 + 0.5)),
    ];
    for (name, factor) in known {
        let process = Process::new(vec![&field], &Tableau::by_name(name).unwrap(), vec![1.0; 3]).unwrap();
        let one = Batch::new(Shape::Features(1), vec![1.0]).unwrap();
        let trajectory = process.states(&one).unwrap();
        let costates = process.costates(&trajectory, &Terminal(one)).unwrap();
        for n in 0..=3 {
            assert_close(trajectory.states()[n].data(), &[f64::powi(factor, n as i32)], 1e-12, name);
            assert_close(costates.states()[n].data(), &[f64::powi(factor, 3 - n as i32)], 1e-12, name);
        }
    }
}

/// Equations without a solution, and samples that are NaN, are refused by name; so are the steps of a splitting.
#[test]
fn what_is_not_solved_is_refused() {
    // x' = x by implicit Euler with h = 1: X = x + X.
    let w = Affine::new(Dense::new(1, 1, vec![1.0]).unwrap(), None).unwrap();
    let field = GradientField::new(w, Activation::Identity {}).unwrap();
    let process = Process::new(vec![&field], &Tableau::implicit_euler(), vec![0.5, -1.0]).unwrap();
    let refused = process.states(&Batch::new(Shape::Features(1), vec![1.0]).unwrap()).unwrap_err().to_string();
    assert!(refused.contains("step 1") && refused.contains("sample 0"), "{refused}");

    let matrix = |w: f64| Linear::Dense { weight: Tensor::new(&[1, 1], &[w]), bias: None };
    let dissipative =
        Field::Dissipative { activation: Activation::Tanh {}, operator: matrix(1.0), skew: matrix(0.0), damping: 0.5 };
    let field = StructuredField::<f64>::new(&dissipative, Shape::Features(1)).unwrap();
    let split = Splitting::new(field, SplitMethod::ExponentialEuler, 0.1, 2).unwrap();
    let refused = Process::of_flow(&split).unwrap_err().to_string();
    assert!(refused.contains("exponential_euler"), "{refused}");
}
