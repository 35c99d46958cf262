//! Pairs of an expansive and a contractive step.

use dahlquist::{
    Network,
    activation::Activation,
    field::{GradientField, ResidualField, VectorField},
    layer::{Alternation, Layer, Step},
    operator::{Affine, Dense},
    rules::Prover,
    scalar::Scalar,
    tensor::Shape,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

fn map<T: Scalar>(m: usize, n: usize, rng: &mut impl Rng) -> Affine<T> {
    let mut draw = |count: usize| (0..count).map(|_| T::of(0.6 * rng.sample::<f64, _>(StandardNormal))).collect();
    let (w, b) = (draw(m * n), draw(m));
    Affine::new(Dense::new(m, n, w).unwrap(), Some(b)).unwrap()
}

/// A field that contracts strongly, and one to go against.
fn pair<T: Scalar>(residual: bool, rng: &mut impl Rng) -> [Box<dyn VectorField<T>>; 2] {
    let contractive = GradientField::new(map(6, 3, rng), Activation::LeakyRelu { slope: 0.5 }).unwrap();
    let expansive: Box<dyn VectorField<T>> = if residual {
        Box::new(ResidualField::new(map(4, 3, rng), Activation::Tanh {}, map(3, 4, rng)).unwrap())
    } else {
        Box::new(GradientField::new(map(4, 3, rng), Activation::Relu {}).unwrap())
    };
    [Box::new(contractive), expansive]
}

/// The expansive steps are as long as the proof allows: the pairs are non-expansive, and longer steps are not proved to be.
#[test]
fn an_expansive_step_is_as_long_as_the_proof_of_the_pair_allows() {
    fn holds<T: Scalar>(residual: bool) {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let pairs = (0..3).map(|_| pair::<T>(residual, &mut rng)).collect();
        let layer = Alternation::new(pairs, Step::Relative(0.6)).unwrap();
        let lengths = layer.expansions();
        assert!(lengths.iter().all(|h| *h > 1e-3), "{lengths:?}");
        let sealed = Network::new(Shape::Features(3), vec![Box::new(layer)]).unwrap().seal().unwrap();
        let bound = sealed.certificate().bound().get();
        assert!(bound <= 1.0 && bound > 1.0 - 1e-4, "{bound}");
        // Each expansive step alone expands, and 1 % more of it is too much for its pair.
        let dahlquist::model::Map::Chain(layers) = sealed.map() else { panic!("{:?}", sealed.map()) };
        let dahlquist::model::Map::Chain(steps) = &layers[0] else { panic!("{layers:?}") };
        for pair in steps.chunks(2) {
            let bound = |maps: Vec<dahlquist::model::Map>| {
                let map = dahlquist::model::Map::Chain(maps);
                Prover::default().network(&map, Shape::Features(3)).unwrap().bound().get()
            };
            assert!(bound(vec![pair[1].clone()]) > 1.001);
            let mut longer = pair[1].clone();
            if let dahlquist::model::Map::Flow(flow) = &mut longer {
                flow.step *= 1.01;
            }
            assert!(bound(vec![pair[0].clone(), longer]) > 1.0);
        }
    }
    holds::<f32>(false);
    holds::<f64>(false);
    holds::<f64>(true);
}

#[test]
fn what_expands_by_itself_is_no_contraction() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let refusal = Alternation::new(vec![pair::<f64>(false, &mut rng)], Step::Fixed(50.0)).unwrap_err();
    assert!(refusal.to_string().contains("leaves no room"), "{refusal}");
    assert!(Alternation::<f64>::new(vec![], Step::Fixed(1.0)).is_err());
}

/// After weights have moved, sealing chooses again.
#[test]
fn sealing_chooses_by_the_weights_that_are_there() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut layer = Alternation::new(vec![pair::<f32>(false, &mut rng)], Step::Relative(0.6)).unwrap();
    let before = layer.expansions()[0];
    for slot in layer.parameters_mut() {
        slot.iter_mut().for_each(|w| *w *= 2.0);
    }
    layer.prepare();
    layer.seal(&Prover::default()).unwrap();
    let after = layer.expansions()[0];
    assert!((after / before - 0.25).abs() < 1e-2, "{before} {after}");
}
