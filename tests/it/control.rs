//! Costates and discrete gradients of flows, against exact arithmetic.

use dahlquist::{
    Network,
    activation::Activation,
    control::{Process, Terminal, costate_bounds},
    field::{GradientField, VectorField},
    layer::{AffineLayer, Branches, Flow, Layer, Step},
    model::Map,
    operator::{Affine, Dense},
    rules::Prover,
    tableau::{Surd, Tableau},
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::described::{self, exact};
use num_rational::BigRational;
use num_traits::Signed;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Q = BigRational;

/// Every explicit method that has a name.
fn explicit() -> impl Iterator<Item = Tableau> {
    Tableau::names().map(|name| Tableau::by_name(name).unwrap()).filter(Tableau::is_explicit)
}

pub(crate) fn numbers(n: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..n).map(|_| f64::from(rng.random_range(-16i32..=16)) / 16.0).collect()
}

/// `−Wᵀrelu(Wx + b)` from a plane to itself.
pub(crate) fn relu_field(rng: &mut impl Rng) -> GradientField<f64> {
    let w = Dense::new(3, 2, numbers(6, rng)).unwrap();
    GradientField::new(Affine::new(w, Some(numbers(3, rng))).unwrap(), Activation::Relu {}).unwrap()
}

/// `|W|ᵀ|W|`.
fn magnitudes(field: &GradientField<f64>) -> Vec<Vec<Q>> {
    let w: Vec<Q> = field.map().parameters()[0].iter().map(|w| exact(w.abs())).collect();
    let entry = |i: usize, j: usize| (0..3).map(|k| &w[2 * k + i] * &w[2 * k + j]).sum();
    (0..2).map(|i| (0..2).map(|j| entry(i, j)).collect()).collect()
}

fn times(m: &[Vec<Q>], x: &[Q]) -> Vec<Q> {
    m.iter().map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect()
}

fn dot(x: &[Q], y: &[Q]) -> Q {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn magnitude(x: &Surd) -> Q {
    x.rational().unwrap().abs()
}

/// The value of a flow of relu fields at a point, exactly: one map for each step.
fn value(maps: &[Map], x: &[Q]) -> Vec<Q> {
    maps.iter().fold(x.to_vec(), |x, map| described::value(map, Shape::Features(2), &x).unwrap())
}

/// The derivative of a piecewise linear function, exactly; none at a kink.
fn derivative(f: impl Fn(&[Q]) -> Vec<Q>, x: &[Q], k: usize) -> Option<Vec<Q>> {
    let small = exact(2f64.powi(-60));
    let moved = |sign: i64| {
        let mut x = x.to_vec();
        x[k] += &small * Q::from_integer(sign.into());
        f(&x)
    };
    let (here, after, before) = (f(x), moved(1), moved(-1));
    let quotient = |a: &[Q], b: &[Q]| a.iter().zip(b).map(|(a, b)| (a - b) / &small).collect::<Vec<Q>>();
    let (right, left) = (quotient(&after, &here), quotient(&here, &before));
    (right == left).then_some(right)
}

/// Costates and variations of every explicit method, those with weights of 0 included, are the exact ones but for a *proved*
/// rounding error, and so is `⟨λ, δ⟩` the same at every state.
///
/// What the program computes is a sum of products of weights, coefficients and slopes 0 or 1, in which each product passes through
/// at most `K` roundings: it is off by at most `γ_K` times the same sum of magnitudes.
#[test]
fn costates_of_every_explicit_method_are_exact_within_a_proved_rounding() {
    let (steps, h) = (2, 0.375);
    for tableau in explicit() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut tried = 0;
        for _ in 0..6 {
            let fields = [relu_field(&mut rng), relu_field(&mut rng)];
            let (x, g, v) = (numbers(2, &mut rng), numbers(2, &mut rng), numbers(2, &mut rng));
            let maps: Vec<Map> = fields
                .iter()
                .map(|field| {
                    let w = Dense::new(3, 2, field.map().parameters()[0].to_vec()).unwrap();
                    let map = Affine::new(w, field.map().bias().map(<[f64]>::to_vec)).unwrap();
                    let field = GradientField::new(map, field.activation()).unwrap();
                    Flow::new(field, tableau.clone(), Step::Fixed(h), 1).unwrap().describe()
                })
                .collect();
            let point = described::vector(&x);
            let columns = (0..2).map(|k| derivative(|x| value(&maps, x), &point, k));
            let Some(columns) = columns.collect::<Option<Vec<Vec<Q>>>>() else { continue };
            tried += 1;

            let process =
                Process::new(fields.iter().map(|f| f as &dyn VectorField<f64>).collect(), &tableau, vec![h; steps])
                    .unwrap();
            let batch = |x: &[f64]| Batch::new(Shape::Features(2), x.to_vec()).unwrap();
            let trajectory = process.states(&batch(&x)).unwrap();
            let costates = process.costates(&trajectory, &Terminal(batch(&g))).unwrap();
            let variations = process.variations(&trajectory, &batch(&v)).unwrap();

            // The sums of magnitudes: costates backward, variations forward.
            let step = Q::from_integer(1.into()) * exact(h);
            let (a, b) = (tableau.a(), tableau.b());
            let backward = |m: &[Vec<Q>], lambda: &[Q]| {
                let mut pulled: Vec<Vec<Q>> = vec![Vec::new(); b.len()];
                for i in (0..b.len()).rev() {
                    let mut gamma: Vec<Q> = lambda.iter().map(|l| magnitude(&b[i]) * l).collect();
                    for j in i + 1..b.len() {
                        gamma.iter_mut().zip(&pulled[j]).for_each(|(g, p)| *g += magnitude(&a[j][i]) * p);
                    }
                    pulled[i] = times(m, &gamma).into_iter().map(|p| p * &step).collect();
                }
                let add = |x: Vec<Q>, p: &Vec<Q>| x.iter().zip(p).map(|(x, p)| x + p).collect();
                pulled.iter().fold(lambda.to_vec(), add)
            };
            let forward = |m: &[Vec<Q>], delta: &[Q]| {
                let sum = |weights: &[Surd], slopes: &[Vec<Q>]| {
                    let add = |x: Vec<Q>, (w, k): (&Surd, &Vec<Q>)| {
                        x.iter().zip(k).map(|(x, k)| x + &step * magnitude(w) * k).collect()
                    };
                    weights.iter().zip(slopes).fold(delta.to_vec(), add)
                };
                let mut slopes: Vec<Vec<Q>> = Vec::new();
                for row in a {
                    let stage = sum(row, &slopes);
                    slopes.push(times(m, &stage));
                }
                sum(b, &slopes)
            };
            let sizes = |x: &[f64]| x.iter().map(|x| exact(x.abs())).collect::<Vec<Q>>();
            let m: Vec<_> = fields.iter().map(magnitudes).collect();
            let mut lambda = vec![sizes(&g)];
            (0..steps).rev().for_each(|n| lambda.push(backward(&m[n], &lambda[lambda.len() - 1])));
            lambda.reverse();
            let mut delta = vec![sizes(&v)];
            (0..steps).for_each(|n| delta.push(forward(&m[n], &delta[n])));

            let s = tableau.stages() as i64;
            let roundings = Q::from_integer((steps as i64 * s * (2 * s + 24)).into());
            let gamma = |k: &Q| {
                let ku = k * exact(f64::EPSILON / 2.0);
                &ku / (Q::from_integer(1.into()) - &ku)
            };
            let name = tableau.name();
            for k in 0..2 {
                let truth = dot(&columns[k], &described::vector(&g));
                let off = (exact(costates.states()[0].data()[k]) - &truth).abs();
                assert!(off <= gamma(&roundings) * &lambda[0][k], "{name}: λ_0 is off by {off}");
            }
            let truth: Q = (0..2).map(|k| dot(&columns[k], &described::vector(&g)) * exact(v[k])).sum();
            let twice = &roundings * Q::from_integer(2.into());
            for n in 0..=steps {
                let vector = |x: &Batch<f64>| described::vector(x.data());
                let product = dot(&vector(&costates.states()[n]), &vector(&variations[n]));
                let off = (product - &truth).abs();
                assert!(off <= gamma(&twice) * dot(&lambda[n], &delta[n]), "{name}: ⟨λ, δ⟩ at {n} is off by {off}");
            }
        }
        assert!(tried >= 3, "{}: too many points on a kink", tableau.name());
    }
}

/// The gradient by the steps and by the weights is that of the discrete cost. Central differences of exact rational values have the
/// error `O(ε²)`, here `ε = 2⁻⁴⁰`; what is compared is rounded to `f64`.
#[test]
fn gradients_by_steps_and_weights() {
    for tableau in explicit() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let (w, b, x, g) = (numbers(6, &mut rng), numbers(3, &mut rng), numbers(2, &mut rng), numbers(2, &mut rng));
        let lengths = vec![0.25, 0.5, 0.375];
        let field = |w: &[f64]| {
            let w = Dense::new(3, 2, w.to_vec()).unwrap();
            GradientField::new(Affine::new(w, Some(b.clone())).unwrap(), Activation::Relu {}).unwrap()
        };
        let cost = |w: &[f64], lengths: &[f64]| -> Q {
            let step = |h: &f64| Flow::new(field(w), tableau.clone(), Step::Fixed(*h), 1).unwrap().describe();
            let maps: Vec<Map> = lengths.iter().map(step).collect();
            dot(&value(&maps, &described::vector(&x)), &described::vector(&g))
        };
        let one = field(&w);
        let process = Process::new(vec![&one], &tableau, lengths.clone()).unwrap();
        let batch = |x: &[f64]| Batch::new(Shape::Features(2), x.to_vec()).unwrap();
        let costates = process.costates(&process.states(&batch(&x)).unwrap(), &Terminal(batch(&g))).unwrap();
        // Numbers of 6 bits or less stay exact when they move by 2⁻⁴⁰.
        let small = 2f64.powi(-40);
        let quotient = |f: &dyn Fn(f64) -> Q| -> f64 {
            let difference = (f(small) - f(-small)) / exact(2.0 * small);
            Surd::from(difference).lower()
        };
        let close = |found: f64, expected: f64, what: &str| {
            let name = tableau.name();
            assert!((found - expected).abs() <= 1e-13 * (1.0 + expected.abs()), "{name}, {what}: {found} {expected}");
        };
        for n in 0..lengths.len() {
            let moved = |t: f64| {
                let mut lengths = lengths.clone();
                lengths[n] += t;
                cost(&w, &lengths)
            };
            close(costates.lengths()[n], quotient(&moved), "∂J/∂h");
        }
        for k in 0..6 {
            let moved = |t: f64| {
                let mut w = w.clone();
                w[k] += t;
                cost(&w, &lengths)
            };
            close(costates.weights()[0][0][k], quotient(&moved), "∂J/∂W");
        }
    }
}

/// A process of a flow takes the steps of the flow, and its costates are the flow's derivatives.
#[test]
fn a_flow_is_a_process() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for tableau in explicit() {
        let flow = Flow::new(relu_field(&mut rng), tableau, Step::Fixed(0.3), 4).unwrap();
        let x = Batch::new(Shape::Features(2), numbers(6, &mut rng)).unwrap();
        let g = Batch::new(Shape::Features(2), numbers(6, &mut rng)).unwrap();
        let process = Process::of_flow(&flow).unwrap();
        let trajectory = process.states(&x).unwrap();
        let mut tape = Tape::recording();
        assert_eq!(flow.forward(x, &mut tape), *trajectory.last());
        let mut gradient = flow.gradient();
        let pulled = flow.vjp(&tape, g.clone(), Some(&mut gradient));
        let costates = process.costates(&trajectory, &Terminal(g)).unwrap();
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-14 * (1.0 + a.abs()));
        assert!(close(pulled.data(), costates.states()[0].data()));
        assert!(close(&gradient[0], &costates.weights()[0][0]));
        assert!(close(&gradient[2], &[costates.lengths().iter().sum()]));
    }
}

/// `‖λ_0‖` lies between the proved bounds, in exact arithmetic: for relu fields the Jacobian is rational.
#[test]
fn costates_keep_their_bounds() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let mut tried = 0;
    for _ in 0..40 {
        let flow = Flow::new(relu_field(&mut rng), Tableau::ssprk33(), Step::Fixed(0.4), 3).unwrap();
        let proof = Prover::default().network(&Map::Chain(vec![flow.describe()]), Shape::Features(2)).unwrap();
        let bounds = costate_bounds(proof.layers().next().unwrap(), 3).unwrap();
        assert_eq!(bounds[3].0.get(), 1.0);
        let point = described::vector(&numbers(2, &mut rng));
        let columns = (0..2).map(|k| derivative(|x| value(&[flow.describe()], x), &point, k));
        let Some(columns) = columns.collect::<Option<Vec<Vec<Q>>>>() else { continue };
        tried += 1;
        let g = described::vector(&numbers(2, &mut rng));
        let square = |x: &[Q]| dot(x, x);
        let pulled: Vec<Q> = columns.iter().map(|column| dot(column, &g)).collect();
        let (lower, upper) = (exact(bounds[0].0.get()), exact(bounds[0].1.get()));
        assert!(square(&pulled) <= &upper * &upper * square(&g));
        assert!(square(&pulled) >= &lower * &lower * square(&g));
    }
    assert!(tried > 20);
}

/// `x + x` doubles every costate, and its two branches are no two steps, whose constants would multiply to 1.
#[test]
fn bounds_of_costates_are_about_flows() {
    let identity = || {
        let one = Affine::new(Dense::new(1, 1, vec![1.0]).unwrap(), None).unwrap();
        Network::new(Shape::Features(1), vec![Box::new(AffineLayer::new(one)) as Box<dyn Layer<f64>>]).unwrap()
    };
    let twice = Branches::sum(vec![identity(), identity()]).unwrap();
    let flow =
        Flow::new(relu_field(&mut ChaCha8Rng::seed_from_u64(2)), Tableau::heun(), Step::Horizon(2.0), 3).unwrap();
    let sealed = Network::new(Shape::Features(2), vec![Box::new(flow) as Box<dyn Layer<f64>>]).unwrap().seal().unwrap();
    let Map::Chain(maps) = sealed.map() else { panic!("{:?}", sealed.map()) };
    let [Map::Flow(known)] = &maps[..] else { panic!("{maps:?}") };
    let layer = |map: Map, space| Prover::default().network(&Map::Chain(vec![map]), space).unwrap();
    let (sum, flow) = (layer(twice.describe(), Shape::Features(1)), layer(maps[0].clone(), Shape::Features(2)));
    assert!(costate_bounds(sum.layers().next().unwrap(), 2).is_err());
    assert!(costate_bounds(&flow, 1).is_err());
    let flow = flow.layers().next().unwrap();
    assert!(costate_bounds(flow, known.steps).is_ok() && costate_bounds(flow, known.steps + 1).is_err());
}

#[test]
fn what_is_no_process_is_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (f, g) = (relu_field(&mut rng), relu_field(&mut rng));
    assert!(Process::new(vec![&f], &Tableau::euler(), vec![]).is_err());
    assert!(Process::new(vec![&f], &Tableau::euler(), vec![f64::NAN]).is_err());
    assert!(Process::new(vec![&f, &g], &Tableau::euler(), vec![0.1; 3]).is_err());
    assert!(Process::new(vec![], &Tableau::euler(), vec![0.1; 3]).is_err());
    let process = Process::new(vec![&f, &g], &Tableau::euler(), vec![0.1; 2]).unwrap();
    assert!(process.states(&Batch::zeros(Shape::Features(3), 1)).is_err());
    let trajectory = process.states(&Batch::zeros(Shape::Features(2), 1)).unwrap();
    assert!(process.costates(&trajectory, &Terminal(Batch::zeros(Shape::Features(3), 1))).is_err());
    assert!(process.variations(&trajectory, &Batch::zeros(Shape::Features(3), 1)).is_err());
}
