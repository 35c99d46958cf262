//! Linear bounds: a margin over a region is at least a linear function of the input, found node by node from behind.
//!
//! | file | what it holds |
//! |---|---|
//! | `graph` | a network as a graph: matrices, sums, functions of one number, Euclidean norms |
//! | `flows` | the steps of flows in it |
//! | `matrix` | affine maps in plain numbers |
//! | `region` | the inputs: a ball, a box, both; the least value of a linear function there |
//! | `lines` | lines above and below a function, their intercepts proved |
//! | `norms` | linear functions above and below a norm |
//! | `intervals` | forward: an interval of every number |
//! | `backward` | backward: linear functions pulled back to the input, every rounding charged |
//! | `quadratic` | products of such functions, where lines do not prove a margin |
//! | `search` | the largest radius that holds |
//!
//! Of the lines through 0 below a ReLU any is one: the slopes of those that margins use are improved by a few steps against
//! the point of the region at which the linear function is least. Nothing rests on how they were found.
//!
//! A graph may begin behind the first layers, where these are not known or too large: then its region is the ball that the
//! Lipschitz constant of the first layers allows.
//!
//! Source: Zhang, Weng, Chen, Hsieh, Daniel, *Efficient neural network robustness certification with general activation
//! functions* (CROWN), NeurIPS 2018; for the slopes Xu et al., *Fast and complete* (α-CROWN), ICLR 2021.

mod backward;
mod flows;
mod graph;
mod intervals;
mod known;
mod lines;
mod matrix;
mod norms;
mod quadratic;
mod region;
mod search;

use self::{
    backward::{Slopes, Start, Trace, Within},
    graph::{Graph, Op},
    lines::Curve,
    matrix::Coefficients,
    quadratic::Problem,
};
pub(super) use self::{
    region::{Region, circumradius},
    search::search,
};
use crate::{
    model::Map,
    rigor::directed::{add_up, sub_down},
    tensor::Shape,
};

/// The most products of two numbers for the intervals within one region: about a second.
const MOST_PRODUCTS: usize = 1 << 32;
/// How often the slopes of margins are improved.
const REFINEMENTS: usize = 6;
/// How often those of intervals are, where a margin is nearly proved.
const INNER_REFINEMENTS: usize = 2;

/// The layers of a network from one of them on.
#[derive(Debug)]
pub(super) struct Tail {
    /// The first layer.
    pub(super) first: usize,
    graph: Graph,
}

impl Tail {
    /// Returns as many of the last layers of a network as are known and not too large.
    pub(super) fn new(map: &Map, input: Shape) -> Option<Self> {
        let (layers, mut shapes) = (map.layers(), vec![input]);
        for layer in layers {
            shapes.push(layer.output(shapes[shapes.len() - 1]).ok()?);
        }
        let mut costs = Vec::new();
        let mut first = layers.len();
        while first > 0 {
            let Some(graph) = Graph::new(&layers[first - 1..first], 0, shapes[first - 1]) else { break };
            costs.insert(0, Cost::new(&graph));
            if total(&costs) > MOST_PRODUCTS {
                break;
            }
            first -= 1;
        }
        let graph = Graph::new(&layers[first..], first, shapes[first])?;
        Some(Self { first, graph })
    }

    /// Returns whether a function or a norm is in it: else linear bounds are the Lipschitz constant of the layers
    /// before.
    pub(super) fn bends(&self) -> bool {
        self.graph.nodes.iter().any(|node| matches!(node.op, Op::Function { .. } | Op::Norms { .. }))
    }

    /// Returns whether quadratic bounds know all its functions.
    pub(super) fn has_products(&self) -> bool {
        self.graph.nodes.iter().all(|node| match &node.op {
            Op::Function { function, .. } => Curve::new(*function).free().is_some(),
            Op::Norms { .. } => false,
            Op::Input | Op::Affine { .. } | Op::Sum { .. } => true,
        })
    }

    /// Returns the least of `fᵢ − fⱼ − needed` that is proved over the region, for the class `i` and the other classes
    /// `j` in order: the class is separated if it is positive. `added` is what each layer of the network adds when it
    /// is executed, as a norm; what the last layer adds to the logits is in `needed`.
    ///
    /// `nearly` is how far a margin may be from proved for the slopes of intervals to be improved for it.
    pub(super) fn separate(&self, class: usize, needed: &[f64], nearly: f64, region: &Region, added: &[f64]) -> f64 {
        let added = self.added(added);
        let mut margins = Margins { class, needed, proved: vec![f64::NEG_INFINITY; needed.len() + 1] };
        margins.proved[class] = f64::INFINITY;
        for refinements in [0, INNER_REFINEMENTS] {
            let known = self.graph.known(region, &added, refinements);
            self.improve(&mut margins, Within { region, known: &known, added: &added });
            // What is far from proved is not saved by any slopes; and without a function behind another there are none.
            if margins.least() > 0.0 || margins.least() < -nearly || self.graph.depth() < 2 {
                break;
            }
        }
        margins.least()
    }

    /// As [`Self::separate`] of the exact network, with quadratic bounds for the margins that linear ones do not prove. `lead` is an
    /// estimate of the least margin at the sample.
    pub(super) fn separate_quadratically(&self, class: usize, needed: &[f64], lead: f64, region: &Region) -> f64 {
        let added = self.added(&[]);
        let mut margins = Margins { class, needed, proved: vec![f64::NEG_INFINITY; needed.len() + 1] };
        margins.proved[class] = f64::INFINITY;
        let known = self.graph.known(region, &added, INNER_REFINEMENTS);
        let within = Within { region, known: &known, added: &added };
        self.improve(&mut margins, within);
        let mut open: Vec<usize> = (0..margins.proved.len()).filter(|&j| margins.proved[j] <= 0.0).collect();
        // What is likely to fail is tried first.
        open.sort_by(|&i, &j| margins.proved[i].total_cmp(&margins.proved[j]));
        let rows = margins.rows(&open);
        let Some(problem) = (!open.is_empty()).then(|| Problem::new(&self.graph, rows, within)).flatten() else {
            return margins.least();
        };
        for (k, &j) in open.iter().enumerate() {
            margins.raise(j, |needed| problem.least(k, needed, lead));
            if margins.proved[j] <= 0.0 {
                break;
            }
        }
        margins.least()
    }

    /// Bounds the margins that are not proved, and improves the slopes that they use, as long as it may help.
    fn improve(&self, margins: &mut Margins<'_>, within: Within<'_>) {
        let mut open: Vec<usize> = (0..margins.proved.len()).filter(|&j| margins.proved[j] <= 0.0).collect();
        let mut slopes: Vec<(usize, Coefficients)> = Vec::new();
        for refinement in 0..=REFINEMENTS {
            let mut trace = Trace::default();
            let bounds = self.bound(margins.rows(&open), within, &slopes, &mut trace);
            let before = margins.least();
            open.iter().zip(&bounds).for_each(|(&j, bound)| margins.raise(j, |needed| sub_down(*bound, needed)));
            let (least, left) = (margins.least(), (REFINEMENTS - refinement) as f64);
            let is_far = refinement > 0 && (least - before) * left < -least;
            if least > 0.0 || !least.is_finite() || is_far || trace.behind.is_empty() || refinement == REFINEMENTS {
                break;
            }
            slopes = self.graph.refined(self.graph.output, &slopes, &trace, within, 1.0 / (refinement as f64 + 2.0));
            // The rows that are proved are done.
            let kept: Vec<usize> = (0..open.len()).filter(|&row| margins.proved[open[row]] <= 0.0).collect();
            slopes.iter_mut().for_each(|(_, slopes)| *slopes = slopes.only(&kept));
            open = kept.into_iter().map(|row| open[row]).collect();
        }
    }

    /// Lower bounds of linear functions of what comes out, over a region.
    pub(super) fn least(&self, rows: &[Vec<f64>], region: &Region, added: &[f64]) -> Vec<f64> {
        let added = self.added(added);
        let known = self.graph.known(region, &added, INNER_REFINEMENTS);
        let within = Within { region, known: &known, added: &added };
        let mut coefficients = Coefficients::zeros(rows.len(), self.graph.nodes[self.graph.output].width);
        for (r, row) in rows.iter().enumerate() {
            row.iter().enumerate().for_each(|(j, c)| coefficients.column_mut(j)[r] = *c);
        }
        let (mut best, mut slopes) = (vec![f64::NEG_INFINITY; rows.len()], Vec::new());
        for refinement in 0..=REFINEMENTS {
            let mut trace = Trace::default();
            let bounds = self.bound(coefficients.clone(), within, &slopes, &mut trace);
            best.iter_mut().zip(bounds).for_each(|(best, bound)| *best = best.max(bound));
            if trace.behind.is_empty() || refinement == REFINEMENTS {
                break;
            }
            slopes = self.graph.refined(self.graph.output, &slopes, &trace, within, 1.0 / (refinement as f64 + 2.0));
        }
        best
    }

    fn bound(&self, rows: Coefficients, within: Within<'_>, slopes: &Slopes, trace: &mut Trace) -> Vec<f64> {
        self.graph.lower_bounds(self.graph.output, Start::Rows(rows), within, slopes, trace)
    }

    /// Returns what each node adds.
    fn added(&self, by_layer: &[f64]) -> Vec<f64> {
        let of = |layers: &[usize]| layers.iter().filter_map(|&i| by_layer.get(i)).fold(0.0, |sum, &e| add_up(sum, e));
        self.graph.nodes.iter().map(|node| of(&node.layers)).collect()
    }
}

/// The margins of a class over the others: what is proved of each beyond what is needed.
struct Margins<'a> {
    class: usize,
    needed: &'a [f64],
    /// Class by class; of the class itself infinite.
    proved: Vec<f64>,
}

impl Margins<'_> {
    /// Takes what is proved beyond what is needed for a class.
    fn raise(&mut self, j: usize, beyond: impl FnOnce(f64) -> f64) {
        let needed = self.needed[if j < self.class { j } else { j - 1 }];
        self.proved[j] = self.proved[j].max(beyond(needed));
    }

    /// Returns the margins over some classes, as functions of the logits.
    fn rows(&self, classes: &[usize]) -> Coefficients {
        let mut rows = Coefficients::zeros(classes.len(), self.proved.len());
        for (row, &j) in classes.iter().enumerate() {
            rows.column_mut(self.class)[row] = 1.0;
            rows.column_mut(j)[row] = -1.0;
        }
        rows
    }

    fn least(&self) -> f64 {
        self.proved.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

/// What a layer costs: products of one row with all its matrices, and for each node whose intervals are wanted twice its width
/// and the products before it.
struct Cost {
    products: usize,
    wanted: Vec<(usize, usize)>,
}

impl Cost {
    fn new(graph: &Graph) -> Self {
        let mut cost = Self { products: 0, wanted: Vec::new() };
        for node in &graph.nodes {
            match &node.op {
                Op::Affine { matrix, .. } => cost.products += matrix.products(),
                Op::Function { coordinates, .. } => cost.wanted.push((2 * coordinates.len(), cost.products)),
                Op::Norms { groups, .. } => {
                    cost.wanted.push((2 * groups.iter().map(Vec::len).sum::<usize>(), cost.products));
                }
                Op::Input | Op::Sum { .. } => {}
            }
        }
        cost
    }
}

fn total(costs: &[Cost]) -> usize {
    let (mut before, mut all) = (0usize, 0usize);
    for cost in costs {
        for (rows, products) in &cost.wanted {
            all = all.saturating_add(rows.saturating_mul(before + products));
        }
        before += cost.products;
    }
    all.saturating_add(before)
}
