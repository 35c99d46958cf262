//! The form of a step, in intervals, and the proof that it is positive semidefinite.

use faer::Mat;

use crate::{
    certificate::{Inequality, StageInequality},
    rigor::{
        Interval,
        directed::{add_up, exponent, power_of_two, sub_up},
        psd::is_positive_semidefinite,
    },
    tableau::{Surd, Tableau},
};

/// The coefficients of a method, enclosed.
#[derive(Debug)]
pub(super) struct Coefficients {
    a: Vec<Vec<Interval>>,
    b: Vec<Interval>,
}

/// `p`, `q` and `r` of a stage: the coefficients of `ψᵢ²`, `2ψᵢξᵢ` and `ξᵢ²`.
type Bracket<N> = [N; 3];

impl Coefficients {
    pub fn of(tableau: &Tableau) -> Self {
        let row = |row: &[Surd]| row.iter().map(enclose).collect();
        Self { a: tableau.a().iter().map(|a| row(a)).collect(), b: row(tableau.b()) }
    }

    pub fn stages(&self) -> usize {
        self.b.len()
    }

    /// Returns `ξᵢ` as numbers of `(x, ψ)`, stage by stage, and `η`, the end of the step.
    pub fn vectors(&self) -> (Vec<Vec<Interval>>, Vec<Interval>) {
        let vector = |row: &Vec<Interval>| [&[Interval::exact(1.0)], &row[..]].concat();
        (self.a.iter().map(vector).collect(), vector(&self.b))
    }

    /// Returns whether the form for `ρ = bound` is proved positive semidefinite.
    pub fn prove(&self, inequalities: &[StageInequality], bound: f64) -> bool {
        is_nonnegative(self.form(inequalities, bound))
    }

    /// Returns the symmetric matrix of the form.
    fn form(&self, inequalities: &[StageInequality], bound: f64) -> Vec<Vec<Interval>> {
        let (stages, end) = self.vectors();
        let n = end.len();
        let mut form: Vec<Vec<Interval>> = (0..n).map(|j| (0..n).map(|k| -(end[j] * end[k])).collect()).collect();
        let bound = Interval::exact(bound);
        form[0][0] = form[0][0] + bound * bound;
        for (i, xi) in stages.iter().enumerate() {
            let [p, q, r] = bracket_of_stage(inequalities, i);
            form[i + 1][i + 1] = form[i + 1][i + 1] + p;
            for k in 0..n {
                // q(ψᵢξᵢ + ξᵢψᵢ)
                let across = q * xi[k];
                form[i + 1][k] = form[i + 1][k] + across;
                form[k][i + 1] = form[k][i + 1] + across;
            }
            for j in (0..n).filter(|&j| !r.is_zero() && !xi[j].is_zero()) {
                let scaled = r * xi[j];
                for k in (0..n).filter(|&k| !xi[k].is_zero()) {
                    form[j][k] = form[j][k] + scaled * xi[k];
                }
            }
        }
        form
    }
}

/// Returns the sum of the brackets of stage `i`, with their multipliers.
fn bracket_of_stage(inequalities: &[StageInequality], i: usize) -> Bracket<Interval> {
    let mut sum = [Interval::default(); 3];
    for StageInequality { inequality, multipliers } in inequalities {
        let t = Interval::exact(multipliers[i]);
        for (sum, x) in sum.iter_mut().zip(bracket(*inequality)) {
            *sum = *sum + t * x;
        }
    }
    sum
}

/// Returns `p`, `q` and `r` of an inequality.
pub(super) fn bracket(inequality: Inequality) -> Bracket<Interval> {
    let x = Interval::exact;
    match inequality {
        Inequality::Curvature([a, b]) => [x(1.0), x(0.5) * (x(a) + x(b)), x(a) * x(b)],
        Inequality::OneSided(m) => [x(0.0), x(0.5), x(-m)],
        Inequality::Lipschitz(l) => [x(1.0), x(0.0), -(x(l) * x(l))],
        Inequality::Cocoercive(c) => [x(c), x(0.5), x(0.0)],
    }
}

/// Returns the two numbers of `f64` that an exact one lies between.
fn enclose(x: &Surd) -> Interval {
    let low = x.lower();
    let high = if Surd::from_f64(low).is_ok_and(|low| low == *x) { low } else { low.next_up() };
    Interval { low, high }
}

/// Returns whether every symmetric matrix in these intervals is proved positive semidefinite.
fn is_nonnegative(mut form: Vec<Vec<Interval>>) -> bool {
    let n = form.len();
    // Powers of two, so that the diagonal is about 1: this keeps definiteness.
    let mut scales = Vec::with_capacity(n);
    for (i, row) in form.iter().enumerate() {
        let d = row[i].low;
        if !(d > 0.0 && d.is_finite()) {
            return false;
        }
        scales.push(Interval::exact(power_of_two(-exponent(d).div_euclid(2))));
    }
    for (i, row) in form.iter_mut().enumerate() {
        row.iter_mut().zip(&scales).for_each(|(x, s)| *x = *x * scales[i] * *s);
    }
    let middle = |x: Interval| 0.5 * x.low + 0.5 * x.high;
    // Both triangles were summed in the same order, but nothing rests on it.
    let image = Mat::from_fn(n, n, |i, j| middle(form[i.max(j)][i.min(j)]));
    let off = |i: usize, j: usize| {
        let x = image[(i, j)];
        [form[i][j], form[j][i]].into_iter().map(|e| sub_up(e.high, x).max(sub_up(x, e.low))).fold(0.0, f64::max)
    };
    let error: Vec<f64> = (0..n).map(|i| (0..n).map(|j| off(i, j)).fold(0.0, add_up)).collect();
    error.iter().all(|e| e.is_finite()) && is_positive_semidefinite(image.as_ref(), &error)
}
