//! Convolutions of stride 1 with zeros around the image, without a matrix of patches.
//!
//! A sample is copied into a *tile*: its blocks of channels ([`crate::lanes`]) with a border of zeros. Every output
//! point then reads the tile at fixed offsets, one for each tap, and sums its products in registers. The adjoint is
//! such a convolution too, with the kernel turned around and the channels exchanged; so one inner loop serves both.

mod gradient;
mod kernel;
mod pass;
#[cfg(test)]
mod tests;
mod winograd;

use std::sync::OnceLock;

use pulp::{Arch, Simd, WithSimd};

use self::{
    pass::{Convolve, Finish, Frame, Pass},
    winograd::Winograd,
};
use crate::{
    buffer::Buffer,
    lanes::{Block, LANES, Lanes, update},
    rigor::Summation,
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// A convolution of stride 1 with zeros around the image, its weights arranged for the inner loop.
#[derive(Debug, Clone)]
pub struct Direct<T> {
    forward: Pass<T>,
    adjoint: Pass<T>,
    /// Both directions by Winograd's method, once they were asked for, if the kernel has the size for it.
    fast: OnceLock<Option<[Winograd<T>; 2]>>,
}

/// What happens to `Wx + b` on its way into `Wᵀφ(Wx + b)`.
pub(crate) trait Middle<T> {
    /// Replaces some points of sample `s` by their values under `φ`; `at` is the place of the first in the blocks of
    /// the sample.
    fn replace<S: Simd>(&mut self, simd: S, s: usize, at: usize, z: &mut [Block<T>]);
}

impl<T: Scalar> Direct<T> {
    /// Returns the convolution with weights `out × in × kernel height × kernel width`. None if the padding is not
    /// smaller than the kernel: then the adjoint reads less than the image.
    pub(super) fn new(
        (input, output): (Shape, Shape),
        kernel: (usize, usize),
        padding: (usize, usize),
        summation: Summation,
        weight: &[T],
    ) -> Option<Self> {
        let (inputs, ..) = input.as_image("").ok()?;
        let (area, taps) = (kernel.0 * kernel.1, inputs * kernel.0 * kernel.1);
        let around = (kernel.0.checked_sub(padding.0 + 1)?, kernel.1.checked_sub(padding.1 + 1)?);
        let forward = |o: usize, c: usize, t: usize| weight[o * taps + c * area + t];
        let adjoint = |c: usize, o: usize, t: usize| weight[o * taps + c * area + (area - 1 - t)];
        Some(Self {
            forward: Pass::new((input, output), kernel, padding, summation, forward)?,
            adjoint: Pass::new((output, input), kernel, around, summation, adjoint)?,
            fast: OnceLock::new(),
        })
    }

    /// Returns the largest numbers of roundings that a product passes through in `Wx` and in `Wᵀy`.
    pub(super) fn depth(&self) -> [usize; 2] {
        [self.forward.depth(), self.adjoint.depth()]
    }

    /// Returns `Wx + b`, with one bias for each output channel.
    pub(crate) fn apply(&self, x: &Batch<T>, bias: Option<&[T]>) -> Batch<T> {
        run(&self.forward, x, bias)
    }

    /// Returns `Wᵀy`.
    pub(crate) fn adjoint(&self, y: &Batch<T>) -> Batch<T> {
        run(&self.adjoint, y, None)
    }

    /// Adds the gradient of `Σ ⟨y, Wx⟩` over all pairs of `y` and `x` by the weights, fast as in [`Self::sandwich`].
    pub(crate) fn accumulate(&self, pairs: &[[&Batch<T>; 2]], gradient: &mut [T], fast: bool) {
        match self.winograd().filter(|_| fast) {
            Some([forward, _]) => forward.accumulate(pairs, gradient),
            None => pairs.iter().for_each(|[y, x]| gradient::accumulate(&self.forward, y, x, gradient)),
        }
    }

    /// Returns `x + h Wᵀφ(Wx + b)`, sample by sample, so that what lies between stays in the cache. A fast one may be
    /// computed by Winograd's method, whose rounding errors no certificate bounds.
    pub(crate) fn sandwich(
        &self,
        x: &Batch<T>,
        bias: Option<&[T]>,
        h: T,
        middle: &mut impl Middle<T>,
        fast: bool,
    ) -> Batch<T> {
        let mut y = Buffer::new(x.blocks().len());
        let bias = &in_blocks(bias, self.forward.output.blocks);
        let (x_blocks, y_blocks) = (x.blocks(), &mut y);
        match self.winograd().filter(|_| fast) {
            Some([forward, adjoint]) => {
                Arch::new().dispatch(Sandwich { forward, adjoint, x: x_blocks, bias, h, middle, y: y_blocks });
            }
            None => {
                let Self { forward, adjoint, .. } = self;
                Arch::new().dispatch(Sandwich { forward, adjoint, x: x_blocks, bias, h, middle, y: y_blocks });
            }
        }
        Batch::from_blocks(x.shape(), x.samples(), y)
    }

    fn winograd(&self) -> Option<&[Winograd<T>; 2]> {
        let arrange = || Some([Winograd::new(&self.forward)?, Winograd::new(&self.adjoint)?]);
        self.fast.get_or_init(arrange).as_ref()
    }
}

fn run<T: Scalar>(pass: &Pass<T>, x: &Batch<T>, bias: Option<&[T]>) -> Batch<T> {
    let mut y = Buffer::new(x.samples() * pass.output.len());
    let bias = in_blocks(bias, pass.output.blocks);
    Arch::new().dispatch(Affine { pass, x: x.blocks(), bias: &bias, y: &mut y });
    Batch::from_blocks(pass.output.shape, x.samples(), y)
}

/// Returns one number for each channel, as blocks; zeros if there are none.
fn in_blocks<T: Scalar>(x: Option<&[T]>, blocks: usize) -> Vec<Block<T>> {
    let mut all = vec![Block::default(); blocks];
    for (i, &x) in x.unwrap_or_default().iter().enumerate() {
        all[i / LANES].0[i % LANES] = x;
    }
    all
}

struct Affine<'a, T> {
    pass: &'a Pass<T>,
    x: &'a [Block<T>],
    bias: &'a [Block<T>],
    y: &'a mut [Block<T>],
}

impl<T: Scalar> WithSimd for Affine<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { pass, x, bias, y } = self;
        let (mut tile, mut scratch) = (pass.frame.tile(), pass.scratch());
        for (x, y) in x.chunks(pass.frame.image.len()).zip(y.chunks_mut(pass.output.len())) {
            pass.frame.load_sample(x, &mut tile);
            pass.run(simd, &tile, &mut scratch, &mut Plus { bias, y });
        }
    }
}

/// `y = sum + b`.
struct Plus<'a, T> {
    bias: &'a [Block<T>],
    y: &'a mut [Block<T>],
}

impl<T: Scalar> Finish<T> for Plus<'_, T> {
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, channels: usize, at: usize, sums: &mut [Block<T>]) {
        add(simd, &mut *sums, &self.bias[channels]);
        self.y[at..][..sums.len()].copy_from_slice(sums);
    }
}

#[inline(always)]
fn add<T: Lanes, S: Simd>(simd: S, sums: &mut [Block<T>], bias: &Block<T>) {
    for sum in sums {
        for (sum, &bias) in T::vectors_mut::<S>(&mut sum.0).iter_mut().zip(T::vectors::<S>(&bias.0)) {
            *sum = T::plus(simd, *sum, bias);
        }
    }
}

struct Sandwich<'a, T, C, M> {
    forward: &'a C,
    adjoint: &'a C,
    x: &'a [Block<T>],
    bias: &'a [Block<T>],
    h: T,
    middle: &'a mut M,
    y: &'a mut [Block<T>],
}

impl<T: Scalar, C: Convolve<T>, M: Middle<T>> WithSimd for Sandwich<'_, T, C, M> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { forward, adjoint, x, bias, h, middle, y } = self;
        let (mut outer, mut inner) = (forward.frame().tile(), adjoint.frame().tile());
        let (mut there, mut back) = (forward.scratch(), adjoint.scratch());
        let size = adjoint.output().len();
        for (s, (x, y)) in x.chunks(size).zip(y.chunks_mut(size)).enumerate() {
            forward.frame().load_sample(x, &mut outer);
            let mut turn = Turn { s, bias, middle: &mut *middle, frame: adjoint.frame(), tile: &mut inner };
            forward.run(simd, &outer, &mut there, &mut turn);
            adjoint.run(simd, &inner, &mut back, &mut Step { x, h, y });
        }
    }
}

/// `φ(sum + b)`, into the tile of the adjoint.
struct Turn<'a, T, M> {
    s: usize,
    bias: &'a [Block<T>],
    middle: &'a mut M,
    frame: &'a Frame,
    tile: &'a mut [Block<T>],
}

impl<T: Scalar, M: Middle<T>> Finish<T> for Turn<'_, T, M> {
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, channels: usize, at: usize, sums: &mut [Block<T>]) {
        add(simd, &mut *sums, &self.bias[channels]);
        self.middle.replace(simd, self.s, at, sums);
        self.frame.load(channels, at, sums, self.tile);
    }
}

/// `y = x + h·sum`.
struct Step<'a, T> {
    x: &'a [Block<T>],
    h: T,
    y: &'a mut [Block<T>],
}

impl<T: Scalar> Finish<T> for Step<'_, T> {
    #[inline(always)]
    fn finish<S: Simd>(&mut self, simd: S, _channels: usize, at: usize, sums: &mut [Block<T>]) {
        let h = T::splat(simd, self.h);
        update(simd, &mut *sums, &self.x[at..], |sum, x| T::multiply_add(simd, h, sum, x));
        self.y[at..][..sums.len()].copy_from_slice(sums);
    }
}
