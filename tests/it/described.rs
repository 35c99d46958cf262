//! A layer computes what it describes: its value is within its declared rounding error of that of its description, which is
//! evaluated over the rational numbers by code that shares nothing with it.

use std::cell::Cell;

use dahlquist::{
    Error,
    laws::{Verdict, search, strategies as s},
    layer::{AffineLayer, Layer},
    model::Linear,
    operator::{Affine, Diagonal, MeanPool},
    rigor::Rounding,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::{described, models::proof};
use num_rational::BigRational;
use num_traits::Signed;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Whether `|a − b| ≤ e` for every coordinate, exactly.
fn near(a: &[BigRational], b: &[BigRational], e: f64) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= described::exact(e))
}

fn computes_what_it_describes<T: Scalar>(layer: &dyn Layer<T>, seed: u64, judged: &Cell<u32>) -> Verdict {
    let (input, mut rng) = (layer.input(), ChaCha8Rng::seed_from_u64(seed));
    let x: Vec<T> = (0..input.len()).map(|_| T::of(rng.random_range(-2.0..2.0))).collect();
    let wide: Vec<f64> = x.iter().map(|x| x.wide()).collect();
    let Some(meant) = described::value(&layer.describe(), input, &described::vector(&wide)) else { return Ok(()) };
    let Ok(proof) = proof(layer) else { return Ok(()) };
    let (batch, mut tape) = (Batch::new(input, x).unwrap(), Tape::recording());
    layer.widen().forward(batch.cast(), &mut tape);
    let Ok(errors) = layer.rounding(&proof, &Rounding::of::<T>(), &tape, &[0.0]) else { return Ok(()) };
    if !errors[0].is_finite() {
        return Ok(());
    }
    judged.set(judged.get() + 1);
    let value: Vec<f64> = layer.forward(batch, &mut Tape::idle()).data().iter().map(|y| y.wide()).collect();
    if near(&described::vector(&value), &meant, errors[0]) {
        return Ok(());
    }
    let meant: Vec<String> = meant.iter().map(ToString::to_string).collect();
    Err(TestCaseError::fail(format!("{value:?} is off by more than {:e} from {meant:?}", errors[0])))
}

macro_rules! described {
    ($($name:ident<$t:ident>: $strategy:expr;)*) => {$(
        #[test]
        fn $name() {
            fn holds<$t: Scalar>() {
                let judged = Cell::new(0);
                if let Err(e) = search(60, $strategy, |layer, seed| computes_what_it_describes::<$t>(layer, seed, &judged)) {
                    panic!("{e}");
                }
                assert!(judged.get() >= 12, "of 60 layers only {} were judged", judged.get());
            }
            holds::<f32>();
            holds::<f64>();
        }
    )*};
}

described! {
    dense<T>: s::dense_layer::<T>();
    convolutions<T>: s::conv2d_layer::<T>();
    grouped_convolutions<T>: s::grouped_conv2d::<T>().prop_map(AffineLayer::new);
    pools<T>: s::pool_layer::<T>();
    scales<T>: s::channel_affine::<T>().prop_map(AffineLayer::new);
    normalizations<T>: s::normalize::<T>();
    moves<T>: s::moves();
    reshapes<T>: s::reshape();
    activations<T>: s::activation_layer::<T>();
    partial_activations<T>: s::partial_activation::<T>();
    selections<T>: s::selection();
    gradient_flows<T>: s::gradient_flow::<T>();
    residual_flows<T>: s::residual_flow::<T>();
    structured_flows<T>: s::structured_flow::<T>();
    split_steps<T>: s::splitting::<T>();
}

/// The description of a mean has no bias. One that it forgot was in the logits and not in their linear bounds: a radius of 0.6 where
/// the logits tie at a distance of 0.08.
#[test]
fn a_bias_that_cannot_be_described_is_refused() {
    let image = Shape::image(2, 2, 2);
    let bias = || Some(vec![0.9, 0.0]);
    for pool in [MeanPool::new(image, 2).unwrap(), MeanPool::global(image).unwrap()] {
        assert!(matches!(Affine::<f64>::new(pool.clone(), bias()), Err(Error::Parameter { name: "bias", .. })));
        assert!(Affine::<f64>::new(pool, None).is_ok());
    }
    let scale = Affine::<f64>::new(Diagonal::new(image, vec![1.0, 2.0]).unwrap(), bias()).unwrap();
    assert!(matches!(scale.describe(), Linear::ChannelAffine { shift: Some(_), .. }));
}
