//! A thread that does not round to nearest, or flushes subnormal numbers to zero, certifies nothing.
//!
//! The flags are those of the processor, so these tests run where they can be set: on x86-64 and AArch64. Elsewhere, that
//! a thread as it is passes is all that is tested.

// The flags are set by instructions that Rust has no safe name for.
#![allow(unsafe_code)]

use dahlquist::{
    Error, Network, Semantics,
    check::{Verdict, check},
    layer::AffineLayer,
    model::Model,
    operator::{Affine, Dense},
    rigor::{
        convolution::{Axis, Convolution, PaddingMode},
        environment, matrix,
    },
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{certificate_of, model_bytes};
use faer::Mat;

/// The flags that a program may set, by name.
#[cfg(target_arch = "x86_64")]
const FLAGS: [(&str, u64); 6] = [
    ("flush to zero", 1 << 15),
    ("denormals are zero", 1 << 6),
    ("both", 1 << 15 | 1 << 6),
    ("down", 1 << 13),
    ("up", 2 << 13),
    ("towards zero", 3 << 13),
];
#[cfg(target_arch = "aarch64")]
const FLAGS: [(&str, u64); 4] =
    [("flush to zero", 1 << 24), ("up", 1 << 22), ("down", 2 << 22), ("towards zero", 3 << 22)];

/// Sets flags of the processor for this thread, and returns those that were set before.
#[cfg(target_arch = "x86_64")]
fn set(flags: u64) -> u64 {
    let (mut before, mut after) = (0u32, 0u32);
    let place = &raw mut before;
    // SAFETY: reads the control register of this thread into a variable.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) place) };
    after |= before | flags as u32;
    let place = &raw const after;
    // SAFETY: only the rounding and the treatment of subnormal numbers change, of code that is not optimised across.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) place) };
    before.into()
}
#[cfg(target_arch = "x86_64")]
fn restore(before: u64) {
    let before = before as u32;
    let place = &raw const before;
    // SAFETY: the flags that were set when the thread began.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) place) };
}

#[cfg(target_arch = "aarch64")]
fn set(flags: u64) -> u64 {
    let before: u64;
    // SAFETY: only the rounding and the treatment of subnormal numbers change, of code that is not optimised across.
    unsafe {
        std::arch::asm!("mrs {}, fpcr", out(reg) before);
        std::arch::asm!("msr fpcr, {}", in(reg) before | flags);
    }
    before
}
#[cfg(target_arch = "aarch64")]
fn restore(before: u64) {
    // SAFETY: the flags that were set when the thread began.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) before) };
}

fn network() -> Network<f32> {
    let head = Affine::new(Dense::new(2, 1, vec![1.0f32, 0.0]).unwrap(), None).unwrap();
    Network::new(Shape::Features(1), vec![Box::new(AffineLayer::new(head))]).unwrap()
}

#[test]
fn a_thread_as_it_is_passes() {
    environment::check().unwrap();
    environment::check_products().unwrap();
    let sealed = network().seal().unwrap();
    let x = Batch::new(Shape::Features(1), vec![1.0f32]).unwrap();
    assert!(sealed.certify(&x, Semantics::Executed).unwrap()[0].holds_at(0.99));
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn another_arithmetic_is_refused_wherever_a_claim_is_made() {
    let sealed = network().seal().unwrap();
    let x = Batch::new(Shape::Features(1), vec![1.0f32]).unwrap();
    let model = Model::parse(&model_bytes(&network())).unwrap();
    let claimed = certificate_of(&model);
    assert!(check(&claimed, &model).verified.is_some());
    let matrix = Mat::from_fn(2, 2, |i, j| (1 + i + 2 * j) as f64);
    let axis = Axis { input: 4, kernel: 3, stride: 1, padding: 1 };
    let taps: Vec<f64> = (1..10).map(f64::from).collect();
    let conv = Convolution { weight: &taps, channels: (1, 1), axes: [axis; 2], mode: PaddingMode::Zeros };
    let torus = conv.norm().unwrap().torus;
    for (name, flags) in FLAGS {
        let (network, checked) = (
            network(),
            std::thread::spawn(move || {
                let before = set(flags);
                let checked = std::hint::black_box(environment::check());
                restore(before);
                checked
            }),
        );
        let refused = |result: Result<(), Error>| assert!(matches!(result, Err(Error::Environment { .. })), "{name}");
        refused(checked.join().unwrap());
        // Every worker of a pool has it, but not the thread that asks.
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(2)
            .start_handler(move |_| {
                set(flags);
            })
            .build()
            .unwrap();
        pool.install(|| {
            refused(sealed.certify(&x, Semantics::Executed).map(|_| ()));
            refused(sealed.certify(&x, Semantics::Exact).map(|_| ()));
            refused(sealed.certify_locally(&x, Semantics::Executed).map(|_| ()));
            refused(sealed.gaps(&x).map(|_| ()));
            refused(network.seal().map(|_| ()));
            // Nothing is verified, and nothing is said to be false.
            let report = check(&claimed, &model);
            assert!(report.verified.is_none() && !report.failed(), "{name}: {report:?}");
            let layer = report.findings.iter().find(|finding| finding.part == "layer 0").unwrap();
            assert!(matches!(&layer.verdict, Verdict::Unchecked(_)), "{name}: {layer:?}");
            // Nor is a norm proved by whoever asks for one alone.
            assert!(matrix::norm(matrix.as_ref()).is_err(), "{name}");
            assert!(conv.norm_on(torus).is_err(), "{name}");
        });
    }
}
