//! The claims about one network, put to the test.

use dahlquist::{
    Error, Result, Sealed, Semantics,
    attack::Falsifier,
    certify::{SealOptions, Summation},
    rigor::directed::{norm_up, sub_down, sub_up},
    scalar::Scalar,
    tensor::Batch,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Serialize;

use crate::{
    interval::{Interval, decided},
    oracle::{Exact, Num, difference, row, square},
    reference::Reference,
    subject::{Subject, samples},
};

/// Samples of one network.
const SAMPLES: usize = 32;
/// Points around each of them.
const POINTS: usize = 200;

/// What was counted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// Networks by kind.
    #[serde(skip)]
    pub networks: Vec<usize>,
    /// How many of them were trained, run in `f32`, and run in the declared order.
    pub trained: usize,
    pub single: usize,
    pub declared: usize,
    /// Networks without a certificate: a method without a radius and with a bound that overflows.
    pub not_certified: usize,
    /// Samples, and those without an exact and without an executed radius.
    pub samples: usize,
    pub without_exact_radius: usize,
    pub without_executed_radius: usize,
    /// Pairs `(x, x')` within a certified exact radius.
    pub pairs: usize,
    /// Pairs within a certified executed radius.
    pub executed_pairs: usize,
    /// Pairs that integers decided: those that intervals could not, and one for each sample anyway.
    pub by_integers: usize,
    /// Distances bisected for an executed flip, and inputs executed.
    pub bisections: usize,
    pub executions: usize,
    /// Pairs that the search for large ratios evaluated.
    pub falsifier_pairs: usize,
    pub violations: Violations,
    /// The largest `‖f(x) − f(x')‖/(L‖x − x'‖)`, as computed in `f64`, of pairs that are not close.
    pub largest_ratio: f64,
    /// The smallest distance of an executed flip over the executed radius, and over the exact one.
    pub closest: Option<f64>,
    pub closest_exact: Option<f64>,
}

/// Proofs that a claim is false.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Violations {
    pub lipschitz: usize,
    pub exact_class: usize,
    pub executed_class: usize,
    pub executed_flip: usize,
    pub falsifier: usize,
}

impl Violations {
    pub fn total(&self) -> usize {
        self.lipschitz + self.exact_class + self.executed_class + self.executed_flip + self.falsifier
    }
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        let least = |a: Option<f64>, b: Option<f64>| [a, b].into_iter().flatten().reduce(f64::min);
        self.networks.resize(self.networks.len().max(other.networks.len()), 0);
        self.networks.iter_mut().zip(&other.networks).for_each(|(a, b)| *a += b);
        for (to, from) in [
            (&mut self.trained, other.trained),
            (&mut self.single, other.single),
            (&mut self.declared, other.declared),
            (&mut self.not_certified, other.not_certified),
            (&mut self.samples, other.samples),
            (&mut self.without_exact_radius, other.without_exact_radius),
            (&mut self.without_executed_radius, other.without_executed_radius),
            (&mut self.pairs, other.pairs),
            (&mut self.executed_pairs, other.executed_pairs),
            (&mut self.by_integers, other.by_integers),
            (&mut self.bisections, other.bisections),
            (&mut self.executions, other.executions),
            (&mut self.falsifier_pairs, other.falsifier_pairs),
            (&mut self.violations.lipschitz, other.violations.lipschitz),
            (&mut self.violations.exact_class, other.violations.exact_class),
            (&mut self.violations.executed_class, other.violations.executed_class),
            (&mut self.violations.executed_flip, other.violations.executed_flip),
            (&mut self.violations.falsifier, other.violations.falsifier),
        ] {
            *to += from;
        }
        self.largest_ratio = self.largest_ratio.max(other.largest_ratio);
        self.closest = least(self.closest, other.closest);
        self.closest_exact = least(self.closest_exact, other.closest_exact);
    }
}

/// Draws a network, seals it and tests its claims, each bound times `understate` and each radius over it.
///
/// # Errors
/// If something fails that is no refusal of a certificate.
pub fn examine<T: Scalar>(kind: usize, trained: bool, understate: f64, rng: &mut ChaCha8Rng) -> Result<Counts> {
    let mut counts = Counts { networks: vec![0; kind + 1], ..Counts::default() };
    counts.networks[kind] = 1;
    let mut subject = Subject::<T>::random(kind, rng)?;
    if trained {
        subject.train(rng)?;
        counts.trained = 1;
    }
    let summation = if rng.random_bool(0.5) { Summation::Declared } else { Summation::Any };
    let sealed = match subject.network()?.seal_with(SealOptions { summation, ..SealOptions::default() }) {
        Ok(sealed) => sealed,
        Err(Error::Layer { .. } | Error::NotProved { .. }) => {
            counts.not_certified = 1;
            return Ok(counts);
        }
        Err(error) => return Err(error),
    };
    counts.single = usize::from(T::NAME == "f32");
    counts.declared = usize::from(summation == Summation::Declared);
    let x = samples::<T>(subject.input, SAMPLES, rng);
    let exact = sealed.certify(&x, Semantics::Exact)?;
    let executed = sealed.certify(&x, Semantics::Executed)?;
    counts.samples = SAMPLES;
    let (intervals, integers) =
        (Reference::<Interval>::new(&subject, &sealed)?, Reference::<Exact>::new(&subject, &sealed)?);
    let l = sealed.certificate().lipschitz.get() * understate;
    for s in 0..SAMPLES {
        let radii = [exact[s].radius.get() / understate, executed[s].radius.get() / understate];
        counts.without_exact_radius += usize::from(radii[0] <= 0.0);
        counts.without_executed_radius += usize::from(radii[1] <= 0.0);
        if radii[0] <= 0.0 {
            continue;
        }
        let x = x.slice(s..s + 1);
        let around = points(&sealed, &x, exact[s].prediction, radii[0], rng)?;
        let (outputs, centre) = (sealed.forward(&around)?, sealed.forward(&x)?);
        let y = decided(|| intervals.at(x.data()));
        for p in 0..around.samples() {
            let distance = distance_up(x.data(), around.sample(p));
            // Only a point that is proved to lie within the radius is one that the claim is about.
            if distance >= radii[0] || distance == 0.0 {
                continue;
            }
            counts.pairs += 1;
            let class = exact[s].prediction;
            let verdict = y.as_ref().filter(|_| p > 0).and_then(|y| {
                decided(|| Verdict::new(y, &intervals.at(around.sample(p)), x.data(), around.sample(p), l, class))
            });
            let verdict = verdict.unwrap_or_else(|| {
                counts.by_integers += 1;
                let (y, z) = (integers.at(x.data()), integers.at(around.sample(p)));
                Verdict::new(&y, &z, x.data(), around.sample(p), l, class)
            });
            counts.violations.lipschitz += usize::from(!verdict.lipschitz);
            counts.violations.exact_class += usize::from(!verdict.class);
            if distance < radii[1] {
                counts.executed_pairs += 1;
                let (logits, class) = (outputs.sample(p), executed[s].prediction);
                // A NaN is not below.
                let stands = (0..logits.len()).all(|j| j == class || logits[j] < logits[class]);
                counts.violations.executed_class += usize::from(!stands);
            }
            // Rounding blurs the ratio of points that are close.
            if distance > 0.1 * radii[0] && T::NAME == "f64" {
                let apart = distance_up(outputs.sample(p), centre.data());
                counts.largest_ratio = counts.largest_ratio.max(apart / (l * distance));
            }
        }
    }
    let found = Falsifier { seconds: f64::INFINITY, rounds: Some(1), batch: SAMPLES, seed: rng.random() }
        .run(&sealed, Some(&x))?;
    counts.bisections = found.flips.bisections;
    counts.executions = found.flips.executions;
    counts.closest = found.flips.closest.map(|c| c * understate);
    counts.closest_exact = found.flips.closest_exact.map(|c| c * understate);
    counts.violations.executed_flip = found.flips.violations;
    let ratios = || found.layers.iter().chain(&found.features).chain([&found.network]);
    counts.falsifier_pairs = ratios().map(|r| r.pairs).sum();
    counts.violations.falsifier = ratios().filter(|r| r.refuted || r.rounding.is_some_and(|r| r > 1.0)).count();
    Ok(counts)
}

/// Whether claims stand, decided in `N`.
struct Verdict {
    /// `‖z − y‖ ≤ L‖x' − x‖`, in squares.
    lipschitz: bool,
    /// The logit of the class is above all others at `x'`.
    class: bool,
}

impl Verdict {
    fn new<N: Num, T: Scalar>(y: &[N], z: &[N], x: &[T], other: &[T], l: f64, class: usize) -> Self {
        let dx: Vec<N> = difference(&row(other), &row(x));
        let most = N::of(l).times(&N::of(l)).times(&square(&dx));
        Self {
            lipschitz: square(&difference(z, y)).at_most(&most),
            class: (0..z.len()).all(|j| j == class || z[class].minus(&z[j]).positive()),
        }
    }
}

/// Points at up to `radius` from `x`: along the steepest descents of the margins, along what the network stretches, and
/// anywhere.
fn points<T: Scalar>(
    sealed: &Sealed<T>,
    x: &Batch<T>,
    class: usize,
    radius: f64,
    rng: &mut ChaCha8Rng,
) -> Result<Batch<T>> {
    let network = sealed.network();
    let (logits, tape) = network.forward_recording(x.clone())?;
    let mut directions = Vec::new();
    for j in (0..logits.data().len()).filter(|&j| j != class) {
        let mut g = Batch::zeros(logits.shape(), 1);
        (g.data_mut()[class], g.data_mut()[j]) = (-T::one(), T::one());
        directions.push(row64(network.vjp(&tape, g, None)?.data()));
    }
    let mut v: Batch<T> = x.clone();
    v.data_mut().iter_mut().for_each(|v| *v = T::of(rng.sample(StandardNormal)));
    for _ in 0..20 {
        let w = network.vjp(&tape, network.jvp(&tape, v.clone())?, None)?;
        let Some(unit) = unit(&row64(w.data())) else { break };
        v.data_mut().iter_mut().zip(unit).for_each(|(v, u)| *v = T::of(u));
    }
    directions.push(row64(v.data()));
    let mut data = Vec::with_capacity(POINTS * x.data().len());
    for p in 0..POINTS {
        let chance: Vec<f64> = (0..x.data().len()).map(|_| rng.sample(StandardNormal)).collect();
        let mix = [0.0, 0.0, 0.1, 0.5, f64::INFINITY][rng.random_range(0..5)];
        let along = unit(&directions[p % directions.len()]).filter(|_| mix.is_finite());
        let chance = unit(&chance).unwrap_or(chance);
        let d: Vec<f64> = match along {
            Some(along) => along.iter().zip(&chance).map(|(a, c)| a + mix * c).collect(),
            None => chance,
        };
        let Some(d) = unit(&d) else { continue };
        let sign = if rng.random_bool(0.8) { 1.0 } else { -1.0 };
        let length = sign * radius * [0.999_999, 0.99, rng.random(), 1e-3][p % 4];
        data.extend(x.data().iter().zip(d).map(|(x, d)| T::of(x.wide() + length * d)));
    }
    Batch::new(x.shape(), data)
}

fn unit(v: &[f64]) -> Option<Vec<f64>> {
    let size = v.iter().map(|v| v * v).sum::<f64>().sqrt();
    (size > 0.0 && size.is_finite()).then(|| v.iter().map(|v| v / size).collect())
}

fn row64<T: Scalar>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.wide()).collect()
}

/// An upper bound of the exact distance.
fn distance_up<T: Scalar>(x: &[T], y: &[T]) -> f64 {
    let each = |(x, y): (&T, &T)| sub_up(x.wide(), y.wide()).abs().max(sub_down(x.wide(), y.wide()).abs());
    norm_up(&x.iter().zip(y).map(each).collect::<Vec<f64>>())
}
