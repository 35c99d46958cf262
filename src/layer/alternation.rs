//! Pairs of an expansive and a contractive step.

use super::{Flow, Layer, Step, by_part, gradient_of};
use crate::{
    certificate::Certificate,
    error::{Error, Result},
    field::VectorField,
    model::{self, Map, Method},
    rigor::{
        Rounding, Summation,
        directed::{add_up, mul_up},
    },
    rules::Prover,
    scalar::Scalar,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// How often the length of an expansive step is halved or doubled, and then bisected.
const MOST_SCALINGS: usize = 64;
const BISECTIONS: usize = 24;

/// Pairs of Euler steps, `x ↦ z − h₁g(z)` after `z = x + h₂f(x)`: the first contracts, the second, against its field, expands, and
/// *together they are proved to be non-expansive*. What the contraction leaves over is spent on the expansion: `h₁` is as long as the proof
/// of the pair allows.
///
/// A step of gradient fields alone can only contract; pairs approximate more maps at the same constant. For gradient fields with
/// curvatures in `[μ, β]` (of `f`) and up to `β'` (of `g`), the pair has the factor
///
/// ```math
/// (1 + h_1 β')\,\max(|1 - h_2 μ|, |1 - h_2 β|) \le 1 .
/// ```
///
/// The lengths are chosen by proved norms when the layer is made and when its network is sealed; training in between holds them.
/// It describes itself as a chain of flows, and a file that is read back holds those.
///
/// ```
/// use dahlquist::{Network, activation::Activation, field::{GradientField, VectorField}, layer::{Alternation, Step}};
/// use dahlquist::{operator::{Affine, Dense}, tensor::Shape};
/// let field = |w: f64, slope: f64| -> dahlquist::Result<Box<dyn VectorField<f64>>> {
///     let map = Affine::new(Dense::new(1, 1, vec![w])?, None)?;
///     Ok(Box::new(GradientField::new(map, Activation::LeakyRelu { slope })?))
/// };
/// // Contracts by 1 − 1/2, so that the other may expand by 1 + h₁·4 = 2.
/// let layer = Alternation::new(vec![[field(1.0, 0.5)?, field(2.0, 0.1)?]], Step::Fixed(1.0))?;
/// assert!((layer.expansions()[0] - 0.25).abs() < 1e-6);
/// let sealed = Network::new(Shape::Features(1), vec![Box::new(layer)])?.seal()?;
/// assert!(sealed.certificate().bound().get() <= 1.0);
/// # Ok::<(), dahlquist::Error>(())
/// ```
///
/// Source: Celledoni, Murari, Owren, Schönlieb, Sherry, arXiv:2210.02373, section 3.
#[derive(Debug)]
pub struct Alternation<T: Scalar> {
    /// The contractive step, the expansive one, and so on.
    steps: Vec<Flow<T>>,
}

impl<T: Scalar> Alternation<T> {
    /// Creates a layer of pairs `[f, g]` of a field that contracts and one that expands; every contractive step is chosen by
    /// `contraction`, which is [`Step::Fixed`] or [`Step::Relative`].
    ///
    /// # Errors
    /// [`Error::Parameter`] if there is no pair, or the contraction is a horizon; as [`Flow::boxed`]; [`Error::NotProved`] if a
    /// contractive step has a factor above 1.
    pub fn new(pairs: Vec<[Box<dyn VectorField<T>>; 2]>, contraction: Step) -> Result<Self> {
        if pairs.is_empty() {
            return Err(Error::parameter("pairs", 0, "there must be one at least"));
        }
        if matches!(contraction, Step::Horizon(_)) {
            return Err(Error::parameter("contraction", "a horizon", "a pair has one contractive step"));
        }
        let space = pairs[0][0].shape();
        let mut steps = Vec::new();
        for [contractive, expansive] in pairs {
            for (field, step) in [(contractive, contraction), (expansive, Step::Fixed(0.0))] {
                if field.shape() != space {
                    let what = "fields of an alternation".into();
                    return Err(Error::Shape { what, expected: space, found: field.shape() });
                }
                steps.push(Flow::boxed(vec![field], Tableau::euler(), step, 1)?);
            }
        }
        let mut layer = Self { steps };
        layer.choose(&Prover::default())?;
        Ok(layer)
    }

    /// Returns the lengths `h₁` of the expansive steps.
    pub fn expansions(&self) -> Vec<f64> {
        self.steps.iter().skip(1).step_by(2).map(|step| -step.step().wide()).collect()
    }

    /// Makes each expansive step as long as the proof of its pair allows.
    fn choose(&mut self, prover: &Prover) -> Result<()> {
        for pair in self.steps.chunks_mut(2) {
            let [contractive, expansive] = pair else { continue };
            contractive.seal(prover)?;
            let (first, space) = (contractive.describe(), contractive.input());
            let Some(field) = expansive.fields().next().map(|field| field.describe()) else { continue };
            let factor = |h: f64| -> Result<f64> {
                let step = model::Flow::of_steps(field.clone(), Method::Named("euler".into()), -h, 1);
                let pair = Map::Chain(vec![first.clone(), Map::Flow(step)]);
                Ok(prover.network(&pair, space)?.bound().get())
            };
            // A proof that overflows allows nothing.
            let fits = |h: f64| factor(T::of(h).wide()).is_ok_and(|factor| factor <= 1.0);
            let alone = factor(0.0)?;
            if alone > 1.0 {
                let reason = format!("its factor is {alone}, which leaves no room for an expansive one");
                return Err(Error::not_proved("a contractive step", reason));
            }
            let l = prover.field(&field, space)?.bound().get();
            let mut long = 1.0 / l.clamp(f64::MIN_POSITIVE.sqrt(), f64::MAX.sqrt());
            let mut scalings = 0;
            while fits(2.0 * long) && scalings < MOST_SCALINGS {
                (long, scalings) = (2.0 * long, scalings + 1);
            }
            while !fits(long) && scalings < MOST_SCALINGS {
                (long, scalings) = (0.5 * long, scalings + 1);
            }
            let mut longest = if fits(long) { long } else { 0.0 };
            let mut more = longest;
            for _ in 0..BISECTIONS {
                more *= 0.5;
                if fits(longest + more) {
                    longest += more;
                }
            }
            expansive.fix(T::of(-longest));
        }
        Ok(())
    }

    fn parts(&self) -> impl Iterator<Item = &dyn Layer<T>> {
        self.steps.iter().map(|step| step as &dyn Layer<T>)
    }
}

impl<T: Scalar> Layer<T> for Alternation<T> {
    fn describe(&self) -> Map {
        Map::Chain(self.steps.iter().map(|step| step.describe()).collect())
    }

    fn input(&self) -> Shape {
        self.steps[0].input()
    }

    fn output(&self) -> Shape {
        self.steps[0].output()
    }

    fn forward(&self, x: Batch<T>, tape: &mut Tape<T>) -> Batch<T> {
        self.steps.iter().fold(x, |x, step| tape.part(|tape| step.forward(x, tape)))
    }

    fn vjp(&self, tape: &Tape<T>, g: Batch<T>, gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        let steps = self.steps.iter().enumerate().rev();
        let Some(gradient) = gradient else { return steps.fold(g, |g, (i, step)| step.vjp(tape.inner(i), g, None)) };
        by_part(self.parts(), gradient, |slots| {
            steps.fold(g, |g, (i, step)| step.vjp(tape.inner(i), g, Some(&mut slots[i])))
        })
    }

    fn jvp(&self, tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        self.steps.iter().enumerate().fold(v, |v, (i, step)| step.jvp(tape.inner(i), v))
    }

    /// `E ← ℓE + e` along the steps.
    fn rounding(&self, proof: &Certificate, rounding: &Rounding, tape: &Tape<f64>, reach: &[f64]) -> Result<Vec<f64>> {
        let proofs: Vec<&Certificate> = proof.layers().collect();
        if proofs.len() != self.steps.len() {
            return Err(Error::not_proved("the rounding error of an alternation", "the proof is not one of it"));
        }
        let (mut errors, mut reach) = (vec![0.0; reach.len()], reach.to_vec());
        for (i, (step, proof)) in self.steps.iter().zip(proofs).enumerate() {
            let around: Vec<f64> = reach.iter().zip(&errors).map(|(&r, &e)| add_up(r, mul_up(2.0, e))).collect();
            let (local, l) = (step.rounding(proof, rounding, tape.inner(i), &around)?, proof.bound().get());
            for ((error, reach), local) in errors.iter_mut().zip(&mut reach).zip(local) {
                *error = add_up(mul_up(l, *error), local);
                *reach = mul_up(l, *reach);
            }
        }
        Ok(errors)
    }

    fn set_summation(&mut self, summation: Summation) {
        self.steps.iter_mut().for_each(|step| step.set_summation(summation));
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(Alternation { steps: self.steps.iter().map(Flow::widened).collect() })
    }

    fn parameters(&self) -> Vec<&[T]> {
        self.steps.iter().flat_map(|step| step.parameters()).collect()
    }

    fn parameters_mut(&mut self) -> Vec<&mut [T]> {
        self.steps.iter_mut().flat_map(|step| step.parameters_mut()).collect()
    }

    fn parameter_rows(&self) -> Vec<usize> {
        self.parts().flat_map(|part| part.parameter_rows()).collect()
    }

    fn gradient(&self) -> Vec<Vec<T>> {
        gradient_of(self.parts())
    }

    fn prepare(&mut self) {
        self.steps.iter_mut().for_each(|step| step.prepare());
    }

    fn pull_back(&self, gradient: &mut [Vec<T>]) {
        by_part(self.parts(), gradient, |slots| {
            self.steps.iter().zip(slots).for_each(|(step, slots)| step.pull_back(slots));
        });
    }

    fn seal(&mut self, prover: &Prover) -> Result<()> {
        self.choose(prover)
    }
}
