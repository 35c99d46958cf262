//! Linear bounds of margins over balls: they beat constants on ordinary networks, and nothing in a ball contradicts them.

use dahlquist::{
    Network, Semantics,
    activation::Activation,
    layer::{ActivationLayer, AffineLayer, Layer, Reshape, Selection},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::{Batch, Shape, argmax},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Dense layers of some widths, with functions between them.
fn dense_layers<T: Scalar>(widths: &[usize], function: Activation, seed: u64) -> Vec<Box<dyn Layer<T>>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut layers: Vec<Box<dyn Layer<T>>> = Vec::new();
    for (k, pair) in widths.windows(2).enumerate() {
        let (n, m) = (pair[0], pair[1]);
        let scale = (2.0 / n as f64).sqrt();
        let mut draw = |count: usize, scale: f64| -> Vec<T> {
            (0..count).map(|_| T::of(scale * rng.sample::<f64, _>(StandardNormal))).collect()
        };
        if k > 0 {
            layers.push(Box::new(ActivationLayer::new::<T>(function, Shape::Features(n)).unwrap()));
        }
        let map = Affine::new(Dense::new(m, n, draw(n * m, scale)).unwrap(), Some(draw(m, 0.1))).unwrap();
        layers.push(Box::new(AffineLayer::new(map)));
    }
    layers
}

pub fn stack<T: Scalar>(widths: &[usize], function: Activation, seed: u64) -> Network<T> {
    Network::new(Shape::Features(widths[0]), dense_layers(widths, function, seed)).unwrap()
}

/// A convolution, a pool and a head.
pub fn convolutional<T: Scalar>(seed: u64) -> Network<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw =
        |count: usize| -> Vec<T> { (0..count).map(|_| T::of(0.4 * rng.sample::<f64, _>(StandardNormal))).collect() };
    let image = Shape::image(2, 6, 6);
    let geometry =
        Geometry { input: image, outputs: 4, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
    let between = Shape::image(4, 6, 6);
    let layers: Vec<Box<dyn Layer<T>>> = vec![
        Box::new(AffineLayer::new(Affine::new(Conv2d::new(geometry, draw(72)).unwrap(), Some(draw(4))).unwrap())),
        Box::new(ActivationLayer::new::<T>(Activation::LeakyRelu { slope: 0.1 }, between).unwrap()),
        Box::new(AffineLayer::new(Affine::new(MeanPool::new(between, 2).unwrap(), None).unwrap())),
        Box::new(ActivationLayer::new::<T>(Activation::Abs {}, Shape::image(4, 3, 3)).unwrap()),
        Box::new(Reshape::flatten(Shape::image(4, 3, 3))),
        Box::new(AffineLayer::new(Affine::new(Dense::new(3, 36, draw(108)).unwrap(), Some(draw(3))).unwrap())),
    ];
    Network::new(image, layers).unwrap()
}

/// Points of the ball at which the class is most in danger: against the gradient of each margin, and at random.
pub fn survives<T: Scalar>(network: &Network<T>, x: &[T], class: usize, radius: f64, rng: &mut ChaCha8Rng) {
    let shape = network.input();
    let logits = |x: &[T]| network.forward(&Batch::new(shape, x.to_vec()).unwrap()).unwrap().data().to_vec();
    let inside = |y: &[T]| {
        let square: f64 = y.iter().zip(x).map(|(y, x)| (y.wide() - x.wide()).powi(2)).sum();
        square.sqrt() < radius * (1.0 - 1e-12)
    };
    for attempt in 0..40 {
        let mut y: Vec<T> = x.to_vec();
        for _ in 0..12 {
            // A step against the smallest margin, by differences, or a random one.
            let direction: Vec<f64> = if attempt % 2 == 0 {
                let (mut tape, batch) = (dahlquist::tape::Tape::recording(), Batch::new(shape, y.clone()).unwrap());
                let out = Layer::forward(network, batch, &mut tape);
                let data = out.data();
                let other =
                    (0..data.len()).filter(|&j| j != class).max_by(|&a, &b| data[a].wide().total_cmp(&data[b].wide()));
                let mut g = Batch::zeros(out.shape(), 1);
                g.data_mut()[class] = -T::one();
                g.data_mut()[other.unwrap()] = T::one();
                Layer::vjp(network, &tape, g, None).data().iter().map(|g| g.wide()).collect()
            } else {
                (0..y.len()).map(|_| rng.sample::<f64, _>(StandardNormal)).collect()
            };
            let size = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
            if size == 0.0 {
                break;
            }
            let mut offset: Vec<f64> = y.iter().zip(x).map(|(y, x)| y.wide() - x.wide()).collect();
            offset.iter_mut().zip(&direction).for_each(|(o, d)| *o += 0.5 * radius * d / size);
            let norm = offset.iter().map(|o| o * o).sum::<f64>().sqrt();
            let keep = if norm > radius { 0.999_999 * radius / norm } else { 1.0 };
            y = x.iter().zip(&offset).map(|(x, o)| T::of(x.wide() + keep * o)).collect();
            if inside(&y) {
                let found = logits(&y);
                let strict = (0..found.len()).all(|j| j == class || found[j] < found[class]);
                assert!(strict, "class {class} within {radius}, but {found:?} (argmax {})", argmax(&found));
            }
        }
    }
}

fn nothing_contradicts<T: Scalar>(network: Network<T>, seed: u64) -> [f64; 2] {
    let (shape, mut rng) = (network.input(), ChaCha8Rng::seed_from_u64(seed));
    let x: Vec<T> = (0..8 * shape.len()).map(|_| T::of(rng.sample::<f64, _>(StandardNormal))).collect();
    let batch = Batch::new(shape, x).unwrap();
    let sealed = network.seal().unwrap();
    let mut sums = [0.0; 2];
    for semantics in [Semantics::Exact, Semantics::Executed] {
        let (global, local) =
            (sealed.certify(&batch, semantics).unwrap(), sealed.certify_locally(&batch, semantics).unwrap());
        for (s, (global, local)) in global.iter().zip(&local).enumerate() {
            assert!(local.radius >= global.radius, "{local:?} is less than {global:?}");
            // An exact claim is not about what the program rounds: a little inside, in f64, that decides nothing.
            let (x, radius) = (batch.sample(s), local.radius.get());
            let Some(class) = local.prediction else { continue };
            match semantics {
                _ if radius == 0.0 => {}
                Semantics::Executed => survives(sealed.network(), x, class, radius, &mut rng),
                Semantics::Exact => {
                    let wide: Vec<f64> = x.iter().map(|x| x.wide()).collect();
                    survives(&sealed.network().widen(), &wide, class, (1.0 - 1e-6) * radius, &mut rng);
                }
            }
            if semantics == Semantics::Exact {
                sums[0] += global.radius.get();
                sums[1] += local.radius.get();
            }
        }
    }
    sums
}

#[test]
fn nothing_in_a_ball_contradicts_a_linear_bound() {
    for (function, seed) in [
        (Activation::Relu {}, 1),
        (Activation::LeakyRelu { slope: 0.25 }, 2),
        (Activation::Abs {}, 3),
        (Activation::Relu {}, 4),
    ] {
        nothing_contradicts(stack::<f32>(&[6, 20, 20, 4], function, seed), seed);
        nothing_contradicts(stack::<f64>(&[6, 20, 20, 4], function, seed), seed);
    }
    nothing_contradicts(convolutional::<f32>(5), 5);
    nothing_contradicts(convolutional::<f64>(6), 6);
}

/// On an ordinary network the radii are several times those of the product of norms.
#[test]
fn linear_bounds_are_larger_on_ordinary_networks() {
    let [global, local] = nothing_contradicts(stack::<f32>(&[20, 40, 40, 40, 5], Activation::Relu {}, 7), 7);
    assert!(local > 3.0 * global, "{local} and {global}");
    let [global, local] = nothing_contradicts(convolutional::<f32>(8), 8);
    assert!(local > 1.2 * global, "{local} and {global}");
}

/// A network that linear bounds do not know keeps the radii that it had.
#[test]
fn other_layers_are_left_alone() {
    let sorted = Box::new(Selection::sort(Shape::Features(6), 2).unwrap()) as Box<dyn Layer<f32>>;
    let dense = dense_layers::<f32>(&[6, 8, 4], Activation::Relu {}, 9);
    let layers = std::iter::once(sorted).chain(dense).collect();
    let [global, local] = nothing_contradicts(Network::new(Shape::Features(6), layers).unwrap(), 9);
    assert!(local >= global && global > 0.0);
}
