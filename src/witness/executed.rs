//! Claims about the network as it runs: what the verified checker knows of a program, and what is left of a gap for it.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{FromPrimitive, ToPrimitive};

use super::{integer::floor, unknown};
use crate::{
    activation::Activation,
    error::Result,
    model::{Field, Linear, Map, Model, Partial, Window},
    operator::Affine,
    rigor::{Summation, Upper},
    scalar::Scalar,
    tableau::Tableau,
    tensor::Shape,
};

/// The scale of gaps.
const SCALE: i64 = super::SCALE as i64;

/// The checker's bound of rounding errors is one of this crate's kind, with the constants of the witness, and one depth for all sums:
/// a gap is charged with this many times what this crate charges it with.
const CHARGE: u32 = 2;

/// Returns the words of the order of summation: of the declared one, the largest number of roundings that a product passes through
/// in any of the sums.
///
/// # Errors
/// In the layer concerned: [`crate::Error::NotProved`] for what the checker does not know as executed, such as flows of other fields or
/// by other methods than Euler's.
pub(super) fn summation<T: Scalar>(model: &Model, summation: Summation) -> Result<String> {
    let inputs = super::inputs(model)?;
    let layers = model.map().layers().iter().zip(&inputs).enumerate();
    let depth = layers
        .map(|(i, (map, &input))| depth::<T>(map, input, summation).map_err(|e| e.in_layer(i.to_string())))
        .try_fold(0, |largest, depth| depth.map(|depth| largest.max(depth)))?;
    Ok(match summation {
        Summation::Any => "summation any\n".into(),
        Summation::Declared => format!("summation {depth}\n"),
    })
}

fn depth<T: Scalar>(map: &Map, input: Shape, summation: Summation) -> Result<usize> {
    let largest = |maps: &[Map], each: bool| {
        let mut shape = input;
        maps.iter().try_fold(0, |largest: usize, map| {
            let depth = depth::<T>(map, shape, summation)?;
            shape = if each { input } else { map.output(shape)? };
            Ok(largest.max(depth))
        })
    };
    match map {
        Map::Chain(maps) => largest(maps, false),
        Map::Mean(branches) | Map::Sum(branches) => largest(branches, true),
        Map::Linear(linear) => Ok(sums::<T>(linear, input, summation)?[0]),
        // A product of a vector with a group, one by one.
        Map::Householder(householder) => Ok(householder.groups(input)?[1]),
        Map::Flow(flow) if is_euler(&flow.method.tableau()?) => match &flow.fields[..] {
            [Field::Gradient { operator, weights: None, .. }] => {
                Ok(sums::<T>(operator, input, summation)?.into_iter().max().unwrap_or(0))
            }
            _ => Err(unknown("executed flow of such a field")),
        },
        Map::Flow(_) => Err(unknown("executed flow by another method than Euler's")),
        Map::Activation(function) | Map::Partial(Partial { function, .. }) if is_described(*function) => Ok(0),
        Map::Window(Window::Sort { .. }) => Ok(0),
        other => Err(unknown(format!("executed layer of kind {}", other.kind()))),
    }
}

/// Returns whether a method is `x + h f(x)`: no other explicit one has one stage.
fn is_euler(tableau: &Tableau) -> bool {
    tableau.is_explicit() && tableau.b().len() == 1
}

/// Returns whether a function is exact, or one product.
fn is_described(function: Activation) -> bool {
    use Activation::{Abs, Hardtanh, Identity, LeakyRelu, Relu};
    matches!(function, Identity {} | Relu {} | Abs {} | LeakyRelu { .. } | Hardtanh { .. })
}

/// Returns the depths of the sums of `Wx + b` and of `Wᵀy`.
fn sums<T: Scalar>(linear: &Linear, input: Shape, summation: Summation) -> Result<[usize; 2]> {
    match linear {
        Linear::Dense { .. }
        | Linear::Conv2d(_)
        | Linear::AvgPool(_)
        | Linear::GlobalAvgPool {}
        | Linear::ChannelAffine { .. } => {}
        Linear::Normalize { .. }
        | Linear::Flatten {}
        | Linear::PadChannels { .. }
        | Linear::FirstChannels { .. }
        | Linear::SpaceToDepth { .. }
        | Linear::Shift { .. }
        | Linear::Mirror {} => return Ok([0, 0]),
        other => return Err(unknown(format!("executed layer of kind {}", other.kind()))),
    }
    let mut map = Affine::<T>::described(linear, input)?;
    map.set_summation(summation);
    let [apply, adjoint] = map.operator().depth();
    Ok([apply + usize::from(map.bias().is_some()), adjoint])
}

/// Returns how many times more a gap is charged with than this crate charges it with, whose constant of the features is given: the checker
/// counts some flows as no contraction, so an error that this crate sees shrink stays as it is there.
pub(super) fn charge(squared: &BigRational, features: Upper) -> BigInt {
    let more = squared.to_f64().unwrap_or(f64::INFINITY).sqrt() / features.get();
    BigInt::from(CHARGE) * BigInt::from_f64(more.ceil()).unwrap_or_default().max(1.into())
}

/// Returns a lower bound of a gap, in multiples of `2^-SCALE`, that the checker grants the program: `executed` is what this crate does.
pub(super) fn granted(exact: f64, executed: f64, charge: &BigInt) -> BigInt {
    let [exact, executed] = [exact, executed].map(|gap| floor(gap, SCALE));
    let lost = &exact - executed + 1;
    exact - lost * charge
}
