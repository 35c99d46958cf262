//! The proofs of norms by themselves: what they prove is decided in rational numbers. These tests need no other part of the crate,
//! so that mutants of the proofs are killed quickly (`.ci/mutants.sh`).

use dahlquist::rigor::{
    Lower, Upper,
    composition::{self, Linear},
    convolution::{Axis, Convolution, PaddingMode},
    directed::{
        ETA, U, add_down, add_up, div_down, div_up, enlarge_sum, exponent, gamma, mul_add_over, mul_down, mul_up,
        norm_down, norm_up, power_of_two, scale_down, scale_up, sqrt_down, sqrt_up, sub_down, sub_up, sum_up,
    },
    matrix,
    roots_of_unity::{ERROR, roots_of_unity},
};
use faer::Mat;
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn exact(x: f64) -> BigRational {
    BigRational::from_float(x).expect("a finite number")
}

/// Numbers of every magnitude, and many near 1, some with few bits.
fn number(rng: &mut ChaCha8Rng) -> f64 {
    let bits: u64 = rng.random();
    let x = match rng.random_range(0..6) {
        0 => f64::from_bits(bits),
        1 => f64::from_bits(bits & !((1 << 40) - 1)),
        2 => f64::from_bits(bits & !(0x7fe << 52)),
        3 => [0.0, 5e-324, f64::MIN_POSITIVE, f64::MAX, 1.0, 1.0 + 2.0 * U][(bits % 6) as usize],
        _ => f64::from_bits(bits & !(0x7ff << 52) | 1023 << 52),
    };
    if x.is_finite() { x } else { 1.5 }
}

fn encloses(what: &str, (low, high): (f64, f64), value: &BigRational) {
    let below = low == f64::NEG_INFINITY || low.is_finite() && exact(low) <= *value;
    let above = high == f64::INFINITY || high.is_finite() && *value <= exact(high);
    let tight = !low.is_finite() || !high.is_finite() || high <= low.next_up().next_up();
    assert!(below && above && tight, "{what}: [{low:e}, {high:e}]");
}

#[test]
fn directed_operations_enclose() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    for _ in 0..4000 {
        let (a, b) = (number(rng), number(rng));
        encloses("+", (add_down(a, b), add_up(a, b)), &(exact(a) + exact(b)));
        encloses("-", (sub_down(a, b), sub_up(a, b)), &(exact(a) - exact(b)));
        encloses("·", (mul_down(a, b), mul_up(a, b)), &(exact(a) * exact(b)));
        if b > 0.0 {
            encloses("/", (div_down(a, b), div_up(a, b)), &(exact(a) / exact(b)));
        }
        let (low, high) = (exact(sqrt_down(a.abs())), exact(sqrt_up(a.abs())));
        assert!(&low * &low <= exact(a.abs()) && exact(a.abs()) <= &high * &high, "√{a:e}");
        assert!(sqrt_up(a.abs()) <= sqrt_down(a.abs()).next_up().next_up());
        let e = rng.random_range(-2200..2200);
        let value = exact(a.abs()) * BigRational::from_integer(2.into()).pow(e);
        let (low, high) = (scale_down(a.abs(), e), scale_up(a.abs(), e));
        assert!(exact(low) <= value && (high.is_infinite() || value <= exact(high)), "{a:e}·2^{e}");
        assert!(high <= low.next_up().next_up() || low == f64::MAX);
        if a != 0.0 {
            let two = BigRational::from_integer(2.into());
            assert!(two.pow(exponent(a)) <= exact(a.abs()) && exact(a.abs()) < two.pow(exponent(a) + 1));
        }
    }
    for e in [-1022, -1, 0, 1, 1023] {
        assert_eq!(exact(power_of_two(e)), BigRational::from_integer(2.into()).pow(e));
    }
    assert_eq!((add_up(1.0, 2.0), mul_up(1.5, 2.0), div_up(3.0, 2.0), sqrt_up(9.0)), (3.0, 3.0, 1.5, 3.0));
    assert_eq!((add_down(1.0, 2.0), mul_down(1.5, 2.0), div_down(3.0, 2.0), sqrt_down(9.0)), (3.0, 3.0, 1.5, 3.0));
    assert_eq!(
        (sqrt_up(-1.0), sqrt_down(-1.0), sqrt_down(f64::NAN), sqrt_down(f64::INFINITY)),
        (0.0, 0.0, 0.0, f64::MAX)
    );
    for b in [0.0, -1.0, f64::NAN] {
        assert_eq!((div_up(1.0, b), div_down(1.0, b)), (f64::INFINITY, f64::NEG_INFINITY));
    }
    for (a, b) in [(f64::INFINITY, 0.0), (f64::NAN, 1.0), (f64::NEG_INFINITY, 0.0)] {
        assert_eq!((mul_up(a, b), mul_down(a, b)), (f64::INFINITY, f64::NEG_INFINITY));
    }
    assert_eq!((add_up(f64::INFINITY, f64::NEG_INFINITY), add_up(f64::NEG_INFINITY, 1.0)), (f64::INFINITY, f64::MIN));
}

/// Quick bounds are bounds, and no more than 8u and 2η above; where both roundings lose all that they can, too.
#[test]
fn quick_bounds_are_bounds() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    for round in 0..10_000 {
        let [a, b, c] = match round % 3 {
            0 => [number(rng), number(rng), number(rng)].map(f64::abs),
            1 => [rng.random_range(1.0..1.001), rng.random_range(1.0..1.001), rng.random_range(0.0..0.001)],
            // (1 + kε)(1 + ε/2·odd…) loses nearly half a unit, and so does the sum.
            _ => [1.0 + 2.0 * U * f64::from(rng.random_range(1..1 << 20)), 1.5, U * rng.random_range(0.9..1.0)],
        };
        let (value, over) = (exact(a) * exact(b) + exact(c), mul_add_over(a, b, c));
        let most = (&value + &value * exact(8.0 * U)) + exact(2.0 * ETA);
        let far = most > exact(f64::MAX) && over == f64::INFINITY;
        assert!(
            far || over.is_finite() && value <= exact(over) && exact(over) <= most,
            "{a:e}·{b:e} + {c:e}: {over:e}"
        );
    }
    assert_eq!(mul_add_over(0.0, 0.0, 0.0), ETA);
    for (a, b, c) in [(0.0, f64::INFINITY, 0.0), (f64::NAN, 1.0, 1.0), (1.0, 1.0, f64::NAN)] {
        assert_eq!(mul_add_over(a, b, c), f64::INFINITY);
    }
}

#[test]
fn sums_and_norms_enclose() {
    let rng = &mut ChaCha8Rng::seed_from_u64(3);
    for round in 0..1000 {
        let n = rng.random_range(1..40);
        let x: Vec<f64> =
            (0..n).map(|_| if round % 2 == 0 { number(rng) } else { rng.random_range(-1.0..1.0) }).collect();
        let squares: BigRational = x.iter().map(|&x| exact(x) * exact(x)).sum();
        let (low, high) = (norm_down(&x), norm_up(&x));
        assert!(
            exact(low) * exact(low) <= squares && (high.is_infinite() || squares <= exact(high) * exact(high)),
            "{x:?}"
        );
        assert!(high.is_infinite() || high < 1e-300 || low >= high * (1.0 - 1e-12), "{x:?}: {low:e}, {high:e}");
        let absolute: Vec<f64> = x.iter().map(|x| x.abs()).collect();
        let sum = absolute.iter().map(|&x| exact(x)).sum::<BigRational>();
        let bound = sum_up(&absolute);
        assert!(bound.is_infinite() || sum <= exact(bound) && exact(bound) <= sum * exact(1.0 + 1e-12), "{x:?}");
    }
    // Norms that lose all small squares one by one.
    let lost: Vec<f64> = (0..16 * 2001).map(|i| if i < 16 { 1.0 } else { 2f64.powf(-26.6) }).collect();
    let squares: BigRational = lost.iter().map(|&x| exact(x) * exact(x)).sum();
    assert!(squares <= exact(norm_up(&lost)).pow(2));
    assert_eq!(
        (norm_up(&[f64::NAN, 1.0]), norm_down(&[f64::NAN, 1.0]), norm_up(&[0.0, 0.0])),
        (f64::INFINITY, 0.0, 0.0)
    );
    assert_eq!((norm_down(&[f64::INFINITY]), norm_up(&[f64::INFINITY])), (0.0, f64::INFINITY));
    for n in [0usize, 1, 2, 7, 1000, 1 << 20, 1 << 40] {
        let nu = exact(n as f64) * exact(U);
        let one = BigRational::from_integer(1.into());
        let bound = gamma(n, U);
        assert!(nu.clone() / (one.clone() - &nu) <= exact(bound) && exact(bound) <= nu * exact(1.001));
        let worst = &one - exact(bound);
        let enlarged = exact(enlarge_sum(1.0, n));
        assert!(worst.is_positive() && &enlarged * worst >= one && enlarged <= one + exact(bound) * exact(2.1));
    }
    assert!(gamma(1 << 52, U).is_infinite() && enlarge_sum(1.0, 1 << 52).is_infinite());
    assert!(enlarge_sum(f64::NAN, 1).is_infinite() && gamma(1 << 51, U).is_finite());
}

#[test]
fn bounds_are_types() {
    let (two, three) = (Upper::trust(2.0), Upper::trust(3.0));
    assert_eq!(((two + three).get(), (two * three).get(), two.max(three), two.min(three)), (5.0, 6.0, three, two));
    assert_eq!((three.powi(3).get(), three.powi(0).get(), Upper::trust(9.0).sqrt().get()), (27.0, 1.0, 3.0));
    assert_eq!(
        ([two, three].into_iter().sum::<Upper>().get(), [two, three].into_iter().product::<Upper>().get()),
        (5.0, 6.0)
    );
    assert_eq!((Upper::trust(-2.0) * three, Upper::trust(4.0).recip().get()), (Upper::ZERO, 0.25));
    assert_eq!((Upper::ZERO.recip().get(), Upper::trust(-1.0).recip().get()), (f64::INFINITY, f64::INFINITY));
    assert_eq!((Upper::trust(f64::NAN).get(), Lower::trust(f64::NAN).get()), (f64::INFINITY, f64::NEG_INFINITY));
    assert!(two.finite("two") == Ok(two) && Upper::trust(f64::INFINITY).finite("it").is_err());
}

#[test]
fn roots_of_unity_are_on_the_circle() {
    for n in [1usize, 2, 3, 5, 7, 8, 12, 34, 97, 256] {
        for (k, (c, s)) in roots_of_unity(n).into_iter().enumerate() {
            let angle = std::f64::consts::TAU * k as f64 / n as f64;
            assert!((c - angle.cos()).abs() < 1e-14 && (s - angle.sin()).abs() < 1e-14, "{k}/{n}");
            // Both components are off by at most e, so the square of the modulus by at most 2√2·e + 2e².
            let off = (exact(c).pow(2) + exact(s).pow(2) - BigRational::from_integer(1.into())).abs();
            assert!(off <= exact(3.0 * ERROR), "{k}/{n}");
        }
    }
}

/// Whether `b²I − WᵀW`, times `sign`, is positive semidefinite: by elimination without fractions (Bareiss), exactly.
fn is_semidefinite(rows: &[Vec<f64>], bound: f64, sign: i32) -> bool {
    // The least power of two that makes integers of all numbers.
    let bits = |x: f64| exact(x).denom().bits() as i32 - 1;
    let least = rows.iter().flatten().map(|&x| bits(x)).fold(bits(bound), i32::max);
    let unit = BigRational::from_integer(2.into()).pow(least);
    let integer = |x: f64| (exact(x) * &unit).to_integer();
    let integers: Vec<Vec<BigInt>> = rows.iter().map(|r| r.iter().map(|&x| integer(x)).collect()).collect();
    let squared = integer(bound).pow(2);
    let entry = |i: usize, j: usize| {
        let gram: BigInt = integers.iter().map(|row| &row[i] * &row[j]).sum();
        (if i == j { &squared - gram } else { -gram }) * sign
    };
    let n = rows[0].len();
    let mut m: Vec<Vec<BigInt>> = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
    let mut previous = BigInt::from(1);
    while let Some(mut row) = m.pop() {
        let pivot = row.pop().unwrap_or_default();
        m.iter_mut().for_each(|other| _ = other.pop());
        if pivot.is_negative() || pivot.is_zero() && row.iter().any(|x| !x.is_zero()) {
            return false;
        }
        if pivot.is_zero() {
            continue;
        }
        for (i, other) in m.iter_mut().enumerate() {
            for (j, x) in other.iter_mut().enumerate() {
                *x = (&pivot * &*x - &row[i] * &row[j]) / &previous;
            }
        }
        previous = pivot;
    }
    true
}

/// A bound of a norm that is never below it, and hardly above.
fn is_norm(rows: &[Vec<f64>], bound: f64, loose: f64) -> bool {
    is_semidefinite(rows, bound, 1) && !is_semidefinite(rows, bound / loose, 1)
}

fn noise(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn mat(rows: &[Vec<f64>]) -> Mat<f64> {
    Mat::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
}

#[test]
fn norms_and_smallest_singular_values_of_matrices() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    for (m, n) in [(1, 1), (2, 2), (3, 5), (5, 3), (8, 8), (9, 4)] {
        for e in [-1060, -300, 0, 300] {
            let rows: Vec<Vec<f64>> =
                (0..m).map(|_| noise(rng, n).iter().map(|x| libm::scalbn(*x, e)).collect()).collect();
            let loose = if e < -1000 { 1.1 } else { 1.0 + 1e-8 };
            let (norm, sharp) = (matrix::norm(mat(&rows).as_ref()), matrix::sharp_sup_norm(&[mat(&rows).as_ref()]));
            for bound in [norm, sharp] {
                assert!(is_norm(&rows, bound.unwrap().get(), loose), "{m} × {n}, 2^{e}");
            }
            let w = mat(&rows);
            for below in
                [matrix::smallest_singular_value(w.as_ref()), matrix::sharp_smallest_singular_value(w.as_ref())]
            {
                let below = below.unwrap().get();
                assert!(is_semidefinite(&rows, below, -1), "{m} × {n}, 2^{e}: {below:e}");
                assert!(
                    m < n || e < -1000 || !is_semidefinite(&rows, below * (1.0 + 1e-6) + 1e-9 * power_of_two(e), -1)
                );
            }
        }
    }
    // More rows than are decomposed at once.
    let large: Vec<Vec<f64>> =
        (0..170).map(|i| (0..180).map(|j| if j % 170 == i { 3.0 } else { 0.0 }).collect()).collect();
    let mut mixed = mat(&large);
    mixed[(0, 5)] = 0.25;
    let bound = matrix::norm(mixed.as_ref()).unwrap().get();
    assert!((18f64.sqrt()..18f64.sqrt() * 1.1).contains(&bound), "{bound}");
    let (a, b) = (mat(&[vec![1.0, 2.0], vec![0.5, 1.0]]), mat(&[vec![3.0, 0.0], vec![4.0, 0.0]]));
    let both = matrix::sup_norm(&[a.as_ref(), b.as_ref()]).unwrap().get();
    assert!((5.0..5.0 + 1e-8).contains(&both));
    assert!(
        matrix::norm(mat(&[vec![f64::NAN]]).as_ref()).is_err()
            && matrix::norm(mat(&[vec![f64::MAX; 2], vec![f64::MAX; 2]]).as_ref()).is_err()
    );
    // Permutations are exact; a second number in a row or a column is not one.
    assert_eq!(matrix::norm(mat(&[vec![0.0, -7.0], vec![3.0, 0.0]]).as_ref()).unwrap().get(), 7.0);
    assert_eq!(matrix::norm(Mat::<f64>::zeros(2, 2).as_ref()).unwrap().get(), 0.0);
    for two in [[vec![1.0, 1.0], vec![0.0, 0.0]], [vec![1.0, 0.0], vec![1.0, 0.0]]] {
        assert!(is_norm(&two, matrix::norm(mat(&two).as_ref()).unwrap().get(), 1.0 + 1e-8));
    }
}

/// The matrix of a convolution, written as the sum that it is: integers, so that taps that meet add up exactly.
fn rows_of(conv: &Convolution<'_>) -> Option<Vec<Vec<f64>>> {
    let ((outputs, inputs), [ay, ax]) = (conv.channels, conv.axes);
    let (height, width) = (ay.output()?, ax.output()?);
    let mut rows = vec![vec![0.0; inputs * ay.input * ax.input]; outputs * height * width];
    let place = |axis: Axis, i: usize, tap: usize| {
        let at = (i * axis.stride + tap) as isize - axis.padding as isize;
        match conv.mode {
            PaddingMode::Zeros => usize::try_from(at).ok().filter(|at| *at < axis.input),
            PaddingMode::Circular => Some(at.rem_euclid(axis.input as isize) as usize),
        }
    };
    for (index, row) in rows.iter_mut().enumerate() {
        let (o, i, j) = (index / (height * width), index / width % height, index % width);
        for (c, a, b) in
            (0..inputs).flat_map(|c| (0..ay.kernel).flat_map(move |a| (0..ax.kernel).map(move |b| (c, a, b))))
        {
            if let (Some(y), Some(x)) = (place(ay, i, a), place(ax, j, b)) {
                row[(c * ay.input + y) * ax.input + x] +=
                    conv.weight[((o * inputs + c) * ay.kernel + a) * ax.kernel + b];
            }
        }
    }
    Some(rows)
}

#[test]
fn convolutions_on_tori_and_by_bands() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let (mut proved, mut tight) = (0, 0);
    for (inputs, outputs, n, kernel) in [(1, 1, 4, 3), (2, 1, 3, 2), (1, 2, 3, 1), (2, 2, 2, 3), (1, 1, 4, 4)] {
        for (stride, padding) in [(1, 0), (1, 1), (2, 1), (2, 0), (3, 2), (1, 3)] {
            for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
                let weight: Vec<f64> =
                    (0..outputs * inputs * kernel * kernel).map(|_| f64::from(rng.random_range(-8i32..=8))).collect();
                let axis = Axis { input: n, kernel, stride, padding };
                let conv = Convolution { weight: &weight, channels: (outputs, inputs), axes: [axis; 2], mode };
                let Some(rows) = rows_of(&conv) else { continue };
                let Ok(found) = conv.norm() else { continue };
                proved += 1;
                let what = format!("{axis:?} {mode:?} {weight:?}");
                assert!(is_semidefinite(&rows, found.bound.get(), 1), "{what}");
                // On every torus that serves, and no better than the one that was found.
                for torus in conv.tori().unwrap() {
                    let on = conv.norm_on(torus).unwrap().get();
                    assert!(
                        is_semidefinite(&rows, on, 1) && on >= found.bound.get() * (1.0 - 1e-6),
                        "{what} {torus:?}"
                    );
                }
                let below = conv.smallest_singular_value().unwrap_or(Lower::ZERO).get();
                assert!(is_semidefinite(&rows, below, -1), "{what}: {below}");
                let sharp = conv.sharp_smallest_singular_value().unwrap_or(Lower::ZERO).get();
                assert!(is_semidefinite(&rows, sharp, -1), "{what}: {sharp}");
                for band in [conv.tight_norm(), conv.sharp_tight_norm()] {
                    let Some(band) = band.unwrap() else { continue };
                    tight += 1;
                    let zero = rows.iter().flatten().all(|x| *x == 0.0);
                    assert!(if zero { band.get() == 0.0 } else { is_norm(&rows, band.get(), 1.001) }, "{what}: {band}");
                }
            }
        }
    }
    assert!(proved > 30 && tight > 20, "{proved} {tight}");
}

#[test]
fn compositions() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    let mut integers = |n: usize| (0..n).map(|_| f64::from(rng.random_range(-8i32..=8))).collect::<Vec<f64>>();
    let product = |a: &[Vec<f64>], b: &[Vec<f64>]| -> Vec<Vec<f64>> {
        a.iter().map(|r| (0..b[0].len()).map(|j| r.iter().zip(b).map(|(x, row)| x * row[j]).sum()).collect()).collect()
    };
    for e in [0, 200] {
        let (a, b) = (integers(12), integers(20));
        let scale = power_of_two(e);
        let a: Vec<Vec<f64>> = a.chunks(3).map(|r| r.iter().map(|x| x * scale).collect()).collect();
        let b: Vec<Vec<f64>> = b.chunks(4).map(<[f64]>::to_vec).collect();
        let maps = [Linear::Dense(mat(&a)), Linear::Dense(mat(&b))];
        for bound in [composition::norm(&maps), composition::sharp_norm(&maps)] {
            assert!(is_norm(&product(&b, &a), bound.unwrap().get(), 1.0 + 1e-8));
        }
        // Divided by 1/2 and by 4, each for two numbers in a row.
        let w: Vec<Vec<f64>> = integers(12).chunks(4).map(<[f64]>::to_vec).collect();
        let divided: Vec<Vec<f64>> = w.iter().map(|r| vec![2.0 * r[0], 2.0 * r[1], r[2] / 4.0, r[3] / 4.0]).collect();
        let maps = [Linear::Divide { std: vec![0.5, 4.0], repeat: 2 }, Linear::Dense(mat(&w))];
        assert!(is_norm(&divided, composition::norm(&maps).unwrap().get(), 1.0 + 1e-8));
    }
    for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
        let axis = Axis { input: 4, kernel: 3, stride: 1, padding: 1 };
        let weight = integers(2 * 9);
        let rows = rows_of(&Convolution { weight: &weight, channels: (2, 1), axes: [axis; 2], mode }).unwrap();
        let conv = || Linear::Conv2d { weight: weight.clone(), channels: (2, 1), axes: [axis; 2], mode };
        // Means over 2 × 2 windows, and over each channel, as matrices.
        let window = |o: usize, i: usize| {
            let (c, y, x) = (o / 4, o / 2 % 2, o % 2);
            if i / 16 == c && i / 4 % 4 / 2 == y && i % 4 / 2 == x { 0.25 } else { 0.0 }
        };
        let pool: Vec<Vec<f64>> = (0..8).map(|o| (0..32).map(|i| window(o, i)).collect()).collect();
        let global: Vec<Vec<f64>> =
            (0..2).map(|c| (0..32).map(|i| if i / 16 == c { 0.0625 } else { 0.0 }).collect()).collect();
        let bound = composition::norm(&[conv(), Linear::MeanPool { size: 2 }]).unwrap().get();
        assert!(is_semidefinite(&product(&pool, &rows), bound, 1), "{mode:?}");
        let bound = composition::norm(&[conv(), Linear::GlobalMean { points: 16 }]).unwrap().get();
        assert!(is_norm(&product(&global, &rows), bound, 1.0 + 1e-8), "{mode:?}");
        let scaled: Vec<Vec<f64>> = rows.iter().map(|r| r.iter().map(|x| x * 2.0).collect()).collect();
        let bound = composition::norm(&[Linear::Divide { std: vec![0.5], repeat: 16 }, conv()]).unwrap().get();
        assert!(is_semidefinite(&scaled, bound, 1), "{mode:?}");
    }
    assert_eq!(composition::norm(&[Linear::MeanPool { size: 2 }]).unwrap().get(), 0.5);
    assert_eq!(
        composition::norm(&[Linear::GlobalMean { points: 16 }, Linear::PadChannels { added: 3 }]).unwrap().get(),
        0.25
    );
    assert_eq!(composition::norm(&[]).unwrap(), Upper::ONE);
    // An inverse that is undone: the composition is the identity.
    let shear = |s: f64| Linear::Dense(mat(&[vec![1.0, s], vec![0.0, 1.0]]));
    let bound = composition::norm(&[shear(16.0), shear(-16.0)]).unwrap().get();
    assert!((1.0..1.0 + 1e-9).contains(&bound), "{bound}");
}

/// All digits that are there, and no more zeros than a reader counts.
#[test]
fn bounds_are_printed_with_their_digits() {
    for (x, text) in [
        (0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (1.7320508075688774, "1.7320508075688774"),
        (1e15, "1000000000000000"),
        (1e300, "1e300"),
        (1.5e-7, "1.5e-7"),
        (5e-324, "5e-324"),
        (f64::INFINITY, "inf"),
    ] {
        assert_eq!(Upper::trust(x).to_string(), text);
        assert_eq!(text.parse(), Ok(x));
    }
    assert_eq!(format!("{:.2} {:>6}", Upper::trust(1e-7), Upper::trust(1e-7)), "0.00   1e-7");
}
