//! Affine layers: dense, convolution, pooling.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::{Linear, Map},
    operator::Affine,
    parametrize::Form,
    rigor::{Rounding, Summation},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// `x ↦ Wx + b` for any operator: `‖W‖₂`-Lipschitz.
///
/// The weights may be trained in another form: [`Affine::parametrized`]. With unit rows, logits of a head measure distances,
/// which a margin loss needs: nothing is gained by scaling it.
#[derive(Debug)]
pub struct AffineLayer<T: Scalar> {
    map: Affine<T>,
}

impl<T: Scalar> AffineLayer<T> {
    /// Creates the layer of an affine map.
    pub fn new(map: Affine<T>) -> Self {
        Self { map }
    }

    /// Creates the layer of a matrix whose rows are kept at norm 1 during training.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the operator is not dense.
    pub fn with_unit_rows(map: Affine<T>) -> Result<Self> {
        let Linear::Dense { .. } = map.describe() else {
            return Err(Error::parameter("operator", map.describe().kind(), "only a dense layer can have unit rows"));
        };
        Ok(Self::new(map.parametrized(Form::UnitRows)?))
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
        Box::new(AffineLayer { map: self.map.widen() })
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.map.parameters()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.map.parameters_mut()
    }

    fn parameter_rows(&self) -> Vec<usize> {
        self.map.parameter_rows()
    }

    fn prepare(&mut self) {
        self.map.prepare();
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        self.map.pull_back(gradient);
    }
}
