//! Flows as parts of a graph: a step of an explicit Runge–Kutta method is a sum of the point that it starts from and the field
//! at its stages; a field is made of matrices, their transposes and a function.

use super::{
    graph::{Graph, LARGEST_MATRIX},
    matrix::Matrix,
};
use crate::{
    activation::Activation,
    model::{Field, Flow, Linear, Method, Potential, SplitMethod, Tensor},
    tableau::Coefficients,
    tensor::Shape,
};

impl Graph {
    /// Returns the steps of a flow, each of them a sum.
    pub(super) fn flow(&mut self, flow: &Flow, shape: Shape, from: usize) -> Option<usize> {
        let (h, mut at) = (flow.step, from);
        if flow.is_open() || !(h.is_normal() || h == 0.0) {
            return None;
        }
        if let Method::Split(method) = &flow.method {
            for step in 0..flow.steps {
                if self.is_large() {
                    return None;
                }
                let field = flow.fields.get(step).or(flow.fields.first())?;
                at = self.split_step(*method, field, h, shape, at)?;
            }
            return Some(at);
        }
        let tableau = flow.method.tableau().ok().filter(|tableau| tableau.is_explicit())?;
        let Coefficients { a, b, .. } = tableau.rounded::<f64>();
        for step in 0..flow.steps {
            if self.is_large() {
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

    /// Returns a field at a node, as a sum of nodes with factors that are numbers as they stand.
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
            // Its factor is no function of one coordinate.
            Field::LyapunovProjected { .. } | Field::Opaque(_) => return None,
        })
    }

    /// Returns `Wᵀ diag(δ) σ(Wx + b)`.
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

    /// Returns `Vσ(Wx + b) + c`.
    fn residual(&mut self, inner: &Linear, f: Activation, outer: &Linear, space: Shape, x: usize) -> Option<usize> {
        let z = self.linear(inner, space, x)?;
        let s = self.function(f, z);
        self.linear(outer, inner.output(space).ok()?, s)
    }

    /// Returns `(S − Sᵀ − γI)x`.
    fn skew(&mut self, skew: &Linear, damping: f64, space: Shape, x: usize) -> Option<Vec<(f64, usize)>> {
        let terms = [(1.0, self.linear(skew, space, x)?), (-1.0, self.adjoint(skew, space, x)?)];
        Some(terms.into_iter().chain((damping != 0.0).then_some((-damping, x))).collect())
    }

    /// Returns `(Kᵀσ(Kp + b), 0)`.
    fn drift(&mut self, kinetic: &Potential, space: Shape, x: usize) -> Option<(f64, usize)> {
        self.force(kinetic, space, x, space.len() / 2).map(|node| (1.0, node))
    }

    /// Returns `(0, −Wᵀσ(Wq + c))`.
    fn kick(&mut self, potential: &Potential, space: Shape, x: usize) -> Option<(f64, usize)> {
        self.force(potential, space, x, 0).map(|node| (-1.0, node))
    }

    /// Returns the gradient of a potential of one half of the coordinates, from `start` on, in the place of the other.
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

/// Returns one number for each channel or feature, coordinate by coordinate.
fn spread(numbers: &Tensor, shape: Shape) -> Vec<f64> {
    let numbers = numbers.wide();
    (0..shape.len()).map(|i| numbers[i / shape.points()]).collect()
}
