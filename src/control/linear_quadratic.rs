//! Linear-quadratic problems in discrete time, by Riccati's recursion.
//!
//! What the other methods of this module are measured by: its solution is known.

use crate::error::{Error, Result};

/// `x_{k+1} = Ax_k + Bu_k` with the cost `½ Σ_k (x_kᵀQx_k + u_kᵀRu_k) + ½ x_NᵀSx_N`.
///
/// Matrices are rows, one after the other: `A` is n×n, `B` n×m, `Q` and `S` symmetric n×n, `R` symmetric m×m.
#[derive(Debug, Clone, PartialEq)]
pub struct LinearQuadratic {
    /// The number `n` of coordinates of a state.
    pub states: usize,
    /// The number `m` of coordinates of a control.
    pub controls: usize,
    /// `A`.
    pub a: Vec<f64>,
    /// `B`.
    pub b: Vec<f64>,
    /// `Q`.
    pub q: Vec<f64>,
    /// `R`.
    pub r: Vec<f64>,
    /// `S`.
    pub terminal: Vec<f64>,
}

/// The optimal feedback of a linear-quadratic problem: `u_k = −K_k x_k`, and the least cost from `x_k` on is `½ x_kᵀP_kx_k`.
#[derive(Debug, Clone, PartialEq)]
pub struct Riccati {
    /// `P_0, …, P_N`, each n×n.
    pub values: Vec<Vec<f64>>,
    /// `K_0, …, K_{N−1}`, each m×n.
    pub gains: Vec<Vec<f64>>,
}

/// An optimal trajectory.
#[derive(Debug, Clone, PartialEq)]
pub struct Regulator {
    /// `x_0, …, x_N`.
    pub states: Vec<Vec<f64>>,
    /// `u_0, …, u_{N−1}`.
    pub controls: Vec<Vec<f64>>,
    /// The cost, summed along the trajectory.
    pub cost: f64,
}

impl LinearQuadratic {
    /// Euler's discretisation of `x' = Ax + Bu` with the cost `½ ∫ (xᵀQx + uᵀRu) dt + ½ x(T)ᵀSx(T)`: steps of length `h`, on
    /// which `u` is constant. The given matrices are those of the continuous problem.
    #[must_use]
    pub fn euler(mut self, h: f64) -> Self {
        let scale = |matrix: &mut Vec<f64>| matrix.iter_mut().for_each(|x| *x *= h);
        [&mut self.a, &mut self.b, &mut self.q, &mut self.r].into_iter().for_each(scale);
        (0..self.states).for_each(|i| self.a[i * self.states + i] += 1.0);
        self
    }

    /// Solves the problem over `steps` steps, as executed in `f64`:
    ///
    /// ```math
    /// K = (R + B^TPB)^{-1}B^TPA, \qquad P ← Q + A^TP(A - BK), \qquad P_N = S.
    /// ```
    ///
    /// # Errors
    /// [`Error::Length`] for a matrix of another size, [`Error::Parameter`] for no states or no controls, [`Error::NotProved`] if `R + BᵀPB` is not found to be positive definite:
    /// then the problem need not have a least cost.
    ///
    /// Source: Bertsekas, *Dynamic programming and optimal control* I (2017), section 3.1.
    pub fn solve(&self, steps: usize) -> Result<Riccati> {
        let (n, m) = (self.states, self.controls);
        if n == 0 || m == 0 {
            return Err(Error::parameter("states", n, "a state and a control have at least one coordinate"));
        }
        let sizes = [(&self.a, n * n), (&self.b, n * m), (&self.q, n * n), (&self.r, m * m), (&self.terminal, n * n)];
        for (matrix, expected) in sizes {
            if matrix.len() != expected {
                let what = "a matrix of a linear-quadratic problem".into();
                return Err(Error::Length { what, expected, found: matrix.len() });
            }
        }
        let (at, bt) = (transposed(&self.a, n), transposed(&self.b, m));
        let mut riccati = Riccati { values: vec![self.terminal.clone()], gains: Vec::new() };
        for _ in 0..steps {
            let p = &riccati.values[riccati.values.len() - 1];
            let btp = product(&bt, p, n);
            let weight = sum(&self.r, &product(&btp, &self.b, n), 1.0);
            let gain = solved(weight, product(&btp, &self.a, n), m)
                .ok_or_else(|| Error::not_proved("an optimal control", "R + BᵀPB is not positive definite"))?;
            let closed = sum(&self.a, &product(&self.b, &gain, m), -1.0);
            let value = sum(&self.q, &product(&product(&at, p, n), &closed, n), 1.0);
            // Rounding must not make it asymmetric from step to step.
            let mirrored = transposed(&value, n);
            riccati.values.push(value.iter().zip(&mirrored).map(|(x, y)| 0.5 * (x + y)).collect());
            riccati.gains.push(gain);
        }
        riccati.values.reverse();
        riccati.gains.reverse();
        Ok(riccati)
    }

    /// Returns the optimal trajectory from `x`, as executed in `f64`.
    ///
    /// # Errors
    /// As [`Self::solve`], and [`Error::Length`] if `x` has not as many coordinates as a state.
    pub fn regulate(&self, x: &[f64], steps: usize) -> Result<Regulator> {
        if x.len() != self.states {
            let what = "a state of a linear-quadratic problem".into();
            return Err(Error::Length { what, expected: self.states, found: x.len() });
        }
        let riccati = self.solve(steps)?;
        let mut run = Regulator { states: vec![x.to_vec()], controls: Vec::new(), cost: 0.0 };
        for gain in &riccati.gains {
            let x = &run.states[run.states.len() - 1];
            let u: Vec<f64> = product(gain, x, self.states).iter().map(|u| -u).collect();
            let next = sum(&product(&self.a, x, self.states), &product(&self.b, &u, self.controls), 1.0);
            run.cost += 0.5 * (quadratic(&self.q, x) + quadratic(&self.r, &u));
            run.states.push(next);
            run.controls.push(u);
        }
        run.cost += 0.5 * quadratic(&self.terminal, &run.states[steps]);
        Ok(run)
    }
}

/// Returns `xᵀMx`.
fn quadratic(matrix: &[f64], x: &[f64]) -> f64 {
    product(matrix, x, x.len()).iter().zip(x).map(|(y, x)| y * x).sum()
}

/// Returns the product of matrices whose common size is `inner`.
fn product(x: &[f64], y: &[f64], inner: usize) -> Vec<f64> {
    let columns = y.len() / inner;
    let entry = |row: &[f64], j: usize| row.iter().enumerate().map(|(k, x)| x * y[k * columns + j]).sum::<f64>();
    x.chunks(inner).flat_map(|row| (0..columns).map(move |j| entry(row, j))).collect()
}

/// Returns the transpose of a matrix with `columns` columns.
fn transposed(x: &[f64], columns: usize) -> Vec<f64> {
    (0..x.len()).map(|k| x[k % (x.len() / columns) * columns + k / (x.len() / columns)]).collect()
}

/// Returns `x + c y`.
fn sum(x: &[f64], y: &[f64], c: f64) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x + c * y).collect()
}

/// Returns `M⁻¹Y` for a positive definite `M` of size `n`, by Cholesky's factor; none if a pivot is not positive.
fn solved(mut m: Vec<f64>, mut y: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    let columns = y.len() / n;
    for k in 0..n {
        for j in 0..k {
            m[k * n + k] -= m[k * n + j] * m[k * n + j];
        }
        if m[k * n + k].is_nan() || m[k * n + k] <= 0.0 {
            return None;
        }
        m[k * n + k] = m[k * n + k].sqrt();
        for i in k + 1..n {
            for j in 0..k {
                m[i * n + k] -= m[i * n + j] * m[k * n + j];
            }
            m[i * n + k] /= m[k * n + k];
        }
    }
    for c in 0..columns {
        for i in 0..n {
            for j in 0..i {
                y[i * columns + c] -= m[i * n + j] * y[j * columns + c];
            }
            y[i * columns + c] /= m[i * n + i];
        }
        for i in (0..n).rev() {
            for j in i + 1..n {
                y[i * columns + c] -= m[j * n + i] * y[j * columns + c];
            }
            y[i * columns + c] /= m[i * n + i];
        }
    }
    Some(y)
}
