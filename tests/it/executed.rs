//! Certificates for the program: rounding errors stay within their bounds for every order of summation that they are
//! for, and no executed prediction flips within an executed radius. No tolerance anywhere: errors are compared as
//! rational numbers.

use dahlquist::{
    Network, Sealed, Semantics,
    activation::Activation,
    certify::{Refusal, SealOptions, Summation},
    field::GradientField,
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Step},
    operator::{Affine, Conv2d, Dense, Geometry, Operator},
    rigor::{Rounding, directed::norm_up, torus::PaddingMode},
    tape::Tape,
    tensor::{Batch, Shape, argmax},
};
use dahlquist_testkit::models::proof;
use dahlquist_testkit::orders::{ORDERS, Order, dot, exact, exact_affine, rational};
use num_rational::BigRational;
use num_traits::Zero;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// Numbers of either sign over six binades.
fn wild(rng: &mut ChaCha8Rng, n: usize) -> Vec<f32> {
    (0..n).map(|_| rng.random_range(-1.0f32..1.0) * 2f32.powi(rng.random_range(-3..3))).collect()
}

fn features(x: &[f32]) -> Batch<f32> {
    Batch::new(Shape::Features(x.len()), x.to_vec()).unwrap()
}

/// No ball around each sample: the points alone.
fn still(samples: usize) -> Vec<f64> {
    vec![0.0; samples]
}

/// `‖computed − exact‖² ≤ bound²`, in rational numbers.
fn within(computed: &[f32], exact: &[BigRational], bound: f64) -> bool {
    let squares = computed.iter().zip(exact).fold(BigRational::zero(), |sum, (&c, e)| {
        let d = rational(c.into()) - e;
        sum + &d * &d
    });
    squares <= rational(bound) * rational(bound)
}

fn dense(rows: usize, columns: usize, weight: &[f32], bias: Option<&[f32]>) -> Affine<f32> {
    Affine::new(Dense::new(rows, columns, weight.to_vec()).unwrap(), bias.map(<[f32]>::to_vec)).unwrap()
}

#[test]
fn any_order_of_summation_stays_within_the_bound() {
    let mut rng = rng(1);
    for (terms, biased) in [(1, true), (1, false), (2, true), (3, false), (17, true), (64, true), (100, false)] {
        for round in 0..20 {
            let (w, b) = (wild(&mut rng, 3 * terms), wild(&mut rng, 3));
            // Large biases, whose rounding is the only error; sums that cancel, where it is all that is left.
            let b: Vec<f32> = b.iter().map(|b| b * 2f32.powi(4 * (round % 7))).collect();
            let x = wild(&mut rng, terms);
            let bias = Some(&b[..]).filter(|_| biased);
            let map = dense(3, terms, &w, bias);
            let bound = map.apply_error(&Rounding::of::<f32>(), &features(&x).cast(), &still(1)).unwrap()[0];
            let back = map.adjoint_error(&Rounding::of::<f32>(), &features(&b).cast(), &still(1)).unwrap()[0];
            let meant = exact_affine(&w, bias, &x);
            let meant_back: Vec<BigRational> = (0..terms).map(|j| exact(&column(&w, terms, j), &b, 0.0)).collect();
            for order in ORDERS {
                for fma in [false, true] {
                    let bias = |i: usize| bias.map(|b| b[i]);
                    let run = |i: usize| dot(&w[i * terms..][..terms], &x, bias(i), order, fma);
                    let y: Vec<f32> = (0..3).map(run).collect();
                    assert!(within(&y, &meant, bound), "{terms} terms, {order:?}, fma {fma}: {bound}");
                    let y: Vec<f32> = (0..terms).map(|j| dot(&column(&w, terms, j), &b, None, order, fma)).collect();
                    assert!(within(&y, &meant_back, back), "{terms} terms, {order:?}, fma {fma}, adjoint");
                }
            }
        }
    }
}

#[test]
fn the_bias_is_one_more_rounding() {
    // A product just above a power of two, and a bias that is lost: two roundings of nearly u each.
    let mut rng = rng(8);
    let mut rounded_twice = 0;
    for _ in 0..3000 {
        let (w, x) = (rng.random_range(1.0f32..1.002), rng.random_range(1.0f32..1.002));
        let b = rng.random_range(0.9f32..1.0) * 2f32.powi(-24);
        let bound =
            dense(1, 1, &[w], Some(&[b])).apply_error(&Rounding::of::<f32>(), &features(&[x]).cast(), &still(1));
        let (bound, y) = (bound.unwrap()[0], w * x + b);
        let meant = exact_affine(&[w], Some(&[b]), &[x]);
        assert!(within(&[y], &meant, bound), "{w} · {x} + {b}");
        rounded_twice += usize::from(!within(&[y], &meant, f64::from(w * x + b) * 2f64.powi(-24)));
    }
    assert!(rounded_twice > 0, "no case needed both roundings");
}

fn column(w: &[f32], columns: usize, j: usize) -> Vec<f32> {
    w.iter().skip(j).step_by(columns).copied().collect()
}

#[test]
fn the_bound_over_a_ball_holds_everywhere_in_it() {
    let mut rng = rng(2);
    for round in 0..100 {
        // From balls that are small beside their centre to a centre that is small beside its ball.
        let scale = 2f32.powi(-8 * (round % 5));
        let shrunk = |x: Vec<f32>| x.into_iter().map(|x| scale * x).collect::<Vec<_>>();
        let (w, b, x) = (wild(&mut rng, 5 * 40), shrunk(wild(&mut rng, 5)), shrunk(wild(&mut rng, 40)));
        let map = dense(5, 40, &w, Some(&b));
        let moved: Vec<f32> = x.iter().map(|x| x + rng.random_range(-2.0f32..2.0)).collect();
        let apart: Vec<f64> = x.iter().zip(&moved).map(|(&a, &b)| f64::from(a) - f64::from(b)).collect();
        let bound = map.apply_error(&Rounding::of::<f32>(), &features(&x).cast(), &[norm_up(&apart)]).unwrap()[0];
        for order in ORDERS {
            let y: Vec<f32> = (0..5).map(|i| dot(&w[i * 40..][..40], &moved, Some(b[i]), order, false)).collect();
            assert!(within(&y, &exact_affine(&w, Some(&b), &moved), bound), "{order:?}");
        }
    }
}

/// Terms whose additions all round to the same side once a sum has reached a certain binade: a kernel that adds more
/// of them in a row than it declares is caught.
fn drifting() -> impl Iterator<Item = f32> {
    (13..22).map(|e| 1.0 + 0.499 * 2f32.powi(-e))
}

#[test]
fn declared_kernels_of_matrices_keep_to_their_order() {
    for (rows, columns) in [(3, 3072), (2, 700), (5, 65), (4, 64), (3072, 2)] {
        let mut w = Dense::new(rows, columns, vec![1.0f32; rows * columns]).unwrap();
        Operator::set_summation(&mut w, Summation::Declared);
        let map = Affine::new(w, Some(vec![1.0; rows])).unwrap();
        for t in drifting() {
            for samples in [1, 7] {
                let x = Batch::new(Shape::Features(columns), vec![t; columns * samples]).unwrap();
                let bound = map.apply_error(&Rounding::of::<f32>(), &x.cast(), &still(samples)).unwrap()[0];
                let sum = rational(t.into()) * rational(columns as f64) + rational(1.0);
                assert!(within(map.apply(&x).sample(0), &vec![sum; rows], bound), "{rows}×{columns} at {t}");
                let y = Batch::new(Shape::Features(rows), vec![t; rows * samples]).unwrap();
                let bound = map.adjoint_error(&Rounding::of::<f32>(), &y.cast(), &still(samples)).unwrap()[0];
                let sum = rational(t.into()) * rational(rows as f64);
                assert!(within(map.adjoint(&y).sample(0), &vec![sum; columns], bound), "{rows}×{columns}ᵀ at {t}");
            }
        }
    }
}

#[test]
fn declared_kernels_of_convolutions_keep_to_their_order() {
    let shape = Shape::image(48, 6, 6);
    let mode = PaddingMode::Circular;
    let geometry = Geometry { input: shape, outputs: 48, kernel: (3, 3), stride: 1, padding: 1, mode };
    let mut w = Conv2d::new(geometry, vec![1.0f32; 48 * 48 * 9]).unwrap();
    Operator::set_summation(&mut w, Summation::Declared);
    let map = Affine::new(w, None).unwrap();
    for t in drifting() {
        let x = Batch::new(shape, vec![t; shape.len()]).unwrap();
        let sum = vec![rational(t.into()) * rational(432.0); shape.len()];
        let bound = map.apply_error(&Rounding::of::<f32>(), &x.cast(), &still(1)).unwrap()[0];
        assert!(within(map.apply(&x).data(), &sum, bound), "{t}");
        let bound = map.adjoint_error(&Rounding::of::<f32>(), &x.cast(), &still(1)).unwrap()[0];
        assert!(within(map.adjoint(&x).data(), &sum, bound), "adjoint, {t}");
    }
}

/// `x − h Wᵀ relu(Wx + b)`, in rational numbers.
fn exact_step(w: &[f32], b: &[f32], h: f32, x: &[f32]) -> Vec<BigRational> {
    let z = exact_affine(w, Some(b), x);
    let s: Vec<BigRational> = z.into_iter().map(|z| z.max(BigRational::zero())).collect();
    let n = x.len();
    let pull = |j: usize| (0..b.len()).map(|i| rational(w[i * n + j].into()) * &s[i]).sum::<BigRational>();
    (0..n).map(|j| rational(x[j].into()) - rational(h.into()) * pull(j)).collect()
}

#[test]
fn a_step_of_a_flow_stays_within_its_bound() {
    let mut rng = rng(3);
    for round in 0..60 {
        let (n, m) = (12, 9);
        // From fields that dominate to fields that are lost beside x, where the addition is the only error.
        let x: Vec<f32> = wild(&mut rng, n).iter().map(|x| x * 2f32.powi(4 * (round % 5))).collect();
        let (w, b) = (wild(&mut rng, m * n), wild(&mut rng, m));
        let h = rng.random_range(0.0f32..1.0) * 2f32.powi(-6 * (round % 3));
        let field = GradientField::new(dense(m, n, &w, Some(&b)), Activation::Relu {}).unwrap();
        let flow = Flow::new(field, Tableau::euler(), Step::Fixed(h.into()), 1).unwrap();
        let mut tape = Tape::recording();
        Layer::<f32>::widen(&flow).forward(features(&x).cast(), &mut tape);
        let bound = flow.rounding(&proof(&flow).unwrap(), &Rounding::of::<f32>(), &tape, &[0.0]).unwrap()[0];
        let meant = exact_step(&w, &b, h, &x);
        let kernel = flow.forward(features(&x), &mut Tape::idle());
        assert!(within(kernel.data(), &meant, bound), "round {round}");
        for order in ORDERS {
            for fma in [false, true] {
                let z = (0..m).map(|i| dot(&w[i * n..][..n], &x, Some(b[i]), order, fma));
                let s: Vec<f32> = z.map(|z| -z.max(0.0)).collect();
                let step = |j: usize| {
                    let k = dot(&column(&w, n, j), &s, None, order, fma);
                    if fma { h.mul_add(k, x[j]) } else { x[j] + h * k }
                };
                let y: Vec<f32> = (0..n).map(step).collect();
                assert!(within(&y, &meant, bound), "round {round}, {order:?}, fma {fma}");
            }
        }
    }
}

#[test]
fn a_field_is_charged_for_its_adjoint() {
    // Wx is exact; the sum of a thousand equal numbers drifts.
    let (m, h) = (1000, 1.0);
    for t in drifting() {
        let (w, b) = (vec![1.0; m], vec![0.0; m]);
        let field = GradientField::new(dense(m, 1, &w, Some(&b)), Activation::Relu {}).unwrap();
        let flow = Flow::new(field, Tableau::euler(), Step::Fixed(1.0), 1).unwrap();
        let mut tape = Tape::recording();
        Layer::<f32>::widen(&flow).forward(features(&[t]).cast(), &mut tape);
        let bound = flow.rounding(&proof(&flow).unwrap(), &Rounding::of::<f32>(), &tape, &[0.0]).unwrap()[0];
        let y = t - h * dot(&w, &vec![t; m], None, Order::Forwards, false);
        assert!(within(&[y], &exact_step(&w, &b, h, &[t]), bound), "{t}");
    }
}

/// A dense ReLU network, as matrices and biases.
struct Mlp {
    layers: Vec<(Vec<f32>, Vec<f32>)>,
    sizes: Vec<usize>,
}

impl Mlp {
    fn random(rng: &mut ChaCha8Rng, sizes: &[usize]) -> Self {
        let layer = |pair: &[usize]| {
            let gain = (3.0 / pair[0] as f32).sqrt();
            let w = (0..pair[0] * pair[1]).map(|_| gain * rng.random_range(-1.0f32..1.0)).collect();
            (w, (0..pair[1]).map(|_| rng.random_range(-0.5f32..0.5)).collect())
        };
        Self { layers: sizes.windows(2).map(layer).collect(), sizes: sizes.to_vec() }
    }

    fn network(&self) -> Network<f32> {
        let mut layers: Vec<Box<dyn Layer<f32>>> = Vec::new();
        for ((w, b), pair) in self.layers.iter().zip(self.sizes.windows(2)) {
            if !layers.is_empty() {
                layers.push(Box::new(
                    ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(pair[0])).unwrap(),
                ));
            }
            layers.push(Box::new(AffineLayer::new(dense(pair[1], pair[0], w, Some(b)))));
        }
        Network::new(Shape::Features(self.sizes[0]), layers).unwrap()
    }

    fn run(&self, x: &[f32], order: Order, fma: bool) -> Vec<f32> {
        let mut x = x.to_vec();
        for (l, (w, b)) in self.layers.iter().enumerate() {
            let n = x.len();
            let y = (0..b.len()).map(|i| dot(&w[i * n..][..n], &x, Some(b[i]), order, fma));
            x = if l + 1 < self.layers.len() { y.map(|y| y.max(0.0)).collect() } else { y.collect() };
        }
        x
    }
}

fn distance(x: &[f32], y: &[f32]) -> f64 {
    norm_up(&x.iter().zip(y).map(|(&x, &y)| f64::from(x) - f64::from(y)).collect::<Vec<_>>())
}

fn between(x: &[f32], y: &[f32], t: f32) -> Vec<f32> {
    x.iter().zip(y).map(|(x, y)| x + t * (y - x)).collect()
}

/// The last pair of points on the way from `x` to `y` between which `predict` was seen to change, by bisection.
fn flip(x: &[f32], y: &[f32], predict: impl Fn(&[f32]) -> usize) -> Option<(Vec<f32>, Vec<f32>)> {
    let (mut x, mut y) = (x.to_vec(), y.to_vec());
    let class = predict(&x);
    if predict(&y) == class {
        return None;
    }
    loop {
        let middle = between(&x, &y, 0.5);
        if middle == x || middle == y {
            return Some((x, y));
        }
        if predict(&middle) == class { x = middle } else { y = middle }
    }
}

/// Certifies points at many distances from `flipped`, on the segment to `from`, and asserts that none claims to hold
/// as far as a point where the program, run as `predict`, says something else.
fn no_claim_reaches(
    sealed: &Sealed<f32>,
    from: &[f32],
    pair: &(Vec<f32>, Vec<f32>),
    predict: impl Fn(&[f32]) -> usize,
) -> usize {
    let mut claims = 0;
    for e in 0..24 {
        let x = between(&pair.0, from, 2f32.powi(-e));
        let claim = sealed.certify(&features(&x), Semantics::Executed).unwrap()[0];
        let exact = sealed.certify(&features(&x), Semantics::Exact).unwrap()[0];
        assert!(claim.radius.get() <= exact.radius.get(), "executed {claim:?} is above exact {exact:?}");
        if claim.radius.get() > 0.0 {
            claims += 1;
            assert_eq!(Some(predict(&x)), claim.prediction);
        }
        for y in [&pair.0, &pair.1] {
            if Some(predict(y)) != claim.prediction {
                assert!(distance(&x, y) >= claim.radius.get(), "{claim:?} flips at {}", distance(&x, y));
            }
        }
    }
    claims
}

#[test]
fn no_prediction_flips_within_an_executed_radius_in_any_order() {
    let mut rng = rng(4);
    let mut claims = 0;
    for round in 0..40 {
        let mlp = Mlp::random(&mut rng, [&[6, 8, 3][..], &[30, 20, 10, 4], &[3, 2]][round % 3]);
        let sealed = mlp.network().seal().unwrap();
        let (x, y) = (wild(&mut rng, mlp.sizes[0]), wild(&mut rng, mlp.sizes[0]));
        for order in ORDERS {
            let predict = |x: &[f32]| argmax(&mlp.run(x, order, round % 2 == 0));
            if let Some(pair) = flip(&x, &y, predict) {
                claims += no_claim_reaches(&sealed, &x, &pair, predict);
            }
        }
    }
    assert!(claims > 500, "{claims} claims were tested");
}

#[test]
fn no_prediction_flips_within_a_declared_radius() {
    let mut rng = rng(5);
    let mut claims = 0;
    for _ in 0..12 {
        let n = 300;
        let w: Vec<f32> = wild(&mut rng, 100 * n).iter().map(|w| w / 17.0).collect();
        let field = GradientField::new(dense(100, n, &w, Some(&wild(&mut rng, 100))), Activation::Relu {}).unwrap();
        let flow = Flow::new(field, Tableau::euler(), Step::Relative(1.0), 2).unwrap();
        let head = AffineLayer::new(dense(4, n, &wild(&mut rng, 4 * n), Some(&wild(&mut rng, 4))));
        let network = Network::new(Shape::Features(n), vec![Box::new(flow), Box::new(head)]).unwrap();
        let options = SealOptions { summation: Summation::Declared, ..SealOptions::default() };
        let sealed = network.seal_with(options).unwrap();
        let predict = |x: &[f32]| argmax(sealed.forward(&features(x)).unwrap().data());
        let (x, y) = (wild(&mut rng, n), wild(&mut rng, n));
        if let Some(pair) = flip(&x, &y, predict) {
            claims += no_claim_reaches(&sealed, &x, &pair, predict);
        }
    }
    assert!(claims > 50, "{claims} claims were tested");
}

#[test]
fn a_declared_radius_lies_between_that_of_any_order_and_the_exact_one() {
    let mut rng = rng(6);
    let mlp = Mlp::random(&mut rng, &[500, 300, 10]);
    let declared = SealOptions { summation: Summation::Declared, ..SealOptions::default() };
    let [any, declared] = [SealOptions::default(), declared].map(|options| mlp.network().seal_with(options).unwrap());
    assert_eq!(declared.options().summation, Summation::Declared);
    assert_eq!(any.options().summation, Summation::Any);
    let x = Batch::new(Shape::Features(500), wild(&mut rng, 500 * 40)).unwrap();
    let radii = |sealed: &Sealed<f32>, semantics| {
        sealed.certify(&x, semantics).unwrap().iter().map(|claim| claim.radius.get()).collect::<Vec<_>>()
    };
    let (low, middle) = (radii(&any, Semantics::Executed), radii(&declared, Semantics::Executed));
    let high = radii(&declared, Semantics::Exact);
    for ((low, middle), high) in low.iter().zip(&middle).zip(&high) {
        assert!(low <= middle && middle <= high && (*high == 0.0 || low < high), "{low} {middle} {high}");
    }
    assert!(low.iter().sum::<f64>() < middle.iter().sum());
}

fn linear_head(w: &[f32], b: Option<&[f32]>) -> Sealed<f32> {
    let head = AffineLayer::new(dense(w.len(), 1, w, b));
    Network::new(Shape::Features(1), vec![Box::new(head)]).unwrap().seal().unwrap()
}

#[test]
fn the_rounding_of_a_large_bias_is_charged() {
    // Both logits of x = 3.9 round to 1e8: a tie at the distance 0.2.
    let sealed = linear_head(&[1.0, -1.0], Some(&[1e8, 1e8]));
    let tie = sealed.forward(&features(&[3.9])).unwrap();
    assert_eq!(tie.data()[0], tie.data()[1]);
    let claim = sealed.certify(&features(&[4.1]), Semantics::Executed).unwrap()[0];
    assert!(!claim.holds_at(0.2) && claim.refusal == Some(Refusal::Tie));
    assert!(sealed.certify(&features(&[4.1]), Semantics::Exact).unwrap()[0].holds_at(4.0));
}

#[test]
fn two_weights_one_ulp_apart_are_not_certified_as_executed() {
    let sealed = linear_head(&[0.989_059_45, 0.989_059_5], None);
    assert_eq!(sealed.network().layers().next().unwrap().parameters()[0], [0.989_059_45, 0.989_059_5]);
    let x = features(&[0.197_212_32]);
    assert!(!sealed.certify(&x, Semantics::Executed).unwrap()[0].holds_at(5.07e-7));
    assert!(sealed.certify(&x, Semantics::Exact).unwrap()[0].holds_at(0.19));
}

#[test]
fn the_smallest_normal_weights_have_a_norm() {
    let tiny = 2f32.powi(-126);
    let sealed = linear_head(&[tiny, -tiny], None);
    assert!(sealed.certificate().bound().get() >= 2f64.sqrt() * 2f64.powi(-126));
    let radius = |x: f32, semantics| sealed.certify(&features(&[x]), semantics).unwrap()[0];
    for semantics in [Semantics::Exact, Semantics::Executed] {
        assert_eq!(radius(0.0, semantics).refusal, Some(Refusal::Tie));
        assert!(radius(0.5, semantics).radius.get() <= 0.5 && !radius(0.5, semantics).holds_at(1.0));
        assert!(radius(2.0, semantics).radius.get() <= 2.0 && radius(2.0, semantics).holds_at(1.0));
    }
}

#[test]
fn an_overflow_that_cannot_be_excluded_is_refused() {
    for (w, x) in [([3e38, -3e38], 2.0), ([1e38, -1e38], 3.0)] {
        let claim = linear_head(&w, None).certify(&features(&[x]), Semantics::Executed).unwrap()[0];
        assert_eq!((claim.radius.get(), claim.refusal), (0.0, Some(Refusal::Overflow)));
        let exact = linear_head(&w, None).certify(&features(&[x]), Semantics::Exact).unwrap()[0];
        assert!(exact.holds_at(1.9), "over the real numbers nothing overflows");
    }
}

#[test]
fn rescaling_by_powers_of_two_changes_no_radius() {
    let mut rng = rng(7);
    let mlp = Mlp::random(&mut rng, &[20, 30, 5]);
    let x = Batch::new(Shape::Features(20), wild(&mut rng, 20 * 50)).unwrap();
    let reference = mlp.network().seal().unwrap();
    for k in [1, 9, 30, -17] {
        let [mut first, mut second] = [mlp.layers[0].clone(), mlp.layers[1].clone()];
        first.0.iter_mut().chain(&mut first.1).for_each(|w| *w *= 2f32.powi(-k));
        second.0.iter_mut().for_each(|w| *w *= 2f32.powi(k));
        let scaled = Mlp { layers: vec![first, second], sizes: mlp.sizes.clone() }.network().seal().unwrap();
        for semantics in [Semantics::Exact, Semantics::Executed] {
            assert_eq!(scaled.certify(&x, semantics).unwrap(), reference.certify(&x, semantics).unwrap(), "{k}");
        }
    }
}
