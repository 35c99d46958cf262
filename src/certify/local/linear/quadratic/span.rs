//! The input in few coordinates: what moves in a direction that no neuron sees changes nothing.
//!
//! For rows `aᵢ` and any matrix `Q`, let `y = QᵀΔx` and `wᵢ` be about `Qᵀaᵢ`. Then `⟨aᵢ, Δx⟩ = ⟨wᵢ, y⟩ + ⟨aᵢ − Qwᵢ, Δx⟩`, and the
//! last part is at most `‖aᵢ − Qwᵢ‖ρ`. Orthonormal columns are only a good choice: `‖y‖ ≤ ‖Q‖ρ`, and `‖Q‖² = ‖QᵀQ‖` is bounded by
//! row sums.

use crate::rigor::directed::{ETA, U, add_up, enlarge_sum, gamma, mul_up, norm_up, sqrt_up};

/// A direction counts as seen if this part of a row, relatively, is not in those before it.
const SEEN: f64 = 1e-10;

/// Linear functions of few coordinates `y`.
pub(super) struct Span {
    /// The number of coordinates.
    pub(super) width: usize,
    /// A bound of `‖y‖`.
    pub(super) radius: f64,
    /// For each row, its coefficients.
    pub(super) rows: Vec<Vec<f64>>,
    /// For each row, how far off it may be.
    pub(super) off: Vec<f64>,
}

impl Span {
    /// Returns linear functions of `Δx` itself, `‖Δx‖ ≤ radius`.
    pub(super) fn whole(rows: Vec<Vec<f64>>, radius: f64) -> Self {
        Self { width: rows.first().map_or(0, Vec::len), radius, off: vec![0.0; rows.len()], rows }
    }

    /// Returns linear functions of `Δx`, `‖Δx‖ ≤ radius`, in no more coordinates than there are functions.
    pub(super) fn new(rows: Vec<Vec<f64>>, radius: f64) -> Self {
        if rows.first().map_or(0, Vec::len) <= rows.len() {
            return Self::whole(rows, radius);
        }
        let basis = orthonormal(&rows);
        let coordinates = |row: &Vec<f64>| basis.iter().map(|q| dot(q, row)).collect::<Vec<f64>>();
        let seen: Vec<Vec<f64>> = rows.iter().map(coordinates).collect();
        let off = rows.iter().zip(&seen).map(|(row, seen)| mul_up(distance(row, &basis, seen), radius)).collect();
        Self { width: basis.len(), radius: mul_up(radius, norm(&basis)), rows: seen, off }
    }
}

/// Returns nearly orthonormal vectors that span what rows do.
fn orthonormal(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut basis: Vec<Vec<f64>> = Vec::new();
    for row in rows {
        let (mut rest, size) = (row.clone(), dot(row, row).sqrt());
        // Twice is enough.
        for q in basis.iter().chain(&basis) {
            let part = dot(q, &rest);
            rest.iter_mut().zip(q).for_each(|(x, q)| *x -= part * q);
        }
        let left = dot(&rest, &rest).sqrt();
        if left > SEEN * size && left.is_normal() {
            rest.iter_mut().for_each(|x| *x /= left);
            basis.push(rest);
        }
    }
    basis
}

/// Returns an upper bound of `‖a − Qw‖`.
fn distance(a: &[f64], basis: &[Vec<f64>], w: &[f64]) -> f64 {
    let (mut rest, mut size): (Vec<f64>, Vec<f64>) = (a.to_vec(), a.iter().map(|x| x.abs()).collect());
    for (q, w) in basis.iter().zip(w) {
        for ((rest, size), q) in rest.iter_mut().zip(&mut size).zip(q) {
            *rest -= w * q;
            *size += (w * q).abs();
        }
    }
    let terms = basis.len() + 2;
    let entry = |(rest, size): (&f64, &f64)| {
        let rounded = add_up(mul_up(gamma(terms, U), enlarge_sum(*size, terms)), mul_up(2.0 * terms as f64, ETA));
        add_up(rest.abs(), rounded)
    };
    norm_up(&rest.iter().zip(&size).map(entry).collect::<Vec<f64>>())
}

/// Returns an upper bound of `‖Q‖`, at least 1.
fn norm(basis: &[Vec<f64>]) -> f64 {
    let entry = |p: &[f64], q: &[f64]| {
        let (n, size) = (p.len(), p.iter().zip(q).map(|(p, q)| (p * q).abs()).sum());
        let rounded = add_up(mul_up(gamma(n, U), enlarge_sum(size, n)), mul_up(2.0 * n as f64, ETA));
        add_up(dot(p, q).abs(), rounded)
    };
    let row = |p: &Vec<f64>| basis.iter().map(|q| entry(p, q)).fold(0.0, add_up);
    sqrt_up(basis.iter().map(row).fold(1.0, f64::max))
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}
