//! What a structured field computes: an expression in operators, functions and sums.
//!
//! One evaluator serves every field of the family. It leaves on the tape what each part was given, and the derivatives and
//! the rounding errors are found part by part.

use crate::{
    activation::Activation,
    error::{Error, Result},
    operator::Affine,
    rigor::{
        Rounding,
        directed::{add_up, mul_up, sqrt_up, sub_up},
    },
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// A map between spaces of samples, made of the operators and vectors of a [`Parameters`].
#[derive(Debug, Clone)]
pub(crate) enum Expression {
    /// `x`.
    Identity,
    /// `x ↦ Wx + b` with operator `i`.
    Apply(usize),
    /// `x ↦ Wᵀx` with operator `i`.
    Adjoint(usize),
    /// `x ↦ x + b` with vector `i`, one number for each feature or channel.
    Shift(usize),
    /// `σ` of every coordinate.
    Activate(Activation),
    /// `x ↦ cx`.
    Scale(f64),
    /// One half of the channels: the first, or the second.
    Half(bool),
    /// The first half, or the second, the other one being zeros.
    Embed(bool),
    /// One after the other.
    Chain(Vec<Expression>),
    /// `x ↦ Σᵢ fᵢ(x)`, added in order.
    Sum(Vec<Expression>),
}

/// What expressions refer to by number.
#[derive(Debug)]
pub(crate) struct Parameters<T: Scalar> {
    pub(super) operators: Vec<Affine<T>>,
    pub(super) vectors: Vec<Vec<T>>,
}

impl<T: Scalar> Parameters<T> {
    /// Returns the slots of a gradient that belong to operator `i`.
    fn slots<'a>(&self, i: usize, gradient: &'a mut [Vec<T>]) -> &'a mut [Vec<T>] {
        let first: usize = self.operators[..i].iter().map(|operator| operator.parameters().len()).sum();
        &mut gradient[first..][..self.operators[i].parameters().len()]
    }

    /// Returns the slot of vector `i`.
    fn vector<'a>(&self, i: usize, gradient: &'a mut [Vec<T>]) -> &'a mut Vec<T> {
        let first: usize = self.operators.iter().map(|operator| operator.parameters().len()).sum();
        &mut gradient[first + i]
    }
}

/// What is known of the program's value over balls around the samples.
pub(crate) struct Rounded {
    /// Bounds of `‖fl(f(x')) − f(x')‖`.
    pub(crate) errors: Vec<f64>,
    /// Bounds of `‖fl(f(x'))‖`.
    pub(super) sizes: Vec<f64>,
    /// Bounds of `‖fl(f(x')) − y‖`, `y` being the value on the tape.
    reaches: Vec<f64>,
    /// A Lipschitz constant of the expression.
    lipschitz: f64,
}

impl Expression {
    /// Returns the value; leaves on the tape what [`Self::vjp`], [`Self::jvp`] and [`Self::rounding`] need.
    pub(crate) fn eval<T: Scalar>(&self, p: &Parameters<T>, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        let y = match self {
            Self::Chain(parts) => {
                return parts.iter().fold(x, |x, part| tape.part(|tape| part.eval(p, x, tape)));
            }
            Self::Sum(parts) => {
                let mut values = parts.iter().map(|part| tape.part(|tape| part.eval(p, x.clone(), tape)));
                let mut sum = values.next().unwrap_or_else(|| Batch::zeros(x.shape(), x.samples()));
                values.for_each(|y| sum.axpy(T::one(), &y));
                return sum;
            }
            Self::Identity => x.clone(),
            Self::Apply(i) => p.operators[*i].apply(&x),
            Self::Adjoint(i) => p.operators[*i].adjoint(&x),
            Self::Shift(i) => shifted(&p.vectors[*i], x.clone()),
            Self::Activate(function) => function.apply(&x),
            Self::Scale(c) => x.scaled(T::of(*c)),
            Self::Half(second) => half(&x, *second),
            Self::Embed(second) => embed(&x, *second),
        };
        tape.save(x);
        y
    }

    /// Returns `Jᵀg`, and the gradient by the parameters.
    pub(crate) fn vjp<T: Scalar>(
        &self,
        p: &Parameters<T>,
        tape: &Tape<T>,
        g: Batch<T>,
        mut gradient: Option<&mut [Vec<T>]>,
    ) -> Batch<T> {
        match self {
            Self::Chain(parts) => parts
                .iter()
                .enumerate()
                .rev()
                .fold(g, |g, (k, part)| part.vjp(p, tape.inner(k), g, gradient.as_deref_mut())),
            Self::Sum(parts) => {
                let mut pulled: Option<Batch<T>> = None;
                for (k, part) in parts.iter().enumerate() {
                    let part = part.vjp(p, tape.inner(k), g.clone(), gradient.as_deref_mut());
                    match &mut pulled {
                        Some(sum) => sum.axpy(T::one(), &part),
                        None => pulled = Some(part),
                    }
                }
                pulled.unwrap_or(g)
            }
            Self::Apply(i) => {
                if let Some(gradient) = gradient {
                    p.operators[*i].accumulate(&g, tape.saved(0), p.slots(*i, gradient));
                }
                p.operators[*i].adjoint(&g)
            }
            Self::Adjoint(i) => {
                // ⟨g, Wᵀx⟩ = ⟨x, Wg⟩
                if let Some(weight) = gradient.and_then(|gradient| p.slots(*i, gradient).first_mut()) {
                    p.operators[*i].operator().accumulate(tape.saved(0), &g, weight);
                }
                p.operators[*i].linear(&g)
            }
            Self::Shift(i) => {
                if let Some(gradient) = gradient {
                    let sums = g.channel_sums();
                    p.vector(*i, gradient).iter_mut().zip(sums).for_each(|(slot, sum)| *slot += sum);
                }
                g
            }
            Self::Activate(function) => function.differentiate(tape.saved(0), T::one(), g),
            Self::Identity => g,
            Self::Scale(c) => g.scaled(T::of(*c)),
            Self::Half(second) => embed(&g, *second),
            Self::Embed(second) => half(&g, *second),
        }
    }

    /// Returns `Jv`.
    pub(crate) fn jvp<T: Scalar>(&self, p: &Parameters<T>, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        match self {
            Self::Chain(parts) => parts.iter().enumerate().fold(v, |v, (k, part)| part.jvp(p, tape.inner(k), v)),
            Self::Sum(parts) => {
                let mut values = parts.iter().enumerate().map(|(k, part)| part.jvp(p, tape.inner(k), v.clone()));
                let mut sum = values.next().unwrap_or_else(|| v.clone());
                values.for_each(|y| sum.axpy(T::one(), &y));
                sum
            }
            Self::Apply(i) => p.operators[*i].linear(&v),
            Self::Adjoint(i) => p.operators[*i].adjoint(&v),
            Self::Identity | Self::Shift(_) => v,
            Self::Activate(function) => function.differentiate(tape.saved(0), T::one(), v),
            Self::Scale(c) => v.scaled(T::of(*c)),
            Self::Half(second) => half(&v, *second),
            Self::Embed(second) => embed(&v, *second),
        }
    }

    /// Bounds of the rounding errors for arguments, as executed, within `reach` of those on the tape; `norms` are bounds of
    /// the norms of the operators.
    ///
    /// # Errors
    /// If the norm of `|W|` overflows for an operator `W`.
    pub(crate) fn rounding<T: Scalar>(
        &self,
        p: &Parameters<T>,
        norms: &[f64],
        rounding: &Rounding,
        tape: &Tape<f64>,
        reach: &[f64],
    ) -> Result<Rounded> {
        let own = |errors: Vec<f64>, lipschitz: f64, size: &dyn Fn(usize, f64) -> f64| {
            let moved = |(&e, &r): (&f64, &f64)| add_up(mul_up(lipschitz, r), mul_up(2.0, e));
            let reaches = errors.iter().zip(reach).map(moved).collect();
            let sizes = errors.iter().enumerate().map(|(s, &e)| add_up(size(s, reach[s]), e)).collect();
            Rounded { errors, sizes, reaches, lipschitz }
        };
        // ‖x'‖ over the ball around sample s.
        let around = || -> Vec<f64> {
            tape.saved(0).norms_up().into_iter().zip(reach).map(|(norm, &reach)| add_up(norm, reach)).collect()
        };
        Ok(match self {
            Self::Chain(parts) => {
                let mut known = Rounded {
                    errors: vec![0.0; reach.len()],
                    sizes: vec![0.0; reach.len()],
                    reaches: reach.to_vec(),
                    lipschitz: 1.0,
                };
                for (k, part) in parts.iter().enumerate() {
                    let next = part.rounding(p, norms, rounding, tape.inner(k), &known.reaches)?;
                    let through = known.errors.iter().zip(&next.errors);
                    let errors = through.map(|(&e, &own)| add_up(mul_up(next.lipschitz, e), own)).collect();
                    known = Rounded { errors, lipschitz: mul_up(known.lipschitz, next.lipschitz), ..next };
                }
                known
            }
            Self::Sum(parts) => {
                let zeros = || vec![0.0; reach.len()];
                let mut sum = Rounded { errors: zeros(), sizes: zeros(), reaches: zeros(), lipschitz: 0.0 };
                for (k, part) in parts.iter().enumerate() {
                    let next = part.rounding(p, norms, rounding, tape.inner(k), reach)?;
                    let pairs = [
                        (&mut sum.errors, &next.errors),
                        (&mut sum.sizes, &next.sizes),
                        (&mut sum.reaches, &next.reaches),
                    ];
                    for (all, one) in pairs {
                        all.iter_mut().zip(one).for_each(|(all, &one)| *all = add_up(*all, one));
                    }
                    sum.lipschitz = add_up(sum.lipschitz, next.lipschitz);
                }
                for s in 0..reach.len() {
                    // Each term passes through at most this many additions; they cannot underflow. The tape is rounded, too.
                    let added = mul_up(rounding.dot(parts.len()), sum.sizes[s]);
                    let added = rounding.unless_overflow(add_up(sum.sizes[s], added), added);
                    sum.errors[s] = add_up(sum.errors[s], added);
                    sum.reaches[s] = add_up(sum.reaches[s], mul_up(2.0, added));
                    sum.sizes[s] = add_up(sum.sizes[s], added);
                }
                sum
            }
            Self::Apply(i) => {
                let (operator, l) = (&p.operators[*i], norms[*i]);
                let (bias, x) = (operator.bias_norm(), around());
                own(operator.apply_error(rounding, tape.saved(0), reach)?, l, &|s, _| add_up(mul_up(l, x[s]), bias))
            }
            Self::Adjoint(i) => {
                let (l, x) = (norms[*i], around());
                let errors = p.operators[*i].adjoint_error(rounding, tape.saved(0), reach)?;
                own(errors, l, &|s, _| mul_up(l, x[s]))
            }
            Self::Shift(i) => {
                let repeat = tape.saved(0).shape().len() / p.vectors[*i].len().max(1);
                let bias = mul_up(sqrt_up(repeat as f64), crate::rigor::directed::norm_up(&p.vectors[*i]));
                let sizes: Vec<f64> = around().into_iter().map(|x| add_up(x, bias)).collect();
                let error = |&size: &f64| rounding.unless_overflow(size, mul_up(rounding.dot(1), size));
                own(sizes.iter().map(error).collect(), 1.0, &|s, _| sizes[s])
            }
            Self::Activate(function) => {
                let known = function.over_balls(rounding, tape.saved(0), reach);
                Rounded {
                    errors: known.errors,
                    sizes: known.sizes,
                    reaches: known.reaches,
                    lipschitz: function.lipschitz(),
                }
            }
            Self::Scale(c) => {
                let underflow = mul_up(sqrt_up(tape.saved(0).shape().len() as f64), rounding.underflow(1));
                // The program multiplies by ĉ, which c is rounded to.
                let executed = T::of(*c).wide();
                let off = if executed > *c { sub_up(executed, *c) } else { sub_up(*c, executed) };
                let size = |x: f64| mul_up(c.abs().max(executed.abs()), x);
                let error = |x: &f64| {
                    let error = add_up(add_up(mul_up(off, *x), mul_up(rounding.dot(1), size(*x))), underflow);
                    rounding.unless_overflow(size(*x), error)
                };
                let x = around();
                own(x.iter().map(error).collect(), c.abs(), &|s, _| size(x[s]))
            }
            Self::Identity | Self::Half(_) | Self::Embed(_) => {
                let x = around();
                Rounded { errors: vec![0.0; x.len()], sizes: x, reaches: reach.to_vec(), lipschitz: 1.0 }
            }
        })
    }
}

/// Returns `x + b`, with one number for each channel.
fn shifted<T: Scalar>(b: &[T], mut x: Batch<T>) -> Batch<T> {
    let (units, points) = (b.len(), x.shape().points());
    x.data_mut().iter_mut().enumerate().for_each(|(i, x)| *x += b[i / points % units]);
    x
}

fn half<T: Scalar>(x: &Batch<T>, second: bool) -> Batch<T> {
    let n = x.shape().len() / 2;
    let data = (0..x.samples()).flat_map(|s| x.sample(s)[usize::from(second) * n..][..n].iter().copied()).collect();
    Batch::computed(scale_channels(x.shape(), |c| c / 2), x.samples(), data)
}

fn embed<T: Scalar>(x: &Batch<T>, second: bool) -> Batch<T> {
    let n = x.shape().len();
    let mut y = Batch::zeros(scale_channels(x.shape(), |c| 2 * c), x.samples());
    for s in 0..x.samples() {
        y.sample_mut(s)[usize::from(second) * n..][..n].copy_from_slice(x.sample(s));
    }
    y
}

fn scale_channels(shape: Shape, f: impl Fn(usize) -> usize) -> Shape {
    match shape {
        Shape::Features(n) => Shape::Features(f(n)),
        Shape::Image { channels, height, width } => Shape::image(f(channels), height, width),
    }
}

/// Returns the refusal of a proof that is not one of the field.
pub(super) fn unlike() -> Error {
    Error::not_proved("the rounding error of a field", "the proof is about something else")
}
