//! Differences along the edges of a graph.

use std::sync::OnceLock;

use super::Operator;
use crate::{
    error::{Error, Result},
    model::{Linear, Tensor, graph},
    rigor::{Upper, matrix},
    scalar::Scalar,
    tensor::{Batch, Shape, cast, finite},
};

/// `y_{oe} = Σ_c K_{oc}(x_{cv} − x_{cu})` for each edge `e = (u, v)` of a graph whose nodes are the points of an image, row by row: `K ⊗ G`
/// with the incidence matrix `G`.
///
/// The field `−Wᵀσ(Wx + b)` of it is diffusion on the graph. Its norm is `‖K‖‖G‖`, and `‖G‖²`, the largest eigenvalue of the Laplacian,
/// is at most `max (deg u + deg v)` over the edges (Anderson, Morley 1985).
///
/// ```
/// use dahlquist::{operator::{GraphGradient, Operator}, tensor::{Batch, Shape}};
/// // A path of three nodes.
/// let path = GraphGradient::<f64>::new(Shape::image(1, 1, 3), vec![(0, 1), (1, 2)], 1, vec![1.0])?;
/// let mut y = Batch::zeros(path.output(), 1);
/// path.apply(&Batch::new(path.input(), vec![1.0, 4.0, 2.0])?, &mut y);
/// assert_eq!(y.data(), [3.0, -2.0]);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct GraphGradient<T> {
    nodes: Shape,
    edges: Vec<(usize, usize)>,
    outputs: usize,
    inputs: usize,
    weight: Vec<T>,
    /// The most edges at one node.
    degree: usize,
    absolute_norm: OnceLock<Result<Upper>>,
}

impl<T: Scalar> GraphGradient<T> {
    /// Returns the differences of a graph on the points of an image, mixed by the `outputs` rows of a matrix `K`.
    ///
    /// # Errors
    /// As [`Linear::output`]; [`Error::Length`] if the matrix is not one from the channels of the image,
    /// [`Error::NotFinite`] for a NaN or an infinity in it.
    pub fn new(nodes: Shape, edges: Vec<(usize, usize)>, outputs: usize, weight: Vec<T>) -> Result<Self> {
        let (inputs, ..) = nodes.as_image("a graph")?;
        let expected = outputs.saturating_mul(inputs);
        if weight.len() != expected || expected == 0 {
            return Err(Error::Length { what: format!("{outputs}×{inputs} matrix"), expected, found: weight.len() });
        }
        finite("graph_gradient weight", &weight)?;
        graph::output(&edges, outputs, nodes)?;
        let degree = graph::degrees(&edges, nodes.points()).into_iter().max().unwrap_or(0);
        Ok(Self { nodes, edges, outputs, inputs, weight, degree, absolute_norm: OnceLock::new() })
    }

    /// Returns `y ← y + (f(K) ⊗ G)x`, the second end of an edge being taken by `sign`.
    fn add(&self, x: &Batch<T>, y: &mut Batch<T>, f: impl Fn(T) -> T, sign: T) {
        let (points, count) = (self.nodes.points(), self.edges.len());
        // Mixed first, no partial sum exceeds |K||x| at the ends of an edge: that is what error bounds rest on.
        let mut mixed = vec![T::zero(); points];
        for s in 0..x.samples() {
            let (x, y) = (x.sample(s), y.sample_mut(s));
            for (row, y) in self.weight.chunks(self.inputs).zip(y.chunks_mut(count)) {
                mixed.fill(T::zero());
                for (&k, x) in row.iter().zip(x.chunks(points)) {
                    let k = f(k);
                    mixed.iter_mut().zip(x).for_each(|(z, &x)| *z += k * x);
                }
                y.iter_mut().zip(&self.edges).for_each(|(y, &(u, v))| *y += mixed[v] - sign * mixed[u]);
            }
        }
    }

    /// Returns `x ← x + (f(K) ⊗ G)ᵀy`.
    fn add_adjoint(&self, y: &Batch<T>, x: &mut Batch<T>, f: impl Fn(T) -> T, sign: T) {
        let (points, count) = (self.nodes.points(), self.edges.len());
        let (mut mixed, mut sums) = (vec![T::zero(); count], vec![T::zero(); points]);
        for s in 0..y.samples() {
            let (y, x) = (y.sample(s), x.sample_mut(s));
            for (c, x) in x.chunks_mut(points).enumerate() {
                mixed.fill(T::zero());
                sums.fill(T::zero());
                for (row, y) in self.weight.chunks(self.inputs).zip(y.chunks(count)) {
                    let k = f(row[c]);
                    mixed.iter_mut().zip(y).for_each(|(z, &y)| *z += k * y);
                }
                for (&(u, v), &z) in self.edges.iter().zip(&mixed) {
                    sums[v] += z;
                    sums[u] -= sign * z;
                }
                x.iter_mut().zip(&sums).for_each(|(x, &sum)| *x += sum);
            }
        }
    }
}

impl<T: Scalar> Operator<T> for GraphGradient<T> {
    fn describe(&self) -> Linear {
        let weight = Tensor::new(&[self.outputs, self.inputs], &self.weight);
        Linear::GraphGradient { weight, bias: None, edges: self.edges.clone() }
    }

    fn input(&self) -> Shape {
        self.nodes
    }

    fn output(&self) -> Shape {
        Shape::image(self.outputs, 1, self.edges.len())
    }

    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.add(x, y, |k| k, T::one());
    }

    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.add_adjoint(y, x, |k| k, T::one());
    }

    fn accumulate(&self, y: &Batch<T>, x: &Batch<T>, gradient: &mut [T]) {
        let (points, count) = (self.nodes.points(), self.edges.len());
        for s in 0..x.samples() {
            let rows = y.sample(s).chunks(count).zip(gradient.chunks_mut(self.inputs));
            for (y, row) in rows {
                for (x, slot) in x.sample(s).chunks(points).zip(row) {
                    let along: T = self.edges.iter().zip(y).map(|(&(u, v), &y)| y * (x[v] - x[u])).sum();
                    *slot += along;
                }
            }
        }
    }

    fn weight(&self) -> &[T] {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut [T] {
        self.absolute_norm = OnceLock::new();
        &mut self.weight
    }

    fn terms(&self) -> [usize; 2] {
        // A product passes through one rounding for each channel, and one for the difference, or for each other edge.
        [2 * self.inputs, self.outputs * self.degree]
    }

    fn apply_absolute(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.add(x, y, num_traits::Float::abs, -T::one());
    }

    fn adjoint_absolute(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.add_adjoint(y, x, num_traits::Float::abs, -T::one());
    }

    fn absolute_norm(&self) -> Result<Upper> {
        let prove = || {
            let absolute: Vec<f64> = self.weight.iter().map(|k| k.wide().abs()).collect();
            let norm = matrix::norm(faer::MatRef::from_row_major_slice(&absolute, self.outputs, self.inputs))?;
            // The rows of |G||G|ᵀ have the same sums.
            (norm * graph::degree_bound(&self.edges, self.nodes.points())).finite("the norm of a graph_gradient")
        };
        self.absolute_norm.get_or_init(prove).clone()
    }

    fn widen(&self) -> Box<dyn Operator<f64>> {
        let (nodes, edges, weight) = (self.nodes, self.edges.clone(), cast(&self.weight));
        let (outputs, inputs, degree) = (self.outputs, self.inputs, self.degree);
        Box::new(GraphGradient { nodes, edges, outputs, inputs, weight, degree, absolute_norm: OnceLock::new() })
    }
}
