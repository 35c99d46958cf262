//! A learned denoiser in an iteration that provably converges: plug and play with an averaged network.
//!
//! ```text
//! cargo run --release --example plug_and_play                  images of 256², about two minutes; out/plug_and_play.svg
//! cargo run --release --example plug_and_play -- --smoke       images of 48², seconds
//! ```
//!
//! Half of the pixels of an image are missing, the others are noisy. The iteration `x ← D(x − ∇g(x))` goes down the data term
//! `g(x) = ½‖M(x − y)‖²` and denoises by a network `D`. Both maps are averaged, of the network it is *proved* (the sealed certificate
//! says with which α), so the iteration is averaged: it converges to a fixed point if there is one, and its steps `‖x⁺ − x‖` never
//! grow (Krasnosel'skiĭ, Mann). That the fixed point is a good image is training, and nothing is proved about it.
//!
//! Source: Sherry et al., arXiv:2306.17332, section 4; Ryu et al., *Plug-and-play methods provably converge*, ICML 2019.

#[path = "../chart/mod.rs"]
mod chart;
mod images;
#[path = "../chart/lines.rs"]
mod lines;

use std::path::PathBuf;

use clap::Parser;
use dahlquist::{
    Error, Network, Result,
    activation::Activation,
    field::GradientField,
    layer::{Flow, Layer, Step},
    operator::{Affine, Conv2d, Geometry},
    rigor::torus::PaddingMode,
    tableau::Tableau,
    train::{Optimiser, State},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    images::{NOISE, images, noisy, picture, psnr, space},
    lines::Line,
};

/// Plug and play with an averaged network.
#[derive(Parser)]
struct Options {
    /// Where the picture is written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Seconds instead of a minute: does everything work?
    #[arg(long)]
    smoke: bool,
}

/// The middle of a kernel of 5 × 5, and the size of its two entries to begin with.
const CENTRE: usize = 12;
const CONTRAST: f32 = 12.0;

/// Four Euler steps of convolutional gradient fields, each at nine tenths of the longest non-expansive length.
fn denoiser(side: usize, rng: &mut ChaCha8Rng) -> Result<Network<f32>> {
    let geometry =
        Geometry { input: space(side), outputs: 16, kernel: (5, 5), stride: 1, padding: 2, mode: PaddingMode::Zeros };
    let mut flow = || -> Result<Box<dyn Layer<f32>>> {
        // Differences of points that are not far apart: a step down a smoothed total variation, to begin with. Times 12, the noise
        // is in the steep part of tanh and an edge in the flat one, so that noise is averaged out and edges stay. Random kernels
        // of a moderate size, whose every difference is in the steep part, take edges away with the noise.
        let mut weight = vec![0.0f32; 16 * 25];
        for kernel in weight.chunks_mut(25) {
            let other = (CENTRE + 1 + rng.random_range(0..24)) % 25;
            (kernel[CENTRE], kernel[other]) = (CONTRAST, -CONTRAST);
        }
        let map = Affine::new(Conv2d::new(geometry, weight)?, Some(vec![0.0; 16]))?;
        let field = GradientField::new(map, Activation::Tanh {})?;
        Ok(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(0.9), 1)?))
    };
    Network::new(space(side), (0..4).map(|_| flow()).collect::<Result<_>>()?)
}

/// Trains the denoiser on patches, by the mean squared error. Returns the last one.
fn train(network: &mut Network<f32>, side: usize, steps: usize, rng: &mut ChaCha8Rng) -> Result<f64> {
    let (batch, mut state, mut error) = (16, State::new(network), 0.0);
    for step in 0..steps {
        let clean = images(batch, side, rng);
        let (mut off, tape) = network.forward_fast(noisy(&clean, rng))?;
        off.axpy(-1.0, &clean);
        error = off.data().iter().map(|e| f64::from(*e).powi(2)).sum::<f64>() / off.data().len() as f64;
        let mut gradient = network.gradient();
        network.vjp(&tape, off, Some(&mut gradient))?;
        network.pull_back(&mut gradient);
        let rate = 0.1 * (1.0 - step as f64 / steps as f64);
        state.step(network, &gradient, &Optimiser::ADAM, rate, 1.0 / batch as f64);
        network.prepare();
    }
    Ok(error)
}

fn main() -> Result<()> {
    let Options { out, smoke } = Options::parse();
    std::fs::create_dir_all(&out).map_err(|e| Error::file(&out, e))?;
    let (side, patch, steps, iterations) = if smoke { (48, 24, 60, 40) } else { (256, 32, 600, 150) };
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let mut small = denoiser(patch, rng)?;
    let error = train(&mut small, patch, steps, rng)?;
    println!("trained on patches of {patch}²: mean squared error {error:.5}, of the noise {:.5}", NOISE * NOISE);

    // The same weights on the large image. Sealing proves the norms for that size, and with them every step.
    let mut network = denoiser(side, rng)?;
    for (layer, trained) in network.parameters_mut().into_iter().zip(small.layers()) {
        layer.into_iter().zip(trained.parameters()).for_each(|(to, from)| to.copy_from_slice(from));
    }
    let sealed = network.seal()?;
    let claims = sealed.certificate().claims();
    println!(
        "proved: the denoiser is {}-Lipschitz, and {}",
        claims.bound,
        match claims.averaged {
            Some(alpha) => format!("averaged with α = {:.6}", alpha.get()),
            None => "not known to be averaged".into(),
        }
    );

    let truth = images(1, side, rng);
    let mask: Vec<bool> = (0..side * side).map(|_| rng.random_bool(0.5)).collect();
    let mut data = noisy(&truth, rng);
    data.data_mut().iter_mut().zip(&mask).filter(|(_, seen)| !**seen).for_each(|(y, _)| *y = 0.5);
    let (mut x, mut moves) = (data.clone(), Vec::new());
    for _ in 0..iterations {
        // x − ∇g(x): what is seen is set back to the data.
        let mut forward = x.clone();
        let seen = forward.data_mut().iter_mut().zip(data.data()).zip(&mask).filter(|(_, seen)| **seen);
        seen.for_each(|((x, y), _)| *x = *y);
        let next = sealed.forward(&forward)?;
        let mut change = next.clone();
        change.axpy(-1.0, &x);
        moves.push(change.norms_up()[0]);
        x = next;
    }
    // Rounding in f32 is about that large.
    let rounding = 1e-6 * x.norms_up()[0];
    let grew = moves.windows(2).filter(|pair| pair[1] > pair[0] + rounding).count();
    let (first, last) = (moves[0], moves[moves.len() - 1]);
    println!(
        "observed: ‖x⁺ − x‖ falls from {first:.2e} to {last:.2e}, and grew {grew} times by more than {rounding:.1e}"
    );
    println!(
        "observed: PSNR {:.2} dB of the data, {:.2} dB of the last iterate",
        psnr(&data, &truth),
        psnr(&x, &truth)
    );

    let path = out.join("plug_and_play.svg");
    chart::write(&path, (1200, 360), |root| {
        let areas = root.split_evenly((1, 4));
        picture(&areas[0], "truth", &truth, side)?;
        picture(&areas[1], "data", &data, side)?;
        picture(&areas[2], "last iterate", &x, side)?;
        let points = moves.iter().enumerate().map(|(k, m)| (k as f64, m.log10())).collect();
        lines::draw(&areas[3], "steps", ["iteration", "log₁₀ ‖x⁺ − x‖"], &[Line::new("", points, 0)])
    })?;
    println!("written: {}", path.display());
    Ok(())
}
