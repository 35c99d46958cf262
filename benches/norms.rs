//! How long it takes to prove norms: of one matrix, of one convolution, and of a classifier of three stages.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dahlquist::{
    Network,
    activation::Activation,
    certificate::NormProof,
    certify::SealOptions,
    field::GradientField,
    layer::{AffineLayer, Flow, Layer, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool, Operator},
    rigor::torus::PaddingMode,
    rules::Prover,
    tableau::Tableau,
    tensor::Shape,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

fn normal(n: usize, seed: u64) -> Vec<f32> {
    ChaCha8Rng::seed_from_u64(seed).sample_iter(StandardNormal).take(n).collect()
}

/// A 3×3 convolution with Gaussian weights.
fn convolution(inputs: usize, outputs: usize, size: usize, stride: usize, seed: u64) -> Conv2d<f32> {
    let input = Shape::image(inputs, size, size);
    let geometry = Geometry { input, outputs, kernel: (3, 3), stride, padding: 1, mode: PaddingMode::Zeros };
    Conv2d::new(geometry, normal(inputs * outputs * 9, seed)).expect("a convolution")
}

/// Fifteen blocks in three stages of 16, 32 and 64 channels at 32², 16² and 8², with lifts between them and a head.
fn classifier() -> Network<f32> {
    let affine = |w: Conv2d<f32>| Box::new(AffineLayer::new(Affine::new(w, None).expect("an affine map")));
    let mut layers: Vec<Box<dyn Layer<f32>>> = vec![affine(convolution(3, 16, 32, 1, 0))];
    for (stage, (channels, size)) in [(16, 32), (32, 16), (64, 8)].into_iter().enumerate() {
        for block in 0..5 {
            let w = convolution(channels, channels, size, 1, (10 * stage + block) as u64);
            let map = Affine::new(w, None).expect("an affine map");
            let field = GradientField::new(map, Activation::Relu {}).expect("a field");
            let flow = Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1).expect("a flow");
            layers.push(Box::new(flow));
        }
        if stage < 2 {
            layers.push(affine(convolution(channels, 2 * channels, size, 2, 100 + stage as u64)));
        }
    }
    let pool = MeanPool::global(Shape::image(64, 8, 8)).expect("a pool");
    layers.push(Box::new(AffineLayer::new(Affine::new(pool, None).expect("an affine map"))));
    let head = Dense::new(10, 64, normal(640, 7)).expect("a head");
    layers.push(Box::new(AffineLayer::new(Affine::new(head, None).expect("an affine map"))));
    Network::new(Shape::image(3, 32, 32), layers).expect("a network")
}

/// Proves the norm of an operator.
fn prove(w: &dyn Operator<f32>, norms: NormProof) {
    black_box(Prover::new(norms).operator(&w.describe(), w.input(), false)).expect("a proof");
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("norms");
    group.sample_size(10);
    for (rows, columns) in [(512, 512), (4096, 4096)] {
        let fresh = || Dense::new(rows, columns, normal(rows * columns, 1)).expect("a matrix");
        group.bench_function(format!("dense {rows}×{columns}"), |b| {
            b.iter_batched(fresh, |w| prove(&w, NormProof::Torus), BatchSize::PerIteration);
        });
    }
    for norms in [NormProof::Torus, NormProof::Tight] {
        for (channels, size) in [(16, 32), (32, 16), (64, 8)] {
            let fresh = || convolution(channels, channels, size, 1, 1);
            group.bench_function(format!("{norms:?}, {channels} channels at {size}²"), |b| {
                b.iter_batched(fresh, |w| prove(&w, norms), BatchSize::PerIteration);
            });
        }
        group.bench_function(format!("{norms:?}, classifier"), |b| {
            b.iter_batched(
                classifier,
                |network| black_box(network.seal_with(SealOptions { norm_proof: norms, ..SealOptions::default() })),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
