//! The torus proves norms of zero-padded convolutions that are at most 3 % too large, and never too small.

mod lanczos;

use dahlquist::{
    operator::{Conv2d, Geometry, NormMethod, Operator},
    rigor::torus::Torus,
};
use lanczos::{from_below, gaussian, same};

fn check(channels: usize, size: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let conv = gaussian(same(channels, size), seed);
        let (bound, below) = (conv.norm().unwrap().bound.get(), from_below(&conv, 100, seed));
        let ratio = bound / below;
        assert!(below <= bound, "{channels} channels at {size}², seed {seed}: {bound} is below {below}");
        assert!(ratio <= 1.03, "{channels} channels at {size}², seed {seed}: {ratio} times the norm");
    }
}

/// A kernel of ones along each axis is the tridiagonal matrix of ones, whose norm is `1 + 2cos(π/(n+1))`: that of the
/// twisted torus of `n + 1` points, so nothing smaller and no missing frequency would do.
#[test]
fn box_kernels_are_proved_exactly() {
    for size in [3, 4, 8, 13] {
        let conv = Conv2d::new(same(1, size), vec![1.0; 9]).unwrap();
        let norm = (1.0 + 2.0 * (std::f64::consts::PI / (size + 1) as f64).cos()).powi(2);
        let proved = conv.norm().unwrap();
        let torus = Torus { points: [size + 1; 2], twisted: [true; 2] };
        assert_eq!(proved.method, NormMethod::Torus(torus));
        let bound = proved.bound.get();
        assert!(norm * (1.0 - 1e-14) <= bound && bound <= norm * (1.0 + 1e-9), "{size}: {bound}, {norm}");
    }
}

/// A plane wave of taps has its largest frequency in one place, and its mirror image in another: none may be missing.
#[test]
fn waves_of_every_direction() {
    let geometry = Geometry { kernel: (5, 5), padding: 2, ..same(1, 12) };
    for step in 0..=14 {
        for sign in [-1.0, 1.0] {
            let phase = f64::from(step) * std::f64::consts::PI / 14.0;
            let wave = |t: i32| (phase * (f64::from(t / 5) + sign * f64::from(t % 5))).cos();
            let conv = Conv2d::new(geometry, (0..25).map(wave).collect()).unwrap();
            let (bound, below) = (conv.norm().unwrap().bound.get(), from_below(&conv, 40, 1));
            assert!(below * (1.0 - 1e-13) <= bound, "phase {phase}, sign {sign}: {bound} is below {below}");
        }
    }
}

#[test]
fn gaussian_kernels_16_channels_at_32() {
    check(16, 32, 0..2);
}

#[test]
fn gaussian_kernels_32_channels_at_16() {
    check(32, 16, 0..2);
}

#[test]
fn gaussian_kernels_64_channels_at_8() {
    check(64, 8, 0..6);
}
