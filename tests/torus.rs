//! The torus proves norms of zero-padded convolutions that are at most 3 % too large, and never too small.

mod lanczos;

use dahlquist::operator::Operator;
use lanczos::{from_below, gaussian, same};

fn check(channels: usize, size: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let conv = gaussian(same(channels, size), seed);
        let (bound, below) = (conv.norm().unwrap().bound.get(), from_below(&conv, 100, seed));
        let ratio = bound / below;
        if std::env::var_os("SHOW").is_some() {
            println!(
                "{channels} channels at {size}²: seed {seed}, {:?}, ratio {ratio:.5}",
                conv.norm().unwrap().method
            );
        }
        assert!(below <= bound, "{channels} channels at {size}², seed {seed}: {bound} is below {below}");
        assert!(ratio <= 1.03, "{channels} channels at {size}², seed {seed}: {ratio} times the norm");
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
    check(64, 8, 0..std::env::var("SEEDS").map_or(4, |s| s.parse().unwrap()));
}
