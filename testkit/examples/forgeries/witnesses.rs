//! Forgeries of witnesses, and of the models and the samples that they are about, for the verified checker.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    str::FromStr,
};

use dahlquist::{
    Error, Network, Result,
    certify::Gaps,
    data::samples::{open, save},
    io::Digest,
    model::{Linear, Model},
    network::AnyNetwork,
    scalar::Scalar,
    witness::Witness,
};
use dahlquist_testkit::described::{squared_distance, value, vector};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Signed;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::{
    draft::{Draft, pick},
    judge::Fate,
    models, samples,
    subject::{Samples, Subject},
};

/// The checker, and models that it knows with their witnesses.
pub struct Witnesses<'a> {
    checker: PathBuf,
    subjects: Vec<(&'a Subject, Files)>,
}

/// What the checker reads.
#[derive(Clone, PartialEq)]
struct Files {
    witness: String,
    model: Vec<u8>,
    samples: Vec<u8>,
}

/// What a witness claims.
#[derive(Debug, Default)]
struct Claims {
    lipschitz: Vec<BigRational>,
    /// Sample, class, radius.
    margins: Vec<(usize, usize, BigRational)>,
}

impl Files {
    /// The witness that is issued for a model and samples.
    fn issue(model: &[u8], data: &Samples) -> Result<Self> {
        let folder = folder()?;
        let path = |name: &str| folder.path().join(name);
        let dataset = data.dataset()?;
        if data.single {
            save::<f32>(path("samples"), &dataset)?;
        } else {
            save::<f64>(path("samples"), &dataset)?;
        }
        let dataset = open(path("samples"), Some(data.classes))?;
        let parsed = Model::parse(model)?;
        let mut witness = Witness::new(&parsed, 0..parsed.map().layers().len(), true)?;
        witness.about_samples(&dataset)?;
        let x = dataset.batch::<f64>(&(0..dataset.len()).collect::<Vec<_>>())?;
        fn gaps<T: Scalar>(network: Network<T>, x: &dahlquist::tensor::Batch<f64>) -> Result<Vec<Gaps>> {
            network.seal()?.gaps(x)
        }
        let gaps = match parsed.network()? {
            AnyNetwork::F32(network) => gaps(network, &x)?,
            AnyNetwork::F64(network) => gaps(network, &x)?,
        };
        for (number, sample) in gaps.iter().enumerate() {
            witness.claim_margin(number, sample)?;
        }
        witness.write(path("witness"))?;
        let read = |name: &str| std::fs::read(path(name)).map_err(|e| Error::file(path(name), e));
        let witness = String::from_utf8(read("witness")?).map_err(|e| Error::file(path("witness"), e))?;
        Ok(Self { witness, model: model.to_vec(), samples: read("samples")? })
    }

    /// The claims, if it is a witness at all.
    fn claims(&self) -> Option<Claims> {
        let mut words = self.witness.split_whitespace();
        let mut claims = Claims::default();
        while let Some(word) = words.next() {
            let scaled = |n: &str, scale: &str| -> Option<BigRational> {
                let scale: u32 = scale.parse().ok().filter(|scale| *scale <= 10_000)?;
                Some(BigRational::new(BigInt::from_str(n).ok()?, BigInt::from(1) << scale))
            };
            match word {
                "lipschitz" => claims.lipschitz.push(scaled(words.next()?, words.next()?)?),
                "margin" => {
                    let (sample, class) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                    let "radius" = words.next()? else { return None };
                    claims.margins.push((sample, class, scaled(words.next()?, words.next()?)?));
                }
                _ => {}
            }
        }
        Some(claims)
    }

    /// Makes the witness name the files that it comes with.
    fn sign(&mut self) {
        let lines = self.witness.lines().map(|line| match line.split_once(' ') {
            Some(("model", _)) => format!("model {}", Digest::of(&self.model)),
            Some(("samples", _)) => format!("samples {}", Digest::of(&self.samples)),
            _ => line.to_string(),
        });
        self.witness = lines.map(|line| line + "\n").collect();
    }
}

impl<'a> Witnesses<'a> {
    /// The witnesses of all subjects that have one. The checker must accept them.
    pub fn new(checker: &Path, subjects: &'a [Subject]) -> Result<Self> {
        let known = subjects.iter().filter(|subject| subject.witnessed);
        let issue = |subject: &'a Subject| Ok((subject, Files::issue(&subject.bytes, &subject.samples)?));
        let all = Self { checker: checker.into(), subjects: known.map(issue).collect::<Result<_>>()? };
        for (subject, files) in &all.subjects {
            if !all.accepts(files)? {
                return Err(Error::file(checker, format!("it does not accept the witness of {}", subject.name)));
            }
        }
        Ok(all)
    }

    /// Whether the checker proves every claim.
    fn accepts(&self, files: &Files) -> Result<bool> {
        let folder = folder()?;
        let path = |name: &str| folder.path().join(name);
        let contents = [("w", files.witness.as_bytes()), ("m", &files.model), ("s", &files.samples)];
        for (name, bytes) in contents {
            std::fs::write(path(name), bytes).map_err(|e| Error::file(path(name), e))?;
        }
        let mut command = Command::new(&self.checker);
        command.args(contents.map(|(name, _)| path(name))).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command.status().map_err(|e| Error::file(&self.checker, e))?.success())
    }

    /// Forges a witness or what it is about, and judges it.
    pub fn forge(&self, rng: &mut ChaCha8Rng) -> Result<(String, Fate)> {
        loop {
            let (subject, original) = pick(rng, &self.subjects);
            let (mut files, mut data) = (original.clone(), subject.samples.clone());
            match rng.random_range(0..4) {
                0 => {
                    let mut draft = Draft::of(subject, rng);
                    if rng.random() {
                        models::tensor(&mut draft, rng)
                    } else {
                        models::architecture(&mut draft, rng)
                    }
                    files.model = draft.model;
                }
                1 => {
                    let mut draft = Draft::of(subject, rng);
                    samples::data(&mut draft, rng);
                    data = draft.samples;
                    // Not every change is one of a file: labels that are no classes are none.
                    let Ok(changed) = Files::issue(&subject.bytes, &data) else { continue };
                    files.samples = changed.samples;
                }
                _ => files.witness = text(&files.witness, rng),
            }
            if rng.random_range(0..20) > 0 {
                files.sign();
            }
            if files != *original {
                let fate = if self.accepts(&files)? { judge(&files, &data) } else { Fate::Refused };
                return Ok((subject.name.clone(), fate));
            }
        }
    }
}

fn folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|e| Error::file(std::env::temp_dir(), e))
}

/// Another text: a number, a line, or some lines.
fn text(witness: &str, rng: &mut ChaCha8Rng) -> String {
    let mut lines: Vec<String> = witness.lines().map(String::from).collect();
    let (i, j) = (rng.random_range(0..lines.len()), rng.random_range(0..lines.len()));
    match rng.random_range(0..8) {
        0 => _ = lines.remove(i),
        1 => lines.swap(i, j),
        2 => lines.insert(j, lines[i].clone()),
        3 => {
            let (i, j) = (i.min(j), i.max(j));
            _ = lines.drain(i..=j.min(i + 4));
        }
        _ => {
            let claims: Vec<usize> = (0..lines.len())
                .filter(|&i| lines[i].starts_with("margin") || lines[i].starts_with("lipschitz"))
                .collect();
            let i = if rng.random() { *pick(rng, &claims) } else { i };
            let mut words: Vec<String> = lines[i].split(' ').map(String::from).collect();
            let numbers: Vec<usize> = (0..words.len()).filter(|&k| BigInt::from_str(&words[k]).is_ok()).collect();
            if !numbers.is_empty() {
                let k = *pick(rng, &numbers);
                let n = BigInt::from_str(&words[k]).unwrap_or_default();
                let others = [
                    &n + 1,
                    &n - 1,
                    &n * 2,
                    &n / 2,
                    -&n,
                    BigInt::ZERO,
                    BigInt::from(1),
                    &n + (&n >> 30),
                    &n - (&n >> 30),
                    &n * 9 / 10,
                    &n * 11 / 10,
                    BigInt::from(1) << 100,
                ];
                words[k] = match rng.random_range(0..16) {
                    0 => format!("+{n}"),
                    1 => format!("{n}.0"),
                    2 => "nan".into(),
                    _ => pick(rng, &others).to_string(),
                };
            }
            lines[i] = words.join(" ");
        }
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

/// Whether an accepted witness says no more than the one that is issued for the very files.
fn judge(files: &Files, data: &Samples) -> Fate {
    let issued = Files::issue(&files.model, data);
    let (Some(claims), Ok(issued)) = (files.claims(), issued) else {
        return Fate::Undecided("the crate writes no witness for the model, or cannot read this one".into());
    };
    let Some(known) = issued.claims() else { return Fate::Undecided("the issued witness is none".into()) };
    if issued.samples != files.samples {
        return Fate::Undecided("the samples are not those that were forged".into());
    }
    let least = known.lipschitz.iter().min();
    if claims.lipschitz.iter().any(|bound| least.is_none_or(|least| bound < least)) {
        return Fate::Undecided("a smaller Lipschitz constant than the one that is issued".into());
    }
    for (sample, class, radius) in &claims.margins {
        let true_of = |(s, c, r): &(usize, usize, BigRational)| s == sample && c == class && radius <= r;
        let exactly =
            || least.and_then(|least| follows(files, data, least, (*sample, *class, radius))).unwrap_or(false);
        if !known.margins.iter().any(true_of) && !exactly() {
            return Fate::Undecided(format!("sample {sample}: class {class} within {radius}, more than is issued"));
        }
    }
    Fate::True("a witness that claims no more than the issued one")
}

/// Whether a margin follows from the logits over the rational numbers and a Lipschitz constant that is issued: the gaps behind an
/// issued radius are rounded down, and the checker's are not.
fn follows(files: &Files, data: &Samples, least: &BigRational, claim: (usize, usize, &BigRational)) -> Option<bool> {
    let (sample, class, radius) = claim;
    let model = Model::parse(&files.model).ok()?;
    if sample >= data.labels.len() {
        return Some(false);
    }
    let z = value(model.map(), model.input(), &vector(&data.sample(sample)))?;
    let Some(Linear::Dense { weight, .. }) = model.map().head() else { return None };
    let rows: Vec<Vec<BigRational>> = weight.wide().chunks(weight.shape()[1]).map(vector).collect();
    let leads = |j: usize| {
        let (gap, distance) = (z.get(class)? - &z[j], squared_distance(&rows[class], &rows[j]));
        Some(gap.is_positive() && &gap * &gap > least * least * distance * radius * radius)
    };
    (0..z.len()).filter(|&j| j != class).map(leads).try_fold(true, |all, leads| Some(all && leads?))
}
