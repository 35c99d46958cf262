//! Layers in parallel: the error is proved, in exact arithmetic.

use dahlquist::{
    Network,
    activation::Activation,
    control::Parareal,
    field::GradientField,
    layer::{Flow, Layer, Step},
    operator::{Affine, Dense},
    tableau::Tableau,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::described::{self, exact};
use num_rational::BigRational as Q;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Layers in parallel: the proved error holds for every sweep, in exact arithmetic, and after as many sweeps as there are windows the
/// states are those of the sequential program, to the last bit.
#[test]
fn the_error_of_layers_in_parallel_is_proved() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let windows = 6;
    let field = |w: &[f32], b: &[f32]| {
        let w = Dense::new(3, 2, w.to_vec()).unwrap();
        GradientField::new(Affine::new(w, Some(b.to_vec())).unwrap(), Activation::Relu {}).unwrap()
    };
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect() };
    let weights: Vec<(Vec<f32>, Vec<f32>)> = (0..windows).map(|_| (draw(6), draw(3))).collect();
    let flows = |tableau: &Tableau, h: f64, steps: usize| -> Vec<Box<dyn Layer<f32>>> {
        let flow = |(w, b): &(Vec<f32>, Vec<f32>)| {
            Box::new(Flow::new(field(w, b), tableau.clone(), Step::Fixed(h), steps).unwrap()) as Box<dyn Layer<f32>>
        };
        weights.iter().map(flow).collect()
    };
    let space = Shape::Features(2);
    let sealed = Network::new(space, flows(&Tableau::heun(), 0.125, 2)).unwrap().seal().unwrap();
    let x = Batch::new(space, draw(20)).unwrap();
    let parareal = Parareal::new(&sealed, &[1; 6], flows(&Tableau::euler(), 0.25, 1)).unwrap();
    let map = sealed.map().clone();
    let truth: Vec<Vec<Q>> = (0..x.samples())
        .map(|s| {
            let point: Vec<f64> = x.sample(s).iter().map(|&x| f64::from(x)).collect();
            described::value(&map, space, &described::vector(&point)).unwrap()
        })
        .collect();
    let wide = |x: &[f32]| described::vector(&x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
    let mut sweep = parareal.guess(&x).unwrap();
    let mut worst = Vec::new();
    for sweeps in 0..=windows {
        let errors = sweep.error().to_vec();
        for s in 0..x.samples() {
            let distance = described::squared_distance(&wide(sweep.last().sample(s)), &truth[s]);
            let bound = exact(errors[s].get());
            assert!(distance <= &bound * &bound, "sweep {sweeps}, sample {s}");
        }
        worst.push(errors.iter().map(|e| e.get()).fold(0.0, f64::max));
        if sweeps < windows {
            sweep = parareal.sweep(&sweep).unwrap();
        }
    }
    let sequential = sealed.forward(&x).unwrap();
    assert_eq!(*sweep.last(), sequential);
    assert!(worst[0] > 1e-3 && worst[windows] < 1e-5 && worst[windows] > 0.0, "{worst:?}");

    let inference = parareal.infer(&x, 1e-4).unwrap();
    assert!(inference.sweeps < windows && inference.error.iter().all(|e| e.get() <= 1e-4), "{}", inference.sweeps);
    assert!(parareal.infer(&x, 1e-9).is_err(), "f32 has no nine digits");
    assert!(Parareal::new(&sealed, &[5], flows(&Tableau::euler(), 0.25, 1)).is_err());
    assert!(Parareal::new(&sealed, &[3, 3], flows(&Tableau::euler(), 0.25, 1)).is_err());
}
