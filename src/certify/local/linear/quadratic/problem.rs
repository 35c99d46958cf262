//! The neurons that can switch within a ball, and margins, as affine functions of the input and of these neurons.

use super::{
    super::{
        backward::{Open, Start, Trace, Within},
        graph::{Graph, Op},
        lines::Curve,
        matrix::Coefficients,
    },
    span::Span,
};
use crate::rigor::directed::{add_down, add_up, mul_up, norm_up, sub_down, sub_up};

/// The most neurons that can switch.
const MOST_NEURONS: usize = 256;

/// An affine function of `u = (y, s)`.
#[derive(Debug, Clone)]
pub(super) struct Form {
    pub(super) constant: f64,
    pub(super) coefficients: Vec<f64>,
    /// How far off it may be.
    pub(super) off: f64,
}

/// A neuron `s = max(αz, βz)` that can switch.
#[derive(Debug, Clone)]
pub(super) struct Neuron {
    /// `α < β`.
    pub(super) slopes: [f64; 2],
    /// `[l, h]`, which holds `z`, with `l < 0 < h`.
    pub(super) range: [f64; 2],
    /// `z`.
    pub(super) argument: Form,
}

impl Neuron {
    /// A bound of `|s|`.
    pub(super) fn size(&self) -> f64 {
        let ([a, b], [low, high]) = (self.slopes, self.range);
        mul_up(a.abs(), low.abs()).max(mul_up(b.abs(), high))
    }
}

/// Margins over a ball.
#[derive(Debug)]
pub(in super::super) struct Problem {
    /// The number of coordinates `y` of the input.
    pub(super) inputs: usize,
    /// A bound of `‖y‖`.
    pub(super) radius: f64,
    pub(super) neurons: Vec<Neuron>,
    /// Margins are at least these.
    pub(super) margins: Vec<Form>,
}

/// A function of the input and of what neurons make of it: it is at least `constant + ⟨front, Δx⟩ + ⟨open, s⟩`.
struct Row {
    constant: f64,
    front: Vec<f64>,
    open: Vec<f64>,
}

impl Problem {
    /// Returns linear functions of what comes out of a graph; none where quadratic bounds do not know all functions, where no neuron
    /// can switch, or too many.
    pub(in super::super) fn new(graph: &Graph, margins: Coefficients, within: Within<'_>) -> Option<Self> {
        let (center, radius) = within.region.as_ball()?;
        let (mut nodes, mut neurons) = (Vec::new(), Vec::new());
        for (v, node) in graph.nodes.iter().enumerate() {
            match &node.op {
                Op::Function { function, coordinates, from } => {
                    let (curve, range) = (Curve::new(*function), &within.known[*from].range);
                    let bent: Vec<usize> = coordinates.clone().filter(|&i| !curve.is_straight(range[i])).collect();
                    if bent.is_empty() {
                        continue;
                    }
                    let slopes = curve.free()?;
                    nodes.push((v, bent.clone(), neurons.len()));
                    neurons.extend(bent.into_iter().map(|i| (*from, i, slopes, range[i])));
                }
                Op::Norms { .. } => return None,
                Op::Input | Op::Affine { .. } | Op::Sum { .. } => {}
            }
        }
        let bends = |[low, high]: [f64; 2]| low < 0.0 && high > 0.0 && low.is_finite() && high.is_finite();
        if neurons.is_empty() || neurons.len() > MOST_NEURONS || !neurons.iter().all(|(.., range)| bends(*range)) {
            return None;
        }
        let pull = |start: usize, from: Start, count: usize| -> Vec<Row> {
            let mut open = Open { nodes: nodes.clone(), rows: Coefficients::zeros(count, neurons.len()) };
            let (front, rest) = graph.pull(start, from, within, &[], &mut Trace::default(), Some(&mut open));
            let row = |r: usize| {
                let front = front.row(r);
                let constant = add_down(rest.constants[r], within.region.on_ball(&front, 0.0));
                Row { constant: sub_down(constant, rest.lost[r]), front, open: open.rows.row(r) }
            };
            debug_assert_eq!(center.len(), front.columns());
            (0..count).map(row).collect()
        };
        let count = margins.rows;
        let margins = pull(graph.output, Start::Rows(margins), count);
        // Each argument from below and from above.
        let mut sides: [Vec<Row>; 2] = [Vec::new(), Vec::new()];
        for (v, bent, _) in &nodes {
            let from = Graph::sources(&graph.nodes[*v].op)[0];
            for (side, sign) in sides.iter_mut().zip([1.0, -1.0]) {
                let units = bent.iter().map(|&i| (i, sign)).collect();
                side.extend(pull(from, Start::Units(units), bent.len()));
            }
        }
        let sizes: Vec<f64> = neurons
            .iter()
            .map(|&(_, _, slopes, range)| {
                let argument = Form { constant: 0.0, coefficients: vec![], off: 0.0 };
                Neuron { slopes, range, argument }.size()
            })
            .collect();
        let [below, above] = sides;
        let between = |(below, above): (&Row, &Row)| {
            // z ≥ p and z ≤ p′, and p′ is hardly more than p.
            let apart = |x: &[f64], y: &[f64]| {
                let sum = |(x, y): (&f64, &f64)| add_up(*x, *y).max(-add_down(*x, *y));
                x.iter().zip(y).map(sum).collect::<Vec<f64>>()
            };
            let mut off = sub_up(-above.constant, below.constant);
            off = add_up(off, mul_up(norm_up(&apart(&below.front, &above.front)), radius));
            let moved = apart(&below.open, &above.open);
            moved.iter().zip(&sizes).for_each(|(c, size)| off = add_up(off, mul_up(*c, *size)));
            off.max(0.0)
        };
        let offs: Vec<f64> = below.iter().zip(&above).map(between).collect();
        let (fronts, rest): (Vec<_>, Vec<_>) =
            below.into_iter().chain(margins).map(|row| (row.front, (row.constant, row.open))).unzip();
        let span = Span::new(fronts, radius);
        let mut forms =
            span.rows.into_iter().zip(span.off).zip(rest).map(|((mut coefficients, off), (constant, open))| {
                coefficients.extend(open);
                Form { constant, coefficients, off }
            });
        let neurons: Vec<Neuron> = neurons
            .iter()
            .zip(offs)
            .map(|(&(_, _, slopes, range), off)| {
                let form = forms.next()?;
                Some(Neuron { slopes, range, argument: Form { off: add_up(form.off, off), ..form } })
            })
            .collect::<Option<_>>()?;
        let margins =
            forms.map(|form| Form { constant: sub_down(form.constant, form.off), off: 0.0, ..form }).collect();
        Some(Self { inputs: span.width, radius: span.radius, neurons, margins })
    }
}
