//! Lyapunov functions that fall, and how far equilibria are.

use dahlquist::{
    activation::Activation,
    field::{GradientField, StructuredField, VectorField},
    laws::strategies as s,
    lyapunov::{Decrease, equilibrium_errors, projected_decrease},
    model::{Field, Linear, Tensor},
    operator::{Affine, Dense},
    rules::Prover,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::described::{exact, slope, squared_distance, vector};
use num_rational::BigRational as Q;
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_oneof},
    sample::select,
};

use super::{Attempt, generator, number, point, refute, solved::root};
use crate::{lyapunov::exact_energy, projected};

/// A step: a part of the longest one, or of any length.
fn length(longest: f64, (relative, h): (bool, f64)) -> f64 {
    if relative && longest.is_finite() && longest > 0.0 { (h * longest).min(1e300) } else { h.abs() }
}

fn step() -> impl Strategy<Value = (bool, f64)> {
    let ratio = select(vec![0.0, 5e-324, 1e-20, 0.3, 0.999_999, 1.0, 1.0 + 1e-15, 2.0, 1e6]);
    prop_oneof![4 => ratio.prop_map(|h| (true, h)), 1 => number().prop_map(|h| (false, h))]
}

fn dense(rows: usize, columns: usize) -> impl Strategy<Value = Linear> {
    s::matrix::<f64>(rows, columns)
        .prop_map(move |w| Linear::Dense { weight: Tensor::new(&[rows, columns], &w), bias: None })
}

fn damping() -> impl Strategy<Value = f64> {
    prop_oneof![3 => select(vec![0.0, 0.5, 2.0, 1e-9, -0.25, 1e-300, 1e300]), 1 => number()]
}

/// Fields with an energy, of one to three dimensions.
fn energetic() -> impl Strategy<Value = Box<dyn VectorField<f64>>> {
    let gradient = (s::dense::<f64>(), s::monotone_activation()).prop_filter_map("refused", |(map, a)| {
        Some(Box::new(GradientField::new(map, a).ok()?) as Box<dyn VectorField<f64>>)
    });
    let family = (1..=3usize).prop_flat_map(|n| {
        let space = Shape::Features(n);
        let bias = || s::bias::<f64>(n).prop_map(move |b| b.map(|b| Tensor::new(&[n], &b)));
        let hamiltonian = (s::activation(), dense(2, n), dense(n, n), dense(n, n), damping()).prop_map(
            |(activation, operator, quadratic, skew, damping)| Field::DissipativeHamiltonian {
                activation,
                operator,
                quadratic,
                skew,
                damping,
            },
        );
        let antisymmetric = (s::activation(), dense(n, n), bias(), damping())
            .prop_map(|(activation, matrix, bias, damping)| Field::Antisymmetric { activation, matrix, bias, damping });
        let nais = (s::activation(), dense(2, n), bias(), damping())
            .prop_map(|(activation, factor, bias, epsilon)| Field::Nais { activation, factor, bias, epsilon });
        prop_oneof![hamiltonian, antisymmetric, nais].prop_filter_map("refused", move |field| {
            Some(Box::new(StructuredField::new(&field, space).ok()?) as Box<dyn VectorField<f64>>)
        })
    });
    prop_oneof![1 => gradient, 3 => family]
}

/// `g` of `V(x⁺) ≤ V(x) − c‖g‖²`.
fn measured(field: &Field, space: Shape, x: &[Q]) -> Option<Vec<Q>> {
    match field {
        Field::DissipativeHamiltonian { activation, operator, quadratic, skew, .. } => {
            let &[rows, columns] = (if let Linear::Dense { weight, .. } = skew { weight.shape() } else { &[] }) else {
                return None;
            };
            let still = Linear::Dense { weight: Tensor::new(&[rows, columns], &vec![0.0; rows * columns]), bias: None };
            let (operator, quadratic) = (operator.clone(), quadratic.clone());
            let energy = Field::DissipativeHamiltonian {
                activation: *activation,
                operator,
                quadratic,
                skew: still,
                damping: -1.0,
            };
            slope(&energy, space, x)
        }
        _ => slope(field, space, x),
    }
}

fn moved(x: &[Q], h: f64, f: &[Q]) -> Vec<Q> {
    x.iter().zip(f).map(|(x, f)| x + exact(h) * f).collect()
}

#[test]
fn energies_fall_as_is_proved() {
    refute(300, 15, (energetic(), step()), |(field, step), seed| -> Attempt {
        let (description, space, prover) = (field.describe(), field.shape(), Prover::default());
        let Ok(unit) = Decrease::of_euler(&**field, 0.0, &prover) else { return Ok(false) };
        let h = length(unit.longest().get(), *step);
        let Ok(decrease) = Decrease::of_euler(&**field, h, &prover) else { return Ok(false) };
        let x = point(space.len(), &mut generator(seed));
        // The sample twice: what is claimed does not depend on the others.
        let batch = Batch::new(space, [x.clone(), x.clone()].concat()).map_err(|e| e.to_string())?;
        let Ok(bounds) = decrease.bounds(&**field, &batch) else { return Ok(false) };
        if bounds[0] != bounds[1] {
            return Err("two bounds of one sample".into());
        }
        let at = vector(&x);
        let Some(f) = slope(&description, space, &at) else { return Ok(false) };
        let energy = |x: &[Q]| exact_energy(&description, space, x);
        let (Some(before), Some(after)) = (energy(&at), energy(&moved(&at, h, &f))) else { return Ok(false) };
        let change = after - before;
        let bound = bounds[0].get();
        if bound.is_finite() && change > exact(bound) {
            return Err(format!("the energy changes by more than {bound:e} with h = {h:e}"));
        }
        if decrease.is_proved() && change > exact(0.0) {
            return Err(format!("the energy grows, although h = {h:e} is proved"));
        }
        let rate = decrease.rate().get();
        if rate.is_finite() {
            let g = measured(&description, space, &at).ok_or("no gradient")?;
            let square: Q = g.iter().map(|g| g * g).sum();
            if change > exact(-rate) * square {
                return Err(format!("the energy does not fall with the rate {rate:e}, h = {h:e}"));
            }
        }
        Ok(true)
    });
}

#[test]
fn the_function_of_manek_and_kolter_falls_as_is_proved() {
    let weights = prop_oneof![3 => s::matrix::<f64>(1, 19), 1 => vec(s::moderate::<f64>(), 19)];
    let kinked = || {
        select(vec![
            Activation::Relu {},
            Activation::LeakyRelu { slope: 1e-300 },
            Activation::Identity {},
            Activation::Hardtanh { min: -0.5, max: 1.0 },
        ])
    };
    let constants = (
        prop_oneof![select(vec![1.0, 1e-9, 1e9]), number().prop_map(f64::abs)],
        prop_oneof![select(vec![0.0, 0.5, 1e-12, 1e9]), number().prop_map(f64::abs)],
    );
    let subjects = (weights, (kinked(), kinked()), constants, step());
    refute(300, 15, subjects, |(w, (activation, slope), (epsilon, rate), step), seed| -> Attempt {
        let field = projected::field(w, *activation, *slope, *epsilon, *rate);
        let prover = Prover::default();
        let Ok(rest) = projected_decrease(&field, projected::PLANE, 0.0, &prover) else { return Ok(false) };
        let h = length(rest.longest.get(), *step);
        let Ok(known) = projected_decrease(&field, projected::PLANE, h, &prover) else { return Ok(false) };
        let x = vector(&point(2, &mut generator(seed)));
        let Some((f, v)) = projected::value(&field, &x) else { return Ok(false) };
        let next = moved(&x, h, &f);
        let Some((_, after)) = projected::value(&field, &next) else { return Ok(false) };
        if after > exact(known.factor.get()) * &v {
            return Err(format!("V grows by more than {} with h = {h:e}", known.factor));
        }
        if h < known.longest.get() && after > v {
            return Err(format!("V grows with h = {h:e}, which is below the longest step"));
        }
        Ok(true)
    });
}

/// Fields that contract, of one to three dimensions: gradient and dissipative ones.
fn contracting() -> impl Strategy<Value = Box<dyn VectorField<f64>>> {
    let steep = || select([1e-12, 0.25, 1.0, 3.0].map(|slope| Activation::LeakyRelu { slope }).to_vec());
    (1..=3usize, 0..=2usize).prop_flat_map(move |(n, more)| {
        let gradient = (s::matrix::<f64>(n + more, n), s::bias::<f64>(n + more), steep(), Just((n, more)))
            .prop_filter_map("refused", |(w, b, a, (n, more))| {
                let map = Affine::new(Dense::new(n + more, n, w).ok()?, b).ok()?;
                Some(Box::new(GradientField::new(map, a).ok()?) as Box<dyn VectorField<f64>>)
            });
        let rate = select(vec![1.0, 1e-3, 1e-9, 1e-200, 1e3, 1e200]);
        let dissipative = (s::activation(), dense(2, n), s::bias::<f64>(2), dense(n, n), rate).prop_filter_map(
            "refused",
            move |(activation, operator, b, skew, damping)| {
                let operator = operator.with_bias(b.map(|b| Tensor::new(&[2], &b)));
                let field = Field::Dissipative { activation, operator, skew, damping };
                let field = StructuredField::new(&field, Shape::Features(n)).ok()?;
                Some(Box::new(field) as Box<dyn VectorField<f64>>)
            },
        );
        prop_oneof![gradient, dissipative]
    })
}

/// From any point, near to the equilibrium or not.
#[test]
fn equilibria_are_as_near_as_is_proved() {
    refute(300, 15, contracting(), |field, seed| -> Attempt {
        let (description, space) = (field.describe(), field.shape());
        let mut rng = generator(seed);
        for near in [false, true] {
            let mut x = point(space.len(), &mut rng);
            let f = |x: &[Q]| slope(&description, space, x);
            let Some(rest) = root(f, &vector(&x)) else { return Ok(false) };
            if near {
                // The equilibrium itself, but for rounding.
                x = rest.iter().map(|x| num_traits::ToPrimitive::to_f64(x).unwrap_or(0.0)).collect();
            }
            let Ok(batch) = Batch::new(space, x.clone()) else { return Ok(false) };
            let Ok(errors) = equilibrium_errors(&**field, &batch, &Prover::default()) else { return Ok(false) };
            let error = errors[0].get();
            if error.is_finite() && squared_distance(&vector(&x), &rest) > exact(error) * exact(error) {
                return Err(format!("the equilibrium is further away than {error:e}"));
            }
        }
        Ok(true)
    });
}
