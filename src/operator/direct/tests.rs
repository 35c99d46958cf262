//! The declared depth of the sums, the same sums under every instruction set, and Winograd's method.

use pulp::{Arch, Simd, WithSimd};

use super::{
    Affine, Direct, Middle, Sandwich, gradient,
    pass::{Convolve, Finish, Pass},
    winograd,
};
use crate::{
    buffer::Buffer,
    lanes::{Block, LANES, Lanes},
    rigor::Summation,
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// Instead of a sum, the largest number of roundings that a product has passed through on its way into it; in vectors
/// of `N`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count<const N: usize>(usize);

impl<const N: usize> Lanes for Count<N> {
    type Vector<S: Simd> = [Self; N];

    fn splat<S: Simd>(_: S, x: Self) -> [Self; N] {
        [x; N]
    }
    /// Added to the exact 0 of the start, a product has one rounding, its own, whether multiplication and addition are
    /// fused or not; from then on every addition is one more.
    fn multiply_add<S: Simd>(_: S, _: [Self; N], _: [Self; N], c: [Self; N]) -> [Self; N] {
        c.map(|Self(before)| Self(before + 1))
    }
    fn plus<S: Simd>(_: S, a: [Self; N], b: [Self; N]) -> [Self; N] {
        std::array::from_fn(|i| Self(a[i].0.max(b[i].0) + 1))
    }
    fn times<S: Simd>(_: S, a: [Self; N], b: [Self; N]) -> [Self; N] {
        std::array::from_fn(|i| Self(a[i].0.max(b[i].0) + 1))
    }
    fn where_less<S: Simd>(_: S, _: [Self; N], _: [Self; N], then: [Self; N], _: [Self; N]) -> [Self; N] {
        then
    }
    fn vectors<S: Simd>(x: &[Self]) -> &[[Self; N]] {
        x.as_chunks().0
    }
    fn vectors_mut<S: Simd>(x: &mut [Self]) -> &mut [[Self; N]] {
        x.as_chunks_mut().0
    }
}

struct Largest<const N: usize>(usize);

impl<const N: usize> Finish<Count<N>> for Largest<N> {
    fn finish<S: Simd>(&mut self, _: S, _channels: usize, _at: usize, sums: &mut [Block<Count<N>>]) {
        self.0 = sums.iter().flat_map(|sum| sum.0).fold(self.0, |most, Count(depth)| most.max(depth));
    }
}

struct Run<'a, const N: usize>(&'a Pass<Count<N>>);

impl<const N: usize> WithSimd for Run<'_, N> {
    type Output = usize;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> usize {
        let mut largest = Largest::<N>(0);
        self.0.run(simd, &self.0.frame.tile(), &mut self.0.scratch(), &mut largest);
        largest.0
    }
}

const KERNELS: [(usize, usize); 4] = [(1, 1), (3, 3), (2, 5), (7, 7)];

fn depths<const N: usize>() {
    for (inputs, outputs) in [(1, 1), (3, 16), (16, 33), (40, 3), (64, 64), (130, 17)] {
        for kernel in KERNELS {
            for columns in [1, 5, 8, 16, 21] {
                let input = Shape::image(inputs, kernel.0, columns + kernel.1 - 1);
                let shapes = (input, Shape::image(outputs, 1, columns));
                let terms = inputs * kernel.0 * kernel.1;
                for summation in [Summation::Any, Summation::Declared] {
                    let pass = Pass::new(shapes, kernel, (0, 0), summation, |_, _, _| Count::<N>(0)).unwrap();
                    let depth = Arch::new().dispatch(Run(&pass));
                    assert!(
                        depth <= pass.depth() && pass.depth() <= terms,
                        "{shapes:?} {kernel:?} {summation:?}: {depth}"
                    );
                    // The declaration is not larger than need be, and much smaller than the number of terms.
                    assert_eq!(depth, pass.depth());
                    if summation == Summation::Declared {
                        assert!(depth <= 48 + terms / 48 + kernel.0 * kernel.1 / 3 + 1);
                    }
                }
            }
        }
    }
}

/// If this fails because sums are split differently, [`crate::certificate::KERNELS`] must be raised with what is expected.
#[test]
fn the_declared_order_is_that_of_this_version() {
    let order = |inputs: usize, kernel: (usize, usize)| {
        let shapes = (Shape::image(inputs, 8, 8), Shape::image(4, 9 - kernel.0, 9 - kernel.1));
        let pass = Pass::new(shapes, kernel, (0, 0), Summation::Declared, |_, _, _| Count::<4>(0)).unwrap();
        let chunks = pass.groups().chunks(pass.chunk);
        chunks.map(|groups| groups.iter().map(|group| group.terms).sum::<usize>()).collect::<Vec<_>>()
    };
    assert_eq!(
        (crate::certificate::KERNELS, order(16, (3, 3)), order(5, (1, 1)), order(33, (3, 3))),
        (1, vec![48; 3], vec![5], vec![48, 48, 48, 48, 48, 48, 3, 3, 3])
    );
}

#[test]
fn no_product_passes_through_more_roundings_than_declared() {
    depths::<1>();
    depths::<2>();
    depths::<4>();
    depths::<16>();
}

/// Small integers, so that sums are exact and their order does not matter.
fn integers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 7 + i / 5 + seed * 3) % 9) as f32 - 4.0).collect()
}

/// `Wx + b` under one instruction set.
struct Apply<'a>(&'a Direct<f32>, &'a Batch<f32>);

impl WithSimd for Apply<'_> {
    type Output = Batch<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Batch<f32> {
        let pass = &self.0.forward;
        let bias = super::in_blocks(Some(&integers(pass.output.channels, 1)), pass.output.blocks);
        let mut y = Buffer::new(self.1.samples() * pass.output.len());
        Affine { pass, x: self.1.blocks(), bias: &bias, y: &mut y }.with_simd(simd);
        Batch::from_blocks(pass.output.shape, self.1.samples(), y)
    }
}

/// The gradient by the weights under one instruction set, in blocks.
struct Gradient<'a>(&'a Direct<f32>, &'a Batch<f32>, &'a Batch<f32>);

impl WithSimd for Gradient<'_> {
    type Output = Buffer<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Buffer<f32> {
        let pass = &self.0.forward;
        let mut sums = Buffer::zeros(pass.output.blocks * pass.groups().len() * LANES);
        gradient::Samples { pass, y: self.1, x: self.2, sums: &mut sums }.with_simd(simd);
        sums
    }
}

#[test]
fn instruction_sets_agree() {
    for (inputs, outputs, rows, columns) in [(3, 16, 4, 32), (16, 33, 5, 21), (20, 40, 9, 8), (5, 7, 3, 1)] {
        let shapes = (Shape::image(inputs, rows, columns), Shape::image(outputs, rows, columns));
        let weight = integers(inputs * outputs * 9, 2);
        let direct = Direct::new(shapes, (3, 3), (1, 1), Summation::Declared, &weight).unwrap();
        let x = Batch::new(shapes.0, integers(2 * shapes.0.len(), 3)).unwrap();
        let best = Arch::new().dispatch(Apply(&direct, &x));
        let gradient = Arch::new().dispatch(Gradient(&direct, &best, &x));
        assert_eq!(best, direct.apply(&x, Some(&integers(outputs, 1))));
        assert_eq!(best, pulp::Scalar::new().vectorize(Apply(&direct, &x)));
        assert_eq!(gradient[..], pulp::Scalar::new().vectorize(Gradient(&direct, &best, &x))[..]);
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            assert_eq!(best, Simd::vectorize(avx2, Apply(&direct, &x)));
            assert_eq!(gradient[..], Simd::vectorize(avx2, Gradient(&direct, &best, &x))[..]);
        }
    }
}

/// `z ↦ z`.
struct Keep;

impl<T> Middle<T> for Keep {
    fn replace<S: Simd>(&mut self, _: S, _: usize, _: usize, _: &mut [Block<T>]) {}
}

/// `x + Wᵀ(Wx + b)/2` and the gradient of `⟨x, Wx⟩` by the weights with Winograd's method under one instruction set.
struct Fast<'a, T: Scalar>(&'a Direct<T>, &'a Batch<T>, &'a [T]);

impl<T: Scalar> WithSimd for Fast<'_, T> {
    type Output = (Batch<T>, Vec<T>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (Batch<T>, Vec<T>) {
        let Self(direct, x, bias) = self;
        let [forward, adjoint] = direct.winograd().unwrap();
        let bias = &super::in_blocks(Some(bias), forward.output().blocks);
        let mut y = Buffer::new(x.blocks().len());
        Sandwich { forward, adjoint, x: x.blocks(), bias, h: T::of(0.5), middle: &mut Keep, y: &mut y }.with_simd(simd);
        let mut sums = forward.sums();
        winograd::Samples { of: forward, y: x.blocks(), x: x.blocks(), sums: &mut sums }.with_simd(simd);
        let mut gradient = vec![T::zero(); weights(direct)];
        forward.fold(&sums, &mut gradient);
        (Batch::from_blocks(x.shape(), x.samples(), y), gradient)
    }
}

/// Returns the number of weights.
fn weights<T: Scalar>(direct: &Direct<T>) -> usize {
    direct.forward.output.channels * direct.forward.frame.image.channels * 9
}

fn winograd_agrees<T: Scalar>(tolerance: f64) {
    let numbers =
        |n: usize, seed: usize| integers(n, seed).into_iter().map(|x| T::of(f64::from(x))).collect::<Vec<_>>();
    for (channels, rows, columns) in [(16, 8, 8), (1, 1, 1), (40, 9, 5), (33, 4, 13), (64, 8, 8), (5, 3, 32)] {
        let shape = Shape::image(channels, rows, columns);
        let weight = numbers(channels * channels * 9, 2);
        let direct = Direct::new((shape, shape), (3, 3), (1, 1), Summation::Any, &weight).unwrap();
        let (x, bias) = (Batch::new(shape, numbers(5 * shape.len(), 3)).unwrap(), numbers(channels, 1));
        let mut expected = vec![T::zero(); weight.len()];
        direct.accumulate(&[[&x, &x]], &mut expected, false);
        let expected = [direct.sandwich(&x, Some(&bias), T::of(0.5), &mut Keep, false).data().to_vec(), expected];
        let agree = |(y, gradient): (Batch<T>, Vec<T>)| {
            for (found, expected) in [y.data(), &gradient].into_iter().zip(&expected) {
                let size = expected.iter().map(|x| x.wide().abs()).fold(0.0, f64::max);
                let far = found.iter().zip(expected).map(|(a, b)| (a.wide() - b.wide()).abs()).fold(0.0, f64::max);
                assert!(size > 0.0 && far <= tolerance * size, "{shape}: {far} of {size}");
            }
        };
        let mut gradient = vec![T::zero(); weight.len()];
        direct.accumulate(&[[&x, &x]], &mut gradient, true);
        agree((direct.sandwich(&x, Some(&bias), T::of(0.5), &mut Keep, true), gradient));
        agree(pulp::Scalar::new().vectorize(Fast(&direct, &x, &bias)));
        #[cfg(target_arch = "x86_64")]
        if let Some(avx2) = pulp::x86::V3::try_new() {
            agree(Simd::vectorize(avx2, Fast(&direct, &x, &bias)));
        }
    }
}

#[test]
fn winograd_agrees_with_sums_of_products() {
    winograd_agrees::<f32>(1e-5);
    winograd_agrees::<f64>(1e-14);
}

#[test]
fn other_kernels_are_summed() {
    let shape = Shape::image(3, 6, 6);
    let direct = Direct::new((shape, shape), (5, 5), (2, 2), Summation::Any, &integers(225, 1)).unwrap();
    assert!(direct.winograd().is_none());
    let x = Batch::new(shape, integers(shape.len(), 2)).unwrap();
    assert_eq!(direct.sandwich(&x, None, 1.0, &mut Keep, true), direct.sandwich(&x, None, 1.0, &mut Keep, false));
}
