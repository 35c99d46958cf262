//! Witnesses: what the verified checker of `proofs/` reads.
//!
//! A witness is a text of exact integers: the stored weights over one power of two for each operator, a factor that
//! proves its norm, tableaux, steps, and claims. `proofs/checker/check-witness` computes with nothing but integers and
//! was extracted from functions that Coq has proved to be sound; its grammar is in `proofs/README.md`.
//!
//! | part | what is written |
//! |---|---|
//! | operators | `α`, `β` and `R` with `Σ_j |αI − G − RᵀR|_ij ≤ β`, so `‖W‖² ≤ α + β`: `β` is computed exactly |
//! | Lipschitz constant | the root of the product of the `α + β`, rounded up |
//! | margins | exact lower bounds of the gaps between logits, and the largest radius that they prove |
//!
//! The constants are the witness's own. They may be a little larger or smaller than those of a certificate of the same
//! model, and its radii with them: each is the largest for which the verified checker says yes. A flow counts as
//! 1-Lipschitz, also where a certificate knows it to contract.
//!
//! The checker knows dense layers, convolutions with a kernel of one point and stride 1, ReLU and leaky ReLU, padding
//! of channels, and gradient flows of all of these; flattening is nothing to it. Any other layer is refused by name. A
//! network may have parts without one ([`parts`]): a witness of such a part is one about the function from its input to
//! its output.

mod integer;
mod layer;
mod operator;

use std::{fmt::Display, ops::Range, path::Path};

use num_bigint::BigInt;
use num_traits::{One, ToPrimitive, Zero};

use crate::{
    certify::Gaps,
    error::{Error, Result},
    io,
    model::{Linear, Map, Model},
    rigor::Upper,
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

/// Layers of a model in exact integers, with claims about them.
#[derive(Debug, Clone)]
pub struct Witness {
    text: String,
    /// The squared Lipschitz constant of the layers is at most `squared / 2^scale`.
    squared: BigInt,
    scale: u32,
    head: Option<Head>,
    margins: usize,
}

/// The rows of a head as integers over `2^scale`.
#[derive(Debug, Clone)]
struct Head {
    rows: Vec<Vec<BigInt>>,
    scale: u32,
}

impl Witness {
    /// A witness of some layers of a model, which claims their Lipschitz constant.
    ///
    /// With `head`, the last layer of the part is the head that margins are measured on ([`Self::claim_margin`]), and
    /// the constant is that of the layers before it.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the model has no such layers, or none is left. In the layer concerned:
    /// [`Error::NotProved`] if the verified checker does not know it, or if it is no dense layer and to be the head;
    /// [`Error::StepTooLong`] if a flow is not proved to be non-expansive.
    pub fn new(model: &Model, part: Range<usize>, head: bool) -> Result<Self> {
        let (inputs, count) = (inputs(model)?, model.map().layers().len());
        if part.start >= part.end || part.end > count {
            return Err(Error::parameter(
                "layers",
                format!("{}..{}", part.start, part.end),
                format!("there are the layers 0..{count}, and one at least is needed"),
            ));
        }
        let last = if head { part.end - 1 } else { part.end };
        let known = |i: usize| size(inputs[i]).and_then(|()| Known::read(&model.map().layers()[i], inputs[i]));
        // What is unknown is said before anything is proved.
        let layers: Vec<Known> =
            (part.start..last).map(|i| known(i).map_err(|e| e.in_layer(i.to_string()))).collect::<Result<_>>()?;
        let head = (part.end > last).then(|| Head::read(model, last, inputs[last])).transpose()?;

        let mut text = format!("dahlquist-witness 1\n# layers {}..{} of the model with\n", part.start, part.end);
        text += &format!("# SHA-256 {}\ninput {}\n", model.sha256(), inputs[part.start].len());
        let (mut squared, mut scale) = (BigInt::one(), 0);
        for (i, layer) in (part.start..).zip(layers) {
            let (layer, factor, s) = layer.prove().map_err(|e| e.in_layer(i.to_string()))?;
            text += &layer;
            squared *= factor;
            scale += s;
        }
        if let Some(Head { rows, scale }) = &head {
            text += &format!("head {} {} scale {scale}\nweight\n", rows.len(), rows.first().map_or(0, Vec::len));
            rows.iter().for_each(|row| line(&mut text, row));
        }
        let mut witness = Self { text, squared, scale, head, margins: 0 };
        let (bound, scale) = witness.root();
        witness.text += &format!("lipschitz {bound} {scale}\n");
        Ok(witness)
    }

    /// `(L, s)` with the least `L`, so that the Lipschitz constant is at most `L / 2ˢ`; `L` has some 64 bits.
    fn root(&self) -> (BigInt, u32) {
        let s = SCALE + u32::try_from(u64::from(self.scale).saturating_sub(self.squared.bits()) / 2).unwrap_or(0);
        let product = &self.squared << (2 * s);
        let root: BigInt = (&product >> self.scale).sqrt();
        if (&root * &root) << self.scale == product { (root, s) } else { (root + 1, s) }
    }

    /// The Lipschitz constant that is claimed, rounded up.
    pub fn lipschitz(&self) -> Upper {
        let (bound, scale) = self.root();
        let nearest = libm::scalbn(bound.to_f64().unwrap_or(f64::INFINITY), -(scale as i32));
        let exact = floor(nearest, scale.into()) >= bound;
        Upper::proved(if exact { nearest } else { nearest.next_up() })
    }

    /// Claims that the prediction stands within the largest radius that the gaps prove, in units of the input of the
    /// part; nothing if the sample has no gaps, or they are too small for the format.
    ///
    /// # Errors
    /// [`Error::NotProved`] for a witness without a head.
    pub fn claim_margin(&mut self, sample: &Gaps) -> Result<()> {
        let reason = "a witness without a head claims none";
        let head = self.head.as_ref().ok_or_else(|| Error::not_proved("a margin", reason))?;
        let (i, Ok(gaps)) = (sample.prediction, &sample.gaps) else { return Ok(()) };
        let gaps: Vec<BigInt> = gaps.iter().map(|&gap| floor(gap, SCALE.into())).collect();
        let mut radius = BigInt::from(LARGEST_RADIUS) << SCALE;
        for j in (0..gaps.len()).filter(|&j| j != i) {
            if gaps[j] <= BigInt::ZERO {
                return Ok(());
            }
            // Lip² |w_i − w_j|² radius² < gap²
            let slope: BigInt = (&self.squared * head.squared_distance(i, j)) << (2 * SCALE);
            let square: BigInt = (&gaps[j] * &gaps[j]) << (self.scale + 2 * head.scale + 2 * SCALE);
            if !slope.is_zero() {
                let largest: BigInt = (square - 1u32) / slope;
                radius = radius.min(largest.sqrt());
            }
        }
        self.text += &format!("margin {i} radius {radius} {SCALE} gaps {SCALE} ");
        line(&mut self.text, &gaps);
        self.margins += 1;
        Ok(())
    }

    /// The number of samples whose margin is claimed.
    pub fn margins(&self) -> usize {
        self.margins
    }

    /// Writes the witness, whole or not at all.
    ///
    /// # Errors
    /// [`Error::File`] if the file cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        io::write_with(path.as_ref(), |file| {
            file.write_all(self.text.as_bytes())?;
            file.write_all(b"end\n")
        })
    }
}

impl Head {
    fn read(model: &Model, i: usize, input: Shape) -> Result<Self> {
        let refuse = |e: Error| e.in_layer(i.to_string());
        let Map::Linear(dense @ Linear::Dense { .. }) = &model.map().layers()[i] else {
            return Err(refuse(Error::not_proved("margins", "the last layer of the part is no dense one")));
        };
        let (rows, scale) = Stored::read(dense, input).map_err(refuse)?.integers();
        Ok(Self { rows, scale })
    }

    /// `|w_i − w_j|²` as an integer.
    fn squared_distance(&self, i: usize, j: usize) -> BigInt {
        self.rows[i].iter().zip(&self.rows[j]).map(|(a, b)| (a - b).pow(2)).sum()
    }
}

/// The longest runs of layers of a model that the verified checker knows, in order.
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

/// The shape that goes into each layer.
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

/// The refusal of what the checker has no layer for.
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
