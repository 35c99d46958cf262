//! Linear functions of what comes out, over a box of inputs.

use super::{
    Local,
    linear::{Region, circumradius},
};
use crate::{
    certificate::Semantics,
    certify::Sealed,
    error::{Error, Result},
    rigor::{
        directed::{enlarge_sum, mul_up, sub_down},
        environment,
    },
    scalar::Scalar,
    tensor::Batch,
};

/// Lower bounds of linear functions of the logits over boxes of inputs: what properties of networks are made of.
pub struct LinearBounds<'a, T: Scalar>(Local<'a, T>);

impl<T: Scalar> std::fmt::Debug for LinearBounds<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LinearBounds").field(self.0.sealed.map()).finish()
    }
}

impl<T: Scalar> Sealed<T> {
    /// Returns the network as linear bounds pass it, for boxes of inputs.
    ///
    /// ```
    /// use dahlquist::{Network, Semantics, activation::Activation, tensor::Shape};
    /// use dahlquist::{layer::{ActivationLayer, AffineLayer}, operator::{Affine, Dense}};
    /// // y = relu(x) − x/2
    /// let dense = |o, i, w: &[f64]| Dense::new(o, i, w.to_vec()).and_then(|w| Affine::new(w, None)).map(AffineLayer::new);
    /// let relu = ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(2))?;
    /// let layers = vec![
    ///     Box::new(dense(2, 1, &[1.0, -1.0])?) as Box<dyn dahlquist::layer::Layer<f64>>,
    ///     Box::new(relu),
    ///     Box::new(dense(1, 2, &[0.5, 0.5])?),
    /// ];
    /// let sealed = Network::new(Shape::Features(1), layers)?.seal()?;
    /// let bounds = sealed.linear_bounds();
    /// let least = bounds.least(&[[1.0, 2.0]], &[vec![1.0], vec![-1.0]], Semantics::Exact)?;
    /// assert!(least[0] <= 0.5 && least[0] > 0.499 && least[1] <= -1.0 && least[1] > -1.001);
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn linear_bounds(&self) -> LinearBounds<'_, T> {
        LinearBounds(Local::new(self))
    }
}

impl<T: Scalar> LinearBounds<'_, T> {
    /// For each row `c` a lower bound of `Σ cⱼyⱼ` for every input of a box, `range` being the least and the largest number of
    /// each coordinate; minus infinity where nothing is proved. In executed semantics `y` is what the program computes of inputs
    /// of its format.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one range for each coordinate and one number in each row for each logit;
    /// [`Error::Parameter`] for a range that is none; [`Error::NotProved`] if the last layer is not known to linear bounds, or
    /// declares no rounding error; [`Error::Environment`] if the thread does not compute as proofs assume.
    pub fn least(&self, range: &[[f64; 2]], rows: &[Vec<f64>], semantics: Semantics) -> Result<Vec<f64>> {
        environment::check()?;
        let Self(local) = self;
        let (input, features) = (local.sealed.network().input(), local.sealed.feature_layers());
        let length = |what: &str, expected: usize, found: usize| match expected == found {
            true => Ok(()),
            false => Err(Error::Length { what: what.into(), expected, found }),
        };
        length("box of inputs", input.len(), range.len())?;
        let outputs = local.sealed.network().output().len();
        rows.iter().try_for_each(|row| length("linear function of the logits", outputs, row.len()))?;
        if let Some([low, high]) = range.iter().find(|[a, b]| !(a.is_finite() && b.is_finite() && a <= b)) {
            return Err(Error::parameter(
                "range",
                format!("[{low}, {high}]"),
                "it goes from a finite number to a larger one",
            ));
        }
        let Some(tail) = local.tail.as_ref().filter(|tail| tail.first <= features) else {
            return Err(Error::not_proved("a linear bound", "the last layer is not known, or too large"));
        };
        let center: Vec<f64> = range.iter().map(|[low, high]| low / 2.0 + high / 2.0).collect();
        let radius = circumradius(range, &center);
        let pass = local.pass(&Batch::new(input, center)?)?;
        let around = local.around(&pass, &[radius], semantics)?;
        let added: Vec<f64> = around.added.iter().map(|layer| layer[0]).collect();
        let region = match tail.first {
            0 => Region::cube(range.to_vec()),
            _ => Region::ball(pass.front.sample(0), around.front[0], None),
        };
        let head = |row: &Vec<f64>| {
            let products = row.iter().zip(&around.head[0]).map(|(c, error)| mul_up(c.abs(), *error));
            enlarge_sum(products.sum(), row.len())
        };
        let least = tail.least(rows, &region, &added);
        Ok(rows.iter().zip(least).map(|(row, least)| sub_down(least, head(row))).collect())
    }
}
