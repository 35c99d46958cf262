//! Random flips and shifts of training images.

use rand::{Rng, RngExt};

use crate::{
    error::{Error, Result},
    scalar::Scalar,
    tensor::Batch,
};

/// Flips each image from left to right with probability 1/2 if `flip`, and shifts it by up to `crop` pixels along
/// each axis, every shift equally likely.
///
/// What a shift uncovers repeats the edge of the image: it is a crop of the image padded by replication. Every pixel
/// of the result is a pixel of the image, so ranges are kept. The result depends on the batch and on `rng` alone, and
/// each image draws the same amount of randomness whatever the options are, unless both are off: then nothing is
/// drawn or changed, and samples need not be images.
///
/// # Errors
/// [`Error::Parameter`] if samples to be changed are not images, or if `crop` is not below their height and width.
pub fn augment<T: Scalar, R: Rng + ?Sized>(batch: &mut Batch<T>, rng: &mut R, flip: bool, crop: usize) -> Result<()> {
    if !flip && crop == 0 {
        return Ok(());
    }
    let (channels, height, width) = batch.shape().as_image("augmentation")?;
    if crop >= height || crop >= width {
        return Err(Error::parameter("crop", crop, format!("it must be below the sizes of {}", batch.shape())));
    }
    let mut original = vec![T::zero(); channels * height * width];
    for s in 0..batch.samples() {
        let mirrored = rng.random::<bool>() && flip;
        let down = shift(rng, crop);
        let right = shift(rng, crop);
        let sample = batch.sample_mut(s);
        original.copy_from_slice(sample);
        let columns: Vec<usize> = (0..width)
            .map(|x| {
                let x = clamped(x, right, width);
                if mirrored { width - 1 - x } else { x }
            })
            .collect();
        for (row, out) in sample.chunks_exact_mut(width).enumerate() {
            let (c, y) = (row / height, row % height);
            let from = &original[(c * height + clamped(y, down, height)) * width..][..width];
            for (out, &x) in out.iter_mut().zip(&columns) {
                *out = from[x];
            }
        }
    }
    Ok(())
}

/// Returns a shift in `-crop ..= crop`, from 64 bits of `rng` whatever `crop` is.
fn shift<R: Rng + ?Sized>(rng: &mut R, crop: usize) -> isize {
    let choices = 2 * crop as u128 + 1;
    let drawn = (u128::from(rng.next_u64()) * choices) >> 64;
    drawn as isize - crop as isize
}

/// Returns the index that `i` is taken from when the axis of `n` entries moves by `shift`.
fn clamped(i: usize, shift: isize, n: usize) -> usize {
    (i as isize - shift).clamp(0, n as isize - 1) as usize
}
