//! The laws of Runge–Kutta methods.

use rand::RngExt;

use super::{Verdict, broken, points::generator};
use crate::tableau::{Surd, Tableau};

/// Holds a method to all laws.
pub fn all(tableau: &Tableau, seed: u64) -> Verdict {
    order(tableau, seed)?;
    circle(tableau, seed)
}

/// Checks that the error over a fixed time shrinks at least like `h^p`, `p` the declared order.
///
/// The equation is nonlinear and has a closed solution: in polar coordinates `r' = r(1 − r²)`, `θ' = r²`. Halving the
/// step must divide the error by `2^{p − 1/4}`. The error is that of eight starts together, spread over the radii, since the
/// leading term of neighboring ones may nearly vanish. Stages of implicit methods are iterated to convergence.
pub fn order(tableau: &Tableau, seed: u64) -> Verdict {
    let mut rng = generator(seed);
    let starts: [[f64; 2]; 8] =
        std::array::from_fn(|i| [0.3 + (i as f64 + rng.random_range(0.0..1.0)) / 16.0, rng.random_range(0.0..6.0)]);
    let error = |steps: usize| starts.iter().map(|&start| error(tableau, start, steps)).fold(0.0, f64::hypot);
    let (coarse, fine) = (error(32), error(64));
    let observed = (coarse / fine).log2();
    let wanted = tableau.order() as f64 - 0.25;
    if fine < 1e-13 || observed >= wanted {
        return Ok(());
    }
    Err(broken(format!(
        "{}: halving the step takes the error from {coarse:e} to {fine:e}, the order {observed:.2} and not {}",
        tableau.name(),
        tableau.order()
    )))
}

/// Returns the error at time 1, from a start in polar coordinates.
fn error(tableau: &Tableau, [r, theta]: [f64; 2], steps: usize) -> f64 {
    let mut x = [r * theta.cos(), r * theta.sin()];
    (0..steps).for_each(|_| x = step(tableau, x, 1.0 / steps as f64));
    // r(t) = 1/√(1 + c e^{−2t}), and the integral of r² is ln((e^{2t} + c)/(1 + c))/2, with c = 1/r² − 1.
    let (c, grown) = (1.0 / (r * r) - 1.0, 2.0f64.exp());
    let radius = 1.0 / (1.0 + c / grown).sqrt();
    let angle = theta + 0.5 * ((grown + c) / (1.0 + c)).ln();
    f64::hypot(x[0] - radius * angle.cos(), x[1] - radius * angle.sin())
}

/// Returns `(x, y)' = (1 − r²)(x, y) + r²(−y, x)`.
fn oscillator([x, y]: [f64; 2]) -> [f64; 2] {
    let s = x * x + y * y;
    [(1.0 - s) * x - s * y, (1.0 - s) * y + s * x]
}

/// Returns one step in `f64`.
fn step(tableau: &Tableau, x: [f64; 2], h: f64) -> [f64; 2] {
    let coefficients = tableau.rounded::<f64>();
    let mut slopes = vec![oscillator(x); tableau.stages()];
    let combine = |weights: &[f64], slopes: &[[f64; 2]]| {
        weights.iter().zip(slopes).fold(x, |x, (w, k)| [x[0] + h * w * k[0], x[1] + h * w * k[1]])
    };
    // An explicit method is exact after as many sweeps as it has stages; an implicit one contracts by about h a sweep.
    for _ in 0..tableau.stages().max(if tableau.is_explicit() { 1 } else { 40 }) {
        for i in 0..slopes.len() {
            slopes[i] = oscillator(combine(&coefficients.a[i], &slopes));
        }
    }
    combine(&coefficients.b, &slopes)
}

/// Checks that a step of length `2rν` is non-expansive for a `ν`-cocoercive field, exactly, for an explicit method with a
/// radius.
///
/// The field is `−Wᵀσ(Wx + b)` with small integers and a ReLU or the identity, so that everything is a number of
/// [`Surd`]; `ν = 1/‖W‖²` for one row, `1/‖W‖_F²` else. No rounding anywhere.
pub fn circle(tableau: &Tableau, seed: u64) -> Verdict {
    let (Ok(radius), true) = (tableau.circle_radius(), tableau.is_explicit()) else { return Ok(()) };
    let mut rng = generator(seed);
    for _ in 0..8 {
        let (rows, columns) = (rng.random_range(1..=2), rng.random_range(1..=2));
        let mut integers =
            |n: usize, most: i64| -> Vec<i64> { (0..n).map(|_| rng.random_range(-most..=most)).collect() };
        let (w, b) = (integers(rows * columns, 3), integers(rows, 3));
        let (x, dx) = (integers(columns, 4), integers(columns, 4));
        let relu = rng.random_bool(0.7);
        let square: i64 = w.iter().map(|w| w * w).sum();
        let (Ok(nu), Ok(r)) = (Surd::ratio(1, square), Surd::from_f64(radius.get())) else { continue };
        let h = &(&Surd::from(2) * &r) * &nu;
        let field = |x: &[Surd]| -> Vec<Surd> {
            let pull = |i: usize| {
                let row = &w[i * columns..][..columns];
                let z = row.iter().zip(x).fold(Surd::from(b[i]), |z, (w, x)| &z + &(&Surd::from(*w) * x));
                if relu && z < Surd::default() { Surd::default() } else { -&z }
            };
            let pulled: Vec<Surd> = (0..rows).map(pull).collect();
            let entry = |j: usize| (0..rows).map(|i| &Surd::from(w[i * columns + j]) * &pulled[i]).sum();
            (0..columns).map(entry).collect()
        };
        let flow = |x: Vec<i64>| {
            let x: Vec<Surd> = x.into_iter().map(Surd::from).collect();
            let mut slopes: Vec<Vec<Surd>> = Vec::new();
            for row in tableau.a() {
                let stage = advance(&x, &h, row, &slopes);
                slopes.push(field(&stage));
            }
            advance(&x, &h, tableau.b(), &slopes)
        };
        let moved: Vec<i64> = x.iter().zip(&dx).map(|(x, d)| x + d).collect();
        let (here, there) = (flow(x.clone()), flow(moved));
        let after: Surd = here.iter().zip(&there).map(|(a, b)| &(a - b) * &(a - b)).sum();
        let before = Surd::from(dx.iter().map(|d| d * d).sum::<i64>());
        if after > before {
            let ratio = (after.lower() / before.upper()).sqrt();
            return Err(broken(format!(
                "{}: the step 2rν with r = {} expands by {ratio} for W = {w:?}, b = {b:?}, relu = {relu}, between {x:?} \
                 and its move by {dx:?}",
                tableau.name(),
                radius.get()
            )));
        }
    }
    Ok(())
}

/// Returns `x + h Σ wⱼ kⱼ`.
fn advance(x: &[Surd], h: &Surd, weights: &[Surd], slopes: &[Vec<Surd>]) -> Vec<Surd> {
    let coordinate = |c: usize| {
        let sum: Surd = weights.iter().zip(slopes).map(|(w, k)| w * &k[c]).sum();
        &x[c] + &(h * &sum)
    };
    (0..x.len()).map(coordinate).collect()
}
