//! About the nearest matrix with orthonormal rows or columns.

use faer::{Accum, MatMut, MatRef};
use rayon::prelude::*;

use crate::scalar::{Scalar, gemm};

/// `p(σ) = aσ + bσ³ + cσ⁵`: five times in a row, it takes every singular value in about `[0.002, 1]` into `[0.68, 1.21]`.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// How often `p` is applied.
const ITERATIONS: usize = 5;
/// Products are computed by blocks of so many columns, in parallel.
const BLOCK: usize = 64;

/// Returns a matrix `O ≈ UVᵀ` for the matrix `G = UΣVᵀ` with so many rows, row by row: its singular values are near 1 where
/// those of `G` are not much smaller than its norm. Returns zeros for a matrix of zeros.
///
/// It is the quintic Newton–Schulz iteration `X ← aX + bXXᵀX + c(XXᵀ)²X` from `X = G/‖G‖_F`, carried out on the smaller of
/// the Gram matrices. With `A = XXᵀ` and `P = aI + bA + cA²`, a step is `X ← PX` and `A ← PAP`, and all of these matrices
/// are symmetric and commute. So `G` itself is multiplied twice, whatever the number of iterations.
///
/// Source: Jordan et al., *Muon: an optimizer for hidden layers in neural networks*, 2024,
/// <https://kellerjordan.github.io/posts/muon>.
///
/// # Panics
/// If `rows` does not divide the length of `g`.
pub fn orthogonalize<T: Scalar>(g: &[T], rows: usize) -> Vec<T> {
    let columns = g.len() / rows;
    assert_eq!(rows * columns, g.len(), "a matrix of {rows} rows");
    // The scale keeps the squares of tiny and of huge gradients in range.
    let largest = g.iter().fold(0.0, |largest: f64, x| largest.max(x.wide().abs()));
    if largest == 0.0 {
        return vec![T::zero(); g.len()];
    }
    let norm = largest * g.iter().map(|x| (x.wide() / largest).powi(2)).sum::<f64>().sqrt();
    let x: Vec<T> = g.iter().map(|x| T::of(x.wide() / norm)).collect();
    // Row by row, X is what Xᵀ is column by column.
    let transposed = MatRef::from_column_major_slice(&x, columns, rows);
    if rows <= columns {
        let q = polynomial(symmetric(transposed.transpose(), transposed), rows);
        product(transposed, square(&q, rows))
    } else {
        let q = polynomial(symmetric(transposed, transposed.transpose()), columns);
        product(square(&q, columns), transposed)
    }
}

/// Returns the matrix `Q` with `p(p(…(X))) = QX` for the Gram matrix `A = XXᵀ`.
fn polynomial<T: Scalar>(mut a: Vec<T>, n: usize) -> Vec<T> {
    let [first, third, fifth] = COEFFICIENTS.map(T::of);
    let times = |x: &[T], y: &[T]| symmetric(square(x, n), square(y, n));
    let mut q: Option<Vec<T>> = None;
    for i in 0..ITERATIONS {
        let mut p = times(&a, &a);
        p.iter_mut().zip(&a).for_each(|(p, &a)| *p = third * a + fifth * *p);
        p.iter_mut().step_by(n + 1).for_each(|p| *p += first);
        if i + 1 < ITERATIONS {
            a = times(&p, &times(&a, &p));
        }
        q = Some(q.map_or_else(|| p.clone(), |q| times(&p, &q)));
    }
    q.unwrap_or_default()
}

fn square<T>(x: &[T], n: usize) -> MatRef<'_, T> {
    MatRef::from_column_major_slice(x, n, n)
}

/// Returns `AB`, column by column.
fn product<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Vec<T> {
    let rows = a.nrows();
    let mut c = vec![T::zero(); rows * b.ncols()];
    c.par_chunks_mut(rows * BLOCK).enumerate().for_each(|(i, c)| {
        let columns = c.len() / rows;
        let c = MatMut::from_column_major_slice_mut(c, rows, columns);
        gemm(c, Accum::Replace, a, b.subcols(i * BLOCK, columns));
    });
    c
}

/// Returns `AB` where it is known to be symmetric: the blocks on and below the diagonal are computed.
fn symmetric<T: Scalar>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Vec<T> {
    let n = a.nrows();
    let mut c = vec![T::zero(); n * n];
    c.par_chunks_mut(n * BLOCK).enumerate().for_each(|(i, c)| {
        let (first, columns) = (i * BLOCK, c.len() / n);
        let c = MatMut::from_column_major_slice_mut(c, n, columns).subrows_mut(first, n - first);
        gemm(c, Accum::Replace, a.subrows(first, n - first), b.subcols(first, columns));
    });
    for column in 1..n {
        for row in 0..column {
            c[column * n + row] = c[row * n + column];
        }
    }
    c
}

#[cfg(test)]
mod tests {
    use faer::Mat;
    use rand::{RngExt, SeedableRng};
    use rand_distr::StandardNormal;

    use super::*;

    fn normal(n: usize, seed: u64) -> Vec<f32> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| rng.sample::<f64, _>(StandardNormal) as f32).collect()
    }

    /// The singular values, and the largest entry of `UVᵀ` that is not in the place of its own.
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
        let [a, b, c] = COEFFICIENTS;
        for _ in 0..ITERATIONS {
            let gram = &x * x.transpose();
            x = faer::Scale(a) * &x + (faer::Scale(b) * &gram + faer::Scale(c) * (&gram * &gram)) * &x;
        }
        let found = orthogonalize(&g, rows);
        for (i, found) in found.iter().enumerate() {
            assert!((found - x[(i / columns, i % columns)]).abs() < 1e-9);
        }
    }
}
