//! `cos 2πk/N` and `sin 2πk/N` with a proved error; no platform's library is trusted for it.

/// A bound of the error of each component that [`roots_of_unity`] returns: `8u = 2⁻⁵⁰`.
pub const ERROR: f64 = 4.0 * f64::EPSILON;

/// Returns the pairs `(cos 2πk/N, sin 2πk/N)` for `k = 0, …, N−1`, each number within [`ERROR`] of the exact one.
///
/// *Proof.* In integers, the angle is reduced to `φ = (π/4)(m/N)` with `0 ≤ m ≤ N`; its floating-point image has three
/// roundings, so it is off by at most `3.1u·π/4 < 2.5u`, and so are sine and cosine. Both series are evaluated as
/// `qₖ = 1 − z/cₖ·qₖ₊₁` with `z = φ² < 0.617`, `cₖ ≥ 2` and `0 < qₖ ≤ 1`, whose error obeys
/// `e ≤ u + 0.31(e + 3.1u)`, hence `e < 3u`; the factor `φ` of the sine adds less than `2u`. The first neglected term
/// is below `(π/4)²¹/21! < 10⁻²¹`. Together less than `8u`. ∎
pub fn roots_of_unity(n: usize) -> Vec<(f64, f64)> {
    (0..n).map(|k| root_of_unity(k, n)).collect()
}

fn root_of_unity(k: usize, n: usize) -> (f64, f64) {
    let (octant, rest) = (8 * k / n, 8 * k % n);
    let m = if octant % 2 == 0 { rest } else { n - rest };
    let phi = (m as f64 / n as f64) * std::f64::consts::FRAC_PI_4;
    let z = phi * phi;
    // Σ (−1)ᵏ z^k / (2k)!  and  Σ (−1)ᵏ z^k / (2k+1)!, from the last factor to the first.
    let series = |first: usize| {
        (1..=10).rev().fold(1.0, |q, k| {
            let c = ((2 * k - 1 + first) * (2 * k + first)) as f64;
            1.0 - z / c * q
        })
    };
    let (cos, sin) = (series(0), phi * series(1));
    match octant {
        0 => (cos, sin),
        1 => (sin, cos),
        2 => (-sin, cos),
        3 => (-cos, sin),
        4 => (-cos, -sin),
        5 => (-sin, -cos),
        6 => (sin, -cos),
        _ => (cos, -sin),
    }
}
