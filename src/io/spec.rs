//! The architecture of a network as it is written in a model file.

use serde::{Deserialize, Serialize};

use crate::{activation::Activation, rigor::torus::PaddingMode, tensor::Shape};

/// The value of `format` in every model file.
pub(super) const FORMAT: &str = "dahlquist-model";
/// The version of the format that this crate writes and reads.
pub(super) const VERSION: u32 = 1;

/// A network: the shape of its input and its layers in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// `"dahlquist-model"`.
    pub format: String,
    /// 1.
    pub version: u32,
    /// `[features]` or `[channels, height, width]`.
    pub input: Shape,
    /// The layers.
    pub layers: Vec<LayerSpec>,
}

/// One layer. Tensors are named; their numbers are in the same file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum LayerSpec {
    /// `(x − mean)/std` by channel.
    Normalize {
        /// One mean for each channel.
        mean: Vec<f64>,
        /// One positive standard deviation for each channel.
        std: Vec<f64>,
    },
    /// A matrix with a bias or none.
    Dense(DenseSpec),
    /// A convolution with a bias or none.
    Conv2d(Conv2dSpec),
    /// Mean pooling over `size × size` windows with stride `size`.
    AvgPool {
        /// The side of a window.
        size: usize,
    },
    /// The mean of each channel, as a vector.
    GlobalAvgPool {},
    /// An image as a vector.
    Flatten {},
    /// Channels of zeros appended.
    PadChannels {
        /// The number of channels afterwards.
        channels: usize,
    },
    /// Blocks of points as channels, as PyTorch's `pixel_unshuffle`.
    SpaceToDepth {
        /// The side of a block.
        block: usize,
    },
    /// A function of every coordinate.
    Activation(Activation),
    /// A vector field, integrated.
    Flow(FlowSpec),
}

/// A matrix, `out × in`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseSpec {
    /// The name of the tensor of the weights.
    pub weight: String,
    /// The name of the tensor of the biases.
    #[serde(default)]
    pub bias: Option<String>,
}

/// A convolution, `out × in × kernel height × kernel width`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2dSpec {
    /// The name of the tensor of the weights.
    pub weight: String,
    /// The name of the tensor of the biases.
    #[serde(default)]
    pub bias: Option<String>,
    /// The stride of both axes; 1 if absent.
    #[serde(default = "one")]
    pub stride: usize,
    /// The padding of every side; 0 if absent.
    #[serde(default)]
    pub padding: usize,
    /// What lies beyond the border; zeros if absent.
    #[serde(default)]
    pub padding_mode: PaddingMode,
}

fn one() -> usize {
    1
}

/// A flow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowSpec {
    /// The name of the Runge–Kutta method.
    pub method: String,
    /// The length `h` of a step.
    pub step: f64,
    /// The number of steps.
    pub steps: usize,
    /// The vector field.
    pub field: FieldSpec,
}

/// A vector field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum FieldSpec {
    /// `−Wᵀσ(Wx + b)`.
    Gradient {
        /// `σ`.
        activation: Activation,
        /// `W` and `b`.
        operator: OperatorSpec,
    },
    /// `Vσ(Wx + b) + c`.
    Residual {
        /// `σ`.
        activation: Activation,
        /// `W` and `b`.
        inner: OperatorSpec,
        /// `V` and `c`.
        outer: OperatorSpec,
    },
}

/// A linear operator, with a bias where it has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum OperatorSpec {
    /// A matrix.
    Dense(DenseSpec),
    /// A convolution.
    Conv2d(Conv2dSpec),
    /// Mean pooling.
    AvgPool {
        /// The side of a window.
        size: usize,
    },
    /// The mean of each channel.
    GlobalAvgPool {},
}

impl OperatorSpec {
    /// The same operator with the name of its bias.
    #[must_use]
    pub fn with_bias(mut self, name: Option<String>) -> Self {
        match &mut self {
            Self::Dense(DenseSpec { bias, .. }) | Self::Conv2d(Conv2dSpec { bias, .. }) => *bias = name,
            Self::AvgPool { .. } | Self::GlobalAvgPool {} => {}
        }
        self
    }
}

impl From<OperatorSpec> for LayerSpec {
    fn from(spec: OperatorSpec) -> Self {
        match spec {
            OperatorSpec::Dense(spec) => Self::Dense(spec),
            OperatorSpec::Conv2d(spec) => Self::Conv2d(spec),
            OperatorSpec::AvgPool { size } => Self::AvgPool { size },
            OperatorSpec::GlobalAvgPool {} => Self::GlobalAvgPool {},
        }
    }
}
