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
    lanczos::{from_below, gaussian, matrix, same},
    models::Proved,
};

fn tight(conv: &Conv2d<f64>) -> f64 {
    let proved = conv.tight_norm().unwrap();
    assert_eq!(proved.method, NormMethod::Banded, "{:?}", conv.geometry());
    proved.bound.get()
}

/// The convolutions of a classifier of three stages.
#[test]
fn of_a_classifier() {
    for (channels, size) in [(16, 32), (32, 16), (64, 8)] {
        let conv = gaussian(same(channels, size), 1);
        let (bound, below) = (tight(&conv), from_below(&conv, 100, 1));
        assert!(below <= bound && bound <= 1.001 * below, "{channels} channels at {size}²: {bound}, {below}");
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
                let largest = dense.singular_values().unwrap()[0];
                // Both numbers are rounded, the proved one upwards.
                assert!(largest * (1.0 - 1e-13) <= bound, "{geometry:?}: {bound} is below {largest}");
                assert!(bound <= 1.001 * norm(dense.as_ref()).unwrap().get(), "{geometry:?}: {bound}, {largest}");
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
        let scaled = Conv2d::new(*conv.geometry(), weight.clone()).unwrap();
        let bound = scaled.tight_norm().unwrap().bound.get();
        // The same weights at a scale where nothing is rounded.
        let back = weight.iter().map(|&w| libm::scalbn(w, -exponent)).collect();
        let largest = from_below(&Conv2d::new(*conv.geometry(), back).unwrap(), 50, 1);
        assert!(libm::scalbn(bound, -exponent) >= largest * (1.0 - 1e-13), "2^{exponent}: {bound}");
        assert!(exponent < -1000 || libm::scalbn(bound, -exponent) <= 1.001 * largest, "2^{exponent}: {bound}");
    }
    let zero = Conv2d::new(*conv.geometry(), vec![0.0; conv.weight().len()]).unwrap();
    assert_eq!(zero.tight_norm().unwrap().bound.get(), 0.0);
}

/// Circular convolutions keep the proof of their own torus.
#[test]
fn are_not_needed_on_a_torus() {
    let circular = gaussian(Geometry { mode: PaddingMode::Circular, ..same(2, 5) }, 4);
    let proved = circular.tight_norm().unwrap();
    assert!(matches!(proved.method, NormMethod::Torus(_)));
    assert!(proved.bound.get() <= (1.0 + 1e-9) * from_below(&circular, 50, 1));
}
