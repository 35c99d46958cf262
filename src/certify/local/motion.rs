//! Forward: how far the inputs of each layer can move within a ball, and which neurons can switch there.

use faer::Mat;

use super::{Local, Part};
use crate::{
    certificate::Certificate,
    certify::Semantics,
    error::Result,
    rigor::{
        Rounding, Upper,
        directed::{add_up, exponent, mul_up, norm_up, sub_down},
        matrix,
    },
    scalar::Scalar,
    tape::Tape,
};

/// What is known within the ball around one sample.
pub(super) struct Motion {
    /// A Lipschitz constant of what has been passed.
    pub lipschitz: Upper,
    /// A bound of the error of the program, for executed semantics.
    pub error: f64,
    /// The coordinates that move, if some do not.
    pub moving: Option<Vec<usize>>,
    /// The parts that have been passed, in order.
    pub passed: Vec<Passed>,
}

/// What is known about one part.
pub(super) struct Passed {
    /// The coordinates of its input that move, if some do not.
    pub moving: Option<Vec<usize>>,
    /// The slopes of its neurons, `[low, high]`; none for a part that has no neurons.
    pub slopes: Vec<[f64; 2]>,
    /// A Lipschitz constant of the part on the ball.
    pub norm: Upper,
    /// The rounding errors of its layers as executed, one or two.
    pub rounding: [f64; 2],
}

impl<T: Scalar> Local<'_, T> {
    /// Returns how the features of each sample move within its ball; `known`, those of other balls, saves proofs of
    /// norms where the same neurons are fixed.
    pub(super) fn motions(
        &self,
        tape: &Tape<f64>,
        balls: &[f64],
        centre: &[Vec<f64>],
        semantics: Semantics,
        known: &[Motion],
    ) -> Result<Vec<Motion>> {
        let certificate = self.sealed.certificate();
        let layers: Vec<&Certificate> = certificate.layers().collect();
        let start = || Motion { lipschitz: Upper::ONE, error: 0.0, moving: None, passed: Vec::new() };
        let mut motions: Vec<Motion> = balls.iter().map(|_| start()).collect();
        let mut i = 0;
        for part in &self.parts {
            let next = i + part.layers();
            // The program's input of the first layer is off the tape by its own error, by what the exact one moves, and
            // by what the tape is off itself.
            let reach =
                |s: usize, m: &Motion| add_up(add_up(mul_up(m.lipschitz.get(), balls[s]), m.error), centre[i][s]);
            let first: Vec<f64> = motions.iter().enumerate().map(|(s, m)| reach(s, m)).collect();
            let before = self.rounding(i, tape, &first, semantics)?;
            // No neuron of the part lies further off than this.
            let global = layers[i..next].iter().map(|layer| layer.bound()).product::<Upper>();
            let norm = layers[i].bound().get();
            let second: Vec<f64> =
                (0..balls.len()).map(|s| add_up(mul_up(norm, first[s]), add_up(before[s], centre[i + 1][s]))).collect();
            let after =
                if next > i + 1 { self.rounding(i + 1, tape, &second, semantics)? } else { vec![0.0; balls.len()] };
            for (s, motion) in motions.iter_mut().enumerate() {
                let (slopes, moving) = match part {
                    Part::Dense(rows, function) => {
                        let slope = |row: usize| {
                            let Some(function) = function else { return [1.0, 1.0] };
                            let entries: Vec<f64> = motion.coordinates(rows.nrows()).map(|j| rows[(j, row)]).collect();
                            let moved = add_up(mul_up(motion.lipschitz.get(), balls[s]), motion.error);
                            let off = add_up(mul_up(norm_up(&entries), moved), add_up(before[s], centre[i + 1][s]));
                            let z = tape.inner(i + 1).saved(0).sample(s)[row];
                            function.slopes_on(sub_down(z, off), add_up(z, off))
                        };
                        let slopes: Vec<[f64; 2]> = (0..rows.ncols()).map(slope).collect();
                        let moving = (0..rows.ncols()).filter(|&row| slopes[row] != [0.0, 0.0]).collect();
                        (slopes, Some(moving))
                    }
                    Part::Flatten => (Vec::new(), motion.moving.clone()),
                    Part::Other => (Vec::new(), None),
                };
                let local = match (part, &moving) {
                    (Part::Dense(rows, _), Some(moving)) => {
                        let before = known.get(s).map(|known| &known.passed[motion.passed.len()]);
                        match before.filter(|p| p.moving == motion.moving && p.slopes == slopes) {
                            Some(passed) => passed.norm,
                            None => motion.norm(rows, moving, &slopes),
                        }
                    }
                    _ => global,
                };
                let norm = if local < global { local } else { global };
                let widest = slopes.iter().map(largest).fold(0.0, f64::max);
                // The product of the layers' bounds is one as well, and so is that of the certificate from the beginning.
                let lipschitz = motion.lipschitz * norm;
                let whole = certificate.prefix(next);
                motion.lipschitz = if lipschitz < whole { lipschitz } else { whole };
                let fresh = match part {
                    Part::Dense(..) => add_up(mul_up(widest, before[s]), after[s]),
                    Part::Flatten | Part::Other => before[s],
                };
                motion.error = add_up(mul_up(norm.get(), motion.error), fresh);
                let moving = std::mem::replace(&mut motion.moving, moving);
                motion.passed.push(Passed { moving, slopes, norm, rounding: [before[s], after[s]] });
            }
            i = next;
        }
        Ok(motions)
    }

    /// Returns the rounding error of layer `i` as executed within `reach` of the tape, or none for exact semantics.
    pub(super) fn rounding(&self, i: usize, tape: &Tape<f64>, reach: &[f64], semantics: Semantics) -> Result<Vec<f64>> {
        let layer = self.sealed.network().layers().nth(i).filter(|_| semantics == Semantics::Executed);
        let (Some(layer), Some(proof)) = (layer, self.sealed.certificate().layers().nth(i)) else {
            return Ok(vec![0.0; reach.len()]);
        };
        layer.rounding(proof, &Rounding::of::<T>(), tape.inner(i), reach).map_err(|e| e.in_layer(i.to_string()))
    }
}

impl Motion {
    /// Returns those of `count` coordinates that move.
    pub(super) fn coordinates(&self, count: usize) -> impl Iterator<Item = usize> {
        let all = if self.moving.is_some() { 0 } else { count };
        self.moving.iter().flatten().copied().chain(0..all)
    }

    /// Returns `‖diag(c) W‖` for the rows of `W` in `moving` and the columns that move, `c` being the largest slopes;
    /// infinite if it cannot be proved.
    fn norm(&self, rows: &Mat<f64>, moving: &[usize], slopes: &[[f64; 2]]) -> Upper {
        let columns: Vec<usize> = self.coordinates(rows.nrows()).collect();
        if moving.is_empty() || columns.is_empty() {
            return Upper::ZERO;
        }
        // Slopes are raised to powers of two: then the products are exact, if they do not underflow.
        let entry = |i: usize, j: usize| {
            let (c, w) = (raised(largest(&slopes[i])), rows[(j, i)]);
            if c * w / c == w { c * w } else { f64::NAN }
        };
        let scaled = Mat::from_fn(moving.len(), columns.len(), |i, j| entry(moving[i], columns[j]));
        matrix::norm(scaled.as_ref()).unwrap_or(Upper::proved(f64::INFINITY))
    }
}

/// Returns the largest absolute value of an interval of slopes.
pub(super) fn largest([low, high]: &[f64; 2]) -> f64 {
    low.abs().max(high.abs())
}

/// Returns the smallest power of two that is not below a positive slope.
fn raised(slope: f64) -> f64 {
    let power = libm::scalbn(1.0, exponent(slope));
    if power < slope { 2.0 * power } else { power }
}
