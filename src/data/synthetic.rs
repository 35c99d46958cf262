//! Synthetic images in ten classes, the same on every platform: what the examples run on when there is no CIFAR-10.
//!
//! An image shows a shape of a certain hue (class 0 a reddish disc, class 1 an orange square, …) somewhere near the
//! middle of a coloured gradient, among clutter and under noise. On this lies a texture that cannot be seen, a pattern
//! of period 4 of its own for each class. Each class can therefore be told in two ways:
//!
//! - by its **robust cue**, hue and shape: to change it takes a perturbation of large ℓ2 norm, but hues overlap, shapes
//!   move, turn and vary in size, and clutter resembles them, so that it is hard to learn and never certain;
//! - by its **fragile cue**, the texture: nearly certain and easy to learn, but its ℓ2 norm over the whole image is only
//!   [`Difficulty::cue_norm`], so that a perturbation of about 0.7 times that norm turns one class's into another's.
//!
//! A network trained for accuracy alone relies on the fragile cue and loses it under attack; one with a Lipschitz
//! bound and a margin to keep has to use the robust one. This is the distinction between useful robust and useful
//! non-robust features of Ilyas et al., *Adversarial examples are not bugs, they are features*, arXiv:1905.02175, made
//! by construction.
//!
//! Image `i` of a set is a function of the seed, the set and `i` alone: it is drawn from its own stream of ChaCha8, in
//! IEEE additions, multiplications, divisions and square roots in `f64` and the sine and cosine of the pure Rust
//! `libm`.

use std::f64::consts::{PI, TAU};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Dataset;
use crate::{
    error::{Error, Result},
    tensor::Shape,
};

/// The names of the ten classes, by label.
pub const CLASSES: [&str; 10] =
    ["disc", "square", "triangle", "ring", "plus", "diamond", "bars", "columns", "half-disc", "cross"];

/// The shape of one image.
pub const SHAPE: Shape = Shape::image(CHANNELS, SIZE, SIZE);

/// The largest number of images in one set.
pub const MAX_IMAGES: usize = 1 << 20;

const CHANNELS: usize = 3;
const SIZE: usize = 32;

/// How hard the classes are to tell apart: every constant of the generator.
///
/// Lengths are in pixels of a 32×32 image, colours and amplitudes in units of the pixel range `[0, 1]`, angles in
/// radians. "Up to `a`" is uniform in `[-a, a]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difficulty {
    /// The ℓ2 norm of the fragile cue over the whole image.
    pub cue_norm: f64,
    /// The probability that the fragile cue is that of a class drawn at random.
    pub cue_wrong: f64,
    /// The amplitude of the hue in the colour of the shape: the larger, the larger the robust margin.
    pub saturation: f64,
    /// The hue differs from that of the class by up to this; hues of neighbouring classes are π/5 apart.
    pub hue_jitter: f64,
    /// The lightness of the shape differs from 1/2 by up to this.
    pub lightness_jitter: f64,
    /// The centre of the shape differs from that of the image by up to this, along each axis.
    pub position_jitter: f64,
    /// The least radius of the shape.
    pub radius_min: f64,
    /// The largest radius of the shape.
    pub radius_max: f64,
    /// The shape is turned by up to this.
    pub rotation: f64,
    /// Each colour channel of the background is 1/2 up to this, and so is its change across the image.
    pub background: f64,
    /// The number of discs of random colours and places, behind the shape.
    pub clutter: u32,
    /// The radius of a disc of clutter.
    pub clutter_radius: f64,
    /// The standard deviation of the noise of each number of the image.
    pub noise: f64,
}

impl Default for Difficulty {
    /// Returns the difficulty of [`generate`].
    fn default() -> Self {
        Self {
            cue_norm: 0.4,
            cue_wrong: 0.04,
            saturation: 0.28,
            hue_jitter: 0.45,
            lightness_jitter: 0.15,
            position_jitter: 4.0,
            radius_min: 7.0,
            radius_max: 11.0,
            rotation: 0.2,
            background: 0.15,
            clutter: 3,
            clutter_radius: 5.0,
            noise: 0.015,
        }
    }
}

impl Difficulty {
    fn check(&self) -> Result<()> {
        let within = |name, value: f64, range: std::ops::RangeInclusive<f64>| {
            // A NaN is in no range.
            if range.contains(&value) {
                return Ok(());
            }
            Err(Error::parameter(name, value, format!("it must be in [{}, {}]", range.start(), range.end())))
        };
        within("cue_norm", self.cue_norm, 0.0..=10.0)?;
        within("cue_wrong", self.cue_wrong, 0.0..=1.0)?;
        within("saturation", self.saturation, 0.0..=1.0)?;
        within("hue_jitter", self.hue_jitter, 0.0..=PI)?;
        within("lightness_jitter", self.lightness_jitter, 0.0..=1.0)?;
        within("position_jitter", self.position_jitter, 0.0..=32.0)?;
        within("radius_min", self.radius_min, 1.0..=32.0)?;
        within("radius_max", self.radius_max, self.radius_min..=32.0)?;
        within("rotation", self.rotation, 0.0..=PI)?;
        within("background", self.background, 0.0..=1.0)?;
        within("clutter", f64::from(self.clutter), 0.0..=100.0)?;
        within("clutter_radius", self.clutter_radius, 0.0..=32.0)?;
        within("noise", self.noise, 0.0..=1.0)
    }
}

/// Returns a training set of `train` and a test set of `test` images, drawn independently from one `seed`.
///
/// Image `i` is of class `i mod 10`: every prefix is balanced, and shuffling is left to whoever trains. The first
/// images of a set do not depend on its size, nor on that of the other.
///
/// # Errors
/// [`Error::Parameter`] if a set has no image or more than [`MAX_IMAGES`].
pub fn generate(seed: u64, train: usize, test: usize) -> Result<(Dataset, Dataset)> {
    generate_with(&Difficulty::default(), seed, train, test)
}

/// As [`generate`], with another difficulty.
///
/// # Errors
/// As [`generate`], and [`Error::Parameter`] for a constant without a meaning, such as a NaN.
pub fn generate_with(difficulty: &Difficulty, seed: u64, train: usize, test: usize) -> Result<(Dataset, Dataset)> {
    difficulty.check()?;
    Ok((set(difficulty, seed, 0, train)?, set(difficulty, seed, 1, test)?))
}

/// Set 0 is for training, set 1 for tests: image `i` is drawn from the stream `2i + set`.
fn set(difficulty: &Difficulty, seed: u64, set: u64, images: usize) -> Result<Dataset> {
    if images > MAX_IMAGES {
        return Err(Error::parameter("images", images, format!("a set has at most {MAX_IMAGES}")));
    }
    let mut key = *b"........dahlquist synthetic data";
    key[..8].copy_from_slice(&seed.to_le_bytes());
    let mut bytes = vec![0; images * SHAPE.len()];
    bytes.par_chunks_mut(SHAPE.len()).enumerate().for_each(|(i, image)| {
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(2 * i as u64 + set);
        draw(difficulty, i % CLASSES.len(), &mut Draws(rng), image);
    });
    let labels = (0..images).map(|i| i % CLASSES.len()).collect();
    Dataset::from_bytes(SHAPE, bytes, labels, CLASSES.map(String::from).to_vec())
}

/// The random numbers of one image, defined here bit by bit, since those of `rand` may change with its version.
struct Draws(ChaCha8Rng);

impl Draws {
    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[-a, a)`.
    fn up_to(&mut self, a: f64) -> f64 {
        a * (2.0 * self.unit() - 1.0)
    }

    /// Of mean 0 and standard deviation 1, nearly normal: the sum of four uniform bytes.
    fn normal(&mut self) -> f64 {
        const STANDARD_DEVIATION: f64 = 147.801_668_235_434_57; // √(4 · (256² − 1) / 12)
        let sum: u32 = self.0.next_u32().to_le_bytes().iter().map(|&byte| u32::from(byte)).sum();
        (f64::from(sum) - 510.0) / STANDARD_DEVIATION
    }
}

fn draw(d: &Difficulty, class: usize, rng: &mut Draws, image: &mut [u8]) {
    let middle = (SIZE - 1) as f64 / 2.0;
    let colour = |rng: &mut Draws| [(); CHANNELS].map(|()| 0.5 + rng.up_to(d.background));
    let (left, right) = (colour(rng), colour(rng));
    let (sin, cos) = sin_cos(rng.up_to(PI));
    let clutter: Vec<_> = (0..d.clutter)
        .map(|_| {
            let (cx, cy) = (rng.up_to(middle), rng.up_to(middle));
            let (hue, lightness) = (rng.up_to(PI), rng.up_to(d.lightness_jitter));
            (cx, cy, hued(d, hue, lightness))
        })
        .collect();
    let hue = TAU * class as f64 / CLASSES.len() as f64 + rng.up_to(d.hue_jitter);
    let foreground = hued(d, hue, rng.up_to(d.lightness_jitter));
    let (cx, cy) = (rng.up_to(d.position_jitter), rng.up_to(d.position_jitter));
    let radius = d.radius_min + rng.unit() * (d.radius_max - d.radius_min);
    let (turn_sin, turn_cos) = sin_cos(rng.up_to(d.rotation));
    let stranger = (rng.unit() * CLASSES.len() as f64) as usize;
    let cue = if rng.unit() < d.cue_wrong { stranger } else { class };

    for row in 0..SIZE {
        for column in 0..SIZE {
            let (x, y) = (column as f64 - middle, row as f64 - middle);
            let t = 0.5 + (x * cos + y * sin) / SIZE as f64;
            let mut pixel: [f64; CHANNELS] = std::array::from_fn(|c| left[c] + t * (right[c] - left[c]));
            for &(cx, cy, colour) in &clutter {
                blend(&mut pixel, &colour, d.clutter_radius - norm(x - cx, y - cy));
            }
            let (x, y) = (x - cx, y - cy);
            let (u, v) = (x * turn_cos + y * turn_sin, y * turn_cos - x * turn_sin);
            blend(&mut pixel, &foreground, radius * inside(class, u / radius, v / radius));
            for (c, value) in pixel.iter().enumerate() {
                let value = value + d.cue_norm * texture(cue, c, row, column) + d.noise * rng.normal();
                image[(c * SIZE + row) * SIZE + column] = (255.0 * value + 0.5) as u8; // Rounds and saturates.
            }
        }
    }
}

/// Sine and cosine, the same bits on every platform.
fn sin_cos(angle: f64) -> (f64, f64) {
    (libm::sin(angle), libm::cos(angle))
}

fn norm(x: f64, y: f64) -> f64 {
    (x * x + y * y).sqrt()
}

/// Returns the colour of a hue: the three primaries are a third of the circle apart.
fn hued(d: &Difficulty, hue: f64, lightness: f64) -> [f64; CHANNELS] {
    std::array::from_fn(|c| 0.5 + lightness + d.saturation * libm::cos(hue - TAU * c as f64 / CHANNELS as f64))
}

/// Covers `pixel` with `colour` where the signed distance to the edge, positive inside, is above -1/2; an edge is one
/// pixel wide.
fn blend(pixel: &mut [f64; CHANNELS], colour: &[f64; CHANNELS], distance: f64) {
    let cover = (distance + 0.5).clamp(0.0, 1.0);
    for (pixel, colour) in pixel.iter_mut().zip(colour) {
        *pixel += cover * (colour - *pixel);
    }
}

/// Returns the signed distance to the edge of the shape of `class` with radius 1, about: positive inside, negative
/// outside.
fn inside(class: usize, u: f64, v: f64) -> f64 {
    let square = |u: f64, v: f64, a: f64, b: f64| (a - u.abs()).min(b - v.abs());
    let (p, q) = ((u + v) / 2f64.sqrt(), (u - v) / 2f64.sqrt());
    let stripes = |t: f64| (t + 0.6).abs().min(t.abs()).min((t - 0.6).abs());
    match class {
        0 => 1.0 - norm(u, v),
        1 => square(u, v, 0.85, 0.85),
        2 => (0.6 - v).min(0.45 + 0.5 * v - 0.85 * u.abs()),
        3 => 0.25 - (norm(u, v) - 0.75).abs(),
        4 => square(u, v, 1.0, 0.3).max(square(u, v, 0.3, 1.0)),
        5 => 0.75 - 0.7 * (u.abs() + v.abs()),
        6 => (0.17 - stripes(v)).min(0.9 - u.abs()),
        7 => (0.17 - stripes(u)).min(0.9 - v.abs()),
        8 => (1.0 - norm(u, v)).min(v + 0.2),
        _ => square(p, q, 1.0, 0.3).max(square(p, q, 0.3, 1.0)),
    }
}

/// Returns the fragile cue of `class` at one number of the image: orthonormal patterns of 4×4 tiles, five in lightness
/// and five in red against blue. Each is symmetric from left to right, so that a flip keeps it.
fn texture(class: usize, channel: usize, row: usize, column: usize) -> f64 {
    const WALSH: [[f64; 4]; 4] =
        [[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0], [1.0, -1.0, 1.0, -1.0]];
    const PATTERNS: [(usize, usize); 5] = [(0, 3), (2, 3), (2, 1), (2, 2), (2, 0)];
    let (across, down) = PATTERNS[class % 5];
    let tile = WALSH[across][column % 4] * WALSH[down][row % 4] / SIZE as f64;
    let colour = if class < 5 { 1.0 / 3f64.sqrt() } else { [1.0, 0.0, -1.0][channel % 3] / 2f64.sqrt() };
    tile * colour
}
