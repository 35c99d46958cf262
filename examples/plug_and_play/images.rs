//! Images: drawn at random, made noisy, measured, and shown.

use dahlquist::tensor::{Batch, Shape};
use plotters::prelude::*;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::chart::{Area, Failure};

/// The standard deviation of the noise.
pub const NOISE: f32 = 0.1;

pub fn space(side: usize) -> Shape {
    Shape::image(1, side, side)
}

/// Images in `[0, 1]`: a slope, and ellipses on it.
pub fn images(count: usize, side: usize, rng: &mut ChaCha8Rng) -> Batch<f32> {
    let mut images = Batch::zeros(space(side), count);
    for s in 0..count {
        let mut u = |low: f32, high: f32| rng.random_range(low..high);
        let (base, slope) = (u(0.2, 0.8), [u(-0.2, 0.2), u(-0.2, 0.2)]);
        let ellipses: Vec<[f32; 5]> =
            (0..6).map(|_| [u(0.0, 1.0), u(0.0, 1.0), u(0.05, 0.35), u(0.05, 0.35), u(0.0, 1.0)]).collect();
        for (k, pixel) in images.sample_mut(s).iter_mut().enumerate() {
            let (x, y) = ((k % side) as f32 / side as f32, (k / side) as f32 / side as f32);
            *pixel = (base + slope[0] * (x - 0.5) + slope[1] * (y - 0.5)).clamp(0.0, 1.0);
            for [cx, cy, a, b, value] in &ellipses {
                if ((x - cx) / a).powi(2) + ((y - cy) / b).powi(2) < 1.0 {
                    *pixel = *value;
                }
            }
        }
    }
    images
}

/// The image with normally distributed noise.
pub fn noisy(x: &Batch<f32>, rng: &mut ChaCha8Rng) -> Batch<f32> {
    let mut y = x.clone();
    y.data_mut().iter_mut().zip(StandardNormal.sample_iter(rng)).for_each(|(y, n): (&mut f32, f32)| *y += NOISE * n);
    y
}

/// The signal-to-noise ratio in decibels, of pixels up to 1.
pub fn psnr(x: &Batch<f32>, truth: &Batch<f32>) -> f64 {
    let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
    let mean = x.data().iter().zip(truth.data()).map(square).sum::<f64>() / x.data().len() as f64;
    -10.0 * mean.log10()
}

/// Draws an image in at most 64 × 64 squares of its mean grey.
pub fn picture(area: &Area<'_>, title: &str, x: &Batch<f32>, side: usize) -> std::result::Result<(), Failure> {
    let block = side.div_ceil(64);
    let squares = side / block;
    let area = area.titled(title, ("sans-serif", 15))?;
    let size = i32::try_from(area.dim_in_pixel().0.min(area.dim_in_pixel().1) as usize / squares)?;
    for (i, j) in (0..squares).flat_map(|i| (0..squares).map(move |j| (i, j))) {
        let inside = (0..block * block).map(|k| x.data()[(i * block + k / block) * side + j * block + k % block]);
        let grey = (255.0 * inside.sum::<f32>() / (block * block) as f32).clamp(0.0, 255.0) as u8;
        let (top, left) = (i32::try_from(i)? * size, i32::try_from(j)? * size);
        area.draw(&Rectangle::new([(left, top), (left + size, top + size)], RGBColor(grey, grey, grey).filled()))?;
    }
    Ok(())
}
