//! Weights that are trained in another form: what the forms keep, and their derivatives.

use dahlquist::{
    activation::Activation,
    field::{GradientField, StructuredField},
    integrate::Tableau,
    laws::strategies as s,
    layer::{AffineLayer, Flow, Layer, Step},
    layer_laws,
    model::{Field, Linear, Tensor},
    operator::{Affine, Dense},
    parametrize::Form,
    rules::Prover,
    scalar::Scalar,
    tensor::{Batch, Shape},
};
use proptest::{collection::vec, prelude::*, sample::select};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The forms whose weights are a smooth function of those that are trained; the spectral one rests on a power iteration.
const SMOOTH: [Form; 4] = [Form::UnitRows, Form::OrthonormalRows, Form::Cayley, Form::AlmostOrthogonal];

fn random(rows: usize, columns: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..rows * columns).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn parametrized(form: Form, rows: usize, columns: usize, seed: u64) -> Affine<f64> {
    let dense = Dense::new(rows, columns, random(rows, columns, seed)).unwrap();
    Affine::new(dense, Some(random(rows, 1, seed + 1))).unwrap().parametrized(form).unwrap()
}

/// The largest entry of `|WWᵀ − I|`, or of `|WᵀW − I|` for a tall matrix.
fn defect(w: &[f64], rows: usize, columns: usize) -> f64 {
    let tall = rows > columns;
    let (outer, inner) = if tall { (columns, rows) } else { (rows, columns) };
    let at = |i: usize, k: usize| if tall { w[k * columns + i] } else { w[i * columns + k] };
    let entry = |i: usize, j: usize| (0..inner).map(|k| at(i, k) * at(j, k)).sum::<f64>() - f64::from(u8::from(i == j));
    (0..outer).flat_map(|i| (0..outer).map(move |j| (i, j))).map(|(i, j)| entry(i, j).abs()).fold(0.0, f64::max)
}

#[test]
fn rows_or_columns_are_orthonormal() {
    for form in [Form::OrthonormalRows, Form::Cayley] {
        for (rows, columns) in [(3, 5), (5, 3), (4, 4), (1, 6), (6, 1)] {
            let map = parametrized(form, rows, columns, 7);
            let defect = defect(map.operator().weight(), rows, columns);
            assert!(defect < 1e-12, "{form:?} of {rows} x {columns} is off by {defect:e}");
        }
    }
}

#[test]
fn forms_keep_the_norm_at_one() {
    for (form, rows, columns) in SMOOTH.into_iter().chain([Form::Spectral]).flat_map(|f| [(f, 4, 6), (f, 6, 4)]) {
        let mut map = parametrized(form, rows, columns, 3);
        (0..200).for_each(|_| map.prepare());
        let norm = Prover::default().operator(&map.describe(), map.operator().input(), false).unwrap().0.bound.get();
        match form {
            Form::UnitRows => assert!(norm >= 1.0),
            Form::AlmostOrthogonal => assert!(norm < 1.0 + 1e-9, "{norm}"),
            _ => assert!((norm - 1.0).abs() < 1e-6, "{form:?}: {norm}"),
        }
    }
}

#[test]
fn training_goes_on_from_the_weights_of_a_file() {
    for form in [Form::UnitRows, Form::OrthonormalRows] {
        let map = parametrized(form, 3, 5, 11);
        let weight = map.operator().weight().to_vec();
        let again = Affine::new(Dense::new(3, 5, weight.clone()).unwrap(), None).unwrap().parametrized(form).unwrap();
        let change = weight.iter().zip(again.operator().weight()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(change < 1e-14, "{form:?} moves its own weights by {change:e}");
    }
}

/// The gradient by the matrix that is trained, against difference quotients.
fn gradient_is_right(layer: &mut dyn Layer<f64>, seed: u64) {
    let n = layer.input().len();
    let x = Batch::new(layer.input(), random(n, 2, seed)).unwrap();
    let g = Batch::new(layer.output(), random(layer.output().len(), 2, seed + 1)).unwrap();
    // The power iteration has come to its end where it is one.
    (0..300).for_each(|_| layer.prepare());
    let mut tape = dahlquist::tape::Tape::recording();
    layer.forward(x.clone(), &mut tape);
    let mut gradient = layer.gradient();
    layer.vjp(&tape, g.clone(), Some(&mut gradient));
    layer.pull_back(&mut gradient);
    let along: Vec<Vec<f64>> =
        layer.parameters().iter().enumerate().map(|(i, p)| random(p.len(), 1, seed + 2 + i as u64)).collect();
    let expected: f64 = gradient.iter().zip(&along).flat_map(|(g, d)| g.iter().zip(d)).map(|(g, d)| g * d).sum();
    let mut value = |t: f64| {
        for (p, d) in layer.parameters_mut().into_iter().zip(&along) {
            p.iter_mut().zip(d).for_each(|(p, d)| *p += t * d);
        }
        (0..300).for_each(|_| layer.prepare());
        let y = layer.forward(x.clone(), &mut dahlquist::tape::Tape::idle());
        y.data().iter().zip(g.data()).map(|(y, g)| y * g).sum::<f64>()
    };
    let (plus, minus) = (value(1e-6), value(-2e-6));
    let quotient = (plus - minus) / 2e-6;
    assert!((quotient - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{expected} against {quotient}");
}

#[test]
fn gradients_go_through_every_form_and_every_place() {
    for (i, form) in SMOOTH.into_iter().chain([Form::Spectral]).enumerate() {
        for (rows, columns) in [(3, 4), (4, 3)] {
            let seed = 20 + i as u64;
            gradient_is_right(&mut AffineLayer::new(parametrized(form, rows, columns, seed)), seed);
            let field = GradientField::new(parametrized(form, rows, columns, seed), Activation::Softplus {}).unwrap();
            gradient_is_right(&mut Flow::new(field, Tableau::rk4(), Step::Relative(0.7), 2).unwrap(), seed);
            let matrix =
                |rows: usize| Linear::Dense { weight: Tensor::new(&[rows, 4], &random(rows, 4, seed + 5)), bias: None };
            let (activation, damping) = (Activation::Tanh {}, 0.1);
            let field = Field::Dissipative { activation, operator: matrix(rows), skew: matrix(4), damping };
            let field = StructuredField::<f64>::new(&field, Shape::Features(4)).unwrap();
            let field = field.parametrized(0, form).unwrap().parametrized(1, form).unwrap();
            gradient_is_right(&mut Flow::new(field, Tableau::heun(), Step::Fixed(0.3), 2).unwrap(), seed);
        }
    }
}

#[test]
fn what_has_no_matrix_is_refused() {
    let pool = dahlquist::operator::MeanPool::global(Shape::image(1, 2, 2)).unwrap();
    let refused = Affine::<f64>::new(pool, None).unwrap().parametrized(Form::UnitRows);
    assert!(refused.unwrap_err().to_string().contains("matrix of weights"));
}

/// A layer with weights in one of the smooth forms.
fn layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    (1..=4usize, 1..=4usize, select(SMOOTH.to_vec()))
        .prop_flat_map(|(m, n, form)| (Just((m, n, form)), vec(s::moderate::<T>(), m * n)))
        .prop_filter_map("refused", |((m, n, form), w)| {
            let map = Affine::new(Dense::new(m, n, w).ok()?, None).ok()?.parametrized(form).ok()?;
            Some(AffineLayer::new(map))
        })
}

layer_laws! {
    parametrized_layers<T>: super::layer::<T>();
}
