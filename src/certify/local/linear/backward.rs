//! Backward: lower bounds of linear functions of a node, pulled back to the input.
//!
//! Rows `Λ` of coefficients are kept for every node that is still to be passed, and for all inputs of the region
//!
//! ```math
//! g(x) \ge \sum_v \Lambda_v h_v(x) + \text{constant} - \text{lost}.
//! ```
//!
//! A node is passed by expressing its `h` by those before it: an affine map exactly, a function by one of its two lines, by
//! the sign of the coefficient.
//!
//! # Rounding
//!
//! `Λ` is computed in `f64`, and what it is off by is charged where it arises. With bounds `m` of the magnitudes of what
//! goes into a node, `|fl(ΛW) − ΛW|m ≤ γ|Λ||W|m`, which costs a product with a vector, not with a matrix. In executed
//! semantics a layer adds an error of norm `e` to what it puts out, and `Λ` moves by at most `‖Λ‖e` for it; the intervals are
//! then those of the program's numbers.

use super::{
    graph::{Graph, Op},
    known::Known,
    lines::{Curve, Line},
    matrix::{Coefficients, Matrix},
    region::Region,
};
use crate::rigor::directed::{ETA, U, add_down, add_up, enlarge_sum, gamma, mul_up, norm_up, sub_down};

/// The linear functions that are bounded.
pub(super) enum Start {
    /// A coordinate each, times 1 or −1.
    Units(Vec<(usize, f64)>),
    /// Any.
    Rows(Coefficients),
}

/// What a pass leaves behind: the coefficients of every function whose slopes are free, and those in front.
#[derive(Default)]
pub(super) struct Trace {
    pub(super) behind: Vec<(usize, Coefficients)>,
    pub(super) front: Option<Coefficients>,
}

/// Slopes of lines below, for functions that leave them free: by node, one for each row and coordinate.
pub(super) type Slopes = [(usize, Coefficients)];

/// Where linear functions are bounded.
#[derive(Clone, Copy)]
pub(super) struct Within<'a> {
    pub(super) region: &'a Region,
    /// What is known of each node there.
    pub(super) known: &'a [Known],
    /// What each node adds when it is executed, as a norm.
    pub(super) added: &'a [f64],
}

/// What is known of the rows beside their coefficients.
pub(super) struct Rest {
    pub(super) constants: Vec<f64>,
    pub(super) lost: Vec<f64>,
}

/// Functions that are not expressed by lines: what they make of some coordinates are variables of their own.
pub(super) struct Open {
    /// For some nodes, those coordinates in order, and the number of the first of their variables.
    pub(super) nodes: Vec<(usize, Vec<usize>, usize)>,
    /// The coefficients of these variables.
    pub(super) rows: Coefficients,
}

/// Sums over the coordinates of a node, row by row, as computed.
struct Sums {
    value: Vec<f64>,
    size: Vec<f64>,
}

impl Sums {
    fn new(rows: usize) -> Self {
        Self { value: vec![0.0; rows], size: vec![0.0; rows] }
    }
}

impl Rest {
    /// Adds constants that are sums of `terms` products, and charges `γ` of `terms + 8` roundings of `size`, which bounds the
    /// magnitudes of everything that is computed along, and underflows of products with numbers of the sum `total`.
    fn charge(&mut self, sums: &Sums, terms: usize, total: f64) {
        let (relative, tiny) = (gamma(terms + 8, U), mul_up(mul_up((terms + 4) as f64, ETA), add_up(4.0, total)));
        for (row, (constant, lost)) in self.constants.iter_mut().zip(&mut self.lost).enumerate() {
            *constant = add_down(*constant, sums.value[row]);
            let size = add_up(enlarge_sum(sums.size[row], terms + 2), tiny);
            *lost = add_up(*lost, add_up(mul_up(relative, size), tiny));
        }
    }
}

impl Graph {
    /// Lower bounds of linear functions of a node for all inputs of a region. `slopes` are those of lines below functions,
    /// where they are free.
    pub(super) fn lower_bounds(
        &self,
        start: usize,
        from: Start,
        within: Within<'_>,
        slopes: &Slopes,
        trace: &mut Trace,
    ) -> Vec<f64> {
        let (front, rest) = self.pull(start, from, within, slopes, trace, None);
        let bound = |row: usize| {
            let least = within.region.least(&front.row(row));
            let bound = sub_down(add_down(rest.constants[row], least), rest.lost[row]);
            if bound.is_nan() { f64::NEG_INFINITY } else { bound }
        };
        let bounds = (0..front.rows).map(bound).collect();
        trace.front = Some(front);
        bounds
    }

    /// Returns linear functions of a node pulled back to the input, and to variables that are left open: the coefficients of the input
    /// and, in `open`, of the variables.
    pub(super) fn pull(
        &self,
        start: usize,
        from: Start,
        Within { region, known, added }: Within<'_>,
        slopes: &Slopes,
        trace: &mut Trace,
        mut open: Option<&mut Open>,
    ) -> (Coefficients, Rest) {
        let mut pending: Vec<Option<Coefficients>> = (0..=start).map(|_| None).collect();
        let rows = match &from {
            Start::Units(units) => units.len(),
            Start::Rows(rows) => rows.rows,
        };
        let mut rest = Rest { constants: vec![0.0; rows], lost: vec![0.0; rows] };
        match (from, &self.nodes[start].op) {
            (Start::Units(units), Op::Affine { matrix, bias, from }) => {
                rest.lost.fill(added[start]);
                pending[*from] = Some(rest.units(&units, matrix, bias, &known[start].scale));
            }
            (Start::Units(units), _) => {
                let mut rows = Coefficients::zeros(units.len(), self.nodes[start].width);
                units.iter().enumerate().for_each(|(r, &(i, sign))| rows.column_mut(i)[r] = sign);
                pending[start] = Some(rows);
            }
            (Start::Rows(rows), _) => pending[start] = Some(rows),
        }
        let mut front = None;
        for v in (0..=start).rev() {
            let Some(lambda) = pending[v].take() else { continue };
            if added[v] > 0.0 {
                let charge = |(row, lost): (usize, &mut f64)| {
                    *lost = add_up(*lost, mul_up(norm_up(&lambda.row(row)), added[v]));
                };
                rest.lost.iter_mut().enumerate().for_each(charge);
            }
            match &self.nodes[v].op {
                Op::Input => front = Some(lambda),
                Op::Affine { matrix, bias, from } => {
                    let (product, terms) = matrix.pull(&lambda);
                    let mut sums = Sums::new(rows);
                    for (i, (b, scale)) in bias.iter().zip(&known[v].scale).enumerate() {
                        for ((c, value), size) in lambda.column(i).iter().zip(&mut sums.value).zip(&mut sums.size) {
                            *value += c * b;
                            *size += c.abs() * scale;
                        }
                    }
                    let total = total(&known[*from].magnitude);
                    rest.charge(&sums, terms.max(bias.len()), total);
                    rest.merge(&mut pending[*from], product, &known[*from].magnitude);
                }
                Op::Sum { terms, bias } => {
                    let mut sums = Sums::new(rows);
                    for i in 0..lambda.columns() {
                        let (b, scale) = (bias.as_ref().map_or(0.0, |bias| bias[i]), known[v].scale[i]);
                        for ((c, value), size) in lambda.column(i).iter().zip(&mut sums.value).zip(&mut sums.size) {
                            *value += c * b;
                            *size += c.abs() * scale;
                        }
                    }
                    let all: f64 = terms.iter().map(|(_, from)| total(&known[*from].magnitude)).fold(0.0, add_up);
                    rest.charge(&sums, lambda.columns().max(4), all);
                    for &(c, from) in terms {
                        rest.merge(&mut pending[from], lambda.scaled(c), &known[from].magnitude);
                    }
                }
                Op::Function { function, coordinates, from } => {
                    let curve = Curve::new(*function);
                    if curve.free().is_some() {
                        trace.behind.push((v, lambda.clone()));
                    }
                    let free = slopes.iter().find(|(node, _)| *node == v).map(|(_, slopes)| slopes);
                    let mut lambda = lambda;
                    if let Some(open) = &mut open {
                        open.take(v, &mut lambda);
                    }
                    let mut sums = Sums::new(rows);
                    for (line, i) in known[v].lines.iter().zip(coordinates.clone()) {
                        let mut steepest = line.steepest();
                        if let Some([low, high]) = curve.free() {
                            steepest = steepest.max(low.abs().max(high.abs()));
                        }
                        let moved = mul_up(steepest, known[*from].magnitude[i]);
                        let given = free.filter(|_| line.is_free).map(|slopes| slopes.column(i));
                        let bounds = curve.free().unwrap_or_default();
                        let mut below = Pass { line: line.below, moved };
                        let above = Pass { line: line.above, moved };
                        for (r, c) in lambda.column_mut(i).iter_mut().enumerate() {
                            if let Some(given) = given {
                                // A NaN is clamped to nothing, and found at the end.
                                below.line = Line { slope: given[r].clamp(bounds[0], bounds[1]), intercept: 0.0 };
                            }
                            let pass = if *c >= 0.0 { &below } else { &above };
                            if *c != 0.0 {
                                let shift = *c * pass.line.intercept;
                                sums.value[r] += shift;
                                sums.size[r] += shift.abs() + c.abs() * pass.moved;
                                *c *= pass.line.slope;
                            }
                        }
                    }
                    rest.charge(&sums, 2 * coordinates.len(), total(&known[*from].magnitude));
                    rest.merge(&mut pending[*from], lambda, &known[*from].magnitude);
                }
                Op::Norms { groups, from } => {
                    let (mut product, before) = (Coefficients::zeros(rows, self.nodes[*from].width), &known[*from]);
                    let (mut sums, mut products) = (Sums::new(rows), 0);
                    for ((k, group), lines) in groups.iter().enumerate().zip(&known[v].norms) {
                        products += group.len();
                        let column = lambda.column(k);
                        for ((&j, below), above) in group.iter().zip(&lines.below).zip(&lines.above) {
                            let moved = mul_up(below.abs().max(above.abs()), before.magnitude[j]);
                            for (r, (c, sum)) in column.iter().zip(product.column_mut(j)).enumerate() {
                                *sum += c * if *c >= 0.0 { below } else { above };
                                sums.size[r] += c.abs() * moved;
                            }
                        }
                        for (r, c) in column.iter().enumerate().filter(|(_, c)| **c < 0.0 || c.is_nan()) {
                            sums.value[r] += c * lines.intercept;
                            sums.size[r] += (c * lines.intercept).abs();
                        }
                    }
                    rest.charge(&sums, products + groups.len(), total(&before.magnitude));
                    rest.merge(&mut pending[*from], product, &before.magnitude);
                }
            }
        }
        (front.unwrap_or_else(|| Coefficients::zeros(rows, region.width())), rest)
    }

    /// Slopes that are better at the points of the region where the linear functions of a trace of `start` are least: larger
    /// where the argument is positive there, by a `part` of what is left. An estimate; every slope between the two of a function is one
    /// of a line below it.
    pub(super) fn refined(
        &self,
        start: usize,
        slopes: &Slopes,
        trace: &Trace,
        Within { region, known, .. }: Within<'_>,
        part: f64,
    ) -> Vec<(usize, Coefficients)> {
        let Some(front) = &trace.front else { return Vec::new() };
        let rows = front.rows;
        let mut points = Coefficients::zeros(rows, region.width());
        for row in 0..rows {
            let point = region.minimizer(&front.row(row));
            point.iter().enumerate().for_each(|(j, x)| points.column_mut(j)[row] = *x);
        }
        let (mut values, mut next): (Vec<Coefficients>, Vec<(usize, Coefficients)>) = (Vec::new(), Vec::new());
        for (v, node) in self.nodes[..=start].iter().enumerate() {
            let value = match &node.op {
                Op::Input => points.clone(),
                Op::Affine { matrix, bias, from } => {
                    let mut value = matrix.apply(&values[*from]);
                    bias.iter().enumerate().for_each(|(i, b)| value.column_mut(i).iter_mut().for_each(|y| *y += b));
                    value
                }
                Op::Sum { terms, bias } => {
                    let mut value = Coefficients::zeros(rows, node.width);
                    for i in 0..node.width {
                        value.column_mut(i).fill(bias.as_ref().map_or(0.0, |bias| bias[i]));
                        for (c, from) in terms {
                            let pairs = value.column_mut(i).iter_mut().zip(values[*from].column(i));
                            pairs.for_each(|(y, x)| *y += c * x);
                        }
                    }
                    value
                }
                Op::Function { function, coordinates, from } => {
                    let behind = trace.behind.iter().find(|(node, _)| *node == v).map(|(_, lambda)| lambda);
                    let given = slopes.iter().find(|(node, _)| *node == v).map(|(_, slopes)| slopes);
                    let free = Curve::new(*function).free();
                    let mut value = values[*from].clone();
                    let mut improved = behind.map(|_| Coefficients::zeros(rows, node.width));
                    for (line, i) in known[v].lines.iter().zip(coordinates.clone()) {
                        for (r, z) in value.column_mut(i).iter_mut().enumerate() {
                            let lower = given.map_or(line.below.slope, |slopes| slopes.column(i)[r]);
                            let is_above = behind.is_some_and(|lambda| lambda.column(i)[r] < 0.0);
                            if let (Some(improved), Some([low, high])) = (&mut improved, free) {
                                let target = if *z > 0.0 { high } else { low };
                                improved.column_mut(i)[r] = lower + part * (target - lower);
                            }
                            *z = match (is_above, line.is_free) {
                                (true, _) => line.above.slope * *z + line.above.intercept,
                                (false, true) => lower * *z,
                                (false, false) => line.below.slope * *z + line.below.intercept,
                            };
                        }
                    }
                    next.extend(improved.map(|slopes| (v, slopes)));
                    value
                }
                Op::Norms { groups, from } => {
                    let mut value = Coefficients::zeros(rows, node.width);
                    for (k, group) in groups.iter().enumerate() {
                        for r in 0..rows {
                            let squares = group.iter().map(|&j| values[*from].column(j)[r].powi(2));
                            value.column_mut(k)[r] = squares.sum::<f64>().sqrt();
                        }
                    }
                    value
                }
            };
            values.push(value);
        }
        next
    }
}

impl Open {
    /// Takes the coefficients of a node's variables.
    fn take(&mut self, node: usize, lambda: &mut Coefficients) {
        let Some((_, coordinates, first)) = self.nodes.iter().find(|(at, ..)| *at == node) else { return };
        for (k, &i) in coordinates.iter().enumerate() {
            self.rows.column_mut(first + k).copy_from_slice(lambda.column(i));
            lambda.column_mut(i).fill(0.0);
        }
    }
}

/// A line, and a bound of what it makes of its argument.
struct Pass {
    line: Line,
    moved: f64,
}

impl Rest {
    /// Returns what coordinates of an affine map are of what goes in: its rows as they stand.
    fn units(&mut self, units: &[(usize, f64)], matrix: &Matrix, bias: &[f64], scale: &[f64]) -> Coefficients {
        let mut rows = Coefficients::zeros(units.len(), matrix.inputs());
        let mut sums = Sums::new(units.len());
        for (r, &(i, sign)) in units.iter().enumerate() {
            // Parts of an entry add up.
            matrix.row(i, |j, x| rows.column_mut(j)[r] += sign * x);
            (sums.value[r], sums.size[r]) = (sign * bias[i], scale[i]);
        }
        self.charge(&sums, matrix.most_parts(), 0.0);
        rows
    }

    /// Adds coefficients to those that a node has already.
    fn merge(&mut self, pending: &mut Option<Coefficients>, more: Coefficients, magnitude: &[f64]) {
        let Some(sum) = pending else {
            *pending = Some(more);
            return;
        };
        let mut sums = Sums::new(more.rows);
        for (j, m) in magnitude.iter().enumerate() {
            for ((sum, more), size) in sum.column_mut(j).iter_mut().zip(more.column(j)).zip(&mut sums.size) {
                *sum += more;
                *size += sum.abs() * m;
            }
        }
        self.charge(&sums, magnitude.len(), 0.0);
    }
}

/// Returns an upper bound of a sum of magnitudes.
fn total(magnitude: &[f64]) -> f64 {
    enlarge_sum(magnitude.iter().sum(), magnitude.len())
}
