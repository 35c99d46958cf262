use dahlquist::rigor::{matrix, torus::*};
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;
#[test]
fn looseness() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    for (c, n) in [(16usize, 32usize), (32, 16), (64, 8)] {
        for _ in 0..2 {
            let w: Vec<f64> = (0..c * c * 9).map(|_| rng.sample(StandardNormal)).collect();
            let a = Axis { input: n, kernel: 3, stride: 1, padding: 1 };
            let conv = Convolution { weight: &w, channels: (c, c), axes: [a, a], mode: PaddingMode::Zeros };
            let t = std::time::Instant::now();
            let b = conv.norm().unwrap();
            let dt = t.elapsed();
            // power iteration, naive
            let mut x: Vec<f64> = (0..c * n * n).map(|_| rng.sample(StandardNormal)).collect();
            let mut s = 0.0;
            let app = |x: &[f64], tr: bool| {
                let mut y = vec![0.0; c * n * n];
                for o in 0..c {
                    for i in 0..c {
                        for dy in 0..3 {
                            for dx in 0..3 {
                                let k = if tr {
                                    w[(i * c + o) * 9 + (2 - dy) * 3 + 2 - dx]
                                } else {
                                    w[(o * c + i) * 9 + dy * 3 + dx]
                                };
                                for r in 0..n {
                                    let rr = r + dy;
                                    if rr < 1 || rr > n {
                                        continue;
                                    }
                                    let lo = if dx == 0 { 1 } else { 0 };
                                    let hi = if dx == 2 { n - 1 } else { n };
                                    for q in lo..hi {
                                        y[o * n * n + r * n + q] += k * x[i * n * n + (rr - 1) * n + q + dx - 1];
                                    }
                                }
                            }
                        }
                    }
                }
                y
            };
            for _ in 0..300 {
                let y = app(&x, false);
                let z = app(&y, true);
                let nz = z.iter().map(|v| v * v).sum::<f64>().sqrt();
                let nx = x.iter().map(|v| v * v).sum::<f64>().sqrt();
                let ny = y.iter().map(|v| v * v).sum::<f64>().sqrt();
                s = ny / nx;
                x = z.iter().map(|v| v / nz).collect();
            }
            println!("c={c} n={n} bound {} torus {:?} ratio {} time {:?}", b.bound, b.torus, b.bound.get() / s, dt);
        }
    }
    let w = faer::Mat::from_fn(512, 1024, |_, _| rng.sample::<f64, _>(StandardNormal));
    let t = std::time::Instant::now();
    let b = matrix::norm(w.as_ref()).unwrap();
    println!("dense {} vs {} in {:?}", b, w.singular_values().unwrap()[0], t.elapsed());
    println!("{:?}", matrix::smallest_singular_value(w.transpose()).unwrap());
    println!("{:?}", w.singular_values().unwrap().last());
}
