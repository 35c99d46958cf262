//! `dahlquist certify`.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use dahlquist::{
    Error, Network, Result, Sealed, Semantics,
    certificate::{
        Certificate, ClaimedSamples, Perturbation,
        file::CertificateFile,
        part::{Part, Shard},
    },
    certify::{Effort, SampleCertificate, Sought},
    data::Dataset,
    model::Model,
    rigor::Upper,
    scalar::Scalar,
    tensor::Batch,
    witness::{self, Witness},
};

use super::{
    Outcome, Run, Status,
    input::{self, Eps, EpsList, NormName, OptionalData, Proofs, with_network},
    output::{self, Out},
    plot,
    report::{Report, Samples},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dahlquist certify model.safetensors --data test.safetensors --eps 36/255 0.5 --certificate cert.json

The radius of a sample is a distance in units of the input, in ℓ2 unless --norm says otherwise: below it, no input (in
the range of --range, if that is given) has another prediction.")]
pub(super) struct Certify {
    /// Model file
    model: PathBuf,
    #[command(flatten)]
    data: OptionalData,
    /// Distances at which certified samples are counted, in the norm of the radii and in units of the input, separated by spaces or commas
    /// [default: 36/255 72/255 108/255]
    #[arg(long, value_name = "EPS", num_args = 1.., requires = "path")]
    eps: Vec<EpsList>,
    /// Meaning of radii. `exact`: about the network over the real numbers. `executed`: about the program, with its
    /// rounding errors [default: executed]
    #[arg(long, value_enum, requires = "path")]
    semantics: Option<Meaning>,
    #[command(flatten)]
    proofs: Proofs,
    /// Certify dense layers in a row, of up to N neurons together, as one map by a quadratic constraint, the last ones with the
    /// head. Radii then use a constant of each pair of logits
    #[arg(long, value_name = "N", default_value_t = 0)]
    tighten: usize,
    /// Compute larger radii, more slowly: fix neurons that cannot switch within the ball, bound margins by linear functions
    #[arg(long, requires = "path")]
    local: bool,
    /// Decide whether radii are larger than the distances of --eps, and seek no larger ones: as --local, many times faster
    #[arg(long, requires = "path")]
    decide: bool,
    /// Bound margins by quadratic functions where linear ones prove nothing: as --local or with --decide, for ReLU networks in which
    /// few neurons can switch. Larger radii, in seconds a sample
    #[arg(long, requires = "path")]
    quadratic: bool,
    /// Norm of the radii. That of Lipschitz constants is ℓ2; for others margins are bounded by linear functions, as with --local
    #[arg(long, value_enum, default_value_t = NormName::L2, requires = "path")]
    norm: NormName,
    /// Radii are about inputs in this range alone: pixels are in 0 1. Margins are bounded by linear functions, as with --local
    #[arg(long, value_names = ["LOW", "HIGH"], num_args = 2, allow_negative_numbers = true, requires = "path")]
    range: Option<Vec<f64>>,
    /// Certify one of N parts of the samples, the first as 1/N; `dahlquist merge` puts their certificates together
    #[arg(
        long, value_name = "I/N", requires_all = ["path", "certificate"],
        conflicts_with_all = ["json", "csv", "plot", "witness"]
    )]
    shard: Option<Shard>,
    /// Write a certificate, for `dahlquist check`
    #[arg(long, value_name = "OUT")]
    certificate: Option<Out>,
    /// Write the results as JSON (`-`: standard output)
    #[arg(long, value_name = "OUT")]
    json: Option<Out>,
    /// Write a table with one line for each sample, as CSV
    #[arg(long, value_name = "OUT", requires = "path")]
    csv: Option<Out>,
    /// Draw the certified accuracy against the distance, as SVG
    #[arg(long, value_name = "OUT.svg", requires = "path")]
    plot: Option<Out>,
    /// Write a witness for the verified checker in proofs/checker: proofs of norms and claims, as integers. With samples,
    /// which must be one safetensors file, margins are measured on the last layer; without, the claim is about all layers.
    /// Margins are those of the exact network, with `--semantics executed` those of the program
    #[arg(long, value_name = "OUT")]
    witness: Option<Out>,
    /// Layers that the witness is about, TO excluded [default: all]. The witness of a part claims its Lipschitz constant and
    /// no margins
    #[arg(long, value_name = "FROM..TO", value_parser = layers, requires = "witness")]
    witness_layers: Option<Range<usize>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Meaning {
    Exact,
    Executed,
}

/// The distances of the literature on CIFAR-10.
const EPS: &str = "36/255 72/255 108/255";

impl Run for Certify {
    fn run(&self) -> Result<Outcome> {
        let (file, network) = input::model(&self.model)?;
        with_network!(network, network => self.certify(&file, network))
    }

    fn inputs(&self) -> Vec<&Path> {
        std::iter::once(&*self.model).chain(self.data.path()).collect()
    }

    fn outputs(&self) -> Vec<&Out> {
        [&self.certificate, &self.json, &self.csv, &self.plot, &self.witness].into_iter().flatten().collect()
    }
}

impl Certify {
    fn certify<T: Scalar>(&self, file: &Model, network: Network<T>) -> Result<Outcome> {
        self.within().validate()?;
        let dataset = self.data.load(&network)?;
        let tightened = network.seal_with(self.proofs.options()).and_then(|sealed| {
            let before = (sealed.certificate().bound(), sealed.features());
            Ok((sealed.tighten(self.tighten)?, before))
        });
        let (sealed, before) = match tightened {
            Ok(tightened) => tightened,
            Err(reason) => {
                let text = format!("{}: not certified: {reason}\n", self.model.display());
                return Ok(Outcome { text, status: Status::Failed });
            }
        };
        input::note_expansive(sealed.map(), sealed.certificate());
        let options = sealed.options();
        let mut claimed = CertificateFile::new(sealed.certificate(), file, options.norm_proof, options.summation);
        if let (Some(shard), Some(dataset), Some(out)) = (self.shard, &dataset, &self.certificate) {
            return self.part(&sealed, dataset, claimed, shard, out);
        }
        let samples = dataset.as_ref().map(|dataset| self.samples(&sealed, dataset)).transpose()?;
        if let Some(path) = &self.certificate {
            claimed.samples = samples.as_ref().map(|samples| samples.claimed.clone());
            claimed.write(&**path)?;
        }
        let report = Report {
            map: sealed.map(),
            certificate: sealed.certificate(),
            features: sealed.features(),
            options: sealed.options(),
            scalar: T::NAME,
            samples: samples.as_ref(),
        };
        if let Some(out) = &self.json {
            out.json(&report.json())?;
        }
        if let Some(samples) = &samples {
            if let Some(out) = &self.csv {
                dahlquist::io::write(out, samples.csv().as_bytes())?;
            }
            if let Some(out) = &self.plot {
                dahlquist::io::write(
                    out,
                    plot::certified_accuracy(&samples.curve(), &samples.points(), self.norm.norm()).as_bytes(),
                )?;
            }
        }
        let mut text = report.text();
        if self.tighten > 0 {
            text += &gained(before, &sealed);
        }
        if let Some(path) = &self.witness {
            text += &self.write_witness(path, file, &sealed, dataset.as_ref())?;
        }
        Ok(Outcome::done(text))
    }

    /// Certifies the samples.
    fn samples<T: Scalar>(&self, sealed: &Sealed<T>, dataset: &Dataset) -> Result<Samples> {
        let certified = self.radii(sealed, dataset, 0..dataset.len())?;
        let eps = self.distances();
        let values: Vec<f64> = eps.iter().map(|eps| eps.value).collect();
        let claimed = ClaimedSamples::new(dataset.sha256()?, self.meaning(), &certified, dataset.labels(), &values)?;
        let claimed = claimed.within(self.within());
        Ok(Samples { claimed, refusals: certified.iter().map(|claim| claim.refusal).collect(), eps })
    }

    /// Certifies a shard of the samples, and writes what is claimed about it.
    fn part<T: Scalar>(
        &self,
        sealed: &Sealed<T>,
        dataset: &Dataset,
        certificate: CertificateFile,
        shard: Shard,
        out: &Out,
    ) -> Result<Outcome> {
        let range = shard.range(&sealed.pieces(dataset.len()))?;
        let certified = self.radii(sealed, dataset, range.clone())?;
        let eps = self.distances().iter().map(|eps| eps.value).collect();
        let labels = dataset.labels().get(range.clone()).unwrap_or_default();
        let mut claims = ClaimedSamples::new(dataset.sha256()?, self.meaning(), &certified, labels, &[])?;
        (claims.clean_accuracy, claims.within) = (None, self.within());
        let (samples, first) = (dataset.len(), range.start);
        Part { shard, samples, first, eps, certificate, claims }.write(out)?;
        let Range { start, end } = range;
        Ok(Outcome::done(format!("shard {shard}: samples {start} to {} of {samples}\n", end - 1)))
    }

    fn radii<T: Scalar>(
        &self,
        sealed: &Sealed<T>,
        dataset: &Dataset,
        range: Range<usize>,
    ) -> Result<Vec<SampleCertificate>> {
        let bar = output::progress("certify", range.len());
        let ((semantics, local), within) = (self.meaning(), self.within());
        let eps: Vec<f64> = self.distances().iter().map(|eps| eps.value).collect();
        let effort = if self.quadratic { Effort::Quadratic } else { Effort::Linear };
        let sought = match (local, self.decide) {
            (false, _) => Sought::Global,
            (true, false) => Sought::Largest(&within, effort),
            (true, true) => Sought::At(&within, &eps, effort),
        };
        let certified = sealed.certify_part(dataset, range, (semantics, sought), &|count| bar.inc(count as u64))?;
        bar.finish_and_clear();
        Ok(certified)
    }

    fn meaning(&self) -> (Semantics, bool) {
        let semantics = match self.semantics {
            Some(Meaning::Exact) => Semantics::Exact,
            Some(Meaning::Executed) | None => Semantics::Executed,
        };
        (semantics, self.local || self.quadratic || self.decide || !self.within().is_plain())
    }

    /// Returns the inputs that the radii are about.
    fn within(&self) -> Perturbation {
        Perturbation { norm: self.norm.norm(), range: self.range.as_deref().and_then(input::range) }
    }

    /// Returns the distances at which accuracies are claimed.
    fn distances(&self) -> Vec<Eps> {
        let default = || EPS.parse().into_iter().collect();
        input::ascending(&if self.eps.is_empty() { default() } else { self.eps.clone() })
    }

    /// Writes the witness, and says what it claims.
    fn write_witness<T: Scalar>(
        &self,
        path: &Path,
        file: &Model,
        sealed: &Sealed<T>,
        dataset: Option<&Dataset>,
    ) -> Result<String> {
        let count = file.map().layers().len();
        let part = self.witness_layers.clone().unwrap_or(0..count);
        // Margins are those of the network's logits at its samples: a part has none.
        let samples = dataset.filter(|_| part == (0..count));
        let mut witness = Witness::new(file, part.clone(), samples.is_some()).map_err(|e| self.no_witness(file, e))?;
        if let Some(dataset) = samples {
            witness.about_samples(dataset)?;
            let runs = matches!(self.semantics, Some(Meaning::Executed));
            if runs {
                witness
                    .about_program::<T>(file, sealed.options().summation, sealed.features())
                    .map_err(|e| Error::file(&self.model, e))?;
            }
            let mut numbers = 0..;
            input::in_groups("witness", dataset, |x: Batch<f64>| {
                let exact = sealed.gaps(&x)?;
                let executed = if runs { sealed.executed_gaps(&x)? } else { Vec::new() };
                exact.iter().enumerate().zip(&mut numbers).try_for_each(|((s, exact), number)| match executed.get(s) {
                    Some(executed) => witness.claim_executed(number, exact, executed),
                    None => witness.claim_margin(number, exact),
                })
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
    fn no_witness(&self, file: &Model, reason: Error) -> Error {
        let parts: Vec<String> = witness::parts(file)
            .unwrap_or_default()
            .iter()
            .map(|part| format!("{}..{}", part.start, part.end))
            .collect();
        let parts = if parts.is_empty() { "none".into() } else { parts.join(", ") };
        Error::file(&self.model, format!("{reason} (parts that it knows, for --witness-layers: {parts})"))
    }
}

/// Says what groups have gained, or which layers cost most where they have gained nothing.
fn gained<T: Scalar>((network, features): (Upper, Upper), sealed: &Sealed<T>) -> String {
    let now = (sealed.certificate().bound(), sealed.features());
    let mut text = String::new();
    for (what, before, now) in [("network", network, now.0), ("features", features, now.1)] {
        if now < before {
            text += &format!("groups took the constant of the {what} from {before} to {now}\n");
        }
    }
    if text.is_empty() {
        let mut layers: Vec<&Certificate> =
            sealed.certificate().layers().filter(|layer| layer.bound() > Upper::ONE).collect();
        layers.sort_by(|a, b| b.bound().get().total_cmp(&a.bound().get()));
        let most: Vec<String> = layers.iter().take(3).map(|l| format!("{} ({})", l.path(), l.bound())).collect();
        text = format!(
            "groups gained nothing; layers that cost most: {}\n",
            if most.is_empty() { "none".into() } else { most.join(", ") }
        );
    }
    text
}

/// Returns a range of layers as `4..9`.
fn layers(text: &str) -> std::result::Result<Range<usize>, String> {
    let number =
        |text: &str| text.trim().parse::<usize>().map_err(|_| format!("{text:?} is not the number of a layer"));
    let (from, to) = text.split_once("..").ok_or("a range of layers is written as FROM..TO")?;
    Ok(number(from)?..number(to)?)
}
