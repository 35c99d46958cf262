//! The torus proves norms of zero-padded convolutions that are at most 3 % too large, and never too small.

use dahlquist::{
    certificate::NormMethod,
    operator::{Conv2d, Geometry, Operator},
    rigor::{
        Upper, matrix,
        torus::{Axis, Convolution, PaddingMode, Torus},
    },
    tensor::Shape,
};
use dahlquist_testkit::{
    lanczos::{estimate, gaussian, same, stands, stands_on, to_integers, top},
    models::Proved,
};
use faer::Mat;

fn check(channels: usize, size: usize, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let conv = gaussian(same(channels, size), seed);
        let (bound, x) = (conv.norm().unwrap().bound.get(), top(&conv, 100, seed));
        let ratio = bound / estimate(&conv, &x);
        assert!(stands(&conv, bound, &x), "{channels} channels at {size}², seed {seed}: {bound} is too small");
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
        assert!(stands(&conv, bound, &top(&conv, 60, 1)), "{size}: {bound} is too small");
        assert!(bound <= norm * (1.0 + 1e-9), "{size}: {bound}, {norm}");
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
            let bound = conv.norm().unwrap().bound.get();
            assert!(stands(&conv, bound, &top(&conv, 40, 1)), "phase {phase}, sign {sign}: {bound} is too small");
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

/// A kernel with the weights of its channels at one place each, in `3 × 3` taps or one.
fn placed(channels: usize, kernel: usize, place: impl Fn(usize, usize) -> usize, weight: &[f64]) -> Vec<f64> {
    let mut taps = vec![0.0; weight.len() * kernel * kernel];
    for (i, w) in weight.iter().enumerate() {
        taps[i * kernel * kernel + place(i / channels, i % channels)] = *w;
    }
    taps
}

/// Kernels whose symbol is the same at every frequency but for numbers of modulus 1 are proved as one matrix, and
/// permutations of channels exactly.
#[test]
fn shifts_and_points_are_one_matrix() {
    let weight: Vec<f64> = gaussian(same(4, 1), 1).weight().iter().copied().step_by(9).collect();
    let expected = matrix::norm(Mat::from_fn(4, 4, |o, c| weight[4 * o + c]).as_ref()).unwrap();
    let permuted: Vec<f64> =
        (0..16).map(|i| if i % 4 == 3 - i / 4 { [1.0, -1.0, 0.5, -2.0][i / 4] } else { 0.0 }).collect();
    let places = |weight: &[f64]| {
        [
            placed(4, 1, |_, _| 0, weight),
            placed(4, 3, |_, c| 2 * c, weight),
            placed(4, 3, |o, _| 8 - o, weight),
            placed(4, 3, |_, _| 4, weight),
        ]
    };
    for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
        for (kernel, exact) in places(&weight)
            .iter()
            .map(|k| (k, expected))
            .chain(places(&permuted).iter().map(|k| (k, Upper::trust(2.0))))
        {
            let side = if kernel.len() == 16 { 1 } else { 3 };
            let axis = Axis { input: 6, kernel: side, stride: 1, padding: side / 2 };
            let conv = Convolution { weight: kernel, channels: (4, 4), axes: [axis; 2], mode };
            assert_eq!(conv.norm().unwrap().bound, exact, "{kernel:?}, {mode:?}");
            assert!(conv.norm_on(conv.tori().unwrap()[0]).unwrap() <= exact);
        }
    }
    // Every input channel and phase of a stride has one place; a second weight beside it makes more than one matrix.
    let blocks: Vec<f64> = (0..16).map(|i| if i % 4 == i / 4 { 3.0 } else { 0.0 }).collect();
    let axis = Axis { input: 6, kernel: 2, stride: 2, padding: 0 };
    let conv = |weight| Convolution { weight, channels: (4, 1), axes: [axis; 2], mode: PaddingMode::Zeros };
    assert_eq!(conv(&blocks).norm().unwrap().bound.get(), 3.0);
    let mut two = placed(4, 3, |_, c| c, &permuted);
    two[9 * 3 + 5] = 1.0;
    let axis = Axis { input: 6, kernel: 3, stride: 1, padding: 1 };
    let conv = Convolution { weight: &two, channels: (4, 4), axes: [axis; 2], mode: PaddingMode::Zeros };
    let bound = conv.norm().unwrap().bound.get();
    assert!(bound > 2.0 && bound < 3.0, "{bound}");
}

/// A shift, a rotation of channels, and another shift: an isometry at every frequency, and more than one matrix.
#[test]
fn isometries_are_proved_although_every_frequency_ties() {
    for noise in [0.0, 1e-9, 1e-7] {
        let angle = 0.7f64;
        let rotation = |o: usize, c: usize| match (o / 2 == c / 2, o % 2, c % 2) {
            (false, ..) => 0.0,
            (_, 0, 0) | (_, 1, 1) => angle.cos(),
            (_, 0, _) => -angle.sin(),
            _ => angle.sin(),
        };
        let weight: Vec<f64> = (0..64).map(|i| rotation(i / 8, i % 8)).collect();
        let mut kernel = placed(8, 3, |o, c| 3 * (o % 3) / 2 + c % 2, &weight);
        let rough = gaussian(same(8, 1), 5);
        kernel.iter_mut().zip(rough.weight()).for_each(|(w, rough)| *w += noise * rough);
        let input = Shape::image(8, 9, 9);
        for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
            let conv = Conv2d::new(Geometry { input, mode, ..same(8, 9) }, kernel.clone()).unwrap();
            let bound = conv.norm().unwrap().bound.get();
            assert!(stands(&conv, bound, &top(&conv, 60, 1)), "{noise}, {mode:?}: {bound} is too small");
            assert!(bound < 1.0 + 1e-6 + 100.0 * noise, "{noise}, {mode:?}: {bound}");
        }
    }
}

/// Whatever the search looks at first, no torus that would have proved less is left out.
#[test]
fn the_best_torus_is_found() {
    kernels(|conv, what| {
        let on = |&torus: &Torus| conv.norm_on(torus).unwrap().get();
        let best = conv.tori().unwrap().iter().map(on).fold(f64::INFINITY, f64::min);
        let found = conv.norm().unwrap().bound.get();
        assert!(best * (1.0 - 1e-9) <= found && found <= best * (1.0 + 1e-6), "{what}: {found} instead of {best}");
    });
}

/// The bound of a torus against a wave of every one of its frequencies, exactly.
#[test]
fn no_frequency_is_left_out() {
    kernels(|conv, what| {
        for torus in conv.tori().unwrap() {
            let bound = conv.norm_on(torus).unwrap().get();
            let [height, width] = torus.points;
            let mut largest = 0.0f64;
            for frequency in (0..height * width).map(|at| [at / width, at % width]) {
                let symbol = symbol(conv, torus, frequency);
                let svd = symbol.svd().unwrap();
                let wave = to_integers(&wave(svd.V().col(0), torus, frequency));
                assert!(stands_on(conv, torus, bound, &wave), "{what}, {torus:?}, {frequency:?}: {bound} is too small");
                largest = largest.max(svd.S().column_vector()[0]);
            }
            assert!(bound <= largest * (1.0 + 1e-9), "{what}, {torus:?}: {bound}, {largest}");
        }
    });
}

/// How far a frequency turns from one point of an axis to the next.
fn angle(torus: Torus, frequency: [usize; 2], axis: usize) -> f64 {
    let turn = frequency[axis] as f64 + if torus.twisted[axis] { 0.5 } else { 0.0 };
    std::f64::consts::TAU * turn / torus.points[axis] as f64
}

/// The matrix of a frequency, written as the sum that it is; a complex matrix as a real one.
fn symbol(conv: &Convolution<'_>, torus: Torus, frequency: [usize; 2]) -> Mat<f64> {
    let ((outputs, inputs), [ay, ax]) = (conv.channels, conv.axes);
    let phases = ay.stride * ax.stride;
    let (rows, columns) = (outputs, inputs * phases);
    let mut d = Mat::<f64>::zeros(2 * rows, 2 * columns);
    for (index, w) in conv.weight.iter().enumerate() {
        let (a, b) = (index / ax.kernel % ay.kernel, index % ax.kernel);
        let (o, c) = (index / (ay.kernel * ax.kernel) / inputs, index / (ay.kernel * ax.kernel) % inputs);
        let column = c * phases + a % ay.stride * ax.stride + b % ax.stride;
        let turn = |axis: usize, step: usize| angle(torus, frequency, axis) * step as f64;
        let (sin, cos) = (turn(0, a / ay.stride) + turn(1, b / ax.stride)).sin_cos();
        for (i, j, part) in [(0, 0, cos), (rows, columns, cos), (rows, 0, sin), (0, columns, -sin)] {
            d[(i + o, j + column)] += w * part;
        }
    }
    d
}

/// The real part of a wave, its amplitudes being the channels and phases: first their real parts, then the imaginary ones.
fn wave(amplitudes: faer::ColRef<'_, f64>, torus: Torus, frequency: [usize; 2]) -> Vec<f64> {
    let (count, [height, width]) = (amplitudes.nrows() / 2, torus.points);
    let real: f64 = (0..count).map(|c| amplitudes[c].powi(2)).sum();
    let point = |at: usize| {
        let (c, i, j) = (at / (height * width), at / width % height, at % width);
        let turn = angle(torus, frequency, 0) * i as f64 + angle(torus, frequency, 1) * j as f64;
        let (a, b) = (amplitudes[c], amplitudes[count + c]);
        // A frequency that is its own conjugate has real vectors: either part is one, and the larger one is not zero.
        if real > 0.5 { a * turn.cos() - b * turn.sin() } else { a * turn.sin() + b * turn.cos() }
    };
    (0..count * height * width).map(point).collect()
}
