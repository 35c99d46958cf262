//! From a graph to a problem: what cannot switch within the region is passed, and the rest is open.
//!
//! An argument `z` is pulled back twice, from below and from above. Both functions are the same but for rounding, so that one of
//! them stands for `z`, off by what they differ.

use super::{
    super::{
        backward::{Open, Start, Trace, Within},
        graph::{Graph, Op},
        lines::Curve,
        matrix::Coefficients,
        region::circumradius,
    },
    problem::{Form, Neuron, Problem, size},
    span::Span,
};
use crate::rigor::directed::{add_down, add_up, mul_up, norm_up, sub_down, sub_up};

/// The most neurons that can switch.
const MOST_NEURONS: usize = 256;
/// The most coordinates of the input whose intervals are used.
const MOST_SIDES: usize = 256;

/// A neuron that can switch.
struct Switch {
    slopes: [f64; 2],
    /// Of its argument.
    range: [f64; 2],
}

/// The neurons that can switch, and where they are in a graph.
struct Switches {
    neurons: Vec<Switch>,
    /// For each node, the coordinates of its neurons, and the number of the first one.
    nodes: Vec<(usize, Vec<usize>, usize)>,
}

/// A function of the input and of neurons: at least `constant + ⟨front, Δx⟩ + ⟨open, s⟩`.
struct Row {
    constant: f64,
    front: Vec<f64>,
    open: Vec<f64>,
}

impl Problem {
    /// Returns linear functions of what comes out of a graph; none where quadratic bounds do not know all functions, where no neuron
    /// can switch, or too many.
    pub(in super::super) fn new(graph: &Graph, margins: Coefficients, within: Within<'_>) -> Option<Self> {
        let center = within.region.center();
        // A box has a ball around it; where its sides are not used, that ball is too large to be of use.
        let range = within.region.sides().filter(|range| range.len() <= MOST_SIDES);
        let radius = within.region.radius().or_else(|| Some(circumradius(range?, center)))?;
        let switches = Switches::new(graph, within)?;
        let count = margins.rows;
        let margins = switches.pull(graph, graph.output, Start::Rows(margins), count, within);
        let (mut below, mut above) = (Vec::new(), Vec::new());
        for (v, coordinates, _) in &switches.nodes {
            let from = Graph::sources(&graph.nodes[*v].op)[0];
            for (rows, sign) in [(&mut below, 1.0), (&mut above, -1.0)] {
                let units = Start::Units(coordinates.iter().map(|&i| (i, sign)).collect());
                rows.extend(switches.pull(graph, from, units, coordinates.len(), within));
            }
        }
        let between = |(below, above)| switches.between(below, above, radius);
        let offs: Vec<f64> = below.iter().zip(&above).map(between).collect();

        let (fronts, rest): (Vec<_>, Vec<_>) =
            below.into_iter().chain(margins).map(|row| (row.front, (row.constant, row.open))).unzip();
        // Intervals are about the coordinates of the input itself.
        let span = if range.is_some() { Span::whole(fronts, radius) } else { Span::new(fronts, radius) };
        let side = |((i, [low, high]), x): ((usize, &[f64; 2]), &f64)| (i, [sub_down(*low, *x), sub_up(*high, *x)]);
        let sides = range.into_iter().flatten().enumerate().zip(center).map(side);
        let sides: Vec<(usize, [f64; 2])> = sides.filter(|(_, [low, high])| low < high).collect();
        let mut sizes = vec![span.radius; span.width];
        sides.iter().for_each(|&(i, [low, high])| sizes[i] = sizes[i].min(low.abs().max(high.abs())));

        let form = |((mut coefficients, off), (constant, open)): ((Vec<f64>, f64), (f64, Vec<f64>))| {
            coefficients.extend(open);
            Form { constant, coefficients, off }
        };
        let mut forms = span.rows.into_iter().zip(span.off).zip(rest).map(form);
        let neuron = |((Switch { slopes, range }, off), form): ((Switch, f64), Form)| {
            let argument = Form { off: add_up(form.off, off), ..form };
            Neuron { slopes, range, argument }
        };
        let neurons = switches.neurons.into_iter().zip(offs).zip(&mut forms).map(neuron).collect();
        let margin = |form: Form| Form { constant: sub_down(form.constant, form.off), off: 0.0, ..form };
        Some(Self { sizes, radius: span.radius, sides, neurons, margins: forms.map(margin).collect() })
    }
}

impl Switches {
    /// Returns the neurons of a graph that can switch, if they are known and not too many.
    fn new(graph: &Graph, Within { known, .. }: Within<'_>) -> Option<Self> {
        let (mut nodes, mut neurons) = (Vec::new(), Vec::new());
        for (v, node) in graph.nodes.iter().enumerate() {
            match &node.op {
                Op::Function { function, coordinates, from } => {
                    let (curve, range) = (Curve::new(*function), &known[*from].range);
                    let bent: Vec<usize> = coordinates.clone().filter(|&i| !curve.is_straight(range[i])).collect();
                    if let Some(slopes) = curve.free() {
                        let first = neurons.len();
                        neurons.extend(bent.iter().map(|&i| Switch { slopes, range: range[i] }));
                        nodes.push((v, bent, first));
                    } else if !bent.is_empty() {
                        return None;
                    }
                }
                Op::Norms { .. } => return None,
                Op::Input | Op::Affine { .. } | Op::Sum { .. } => {}
            }
        }
        let bends = |Switch { range: [low, high], .. }: &Switch| {
            *low < 0.0 && *high > 0.0 && low.is_finite() && high.is_finite()
        };
        let is_known = (1..=MOST_NEURONS).contains(&neurons.len()) && neurons.iter().all(bends);
        is_known.then_some(Self { neurons, nodes })
    }

    /// Returns linear functions of a node as functions of the input and of these neurons.
    fn pull(&self, graph: &Graph, start: usize, from: Start, count: usize, within: Within<'_>) -> Vec<Row> {
        let mut open = Open { nodes: self.nodes.clone(), rows: Coefficients::zeros(count, self.neurons.len()) };
        let (front, rest) = graph.pull(start, from, within, &[], &mut Trace::default(), Some(&mut open));
        let row = |r: usize| {
            let front = front.row(r);
            let constant = add_down(rest.constants[r], within.region.on_ball(&front, 0.0));
            Row { constant: sub_down(constant, rest.lost[r]), front, open: open.rows.row(r) }
        };
        (0..count).map(row).collect()
    }

    /// Returns how far an argument may be above the function that is below it, from one that is below its negative.
    fn between(&self, below: &Row, above: &Row, radius: f64) -> f64 {
        let sum = |(x, y): (&f64, &f64)| add_up(*x, *y).max(-add_down(*x, *y));
        let apart: Vec<f64> = below.front.iter().zip(&above.front).map(sum).collect();
        let mut off = add_up(sub_up(-above.constant, below.constant), mul_up(norm_up(&apart), radius));
        for ((x, y), neuron) in below.open.iter().zip(&above.open).zip(&self.neurons) {
            off = add_up(off, mul_up(sum((x, y)), size(neuron.slopes, neuron.range)));
        }
        // A NaN stays one, and is refused.
        if off < 0.0 { 0.0 } else { off }
    }
}
