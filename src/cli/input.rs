//! What commands read: models, samples, lists of radii.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use dahlquist::{
    Error, Network, Result, Sealed,
    certify::SealOptions,
    data::{self, Dataset},
    io::{AnyNetwork, ModelFile},
    operator::Norms,
    rigor::Summation,
    scalar::Scalar,
    tensor::Batch,
};

/// Runs `$body` with the network of `$any`, whatever its format.
macro_rules! with_network {
    ($any:expr, $network:ident => $body:expr) => {
        match $any {
            dahlquist::io::AnyNetwork::F32($network) => $body,
            dahlquist::io::AnyNetwork::F64($network) => $body,
        }
    };
}
pub(super) use with_network;

/// A model file and its network.
pub(super) fn model(path: &Path) -> Result<(ModelFile, AnyNetwork)> {
    let file = ModelFile::read(path)?;
    let network = file.network().map_err(|e| Error::file(path, e))?;
    Ok((file, network))
}

/// A sealed network, or the reason why there is nothing to be claimed about it.
pub(super) fn seal<T: Scalar>(path: &Path, network: Network<T>, options: SealOptions) -> Result<Sealed<T>> {
    network.seal_with(options).map_err(|e| Error::file(path, e))
}

/// How claims are proved, and for which order of summation.
#[derive(Debug, Args)]
pub(super) struct Proofs {
    /// The order of summation that executed radii hold for.
    #[arg(long, value_enum, default_value_t = Order::Any)]
    summation: Order,
    /// How norms of convolutions are proved.
    #[arg(long, value_enum, default_value_t = Proof::Torus)]
    norms: Proof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Declared,
    Any,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Proof {
    Torus,
    Tight,
}

impl Proofs {
    pub(super) fn options(&self) -> SealOptions {
        let norms = match self.norms {
            Proof::Torus => Norms::Torus,
            Proof::Tight => Norms::Tight,
        };
        let summation = match self.summation {
            Order::Any => Summation::Any,
            Order::Declared => Summation::Declared,
        };
        SealOptions { summation, norms }
    }
}

/// Which samples are read.
#[derive(Debug, Args)]
pub(super) struct Data {
    /// A safetensors file with the samples x and the labels y, or a directory with CIFAR-10 in its binary layout.
    #[arg(long = "data", value_name = "PATH")]
    path: PathBuf,
    /// Only the first so many samples.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The same where samples are not needed.
#[derive(Debug, Args)]
pub(super) struct OptionalData {
    /// A safetensors file with the samples x and the labels y, or a directory with CIFAR-10 in its binary layout.
    #[arg(long = "data", value_name = "PATH")]
    path: Option<PathBuf>,
    /// Only the first so many samples.
    #[arg(long, value_name = "N", requires = "path")]
    limit: Option<usize>,
}

impl Data {
    /// The samples, which must fit the network.
    pub(super) fn load<T: Scalar>(&self, network: &Network<T>) -> Result<Dataset> {
        load(&self.path, self.limit, network)
    }
}

impl OptionalData {
    /// The samples, which must fit the network, if there are any.
    pub(super) fn load<T: Scalar>(&self, network: &Network<T>) -> Result<Option<Dataset>> {
        self.path.as_ref().map(|path| load(path, self.limit, network)).transpose()
    }

    /// Where they are.
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

fn load<T: Scalar>(path: &Path, limit: Option<usize>, network: &Network<T>) -> Result<Dataset> {
    let dataset = data::load_test(path, Some(network.output().len()))?;
    if dataset.shape() != network.input() {
        let (found, expected) = (dataset.shape(), network.input());
        return Err(Error::file(path, format!("its samples have the shape {found}, and the model reads {expected}")));
    }
    match limit {
        Some(0) => Err(Error::Parameter { name: "limit", value: "0".into(), reason: "no samples are left".into() }),
        Some(limit) if limit < dataset.len() => dataset.subset(&(0..limit).collect::<Vec<_>>()),
        _ => Ok(dataset),
    }
}

/// So many samples are taken at a time: enough for every thread, and little enough for a progress bar and the memory.
const GROUP: usize = 1024;

/// Calls `run` with group after group of the samples, under a progress bar.
pub(super) fn in_groups<T: Scalar>(
    what: &'static str,
    dataset: &Dataset,
    mut run: impl FnMut(Batch<T>) -> Result<()>,
) -> Result<()> {
    let bar = super::output::progress(what, dataset.len());
    for start in (0..dataset.len()).step_by(GROUP) {
        let indices: Vec<usize> = (start..dataset.len().min(start + GROUP)).collect();
        run(dataset.batch(&indices)?)?;
        bar.inc(indices.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// A radius as `0.25` or `36/255`.
pub(super) fn radius(text: &str) -> std::result::Result<f64, String> {
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("{text:?} is not a number"));
    let eps = match text.split_once('/') {
        Some((a, b)) => number(a)? / number(b)?,
        None => number(text)?,
    };
    if eps.is_finite() && eps >= 0.0 { Ok(eps) } else { Err("a radius is a finite number that is not negative".into()) }
}
