//! Quadratic bounds of margins over balls: they beat linear ones, and nothing in a ball contradicts them.

use dahlquist::{
    Network, Sealed, Semantics,
    activation::Activation,
    certificate::{ClaimedSamples, Norm, Perturbation, RadiusProof},
    certify::{Effort, SampleCertificate, Sought, check_samples},
    check::Verdict,
    data::Dataset,
    field::GradientField,
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Step},
    operator::{Affine, Dense},
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::linear_bounds::{convolutional, stack, survives};

fn draw<T: Scalar>(count: usize, scale: f64, rng: &mut ChaCha8Rng) -> Vec<T> {
    (0..count).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
}

/// Two gradient flows of four numbers, three steps each with the same weights, and a head.
fn flows<T: Scalar>(seed: u64) -> Network<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut dense = |outputs: usize, scale: f64| {
        let weight = Dense::new(outputs, 4, draw(4 * outputs, scale, &mut rng)).unwrap();
        Affine::new(weight, Some(draw(outputs, 0.3, &mut rng))).unwrap()
    };
    let mut flow = || -> Box<dyn Layer<T>> {
        let field = GradientField::new(dense(6, 0.8), Activation::Relu {}).unwrap();
        Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.4), 3).unwrap())
    };
    let layers = vec![flow(), flow(), Box::new(AffineLayer::new(dense(3, 1.0)))];
    Network::new(Shape::Features(4), layers).unwrap()
}

/// Certifies samples both ways, and looks for inputs that contradict what is proved. Returns the sums of the radii.
fn nothing_contradicts<T: Scalar>(network: Network<T>, samples: usize, seed: u64) -> [f64; 2] {
    let (shape, mut rng) = (network.input(), ChaCha8Rng::seed_from_u64(seed));
    let batch = Batch::new(shape, draw::<T>(samples * shape.len(), 1.0, &mut rng)).unwrap();
    let (sealed, ball) = (network.seal().unwrap(), Perturbation::default());
    let mut sums = [0.0; 2];
    for semantics in [Semantics::Exact, Semantics::Executed] {
        let linear = sealed.certify_locally(&batch, semantics).unwrap();
        let quadratic = sealed.certify_quadratically(&batch, semantics, &ball).unwrap();
        for (s, (linear, quadratic)) in linear.iter().zip(&quadratic).enumerate() {
            assert!(quadratic.radius >= linear.radius, "{quadratic:?} is less than {linear:?}");
            assert!(quadratic.radius > linear.radius || quadratic.by != RadiusProof::Quadratic);
            sums[0] += linear.radius.get();
            sums[1] += quadratic.radius.get();
            let (x, radius) = (batch.sample(s), quadratic.radius.get());
            let Some(class) = quadratic.prediction.filter(|_| radius > 0.0) else { continue };
            match semantics {
                Semantics::Executed => survives(sealed.network(), x, class, radius, &mut rng),
                // An exact claim is not about what the program rounds: a little inside, in f64, that decides nothing.
                Semantics::Exact => {
                    let wide: Vec<f64> = x.iter().map(|x| x.wide()).collect();
                    survives(&sealed.network().widen(), &wide, class, (1.0 - 1e-6) * radius, &mut rng);
                }
            }
        }
    }
    sums
}

#[test]
fn nothing_in_a_ball_contradicts_a_quadratic_bound() {
    for (function, seed) in
        [(Activation::Relu {}, 1), (Activation::LeakyRelu { slope: 0.25 }, 2), (Activation::Abs {}, 3)]
    {
        nothing_contradicts(stack::<f32>(&[6, 16, 16, 4], function, seed), 3, seed);
        nothing_contradicts(stack::<f64>(&[6, 16, 16, 4], function, seed), 3, seed);
    }
    nothing_contradicts(convolutional::<f32>(5), 2, 5);
    nothing_contradicts(flows::<f32>(6), 3, 6);
    nothing_contradicts(flows::<f64>(7), 3, 7);
}

#[test]
fn quadratic_bounds_are_larger_on_ordinary_networks() {
    let [linear, quadratic] = nothing_contradicts(stack::<f32>(&[10, 24, 24, 4], Activation::Relu {}, 7), 3, 7);
    assert!(quadratic > 1.1 * linear, "{quadratic} and {linear}");
    // More numbers go in than neurons see: the input is taken in few coordinates.
    let [linear, quadratic] = nothing_contradicts(stack::<f32>(&[300, 12, 12, 3], Activation::Relu {}, 8), 2, 8);
    assert!(quadratic > 1.02 * linear, "{quadratic} and {linear}");
}

/// Where a function is smooth, linear bounds stand.
#[test]
fn what_quadratic_bounds_do_not_know_is_left_alone() {
    let sealed = stack::<f32>(&[5, 8, 8, 3], Activation::Tanh {}, 9).seal().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let x = Batch::new(Shape::Features(5), draw::<f32>(20, 1.0, &mut rng)).unwrap();
    let linear = sealed.certify_locally(&x, Semantics::Exact).unwrap();
    assert_eq!(sealed.certify_quadratically(&x, Semantics::Exact, &Perturbation::default()).unwrap(), linear);
}

/// Inputs in boxes, and in balls and boxes: radii grow, and neither corners nor points that go down the margin contradict them.
#[test]
fn nothing_in_a_box_contradicts_a_quadratic_bound() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let network = stack::<f32>(&[6, 16, 16, 4], Activation::Relu {}, 13);
    let (shape, samples) = (network.input(), 6);
    // Some coordinates lie at an end of the range.
    let number = |rng: &mut ChaCha8Rng| if rng.random_bool(0.3) { 0.0 } else { rng.random_range(0.0f32..1.0) };
    let x = Batch::new(shape, (0..6 * samples).map(|_| number(&mut rng)).collect()).unwrap();
    let sealed = network.seal().unwrap();
    for (norm, range) in [(Norm::Linf, None), (Norm::Linf, Some([0.0, 1.0])), (Norm::L2, Some([0.0, 1.0]))] {
        let p = Perturbation { norm, range };
        for semantics in [Semantics::Exact, Semantics::Executed] {
            let linear = sealed.certify_locally_within(&x, semantics, &p).unwrap();
            let quadratic = sealed.certify_quadratically(&x, semantics, &p).unwrap();
            let sum = |claims: &[SampleCertificate]| claims.iter().map(|claim| claim.radius.get()).sum::<f64>();
            assert!(
                sum(&quadratic) > 1.03 * sum(&linear),
                "{norm:?} {range:?}: {} and {}",
                sum(&quadratic),
                sum(&linear)
            );
            for (s, claim) in quadratic.iter().enumerate().filter(|(_, claim)| claim.radius.get() > 0.0) {
                // A little inside, and in f64, that exact claims are met, too.
                let (wide, radius) = (sealed.network().widen(), (1.0 - 1e-6) * claim.radius.get());
                let centre: Vec<f64> = x.sample(s).iter().map(|&x| f64::from(x)).collect();
                let class = claim.prediction.unwrap();
                for _ in 0..200 {
                    let mut point = centre.clone();
                    for _ in 0..4 {
                        let (mut tape, batch) = (Tape::recording(), Batch::new(shape, point.clone()).unwrap());
                        let out = Layer::forward(&wide, batch, &mut tape);
                        let logits = out.data();
                        assert!(
                            (0..4).all(|j| j == class || logits[j] < logits[class]),
                            "{norm:?} {range:?} {claim:?}"
                        );
                        let mut g = Batch::zeros(out.shape(), 1);
                        g.data_mut()[class] = -1.0;
                        g.data_mut()[(class + rng.random_range(1..4)) % 4] = 1.0;
                        let slope = Layer::vjp(&wide, &tape, g, None);
                        let size = slope.data().iter().map(|g| g * g).sum::<f64>().sqrt().max(1e-30);
                        let stretch = rng.random_range(0.3..1.0);
                        let step = |g: f64| match norm {
                            Norm::Linf => radius * g.signum(),
                            Norm::L2 => radius * stretch * g / size,
                        };
                        let moved = point.iter().zip(slope.data()).zip(&centre).map(|((y, &g), x)| match norm {
                            Norm::Linf => (y + step(g)).clamp(x - radius, x + radius),
                            Norm::L2 => x + step(g),
                        });
                        point = moved.map(|y| range.map_or(y, |[low, high]| y.clamp(low, high))).collect();
                    }
                }
            }
        }
    }
}

/// Numbers near 10⁶ come and go, so that the program is off by more than a tenth: what it is off by is taken from the margin.
#[test]
fn what_the_program_rounds_is_charged() {
    let dense = |outputs: usize, inputs: usize, w: &[f32], b: &[f32]| -> Box<dyn Layer<f32>> {
        let dense = Dense::new(outputs, inputs, w.to_vec()).unwrap();
        Box::new(AffineLayer::new(Affine::new(dense, Some(b.to_vec())).unwrap()))
    };
    // The margin is 3 − relu(x₁ + x₂) − relu(x₁ − x₂) − relu(−2x₁).
    let layers = vec![
        dense(3, 2, &[1.0, 1.0, 1.0, -1.0, -2.0, 0.0], &[1e6; 3]),
        dense(3, 3, &[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], &[-1e6; 3]),
        Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(3)).unwrap()),
        dense(2, 3, &[-1.0, -1.0, -1.0, 0.0, 0.0, 0.0], &[3.0, 0.0]),
    ];
    let sealed = Network::new(Shape::Features(2), layers).unwrap().seal().unwrap();
    let (x, ball) = (Batch::new(Shape::Features(2), vec![0.0f32; 2]).unwrap(), Perturbation::default());
    let decide = |semantics| sealed.decide_quadratically(&x, semantics, &ball, &[1.47]).unwrap()[0].holds_at(1.47);
    assert!(decide(Semantics::Exact));
    assert!(!decide(Semantics::Executed));
    // In f64 nothing of it is left.
    let (wide, x) = (sealed.network().widen().seal().unwrap(), x.cast::<f64>());
    assert!(wide.decide_quadratically(&x, Semantics::Executed, &ball, &[1.47]).unwrap()[0].holds_at(1.47));
}

/// Distances are decided as the largest radii say, but for the last 2⁻²⁰ and where a search stopped short of the end.
#[test]
fn distances_are_decided() {
    let (sealed, mut rng) =
        (stack::<f32>(&[6, 16, 16, 3], Activation::Relu {}, 11).seal().unwrap(), ChaCha8Rng::seed_from_u64(11));
    let x = Batch::new(Shape::Features(6), draw::<f32>(24, 1.0, &mut rng)).unwrap();
    let ball = Perturbation::default();
    let largest = sealed.certify_quadratically(&x, Semantics::Executed, &ball).unwrap();
    let mut decided_by_products = 0;
    for (s, claim) in largest.iter().enumerate().filter(|(_, claim)| claim.by == RadiusProof::Quadratic) {
        let sample = Batch::new(Shape::Features(6), x.sample(s).to_vec()).unwrap();
        let decide = |eps: f64| -> SampleCertificate {
            sealed.decide_quadratically(&sample, Semantics::Executed, &ball, &[eps]).unwrap()[0]
        };
        let found = decide(0.98 * claim.radius.get());
        assert!(found.holds_at(0.98 * claim.radius.get()));
        assert!(!decide(1.02 * claim.radius.get()).holds_at(1.02 * claim.radius.get()));
        decided_by_products += usize::from(found.by == RadiusProof::Quadratic);
    }
    assert!(decided_by_products > 0);
}

/// A certificate names the proof of each radius, the check makes it again, and refuses more.
#[test]
fn claims_are_confirmed_and_larger_ones_refused() {
    let sealed: Sealed<f32> = stack::<f32>(&[6, 16, 16, 3], Activation::Relu {}, 12).seal().unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let x = Batch::new(Shape::Features(6), draw::<f32>(24, 1.0, &mut rng)).unwrap();
    let names = (0..3).map(|class| class.to_string()).collect();
    let dataset = Dataset::from_samples(&x, vec![0; 4], names).unwrap();
    let ball = Perturbation::default();
    let sought = Sought::Largest(&ball, Effort::Quadratic);
    let found = sealed.certify_part(&dataset, 0..4, (Semantics::Executed, sought), &|_| ()).unwrap();
    let claims =
        ClaimedSamples::new(dataset.sha256().unwrap(), (Semantics::Executed, true), &found, dataset.labels(), &[]);
    let claims = claims.unwrap();
    let by_products = claims.by.iter().position(|by| *by == RadiusProof::Quadratic).expect("a quadratic bound");
    let holds = |claims: &ClaimedSamples| {
        let findings = check_samples(claims, &sealed, &dataset, &|_| ()).unwrap();
        findings.iter().all(|finding| !matches!(finding.verdict, Verdict::Failed(_)))
    };
    assert!(holds(&claims));
    let mut larger = claims.clone();
    larger.radii[by_products] *= 1.05;
    assert!(!holds(&larger));
    let mut other = claims;
    other.by[by_products] = RadiusProof::Linear;
    assert!(!holds(&other));
}
