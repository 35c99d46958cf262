//! Against the certificate: a search for anything that refutes it.
//!
//! Three claims are attacked. The Lipschitz bounds of each layer, of the features and of the network, by ascent of
//! `‖f(x) − f(y)‖/‖x − y‖` over pairs; the rounding errors that layers declare, by executing the same pairs in `T`; and
//! the radii of samples, by bisecting the distances at which executed predictions tie or flip.
//!
//! A ratio that is found bounds the best possible constant from below. If the layers declare their rounding errors it is
//! a true [`Lower`] bound, so that a proved bound can be no smaller, whatever the search did: `bound < lower` refutes
//! the certificate without any tolerance.
//!
//! Source of the ascent: power iteration on `JᵀJ` as in Scaman, Virmaux, *Lipschitz regularity of deep neural networks*,
//! NeurIPS 2018.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::{
    flips::{self, FlipReport},
    part::Part,
    ratio::{self, Pair, gaussian},
};
use crate::{
    certificate::{Certificate, Rule},
    certify::Sealed,
    error::{Error, Result},
    model::Map,
    rigor::Lower,
    scalar::Scalar,
    tensor::{Batch, Shape},
};

/// Without declared rounding errors a ratio is an estimate, and refutes a bound only if it exceeds it by this factor.
const DOUBT: f64 = 1.0 + 1e-6;

/// A search for what refutes a certificate: how it is run.
///
/// ```
/// use dahlquist::{Network, attack::Falsifier, layer::AffineLayer, operator::{Affine, Dense}, tensor::Shape};
/// let dense = AffineLayer::new(Affine::new(Dense::new(2, 2, vec![3.0, 0.0, 0.0, 1.0])?, None)?);
/// let sealed = Network::<f64>::new(Shape::Features(2), vec![Box::new(dense)])?.seal()?;
/// let report = Falsifier { seconds: 0.0, ..Falsifier::default() }.run(&sealed, None)?;
/// assert!(!report.refuted());
/// assert!(report.network.looseness() < 1.000001);
/// # Ok::<(), dahlquist::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Falsifier {
    /// The time after which no round begins, in seconds. The first round always runs. Default 10.
    pub seconds: f64,
    /// The number of rounds after which the search ends, if it has not by then. The result depends on the seed and on
    /// the number of rounds alone. Default none.
    pub rounds: Option<usize>,
    /// Pairs, or samples, in one round of each search. Default 32.
    pub batch: usize,
    /// The seed. Default 0.
    pub seed: u64,
}

impl Default for Falsifier {
    fn default() -> Self {
        Self { seconds: 10.0, rounds: None, batch: 32, seed: 0 }
    }
}

/// What was found out about one Lipschitz bound.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RatioReport {
    /// The position of the layer, or `features`, or `network`.
    pub path: String,
    /// The kind of the layer.
    pub kind: String,
    /// What the bound rests on; none for a product of the bounds of layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basis: Option<Rule>,
    /// The certified bound.
    pub bound: f64,
    /// The largest ratio found, proved to be one: rounding is accounted for by what the layers declare about it and, for
    /// features and network, by the bounds of the layers. None if a layer declares no rounding error.
    pub lower: Option<Lower>,
    /// The largest ratio as computed.
    pub estimate: f64,
    /// Pairs evaluated.
    pub pairs: usize,
    /// The largest `observed/declared` rounding error of the layer executed in `T`; above 1 it refutes the declaration.
    /// None if there is no declaration, or `T` is the format of the reference.
    pub rounding: Option<f64>,
    /// Whether the bound is refuted: it is below the proved ratio or, for want of one, clearly below the computed one.
    pub refuted: bool,
    /// The pair that refutes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pair: Option<[Vec<f64>; 2]>,
}

impl RatioReport {
    /// Returns `bound / best ratio found ≥ 1`: how much tighter the bound could be at most. Infinite if nothing was
    /// found.
    pub fn looseness(&self) -> f64 {
        let found = self.lower.map_or(self.estimate, Lower::get);
        if found > 0.0 { self.bound / found } else { f64::INFINITY }
    }

    fn update(&mut self, pair: Pair) {
        self.estimate = self.estimate.max(pair.estimate);
        if let Some(lower) = pair.lower
            && self.lower.is_none_or(|best| lower.get() > best.get())
        {
            self.lower = Some(Lower::proved(lower.get().max(0.0)));
        }
        let refuted = match pair.lower {
            Some(lower) => lower.get() > self.bound,
            None => pair.estimate > self.bound * DOUBT,
        };
        if refuted && !self.refuted {
            (self.refuted, self.pair) = (true, Some([pair.x, pair.y]));
        }
    }
}

/// What a search found out about a certificate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Falsification {
    /// The seed.
    pub seed: u64,
    /// Rounds.
    pub rounds: usize,
    /// Seconds.
    pub seconds: f64,
    /// The format of the network.
    pub scalar: &'static str,
    /// The network as a whole.
    pub network: RatioReport,
    /// The layers before the head, if there is a head and a layer before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<RatioReport>,
    /// Each layer.
    pub layers: Vec<RatioReport>,
    /// Executed ties and flips.
    pub flips: FlipReport,
}

impl Falsification {
    /// Returns whether a bound, a declared rounding error or a radius is refuted.
    pub fn refuted(&self) -> bool {
        let ratios = self.layers.iter().chain(&self.features).chain([&self.network]);
        self.flips.violations > 0 || ratios.into_iter().any(|r| r.refuted || r.rounding.is_some_and(|r| r > 1.0))
    }
}

/// One Lipschitz bound under attack.
struct Target<'a, T: Scalar> {
    executed: Part<'a, T>,
    wide: Part<'a, f64>,
    /// What maps an input of the network to one of this part.
    before: Option<Part<'a, f64>>,
    report: RatioReport,
    best: Option<Vec<f64>>,
}

impl Falsifier {
    /// Attacks the certificate of a network, at the given samples or, without any, at random ones in `[0, 1]`.
    ///
    /// # Errors
    /// [`Error::Shape`] for samples of another shape than the input of the network; [`Error::Parameter`] for an empty
    /// batch or no samples in it, or seconds that are not a number.
    pub fn run<T: Scalar>(&self, sealed: &Sealed<T>, samples: Option<&Batch<T>>) -> Result<Falsification> {
        let start = Instant::now();
        let network = sealed.network();
        if self.batch == 0 || samples.is_some_and(|x| x.samples() == 0) {
            return Err(Error::parameter("batch", 0, "a search needs at least one sample"));
        }
        if self.seconds.is_nan() {
            return Err(Error::parameter("seconds", self.seconds, "a budget must be a number"));
        }
        if let Some(x) = samples.filter(|x| x.shape() != network.input()) {
            let (what, expected, found) = ("samples of the falsifier".into(), network.input(), x.shape());
            return Err(Error::Shape { what, expected, found });
        }
        let budget = Duration::try_from_secs_f64(self.seconds.clamp(0.0, 1e9)).unwrap_or_default();
        let mut targets = self.targets(sealed);
        let mut flips = FlipReport::default();
        let mut rounds = 0;
        while rounds == 0 || start.elapsed() < budget && self.rounds.is_none_or(|most| rounds < most) {
            let mut rng = self.stream(rounds, 0);
            let x = self.pick(network.input(), samples, &mut rng);
            let wide: Batch<f64> = x.cast();
            targets
                .par_iter_mut()
                .enumerate()
                .try_for_each(|(i, target)| self.attack(sealed, target, &wide, rounds, i + 1))?;
            if flips.skipped.is_none() {
                match flips::round(sealed, &x, rounds, &mut rng, &mut flips) {
                    Ok(()) => {}
                    Err(error @ Error::NotProved { .. }) => flips.skipped = Some(error.to_string()),
                    Err(Error::Layer { path, source }) if matches!(*source, Error::NotProved { .. }) => {
                        flips.skipped = Some(format!("layer {path}: {source}"));
                    }
                    Err(error) => return Err(error),
                }
            }
            rounds += 1;
        }
        let mut reports: Vec<RatioReport> = targets.into_iter().map(|target| target.report).collect();
        let layers = reports.drain(..network.layers().len()).collect();
        let mut rest = reports.into_iter();
        let network = rest.next_back().ok_or_else(|| Error::parameter("layers", 0, "a network has at least one"))?;
        let seconds = start.elapsed().as_secs_f64();
        Ok(Falsification {
            seed: self.seed,
            rounds,
            seconds,
            scalar: T::NAME,
            network,
            features: rest.next(),
            layers,
            flips,
        })
    }

    /// Returns each layer, then the features if they are more than nothing and less than everything, then the network.
    fn targets<'a, T: Scalar>(&self, sealed: &'a Sealed<T>) -> Vec<Target<'a, T>> {
        let (network, certificate) = (sealed.network(), sealed.certificate());
        let count = network.layers().len();
        let target = |range: std::ops::Range<usize>, path: String, kind: &str, basis, bound| Target {
            executed: Part::new(network, range.clone()),
            wide: Part::new(sealed.wide(), range.clone()),
            before: (range.start > 0).then(|| Part::new(sealed.wide(), 0..range.start)),
            report: RatioReport {
                path,
                kind: kind.into(),
                basis,
                bound,
                lower: None,
                estimate: 0.0,
                pairs: 0,
                rounding: None,
                refuted: false,
                pair: None,
            },
            best: None,
        };
        let layer = |(i, (map, proof)): (usize, (&Map, &Certificate))| {
            target(i..i + 1, i.to_string(), map.kind(), Some(proof.rule()), proof.bound().get())
        };
        let layers = sealed.map().layers().iter().zip(certificate.layers()).enumerate();
        let mut targets: Vec<Target<'a, T>> = layers.map(layer).collect();
        if sealed.map().head().is_some() && count > 1 {
            targets.push(target(0..count - 1, "features".into(), "composition", None, sealed.features().get()));
        }
        targets.push(target(0..count, "network".into(), "composition", None, certificate.bound().get()));
        targets
    }

    /// One round of pairs against one bound.
    fn attack<T: Scalar>(
        &self,
        sealed: &Sealed<T>,
        target: &mut Target<'_, T>,
        x: &Batch<f64>,
        round: usize,
        index: usize,
    ) -> Result<()> {
        let mut rng = self.stream(round, index);
        let x = match &target.before {
            Some(before) => before.forward(x.clone()),
            None => x.clone(),
        };
        let x = starting_points(x, target.wide.input(), target.best.as_deref(), &mut rng);
        let (x, y, ratio) = ratio::round(&target.wide, x, &mut rng);
        target.report.pairs += x.samples() * (1 + ratio::ASCENT_STEPS);
        if let Some(pair) = ratio::best(&target.wide, sealed.certificate(), &x, &y, &ratio)? {
            target.best = Some(pair.x.clone());
            target.report.update(pair);
        }
        if T::NAME != <f64 as Scalar>::NAME
            && let Some(observed) =
                ratio::rounding_observed(&target.executed, &target.wide, sealed.certificate(), &x, &y)?
        {
            target.report.rounding = Some(target.report.rounding.map_or(observed, |worst| worst.max(observed)));
        }
        Ok(())
    }

    /// Samples of the network: given ones in a random order, or random ones.
    fn pick<T: Scalar>(&self, shape: Shape, samples: Option<&Batch<T>>, rng: &mut ChaCha8Rng) -> Batch<T> {
        match samples {
            Some(x) => {
                let order: Vec<usize> = (0..self.batch).map(|_| rng.random_range(0..x.samples())).collect();
                x.gather(&order)
            }
            None => {
                let data = (0..self.batch * shape.len()).map(|_| T::of(rng.random())).collect();
                Batch::computed(shape, self.batch, data)
            }
        }
    }

    /// Returns the random numbers of one search in one round.
    fn stream(&self, round: usize, index: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream((round as u64) << 24 | index as u64);
        rng
    }
}

/// Half of the inputs that the samples lead to, and Gaussian ones of all sizes around theirs; the first is the best of the
/// rounds before.
fn starting_points(mut x: Batch<f64>, shape: Shape, best: Option<&[f64]>, rng: &mut ChaCha8Rng) -> Batch<f64> {
    let chance = gaussian(rng, shape, x.samples());
    for s in (1..x.samples()).step_by(2) {
        let size = ratio::norm(x.sample(s)) / (shape.len() as f64).sqrt();
        let size = if size > 0.0 && size.is_finite() { size } else { 1.0 };
        let scale = size * libm::exp2(rng.random_range(-6.0..=4.0));
        x.sample_mut(s).iter_mut().zip(chance.sample(s)).for_each(|(x, c)| *x = scale * c);
    }
    if let Some(best) = best {
        x.sample_mut(0).copy_from_slice(best);
    }
    x
}
