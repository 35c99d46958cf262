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

/// The most coordinates of the input whose intervals are known to a proof.
const MOST_SIDES: usize = 256;

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

/// Margins over a ball, perhaps in a box.
#[derive(Debug)]
pub(in super::super) struct Problem {
    /// Bounds of `|yᵢ|`.
    pub(super) sizes: Vec<f64>,
    /// A bound of `‖y‖`.
    pub(super) radius: f64,
    /// Some coordinates and the intervals that they are in.
    pub(super) sides: Vec<(usize, [f64; 2])>,
    pub(super) neurons: Vec<Neuron>,
    /// Margins are at least these.
    pub(super) margins: Vec<Form>,
}

/// An affine function `argument·z + value·u + constant` of a coordinate of `u` and, if it is a neuron, its argument `z`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Factor {
    /// The coordinate.
    pub(super) at: usize,
    pub(super) argument: f64,
    pub(super) value: f64,
    pub(super) constant: f64,
}

impl Problem {
    /// Returns the number of coordinates `y` of the input.
    pub(super) fn inputs(&self) -> usize {
        self.sizes.len()
    }

    /// Returns the number of coordinates of `(1, u)`.
    pub(super) fn size(&self) -> usize {
        1 + self.inputs() + self.neurons.len()
    }

    /// Returns bounds of the magnitudes of `(1, u)`.
    pub(super) fn magnitudes(&self) -> Vec<f64> {
        let neurons = self.neurons.iter().map(Neuron::size);
        std::iter::once(1.0).chain(self.sizes.iter().copied()).chain(neurons).collect()
    }

    /// Returns the neuron that a factor is about.
    pub(super) fn neuron(&self, factor: &Factor) -> Option<&Neuron> {
        self.neurons.get(factor.at.checked_sub(self.inputs())?)
    }

    /// Returns the factors of all products: of each neuron `s − αz`, `s − βz`, `h − z` and `z − l`, and of each coordinate that is in
    /// an interval `[a, b]` `y − a` and `b − y`.
    pub(super) fn factors(&self) -> Vec<Factor> {
        let of_neuron = |(k, neuron): (usize, &Neuron)| {
            let ([a, b], [low, high]) = (neuron.slopes, neuron.range);
            let factor = |(argument, value, constant)| Factor { at: self.inputs() + k, argument, value, constant };
            [(-a, 1.0, 0.0), (-b, 1.0, 0.0), (-1.0, 0.0, high), (1.0, 0.0, -low)].map(factor)
        };
        let of_side = |&(at, [low, high]): &(usize, [f64; 2])| {
            [(1.0, -low), (-1.0, high)].map(|(value, constant)| Factor { at, argument: 0.0, value, constant })
        };
        self.neurons.iter().enumerate().flat_map(of_neuron).chain(self.sides.iter().flat_map(of_side)).collect()
    }

    /// Returns the products of factors that are not negative, and whether one is even 0, so that its multiplier may have any sign.
    pub(super) fn products(&self) -> Vec<([usize; 2], bool)> {
        let of_neuron = |k: usize| {
            [([0, 1], true), ([0, 2], false), ([1, 3], false)].map(|([i, j], free)| ([4 * k + i, 4 * k + j], free))
        };
        let first = 4 * self.neurons.len();
        let of_side = |k: usize| ([first + 2 * k, first + 2 * k + 1], false);
        (0..self.neurons.len()).flat_map(of_neuron).chain((0..self.sides.len()).map(of_side)).collect()
    }

    /// Returns the largest values of the factors, about.
    pub(super) fn largest(&self) -> Vec<f64> {
        let of_neuron = |neuron: &Neuron| {
            let ([a, b], [low, high]) = (neuron.slopes, neuron.range);
            [(b - a) * high, (b - a) * -low, high - low, high - low]
        };
        let of_side = |(_, [low, high]): &(usize, [f64; 2])| [high - low; 2];
        self.neurons.iter().flat_map(of_neuron).chain(self.sides.iter().flat_map(of_side)).collect()
    }
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
        let (center, radius, range) = within.region.around();
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
        let values: Vec<f64> = neurons
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
            moved.iter().zip(&values).for_each(|(c, size)| off = add_up(off, mul_up(*c, *size)));
            off.max(0.0)
        };
        let offs: Vec<f64> = below.iter().zip(&above).map(between).collect();
        let (fronts, rest): (Vec<_>, Vec<_>) =
            below.into_iter().chain(margins).map(|row| (row.front, (row.constant, row.open))).unzip();
        // Intervals are about the coordinates of the input itself.
        let span = match range {
            Some(_) if center.len() <= MOST_SIDES => Span::whole(fronts, radius),
            _ => Span::new(fronts, radius),
        };
        let side = |(i, [low, high]): (usize, &[f64; 2])| (i, [sub_down(*low, center[i]), sub_up(*high, center[i])]);
        let sides = range.filter(|_| center.len() <= MOST_SIDES).into_iter().flatten().enumerate().map(side);
        let mut sizes = vec![span.radius; span.width];
        let sides: Vec<(usize, [f64; 2])> = sides.filter(|(_, [low, high])| low < high).collect();
        sides.iter().for_each(|&(i, [low, high])| sizes[i] = sizes[i].min(low.abs().max(high.abs())));
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
        Some(Self { sizes, radius: span.radius, sides, neurons, margins })
    }
}
