//! Products of matrices in a declared order of summation.
//!
//! A sum of `n` terms is split into `c` chunks of at most `m ≤ 64` terms. Each chunk is a product of matrices of its
//! own, into a buffer, in whatever order the kernel likes: at most `m` roundings for each term. The buffers are then
//! added pairwise, like the carries of a binary counter: at most `⌈log₂ c⌉` more.

use faer::{Accum, MatMut, MatRef};

use crate::scalar::{Scalar, gemm};

/// The largest number of terms of a chunk.
const CHUNK: usize = 64;
/// About the largest number of entries of a buffer, so that a few of them stay in the cache.
const BUFFER: usize = 1 << 15;

/// Returns the number of terms of each chunk but the last, and the number of chunks.
fn split(terms: usize) -> (usize, usize) {
    let length = terms.div_ceil(terms.div_ceil(CHUNK).max(1)).max(1);
    (length, terms.div_ceil(length).max(1))
}

/// Returns the largest number of roundings that a product passes through in a sum of `terms` terms as
/// [`gemm_in_chunks`] evaluates it, the addition to what `C` holds already not counted: `m + ⌈log₂ c⌉`.
pub(super) fn depth(terms: usize) -> usize {
    let (length, chunks) = split(terms);
    length + chunks.next_power_of_two().trailing_zeros() as usize
}

/// `C += AB`, every sum in the declared order; `C` is stored column by column.
pub(super) fn gemm_in_chunks<T: Scalar>(c: &mut [T], a: MatRef<'_, T>, b: MatRef<'_, T>) {
    let (terms, rows, columns) = (a.ncols(), a.nrows(), b.ncols());
    let (length, chunks) = split(terms);
    if chunks == 1 {
        return gemm(MatMut::from_column_major_slice_mut(c, rows, columns), Accum::Add, a, b);
    }
    let mut counter = Counter { sums: Vec::new(), spare: Vec::new() };
    let tall = BUFFER.div_ceil(columns.max(1)).next_multiple_of(64);
    for top in (0..rows).step_by(tall) {
        let height = tall.min(rows - top);
        let slab = a.subrows(top, height);
        for start in (0..terms).step_by(length) {
            let mut sum: Vec<T> = counter.spare.pop().unwrap_or_default();
            sum.resize(height * columns, T::zero());
            let k = length.min(terms - start);
            let target = MatMut::from_column_major_slice_mut(&mut sum, height, columns);
            gemm(target, Accum::Replace, slab.subcols(start, k), b.subrows(start, k));
            counter.push(sum, add);
        }
        if let Some(sum) = counter.finish(add) {
            for (j, sum) in sum.chunks(height).enumerate() {
                add(&mut c[j * rows + top..][..height], sum);
            }
            counter.spare.push(sum);
        }
    }
}

fn add<T: Scalar, A: AsMut<[T]> + ?Sized, B: AsRef<[T]> + ?Sized>(a: &mut A, b: &B) {
    for (a, &b) in a.as_mut().iter_mut().zip(b.as_ref()) {
        *a += b;
    }
}

/// Sums of `2ᵏ` chunks, at most one for each `k` once a push is over: the digits of a binary counter.
struct Counter<S> {
    sums: Vec<(u32, S)>,
    /// Buffers that are free to be used again.
    spare: Vec<S>,
}

impl<S> Counter<S> {
    /// Takes one more chunk, and carries.
    fn push(&mut self, sum: S, add: impl Fn(&mut S, &S)) {
        self.sums.push((0, sum));
        while let [.., (k, _), (last, _)] = self.sums[..]
            && k == last
        {
            self.merge(&add);
        }
    }

    /// Returns the sum of all chunks, from the smallest partial sum to the largest; `None` if there was no chunk.
    fn finish(&mut self, add: impl Fn(&mut S, &S)) -> Option<S> {
        while self.sums.len() > 1 {
            self.merge(&add);
        }
        self.sums.pop().map(|(_, sum)| sum)
    }

    fn merge(&mut self, add: impl Fn(&mut S, &S)) {
        if let Some((_, last)) = self.sums.pop() {
            if let Some((k, sum)) = self.sums.last_mut() {
                add(sum, &last);
                *k += 1;
            }
            self.spare.push(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The declared depth is the one that the counter needs, chunk by chunk, for every number of terms.
    #[test]
    fn no_product_passes_through_more_roundings_than_declared() {
        for terms in (1..5000).chain([1 << 16, (1 << 16) + 1, 1_000_003]) {
            let (length, chunks) = split(terms);
            assert!(length <= CHUNK && length * chunks >= terms && length * (chunks - 1) < terms);
            let mut counter = Counter { sums: Vec::new(), spare: Vec::new() };
            let deeper = |a: &mut usize, b: &usize| *a = (*a).max(*b) + 1;
            (0..chunks).for_each(|_| counter.push(length, deeper));
            assert_eq!(counter.finish(deeper), Some(depth(terms)), "{terms} terms");
        }
    }

    /// If this fails because sums are split or added differently, [`crate::certificate::KERNELS`] must be raised with what is expected here.
    #[test]
    fn the_declared_order_is_that_of_this_version() {
        let order = |terms: usize| {
            let (length, chunks) = split(terms);
            let mut counter = Counter { sums: Vec::new(), spare: Vec::new() };
            for start in (0..chunks).map(|chunk| chunk * length) {
                let chunk = length.min(terms - start).to_string();
                counter.push(chunk, |a: &mut String, b: &String| *a = format!("({a}+{b})"));
            }
            counter.finish(|a: &mut String, b: &String| *a = format!("({a}+{b})")).unwrap_or_default()
        };
        let orders = [64, 65, 200, 300, 448].map(order);
        let expected =
            ["64", "(33+32)", "((50+50)+(50+50))", "(((60+60)+(60+60))+60)", "(((64+64)+(64+64))+((64+64)+64))"];
        assert_eq!((crate::certificate::KERNELS, orders.each_ref().map(|order| &**order)), (1, expected));
    }

    #[test]
    fn chunks_add_up_to_the_product() {
        for (rows, terms, columns) in [(3, 1, 2), (7, 64, 1), (70, 65, 3), (1000, 432, 64), (2, 3072, 5)] {
            let entry = |i: usize, j: usize| ((i * 31 + j * 17) % 13) as f64 - 6.0;
            let a = faer::Mat::from_fn(rows, terms, entry);
            let b = faer::Mat::from_fn(terms, columns, entry);
            let mut c = vec![1.0; rows * columns];
            gemm_in_chunks(&mut c, a.as_ref(), b.as_ref());
            let expected = &a * &b;
            for (i, &c) in c.iter().enumerate() {
                assert_eq!(c, expected[(i % rows, i / rows)] + 1.0);
            }
        }
    }
}
