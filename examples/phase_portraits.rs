//! Phase portraits of four fields in the plane, with what is proved about each.
//!
//! ```text
//! cargo run --release --example phase_portraits        writes out/phase_portraits.svg, in a second
//! ```
//!
//! Trajectories are computed by RK4. What is *proved* is printed: the one-sided Lipschitz constant `μ` (trajectories approach each
//! other if it is negative), the longest Euler step for which the energy falls, and how far an equilibrium may be.

#[path = "chart/mod.rs"]
mod chart;
#[path = "chart/lines.rs"]
mod lines;

use std::{f64::consts::FRAC_PI_8, path::PathBuf};

use clap::Parser;
use dahlquist::{
    Error, Result,
    activation::Activation,
    control::Process,
    field::{GradientField, StructuredField, VectorField},
    lyapunov::{Decrease, Energy, equilibrium},
    model::{Field, Linear, Potential, Tensor},
    operator::{Affine, Dense},
    rules::Prover,
    tableau::Tableau,
    tensor::{Batch, Shape},
};

use crate::lines::Line;

/// Phase portraits of fields in the plane.
#[derive(Parser)]
struct Options {
    /// Where the picture is written.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// The number of steps of a trajectory.
    #[arg(long, default_value_t = 240)]
    steps: usize,
}

const PLANE: Shape = Shape::Features(2);

fn matrix(n: usize, entries: &[f64]) -> Linear {
    Linear::Dense { weight: Tensor::new(&[n, entries.len() / n], entries), bias: None }
}

/// A field, and what it is called.
type Named = (&'static str, Box<dyn VectorField<f64>>);

/// Returns the fields, with their names.
fn fields() -> Result<Vec<Named>> {
    let activation = Activation::Tanh {};
    let w = Affine::new(Dense::new(2, 2, vec![1.2, 0.6, -0.3, 0.7])?, Some(vec![0.3, -0.2]))?;
    let structured = |field: Field| -> Result<Box<dyn VectorField<f64>>> {
        Ok(Box::new(StructuredField::<f64>::new(&field, PLANE)?))
    };
    let potential = |w: f64| Potential { activation, operator: matrix(1, &[w]) };
    Ok(vec![
        ("gradient", Box::new(GradientField::new(w, activation)?)),
        (
            "dissipative",
            structured(Field::Dissipative {
                activation,
                operator: matrix(2, &[1.0, 0.0, 0.4, 1.0]),
                skew: matrix(2, &[0.0, 2.0, 0.0, 0.0]),
                damping: 0.15,
            })?,
        ),
        ("hamiltonian", structured(Field::Hamiltonian { kinetic: potential(1.0), potential: potential(1.4) })?),
        (
            "antisymmetric",
            structured(Field::Antisymmetric {
                activation,
                matrix: matrix(2, &[0.0, 1.5, 0.0, 0.0]),
                bias: Some(Tensor::new(&[2], &[0.5, -0.5])),
                damping: 0.3,
            })?,
        ),
    ])
}

fn main() -> Result<()> {
    let options = Options::parse();
    std::fs::create_dir_all(&options.out).map_err(|e| Error::file(&options.out, e))?;
    let (prover, tableau) = (Prover::default(), Tableau::rk4());
    let starts: Vec<f64> =
        (0..16).flat_map(|k| [(f64::from(k) * FRAC_PI_8).cos(), (f64::from(k) * FRAC_PI_8).sin()]).collect();
    let starts = Batch::new(PLANE, starts.iter().map(|x| 2.5 * x).collect())?;
    let mut portraits = Vec::new();
    for (name, field) in fields()? {
        let process = Process::new(vec![&*field], &tableau, vec![0.05; options.steps])?;
        let trajectory = process.states(&starts)?;
        let claims = prover.field(&field.describe(), PLANE)?.claims();
        let mu = claims.one_sided_lipschitz.map_or(f64::NAN, |mu| mu.get());
        println!("{name:14} proved: μ ≤ {mu:.4}, ‖Δf‖ ≤ {:.4}‖Δx‖", claims.bound.get());
        match Decrease::of_euler(&*field, 0.0, &prover) {
            Ok(decrease) => {
                println!("{:14} its energy falls for every Euler step up to {:.4}", "", decrease.longest().get())
            }
            Err(reason) => println!("{:14} {reason}", ""),
        }
        if let Ok(energy) = Energy::of(&field.describe(), PLANE) {
            let along = energy.along(&trajectory);
            let changes = along.windows(2).flat_map(|pair| pair[1].iter().zip(&pair[0]).map(|(b, a)| b - a));
            let (fall, rise) = changes.fold((0.0f64, 0.0f64), |(f, r), d| (f.min(d), r.max(d)));
            println!("{:14} observed: in a step of RK4 it changes by {fall:.1e} to {rise:.1e}", "");
        }
        if let Ok(found) = equilibrium(&*field, &starts.slice(0..1), &prover, 1e-8, 100_000) {
            println!("{:14} an equilibrium within {:.1e} of {:.6?}", "", found.error.get(), found.point.data());
        }
        let line = |s: usize| {
            let points = trajectory.states().iter().map(|x| (x.sample(s)[0], x.sample(s)[1])).collect();
            Line::new("", points, s)
        };
        portraits.push((name, (0..starts.samples()).map(line).collect::<Vec<_>>()));
    }
    let path = options.out.join("phase_portraits.svg");
    chart::write(&path, (900, 840), |root| {
        for ((name, portrait), area) in portraits.iter().zip(root.split_evenly((2, 2))) {
            lines::draw(&area, name, ["x₁", "x₂"], portrait)?;
        }
        Ok(())
    })?;
    println!("written: {}", path.display());
    Ok(())
}
