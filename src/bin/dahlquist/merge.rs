//! `dahlquist merge`: parts of a certificate become the whole.

use std::path::{Path, PathBuf};

use clap::Args;
use dahlquist::{Result, certificate::part::Part};

use super::{
    Outcome, Run,
    output::{Out, percent},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  dahlquist certify model.safetensors --data test.safetensors --shard 1/2 --certificate part-1.json   # on one machine
  dahlquist certify model.safetensors --data test.safetensors --shard 2/2 --certificate part-2.json   # on another one
  dahlquist merge cert.json part-1.json part-2.json
  dahlquist check cert.json model.safetensors --data test.safetensors

The certificate is, byte for byte, the one that `certify` writes without --shard. Merging reads neither the model nor the
samples: whether the claims of the parts are true is what `check` says.")]
pub(super) struct Merge {
    /// Write the certificate
    out: Out,
    /// Certificates that `certify --shard` wrote, each shard once, in any order
    #[arg(required = true, value_name = "PART")]
    parts: Vec<PathBuf>,
}

impl Run for Merge {
    fn run(&self) -> Result<Outcome> {
        let read = |path: &PathBuf| Ok((path.display().to_string(), Part::read(path)?));
        let certificate = Part::merge(self.parts.iter().map(read).collect::<Result<_>>()?)?;
        certificate.write(&*self.out)?;
        let samples = certificate.samples.as_ref();
        let count = samples.map_or(0, |samples| samples.predictions.len());
        let clean = samples.and_then(|samples| samples.clean_accuracy);
        let clean = clean.map_or(String::new(), |clean| format!(", clean accuracy {}", percent(clean)));
        let parts = self.parts.len();
        Ok(Outcome::done(format!(
            "{parts} shards, {count} samples{clean}; `dahlquist check` says whether it is true\n"
        )))
    }

    fn inputs(&self) -> Vec<&Path> {
        self.parts.iter().map(|part| &**part).collect()
    }

    fn outputs(&self) -> Vec<&Out> {
        vec![&self.out]
    }
}
