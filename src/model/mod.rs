//! A network as data: a tree of maps in plain numbers.
//!
//! A [`Map`] says what a layer computes, and nothing about how. Every layer describes itself as one
//! ([`crate::layer::Layer::describe`]); files hold one ([`mod@file`]); rules prove bounds of one ([`crate::rules`]); and
//! nothing else is needed to check a certificate. The tree is generic over its weights: numbers in memory, [`Tensor`],
//! or names of tensors in a file.
//!
//! A tree knows no shapes but those of its tensors. The shape of the input is given from outside, and every other
//! follows from it: [`Map::output`].

mod conv2d;
mod equilibrium;
mod exponential;
mod field;
pub mod file;
mod flow;
mod forms;
pub(crate) mod graph;
mod half;
mod json;
mod method;
mod numbers;
mod pooling;
mod shapes;
mod stored;
mod tensor;
mod traverse;

use serde::{Deserialize, Serialize};

pub use equilibrium::Equilibrium;
pub use field::{Field, Form, Part as FieldPart, Potential};
pub use file::Model;
pub(crate) use flow::length;
pub use flow::{Flow, Step};
pub use forms::Trained;
pub use json::kinds;
pub use method::{Fractions, Method, SplitMethod};
pub use numbers::{Padding, Pair};
pub use pooling::Pooling;
pub(crate) use shapes::units;
pub use tensor::Tensor;
pub(crate) use traverse::join;

use crate::{activation::Activation, rigor::torus::PaddingMode, tensor::Shape};

/// A map between spaces of samples.
#[derive(Debug, Clone, PartialEq)]
pub enum Map<W = Tensor> {
    /// `x ↦ Wx + b`.
    Linear(Linear<W>),
    /// A function of every coordinate.
    Activation(Activation),
    /// A function of the coordinates of some channels of an image, or of some features; the others stay as they are.
    Partial(Partial),
    /// A nonlinear map of windows of coordinates, each by itself.
    Window(Window),
    /// Reflections of groups of channels: [`Householder`].
    Householder(Householder<W>),
    /// A vector field, integrated.
    Flow(Flow<W>),
    /// Where a pushed field comes to rest: [`Equilibrium`].
    Equilibrium(Equilibrium<W>),
    /// Maps one after the other; the identity if there are none.
    Chain(Vec<Map<W>>),
    /// `x ↦ Σᵢ fᵢ(x)`: a skip connection is the sum of an empty chain and a branch.
    Sum(Vec<Map<W>>),
    /// `x ↦ (1/n) Σᵢ fᵢ(x)`.
    Mean(Vec<Map<W>>),
    /// A layer from outside this crate that is none of the above. Nothing is known of it but what its author asserts.
    Opaque(Opaque),
}

/// A function of the coordinates of some channels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Partial {
    /// The function.
    pub function: Activation,
    /// The first of the channels, or of the features, and the one behind the last.
    pub channels: [usize; 2],
}

/// A nonlinear map of windows of coordinates: each number that comes out is a function of one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Window {
    /// Groups of channels that follow each other, or of features, sorted in ascending order at each point: GroupSort, and
    /// for groups of two MaxMin.
    Sort {
        /// The number of channels of a group; it divides the number of channels.
        group: usize,
    },
    /// The largest number of each window of each channel. Points beyond the border are none.
    MaxPool(Pooling),
    /// The Euclidean norm of each window of each channel. Points beyond the border are zeros.
    L2Pool(Pooling),
}

/// `z ↦ z` if `vᵀz > 0`, else `z − 2v(vᵀz)`, of each group `z` of channels that follow each other, or of features, at each
/// point: for `‖v‖ = 1` what lies behind the mirror orthogonal to `v` is reflected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Householder<W = Tensor> {
    /// `v`: one vector for all groups, or a matrix with one row for each group. The groups are as long as it is.
    pub vector: W,
}

/// An affine map `x ↦ Wx + b`; without a bias, or with one that is absent, a linear one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Linear<W = Tensor> {
    /// `(x − mean)/std`, one of each for each channel of an image or each feature of a vector.
    Normalize {
        /// The means.
        mean: Vec<f64>,
        /// The standard deviations, positive.
        std: Vec<f64>,
    },
    /// A matrix, `out × in`.
    Dense {
        /// The entries.
        weight: W,
        /// One number for each row.
        #[serde(default = "none")]
        bias: Option<W>,
    },
    /// A convolution, as deep learning means it, with weights `out × in/groups × kernel height × kernel width`.
    Conv2d(Conv2d<W>),
    /// The means of windows, points beyond the border counting as zeros; what is left over at the lower and right border is
    /// dropped.
    AvgPool(Pooling),
    /// The mean of each channel, as a vector.
    GlobalAvgPool {},
    /// An image as a vector, in the order in which it is stored.
    Flatten {},
    /// Channels of zeros appended.
    PadChannels {
        /// The number of channels afterwards.
        channels: usize,
    },
    /// Blocks of points as channels, in the order of PyTorch's `pixel_unshuffle`.
    SpaceToDepth {
        /// The side of a block.
        block: usize,
    },
    /// `x ↦ s_c x + t_c`, with one scale and one shift for each channel `c` of an image, or each feature: a batch
    /// normalization in evaluation.
    ChannelAffine {
        /// The scales `s`.
        scale: W,
        /// The shifts `t`.
        #[serde(default = "none")]
        shift: Option<W>,
    },
    /// The first channels of an image, or the first features.
    FirstChannels {
        /// How many.
        channels: usize,
    },
    /// Each group of channels of an image moved down by some rows and to the right by some columns: `(channels, rows,
    /// columns)`. Channels behind the last group stay where they are.
    Shift {
        /// The groups, in order.
        groups: Vec<(usize, isize, isize)>,
        /// What comes in from beyond the border.
        #[serde(default)]
        mode: PaddingMode,
    },
    /// An image with its columns in the opposite order.
    Mirror {},
    /// Differences along the edges of a graph whose nodes are the points of an image, row by row, with the channels mixed by
    /// a matrix: `y_{oe} = Σ_c K_{oc}(x_{cv} − x_{cu}) + b_o` for the edge `e = (u, v)`, as one row of points. The gradient field of it is
    /// diffusion on the graph.
    GraphGradient {
        /// `K`.
        weight: W,
        /// One number for each row of it.
        #[serde(default = "none")]
        bias: Option<W>,
        /// The edges: pairs of different points, counted from 0.
        edges: Vec<(usize, usize)>,
    },
}

/// A two-dimensional convolution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d<W = Tensor> {
    /// The weights, `out × in/groups × kernel height × kernel width`.
    pub weight: W,
    /// One number for each output channel.
    #[serde(default = "none")]
    pub bias: Option<W>,
    /// The vertical and the horizontal stride.
    #[serde(default = "Pair::one")]
    pub stride: Pair,
    /// The padding above and below, and left and right.
    #[serde(default)]
    pub padding: Padding,
    /// The distance of the points that neighbouring taps read.
    #[serde(default = "Pair::one")]
    pub dilation: Pair,
    /// The number of groups of channels that do not mix.
    #[serde(default = "one")]
    pub groups: usize,
    /// What lies beyond the border.
    #[serde(default)]
    pub padding_mode: PaddingMode,
}

fn one() -> usize {
    1
}

// Without this, serde would take an absent bias of a generic type for an error.
fn none<W>() -> Option<W> {
    None
}

/// What a layer or a field from outside this crate says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Opaque {
    /// What it is.
    pub kind: String,
    /// The shape of what goes in.
    pub input: Shape,
    /// The shape of what comes out.
    pub output: Shape,
    /// The Lipschitz constant that its author asserts.
    pub lipschitz: f64,
}

impl<W> Map<W> {
    /// Returns the maps that follow each other: those of a chain, else the map alone.
    pub fn layers(&self) -> &[Map<W>] {
        match self {
            Self::Chain(layers) => layers,
            layer => std::slice::from_ref(layer),
        }
    }

    /// Returns the affine map that margins are measured on: the last layer, if it mixes coordinates.
    ///
    /// Normalisation and reorderings are features, not heads.
    pub fn head(&self) -> Option<&Linear<W>> {
        match self.layers().last()? {
            Self::Linear(
                head @ (Linear::Dense { .. } | Linear::Conv2d(_) | Linear::AvgPool(_) | Linear::GlobalAvgPool {}),
            ) => Some(head),
            _ => None,
        }
    }

    /// Returns whether equations are solved in it: its program returns NaN for a sample for which that does not
    /// succeed.
    pub fn solves(&self) -> bool {
        match self {
            Self::Chain(maps) | Self::Sum(maps) | Self::Mean(maps) => maps.iter().any(Self::solves),
            Self::Flow(flow) => flow.method.tableau().is_ok_and(|tableau| !tableau.is_explicit()),
            Self::Equilibrium(_) => true,
            _ => false,
        }
    }

    /// Returns the name of the kind of map, as in files.
    pub fn kind(&self) -> &str {
        match self {
            Self::Linear(linear) => linear.kind(),
            Self::Activation(_) | Self::Partial(_) => "activation",
            Self::Window(window) => window.kind(),
            Self::Householder(_) => "householder",
            Self::Flow(_) => "flow",
            Self::Equilibrium(_) => "equilibrium",
            Self::Chain(_) => "chain",
            Self::Sum(_) => "sum",
            Self::Mean(_) => "mean",
            Self::Opaque(opaque) => &opaque.kind,
        }
    }
}

impl Window {
    /// Returns the name of the kind of map, as in files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sort { .. } => "sort",
            Self::MaxPool(_) => "max_pool",
            Self::L2Pool(_) => "l2_pool",
        }
    }
}

impl<W> Linear<W> {
    /// Returns the name of the kind of map, as in files.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Normalize { .. } => "normalize",
            Self::Dense { .. } => "dense",
            Self::Conv2d(_) => "conv2d",
            Self::AvgPool(_) => "avg_pool",
            Self::GlobalAvgPool {} => "global_avg_pool",
            Self::Flatten {} => "flatten",
            Self::PadChannels { .. } => "pad_channels",
            Self::SpaceToDepth { .. } => "space_to_depth",
            Self::ChannelAffine { .. } => "channel_affine",
            Self::FirstChannels { .. } => "first_channels",
            Self::Shift { .. } => "shift",
            Self::Mirror {} => "mirror",
            Self::GraphGradient { .. } => "graph_gradient",
        }
    }

    /// Returns the same map with a bias, where the map can have one.
    #[must_use]
    pub fn with_bias(mut self, b: Option<W>) -> Self {
        match &mut self {
            Self::Dense { bias, .. }
            | Self::Conv2d(Conv2d { bias, .. })
            | Self::ChannelAffine { shift: bias, .. }
            | Self::GraphGradient { bias, .. } => *bias = b,
            _ => {}
        }
        self
    }

    /// Returns whether the map can have a bias: of any other, [`Self::with_bias`] forgets it.
    pub(crate) fn takes_bias(&self) -> bool {
        matches!(self, Self::Dense { .. } | Self::Conv2d(_) | Self::ChannelAffine { .. } | Self::GraphGradient { .. })
    }
}
