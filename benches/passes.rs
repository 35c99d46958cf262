//! Whole passes over the stable network of `cifar10_toy` and over the reference classifier of three stages: forward,
//! vjp, a step of training, certification, an attack.
//!
//! `cargo bench --bench passes`. Times are for 256 images and all threads; divide for images a second. Only ratios of
//! figures taken in one run on an idle machine mean much.

#[path = "../examples/cifar10_toy/networks.rs"]
#[allow(dead_code)]
mod networks;
mod reference;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use dahlquist::{
    Network, Semantics,
    attack::Attack,
    data::synthetic,
    tensor::Batch,
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};

const IMAGES: usize = 256;

fn passes(c: &mut Criterion) {
    over(c, "cifar10_toy stable, 256 images", || networks::stable(1));
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
                let (y, tape) = network.forward_recording(part).expect("matching shapes");
                black_box(network.vjp(&tape, y, None).expect("matching shapes"));
            }
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
    let mut trained = build().expect("a valid network");
    group.bench_function("one step of training", |b| {
        b.iter(|| train(&mut trained, &data, &recipe, |_| ()).expect("a finite loss"));
    });
    let attack = Attack { steps: 10, starts: 1, ..Attack::default() };
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

criterion_group!(benches, passes);
criterion_main!(benches);
