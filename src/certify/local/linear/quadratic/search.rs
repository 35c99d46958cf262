//! A search for multipliers. Nothing here is trusted.
//!
//! With `C` what the margin makes of the matrix, the best bound is that of the semidefinite program
//!
//! ```math
//! \max \{ b^T y : C − \sum_i y_i A_i = S \succeq 0 \}, \qquad \min \{ \langle C, X\rangle : \langle A_i, X\rangle = b_i, X \succeq 0 \},
//! ```
//!
//! where the multipliers of inequalities are not negative. `X` stands for the moments of `(1, u)`. A primal-dual
//! method with predictor and corrector solves both, in the direction of Helmberg, Rendl, Vanderbei, Wolkowicz, *An interior-point
//! method for semidefinite programming*, SIAM J. Optim. 1996, Kojima, Shindoh, Hara and Monteiro. All `Aᵢ` but two have rank 2, so the
//! Schur matrix is read off from products with all factors.
//!
//! Everything is scaled by what it may be in the ball: inputs and neurons by their sizes, factors by their largest values.

use faer::{Mat, Scale};

use super::{
    problem::{Form, Problem},
    proof::Multipliers,
};
use crate::scalar::{cholesky_estimate, inverse_estimate, solve_symmetric_estimate};

/// The most steps.
const STEPS: usize = 40;
/// The search ends when primal and dual differ by this part of the margin at the sample.
const GAP: f64 = 1e-4;

/// The program, scaled.
struct Program {
    /// For each coordinate of the input, what the matrix of the ball has there.
    shares: Vec<f64>,
    /// `C`.
    cost: Mat<f64>,
    /// A column for each factor of each neuron.
    factors: Mat<f64>,
    /// The two factors of each product, and whether its multiplier may have any sign.
    products: Vec<([usize; 2], bool)>,
    /// What a multiplier of 1 is in the units of the problem.
    units: Vec<f64>,
}

/// Where the method stands, or a step of it.
struct Point {
    /// `X`.
    x: Mat<f64>,
    /// `S`.
    s: Mat<f64>,
    /// By what each `⟨Aᵢ, X⟩` is above 0, where the multiplier has a sign.
    slack: Vec<f64>,
    /// The multipliers, `γ` and `λ` first.
    y: Vec<f64>,
}

impl Problem {
    /// Returns multipliers that seem to prove that a margin is positive or, if there are none, those of the largest bound.
    pub(super) fn search(&self, margin: &Form, scale: f64) -> Option<Multipliers> {
        let program = Program::new(self, margin, scale)?;
        let y = program.solve()?;
        Some(Multipliers {
            bound: y[0] * scale,
            ball: y[1] * scale / (self.radius * self.radius),
            products: y[2..].iter().zip(&program.units).map(|(y, unit)| y * unit).collect(),
        })
    }
}

impl Program {
    fn new(problem: &Problem, margin: &Form, scale: f64) -> Option<Self> {
        let (n, radius) = (problem.size(), problem.radius);
        let sizes = problem.magnitudes();
        let mut cost: Mat<f64> = Mat::zeros(n, n);
        cost[(0, 0)] = margin.constant / scale;
        for (j, c) in margin.coefficients.iter().enumerate() {
            let entry = 0.5 * c * sizes[1 + j] / scale;
            (cost[(0, 1 + j)], cost[(1 + j, 0)]) = (entry, entry);
        }
        let (all, largest, products) = (problem.factors(), problem.largest(), problem.products());
        let mut factors: Mat<f64> = Mat::zeros(n, all.len());
        for (k, factor) in all.iter().enumerate() {
            let column = problem.column(factor);
            column.iter().zip(&sizes).enumerate().for_each(|(r, (c, s))| factors[(r, k)] = c * s / largest[k]);
        }
        let units = products.iter().map(|([i, j], _)| scale / (largest[*i] * largest[*j])).collect();
        let shares = problem.sizes.iter().map(|size| (size / radius).powi(2)).collect();
        let is_finite = |m: &Mat<f64>| m.norm_max().is_finite();
        (scale > 0.0 && radius > 0.0 && is_finite(&cost) && is_finite(&factors)).then_some(Self {
            shares,
            cost,
            factors,
            products,
            units,
        })
    }

    fn count(&self) -> usize {
        2 + self.products.len()
    }

    /// Returns whether a multiplier must not be negative.
    fn has_sign(&self, i: usize) -> bool {
        i == 1 || i > 1 && !self.products[i - 2].1
    }

    /// Returns `⟨A, X⟩` for the matrix `A` of the ball, diagonal: 1 for the constant, and minus its share for each input.
    fn of_ball(&self, x: &Mat<f64>) -> f64 {
        x[(0, 0)] - self.shares.iter().enumerate().map(|(i, share)| share * x[(1 + i, 1 + i)]).sum::<f64>()
    }

    /// Returns all `⟨Aᵢ, X⟩`, for a symmetric `X`.
    fn apply(&self, x: &Mat<f64>) -> Vec<f64> {
        let times = x * &self.factors;
        let product = |([i, j], _): &([usize; 2], bool)| self.factors.col(*i).transpose() * times.col(*j);
        [x[(0, 0)], self.of_ball(x)].into_iter().chain(self.products.iter().map(product)).collect()
    }

    /// Returns `Σ yᵢAᵢ`.
    fn combine(&self, y: &[f64]) -> Mat<f64> {
        let n = self.cost.nrows();
        let (mut left, mut right) = (Mat::zeros(n, self.products.len()), Mat::zeros(n, self.products.len()));
        for (k, ([i, j], _)) in self.products.iter().enumerate() {
            for r in 0..n {
                left[(r, k)] = 0.5 * y[2 + k] * self.factors[(r, *i)];
                right[(r, k)] = self.factors[(r, *j)];
            }
        }
        let mut sum = symmetric(&(&left * right.transpose()), 1.0);
        sum[(0, 0)] += y[0] + y[1];
        self.shares.iter().enumerate().for_each(|(i, share)| sum[(1 + i, 1 + i)] -= share * y[1]);
        sum
    }

    /// Returns the multipliers of the largest bound, or the first ones that seem to prove a positive one.
    fn solve(&self) -> Option<Vec<f64>> {
        let (n, count) = (self.cost.nrows(), self.count());
        let identity: Mat<f64> = Mat::identity(n, n);
        let start = |i: usize| if self.has_sign(i) { 1.0 } else { 0.0 };
        let mut state = Point {
            x: identity.clone(),
            s: Scale(3.0) * &identity,
            slack: vec![1.0; count],
            y: (0..count).map(start).collect(),
        };
        let mut best: Option<Vec<f64>> = None;
        for _ in 0..STEPS {
            let missing = &self.cost - self.combine(&state.y) - &state.s;
            let moments = self.apply(&state.x);
            let unmet = |i: usize| f64::from(i == 0) - moments[i] + if self.has_sign(i) { state.slack[i] } else { 0.0 };
            let unmet: Vec<f64> = (0..count).map(unmet).collect();
            let apart = unmet.iter().fold(0.0f64, |most, x| most.max(x.abs()));
            let primal = inner(&self.cost, &state.x);
            if missing.norm_max() < 1e-9 {
                if best.as_ref().is_none_or(|best| state.y[0] > best[0]) {
                    best = Some(state.y.clone());
                }
                let is_decided = state.y[0] > GAP || apart < 1e-6 && primal < 0.0;
                if is_decided || apart < 1e-6 && primal - state.y[0] < GAP {
                    break;
                }
            }
            let Some((step, [along_x, along_s])) = self.step(&state, &missing, &unmet) else { break };
            state.x = symmetric(&(&state.x + Scale(along_x) * &step.x), 0.5);
            state.s = symmetric(&(&state.s + Scale(along_s) * &step.s), 0.5);
            for i in 0..count {
                state.y[i] += along_s * step.y[i];
                state.slack[i] += along_x * step.slack[i];
            }
        }
        best
    }

    /// Returns a step of predictor and corrector, and how far to go along it in `X` and in `S`.
    fn step(&self, state: &Point, missing: &Mat<f64>, unmet: &[f64]) -> Option<(Point, [f64; 2])> {
        let inverse = inverse_estimate(state.s.as_ref())?;
        let schur = self.schur(state, &inverse);
        let variables = (self.cost.nrows() + (0..self.count()).filter(|&i| self.has_sign(i)).count()) as f64;
        let complementarity = |x: &Mat<f64>, s: &Mat<f64>, slack: &[f64], y: &[f64]| {
            let signs = (0..self.count()).filter(|&i| self.has_sign(i));
            (inner(x, s) + signs.map(|i| slack[i] * y[i]).sum::<f64>()) / variables
        };
        let mu = complementarity(&state.x, &state.s, &state.slack, &state.y);
        let towards = |target: f64, second: Option<&Point>| {
            self.direction((state, &inverse, &schur), missing, unmet, target, second)
        };
        let predictor = towards(0.0, None)?;
        let [a, b] = self.lengths(state, &predictor);
        let after = complementarity(
            &(&state.x + Scale(a) * &predictor.x),
            &(&state.s + Scale(b) * &predictor.s),
            &combined(&state.slack, a, &predictor.slack),
            &combined(&state.y, b, &predictor.y),
        );
        let centering = if a.min(b) > 0.1 { (after / mu).powi(2).clamp(1e-3, 1.0) } else { 0.5 };
        let step = towards(centering * mu, Some(&predictor))?;
        let lengths = self.lengths(state, &step);
        (lengths[0] > 1e-6 || lengths[1] > 1e-6).then_some((step, lengths))
    }

    /// Returns the Schur matrix, `⟨Aᵢ, S⁻¹AⱼX⟩`, scaled to a diagonal of 1 by the numbers that are returned, too.
    fn schur(&self, state: &Point, inverse: &Mat<f64>) -> (Mat<f64>, Vec<f64>) {
        let count = self.count();
        let (by_u, by_x) = (inverse * &self.factors, &state.x * &self.factors);
        let (u, x) = (self.factors.transpose() * &by_u, self.factors.transpose() * &by_x);
        let mut schur: Mat<f64> = Mat::zeros(count, count);
        for (b, ([k, l], _)) in self.products.iter().enumerate() {
            for (a, ([i, j], _)) in self.products.iter().enumerate().take(b + 1) {
                let sum = u[(*j, *k)] * x[(*l, *i)] + u[(*j, *l)] * x[(*k, *i)];
                let rest = u[(*i, *k)] * x[(*l, *j)] + u[(*i, *l)] * x[(*k, *j)];
                let entry = 0.25 * (sum + rest);
                (schur[(2 + a, 2 + b)], schur[(2 + b, 2 + a)]) = (entry, entry);
            }
        }
        let first = Mat::from_fn(inverse.nrows(), inverse.nrows(), |i, j| inverse[(i, 0)] * state.x[(0, j)]);
        let mut signed = state.x.clone();
        for i in 1..signed.nrows() {
            let share = self.shares.get(i - 1).copied().unwrap_or(0.0);
            (0..signed.ncols()).for_each(|j| signed[(i, j)] *= -share);
        }
        for (row, product) in [first, inverse * &signed].into_iter().enumerate() {
            for (i, entry) in self.apply(&symmetric(&product, 0.5)).into_iter().enumerate() {
                (schur[(row, i)], schur[(i, row)]) = (entry, entry);
            }
        }
        (0..count).filter(|&i| self.has_sign(i)).for_each(|i| schur[(i, i)] += state.slack[i] / state.y[i]);
        let scales: Vec<f64> = (0..count).map(|i| 1.0 / schur[(i, i)].sqrt()).collect();
        let scaled =
            Mat::from_fn(count, count, |i, j| schur[(i, j)] * scales[i] * scales[j] + if i == j { 1e-13 } else { 0.0 });
        (scaled, scales)
    }

    /// Returns the direction to `XS = target`, of first order, or of second order after a predictor.
    fn direction(
        &self,
        (state, inverse, (schur, scales)): (&Point, &Mat<f64>, &(Mat<f64>, Vec<f64>)),
        missing: &Mat<f64>,
        unmet: &[f64],
        target: f64,
        predictor: Option<&Point>,
    ) -> Option<Point> {
        let count = self.count();
        let second = predictor.map(|step| &step.x * &step.s * inverse);
        let of_sign = |i: usize| {
            let second = predictor.map_or(0.0, |step| step.slack[i] * step.y[i]);
            (target - second) / state.y[i] - state.slack[i]
        };
        // Where X goes without a change of y.
        let mut drift = Scale(target) * inverse - &state.x * missing * inverse - &state.x;
        if let Some(second) = &second {
            drift -= second;
        }
        let drift = symmetric(&drift, 0.5);
        let moved = self.apply(&drift);
        let right = |i: usize| unmet[i] - moved[i] + if self.has_sign(i) { of_sign(i) } else { 0.0 };
        let right = Mat::from_fn(count, 1, |i, _| right(i) * scales[i]);
        let solution = solve_symmetric_estimate(schur.as_ref(), right.as_ref())?;
        let y: Vec<f64> = (0..count).map(|i| solution[(i, 0)] * scales[i]).collect();
        let change = self.combine(&y);
        let x = drift + symmetric(&(&state.x * &change * inverse), 0.5);
        let slack =
            (0..count).map(|i| if self.has_sign(i) { of_sign(i) - state.slack[i] / state.y[i] * y[i] } else { 0.0 });
        let step = Point { x, s: missing - change, slack: slack.collect(), y };
        (step.x.norm_max().is_finite() && step.s.norm_max().is_finite()).then_some(step)
    }

    /// Returns how far `X` and `S` may go.
    fn lengths(&self, state: &Point, step: &Point) -> [f64; 2] {
        let signs = |v: &[f64], dv: &[f64]| {
            let least = (0..self.count()).filter(|&i| self.has_sign(i) && dv[i] < 0.0).map(|i| -v[i] / dv[i]);
            least.fold(f64::INFINITY, f64::min)
        };
        let matrix = |x: &Mat<f64>, dx: &Mat<f64>, most: f64| {
            let mut length = most;
            while length > 1e-7 && cholesky_estimate((x + Scale(length) * dx).as_ref()).is_none() {
                length *= 0.8;
            }
            length
        };
        let length = |x: &Mat<f64>, dx: &Mat<f64>, v: &[f64], dv: &[f64]| {
            let most = signs(v, dv).min(1.1);
            (0.95 * matrix(x, dx, most)).min(1.0)
        };
        [length(&state.x, &step.x, &state.slack, &step.slack), length(&state.s, &step.s, &state.y, &step.y)]
    }
}

/// Returns `c(A + Aᵀ)`.
fn symmetric(a: &Mat<f64>, c: f64) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.nrows(), |i, j| c * (a[(i, j)] + a[(j, i)]))
}

fn inner(a: &Mat<f64>, b: &Mat<f64>) -> f64 {
    (0..a.ncols()).map(|j| a.col(j).transpose() * b.col(j)).sum()
}

fn combined(x: &[f64], a: f64, dx: &[f64]) -> Vec<f64> {
    x.iter().zip(dx).map(|(x, dx)| x + a * dx).collect()
}
