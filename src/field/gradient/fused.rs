//! An Euler step of a gradient field whose operator is a direct convolution, and its derivative, sample by sample: what
//! lies between the convolution and its adjoint never leaves the cache.

use pulp::Simd;

use super::{FusedStep, GradientField};
use crate::{
    activation::Activation,
    buffer::Buffer,
    lanes::{Block, Lanes},
    operator::{Direct, Middle},
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};

/// A field, and its operator as a direct convolution.
pub(super) struct Fused<'a, T: Scalar> {
    pub field: &'a GradientField<T>,
    pub direct: &'a Direct<T>,
}

impl<T: Scalar> FusedStep<T> for Fused<'_, T> {
    /// Returns `x − hWᵀσ(Wx + b)`; leaves `z = Wx + b` on the tape.
    fn step(&self, h: T, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let (map, activation) = (&self.field.map, self.field.activation);
        let (shape, samples) = (map.operator().output(), x.samples());
        let z = Buffer::new(if tape.is_recording() { samples * shape.blocks() } else { 0 });
        let mut value = Value { activation, z, size: shape.blocks() };
        let y = self.direct.sandwich(x, map.bias(), h, &mut value, tape.is_fast());
        if tape.is_recording() {
            tape.save(Batch::from_blocks(shape, samples, value.z));
        }
        y
    }

    /// With `q = −hσ'(z) ⊙ Wg`, the gradients are `g + Wᵀq` by `x`, `q xᵀ − hσ(z) gᵀ` by `W`, `q` by `b` and
    /// `−⟨Wg, σ(z)⟩` by `h`.
    fn vjp(&self, h: T, x: &Batch<T>, tape: &Tape<T>, g: &Batch<T>, gradient: Option<&mut [Vec<T>]>) -> (Batch<T>, T) {
        let z = tape.saved(0);
        let empty = || Buffer::new(z.blocks().len());
        let mut slope = Slope {
            activation: self.field.activation,
            h,
            z: z.blocks(),
            kept: gradient.is_some().then(|| [empty(), empty()]),
            size: z.shape().blocks(),
            along: Block::default(),
        };
        let pulled = self.direct.sandwich(g, None, T::one(), &mut slope, tape.is_fast());
        let Slope { kept, along, .. } = slope;
        if let (Some(gradient), Some([q, p])) = (gradient, kept) {
            let batch = |blocks| Batch::from_blocks(z.shape(), z.samples(), blocks);
            let (q, p) = (batch(q), batch(p));
            if let Some(weight) = gradient.first_mut() {
                self.direct.accumulate(&[[&q, x], [&p, g]], weight, tape.is_fast());
            }
            self.field.map.accumulate_bias(&q, gradient);
        }
        (pulled, along.0.into_iter().sum())
    }
}

/// `z ↦ −σ(z)`, and `z` is kept where there is room for it.
struct Value<T: Lanes> {
    activation: Activation,
    z: Buffer<T>,
    /// The number of blocks of a sample.
    size: usize,
}

impl<T: Scalar> Middle<T> for Value<T> {
    #[inline(always)]
    fn replace<S: Simd>(&mut self, simd: S, s: usize, at: usize, z: &mut [Block<T>]) {
        if !self.z.is_empty() {
            self.z[s * self.size + at..][..z.len()].copy_from_slice(z);
        }
        let activation = Vectors::new(simd, self.activation);
        let minus = T::splat(simd, -T::one());
        for z in z {
            activation.values(simd, z);
            for z in T::vectors_mut::<S>(&mut z.0) {
                *z = T::times(simd, minus, *z);
            }
        }
    }
}

/// `w ↦ −hσ'(z) ⊙ w`.
struct Slope<'a, T: Lanes> {
    activation: Activation,
    h: T,
    z: &'a [Block<T>],
    /// Where the result is kept, and `−hσ(z)`, if they are wanted.
    kept: Option<[Buffer<T>; 2]>,
    /// The number of blocks of a sample.
    size: usize,
    /// `−⟨w, σ(z)⟩` by lanes.
    along: Block<T>,
}

impl<T: Scalar> Middle<T> for Slope<'_, T> {
    #[inline(always)]
    fn replace<S: Simd>(&mut self, simd: S, s: usize, at: usize, w: &mut [Block<T>]) {
        let activation = Vectors::new(simd, self.activation);
        let (minus, minus_h) = (T::splat(simd, -T::one()), T::splat(simd, -self.h));
        let place = s * self.size + at..s * self.size + at + w.len();
        for (i, w) in place.zip(w) {
            if let Some([_, p]) = &mut self.kept {
                let value = &mut p[i];
                *value = self.z[i];
                activation.values(simd, value);
                let vectors = T::vectors_mut::<S>(&mut self.along.0).iter_mut().zip(T::vectors_mut::<S>(&mut value.0));
                for ((along, value), &w) in vectors.zip(T::vectors::<S>(&w.0)) {
                    *along = T::multiply_add(simd, T::times(simd, minus, *value), w, *along);
                    *value = T::times(simd, minus_h, *value);
                }
            }
            activation.scale_by_slopes(simd, &self.z[i], w, minus_h);
            if let Some([q, _]) = &mut self.kept {
                q[i] = *w;
            }
        }
    }
}

/// An activation on vectors: `z` above 0 and `mz` below it, or lane by lane.
struct Vectors<T: Lanes, S: Simd> {
    activation: Activation,
    /// The number `m`, if there is one.
    below: Option<T::Vector<S>>,
    zero: T::Vector<S>,
}

impl<T: Scalar, S: Simd> Vectors<T, S> {
    #[inline(always)]
    fn new(simd: S, activation: Activation) -> Self {
        let below = match activation {
            Activation::Relu {} => Some(0.0),
            Activation::LeakyRelu { slope } => Some(slope),
            _ => None,
        };
        Self { activation, below: below.map(|m| T::splat(simd, T::of(m))), zero: T::splat(simd, T::zero()) }
    }

    /// `σ(z)` in the place of `z`.
    #[inline(always)]
    fn values(&self, simd: S, z: &mut Block<T>) {
        let Some(below) = self.below else {
            z.0.iter_mut().for_each(|z| *z = self.activation.value(*z));
            return;
        };
        let is_relu = matches!(self.activation, Activation::Relu {});
        for z in T::vectors_mut::<S>(&mut z.0) {
            // Not the product with 0, which makes a NaN of minus infinity.
            let scaled = if is_relu { self.zero } else { T::times(simd, below, *z) };
            *z = T::where_less(simd, *z, self.zero, scaled, *z);
        }
    }

    /// `cσ'(z) ⊙ w` in the place of `w`.
    #[inline(always)]
    fn scale_by_slopes(&self, simd: S, z: &Block<T>, w: &mut Block<T>, c: T::Vector<S>) {
        let Some(below) = self.below else {
            w.0.iter_mut().zip(&z.0).for_each(|(w, &z)| *w *= self.activation.derivative(z));
            T::vectors_mut::<S>(&mut w.0).iter_mut().for_each(|w| *w = T::times(simd, c, *w));
            return;
        };
        let scaled = T::times(simd, c, below);
        for (w, &z) in T::vectors_mut::<S>(&mut w.0).iter_mut().zip(T::vectors::<S>(&z.0)) {
            *w = T::times(simd, T::where_less(simd, self.zero, z, c, scaled), *w);
        }
    }
}
