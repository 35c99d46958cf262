//! Small numbers of an architecture: pairs, and the padding of a convolution.

use serde::{Deserialize, Serialize};

/// A vertical and a horizontal number. In a file one number stands for two equal ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrTwo", into = "OneOrTwo")]
pub struct Pair(pub [usize; 2]);

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "a number or a pair of numbers")]
enum OneOrTwo {
    One(usize),
    Two([usize; 2]),
}

impl Pair {
    /// 1 and 1.
    pub fn one() -> Self {
        Self([1; 2])
    }

    pub(super) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the number that both are, if they are equal.
    pub fn square(self) -> Option<usize> {
        let [a, b] = self.0;
        (a == b).then_some(a)
    }
}

impl From<usize> for Pair {
    fn from(n: usize) -> Self {
        Self([n; 2])
    }
}

impl From<OneOrTwo> for Pair {
    fn from(numbers: OneOrTwo) -> Self {
        match numbers {
            OneOrTwo::One(n) => Self([n; 2]),
            OneOrTwo::Two(pair) => Self(pair),
        }
    }
}

impl From<Pair> for OneOrTwo {
    fn from(pair: Pair) -> Self {
        pair.square().map_or(Self::Two(pair.0), Self::One)
    }
}

/// The padding of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a number, a pair of numbers or \"same\"")]
pub enum Padding {
    /// The number of points on either side.
    Sides(Pair),
    /// As many as keep the size of the image at stride 1, `d(k − 1)/2` on either side for a dilation `d`.
    Same(Same),
}

/// The word `same`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Same {
    /// `"same"`.
    Same,
}

impl Default for Padding {
    fn default() -> Self {
        Self::Sides(Pair([0; 2]))
    }
}

impl Padding {
    /// Returns the padding of both axes for a kernel and a dilation; none for `"same"` and a kernel that would need
    /// more points on one side than on the other.
    pub fn sides(self, kernel: [usize; 2], dilation: Pair) -> Option<[usize; 2]> {
        match self {
            Self::Sides(pair) => Some(pair.0),
            Self::Same(_) => {
                let mut sides = [0; 2];
                for ((side, k), d) in sides.iter_mut().zip(kernel).zip(dilation.0) {
                    let total = d.checked_mul(k.checked_sub(1)?)?;
                    *side = (total % 2 == 0).then_some(total / 2)?;
                }
                Some(sides)
            }
        }
    }
}
