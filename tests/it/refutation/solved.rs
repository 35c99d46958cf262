//! What is solved: equilibria as layers, and steps of implicit methods, as they are executed.
//!
//! The equations of functions with kinks are linear by pieces, and Newton's method in exact arithmetic ends at their solution: its
//! residual is 0.

use dahlquist::{
    certificate::Certificate,
    laws::strategies as s,
    layer::{Equilibrium, Implicit, Layer},
    rigor::{Rounding, directed::distance_up},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::{
    described::{exact, slope, squared_distance, vector},
    models::proof,
};
use num_rational::BigRational as Q;
use num_traits::Zero;
use proptest::{
    option,
    prelude::{Strategy, prop_oneof},
    sample::select,
};
use rand::{Rng, RngExt};

use super::{Attempt, generator, number, point, refute};

/// The most steps of Newton's method: one for each piece that it passes.
const STEPS: usize = 24;

/// The zero of a function that is linear by pieces, exactly; none where Newton's method does not find it.
pub(super) fn root(f: impl Fn(&[Q]) -> Option<Vec<Q>>, start: &[Q]) -> Option<Vec<Q>> {
    let (n, mut x) = (start.len(), start.to_vec());
    // Nearer than any two numbers of f64 and their products are.
    let near = exact(f64::MIN_POSITIVE) * exact(f64::MIN_POSITIVE) * exact(f64::MIN_POSITIVE);
    for _ in 0..STEPS {
        let y = f(&x)?;
        if y.iter().all(Zero::is_zero) {
            return Some(x);
        }
        let column = |j: usize| {
            let mut moved = x.clone();
            moved[j] += &near;
            Some(f(&moved)?.iter().zip(&y).map(|(z, y)| (z - y) / &near).collect::<Vec<Q>>())
        };
        let columns: Vec<Vec<Q>> = (0..n).map(column).collect::<Option<_>>()?;
        let rows: Vec<Vec<Q>> = (0..n).map(|i| (0..n).map(|j| columns[j][i].clone()).collect()).collect();
        let step = linear(rows, y)?;
        x.iter_mut().zip(step).for_each(|(x, step)| *x -= step);
    }
    None
}

/// The solution of a linear system, by elimination; none of a singular one.
fn linear(mut rows: Vec<Vec<Q>>, mut right: Vec<Q>) -> Option<Vec<Q>> {
    let n = right.len();
    for k in 0..n {
        let pivot = (k..n).find(|&i| !rows[i][k].is_zero())?;
        rows.swap(k, pivot);
        right.swap(k, pivot);
        for i in (0..n).filter(|&i| i != k) {
            if rows[i][k].is_zero() {
                continue;
            }
            let factor = &rows[i][k] / &rows[k][k];
            let pivot = rows[k].clone();
            rows[i].iter_mut().zip(&pivot).skip(k).for_each(|(x, p)| *x -= &factor * p);
            let product = &factor * &right[k];
            right[i] -= product;
        }
    }
    Some((0..n).map(|k| &right[k] / &rows[k][k]).collect())
}

/// A point and one near it, in the format.
fn near<T: Scalar>(n: usize, rng: &mut impl Rng) -> [Vec<T>; 2] {
    let finite = |x: f64| T::of(x.clamp(-T::LARGEST, T::LARGEST));
    let x: Vec<T> = point(n, rng).into_iter().map(finite).collect();
    let size = x.iter().fold(0.0f64, |size, x| size.max(x.wide().abs()));
    let off = libm::scalbn(size, -[2, 10, 30, 60][rng.random_range(0..4)]);
    let y = x.iter().map(|x| finite(x.wide() + off * rng.random_range(-1.0..1.0))).collect();
    [x, y]
}

fn wide<T: Scalar>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.wide()).collect()
}

/// The program's value at a point near a sample is as far from the exact one as is declared for a ball around the sample.
fn attack<T: Scalar>(
    layer: &dyn Layer<T>,
    proof: &Certificate,
    seed: u64,
    solve: impl Fn(&[Q], &[Q]) -> Option<Vec<Q>>,
) -> Attempt {
    let (space, mut rng, mut found) = (layer.input(), generator(seed), false);
    for _ in 0..2 {
        let [x, y] = near::<T>(space.len(), &mut rng);
        let reach = distance_up(&x, &y);
        let batch = |x: &[T]| Batch::new(space, x.to_vec()).map_err(|e| e.to_string());
        let mut tape = Tape::recording();
        layer.widen().forward(batch(&x)?.cast(), &mut tape);
        let Ok(errors) = layer.rounding(proof, &Rounding::of::<T>(), &tape, &[reach]) else { continue };
        let executed = layer.forward(batch(&y)?, &mut Tape::idle());
        let value = wide(executed.sample(0));
        let error = errors[0];
        // NaN says that nothing is claimed of this point.
        if !error.is_finite() || value.iter().any(|x| x.is_nan()) {
            continue;
        }
        if value.iter().any(|x| x.is_infinite()) {
            return Err("an overflow, although it was excluded".into());
        }
        let Some(truth) = solve(&vector(&wide(&y)), &vector(&value)) else { continue };
        if squared_distance(&vector(&value), &truth) > exact(error) * exact(error) {
            return Err(format!("what is executed is further from the solution than {error:e}"));
        }
        found = true;
    }
    Ok(found)
}

/// What a solve may leave.
fn tolerance() -> impl Strategy<Value = Option<f64>> {
    let some = prop_oneof![3 => select(vec![1.0, 1e-3, 1e-6, 1e-12, 1e6]), 1 => number().prop_map(f64::abs)];
    option::of(some.prop_filter("zero", |tolerance| *tolerance > 0.0))
}

fn equilibria<T: Scalar>() {
    refute(150, 10, (s::equilibrium::<T>(), tolerance()), |(layer, tolerance), seed| {
        let Ok(layer) = Equilibrium::<T>::boxed(again(layer.field()), *tolerance) else { return Ok(false) };
        let (field, space) = (layer.field().describe(), Layer::<T>::input(&layer));
        let Ok(proof) = proof::<T>(&layer) else { return Ok(false) };
        attack::<T>(&layer, &proof, seed, |u, start| {
            root(|x| Some(slope(&field, space, x)?.iter().zip(u).map(|(f, u)| f + u).collect()), start)
        })
    });
}

/// The same field once more, by way of its description.
fn again<T: Scalar>(field: &dyn dahlquist::field::VectorField<T>) -> Box<dyn dahlquist::field::VectorField<T>> {
    use dahlquist::{
        field::{GradientField, StructuredField},
        model::Field,
        operator::Affine,
    };
    let (description, space) = (field.describe(), field.shape());
    match &description {
        Field::Gradient { activation, operator, weights: None } => {
            let map = Affine::described(operator, space).expect("an operator");
            Box::new(GradientField::new(map, *activation).expect("a field"))
        }
        _ => Box::new(StructuredField::new(&description, space).expect("a field")),
    }
}

#[test]
fn equilibria_as_executed_f32() {
    equilibria::<f32>();
}

#[test]
fn equilibria_as_executed_f64() {
    equilibria::<f64>();
}

fn implicit_steps<T: Scalar>() {
    refute(150, 10, (s::implicit_flow::<T>(), tolerance()), |(flow, tolerance), seed| {
        let field = again(flow.fields().next().ok_or("a flow without a field")?);
        let (description, space, tableau) = (field.describe(), field.shape(), flow.tableau().clone());
        let h = flow.step().wide();
        let Ok(flow) = Implicit::<T>::boxed(vec![field], tableau.clone(), h, flow.steps(), *tolerance) else {
            return Err(format!("{} is refused another tolerance", tableau.name()));
        };
        let rational = |row: &[dahlquist::tableau::Surd]| row.iter().map(|a| a.rational()).collect::<Option<Vec<Q>>>();
        let (Some(a), Some(b)) =
            (tableau.a().iter().map(|row| rational(row)).collect::<Option<Vec<_>>>(), rational(tableau.b()))
        else {
            return Ok(false);
        };
        let Ok(proof) = proof::<T>(&flow) else { return Ok(false) };
        attack::<T>(&flow, &proof, seed, |x, _| {
            (0..flow.steps()).try_fold(x.to_vec(), |x, _| stepped(&description, space, (&a, &b), h, &x))
        })
    });
}

/// One step of an implicit method, its stages solved exactly.
fn stepped(
    field: &dahlquist::model::Field,
    space: Shape,
    (a, b): (&[Vec<Q>], &[Q]),
    h: f64,
    x: &[Q],
) -> Option<Vec<Q>> {
    let (n, h) = (x.len(), exact(h));
    let slopes = |stages: &[Q]| stages.chunks(n).map(|stage| slope(field, space, stage)).collect::<Option<Vec<_>>>();
    let combined = |weights: &[Q], slopes: &[Vec<Q>], k: usize| -> Q {
        let sum: Q = weights.iter().zip(slopes).map(|(a, f)| a * &f[k]).sum();
        &x[k] + &h * sum
    };
    let residual = |stages: &[Q]| {
        let known = slopes(stages)?;
        let each = |i: usize| (0..n).map(|k| &stages[i * n + k] - combined(&a[i], &known, k)).collect::<Vec<Q>>();
        Some((0..a.len()).flat_map(each).collect())
    };
    let stages = root(residual, &vec![x; a.len()].concat())?;
    let known = slopes(&stages)?;
    Some((0..n).map(|k| combined(b, &known, k)).collect())
}

#[test]
fn implicit_steps_as_executed_f32() {
    implicit_steps::<f32>();
}

#[test]
fn implicit_steps_as_executed_f64() {
    implicit_steps::<f64>();
}
