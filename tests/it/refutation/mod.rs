//! Attempts to refute claims at random: weights, steps and points from anywhere in the range of exponents, subnormal numbers, spaces
//! of one dimension, points that are the same.
//!
//! Everything is decided in exact arithmetic, by the formulas of the description, without any tolerance. A longer campaign with other
//! numbers:
//!
//! ```text
//! PROPTEST_CASES=100000 PROPTEST_RNG_SEED=7 cargo test --release --test it refutation
//! ```

mod chains;
mod lyapunov;
mod own_norms;
mod parallel;
mod refused;
mod solved;

use std::cell::Cell;

use dahlquist::{
    certificate::Claims,
    laws::{Verdict, search, strategies as s},
    model::Map,
    tensor::Shape,
};
use dahlquist_testkit::{
    described::value,
    oracle::{Exact, Num, difference, row, square},
};
use faer::Mat;
use proptest::{
    prelude::{Strategy, prop_oneof},
    test_runner::TestCaseError,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Tries `cases` subjects, or as many as `PROPTEST_CASES` says, and at least `least` of every hundred must be decided.
fn refute<S: Strategy>(cases: u32, least: usize, subjects: S, attempt: impl Fn(&S::Value, u64) -> Attempt) {
    let (decided, all) = (Cell::new(0usize), Cell::new(0usize));
    let law = |subject: &S::Value, seed: u64| -> Verdict {
        let found = attempt(subject, seed).map_err(TestCaseError::fail)?;
        all.set(all.get() + 1);
        decided.set(decided.get() + usize::from(found));
        Ok(())
    };
    if let Err(counterexample) = search(cases, subjects, law) {
        panic!("{counterexample}");
    }
    println!("{} of {} decided", decided.get(), all.get());
    assert!(100 * decided.get() >= least * all.get(), "{} of {} decided", decided.get(), all.get());
}

/// Whether anything was decided, or why a claim is false.
type Attempt = Result<bool, String>;

fn generator(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// A number of any magnitude, more often a moderate one.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![6 => s::moderate::<f64>(), 2 => s::wide::<f64>(), 1 => s::special::<f64>(), 1 => s::subnormal::<f64>()]
}

/// A point whose coordinates are of one magnitude, or of all of them.
fn point(n: usize, rng: &mut impl Rng) -> Vec<f64> {
    let mixed = rng.random_bool(0.1);
    let of_all = magnitude(rng);
    let coordinate = |_| {
        let e = if mixed { magnitude(rng) } else { of_all };
        libm::scalbn(rng.random_range(-1.0..1.0), e)
    };
    (0..n).map(coordinate).collect()
}

/// An exponent: mostly around 0, and now and then one from anywhere.
fn magnitude(rng: &mut impl Rng) -> i32 {
    match rng.random_range(0..10) {
        0 => rng.random_range(-1070..1020),
        1..4 => rng.random_range(-60..60),
        _ => rng.random_range(-3..4),
    }
}

/// What is tried: how a function of vectors of exact numbers moves pairs of points.
struct Pair {
    x: [Vec<Exact>; 2],
    y: [Vec<Exact>; 2],
}

/// Pairs around a point: one at random, and along the directions in which the function stretches most and least there, at any
/// distance; also the point twice. None where the function has no exact value.
fn pairs(f: impl Fn(&[Exact]) -> Option<Vec<Exact>>, x: &[f64], rng: &mut impl Rng) -> Option<Vec<Pair>> {
    let start: Vec<Exact> = row(x);
    let image = f(&start)?;
    let mut directions = vec![point(x.len(), rng)];
    directions.extend(extremes(&f, &start, &image, magnitude(rng)).unwrap_or_default());
    let mut all = Vec::new();
    for direction in &directions {
        for sign in [1.0, -1.0] {
            let t = Exact::of(libm::scalbn(sign, magnitude(rng)));
            let other: Vec<Exact> =
                start.iter().zip(direction).map(|(x, d)| x.plus(&t.times(&Exact::of(*d)))).collect();
            let moved = f(&other)?;
            all.push(Pair { x: [start.clone(), other], y: [image.clone(), moved] });
        }
    }
    all.push(Pair { x: [start.clone(), start], y: [image.clone(), image] });
    Some(all)
}

/// The directions in which a function stretches most and least, from differences over `2ᵉ`; they are proposals, and rounded.
fn extremes(
    f: impl Fn(&[Exact]) -> Option<Vec<Exact>>,
    start: &[Exact],
    image: &[Exact],
    e: i32,
) -> Option<Vec<Vec<f64>>> {
    let n = start.len();
    let columns: Vec<Vec<Exact>> = (0..n)
        .map(|j| {
            let mut moved = start.to_vec();
            moved[j] = moved[j].plus(&Exact::of(libm::scalbn(1.0, e)));
            Some(difference(&f(&moved)?, image))
        })
        .collect::<Option<_>>()?;
    // In units of the largest.
    let largest = columns.iter().flatten().filter_map(Exact::magnitude).max()?;
    let entry = |x: &Exact| x.in_powers_of_two(largest);
    let jacobian = Mat::from_fn(image.len(), n, |i, j| entry(&columns[j][i]));
    let svd = jacobian.thin_svd().ok()?;
    let v = svd.V();
    let column = |k: usize| (0..n).map(|i| v[(i, k)]).collect::<Vec<f64>>();
    let last = v.ncols().checked_sub(1)?;
    Some(vec![column(0), column(last)].into_iter().filter(|v| v.iter().all(|v| v.is_finite())).collect())
}

/// Whether a pair refutes what is claimed of a map.
fn refutes(claims: &Claims, Pair { x, y }: &Pair) -> Result<(), String> {
    let (dx, dy) = (difference(&x[1], &x[0]), difference(&y[1], &y[0]));
    let (before, after) = (square(&dx), square(&dy));
    let times = |c: f64, x: &Exact| Exact::of(c).times(&Exact::of(c)).times(x);
    let l = claims.bound.get();
    if l.is_finite() && !after.at_most(&times(l, &before)) {
        return Err(format!("it is not {l}-Lipschitz"));
    }
    if let Some(inverse) = claims.inverse
        && inverse.get() > 0.0
        && !times(inverse.get(), &before).at_most(&after)
    {
        return Err(format!("it shrinks a distance by more than {inverse}"));
    }
    if let Some(alpha) = claims.averaged {
        let rest = Exact::of(1.0).minus(&Exact::of(alpha.get()));
        let off: Vec<Exact> = dy.iter().zip(&dx).map(|(dy, dx)| dy.minus(&rest.times(dx))).collect();
        if !square(&off).at_most(&times(alpha.get(), &before)) {
            return Err(format!("it is not {alpha}-averaged"));
        }
    }
    Ok(())
}

/// Tries pairs around some points against what is claimed of a map.
fn attack(map: &Map, space: Shape, claims: &Claims, seed: u64) -> Attempt {
    let mut rng = generator(seed);
    for _ in 0..2 {
        let x = point(space.len(), &mut rng);
        let Some(pairs) = pairs(|x| value(map, space, x), &x, &mut rng) else { return Ok(false) };
        pairs.iter().try_for_each(|pair| refutes(claims, pair))?;
    }
    Ok(true)
}
