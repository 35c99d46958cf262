//! A search for multipliers. Nothing here is trusted.
//!
//! The least level `λ` for which some `t` makes the matrix `G(λ, t)` positive semidefinite, `ρ²` for a bound `ρ`, is that of
//! a semidefinite program; it is solved by a barrier method, `λ/μ − log det G − Σ log tᵢ → min` for falling `μ`, with Newton
//! steps. The derivative of `G` by `λ` is `EᵀE`, with `E` the rows of the input (or those of `f`), that by `tᵢ` is `pᵢqᵢᵀ + qᵢpᵢᵀ` with
//! `pᵢ = eᵢ − m aᵢ` and `qᵢ = eᵢ − L aᵢ`, `aᵢ` being the row of the neuron and `eᵢ` its place, so gradient and Hessian are
//! entries of `PᵀZP`, `PᵀZQ` and `QᵀZQ` with `Z = G⁻¹`.

use faer::{Accum, Mat};

use super::{
    Chain, Proposal, Stage,
    supply::{Free, Supply},
};
use crate::scalar::{cholesky_estimate, gemm, inverse_estimate, solve_symmetric_estimate};

/// How far `λ` may be from its least value, relatively.
const GAP: f64 = 1e-4;
/// The most Newton steps that are made.
const STEPS: usize = 150;

impl Chain {
    /// Multipliers and the bound that they seem to prove, if the search finds a start.
    pub fn propose(&self) -> Option<Proposal> {
        let chain = self.reduced();
        let point = chain.minimise(chain.start()?, GAP)?;
        let bound = libm::scalbn(point.level.sqrt(), self.exponent);
        Some(Proposal { bound, multipliers: self.by_stages(&point) })
    }

    /// Returns the point with the least level, up to `gap`, for which multipliers seem to prove what is bounded.
    pub(super) fn minimise(&self, start: Point, gap: f64) -> Option<Point> {
        let mut point = start;
        let variables = self.size() as f64 + point.multipliers.len() as f64;
        let mut mu = 10.0 * point.level.abs() / variables;
        let mut value = self.barrier(&point, mu)?;
        let mut earlier = f64::INFINITY;
        for step in 0..STEPS {
            // Near the end, tenths of a percent take many steps.
            if step % 10 == 0 && mu * variables < 0.2 * point.level.abs() {
                if earlier - point.level < 10.0 * gap * point.level.abs() {
                    break;
                }
                earlier = point.level;
            }
            let Some((direction, decrement)) = self.newton(&point, mu) else { break };
            if decrement < 0.7 {
                if mu * variables < gap * point.level.abs() {
                    break;
                }
                mu *= 0.1;
                value = self.barrier(&point, mu)?;
                continue;
            }
            // As far along the direction as lowers the barrier most.
            let (mut length, mut moved) = (1.0, None);
            while length > 1e-6 {
                let next = point.moved(&direction, length);
                let lower = |v: &f64| *v <= value - 0.1 * length * decrement * decrement;
                // A step that goes most of the way to the boundary saves some of the way now, and costs many steps later.
                let beyond = || self.barrier(&point.moved(&direction, 1.5 * length), mu).is_some();
                let reached = self.barrier(&next, mu).filter(lower).filter(|_| beyond());
                match (&moved, reached) {
                    (Some((_, best)), reached) if reached.is_none_or(|v| v >= *best) => break,
                    (_, Some(v)) => moved = Some((next, v)),
                    _ => {}
                }
                length *= 0.5;
            }
            match moved {
                Some((next, v)) => (point, value) = (next, v),
                None if mu * variables < gap * point.level.abs() => break,
                None => {
                    mu *= 0.1;
                    value = self.barrier(&point, mu)?;
                }
            }
        }
        Some(point)
    }

    fn by_stages(&self, point: &Point) -> Vec<Vec<f64>> {
        let mut rest = &point.multipliers[..];
        let split = |stage: &Stage| {
            let (head, tail) = rest.split_at(stage.weight.nrows());
            rest = tail;
            head.to_vec()
        };
        self.stages.iter().map(split).collect()
    }

    /// Returns a chain with the same program and no more inputs than neurons: `W₁` counts only through `W₁W₁ᵀ`, unless
    /// the input is added to the output.
    pub(super) fn reduced(&self) -> Self {
        let mut chain = self.clone();
        let first = &self.stages[0].weight;
        if !self.supply.has_input() && first.ncols() > first.nrows() {
            let mut gram: Mat<f64> = Mat::zeros(first.nrows(), first.nrows());
            gemm(gram.as_mut(), Accum::Replace, first.as_ref(), first.transpose());
            let jitter = 1e-13 * (0..gram.nrows()).map(|i| gram[(i, i)]).sum::<f64>();
            (0..gram.nrows()).for_each(|i| gram[(i, i)] += jitter);
            if let Some(factor) = cholesky_estimate(gram.as_ref()) {
                chain.stages[0].weight = factor;
            }
        }
        chain
    }

    /// Returns what proves the product of the norms, with room to move.
    pub(super) fn start(&self) -> Option<Point> {
        const ROOM: f64 = 1.5;
        let Supply { cross, square, shift, .. } = self.supply;
        let outer = self.outer.as_ref().map_or(1.0, squared_norm);
        let mut weight = if square > 0.0 { ROOM * square * outer } else { cross.abs() * outer.sqrt() };
        let mut multipliers = Vec::new();
        for stage in self.stages.iter().rev() {
            let [m, l] = stage.slopes;
            // With slopes in [m, L] and r = max(|m|, L): s² ≤ r²z² follows from the constraint times 2r/(L − m).
            let r = l.max(-m);
            let t = weight * r / (l - m);
            multipliers.splice(0..0, std::iter::repeat_n(t, stage.weight.nrows()));
            weight *= ROOM * r * r * squared_norm(&stage.weight);
        }
        let mut point = Point { level: weight + shift, multipliers };
        for _ in 0..60 {
            if self.barrier(&point, 1.0).is_some() {
                return Some(point);
            }
            point.level *= 2.0;
        }
        None
    }

    fn at(&self, point: &Point) -> Mat<f64> {
        let parts = self.by_stages(point);
        match self.supply.free {
            Free::Level => self.image(point.level, &parts),
            Free::Square => {
                let supply = Supply { square: -point.level, ..self.supply.clone() };
                Self { supply, ..self.clone() }.image(0.0, &parts)
            }
        }
    }

    /// Returns `λ/μ − log det G − Σ log tᵢ`; none outside the domain.
    pub(super) fn barrier(&self, point: &Point, mu: f64) -> Option<f64> {
        if point.multipliers.iter().any(|t| *t <= 0.0) {
            return None;
        }
        let factor = cholesky_estimate(self.at(point).as_ref())?;
        let log_det: f64 = (0..factor.nrows()).map(|i| 2.0 * factor[(i, i)].ln()).sum();
        let value = point.level / mu - log_det - point.multipliers.iter().map(|t| t.ln()).sum::<f64>();
        value.is_finite().then_some(value)
    }

    /// Returns `Ex` for the columns `x` of a matrix: the rows of the input, or `f` at them.
    fn free_rows(&self, x: &Mat<f64>, inputs: usize) -> Mat<f64> {
        let before = x.as_ref().subrows(0, inputs);
        let (Free::Square, Some(outer)) = (self.supply.free, &self.outer) else { return before.to_owned() };
        let mut f: Mat<f64> = Mat::zeros(outer.nrows(), x.ncols());
        gemm(f.as_mut(), Accum::Replace, outer.as_ref(), x.as_ref().subrows(inputs, outer.ncols()));
        if let Some(part) = &self.supply.linear {
            let mut image: Mat<f64> = Mat::zeros(outer.nrows(), x.ncols());
            gemm(image.as_mut(), Accum::Replace, part.matrix.as_ref(), before);
            f += faer::Scale(part.unit) * &image;
        }
        f
    }

    /// Returns the Newton direction of the barrier, `λ` first, and its decrement.
    fn newton(&self, point: &Point, mu: f64) -> Option<(Vec<f64>, f64)> {
        let z = inverse_estimate(self.at(point).as_ref())?;
        let offsets = self.offsets();
        let (inputs, total) = (offsets[1], offsets[offsets.len() - 1]);
        let neurons = total - inputs;
        // Y = ZA, where column i of A is the row of neuron i, in the block before its own.
        let mut y: Mat<f64> = Mat::zeros(total, neurons);
        for (j, stage) in self.stages.iter().enumerate() {
            let w = &stage.weight;
            let columns = y.as_mut().subcols_mut(offsets[j + 1] - inputs, w.nrows());
            gemm(columns, Accum::Replace, z.as_ref().subcols(offsets[j], w.ncols()), w.transpose());
        }
        let mut u: Mat<f64> = Mat::zeros(neurons, neurons);
        for (j, stage) in self.stages.iter().enumerate() {
            let w = &stage.weight;
            let rows = u.as_mut().subrows_mut(offsets[j + 1] - inputs, w.nrows());
            gemm(rows, Accum::Replace, w.as_ref(), y.as_ref().subrows(offsets[j], w.ncols()));
        }
        let slopes: Vec<[f64; 2]> =
            self.stages.iter().flat_map(|s| std::iter::repeat_n(s.slopes, s.weight.nrows())).collect();
        // (eᵢ − a aᵢ)ᵀ Z (eⱼ − b aⱼ)
        let form = |i: usize, a: f64, j: usize, b: f64| {
            z[(inputs + i, inputs + j)] - b * y[(inputs + i, j)] - a * y[(inputs + j, i)] + a * b * u[(i, j)]
        };
        // EZ and EY, where EᵀE is the derivative by the level.
        let (ez, ey) = (self.free_rows(&z, inputs), self.free_rows(&y, inputs));
        let eze = self.free_rows(&ez.transpose().to_owned(), inputs);
        let mut hessian: Mat<f64> = Mat::zeros(1 + neurons, 1 + neurons);
        let mut gradient: Mat<f64> = Mat::zeros(1 + neurons, 1);
        gradient[(0, 0)] = 1.0 / mu - (0..eze.nrows()).map(|c| eze[(c, c)]).sum::<f64>();
        hessian[(0, 0)] = eze.squared_norm_l2();
        for j in 0..neurons {
            let ([mj, lj], t) = (slopes[j], point.multipliers[j]);
            gradient[(1 + j, 0)] = -2.0 * form(j, mj, j, lj) - 1.0 / t;
            let component = |c: usize, a: f64| ez[(c, inputs + j)] - a * ey[(c, j)];
            hessian[(1 + j, 0)] = 2.0 * (0..ez.nrows()).map(|c| component(c, mj) * component(c, lj)).sum::<f64>();
            hessian[(0, 1 + j)] = hessian[(1 + j, 0)];
            for i in j..neurons {
                let [mi, li] = slopes[i];
                let mixed = form(i, li, j, mj) * form(i, mi, j, lj);
                let equal = form(i, li, j, lj) * form(i, mi, j, mj);
                hessian[(1 + i, 1 + j)] = 2.0 * (mixed + equal);
                hessian[(1 + j, 1 + i)] = hessian[(1 + i, 1 + j)];
            }
            hessian[(1 + j, 1 + j)] += 1.0 / (t * t);
        }
        // Scaled to a unit diagonal: multipliers of different layers differ by orders of magnitude.
        let scale: Vec<f64> = (0..=neurons).map(|i| 1.0 / hessian[(i, i)].sqrt()).collect();
        let scaled = Mat::from_fn(1 + neurons, 1 + neurons, |i, j| hessian[(i, j)] * scale[i] * scale[j]);
        let right = Mat::from_fn(1 + neurons, 1, |i, _| -gradient[(i, 0)] * scale[i]);
        // Where rounding has made the Hessian indefinite, a multiple of its diagonal is added.
        [0.0, 1e-13, 1e-10, 1e-7, 1e-4].into_iter().find_map(|added| {
            let mut damped = scaled.clone();
            (0..=neurons).for_each(|i| damped[(i, i)] += added);
            let solution = solve_symmetric_estimate(damped.as_ref(), right.as_ref())?;
            let direction: Vec<f64> = (0..=neurons).map(|i| solution[(i, 0)] * scale[i]).collect();
            let decrement = -direction.iter().enumerate().map(|(i, d)| d * gradient[(i, 0)]).sum::<f64>();
            (decrement >= 0.0).then(|| (direction, decrement.sqrt()))
        })
    }
}

/// `λ` and the multipliers of all stages.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub level: f64,
    pub multipliers: Vec<f64>,
}

impl Point {
    fn moved(&self, direction: &[f64], length: f64) -> Self {
        let multipliers = self.multipliers.iter().zip(&direction[1..]).map(|(t, d)| t + length * d).collect();
        Self { level: self.level + length * direction[0], multipliers }
    }
}

/// About `‖W‖²`, by a few steps of the power method, and not much below it.
pub(super) fn squared_norm(w: &Mat<f64>) -> f64 {
    let mut v = Mat::from_fn(w.ncols(), 1, |i, _| 1.0 + 0.1 * ((7 * i % 11) as f64));
    let mut level = 0.0;
    for _ in 0..30 {
        let size = v.norm_l2();
        v = w.transpose() * (w * (&v * faer::Scale(1.0 / size)));
        level = v.norm_l2();
    }
    1.05 * level
}
