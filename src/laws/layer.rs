//! The laws of layers.

use super::{
    Verdict, broken,
    enclosure::Enclosure,
    points::{PAIRS, directions, dot, generator, norm, pairs, points},
};
use proptest::test_runner::TestCaseError;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use crate::{
    certificate::Certificate,
    layer::Layer,
    rigor::{
        Lower, Rounding, Upper,
        directed::{add_up, mul_down, mul_up, sub_down, sub_up},
    },
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};

/// Holds a layer to all laws.
pub fn all<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    claims(layer, seed)?;
    derivatives(layer, seed)
}

/// Holds a layer to the laws on which certificates rest, at weights of any magnitude: all but those about derivatives.
pub fn claims<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    shapes(layer, seed)?;
    samples(layer, seed)?;
    lipschitz(layer, seed)?;
    averaged(layer, seed)?;
    inverse(layer, seed)?;
    rounding(layer, seed)?;
    widening(layer, seed)
}

/// Checks the laws about derivatives, of a layer whose claim is at most 2²⁰ and whose parameters are within 2²⁰ of 1, less where
/// equations are solved: see the source for why.
pub fn derivatives<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    if !is_comparable(proof(layer).as_ref(), &layer.parameters(), layer.describe().solves()) {
        return Ok(());
    }
    adjoint(layer, seed)?;
    differences(layer, seed)
}

/// Returns whether the laws of derivatives say something.
///
/// Where a map moves much faster than its argument, every difference quotient may cross a kink. Where a part of it is steep
/// or flat, and another one makes up for it, numbers in between leave the exponent range or absorb the argument, although
/// the whole moves slowly: `W` of 10¹⁶ with a step of 10⁻³³, say, of which `hWg` is subnormal for small `g`. And where equations
/// are solved, their condition, about the square of the weights, multiplies the unit roundoff: it may be `u^{-1/3}`; and without
/// a proof they need not have one solution.
pub(super) fn is_comparable<T: Scalar>(proof: Option<&Certificate>, parameters: &[&[T]], solves: bool) -> bool {
    let steepest = if solves { libm::cbrt(libm::sqrt(1.0 / T::UNIT_ROUNDOFF)) } else { 1048576.0 };
    let sizes = parameters.iter().map(|p| p.iter().fold(0.0, |a: f64, p| a.max(p.wide().abs())));
    proof.map_or(!solves, |proof| proof.claims().bound.get() <= steepest)
        && sizes.filter(|&size| size > 0.0).all(|size| (1.0 / steepest..=steepest).contains(&size))
}

/// Checks that shapes are those declared, for batches of any size, none included.
pub fn shapes<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    for samples in [0, 1, 3] {
        let x: Batch<T> = points(layer.input(), samples, &mut generator(seed));
        let mut tape = Tape::recording();
        let y = layer.forward(x.clone(), &mut tape);
        expect("the value", &y, layer.output(), samples)?;
        expect("Jv", &layer.jvp(&tape, x), layer.output(), samples)?;
        expect("Jᵀg", &layer.vjp(&tape, y, None), layer.input(), samples)?;
    }
    Ok(())
}

fn expect<T: Scalar>(what: &str, batch: &Batch<T>, shape: Shape, samples: usize) -> Verdict {
    if (batch.shape(), batch.samples()) == (shape, samples) {
        return Ok(());
    }
    let found = (batch.samples(), batch.shape());
    Err(broken(format!("{what} has {} samples of {}, not {samples} of {shape}", found.0, found.1)))
}

/// Checks that a sample has the same value alone as in a batch, up to the rounding of both: samples do not influence each
/// other.
pub fn samples<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    let x: Batch<T> = points(layer.input(), PAIRS, &mut generator(seed));
    let proof = proof(layer);
    let together = Run::at(layer, proof.as_ref(), x.clone(), None)?;
    for s in (0..PAIRS).filter(|&s| !together.refused[s]) {
        let alone = Run::at(layer, proof.as_ref(), x.slice(s..s + 1), None)?;
        if alone.refused[0] {
            continue;
        }
        let apart = Enclosure::difference(together.y.sample(s), alone.y.sample(0)).norm_down();
        let most = add_up(together.errors[s], alone.errors[0]);
        if apart > most {
            return Err(broken(format!("sample {s} moves by {apart:e} > {most:e} when it is evaluated alone")));
        }
    }
    Ok(())
}

/// Checks the Lipschitz bound of the certificate, on the layer over `f64`: `‖Δŷ‖ − E − E' ≤ L‖Δx‖` with the proved
/// rounding errors of both values.
///
/// A layer that declares no rounding error is allowed `2²⁰u(‖ŷ‖ + ‖x‖)`. A layer that refuses to be certified passes.
pub fn lipschitz<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    let Some(proof) = proof(layer) else { return Ok(()) };
    let bound = proof.bound().get();
    each_pair(layer, &proof, seed, |dx, dy, error, [x, other]| {
        let (least, most) = (sub_down(dy.norm_down(), error), mul_up(bound, dx.norm_up()));
        if least <= most {
            return Ok(());
        }
        let ratio = least / dx.norm_up();
        Err(broken(format!(
            "not {bound}-Lipschitz: ‖Δy‖ ≥ {least:e}, but {bound}·‖Δx‖ ≤ {most:e}, a ratio of {ratio}, between {x:?} \
             and {other:?}"
        )))
    })
}

/// Checks that the layer is `α`-averaged, where the certificate says so: `‖Δy − (1 − α)Δx‖ ≤ α‖Δx‖`, enclosed as in
/// [`lipschitz`].
///
/// It is the same as `‖Δy‖² + (1 − 2α)‖Δx‖² ≤ 2(1 − α)⟨Δx, Δy⟩`.
pub fn averaged<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    let Some(proof) = proof(layer) else { return Ok(()) };
    let Some(alpha) = proof.claims().averaged.map(Upper::get) else { return Ok(()) };
    if layer.input() != layer.output() {
        return Err(broken("averaged, but not a map of a space into itself"));
    }
    each_pair(layer, &proof, seed, |dx, dy, error, [x, other]| {
        let rest = dy.minus([sub_down(1.0, alpha), sub_up(1.0, alpha)], dx);
        let (least, most) = (sub_down(rest.norm_down(), error), mul_up(alpha, dx.norm_up()));
        if least <= most {
            return Ok(());
        }
        Err(broken(format!(
            "not {alpha}-averaged: ‖Δy − (1 − α)Δx‖ ≥ {least:e} > {most:e} ≥ α‖Δx‖ between {x:?} and {other:?}"
        )))
    })
}

/// Checks that no distance shrinks more than the certificate says: `‖Δŷ‖ + E + E' ≥ ℓ‖Δx‖`, enclosed as in [`lipschitz`].
pub fn inverse<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    let Some(proof) = proof(layer) else { return Ok(()) };
    let Some(least) = proof.claims().inverse.map(Lower::get) else { return Ok(()) };
    each_pair(layer, &proof, seed, |dx, dy, error, [x, other]| {
        let (most, needed) = (add_up(dy.norm_up(), error), mul_down(least, dx.norm_down()));
        if most >= needed {
            return Ok(());
        }
        Err(broken(format!("‖Δy‖ ≤ {most:e}, below {least}·‖Δx‖ ≥ {needed:e}, between {x:?} and {other:?}")))
    })
}

/// Checks that the rounding error that is declared for a ball holds at a point of the ball: `‖ŷ(x') − ỹ(x')‖ ≤ Ê + Ẽ` for
/// the executions in `T` and in `f64`. Where an overflow is excluded, there is none.
pub fn rounding<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    let wide = layer.widen();
    let [x, other] = pairs_of(layer, seed);
    let reach: Vec<f64> = (0..PAIRS).map(|s| Enclosure::difference(x.sample(s), other.sample(s)).norm_up()).collect();
    let proof = proof(layer);
    let over = Run::at(layer, proof.as_ref(), x, Some(&reach))?;
    if !over.declared {
        return Ok(());
    }
    let executed = Run::at(layer, proof.as_ref(), other.clone(), None)?;
    let meant = Run::at(&*wide, proof.as_ref(), other.cast(), None)?;
    for s in (0..PAIRS).filter(|&s| !executed.refused[s] && !meant.refused[s]) {
        let error = over.errors[s];
        if error.is_finite() && executed.y.sample(s).iter().any(|y| !y.wide().is_finite()) {
            return Err(broken(format!("an overflow at {:?}, although it was excluded", other.sample(s))));
        }
        let value: Vec<f64> = crate::tensor::cast(executed.y.sample(s));
        let apart = Enclosure::difference(&value, meant.y.sample(s)).norm_down();
        let most = add_up(error, meant.errors[s]);
        if apart > most {
            let at = other.sample(s);
            return Err(broken(format!("{} and f64 differ by {apart:e} > {most:e} at {at:?}", T::NAME)));
        }
    }
    Ok(())
}

/// Checks that the layer over `f64` has the same shapes and makes the same claim.
pub fn widening<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, _seed: u64) -> Verdict {
    let wide = layer.widen();
    if (layer.describe(), layer.input(), layer.output()) != (wide.describe(), wide.input(), wide.output()) {
        return Err(broken(format!("{layer:?} is not described as {wide:?}, over f64")));
    }
    let (narrow, wide) = (proof(layer).map(|proof| proof.claims()), proof(&*wide).map(|proof| proof.claims()));
    if narrow == wide { Ok(()) } else { Err(broken(format!("over f64 the claim is {wide:?}, not {narrow:?}"))) }
}

/// Checks `⟨u, Jv⟩ = ⟨Jᵀu, v⟩` in the format `T`, within `2¹⁴u` of the norms, and `2¹⁴η` for what underflows.
pub fn adjoint<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    let mut rng = generator(seed);
    let x: Batch<T> = points(layer.input(), PAIRS, &mut rng);
    let v: Batch<T> = directions(&x.cast(), &mut rng).cast();
    let u: Batch<T> = points(layer.output(), PAIRS, &mut rng);
    let mut tape = Tape::recording();
    layer.forward(x, &mut tape);
    let (jv, ju) = (layer.jvp(&tape, v.clone()), layer.vjp(&tape, u.clone(), None));
    adjoint_within(&u, &jv, &ju, &v)
}

pub(super) fn adjoint_within<T: Scalar>(u: &Batch<T>, jv: &Batch<T>, ju: &Batch<T>, v: &Batch<T>) -> Verdict {
    for s in 0..u.samples() {
        let [nu, njv, nju, nv] = [u, jv, ju, v].map(|b| norm(&crate::tensor::cast::<T, f64>(b.sample(s))));
        let (left, right) = (dot(u.sample(s), jv.sample(s)), dot(ju.sample(s), v.sample(s)));
        // In a format of which parts may have overflowed, there is nothing to compare.
        let scale = nu * njv + nju * nv + nu * nv;
        let most = 16384.0 * (T::UNIT_ROUNDOFF * scale + T::SMALLEST * (nu + nv));
        if scale.is_finite() && scale < T::LARGEST && (left - right).abs() > most {
            return Err(broken(format!("⟨u, Jv⟩ = {left:e}, but ⟨Jᵀu, v⟩ = {right:e}")));
        }
    }
    Ok(())
}

/// Checks that `Jv` and the gradient by the parameters agree with difference quotients, over `f64`, for one of several step
/// lengths.
pub fn differences<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> Verdict {
    let mut wide = layer.widen();
    let mut rng = generator(seed);
    let x: Batch<f64> = points::<T>(layer.input(), PAIRS, &mut rng).cast();
    let v = directions(&x, &mut rng);
    let proof = proof(layer);
    let centre = Run::at(&*wide, proof.as_ref(), x.clone(), None)?;
    let jv = wide.jvp(&centre.tape, v.clone());
    tangent(&x, &v, &jv, |x| {
        let run = Run::at(&*wide, proof.as_ref(), x, None)?;
        Ok((run.y, run.errors))
    })?;
    by_parameters(&mut *wide, &x, &jv, &mut rng)
}

/// Checks the gradient of `Σ ⟨g, y⟩` by the parameters, along one direction of about their own size.
fn by_parameters(layer: &mut dyn Layer<f64>, x: &Batch<f64>, g: &Batch<f64>, rng: &mut impl Rng) -> Verdict {
    let mut direction = |p: &&[f64]| -> Vec<f64> {
        let size = Some(norm(p) / (p.len() as f64).sqrt()).filter(|&s| s > 0.0).unwrap_or(1.0);
        p.iter().map(|_| size * rng.sample::<f64, _>(StandardNormal)).collect()
    };
    let [away, along] = [(); 2].map(|()| layer.parameters().iter().map(&mut direction).collect::<Vec<_>>());
    let move_by = |layer: &mut dyn Layer<f64>, t: f64, by: &[Vec<f64>]| {
        for (p, d) in layer.parameters_mut().into_iter().zip(by) {
            p.iter_mut().zip(d).for_each(|(p, d)| *p += t * d);
        }
        layer.prepare();
    };
    // Weights that are exactly 0 sit on kinks; a random move leaves them.
    move_by(layer, 0.1, &away);
    let mut tape = Tape::recording();
    let y = layer.forward(x.clone(), &mut tape);
    let mut gradient = layer.gradient();
    layer.vjp(&tape, g.clone(), Some(&mut gradient));
    layer.pull_back(&mut gradient);
    let products = || gradient.iter().zip(&along).flat_map(|(g, d)| g.iter().zip(d)).map(|(g, d)| g * d);
    let (expected, scale): (f64, f64) = (products().sum(), products().map(f64::abs).sum());
    let sizes: f64 = y.data().iter().zip(g.data()).map(|(y, g)| (y * g).abs()).sum();
    if along.is_empty() || !scale.is_finite() || !sizes.is_finite() {
        return Ok(());
    }
    let mut quotients = Vec::new();
    for t in STEPS {
        let mut value = |t: f64| {
            move_by(layer, t, &along);
            dot(layer.forward(x.clone(), &mut Tape::idle()).data(), g.data())
        };
        let (plus, minus) = (value(t), value(-2.0 * t));
        value(t);
        let quotient = (plus - minus) / (2.0 * t);
        if !quotient.is_finite() || (quotient - expected).abs() <= 1e-4 * scale + 1e-13 * sizes / t + 1e-290 {
            return Ok(());
        }
        quotients.push(quotient);
    }
    Err(broken(format!("the gradient by the parameters is {expected:e} along {along:?}, the quotients {quotients:?}")))
}

/// Relative step lengths of difference quotients: one of them avoids kinks as well as cancellation.
const STEPS: [f64; 4] = [1e-4, 1e-5, 1e-6, 1e-7];

/// Checks that `jv` is the limit of difference quotients at `x` along `v`; `value` returns a batch and its rounding errors.
pub(super) fn tangent(
    x: &Batch<f64>,
    v: &Batch<f64>,
    jv: &Batch<f64>,
    value: impl Fn(Batch<f64>) -> Result<(Batch<f64>, Vec<f64>), TestCaseError>,
) -> Verdict {
    let mut agrees = vec![false; x.samples()];
    let mut last: Vec<[Vec<f64>; 2]> = vec![Default::default(); x.samples()];
    for t in STEPS {
        let moved = |t: f64| {
            let mut x = x.clone();
            x.axpy(t, v);
            value(x)
        };
        let ((plus, plus_errors), (minus, minus_errors)) = (moved(t)?, moved(-t)?);
        for (s, agrees) in agrees.iter_mut().enumerate() {
            let pairs = plus.sample(s).iter().zip(minus.sample(s)).zip(jv.sample(s));
            let apart: Vec<f64> = pairs.map(|((a, b), jv)| (a - b) / (2.0 * t) - jv).collect();
            last[s] = [std::mem::take(&mut last[s][1]), apart.clone()];
            let most = 1e-4 * norm(jv.sample(s)) + (plus_errors[s] + minus_errors[s]) / t;
            *agrees |= apart.iter().any(|x| !x.is_finite()) || norm(&apart) <= most;
        }
    }
    // Quotients that still change have no limit at these steps: all of them reach over kinks.
    let settled = |[before, after]: &[Vec<f64>; 2]| {
        let change: Vec<f64> = before.iter().zip(after).map(|(a, b)| a - b).collect();
        norm(&change) <= 0.1 * norm(after)
    };
    match agrees.iter().zip(&last).position(|(agrees, last)| !agrees && settled(last)) {
        None => Ok(()),
        Some(s) => {
            let (jv, x) = (jv.sample(s), x.sample(s));
            Err(broken(format!("the derivative {jv:?} is no limit of difference quotients at {x:?}")))
        }
    }
}

/// Returns what is proved about a layer, if anything is.
fn proof<T: Scalar, L: Layer<T> + ?Sized>(layer: &L) -> Option<Certificate> {
    Prover::default().network(&layer.describe(), layer.input()).ok()
}

/// A forward pass with its rounding errors.
struct Run<T: Scalar> {
    y: Batch<T>,
    tape: Tape<T>,
    errors: Vec<f64>,
    /// Whether the errors are declared by the layer.
    declared: bool,
    /// The samples for which the layer did not solve its equations: nothing is claimed about them.
    refused: Vec<bool>,
}

impl<T: Scalar> Run<T> {
    /// Returns the pass at `x` and its errors over balls of the radii `reach`, or at the points alone. The proof is one of the layer, or
    /// of the same over another format, which describes itself by the same numbers.
    fn at<L: Layer<T> + ?Sized>(
        layer: &L,
        proof: Option<&Certificate>,
        x: Batch<T>,
        reach: Option<&[f64]>,
    ) -> Result<Self, TestCaseError> {
        let (mut tape, samples, inputs) = (Tape::recording(), x.samples(), x.norms_up());
        let mut wide = Tape::recording();
        layer.widen().forward(x.cast(), &mut wide);
        let y = layer.forward(x, &mut tape);
        let zeros = vec![0.0; samples];
        let declared =
            proof.and_then(|proof| layer.rounding(proof, &Rounding::of::<T>(), &wide, reach.unwrap_or(&zeros)).ok());
        let (errors, declared) = match declared {
            Some(errors) if errors.len() == samples => (errors, true),
            Some(errors) => return Err(broken(format!("{} errors for {samples} samples", errors.len()))),
            None => {
                let allowed = |(y, x): (f64, f64)| 1_048_576.0 * T::UNIT_ROUNDOFF * (y + x);
                (y.norms_up().into_iter().zip(inputs).map(allowed).collect(), false)
            }
        };
        let solves = layer.describe().solves();
        let refused = (0..samples).map(|s| solves && y.sample(s).iter().any(|y| y.wide().is_nan())).collect();
        Ok(Self { y, tape, errors, declared, refused })
    }
}

fn pairs_of<T: Scalar, L: Layer<T> + ?Sized>(layer: &L, seed: u64) -> [Batch<T>; 2] {
    let wide = layer.widen();
    pairs(layer.input(), &mut generator(seed), |x, v| {
        let mut tape = Tape::recording();
        wide.forward(x.clone(), &mut tape);
        wide.vjp(&tape, wide.jvp(&tape, v), None)
    })
}

/// Calls `claim(Δx, Δŷ, E + E', the points)` for every pair, the values being those of the layer over `f64`.
fn each_pair<T: Scalar, L: Layer<T> + ?Sized>(
    layer: &L,
    proof: &Certificate,
    seed: u64,
    claim: impl Fn(&Enclosure, &Enclosure, f64, [&[T]; 2]) -> Verdict,
) -> Verdict {
    let wide = layer.widen();
    let [x, other] = pairs_of(layer, seed);
    let at = |x: &Batch<T>| Run::at(&*wide, Some(proof), x.cast(), None);
    let (here, there) = (at(&x)?, at(&other)?);
    for s in (0..PAIRS).filter(|&s| !here.refused[s] && !there.refused[s]) {
        let dx = Enclosure::difference(x.sample(s), other.sample(s));
        let dy = Enclosure::difference(here.y.sample(s), there.y.sample(s));
        claim(&dx, &dy, add_up(here.errors[s], there.errors[s]), [x.sample(s), other.sample(s)])?;
    }
    Ok(())
}
