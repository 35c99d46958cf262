//! Which torus proves the smallest bound of a convolution: best first.
//!
//! A frequency of a torus bounds the norm that it proves from below. The symbol being smooth, a frequency where it is
//! large on one torus has near ones on every other, where it is large too: such *peaks* soon tell the tori apart. The
//! torus whose peaks are the lowest is proved first. If the proof meets a frequency that is higher, that is a new peak, and
//! the tori are compared again; and no torus is left out that seemed able to prove a smaller bound. Numbers that differ by
//! less than a millionth are taken to be equal: the symbol of an isometry is as large at every frequency, and a search that
//! told its values apart would go through all of them, on every torus.
//!
//! All this only chooses: what is proved of the chosen torus is proved at each of its frequencies.

use std::cmp::Ordering;

use super::{
    Convolution, Torus, TorusNorm, repeats,
    symbol::{Frequency, Symbol, Taps},
    torus::Progress,
};
use crate::{
    error::{Error, Result},
    rigor::{
        bound::Upper,
        directed::sqrt_up,
        matrix::{self, GAP, Gram, SHARP_GAP},
        propose::noise,
    },
};

impl Convolution<'_> {
    /// Returns a proved upper bound of the norm: that of the best of a few tori, which for circular padding and equal
    /// input and output size is the norm itself.
    ///
    /// # Errors
    /// [`Error::NotProved`] if the kernel is larger than the padded image or the bound overflows, [`Error::NotFinite`] for a
    /// weight that is not finite.
    pub fn norm(&self) -> Result<TorusNorm> {
        let TorusNorm { bound, torus } = self.around().norm_of_torus()?;
        Ok(TorusNorm { bound: repeated(bound, repeats(self.axes, self.mode))?, torus })
    }

    fn norm_of_torus(&self) -> Result<TorusNorm> {
        let tori = self.tori()?;
        let Some((weight, exponent)) = self.scaled_weight()? else {
            return Ok(TorusNorm { bound: Upper::ZERO, torus: tori[0] });
        };
        if let Some(matrix) = self.constant_symbol() {
            return Ok(TorusNorm { bound: matrix::norm(matrix.as_ref())?, torus: tori[0] });
        }
        let conv = Convolution { weight: &weight, ..*self };
        let (squared, torus) = Search::new(&Taps::new(&conv), &tori).least(GAP);
        Ok(TorusNorm { bound: conv.norm_from(squared, exponent)?, torus })
    }

    /// As [`Self::norm`], on a torus that is given, with smaller shifts as in [`matrix::sharp_sup_norm`]: what a checker
    /// uses.
    ///
    /// # Errors
    /// As [`Self::norm`], and [`Error::NotProved`] for a torus that is too small to prove anything, or larger than any
    /// that this crate uses.
    pub fn norm_on(&self, torus: Torus) -> Result<Upper> {
        if !self.tori()?.contains(&torus) {
            let reason = format!("{torus:?} cannot stand in for this convolution");
            return Err(Error::not_proved("the norm of a convolution", reason));
        }
        repeated(self.around().norm_of(torus)?, repeats(self.axes, self.mode))
    }

    fn norm_of(&self, torus: Torus) -> Result<Upper> {
        let Some((weight, exponent)) = self.scaled_weight()? else { return Ok(Upper::ZERO) };
        if let Some(matrix) = self.constant_symbol() {
            return matrix::sharp_sup_norm(&[matrix.as_ref()]);
        }
        let conv = Convolution { weight: &weight, ..*self };
        conv.norm_from(Search::new(&Taps::new(&conv), &[torus]).least(SHARP_GAP).0, exponent)
    }
}

/// Returns a bound of the norm if every output is taken at most some times.
fn repeated(bound: Upper, times: usize) -> Result<Upper> {
    if times == 1 {
        return Ok(bound);
    }
    (bound * Upper::proved(sqrt_up(times as f64))).finite("the norm of a convolution")
}

/// The tori that are compared.
pub(super) struct Search<'a> {
    candidates: Vec<Candidate<'a>>,
}

/// A torus, and where its symbol is largest as far as is known.
struct Candidate<'a> {
    symbol: Symbol<'a>,
    peak: Peak,
    /// Whether `peak` holds an eigenvalue rather than an estimate of one from below.
    exact: bool,
    progress: Progress,
}

/// About `‖D(ω)‖²` at a frequency, and a right singular vector.
#[derive(Clone)]
struct Peak {
    value: f64,
    frequency: Frequency,
    vector: Vec<[f64; 2]>,
}

impl Peak {
    fn compare(&self, other: &Self) -> Ordering {
        self.value.total_cmp(&other.value)
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(taps: &'a Taps<'a>, tori: &[Torus]) -> Self {
        let coarse = taps.on(taps.coarse(tori[0]));
        let peaks = walk(&coarse);
        let candidate = |&torus: &Torus| {
            let symbol = taps.on(torus);
            let near = |peak: &Peak| rise(&symbol, symbol.nearest(coarse.torus(), peak.frequency), &peak.vector);
            let highest = peaks.iter().map(near).max_by(Peak::compare).expect("a torus has a peak");
            Candidate { progress: Progress::new(&symbol), symbol, peak: highest, exact: false }
        };
        let mut candidates: Vec<Candidate<'a>> = tori.iter().map(candidate).collect();
        candidates.sort_by(|a, b| a.peak.compare(&b.peak));
        // The work grows as the third power of the channels, what other tori gain does not grow.
        let work: f64 = candidates.iter().map(Candidate::work).fold(0.0, f64::max);
        candidates.truncate(((MOST_WORK / work) as usize).max(1));
        Self { candidates }
    }

    /// Returns the least proved bound of `‖D̂(ω)‖²` over all frequencies of a torus, and the torus; `gap` is one of
    /// [`crate::rigor::matrix`].
    pub(super) fn least(mut self, gap: f64) -> (f64, Torus) {
        let mut best: Option<(f64, Torus)> = None;
        loop {
            let lowest = self.candidates.iter().enumerate().min_by(|(_, a), (_, b)| a.peak.compare(&b.peak));
            let Some(at) = lowest.map(|(i, _)| i) else { break };
            let is_only = best.is_none() && self.candidates.len() == 1;
            let candidate = &mut self.candidates[at];
            if best.is_some_and(|(bound, _)| bound <= candidate.peak.value * TIE) {
                break;
            }
            if !candidate.exact {
                candidate.climb();
                continue;
            }
            match candidate.prove(gap, is_only) {
                Ok(bound) => {
                    let torus = self.candidates.remove(at).symbol.torus();
                    best = best.filter(|best| best.0 <= bound).or(Some((bound, torus)));
                }
                Err(peak) => {
                    let torus = candidate.symbol.torus();
                    (candidate.peak, candidate.exact) = (peak.clone(), true);
                    self.candidates.iter_mut().for_each(|candidate| candidate.compare(torus, &peak));
                }
            }
        }
        best.unwrap_or((f64::INFINITY, Torus { points: [1; 2], twisted: [false; 2] }))
    }
}

impl Candidate<'_> {
    /// Goes from the peak to higher ones beside it, and computes the eigenvalue at the last one.
    fn climb(&mut self) {
        loop {
            let beside = self.symbol.beside(self.peak.frequency).map(|f| rise(&self.symbol, f, &self.peak.vector));
            let Some(higher) = beside.into_iter().find(|peak| peak.value > self.peak.value * TIE) else { break };
            self.peak = higher;
        }
        let gram = Gram::of_complex(self.symbol.at(self.peak.frequency).real());
        self.peak.value = gram.largest_estimate();
        self.exact = true;
    }

    /// Keeps the higher of the peak that is known and the one near to that of another torus.
    fn compare(&mut self, torus: Torus, peak: &Peak) {
        if torus == self.symbol.torus() {
            return;
        }
        let near = rise(&self.symbol, self.symbol.nearest(torus, peak.frequency), &peak.vector);
        if near.value > self.peak.value * TIE {
            (self.peak, self.exact) = (near, false);
        }
    }

    /// Returns about how many operations a proof of all frequencies takes.
    fn work(&self) -> f64 {
        self.progress.left() as f64 * (2.0 * self.symbol.size() as f64).powi(3)
    }

    /// As [`Symbol::largest_up`] with the peak as its estimate; or a higher peak, unless there is no other torus to turn to.
    fn prove(&mut self, gap: f64, is_only: bool) -> Result<f64, Peak> {
        let limit = if is_only { f64::INFINITY } else { self.peak.value * TIE };
        self.symbol.largest_up(&mut self.progress, (self.peak.value, limit), gap).map_err(|(value, frequency)| {
            let Peak { vector, .. } = rise(&self.symbol, frequency, &noise_vector(self.peak.vector.len()));
            Peak { value, frequency, vector }
        })
    }
}

/// Returns the highest peaks of a coarse torus, from a power iteration that walks over its frequencies.
fn walk(symbol: &Symbol<'_>) -> Vec<Peak> {
    let frequencies = symbol.frequencies();
    let mut vector = noise_vector(symbol.at(frequencies[0]).columns());
    let visit = |frequency| {
        let matrix = symbol.at(frequency);
        matrix.power_step(&mut vector);
        let value = matrix.power_step(&mut vector);
        Peak { value, frequency, vector: vector.clone() }
    };
    let mut visited: Vec<Peak> = frequencies.into_iter().map(visit).collect();
    visited.sort_by(|a, b| b.compare(a));
    let mut peaks: Vec<Peak> = Vec::new();
    for peak in visited {
        let mirrored = symbol.conjugate(peak.frequency);
        let beside = |higher: &Peak| [peak.frequency, mirrored].iter().any(|&f| symbol.touch(f, higher.frequency));
        if peaks.len() < PEAKS && !peaks.iter().any(beside) {
            peaks.push(peak);
        }
    }
    peaks
}

/// Returns what a few steps of the power iteration find at a frequency.
fn rise(symbol: &Symbol<'_>, frequency: Frequency, start: &[[f64; 2]]) -> Peak {
    let (matrix, mut vector) = (symbol.at(frequency), start.to_vec());
    let value = (0..STEPS).map(|_| matrix.power_step(&mut vector)).fold(0.0, f64::max);
    Peak { value, frequency, vector }
}

fn noise_vector(n: usize) -> Vec<[f64; 2]> {
    noise(2 * n).as_chunks().0.to_vec()
}

/// Estimates of squares of norms that are apart by a smaller factor are equal.
pub(super) const TIE: f64 = 1.0 + 1e-6;

/// About how many operations the proofs of all tori that are compared may take: seconds.
const MOST_WORK: f64 = (1u64 << 36) as f64;

/// The number of steps of a power iteration at one frequency.
const STEPS: usize = 8;

/// The number of peaks of the coarse torus that are looked for on every other.
const PEAKS: usize = 6;
