//! A network in another arithmetic: by its formulas alone, with the steps that sealing fixed.

use dahlquist::{
    Result, Sealed,
    activation::Activation,
    model::Map,
    scalar::Scalar,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};

use dahlquist_testkit::{
    described,
    oracle::{self, Function, Matrix, Method, Num, gradient_field, row},
};

use crate::subject::{Part, Subject};

/// A layer in the numbers `N`.
type Stage<N> = Box<dyn Fn(Vec<N>) -> Vec<N>>;

/// A network in the numbers `N`.
pub struct Reference<N> {
    stages: Vec<Stage<N>>,
}

impl<N: Num> Reference<N> {
    /// The network that was sealed, with the steps that sealing fixed.
    ///
    /// # Errors
    /// If a part is refused.
    pub fn new<T: Scalar>(subject: &Subject<T>, sealed: &Sealed<T>) -> Result<Self> {
        let mut shape = subject.input;
        let mut stages = Vec::new();
        for (part, map) in subject.parts.iter().zip(sealed.map().layers()) {
            let step = if let Map::Flow(flow) = map { flow.step } else { f64::NAN };
            stages.push(stage(part, shape, step)?);
            shape = part.layer(shape)?.output();
        }
        Ok(Self { stages })
    }

    /// The value at `x`.
    pub fn at<T: Scalar>(&self, x: &[T]) -> Vec<N> {
        self.stages.iter().fold(row(x), |x, stage| stage(x))
    }
}

fn sigma<N: Num, T: Scalar>(a: Activation) -> Result<Function<N>> {
    Ok(oracle::piecewise(a.in_format::<T>()?).expect("a piecewise linear function"))
}

fn stage<N: Num, T: Scalar>(part: &Part<T>, input: Shape, step: f64) -> Result<Stage<N>> {
    Ok(match part {
        Part::Affine(map) => {
            let map = Matrix::of(&map.affine()?);
            Box::new(move |x| map.apply(&x))
        }
        Part::Activation(a) => {
            let sigma = sigma::<N, T>(*a)?;
            Box::new(move |x| x.iter().map(&sigma).collect())
        }
        Part::Gradient { map, activation, method, steps, .. } => {
            let (map, sigma) = (Matrix::of(&map.affine()?), sigma::<N, T>(*activation)?);
            let (method, h, steps) = (Method::of(&Tableau::by_name(method)?), N::of(step), *steps);
            Box::new(move |x| method.flow(&gradient_field(&map, &*sigma), &h, steps, &x))
        }
        Part::Residual { inner, activation, outer, method, .. } => {
            let (inner, outer) = (Matrix::of(&inner.affine()?), Matrix::of(&outer.affine()?));
            let (sigma, h) = (sigma::<N, T>(*activation)?, N::of(step));
            let method = Method::of(&Tableau::by_name(method)?);
            let field = move |x: &[N]| outer.apply(&inner.apply(x).iter().map(&sigma).collect::<Vec<_>>());
            Box::new(move |x| method.flow(&field, &h, 1, &x))
        }
        Part::Normalize { mean, exponent } => {
            let scale = N::of(2f64.powi(*exponent));
            let mean: Vec<N> = row(mean);
            Box::new(move |x| {
                let points = x.len() / mean.len();
                x.iter().enumerate().map(|(i, x)| x.minus(&mean[i / points]).times(&scale)).collect()
            })
        }
        Part::Described(map) => {
            let map = map.clone();
            Box::new(move |x| described::value(&map, input, &x).expect("a map that has a value in these numbers"))
        }
        // Moves coordinates: where to is seen from their numbers, 0 being none.
        Part::PadChannels(_) | Part::SpaceToDepth(_) | Part::Flatten => {
            let numbers = Batch::new(input, (1..=input.len()).map(|i| T::of(i as f64)).collect())?;
            let moved = part.layer(input)?.forward(numbers, &mut Tape::idle());
            let from: Vec<usize> = moved.data().iter().map(|i| i.wide() as usize).collect();
            let pick = move |x: &[N], i: usize| if i == 0 { N::of(0.0) } else { x[i - 1].clone() };
            Box::new(move |x| from.iter().map(|&i| pick(&x, i)).collect())
        }
    })
}
