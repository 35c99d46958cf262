//! Local radii: neurons that cannot switch within the ball count as what they are there.
//!
//! Within `ε` of a sample, what goes into an activation behind a matrix `W` moves by at most `rᵢ = ‖wᵢ‖Λε`, `Λ` being a
//! Lipschitz constant on the ball of what comes before. A piecewise linear activation is then `cᵢ`-Lipschitz on
//! `[zᵢ − rᵢ, zᵢ + rᵢ]`, with `cᵢ` the slope of the piece if there is only one, and the two layers are
//! `‖diag(c) W‖`-Lipschitz on the ball. What has `cᵢ = 0` does not move: it is one column less of the next matrix.
//!
//! A constant that holds on the ball of radius `ε` certifies no more than `ε`. The best ball is sought by bisection
//! between the global radius and what the constant of that ball promises; each of its steps is a proof.
//!
//! Sources: Huang, Zhang, Shi, Kolter, Anandkumar, *Training certifiably robust neural networks with efficient local
//! Lipschitz bounds*, NeurIPS 2021; Zhang, Zhang, Hsieh, *RecurJac*, AAAI 2019.

use faer::Mat;
use rayon::prelude::*;

use super::{
    Sealed,
    groups::{Plain, plain},
    radius::{Errors, LARGEST_RADIUS, Semantics},
};
use crate::{
    activation::Activation,
    certificate::Certificate,
    certify::SampleCertificate,
    error::Result,
    network::chunks,
    rigor::{
        Lower, Rounding, Upper,
        composition::Linear,
        directed::{add_up, exponent, mul_up, norm_up, sub_down, sub_up},
        matrix,
    },
    scalar::Scalar,
    tape::Tape,
    tensor::Batch,
};

/// How often the interval that holds a local radius is halved.
const HALVINGS: usize = 6;

/// A part of the features, as far as local constants know it.
enum Part {
    /// A matrix, and the activation behind it if there is one.
    Dense(Mat<f64>, Option<Activation>),
    /// One other layer.
    Other,
}

impl Part {
    /// The number of layers.
    fn layers(&self) -> usize {
        1 + usize::from(matches!(self, Self::Dense(_, Some(_))))
    }
}

/// What is known on the ball around one sample: how much the features of a point move with it, and which of them can.
struct Motion {
    lipschitz: Upper,
    /// The coordinates that move, if some do not.
    moving: Option<Vec<usize>>,
}

impl<T: Scalar> Sealed<T> {
    /// As [`Self::certify`], with radii that are at least as large: within its ball, a neuron of a dense layer that
    /// cannot switch counts as what it is.
    ///
    /// A sample costs a proof of the norms of the dense layers' matrices for each of eight balls: about a tenth of a
    /// second for a network of 8 layers of 128 neurons. For other layers, and for flows, nothing is gained.
    ///
    /// # Errors
    /// As [`Self::certify`].
    ///
    /// ```
    /// use dahlquist::{Network, Semantics, activation::Activation, tensor::{Batch, Shape}};
    /// use dahlquist::{layer::{ActivationLayer, AffineLayer, Layer}, operator::{Affine, Dense}};
    /// // f(x) = (relu(x) − 8 relu(−x), 1/2)
    /// let dense = |o, i, w: &[f64], b: &[f64]| -> dahlquist::Result<Box<dyn Layer<f64>>> {
    ///     Ok(Box::new(AffineLayer::new(Affine::new(Dense::new(o, i, w.to_vec())?, Some(b.to_vec()))?)))
    /// };
    /// let relu = Box::new(ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(2))?);
    /// let layers = vec![dense(2, 1, &[1.0, -1.0], &[0.0; 2])?, relu, dense(2, 2, &[1.0, -8.0, 0.0, 0.0], &[0.0, 0.5])?];
    /// let sealed = Network::new(Shape::Features(1), layers)?.seal()?;
    /// let x = Batch::new(Shape::Features(1), vec![1.0])?;
    /// assert!(!sealed.certify(&x, Semantics::Exact)?[0].holds_at(0.1));
    /// assert!(sealed.certify_locally(&x, Semantics::Exact)?[0].holds_at(0.45));
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn certify_locally(&self, x: &Batch<T>, semantics: Semantics) -> Result<Vec<SampleCertificate>> {
        let local = Local::new(self);
        let claims: Vec<Vec<SampleCertificate>> = chunks(x.samples())
            .into_par_iter()
            .map(|range| local.certify(&x.slice(range), semantics))
            .collect::<Result<_>>()?;
        Ok(claims.into_iter().flatten().collect())
    }
}

/// A sealed network in plain numbers.
struct Local<'a, T: Scalar> {
    sealed: &'a Sealed<T>,
    parts: Vec<Part>,
    /// The rows of a dense head.
    head: Option<Mat<f64>>,
}

impl<'a, T: Scalar> Local<'a, T> {
    fn new(sealed: &'a Sealed<T>) -> Self {
        let features = sealed.wide().feature_layers();
        let mut layers: Vec<Plain> = sealed.wide().layers().map(plain).collect();
        let head = layers.split_off(features).pop();
        let head = head.and_then(|head| if let Plain::Linear(Linear::Dense(w)) = head { Some(w) } else { None });
        let (mut parts, mut rest) = (Vec::new(), layers.into_iter().peekable());
        while let Some(layer) = rest.next() {
            parts.push(match layer {
                Plain::Linear(Linear::Dense(w)) => match rest.peek() {
                    Some(&Plain::Activation(function)) => {
                        rest.next();
                        Part::Dense(w, Some(function))
                    }
                    _ => Part::Dense(w, None),
                },
                _ => Part::Other,
            });
        }
        Self { sealed, parts, head }
    }

    fn certify(&self, x: &Batch<T>, semantics: Semantics) -> Result<Vec<SampleCertificate>> {
        let (logits, tape) = self.sealed.wide().forward_recording(x.cast())?;
        let inputs = self.input_errors(&tape, x.samples())?;
        let certify = |semantics| self.sealed.certify_recorded(x, &logits, &tape, semantics);
        // What the ball of this radius around each sample proves: no more than itself.
        let prove = |balls: &[f64], semantics| -> Result<Vec<f64>> {
            let errors = self.sealed.errors(&tape, balls.to_vec(), semantics)?;
            let radius = |s| self.radius(logits.sample(s), errors[s], self.motion(&tape, s, balls[s], &inputs));
            Ok((0..x.samples()).map(radius).collect())
        };
        let mut claims = certify(Semantics::Exact)?;
        let mut proved: Vec<f64> = claims.iter().map(|claim| claim.radius.get()).collect();
        let mut beyond = prove(&proved, Semantics::Exact)?;
        // The end itself is tried first: often the same neurons are fixed there.
        for part in std::iter::once(1.0).chain([0.5; HALVINGS]) {
            let between = |(&a, &b): (&f64, &f64)| if b > a { a + part * (b - a) } else { a };
            let balls: Vec<f64> = proved.iter().zip(&beyond).map(between).collect();
            for (s, radius) in prove(&balls, Semantics::Exact)?.into_iter().enumerate() {
                proved[s] = proved[s].max(radius.min(balls[s]));
                if radius < balls[s] {
                    beyond[s] = balls[s];
                }
            }
        }
        if semantics == Semantics::Executed {
            claims = certify(Semantics::Executed)?;
            let executed = prove(&proved, Semantics::Executed)?;
            proved.iter_mut().zip(executed).for_each(|(ball, radius)| *ball = radius.min(*ball));
        }
        for (claim, radius) in claims.iter_mut().zip(proved) {
            if claim.refusal.is_none() && radius > claim.radius.get() {
                claim.radius = Lower::proved(radius.min(LARGEST_RADIUS));
            }
        }
        Ok(claims)
    }

    /// For each layer and sample, a bound of the rounding error of the layer's input on the tape, as a norm.
    fn input_errors(&self, tape: &Tape<f64>, samples: usize) -> Result<Vec<Vec<f64>>> {
        let still = vec![0.0; samples];
        let mut errors = vec![still.clone()];
        let layers = self.sealed.wide().layers().zip(&self.sealed.certificate().layers);
        for (i, (layer, entry)) in layers.enumerate() {
            let local = layer.rounding(&Rounding::of::<f64>(), tape.inner(i), &still);
            let local = local.map_err(|e| e.in_layer(i.to_string()))?;
            let pass = |(&e, local): (&f64, f64)| add_up(mul_up(entry.lipschitz.get(), e), local);
            errors.push(errors[i].iter().zip(local).map(pass).collect());
        }
        Ok(errors)
    }

    /// How the features move within `ball` of sample `s`.
    fn motion(&self, tape: &Tape<f64>, s: usize, ball: f64, errors: &[Vec<f64>]) -> Motion {
        let Certificate { layers, groups, .. } = self.sealed.certificate();
        let (mut motion, mut i) = (Motion { lipschitz: Upper::ONE, moving: None }, 0);
        for part in &self.parts {
            let next = i + part.layers();
            let (proved, moving) = match part {
                Part::Dense(w, function) => {
                    let slope = |row: usize| match function {
                        Some(function) => {
                            let reach = mul_up(mul_up(norm_up(&motion.row(w, row)), motion.lipschitz.get()), ball);
                            let (z, reach) =
                                (tape.inner(i + 1).saved(0).sample(s)[row], add_up(reach, errors[i + 1][s]));
                            function.lipschitz_on(sub_down(z, reach), add_up(z, reach))
                        }
                        None => 1.0,
                    };
                    let slopes: Vec<f64> = (0..w.nrows()).map(slope).collect();
                    let moving: Vec<usize> = (0..w.nrows()).filter(|&row| slopes[row] > 0.0).collect();
                    (motion.norm(w, &moving, &slopes), Some(moving))
                }
                Part::Other => (Upper::proved(f64::INFINITY), None),
            };
            // The product of the layers' bounds is one as well, and so is that of the certificate from the beginning.
            let global = layers[i..next].iter().map(|entry| entry.lipschitz).product::<Upper>();
            let lipschitz = motion.lipschitz * if proved < global { proved } else { global };
            let whole = Certificate::product(layers, groups, next);
            motion = Motion { lipschitz: if lipschitz < whole { lipschitz } else { whole }, moving };
            i = next;
        }
        motion
    }

    /// The radius that the motion of the features proves.
    fn radius(&self, logits: &[f64], errors: Errors, motion: Motion) -> f64 {
        let slope = |i: usize, j: usize| match &self.head {
            Some(w) => {
                let apart = |(a, b): (f64, f64)| sub_up(a, b).abs().max(sub_down(a, b).abs());
                let rows = motion.row(w, i).into_iter().zip(motion.row(w, j));
                mul_up(motion.lipschitz.get(), norm_up(&rows.map(apart).collect::<Vec<_>>()))
            }
            None => mul_up(motion.lipschitz.get(), self.sealed.head().distance(i, j)),
        };
        self.sealed.head().radius(logits, errors, slope).radius.get()
    }
}

impl Motion {
    /// The entries of a row whose coordinates move.
    fn row(&self, w: &Mat<f64>, row: usize) -> Vec<f64> {
        match &self.moving {
            Some(moving) => moving.iter().map(|&j| w[(row, j)]).collect(),
            None => (0..w.ncols()).map(|j| w[(row, j)]).collect(),
        }
    }

    /// `‖diag(c) W‖` for the rows and columns that move; infinite if it cannot be proved.
    fn norm(&self, w: &Mat<f64>, rows: &[usize], slopes: &[f64]) -> Upper {
        let columns: Vec<usize> = self.moving.clone().unwrap_or_else(|| (0..w.ncols()).collect());
        if rows.is_empty() || columns.is_empty() {
            return Upper::ZERO;
        }
        // Slopes are raised to powers of two: then the products are exact, if they do not underflow.
        let entry = |i: usize, j: usize| {
            let (c, w) = (raised(slopes[i]), w[(i, j)]);
            if c * w / c == w { c * w } else { f64::NAN }
        };
        let scaled = Mat::from_fn(rows.len(), columns.len(), |i, j| entry(rows[i], columns[j]));
        matrix::norm(scaled.as_ref()).unwrap_or(Upper::proved(f64::INFINITY))
    }
}

/// The smallest power of two that is not below a positive slope.
fn raised(slope: f64) -> f64 {
    let power = libm::scalbn(1.0, exponent(slope));
    if power < slope { 2.0 * power } else { power }
}
