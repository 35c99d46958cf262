//! A two-dimensional convolution, as deep learning means it: a cross-correlation.

mod patches;

use std::sync::OnceLock;

use super::{Direct, Operator, dense::sum_of_absolutes, summation};
use crate::{
    error::{Error, Result},
    model::{self, Linear, Padding, Pair, Tensor},
    rigor::{
        Summation, Upper, directed,
        torus::{Axis, PaddingMode, repeats},
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

/// The convolution `y_{o,i,j} = Σ_{c,a,b} K_{o,c,a,b} x_{c, si + da − p, s'j + d'b − p'}`, with weights
/// `out × in/groups × kernel height × kernel width`, as PyTorch stores them; with `groups`, the channels `c` are those of the
/// group of `o`.
#[derive(Debug, Clone)]
pub struct Conv2d<T> {
    weight: Vec<T>,
    input: Shape,
    /// The output channels, the input channels of one group, and the sides of the kernel.
    sizes: [usize; 4],
    form: model::Conv2d<()>,
    axes: [Axis; 2],
    outputs: [usize; 2],
    summation: Summation,
    direct: OnceLock<Option<Direct<T>>>,
    absolute: OnceLock<Vec<T>>,
    absolute_norm: OnceLock<Result<Upper>>,
}

impl<T: Scalar> Conv2d<T> {
    /// Creates a convolution of images.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the input is no image, a size or the stride is 0, the padding of a circular convolution
    /// exceeds the image, or the kernel exceeds the padded image; [`Error::Length`] and [`Error::NotFinite`] for the
    /// weights.
    pub fn new(geometry: Geometry, weight: Vec<T>) -> Result<Self> {
        let Geometry { input, outputs, kernel, stride, padding, mode } = geometry;
        let (channels, ..) = input.as_image("a convolution")?;
        let sizes = [outputs, channels, kernel.0, kernel.1];
        let expected = sizes.into_iter().fold(1, usize::saturating_mul);
        if weight.len() != expected {
            return Err(Error::Length { what: "conv2d weight".into(), expected, found: weight.len() });
        }
        let conv = model::Conv2d {
            weight: Tensor::new(&sizes, &weight),
            bias: None,
            stride: stride.into(),
            padding: Padding::Sides(padding.into()),
            dilation: Pair::one(),
            groups: 1,
            padding_mode: mode,
        };
        Self::described(&conv, input)
    }

    /// Returns the convolution that a description is of, without its bias: with groups, dilations, and strides and
    /// paddings of their own for each axis.
    ///
    /// # Errors
    /// As [`Self::new`], and [`Error::Parameter`] for groups that do not divide the channels.
    pub fn described(conv: &model::Conv2d, input: Shape) -> Result<Self> {
        let (channels, axes) = (conv.channels(input)?, conv.axes(input)?);
        let [Some(rows), Some(columns)] = axes.map(Axis::output) else {
            let ([y, x], padded) = (axes, axes.map(|axis| axis.padding));
            let reason = format!("larger than the padded image of {input}, padding {}×{}", padded[0], padded[1]);
            return Err(Error::parameter("kernel", format!("{}×{}", y.kernel, x.kernel), reason));
        };
        let &[outputs, inputs, height, width] = conv.weight.shape() else {
            return Err(Error::parameter("weight", format!("{channels:?}"), "a convolution has four axes"));
        };
        let weight: Vec<T> = conv.weight.numbers();
        finite("conv2d weight", &weight)?;
        let form = model::Conv2d {
            weight: (),
            bias: None,
            stride: conv.stride,
            padding: Padding::Sides(Pair(axes.map(|axis| axis.padding))),
            dilation: conv.dilation,
            groups: conv.groups,
            padding_mode: conv.padding_mode,
        };
        let (summation, direct, absolute, absolute_norm) = Default::default();
        let (sizes, outputs) = ([outputs, inputs, height, width], [rows, columns]);
        Ok(Self { weight, input, sizes, form, axes, outputs, summation, direct, absolute, absolute_norm })
    }

    /// Returns the same convolution with other weights.
    ///
    /// # Errors
    /// [`Error::Length`] and [`Error::NotFinite`] for the weights.
    pub fn with_weight(&self, weight: Vec<T>) -> Result<Self> {
        if weight.len() != self.weight.len() {
            let (expected, found) = (self.weight.len(), weight.len());
            return Err(Error::Length { what: "conv2d weight".into(), expected, found });
        }
        finite("conv2d weight", &weight)?;
        let mut other = self.clone();
        other.weight_mut().copy_from_slice(&weight);
        Ok(other)
    }

    /// Returns the number of taps of one output: input channels of its group × kernel height × kernel width.
    fn taps(&self) -> usize {
        self.sizes[1..].iter().product()
    }

    /// Returns the number of taps of one pair of channels.
    fn area(&self) -> usize {
        self.sizes[2] * self.sizes[3]
    }

    /// Returns the number of output channels of one group.
    fn group(&self) -> usize {
        self.sizes[0] / self.form.groups
    }

    fn points(&self) -> usize {
        self.outputs[0] * self.outputs[1]
    }

    fn absolute(&self) -> &[T] {
        self.absolute.get_or_init(|| self.weight.iter().map(|w| num_traits::Float::abs(*w)).collect())
    }

    fn prove_absolute(&self) -> Result<Upper> {
        // Schur: a row of the operator holds at most the taps of one output channel, a column at most those of one
        // input channel, as often as it is read by one tap.
        let wide: Vec<f64> = cast(&self.weight);
        let rows = wide.chunks(self.taps()).map(|row| sum_of_absolutes(row.iter())).fold(0.0, f64::max);
        let column = |(group, c): (&[f64], usize)| {
            let taps = group.chunks(self.area()).skip(c).step_by(self.sizes[1]).map(|k| sum_of_absolutes(k.iter()));
            directed::mul_up(
                repeats(self.axes, self.form.padding_mode) as f64,
                taps.map(Upper::proved).sum::<Upper>().get(),
            )
        };
        let groups = wide.chunks(self.group() * self.taps());
        let columns = groups.flat_map(|group| (0..self.sizes[1]).map(move |c| (group, c))).map(column);
        let columns = columns.fold(0.0, f64::max);
        Upper::proved(directed::sqrt_up(directed::mul_up(rows, columns))).finite("the norm of |W|")
    }
}

impl<T: Scalar> Operator<T> for Conv2d<T> {
    fn describe(&self) -> Linear {
        let model::Conv2d { stride, padding, dilation, groups, padding_mode, .. } = self.form;
        let weight = Tensor::new(&self.sizes, &self.weight);
        Linear::Conv2d(model::Conv2d { weight, bias: None, stride, padding, dilation, groups, padding_mode })
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        Shape::image(self.sizes[0], self.outputs[0], self.outputs[1])
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
        let arrange = || {
            let (shapes, [py, px]) = ((self.input, Operator::<T>::output(self)), self.axes.map(|axis| axis.padding));
            let form = &self.form;
            let is_plain = form.stride == Pair::one() && form.dilation == Pair::one() && form.groups == 1;
            (is_plain && form.padding_mode == PaddingMode::Zeros)
                .then(|| Direct::new(shapes, (self.sizes[2], self.sizes[3]), (py, px), self.summation, &self.weight))
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
        [self.taps(), self.group() * self.area() * repeats(self.axes, self.form.padding_mode)]
    }

    fn depth(&self) -> [usize; 2] {
        match (self.summation, self.direct()) {
            (Summation::Any, _) => Operator::<T>::terms(self),
            (Summation::Declared, Some(direct)) => direct.depth(),
            // The adjoint sums over the output channels in chunks, and then adds one sum for each tap that reads a point.
            (Summation::Declared, None) => {
                let sums = self.area() * repeats(self.axes, self.form.padding_mode);
                [summation::depth(self.taps()), summation::depth(self.group()) + sums]
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
            input: self.input,
            sizes: self.sizes,
            form: self.form.clone(),
            axes: self.axes,
            outputs: self.outputs,
            summation: self.summation,
            direct: OnceLock::new(),
            absolute: OnceLock::new(),
            absolute_norm: self.absolute_norm.clone(),
        })
    }
}
