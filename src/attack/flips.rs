//! The search for an executed tie or flip within a certified radius.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{
    Ball, Norm,
    loss::{around, margin, runners_up},
    ratio::norm,
};
use crate::{
    certify::{Sealed, Semantics},
    error::Result,
    network::Network,
    scalar::Scalar,
    tensor::Batch,
};

/// How often a boundary is approached along the normal found on it.
const APPROACHES: usize = 6;
/// Bisections of a distance: more than an `f64` has bits.
const HALVINGS: usize = 60;
/// Changes in units of the last place that are tried at the nearest flip of a sample.
const JITTERS: usize = 24;
/// Points just inside of the certified ball that are executed for each sample.
const PROBES: usize = 8;

/// What was found out about executed ties and flips: two logits of which the predicted one is not the larger.
///
/// A NaN is a flip, but for networks that solve equations ([`crate::model::Map::solves`]): their programs return NaN where a
/// solve does not end, and no claim is about such an input.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct FlipReport {
    /// Why nothing was searched, if nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Samples with a positive executed radius; a sample counts once for each round that it was in.
    pub samples: usize,
    /// Samples that certification refused.
    pub refused: usize,
    /// Distances bisected.
    pub bisections: usize,
    /// Inputs executed in the ball and around the boundary.
    pub executions: usize,
    /// Inputs for which equations were not solved.
    pub unsolved: usize,
    /// The smallest `distance of a flip / certified executed radius`: below 1, the certificate is refuted.
    pub closest: Option<f64>,
    /// The smallest `distance of an executed flip / certified exact radius`. It may be a little below 1: exact semantics
    /// says nothing about rounding.
    pub closest_exact: Option<f64>,
    /// Flips nearer than the certified executed radius, at most one for each sample and round.
    pub violations: usize,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<Flip>,
}

/// An executed flip within a certified radius.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Flip {
    /// The sample.
    pub x: Vec<f64>,
    /// The input that is executed otherwise.
    pub y: Vec<f64>,
    /// An upper bound of their exact distance.
    pub distance: f64,
    /// The certified radius.
    pub radius: f64,
}

/// One batch of samples, each with the nearest flip found so far.
struct Search<'a, T: Scalar> {
    network: &'a Network<T>,
    x: Batch<T>,
    prediction: Vec<usize>,
    radius: Vec<f64>,
    /// The nearest flip of each sample and an upper bound of its distance.
    nearest: Vec<Option<(f64, Vec<T>)>>,
    executions: usize,
    bisections: usize,
    /// Whether the network solves equations, and the inputs for which it did not succeed.
    solves: bool,
    unsolved: usize,
}

/// One round over a batch of samples. The class that a sample is first driven to is the `class`-th runner-up.
pub(super) fn round<T: Scalar>(
    sealed: &Sealed<T>,
    x: &Batch<T>,
    class: usize,
    rng: &mut ChaCha8Rng,
    report: &mut FlipReport,
) -> Result<()> {
    let executed = sealed.certify(x, Semantics::Executed)?;
    let exact = sealed.certify(x, Semantics::Exact)?;
    let kept: Vec<usize> = (0..x.samples()).filter(|&s| executed[s].radius.get() > 0.0).collect();
    report.refused += x.samples() - kept.len();
    report.samples += kept.len();
    if kept.is_empty() || sealed.network().output().len() < 2 {
        return Ok(());
    }
    let mut search = Search {
        network: sealed.network(),
        x: x.gather(&kept),
        prediction: kept.iter().filter_map(|&s| executed[s].prediction).collect(),
        radius: kept.iter().map(|&s| executed[s].radius.get()).collect(),
        nearest: vec![None; kept.len()],
        executions: 0,
        bisections: 0,
        solves: sealed.map().solves(),
        unsolved: 0,
    };
    search.approach(class)?;
    search.probe(rng)?;
    search.jitter(rng)?;
    report.executions += search.executions;
    report.bisections += search.bisections;
    report.unsolved += search.unsolved;
    let less = |a: Option<f64>, b: f64| Some(a.map_or(b, |a| a.min(b)));
    for (row, (distance, y)) in search.nearest.iter().enumerate().filter_map(|(row, n)| Some((row, n.as_ref()?))) {
        let radius = search.radius[row];
        report.closest = less(report.closest, distance / radius);
        report.closest_exact = less(report.closest_exact, distance / exact[kept[row]].radius.get());
        if *distance < radius {
            report.violations += 1;
            let wide = |values: &[T]| values.iter().map(|v| v.wide()).collect();
            let (x, y) = (wide(search.x.sample(row)), wide(y));
            report.example.get_or_insert(Flip { x, y, distance: *distance, radius });
        }
    }
    Ok(())
}

impl<T: Scalar> Search<'_, T> {
    /// Executes one point for each sample: which ones are flips. A flip that is nearer than the last is kept.
    fn execute(&mut self, points: &Batch<T>) -> Result<Vec<bool>> {
        let logits = self.network.forward(points)?;
        self.executions += points.samples();
        let unsolved = |logits: &[T]| self.solves && logits.iter().any(|logit| logit.wide().is_nan());
        let flip = |s: usize| !unsolved(logits.sample(s)) && is_flip(logits.sample(s), self.prediction[s]);
        let flips: Vec<bool> = (0..points.samples()).map(flip).collect();
        let count = (0..points.samples()).filter(|&s| unsolved(logits.sample(s))).count();
        self.unsolved += count;
        for s in (0..points.samples()).filter(|&s| flips[s]) {
            let distance = Norm::L2.distance_up(self.x.sample(s), points.sample(s));
            if self.nearest[s].as_ref().is_none_or(|(least, _)| distance < *least) {
                self.nearest[s] = Some((distance, points.sample(s).to_vec()));
            }
        }
        Ok(flips)
    }

    /// Returns the directions in which the margin falls fastest at `points`; zeros where there is none.
    fn downhill(&self, points: &Batch<T>, class: Option<usize>) -> Result<Vec<Vec<f64>>> {
        let (logits, tape) = self.network.forward_fast(points.clone())?;
        let mut g = Batch::zeros(logits.shape(), logits.samples());
        for s in 0..logits.samples() {
            let i = self.prediction[s];
            let other = match class {
                Some(k) => Some(around(&runners_up(logits.sample(s), i), i, k)),
                None => margin(logits.sample(s), i).1,
            };
            if let Some(j) = other {
                (g.sample_mut(s)[i], g.sample_mut(s)[j]) = (-T::one(), T::one());
            }
        }
        let g = self.network.vjp(&tape, g, None)?;
        let unit = |s: usize| {
            let g: Vec<f64> = g.sample(s).iter().map(|g| g.wide()).collect();
            let size = norm(&g);
            let usable = size > 0.0 && size.is_finite();
            g.iter().map(|g| if usable { g / size } else { 0.0 }).collect()
        };
        Ok((0..points.samples()).map(unit).collect())
    }

    /// Returns `x + t·d`, sample by sample, in the format of the network.
    fn along(&self, t: &[f64], d: &[Vec<f64>]) -> Batch<T> {
        let mut points = self.x.clone();
        for (s, (t, d)) in t.iter().zip(d).enumerate() {
            points.sample_mut(s).iter_mut().zip(d).for_each(|(x, d)| *x = T::of(x.wide() + t * d));
        }
        points
    }

    /// Goes down the margin to the first flip, bisects its distance, and goes again along the normal found there: a
    /// fixed point is a flip whose distance is locally least.
    fn approach(&mut self, class: usize) -> Result<()> {
        let mut d = self.downhill(&self.x, Some(class))?;
        for _ in 0..APPROACHES {
            // Doubling brackets a flip, if there is one within 2¹² radii.
            let mut high = self.radius.clone();
            let mut flipped = vec![false; high.len()];
            for _ in 0..=12 {
                let now = self.execute(&self.along(&high, &d))?;
                flipped.iter_mut().zip(now).for_each(|(flipped, now)| *flipped |= now);
                if flipped.iter().all(|&f| f) {
                    break;
                }
                high.iter_mut().zip(&flipped).filter(|(_, f)| !**f).for_each(|(t, _)| *t *= 2.0);
            }
            if !flipped.contains(&true) {
                return Ok(());
            }
            let mut low = vec![0.0; high.len()];
            self.bisections += flipped.iter().filter(|&&f| f).count();
            for _ in 0..HALVINGS {
                let middle: Vec<f64> = low.iter().zip(&high).map(|(l, h)| l + 0.5 * (h - l)).collect();
                let points = self.along(&middle, &d);
                if points == self.along(&low, &d) || points == self.along(&high, &d) {
                    break;
                }
                for (s, flip) in self.execute(&points)?.into_iter().enumerate() {
                    *if flip { &mut high[s] } else { &mut low[s] } = middle[s];
                }
            }
            d = self.downhill(&self.along(&high, &d), None)?;
        }
        Ok(())
    }

    /// Executes points of the certified ball: towards the nearest flip, and around there by chance.
    fn probe(&mut self, rng: &mut ChaCha8Rng) -> Result<()> {
        for probe in 0..PROBES {
            let mut points = self.x.clone();
            for s in 0..points.samples() {
                let ball = Ball::new(Norm::L2, self.radius[s].next_down(), None)?;
                let x = self.x.sample(s);
                let mut v: Vec<f64> = match &self.nearest[s] {
                    Some((_, y)) => y.iter().zip(x).map(|(y, x)| y.wide() - x.wide()).collect(),
                    None => vec![0.0; x.len()],
                };
                let size = norm(&v).max(self.radius[s]);
                let chance = probe as f64 * 0.1 * size / (x.len() as f64).sqrt();
                v.iter_mut().for_each(|v| *v += chance * rng.random_range(-1.0..=1.0));
                ball.project(x, &mut v, points.sample_mut(s));
            }
            self.execute(&points)?;
        }
        Ok(())
    }

    /// Moves some coordinates of the nearest flips by units of the last place, mostly towards the sample.
    fn jitter(&mut self, rng: &mut ChaCha8Rng) -> Result<()> {
        for _ in 0..JITTERS {
            let mut points = self.x.clone();
            for s in 0..points.samples() {
                let Some((_, y)) = &self.nearest[s] else { continue };
                let part = libm::exp2(rng.random_range(-6.0..=0.0));
                let away = if rng.random_bool(0.5) { 0.0 } else { 0.3 };
                for ((point, &x), &y) in points.sample_mut(s).iter_mut().zip(self.x.sample(s)).zip(y) {
                    let inward = x > y;
                    *point = match rng.random_bool(part) {
                        true if x == y && away == 0.0 => y,
                        true => neighbour(y, inward != rng.random_bool(away)),
                        false => y,
                    };
                }
            }
            self.execute(&points)?;
        }
        Ok(())
    }
}

/// Returns whether some other logit is not below that of the prediction, or one is NaN: no strict order is left to
/// certify.
fn is_flip<T: Scalar>(logits: &[T], prediction: usize) -> bool {
    let top = logits[prediction].wide();
    // A NaN on either side is not below.
    (0..logits.len()).any(|j| j != prediction && logits[j].wide().partial_cmp(&top) != Some(std::cmp::Ordering::Less))
}

/// Returns the next number of the format above or below.
fn neighbour<T: Scalar>(x: T, above: bool) -> T {
    let next = if above { -T::round_down((-x.wide()).next_down()) } else { T::round_down(x.wide().next_down()) };
    if num_traits::Float::is_finite(next) { next } else { x }
}
