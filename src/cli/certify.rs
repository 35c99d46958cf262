//! `dahlquist certify`.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use dahlquist::{
    Error, Network, Result, Sealed, Semantics,
    certify::SampleCertificate,
    data::Dataset,
    io::{Claimed, ClaimedSamples, ModelFile},
    rigor::Summation,
    scalar::Scalar,
    witness::{self, Witness},
};
use serde_json::{Value, json};

use super::{
    Outcome,
    input::{self, OptionalData, Proofs, with_network},
    output::{self, columns, percent},
};

#[derive(Debug, Args)]
pub(super) struct Certify {
    /// A model file.
    model: PathBuf,
    #[command(flatten)]
    data: OptionalData,
    /// Radii to count certified samples at, in units of the input.
    #[arg(long, value_delimiter = ',', value_parser = input::radius, default_value = "36/255,72/255,108/255")]
    eps: Vec<f64>,
    /// What the radii are about: the network over the real numbers, or the program with its rounding errors.
    #[arg(long, value_enum, default_value_t = Meaning::Executed)]
    semantics: Meaning,
    #[command(flatten)]
    proofs: Proofs,
    /// Certify stacks of dense layers of up to so many neurons as one map, by a quadratic constraint.
    #[arg(long, value_name = "NEURONS", default_value_t = 0)]
    tighten: usize,
    /// Let neurons of dense layers that cannot switch within the ball count as what they are: larger radii, later.
    #[arg(long)]
    local: bool,
    /// Write a certificate file, for `dahlquist check`.
    #[arg(long, value_name = "OUT")]
    certificate: Option<PathBuf>,
    /// Write a witness for the verified checker (proofs/checker): proofs of norms and claims in integers. With samples,
    /// which must be one safetensors file, the last layer is the head of their margins; without, the claim is about all
    /// layers.
    #[arg(long, value_name = "OUT")]
    witness: Option<PathBuf>,
    /// Layers that the witness is about, the last one excluded; all of them if absent. The witness of a part claims its
    /// Lipschitz constant and no margins.
    #[arg(long, value_name = "FROM..TO", value_parser = layers, requires = "witness")]
    witness_layers: Option<Range<usize>>,
    /// Write the results as JSON.
    #[arg(long, value_name = "OUT")]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Meaning {
    Exact,
    Executed,
}

impl Certify {
    pub(super) fn run(&self) -> Result<Outcome> {
        let (file, network) = input::model(&self.model)?;
        with_network!(network, network => self.certify(&file, network))
    }

    fn certify<T: Scalar>(&self, file: &ModelFile, network: Network<T>) -> Result<Outcome> {
        let dataset = self.data.load(&network)?;
        let sealed = match network.seal_with(self.proofs.options()).and_then(|sealed| sealed.tighten(self.tighten)) {
            Ok(sealed) => sealed,
            Err(reason) => {
                let text = format!("{}: not certified: {reason}\n", self.model.display());
                return Ok(Outcome { text, failed: true });
            }
        };
        let claims =
            dataset.as_ref().map(|dataset| radii(&sealed, dataset, self.semantics(), self.local)).transpose()?;
        let counts = dataset.as_ref().zip(claims.as_ref()).map(|(dataset, claims)| self.count(dataset, claims));
        if let Some(path) = &self.certificate {
            let mut claimed = Claimed::new(sealed.certificate(), file.sha256(), file.scalar());
            if let (Some(dataset), Some(claims)) = (&dataset, &claims) {
                claimed.samples = Some(self.claimed_samples::<T>(dataset, claims)?);
            }
            claimed.write(path)?;
        }
        if let Some(path) = &self.json {
            output::json(path, &self.value(&sealed, dataset.as_ref().zip(claims.as_deref()), counts.as_ref()))?;
        }
        let mut text = self.text(&sealed, claims.as_deref(), counts.as_ref());
        if let Some(path) = &self.witness {
            text += &self.write_witness(path, file, &sealed, dataset.as_ref())?;
        }
        Ok(Outcome::done(text))
    }

    /// Writes the witness, and says what it claims.
    fn write_witness<T: Scalar>(
        &self,
        path: &Path,
        file: &ModelFile,
        sealed: &Sealed<T>,
        dataset: Option<&Dataset>,
    ) -> Result<String> {
        let count = file.spec().layers.len();
        let part = self.witness_layers.clone().unwrap_or(0..count);
        // Margins are those of the network's logits at its samples: a part has none.
        let samples = dataset.filter(|_| part == (0..count));
        let mut witness = Witness::new(file, part.clone(), samples.is_some()).map_err(|e| self.no_witness(file, e))?;
        if let (Some(dataset), Some(file)) = (samples, self.data.path()) {
            witness.about_samples(file)?;
            let mut numbers = 0..;
            input::in_groups("witness", dataset, |x| {
                sealed.gaps(&x)?.iter().zip(&mut numbers).try_for_each(|(s, number)| witness.claim_margin(number, s))
            })?;
        }
        witness.write(path)?;
        let (Range { start, end }, head) = (part, usize::from(samples.is_some()));
        let mut text = format!("witness of layers {start}..{end}: ");
        text += &format!("Lipschitz constant of layers {start}..{} at most {}", end - head, witness.lipschitz());
        if let Some(dataset) = samples {
            text += &format!(", margins of {} of {} samples", witness.margins(), dataset.len());
        }
        Ok(text + "\n")
    }

    /// Why there is no witness, and of which layers there would be one.
    fn no_witness(&self, file: &ModelFile, reason: Error) -> Error {
        let parts: Vec<String> = witness::parts(file)
            .unwrap_or_default()
            .iter()
            .map(|part| format!("{}..{}", part.start, part.end))
            .collect();
        let parts = if parts.is_empty() { "none".into() } else { parts.join(", ") };
        Error::file(&self.model, format!("{reason} (parts that it knows, for --witness-layers: {parts})"))
    }

    fn semantics(&self) -> Semantics {
        match self.semantics {
            Meaning::Exact => Semantics::Exact,
            Meaning::Executed => Semantics::Executed,
        }
    }

    fn count(&self, dataset: &Dataset, claims: &[SampleCertificate]) -> Counts {
        let fraction = |holds: &dyn Fn(&SampleCertificate) -> bool| {
            let pairs = claims.iter().zip(dataset.labels());
            pairs.filter(|(claim, label)| claim.prediction == **label && holds(claim)).count() as f64
                / claims.len() as f64
        };
        let certified = self.eps.iter().map(|&eps| (eps, fraction(&|claim| claim.holds_at(eps)))).collect();
        Counts { clean: fraction(&|_| true), certified }
    }

    fn claimed_samples<T: Scalar>(&self, dataset: &Dataset, claims: &[SampleCertificate]) -> Result<ClaimedSamples> {
        Ok(ClaimedSamples {
            sha256: dataset.sha256::<T>()?,
            semantics: self.semantics(),
            local: self.local,
            predictions: claims.iter().map(|claim| claim.prediction).collect(),
            // Rounded down to f32: still true, and confirmed where the last bits of an f64 come out differently.
            radii: claims.iter().map(|claim| f64::from(<f32 as Scalar>::round_down(claim.radius.get()))).collect(),
        })
    }

    fn value<T: Scalar>(
        &self,
        sealed: &Sealed<T>,
        samples: Option<(&Dataset, &[SampleCertificate])>,
        counts: Option<&Counts>,
    ) -> Value {
        let certificate = sealed.certificate();
        let layer = |(i, entry): (usize, &dahlquist::certificate::Entry)| {
            json!({
                "path": i.to_string(), "kind": entry.kind, "rule": entry.basis, "bound": entry.lipschitz,
                "averaged": entry.averaged,
            })
        };
        let layers: Vec<Value> = certificate.layers.iter().enumerate().map(layer).collect();
        let mut value = json!({
            "semantics": self.semantics(), "scalar": T::NAME, "summation": certificate.summation, "norms": certificate.norms,
            "proved": certificate.is_proved(), "lipschitz": certificate.lipschitz, "features": certificate.features,
            "layers": layers, "groups": certificate.groups, "local": self.local,
        });
        if let (Some((dataset, claims)), Some(counts)) = (samples, counts) {
            let sample = |(claim, label): (&SampleCertificate, &usize)| {
                json!({
                    "prediction": claim.prediction, "label": label, "radius": claim.radius, "refusal": claim.refusal,
                })
            };
            value["samples"] = claims.iter().zip(dataset.labels()).map(sample).collect();
            value["clean_accuracy"] = json!(counts.clean);
            let certified = counts.certified.iter().map(|(eps, accuracy)| json!({"eps": eps, "accuracy": accuracy}));
            value["certified_accuracy"] = certified.collect();
        }
        value
    }

    fn text<T: Scalar>(
        &self,
        sealed: &Sealed<T>,
        claims: Option<&[SampleCertificate]>,
        counts: Option<&Counts>,
    ) -> String {
        let certificate = sealed.certificate();
        let title = ["", "kind", "rule", "bound"].map(String::from).to_vec();
        let row = |(i, entry): (usize, &dahlquist::certificate::Entry)| {
            vec![i.to_string(), entry.kind.clone(), entry.basis.to_string(), entry.lipschitz.to_string()]
        };
        let group = |group: &dahlquist::certificate::Group| {
            let layers = format!("{}–{}", group.first, group.first + group.count - 1);
            vec![layers, "together".into(), group.rule.to_string(), group.lipschitz.to_string()]
        };
        let layers = certificate.layers.iter().enumerate().map(row).chain(certificate.groups.iter().map(group));
        let rows: Vec<Vec<String>> = std::iter::once(title).chain(layers).collect();
        let mut text = columns(&rows);
        text += &format!(
            "Lipschitz constant of the network {}, of its features {} (over the real numbers)\n",
            certificate.lipschitz, certificate.features
        );
        if !certificate.is_proved() {
            text += "NOT PROVED: a bound of a layer is only asserted\n";
        }
        if let (Some(claims), Some(counts)) = (claims, counts) {
            let semantics = match self.semantics {
                Meaning::Exact => "exact".to_string(),
                Meaning::Executed => match certificate.summation {
                    Summation::Any => format!("executed in {}, sums in any order", T::NAME),
                    Summation::Declared => format!("executed in {}, sums in the declared order", T::NAME),
                },
            };
            let refused = claims.iter().filter(|claim| claim.refusal.is_some()).count();
            text += &format!(
                "{} samples, {semantics}: accuracy {}, {refused} without a radius\n",
                claims.len(),
                percent(counts.clean)
            );
            for (eps, accuracy) in &counts.certified {
                text += &format!("certified at ε = {eps:.4}: {}\n", percent(*accuracy));
            }
        }
        text
    }
}

/// A range of layers as `4..9`.
fn layers(text: &str) -> std::result::Result<Range<usize>, String> {
    let number =
        |text: &str| text.trim().parse::<usize>().map_err(|_| format!("{text:?} is not the number of a layer"));
    let (from, to) = text.split_once("..").ok_or("a range of layers is written as FROM..TO")?;
    Ok(number(from)?..number(to)?)
}

struct Counts {
    clean: f64,
    certified: Vec<(f64, f64)>,
}

/// The radius of every sample.
pub(super) fn radii<T: Scalar>(
    sealed: &Sealed<T>,
    dataset: &Dataset,
    semantics: Semantics,
    local: bool,
) -> Result<Vec<SampleCertificate>> {
    let mut claims = Vec::with_capacity(dataset.len());
    input::in_groups("certify", dataset, |x| {
        claims.extend(if local { sealed.certify_locally(&x, semantics)? } else { sealed.certify(&x, semantics)? });
        Ok(())
    })?;
    Ok(claims)
}
