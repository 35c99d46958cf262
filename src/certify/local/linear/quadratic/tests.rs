//! What a proof says is compared with what the problem is, in exact arithmetic.

use num_rational::BigRational as Rational;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{
    problem::{Form, Neuron, Problem},
    proof::Multipliers,
    span::Span,
};

const INPUTS: usize = 3;

fn exact(x: f64) -> Rational {
    Rational::from_float(x).expect("a finite number")
}

/// A problem whose neurons depend on those before them; their arguments are off by what is said.
fn problem(rng: &mut ChaCha8Rng, off: f64) -> Problem {
    let neurons = rng.random_range(1..6);
    let form = |k: usize, off: f64, rng: &mut ChaCha8Rng| Form {
        constant: rng.random_range(-1.0..1.0),
        coefficients: (0..INPUTS + neurons)
            .map(|j| if j < INPUTS + k { rng.random_range(-1.0..1.0) } else { 0.0 })
            .collect(),
        off,
    };
    let neuron = |k: usize, rng: &mut ChaCha8Rng| {
        let slopes = [[0.0, 1.0], [0.25, 1.0], [-1.0, 1.0]][rng.random_range(0..3)];
        let range = [rng.random_range(-3.0..-0.5), rng.random_range(0.5..3.0)];
        Neuron { slopes, range, argument: form(k, off, rng) }
    };
    let all: Vec<Neuron> = (0..neurons).map(|k| neuron(k, rng)).collect();
    let margin = Form { constant: 3.0, ..form(neurons, 0.0, rng) };
    let sides = if rng.random_bool(0.5) { vec![(0, [-0.25, 0.5]), (2, [0.0, 0.75])] } else { vec![] };
    Problem { sizes: vec![1.0; INPUTS], radius: 1.0, sides, neurons: all, margins: vec![margin] }
}

/// Returns the exact margin at a point of the ball, if every argument is in its range; arguments are off as far as they may be.
fn margin(problem: &Problem, rng: &mut ChaCha8Rng) -> Option<Rational> {
    let y: Vec<f64> = (0..INPUTS).map(|_| rng.random_range(-1.0..1.0)).collect();
    let square: Rational = y.iter().map(|&y| exact(y) * exact(y)).sum();
    let is_outside = |&(i, [low, high]): &(usize, [f64; 2])| y[i] < low || y[i] > high;
    if square > exact(problem.radius) * exact(problem.radius) || problem.sides.iter().any(is_outside) {
        return None;
    }
    let mut u: Vec<Rational> = y.into_iter().map(exact).collect();
    let value = |form: &Form, u: &[Rational]| -> Rational {
        let terms = form.coefficients.iter().zip(u).map(|(&c, u)| exact(c) * u);
        exact(form.constant) + terms.sum::<Rational>()
    };
    for neuron in &problem.neurons {
        let off = exact(neuron.argument.off) * exact([-1.0, 0.0, 1.0][rng.random_range(0..3)]);
        let z = value(&neuron.argument, &u) + off;
        if z < exact(neuron.range[0]) || z > exact(neuron.range[1]) {
            return None;
        }
        u.push((exact(neuron.slopes[0]) * &z).max(exact(neuron.slopes[1]) * &z));
    }
    Some(value(&problem.margins[0], &u))
}

/// No point has a margin below what is proved, by the multipliers that were found or by any others.
#[test]
fn a_proof_is_never_above_a_margin() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut proofs, mut points, mut tampered) = (0, 0, 0);
    for _ in 0..60 {
        let off = [0.0, 1e-9, 1e-3][rng.random_range(0..3)];
        let problem = problem(&mut rng, off);
        let goal = &problem.margins[0];
        let margins: Vec<Rational> = (0..300).filter_map(|_| margin(&problem, &mut rng)).collect();
        let Some(least) = margins.iter().min() else { continue };
        points += margins.len();
        let Some(found) = problem.search(goal, 3.0) else { continue };
        let holds = |multipliers: &Multipliers| {
            let proved = problem.prove(goal, multipliers);
            assert!(proved == f64::NEG_INFINITY || exact(proved) <= *least, "{proved} with {multipliers:?}");
            proved > f64::NEG_INFINITY
        };
        proofs += usize::from(holds(&found));
        for _ in 0..40 {
            let mut other = found.clone();
            let k = rng.random_range(0..found.products.len());
            let factor = [-1.0, 0.0, 0.5, 1.5, 10.0][rng.random_range(0..5)];
            match rng.random_range(0..3) {
                0 => other.bound += rng.random_range(0.0..2.0),
                1 => other.ball *= factor,
                _ => other.products[k] *= factor,
            }
            if rng.random_bool(0.5) {
                other.bound -= rng.random_range(0.0..5.0);
            }
            tampered += usize::from(holds(&other));
        }
    }
    assert!(proofs > 40 && points > 1000 && tampered > 100, "{proofs}, {points}, {tampered}");
}

/// The search comes near to the least margin of a problem that is exact: a ReLU of one number, whose products know everything.
#[test]
fn the_search_is_tight_where_products_know_everything() {
    // g = 1 − 2 relu(y) on |y| ≤ 1/4.
    let argument = Form { constant: 0.0, coefficients: vec![1.0, 0.0], off: 0.0 };
    let neuron = Neuron { slopes: [0.0, 1.0], range: [-0.25, 0.25], argument };
    let margins = vec![Form { constant: 1.0, coefficients: vec![0.0, -2.0], off: 0.0 }];
    let problem = Problem { sizes: vec![0.25], radius: 0.25, sides: vec![], neurons: vec![neuron], margins };
    // The search ends at the first multipliers that prove a positive margin; what is needed on top makes it look on.
    assert!(problem.least(0, 0.0, 1.0) > 0.0);
    assert!(problem.least(0, 0.499, 1.0) > 0.0);
    assert!(problem.least(0, 0.501, 1.0) <= 0.0);
}

/// An argument that is off by 1/10 may take the margin down to 3/10, and nothing above that is proved.
#[test]
fn arguments_that_are_off_are_charged() {
    let with = |off: f64| {
        let argument = Form { constant: 0.0, coefficients: vec![1.0, 0.0], off };
        let neuron = Neuron { slopes: [0.0, 1.0], range: [-0.25 - off, 0.25 + off], argument };
        let margins = vec![Form { constant: 1.0, coefficients: vec![0.0, -2.0], off: 0.0 }];
        Problem { sizes: vec![0.25], radius: 0.25, sides: vec![], neurons: vec![neuron], margins }
    };
    for needed in [0.301, 0.35, 0.45] {
        assert!(with(0.1).least(0, needed, 1.0) <= 0.0, "{needed}");
    }
    assert!(with(1e-6).least(0, 0.49, 1.0) > 0.0);
}

/// Multipliers of inequalities are not negative, numbers are finite and not too large, or nothing is proved.
#[test]
fn what_is_no_multiplier_proves_nothing() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let problem = Problem { sides: vec![], ..problem(&mut rng, 0.0) };
    let (goal, count) = (&problem.margins[0], problem.neurons.len());
    let fine = Multipliers { bound: -1e6, ball: 1e5, products: [-1e4, 1.0, 1.0].repeat(count) };
    let refused = |change: &dyn Fn(&mut Multipliers)| {
        let mut other = fine.clone();
        change(&mut other);
        assert_eq!(problem.prove(goal, &other), f64::NEG_INFINITY, "{other:?}");
    };
    assert!(problem.prove(goal, &fine) > f64::NEG_INFINITY);
    refused(&|m| m.ball = -m.ball);
    refused(&|m| m.products[1] = -1e-300);
    refused(&|m| m.products[2] = -1e-300);
    refused(&|m| m.products[0] = f64::NAN);
    refused(&|m| m.bound = f64::INFINITY);
    refused(&|m| m.ball = 1e200);
    refused(&|m| {
        m.products.pop();
    });
    // The sides of a box keep the matrix definite where the multiplier of the ball is negative.
    let sides = (0..INPUTS).map(|i| (i, [-0.5, 0.5])).collect();
    let problem = Problem { sides, ..problem };
    let products = [[-1e4, 1.0, 1.0].repeat(count), vec![1e5; INPUTS]].concat();
    let boxed = Multipliers { bound: -1e6, ball: 1.0, products };
    assert!(problem.prove(&problem.margins[0], &boxed) > f64::NEG_INFINITY);
    assert_eq!(problem.prove(&problem.margins[0], &Multipliers { ball: -1.0, ..boxed }), f64::NEG_INFINITY);
}

/// In few coordinates every function is what it was, up to what is said, and no input is longer than is said.
#[test]
fn a_span_keeps_functions() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..30 {
        let (width, count) = (rng.random_range(5..30), rng.random_range(1..5));
        let mut rows: Vec<Vec<f64>> =
            (0..count).map(|_| (0..width).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        // One row is another's multiple.
        rows.push(rows[0].iter().map(|x| 3.0 * x).collect());
        let span = Span::new(rows.clone(), 2.0);
        assert!(span.width <= rows.len() && span.radius >= 2.0 && span.radius < 2.0 + 1e-9);
        assert!(span.off.iter().all(|off| *off < 1e-12));
        // Rows keep their lengths: the coordinates are as good as orthonormal.
        for (row, seen) in rows.iter().zip(&span.rows) {
            let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
            assert!((square(row) - square(seen)).abs() < 1e-9 * square(row));
        }
    }
    let few = Span::new(vec![vec![1.0, 2.0]; 3], 0.5);
    assert_eq!((few.width, few.radius, few.off), (2, 0.5, vec![0.0; 3]));
}
