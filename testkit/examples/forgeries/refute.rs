//! Counterexamples: pairs of points that are stretched more than is claimed, and points of another class within a radius.

use dahlquist::{
    Network, Semantics,
    network::AnyNetwork,
    scalar::Scalar,
    tensor::{Batch, argmax},
};
use dahlquist_testkit::described::{exact, squared_distance, value, vector};
use num_rational::BigRational;

use crate::{accept::Accepted, subject::Samples};

/// Where a network has no rational value, a pair counts if it is stretched by this much more: far above the rounding of `f64`.
const CLEARLY: f64 = 1.0 + 1e-6;

fn wide(accepted: &Accepted) -> Option<Network<f64>> {
    Some(match accepted.model.network().ok()? {
        AnyNetwork::F32(network) => network.widen(),
        AnyNetwork::F64(network) => network.widen(),
    })
}

fn at(accepted: &Accepted, x: &[f64]) -> Option<Vec<BigRational>> {
    value(accepted.model.map(), accepted.model.input(), &vector(x))
}

/// Whether a pair of points is found that the network stretches by more than is claimed.
pub fn ratio(accepted: &Accepted, samples: &Samples) -> bool {
    let Some(network) = wide(accepted) else { return false };
    let (input, bound) = (network.input(), accepted.claimed.lipschitz);
    (0..samples.labels.len()).any(|s| {
        let x = samples.sample(s);
        x.len() == input.len() && stretched(accepted, &network, &x, bound).unwrap_or(false)
    })
}

fn stretched(accepted: &Accepted, network: &Network<f64>, x: &[f64], bound: f64) -> Option<bool> {
    let input = network.input();
    let (_, tape) = network.forward_recording(Batch::new(input, x.to_vec()).ok()?).ok()?;
    let mut v: Vec<f64> = (0..x.len()).map(|i| 1.0 + 0.37 * ((i * i + 3 * i) as f64 % 7.0)).collect();
    for _ in 0..20 {
        let image = network.jvp(&tape, Batch::new(input, v.clone()).ok()?).ok()?;
        let back = network.vjp(&tape, image, None).ok()?;
        let size = back.data().iter().fold(0.0f64, |a, b| a.max(b.abs()));
        if !(size > 0.0 && size.is_finite()) {
            break;
        }
        v = back.data().iter().map(|x| x / size).collect();
    }
    for t in [1e-3, 0.125, 8.0] {
        let y: Vec<f64> = x.iter().zip(&v).map(|(x, v)| x + t * v).collect();
        let moved = squared_distance(&vector(x), &vector(&y));
        let most = exact(bound) * exact(bound) * moved.clone();
        if let (Some(a), Some(b)) = (at(accepted, x), at(accepted, &y)) {
            if squared_distance(&a, &b) > most {
                return Some(true);
            }
        } else {
            let both = Batch::new(input, [x, &y[..]].concat()).ok()?;
            let logits = network.forward(&both).ok()?;
            if logits.data().iter().all(|z| z.is_finite()) {
                let far = squared_distance(&vector(logits.sample(0)), &vector(logits.sample(1)));
                if far > most * exact(CLEARLY) {
                    return Some(true);
                }
            }
        }
    }
    Some(false)
}

/// Whether a point of another class is found within the radius of a sample: over the rational numbers, or as executed.
pub fn radius(accepted: &Accepted, x: &[f64], semantics: Semantics, class: usize, radius: f64) -> bool {
    let Some(network) = wide(accepted) else { return false };
    let classes = network.output().len();
    (0..classes).filter(|&other| other != class).any(|other| {
        let path = towards(&network, x, class, other, radius).unwrap_or_default();
        path.iter().any(|y| match semantics {
            Semantics::Exact => within(x, y, radius) && loses(accepted, y, class),
            Semantics::Executed => match accepted.model.network() {
                Ok(AnyNetwork::F32(network)) => executed(&network, x, y, class, radius),
                Ok(AnyNetwork::F64(network)) => executed(&network, x, y, class, radius),
                Err(_) => false,
            },
        })
    })
}

fn within(x: &[f64], y: &[f64], radius: f64) -> bool {
    y.iter().all(|y| y.is_finite()) && squared_distance(&vector(x), &vector(y)) < exact(radius) * exact(radius)
}

/// Whether another logit is at least as large, exactly.
fn loses(accepted: &Accepted, y: &[f64], class: usize) -> bool {
    at(accepted, y).is_some_and(|z| (0..z.len()).any(|j| j != class && z[j] >= z[class]))
}

/// Whether the program sees another class at the point of its format that is nearest to `y`.
fn executed<T: Scalar>(network: &Network<T>, x: &[f64], y: &[f64], class: usize, radius: f64) -> bool {
    let read: Vec<T> = y.iter().map(|&y| T::of(y)).collect();
    let exactly: Vec<f64> = read.iter().map(|y| y.wide()).collect();
    if !within(x, &exactly, radius) {
        return false;
    }
    let logits = Batch::new(network.input(), read).and_then(|y| network.forward(&y));
    logits.is_ok_and(|logits| argmax(logits.data()) != class || logits.data().iter().any(|z| !z.wide().is_finite()))
}

/// Points within the radius, farther and farther along the gradients of the difference of two logits.
fn towards(network: &Network<f64>, x: &[f64], class: usize, other: usize, radius: f64) -> Option<Vec<Vec<f64>>> {
    let (input, output) = (network.input(), network.output());
    let (mut y, mut path) = (x.to_vec(), vec![x.to_vec()]);
    for step in 0..24 {
        let (_, tape) = network.forward_recording(Batch::new(input, y.clone()).ok()?).ok()?;
        let mut g = vec![0.0; output.len()];
        (g[class], g[other]) = (-1.0, 1.0);
        let gradient = network.vjp(&tape, Batch::new(output, g).ok()?, None).ok()?;
        let size = gradient.data().iter().map(|g| g * g).sum::<f64>().sqrt();
        if !(size > 0.0 && size.is_finite()) {
            break;
        }
        // All the way at once first, and then in steps.
        let length = if step == 0 { radius } else { radius / 12.0 };
        let from = if step == 0 { x } else { &y };
        let mut next: Vec<f64> = from.iter().zip(gradient.data()).map(|(y, g)| y + length * g / size).collect();
        let far = next.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        // Just inside of the ball.
        let shrink = (radius * (1.0 - 1e-9) / far).min(1.0);
        next.iter_mut().zip(x).for_each(|(y, x)| *y = x + (*y - x) * shrink);
        if next.iter().any(|y| !y.is_finite()) {
            break;
        }
        path.push(next.clone());
        y = if step == 0 { x.to_vec() } else { next };
    }
    Some(path)
}
