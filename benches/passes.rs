//! Whole passes over the stable network of `cifar10_toy` and over the reference classifier of three stages: forward,
//! vjp, a step of training, certification, an attack; and over a dense ReLU network 784–128×8–10: forward, sealing,
//! certification in every semantics.
//!
//! `cargo bench --bench passes`. Times are for all samples of a group and all threads; divide for samples a second. Only
//! ratios of figures taken in one run on an idle machine mean much.

#[allow(dead_code)]
mod reference;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dahlquist::{
    Network, Result, Semantics,
    activation::Activation,
    attack::{Attack, Loss},
    certify::{SealOptions, Summation},
    data::synthetic,
    layer::{ActivationLayer, AffineLayer, Layer},
    operator::{Affine, Dense},
    tensor::{Batch, Shape},
    train::train,
    zoo::{self, Size},
};
use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const IMAGES: usize = 256;
const SAMPLES: usize = 2048;

fn passes(c: &mut Criterion) {
    over(c, "cifar10_toy stable, 256 images", || zoo::stable(Size::SMALL, 1));
    over(c, "reference classifier, 256 images", || reference::classifier(1));
}

fn over(c: &mut Criterion, name: &str, build: impl Fn() -> dahlquist::Result<Network<f32>>) {
    let (data, _) = synthetic::generate(1, IMAGES, 10).expect("valid sizes");
    let x: Batch<f32> = data.batch(&(0..IMAGES).collect::<Vec<_>>()).expect("valid indices");
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(IMAGES as u64)).sample_size(10);

    let network = build().expect("a valid network");
    group.bench_function("forward", |b| b.iter(|| network.forward(black_box(&x)).expect("matching shapes")));
    group.bench_function("forward and vjp, one thread", |b| {
        b.iter(|| {
            for part in x.data().chunks(network.chunk() * network.input().len()) {
                let part = Batch::new(network.input(), part.to_vec()).expect("finite images");
                let (y, tape) = network.forward_fast(part).expect("matching shapes");
                black_box(network.vjp(&tape, y, None).expect("matching shapes"));
            }
        });
    });
    let mut trained = build().expect("a valid network");
    group.bench_function("one step of training", |b| {
        b.iter(|| train(&mut trained, &data, &reference::steps(IMAGES), |_| ()).expect("a finite loss"));
    });
    let attack = Attack { loss: Loss::Margin, steps: 10, starts: 1, ..Attack::default() };
    let labels = data.labels_at(&(0..IMAGES).collect::<Vec<_>>()).expect("valid indices");
    group.bench_function("PGD with 10 steps at four radii, as images leave", |b| {
        b.iter(|| attack.robust_accuracy(&network, &x, &labels, &[0.03, 0.06, 0.12, 0.24]).expect("valid options"));
    });
    group.bench_function("seal", |b| {
        b.iter_with_setup(|| build().expect("a valid network"), |network| network.seal().expect("a proof"));
    });
    let sealed = build().and_then(Network::seal).expect("a proof");
    for (name, semantics) in [("certify, exact", Semantics::Exact), ("certify, executed", Semantics::Executed)] {
        group.bench_function(name, |b| b.iter(|| sealed.certify(black_box(&x), semantics).expect("matching shapes")));
    }
    group.finish();
}

/// 784–128×8–10 with orthogonal matrices, so that nearly every sample has a radius.
fn mlp() -> Result<Network<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut orthogonal = |rows: usize, columns: usize| -> Vec<f32> {
        let q = Mat::<f64>::from_fn(columns, rows, |_, _| StandardNormal.sample(&mut rng)).qr().compute_thin_Q();
        (0..rows * columns).map(|i| q[(i % columns, i / columns)] as f32).collect()
    };
    let sizes: Vec<usize> = [784].into_iter().chain([128; 8]).chain([10]).collect();
    let mut layers: Vec<Box<dyn Layer<f32>>> = Vec::new();
    for (i, pair) in sizes.windows(2).enumerate() {
        if i > 0 {
            layers.push(Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(pair[0]))?));
        }
        let w = Dense::new(pair[1], pair[0], orthogonal(pair[1], pair[0]))?;
        layers.push(Box::new(AffineLayer::new(Affine::new(w, Some(vec![0.0; pair[1]]))?)));
    }
    Network::new(Shape::Features(784), layers)
}

fn dense(c: &mut Criterion) {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let pixels: Vec<f32> = (0..784 * SAMPLES).map(|_| rng.random_range(0.0..1.0)).collect();
    let x = Batch::new(Shape::Features(784), pixels).expect("finite numbers");
    let mut group = c.benchmark_group(format!("784–128×8–10, {SAMPLES} samples"));
    group.throughput(Throughput::Elements(SAMPLES as u64)).sample_size(20);
    group.bench_function("seal", |b| b.iter_with_setup(|| mlp().expect("a network"), |n| n.seal().expect("a proof")));
    for summation in [Summation::Any, Summation::Declared] {
        let options = SealOptions { summation, ..SealOptions::default() };
        let sealed = mlp().and_then(|network| network.seal_with(options)).expect("a proof");
        group.bench_function(format!("forward, {summation:?}"), |b| {
            b.iter(|| sealed.forward(black_box(&x)).expect("matching shapes"));
        });
        for semantics in [Semantics::Exact, Semantics::Executed] {
            group.bench_function(format!("certify, {semantics:?}, {summation:?}"), |b| {
                b.iter(|| sealed.certify(black_box(&x), semantics).expect("matching shapes"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, passes, dense);
criterion_main!(benches);
