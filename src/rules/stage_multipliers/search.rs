//! The search for multipliers: a barrier method for the least `ρ²`. Nothing rests on it.
//!
//! The form is linear in `ρ²` and the multipliers, so the least `ρ²` is the value of a small semidefinite program:
//!
//! ```math
//! \min ρ^2 \quad\text{with}\quad S = ρ^2 E_{00} - ηη^T + \sum_v y_v F_v ⪰ 0, \quad y ≥ 0.
//! ```
//!
//! Newton's method minimizes `τρ² − log det S − Σ log y_v` for ever larger `τ`. Its step is halved until the function falls,
//! down to `1/(1 + λ)`, `λ` being the Newton decrement: that one never leaves the domain of a self-concordant function.
//!
//! Source: Boyd, Vandenberghe, *Convex optimization* (2004), sections 9.6 and 11.6.

use super::form::{Coefficients, bracket};
use crate::certificate::{Inequality, StageInequality};

/// The factor by which the weight of the objective grows.
const GROWTH: f64 = 16.0;
/// The relative gap at which the search ends.
const GAP: f64 = 1e-13;
/// The most steps of Newton's method.
const MOST_STEPS: usize = 500;
/// The most of them for one weight of the objective but the first: where rounding keeps the decrement from falling, more of
/// them gain nothing.
const MOST_STEPS_EACH: usize = 60;
/// How much above the least `ρ²` of given multipliers a proof is tried, relatively.
const MARGINS: [f64; 4] = [4e-14, 1e-12, 1e-10, 1e-8];

/// Bounds with multipliers that should prove them, the best first.
pub(super) fn candidates(method: &Coefficients, inequalities: &[Inequality]) -> Vec<(f64, Vec<StageInequality>)> {
    let program = Program::new(method, inequalities);
    let mut found = Vec::new();
    for y in program.solve() {
        let Some(squared) = program.least(&y) else { continue };
        for margin in MARGINS {
            // ρ² is compared with numbers of size 1, so a margin of it alone is no margin where it is small.
            let bound = (squared + margin * squared.max(1e-3)).max(0.0).sqrt();
            if bound.is_finite() {
                found.push((bound, y.clone()));
            }
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let stages = method.stages();
    let named = |y: Vec<f64>| {
        let each = |(inequality, y): (&Inequality, &[f64])| StageInequality {
            inequality: *inequality,
            multipliers: y.to_vec(),
        };
        inequalities.iter().zip(y.chunks(stages)).map(each).collect()
    };
    found.into_iter().map(|(bound, y)| (bound, named(y))).collect()
}

/// A symmetric matrix, row by row.
type Symmetric = Vec<f64>;

/// The semidefinite program, in floating point.
struct Program {
    n: usize,
    /// `−ηηᵀ`.
    constant: Symmetric,
    /// The matrices of the multipliers, inequality by inequality.
    terms: Vec<Symmetric>,
    /// A multiplier of each kind that suits its constants, to begin with.
    units: Vec<f64>,
    stages: usize,
}

/// A point of the domain: `ρ²` and the multipliers.
struct Point {
    squared: f64,
    y: Vec<f64>,
}

impl Program {
    fn new(method: &Coefficients, inequalities: &[Inequality]) -> Self {
        let middle = |row: &Vec<crate::rigor::Interval>| row.iter().map(|x| 0.5 * x.low + 0.5 * x.high).collect();
        let (stages, end) = method.vectors();
        let (stages, end): (Vec<Vec<f64>>, Vec<f64>) = (stages.iter().map(middle).collect(), middle(&end));
        let n = end.len();
        let symmetric = |f: &dyn Fn(usize, usize) -> f64| (0..n * n).map(|e| f(e / n, e % n)).collect::<Symmetric>();
        let (mut terms, mut units) = (Vec::new(), Vec::new());
        for &inequality in inequalities {
            let [p, q, r] = bracket(inequality).map(|x| x.low);
            for (i, xi) in stages.iter().enumerate() {
                let psi = |j: usize| if j == i + 1 { 1.0 } else { 0.0 };
                terms.push(symmetric(&|j, k| {
                    p * psi(j) * psi(k) + q * (psi(j) * xi[k] + xi[j] * psi(k)) + r * xi[j] * xi[k]
                }));
            }
            // The multipliers of circle contractivity are 2b/(hβ).
            units.push(match inequality {
                Inequality::Curvature([a, b]) => 1.0 / a.abs().max(b.abs()).min(1.0),
                Inequality::Lipschitz(l) => 1.0 / l.min(1.0),
                Inequality::OneSided(m) => 1e-3 / m.abs().max(1.0),
                Inequality::Cocoercive(c) => 1e-3 / c.max(1.0),
            });
        }
        Self { n, constant: symmetric(&|j, k| -end[j] * end[k]), terms, units, stages: stages.len() }
    }

    fn matrix(&self, point: &Point) -> Symmetric {
        let mut s = self.constant.clone();
        s[0] += point.squared;
        for (term, y) in self.terms.iter().zip(&point.y) {
            s.iter_mut().zip(term).for_each(|(s, x)| *s += y * x);
        }
        s
    }

    /// Returns the least `ρ²` for which the form is nearly semidefinite: a Schur complement.
    fn least(&self, y: &[f64]) -> Option<f64> {
        let n = self.n;
        let s = self.matrix(&Point { squared: 0.0, y: y.to_vec() });
        let block: Symmetric = (1..n).flat_map(|i| (1..n).map(move |j| (i, j))).map(|(i, j)| s[i * n + j]).collect();
        let l = cholesky(&block, n - 1)?;
        let x = forward(&l, n - 1, &s[1..n]);
        Some(x.iter().map(|x| x * x).sum::<f64>() - s[0])
    }

    /// Points of the domain: the multipliers of early stages are larger by enough to pay for later ones.
    fn starts(&self) -> impl Iterator<Item = Point> {
        (0..40).filter_map(|k| {
            let ratio = 4f64.powi(k);
            let each =
                |v: usize| 2.0 * self.units[v / self.stages] * ratio.powi((self.stages - 1 - v % self.stages) as i32);
            let y: Vec<f64> = (0..self.terms.len()).map(each).collect();
            let least = if y.iter().all(|y| *y < 1e200) { self.least(&y)? } else { return None };
            least.is_finite().then(|| Point { squared: 2.0 * least.max(0.0) + 1.0, y })
        })
    }

    /// Multipliers of ever smaller gaps, the last ones first.
    fn solve(&self) -> Vec<Vec<f64>> {
        // From a point where a direction is lost to rounding, another one leads on.
        self.starts().take(3).map(|start| self.path(start)).find(|found| !found.is_empty()).unwrap_or_default()
    }

    fn path(&self, mut point: Point) -> Vec<Vec<f64>> {
        let size = (self.n + self.terms.len()) as f64;
        let mut tau = size / point.squared;
        let (mut found, mut last) = (Vec::new(), 0);
        for step in 0..MOST_STEPS {
            if !found.is_empty() && step - last > MOST_STEPS_EACH {
                break;
            }
            let Some((next, decrement)) = self.newton(&point, tau) else { break };
            point = next;
            if decrement < 0.25 {
                found.push(point.y.clone());
                if size / tau < GAP * point.squared.max(1e-3) {
                    break;
                }
                (tau, last) = (tau * GROWTH, step);
            }
        }
        found.reverse();
        found.truncate(6);
        found
    }

    /// Returns a damped step of Newton's method, and the decrement before it; none where the arithmetic fails.
    fn newton(&self, point: &Point, tau: f64) -> Option<(Point, f64)> {
        let (n, m) = (self.n, self.terms.len());
        let l = cholesky(&self.matrix(point), n)?;
        // L⁻¹FL⁻ᵀ times the variable, so that variables of any size are alike.
        let mut first = vec![0.0; n * n];
        first[0] = point.squared;
        let scaled = |term: &Symmetric, y: f64| term.iter().map(|x| y * x).collect::<Symmetric>();
        let congruent = |f: Symmetric| -> Symmetric {
            let columns: Vec<Vec<f64>> = f.chunks(n).map(|row| forward(&l, n, row)).collect();
            let row = |i: usize| forward(&l, n, &columns.iter().map(|c| c[i]).collect::<Vec<f64>>());
            (0..n).flat_map(row).collect()
        };
        let mut whitened = vec![congruent(first)];
        whitened.extend(self.terms.iter().zip(&point.y).map(|(term, y)| congruent(scaled(term, *y))));
        let trace = |g: &Symmetric| (0..n).map(|i| g[i * n + i]).sum::<f64>();
        let mut gradient: Vec<f64> = whitened.iter().map(|g| -trace(g)).collect();
        gradient[0] += tau * point.squared;
        gradient[1..].iter_mut().for_each(|g| *g -= 1.0);
        let mut hessian = vec![0.0; (m + 1) * (m + 1)];
        for v in 0..=m {
            for w in 0..=v {
                let product = whitened[v].iter().zip(&whitened[w]).map(|(x, y)| x * y).sum::<f64>();
                hessian[v * (m + 1) + w] = product;
                hessian[w * (m + 1) + v] = product;
            }
        }
        (1..=m).for_each(|v| hessian[v * (m + 2)] += 1.0);
        let h = cholesky(&hessian, m + 1)?;
        let half = forward(&h, m + 1, &gradient);
        let decrement = half.iter().map(|x| x * x).sum::<f64>().sqrt();
        let direction = backward(&h, m + 1, &half);
        let value = |point: &Point| -> Option<f64> {
            let inside = point.squared > 0.0 && point.y.iter().all(|y| *y > 0.0 && y.is_finite());
            let l = if inside { cholesky(&self.matrix(point), n)? } else { return None };
            let log_det: f64 = (0..n).map(|i| 2.0 * l[i * n + i].ln()).sum();
            Some(tau * point.squared - log_det - point.y.iter().map(|y| y.ln()).sum::<f64>())
        };
        let moved = |damping: f64| {
            let move_by = |x: f64, d: f64| x * (1.0 - damping * d);
            let y = point.y.iter().zip(&direction[1..]).map(|(y, d)| move_by(*y, *d)).collect();
            Point { squared: move_by(point.squared, direction[0]), y }
        };
        // As long a step as the function falls along; at least the damped one, near the end the whole one.
        let (before, safe) = (value(point)?, if decrement < 0.25 { 1.0 } else { 1.0 / (1.0 + decrement) });
        let mut damping = 1.0;
        while damping > safe {
            let next = moved(damping);
            if value(&next).is_some_and(|after| after <= before - 0.1 * damping * decrement * decrement) {
                return Some((next, decrement));
            }
            damping *= 0.5;
        }
        let next = moved(safe);
        value(&next).is_some().then_some((next, decrement))
    }
}

/// Returns a lower triangle `L` with `LLᵀ ≈ S`, if the pivots are positive.
fn cholesky(s: &[f64], n: usize) -> Option<Vec<f64>> {
    let mut l = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let rest: f64 = s[i * n + j] - (0..j).map(|k| l[i * n + k] * l[j * n + k]).sum::<f64>();
            if i == j {
                if !(rest > 0.0 && rest.is_finite()) {
                    return None;
                }
                l[i * n + i] = rest.sqrt();
            } else {
                l[i * n + j] = rest / l[j * n + j];
            }
        }
    }
    Some(l)
}

/// Returns `L⁻¹x`.
fn forward(l: &[f64], n: usize, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; n];
    for i in 0..n {
        y[i] = (x[i] - (0..i).map(|k| l[i * n + k] * y[k]).sum::<f64>()) / l[i * n + i];
    }
    y
}

/// Returns `L⁻ᵀx`.
fn backward(l: &[f64], n: usize, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; n];
    for i in (0..n).rev() {
        y[i] = (x[i] - (i + 1..n).map(|k| l[k * n + i] * y[k]).sum::<f64>()) / l[i * n + i];
    }
    y
}
