//! One measured pass for each line that it reads: the crate's half of `benches/compare/run.py`.
//!
//! `measure MODEL` writes the reference classifier to the file `MODEL` unless there is one, then answers every line of its input, a command
//! and the number of images or the size of a matrix, with one line: seconds, or the numbers asked for.

#[path = "../../benches/reference/mod.rs"]
#[allow(dead_code)]
mod reference;

use std::{error::Error, hint::black_box, io::BufRead, path::Path, time::Instant};

use dahlquist::{
    Network,
    attack::{Attack, Loss, Norm, Start, StepSize},
    data::synthetic,
    network::{self, AnyNetwork},
    scalar::gemm,
    tensor::Batch,
    train::train,
};
use faer::{Accum, Mat};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: measure MODEL")?;
    let path = Path::new(&path);
    if !path.exists() {
        network::save(reference::classifier(1)?.seal()?.network(), path)?;
    }
    let (network, mut trained) = (load(path)?, load(path)?);
    println!("{}", network.parameter_count());
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (command, count) = line.split_once(' ').ok_or("a command and a number are expected")?;
        let count: usize = count.parse()?;
        let seconds = match command {
            "pixels" => {
                println!("{}", join(images(count)?.data()));
                continue;
            }
            "logits" => {
                println!("{}", join(network.forward(&images(count)?)?.data()));
                continue;
            }
            "forward" => {
                let x = images(count)?;
                time(|| network.forward(black_box(&x)))?
            }
            "forward_backward" => {
                let x = images(count)?;
                time(|| reference::gradients(&network, &x))?
            }
            "training_step" => {
                let data = synthetic::generate(1, STEPS * count, 10)?.0;
                time(|| train(&mut trained, &data, &reference::steps(count), |_| ()))? / STEPS as f64
            }
            "pgd" => {
                let x = images(count)?;
                let logits = network.forward(&x)?;
                let labels: Vec<usize> = (0..count).map(|s| largest(logits.sample(s))).collect();
                time(|| PGD.robust_accuracy(&network, &x, &labels, &[1e-3]))?
            }
            "norms" => {
                let network = load(path)?;
                time(|| network.seal())?
            }
            "gemm" => {
                let entry = |i: usize, j: usize| ((i * 7 + j * 3) % 11) as f32 * 0.1;
                let (a, b) = (Mat::<f32>::from_fn(count, count, entry), Mat::<f32>::from_fn(count, count, entry));
                let mut c = Mat::<f32>::zeros(count, count);
                time(|| {
                    gemm(c.as_mut(), Accum::Replace, a.as_ref(), b.as_ref());
                    Ok(())
                })?
            }
            other => return Err(format!("unknown command {other}").into()),
        };
        println!("{seconds}");
    }
    Ok(())
}

/// The steps of training that are timed together.
const STEPS: usize = 4;

/// Ten steps within a radius at which no image leaves early: the labels are the network's own predictions.
const PGD: Attack = Attack {
    norm: Norm::L2,
    loss: Loss::Margin,
    steps: 10,
    starts: 1,
    first: Start::Sample,
    step_size: StepSize::Constant(0.25),
    range: Some([0.0, 1.0]),
    seed: 0,
    first_sample: 0,
    keep_inputs: false,
};

fn load(path: &Path) -> Result<Network<f32>, Box<dyn Error>> {
    match network::load(path)? {
        AnyNetwork::F32(network) => Ok(network),
        AnyNetwork::F64(_) => Err("an f32 model is expected".into()),
    }
}

/// The time that `run` takes, in seconds.
fn time<R>(run: impl FnOnce() -> dahlquist::Result<R>) -> dahlquist::Result<f64> {
    let start = Instant::now();
    black_box(run()?);
    Ok(start.elapsed().as_secs_f64())
}

fn images(count: usize) -> dahlquist::Result<Batch<f32>> {
    synthetic::generate(1, count, 10)?.0.batch(&(0..count).collect::<Vec<_>>())
}

fn largest(x: &[f32]) -> usize {
    (0..x.len()).max_by(|&i, &j| x[i].total_cmp(&x[j])).unwrap_or(0)
}

fn join(x: &[f32]) -> String {
    x.iter().map(f32::to_string).collect::<Vec<_>>().join(" ")
}
