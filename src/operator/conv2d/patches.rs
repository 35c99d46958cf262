//! Convolutions of every kind as products with a matrix of patches, sample by sample and group by group.

use faer::{Accum, MatMut, MatRef};

use super::Conv2d;
use crate::{
    operator::summation,
    rigor::{Summation, torus::PaddingMode},
    scalar::{Scalar, gemm},
    tensor::Batch,
};

/// A run of consecutive output points of one tap, and where in the image it reads.
#[derive(Clone, Copy)]
struct Run {
    patch: usize,
    point: usize,
    length: usize,
}

impl<T: Scalar> Conv2d<T> {
    /// Calls `run(tap row, output point, input point, length)` for every run of output points along a row that a tap of the
    /// first group reads from within the image; input points are `stride` apart.
    fn runs(&self, mut run: impl FnMut(usize, usize, usize, usize)) {
        let [ay, ax] = self.axes;
        let [rows, columns] = self.outputs;
        let circular = self.form.padding_mode == PaddingMode::Circular;
        let ([_, _, height, width], [dy, dx]) = (self.sizes, self.form.dilation.0);
        for tap in 0..self.taps() {
            let (c, a, b) = (tap / (height * width), tap / width % height * dy, tap % width * dx);
            for i in 0..rows {
                let mut y = (i * ay.stride + a) as isize - ay.padding as isize;
                if circular {
                    y = y.rem_euclid(ay.input as isize);
                }
                if y < 0 || y >= ay.input as isize {
                    continue;
                }
                let line = (c * ay.input + y as usize) * ax.input;
                // Output columns j with 0 ≤ sj + db − p < n, or the pieces between two wraps.
                let mut j = 0;
                while j < columns {
                    let x = (j * ax.stride + b) as isize - ax.padding as isize;
                    let wrapped = if circular { x.rem_euclid(ax.input as isize) } else { x };
                    if wrapped >= ax.input as isize {
                        break;
                    }
                    if wrapped < 0 {
                        j += wrapped.unsigned_abs().div_ceil(ax.stride);
                        continue;
                    }
                    let length = (ax.input - wrapped as usize).div_ceil(ax.stride).min(columns - j);
                    run(tap, i * columns + j, line + wrapped as usize, length);
                    j += length;
                }
            }
        }
    }

    /// The taps × points matrix of what each tap reads, for one sample; entries beyond the border are left alone.
    fn gather(&self, runs: &[Run], x: &[T], patches: &mut [T]) {
        let s = self.axes[1].stride;
        for &Run { patch, point, length } in runs {
            let target = &mut patches[patch..][..length];
            if s == 1 {
                target.copy_from_slice(&x[point..][..length]);
            } else {
                for (to, &from) in target.iter_mut().zip(x[point..].iter().step_by(s)) {
                    *to = from;
                }
            }
        }
    }

    /// The adjoint of [`Self::gather`]: adds each entry to the point that it was read from.
    fn scatter(&self, runs: &[Run], patches: &[T], x: &mut [T]) {
        let s = self.axes[1].stride;
        for &Run { patch, point, length } in runs {
            let source = &patches[patch..][..length];
            if s == 1 {
                for (to, &from) in x[point..][..length].iter_mut().zip(source) {
                    *to += from;
                }
            } else {
                for (to, &from) in x[point..].iter_mut().step_by(s).zip(source) {
                    *to += from;
                }
            }
        }
    }

    fn plan(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        let points = self.points();
        self.runs(|tap, output, point, length| runs.push(Run { patch: tap * points + output, point, length }));
        runs
    }

    /// Returns the samples group by group: for each, the group, and the first of its inputs, of its outputs and of its
    /// weights.
    fn groups(&self, samples: usize) -> impl Iterator<Item = (usize, [usize; 3])> {
        let (points, pixels) = (self.points(), self.input.points());
        let sizes = [self.sizes[1] * pixels, self.group() * points, self.group() * self.taps()];
        (0..samples).flat_map(move |s| (0..self.form.groups).map(move |g| (s, sizes.map(|size| g * size))))
    }

    pub(super) fn apply_with(&self, weight: &[T], x: &Batch<T>, y: &mut Batch<T>) {
        let (taps, points, outputs) = (self.taps(), self.points(), self.group());
        let (runs, mut patches) = (self.plan(), vec![T::zero(); taps * points]);
        for (s, [from, to, first]) in self.groups(x.samples()) {
            let kernel = MatRef::from_row_major_slice(&weight[first..][..outputs * taps], outputs, taps);
            self.gather(&runs, &x.sample(s)[from..], &mut patches);
            let patches = MatRef::from_row_major_slice(&patches, taps, points);
            let y = &mut y.sample_mut(s)[to..][..outputs * points];
            match self.summation {
                Summation::Any => {
                    gemm(MatMut::from_row_major_slice_mut(y, outputs, points), Accum::Add, kernel, patches);
                }
                // Row by row is column by column of the transposed product.
                Summation::Declared => summation::gemm_in_chunks(y, patches.transpose(), kernel.transpose()),
            }
        }
    }

    pub(super) fn adjoint_with(&self, weight: &[T], y: &Batch<T>, x: &mut Batch<T>) {
        let (taps, points, outputs) = (self.taps(), self.points(), self.group());
        let (runs, mut patches) = (self.plan(), vec![T::zero(); taps * points]);
        for (s, [to, from, first]) in self.groups(y.samples()) {
            let kernel = MatRef::from_row_major_slice(&weight[first..][..outputs * taps], outputs, taps);
            let y = MatRef::from_row_major_slice(&y.sample(s)[from..][..outputs * points], outputs, points);
            match self.summation {
                Summation::Any => {
                    let target = MatMut::from_row_major_slice_mut(&mut patches, taps, points);
                    gemm(target, Accum::Replace, kernel.transpose(), y);
                }
                Summation::Declared => {
                    patches.fill(T::zero());
                    summation::gemm_in_chunks(&mut patches, y.transpose(), kernel);
                }
            }
            self.scatter(&runs, &patches, &mut x.sample_mut(s)[to..]);
        }
    }

    /// The gradient by the weights, added to `gradient`.
    pub(super) fn accumulate_patches(&self, y: &Batch<T>, x: &Batch<T>, gradient: &mut [T]) {
        let (taps, points, outputs) = (self.taps(), self.points(), self.group());
        let (runs, mut patches) = (self.plan(), vec![T::zero(); taps * points]);
        for (s, [from, to, first]) in self.groups(x.samples()) {
            let gradient = &mut gradient[first..][..outputs * taps];
            self.gather(&runs, &x.sample(s)[from..], &mut patches);
            let y = MatRef::from_row_major_slice(&y.sample(s)[to..][..outputs * points], outputs, points);
            let patches = MatRef::from_row_major_slice(&patches, taps, points);
            gemm(MatMut::from_row_major_slice_mut(gradient, outputs, taps), Accum::Add, y, patches.transpose());
        }
    }
}
