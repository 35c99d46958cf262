//! Forward: an interval of every number of a graph, first by interval arithmetic, then by linear bounds where a function
//! needs it.

use super::{
    backward::{Start, Trace, Within},
    graph::{Graph, Node, Op},
    known::Known,
    lines::Curve,
    matrix::Matrix,
    norms::NormLines,
    region::Region,
};
use crate::rigor::directed::{ETA, U, add_down, add_up, enlarge_sum, gamma, mul_up, norm_up, sub_down};

impl Graph {
    /// Returns what is known of every node, `added` being what each node adds when it is executed, as a norm. The
    /// slopes of each bound are improved `refinements` times.
    pub(super) fn known(&self, region: &Region, added: &[f64], refinements: usize) -> Vec<Known> {
        let mut known: Vec<Known> = Vec::with_capacity(self.nodes.len());
        for (v, node) in self.nodes.iter().enumerate() {
            let mut here = crude(node, region, &known);
            for range in &mut here.range {
                *range = [sub_down(range[0], added[v]), add_up(range[1], added[v])];
            }
            here.magnitude = here.range.iter().map(|[low, high]| low.abs().max(high.abs())).collect();
            known.push(here);
            let wanted = self.wanted(v, &known[v].range);
            if !wanted.is_empty() {
                let units: Vec<_> = wanted.iter().map(|&i| (i, 1.0)).chain(wanted.iter().map(|&i| (i, -1.0))).collect();
                let (mut bounds, mut slopes) = (vec![f64::NEG_INFINITY; units.len()], Vec::new());
                let within = Within { region, known: &known, added };
                for refinement in 0..=refinements {
                    let mut trace = Trace::default();
                    let start = Start::Units(units.clone());
                    let found = self.lower_bounds(v, start, within, &slopes, &mut trace);
                    bounds.iter_mut().zip(found).for_each(|(bound, found)| *bound = bound.max(found));
                    if trace.behind.is_empty() || refinement == refinements {
                        break;
                    }
                    slopes = self.refined(v, &slopes, &trace, within, 1.0 / (refinement as f64 + 2.0));
                }
                let here = &mut known[v];
                for (k, &i) in wanted.iter().enumerate() {
                    let [low, high] = here.range[i];
                    here.range[i] = [low.max(bounds[k]), high.min(-bounds[wanted.len() + k])];
                    here.magnitude[i] = here.range[i][0].abs().max(here.range[i][1].abs());
                }
            }
        }
        known
    }

    /// Returns the coordinates of a node whose intervals matter: those that a function bends.
    fn wanted(&self, v: usize, range: &[[f64; 2]]) -> Vec<usize> {
        let mut is_wanted = vec![false; range.len()];
        for node in &self.nodes[v + 1..] {
            match &node.op {
                Op::Function { function, coordinates, from } if *from == v => {
                    let curve = Curve::new(*function);
                    coordinates.clone().for_each(|i| is_wanted[i] |= !curve.is_straight(range[i]));
                }
                Op::Norms { groups, from } if *from == v => groups.iter().flatten().for_each(|&i| is_wanted[i] = true),
                _ => {}
            }
        }
        (0..range.len()).filter(|&i| is_wanted[i]).collect()
    }
}

/// Returns what interval arithmetic knows.
fn crude(node: &Node, region: &Region, known: &[Known]) -> Known {
    let none = |range| Known { range, magnitude: vec![], scale: vec![], lines: vec![], norms: vec![] };
    match &node.op {
        Op::Input => none(region.ranges()),
        Op::Affine { matrix, bias, from } => affine(matrix, bias, &known[*from]),
        Op::Sum { terms, bias } => {
            let (mut range, mut scale) = (Vec::new(), Vec::new());
            for i in 0..node.width {
                let b = bias.as_ref().map_or(0.0, |bias| bias[i]);
                let mut sums = Sums { low: b, high: b, size: b.abs() };
                terms.iter().for_each(|&(c, from)| sums.add(c, known[from].range[i], known[from].magnitude[i]));
                let (bounds, size) = sums.bounds(terms.len());
                range.push(bounds);
                scale.push(size);
            }
            Known { scale, ..none(range) }
        }
        Op::Function { function, coordinates, from } => {
            let (curve, mut range) = (Curve::new(*function), known[*from].range.clone());
            let lines = coordinates.clone().map(|i| curve.lines(range[i])).collect();
            coordinates.clone().for_each(|i| range[i] = curve.range(range[i]));
            Known { lines, ..none(range) }
        }
        Op::Norms { groups, from } => {
            let from = &known[*from];
            let largest = |group: &Vec<usize>| norm_up(&group.iter().map(|&i| from.magnitude[i]).collect::<Vec<_>>());
            let range = groups.iter().map(|group| [0.0, largest(group)]).collect();
            let norms = groups.iter().map(|group| NormLines::new(group.iter().map(|&i| from.range[i]).collect()));
            Known { norms: norms.collect(), ..none(range) }
        }
    }
}

/// Bounds of `Wh + b`.
fn affine(matrix: &Matrix, bias: &[f64], from: &Known) -> Known {
    let mut sums: Vec<Sums> = bias.iter().map(|&b| Sums { low: b, high: b, size: b.abs() }).collect();
    let mut terms = vec![0; bias.len()];
    match matrix {
        Matrix::Dense(w) => {
            for j in 0..w.ncols() {
                let (range, magnitude) = (from.range[j], from.magnitude[j]);
                sums.iter_mut().enumerate().for_each(|(i, sums)| sums.add(w[(i, j)], range, magnitude));
            }
            terms.fill(w.ncols());
        }
        Matrix::Sparse { rows, .. } => {
            for ((sums, terms), row) in sums.iter_mut().zip(&mut terms).zip(rows) {
                row.iter().for_each(|&(j, x)| sums.add(x, from.range[j], from.magnitude[j]));
                *terms = row.len();
            }
        }
    }
    let (range, scale) = sums.into_iter().zip(terms).map(|(sums, terms)| sums.bounds(terms)).unzip();
    Known { range, magnitude: vec![], scale, lines: vec![], norms: vec![] }
}

/// The ends of an interval of a sum of products, and the sum of their magnitudes, as computed.
struct Sums {
    low: f64,
    high: f64,
    size: f64,
}

impl Sums {
    #[inline]
    fn add(&mut self, c: f64, [low, high]: [f64; 2], magnitude: f64) {
        let (low, high) = if c >= 0.0 { (low, high) } else { (high, low) };
        self.low += c * low;
        self.high += c * high;
        self.size += c.abs() * magnitude;
    }

    /// Returns bounds of the sum of `terms` products, and of its size: three roundings of each factor are charged.
    fn bounds(&self, terms: usize) -> ([f64; 2], f64) {
        let tiny = mul_up((terms + 2) as f64, 4.0 * ETA);
        let size = add_up(enlarge_sum(mul_up(self.size, 1.0 + 16.0 * U), terms + 2), tiny);
        let off = add_up(mul_up(gamma(terms + 8, U), size), tiny);
        let low = add_down(self.low, -off);
        let high = add_up(self.high, off);
        // 0 · ∞ is no number, and says nothing.
        if low.is_nan() || high.is_nan() || size.is_nan() {
            return ([f64::NEG_INFINITY, f64::INFINITY], f64::INFINITY);
        }
        ([low, high], size)
    }
}
