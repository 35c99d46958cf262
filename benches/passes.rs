//! Whole passes over the stable network of `cifar10_toy`: forward, vjp, a step of training, certification.
//!
//! `cargo bench --bench passes`. Times are for 256 images and all threads; divide for images a second. Only ratios of
//! figures taken in one run on an idle machine mean much.

#[path = "../examples/cifar10_toy/networks.rs"]
#[allow(dead_code)]
mod networks;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dahlquist::{
    Semantics,
    data::synthetic,
    tensor::Batch,
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};

const IMAGES: usize = 256;

fn passes(c: &mut Criterion) {
    let (data, _) = synthetic::generate(1, IMAGES, 10).expect("valid sizes");
    let x: Batch<f32> = data.batch(&(0..IMAGES).collect::<Vec<_>>()).expect("valid indices");
    let mut group = c.benchmark_group("cifar10_toy stable, 256 images");
    group.throughput(Throughput::Elements(IMAGES as u64)).sample_size(10);

    let network = networks::stable(1).expect("a valid network");
    group.bench_function("forward", |b| b.iter(|| network.forward(black_box(&x)).expect("matching shapes")));
    group.bench_function("forward and vjp, one thread", |b| {
        b.iter(|| {
            let (y, tape) = network.forward_recording(black_box(x.clone())).expect("matching shapes");
            network.vjp(&tape, y, None).expect("matching shapes")
        });
    });
    let recipe = Recipe {
        epochs: 1,
        batch: IMAGES,
        optimiser: Optimiser::ADAM,
        schedule: OneCycle { peak: 1e-3, rise: 0.5 },
        loss: MarginCrossEntropy::PLAIN,
        flip: false,
        crop: 0,
        seed: 1,
    };
    let mut trained = networks::stable(1).expect("a valid network");
    group.bench_function("one step of training", |b| {
        b.iter(|| train(&mut trained, &data, &recipe, |_| ()).expect("a finite loss"));
    });
    group.bench_function("seal", |b| {
        b.iter_with_setup(|| networks::stable(1).expect("a valid network"), |network| network.seal().expect("a proof"));
    });
    let sealed = networks::stable(1).and_then(dahlquist::Network::seal).expect("a proof");
    for (name, semantics) in [("certify, exact", Semantics::Exact), ("certify, executed", Semantics::Executed)] {
        group.bench_function(name, |b| b.iter(|| sealed.certify(black_box(&x), semantics).expect("matching shapes")));
    }
    group.finish();
}

criterion_group!(benches, passes);
criterion_main!(benches);
