//! Small models for tests of files and of the program.

use dahlquist::{
    Network, Result,
    activation::Activation,
    certificate::{Certificate, Claims, Evidence, NormMethod, NormProof, Rule, file::CertificateFile},
    certify::SealOptions,
    field::{GradientField, ResidualField, VectorField},
    layer::{
        ActivationLayer, AffineLayer, Branches, Equilibrium, Flow, Householder, Implicit, L2Pool, Layer, Normalize,
        PartialActivation, Reshape, Selection, Step,
    },
    model::{self, Model, Padding, Pair, Pooling, Tensor, Window},
    network::AnyNetwork,
    operator::{Affine, Conv2d, Dense, Diagonal, Geometry, MeanPool, Operator},
    rigor::{Lower, Upper, torus::PaddingMode},
    rules::Prover,
    scalar::Scalar,
    tableau::Tableau,
    tensor::Shape,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A network with one layer of every kind of the file format, in `f32`, its weights random.
pub fn every_layer() -> Network<f32> {
    build(1).unwrap()
}

/// The same in `f64`.
pub fn every_layer_f64() -> Network<f64> {
    build(2).unwrap()
}

/// A stack of dense layers and ReLUs from two inputs to three classes.
pub fn dense_stack() -> Network<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.sample::<f32, _>(StandardNormal) * 0.5).collect() };
    let mut layers: Vec<Box<dyn Layer<f32>>> = Vec::new();
    for (n, m) in [(2, 16), (16, 12), (12, 8), (8, 3)] {
        let map = Affine::new(Dense::new(m, n, draw(n * m)).unwrap(), Some(draw(m))).unwrap();
        layers.push(Box::new(AffineLayer::new(map)));
        layers.push(Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, Shape::Features(m)).unwrap()));
    }
    layers.pop();
    Network::new(Shape::Features(2), layers).unwrap()
}

fn build<T: Scalar>(seed: u64) -> Result<Network<T>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |count: usize, deviation: f64| -> Vec<T> {
        (0..count).map(|_| T::of(deviation * rng.sample::<f64, _>(StandardNormal))).collect()
    };
    let half = T::of(0.5);
    let image = Shape::image(2, 8, 8);
    let mut layers: Vec<Box<dyn Layer<T>>> = vec![
        Box::new(Normalize::new(image, vec![half; 2], vec![half; 2])?),
        Box::new(Reshape::space_to_depth(image, 2)?),
        Box::new(ActivationLayer::new::<T>(Activation::LeakyRelu { slope: 0.125 }, Shape::image(8, 4, 4))?),
    ];
    let image = Shape::image(8, 4, 4);
    let geometry =
        |mode, padding, stride, outputs| Geometry { input: image, outputs, kernel: (3, 3), stride, padding, mode };
    let convolution = Conv2d::new(geometry(PaddingMode::Circular, 1, 1, 8), draw(8 * 8 * 9, 0.1))?;
    let field =
        GradientField::new(Affine::new(convolution, Some(draw(8, 0.1)))?, Activation::LeakyRelu { slope: 0.5 })?;
    layers.push(Box::new(Flow::new(field, Tableau::euler(), Step::Relative(0.5), 2)?));
    let convolution = Conv2d::new(geometry(PaddingMode::Zeros, 1, 1, 8), draw(8 * 8 * 9, 0.1))?;
    let field = GradientField::new(Affine::new(convolution, Some(draw(8, 0.1)))?, Activation::Softplus {})?;
    layers.push(Box::new(Flow::new(field, Tableau::rk4(), Step::Relative(1.0), 1)?));
    layers.extend(family(&mut draw)?);
    let convolution = Conv2d::new(geometry(PaddingMode::Zeros, 1, 2, 6), draw(6 * 8 * 9, 0.2))?;
    layers.push(Box::new(AffineLayer::new(Affine::new(convolution, Some(draw(6, 0.1)))?)));
    layers.push(Box::new(Reshape::pad_channels(Shape::image(6, 2, 2), 7)?));
    layers.push(Box::new(AffineLayer::new(Affine::new(MeanPool::new(Shape::image(7, 2, 2), 2)?, None)?)));
    layers.push(Box::new(AffineLayer::new(Affine::new(MeanPool::global(Shape::image(7, 1, 1))?, None)?)));
    layers.push(Box::new(Reshape::flatten(Shape::Features(7))));
    let inner = Affine::new(Dense::new(5, 7, draw(35, 0.3))?, Some(draw(5, 0.1)))?;
    let outer = Affine::new(Dense::new(7, 5, draw(35, 0.3))?, Some(draw(7, 0.1)))?;
    let field = ResidualField::new(inner, Activation::Tanh {}, outer)?;
    layers.push(Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.25), 3)?));
    let contracting = Dense::new(7, 7, (0..49).map(|i| T::of(if i % 8 == 0 { 1.5 } else { 0.125 })).collect())?;
    let field = GradientField::new(Affine::new(contracting, None)?, Activation::LeakyRelu { slope: 0.75 })?;
    layers.push(Box::new(Flow::new(field, Tableau::heun(), Step::Fixed(0.125), 2)?));
    let short = Dense::new(3, 7, draw(21, 0.3))?;
    let field = GradientField::new(Affine::new(short, Some(draw(3, 0.1)))?, Activation::Relu {})?;
    layers.push(Box::new(Flow::new(field, Tableau::heun3(), Step::Fixed(0.125), 1)?));
    layers.push(Box::new(AffineLayer::new(Affine::new(Dense::new(4, 7, draw(28, 0.5))?, Some(draw(4, 0.1)))?)));
    // Sealing fixes the relative steps, so that the file holds them.
    let sealed = Network::new(Shape::image(2, 8, 8), layers)?.seal()?;
    let model = Model::new(sealed.network().input(), sealed.map().clone(), T::NAME)?;
    Ok(match Model::parse(&model.bytes()?)?.network()? {
        AnyNetwork::F32(network) => *(Box::new(network) as Box<dyn std::any::Any>).downcast().unwrap(),
        AnyNetwork::F64(network) => *(Box::new(network) as Box<dyn std::any::Any>).downcast().unwrap(),
    })
}

/// Windows, moves, scales, a convolution with groups and more functions, from images of 8 × 4 × 4 to the same.
fn family<T: Scalar>(draw: &mut impl FnMut(usize, f64) -> Vec<T>) -> Result<Vec<Box<dyn Layer<T>>>> {
    let image = Shape::image(8, 4, 4);
    let scale = Affine::new(Diagonal::new(image, draw(8, 0.2))?, Some(draw(8, 0.1)))?;
    let grouped = model::Conv2d {
        weight: Tensor::new(&[8, 4, 3, 1], &draw(96, 0.2)),
        bias: None,
        stride: Pair::one(),
        padding: Padding::Sides(Pair([2, 0])),
        dilation: Pair([2, 1]),
        groups: 2,
        padding_mode: PaddingMode::Zeros,
    };
    let grouped = Affine::new(Conv2d::described(&grouped, image)?, Some(draw(8, 0.1)))?;
    let around = Pooling { size: Pair([3, 3]), stride: Some(Pair::one()), padding: Pair::one() };
    let function =
        |function| -> Result<Box<dyn Layer<T>>> { Ok(Box::new(ActivationLayer::new::<T>(function, image)?)) };
    Ok(vec![
        Box::new(AffineLayer::new(scale)),
        Box::new(AffineLayer::new(grouped)),
        Box::new(Selection::sort(image, 2)?),
        Box::new(PartialActivation::new::<T>(Activation::Abs {}, [0, 4], image)?),
        Box::new(Reshape::shift(image, vec![(2, 1, 0), (2, 0, -1)], PaddingMode::Circular)?),
        Box::new(Reshape::mirror(image)?),
        Box::new(Householder::new(image, &model::Householder { vector: Tensor::new(&[2], &draw(2, 0.7)) })?),
        function(Activation::Gelu {})?,
        Box::new(Selection::new(image, Window::MaxPool(around))?),
        Box::new(Reshape::pad_channels(image, 9)?),
        Box::new(Reshape::first_channels(Shape::image(9, 4, 4), 8)?),
        function(Activation::Elu { alpha: 0.5 })?,
        Box::new(L2Pool::new(image, around)?),
        function(Activation::Silu {})?,
        Box::new(AffineLayer::new(Affine::new(MeanPool::windows(image, around)?, None)?)),
        Box::new(Implicit::new(pointwise(draw(64, 0.2))?, Tableau::radau_iia2(), 0.5, 1, None)?),
        Box::new(Equilibrium::new(pointwise(around_one(draw(64, 0.05)))?, None)?),
        function(Activation::Hardtanh { min: -0.5, max: 0.75 })?,
        function(Activation::Hardswish {})?,
        function(Activation::Mish {})?,
        function(Activation::GeluTanh {})?,
    ])
}

/// Entries of an 8 × 8 matrix, 1 added to those of the diagonal: its field contracts.
fn around_one<T: Scalar>(mut weights: Vec<T>) -> Vec<T> {
    weights.iter_mut().step_by(9).for_each(|w| *w += T::one());
    weights
}

/// A gradient field on images of 8 × 4 × 4 with a convolution of one point.
fn pointwise<T: Scalar>(weights: Vec<T>) -> Result<GradientField<T>> {
    let (input, mode) = (Shape::image(8, 4, 4), PaddingMode::Zeros);
    let geometry = Geometry { input, outputs: 8, kernel: (1, 1), stride: 1, padding: 0, mode };
    GradientField::new(Affine::new(Conv2d::new(geometry, weights)?, None)?, Activation::LeakyRelu { slope: 0.5 })
}

/// A network with a residual step, affine maps that are better together, a stack, and branches, its weights random.
pub fn runs<T: Scalar>(seed: u64) -> Network<T> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |n: usize| (0..n).map(|_| T::of(rng.random_range(-0.75..0.75))).collect::<Vec<T>>();
    let image = Shape::image(2, 4, 4);
    let geometry =
        Geometry { input: image, outputs: 3, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
    let function = Activation::LeakyRelu { slope: 0.01 };
    let map = |o, i, w| Affine::new(Dense::new(o, i, w).unwrap(), None).unwrap();
    let field = ResidualField::new(map(4, 6, draw(24)), function, map(6, 4, draw(24))).unwrap();
    let tanh = |n| Box::new(ActivationLayer::new::<T>(Activation::Tanh {}, Shape::Features(n)).unwrap());
    let branch = |layers: Vec<Box<dyn Layer<T>>>| Network::new(Shape::Features(6), layers).unwrap();
    let branches = vec![branch(vec![linear(Dense::new(6, 6, draw(36)).unwrap()), tanh(6)]), branch(vec![tanh(6)])];
    let layers: Vec<Box<dyn Layer<T>>> = vec![
        Box::new(Normalize::new(image, vec![T::of(0.5); 2], vec![T::of(0.3), T::of(1.5)]).unwrap()),
        linear(Conv2d::new(geometry, draw(3 * 2 * 9)).unwrap()),
        linear(MeanPool::new(Shape::image(3, 4, 4), 2).unwrap()),
        Box::new(Reshape::flatten(Shape::image(3, 2, 2))),
        tanh(12),
        linear(Dense::new(5, 12, draw(60)).unwrap()),
        Box::new(ActivationLayer::new::<T>(function, Shape::Features(5)).unwrap()),
        linear(Dense::new(6, 5, draw(30)).unwrap()),
        Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.25), 2).unwrap()),
        Box::new(Branches::mean(branches).unwrap()),
        linear(Dense::new(2, 6, draw(12)).unwrap()),
    ];
    Network::new(image, layers).unwrap()
}

fn linear<T: Scalar>(operator: impl Operator<T> + 'static) -> Box<dyn Layer<T>> {
    Box::new(AffineLayer::new(Affine::new(operator, None).unwrap()))
}

/// One dense layer.
pub fn dense_f32(outputs: usize, inputs: usize, weight: Vec<f32>) -> Network<f32> {
    let layer = AffineLayer::new(Affine::new(Dense::new(outputs, inputs, weight).unwrap(), None).unwrap());
    Network::new(Shape::Features(inputs), vec![Box::new(layer)]).unwrap()
}

/// The bytes of the model file of a network.
pub fn model_bytes<T: Scalar>(network: &Network<T>) -> Vec<u8> {
    Model::new(network.input(), network.describe(), T::NAME).unwrap().bytes().unwrap()
}

/// What this crate claims about the model in a file.
pub fn certificate_of(model: &Model) -> CertificateFile {
    try_certificate_of(model).unwrap()
}

/// The same, if it claims anything.
pub fn try_certificate_of(model: &Model) -> Result<CertificateFile> {
    tightened(model, 0)
}

/// The same, with stacks of up to `neurons` neurons certified as one.
pub fn tightened(model: &Model, neurons: usize) -> Result<CertificateFile> {
    let options = SealOptions::default();
    let new = |proof: &_| CertificateFile::new(proof, model, options.norm_proof, options.summation);
    Ok(match model.network()? {
        AnyNetwork::F32(network) => new(network.seal()?.tighten(neurons)?.certificate()),
        AnyNetwork::F64(network) => new(network.seal()?.tighten(neurons)?.certificate()),
    })
}

/// What is proved about a layer.
pub fn proof<T: Scalar>(layer: &dyn Layer<T>) -> Result<Certificate> {
    Prover::default().network(&layer.describe(), layer.input())
}

/// What is proved about a field.
pub fn field_claims<T: Scalar>(field: &dyn VectorField<T>) -> Result<Claims> {
    Ok(Prover::default().field(&field.describe(), field.shape())?.claims())
}

/// The norm that is proved of an operator.
pub fn norm<T: Scalar>(operator: &dyn Operator<T>) -> Result<Upper> {
    operator.norm().map(|norm| norm.bound)
}

/// A proved norm and how it was proved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProvedNorm {
    pub bound: Upper,
    pub method: NormMethod,
}

/// The norms of an operator, as the rules prove them.
pub trait Proved<T> {
    fn norm(&self) -> Result<ProvedNorm>;
    fn tight_norm(&self) -> Result<ProvedNorm>;
    fn smallest_singular_value(&self) -> Result<Lower>;
}

impl<T: Scalar, O: Operator<T> + ?Sized> Proved<T> for O {
    fn norm(&self) -> Result<ProvedNorm> {
        prove(self, NormProof::Torus)
    }

    fn tight_norm(&self) -> Result<ProvedNorm> {
        prove(self, NormProof::Tight)
    }

    fn smallest_singular_value(&self) -> Result<Lower> {
        let claims = Prover::default().operator(&self.describe(), self.input(), true)?.0;
        Ok(claims.inverse.expect("it was asked for"))
    }
}

fn prove<T: Scalar, O: Operator<T> + ?Sized>(operator: &O, norms: NormProof) -> Result<ProvedNorm> {
    match Prover::new(norms).operator(&operator.describe(), operator.input(), false)? {
        (claims, Evidence::Norm(method)) => Ok(ProvedNorm { bound: claims.bound, method }),
        (_, evidence) => panic!("{evidence:?} is no evidence of a norm"),
    }
}

/// The rule behind one step of a flow.
pub fn step_rule(flow: &Certificate) -> Rule {
    flow.premises()[0].rule()
}
