//! The largest radius that holds, sample by sample: it grows until one is not proved, then the interval between is cut.
//!
//! What is proved at a radius is proved below it, so nothing between two radii can be missed; and growth is geometric without
//! an end that matters. The margin that is left at the radii tried so far says where to look next: it falls nearly along a line.

use crate::error::Result;

/// The most radii that are tried.
const ROUNDS: usize = 60;
/// Radii are settled if they are no further apart than this factor.
const SETTLED: f64 = 1.005;

/// What is known of the radius of a sample.
struct Bracket {
    /// Proved, and the margin that is left there, where it is known.
    low: (f64, Option<f64>),
    /// Not proved.
    high: Option<(f64, f64)>,
    /// The margin at the sample itself.
    center: f64,
    /// A radius that is likely to hold, to be tried first.
    guess: Option<f64>,
}

impl Bracket {
    fn is_settled(&self) -> bool {
        match (self.low.0, self.high) {
            // Nothing to grow from; or what was guessed is far from what holds.
            (0.0, None) => self.guess.is_none(),
            (0.0, Some((high, _))) => self.guess.is_none_or(|guess| high < 1e-4 * guess),
            (low, high) => !low.is_finite() || high.is_some_and(|(high, _)| high < SETTLED * low),
        }
    }

    /// Returns the radius to be tried next.
    fn next(&self) -> f64 {
        let (low, left) = self.low;
        if let (None, None, Some(guess)) = (self.high, left, self.guess.filter(|guess| *guess > low)) {
            return guess;
        }
        match (self.high, left) {
            (Some((high, _)), _) if low == 0.0 => high / 4.0,
            // Where the line through the margins at the sample and here would end, and a little more.
            (None, Some(left)) if self.center > left => {
                low * (1.02 * self.center / (self.center - left)).clamp(1.1, 16.0)
            }
            (None, Some(_)) => 4.0 * low,
            (None, None) => 1.25 * low,
            (Some((high, missing)), left) => {
                let (from, margin) = left.map_or((0.0, self.center), |left| (low, left));
                let cut = from + (high - from) * margin / (margin - missing);
                // On the side that is proved, and never so near to an end that nothing is learnt.
                let cut = cut / 1.001;
                let [least, most] = [low * (high / low).powf(0.15), low * (high / low).powf(0.85)];
                if cut.is_finite() && missing.is_finite() { cut.clamp(least, most) } else { (low * high).sqrt() }
            }
        }
    }
}

/// Enlarges radii that are proved, each by itself. `centers` are the margins at the samples, an estimate; `guesses` are
/// radii that are likely to hold, where there are some; `left` says for some
/// samples and radii the margin that is left there, positive where the radius is proved.
///
/// # Errors
/// The first error of `left`.
pub(in super::super) fn search(
    proved: &mut [f64],
    centers: &[f64],
    guesses: Option<&[f64]>,
    mut left: impl FnMut(&[(usize, f64)]) -> Result<Vec<f64>>,
) -> Result<()> {
    let guess = |s: usize| guesses.map(|guesses| guesses[s]).filter(|guess| *guess > 0.0);
    let bracket = |s: usize| Bracket { low: (proved[s], None), high: None, center: centers[s], guess: guess(s) };
    let mut brackets: Vec<Bracket> = (0..proved.len()).map(bracket).collect();
    for _ in 0..ROUNDS {
        let open = (0..proved.len()).filter(|&s| !brackets[s].is_settled());
        let tried: Vec<(usize, f64)> = open.map(|s| (s, brackets[s].next())).filter(|(_, r)| r.is_finite()).collect();
        if tried.is_empty() {
            break;
        }
        for (&(s, radius), left) in tried.iter().zip(left(&tried)?) {
            if left > 0.0 {
                brackets[s].low = (radius, Some(left));
                proved[s] = proved[s].max(radius);
            } else {
                brackets[s].high = Some((radius, left));
            }
        }
    }
    Ok(())
}
