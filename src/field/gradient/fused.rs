//! An Euler step of a gradient field whose operator is a direct convolution, and its derivative, sample by sample: what
//! lies between the convolution and its adjoint never leaves the cache.

use super::GradientField;
use crate::{
    activation::Activation,
    lanes::{Block, LANES},
    operator::{Direct, Middle},
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};

impl<T: Scalar> GradientField<T> {
    /// `x − hWᵀσ(Wx + b)`; leaves `z = Wx + b` on the tape.
    pub(super) fn fused_euler(&self, direct: &Direct<T>, h: T, x: &Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let (shape, samples) = (self.map.operator().output(), x.samples());
        let z = if tape.is_recording() { vec![Block::default(); samples * shape.blocks()] } else { Vec::new() };
        let mut value = Value { activation: self.activation, z, size: shape.blocks() };
        let y = direct.sandwich(x, self.map.bias(), h, &mut value);
        if tape.is_recording() {
            tape.save(Batch::from_blocks(shape, samples, value.z));
        }
        y
    }

    /// With `q = −hσ'(z) ⊙ Wg`, the gradients are `g + Wᵀq` by `x`, `q xᵀ − hσ(z) gᵀ` by `W`, `q` by `b` and
    /// `−⟨Wg, σ(z)⟩` by `h`.
    pub(super) fn fused_euler_vjp(
        &self,
        direct: &Direct<T>,
        h: T,
        x: &Batch<T>,
        tape: &Tape<T>,
        g: &Batch<T>,
        gradient: Option<&mut [Vec<T>]>,
    ) -> (Batch<T>, T) {
        let z = tape.saved(0);
        let kept = |keep| if keep { vec![Block::default(); z.blocks().len()] } else { Vec::new() };
        let keep = gradient.is_some();
        let (q, p) = (kept(keep), kept(keep));
        let size = z.shape().blocks();
        let mut slope =
            Slope { activation: self.activation, h, z: z.blocks(), q, p, keep, size, along: Block::default() };
        let pulled = direct.sandwich(g, None, T::one(), &mut slope);
        let Slope { q, p, along, .. } = slope;
        if let Some(gradient) = gradient {
            let batch = |blocks| Batch::from_blocks(z.shape(), z.samples(), blocks);
            self.map.accumulate(&batch(q), x, gradient);
            self.map.accumulate(&batch(p), g, &mut gradient[..1]);
        }
        (pulled, along.0.into_iter().sum())
    }
}

/// `z ↦ −σ(z)`, and `z` is kept where there is room for it.
struct Value<T> {
    activation: Activation,
    z: Vec<Block<T>>,
    /// The number of blocks of a sample.
    size: usize,
}

impl<T: Scalar> Middle<T> for Value<T> {
    #[inline(always)]
    fn replace(&mut self, s: usize, at: usize, z: &mut [Block<T>]) {
        if !self.z.is_empty() {
            self.z[s * self.size + at..][..z.len()].copy_from_slice(z);
        }
        // One loop for each of the functions that networks are made of, without a branch inside.
        match self.activation {
            Activation::Relu {} => map(z, |z| -Activation::Relu {}.value(z)),
            Activation::LeakyRelu { slope } => map(z, |z| -Activation::LeakyRelu { slope }.value(z)),
            other => map(z, |z| -other.value(z)),
        }
    }
}

#[inline(always)]
fn map<T: Scalar>(z: &mut [Block<T>], f: impl Fn(T) -> T) {
    for z in z.iter_mut().flat_map(|z| &mut z.0) {
        *z = f(*z);
    }
}

/// `w ↦ −hσ'(z) ⊙ w`.
struct Slope<'a, T> {
    activation: Activation,
    h: T,
    z: &'a [Block<T>],
    /// Where the result is kept, and `−hσ(z)`.
    q: Vec<Block<T>>,
    p: Vec<Block<T>>,
    keep: bool,
    size: usize,
    /// `−⟨w, σ(z)⟩` by lanes.
    along: Block<T>,
}

impl<T: Scalar> Middle<T> for Slope<'_, T> {
    #[inline(always)]
    fn replace(&mut self, s: usize, at: usize, w: &mut [Block<T>]) {
        match self.activation {
            Activation::Relu {} => self.by(s, at, w, Activation::Relu {}),
            Activation::LeakyRelu { slope } => self.by(s, at, w, Activation::LeakyRelu { slope }),
            other => self.by(s, at, w, other),
        }
    }
}

impl<T: Scalar> Slope<'_, T> {
    #[inline(always)]
    fn by(&mut self, s: usize, at: usize, w: &mut [Block<T>], activation: Activation) {
        let place = s * self.size + at..s * self.size + at + w.len();
        let z = &self.z[place.clone()];
        if self.keep {
            let (q, p) = (&mut self.q[place.clone()], &mut self.p[place]);
            for (((w, z), q), p) in w.iter_mut().zip(z).zip(q).zip(p) {
                for l in 0..LANES {
                    let value = activation.value(z.0[l]);
                    self.along.0[l] -= w.0[l] * value;
                    p.0[l] = -self.h * value;
                    w.0[l] *= -self.h * activation.derivative(z.0[l]);
                }
                *q = *w;
            }
        } else {
            for (w, z) in w.iter_mut().zip(z) {
                for l in 0..LANES {
                    w.0[l] *= -self.h * activation.derivative(z.0[l]);
                }
            }
        }
    }
}
