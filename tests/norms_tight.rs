//! Tight norms of zero-padded convolutions are never below the norm and at most 0.1 % above it.

mod lanczos;

use std::time::Instant;

use dahlquist::{
    operator::{Conv2d, Geometry, NormMethod, Norms, Operator},
    rigor::{matrix::norm, torus::PaddingMode},
    tensor::Shape,
};
use lanczos::{from_below, gaussian, matrix, same};

fn tight(conv: &mut Conv2d<f64>) -> f64 {
    let start = Instant::now();
    conv.prove_norm(Norms::Tight).unwrap();
    let proved = conv.norm().unwrap();
    if std::env::var_os("SHOW").is_some() {
        println!("{:?} {proved:?} {:?}", conv.geometry(), start.elapsed());
    }
    assert_eq!(proved.method, NormMethod::Banded, "{:?}", conv.geometry());
    proved.bound.get()
}

/// The convolutions of a classifier of three stages.
#[test]
fn of_a_classifier() {
    for (channels, size) in [(16, 32), (32, 16), (64, 8)] {
        let mut conv = gaussian(same(channels, size), 1);
        let (bound, below) = (tight(&mut conv), from_below(&conv, 100, 1));
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
                let mut conv = gaussian(geometry, seed);
                conv.prove_norm(Norms::Tight).unwrap();
                let bound = conv.norm().unwrap().bound.get();
                let dense = matrix(&conv);
                let largest = dense.singular_values().unwrap()[0];
                // Both numbers are rounded, the proved one upwards.
                assert!(largest * (1.0 - 1e-13) <= bound, "{geometry:?}: {bound} is below {largest}");
                assert!(bound <= 1.001 * norm(dense.as_ref()).unwrap().get(), "{geometry:?}: {bound}, {largest}");
            }
        }
    }
}
