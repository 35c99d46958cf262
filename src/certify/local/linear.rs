//! Linear bounds: a margin over a ball is at least a linear function of the input, found layer by layer from behind.
//!
//! For rows `Λ` of coefficients of what a layer puts out, `Λh ≥ Λ'x − c` for all inputs `x` of the ball: an affine layer
//! turns `Λ` into `ΛW`; a function that is convex with a kink at 0 lies above a line through 0 and, on the interval that
//! its argument is proved to lie in, below its chord, so a coefficient is multiplied by one of the two slopes, by its sign.
//! In front, a linear function with the coefficients `Λ'` is least on the ball at `Λ'x − ε‖Λ'‖`. The intervals come from the
//! same bounds of the arguments of the functions, one layer after the other.
//!
//! Of the lines through 0 any is one: the slopes of those that margins use are improved by a few steps against the point of
//! the ball at which the linear function is least. Nothing rests on how they were found.
//!
//! # Rounding
//!
//! `Λ` is computed in `f64`, and what it is off by is charged where it arises. With bounds `m` of the magnitudes of what
//! goes into a layer, `|fl(ΛW) − ΛW|m ≤ γ|Λ||W|m`, which costs a product with a vector, not with a matrix. In executed
//! semantics a layer adds an error of norm `e` to what it puts out, and `Λ` moves by at most `‖Λ‖e` for it; the intervals are
//! then those of the program's numbers.
//!
//! Source: Zhang, Weng, Chen, Hsieh, Daniel, *Efficient neural network robustness certification with general activation
//! functions* (CROWN), NeurIPS 2018; for the slopes Xu et al., *Fast and complete* (α-CROWN), ICLR 2021.

use faer::{Accum, Mat, MatRef};

use crate::{
    activation::Activation,
    error::Result,
    layer::Layer,
    model::{Linear, Map},
    network::Network,
    rigor::{
        directed::{add_down, add_up, enlarge_sum, gamma, mul_down, mul_up, norm_up, sub_down, sub_up},
        torus::PaddingMode,
    },
    scalar::gemm,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// The largest number of entries of a layer's matrix.
const LARGEST_MATRIX: usize = 1 << 22;
/// The most products of two numbers for the bounds over one ball: about a second for the thirty balls of a sample.
const MOST_PRODUCTS: usize = 1 << 29;
/// How often the slopes of margins are improved.
const REFINEMENTS: usize = 4;
/// The unit roundoff and the smallest number of `f64`.
const UNIT: f64 = f64::EPSILON / 2.0;
const SMALLEST: f64 = f64::from_bits(1);

/// A layer as linear bounds know it.
#[derive(Debug)]
enum Stage {
    /// `Wh + b`, each number within two roundings of what is meant.
    Affine { w: Mat<f64>, b: Vec<f64> },
    /// A convex function with slope `below` on the left of 0, and 1 on the right.
    Kink { below: f64 },
    /// The same numbers in another shape.
    Same,
}

/// The layers of a network that is made of affine layers and functions with a kink.
#[derive(Debug)]
pub(super) struct Stages(Vec<Stage>);

/// A ball, and what the layers add in it when they are executed.
pub(super) struct Ball<'a> {
    pub(super) centre: &'a [f64],
    pub(super) radius: f64,
    /// For each layer but the last, a bound of the norm of what it adds; zeros in exact semantics.
    pub(super) added: &'a [f64],
}

/// What is known of what goes into a stage.
struct Input {
    /// Bounds of the magnitudes.
    magnitude: Vec<f64>,
    /// Bounds of the numbers, where a function needs them.
    range: Vec<[f64; 2]>,
}

impl Stages {
    /// The stages of a network; none if it has another layer, or is too large.
    pub(super) fn new(map: &Map, network: &Network<f64>, input: Shape) -> Option<Self> {
        let (mut stages, mut shape, mut width) = (Vec::new(), input, input.len());
        for (map, layer) in map.layers().iter().zip(network.layers()) {
            let output = map.output(shape).ok()?;
            stages.push(match map {
                Map::Activation(Activation::Relu {}) => Stage::Kink { below: 0.0 },
                Map::Activation(Activation::LeakyRelu { slope }) if *slope <= 1.0 => Stage::Kink { below: *slope },
                Map::Activation(Activation::Abs {}) => Stage::Kink { below: -1.0 },
                Map::Activation(Activation::Identity {}) | Map::Linear(Linear::Flatten {}) => Stage::Same,
                Map::Linear(linear) if shape.len().saturating_mul(output.len()) <= LARGEST_MATRIX => {
                    affine(linear, layer, shape)?
                }
                _ => return None,
            });
            shape = output;
        }
        let (mut entries, mut products) = (0usize, 0usize);
        for stage in &stages {
            match stage {
                Stage::Affine { w, .. } => (entries, width) = (entries + w.nrows() * w.ncols(), w.nrows()),
                // Both bounds of every argument are pulled back to the input.
                Stage::Kink { .. } => products = products.saturating_add(2 * width * entries),
                Stage::Same => {}
            }
        }
        if products > MOST_PRODUCTS {
            return None;
        }
        let last = stages.iter().rev().find(|stage| !matches!(stage, Stage::Same));
        (stages.iter().any(|stage| matches!(stage, Stage::Kink { .. })) && matches!(last, Some(Stage::Affine { .. })))
            .then_some(Self(stages))
    }

    /// Whether `fᵢ − fⱼ` is proved to be more than `needed` over the ball, for the class `i` and every other class `j`, in
    /// order; what the last layer adds when it is executed is not in it.
    pub(super) fn separate(&self, class: usize, needed: &[f64], ball: &Ball<'_>) -> bool {
        let classes = needed.len() + 1;
        let mut rows = Mat::zeros(needed.len(), classes);
        for (row, j) in (0..classes).filter(|&j| j != class).enumerate() {
            rows[(row, class)] = 1.0;
            rows[(row, j)] = -1.0;
        }
        let inputs = self.inputs(ball);
        let mut slopes: Vec<Option<Mat<f64>>> = Vec::new();
        let mut proved = vec![false; needed.len()];
        for refinement in 0..=REFINEMENTS {
            let mut trace = Vec::new();
            let bounds = self.lower_bounds(self.0.len(), rows.clone(), &inputs, ball, &slopes, Some(&mut trace));
            proved
                .iter_mut()
                .zip(bounds.iter().zip(needed))
                .for_each(|(proved, (bound, needed))| *proved |= bound > needed);
            if proved.iter().all(|&proved| proved) {
                return true;
            }
            // Where a margin is far from proved, no slope will save it.
            if refinement < REFINEMENTS {
                slopes = self.refined(&slopes, &trace, &inputs, ball);
            }
        }
        false
    }

    /// Slopes that are better at the points of the ball where the linear functions of a trace are least: larger where the
    /// argument is positive there. An estimate; every slope between the two of a function is one of a line below it.
    fn refined(
        &self,
        slopes: &[Option<Mat<f64>>],
        trace: &[Mat<f64>],
        inputs: &[Input],
        ball: &Ball<'_>,
    ) -> Vec<Option<Mat<f64>>> {
        let front = &trace[trace.len() - 1];
        let mut next: Vec<Option<Mat<f64>>> = self.0.iter().map(|_| None).collect();
        for row in 0..front.nrows() {
            let coefficients = entries(front.as_ref(), row);
            let size = coefficients.iter().map(|c| c * c).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
            let mut h: Vec<f64> =
                ball.centre.iter().zip(&coefficients).map(|(x, c)| x - ball.radius * c / size).collect();
            for (k, stage) in self.0.iter().enumerate() {
                match stage {
                    Stage::Same => {}
                    Stage::Affine { w, b } => {
                        let mut sums = b.clone();
                        for (j, h) in h.iter().enumerate() {
                            sums.iter_mut().enumerate().for_each(|(i, sum)| *sum += w[(i, j)] * h);
                        }
                        h = sums;
                    }
                    Stage::Kink { below } => {
                        // Traces begin at the last stage.
                        let behind = &trace[self.0.len() - 1 - k];
                        let improved = next[k].get_or_insert_with(|| Mat::zeros(front.nrows(), h.len()));
                        for (i, z) in h.iter_mut().enumerate() {
                            let line = Lines::new(*below, inputs[k].range[i]);
                            let lower = slopes.get(k).and_then(Option::as_ref).map_or(line.lower, |mat| mat[(row, i)]);
                            let target = if *z > 0.0 { 1.0 } else { *below };
                            improved[(row, i)] = 0.5 * (lower + target);
                            *z = if behind[(row, i)] >= 0.0 { lower * *z } else { line.upper * *z + line.intercept };
                        }
                    }
                }
            }
        }
        next
    }

    /// What goes into each stage.
    fn inputs(&self, ball: &Ball<'_>) -> Vec<Input> {
        let magnitude = ball.centre.iter().map(|x| add_up(x.abs(), ball.radius)).collect();
        let mut inputs = vec![Input { magnitude, range: Vec::new() }];
        for (k, stage) in self.0.iter().enumerate() {
            let is_last = k + 1 == self.0.len();
            let before = &inputs[k];
            let added = ball.added.get(k).copied().unwrap_or(0.0);
            let mut next = match stage {
                Stage::Same => Input { magnitude: before.magnitude.clone(), range: Vec::new() },
                Stage::Affine { w, b } => {
                    Input { magnitude: magnitudes(w.as_ref(), b, &before.magnitude), range: Vec::new() }
                }
                Stage::Kink { below } => {
                    let scale = below.abs().max(1.0);
                    Input { magnitude: before.magnitude.iter().map(|&m| mul_up(scale, m)).collect(), range: Vec::new() }
                }
            };
            next.magnitude.iter_mut().for_each(|m| *m = add_up(*m, added));
            inputs.push(next);
            if !is_last && matches!(self.0[k + 1], Stage::Kink { .. }) {
                let n = inputs[k + 1].magnitude.len();
                let mut rows = Mat::zeros(2 * n, n);
                for i in 0..n {
                    rows[(i, i)] = 1.0;
                    rows[(n + i, i)] = -1.0;
                }
                let bounds = self.lower_bounds(k + 1, rows, &inputs, ball, &[], None);
                let input = &mut inputs[k + 1];
                for (i, magnitude) in input.magnitude.iter_mut().enumerate() {
                    // The crude bound may be the better one.
                    let range = [bounds[i].max(-*magnitude), (-bounds[n + i]).min(*magnitude)];
                    *magnitude = range[0].abs().max(range[1].abs());
                    input.range.push(range);
                }
            }
        }
        inputs
    }

    /// Lower bounds of `Λh` over the ball, where `h` is what the first `count` stages put out. `slopes` are those of the lines
    /// below the functions, stage by stage, where they are given; the trace is `Λ` behind each stage, from the last one to the
    /// first, and in front.
    fn lower_bounds(
        &self,
        count: usize,
        mut rows: Mat<f64>,
        inputs: &[Input],
        ball: &Ball<'_>,
        slopes: &[Option<Mat<f64>>],
        mut trace: Option<&mut Vec<Mat<f64>>>,
    ) -> Vec<f64> {
        let mut constants = vec![0.0; rows.nrows()];
        let mut lost = vec![0.0; rows.nrows()];
        for k in (0..count).rev() {
            let (stage, input) = (&self.0[k], &inputs[k]);
            if let Some(trace) = &mut trace {
                trace.push(rows.clone());
            }
            if let Some(&added) = ball.added.get(k).filter(|&&added| added > 0.0) {
                for (row, lost) in lost.iter_mut().enumerate() {
                    *lost = add_up(*lost, mul_up(norm_up(&entries(rows.as_ref(), row)), added));
                }
            }
            match stage {
                Stage::Same => {}
                Stage::Affine { w, b } => {
                    let (n, m) = (w.nrows(), w.ncols());
                    let scale = magnitudes(w.as_ref(), b, &input.magnitude);
                    let relative = gamma(n + 6, UNIT);
                    // What underflows: n products of each of m entries, and of the constant.
                    let total = enlarge_sum(input.magnitude.iter().sum(), m);
                    let underflow = mul_up(mul_up(n as f64, SMALLEST), add_up(1.0, total));
                    for row in 0..rows.nrows() {
                        let (mut constant, mut size) = (0.0, 0.0);
                        for i in 0..n {
                            constant += rows[(row, i)] * b[i];
                            size += rows[(row, i)].abs() * scale[i];
                        }
                        constants[row] = add_down(constants[row], constant);
                        let size = add_up(enlarge_sum(size, n), underflow);
                        lost[row] = add_up(lost[row], add_up(mul_up(relative, size), underflow));
                    }
                    let mut product = Mat::zeros(rows.nrows(), m);
                    gemm(product.as_mut(), Accum::Replace, rows.as_ref(), w.as_ref());
                    rows = product;
                }
                Stage::Kink { below } => {
                    for i in 0..rows.ncols() {
                        let line = Lines::new(*below, input.range[i]);
                        let size = mul_up(2.0 * UNIT, below.abs().max(1.0));
                        for row in 0..rows.nrows() {
                            let coefficient = rows[(row, i)];
                            let slope = if coefficient >= 0.0 {
                                let given = slopes.get(k).and_then(Option::as_ref).filter(|_| line.is_open());
                                given.map_or(line.lower, |slopes| slopes[(row, i)].clamp(below.min(1.0), 1.0))
                            } else {
                                constants[row] = add_down(constants[row], mul_down(coefficient, line.intercept));
                                line.upper
                            };
                            rows[(row, i)] = coefficient * slope;
                            let off = add_up(mul_up(size, coefficient.abs()), SMALLEST);
                            lost[row] = add_up(lost[row], mul_up(off, input.magnitude[i]));
                        }
                    }
                }
            }
        }
        if let Some(trace) = trace {
            trace.push(rows.clone());
        }
        let (n, relative) = (rows.ncols(), gamma(rows.ncols() + 2, UNIT));
        let bound = |row: usize| {
            let coefficients = entries(rows.as_ref(), row);
            let (mut value, mut size) = (0.0, 0.0);
            for (c, x) in coefficients.iter().zip(ball.centre) {
                value += c * x;
                size += (c * x).abs();
            }
            let off = add_up(mul_up(relative, enlarge_sum(size, n)), mul_up(n as f64, SMALLEST));
            let moved = mul_up(ball.radius, norm_up(&coefficients));
            sub_down(sub_down(add_down(constants[row], value), moved), add_up(lost[row], off))
        };
        (0..rows.nrows()).map(bound).map(|bound| if bound.is_nan() { f64::NEG_INFINITY } else { bound }).collect()
    }
}

/// A function with a kink at 0 between two lines, on an interval.
struct Lines {
    /// The slope of the line through 0 below it.
    lower: f64,
    /// The slope and the intercept of the line above it.
    upper: f64,
    intercept: f64,
}

impl Lines {
    /// Whether the kink lies in the interval: else the function is one line there.
    fn is_open(&self) -> bool {
        self.lower != self.upper || self.intercept != 0.0
    }

    fn new(below: f64, [low, high]: [f64; 2]) -> Self {
        if low >= 0.0 {
            return Self { lower: 1.0, upper: 1.0, intercept: 0.0 };
        }
        if high <= 0.0 {
            return Self { lower: below, upper: below, intercept: 0.0 };
        }
        // Any slope between the two is one of a line below. Nearer to the longer piece, less is lost.
        let lower = if high >= -low { 1.0 } else { below };
        // A convex function lies below a line that is above it at both ends; where both ends are infinite, nothing is known.
        let (left, right) = (mul_up(below, low), high);
        let upper = ((right - left) / (high - low)).clamp(below.min(1.0), 1.0);
        let intercept = sub_up(left, mul_down(upper, low)).max(sub_up(right, mul_down(upper, high)));
        Self { lower, upper, intercept }
    }
}

/// The matrix of an affine layer: what it makes of unit vectors. Every entry is a number of the layer, or a quotient of two.
fn affine(linear: &Linear, layer: &dyn Layer<f64>, input: Shape) -> Option<Stage> {
    if let Linear::Conv2d(conv) = linear
        && conv.padding_mode == PaddingMode::Circular
    {
        // Around a small image a tap may read a point that another one reads: then an entry is a sum.
        let small = conv.axes(input).ok()?.iter().any(|axis| axis.kernel > axis.input);
        if small {
            return None;
        }
    }
    let n = input.len();
    let mut units = vec![0.0; n * n];
    (0..n).for_each(|i| units[i * n + i] = 1.0);
    let units = Batch::new(input, units).ok()?;
    let zeros = Batch::zeros(input, 1);
    let (mut tape, mut one) = (Tape::recording(), Tape::recording());
    layer.forward(units.clone(), &mut tape);
    let b = layer.forward(zeros, &mut one).data().to_vec();
    let columns = layer.jvp(&tape, units);
    let w = Mat::from_fn(b.len(), n, |i, j| columns.sample(j)[i]);
    let finite = b.iter().chain(columns.data()).all(|x| x.is_finite());
    finite.then_some(Stage::Affine { w, b })
}

/// Upper bounds of `|W|m + |b|`, what the roundings of `W` and `b` are off by included.
fn magnitudes(w: MatRef<'_, f64>, b: &[f64], m: &[f64]) -> Vec<f64> {
    let mut sums: Vec<f64> = b.iter().map(|b| b.abs()).collect();
    for (j, m) in m.iter().enumerate() {
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum += w[(i, j)].abs() * m;
        }
    }
    let tiny = mul_up((m.len() + 1) as f64, SMALLEST);
    sums.into_iter().map(|sum| add_up(enlarge_sum(mul_up(sum, 1.0 + 8.0 * UNIT), m.len() + 2), tiny)).collect()
}

fn entries(rows: MatRef<'_, f64>, row: usize) -> Vec<f64> {
    (0..rows.ncols()).map(|j| rows[(row, j)]).collect()
}

/// Enlarges radii that are proved, each by itself: a search that grows them until one is not proved, and halves what is
/// between by geometric means. `holds` says which of the radii are.
///
/// # Errors
/// The first error of `holds`.
pub(super) fn search(proved: &mut [f64], mut holds: impl FnMut(&[f64]) -> Result<Vec<bool>>) -> Result<()> {
    const GROWTH: f64 = 1.5;
    const ROUNDS: usize = 24;
    const HALVINGS: usize = 5;
    let mut high = vec![f64::INFINITY; proved.len()];
    for round in 0..ROUNDS + HALVINGS {
        let next: Vec<f64> = proved
            .iter()
            .zip(&high)
            .map(|(&low, &high)| if high.is_finite() { (low * high).sqrt() } else { GROWTH * low })
            .collect();
        // Those that still grow go on first.
        if round >= ROUNDS && high.iter().all(|high| high.is_infinite()) {
            break;
        }
        for (s, held) in holds(&next)?.into_iter().enumerate() {
            if held {
                proved[s] = proved[s].max(next[s]);
            } else {
                high[s] = high[s].min(next[s]);
            }
        }
        let settled = |(&low, &high): (&f64, &f64)| low == 0.0 || high / low < 1.01;
        if proved.iter().zip(&high).all(settled) {
            break;
        }
    }
    Ok(())
}
