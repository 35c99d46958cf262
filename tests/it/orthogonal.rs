//! Orthogonalized matrices: singular values near 1, singular vectors as they were.

use dahlquist::train::orthogonalize;
use faer::Mat;
use rand::{RngExt, SeedableRng};
use rand_distr::StandardNormal;

fn normal(n: usize, seed: u64) -> Vec<f32> {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.sample::<f64, _>(StandardNormal) as f32).collect()
}

/// The singular values of a matrix with so many rows.
fn singular_values(x: &[f32], rows: usize) -> Vec<f64> {
    let columns = x.len() / rows;
    let matrix = Mat::from_fn(rows, columns, |i, j| f64::from(x[i * columns + j]));
    matrix.singular_values().unwrap()
}

#[test]
fn singular_values_come_near_one() {
    for (rows, columns) in [(5, 70), (70, 5), (96, 130), (130, 96), (1, 3), (64, 64)] {
        // Neither the scale of a gradient nor that of a part of it matters.
        for scale in [1e-30, 1.0, 1e30] {
            let mut g = normal(rows * columns, 1);
            g[..columns].iter_mut().for_each(|x| *x *= 3.0);
            g.iter_mut().for_each(|x| *x *= scale);
            let values = singular_values(&orthogonalize(&g, rows), rows);
            assert_eq!(values.len(), rows.min(columns));
            // A square matrix has singular values near 0, which stay below 1.
            let least = if rows == columns { 0.0 } else { 0.65 };
            assert!(values.iter().all(|v| (least..1.25).contains(v)), "{rows}×{columns}: {values:?}");
        }
    }
}

#[test]
fn singular_vectors_stay() {
    // G = diag(2, 1, ½) has U = V = I.
    let g = [2.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.0];
    let o: Vec<f64> = orthogonalize(&g, 3);
    for (i, o) in o.iter().enumerate() {
        assert!(if i % 5 == 0 { (0.65..1.25).contains(o) } else { o.abs() < 1e-12 }, "{i}: {o}");
    }
    assert_eq!(orthogonalize(&[0.0_f32; 6], 2), [0.0; 6]);
}

#[test]
fn gram_matrices_stand_for_the_iteration() {
    // The iteration as it is written down, in f64.
    let (rows, columns) = (40, 90);
    let g: Vec<f64> = normal(rows * columns, 2).into_iter().map(f64::from).collect();
    let mut x = Mat::from_fn(rows, columns, |i, j| g[i * columns + j]);
    x /= faer::Scale(x.norm_l2());
    let [a, b, c] = [3.4445, -4.7750, 2.0315];
    for _ in 0..5 {
        let gram = &x * x.transpose();
        x = faer::Scale(a) * &x + (faer::Scale(b) * &gram + faer::Scale(c) * (&gram * &gram)) * &x;
    }
    let found = orthogonalize(&g, rows);
    for (i, found) in found.iter().enumerate() {
        assert!((found - x[(i / columns, i % columns)]).abs() < 1e-9);
    }
}
