//! What composing a convolution and a mean is off by, and what is charged for it, in rational numbers.

use num_rational::BigRational;
use num_traits::Zero;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn exactly(x: f64) -> BigRational {
    BigRational::from_float(x).unwrap()
}

/// Returns `2ᵉx`.
fn scaled(x: f64, e: i32) -> BigRational {
    exactly(x) * BigRational::from_integer(2.into()).pow(e)
}

/// Convolutions of all small shapes, and the sides of windows; weights of a size of their own each.
fn cases() -> impl Iterator<Item = (Vec<f64>, [Axis; 2], PaddingMode, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    (0..48).map(move |case| {
        let kernel = 1 + case % 3;
        let stride = 1 + case / 3 % 2;
        let size = 1 + case / 6 % 4;
        let mode = if case % 2 == 0 { PaddingMode::Zeros } else { PaddingMode::Circular };
        let axis = Axis { input: 24, kernel, stride, padding: 0 };
        let exponent = rng.random_range(-40..40);
        let weight = (0..6 * kernel * kernel).map(|_| scale_up(rng.random_range(-1.0..1.0), exponent)).collect();
        (weight, [axis; 2], mode, size)
    })
}

fn piece(weight: &[f64], axes: [Axis; 2], mode: PaddingMode) -> Piece {
    Piece::new(&Linear::Conv2d { weight: weight.to_vec(), channels: (2, 3), axes, mode })
}

/// The mean over `size × size` windows of a convolution, in rational numbers: its kernels in a row.
fn mean_of(weight: &[f64], [a, _]: [Axis; 2], size: usize) -> Vec<BigRational> {
    let wide = a.kernel + a.stride * (size - 1);
    let mut kernels = vec![BigRational::zero(); 6 * wide * wide];
    for (from, to) in weight.chunks(a.kernel * a.kernel).zip(kernels.chunks_mut(wide * wide)) {
        for (dy, dx) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
            for (t, w) in from.iter().enumerate() {
                let (y, x) = (t / a.kernel + dy * a.stride, t % a.kernel + dx * a.stride);
                to[y * wide + x] += exactly(*w) / BigRational::from_integer((size * size).into());
            }
        }
    }
    kernels
}

#[test]
fn a_mean_of_a_convolution_is_off_by_no_more_than_is_charged() {
    for (weight, axes, mode, size) in cases() {
        let pooled = piece(&weight, axes, mode).pooled(size).unwrap();
        let Form::Conv2d { weight: held, axes: wide, .. } = &pooled.form else { panic!("a convolution") };
        assert!(wide.iter().zip(axes).all(|(wide, a)| wide.stride == size * a.stride && wide.input == a.input));
        let exact = mean_of(&weight, axes, size);
        assert_eq!(exact.len(), held.len());
        let off =
            held.iter().zip(exact).map(|(w, exact)| (scaled(*w, pooled.exponent) - exact).pow(2)).sum::<BigRational>();
        // An operator of T taps, of which r read a point, has at most √(rT) times the norm of Frobenius of its weights.
        let taps = BigRational::from_integer((wide[0].kernel * wide[1].kernel * repeats(*wide, mode)).into());
        assert!(off * taps <= scaled(pooled.error, pooled.exponent).pow(2), "{axes:?}, means over {size}");
    }
}

/// γ(s² + 1) times the norm of Frobenius, as the theorem has it, and hardly more.
#[test]
fn a_mean_of_a_convolution_is_charged_as_the_theorem_says() {
    for (weight, axes, mode, size) in cases() {
        let pooled = piece(&weight, axes, mode).pooled(size).unwrap();
        let Form::Conv2d { axes: wide, .. } = &pooled.form else { panic!("a convolution") };
        let count = BigRational::from_integer((size * size + 1).into()) * exactly(U);
        let gamma = &count / (BigRational::from_integer(1.into()) - &count);
        let frobenius = weight.iter().map(|w| exactly(*w).pow(2)).sum::<BigRational>();
        let taps = BigRational::from_integer((wide[0].kernel * wide[1].kernel * repeats(*wide, mode)).into());
        let charge = gamma.pow(2) * frobenius * taps;
        let charged = scaled(pooled.error, pooled.exponent).pow(2);
        assert!(charge <= charged, "{axes:?}, means over {size}");
        assert!(charged <= charge * exactly(1.0 + 1e-12), "{axes:?}, means over {size}");
    }
}

/// What the convolution was off by before is off by as much after: a mean has norm 1 at most.
#[test]
fn a_mean_inherits_the_error_of_its_convolution() {
    for (weight, axes, mode, size) in cases() {
        let [alone, pooled] = [0.0, 0.75].map(|error| {
            let pooled = Piece { error, exponent: 3, ..piece(&weight, axes, mode) }.pooled(size).unwrap();
            scaled(pooled.error, pooled.exponent)
        });
        let before = scaled(0.75, 3);
        assert!(before <= pooled, "{axes:?}, means over {size}");
        assert!(pooled <= (before + alone) * exactly(1.0 + 1e-12), "{axes:?}, means over {size}");
    }
}
