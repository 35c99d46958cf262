//! `dahlquist show`.

use std::path::{Path, PathBuf};

use clap::Args;
use dahlquist::{Network, Result, rules::Prover, scalar::Scalar};
use serde_json::json;

use super::{
    Outcome, Run,
    input::{self, with_network},
    output::{Out, columns},
    report::rule,
};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  dahlquist show model.safetensors\n\nBounds are ℓ2 Lipschitz constants.")]
pub(super) struct Show {
    /// Model file
    model: PathBuf,
    /// Write the same as JSON (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
}

impl Run for Show {
    fn run(&self) -> Result<Outcome> {
        let (file, network) = input::model(&self.model)?;
        let (text, value) = with_network!(network, network => describe(&network));
        if let Some(out) = &self.json {
            out.json(&value)?;
        }
        Ok(Outcome::done(format!("{}, SHA-256 {}\n{text}", self.model.display(), file.sha256())))
    }

    fn inputs(&self) -> Vec<&Path> {
        vec![&self.model]
    }

    fn outputs(&self) -> Vec<&Out> {
        self.json.iter().collect()
    }
}

fn describe<T: Scalar>(network: &Network<T>) -> (String, serde_json::Value) {
    let title = ["", "kind", "output", "parameters", "rule", "ℓ2 bound", "averaged"].map(String::from).to_vec();
    let (mut rows, mut layers) = (vec![title], Vec::new());
    for (i, layer) in network.layers().enumerate() {
        let parameters: usize = layer.parameters().iter().map(|p| p.len()).sum();
        let map = layer.describe();
        let kind = map.kind().to_string();
        let claim = Prover::default().network(&map, layer.input());
        let mut row = vec![i.to_string(), kind.clone(), layer.output().to_string(), parameters.to_string()];
        row.extend(match &claim {
            Ok(proof) => vec![
                rule(&map, proof).to_string(),
                proof.bound().to_string(),
                proof.claims().averaged.map_or(String::new(), |averaged| averaged.to_string()),
            ],
            Err(reason) => vec![format!("no claim: {reason}")],
        });
        rows.push(row);
        let claim = match claim {
            Ok(proof) => json!({
                "rule": rule(&map, &proof), "bound": proof.bound(), "averaged": proof.claims().averaged,
                "proof": proof,
            }),
            Err(reason) => json!({"refused": reason.to_string()}),
        };
        layers.push(json!({
            "path": i.to_string(), "kind": kind, "output": layer.output(), "parameters": parameters,
            "claim": claim,
        }));
    }
    let count = network.parameter_count();
    let head = format!("{} → {}, {count} parameters in {}\n", network.input(), network.output(), T::NAME);
    let value = json!({"scalar": T::NAME, "input": network.input(), "parameters": count, "layers": layers});
    (head + &columns(&rows), value)
}
