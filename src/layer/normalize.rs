//! Normalisation of the input, channel by channel.

use super::Layer;
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    model::{Linear, Map},
    rigor::{
        Rounding,
        directed::{add_up, div_up, mul_up, sqrt_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape, finite},
};

/// `y_c = (x_c − mean_c)/std_c` for each channel `c` of an image, or each feature of a vector.
///
/// It is exactly `1/min_c std_c`-Lipschitz. As a layer it is part of the certificate: radii are in units of the pixels.
#[derive(Debug, Clone)]
pub struct Normalize<T> {
    shape: Shape,
    mean: Vec<T>,
    std: Vec<T>,
}

impl<T: Scalar> Normalize<T> {
    /// Normalisation by the given means and standard deviations.
    ///
    /// # Errors
    /// [`Error::Length`] if there is not one of each for each channel or feature, [`Error::Parameter`] if a standard
    /// deviation is not positive, [`Error::NotFinite`] for a NaN or an infinity.
    pub fn new(shape: Shape, mean: Vec<T>, std: Vec<T>) -> Result<Self> {
        let units = match shape {
            Shape::Features(n) => n,
            Shape::Image { channels, .. } => channels,
        };
        for (name, values) in [("normalize mean", &mean), ("normalize std", &std)] {
            if values.len() != units {
                return Err(Error::Length { what: name.into(), expected: units, found: values.len() });
            }
            finite(name, values)?;
        }
        if let Some(std) = std.iter().find(|&&s| s <= T::zero()) {
            return Err(Error::parameter("std", std, "a standard deviation must be positive"));
        }
        Ok(Self { shape, mean, std })
    }

    /// Returns `(sample index, unit)` of every number: which mean and which deviation it has.
    fn each<'a>(&'a self, data: &'a mut [T]) -> impl Iterator<Item = (&'a mut T, T, T)> {
        let (units, repeat) = (self.mean.len(), self.shape.len() / self.mean.len());
        data.iter_mut().enumerate().map(move |(i, x)| {
            let unit = i / repeat % units;
            (x, self.mean[unit], self.std[unit])
        })
    }

    fn scaled(&self, mut g: Batch<T>) -> Batch<T> {
        self.each(g.data_mut()).for_each(|(g, _, std)| *g /= std);
        g
    }

    fn lipschitz(&self) -> f64 {
        let smallest = self.std.iter().map(|s| s.wide()).fold(f64::INFINITY, f64::min);
        div_up(1.0, smallest)
    }
}

impl<T: Scalar> Layer<T> for Normalize<T> {
    fn describe(&self) -> Map {
        let wide = |values: &[T]| values.iter().map(|x| x.wide()).collect();
        Map::Linear(Linear::Normalize { mean: wide(&self.mean), std: wide(&self.std) })
    }

    fn input(&self) -> Shape {
        self.shape
    }

    fn output(&self) -> Shape {
        self.shape
    }

    fn forward(&self, mut x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        self.each(x.data_mut()).for_each(|(x, mean, std)| *x = (*x - mean) / std);
        tape.save_copy(&x);
        x
    }

    fn vjp(&self, _tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        self.scaled(g)
    }

    fn jvp(&self, _tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.scaled(v)
    }

    /// Returns a subtraction and a division: `|ŷ − y| ≤ (2u + u²)/(1 − u)²·|ŷ| + η ≤ 4u|ŷ| + η`.
    fn rounding(&self, _: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let y = tape.saved(0);
        let underflow = mul_up(sqrt_up(self.shape.len() as f64), rounding.underflow(1));
        // Every |x'| is at most the largest |x|, which the largest |y|·std + |mean| bounds, plus the reach.
        let (std, mean) = self
            .std
            .iter()
            .zip(&self.mean)
            .fold((0.0f64, 0.0f64), |(s, m), (std, mean)| (s.max(std.wide()), m.max(mean.wide().abs())));
        let bound = |(size, &reach): (f64, &f64)| {
            let size = add_up(mul_up(2.0, size), mul_up(self.lipschitz(), reach));
            let input = add_up(add_up(mul_up(mul_up(2.0, size), std), mean), reach);
            rounding.unless_overflow(size.max(input), add_up(mul_up(4.0 * rounding.unit(), size), underflow))
        };
        Ok(y.norms_up().into_iter().zip(reach).map(bound).collect())
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        let wide = |values: &[T]| crate::tensor::cast(values);
        Box::new(Normalize { shape: self.shape, mean: wide(&self.mean), std: wide(&self.std) })
    }
}
