//! The shapes of samples. What is wrong with one is said in [`crate::error`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::block::blocks;

/// The shape of one sample: a vector of features, or an image of channels × height × width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<usize>", into = "Vec<usize>")]
pub enum Shape {
    /// A vector of features, by their number.
    Features(usize),
    /// An image, stored channel by channel, each in row-major order.
    Image {
        /// The number of channels.
        channels: usize,
        /// The number of rows.
        height: usize,
        /// The number of columns.
        width: usize,
    },
}

impl Shape {
    /// Creates an image of `channels` × `height` × `width`.
    pub const fn image(channels: usize, height: usize, width: usize) -> Self {
        Self::Image { channels, height, width }
    }

    /// Returns the number of scalars in one sample, or the largest number there is if that is smaller.
    #[expect(clippy::len_without_is_empty, reason = "constructors refuse sizes of zero")]
    pub const fn len(self) -> usize {
        match self {
            Self::Features(n) => n,
            Self::Image { channels, height, width } => channels.saturating_mul(height).saturating_mul(width),
        }
    }

    /// Returns the number of points of one channel; features are channels of one point.
    pub(crate) const fn points(self) -> usize {
        match self {
            Self::Features(_) => 1,
            Self::Image { height, width, .. } => height.saturating_mul(width),
        }
    }

    /// Returns the number of blocks of sixteen channels of one sample.
    pub(crate) const fn blocks(self) -> usize {
        blocks(self.len() / self.points()) * self.points()
    }

    /// Returns the shape with the given sizes: `[features]`, or `[channels, height, width]`.
    ///
    /// # Errors
    /// What is required of the sizes.
    pub(crate) fn from_sizes(sizes: &[usize]) -> Result<Self, &'static str> {
        if sizes.contains(&0) {
            return Err("every size must be at least 1");
        }
        if sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(s)).is_none_or(|n| n > 1 << 32) {
            return Err("a sample may hold at most 2³² numbers");
        }
        match *sizes {
            [features] => Ok(Self::Features(features)),
            [channels, height, width] => Ok(Self::image(channels, height, width)),
            _ => Err("a shape is [features] or [channels, height, width]"),
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Features(n) => write!(f, "{n}"),
            Self::Image { channels, height, width } => write!(f, "{channels}×{height}×{width}"),
        }
    }
}

impl From<Shape> for Vec<usize> {
    fn from(shape: Shape) -> Self {
        match shape {
            Shape::Features(n) => vec![n],
            Shape::Image { channels, height, width } => vec![channels, height, width],
        }
    }
}
