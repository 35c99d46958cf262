//! The claims about one network, put to the test.

use dahlquist::{
    Error, Result, Sealed, Semantics,
    attack::Falsifier,
    certificate::{Perturbation, RadiusProof},
    certify::{SampleCertificate, SealOptions, Summation},
    rigor::directed::distance_up,
    scalar::Scalar,
    tensor::Batch,
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use dahlquist_testkit::oracle::{Exact, Num, difference, row, square};

use crate::{
    counts::Counts,
    interval::{Interval, decided},
    points::{directions, points},
    reference::Reference,
    subject::Subject,
};

/// Samples of one network.
const SAMPLES: usize = 32;
/// Points around each of them: for the exact radius, and for each of the other three.
const POINTS: [usize; 2] = [120, 40];

/// How a network is drawn and its claims are understated.
#[derive(Debug, Clone, Copy)]
pub struct Draw {
    /// Its kind, one of [`crate::draw::KINDS`].
    pub kind: usize,
    /// Whether it is trained, and whether its numbers are stretched over the range of exponents.
    pub trained: bool,
    pub stretched: bool,
    /// Every bound is multiplied by this and every radius divided.
    pub understate: f64,
}

/// Draws a network over `T` and samples in `S`, seals it and tests its claims about them.
///
/// # Errors
/// If something fails that is no refusal of a certificate.
pub fn examine<T: Scalar, S: Scalar>(draw: Draw, rng: &mut ChaCha8Rng) -> Result<Counts> {
    let mut counts = Counts { networks: vec![0; draw.kind + 1], ..Counts::default() };
    counts.networks[draw.kind] = 1;
    let mut subject = match Subject::<T>::random(draw.kind, rng) {
        Ok(subject) => subject,
        Err(Error::Layer { .. } | Error::NotProved { .. }) => {
            counts.not_certified = 1;
            return Ok(counts);
        }
        Err(error) => return Err(error),
    };
    // A network whose values overflow has no loss to be trained by, and is tested as it was drawn.
    if draw.trained && subject.train(rng).is_ok() {
        counts.trained = 1;
    }
    if draw.stretched {
        subject.stretch(rng);
        counts.stretched = 1;
    }
    let summation = if rng.random_bool(0.5) { Summation::Declared } else { Summation::Any };
    // A relative step is one that is proved, so that a network may be refused before it exists.
    let options = SealOptions { summation, ..SealOptions::default() };
    let sealed = match subject.network().and_then(|network| network.seal_with(options)) {
        Ok(sealed) => sealed,
        Err(Error::Layer { .. } | Error::NotProved { .. }) => {
            counts.not_certified = 1;
            return Ok(counts);
        }
        Err(error) => return Err(error),
    };
    counts.single = usize::from(T::NAME == "f32");
    counts.wide_samples = usize::from(T::NAME != S::NAME);
    counts.declared = usize::from(summation == Summation::Declared);
    let x: Batch<S> = subject.samples(SAMPLES, rng);
    // Local radii by linear bounds, or by quadratic ones where these prove more.
    let (is_quadratic, ball) = (rng.random_bool(0.5), Perturbation::default());
    let locally = |semantics| match is_quadratic {
        true => sealed.certify_quadratically(&x, semantics, &ball),
        false => sealed.certify_locally(&x, semantics),
    };
    let claims = || -> Result<_> {
        Ok([
            sealed.certify(&x, Semantics::Exact)?,
            locally(Semantics::Exact)?,
            sealed.certify(&x, Semantics::Executed)?,
            locally(Semantics::Executed)?,
        ])
    };
    // Where even the norm of |W| overflows, nothing is claimed about what is executed.
    let claims = match claims() {
        Ok(claims) => claims,
        Err(Error::Layer { .. } | Error::NotProved { .. }) => {
            counts.not_certified = 1;
            return Ok(counts);
        }
        Err(error) => return Err(error),
    };
    counts.samples = SAMPLES;
    let references = if subject.has_reference()? {
        Some((Reference::<Interval>::new(&subject, &sealed)?, Reference::<Exact>::new(&subject, &sealed)?))
    } else {
        counts.executed_alone = 1;
        None
    };
    for s in 0..SAMPLES {
        let claims = [0, 1, 2, 3].map(|c| claims[c][s]);
        test(
            &sealed,
            references.as_ref(),
            &x.slice(s..s + 1).cast(),
            claims,
            draw.understate,
            (&mut counts, &mut *rng),
        )?;
    }
    let falsifier = Falsifier { seconds: f64::INFINITY, rounds: Some(1), batch: SAMPLES, seed: rng.random() };
    let found = falsifier.run(&sealed, Some(&x.cast()))?;
    counts.bisections = found.flips.bisections;
    counts.executions = found.flips.executions;
    counts.unsolved += found.flips.unsolved;
    counts.closest = found.flips.closest.map(|c| c * draw.understate);
    counts.closest_exact = found.flips.closest_exact.map(|c| c * draw.understate);
    counts.violations.executed_flip = found.flips.violations;
    let ratios = || found.layers.iter().chain(&found.features).chain([&found.network]);
    counts.falsifier_pairs = ratios().map(|r| r.pairs).sum();
    counts.violations.falsifier = ratios().filter(|r| r.refuted || r.rounding.is_some_and(|r| r > 1.0)).count();
    Ok(counts)
}

/// Tests the claims about one sample: exact, exact and local, executed, executed and local. Exact ones need a reference.
fn test<T: Scalar>(
    sealed: &Sealed<T>,
    references: Option<&(Reference<Interval>, Reference<Exact>)>,
    x: &Batch<f64>,
    claims: [SampleCertificate; 4],
    understate: f64,
    (counts, rng): (&mut Counts, &mut ChaCha8Rng),
) -> Result<()> {
    let radii = claims.map(|claim| claim.radius.get() / understate);
    counts.without_exact_radius += usize::from(radii[0] <= 0.0);
    counts.without_executed_radius += usize::from(radii[2] <= 0.0);
    counts.quadratic += claims.iter().filter(|claim| claim.by == RadiusProof::Quadratic).count();
    counts.larger_locally += usize::from(radii[1] > radii[0]) + usize::from(radii[3] > radii[2]);
    if radii.iter().all(|radius| *radius <= 0.0) {
        return Ok(());
    }
    let Some(class) = claims.iter().find_map(|claim| claim.prediction.filter(|_| claim.radius.get() > 0.0)) else {
        return Ok(());
    };
    let directions = directions(sealed, x, class, rng)?;
    let mut around = |radius: f64, count: usize| -> Result<Batch<f64>> {
        let found = if radius > 0.0 { points(&directions, x.data(), radius, count, rng) } else { Vec::new() };
        Batch::new(x.shape(), found.concat())
    };
    // Any point within the radius, whatever its format, is one that an exact claim is about.
    let l = sealed.certificate().bound().get() * understate;
    let exact = references.into_iter().flat_map(|references| [(references, 0, POINTS[0]), (references, 1, POINTS[1])]);
    for (references, c, count) in exact {
        let around = around(radii[c], count)?;
        let y = decided(|| references.0.at(x.data()));
        for p in 0..around.samples() {
            let (point, Some(class)) = (around.sample(p), claims[c].prediction) else { continue };
            let distance = distance_up(x.data(), point);
            if distance >= radii[c] || distance == 0.0 {
                continue;
            }
            let quick = y.as_ref().filter(|_| p > 0);
            let verdict =
                quick.and_then(|y| decided(|| Verdict::new(y, &references.0.at(point), (x.data(), point), l, class)));
            let verdict = verdict.unwrap_or_else(|| {
                counts.by_integers += 1;
                let (y, z) = (references.1.at(x.data()), references.1.at(point));
                Verdict::new(&y, &z, (x.data(), point), l, class)
            });
            counts.violations.lipschitz += usize::from(!verdict.lipschitz);
            let (pairs, violations) = match c {
                0 => (&mut counts.pairs, &mut counts.violations.exact_class),
                _ => (&mut counts.local_pairs, &mut counts.violations.local_class),
            };
            *pairs += 1;
            *violations += usize::from(!verdict.class);
        }
        // Rounding blurs the ratio of points that are close.
        if T::NAME == "f64" && c == 0 && around.samples() > 0 {
            let (outputs, centre) = (sealed.forward(&around.cast())?, sealed.forward(&x.cast())?);
            for p in (0..around.samples()).step_by(4) {
                let distance = distance_up(x.data(), around.sample(p));
                let ratio = distance_up(outputs.sample(p), centre.data()) / (l * distance);
                if distance > 0.1 * radii[0] && ratio.is_finite() {
                    counts.largest_ratio = counts.largest_ratio.max(ratio);
                }
            }
        }
    }
    // The program reads numbers of its format alone, those next to the sample among them.
    for c in [2, 3] {
        let (read, around) = (x.cast::<T>(), around(radii[c], POINTS[1])?.cast::<T>());
        for inputs in [&read, &around] {
            let outputs = sealed.forward(inputs)?;
            for p in 0..inputs.samples() {
                // Only a point that is proved to lie within the radius is one that the claim is about.
                if distance_up(x.data(), inputs.sample(p)) >= radii[c] {
                    continue;
                }
                let (logits, Some(class)) = (outputs.sample(p), claims[c].prediction) else { continue };
                // Where the equations are not solved the program says so, by NaN: no claim is about such an input.
                if sealed.map().solves() && logits.iter().any(|logit| logit.wide().is_nan()) {
                    counts.unsolved += 1;
                    continue;
                }
                // A NaN is not below.
                let stands = (0..logits.len()).all(|j| j == class || logits[j] < logits[class]);
                let (pairs, violations) = match c {
                    2 => (&mut counts.executed_pairs, &mut counts.violations.executed_class),
                    _ => (&mut counts.executed_local_pairs, &mut counts.violations.executed_local_class),
                };
                *pairs += 1;
                *violations += usize::from(!stands);
            }
        }
    }
    Ok(())
}

/// Whether claims stand, decided in `N`.
struct Verdict {
    /// `‖z − y‖ ≤ L‖x' − x‖`, in squares.
    lipschitz: bool,
    /// The logit of the class is above all others at `x'`.
    class: bool,
}

impl Verdict {
    fn new<N: Num>(y: &[N], z: &[N], (x, other): (&[f64], &[f64]), l: f64, class: usize) -> Self {
        let dx: Vec<N> = difference(&row(other), &row(x));
        let most = N::of(l).times(&N::of(l)).times(&square(&dx));
        Self {
            lipschitz: square(&difference(z, y)).at_most(&most),
            class: (0..z.len()).all(|j| j == class || z[class].minus(&z[j]).positive()),
        }
    }
}
