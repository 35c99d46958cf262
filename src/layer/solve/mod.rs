//! Nonlinear systems of equations, by Newton's method without matrices: a line search, and Krylov spaces for its linear systems.
//!
//! How a solution was found decides nothing: whoever needs one looks at the norms of the residuals.

pub(crate) mod krylov;

pub(crate) use krylov::Block;

use crate::{scalar::Scalar, tensor::Batch};

/// The most steps of Newton's method.
const MOST_STEPS: usize = 40;
/// The most times that a step of it is halved.
const MOST_HALVINGS: usize = 12;
/// A step is slow if it leaves more than this part of every residual.
const SLOW: f64 = 0.9;
/// The number of slow steps in a row after which the solve gives up.
const MOST_STALLED: usize = 3;
/// How much smaller the residual of a linear system is than its right-hand side, at least.
const LINEAR: f64 = 1e-3;
/// The program refuses a sample `x` whose solution is larger than this times `1 + ‖x‖`, or further than that from `x`. So every
/// solution lies in a known ball, in which its rounding errors are bounded.
pub(crate) const FAR: f64 = 1048576.0;

/// Equations `R(x) = 0`, sample by sample, whose Jacobian has a definite symmetric part.
pub(crate) trait Equations<T: Scalar> {
    /// What an evaluation leaves for its derivatives.
    type Seen;

    /// Returns `R(x)`.
    fn residual(&self, x: &[Batch<T>]) -> (Block<T>, Self::Seen);

    /// Returns `R'(x)v`.
    fn linearized(&self, x: &[Batch<T>], seen: &Self::Seen, v: &[Batch<T>]) -> Block<T>;
}

/// Returns `vᵢ − h Σⱼ aᵢⱼwⱼ`: the left side of the equations of coupled stages, linear ones if `w` is the image of `v`.
pub(crate) fn coupled<T: Scalar>(v: &[Batch<T>], w: &[Batch<T>], h: T, a: impl Fn(usize, usize) -> T) -> Block<T> {
    let each = |(i, v): (usize, &Batch<T>)| {
        let mut y = v.clone();
        for (j, w) in w.iter().enumerate() {
            let a = a(i, j);
            if a != T::zero() {
                y.axpy(-(h * a), w);
            }
        }
        y
    };
    v.iter().enumerate().map(each).collect()
}

/// A point, and the residual of the equations there.
pub(crate) struct Solution<T: Scalar, S> {
    pub(crate) x: Block<T>,
    pub(crate) seen: S,
    residual: Block<T>,
    /// Bounds of the norms of the residual as computed; infinite if it holds a NaN.
    pub(crate) norms: Vec<f64>,
}

impl<T: Scalar, S> Solution<T, S> {
    fn at<E: Equations<T, Seen = S>>(equations: &E, x: Block<T>) -> Self {
        let (residual, seen) = equations.residual(&x);
        let norms = krylov::norms(&residual);
        Self { x, seen, residual, norms }
    }
}

/// Looks for the zero of `equations` from `start` on, until for each sample the residual has at most the norm of `targets`,
/// or the search gains nothing more.
pub(crate) fn solve<T: Scalar, E: Equations<T>>(
    equations: &E,
    start: Block<T>,
    targets: &[f64],
) -> Solution<T, E::Seen> {
    let samples = targets.len();
    let mut at = Solution::at(equations, start);
    let mut stalled = 0;
    for _ in 0..MOST_STEPS {
        let open: Vec<bool> = (0..samples).map(|s| at.norms[s] > targets[s] && at.norms[s].is_finite()).collect();
        if !open.contains(&true) {
            break;
        }
        // Solved samples have nothing on the right-hand side, and stay where they are.
        let mut right: Block<T> = at.residual.iter().map(|r| r.scaled(-T::one())).collect();
        for s in (0..samples).filter(|&s| !open[s]) {
            right.iter_mut().for_each(|right| right.sample_mut(s).fill(T::zero()));
        }
        let exact: Vec<f64> = (0..samples).map(|s| (LINEAR * at.norms[s]).max(0.1 * targets[s])).collect();
        let newton = krylov::solve(|v| equations.linearized(&at.x, &at.seen, v), &right, &exact);
        let Some(next) = searched(equations, &at, &newton, targets) else { break };
        // What rounding has left gets no smaller: there is no use in going on.
        let progress = (0..samples).any(|s| open[s] && next.norms[s] < SLOW * at.norms[s]);
        stalled = if progress { 0 } else { stalled + 1 };
        at = next;
        if stalled > MOST_STALLED {
            break;
        }
    }
    at
}

/// Returns the iterate after a step that makes every residual smaller that is not small: the whole step, a half, a
/// quarter, …, for each sample. None if no sample gains anything.
fn searched<T: Scalar, E: Equations<T>>(
    equations: &E,
    at: &Solution<T, E::Seen>,
    newton: &[Batch<T>],
    targets: &[f64],
) -> Option<Solution<T, E::Seen>> {
    let samples = targets.len();
    let mut lengths: Vec<f64> = (0..samples).map(|s| if at.norms[s] > targets[s] { 1.0 } else { 0.0 }).collect();
    for halving in 0..=MOST_HALVINGS {
        let mut x = at.x.clone();
        krylov::add(&mut x, &lengths, newton);
        let next = Solution::at(equations, x);
        let gains = |s: usize| next.norms[s] <= targets[s] || next.norms[s] < at.norms[s] * (1.0 - 1e-4 * lengths[s]);
        let worse: Vec<usize> = (0..samples).filter(|&s| lengths[s] > 0.0 && !gains(s)).collect();
        if worse.is_empty() {
            return lengths.iter().any(|&t| t > 0.0).then_some(next);
        }
        for s in worse {
            // In the last round, what does not gain stays.
            lengths[s] = if halving + 1 < MOST_HALVINGS { 0.5 * lengths[s] } else { 0.0 };
        }
    }
    None
}
