//! What an attack returns was executed: logits of the fast methods, which are off by more than those of the program, break
//! nothing.

use dahlquist::{
    Network,
    activation::Activation,
    attack::{Attack, Loss},
    field::GradientField,
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::torus::PaddingMode,
    tensor::{Batch, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Two steps of a gradient field with a kernel of 3×3 points, for which there is a fast method, and a head whose biases are
/// added to its logits.
fn network(seed: u64, biases: [f32; 2]) -> Network<f32> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut numbers = |n: usize| (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect::<Vec<f32>>();
    let input = Shape::image(2, 8, 8);
    let geometry = Geometry { input, outputs: 3, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
    let conv = Affine::new(Conv2d::new(geometry, numbers(3 * 2 * 9)).unwrap(), None).unwrap();
    let flow =
        Flow::new(GradientField::new(conv, Activation::Relu {}).unwrap(), Tableau::euler(), Step::Fixed(0.25), 2);
    let head = Affine::new(Dense::new(2, 128, numbers(256)).unwrap(), Some(biases.to_vec())).unwrap();
    let layers: Vec<Box<dyn Layer<f32>>> =
        vec![Box::new(flow.unwrap()), Box::new(Reshape::flatten(input)), Box::new(AffineLayer::new(head))];
    Network::new(input, layers).unwrap()
}

/// The label leads by hardly anything, so that about half of the fast logits are on the wrong side, and the ball holds no
/// other point than the sample: so nothing may be broken.
#[test]
fn an_attack_does_not_trust_fast_logits() {
    let mut wrong_side = 0;
    for seed in 0..40 {
        let rng = &mut ChaCha8Rng::seed_from_u64(1000 + seed);
        let x = (0..128).map(|_| rng.random_range(0.5f32..1.0)).collect();
        let x = Batch::new(Shape::image(2, 8, 8), x).unwrap();
        let logits = |network: &Network<f32>| {
            let logits = network.forward(&x).unwrap();
            [logits.data()[0], logits.data()[1]]
        };
        let [other, label] = logits(&network(seed, [0.0; 2]));
        // Nearly the least bias of the label by which it leads.
        let mut bias = other - label;
        let network = loop {
            let network = network(seed, [0.0, bias]);
            let [other, label] = logits(&network);
            if label > other {
                break network;
            }
            bias += other.abs().max(bias.abs()) * f32::EPSILON;
        };
        let fast = network.forward_fast(x.clone()).unwrap().0;
        wrong_side += usize::from(fast.data()[0] >= fast.data()[1]);
        for loss in [Loss::Margin, Loss::Targeted] {
            let attack = Attack { steps: 4, keep_inputs: true, loss, ..Attack::default() };
            let found = attack.robust_accuracy(&network, &x, &[1], &[1e-9]).unwrap();
            if let Some(broken) = found.broken().iter().flatten().next() {
                let input = Batch::new(x.shape(), broken.input.clone().unwrap()).unwrap();
                let executed = network.forward(&input).unwrap();
                panic!("seed {seed}: {:?} is said to be broken at {}", executed.data(), broken.distance);
            }
        }
    }
    assert!(wrong_side >= 5, "fast logits were on the wrong side {wrong_side} times: nothing was tested");
}
