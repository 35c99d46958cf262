//! Draws networks of every kind at random.

use dahlquist::{
    Result,
    activation::Activation,
    integrate::Tableau,
    laws::strategies,
    layer::{Flow, Layer, Selection, Step},
    model,
    operator::Geometry,
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::Shape,
};
use dahlquist_testkit::{described, oracle::Num};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

use crate::{
    interval::Interval,
    subject::{Linear, Map, Part, Subject},
};

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
pub const KINDS: [&str; 14] = [
    "dense",
    "convolutional",
    "dense flow",
    "convolutional flow",
    "residual flow",
    "normalised, space to depth",
    "linear",
    "flow of a field of the family",
    "split steps",
    "weights that depend on time",
    "sorting and largest numbers",
    "skip connections",
    "reflections, alternations, graphs, parts",
    "equations that are solved",
];

/// Returns whether a map has a value in the numbers of the references: what is solved for has none.
pub fn has_reference(map: &model::Map, input: Shape) -> bool {
    described::value(map, input, &vec![Interval::of(0.0); input.len()]).is_some()
}

/// Draws layers that fit each other.
struct Draw<'a, T> {
    rng: &'a mut ChaCha8Rng,
    input: Shape,
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

    /// Draws a layer, and begins the network with it.
    fn begin<L: Layer<T>>(&mut self, layers: impl Strategy<Value = L>) -> Result<()> {
        self.begin_if(layers, |_, _| true)
    }

    /// As [`Self::begin`], with a layer that has a value in the numbers of the references.
    fn described<L: Layer<T>>(&mut self, layers: impl Strategy<Value = L>) -> Result<()> {
        self.begin_if(layers, has_reference)
    }

    fn begin_if<L: Layer<T>>(
        &mut self,
        layers: impl Strategy<Value = L>,
        wanted: impl Fn(&model::Map, Shape) -> bool,
    ) -> Result<()> {
        let mut runner = TestRunner::new_with_rng(
            Config::default(),
            TestRng::from_seed(RngAlgorithm::ChaCha, &self.rng.random::<[u8; 32]>()),
        );
        let (shape, map) = loop {
            let layer = layers.new_tree(&mut runner).expect("a layer").current();
            let (shape, map) = (layer.input(), layer.describe());
            if wanted(&map, shape) {
                break (shape, map);
            }
        };
        (self.input, self.shape) = (shape, shape);
        self.push(Part::Described(Box::new(map)))?;
        if matches!(self.shape, Shape::Image { .. }) { self.push(Part::Flatten) } else { Ok(()) }
    }

    /// The sum or the mean of the identity and of another branch, as data.
    fn skip(&mut self) -> Result<()> {
        let n = self.shape.len();
        let (inner, outer) = (self.dense(n + 1), self.map(Linear::Dense(n, n + 1)));
        let linear = |map: &Map<T>| Ok(model::Map::Linear(map.affine()?.describe()));
        let function = self.activation().in_format::<T>()?;
        let branch = vec![linear(&inner)?, model::Map::Activation(function), linear(&outer)?];
        let branches = vec![model::Map::Chain(Vec::new()), model::Map::Chain(branch)];
        let sum = self.rng.random_bool(0.5);
        let map = if sum { model::Map::Sum(branches) } else { model::Map::Mean(branches) };
        self.push(Part::Described(Box::new(map)))
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
        let mut draw = Draw { rng, input, shape: input, parts: Vec::new() };
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
            7 if draw.rng.random_bool(0.5) => draw.described(strategies::steep_structured_flow::<T>())?,
            7 => draw.described(strategies::structured_flow::<T>())?,
            8 => draw.described(strategies::steep_splitting::<T>())?,
            9 => draw.described(strategies::varying_gradient_flow::<T>())?,
            10 => draw.described::<Selection>(strategies::selection())?,
            11 => (0..2).try_for_each(|_| draw.skip())?,
            12 => match draw.rng.random_range(0..4) {
                0 => draw.described(strategies::householder::<T>())?,
                1 => draw.described(strategies::alternation::<T>())?,
                2 => draw.described(strategies::partial_activation::<T>())?,
                _ => draw.described(strategies::graph_diffusion::<T>().prop_filter_map("refused", |field| {
                    Flow::new(field, Tableau::by_name("heun").ok()?, Step::Relative(1.0), 2).ok()
                }))?,
            },
            13 if draw.rng.random_bool(0.5) => draw.begin(strategies::implicit_flow::<T>())?,
            13 => draw.begin(strategies::equilibrium::<T>())?,
            _ => {}
        }
        draw.head()?;
        Ok(Self { input: draw.input, exponent: 0, parts: draw.parts })
    }
}
