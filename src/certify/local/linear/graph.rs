//! A network as a graph of affine maps, sums, and functions of one number: what linear bounds pass through.
//!
//! Skips are sums of what comes out of two nodes. A step of an explicit Runge–Kutta method is a sum of the point that it
//! starts from and the field at its stages; a field is made of matrices, their transposes and a function. The larger of two
//! numbers is `a + relu(b − a)`, so maxima and sorted groups are matrices and ReLUs, and the interval of a difference is
//! known as well as that of any other argument.

use std::ops::Range;

use super::matrix::Matrix;
use crate::{
    activation::Activation,
    model::{Field, Flow, Linear, Map, Method, Partial, Pooling, Potential, SplitMethod, Tensor, Window, units},
    tableau::Coefficients,
    tensor::Shape,
};

/// The largest number of entries of a matrix.
const LARGEST_MATRIX: usize = 1 << 22;
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
}

impl Graph {
    /// The graph of layers in a row, numbered from `first` on; none if one of them is not known, or too large.
    pub(super) fn new(layers: &[Map], first: usize, input: Shape) -> Option<Self> {
        let mut graph = Self { nodes: Vec::new(), output: 0 };
        let (mut at, mut shape) = (graph.push(Op::Input, input.len()), input);
        for (i, layer) in layers.iter().enumerate() {
            at = graph.map(layer, shape, at)?;
            shape = layer.output(shape).ok()?;
            graph.nodes[at].layers.push(first + i);
        }
        graph.output = at;
        Some(graph)
    }

    /// The nodes that a node is computed from.
    pub(super) fn sources(op: &Op) -> Vec<usize> {
        match op {
            Op::Input => vec![],
            Op::Affine { from, .. } | Op::Function { from, .. } | Op::Norms { from, .. } => vec![*from],
            Op::Sum { terms, .. } => terms.iter().map(|(_, from)| *from).collect(),
        }
    }

    fn push(&mut self, op: Op, width: usize) -> usize {
        self.nodes.push(Node { op, width, layers: Vec::new() });
        self.nodes.len() - 1
    }

    fn sum(&mut self, terms: Vec<(f64, usize)>, bias: Option<Vec<f64>>) -> usize {
        let width = self.nodes[terms[0].1].width;
        self.push(Op::Sum { terms, bias }, width)
    }

    fn function(&mut self, function: Activation, from: usize) -> usize {
        let width = self.nodes[from].width;
        self.push(Op::Function { function, coordinates: 0..width, from }, width)
    }

    /// What a matrix makes of a node.
    fn times(&mut self, matrix: Matrix, bias: Option<Vec<f64>>, from: usize) -> usize {
        let width = matrix.outputs();
        let bias = bias.unwrap_or_else(|| vec![0.0; width]);
        self.push(Op::Affine { matrix, bias, from }, width)
    }

    fn linear(&mut self, linear: &Linear, shape: Shape, from: usize) -> Option<usize> {
        let (matrix, bias) = Matrix::new(linear, shape, LARGEST_MATRIX)?;
        Some(self.times(matrix, Some(bias), from))
    }

    /// What the transpose of the matrix of `linear` makes of a node.
    fn adjoint(&mut self, linear: &Linear, shape: Shape, from: usize) -> Option<usize> {
        let (matrix, _) = Matrix::new(linear, shape, LARGEST_MATRIX)?;
        Some(self.times(matrix.transposed(), None, from))
    }

    fn map(&mut self, map: &Map, shape: Shape, from: usize) -> Option<usize> {
        if self.nodes.len() > MOST_NODES {
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
            Map::Flow(flow) => self.flow(flow, shape, from),
            Map::Opaque(_) => None,
        }
    }

    /// Each group of channels sorted, by comparing neighbors: odd-even transposition, as many rounds as there are numbers.
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

    /// The largest numbers of windows, as a knockout: `a + relu(b − a)` for two at a time.
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

    /// The steps of a flow, each of them a sum.
    fn flow(&mut self, flow: &Flow, shape: Shape, from: usize) -> Option<usize> {
        let (h, mut at) = (flow.step, from);
        if flow.is_open() || !(h.is_normal() || h == 0.0) {
            return None;
        }
        if let (Method::Split(method), [field]) = (&flow.method, &flow.fields[..]) {
            for _ in 0..flow.steps {
                at = self.split_step(*method, field, h, shape, at)?;
            }
            return Some(at);
        }
        let tableau = flow.method.tableau().ok().filter(|tableau| tableau.is_explicit())?;
        let Coefficients { a, b, .. } = tableau.rounded::<f64>();
        for step in 0..flow.steps {
            if self.nodes.len() > MOST_NODES {
                return None;
            }
            let field = flow.fields.get(step).or(flow.fields.first())?;
            // The terms of the field at each stage.
            let mut slopes: Vec<Vec<(f64, usize)>> = Vec::new();
            let along = |weights: &[f64], slopes: &[Vec<(f64, usize)>]| -> Option<Vec<(f64, usize)>> {
                let scaled = weights.iter().zip(slopes).filter(|(w, _)| **w != 0.0);
                let terms = scaled.flat_map(|(w, terms)| terms.iter().map(move |&(c, node)| (w, c, node)));
                // A product that underflows is off by more than three roundings.
                let product = |(w, c, node): (&f64, f64, usize)| {
                    let product = h * w * c;
                    (product.is_normal() || h == 0.0 || c == 0.0).then_some((product, node))
                };
                terms.map(product).collect()
            };
            for row in &a {
                let moved = along(row, &slopes)?;
                let stage = if moved.is_empty() { at } else { self.sum([vec![(1.0, at)], moved].concat(), None) };
                slopes.push(self.field(field, shape, stage)?);
            }
            at = self.sum([vec![(1.0, at)], along(&b, &slopes)?].concat(), None);
        }
        Some(at)
    }

    /// A field at a node, as a sum of nodes with factors that are numbers as they stand.
    fn field(&mut self, field: &Field, space: Shape, x: usize) -> Option<Vec<(f64, usize)>> {
        Some(match field {
            Field::Gradient { activation, operator, weights } => {
                vec![(-1.0, self.gradient(operator, *activation, weights.as_ref(), space, x)?)]
            }
            Field::Residual { activation, inner, outer } => {
                vec![(1.0, self.residual(inner, *activation, outer, space, x)?)]
            }
            Field::Dissipative { activation, operator, skew, damping } => {
                let force = self.gradient(operator, *activation, None, space, x)?;
                [vec![(-1.0, force)], self.skew(skew, *damping, space, x)?].concat()
            }
            Field::SkewLinear { skew } => self.skew(skew, 0.0, space, x)?,
            Field::Antisymmetric { activation, matrix, bias, damping } => {
                let terms = self.skew(matrix, *damping, space, x)?;
                let z = self.sum(terms, bias.as_ref().map(|bias| spread(bias, space)));
                vec![(1.0, self.function(*activation, z))]
            }
            Field::Nais { activation, factor, bias, epsilon } => {
                let inner = self.linear(factor, space, x)?;
                let square = self.adjoint(factor, space, inner)?;
                let z = self.sum(vec![(-1.0, square), (-epsilon, x)], bias.as_ref().map(|bias| spread(bias, space)));
                vec![(1.0, self.function(*activation, z))]
            }
            Field::Lurie { activation, linear, inner, outer } => {
                let straight = self.linear(linear, space, x)?;
                vec![(1.0, straight), (1.0, self.residual(inner, *activation, outer, space, x)?)]
            }
            Field::Hamiltonian { kinetic, potential } => {
                vec![self.drift(kinetic, space, x)?, self.kick(potential, space, x)?]
            }
            Field::DissipativeHamiltonian { activation, operator, quadratic, skew, damping } => {
                let force = self.gradient(operator, *activation, None, space, x)?;
                let inner = self.linear(quadratic, space, x)?;
                let square = self.adjoint(quadratic, space, inner)?;
                let energy = self.sum(vec![(1.0, force), (1.0, square)], None);
                self.skew(skew, *damping, space, energy)?
            }
            Field::Opaque(_) => return None,
        })
    }

    /// `Wᵀ diag(δ) σ(Wx + b)`.
    fn gradient(
        &mut self,
        operator: &Linear,
        activation: Activation,
        weights: Option<&Tensor>,
        space: Shape,
        x: usize,
    ) -> Option<usize> {
        let (matrix, bias) = Matrix::new(operator, space, LARGEST_MATRIX)?;
        let adjoint = matrix.transposed();
        let z = self.times(matrix, Some(bias), x);
        let mut s = self.function(activation, z);
        if let Some(weights) = weights {
            let weights = spread(weights, operator.output(space).ok()?);
            s = self.times(Matrix::diagonal(weights), None, s);
        }
        Some(self.times(adjoint, None, s))
    }

    /// `Vσ(Wx + b) + c`.
    fn residual(&mut self, inner: &Linear, f: Activation, outer: &Linear, space: Shape, x: usize) -> Option<usize> {
        let z = self.linear(inner, space, x)?;
        let s = self.function(f, z);
        self.linear(outer, inner.output(space).ok()?, s)
    }

    /// `(S − Sᵀ − γI)x`.
    fn skew(&mut self, skew: &Linear, damping: f64, space: Shape, x: usize) -> Option<Vec<(f64, usize)>> {
        let terms = [(1.0, self.linear(skew, space, x)?), (-1.0, self.adjoint(skew, space, x)?)];
        Some(terms.into_iter().chain((damping != 0.0).then_some((-damping, x))).collect())
    }

    /// `(Kᵀσ(Kp + b), 0)`.
    fn drift(&mut self, kinetic: &Potential, space: Shape, x: usize) -> Option<(f64, usize)> {
        self.force(kinetic, space, x, space.len() / 2).map(|node| (1.0, node))
    }

    /// `(0, −Wᵀσ(Wq + c))`.
    fn kick(&mut self, potential: &Potential, space: Shape, x: usize) -> Option<(f64, usize)> {
        self.force(potential, space, x, 0).map(|node| (-1.0, node))
    }

    /// The gradient of a potential of one half of the coordinates, from `start` on, in the place of the other.
    fn force(&mut self, potential: &Potential, space: Shape, x: usize, start: usize) -> Option<usize> {
        let (n, half) = (space.len(), space.len() / 2);
        let part = match space {
            Shape::Features(n) => Shape::Features(n / 2),
            Shape::Image { channels, height, width } => Shape::image(channels / 2, height, width),
        };
        let own = self.times(Matrix::selection(n, (start..start + half).map(Some)), None, x);
        let force = self.gradient(&potential.operator, potential.activation, None, part, own)?;
        let other = half - start;
        let places = (0..n).map(|i| i.checked_sub(other).filter(|&k| k < half));
        Some(self.times(Matrix::selection(half, places), None, force))
    }

    fn split_step(&mut self, method: SplitMethod, field: &Field, h: f64, space: Shape, x: usize) -> Option<usize> {
        match (method, field) {
            (SplitMethod::SymplecticEuler | SplitMethod::StormerVerlet, Field::Hamiltonian { kinetic, potential }) => {
                let parts: &[(f64, bool)] = match method {
                    SplitMethod::SymplecticEuler => &[(1.0, true), (1.0, false)],
                    _ => &[(0.5, true), (1.0, false), (0.5, true)],
                };
                let mut at = x;
                for &(part, is_kick) in parts {
                    let (c, node) =
                        if is_kick { self.kick(potential, space, at)? } else { self.drift(kinetic, space, at)? };
                    at = self.sum(vec![(1.0, at), (part * h * c, node)], None);
                }
                Some(at)
            }
            (SplitMethod::ExponentialEuler, Field::Dissipative { activation, operator, skew, damping }) => {
                let (e, phi) = SplitMethod::exponentials(*damping, h);
                let force = self.gradient(operator, *activation, None, space, x)?;
                let turned = self.skew(skew, 0.0, space, x)?;
                let along = turned.into_iter().map(|(c, node)| (phi * c, node));
                Some(self.sum([(e, x), (-phi, force)].into_iter().chain(along).collect(), None))
            }
            _ => None,
        }
    }
}

/// One number for each channel or feature, coordinate by coordinate.
fn spread(numbers: &Tensor, shape: Shape) -> Vec<f64> {
    let numbers = numbers.wide();
    (0..shape.len()).map(|i| numbers[i / shape.points()]).collect()
}

/// The coordinates of each window of each channel.
fn windows(pooling: &Pooling, shape: Shape) -> Option<Vec<Vec<usize>>> {
    let output = pooling.output(shape).ok()?;
    let (count, points) = (output.points(), shape.points());
    let mut groups = vec![Vec::new(); output.len()];
    for channel in 0..units(shape) {
        pooling.visit(shape, output, |window, point| groups[channel * count + window].push(channel * points + point));
    }
    Some(groups)
}
