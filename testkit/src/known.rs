//! Networks of which every constant is known exactly: each layer stretches one line most, by a number that is written down
//! here, and takes it to the line that the next one stretches most. So a claim below it is false by whatever little it is
//! below, and no tolerance is needed to say so.

use dahlquist::{
    Network,
    activation::Activation,
    certificate::file::CertificateFile,
    field::{GradientField, ResidualField},
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool, Operator},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tableau::Tableau,
    tensor::Shape,
};

/// What is true of a network.
pub struct Truth {
    /// The Lipschitz constant of each layer, and the least `α` for which it is averaged, if there is one.
    pub layers: Vec<(f64, Option<f64>)>,
    /// Whether the last layer is a head that the features are before.
    pub head: bool,
}

impl Truth {
    /// The constant of some layers in a row: their product, since they share their line.
    pub fn product(&self, layers: std::ops::Range<usize>) -> f64 {
        self.layers[layers].iter().map(|(gain, _)| gain).product()
    }

    /// What a certificate claims that is false, if there is any such thing.
    pub fn contradicts(&self, claimed: &CertificateFile) -> Result<(), String> {
        let count = self.layers.len();
        let least = |what: String, claimed: f64, truth: f64| {
            if claimed >= truth { Ok(()) } else { Err(format!("{what}: {claimed:e} is claimed, {truth:e} is true")) }
        };
        let layers: Vec<_> = claimed.network.layers().collect();
        if layers.len() != count {
            return Err(format!("{} layers", layers.len()));
        }
        for (i, (layer, (gain, averaged))) in layers.iter().zip(&self.layers).enumerate() {
            least(format!("layer {i}"), layer.bound(), *gain)?;
            match (layer.claims().averaged, averaged) {
                (Some(claimed), Some(truth)) => least(format!("layer {i}, averaged"), claimed, *truth)?,
                (Some(claimed), None) => return Err(format!("layer {i}: averaged by {claimed}, which it is not")),
                (None, _) => {}
            }
            if layer.claims().inverse.is_some_and(|inverse| inverse > *gain) {
                return Err(format!("layer {i}: nothing is stretched as much as is claimed of everything"));
            }
        }
        let mut first = 0;
        for part in claimed.network.premises() {
            least(format!("the part at {first}"), part.bound(), self.product(first..first + part.span()))?;
            first += part.span();
        }
        least("the whole".into(), claimed.network.bound(), self.product(0..count))?;
        least("features".into(), claimed.features, self.product(0..count - usize::from(self.head)))?;
        least("network".into(), claimed.lipschitz, self.product(0..count))
    }
}

type Layers<T> = Vec<(Box<dyn Layer<T>>, f64, Option<f64>)>;

fn build<T: Scalar>(input: Shape, layers: Layers<T>) -> (Network<T>, Truth) {
    let truth = layers.iter().map(|(_, gain, averaged)| (*gain, *averaged)).collect();
    let network = Network::new(input, layers.into_iter().map(|(layer, ..)| layer).collect()).unwrap();
    (network, Truth { layers: truth, head: true })
}

fn map<T: Scalar>(operator: impl Operator<T> + 'static, bias: Option<f64>) -> Affine<T> {
    let biases = match operator.output() {
        Shape::Features(n) => n,
        Shape::Image { channels, .. } => channels,
    };
    Affine::new(operator, bias.map(|bias| vec![T::of(bias); biases])).unwrap()
}

fn dense<T: Scalar>(rows: &[&[f64]]) -> Dense<T> {
    let weight = rows.iter().flat_map(|row| row.iter().map(|&w| T::of(w))).collect();
    Dense::new(rows.len(), rows[0].len(), weight).unwrap()
}

fn affine<T: Scalar>(operator: impl Operator<T> + 'static) -> Box<dyn Layer<T>> {
    Box::new(AffineLayer::new(map(operator, Some(0.25))))
}

/// `c` times the identity of four features.
fn multiple<T: Scalar>(c: f64) -> Dense<T> {
    Dense::new(4, 4, (0..16).map(|i| T::of(if i % 5 == 0 { c } else { 0.0 })).collect()).unwrap()
}

/// Dense layers and the flows of both kinds of field.
pub fn flows<T: Scalar>() -> (Network<T>, Truth) {
    let flow = |field: GradientField<T>| Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.25), 1).unwrap());
    // (1, 0, 0, 0) goes to (3, 4, 0, 0).
    let first =
        dense(&[&[3.0, 0.0, 0.0, 0.0], &[4.0, 0.0, 0.0, 0.0], &[0.0, 0.0, 0.5, -0.25], &[0.0, 0.0, 0.125, 0.5]]);
    // Without a neuron that is active, a ReLU field does not move; with all of them, x goes to x − 4x/4.
    let still = GradientField::new(map(multiple(2.0), Some(-1024.0)), Activation::Relu {}).unwrap();
    // x goes to x/2 where z = −2x is negative, and to 0 where it is not.
    let half = GradientField::new(map(multiple(-2.0), None), Activation::LeakyRelu { slope: 0.5 }).unwrap();
    // x goes to x + 2x/2 where it is positive.
    let double = ResidualField::new(map(multiple(1.0), None), Activation::Relu {}, map(multiple(2.0), None)).unwrap();
    let layers: Layers<T> = vec![
        (affine(first), 5.0, None),
        (Box::new(ActivationLayer::new::<T>(Activation::Relu {}, Shape::Features(4)).unwrap()), 1.0, Some(0.5)),
        (flow(still), 1.0, Some(0.5)),
        (flow(half), 0.5, Some(0.5)),
        (Box::new(Flow::new(double, Tableau::euler(), Step::Fixed(0.5), 1).unwrap()), 2.0, None),
        (affine(dense(&[&[3.0, 4.0, 0.0, 0.0], &[0.0, 0.0, 0.5, 0.25]])), 5.0, None),
    ];
    build(Shape::Features(4), layers)
}

/// Linear maps of images in a row, and a stack of dense layers: what is certified as one map.
pub fn groups<T: Scalar>() -> (Network<T>, Truth) {
    let image = Shape::image(2, 4, 4);
    let geometry =
        Geometry { input: image, outputs: 3, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
    // The middle taps take the first channel to three and four times itself; the second one goes to the third.
    let weight = |i: usize| match (i / 18, i / 9 % 2, i % 9) {
        (0, 0, 4) => 3.0,
        (1, 0, 4) => 4.0,
        (2, 1, t) => 0.0625 * (t as f64 - 3.0),
        _ => 0.0,
    };
    let conv = Conv2d::new(geometry, (0..54).map(|i| T::of(weight(i))).collect()).unwrap();
    let leaky =
        |n, slope| Box::new(ActivationLayer::new::<T>(Activation::LeakyRelu { slope }, Shape::Features(n)).unwrap());
    // The mean of a constant image is that image, its norm half of what it was. Then a row as long as 10.
    let row = [3.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0, 4.0, 0.0, 0.0, 0.0, 0.0];
    let rest = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, -0.5, 0.25, 1.0];
    let half = T::of(0.5);
    let layers: Layers<T> = vec![
        (Box::new(Normalize::new(image, vec![half; 2], vec![half; 2]).unwrap()), 2.0, None),
        (affine(conv), 5.0, None),
        (Box::new(AffineLayer::new(map(MeanPool::new(Shape::image(3, 4, 4), 2).unwrap(), None))), 0.5, None),
        (Box::new(Reshape::flatten(Shape::image(3, 2, 2))), 1.0, Some(0.0)),
        (leaky(12, 0.5), 1.0, Some(0.25)),
        (affine(dense(&[&row, &rest])), 10.0, None),
        (leaky(2, 0.5), 1.0, Some(0.25)),
        (affine(dense(&[&[1.5, 0.0], &[0.0, 0.25]])), 1.5, None),
        (affine(dense(&[&[2.0, 0.0], &[0.0, 0.5]])), 2.0, None),
    ];
    build(image, layers)
}
