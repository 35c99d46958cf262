//! Optimal control of a flow: successive approximations against Riccati's solution, and step lengths that are optimal and stable.
//!
//! ```text
//! cargo run --release --example optimal_control        writes out/optimal_control.svg, in seconds
//! ```
//!
//! A damped oscillator is steered to rest. Its controls come from Pontryagin's principle, costates backward and a minimum at every
//! step; the discrete Riccati recursion knows the answer. Then the time steps of a random gradient flow are chosen so that a cost
//! falls, each below the longest step that is *proved* not to expand.

#[path = "chart/mod.rs"]
mod chart;
#[path = "chart/lines.rs"]
mod lines;

use std::path::PathBuf;

use clap::Parser;
use dahlquist::{
    Error, Network, Result,
    activation::Activation,
    control::{
        Cost, LengthSearch, LinearQuadratic, SuccessiveApproximations, Terminal, optimal_lengths, stable_lengths,
    },
    field::{GradientField, StructuredField, VectorField},
    layer::{Flow, Layer, Step},
    model::{Field, Linear, Tensor},
    operator::{Affine, Dense},
    rules::Prover,
    tableau::Tableau,
    tensor::{Batch, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::lines::Line;

/// Optimal controls and optimal step lengths.
#[derive(Parser)]
struct Options {
    /// Where the picture is written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// The turns of the method of successive approximations.
    #[arg(long, default_value_t = 60)]
    turns: usize,
}

const PLANE: Shape = Shape::Features(2);
const STEPS: usize = 40;
const H: f64 = 0.1;
/// Weights of the state on the way, of the control, and of the state at the end.
const WEIGHTS: [f64; 3] = [1.0, 0.5, 2.0];

/// `½ q‖x‖²` on the way, `½ s‖x‖²` at the end.
struct Quadratic;

impl Cost<f64> for Quadratic {
    fn terminal(&self, x: &Batch<f64>) -> (f64, Batch<f64>) {
        weighted(WEIGHTS[2], x)
    }

    fn running(&self, x: &Batch<f64>) -> Option<(f64, Batch<f64>)> {
        Some(weighted(WEIGHTS[0], x))
    }
}

fn weighted(c: f64, x: &Batch<f64>) -> (f64, Batch<f64>) {
    let mut gradient = Batch::zeros(x.shape(), x.samples());
    gradient.axpy(c, x);
    (0.5 * c * x.data().iter().map(|x| x * x).sum::<f64>(), gradient)
}

fn main() -> Result<()> {
    let Options { out, turns } = Options::parse();
    std::fs::create_dir_all(&out).map_err(|e| Error::file(&out, e))?;
    let (a, b) = ([0.0, 1.0, -1.0, -0.2], [0.0, 1.0]);
    let diagonal = |c: f64| vec![c, 0.0, 0.0, c];
    let [q, r, s] = WEIGHTS;
    let problem = LinearQuadratic {
        states: 2,
        controls: 1,
        a: a.to_vec(),
        b: b.to_vec(),
        q: diagonal(q),
        r: vec![r],
        terminal: diagonal(s),
    };
    let start = [2.0, 0.0];
    let best = problem.euler(H).regulate(&start, STEPS)?;
    println!("Riccati: the least cost is {:.9}", best.cost);

    // x' = Ax + B(0·x + u): a field of Lur'e's form, whose inner bias is the control.
    let matrix = |rows: usize, entries: &[f64]| Linear::Dense {
        weight: Tensor::new(&[rows, entries.len() / rows], entries),
        bias: None,
    };
    let steered = |_| -> Result<Box<dyn VectorField<f64>>> {
        let inner = matrix(1, &[0.0, 0.0]).with_bias(Some(Tensor::new(&[1], &[0.0])));
        let (linear, outer, activation) = (matrix(2, &a), matrix(2, &b), Activation::Identity {});
        Ok(Box::new(StructuredField::<f64>::new(&Field::Lurie { activation, linear, inner, outer }, PLANE)?))
    };
    let x = Batch::new(PLANE, start.to_vec())?;
    let mut gaps = Vec::new();
    for (k, proximal) in [0.0, 1.0, 5.0].into_iter().enumerate() {
        let mut fields = (0..STEPS).map(steered).collect::<Result<Vec<_>>>()?;
        let method = SuccessiveApproximations { controls: vec![2], ridge: r, proximal, iterations: turns };
        let found = method.run(&mut fields, &Tableau::euler(), &[H; STEPS], &x, &Quadratic)?;
        let taken_back = found.iter().filter(|turn| !turn.accepted).count();
        let gap = found.last().map_or(f64::NAN, |turn| turn.cost) - best.cost;
        println!(
            "successive approximations, ρ = {proximal}: {gap:.1e} above it after {turns} turns, {taken_back} taken back"
        );
        let points = found.iter().enumerate().map(|(n, turn)| (n as f64, (turn.cost - best.cost).max(1e-16).log10()));
        gaps.push(Line::new(format!("ρ = {proximal}"), points.collect(), k));
    }

    let (rng, tableau, prover) = (&mut ChaCha8Rng::seed_from_u64(2), Tableau::rk4(), Prover::default());
    let mut draw = |n: usize| -> Vec<f64> { (0..n).map(|_| rng.random_range(-1.0..1.0)).collect() };
    let fields = (0..8)
        .map(|_| GradientField::new(Affine::new(Dense::new(4, 2, draw(8))?, Some(draw(4)))?, Activation::Tanh {}))
        .collect::<Result<Vec<_>>>()?;
    let views: Vec<&dyn VectorField<f64>> = fields.iter().map(|field| field as &dyn VectorField<f64>).collect();
    let caps = stable_lengths(&prover, &views, &tableau, 8)?;
    let (points, target) = (Batch::new(PLANE, draw(32))?, Batch::new(PLANE, draw(32))?);
    let search = LengthSearch { total: 0.5 * caps.iter().sum::<f64>(), caps: caps.clone(), iterations: 60 };
    let (lengths, costs) = optimal_lengths(&search, &views, &tableau, &points, &Terminal(target))?;
    println!("step lengths: the cost falls from {:.6} to {:.6}", costs[0], costs[costs.len() - 1]);
    println!("lengths {lengths:.3?}\ncaps    {caps:.3?}");
    let bars = |values: &[f64]| values.iter().enumerate().map(|(n, h)| (n as f64, *h)).collect::<Vec<_>>();
    let steps = [Line::new("optimal length", bars(&lengths), 0), Line::new("cap 2rν, proved", bars(&caps), 1)];
    let layers = fields.into_iter().zip(&lengths).map(|(field, &h)| -> Result<Box<dyn Layer<f64>>> {
        Ok(Box::new(Flow::new(field, tableau.clone(), Step::Fixed(h), 1)?))
    });
    let sealed = Network::new(PLANE, layers.collect::<Result<_>>()?)?.seal()?;
    println!("proved: the network with these steps is {}-Lipschitz", sealed.certificate().bound());

    let path = out.join("optimal_control.svg");
    chart::write(&path, (1000, 420), |root| {
        let areas = root.split_evenly((1, 2));
        lines::draw(&areas[0], "successive approximations", ["turn", "log₁₀ (cost − least cost)"], &gaps)?;
        lines::draw(&areas[1], "step lengths", ["step", "length"], &steps)
    })?;
    println!("written: {}", path.display());
    Ok(())
}
