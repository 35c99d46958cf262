//! What is bounded of a chain: `2a⟨Δx, Δf⟩ + b‖Δf‖² ≤ κ‖Δx‖²`, where `f = Cx + Bs` and `s` comes out of the last activation.
//!
//! | bound | `a` | `b` | `κ` |
//! |---|---|---|---|
//! | `‖Δf‖ ≤ ρ‖Δx‖` | 0 | 1 | `ρ²` |
//! | `‖Δx + hΔf‖ ≤ ρ‖Δx‖` | `h` | `h²` | `ρ² − 1` |
//! | `⟨Δf, Δx⟩ ≤ μ‖Δx‖²` | 1 | 0 | `2μ` |
//! | `⟨Δf, Δx⟩ ≤ −ν‖Δf‖²` | 1 | `2ν` | 0 |
//!
//! Written out, it subtracts `[a(C + Cᵀ) + bCᵀC, aB + bCᵀB; ·, bBᵀB]` from `κI` at the place of `x`.
//!
//! Source of the name: Willems, *Dissipative dynamical systems*, Arch. Rational Mech. Anal. 45 (1972).

use faer::{Accum, Mat};

use crate::scalar::gemm;

/// The coefficients of the bound, and `C`.
#[derive(Debug, Clone)]
pub(super) struct Supply {
    /// `a`.
    pub cross: f64,
    /// `b`, not negative.
    pub square: f64,
    /// What is subtracted from a level to give `κ`: 0, or 1 for a step, whose level is `ρ²`.
    pub shift: f64,
    /// `C`, if it is not zero.
    pub linear: Option<LinearPart>,
    /// What a search changes.
    pub free: Free,
}

/// What a search makes as small as it can: the level.
#[derive(Debug, Clone, Copy)]
pub(super) enum Free {
    /// `κ`, and what is shifted.
    Level,
    /// `−b`, for `κ = 0`.
    Square,
}

/// `C = unit · matrix`, in the units of the chain.
#[derive(Debug, Clone)]
pub(super) struct LinearPart {
    /// Its largest entry lies in `[1, 2)`.
    pub matrix: Mat<f64>,
    /// A power of two.
    pub unit: f64,
}

impl Supply {
    /// `‖Δf‖² ≤ κ‖Δx‖²`.
    pub fn lipschitz() -> Self {
        Self { cross: 0.0, square: 1.0, shift: 0.0, linear: None, free: Free::Level }
    }

    /// Returns whether the input counts besides its norm: then it must not be replaced by one with the same image.
    pub fn has_input(&self) -> bool {
        self.cross != 0.0 || self.linear.is_some()
    }

    /// Returns `κ`.
    pub fn kept(&self, level: f64) -> f64 {
        level - self.shift
    }

    /// Subtracts what follows from `C` and `B` from the lower triangle of `g`, where `s` begins at `last`.
    pub fn subtract(&self, g: &mut Mat<f64>, last: usize, b: &Mat<f64>) {
        let &Self { cross, square, ref linear, .. } = self;
        let mut gram: Mat<f64> = Mat::zeros(b.ncols(), b.ncols());
        gemm(gram.as_mut(), Accum::Replace, b.transpose(), b.as_ref());
        add_symmetric(g, last, -square, &gram);
        if cross != 0.0 {
            for i in 0..b.ncols() {
                for o in 0..b.nrows() {
                    g[(last + i, o)] -= cross * b[(o, i)];
                }
            }
        }
        let Some(LinearPart { matrix: c, unit }) = linear else { return };
        let n = c.ncols();
        let mut beside: Mat<f64> = Mat::zeros(b.ncols(), n);
        gemm(beside.as_mut(), Accum::Replace, b.transpose(), c.as_ref());
        let mut gram: Mat<f64> = Mat::zeros(n, n);
        gemm(gram.as_mut(), Accum::Replace, c.transpose(), c.as_ref());
        add_symmetric(g, 0, -(square * unit * unit), &gram);
        for j in 0..n {
            for i in j..n {
                g[(i, j)] -= cross * unit * (c[(i, j)] + c[(j, i)]);
            }
            for i in 0..b.ncols() {
                g[(last + i, j)] -= square * unit * beside[(i, j)];
            }
        }
    }

    /// Adds `Σ_j |·|ᵢⱼ sⱼ` of the same, with the magnitudes of all products, to each row.
    pub fn add_magnitudes(&self, sums: &mut [f64], last: usize, b: &Mat<f64>, scales: &[f64]) {
        let (cross, square) = (self.cross.abs(), self.square);
        let across = |w: &Mat<f64>, from: usize| -> Vec<f64> {
            (0..w.nrows()).map(|o| (0..w.ncols()).map(|j| w[(o, j)].abs() * scales[from + j]).sum()).collect()
        };
        let mut back = |w: &Mat<f64>, to: usize, by: &[f64]| {
            for (o, by) in by.iter().enumerate() {
                (0..w.ncols()).for_each(|j| sums[to + j] += w[(o, j)].abs() * by);
            }
        };
        // |f| and |g| = a|x| + b|f| for the vector of the scales.
        let mut f = across(b, last);
        if let Some(part) = &self.linear {
            f.iter_mut().zip(across(&part.matrix, 0)).for_each(|(f, c)| *f += part.unit * c);
        }
        let g: Vec<f64> = f
            .iter()
            .enumerate()
            .map(|(o, f)| if cross == 0.0 { square * f } else { cross * scales[o] + square * f })
            .collect();
        back(b, last, &g);
        if let Some(part) = &self.linear {
            let g: Vec<f64> = g.iter().map(|g| part.unit * g).collect();
            back(&part.matrix, 0, &g);
        }
        if cross != 0.0 {
            f.iter().enumerate().for_each(|(o, f)| sums[o] += cross * f);
        }
    }
}

/// Adds `a` times a symmetric matrix, of which only the lower triangle is read, to the lower triangle of the block that
/// begins at `first`.
pub(super) fn add_symmetric(g: &mut Mat<f64>, first: usize, a: f64, square: &Mat<f64>) {
    if a == 0.0 {
        return;
    }
    for j in 0..square.ncols() {
        for i in j..square.nrows() {
            g[(first + i, first + j)] += a * square[(i, j)];
        }
    }
}
