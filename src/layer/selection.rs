//! Layers whose outputs are some of their inputs: sorting and max pooling. They compare, and round nothing.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::{Map, Window, units},
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// `y_i = x_{π(i)}`, where `π` depends on `x`: GroupSort (MaxMin for groups of two), or max pooling.
///
/// By the rule of windows sorting is 1-Lipschitz, and max pooling over windows that a point lies in at most `m` of is
/// `√m`-Lipschitz. A NaN is never hidden.
#[derive(Debug, Clone)]
pub struct Selection {
    window: Window,
    input: Shape,
    output: Shape,
}

impl Selection {
    /// Sorting, or max pooling, of samples of a shape.
    ///
    /// # Errors
    /// [`Error::Parameter`] as in [`Window::output`], and for any other map of windows.
    pub fn new(input: Shape, window: Window) -> Result<Self> {
        if let Window::L2Pool(_) = window {
            return Err(Error::parameter("window", window.kind(), "a norm is no selection; it is a layer of its own"));
        }
        Ok(Self { window, input, output: window.output(input)? })
    }

    /// Groups of `group` channels that follow each other, or of features, in ascending order.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `group` does not divide their number.
    pub fn sort(input: Shape, group: usize) -> Result<Self> {
        Self::new(input, Window::Sort { group })
    }

    /// For each output, the input that is selected.
    fn select<T: Scalar>(&self, x: &[T]) -> Vec<usize> {
        let mut selected = vec![0; self.output.len()];
        match &self.window {
            Window::Sort { group } => {
                let (points, mut order) = (self.input.points(), Vec::new());
                for first in (0..units(self.input)).step_by(*group) {
                    for point in 0..points {
                        let place = |i: usize| (first + i) * points + point;
                        order.clear();
                        order.extend((0..*group).map(place));
                        // A NaN is equal to everything: it goes somewhere, and is not lost.
                        order.sort_by(|&a, &b| x[a].partial_cmp(&x[b]).unwrap_or(std::cmp::Ordering::Equal));
                        order.iter().enumerate().for_each(|(i, &from)| selected[place(i)] = from);
                    }
                }
            }
            Window::MaxPool(pooling) | Window::L2Pool(pooling) => {
                let (points, windows) = (self.input.points(), self.output.points());
                for (c, selected) in selected.chunks_mut(windows).enumerate() {
                    selected.fill(usize::MAX);
                    pooling.visit(self.input, self.output, |window, point| {
                        let (from, best) = (c * points + point, &mut selected[window]);
                        // The first point, a larger one, or a NaN; nothing replaces a NaN.
                        if *best == usize::MAX || x[from] > x[*best] || x[from].is_nan() && !x[*best].is_nan() {
                            *best = from;
                        }
                    });
                }
            }
        }
        selected
    }

    /// For each sample of `x`, what is selected of the same sample of `v`.
    fn selected<T: Scalar>(&self, x: &Batch<T>, v: &Batch<T>) -> Batch<T> {
        let mut y = Batch::zeros(self.output, x.samples());
        for s in 0..x.samples() {
            let (v, y) = (v.sample(s), y.sample_mut(s));
            self.select(x.sample(s)).into_iter().zip(y).for_each(|(from, y)| *y = v[from]);
        }
        y
    }
}

impl<T: Scalar> Layer<T> for Selection {
    fn describe(&self) -> Map {
        Map::Window(self.window)
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        self.output
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let y = self.selected(&x, &x);
        tape.save(x);
        y
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let (x, mut pulled) = (tape.saved(0), Batch::zeros(self.input, g.samples()));
        for s in 0..g.samples() {
            let (g, pulled) = (g.sample(s), pulled.sample_mut(s));
            self.select(x.sample(s)).into_iter().zip(g).for_each(|(to, &g)| pulled[to] += g);
        }
        pulled
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.selected(tape.saved(0), &v)
    }

    /// Nothing is rounded: a comparison is exact.
    fn rounding(&self, _: &Certificate, _: &Rounding, _tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        Ok(vec![0.0; reach.len()])
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.clone())
    }
}
