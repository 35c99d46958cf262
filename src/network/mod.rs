//! Layers in order.

mod as_layer;
mod build;
mod file;
mod mirror;

use rayon::prelude::*;

use crate::{
    error::{Error, Result},
    layer::Layer,
    model::Map,
    rigor::Summation,
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

pub(crate) use as_layer::in_a_row;
pub use file::{AnyNetwork, load, save};

/// The largest number of samples that one thread takes through a network at a time.
pub const CHUNK: usize = 64;
/// About the bytes that they may have between two layers, so that they stay in a second-level cache.
const CACHE: usize = 1 << 19;

/// A feed-forward network: layers in order, each fed by the one before.
///
/// ```
/// use dahlquist::{Network, layer::{ActivationLayer, AffineLayer, Layer}, activation::Activation};
/// use dahlquist::{operator::{Affine, Dense}, tensor::{Batch, Shape}};
/// let dense = AffineLayer::new(Affine::new(Dense::new(1, 2, vec![3.0, 4.0])?, None)?);
/// let relu = ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(1))?;
/// let network = Network::new(Shape::Features(2), vec![Box::new(dense), Box::new(relu)])?;
/// let y = network.forward(&Batch::new(Shape::Features(2), vec![1.0, 2.0, -1.0, 0.0])?)?;
/// assert_eq!(y.data(), [11.0, 0.0]);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug)]
pub struct Network<T: Scalar> {
    input: Shape,
    layers: Vec<Box<dyn Layer<T>>>,
}

impl<T: Scalar> Network<T> {
    /// Returns the layers in order.
    ///
    /// # Errors
    /// [`Error::Shape`] in the layer whose input is not the output of the one before; [`Error::Parameter`] if there is
    /// no layer.
    pub fn new(input: Shape, layers: Vec<Box<dyn Layer<T>>>) -> Result<Self> {
        if layers.is_empty() {
            return Err(Error::parameter("layers", 0, "a network has at least one layer"));
        }
        let mut shape = input;
        for (i, layer) in layers.iter().enumerate() {
            if layer.input() != shape {
                let what = format!("input of a layer of kind {}", layer.describe().kind());
                return Err(Error::Shape { what, expected: layer.input(), found: shape }.in_layer(i.to_string()));
            }
            shape = layer.output();
        }
        Ok(Self { input, layers })
    }

    /// Returns the shape of a sample that goes in.
    pub fn input(&self) -> Shape {
        self.input
    }

    /// Returns the shape of a sample that comes out.
    pub fn output(&self) -> Shape {
        self.layers.last().map_or(self.input, |layer| layer.output())
    }

    /// Returns the layers in order.
    pub fn layers(&self) -> impl ExactSizeIterator<Item = &dyn Layer<T>> + DoubleEndedIterator {
        self.layers.iter().map(|layer| &**layer)
    }

    /// Returns the number of direct parameters.
    pub fn parameter_count(&self) -> usize {
        self.layers().flat_map(|layer| layer.parameters()).map(<[T]>::len).sum()
    }

    /// Returns how many samples one thread takes through the network at a time, at most [`CHUNK`]. It depends on the
    /// network alone, so that results do not depend on the number of threads, and it bounds the memory of a pass.
    pub fn chunk(&self) -> usize {
        let widest = self.layers().map(|layer| layer.output().len()).fold(self.input.len(), usize::max);
        (CACHE / (widest * size_of::<T>())).clamp(1, CHUNK)
    }

    /// Returns the ranges of at most [`Self::chunk`] samples that a batch is split into.
    pub(crate) fn chunks(&self, samples: usize) -> Vec<std::ops::Range<usize>> {
        chunks_of(self.chunk(), samples)
    }

    /// Returns the value for each sample, in parallel over chunks of [`Self::chunk`] samples; the same for every number
    /// of threads.
    ///
    /// # Errors
    /// [`Error::Shape`] if the samples do not have the shape of the input.
    pub fn forward(&self, x: &Batch<T>) -> Result<Batch<T>> {
        self.check(x.shape())?;
        let chunks: Vec<Batch<T>> =
            self.chunks(x.samples()).into_par_iter().map(|range| self.run(x.slice(range), &mut Tape::idle())).collect();
        let data = chunks.iter().flat_map(|chunk| chunk.data()).copied().collect();
        Ok(Batch::computed(self.output(), x.samples(), data))
    }

    /// Returns the value for each sample and the tape that the derivatives need, on the calling thread.
    ///
    /// # Errors
    /// [`Error::Shape`] if the samples do not have the shape of the input.
    pub fn forward_recording(&self, x: Batch<T>) -> Result<(Batch<T>, Tape<T>)> {
        self.check(x.shape())?;
        let mut tape = Tape::recording();
        Ok((self.run(x, &mut tape), tape))
    }

    /// As [`Self::forward_recording`], by the fastest methods: for gradients that steer training or an attack. Rounding
    /// errors are larger than those of [`Self::forward`], so that nothing about the network follows from these values.
    ///
    /// # Errors
    /// [`Error::Shape`] if the samples do not have the shape of the input.
    pub fn forward_fast(&self, x: Batch<T>) -> Result<(Batch<T>, Tape<T>)> {
        self.check(x.shape())?;
        let mut tape = Tape::fast();
        Ok((self.run(x, &mut tape), tape))
    }

    fn run(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        self.layers.iter().fold(x, |x, layer| tape.part(|tape| layer.forward(x, tape)))
    }

    /// Returns `Jᵀg` for each sample of the pass that the tape recorded; the gradient of `Σ ⟨g, y⟩` by the explicit
    /// parameters is added to `gradient`.
    ///
    /// # Errors
    /// [`Error::Shape`] if `g` does not have the shape of the output.
    pub fn vjp(&self, tape: &Tape<T>, g: Batch<T>, mut gradient: Option<&mut Gradient<T>>) -> Result<Batch<T>> {
        self.agree("cotangent", self.output(), g.shape())?;
        let step = |g, (i, layer): (usize, &dyn Layer<T>)| {
            let slots = gradient.as_deref_mut().map(|gradient| &mut gradient.0[i][..]);
            layer.vjp(tape.inner(i), g, slots)
        };
        Ok(self.layers().enumerate().rev().fold(g, step))
    }

    /// Returns `Jv` for each sample of the pass that the tape recorded.
    ///
    /// # Errors
    /// [`Error::Shape`] if `v` does not have the shape of the input.
    pub fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Result<Batch<T>> {
        self.check(v.shape())?;
        Ok(self.layers.iter().enumerate().fold(v, |v, (i, layer)| layer.jvp(tape.inner(i), v)))
    }

    /// Returns a gradient of zeros.
    pub fn gradient(&self) -> Gradient<T> {
        Gradient(self.layers.iter().map(|layer| layer.gradient()).collect())
    }

    /// Returns the direct parameters of each layer, to be changed; [`Self::prepare`] must follow.
    pub fn parameters_mut(&mut self) -> Vec<Vec<&mut [T]>> {
        self.layers.iter_mut().map(|layer| layer.parameters_mut()).collect()
    }

    /// Explicit parameters from direct ones, layer by layer.
    pub fn prepare(&mut self) {
        self.layers.par_iter_mut().for_each(|layer| layer.prepare());
    }

    /// Turns a gradient by the explicit parameters into one by the direct ones.
    pub fn pull_back(&self, gradient: &mut Gradient<T>) {
        self.layers.par_iter().zip(&mut gradient.0).for_each(|(layer, slots)| layer.pull_back(slots));
    }

    /// Returns what the network computes, as data: a chain of what its layers do.
    pub fn describe(&self) -> Map {
        Map::Chain(self.layers.iter().map(|layer| layer.describe()).collect())
    }

    /// Fixes every step to a length that is proved to be admissible.
    pub(crate) fn fix_steps(&mut self, prover: &Prover) -> Result<()> {
        let fix =
            |(i, layer): (usize, &mut Box<dyn Layer<T>>)| layer.seal(prover).map_err(|e| e.in_layer(i.to_string()));
        self.layers.par_iter_mut().enumerate().try_for_each(fix)
    }

    /// Returns the same network, running in an order of summation: what a network that is sealed for this order
    /// computes.
    #[must_use]
    pub fn with_summation(mut self, summation: Summation) -> Self {
        self.set_summation(summation);
        self
    }

    /// Makes every sum of the network keep to an order: [`crate::certify::SealOptions::summation`].
    pub(crate) fn set_summation(&mut self, summation: Summation) {
        self.layers.iter_mut().for_each(|layer| layer.set_summation(summation));
    }

    /// Returns the same network over `f64`, exactly.
    pub fn widen(&self) -> Network<f64> {
        Network { input: self.input, layers: self.layers.iter().map(|layer| layer.widen()).collect() }
    }

    fn check(&self, found: Shape) -> Result<()> {
        self.agree("input of the network", self.input, found)
    }

    fn agree(&self, what: &str, expected: Shape, found: Shape) -> Result<()> {
        if expected == found { Ok(()) } else { Err(Error::Shape { what: what.into(), expected, found }) }
    }
}

/// Returns the ranges of at most `size` samples that a batch is split into.
pub(crate) fn chunks_of(size: usize, samples: usize) -> Vec<std::ops::Range<usize>> {
    (0..samples).step_by(size).map(|start| start..(start + size).min(samples)).collect()
}

/// A gradient by the parameters of a network: for each layer, one flat vector for each of its parameters.
#[derive(Debug, Clone)]
pub struct Gradient<T>(pub Vec<Vec<Vec<T>>>);

impl<T: Scalar> Gradient<T> {
    /// `self ← self + other`.
    pub fn add(&mut self, other: &Self) {
        for (a, b) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            let pieces = a.par_chunks_mut(1 << 14).zip(b.par_chunks(1 << 14));
            pieces.for_each(|(a, b)| a.iter_mut().zip(b).for_each(|(a, &b)| *a += b));
        }
    }

    /// `self ← 0`.
    pub fn clear(&mut self) {
        self.0.iter_mut().flatten().for_each(|slot| slot.fill(T::zero()));
    }
}
