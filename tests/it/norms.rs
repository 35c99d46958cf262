//! Proved norms against independent values: Jacobi's method in 300 bits, exact Rayleigh quotients, the naive convolution.

use std::cell::Cell;

use dahlquist::{
    Error,
    laws::{Verdict, hold, strategies as s},
    model::{self, Linear, Map, Padding, Pair, Tensor},
    operator::{Affine, Dense},
    rigor::{
        matrix,
        torus::{Axis, Convolution, PaddingMode},
    },
    rules::Prover,
    scalar::Scalar,
    tensor::Shape,
};
use dahlquist_testkit::{
    described,
    models::Proved,
    oracle::{self, Exact, Matrix, Num, Real, row, singular_values, square},
};
use faer::Mat;
use num_bigint::BigInt;
use num_traits::{Signed, Zero};
use proptest::{prelude::*, test_runner::TestCaseError};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn fail(what: impl Into<String>) -> Verdict {
    Err(TestCaseError::fail(what.into()))
}

fn mat(rows: &[Vec<f64>]) -> Mat<f64> {
    Mat::from_fn(rows.len(), rows[0].len(), |i, j| rows[i][j])
}

fn real(x: f64) -> Real {
    Real::of(x)
}

/// `±(b²I − WᵀW)` in integers, after scaling.
fn shifted_gram(rows: &[Vec<Exact>], bound: f64, sign: i32) -> Vec<Vec<BigInt>> {
    let bound = Exact::of(bound);
    let exponents = rows.iter().flatten().chain([&bound]).map(Exact::exponent);
    let unit = exponents.min().unwrap_or(0);
    let integers: Vec<Vec<BigInt>> = rows.iter().map(|r| r.iter().map(|x| x.in_units(unit)).collect()).collect();
    let squared = bound.in_units(unit).pow(2);
    let entry = |i: usize, j: usize| {
        let gram: BigInt = integers.iter().map(|row| &row[i] * &row[j]).sum();
        (if i == j { squared.clone() - gram } else { -gram }) * sign
    };
    (0..rows[0].len()).map(|i| (0..rows[0].len()).map(|j| entry(i, j)).collect()).collect()
}

/// Whether a symmetric matrix of integers is positive semidefinite: by elimination without fractions, whose divisions are
/// exact (Bareiss).
fn is_semidefinite(mut m: Vec<Vec<BigInt>>) -> bool {
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

/// Whether no vector is stretched more than `bound`, exactly.
fn is_above(bound: f64, rows: &[Vec<Exact>]) -> bool {
    is_semidefinite(shifted_gram(rows, bound, 1))
}

/// Whether no vector is stretched less than `bound`, exactly.
fn is_below(bound: f64, rows: &[Vec<Exact>]) -> bool {
    is_semidefinite(shifted_gram(rows, bound, -1))
}

/// The test decides to the last bit: `[[3, 0], [4, 0]]` has the norm 5, `diag(3, 5)` the singular values 3 and 5.
#[test]
fn a_missing_ulp_is_seen() {
    let rows = |rows: [[f64; 2]; 2]| rows.map(|r| row::<Exact, f64>(&r)).to_vec();
    let (rank_one, diagonal) = (rows([[3.0, 0.0], [4.0, 0.0]]), rows([[3.0, 0.0], [0.0, 5.0]]));
    assert!(is_above(5.0, &rank_one) && !is_above(5f64.next_down(), &rank_one));
    assert!(is_below(0.0, &rank_one) && !is_below(5e-324, &rank_one));
    assert!(is_above(5.0, &diagonal) && !is_above(5f64.next_down(), &diagonal));
    assert!(is_below(3.0, &diagonal) && !is_below(3f64.next_up(), &diagonal));
}

/// The bound is never below the largest singular value and at most 10⁻⁶ above it; the bound of the smallest one is never
/// above it. Only how tight they are is measured, in 300 bits.
fn norms_are_proved(rows: &[Vec<f64>]) -> Verdict {
    let exact: Vec<Vec<Exact>> = rows.iter().map(|r| row(r)).collect();
    let (w, values) = (mat(rows), singular_values(&rows.iter().map(|r| row(r)).collect::<Vec<Vec<Real>>>()));
    let (smallest, largest) = (&values[0], &values[values.len() - 1]);
    match matrix::norm(w.as_ref()) {
        Ok(bound) => {
            if !is_above(bound.get(), &exact) {
                return fail(format!("the bound {bound} is below the norm {largest}"));
            }
            let bound = real(bound.get());
            // Down to the smallest numbers, where one unit is more than 10⁻⁶.
            if bound > largest * &real(1.0 + 1e-6) + real(64.0 * 5e-324) {
                return fail(format!("the bound {bound} is far above the norm {largest}"));
            }
        }
        Err(_) => {
            if *largest < real(1e308) {
                return fail(format!("no bound for the norm {largest}"));
            }
        }
    }
    let below = matrix::smallest_singular_value(w.as_ref()).unwrap().get();
    let injective = rows.len() >= rows[0].len();
    if !is_below(below, &exact) || !injective && below > 0.0 {
        return fail(format!("the lower bound {below} is above the smallest singular value {smallest}"));
    }
    // A well-conditioned injective matrix gets a good one.
    if injective
        && *smallest > largest * &real(1e-3)
        && *largest > real(1e-280)
        && real(below) < smallest * &real(0.999)
    {
        return fail(format!("the lower bound {below} is far below the smallest singular value {smallest}"));
    }
    Ok(())
}

fn matrices<T: Scalar>() -> impl Strategy<Value = Vec<Vec<f64>>> {
    (1..=5usize, 1..=5usize).prop_flat_map(|(m, n)| {
        s::matrix::<T>(m, n).prop_map(move |w| w.chunks(n).map(|r| r.iter().map(|x| x.wide()).collect()).collect())
    })
}

#[test]
fn dense_norms_are_proved_over_the_whole_exponent_range() {
    hold(matrices::<f32>(), |rows, _| norms_are_proved(rows));
    hold(matrices::<f64>(), |rows, _| norms_are_proved(rows));
}

#[test]
fn dense_norms_of_extreme_weights() {
    let tiny = 2f64.powi(-126);
    let cases = [
        vec![vec![tiny], vec![-tiny]],
        vec![vec![1e-320], vec![1e-320]],
        vec![vec![5e-324, 5e-324, 5e-324]],
        vec![vec![1e30, 1e-30], vec![1e-30, 1e30]],
        vec![vec![1e300, 1e300], vec![1e300, -1e300]],
        vec![vec![0.0, 0.0], vec![0.0, 1e-45]],
        vec![vec![1.0, 1.0], vec![1.0, 1.0 + f64::EPSILON]],
        vec![vec![1e-5]],
    ];
    for rows in cases {
        norms_are_proved(&rows).unwrap();
    }
    // √2·2⁻¹²⁶, never 0, and not 0 in f32 either.
    let w = Dense::<f32>::new(2, 1, vec![tiny as f32, -tiny as f32]).unwrap();
    let bound = w.norm().unwrap().bound.get();
    let rows: Vec<Vec<Exact>> = vec![row(&[tiny]), row(&[-tiny])];
    assert!(is_above(bound, &rows) && bound <= 2f64.sqrt() * tiny * (1.0 + 1e-6), "{bound:e}");
    assert_eq!(Dense::<f64>::new(1, 2, vec![0.0; 2]).unwrap().norm().unwrap().bound.get(), 0.0);
    let huge = Dense::<f64>::new(2, 2, vec![f64::MAX; 4]).unwrap();
    assert!(matches!(huge.norm(), Err(Error::NotProved { .. })));
}

#[test]
fn scaling_by_a_power_of_two_scales_the_norm() {
    hold((matrices::<f32>(), -60..60i32), |(rows, k), _| {
        let scaled: Vec<Vec<f64>> = rows.iter().map(|r| r.iter().map(|x| x * 2f64.powi(*k)).collect()).collect();
        let norm = |rows: &[Vec<f64>]| matrix::norm(mat(rows).as_ref()).unwrap().get();
        let (a, b) = (norm(rows) * 2f64.powi(*k), norm(&scaled));
        if a == b { Ok(()) } else { fail(format!("{a:e} becomes {b:e}")) }
    });
}

/// Whether the norm is at most `bound`, as far as the vector `v` tells: a Rayleigh quotient, exactly.
fn stands(bound: f64, rows: &[Vec<Exact>], v: &[f64]) -> bool {
    let v: Vec<Exact> = row(v);
    let image: Vec<Exact> = rows.iter().map(|r| oracle::dot(r, &v)).collect();
    square(&image).at_most(&Exact::of(bound).times(&Exact::of(bound)).times(&square(&v)))
}

#[test]
fn torus_bounds_are_never_below_the_norm() {
    let circular = Cell::new(0);
    hold(s::conv2d::<f32>(), |map, _| {
        let Ok(norm) = map.operator().norm() else { return Ok(()) };
        let (bound, rows) = (norm.bound.get(), oracle::matrix(map));
        let (exact, top) = (Matrix::<Exact>::of(map).rows, oracle::top(&rows));
        if !stands(bound, &exact, &top) {
            return fail(format!("{bound:e} is below the norm"));
        }
        // With as many outputs as inputs, a circular convolution is its torus: the bound is the norm.
        let largest = rows.iter().flatten().fold(0.0f64, |a, x| a.max(x.abs()));
        let size = |shape: Shape| shape.as_image("").map(|(_, height, width)| (height, width));
        let same = size(map.operator().input()) == size(map.operator().output()) && rows[0].len() <= 20;
        let spec = format!("{:?}", map.operator());
        if spec.contains("mode: Circular") && spec.contains("stride: 1") && same && (1e-30..1e30).contains(&largest) {
            circular.set(circular.get() + 1);
            // Taps that meet at one point and cancel leave an error of the size of the taps.
            let taps = map.operator().weight().iter().map(|w| f64::from(w.abs())).sum::<f64>();
            let values = singular_values(&Matrix::of(map).rows);
            if real(bound) > &values[values.len() - 1] * &real(1.0 + 1e-7) + real(1e-12 * taps) {
                return fail(format!("{bound:e} is above the norm of a circular convolution"));
            }
        }
        Ok(())
    });
    assert!(circular.get() > 0);
}

/// Every small kernel, stride, padding and size of both modes, with weights that the torus could miss.
#[test]
fn torus_bounds_over_all_small_geometries() {
    let mut proved = 0;
    for n in 1..=5 {
        for (k, stride, padding) in (1..=4).flat_map(|k| (1..=6).flat_map(move |s| (0..=3).map(move |p| (k, s, p)))) {
            for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
                let axis = Axis { input: n, kernel: k, stride, padding };
                let weight: Vec<f64> = (0..k).map(|t| [1.0, -0.75, 0.5, 0.8125][(t * t + n) % 4]).collect();
                let trivial = Axis { input: 1, kernel: 1, stride: 1, padding: 0 };
                let conv = Convolution { weight: &weight, channels: (1, 1), axes: [trivial, axis], mode };
                let Some(outputs) = axis.output() else { continue };
                let norm = conv.norm().unwrap();
                assert!(conv.norm_on(norm.torus).unwrap() <= norm.bound);
                let rows: Vec<Vec<f64>> = (0..outputs)
                    .map(|i| {
                        let mut row = vec![0.0; n];
                        for (t, w) in weight.iter().enumerate() {
                            let at = (i * stride + t) as isize - padding as isize;
                            match mode {
                                PaddingMode::Zeros if (0..n as isize).contains(&at) => row[at as usize] += w,
                                PaddingMode::Zeros => {}
                                PaddingMode::Circular => row[at.rem_euclid(n as isize) as usize] += w,
                            }
                        }
                        row
                    })
                    .collect();
                proved += 1;
                let exact: Vec<Vec<Exact>> = rows.iter().map(|r| row(r)).collect();
                assert!(stands(norm.bound.get(), &exact, &oracle::top(&rows)), "{axis:?} {mode:?} {}", norm.bound);
            }
        }
    }
    assert!(proved > 600, "{proved}");
}

/// The claim of `Axis::smallest_torus`, by brute force: on that torus and on larger ones, the convolution of the phases
/// restricted to the image and to the outputs is the zero-padded convolution.
#[test]
fn the_smallest_torus_holds_the_zero_padded_convolution() {
    let mut checked = 0;
    for input in 1..=9usize {
        for (kernel, stride, padding) in
            (1..=6).flat_map(|k| (1..=4).flat_map(move |s| (0..=7).map(move |p| (k, s, p))))
        {
            let axis = Axis { input, kernel, stride, padding };
            let (Some(outputs), Some(smallest)) = (axis.output(), axis.smallest_torus()) else { continue };
            let fits = |torus: usize| {
                // Where the tap t of output i reads: the padded point si + t has the phase (si + t) mod s and the place
                // (si + t)/s, and places are taken modulo the torus.
                let place = |padded: usize| (padded % stride, padded / stride % torus);
                let image: Vec<_> = (0..input).map(|x| place(x + padding)).collect();
                let distinct = (0..input).all(|a| (0..a).all(|b| image[a] != image[b]));
                distinct
                    && (0..outputs).all(|i| {
                        (0..kernel).all(|t| {
                            let padded = i * stride + t;
                            let meant = (padding..padding + input).contains(&padded).then(|| padded - padding);
                            image.iter().position(|&at| at == place(padded)) == meant
                        })
                    })
            };
            for torus in smallest..smallest + 4 {
                assert!(fits(torus), "{axis:?} on {torus} points");
            }
            checked += 1;
        }
    }
    assert!(checked > 1000);
}

#[test]
fn circular_lower_bounds_are_never_above() {
    let positive = Cell::new(0);
    hold(s::conv2d::<f64>(), |map: &Affine<f64>, _| {
        let Ok(below) = map.operator().smallest_singular_value() else { return Ok(()) };
        if below.get() > 0.0 && map.operator().input().len() <= 20 {
            positive.set(positive.get() + 1);
            if !is_below(below.get(), &Matrix::of(map).rows) {
                return fail(format!("{below} is above the smallest singular value"));
            }
        }
        Ok(())
    });
    assert!(positive.get() > 0);
}

/// Every small kernel, stride, padding and size of both modes: points that no tap reads are mapped to 0.
#[test]
fn lower_bounds_over_all_small_geometries() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut positive = [0; 2];
    for (n, k, stride) in (1..=5).flat_map(|n| (1..=4).flat_map(move |k| (1..=6).map(move |s| (n, k, s)))) {
        for (padding, outputs) in (0..=2).flat_map(|p| (1..=4).map(move |o| (p, o))) {
            for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
                let weight: Vec<f64> = (0..outputs * k).map(|_| rng.random_range(-1.0..1.0)).collect();
                let conv = model::Conv2d {
                    weight: Tensor::new(&[outputs, 1, 1, k], &weight),
                    bias: None,
                    stride: Pair([1, stride]),
                    padding: Padding::Sides(Pair([0, padding])),
                    dilation: Pair::one(),
                    groups: 1,
                    padding_mode: mode,
                };
                let (map, shape) = (Map::Linear(Linear::Conv2d(conv)), Shape::image(1, 1, n));
                let Ok(output) = map.output(shape) else { continue };
                let Ok(proof) = Prover::default().with_inverses().network(&map, shape) else { continue };
                let Some(below) = proof.claims().inverse.map(|inverse| inverse.get()).filter(|l| *l > 0.0) else {
                    continue;
                };
                positive[usize::from(mode == PaddingMode::Circular)] += 1;
                // Column by column, from the formula of the map.
                let unit = |i: usize| (0..n).map(|j| Exact::of(f64::from(u8::from(i == j)))).collect::<Vec<_>>();
                let columns: Vec<_> = (0..n).map(|i| described::value(&map, shape, &unit(i)).unwrap()).collect();
                let row = |i: usize| columns.iter().map(|column| column[i].clone()).collect();
                let rows: Vec<Vec<Exact>> = (0..output.len()).map(row).collect();
                assert!(is_below(below, &rows), "{map:?} on {n} points: {below}");
            }
        }
    }
    assert!(positive[0] > 10 && positive[1] > 20, "{positive:?}");
}

/// Sums that lose thousands of small terms one by one: what is lost is far more than the gap that the proof leaves, so it
/// must be charged.
#[test]
fn what_rounding_loses_is_charged() {
    // 64 ones, so that every lane of a sum starts with one, and squares below half a unit of 1.
    let small = 2f64.powf(-26.6);
    let w: Vec<f64> = (0..64 * 1001).map(|k| if k < 64 { 1.0 } else { small }).collect();
    let bound = Dense::new(1, w.len(), w.clone()).unwrap().norm().unwrap().bound.get();
    assert!(square(&row::<Exact, f64>(&w)).at_most(&Exact::of(bound).times(&Exact::of(bound))), "{bound:e}");
    // A circular convolution of 2001 points at the frequency 0: the sum of its taps.
    let n = 2001;
    let taps: Vec<f64> = (0..n).map(|t| if t == 0 { 1.0 } else { 2f64.powi(-54) }).collect();
    let axis = Axis { input: n, kernel: n, stride: 1, padding: n / 2 };
    let trivial = Axis { input: 1, kernel: 1, stride: 1, padding: 0 };
    let mode = PaddingMode::Circular;
    let bound =
        Convolution { weight: &taps, channels: (1, 1), axes: [trivial, axis], mode }.norm().unwrap().bound.get();
    let sum = row::<Exact, f64>(&taps).iter().fold(Exact::of(0.0), |s, t| s.plus(t));
    assert!(sum.at_most(&Exact::of(bound)) && bound < 1.0 + 1e-9, "{bound:e}");
}
