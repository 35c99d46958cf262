//! The laws of vector fields.

use proptest::test_runner::TestCaseError;

use super::{
    Verdict, broken,
    enclosure::Enclosure,
    layer::{adjoint_within, is_comparable, tangent},
    points::{PAIRS, directions, generator, pairs, points},
};
use crate::{
    certificate::Certificate,
    field::VectorField,
    rigor::{
        Lower, Rounding, Upper,
        directed::{add_up, mul_down, mul_up, sub_down},
    },
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, cast},
};

/// Holds a vector field to all laws.
pub fn all<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, seed: u64) -> Verdict {
    claims(field, seed)?;
    if !is_comparable(proof(field).as_ref(), &field.parameters(), false) {
        return Ok(());
    }
    adjoint(field, seed)?;
    differences(field, seed)
}

/// Holds a vector field to the laws on which certificates rest, at weights of any magnitude: all but those about derivatives.
pub fn claims<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, seed: u64) -> Verdict {
    constants(field, seed)?;
    rounding(field, seed)?;
    widening(field, seed)
}

/// Checks the constants that the field proves, on the field over `f64`, enclosed with its proved rounding errors:
/// `‖Δf‖ ≤ ℓ‖Δx‖`, `⟨Δf, Δx⟩ ≤ μ‖Δx‖²`, `⟨Δf, Δx⟩ ≤ −ν‖Δf‖²`, `⟨Δf, Δx⟩ ≤ −c‖Δx‖²` for the smallest curvature `c`.
///
/// A field that declares no rounding error is allowed `2²⁰u(‖f̂‖ + ‖x‖)`. What the field refuses to prove passes.
pub fn constants<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, seed: u64) -> Verdict {
    let wide = field.widen();
    let claims = proof(field).map(|proof| proof.claims());
    let [x, other] = pairs_of(field, seed);
    let (here, there) = (Run::at(&*wide, x.cast(), None)?, Run::at(&*wide, other.cast(), None)?);
    for s in 0..PAIRS {
        let dx = Enclosure::difference(x.sample(s), other.sample(s));
        let df = Enclosure::difference(here.f.sample(s), there.f.sample(s));
        let error = add_up(here.errors[s], there.errors[s]);
        let (far, least) = (dx.norm_up(), sub_down(df.norm_down(), error).max(0.0));
        // A lower bound of ⟨Δf, Δx⟩, and an upper one of μ‖Δx‖² for either sign of μ.
        let inner = sub_down(df.dot(&dx)[0], mul_up(error, far));
        let near = dx.norm_down();
        let times = |mu: f64| if mu < 0.0 { mul_up(mul_up(mu, near), near) } else { mul_up(mul_up(mu, far), far) };
        let fail = |what: &str, c: f64, left: f64, right: f64| {
            let points = (x.sample(s), other.sample(s));
            Err(broken(format!("{what} with the constant {c} fails: {left:e} > {right:e} between {points:?}")))
        };
        if let Some(l) = claims.map(|claims| claims.bound.get()) {
            let most = mul_up(l, far);
            if least > most {
                return fail("‖Δf‖ ≤ ℓ‖Δx‖", l, least, most);
            }
        }
        if let Some(mu) = claims.and_then(|claims| claims.one_sided_lipschitz).map(Upper::get)
            && inner > times(mu)
        {
            return fail("⟨Δf, Δx⟩ ≤ μ‖Δx‖²", mu, inner, times(mu));
        }
        // A constant field has ν = ∞; then only Δf = 0 is left to check.
        if let Some(nu) = claims.and_then(|claims| claims.cocoercivity).map(Lower::get) {
            let most = if least > 0.0 { -mul_down(mul_down(nu, least), least) } else { 0.0 };
            if inner > most {
                return fail("⟨Δf, Δx⟩ ≤ −ν‖Δf‖²", nu, inner, most);
            }
        }
        if let Some((claims, low)) = claims.and_then(|claims| Some((claims, claims.strong_convexity?))) {
            let (low, high) = (low.get(), claims.bound.get());
            if inner > times(-low) {
                return fail("⟨Δf, Δx⟩ ≤ −c‖Δx‖²", low, inner, times(-low));
            }
            let (steepest, most) = (sub_down(-df.dot(&dx)[1], mul_up(error, far)), mul_up(mul_up(high, far), far));
            if steepest > most {
                return fail("−⟨Δf, Δx⟩ ≤ β‖Δx‖²", high, steepest, most);
            }
        }
    }
    Ok(())
}

/// Checks that the rounding error and the size that are declared for a ball hold at a point of the ball, as
/// [`super::layer::rounding`].
pub fn rounding<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, seed: u64) -> Verdict {
    let wide = field.widen();
    let [x, other] = pairs_of(field, seed);
    let reach: Vec<f64> = (0..PAIRS).map(|s| Enclosure::difference(x.sample(s), other.sample(s)).norm_up()).collect();
    let over = Run::at(field, x, Some(&reach))?;
    let Some(sizes) = &over.sizes else { return Ok(()) };
    let executed = Run::at(field, other.clone(), None)?;
    let meant = Run::at(&*wide, other.cast(), None)?;
    for (s, &declared_size) in sizes.iter().enumerate() {
        let value: Vec<f64> = cast(executed.f.sample(s));
        if over.errors[s].is_finite() && value.iter().any(|f| !f.is_finite()) {
            return Err(broken(format!("an overflow at {:?}, although it was excluded", other.sample(s))));
        }
        let apart = Enclosure::difference(&value, meant.f.sample(s)).norm_down();
        let most = add_up(over.errors[s], meant.errors[s]);
        let size = Enclosure::difference(&value, &vec![0.0; value.len()]).norm_down();
        if apart > most || size > declared_size {
            return Err(broken(format!(
                "{} and f64 differ by {apart:e}, declared {most:e}; the size is {size:e}, declared {declared_size:e}, at {:?}",
                T::NAME,
                other.sample(s)
            )));
        }
    }
    Ok(())
}

/// Checks that the field over `f64` has the same parameters and proves the same constants.
pub fn widening<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, _seed: u64) -> Verdict {
    let wide = field.widen();
    let numbers = |slices: Vec<&[T]>| slices.into_iter().map(cast::<T, f64>).collect::<Vec<_>>();
    if numbers(field.parameters()) != wide.parameters() {
        return Err(broken("the parameters over f64 are not the same numbers"));
    }
    let (narrow, wide) = (proof(field).map(|proof| proof.claims()), proof(&*wide).map(|proof| proof.claims()));
    if narrow == wide { Ok(()) } else { Err(broken(format!("over f64 the constants are {wide:?}, not {narrow:?}"))) }
}

/// Checks `⟨u, f'v⟩ = ⟨f'ᵀu, v⟩`, as [`super::layer::adjoint`].
pub fn adjoint<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, seed: u64) -> Verdict {
    let mut rng = generator(seed);
    let x: Batch<T> = points(field.shape(), PAIRS, &mut rng);
    let v: Batch<T> = directions(&x.cast(), &mut rng).cast();
    let u: Batch<T> = points(field.shape(), PAIRS, &mut rng);
    let mut tape = Tape::recording();
    field.eval(&x, &mut tape);
    adjoint_within(&u, &field.jvp(&x, &tape, &v), &field.vjp(&x, &tape, &u, None), &v)
}

/// Checks that `f'v` agrees with difference quotients, over `f64`. The gradient by the parameters is tested with the flow
/// of the field, by [`super::layer::differences`].
pub fn differences<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, seed: u64) -> Verdict {
    let wide = field.widen();
    let mut rng = generator(seed);
    let x: Batch<f64> = points::<T>(field.shape(), PAIRS, &mut rng).cast();
    let v = directions(&x, &mut rng);
    let centre = Run::at(&*wide, x.clone(), None)?;
    let jv = wide.jvp(&x, &centre.tape, &v);
    tangent(&x, &v, &jv, |x| {
        let run = Run::at(&*wide, x, None)?;
        Ok((run.f, run.errors))
    })
}

/// Returns what is proved about a field, if anything is.
fn proof<T: Scalar, F: VectorField<T> + ?Sized>(field: &F) -> Option<Certificate> {
    Prover::default().field(&field.describe(), field.shape()).ok()
}

/// An evaluation with its rounding errors.
struct Run<T: Scalar> {
    f: Batch<T>,
    tape: Tape<T>,
    errors: Vec<f64>,
    /// The declared bounds of `‖f̂‖`, if there are any.
    sizes: Option<Vec<f64>>,
}

impl<T: Scalar> Run<T> {
    fn at<F: VectorField<T> + ?Sized>(field: &F, x: Batch<T>, reach: Option<&[f64]>) -> Result<Self, TestCaseError> {
        let mut tape = Tape::recording();
        let f = field.eval(&x, &mut tape);
        if (f.shape(), f.samples()) != (field.shape(), x.samples()) {
            return Err(broken(format!("a value of {} at a point of {}", f.shape(), field.shape())));
        }
        let (mut wide, point) = (Tape::recording(), x.cast());
        field.widen().eval(&point, &mut wide);
        let zeros = vec![0.0; x.samples()];
        let declared = proof(field).and_then(|proof| {
            field.rounding(&proof, &Rounding::of::<T>(), &point, &wide, reach.unwrap_or(&zeros)).ok()
        });
        let (errors, sizes) = match declared {
            Some(bounds) => {
                let errors = bounds.iter().map(|b| b.error).collect();
                (errors, Some(bounds.iter().map(|b| b.size).collect()))
            }
            None => {
                let allowed = |(f, x): (f64, f64)| 1_048_576.0 * T::UNIT_ROUNDOFF * (f + x);
                (f.norms_up().into_iter().zip(x.norms_up()).map(allowed).collect(), None)
            }
        };
        Ok(Self { f, tape, errors, sizes })
    }
}

fn pairs_of<T: Scalar, F: VectorField<T> + ?Sized>(field: &F, seed: u64) -> [Batch<T>; 2] {
    let wide = field.widen();
    pairs(field.shape(), &mut generator(seed), |x, v| {
        let mut tape = Tape::recording();
        wide.eval(x, &mut tape);
        wide.vjp(x, &tape, &wide.jvp(x, &tape, &v), None)
    })
}
