//! A two-dimensional convolution, as deep learning means it: a cross-correlation.

mod patches;

use std::sync::OnceLock;

use super::{Direct, Operator, dense::sum_of_absolutes, summation};
use crate::{
    error::{Error, Result},
    model::{self, Linear, Padding, Pair, Tensor},
    rigor::{
        Summation, Upper, directed,
        torus::{Axis, PaddingMode},
    },
    scalar::Scalar,
    tensor::{Batch, Shape, cast, finite},
};

/// Channels, kernel, stride and padding of a convolution on images of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// The shape of the input: a norm proved for one size of image is not one for a larger size.
    pub input: Shape,
    /// The number of output channels.
    pub outputs: usize,
    /// The height and the width of the kernel.
    pub kernel: (usize, usize),
    /// The stride of both axes.
    pub stride: usize,
    /// The padding of every side.
    pub padding: usize,
    /// What the padding holds.
    pub mode: PaddingMode,
}

/// The convolution `y_{o,i,j} = Σ_{c,a,b} K_{o,c,a,b} x_{c, si + a − p, sj + b − p}`, with weights
/// `out × in × kernel height × kernel width`, as PyTorch stores them.
#[derive(Debug, Clone)]
pub struct Conv2d<T> {
    weight: Vec<T>,
    geometry: Geometry,
    channels: usize,
    axes: [Axis; 2],
    outputs: [usize; 2],
    summation: Summation,
    direct: OnceLock<Option<Direct<T>>>,
    absolute: OnceLock<Vec<T>>,
    absolute_norm: OnceLock<Result<Upper>>,
}

impl<T: Scalar> Conv2d<T> {
    /// A convolution of images.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the input is no image, a size or the stride is 0, the padding of a circular convolution
    /// exceeds the image, or the kernel exceeds the padded image; [`Error::Length`] and [`Error::NotFinite`] for the
    /// weights.
    pub fn new(geometry: Geometry, weight: Vec<T>) -> Result<Self> {
        let Geometry { input, outputs, kernel, stride, padding, mode } = geometry;
        let (channels, height, width) = input.as_image("a convolution")?;
        if [outputs, kernel.0, kernel.1, stride].contains(&0) {
            return Err(Error::parameter(
                "conv2d",
                format!("{geometry:?}"),
                "channels, kernel and stride are at least 1",
            ));
        }
        if padding > height.max(width).max(kernel.0).max(kernel.1)
            || mode == PaddingMode::Circular && padding > height.min(width)
        {
            return Err(Error::parameter("padding", padding, format!("too much for an image of {input}")));
        }
        let axis = |input, kernel| Axis { input, kernel, stride, padding };
        let axes = [axis(height, kernel.0), axis(width, kernel.1)];
        let [Some(rows), Some(columns)] = axes.map(Axis::output) else {
            let reason = format!("larger than the padded image of {input}, padding {padding}");
            return Err(Error::parameter("kernel", format!("{}×{}", kernel.0, kernel.1), reason));
        };
        let expected = outputs.saturating_mul(channels).saturating_mul(kernel.0).saturating_mul(kernel.1);
        if weight.len() != expected {
            return Err(Error::Length { what: "conv2d weight".into(), expected, found: weight.len() });
        }
        finite("conv2d weight", &weight)?;
        let (summation, direct, absolute, absolute_norm) = Default::default();
        let outputs = [rows, columns];
        Ok(Self { weight, geometry, channels, axes, outputs, summation, direct, absolute, absolute_norm })
    }

    /// Channels, kernel, stride and padding.
    pub fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The number of taps of one output: input channels × kernel height × kernel width.
    fn taps(&self) -> usize {
        self.channels * self.geometry.kernel.0 * self.geometry.kernel.1
    }

    fn points(&self) -> usize {
        self.outputs[0] * self.outputs[1]
    }

    /// How often, at most, one tap reads one point of the image: more than once only around a circular image with
    /// fewer points than outputs, where `si + t − p` comes back to a point after `n / gcd(s, n)` outputs.
    fn repeats(&self) -> usize {
        if self.geometry.mode == PaddingMode::Zeros {
            return 1;
        }
        let period = |n: usize| n / gcd(self.geometry.stride, n);
        let [ay, ax] = self.axes;
        self.outputs[0].div_ceil(period(ay.input)) * self.outputs[1].div_ceil(period(ax.input))
    }

    fn absolute(&self) -> &[T] {
        self.absolute.get_or_init(|| self.weight.iter().map(|w| num_traits::Float::abs(*w)).collect())
    }

    fn prove_absolute(&self) -> Result<Upper> {
        // Schur: a row of the operator holds at most the taps of one output channel, a column at most those of one
        // input channel, as often as it is read by one tap.
        let wide: Vec<f64> = cast(&self.weight);
        let spatial = self.geometry.kernel.0 * self.geometry.kernel.1;
        let rows = wide.chunks(self.taps()).map(|row| sum_of_absolutes(row.iter())).fold(0.0, f64::max);
        let column = |c: usize| {
            let taps = wide.chunks(spatial).skip(c).step_by(self.channels).map(|k| sum_of_absolutes(k.iter()));
            directed::mul_up(self.repeats() as f64, taps.map(Upper::proved).sum::<Upper>().get())
        };
        let columns = (0..self.channels).map(column).fold(0.0, f64::max);
        Upper::proved(directed::sqrt_up(directed::mul_up(rows, columns))).finite("the norm of |W|")
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl<T: Scalar> Operator<T> for Conv2d<T> {
    fn describe(&self) -> Linear {
        let Geometry { outputs, kernel, stride, padding, mode, .. } = self.geometry;
        Linear::Conv2d(model::Conv2d {
            weight: Tensor::new(&[outputs, self.channels, kernel.0, kernel.1], &self.weight),
            bias: None,
            stride: stride.into(),
            padding: Padding::Sides(padding.into()),
            dilation: Pair::one(),
            groups: 1,
            padding_mode: mode,
        })
    }

    fn input(&self) -> Shape {
        self.geometry.input
    }

    fn output(&self) -> Shape {
        Shape::image(self.geometry.outputs, self.outputs[0], self.outputs[1])
    }

    fn apply(&self, x: &Batch<T>, y: &mut Batch<T>) {
        match self.direct() {
            Some(direct) => y.axpy(T::one(), &direct.apply(x, None)),
            None => self.apply_with(&self.weight, x, y),
        }
    }

    fn adjoint(&self, y: &Batch<T>, x: &mut Batch<T>) {
        match self.direct() {
            Some(direct) => x.axpy(T::one(), &direct.adjoint(y)),
            None => self.adjoint_with(&self.weight, y, x),
        }
    }

    fn accumulate(&self, y: &Batch<T>, x: &Batch<T>, gradient: &mut [T]) {
        match self.direct() {
            Some(direct) => direct.accumulate(&[[y, x]], gradient, false),
            None => self.accumulate_patches(y, x, gradient),
        }
    }

    fn direct(&self) -> Option<&Direct<T>> {
        let Geometry { input, kernel, stride, padding, mode, .. } = self.geometry;
        let arrange = || {
            let shapes = (input, Operator::<T>::output(self));
            (stride == 1 && mode == PaddingMode::Zeros)
                .then(|| Direct::new(shapes, kernel, padding, self.summation, &self.weight))
                .flatten()
        };
        self.direct.get_or_init(arrange).as_ref()
    }

    fn weight(&self) -> &[T] {
        &self.weight
    }

    fn weight_mut(&mut self) -> &mut [T] {
        self.direct = OnceLock::new();
        self.absolute = OnceLock::new();
        self.absolute_norm = OnceLock::new();
        &mut self.weight
    }

    fn terms(&self) -> [usize; 2] {
        let Geometry { outputs, kernel, .. } = self.geometry;
        [self.taps(), outputs * kernel.0 * kernel.1 * self.repeats()]
    }

    fn depth(&self) -> [usize; 2] {
        let Geometry { outputs, kernel, .. } = self.geometry;
        match (self.summation, self.direct()) {
            (Summation::Any, _) => Operator::<T>::terms(self),
            (Summation::Declared, Some(direct)) => direct.depth(),
            // The adjoint sums over the output channels in chunks, and then adds one sum for each tap that reads a point.
            (Summation::Declared, None) => {
                let sums = kernel.0 * kernel.1 * self.repeats();
                [summation::depth(self.taps()), summation::depth(outputs) + sums]
            }
        }
    }

    fn set_summation(&mut self, summation: Summation) {
        self.summation = summation;
        self.direct = OnceLock::new();
    }

    fn apply_absolute(&self, x: &Batch<T>, y: &mut Batch<T>) {
        self.apply_with(self.absolute(), x, y);
    }

    fn adjoint_absolute(&self, y: &Batch<T>, x: &mut Batch<T>) {
        self.adjoint_with(self.absolute(), y, x);
    }

    fn absolute_norm(&self) -> Result<Upper> {
        self.absolute_norm.get_or_init(|| self.prove_absolute()).clone()
    }

    fn widen(&self) -> Box<dyn Operator<f64>> {
        Box::new(Conv2d {
            weight: cast(&self.weight),
            geometry: self.geometry,
            channels: self.channels,
            axes: self.axes,
            outputs: self.outputs,
            summation: self.summation,
            direct: OnceLock::new(),
            absolute: OnceLock::new(),
            absolute_norm: self.absolute_norm.clone(),
        })
    }
}
