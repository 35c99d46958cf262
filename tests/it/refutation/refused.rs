//! What is no number, and points of another space, are refused with a typed error, whoever asks for the proof.

use dahlquist::{
    Error,
    activation::Activation,
    field::StructuredField,
    lyapunov::{Decrease, equilibrium_errors, projected_decrease},
    model::{Field, Linear, Potential, Tensor},
    rules::Prover,
    tensor::{Batch, Shape},
};

const PLANE: Shape = Shape::Features(2);

fn matrix(entry: f64) -> Linear {
    Linear::Dense { weight: Tensor::new(&[2, 2], &[1.0, entry, 0.0, 1.0]), bias: None }
}

fn biased(entry: f64) -> Linear {
    matrix(0.5).with_bias(Some(vector(entry)))
}

fn vector(entry: f64) -> Tensor {
    Tensor::new(&[2], &[1.0, entry])
}

/// Fields of every kind, with a number in each of their places in turn.
fn fields(x: f64) -> Vec<Field> {
    let activation = Activation::LeakyRelu { slope: 0.5 };
    let potential = |operator| Potential { activation, operator };
    let (damping, epsilon, rate) = (1.0, 1.0, 0.0);
    let mut all = Vec::new();
    for operator in [matrix(x), biased(x)] {
        let (inner, outer, linear) = (operator.clone(), matrix(0.5), matrix(0.5));
        let (quadratic, skew) = (matrix(0.5), matrix(0.5));
        all.extend([
            Field::Gradient { activation, operator: operator.clone(), weights: None },
            Field::Residual { activation, inner: inner.clone(), outer: outer.clone() },
            Field::Residual { activation, inner: outer.clone(), outer: inner.clone() },
            Field::Dissipative { activation, operator: operator.clone(), skew: skew.clone(), damping },
            Field::Hamiltonian { kinetic: potential(operator.clone()), potential: potential(matrix(0.5)) },
            Field::Hamiltonian { kinetic: potential(matrix(0.5)), potential: potential(operator.clone()) },
            Field::DissipativeHamiltonian { activation, operator, quadratic, skew, damping },
            Field::Lurie { activation, linear: inner.clone(), inner: linear.clone(), outer: outer.clone() },
            Field::Lurie { activation, linear: linear.clone(), inner: inner.clone(), outer: outer.clone() },
            Field::Lurie { activation, linear, inner: outer, outer: inner },
        ]);
    }
    let plain = || matrix(0.5);
    all.extend([
        Field::Gradient { activation, operator: plain(), weights: Some(vector(x)) },
        Field::Dissipative { activation, operator: plain(), skew: matrix(x), damping },
        Field::DissipativeHamiltonian { activation, operator: plain(), quadratic: matrix(x), skew: plain(), damping },
        Field::DissipativeHamiltonian { activation, operator: plain(), quadratic: plain(), skew: matrix(x), damping },
        Field::Antisymmetric { activation, matrix: matrix(x), bias: None, damping },
        Field::Antisymmetric { activation, matrix: plain(), bias: Some(vector(x)), damping },
        Field::SkewLinear { skew: matrix(x) },
        Field::Nais { activation, factor: matrix(x), bias: None, epsilon },
        Field::Nais { activation, factor: plain(), bias: Some(vector(x)), epsilon },
        Field::LyapunovProjected {
            activation,
            inner: biased(x),
            outer: plain(),
            potential: potential(plain()),
            epsilon,
            rate,
        },
    ]);
    all
}

fn space(field: &Field) -> Shape {
    if let Field::Hamiltonian { .. } = field { Shape::Features(4) } else { PLANE }
}

#[test]
fn a_weight_or_a_bias_that_is_no_number_has_no_proof() {
    let prover = Prover::default();
    for field in fields(0.25) {
        let proved = prover.field(&field, space(&field));
        assert!(proved.is_ok() || matches!(field, Field::LyapunovProjected { .. }), "{field:?}: {proved:?}");
    }
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for field in fields(wrong) {
            let refused = prover.field(&field, space(&field));
            let negative = matches!(&field, Field::Gradient { weights: Some(_), .. } if wrong < 0.0);
            let typed = matches!(refused, Err(Error::NotFinite { index: 1, .. }));
            assert!(typed || negative && refused.is_err(), "{field:?}: {refused:?}");
            let refused = projected_decrease(&field, space(&field), 0.1, &prover);
            assert!(refused.is_err(), "{field:?}: {refused:?}");
        }
        for operator in [matrix(wrong), biased(wrong)] {
            for inverse in [false, true] {
                let refused = prover.operator(&operator, PLANE, inverse);
                assert!(matches!(refused, Err(Error::NotFinite { index: 1, .. })), "{operator:?}: {refused:?}");
            }
        }
    }
    // What is remembered of the weights says nothing about another bias.
    assert!(prover.operator(&biased(0.25), PLANE, false).is_ok());
    assert!(prover.operator(&biased(f64::NAN), PLANE, false).is_err());
}

#[test]
fn points_of_another_space_have_no_bound() {
    let prover = Prover::default();
    let activation = Activation::LeakyRelu { slope: 0.5 };
    let field = Field::Gradient { activation, operator: biased(0.25), weights: Some(vector(1.0)) };
    let field = StructuredField::<f64>::new(&field, PLANE).expect("a field");
    let decrease = Decrease::of_euler(&field, 0.1, &prover).expect("a decrease");
    for other in [Shape::Features(1), Shape::Features(3), Shape::image(2, 1, 1)] {
        let x = Batch::zeros(other, 2);
        assert!(matches!(decrease.bounds(&field, &x), Err(Error::Shape { .. })), "{other}");
        assert!(matches!(equilibrium_errors(&field, &x, &prover), Err(Error::Shape { .. })), "{other}");
    }
    let nothing = Batch::zeros(PLANE, 0);
    assert_eq!(decrease.bounds(&field, &nothing).expect("no bounds"), []);
    assert_eq!(equilibrium_errors(&field, &nothing, &prover).expect("no errors"), []);
}
