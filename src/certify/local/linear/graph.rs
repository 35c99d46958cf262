//! A network as a graph of affine maps, sums, and functions of one number: what linear bounds pass through.
//!
//! Skips are sums of what comes out of two nodes. Flows are in `flows`. The larger of two numbers is `a + relu(b − a)`, so maxima and sorted groups are matrices and ReLUs, and the interval of a difference is
//! known as well as that of any other argument.

use std::ops::Range;

use super::matrix::Matrix;
use crate::{
    activation::Activation,
    model::{Householder, Linear, Map, Partial, Pooling, Window, units},
    tensor::Shape,
};

/// The largest number of entries of a matrix.
pub(super) const LARGEST_MATRIX: usize = 1 << 22;
/// The largest number of entries of all matrices of a graph: a quarter of a gigabyte.
const MOST_ENTRIES: usize = 1 << 24;
/// The largest number of nodes.
const MOST_NODES: usize = 1 << 12;
/// The largest group of numbers that is sorted, and the largest window whose maximum is taken.
const LARGEST_GROUP: usize = 16;

/// What a node computes of others, which come before it.
#[derive(Debug)]
pub(super) enum Op {
    /// What goes in.
    Input,
    /// `Wh + b`.
    Affine { matrix: Matrix, bias: Vec<f64>, from: usize },
    /// `Σ cₖhₖ + b`, each `c` within three roundings of what is meant.
    Sum { terms: Vec<(f64, usize)>, bias: Option<Vec<f64>> },
    /// A function of some coordinates; the others stay as they are.
    Function { function: Activation, coordinates: Range<usize>, from: usize },
    /// The Euclidean norms of groups of coordinates.
    Norms { groups: Vec<Vec<usize>>, from: usize },
}

/// A node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    /// How many numbers it is.
    pub(super) width: usize,
    /// The layers of the network that it is the output of: what they add when they are executed is added here.
    pub(super) layers: Vec<usize>,
}

/// A graph; the last node is what comes out.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) nodes: Vec<Node>,
    /// The node that comes out.
    pub(super) output: usize,
    /// How many entries its matrices have.
    entries: usize,
}

impl Graph {
    /// Returns the graph of layers in a row, numbered from `first` on; none if one of them is not known, or too large.
    pub(super) fn new(layers: &[Map], first: usize, input: Shape) -> Option<Self> {
        let mut graph = Self { nodes: Vec::new(), output: 0, entries: 0 };
        let (mut at, mut shape) = (graph.push(Op::Input, input.len()), input);
        for (i, layer) in layers.iter().enumerate() {
            at = graph.map(layer, shape, at)?;
            shape = layer.output(shape).ok()?;
            graph.nodes[at].layers.push(first + i);
        }
        graph.output = at;
        (!graph.is_large()).then_some(graph)
    }

    /// Returns the nodes that a node is computed from.
    pub(super) fn sources(op: &Op) -> Vec<usize> {
        match op {
            Op::Input => vec![],
            Op::Affine { from, .. } | Op::Function { from, .. } | Op::Norms { from, .. } => vec![*from],
            Op::Sum { terms, .. } => terms.iter().map(|(_, from)| *from).collect(),
        }
    }

    /// Returns the most functions on a way from the input to what comes out.
    pub(super) fn depth(&self) -> usize {
        let mut depths: Vec<usize> = Vec::new();
        for node in &self.nodes {
            let before = Self::sources(&node.op).into_iter().map(|from| depths[from]).max().unwrap_or(0);
            depths.push(before + usize::from(matches!(node.op, Op::Function { .. } | Op::Norms { .. })));
        }
        depths[self.output]
    }

    /// Returns whether nothing more should be added.
    pub(super) fn is_large(&self) -> bool {
        self.nodes.len() > MOST_NODES || self.entries > MOST_ENTRIES
    }

    pub(super) fn push(&mut self, op: Op, width: usize) -> usize {
        self.nodes.push(Node { op, width, layers: Vec::new() });
        self.nodes.len() - 1
    }

    pub(super) fn sum(&mut self, terms: Vec<(f64, usize)>, bias: Option<Vec<f64>>) -> usize {
        let width = self.nodes[terms[0].1].width;
        self.push(Op::Sum { terms, bias }, width)
    }

    pub(super) fn function(&mut self, function: Activation, from: usize) -> usize {
        let width = self.nodes[from].width;
        self.push(Op::Function { function, coordinates: 0..width, from }, width)
    }

    /// Returns what a matrix makes of a node.
    pub(super) fn times(&mut self, matrix: Matrix, bias: Option<Vec<f64>>, from: usize) -> usize {
        let width = matrix.outputs();
        self.entries = self.entries.saturating_add(matrix.entries());
        let bias = bias.unwrap_or_else(|| vec![0.0; width]);
        self.push(Op::Affine { matrix, bias, from }, width)
    }

    pub(super) fn linear(&mut self, linear: &Linear, shape: Shape, from: usize) -> Option<usize> {
        let (matrix, bias) = Matrix::new(linear, shape, LARGEST_MATRIX)?;
        Some(self.times(matrix, Some(bias), from))
    }

    /// Returns what the transpose of the matrix of `linear` makes of a node.
    pub(super) fn adjoint(&mut self, linear: &Linear, shape: Shape, from: usize) -> Option<usize> {
        let (matrix, _) = Matrix::new(linear, shape, LARGEST_MATRIX)?;
        Some(self.times(matrix.transposed(), None, from))
    }

    fn map(&mut self, map: &Map, shape: Shape, from: usize) -> Option<usize> {
        if self.is_large() {
            return None;
        }
        match map {
            Map::Linear(Linear::Flatten {}) | Map::Activation(Activation::Identity {}) => Some(from),
            Map::Linear(linear) => self.linear(linear, shape, from),
            Map::Activation(function) => Some(self.function(*function, from)),
            Map::Partial(Partial { function, channels: [first, last] }) => {
                let coordinates = first * shape.points()..last * shape.points();
                Some(self.push(Op::Function { function: *function, coordinates, from }, shape.len()))
            }
            Map::Window(Window::Sort { group }) => self.sort(*group, shape, from),
            Map::Window(Window::MaxPool(pooling)) => self.max_pool(pooling, shape, from),
            Map::Window(Window::L2Pool(pooling)) => {
                let groups = windows(pooling, shape)?;
                let width = groups.len();
                Some(self.push(Op::Norms { groups, from }, width))
            }
            Map::Chain(maps) => {
                let (mut at, mut shape) = (from, shape);
                for map in maps {
                    at = self.map(map, shape, at)?;
                    shape = map.output(shape).ok()?;
                }
                Some(at)
            }
            Map::Sum(branches) | Map::Mean(branches) => {
                let share = if let Map::Mean(_) = map { 1.0 / branches.len() as f64 } else { 1.0 };
                let terms = branches.iter().map(|branch| Some((share, self.map(branch, shape, from)?)));
                let terms = terms.collect::<Option<Vec<_>>>()?;
                Some(self.sum(terms, None))
            }
            Map::Householder(householder) => self.householder(householder, shape, from),
            Map::Flow(flow) => self.flow(flow, shape, from),
            Map::Equilibrium(_) | Map::Opaque(_) => None,
        }
    }

    /// Returns each group of channels sorted, by comparing neighbors: odd-even transposition, as many rounds as there
    /// are numbers.
    fn sort(&mut self, group: usize, shape: Shape, from: usize) -> Option<usize> {
        if group > LARGEST_GROUP {
            return None;
        }
        let (points, n, mut at) = (shape.points(), shape.len(), from);
        for round in 0..if group > 1 { group.max(2) } else { 0 } {
            let first = round % 2;
            // Two numbers need one comparison.
            if first + 1 >= group {
                continue;
            }
            let mut pairs = Vec::new();
            for start in (0..units(shape)).step_by(group) {
                for c in (start + first..start + group - 1).step_by(2) {
                    pairs.extend((0..points).map(|p| (c * points + p, (c + 1) * points + p)));
                }
            }
            // The smaller is a − relu(a − b), the larger b + relu(a − b).
            let differences = pairs.iter().map(|&(a, b)| vec![(a, 1.0), (b, -1.0)]).collect();
            let difference = self.times(Matrix::Sparse { columns: n, rows: differences }, None, at);
            let excess = self.function(Activation::Relu {}, difference);
            let mut moved = vec![Vec::new(); n];
            for (k, &(a, b)) in pairs.iter().enumerate() {
                moved[a].push((k, -1.0));
                moved[b].push((k, 1.0));
            }
            let moved = self.times(Matrix::Sparse { columns: pairs.len(), rows: moved }, None, excess);
            at = self.sum(vec![(1.0, at), (1.0, moved)], None);
        }
        Some(at)
    }

    /// Groups of channels reflected where they lie behind their mirror: `z + 2v relu(−vᵀz)`.
    fn householder(&mut self, map: &Householder, shape: Shape, from: usize) -> Option<usize> {
        let [groups, size] = map.groups(shape).ok()?;
        let (v, points, n) = (map.vector.wide(), shape.points(), shape.len());
        let (mut rows, mut moved) = (Vec::new(), vec![Vec::new(); n]);
        for (group, point) in (0..groups).flat_map(|group| (0..points).map(move |point| (group, point))) {
            let of = |i: usize| ((group * size + i) * points + point, v[(group * size + i) % v.len()]);
            (0..size).map(of).for_each(|(place, v)| moved[place].push((rows.len(), 2.0 * v)));
            rows.push((0..size).map(of).map(|(place, v)| (place, -v)).collect());
        }
        // A number that is twice another one is exact, unless it overflows.
        moved.iter().flatten().all(|(_, twice)| twice.is_finite()).then_some(())?;
        let count = rows.len();
        let behind = self.times(Matrix::Sparse { columns: n, rows }, None, from);
        let excess = self.function(Activation::Relu {}, behind);
        let moved = self.times(Matrix::Sparse { columns: count, rows: moved }, None, excess);
        Some(self.sum(vec![(1.0, from), (1.0, moved)], None))
    }

    /// Returns the largest numbers of windows, as a knockout: `a + relu(b − a)` for two at a time.
    fn max_pool(&mut self, pooling: &Pooling, shape: Shape, from: usize) -> Option<usize> {
        let mut groups = windows(pooling, shape)?;
        if groups.iter().any(|group| group.is_empty() || group.len() > LARGEST_GROUP) {
            return None;
        }
        let mut at = from;
        while groups.iter().any(|group| group.len() > 1) {
            let columns = self.nodes[at].width;
            let (mut kept, mut pairs) = (Vec::new(), Vec::new());
            for group in &mut groups {
                let next = group.chunks(2).map(|pair| {
                    if let &[a, b] = pair {
                        pairs.push((kept.len(), a, b));
                    }
                    kept.push(Some(pair[0]));
                    kept.len() - 1
                });
                *group = next.collect();
            }
            let differences = pairs.iter().map(|&(_, a, b)| vec![(b, 1.0), (a, -1.0)]).collect();
            let difference = self.times(Matrix::Sparse { columns, rows: differences }, None, at);
            let excess = self.function(Activation::Relu {}, difference);
            let mut moved = vec![None; kept.len()];
            pairs.iter().enumerate().for_each(|(k, &(place, ..))| moved[place] = Some(k));
            let moved = self.times(Matrix::selection(pairs.len(), moved), None, excess);
            let kept = self.times(Matrix::selection(columns, kept), None, at);
            at = self.sum(vec![(1.0, kept), (1.0, moved)], None);
        }
        // Windows of one point: those are numbers of the image.
        let columns = self.nodes[at].width;
        Some(self.times(Matrix::selection(columns, groups.iter().map(|group| group.first().copied())), None, at))
    }
}

/// Returns the coordinates of each window of each channel.
fn windows(pooling: &Pooling, shape: Shape) -> Option<Vec<Vec<usize>>> {
    let output = pooling.output(shape).ok()?;
    let (count, points) = (output.points(), shape.points());
    let mut groups = vec![Vec::new(); output.len()];
    for channel in 0..units(shape) {
        pooling.visit(shape, output, |window, point| groups[channel * count + window].push(channel * points + point));
    }
    Some(groups)
}
