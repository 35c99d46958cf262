//! Convolution and pooling against loops that are too simple to be wrong: value, adjoint, gradient by the weights, and
//! the absolute values. Small integers, so that every sum is exact and equality is equality.

use dahlquist::{
    operator::{Conv2d, Geometry, MeanPool, Operator},
    rigor::torus::PaddingMode,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::norm;
use rand::{Rng, RngExt, SeedableRng};

fn integers(n: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..n).map(|_| f64::from(rng.random_range(-4..=4i32))).collect()
}

/// Calls `visit(output index, weight index, input index)` for every term of the convolution of one sample.
fn terms(g: &Geometry, output: Shape, mut visit: impl FnMut(usize, usize, usize)) {
    let (channels, height, width) = g.input.as_image("").unwrap();
    let (outputs, rows, columns) = output.as_image("").unwrap();
    for o in 0..outputs {
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            for c in 0..channels {
                for (a, b) in (0..g.kernel.0).flat_map(|a| (0..g.kernel.1).map(move |b| (a, b))) {
                    let (mut y, mut x) =
                        ((i * g.stride + a) as i64 - g.padding as i64, (j * g.stride + b) as i64 - g.padding as i64);
                    if g.mode == PaddingMode::Circular {
                        (y, x) = (y.rem_euclid(height as i64), x.rem_euclid(width as i64));
                    }
                    if y < 0 || x < 0 || y >= height as i64 || x >= width as i64 {
                        continue;
                    }
                    let weight = ((o * channels + c) * g.kernel.0 + a) * g.kernel.1 + b;
                    visit((o * rows + i) * columns + j, weight, (c * height + y as usize) * width + x as usize);
                }
            }
        }
    }
}

/// Every geometry of up to 5 × 4 points with kernels up to 3 × 4, strides up to 3 and paddings up to 2.
fn geometries() -> Vec<Geometry> {
    let mut all = Vec::new();
    for (height, width) in [(1, 1), (2, 3), (5, 4), (4, 1)] {
        for kernel in [(1, 1), (3, 3), (2, 1), (3, 4)] {
            for (stride, padding) in (1..=3).flat_map(|s| (0..=2).map(move |p| (s, p))) {
                for mode in [PaddingMode::Zeros, PaddingMode::Circular] {
                    let input = Shape::image(2, height, width);
                    all.push(Geometry { input, outputs: 3, kernel, stride, padding, mode });
                }
            }
        }
    }
    all
}

/// More channels than one block of vectors, more columns than one tile of registers, and what is left over of both.
fn large_geometries() -> Vec<Geometry> {
    let mut all = Vec::new();
    for (inputs, outputs) in [(16, 16), (3, 33), (40, 17), (17, 1)] {
        for (height, width) in [(3, 37), (9, 16), (20, 8), (2, 6)] {
            for (kernel, padding) in [((3, 3), 1), ((1, 1), 0), ((5, 2), 1), ((3, 3), 0), ((2, 2), 2)] {
                let (input, mode) = (Shape::image(inputs, height, width), PaddingMode::Zeros);
                all.push(Geometry { input, outputs, kernel, stride: 1, padding, mode });
            }
        }
    }
    all
}

#[test]
fn convolution_is_the_naive_loop() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    let mut checked = 0;
    for geometry in geometries().into_iter().chain(large_geometries()) {
        let (inputs, ..) = geometry.input.as_image("").unwrap();
        let weight = integers(geometry.outputs * inputs * geometry.kernel.0 * geometry.kernel.1, &mut rng);
        let Ok(conv) = Conv2d::new(geometry, weight.clone()) else { continue };
        checked += 1;
        let (input, output) = (geometry.input, Operator::<f64>::output(&conv));
        let x = Batch::new(input, integers(2 * input.len(), &mut rng)).unwrap();
        let y = Batch::new(output, integers(2 * output.len(), &mut rng)).unwrap();
        // All four are added to what is there.
        let [mut value, mut absolute] = [y.clone(), y.clone()];
        let [mut adjoint, mut adjoint_absolute] = [x.clone(), x.clone()];
        let mut gradient = weight.clone();
        conv.apply(&x, &mut value);
        conv.apply_absolute(&x, &mut absolute);
        conv.adjoint(&y, &mut adjoint);
        conv.adjoint_absolute(&y, &mut adjoint_absolute);
        conv.accumulate(&y, &x, &mut gradient);
        let [mut v, mut a] = [y.clone(), y.clone()];
        let [mut t, mut ta] = [x.clone(), x.clone()];
        let mut g = weight.clone();
        for s in 0..2 {
            terms(&geometry, output, |to, w, from| {
                v.sample_mut(s)[to] += weight[w] * x.sample(s)[from];
                a.sample_mut(s)[to] += weight[w].abs() * x.sample(s)[from];
                t.sample_mut(s)[from] += weight[w] * y.sample(s)[to];
                ta.sample_mut(s)[from] += weight[w].abs() * y.sample(s)[to];
                g[w] += y.sample(s)[to] * x.sample(s)[from];
            });
        }
        assert_eq!((value, absolute), (v, a), "{geometry:?}");
        assert_eq!((adjoint, adjoint_absolute), (t, ta), "{geometry:?}");
        assert_eq!(gradient, g, "{geometry:?}");
        // The declared number of terms is not exceeded by any entry.
        let [rows, columns] = Operator::<f64>::terms(&conv);
        let (mut per_output, mut per_input) = (vec![0; output.len()], vec![0; input.len()]);
        terms(&geometry, output, |to, _, from| {
            (per_output[to], per_input[from]) = (per_output[to] + 1, per_input[from] + 1)
        });
        assert!(per_output.iter().all(|&n| n <= rows) && per_input.iter().all(|&n| n <= columns), "{geometry:?}");
    }
    assert!(checked > 150, "{checked}");
}

#[test]
fn pooling_is_the_naive_mean() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(2);
    for (height, width, size) in [(4, 4, 2), (5, 7, 2), (6, 6, 3), (3, 4, 1), (5, 3, 0), (1, 1, 0), (4, 4, 4)] {
        let input = Shape::image(3, height, width);
        let pool = if size == 0 { MeanPool::global(input) } else { MeanPool::new(input, size) }.unwrap();
        let (tall, broad) = if size == 0 { (height, width) } else { (size, size) };
        let (rows, columns) = (height / tall, width / broad);
        let output = Operator::<f64>::output(&pool);
        assert_eq!(output.len(), 3 * rows * columns);
        let area = (tall * broad) as f64;
        // Multiples of the area, so that means are integers.
        let x: Vec<f64> = integers(2 * input.len(), &mut rng).iter().map(|x| x * area).collect();
        let x = Batch::new(input, x).unwrap();
        let y = Batch::new(output, integers(2 * output.len(), &mut rng).iter().map(|y| y * area).collect()).unwrap();
        let (mut value, mut adjoint) = (Batch::zeros(output, 2), Batch::zeros(input, 2));
        pool.apply(&x, &mut value);
        pool.adjoint(&y, &mut adjoint);
        let (mut v, mut t) = (Batch::<f64>::zeros(output, 2), Batch::<f64>::zeros(input, 2));
        for s in 0..2 {
            for c in 0..3 {
                for (i, j) in (0..rows * tall).flat_map(|i| (0..columns * broad).map(move |j| (i, j))) {
                    let (to, from) = ((c * rows + i / tall) * columns + j / broad, (c * height + i) * width + j);
                    v.sample_mut(s)[to] += x.sample(s)[from] / area;
                    t.sample_mut(s)[from] += y.sample(s)[to] / area;
                }
            }
        }
        assert_eq!((value, adjoint), (v, t), "{height}×{width}, {size}");
        // 1/√(ab), neither more nor less: left out, the constant of a network would be off by a factor of 32.
        let norm = norm::<f64>(&pool).unwrap().get();
        assert!(norm >= 1.0 / area.sqrt() && norm <= (1.0 + 1e-15) / area.sqrt(), "{norm}");
    }
}
