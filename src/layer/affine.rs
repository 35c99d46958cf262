//! Affine layers: dense, convolution, pooling.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::{Linear, Map},
    operator::Affine,
    rigor::{Rounding, Summation},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// `x ↦ Wx + b` for any operator: `‖W‖₂`-Lipschitz.
///
/// With unit rows, the matrix that is evaluated has the rows of a free one, each divided by its norm. Logits of such a
/// head measure distances, which a margin loss needs: nothing is gained by scaling it. The claim does not rest on the
/// rows having norm 1; the norms that count are proved from the weights as they are.
#[derive(Debug)]
pub struct AffineLayer<T: Scalar> {
    map: Affine<T>,
    direct: Option<Rows<T>>,
}

/// The free matrix behind one with unit rows.
#[derive(Debug)]
struct Rows<T> {
    weight: Vec<T>,
    length: usize,
}

impl<T: Scalar> AffineLayer<T> {
    /// An affine map as a layer.
    pub fn new(map: Affine<T>) -> Self {
        Self { map, direct: None }
    }

    /// A matrix whose rows are kept at norm 1 during training.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the operator is not dense.
    pub fn with_unit_rows(map: Affine<T>) -> Result<Self> {
        let Linear::Dense { .. } = map.describe() else {
            return Err(Error::parameter("operator", map.describe().kind(), "only a dense layer can have unit rows"));
        };
        let rows = Rows { weight: map.operator().weight().to_vec(), length: map.operator().input().len() };
        let mut layer = Self { map, direct: Some(rows) };
        layer.prepare();
        Ok(layer)
    }
}

impl<T: Scalar> Layer<T> for AffineLayer<T> {
    fn describe(&self) -> Map {
        Map::Linear(self.map.describe())
    }

    fn input(&self) -> Shape {
        self.map.operator().input()
    }

    fn output(&self) -> Shape {
        self.map.operator().output()
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let y = self.map.apply(&x);
        tape.save(x);
        y
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        if let Some(gradient) = gradient {
            self.map.accumulate(&g, tape.saved(0), gradient);
        }
        self.map.adjoint(&g)
    }

    fn jvp(&self, _tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.map.linear(&v)
    }

    fn rounding(&self, _: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        self.map.apply_error(rounding, tape.saved(0), reach)
    }

    fn rounding_by_coordinate(
        &self,
        _: &Certificate,
        rounding: &Rounding,
        tape: &Tape<f64>,
        reach: &[f64],
    ) -> Result<Vec<Vec<f64>>> {
        self.map.apply_errors(rounding, tape.saved(0), reach)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.map.set_summation(summation);
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(AffineLayer { map: self.map.widen(), direct: None })
    }

    fn parameters(&self) -> Vec<&[T]> {
        match &self.direct {
            Some(rows) => std::iter::once(&rows.weight[..]).chain(self.map.bias()).collect(),
            None => self.map.parameters(),
        }
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        let mut parameters = self.map.parameters_mut();
        if let (Some(rows), Some(weight)) = (&mut self.direct, parameters.first_mut()) {
            *weight = &mut rows.weight;
        }
        parameters
    }

    fn prepare(&mut self) {
        let Some(rows) = &self.direct else { return };
        let Some(explicit) = self.map.parameters_mut().into_iter().next() else { return };
        for (to, from) in explicit.chunks_mut(rows.length).zip(rows.weight.chunks(rows.length)) {
            let norm = norm(from);
            for (to, &from) in to.iter_mut().zip(from) {
                *to = from / norm;
            }
        }
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        let (Some(rows), Some(gradient)) = (&self.direct, gradient.first_mut()) else { return };
        // d(w/‖w‖) = (I − ŵŵᵀ)/‖w‖ dw with ŵ = w/‖w‖.
        for (g, w) in gradient.chunks_mut(rows.length).zip(rows.weight.chunks(rows.length)) {
            let norm = norm(w);
            let along: T = g.iter().zip(w).map(|(&g, &w)| g * w / norm).sum();
            for (g, &w) in g.iter_mut().zip(w) {
                *g = (*g - along * w / norm) / norm;
            }
        }
    }
}

/// The norm of a row as computed, or 1 for a row of zeros, which stays as it is.
fn norm<T: Scalar>(row: &[T]) -> T {
    let squares: T = row.iter().map(|&w| w * w).sum();
    if squares > T::zero() { num_traits::Float::sqrt(squares) } else { T::one() }
}
