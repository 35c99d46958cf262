//! Where claims are tested.

use dahlquist::{Result, Sealed, scalar::Scalar, tensor::Batch};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Directions from `x`: the steepest descents of the margins, and what the network stretches most; those of the network
/// over `f64`, where nothing underflows that matters.
pub fn directions<T: Scalar>(
    sealed: &Sealed<T>,
    x: &Batch<f64>,
    class: usize,
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Vec<f64>>> {
    let network = sealed.network().widen();
    let (logits, tape) = network.forward_recording(x.clone())?;
    let mut directions = Vec::new();
    for j in (0..logits.data().len()).filter(|&j| j != class) {
        let mut g = Batch::zeros(logits.shape(), 1);
        (g.data_mut()[class], g.data_mut()[j]) = (-1.0, 1.0);
        directions.push(network.vjp(&tape, g, None)?.data().to_vec());
    }
    let mut v: Batch<f64> = x.clone();
    v.data_mut().iter_mut().for_each(|v| *v = rng.sample(StandardNormal));
    for _ in 0..60 {
        let Some(w) = unit(network.jvp(&tape, v.clone())?.data()) else { break };
        let Some(w) = unit(network.vjp(&tape, Batch::new(logits.shape(), w)?, None)?.data()) else { break };
        v.data_mut().copy_from_slice(&w);
    }
    directions.push(v.data().to_vec());
    Ok(directions)
}

/// Draws points at a distance of at most `radius` from `x`: some along the directions, some anywhere.
pub fn points(directions: &[Vec<f64>], x: &[f64], radius: f64, count: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let mut found = Vec::with_capacity(count);
    for p in 0..count {
        let chance: Vec<f64> = (0..x.len()).map(|_| rng.sample(StandardNormal)).collect();
        let mix = [0.0, 0.0, 0.1, 0.5, f64::INFINITY][rng.random_range(0..5)];
        let along = unit(&directions[p / 4 % directions.len()]).filter(|_| mix.is_finite());
        let chance = unit(&chance).unwrap_or(chance);
        let d: Vec<f64> = match along {
            Some(along) => along.iter().zip(&chance).map(|(a, c)| a + mix * c).collect(),
            None => chance,
        };
        let Some(d) = unit(&d) else { continue };
        let sign = if rng.random_bool(0.8) { 1.0 } else { -1.0 };
        let length = sign * radius * [0.999_999, 0.99, rng.random(), 1e-3][p % 4];
        found.push(x.iter().zip(d).map(|(x, d)| x + length * d).collect());
    }
    found
}

/// The direction of a vector, whose squares may overflow or underflow.
fn unit(v: &[f64]) -> Option<Vec<f64>> {
    let largest = v.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let v: Vec<f64> = v.iter().map(|v| v / largest).collect();
    let size = v.iter().map(|v| v * v).sum::<f64>().sqrt();
    (size > 0.0 && size.is_finite()).then(|| v.iter().map(|v| v / size).collect())
}
