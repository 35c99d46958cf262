//! Small networks of every kind, random or trained.

use dahlquist::{
    Network, Result,
    activation::Activation,
    data::Dataset,
    field::{GradientField, ResidualField},
    integrate::Tableau,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::{Batch, Shape},
    train::{MarginCrossEntropy, OneCycle, Optimiser, Recipe, train},
};
use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Every explicit method, some of the family with any number of stages among them.
const METHODS: [&str; 15] = [
    "euler",
    "heun",
    "ralston2",
    "ralston3",
    "kutta3",
    "ssprk33",
    "rk4",
    "three_eighths",
    "ssprk32",
    "ssprk43",
    "ssprk52",
    "ssprk102",
    "midpoint",
    "heun3",
    "dopri5",
];

/// The kinds of networks. Radii of linear ones are sharp, so that an error of rounding that is not charged shows.
pub const KINDS: [&str; 7] = [
    "dense",
    "convolutional",
    "dense flow",
    "convolutional flow",
    "residual flow",
    "normalised, space to depth",
    "linear",
];

/// An affine map, as data.
pub struct Map<T> {
    kind: Linear,
    pub weight: Vec<T>,
    pub bias: Option<Vec<T>>,
}

pub enum Linear {
    Dense(usize, usize),
    Conv(Geometry),
    Pool(Shape, Option<usize>),
}

impl<T: Scalar> Map<T> {
    pub fn affine(&self) -> Result<Affine<T>> {
        match self.kind {
            Linear::Dense(m, n) => Affine::new(Dense::new(m, n, self.weight.clone())?, self.bias.clone()),
            Linear::Conv(geometry) => Affine::new(Conv2d::new(geometry, self.weight.clone())?, self.bias.clone()),
            Linear::Pool(input, Some(size)) => Affine::new(MeanPool::new(input, size)?, None),
            Linear::Pool(input, None) => Affine::new(MeanPool::global(input)?, None),
        }
    }
}

/// A layer, as data.
pub enum Part<T> {
    Affine(Map<T>),
    Activation(Activation),
    Gradient {
        map: Map<T>,
        activation: Activation,
        method: &'static str,
        step: Step,
        steps: usize,
    },
    Residual {
        inner: Map<T>,
        activation: Activation,
        outer: Map<T>,
        method: &'static str,
        step: f64,
    },
    /// `(x − mean)·2ᵏ`, so that its numbers are exact.
    Normalize {
        mean: Vec<T>,
        exponent: i32,
    },
    PadChannels(usize),
    SpaceToDepth(usize),
    Flatten,
}

impl<T: Scalar> Part<T> {
    pub fn layer(&self, input: Shape) -> Result<Box<dyn Layer<T>>> {
        Ok(match self {
            Self::Affine(map) => Box::new(AffineLayer::new(map.affine()?)),
            Self::Activation(a) => Box::new(ActivationLayer::new::<T>(*a, input)?),
            Self::Gradient { map, activation, method, step, steps } => {
                let field = GradientField::new(map.affine()?, *activation)?;
                Box::new(Flow::new(field, Tableau::by_name(method)?, *step, *steps)?)
            }
            Self::Residual { inner, activation, outer, method, step } => {
                let field = ResidualField::new(inner.affine()?, *activation, outer.affine()?)?;
                Box::new(Flow::new(field, Tableau::by_name(method)?, Step::Fixed(*step), 1)?)
            }
            Self::Normalize { mean, exponent } => {
                let std = vec![T::of(2f64.powi(-exponent)); mean.len()];
                Box::new(Normalize::new(input, mean.clone(), std)?)
            }
            Self::PadChannels(channels) => Box::new(Reshape::pad_channels(input, *channels)?),
            Self::SpaceToDepth(block) => Box::new(Reshape::space_to_depth(input, *block)?),
            Self::Flatten => Box::new(Reshape::flatten(input)),
        })
    }

    /// The maps with weights.
    fn maps(&mut self) -> Vec<&mut Map<T>> {
        match self {
            Self::Affine(map) | Self::Gradient { map, .. } => vec![map],
            Self::Residual { inner, outer, .. } => vec![inner, outer],
            _ => Vec::new(),
        }
    }
}

/// A network, as data.
pub struct Subject<T> {
    pub input: Shape,
    /// Samples are in `[0, 1]` times this power of two.
    pub exponent: i32,
    pub parts: Vec<Part<T>>,
}

/// Draws layers that fit each other.
struct Draw<'a, T> {
    rng: &'a mut ChaCha8Rng,
    shape: Shape,
    parts: Vec<Part<T>>,
}

impl<T: Scalar> Draw<'_, T> {
    fn normal(&mut self, n: usize, scale: f64) -> Vec<T> {
        (0..n).map(|_| T::of(scale * self.rng.sample::<f64, _>(StandardNormal))).collect()
    }

    fn activation(&mut self) -> Activation {
        let slopes = [0.1, 2.0].map(|slope| Activation::LeakyRelu { slope });
        *[Activation::Relu {}, Activation::Relu {}, slopes[0], slopes[1]]
            .choose(self.rng)
            .unwrap_or(&Activation::Relu {})
    }

    fn map(&mut self, kind: Linear) -> Map<T> {
        let (terms, count, units) = match &kind {
            Linear::Dense(m, n) => (*n, m * n, *m),
            Linear::Conv(g) => {
                let channels = if let Shape::Image { channels, .. } = g.input { channels } else { 1 };
                let terms = channels * g.kernel.0 * g.kernel.1;
                (terms, terms * g.outputs, g.outputs)
            }
            Linear::Pool(..) => return Map { kind, weight: Vec::new(), bias: None },
        };
        let gain = 2f64.powf(self.rng.random_range(-1.0..1.5));
        let weight = self.normal(count, gain / (terms as f64).sqrt());
        let bias = self.rng.random_bool(0.7).then(|| self.normal(units, 0.3));
        Map { kind, weight, bias }
    }

    fn dense(&mut self, outputs: usize) -> Map<T> {
        self.map(Linear::Dense(outputs, self.shape.len()))
    }

    fn conv(&mut self, outputs: usize, stride: usize) -> Map<T> {
        let mode = if self.rng.random_bool(0.5) { PaddingMode::Zeros } else { PaddingMode::Circular };
        let mode = if stride == 1 { mode } else { PaddingMode::Zeros };
        self.map(Linear::Conv(Geometry { input: self.shape, outputs, kernel: (3, 3), stride, padding: 1, mode }))
    }

    fn push(&mut self, part: Part<T>) -> Result<()> {
        self.shape = part.layer(self.shape)?.output();
        self.parts.push(part);
        Ok(())
    }

    fn flow(&mut self, convolutional: bool) -> Result<()> {
        let units = self.rng.random_range(2..=self.shape.len().min(8));
        let channels = if let Shape::Image { channels, .. } = self.shape { channels } else { 1 };
        let map = if convolutional { self.conv(channels, 1) } else { self.dense(units) };
        let method = *METHODS.choose(self.rng).unwrap_or(&"euler");
        // Without a radius of contractivity there is no relative step.
        let relative = self.rng.random_bool(0.8) && !["midpoint", "heun3", "dopri5"].contains(&method);
        let length = self.rng.random_range(0.1..=1.0);
        let step = if relative { Step::Relative(length) } else { Step::Fixed(T::of(0.3 * length).wide()) };
        let (activation, steps) = (self.activation(), self.rng.random_range(1..=2));
        self.push(Part::Gradient { map, activation, method, step, steps })
    }

    fn affine(&mut self, map: Map<T>) -> Result<()> {
        self.push(Part::Affine(map))?;
        let activation = self.activation();
        self.push(Part::Activation(activation))
    }

    fn head(&mut self) -> Result<()> {
        let classes = self.rng.random_range(2..=5);
        let mut map = self.dense(classes);
        if self.parts.is_empty() {
            // One large number in all logits costs digits of their differences.
            let offset = T::of(2f64.powi(self.rng.random_range(0..10)));
            map.bias.iter_mut().flatten().for_each(|b| *b += offset);
        }
        self.push(Part::Affine(map))
    }
}

impl<T: Scalar> Subject<T> {
    /// A network of one of the [`KINDS`].
    ///
    /// # Errors
    /// If the layers do not fit, which they do.
    pub fn random(kind: usize, rng: &mut ChaCha8Rng) -> Result<Self> {
        let side = rng.random_range(4..=5);
        let input = match kind {
            1 | 3 => Shape::image(rng.random_range(1..=2), side, side),
            5 => Shape::image(rng.random_range(1..=2), 4, 4),
            _ => Shape::Features(rng.random_range(2..=10)),
        };
        let mut draw = Draw { rng, shape: input, parts: Vec::new() };
        match kind {
            0 => {
                for _ in 0..draw.rng.random_range(1..=3) {
                    let units = draw.rng.random_range(2..=12);
                    let map = draw.dense(units);
                    draw.affine(map)?;
                }
            }
            1 => {
                let map = draw.conv(2, 1);
                draw.affine(map)?;
                let map = draw.conv(3, 2);
                draw.affine(map)?;
                let size = draw.rng.random_bool(0.5).then_some(1);
                draw.push(Part::Affine(Map { kind: Linear::Pool(draw.shape, size), weight: Vec::new(), bias: None }))?;
                draw.push(Part::Flatten)?;
            }
            2 => {
                let units = draw.rng.random_range(3..=8);
                let lift = draw.dense(units);
                draw.push(Part::Affine(lift))?;
                (0..draw.rng.random_range(1..=2)).try_for_each(|_| draw.flow(false))?;
            }
            3 => {
                draw.push(Part::PadChannels(2))?;
                draw.flow(true)?;
                let size = if side == 4 { Some(2) } else { None };
                draw.push(Part::Affine(Map { kind: Linear::Pool(draw.shape, size), weight: Vec::new(), bias: None }))?;
                draw.push(Part::Flatten)?;
            }
            4 => {
                let n = draw.shape.len();
                let inner = draw.dense(n + 1);
                let outer = draw.map(Linear::Dense(n, n + 1));
                let (activation, step) = (draw.activation(), T::of(draw.rng.random_range(0.05..0.5)).wide());
                // Of fields without structure, methods that combine Euler steps are certified.
                let methods = ["euler", "euler", "heun", "ssprk33", "ssprk32", "ssprk43"];
                let method = *methods.choose(draw.rng).unwrap_or(&"euler");
                draw.push(Part::Residual { inner, activation, outer, method, step })?;
            }
            5 => {
                let Shape::Image { channels, .. } = input else { unreachable!("an image") };
                let (mean, exponent) = (draw.normal(channels, 0.5), draw.rng.random_range(-1..=2));
                draw.push(Part::Normalize { mean, exponent })?;
                draw.push(Part::SpaceToDepth(2))?;
                draw.push(Part::Flatten)?;
                draw.flow(false)?;
            }
            _ => {}
        }
        draw.head()?;
        Ok(Self { input, exponent: 0, parts: draw.parts })
    }

    /// The network.
    ///
    /// # Errors
    /// If a part is refused.
    pub fn network(&self) -> Result<Network<T>> {
        let mut shape = self.input;
        let mut layers = Vec::new();
        for part in &self.parts {
            let layer = part.layer(shape)?;
            shape = layer.output();
            layers.push(layer);
        }
        Network::new(self.input, layers)
    }

    /// Samples in `[0, 1]` times a power of two.
    pub fn samples<S: Scalar>(&self, count: usize, rng: &mut ChaCha8Rng) -> Batch<S> {
        let mut x = samples::<S>(self.input, count, rng);
        x.data_mut().iter_mut().for_each(|x| *x = S::of(libm::scalbn(x.wide(), self.exponent)));
        x
    }

    /// Trains the network on classes that a random linear map tells apart.
    ///
    /// # Errors
    /// If training fails.
    pub fn train(&mut self, rng: &mut ChaCha8Rng) -> Result<()> {
        let mut network = self.network()?;
        let (classes, n) = (network.output().len(), self.input.len());
        let teacher: Vec<f64> = (0..classes * n).map(|_| rng.sample(StandardNormal)).collect();
        let x = samples::<T>(self.input, 512, rng);
        let label = |s: usize| {
            let score =
                |k: usize| teacher[k * n..][..n].iter().zip(x.sample(s)).map(|(w, x)| w * (x.wide() - 0.5)).sum();
            let scores: Vec<f64> = (0..classes).map(score).collect();
            (0..classes).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or(0)
        };
        let labels = (0..x.samples()).map(label).collect();
        let data = Dataset::from_samples(&x, labels, (0..classes).map(|k| k.to_string()).collect())?;
        let recipe = Recipe {
            epochs: 10,
            batch: 32,
            optimiser: Optimiser::ADAM,
            schedule: OneCycle { peak: 0.02, rise: 0.3 },
            loss: MarginCrossEntropy { temperature: 0.25, offset: 0.1 },
            flip: false,
            crop: 0,
            seed: rng.random(),
        };
        train(&mut network, &data, &recipe, |_| ())?;
        for (part, layer) in self.parts.iter_mut().zip(network.layers()) {
            let mut trained = layer.parameters().into_iter();
            for map in part.maps() {
                for slot in [Some(&mut map.weight), map.bias.as_mut()].into_iter().flatten().filter(|s| !s.is_empty()) {
                    slot.copy_from_slice(trained.next().unwrap_or(&[]));
                }
            }
        }
        Ok(())
    }
}

/// Samples in `[0, 1]`.
fn samples<T: Scalar>(shape: Shape, count: usize, rng: &mut ChaCha8Rng) -> Batch<T> {
    let data = (0..count * shape.len()).map(|_| T::of(rng.random())).collect();
    Batch::new(shape, data).expect("finite numbers")
}
