//! What commands read: models, samples, options that several commands have.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use clap::{Args, ValueEnum};
use dahlquist::{
    Error, Network, Result, Sealed,
    certificate::{Certificate, KERNELS, Norm, NormProof},
    certify::SealOptions,
    data::{self, Dataset},
    model::{Map, Model},
    network::AnyNetwork,
    rigor::Summation,
    scalar::Scalar,
    tensor::{Batch, Shape},
};

use super::output;

/// Runs `$body` with the network of `$any`, whatever its number format.
macro_rules! with_network {
    ($any:expr, $network:ident => $body:expr) => {
        match $any {
            dahlquist::network::AnyNetwork::F32($network) => $body,
            dahlquist::network::AnyNetwork::F64($network) => $body,
        }
    };
}
pub(super) use with_network;

/// Reads a model file and its network.
pub(super) fn model(path: &Path) -> Result<(Model, AnyNetwork)> {
    let file = Model::read(path)?;
    let network = file.network().map_err(|e| Error::file(path, e))?;
    Ok((file, network))
}

/// Seals a network, or says why nothing can be claimed about it.
pub(super) fn seal<T: Scalar>(path: &Path, network: Network<T>, options: SealOptions) -> Result<Sealed<T>> {
    network.seal_with(options).map_err(|e| Error::file(path, e))
}

/// Names the flows that may move points apart.
pub(super) fn note_expansive(map: &Map, certificate: &Certificate) {
    for (map, proof) in map.layers().iter().zip(certificate.layers()) {
        if matches!(map, Map::Flow(_)) && proof.bound().get() > 1.0 {
            let (path, bound) = (proof.path(), proof.bound());
            output::note(&format!("layer {path} is a flow that may expand: its bound {bound} is more than 1"));
        }
    }
}

/// The order of sums.
#[derive(Debug, Args)]
pub(super) struct Order {
    /// Order in which sums are evaluated. `declared`: the order of this program's kernels, with smaller rounding errors.
    /// `any`: every order; executed radii then hold for any program that evaluates each dot product as a sum of
    /// products, and each mean as a sum of quotients, in any order, with or without fused multiply-add, in IEEE
    /// arithmetic with rounding to nearest and gradual underflow (not Winograd, FFT, TF32, bf16 or flush-to-zero)
    #[arg(long, value_enum, default_value_t = Sums::Any, value_name = "ORDER")]
    summation: Sums,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sums {
    Declared,
    Any,
}

impl Order {
    pub(super) fn summation(&self) -> Summation {
        match self.summation {
            Sums::Any => Summation::Any,
            Sums::Declared => Summation::Declared,
        }
    }
}

/// The norm of a ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum NormName {
    /// The Euclidean norm
    L2,
    /// The maximum norm
    Linf,
}

impl NormName {
    pub(super) fn norm(self) -> Norm {
        match self {
            Self::L2 => Norm::L2,
            Self::Linf => Norm::Linf,
        }
    }
}

/// Returns a norm in words.
pub(super) fn norm(norm: Norm) -> &'static str {
    match norm {
        Norm::L2 => "ℓ2",
        Norm::Linf => "ℓ∞",
    }
}

/// A range as it is given: two numbers.
pub(super) fn range(ends: &[f64]) -> Option<[f64; 2]> {
    ends.try_into().ok()
}

/// Returns an order of sums in words.
pub(super) fn order(summation: Summation) -> String {
    match summation {
        Summation::Any => "sums in any order".into(),
        Summation::Declared => format!("sums in the declared order of kernels version {KERNELS}"),
    }
}

/// How claims are proved, and for which order of sums.
#[derive(Debug, Args)]
pub(super) struct Proofs {
    #[command(flatten)]
    order: Order,
    /// Proof of the ℓ2 norms of convolutions. `torus`: fast. `tight`: smaller bounds, slower
    #[arg(long, value_enum, default_value_t = Proof::Torus, value_name = "PROOF")]
    norm_proof: Proof,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Proof {
    Torus,
    Tight,
}

impl Proofs {
    pub(super) fn options(&self) -> SealOptions {
        let norm_proof = match self.norm_proof {
            Proof::Torus => NormProof::Torus,
            Proof::Tight => NormProof::Tight,
        };
        SealOptions { summation: self.order.summation(), norm_proof }
    }
}

/// Which samples are read.
#[derive(Debug, Args)]
pub(super) struct Data {
    /// Samples: a safetensors or .npz file with `x` and the labels `y`, a directory with the binary files of CIFAR-10 or
    /// the files of MNIST, or a file of images in the IDX format
    #[arg(long = "data", value_name = "PATH")]
    path: PathBuf,
    /// Use only the first N samples
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// The same where samples are not needed.
#[derive(Debug, Args)]
pub(super) struct OptionalData {
    /// Samples: a safetensors or .npz file with `x` and, for accuracies, the labels `y`, a directory with the binary files
    /// of CIFAR-10 or the files of MNIST, or a file of images in the IDX format
    #[arg(long = "data", value_name = "PATH")]
    path: Option<PathBuf>,
    /// Use only the first N samples
    #[arg(long, value_name = "N", requires = "path")]
    limit: Option<usize>,
}

impl Data {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Why these samples cannot be used.
    pub(super) fn refuse(&self, reason: &str) -> Error {
        Error::file(&self.path, reason)
    }

    /// Reads the samples, which must fit the network.
    pub(super) fn load<T: Scalar>(&self, network: &Network<T>) -> Result<Dataset> {
        load(&self.path, self.limit, network)
    }
}

impl OptionalData {
    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads the samples, which must fit the network, if there are any.
    pub(super) fn load<T: Scalar>(&self, network: &Network<T>) -> Result<Option<Dataset>> {
        self.path.as_ref().map(|path| load(path, self.limit, network)).transpose()
    }

    pub(super) fn is_given(&self) -> bool {
        self.path.is_some()
    }
}

fn load<T: Scalar>(path: &Path, limit: Option<usize>, network: &Network<T>) -> Result<Dataset> {
    let mut dataset = data::load_test(path, Some(network.output().len()))?;
    // An image is read as a vector by a network that reads vectors.
    if matches!(network.input(), Shape::Features(n) if n == dataset.shape().len()) {
        dataset = dataset.flattened();
    }
    if dataset.shape() != network.input() {
        let (found, expected) = (dataset.shape(), network.input());
        return Err(Error::file(path, format!("its samples have the shape {found}, and the model reads {expected}")));
    }
    let dataset = match limit {
        Some(0) => {
            return Err(Error::Parameter { name: "limit", value: "0".into(), reason: "no samples are left".into() });
        }
        Some(limit) if limit < dataset.len() => dataset.subset(&(0..limit).collect::<Vec<_>>())?,
        _ => dataset,
    };
    if network.output().len() == 1 {
        output::note("the model has one output: every prediction is class 0, so radii and accuracies say nothing");
    }
    if !dataset.in_unit_range() {
        output::note(&format!(
            "{}: some numbers are outside [0, 1]; ε and radii are distances, ℓ2 unless --norm says otherwise, in the units \
             of these numbers, not of pixels in [0, 1]",
            path.display()
        ));
    }
    Ok(dataset)
}

/// The number of samples that are taken at a time. Every thread has work, and a batch fits into memory.
const GROUP: usize = 1024;

/// Calls `run` with group after group of the samples, under a progress bar.
pub(super) fn in_groups<T: Scalar>(
    what: &'static str,
    dataset: &Dataset,
    mut run: impl FnMut(Batch<T>) -> Result<()>,
) -> Result<()> {
    let bar = output::progress(what, dataset.len());
    for start in (0..dataset.len()).step_by(GROUP) {
        let indices: Vec<usize> = (start..dataset.len().min(start + GROUP)).collect();
        run(dataset.batch(&indices)?)?;
        bar.inc(indices.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// A distance, as it was written: `0.25` or `36/255`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Eps {
    text: String,
    pub(super) value: f64,
}

/// One word of `--eps`: distances between commas or spaces.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct EpsList(Vec<Eps>);

impl FromStr for EpsList {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
        let list: Vec<Eps> = words.map(str::parse).collect::<std::result::Result<_, _>>()?;
        if list.is_empty() { Err("there is no number".into()) } else { Ok(Self(list)) }
    }
}

/// Returns the distances of all words of `--eps`, in ascending order.
pub(super) fn ascending(lists: &[EpsList]) -> Vec<Eps> {
    let mut all: Vec<Eps> = lists.iter().flat_map(|list| list.0.clone()).collect();
    all.sort_by(|a, b| a.value.total_cmp(&b.value));
    all.dedup_by(|a, b| a.value == b.value);
    all
}

impl FromStr for Eps {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f64>().map_err(|_| format!("{text:?} is not a number"));
        let value = match text.split_once('/') {
            Some((a, b)) => number(a)? / number(b)?,
            None => number(text)?,
        };
        if !(value.is_finite() && value >= 0.0) {
            return Err("a distance is a finite number that is not negative".into());
        }
        Ok(Self { text: text.into(), value: value.abs() })
    }
}

impl fmt::Display for Eps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.value, self.text.contains('/')) {
            (value, true) => write!(f, "{value:.4} ({})", self.text),
            (value, false) if value == 0.0 || (1e-3..1e4).contains(&value) => write!(f, "{value:.4}"),
            (value, false) => write!(f, "{value:e}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_separated_by_commas_or_spaces() {
        let values = |words: &[&str]| -> std::result::Result<Vec<f64>, String> {
            let lists: Vec<EpsList> = words.iter().map(|word| word.parse()).collect::<std::result::Result<_, _>>()?;
            Ok(ascending(&lists).iter().map(|eps| eps.value).collect())
        };
        let expected = Ok(vec![0.0, 36.0 / 255.0, 0.5]);
        for words in [&["36/255", "0.5", "0"][..], &["0.5,36/255,0"], &["36/255,", "0.5", ",0"], &["0 36/255, 0.5 0.5"]]
        {
            assert_eq!(values(words), expected, "{words:?}");
        }
        for words in ["", ",", "1/0", "0/0", "-1", "nan", "inf", "36/255,x", "1/2/3"] {
            assert!(values(&[words]).is_err(), "{words}");
        }
        assert_eq!("36/255".parse::<Eps>().unwrap().to_string(), "0.1412 (36/255)");
    }
}
