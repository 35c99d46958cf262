//! Gradients that do not vanish: a Hamiltonian network against residual ones, of equal depth and width, before any training.
//!
//! ```text
//! cargo run --release --example hamiltonian            writes out/hamiltonian.svg, in seconds
//! ```
//!
//! For random costates at the end, the picture shows the least `‖λ_n‖/‖λ_N‖` over the depth: how much of a gradient arrives. For the
//! Hamiltonian network (Störmer–Verlet, a symplectic method) a lower bound is *proved*, by the same shears that bound its
//! Lipschitz constant; nothing of the kind is known for the residual networks. The flow of a gradient, `x − hWᵀtanh(Wx)` with the same step,
//! loses them: every layer contracts. The residual network as it is usually begun, `x + V relu(Wx)` without a step, with weights
//! of variance `2/n` in `W` (He) and `1/n` in `V` and no normalization, multiplies them by about `√2` a layer: they explode.

#[path = "chart/mod.rs"]
mod chart;
#[path = "chart/lines.rs"]
mod lines;

use std::path::PathBuf;

use clap::Parser;
use dahlquist::{
    Error, Network, Result,
    activation::Activation,
    control::costate_bounds,
    field::{GradientField, ResidualField, StructuredField},
    layer::{Flow, Layer, Splitting, Step},
    model::{Field, Linear, Potential, SplitMethod, Tensor},
    operator::{Affine, Dense},
    tableau::Tableau,
    tensor::{Batch, Shape},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::lines::Line;

/// Gradients over the depth of a Hamiltonian and of residual networks.
#[derive(Parser)]
struct Options {
    /// Where the picture is written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// The number of layers.
    #[arg(long, default_value_t = 100)]
    depth: usize,
}

const WIDTH: usize = 32;
const SPACE: Shape = Shape::Features(WIDTH);
const COSTATES: usize = 64;

fn normal(count: usize, deviation: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    StandardNormal.sample_iter(rng).take(count).map(|x: f64| deviation * x).collect()
}

/// The least `‖λ_n‖/‖λ_N‖` for each layer boundary, as executed.
fn least(network: &Network<f64>, rng: &mut ChaCha8Rng) -> Result<Vec<f64>> {
    let x = Batch::new(SPACE, normal(COSTATES * WIDTH, 1.0, rng))?;
    let mut costate = Batch::new(SPACE, normal(COSTATES * WIDTH, 1.0, rng))?;
    let (_, tape) = network.forward_recording(x)?;
    let last = costate.norms_up();
    let mut least = vec![1.0];
    for (n, layer) in network.layers().enumerate().rev() {
        costate = layer.vjp(tape.inner(n), costate, None);
        least.push(costate.norms_up().iter().zip(&last).map(|(a, b)| a / b).fold(f64::INFINITY, f64::min));
    }
    least.reverse();
    Ok(least)
}

fn main() -> Result<()> {
    let Options { out, depth } = Options::parse();
    std::fs::create_dir_all(&out).map_err(|e| Error::file(&out, e))?;
    let (activation, h) = (Activation::Tanh {}, 0.1);
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let half = WIDTH / 2;
    let mut networks: [Vec<Box<dyn Layer<f64>>>; 3] = Default::default();
    for _ in 0..depth {
        let mut potential = || {
            let weight = Tensor::new(&[half, half], &normal(half * half, 1.0 / (half as f64).sqrt(), rng));
            Potential { activation, operator: Linear::Dense { weight, bias: None } }
        };
        let field = Field::Hamiltonian { kinetic: potential(), potential: potential() };
        let field = StructuredField::<f64>::new(&field, SPACE)?;
        networks[0].push(Box::new(Splitting::new(field, SplitMethod::StormerVerlet, h, 1)?));
        let mut map = |variance: f64| {
            let weight = normal(WIDTH * WIDTH, (variance / WIDTH as f64).sqrt(), rng);
            Affine::new(Dense::new(WIDTH, WIDTH, weight)?, None)
        };
        let gradient = GradientField::new(map(1.0)?, activation)?;
        networks[1].push(Box::new(Flow::new(gradient, Tableau::euler(), Step::Fixed(h), 1)?));
        let free = ResidualField::new(map(2.0)?, Activation::Relu {}, map(1.0)?)?;
        networks[2].push(Box::new(Flow::new(free, Tableau::euler(), Step::Fixed(1.0), 1)?));
    }
    let names = ["Hamiltonian, Störmer–Verlet", "gradient flow, x − hWᵀtanh(Wx)", "ResNet, x + V relu(Wx)"];
    let mut drawn = Vec::new();
    for (k, (name, layers)) in names.into_iter().zip(networks).enumerate() {
        let network = Network::new(SPACE, layers)?;
        let found = least(&network, rng)?;
        println!("{name:30} observed: every gradient is multiplied by {:.1e} at least over {depth} layers", found[0]);
        let logarithms = |values: &[f64]| values.iter().enumerate().map(|(n, x)| (n as f64, x.log10())).collect();
        drawn.push(Line::new(name, logarithms(&found), k));
        if k > 0 {
            continue;
        }
        // Each layer is a flow of one step: its bounds multiply from the end.
        let sealed = network.seal()?;
        let mut proved = vec![1.0];
        for proof in sealed.certificate().layers().collect::<Vec<_>>().into_iter().rev() {
            proved.push(proved[proved.len() - 1] * costate_bounds(proof, 1)?[0].0.get());
        }
        proved.reverse();
        let inverse = sealed.certificate().claims().inverse.map_or(0.0, |inverse| inverse.get());
        println!("{:30} proved: no less than {inverse:.1e}, whatever the input is", "");
        drawn.push(Line::new("the same, proved", logarithms(&proved), 5));
    }
    let path = out.join("hamiltonian.svg");
    chart::write(&path, (820, 480), |root| {
        lines::draw(root, "how much of a gradient arrives", ["layer n", "log₁₀ least ‖λ_n‖/‖λ_N‖"], &drawn)
    })?;
    println!("written: {}", path.display());
    Ok(())
}
