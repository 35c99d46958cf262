//! The shapes of a convolution.

use super::{
    Conv2d,
    shapes::{LARGEST_SAMPLE, biased},
};
use crate::{
    error::{Error, Result},
    rigor::torus::{Axis, PaddingMode},
    tensor::Shape,
};

impl Conv2d {
    pub(super) fn output(&self, input: Shape) -> Result<Shape> {
        let (outputs, _) = self.channels(input)?;
        biased("conv2d", &self.bias, outputs)?;
        let axes = self.axes(input)?;
        let [Some(rows), Some(columns)] = axes.map(Axis::output) else {
            let [y, x] = axes;
            let reason = format!("larger than the padded image of {input}, padding {}×{}", y.padding, x.padding);
            return Err(Error::parameter("kernel", format!("{}×{}", y.kernel, x.kernel), reason));
        };
        Shape::try_from(vec![outputs, rows, columns])
    }

    /// Returns the numbers of output and of input channels.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a size that is 0, groups that do not divide the channels, or an input of another number
    /// of channels.
    pub fn channels(&self, input: Shape) -> Result<(usize, usize)> {
        let (channels, ..) = input.as_image("a convolution")?;
        let &[outputs, inputs, height, width] = self.weight.shape() else {
            return Err(Error::parameter(
                "weight",
                format!("{:?}", self.weight.shape()),
                "a convolution has four axes",
            ));
        };
        if [outputs, inputs, height, width, self.groups].contains(&0) || outputs % self.groups != 0 {
            let value = format!("{outputs}×{inputs}×{height}×{width} in {} groups", self.groups);
            return Err(Error::parameter("conv2d", value, "sizes are at least 1, and the groups divide the channels"));
        }
        if inputs.checked_mul(self.groups) != Some(channels) {
            let reason =
                format!("it reads {inputs} channels in {} groups, and the input {input} has {channels}", self.groups);
            return Err(Error::parameter("weight", format!("{outputs}×{inputs}×{height}×{width}"), reason));
        }
        Ok((outputs, channels))
    }

    /// Returns the two axes, the taps of a dilated kernel being spread over `d(k − 1) + 1` points. A stride that leaves room
    /// for one output alone is at most the image, the kernel, or one more than the room.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a stride or a dilation of 0, or more padding than the image has points.
    pub fn axes(&self, input: Shape) -> Result<[Axis; 2]> {
        let (_, height, width) = input.as_image("a convolution")?;
        let &[_, _, ky, kx] = self.weight.shape() else {
            return Err(Error::parameter(
                "weight",
                format!("{:?}", self.weight.shape()),
                "a convolution has four axes",
            ));
        };
        if self.stride.0.contains(&0) || self.dilation.0.contains(&0) {
            return Err(Error::parameter(
                "stride",
                format!("{:?}", self.stride.0),
                "strides and dilations are at least 1",
            ));
        }
        let Some(padding) = self.padding.sides([ky, kx], self.dilation) else {
            let reason = "this kernel would need more points on one side than on the other";
            return Err(Error::parameter("padding", "\"same\"", reason));
        };
        let spread = |k: usize, d: usize| d.checked_mul(k.saturating_sub(1)).and_then(|points| points.checked_add(1));
        let mut axes = [Axis { input: height, kernel: 0, stride: 1, padding: 0 }; 2];
        for (i, (n, k)) in [(height, ky), (width, kx)].into_iter().enumerate() {
            let far = || Error::parameter("dilation", format!("{:?}", self.dilation.0), "the kernel is too large");
            let kernel = spread(k, self.dilation.0[i]).filter(|&k| k <= LARGEST_SAMPLE).ok_or_else(far)?;
            let most = match self.padding_mode {
                PaddingMode::Circular => n,
                PaddingMode::Zeros => height.max(width).max(kernel),
            };
            if padding[i] > most {
                return Err(Error::parameter("padding", padding[i], format!("too much for an image of {input}")));
            }
            // Beyond all of these, a stride says no more than that there is one output.
            let room = (n + 2 * padding[i]).saturating_sub(kernel);
            let stride = self.stride.0[i].min(n.max(kernel).max(room + 1));
            axes[i] = Axis { input: n, kernel, stride, padding: padding[i] };
        }
        Ok(axes)
    }
}
