//! About the nearest matrix with orthonormal rows or columns.

use faer::{Accum, MatMut, MatRef};
use rayon::prelude::*;

use crate::scalar::{Scalar, gemm};

/// `p(σ) = aσ + bσ³ + cσ⁵`: five times in a row, it takes every singular value in about `[0.002, 1]` into `[0.68, 1.21]`.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.7750, 2.0315];
/// How often `p` is applied.
const ITERATIONS: usize = 5;
/// Products are computed by blocks of this number of columns, in parallel.
const BLOCK: usize = 64;

/// Returns a matrix `O ≈ UVᵀ` for the matrix `G = UΣVᵀ` with `rows` rows, row by row: its singular values are near 1 where
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
