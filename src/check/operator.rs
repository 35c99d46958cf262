//! Linear maps from the plain numbers of a model, and the proofs of their norms.

use faer::{Mat, MatRef};

use super::{at_least, at_most, equal, require};
use crate::{
    error::{Error, Result},
    io::{Conv2dSpec, DenseSpec, ModelFile, OperatorSpec},
    operator::NormMethod,
    rigor::{
        Upper,
        directed::{div_up, sqrt_down},
        matrix,
        torus::{Axis, Convolution, PaddingMode},
    },
    tensor::Shape,
};

/// What rounding may have added to an estimate of a norm from below is much less: a claim that is true is not refused.
const DOUBT: f64 = 1.0 - 1e-9;

/// A linear map between samples.
pub(super) enum Linear {
    /// `outputs × inputs`, row-major.
    Dense { weight: Vec<f64>, size: (usize, usize) },
    /// A convolution.
    Conv { weight: Vec<f64>, channels: (usize, usize), axes: [Axis; 2], mode: PaddingMode, output: Shape },
    /// Means of `area` points.
    Pool { area: usize, output: Shape },
}

impl Linear {
    /// The map of a model at a place whose input is `input`; its bias, if it has one, must fit.
    pub(super) fn read(model: &ModelFile, spec: &OperatorSpec, input: Shape) -> Result<Self> {
        let (map, bias, units) = match spec {
            OperatorSpec::Dense(DenseSpec { weight, bias }) => {
                let (shape, weight) = model.numbers(weight, 2)?;
                let size = (shape[0], shape[1]);
                equal("the input has shape", Shape::Features(size.1), input)?;
                (Self::Dense { weight, size }, bias.as_ref(), size.0)
            }
            OperatorSpec::Conv2d(spec) => {
                let map = Self::convolution(model, spec, input)?;
                let Self::Conv { channels, .. } = &map else { return Err(Error::format("not a convolution")) };
                let units = channels.0;
                (map, spec.bias.as_ref(), units)
            }
            OperatorSpec::AvgPool { size } => {
                let (channels, height, width) = input.as_image("mean pooling")?;
                require((1..=height.min(width)).contains(size), "a window does not fit into the image")?;
                let output = Shape::image(channels, height / size, width / size);
                (Self::Pool { area: size * size, output }, None, 0)
            }
            OperatorSpec::GlobalAvgPool {} => {
                let (channels, height, width) = input.as_image("global mean pooling")?;
                (Self::Pool { area: height * width, output: Shape::Features(channels) }, None, 0)
            }
        };
        if let Some(bias) = bias {
            equal("the bias needs a length of", model.numbers(bias, 1)?.0[0], units)?;
        }
        Ok(map)
    }

    fn convolution(model: &ModelFile, spec: &Conv2dSpec, input: Shape) -> Result<Self> {
        let (channels, height, width) = input.as_image("a convolution")?;
        let (shape, weight) = model.numbers(&spec.weight, 4)?;
        equal("the input has as many channels as", shape[1], channels)?;
        let (stride, padding) = (spec.stride, spec.padding);
        require(stride > 0 && !shape.contains(&0), "a size or the stride is 0")?;
        // Far beyond any use, and small enough that sizes cannot overflow.
        let largest = height.max(width).max(shape[2]).max(shape[3]);
        let circular = spec.padding_mode == PaddingMode::Circular;
        require(padding <= if circular { height.min(width) } else { largest }, "the padding exceeds the image")?;
        let axis = |input, kernel| Axis { input, kernel, stride, padding };
        let axes = [axis(height, shape[2]), axis(width, shape[3])];
        let [Some(rows), Some(columns)] = axes.map(Axis::output) else {
            return Err(Error::format("the kernel is larger than the padded image"));
        };
        let output = Shape::image(shape[0], rows, columns);
        Ok(Self::Conv { weight, channels: (shape[0], shape[1]), axes, mode: spec.padding_mode, output })
    }

    /// The shape of the output.
    pub(super) fn output(&self) -> Shape {
        match self {
            Self::Dense { size, .. } => Shape::Features(size.0),
            Self::Conv { output, .. } | Self::Pool { output, .. } => *output,
        }
    }

    /// Whether the norm is proved to be at most `claimed`, by the method of the witness if there is one.
    pub(super) fn norm_is(&self, claimed: f64, method: Option<NormMethod>) -> Result<()> {
        let truth = "the norm is proved to be at most";
        let uses = |used: NormMethod| method.map_or(Ok(()), |m| equal("the norm is proved by", m, used));
        match self {
            Self::Dense { weight, size } => {
                uses(NormMethod::Residual)?;
                let w = MatRef::from_row_major_slice(weight, size.0, size.1);
                at_least(truth, claimed, matrix::sharp_sup_norm(&[w])?)
            }
            Self::Pool { area, .. } => {
                uses(NormMethod::ClosedForm)?;
                at_least(truth, claimed, Upper::proved(div_up(1.0, sqrt_down(*area as f64))))
            }
            Self::Conv { .. } => {
                let convolution = self.as_convolution()?;
                match method {
                    Some(NormMethod::Torus(torus)) => at_least(truth, claimed, convolution.norm_on(torus)?),
                    Some(NormMethod::Banded) => banded(truth, claimed, &convolution),
                    Some(other) => Err(Error::format(format!("{other:?} does not prove the norm of a convolution"))),
                    // Any proof will do; the cheap one comes first, and the dear one only where it can succeed.
                    None => {
                        let best = convolution.sharp_norm()?.bound;
                        if at_least(truth, claimed, best).is_ok() {
                            return Ok(());
                        }
                        let about = convolution.norm_estimate().get();
                        require(about * DOUBT <= claimed, &format!("the norm is at least about {about}"))?;
                        banded(truth, claimed, &convolution)
                    }
                }
            }
        }
    }

    /// Whether `min ‖Wx‖/‖x‖` is proved to be at least `claimed`.
    pub(super) fn smallest_singular_value(&self) -> Result<f64> {
        Ok(match self {
            Self::Dense { weight, size } => {
                let w = MatRef::from_row_major_slice(weight, size.0, size.1);
                matrix::sharp_smallest_singular_value(w)?.get()
            }
            Self::Conv { .. } => self.as_convolution()?.sharp_smallest_singular_value()?.get(),
            Self::Pool { .. } => 0.0,
        })
    }

    /// The matrix of a dense map.
    pub(super) fn as_matrix(&self) -> Option<Mat<f64>> {
        match self {
            Self::Dense { weight, size } => Some(MatRef::from_row_major_slice(weight, size.0, size.1).to_owned()),
            Self::Conv { .. } | Self::Pool { .. } => None,
        }
    }

    fn as_convolution(&self) -> Result<Convolution<'_>> {
        match self {
            Self::Conv { weight, channels, axes, mode, .. } => {
                Ok(Convolution { weight, channels: *channels, axes: *axes, mode: *mode })
            }
            _ => Err(Error::format("not a convolution")),
        }
    }
}

/// Whether the norm is at most `claimed` by the block-banded factor of the Gram matrix.
fn banded(truth: &str, claimed: f64, convolution: &Convolution<'_>) -> Result<()> {
    let proved = convolution.sharp_tight_norm()?.ok_or_else(|| Error::format("no banded factor is found"))?;
    at_least(truth, claimed, proved)
}

/// A claim `m s² ≥ claimed` about the smallest singular value `s`.
pub(super) fn curvature_is(map: &Linear, m: f64, claimed: f64) -> Result<()> {
    use crate::rigor::directed::mul_down;
    if claimed <= 0.0 {
        return Ok(());
    }
    let s = map.smallest_singular_value()?;
    at_most("the smallest curvature is proved to be at least", claimed, mul_down(m, mul_down(s, s)))
}
