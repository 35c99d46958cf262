//! Tight norms of zero-padded convolutions are never below the norm and at most 0.1 % above it.

use dahlquist::{
    Network, Sealed,
    activation::Activation,
    certificate::{NormMethod, NormProof},
    certify::SealOptions,
    field::GradientField,
    integrate::Tableau,
    layer::{Flow, Step},
    model::Map,
    operator::{Affine, Conv2d, Geometry, Operator},
    rigor::{matrix::norm, torus::PaddingMode},
    tensor::Shape,
};
use dahlquist_testkit::{
    lanczos::{estimate, gaussian, matrix, same, stands, to_integers, top},
    models::Proved,
};

fn tight(conv: &Conv2d<f64>) -> f64 {
    let proved = conv.tight_norm().unwrap();
    assert_eq!(proved.method, NormMethod::Banded, "{:?}", conv.describe());
    proved.bound.get()
}

/// The convolutions of a classifier of three stages.
#[test]
fn of_a_classifier() {
    for (channels, size) in [(16, 32), (32, 16), (64, 8)] {
        let conv = gaussian(same(channels, size), 1);
        let (bound, x) = (tight(&conv), top(&conv, 100, 1));
        assert!(stands(&conv, bound, &x), "{channels} channels at {size}²: {bound} is too small");
        assert!(bound <= 1.001 * estimate(&conv, &x), "{channels} channels at {size}²: {bound}");
    }
}

/// Small convolutions of all geometries, against the norm of their matrix as a dense one, which is proved too.
#[test]
fn of_small_operators() {
    let mut seed = 0;
    for (height, width, inputs, outputs) in [(6, 5, 2, 3), (5, 7, 3, 2), (9, 2, 1, 4), (1, 8, 4, 1), (3, 3, 5, 5)] {
        for kernel in [(1, 1), (3, 3), (2, 3), (5, 1), (1, 4)] {
            for (stride, padding) in [(1, 0), (1, 1), (2, 1), (3, 2), (2, 3)] {
                let input = Shape::image(inputs, height, width);
                let geometry = Geometry { input, outputs, kernel, stride, padding, mode: PaddingMode::Zeros };
                if kernel.0 > height + 2 * padding || kernel.1 > width + 2 * padding {
                    continue;
                }
                seed += 1;
                let conv = gaussian(geometry, seed);
                let bound = conv.tight_norm().unwrap().bound.get();
                let dense = matrix(&conv);
                let svd = dense.svd().unwrap();
                let x: Vec<f64> = svd.V().col(0).iter().copied().collect();
                assert!(stands(&conv, bound, &to_integers(&x)), "{geometry:?}: {bound} is too small");
                assert!(bound <= 1.001 * norm(dense.as_ref()).unwrap().get(), "{geometry:?}: {bound}");
            }
        }
    }
}

/// The choice reaches the operators inside of fields, lengthens the step, and is recorded.
#[test]
fn of_a_sealed_network() {
    let sealed = |norm_proof| {
        let field =
            GradientField::new(Affine::new(gaussian(same(4, 6), 3), None).unwrap(), Activation::Relu {}).unwrap();
        let flow = Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1).unwrap();
        Network::new(Shape::image(4, 6, 6), vec![Box::new(flow)])
            .unwrap()
            .seal_with(SealOptions { norm_proof, ..Default::default() })
            .unwrap()
    };
    let (torus, tight) = (sealed(NormProof::Torus), sealed(NormProof::Tight));
    let step = |sealed: &Sealed<f64>| match &sealed.map().layers()[0] {
        Map::Flow(flow) => flow.step,
        other => panic!("{other:?}"),
    };
    assert!(step(&tight) > 1.001 * step(&torus), "{} and {}", step(&tight), step(&torus));
    assert!(tight.certificate().bound().get() <= 1.0);
}

/// Whatever the scale of the weights, up to the ends of the exponent range.
#[test]
fn of_extreme_weights() {
    let conv = gaussian(same(2, 5), 9);
    for exponent in [-1074, -1030, -540, 0, 500, 1000] {
        let weight: Vec<f64> = conv.weight().iter().map(|&w| libm::scalbn(w, exponent)).collect();
        let scaled = conv.with_weight(weight.clone()).unwrap();
        let bound = scaled.tight_norm().unwrap().bound.get();
        // The same weights at a scale where nothing is rounded.
        let back = weight.iter().map(|&w| libm::scalbn(w, -exponent)).collect();
        let back = conv.with_weight(back).unwrap();
        let x = top(&back, 50, 1);
        assert!(stands(&scaled, bound, &x), "2^{exponent}: {bound} is too small");
        let largest = estimate(&back, &x);
        assert!(exponent < -1000 || libm::scalbn(bound, -exponent) <= 1.001 * largest, "2^{exponent}: {bound}");
    }
    let zero = conv.with_weight(vec![0.0; conv.weight().len()]).unwrap();
    assert_eq!(zero.tight_norm().unwrap().bound.get(), 0.0);
}

/// Circular convolutions keep the proof of their own torus.
#[test]
fn are_not_needed_on_a_torus() {
    let circular = gaussian(Geometry { mode: PaddingMode::Circular, ..same(2, 5) }, 4);
    let proved = circular.tight_norm().unwrap();
    assert!(matches!(proved.method, NormMethod::Torus(_)));
    let x = top(&circular, 50, 1);
    assert!(stands(&circular, proved.bound.get(), &x));
    assert!(proved.bound.get() <= (1.0 + 1e-9) * estimate(&circular, &x));
}
