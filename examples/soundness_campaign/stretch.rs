//! Networks whose numbers lie anywhere in the range of exponents.

use dahlquist::{activation::Activation, layer::Step, scalar::Scalar};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::subject::{Map, Part, Subject};

/// `x·2ᵉ` in the format, the largest number where that overflows.
fn scaled<T: Scalar>(x: f64, e: i32) -> T {
    T::of(libm::scalbn(x, e).clamp(-T::LARGEST, T::LARGEST))
}

impl<T: Scalar> Map<T> {
    fn scale(&mut self, weight: i32, bias: i32) {
        self.weight.iter_mut().for_each(|w| *w = scaled(w.wide(), weight));
        self.bias.iter_mut().flatten().for_each(|b| *b = scaled(b.wide(), bias));
    }
}

impl<T: Scalar> Subject<T> {
    /// Multiplies weights, biases, steps and slopes by powers of two from anywhere in the range of exponents, so that the
    /// function changes little where nothing overflows or underflows, and what is computed on the way changes a lot.
    ///
    /// Piecewise linear functions let a factor pass; each map takes on what the one before it has left.
    pub fn stretch(&mut self, rng: &mut ChaCha8Rng) {
        let most = if rng.random_bool(0.5) { 24 } else { libm::ilogb(T::LARGEST) };
        let mut draw = |part: i32| rng.random_range(-most / part..=most / part);
        self.exponent = if draw(1) % 2 == 0 { draw(4) } else { 0 };
        // Values are 2ˢ times what they were.
        let mut s = self.exponent;
        for part in &mut self.parts {
            match part {
                Part::Affine(map) if map.weight.is_empty() => {}
                Part::Affine(map) => {
                    let t = draw(2);
                    map.scale(t - s, t);
                    s = t;
                }
                Part::Activation(function) => s += stretch(function, draw(1)),
                Part::Gradient { map, activation, step, .. } => {
                    let a = draw(2);
                    map.scale(a, a + s);
                    let k = stretch(activation, draw(1));
                    if let Step::Fixed(h) = step {
                        *h = scaled::<T>(*h, -2 * a - k).wide();
                    }
                }
                Part::Residual { inner, activation, outer, step, .. } => {
                    let (a, c) = (draw(2), draw(2));
                    inner.scale(a, a + s);
                    let k = stretch(activation, draw(1));
                    outer.scale(c - a - k, c + s);
                    *step = scaled::<T>(*step, -c).wide();
                }
                Part::Normalize { mean, .. } => mean.iter_mut().for_each(|m| *m = scaled(m.wide(), s)),
                // What describes itself was drawn with numbers from anywhere in the range.
                Part::PadChannels(_) | Part::SpaceToDepth(_) | Part::Flatten | Part::Described(_) => {}
            }
        }
    }
}

/// Gives a leaky function a slope with this exponent, and returns that of its largest slope.
fn stretch(function: &mut Activation, exponent: i32) -> i32 {
    let Activation::LeakyRelu { slope } = function else { return 0 };
    *slope = libm::scalbn(1.0, exponent);
    exponent.max(0)
}
