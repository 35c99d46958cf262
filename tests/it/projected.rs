//! Manek and Kolter's field: its Lyapunov function falls, in exact arithmetic; its derivatives; and no radius.

use dahlquist::{
    Error, Network,
    activation::Activation,
    field::{ProjectedField, VectorField},
    laws::{field as laws, search},
    layer::{Flow, Step},
    lyapunov::projected_decrease,
    model::{Field, Linear, Model, Potential, Tensor},
    network,
    rules::Prover,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::described::{self, exact};
use num_rational::BigRational as Q;
use proptest::{prelude::*, sample::select, test_runner::TestCaseError};

use crate::lyapunov::exact_energy;

pub(crate) const PLANE: Shape = Shape::Features(2);

fn matrix(rows: usize, entries: &[f64]) -> Linear {
    Linear::Dense { weight: Tensor::new(&[rows, entries.len() / rows], entries), bias: None }
}

/// The field in the plane with 19 weights.
pub(crate) fn field(w: &[f64], activation: Activation, slope: Activation, epsilon: f64, rate: f64) -> Field {
    Field::LyapunovProjected {
        activation,
        inner: matrix(3, &w[..6]).with_bias(Some(Tensor::new(&[3], &w[6..9]))),
        outer: matrix(2, &w[9..15]),
        potential: Potential { activation: slope, operator: matrix(2, &w[15..19]) },
        epsilon,
        rate,
    }
}

/// `f(x)` and `V(x)`, exactly; none if they are not rational.
pub(crate) fn value(field: &Field, x: &[Q]) -> Option<(Vec<Q>, Q)> {
    let Field::LyapunovProjected { activation, inner, outer, potential, epsilon, rate } = field else { return None };
    let nominal = Field::Residual { activation: *activation, inner: inner.clone(), outer: outer.clone() };
    let origin = vec![exact(0.0); x.len()];
    let difference = |a: Vec<Q>, b: Vec<Q>| a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<Q>>();
    let nominal = difference(described::slope(&nominal, PLANE, x)?, described::slope(&nominal, PLANE, &origin)?);
    let potential =
        Field::Gradient { activation: potential.activation, operator: potential.operator.clone(), weights: None };
    let dot = |x: &[Q], y: &[Q]| x.iter().zip(y).map(|(x, y)| x * y).sum::<Q>();
    let g: Vec<Q> =
        described::slope(&potential, PLANE, x)?.iter().zip(x).map(|(f, x)| exact(*epsilon) * x - f).collect();
    let v = exact_energy(&potential, PLANE, x)? + exact(*epsilon) * exact(0.5) * dot(x, x);
    let (excess, square) = (dot(&g, &nominal) + exact(*rate) * &v, dot(&g, &g));
    if excess <= exact(0.0) || square == exact(0.0) {
        return Some((nominal, v));
    }
    Some((nominal.iter().zip(&g).map(|(f, g)| f - g * &excess / &square).collect(), v))
}

fn kinked() -> impl Strategy<Value = Activation> {
    select(vec![
        Activation::Relu {},
        Activation::LeakyRelu { slope: 0.25 },
        Activation::Identity {},
        Activation::Hardtanh { min: -0.5, max: 1.0 },
    ])
}

fn weights() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec((-16i32..=16).prop_map(|w| f64::from(w) / 8.0), 19)
}

/// Weights, functions, `ε` and `α`, the step over the longest one, and a point.
type Subject = (Vec<f64>, (Activation, Activation), (f64, f64), f64, Vec<f64>);

#[test]
fn the_lyapunov_function_falls() {
    let constants = (select(vec![0.25, 1.0, 3.0]), select(vec![0.0, 0.5, 2.0]));
    let point = proptest::collection::vec(-3.0..3.0f64, 2);
    let subjects = (weights(), (kinked(), kinked()), constants, prop_oneof![3 => 0.0..1.0f64, 1 => 1.0..3.0f64], point);
    let law = |(w, (activation, slope), (epsilon, rate), ratio, point): &Subject, _: u64| {
        let described = field(w, *activation, *slope, *epsilon, *rate);
        let prover = Prover::default();
        let longest = projected_decrease(&described, PLANE, 0.0, &prover).unwrap().longest.get();
        let h = if longest.is_finite() && longest > 0.0 { ratio * longest } else { *ratio };
        let factor = projected_decrease(&described, PLANE, h, &prover).unwrap().factor.get();
        if (0.01..0.99).contains(ratio) && longest > 0.0 && longest.is_finite() && factor >= 1.0 {
            return Err(TestCaseError::fail("a step below the longest does not contract"));
        }
        let x = described::vector(point);
        let (f, v) = value(&described, &x).unwrap();
        let next: Vec<Q> = x.iter().zip(&f).map(|(x, f)| x + exact(h) * f).collect();
        if value(&described, &next).unwrap().1 > exact(factor) * &v {
            return Err(TestCaseError::fail("V grows more than its factor"));
        }
        // The program computes this field.
        let program = ProjectedField::<f64>::new(&described, PLANE).unwrap();
        let y = program.eval(&Batch::new(PLANE, point.clone()).unwrap(), &mut Tape::idle());
        let scale: f64 = 1.0 + y.data().iter().map(|y| y.abs()).sum::<f64>();
        let far = described::squared_distance(&described::vector(y.data()), &f);
        if far > exact(1e-18 * scale * scale) {
            return Err(TestCaseError::fail(format!("the program computes {:?}", y.data())));
        }
        Ok(())
    };
    if let Err(counterexample) = search(300, subjects, law) {
        panic!("{counterexample}");
    }
}

#[test]
fn derivatives_of_the_projection() {
    let subjects = (weights(), proptest::collection::vec(-2.0..2.0f64, 8));
    let law = |(w, numbers): &(Vec<f64>, Vec<f64>), seed: u64| {
        let described = field(w, Activation::Tanh {}, Activation::Tanh {}, 0.5, 1.0);
        let mut program = ProjectedField::<f64>::new(&described, PLANE).unwrap();
        assert_eq!(program.describe(), described);
        laws::adjoint(&program, seed)?;
        // The gradient by the parameters, along a random direction.
        let (x, y) =
            (Batch::new(PLANE, numbers[..4].to_vec()).unwrap(), Batch::new(PLANE, numbers[4..].to_vec()).unwrap());
        let mut gradient: Vec<Vec<f64>> = program.parameters().iter().map(|p| vec![0.0; p.len()]).collect();
        program.vjp(&x, &Tape::idle(), &y, Some(&mut gradient));
        let direction = |k: usize| ((k * 37 + 11) % 17) as f64 / 17.0 - 0.4;
        let expected: f64 = gradient.iter().flatten().enumerate().map(|(k, g)| g * direction(k)).sum();
        let mut moved = |t: f64| {
            let slots = program.parameters_mut();
            slots.into_iter().flatten().enumerate().for_each(|(k, w)| *w += t * direction(k));
            let f = program.eval(&x, &mut Tape::idle());
            f.data().iter().zip(y.data()).map(|(f, y)| f * y).sum::<f64>()
        };
        let t = 1e-6;
        let (plus, minus) = (moved(t), moved(-2.0 * t));
        let (quotient, scale) =
            ((plus - minus) / (2.0 * t), 1.0 + gradient.iter().flatten().map(|g| g.abs()).sum::<f64>());
        // At a switch of the projection one of the two sides is another branch: the function is continuous there, its slope is not.
        if (quotient - expected).abs() > 1e-4 * scale {
            return Err(TestCaseError::fail(format!("{quotient} is not {expected}")));
        }
        Ok(())
    };
    if let Err(counterexample) = search(100, subjects, law) {
        panic!("{counterexample}");
    }
}

/// A network with such a flow is a file and runs; it is refused a certificate, with the reason.
#[test]
fn there_is_no_radius() {
    let w: Vec<f64> = (0..19).map(|k| f64::from(k % 7) / 4.0 - 0.75).collect();
    let described = field(&w, Activation::Relu {}, Activation::Relu {}, 0.5, 1.0);
    let build = || {
        let field = ProjectedField::<f64>::new(&described, PLANE).unwrap();
        let flow = Flow::new(field, Tableau::euler(), Step::Fixed(0.01), 3).unwrap();
        Network::new(PLANE, vec![Box::new(flow)]).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("projected.safetensors");
    network::save(&build(), &path).unwrap();
    let model = Model::parse(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(*model.map(), build().describe());
    let network::AnyNetwork::F64(read) = model.network().unwrap() else { panic!("another format") };
    let x = Batch::new(PLANE, vec![1.0, -0.5]).unwrap();
    assert_eq!(read.forward(&x).unwrap(), build().forward(&x).unwrap());
    let error = read.seal().unwrap_err().to_string();
    assert!(error.contains("lyapunov_projected") && error.contains("no radius"), "{error}");

    let refused = |field: Field| assert!(ProjectedField::<f64>::new(&field, PLANE).is_err());
    refused(field(&w, Activation::Relu {}, Activation::Abs {}, 0.5, 1.0));
    refused(field(&w, Activation::Relu {}, Activation::Sigmoid {}, 0.5, 1.0));
    refused(field(&w, Activation::Relu {}, Activation::Relu {}, 0.0, 1.0));
    refused(field(&w, Activation::Relu {}, Activation::Relu {}, 1.0, -1.0));
    refused(Field::SkewLinear { skew: matrix(2, &[0.0; 4]) });
    let prover = Prover::default();
    assert!(projected_decrease(&described, PLANE, -1.0, &prover).is_err());
    let other = Field::SkewLinear { skew: matrix(2, &[0.0; 4]) };
    assert!(matches!(projected_decrease(&other, PLANE, 1.0, &prover), Err(Error::Field { .. })));
}
