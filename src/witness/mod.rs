//! Witnesses: what the verified checker of `proofs/` reads beside a model and its samples.
//!
//! A witness is a text of exact integers: factors that prove norms, and claims. It has no weight and no sample; those the
//! checker reads in their own files, whose SHA-256 the witness names. `proofs/checker/check-witness WITNESS MODEL SAMPLES`
//! computes with nothing but integers and was extracted from functions that Coq has proved to be sound; the grammar is
//! in `proofs/README.md`.
//!
//! | part | what is written |
//! |---|---|
//! | operators | `α`, `β` and `R` with `Σ_j |αI − G − RᵀR|_ij ≤ β`, so `‖W‖² ≤ α + β`: `β` is computed exactly |
//! | contractions | the same from below: `Σ_j |αI − WᵀW + RᵀR|_ij ≤ β`, so `‖Wx‖² ≥ (α − β)‖x‖²` |
//! | convolutions | the same with convolutions on a torus for `G` and `R`, and the sum of absolute values on it |
//! | Lipschitz constant | the root of the product of the `α + β`, rounded up |
//! | margins | for a sample, by its number, its class and the largest radius that the gaps between its logits prove |
//! | executed | the same of the program, within a radius that is smaller by what rounding may take |
//!
//! The constants are the witness's own. They may be a little larger or smaller than those of a certificate of the same
//! model, and its radii with them: each is the largest for which the verified checker says yes. The checker computes the
//! logits itself, exactly. Steps of Euler's method contract as a certificate says, where their operator is a dense one, or one that is
//! written out; any other flow counts as 1-Lipschitz, also where a certificate knows it to contract.
//!
//! The checker knows dense layers, convolutions, functions with one slope on each side of 0, of some channels too, hardtanh, sorted
//! groups, reflections, normalisation, mean pooling, scales of channels, layers that move coordinates, gradient flows, and sums and means of branches of
//! these. Any other layer is refused by name. A network may have parts without one ([`parts`]): a witness of such a part is one about the
//! function from its input to its output, and claims no margins.

mod circulant;
mod executed;
mod integer;
mod layer;
mod operator;

use std::{fmt::Display, ops::Range, path::Path};

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};

use crate::{
    certify::Gaps,
    data::Dataset,
    error::{Error, Result},
    io::{self, Digest},
    model::{Linear, Map, Model},
    rigor::{Summation, Upper},
    scalar::Scalar,
    tensor::Shape,
};
use integer::floor;
use layer::Known;
use operator::Stored;

/// The scale of gaps and radii: multiples of `2⁻⁶⁴`.
const SCALE: u32 = 64;

/// Radii are capped here, as in certificates.
const LARGEST_RADIUS: u32 = 1_000_000;

/// The largest size, scale or number of steps of the format.
const LARGEST_SIZE: usize = 1_000_000;

/// The bits of an entry of the factor, of the size of the norm: those of an `f64` and a few more, so that nothing but
/// the rounding of the factorisation itself is left in the residual.
const FACTOR_BITS: i64 = 56;

/// Layers of a model in exact integers, with claims about them.
#[derive(Debug, Clone)]
pub struct Witness {
    model: Digest,
    samples: Option<Samples>,
    text: String,
    /// The squared Lipschitz constant of the layers is at most this.
    squared: BigRational,
    head: Option<Head>,
    margins: usize,
    /// How many times the rounding errors of this crate a claim about the program leaves to those of the checker.
    charge: BigInt,
}

/// A file of samples, and how far, at most, one of them is from the numbers that its gaps are about, over `2^SCALE`.
#[derive(Debug, Clone)]
struct Samples {
    sha256: Digest,
    off: BigInt,
}

/// The rows of a head as integers over `2^scale`.
#[derive(Debug, Clone)]
struct Head {
    rows: Vec<Vec<BigInt>>,
    scale: u32,
}

/// The text of a proof, and the number that it proves to be at least `‖W‖²`.
struct Proved {
    /// As the grammar says.
    text: String,
    /// `(α + β)/4ˢ`.
    squared: BigRational,
}

impl Witness {
    /// Creates a witness of some layers of a model, which claims their Lipschitz constant.
    ///
    /// With `head`, the part is the whole model, its last layer is the head that margins are measured on
    /// ([`Self::claim_margin`]), and the constant is that of the layers before it.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the model has no such layers, or `head` is asked of a part. In the layer concerned:
    /// [`Error::NotProved`] if the verified checker does not know it, or if it is no dense layer and to be the head;
    /// [`Error::StepTooLong`] if a flow by another method than Euler's is not proved to be non-expansive.
    pub fn new(model: &Model, part: Range<usize>, head: bool) -> Result<Self> {
        let (inputs, count) = (inputs(model)?, model.map().layers().len());
        let refuse = |reason| Err(Error::parameter("layers", format!("{}..{}", part.start, part.end), reason));
        if part.start >= part.end || part.end > count {
            return refuse(format!("the layers are 0..{count}, and at least one of them is needed"));
        }
        if head && part != (0..count) {
            return refuse(format!("margins are about all layers, 0..{count}"));
        }
        let last = if head { part.end - 1 } else { part.end };
        let known = |i: usize| size(inputs[i]).and_then(|()| Known::read(&model.map().layers()[i], inputs[i]));
        // What is unknown is said before anything is proved.
        let layers: Vec<Known> =
            (part.start..last).map(|i| known(i).map_err(|e| e.in_layer(i.to_string()))).collect::<Result<_>>()?;
        let head = head.then(|| Head::read(model, last, inputs[last])).transpose()?;

        let mut text = format!("layers {} {last}\n", part.start);
        let mut squared = BigRational::one();
        for (i, layer) in (part.start..).zip(layers) {
            let (proof, factor) = layer.prove(&i.to_string()).map_err(|e| e.in_layer(i.to_string()))?;
            text += &proof;
            squared *= factor;
        }
        let mut witness =
            Self { model: model.sha256(), samples: None, text, squared, head, margins: 0, charge: BigInt::ZERO };
        let (bound, scale) = witness.root();
        witness.text += &format!("lipschitz {bound} {scale}\n");
        Ok(witness)
    }

    /// Returns `(L, s)` with the least `L`, so that the Lipschitz constant is at most `L / 2ˢ`; `L` has some 64 bits.
    fn root(&self) -> (BigInt, u32) {
        let (p, q) = (self.squared.numer(), self.squared.denom());
        let s = SCALE + u32::try_from(q.bits().saturating_sub(p.bits()) / 2).unwrap_or(0);
        let product = p << (2 * s);
        let root: BigInt = (&product / q).sqrt();
        if &root * &root * q == product { (root, s) } else { (root + 1, s) }
    }

    /// Returns the Lipschitz constant that is claimed, rounded up.
    pub fn lipschitz(&self) -> Upper {
        let (bound, scale) = self.root();
        let nearest = libm::scalbn(bound.to_f64().unwrap_or(f64::INFINITY), -(scale as i32));
        let exact = floor(nearest, scale.into()) >= bound;
        Upper::proved(if exact { nearest } else { nearest.next_up() })
    }

    /// Says of which samples margins are claimed: of those in this very file, as it was opened.
    ///
    /// # Errors
    /// [`Error::NotProved`] for samples that are in no file of samples, [`Error::File`] if it has changed since.
    pub fn about_samples(&mut self, samples: &Dataset) -> Result<()> {
        let none = || Error::not_proved("a margin", "the verified checker reads files of samples (safetensors)");
        let sha256 = samples.file_sha256()?.ok_or_else(none)?;
        self.samples = Some(Samples { sha256, off: -floor(-samples.distance_up(), SCALE.into()) });
        Ok(())
    }

    /// Claims that the prediction for sample `number` of the file stands within the largest radius that the gaps prove;
    /// nothing if the sample has no gaps, or they are too small for the format. Samples come in their order.
    ///
    /// # Errors
    /// [`Error::NotProved`] for a witness without a head, or without a file of samples ([`Self::about_samples`]).
    pub fn claim_margin(&mut self, number: usize, sample: &Gaps) -> Result<()> {
        let (i, Ok(gaps)) = (sample.prediction, &sample.gaps) else { return self.may_claim() };
        self.claim("margin", number, i, gaps.iter().map(|&gap| floor(gap, SCALE.into())).collect())
    }

    /// Says that the claims which follow are about the network as it runs, in the format and the order of summation of `T`'s kernels.
    /// `features` is the Lipschitz constant of the layers before the head that the gaps of these claims rest on ([`crate::Sealed::features`]).
    ///
    /// # Errors
    /// In the layer concerned: [`Error::NotProved`] if the verified checker does not know how it runs.
    pub fn about_program<T: Scalar>(&mut self, model: &Model, summation: Summation, features: Upper) -> Result<()> {
        self.text += &executed::summation::<T>(model, summation)?;
        self.charge = executed::charge(&self.squared, features);
        Ok(())
    }

    /// Claims that the program's prediction for sample `number` stands within a radius, once [`Self::about_program`] has said of which
    /// program: the gaps are those of [`crate::Sealed::gaps`] and of [`crate::Sealed::executed_gaps`].
    ///
    /// The checker has bounds of rounding errors of its own. The radius is what is left if they are not more than twice those of this
    /// crate, and more than that where the checker knows less of a contraction. Where that is not so, it refuses the claim.
    ///
    /// # Errors
    /// As [`Self::claim_margin`].
    pub fn claim_executed(&mut self, number: usize, exact: &Gaps, executed: &Gaps) -> Result<()> {
        let (i, Ok(gaps), Ok(left)) = (exact.prediction, &exact.gaps, &executed.gaps) else { return self.may_claim() };
        let granted = gaps.iter().zip(left).map(|(&gap, &left)| executed::granted(gap, left, &self.charge)).collect();
        self.claim("executed", number, i, granted)
    }

    fn may_claim(&self) -> Result<()> {
        let without = |what: &str| Error::not_proved("a margin", format!("a witness without {what} claims none"));
        self.head.as_ref().ok_or_else(|| without("a head"))?;
        self.samples.as_ref().ok_or_else(|| without("a file of samples")).map(|_| ())
    }

    /// Claims class `i` of a sample for the largest radius that these gaps prove; none that is not positive does.
    fn claim(&mut self, what: &str, number: usize, i: usize, gaps: Vec<BigInt>) -> Result<()> {
        self.may_claim()?;
        let (Some(head), Some(samples)) = (&self.head, &self.samples) else { return Ok(()) };
        let mut radius = BigInt::from(LARGEST_RADIUS) << SCALE;
        let (p, q) = (self.squared.numer(), self.squared.denom());
        for j in (0..gaps.len()).filter(|&j| j != i) {
            if gaps[j] <= BigInt::ZERO {
                return Ok(());
            }
            // Lip² |w_i − w_j|² radius² < gap²
            let slope: BigInt = p * head.squared_distance(i, j);
            let square: BigInt = (&gaps[j] * &gaps[j] * q) << (2 * head.scale);
            if !slope.is_zero() {
                let largest: BigInt = (square - 1u32) / slope;
                radius = radius.min(largest.sqrt());
            }
        }
        // The checker computes the logits of the sample itself, of which no binary format holds p/255.
        radius -= &samples.off;
        if radius < BigInt::ZERO {
            return Ok(());
        }
        self.text += &format!("{what} {number} {i} radius {radius} {SCALE}\n");
        self.margins += 1;
        Ok(())
    }

    /// Returns the number of samples whose margin is claimed.
    pub fn margins(&self) -> usize {
        self.margins
    }

    /// Writes the witness, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        io::write_with(path.as_ref(), |file| {
            writeln!(file, "dahlquist-witness 2\nmodel {}", self.model)?;
            if let Some(samples) = &self.samples {
                writeln!(file, "samples {}", samples.sha256)?;
            }
            file.write_all(self.text.as_bytes())?;
            file.write_all(b"end\n")
        })
    }
}

impl Head {
    fn read(model: &Model, i: usize, input: Shape) -> Result<Self> {
        let refuse = |e: Error| e.in_layer(i.to_string());
        let Map::Linear(Linear::Dense { weight, .. }) = &model.map().layers()[i] else {
            return Err(refuse(Error::not_proved("margins", "the last layer is no dense one")));
        };
        let (rows, scale) = Stored::integers(&weight.numbers(), input.len());
        Ok(Self { rows, scale })
    }

    /// Returns `|w_i − w_j|²` as an integer.
    fn squared_distance(&self, i: usize, j: usize) -> BigInt {
        self.rows[i].iter().zip(&self.rows[j]).map(|(a, b)| (a - b).pow(2)).sum()
    }
}

/// Returns the longest runs of layers of a model that the verified checker knows, in order.
///
/// # Errors
/// As [`Map::output`].
pub fn parts(model: &Model) -> Result<Vec<Range<usize>>> {
    let inputs = inputs(model)?;
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (i, (map, &input)) in model.map().layers().iter().zip(&inputs).enumerate() {
        match size(input).and_then(|()| Known::read(map, input)) {
            Ok(_) => match parts.last_mut() {
                Some(part) if part.end == i => part.end += 1,
                _ => parts.push(i..i + 1),
            },
            Err(Error::NotProved { .. }) => {}
            Err(error) => return Err(error.in_layer(i.to_string())),
        }
    }
    Ok(parts)
}

/// Returns the shape that goes into each layer.
fn inputs(model: &Model) -> Result<Vec<Shape>> {
    let (mut shape, mut inputs) = (model.input(), Vec::new());
    for (i, map) in model.map().layers().iter().enumerate() {
        inputs.push(shape);
        shape = map.output(shape).map_err(|e| e.in_layer(i.to_string()))?;
    }
    Ok(inputs)
}

fn size(input: Shape) -> Result<()> {
    if input.len() <= LARGEST_SIZE { Ok(()) } else { Err(unknown(format!("input of {} numbers", input.len()))) }
}

/// Returns the refusal of what the checker has no layer for.
fn unknown(what: impl Display) -> Error {
    Error::not_proved("a witness", format!("the verified checker knows no {what}"))
}

/// Appends a line of numbers.
fn line<'a>(text: &mut String, numbers: impl IntoIterator<Item = &'a BigInt>) {
    use std::fmt::Write;
    for (i, number) in numbers.into_iter().enumerate() {
        // Writing to a string does not fail.
        let _ = write!(text, "{}{number}", if i == 0 { "" } else { " " });
    }
    text.push('\n');
}
