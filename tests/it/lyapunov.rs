//! Lyapunov functions: energies and their gradients, certified decrease in exact arithmetic, equilibria within their errors.

use dahlquist::{
    activation::Activation,
    field::{GradientField, StructuredField, VectorField},
    laws::{search, strategies},
    lyapunov::{Decrease, Energy, equilibrium, equilibrium_errors, primitive},
    model::{Field, Linear, Map, Tensor},
    operator::{Affine, Dense},
    rules::Prover,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::described::{self, exact};
use num_rational::BigRational;
use num_traits::Signed;
use proptest::{prelude::*, test_runner::TestCaseError};

type Q = BigRational;

#[test]
fn primitives_have_the_activations_as_derivatives() {
    for function in Activation::ALL {
        assert!(primitive(function, 0.0).abs() <= 1e-15, "{function:?}");
        for k in -80..=80 {
            // Not at a kink.
            let (x, t) = (f64::from(k) / 8.0 + 0.03, 1e-5);
            let quotient = (primitive(function, x + t) - primitive(function, x - t)) / (2.0 * t);
            let value = function.value(x);
            assert!((quotient - value).abs() <= 1e-8 * (1.0 + value.abs()), "{function:?} at {x}: {quotient} {value}");
        }
    }
}

/// `ψ` of a function with a kink, exactly.
fn exact_primitive(function: Activation, z: &Q) -> Option<Q> {
    let half = exact(0.5);
    let square = |x: &Q| x * x * &half;
    Some(match function {
        Activation::Identity {} => square(z),
        Activation::Relu {} if z.is_negative() => exact(0.0),
        Activation::LeakyRelu { slope } if z.is_negative() => exact(slope) * square(z),
        Activation::Abs {} if z.is_negative() => -square(z),
        Activation::Relu {} | Activation::LeakyRelu { .. } | Activation::Abs {} => square(z),
        Activation::Hardtanh { min, max } => {
            let from = |x: Q| {
                let inside = x.clone().max(exact(min)).min(exact(max));
                square(&inside) + (x - &inside) * &inside
            };
            from(z.clone()) - from(exact(0.0))
        }
        _ => return None,
    })
}

/// The energy of a field, exactly; none if it is not rational.
pub(crate) fn exact_energy(field: &Field, space: Shape, x: &[Q]) -> Option<Q> {
    let plain = |operator: &Linear, function: Activation, weights: Option<&Tensor>| -> Option<Q> {
        let z = described::value(&Map::Linear(operator.clone()), space, x)?;
        let weight = |i: usize| weights.map_or(exact(1.0), |w| exact(w.wide()[i / (z.len() / w.count())]));
        z.iter().enumerate().map(|(i, z)| Some(weight(i) * exact_primitive(function, z)?)).sum()
    };
    // With the identity for σ the field is z.
    let inner = |field: Field, function: Activation| -> Option<Q> {
        described::slope(&field, space, x)?.iter().map(|z| exact_primitive(function, z)).sum()
    };
    match field {
        Field::Gradient { activation, operator, weights } => plain(operator, *activation, weights.as_ref()),
        Field::DissipativeHamiltonian { activation, operator, quadratic, .. } => {
            Some(plain(operator, *activation, None)? + plain(quadratic, Activation::Identity {}, None)?)
        }
        Field::Antisymmetric { activation, matrix, bias, damping } => {
            let (matrix, bias, damping) = (matrix.clone(), bias.clone(), *damping);
            inner(Field::Antisymmetric { activation: Activation::Identity {}, matrix, bias, damping }, *activation)
        }
        Field::Nais { activation, factor, bias, epsilon } => {
            let (factor, bias, epsilon) = (factor.clone(), bias.clone(), *epsilon);
            inner(Field::Nais { activation: Activation::Identity {}, factor, bias, epsilon }, *activation)
        }
        _ => None,
    }
}

/// Whether the bound of the decrease holds at a point, exactly; none if the energy is not rational.
fn decrease_holds(field: &dyn VectorField<f64>, ratio: f64, x: &Batch<f64>) -> Option<Result<(), String>> {
    let (description, space, prover) = (field.describe(), field.shape(), Prover::default());
    let unit = Decrease::of_euler(field, 1.0, &prover).ok()?;
    let longest = unit.longest().get();
    let h = if longest.is_finite() && longest > 0.0 { ratio * longest } else { ratio };
    let decrease = Decrease::of_euler(field, h, &prover).ok()?;
    let bound = decrease.bounds(field, x).ok()?[0].get();
    let point = described::vector(x.data());
    let slope = described::slope(&description, space, &point)?;
    let next: Vec<Q> = point.iter().zip(&slope).map(|(x, f)| x + exact(h) * f).collect();
    let change = exact_energy(&description, space, &next)? - exact_energy(&description, space, &point)?;
    if decrease.is_proved() && bound > 0.0 {
        return Some(Err(format!("a decrease is proved, and the bound is {bound}")));
    }
    if bound.is_finite() && change > exact(bound) {
        return Some(Err(format!("h = {h}: the energy changes by {change}, and the bound is {bound}")));
    }
    Some(Ok(()))
}

/// No energy grows more than its bound, over the family, for steps below, at and above the longest.
#[test]
fn decrease_is_never_violated() {
    let gradient = strategies::gradient_field::<f64>().prop_map(|field| Box::new(field) as Box<dyn VectorField<f64>>);
    let family = strategies::structured_field::<f64>().prop_map(|field| Box::new(field) as Box<dyn VectorField<f64>>);
    let ratio = prop_oneof![3 => 0.0..1.0f64, 2 => Just(1.0), 1 => 1.0..3.0f64];
    let point = proptest::collection::vec(-3.0..3.0f64, 64);
    let tried = std::sync::atomic::AtomicUsize::new(0);
    let subjects = (prop_oneof![1 => gradient, 3 => family], ratio, point);
    let law = |(field, ratio, point): &(Box<dyn VectorField<f64>>, f64, Vec<f64>), _: u64| {
        let n = field.shape().len();
        if n > point.len() {
            return Ok(());
        }
        let x = Batch::new(field.shape(), point[..n].to_vec()).unwrap();
        match decrease_holds(&**field, *ratio, &x) {
            Some(Err(reason)) => Err(TestCaseError::fail(reason)),
            Some(Ok(())) => {
                tried.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                Ok(())
            }
            None => Ok(()),
        }
    };
    if let Err(counterexample) = search(600, subjects, law) {
        panic!("{counterexample}");
    }
    assert!(tried.into_inner() > 40, "too few energies were rational");
}

/// The bounds are attained: `V = x²/2`, `x' = −x`, and `σ(z) = z` for the others.
#[test]
fn decrease_is_attained() {
    let scalar = |w: f64| Linear::Dense { weight: Tensor::new(&[1, 1], &[w]), bias: None };
    let activation = Activation::Identity {};
    let matrix = |w: &[f64]| Linear::Dense { weight: Tensor::new(&[2, 2], w), bias: None };
    let gradient = GradientField::new(Affine::new(Dense::new(1, 1, vec![2.0]).unwrap(), None).unwrap(), activation);
    let turn = Field::Antisymmetric { activation, matrix: matrix(&[0.0, 1.0, 0.0, 0.0]), bias: None, damping: 0.5 };
    let damped = Field::DissipativeHamiltonian {
        activation,
        operator: matrix(&[1.0, 0.0, 0.0, 1.0]),
        quadratic: matrix(&[1.0, 0.0, 0.0, 1.0]),
        skew: matrix(&[0.0, 1.0, 0.0, 0.0]),
        damping: 0.5,
    };
    let nais = Field::Nais { activation, factor: scalar(1.0), bias: None, epsilon: 1.0 };
    let structured = |field: &Field, n: usize| StructuredField::<f64>::new(field, Shape::Features(n)).unwrap();
    let fields: [Box<dyn VectorField<f64>>; 3] =
        [Box::new(gradient.unwrap()), Box::new(structured(&turn, 2)), Box::new(structured(&damped, 2))];
    for field in &fields {
        let (space, description) = (field.shape(), field.describe());
        let x = Batch::new(space, vec![1.0; space.len()]).unwrap();
        for ratio in [0.25, 0.5, 1.0, 2.0] {
            let h = ratio * Decrease::of_euler(&**field, 1.0, &Prover::default()).unwrap().longest().get();
            let decrease = Decrease::of_euler(&**field, h, &Prover::default()).unwrap();
            assert_eq!(decrease.is_proved(), ratio <= 1.0);
            let bound = decrease.bounds(&**field, &x).unwrap()[0].get();
            let point = described::vector(x.data());
            let slope = described::slope(&description, space, &point).unwrap();
            let next: Vec<Q> = point.iter().zip(&slope).map(|(x, f)| x + exact(h) * f).collect();
            let energy = |x: &[Q]| exact_energy(&description, space, x).unwrap();
            let change = energy(&next) - energy(&point);
            assert!(change <= exact(bound), "{description:?}: {change} {bound}");
            let slack = exact(bound) - change;
            // Norms are off by their last digits; of a damped field that grows, ‖∇H‖ is only bounded.
            assert!(ratio > 1.0 || slack <= exact(1e-13), "{description:?}: the bound is loose by {slack}");
        }
    }
    // NAIS-Net: the bound counts ε for ⟨σ, Pσ⟩ ≥ ε‖σ‖², and is not attained.
    let field = structured(&nais, 1);
    let x = Batch::new(Shape::Features(1), vec![1.0]).unwrap();
    for ratio in [0.5, 1.0, 2.0] {
        assert_eq!(decrease_holds(&field, ratio, &x), Some(Ok(())));
    }
}

/// The gradient of the energy is what the field says, and what differences of the energy say.
#[test]
fn energies_and_their_fields() {
    let subjects = (strategies::structured_field::<f64>(), proptest::collection::vec(-2.0..2.0f64, 64));
    let law = |(field, point): &(StructuredField<f64>, Vec<f64>), _: u64| {
        let (description, space) = (field.describe(), field.shape());
        let Ok(energy) = Energy::of(&description, space) else { return Ok(()) };
        let x = Batch::new(space, point[..space.len()].to_vec()).unwrap();
        let gradient = energy.gradient(&x);
        let size = gradient.data().iter().map(|g| g * g).sum::<f64>().sqrt();
        if !(1e-6..1e6).contains(&size) {
            return Ok(());
        }
        let t = 1e-6 / (1.0 + size);
        let moved = |t: f64| {
            let mut x = x.clone();
            x.axpy(t, &gradient);
            energy.values(&x)[0]
        };
        // A kink within t changes the quotient by O(t).
        let quotient = (moved(t) - moved(-t)) / (2.0 * t);
        let scale = size * size + energy.values(&x)[0].abs();
        if (quotient - size * size).abs() > 1e-3 * scale {
            return Err(TestCaseError::fail(format!("{quotient} is not {}", size * size)));
        }
        let f = field.eval(&x, &mut Tape::idle());
        let along: f64 = f.data().iter().zip(gradient.data()).map(|(f, g)| f * g).sum();
        // A Hamiltonian is kept; the others are not increased.
        let speed = f.data().iter().map(|f| f * f).sum::<f64>().sqrt();
        let limit = 1e-9 * speed * size;
        match &description {
            Field::Hamiltonian { .. } if along.abs() > limit => Err(TestCaseError::fail(format!("Ḣ = {along}"))),
            Field::Gradient { .. } if along > limit => Err(TestCaseError::fail(format!("V̇ = {along}"))),
            _ => Ok(()),
        }
    };
    if let Err(counterexample) = search(200, subjects, law) {
        panic!("{counterexample}");
    }
}

/// Equilibria that are known exactly are within their proved error, at every point.
#[test]
fn equilibria_are_within_their_errors() {
    let subjects = (
        proptest::collection::vec(-1i32..=1, 4),
        proptest::collection::vec(-4i32..=4, 2),
        -3i32..=3,
        proptest::collection::vec(-5.0..5.0f64, 2),
    );
    let law = |(w, x, k, start): &(Vec<i32>, Vec<i32>, i32, Vec<f64>), _: u64| {
        let matrix = |w: &[f64]| Linear::Dense { weight: Tensor::new(&[2, 2], w), bias: None };
        let w: Vec<f64> = w.iter().map(|&w| f64::from(w)).collect();
        let (k, gamma) = (f64::from(*k), 1.0);
        // −Wᵀleaky(Wx + b) + (S − Sᵀ)x − γx with x* such that Wx* + b = 0 would need (K − γ)x* = 0: so x* = 0, and b = 0.
        let field = Field::Dissipative {
            activation: Activation::LeakyRelu { slope: 0.5 },
            operator: matrix(&w),
            skew: matrix(&[0.0, k, 0.0, 0.0]),
            damping: gamma,
        };
        let space = Shape::Features(2);
        let field = StructuredField::<f64>::new(&field, space).unwrap();
        let prover = Prover::default();
        let points = Batch::new(space, [start.clone(), x.iter().map(|&x| f64::from(x)).collect()].concat()).unwrap();
        let errors = equilibrium_errors(&field, &points, &prover).unwrap();
        for (s, error) in errors.iter().enumerate() {
            let distance: Q = described::vector(points.sample(s)).iter().map(|x| x * x).sum();
            let error = exact(error.get());
            if distance > &error * &error {
                return Err(TestCaseError::fail("the equilibrium is farther away than its error"));
            }
        }
        let found = equilibrium(&field, &points.slice(0..1), &prover, 1e-6, 100_000).unwrap();
        let distance: Q = described::vector(found.point.data()).iter().map(|x| x * x).sum();
        let error = exact(found.error.get());
        if distance > &error * &error || found.error.get() > 1e-6 {
            return Err(TestCaseError::fail("the equilibrium that was found is farther away than its error"));
        }
        Ok(())
    };
    if let Err(counterexample) = search(60, subjects, law) {
        panic!("{counterexample}");
    }
}

#[test]
fn what_has_no_lyapunov_function_is_refused() {
    let matrix = |w: &[f64]| Linear::Dense { weight: Tensor::new(&[2, 2], w), bias: None };
    let space = Shape::Features(2);
    let skew = Field::SkewLinear { skew: matrix(&[0.0, 1.0, 0.0, 0.0]) };
    let skew = StructuredField::<f64>::new(&skew, space).unwrap();
    let prover = Prover::default();
    assert!(Energy::of(&skew.describe(), space).is_err());
    assert!(Decrease::of_euler(&skew, 0.1, &prover).is_err());
    // No rate of contraction, no equilibrium.
    let x = Batch::zeros(space, 1);
    assert!(equilibrium_errors(&skew, &x, &prover).is_err());
    assert!(equilibrium(&skew, &x, &prover, 1e-3, 10).is_err());
    let w = Affine::new(Dense::new(2, 2, vec![1.0, 0.0, 0.0, 1.0]).unwrap(), Some(vec![1.0, 2.0])).unwrap();
    let field = GradientField::new(w, Activation::Identity {}).unwrap();
    assert!(
        Decrease::of_euler(&field, -0.1, &prover).is_err() && Decrease::of_euler(&field, f64::NAN, &prover).is_err()
    );
    // So few steps do not reach the tolerance, and two points are not one.
    assert!(equilibrium(&field, &Batch::zeros(space, 2), &prover, 1e-3, 10).is_err());
    assert!(equilibrium(&field, &x, &prover, 0.0, 0).is_err());
    // A damping of 0 decreases nothing, and a negative one may not.
    for damping in [0.0, -0.5] {
        let matrix = matrix(&[0.0, 1.0, 0.0, 0.0]);
        let field = Field::Antisymmetric { activation: Activation::Tanh {}, matrix, bias: None, damping };
        let field = StructuredField::<f64>::new(&field, space).unwrap();
        assert!(!Decrease::of_euler(&field, 0.1, &prover).unwrap().is_proved());
    }
}

/// With `V = x²/2` the step to 0 decreases the energy; with `V = 9x²/2` it goes from 1 to −8, and `V` grows.
#[test]
fn a_decrease_is_about_the_field_that_it_was_proved_of() {
    let field = |w: f64| {
        let w = Dense::new(1, 1, vec![w]).unwrap();
        GradientField::new(Affine::new(w, None).unwrap(), Activation::Identity {}).unwrap()
    };
    let decrease = Decrease::of_euler(&field(1.0), 1.0, &Prover::default()).unwrap();
    let x = Batch::new(Shape::Features(1), vec![1.0]).unwrap();
    assert!(decrease.bounds(&field(1.0), &x).unwrap()[0].get() < 0.0);
    assert!(decrease.bounds(&field(3.0), &x).is_err());
}
