//! Quadratic constraints: what they prove holds in exact arithmetic, and what is not so is not proved.

use dahlquist::rigor::{
    matrix,
    quadratic_constraint::{Chain, Proposal, Stage},
};
use faer::Mat;
use num_rational::BigRational;
use num_traits::Zero;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

type Exact = BigRational;

const RELU: [f64; 2] = [0.0, 1.0];
const LEAKY: [f64; 2] = [0.125, 1.0];
const ABS: [f64; 2] = [-1.0, 1.0];

fn exact(x: f64) -> Exact {
    Exact::from_float(x).expect("finite")
}

/// A matrix of Gaussian numbers with `scale/√columns`.
fn gaussian(rng: &mut ChaCha8Rng, rows: usize, columns: usize, scale: f64) -> Mat<f64> {
    let scale = scale / (columns as f64).sqrt();
    Mat::from_fn(rows, columns, |_, _| (rng.sample::<f64, _>(StandardNormal) * scale) as f32 as f64)
}

/// The function with slopes `[m, 1]` and a kink at 0.
fn kinked(m: f64, z: Exact) -> Exact {
    if z < Exact::zero() { exact(m) * z } else { z }
}

fn apply(w: &Mat<f64>, x: &[Exact]) -> Vec<Exact> {
    (0..w.nrows()).map(|i| (0..w.ncols()).map(|j| exact(w[(i, j)]) * &x[j]).sum()).collect()
}

fn squared_distance(x: &[Exact], y: &[Exact]) -> Exact {
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum()
}

fn point(rng: &mut ChaCha8Rng, n: usize, size: f64) -> Vec<Exact> {
    (0..n).map(|_| exact((size * rng.sample::<f64, _>(StandardNormal)) as f32 as f64)).collect()
}

/// Stages with biases, a last matrix, and the step of a residual.
struct Sample {
    stages: Vec<(Mat<f64>, Vec<f64>, [f64; 2])>,
    outer: Option<Mat<f64>>,
    step: Option<f64>,
}

impl Sample {
    fn chain(&self) -> Chain {
        let stage = |(w, _, slopes): &(Mat<f64>, Vec<f64>, [f64; 2])| Stage { weight: w.clone(), slopes: *slopes };
        match (self.step, &self.outer) {
            (Some(h), Some(outer)) => Chain::residual(stage(&self.stages[0]), outer.clone(), h).expect("a chain"),
            _ => Chain::stack(self.stages.iter().map(stage).collect(), self.outer.clone()).expect("a chain"),
        }
    }

    fn eval(&self, x: &[Exact]) -> Vec<Exact> {
        let mut s = x.to_vec();
        for (w, bias, [m, _]) in &self.stages {
            s = apply(w, &s).into_iter().zip(bias).map(|(z, b)| kinked(*m, z + exact(*b))).collect();
        }
        let y = self.outer.as_ref().map_or(s.clone(), |b| apply(b, &s));
        match self.step {
            Some(h) => x.iter().zip(y).map(|(x, y)| x + exact(h) * y).collect(),
            None => y,
        }
    }

    /// The product of the norms, or `1 + h` times it.
    fn product(&self) -> f64 {
        let norm = |w: &Mat<f64>| matrix::norm(w.as_ref()).expect("a norm").get();
        let stack = self.stages.iter().map(|s| norm(&s.0)).chain(self.outer.as_ref().map(norm)).product::<f64>();
        self.step.map_or(stack, |h| 1.0 + h * stack)
    }
}

fn samples(seed: u64) -> Vec<Sample> {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut all = Vec::new();
    for slopes in [RELU, LEAKY, ABS] {
        let mut stage = |rows, columns| {
            let bias = (0..rows).map(|_| rng.random_range(-0.5f32..0.5) as f64).collect();
            (gaussian(rng, rows, columns, 1.5), bias, slopes)
        };
        let (a, b, c, d) = (stage(9, 6), stage(8, 12), stage(5, 8), stage(7, 5));
        let (back, last) = (gaussian(rng, 6, 9, 1.0), gaussian(rng, 4, 7, 1.0));
        all.push(Sample { stages: vec![a], outer: Some(back), step: Some(0.75) });
        all.push(Sample { stages: vec![b.clone()], outer: None, step: None });
        all.push(Sample { stages: vec![b.clone(), c.clone()], outer: None, step: None });
        all.push(Sample { stages: vec![b, c, d], outer: Some(last), step: None });
    }
    all
}

#[test]
fn what_is_proved_holds_exactly() {
    for (i, sample) in samples(1).iter().enumerate() {
        let (bound, _) = sample.chain().search().expect("a proof");
        let product = sample.product();
        // One matrix with its activation has the norm of the matrix.
        let alone = sample.stages.len() == 1 && sample.outer.is_none();
        assert!(
            bound.get() < if alone { product * (1.0 + 1e-4) } else { product },
            "sample {i}: {bound} is not below the product {product}"
        );
        let squared = exact(bound.get()) * exact(bound.get());
        let rng = &mut ChaCha8Rng::seed_from_u64(2);
        let inputs = sample.stages[0].0.ncols();
        let mut best = 0.0f64;
        for round in 0..60 {
            let size = [4.0, 1.0, 0.1, 1e-3][round % 4];
            let x = point(rng, inputs, 2.0);
            let y: Vec<Exact> = point(rng, inputs, size).iter().zip(&x).map(|(d, x)| d + x).collect();
            let (moved, apart) = (squared_distance(&sample.eval(&x), &sample.eval(&y)), squared_distance(&x, &y));
            assert!(moved <= &squared * &apart, "sample {i} is taken further apart than {bound}");
            let ratio = moved / apart;
            best = best.max(num_traits::ToPrimitive::to_f64(&ratio).unwrap_or(0.0).sqrt());
        }
        println!("sample {i}: product {product:.4}, proved {bound:.4}, seen {best:.4}");
    }
}

/// A bound that is a little smaller is proved neither by these multipliers nor by any others, where it is not so.
#[test]
fn a_bound_below_the_lipschitz_constant_is_refused() {
    // One neuron: x ↦ relu(3x₁ + 4x₂) has the constant 5, whatever the multiplier.
    let stage = || Stage { weight: faer::mat![[3.0, 4.0]], slopes: RELU };
    let chain = Chain::stack(vec![stage()], None).expect("a chain");
    let prove = |bound: f64, t: f64| chain.prove(&Proposal { bound, multipliers: vec![vec![t]] });
    // In units in which the weights are 3/4 and 1, the best multiplier is 1.
    assert_eq!(prove(5.0 * (1.0 + 1e-9), 1.0).expect("a proof").get(), 5.0 * (1.0 + 1e-9));
    for exponent in -400..400 {
        let t = libm::exp2(f64::from(exponent) / 20.0);
        assert!(prove(5.0f64.next_down(), t).is_err(), "multiplier {t}");
    }
    // x ↦ x + relu(x) has the constant 2, x ↦ x − relu(x) the constant 1.
    for (b, constant) in [(1.0, 2.0), (-1.0, 1.0)] {
        let stage = Stage { weight: faer::mat![[1.0]], slopes: RELU };
        let chain = Chain::residual(stage, faer::mat![[b]], 1.0).expect("a chain");
        let (bound, proposal) = chain.search().expect("a proof");
        assert!((constant..constant * (1.0 + 1e-4)).contains(&bound.get()), "{bound}");
        for factor in [0.1, 0.5, 0.9, 0.99, 1.0, 1.01, 1.1, 2.0, 10.0] {
            let multipliers = vec![vec![proposal.multipliers[0][0] * factor]];
            let bound = f64::next_down(constant);
            assert!(chain.prove(&Proposal { bound, multipliers }).is_err(), "factor {factor}");
        }
    }
}

#[test]
fn wrong_multipliers_are_refused() {
    for (i, sample) in samples(3).iter().enumerate() {
        let chain = sample.chain();
        let (bound, proposal) = chain.search().expect("a proof");
        assert_eq!(chain.prove(&proposal), Ok(bound), "sample {i}: the witness does not prove it again");
        for stage in 0..proposal.multipliers.len() {
            for wrong in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e-80, 1e80, 5e-324, f64::MAX] {
                let mut changed = proposal.clone();
                changed.multipliers[stage][0] = wrong;
                assert!(chain.prove(&changed).is_err(), "sample {i}: multiplier {wrong} in stage {stage}");
            }
            let mut changed = proposal.clone();
            changed.multipliers[stage].pop();
            assert!(chain.prove(&changed).is_err(), "sample {i}: a multiplier is missing");
            let mut changed = proposal.clone();
            changed.multipliers[stage].iter_mut().for_each(|t| *t *= 1.5);
            assert!(chain.prove(&changed).is_err(), "sample {i}: stage {stage} times 1.5");
        }
        for wrong in [f64::NAN, f64::INFINITY, -bound.get(), 0.0, bound.get() * 0.999, 5e-324] {
            let changed = Proposal { bound: wrong, ..proposal.clone() };
            assert!(chain.prove(&changed).is_err(), "sample {i}: bound {wrong}");
        }
    }
}

#[test]
fn powers_of_two_may_move_between_layers() {
    for sample in samples(4) {
        if sample.step.is_some() {
            continue;
        }
        let (bound, proposal) = sample.chain().search().expect("a proof");
        for (first, second) in [(-60, 60), (900, -900), (-300, 310), (40, 0)] {
            let scaled = |w: &Mat<f64>, e| Mat::from_fn(w.nrows(), w.ncols(), |i, j| libm::scalbn(w[(i, j)], e));
            let mut stages: Vec<Stage> =
                sample.stages.iter().map(|(w, _, slopes)| Stage { weight: w.clone(), slopes: *slopes }).collect();
            let mut outer = sample.outer.clone();
            let count = stages.len();
            stages[0].weight = scaled(&stages[0].weight, first);
            match &mut outer {
                Some(outer) => *outer = scaled(outer, second),
                None if count > 1 => stages[count - 1].weight = scaled(&stages[count - 1].weight, second),
                None => continue,
            }
            let (again, same) = Chain::stack(stages, outer).expect("a chain").search().expect("a proof");
            assert_eq!(again.get(), libm::scalbn(bound.get(), first + second));
            assert_eq!(same.multipliers, proposal.multipliers);
        }
    }
}

/// SDP-based Lipschitz layers: `x − 2WT⁻¹σ(Wᵀx)` with `Tᵢᵢ = Σⱼ |WᵀW|ᵢⱼ` is 1-Lipschitz, with the multipliers `2T⁻¹`.
#[test]
fn the_multipliers_of_lipschitz_layers_by_diagonal_dominance_are_accepted() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    for (space, neurons) in [(5, 3), (4, 9), (20, 20)] {
        let mut w = gaussian(rng, space, neurons, 0.1);
        // The largest weight is 1, so that the units of the chain are those of the layer.
        w[(0, 0)] = 1.0;
        let gram = w.transpose() * &w;
        // A little more than the sums of rows, for strict dominance.
        let t: Vec<f64> =
            (0..neurons).map(|i| 1.0001 * (0..neurons).map(|j| gram[(i, j)].abs()).sum::<f64>()).collect();
        let outer = Mat::from_fn(space, neurons, |i, j| -2.0 * w[(i, j)] / t[j]);
        let stage = Stage { weight: w.transpose().to_owned(), slopes: RELU };
        let chain = Chain::residual(stage, outer, 1.0).expect("a chain");
        let multipliers = vec![t.iter().map(|t| 2.0 / t).collect::<Vec<f64>>()];
        chain.prove(&Proposal { bound: 1.0 + 1e-6, multipliers: multipliers.clone() }).expect("a proof");
        let wrong = vec![multipliers[0].iter().map(|t| 0.4 * t).collect()];
        assert!(chain.prove(&Proposal { bound: 1.0 + 1e-6, multipliers: wrong }).is_err());
        let found = chain.search().expect("a proof").0;
        assert!(found.get() < 1.0 + 1e-4, "{found}");
    }
}

/// Steps of gradient fields: not expanding up to `2/‖W‖²`, and expanding beyond.
#[test]
fn steps_of_gradient_fields() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    for slopes in [RELU, LEAKY] {
        let w = gaussian(rng, 7, 10, 2.0);
        let norm = matrix::norm(w.as_ref()).expect("a norm").get();
        let outer = Mat::from_fn(10, 7, |i, j| -w[(j, i)]);
        for (part, largest) in [(0.5, 1.0), (0.99, 1.0), (1.25, 1.5)] {
            let stage = Stage { weight: w.clone(), slopes };
            let chain = Chain::residual(stage, outer.clone(), part * 2.0 / (norm * norm)).expect("a chain");
            let bound = chain.search().expect("a proof").0.get();
            assert!(bound < largest * (1.0 + 1e-4), "{part} of the longest step: {bound}");
            // 1 is attained where no neuron is active, or off the rows of W, and I − hWᵀW where every one is.
            assert!(bound >= 1.0, "{part} of the longest step: {bound}");
            let mut top = Mat::from_fn(10, 1, |i, _| 1.0 + i as f64);
            for _ in 0..200 {
                top = w.transpose() * (&w * &top);
                top = &top * faer::Scale(1.0 / top.norm_l2());
            }
            let x: Vec<Exact> = (0..10).map(|i| exact(top[(i, 0)] as f32 as f64)).collect();
            let step = exact(part * 2.0 / (norm * norm));
            let pulled = apply(&w.transpose().to_owned(), &apply(&w, &x));
            let y: Vec<Exact> = x.iter().zip(pulled).map(|(x, z)| x - &step * z).collect();
            let square = |x: &[Exact]| x.iter().map(|x| x * x).sum::<Exact>();
            let (moved, allowed) = (square(&y), exact(bound) * exact(bound) * square(&x));
            assert!(moved <= allowed, "{part} of the longest step: {bound}");
        }
    }
}

#[test]
fn what_makes_no_chain_is_refused() {
    let stage = |weight: Mat<f64>, slopes| Stage { weight, slopes };
    let one = || faer::mat![[1.0, 2.0], [3.0, 4.0]];
    assert!(Chain::stack(Vec::new(), Some(one())).is_err());
    for slopes in [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, f64::NAN], [f64::NEG_INFINITY, 1.0], [0.0, 1e300]] {
        assert!(Chain::stack(vec![stage(one(), slopes)], None).is_err(), "{slopes:?}");
    }
    for wrong in
        [Mat::zeros(2, 2), faer::mat![[1.0, f64::NAN], [0.0, 1.0]], faer::mat![[1.0, f64::INFINITY], [0.0, 1.0]]]
    {
        assert!(Chain::stack(vec![stage(wrong.clone(), RELU)], None).is_err());
        assert!(Chain::stack(vec![stage(one(), RELU)], Some(wrong)).is_err());
    }
    assert!(Chain::stack(vec![stage(one(), RELU)], Some(Mat::zeros(2, 3))).is_err());
    assert!(Chain::residual(stage(one(), RELU), faer::mat![[1.0, 1.0]], 1.0).is_err());
    for step in [0.0, f64::NAN, f64::INFINITY, 1e300] {
        assert!(Chain::residual(stage(one(), RELU), one(), step).is_err(), "{step}");
    }
    // Weights further apart than the exponents of f64 reach.
    assert!(Chain::stack(vec![stage(faer::mat![[1e150, 1e-150]], RELU)], None).is_ok());
    assert!(Chain::stack(vec![stage(faer::mat![[1e300, 5e-324]], RELU)], None).is_err());
}

#[test]
fn what_is_not_known_about_a_matrix_counts() {
    use dahlquist::rigor::psd::is_positive_semidefinite;
    // The eigenvalues are 1/16 and 31/16.
    let image = faer::mat![[1.0, 0.9375], [0.9375, 1.0]];
    assert!(is_positive_semidefinite(image.as_ref(), &[0.0, 0.0]));
    assert!(is_positive_semidefinite(image.as_ref(), &[0.02, 0.02]));
    for error in [[0.07, 0.0], [0.0, 0.07], [f64::NAN, 0.0], [f64::INFINITY, 0.0]] {
        assert!(!is_positive_semidefinite(image.as_ref(), &error), "{error:?}");
    }
    assert!(!is_positive_semidefinite(image.as_ref(), &[0.0]));
    for wrong in [[[1.0, 0.5], [0.4, 1.0]], [[1.0, 1.0], [1.0, 1.0 - 1e-15]], [[1.0, f64::NAN], [f64::NAN, 1.0]]] {
        let wrong = Mat::from_fn(2, 2, |i, j| wrong[i][j]);
        assert!(!is_positive_semidefinite(wrong.as_ref(), &[0.0, 0.0]), "{wrong:?}");
    }
}
