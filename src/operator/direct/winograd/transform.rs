//! The transforms of Winograd's method, channel by channel.

use pulp::{Simd, WithSimd};

use super::{IN, OUT, PRODUCTS};
use crate::{
    lanes::{Block, LANES, vectors_in_block},
    scalar::Scalar,
};

/// The matrix `G`.
const G: [[f64; 3]; IN] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// Returns `GKGᵀ` for the kernels `K` of sixteen channels.
#[inline(always)]
pub(super) fn kernel<T: Scalar>(kernel: [[T; LANES]; 9]) -> [[T; LANES]; PRODUCTS] {
    let half: [_; IN * 3] = std::array::from_fn(|i| combine(G[i / 3], |a| kernel[a * 3 + i % 3]));
    std::array::from_fn(|i| combine(G[i % IN], |b| half[i / IN * 3 + b]))
}

/// Returns `GᵀSG`, the transpose of [`kernel`].
#[inline(always)]
pub(super) fn kernel_gradient<T: Scalar>(sums: [[T; LANES]; PRODUCTS]) -> [[T; LANES]; 9] {
    let column = |a: usize| G.map(|row| row[a]);
    let half: [_; 3 * IN] = std::array::from_fn(|i| combine(column(i / IN), |p| sums[p * IN + i % IN]));
    std::array::from_fn(|i| combine(column(i % 3), |p| half[i / 3 * IN + p]))
}

/// Returns `Σ aᵢ xᵢ`.
#[inline(always)]
fn combine<T: Scalar, const N: usize>(a: [f64; N], x: impl Fn(usize) -> [T; LANES]) -> [T; LANES] {
    let mut sum = [T::zero(); LANES];
    for (i, a) in a.into_iter().enumerate().filter(|(_, a)| *a != 0.0) {
        sum.iter_mut().zip(x(i)).for_each(|(sum, x)| *sum += T::of(a) * x);
    }
    sum
}

/// `BᵀXB` for the 6×6 points from `x` on; its numbers go to places that are `stride` apart.
pub(super) struct Input<'a, T> {
    pub x: &'a [Block<T>],
    pub width: usize,
    pub to: &'a mut [Block<T>],
    pub stride: usize,
}

impl<T: Scalar> WithSimd for Input<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = T::splat(simd, T::zero());
        for part in 0..const { vectors_in_block::<T, S>() } {
            let mut half = [[zero; IN]; IN];
            for (i, half) in half.iter_mut().enumerate() {
                let mut row = [zero; IN];
                for (to, x) in row.iter_mut().zip(&self.x[i * self.width..][..IN]) {
                    *to = T::vectors::<S>(&x.0)[part];
                }
                *half = times_b::<T, S>(simd, row);
            }
            for j in 0..IN {
                let mut column = [zero; IN];
                for (to, half) in column.iter_mut().zip(&half) {
                    *to = half[j];
                }
                let column = times_b::<T, S>(simd, column);
                for (i, x) in column.into_iter().enumerate() {
                    T::vectors_mut::<S>(&mut self.to[(i * IN + j) * self.stride].0)[part] = x;
                }
            }
        }
    }
}

/// Returns `Bᵀd`.
#[inline(always)]
fn times_b<T: Scalar, S: Simd>(simd: S, d: [T::Vector<S>; IN]) -> [T::Vector<S>; IN] {
    let (even, odd) = (add::<T, S>(simd, -4.0, d[2], d[4]), add::<T, S>(simd, -4.0, d[1], d[3]));
    let (far, near) = (add::<T, S>(simd, -1.0, d[2], d[4]), add::<T, S>(simd, -1.0, d[1], d[3]));
    [
        add::<T, S>(simd, 4.0, d[0], add::<T, S>(simd, -5.0, d[2], d[4])),
        T::plus(simd, even, odd),
        add::<T, S>(simd, -1.0, odd, even),
        add::<T, S>(simd, 2.0, near, far),
        add::<T, S>(simd, -2.0, near, far),
        add::<T, S>(simd, 4.0, d[1], add::<T, S>(simd, -5.0, d[3], d[5])),
    ]
}

/// `AᵀMA` for the 6×6 numbers that are `stride` apart in `m`; what of its rows and columns there is `room` for goes to
/// rows that are `width` apart.
pub(super) struct Output<'a, T> {
    pub m: &'a [Block<T>],
    pub stride: usize,
    pub to: &'a mut [Block<T>],
    pub width: usize,
    pub room: (usize, usize),
}

impl<T: Scalar> WithSimd for Output<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = T::splat(simd, T::zero());
        for part in 0..const { vectors_in_block::<T, S>() } {
            let mut half = [[zero; OUT]; IN];
            for (j, half) in half.iter_mut().enumerate() {
                let mut column = [zero; IN];
                for (i, to) in column.iter_mut().enumerate() {
                    *to = T::vectors::<S>(&self.m[(i * IN + j) * self.stride].0)[part];
                }
                *half = times_a::<T, S>(simd, column);
            }
            for i in 0..OUT {
                let mut row = [zero; IN];
                for (to, half) in row.iter_mut().zip(&half) {
                    *to = half[i];
                }
                let row = times_a::<T, S>(simd, row);
                if i < self.room.0 {
                    for (to, x) in self.to[i * self.width..].iter_mut().zip(row).take(self.room.1) {
                        T::vectors_mut::<S>(&mut to.0)[part] = x;
                    }
                }
            }
        }
    }
}

/// Returns `Aᵀm`.
#[inline(always)]
fn times_a<T: Scalar, S: Simd>(simd: S, m: [T::Vector<S>; IN]) -> [T::Vector<S>; OUT] {
    let (ones, difference) = (T::plus(simd, m[1], m[2]), add::<T, S>(simd, -1.0, m[2], m[1]));
    let (twos, distance) = (T::plus(simd, m[3], m[4]), add::<T, S>(simd, -1.0, m[4], m[3]));
    [
        T::plus(simd, T::plus(simd, m[0], ones), twos),
        add::<T, S>(simd, 2.0, distance, difference),
        add::<T, S>(simd, 4.0, twos, ones),
        T::plus(simd, add::<T, S>(simd, 8.0, distance, difference), m[5]),
    ]
}

/// `AYAᵀ` for the rows and columns of the 4×4 points `Y` that there are, zeros elsewhere; they are in rows `width` apart
/// from `y` on. Its numbers go to places that are `stride` apart.
pub(super) struct Cotangent<'a, T> {
    pub y: &'a [Block<T>],
    pub width: usize,
    pub room: (usize, usize),
    pub to: &'a mut [Block<T>],
    pub stride: usize,
}

impl<T: Scalar> WithSimd for Cotangent<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let zero = T::splat(simd, T::zero());
        for part in 0..const { vectors_in_block::<T, S>() } {
            let mut half = [[zero; IN]; OUT];
            for (i, half) in half.iter_mut().enumerate().take(self.room.0) {
                let mut row = [zero; OUT];
                for (to, y) in row.iter_mut().zip(&self.y[i * self.width..]).take(self.room.1) {
                    *to = T::vectors::<S>(&y.0)[part];
                }
                *half = times_a_transposed::<T, S>(simd, row);
            }
            for j in 0..IN {
                let mut column = [zero; OUT];
                for (to, half) in column.iter_mut().zip(&half) {
                    *to = half[j];
                }
                let column = times_a_transposed::<T, S>(simd, column);
                for (i, x) in column.into_iter().enumerate() {
                    T::vectors_mut::<S>(&mut self.to[(i * IN + j) * self.stride].0)[part] = x;
                }
            }
        }
    }
}

/// Returns `Ay`.
#[inline(always)]
fn times_a_transposed<T: Scalar, S: Simd>(simd: S, y: [T::Vector<S>; OUT]) -> [T::Vector<S>; IN] {
    let (even, odd) = (T::plus(simd, y[0], y[2]), T::plus(simd, y[1], y[3]));
    let (even_at_two, half) = (add::<T, S>(simd, 4.0, y[2], y[0]), add::<T, S>(simd, 4.0, y[3], y[1]));
    [
        y[0],
        T::plus(simd, even, odd),
        add::<T, S>(simd, -1.0, odd, even),
        add::<T, S>(simd, 2.0, half, even_at_two),
        add::<T, S>(simd, -2.0, half, even_at_two),
        y[3],
    ]
}

/// Returns `ax + y`.
#[inline(always)]
fn add<T: Scalar, S: Simd>(simd: S, a: f64, x: T::Vector<S>, y: T::Vector<S>) -> T::Vector<S> {
    T::multiply_add(simd, T::splat(simd, T::of(a)), x, y)
}
