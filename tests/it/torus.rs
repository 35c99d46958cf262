//! The torus proves norms of zero-padded convolutions that are at most 3 % too large, and never too small.

use dahlquist::{
    certificate::NormMethod,
    operator::{Conv2d, Geometry, Operator},
    rigor::torus::{Axis, Convolution, PaddingMode, Torus},
};
use faer::Mat;
use dahlquist_testkit::{
    lanczos::{from_below, gaussian, same},
    models::Proved,
};

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

/// A zero-padded convolution of `k × k` taps with that stride.
fn convolution(weight: &[f64], channels: (usize, usize), kernel: usize, stride: usize, size: usize) -> Convolution<'_> {
    let axis = Axis { input: size, kernel, stride, padding: kernel / 2 };
    Convolution { weight, channels, axes: [axis; 2], mode: PaddingMode::Zeros }
}

/// Kernels of many heights and depths: random ones, large ones whose peaks a coarse look misses, and ones whose symbol
/// is zero at the frequency 0.
fn kernels(test: impl Fn(&Convolution<'_>, &str)) {
    for seed in 0..12 {
        for (channels, kernel, stride, size) in
            [((1, 1), 7, 1, 9), ((2, 3), 3, 1, 7), ((3, 2), 5, 2, 9), ((1, 2), 2, 1, 6), ((4, 4), 3, 2, 8)]
        {
            let geometry = Geometry { kernel: (kernel, kernel), outputs: channels.0, ..same(channels.1, 16) };
            let mut weight = gaussian(geometry, seed).weight().to_vec();
            if seed % 3 == 0 {
                for kernel in weight.chunks_mut(kernel * kernel) {
                    kernel[0] -= kernel.iter().sum::<f64>();
                }
            }
            let what = format!("{channels:?} channels, kernel {kernel}, stride {stride}, seed {seed}");
            test(&convolution(&weight, channels, kernel, stride, size), &what);
        }
    }
    let dipole = [1.0, -1.0, -1.0, 1.0];
    test(&convolution(&dipole, (1, 1), 2, 1, 5), "a dipole");
}

/// Whatever the search looks at first, no torus that would have proved less is left out.
#[test]
fn the_best_torus_is_found() {
    kernels(|conv, what| {
        let on = |&torus: &Torus| conv.norm_on(torus).unwrap().get();
        let best = conv.tori().unwrap().iter().map(on).fold(f64::INFINITY, f64::min);
        let found = conv.norm().unwrap().bound.get();
        assert!((found / best - 1.0).abs() < 1e-9, "{what}: {found} instead of {best}");
    });
}

/// The bound of a torus against every one of its frequencies, by the singular values of faer.
#[test]
fn no_frequency_is_left_out() {
    kernels(|conv, what| {
        for torus in conv.tori().unwrap() {
            let bound = conv.norm_on(torus).unwrap().get();
            let [height, width] = torus.points;
            let largest =
                (0..height * width).map(|at| norm_at(conv, torus, [at / width, at % width])).fold(0.0, f64::max);
            let within = bound >= largest * (1.0 - 1e-13) && bound <= largest * (1.0 + 1e-9);
            assert!(within, "{what}, {torus:?}: {bound}, {largest}");
        }
    });
}

/// The norm of the matrix of a frequency, written as the sum that it is.
fn norm_at(conv: &Convolution<'_>, torus: Torus, frequency: [usize; 2]) -> f64 {
    let ((outputs, inputs), [ay, ax]) = (conv.channels, conv.axes);
    let phases = ay.stride * ax.stride;
    let (rows, columns) = (outputs, inputs * phases);
    let mut d = Mat::<f64>::zeros(2 * rows, 2 * columns);
    for (index, w) in conv.weight.iter().enumerate() {
        let (a, b) = (index / ax.kernel % ay.kernel, index % ax.kernel);
        let (o, c) = (index / (ay.kernel * ax.kernel) / inputs, index / (ay.kernel * ax.kernel) % inputs);
        let column = c * phases + a % ay.stride * ax.stride + b % ax.stride;
        let angle = |axis: usize, step: usize| {
            let turn = frequency[axis] as f64 + if torus.twisted[axis] { 0.5 } else { 0.0 };
            std::f64::consts::TAU * turn * step as f64 / torus.points[axis] as f64
        };
        let (sin, cos) = (angle(0, a / ay.stride) + angle(1, b / ax.stride)).sin_cos();
        for (i, j, part) in [(0, 0, cos), (rows, columns, cos), (rows, 0, sin), (0, columns, -sin)] {
            d[(i + o, j + column)] += w * part;
        }
    }
    d.singular_values().unwrap()[0]
}
