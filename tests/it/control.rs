//! Optimal control: costates and discrete gradients against exact arithmetic, orders of pairs, Riccati, and layers in parallel.

use dahlquist::{
    Network,
    activation::Activation,
    control::{
        Cost, LengthSearch, LinearQuadratic, Parareal, Process, SuccessiveApproximations, Terminal, costate_bounds,
        has_pair_order, optimal_lengths, pair_order, project_lengths, stable_lengths, symplectic_pair,
    },
    field::{GradientField, VectorField},
    layer::{Flow, Layer, Step},
    model::{Field, Map, Opaque},
    operator::{Affine, Dense},
    rules::Prover,
    tableau::{Surd, Tableau},
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::rational::{self, exact};
use num_rational::BigRational;
use num_traits::Signed;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Q = BigRational;

/// Every explicit method that has a name.
fn explicit() -> impl Iterator<Item = Tableau> {
    Tableau::names().map(|name| Tableau::by_name(name).unwrap()).filter(Tableau::is_explicit)
}

fn numbers(n: usize, rng: &mut impl Rng) -> Vec<f64> {
    (0..n).map(|_| f64::from(rng.random_range(-16i32..=16)) / 16.0).collect()
}

/// `−Wᵀrelu(Wx + b)` from a plane to itself.
fn relu_field(rng: &mut impl Rng) -> GradientField<f64> {
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
    maps.iter().fold(x.to_vec(), |x, map| rational::value(map, Shape::Features(2), &x).unwrap())
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
            let point = rational::vector(&x);
            let columns = (0..2).map(|k| derivative(|x| value(&maps, x), &point, k));
            let Some(columns) = columns.collect::<Option<Vec<Vec<Q>>>>() else { continue };
            tried += 1;

            let process =
                Process::new(fields.iter().map(|f| f as &dyn VectorField<f64>).collect(), &tableau, vec![h; steps]).unwrap();
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
                let truth = dot(&columns[k], &rational::vector(&g));
                let off = (exact(costates.states()[0].data()[k]) - &truth).abs();
                assert!(off <= gamma(&roundings) * &lambda[0][k], "{name}: λ_0 is off by {off}");
            }
            let truth: Q = (0..2).map(|k| dot(&columns[k], &rational::vector(&g)) * exact(v[k])).sum();
            let twice = &roundings * Q::from_integer(2.into());
            for n in 0..=steps {
                let vector = |x: &Batch<f64>| rational::vector(x.data());
                let product = dot(&vector(&costates.states()[n]), &vector(&variations[n]));
                let off = (product - &truth).abs();
                assert!(off <= gamma(&twice) * dot(&lambda[n], &delta[n]), "{name}: ⟨λ, δ⟩ at {n} is off by {off}");
            }
        }
        assert!(tried >= 3, "{}: too many points on a kink", tableau.name());
    }
}

/// The gradient by the steps and by the weights is that of the discrete cost. Central differences of exact rational values have the
/// error `O(ε²)`, here below 10⁻³⁰; what is compared is rounded to `f64`.
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
            dot(&value(&maps, &rational::vector(&x)), &rational::vector(&g))
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

#[test]
fn the_pair_is_symplectic() {
    for name in Tableau::names() {
        let tableau = Tableau::by_name(name).unwrap();
        let (a, b) = (tableau.a(), tableau.b());
        let zero = b.iter().any(|b| b.recip().is_none());
        let Ok(pair) = symplectic_pair(&tableau) else {
            assert!(zero, "{name} has no weight of 0");
            continue;
        };
        assert!(!zero, "{name} has a weight of 0");
        for i in 0..b.len() {
            for j in 0..b.len() {
                let sum = &(&b[i] * &pair[i][j]) + &(&b[j] * &a[j][i]);
                assert_eq!(sum, &b[i] * &b[j], "{name}");
            }
        }
        // A pair has no higher order than the method alone, and order 2 for free.
        let order = pair_order(&tableau).unwrap();
        assert!(order <= tableau.order() && order >= tableau.order().min(2), "{name}: {order}");
        assert!(has_pair_order(&tableau, 5).is_err());
    }
    for (name, order) in [("euler", 1), ("heun", 2), ("ssprk33", 2), ("kutta3", 3), ("rk4", 4), ("gauss2", 4)] {
        assert_eq!(pair_order(&Tableau::by_name(name).unwrap()).unwrap(), order, "{name}");
    }
}

/// `f(x) = Ax + Bu` with a control `u`.
#[derive(Debug, Clone)]
struct Controlled {
    a: Vec<f64>,
    b: Vec<f64>,
    u: Vec<f64>,
}

impl Controlled {
    fn apply(matrix: &[f64], columns: usize, x: &[f64]) -> Vec<f64> {
        matrix.chunks(columns).map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect()
    }

    fn transposed(matrix: &[f64], columns: usize, y: &[f64]) -> Vec<f64> {
        (0..columns).map(|j| matrix.chunks(columns).zip(y).map(|(row, y)| row[j] * y).sum()).collect()
    }

    fn n(&self) -> usize {
        self.b.len() / self.u.len()
    }
}

impl VectorField<f64> for Controlled {
    fn describe(&self) -> Field {
        let shape = self.shape();
        Field::Opaque(Opaque { kind: "controlled".into(), input: shape, output: shape, lipschitz: f64::INFINITY })
    }

    fn shape(&self) -> Shape {
        Shape::Features(self.n())
    }

    fn eval(&self, x: &Batch<f64>, _tape: &mut Tape<f64>) -> Batch<f64> {
        let driven = Self::apply(&self.b, self.u.len(), &self.u);
        let ax = Self::apply(&self.a, self.n(), x.data());
        Batch::new(self.shape(), ax.iter().zip(driven).map(|(x, u)| x + u).collect()).unwrap()
    }

    fn vjp(&self, _x: &Batch<f64>, _tape: &Tape<f64>, g: &Batch<f64>, gradient: Option<&mut [Vec<f64>]>) -> Batch<f64> {
        if let Some([slot]) = gradient {
            let pulled = Self::transposed(&self.b, self.u.len(), g.data());
            slot.iter_mut().zip(pulled).for_each(|(slot, g)| *slot += g);
        }
        Batch::new(self.shape(), Self::transposed(&self.a, self.n(), g.data())).unwrap()
    }

    fn jvp(&self, _x: &Batch<f64>, _tape: &Tape<f64>, v: &Batch<f64>) -> Batch<f64> {
        Batch::new(self.shape(), Self::apply(&self.a, self.n(), v.data())).unwrap()
    }

    fn parameters(&self) -> Vec<&[f64]> {
        vec![&self.u]
    }

    fn parameters_mut(&mut self) -> Vec<&mut [f64]> {
        vec![&mut self.u]
    }

    fn widen(&self) -> Box<dyn VectorField<f64>> {
        Box::new(self.clone())
    }
}

/// `½ q‖x‖²` on the way and `½ s‖x‖²` at the end.
struct Quadratic {
    q: f64,
    s: f64,
}

impl Cost<f64> for Quadratic {
    fn terminal(&self, x: &Batch<f64>) -> (f64, Batch<f64>) {
        scaled(self.s, x)
    }

    fn running(&self, x: &Batch<f64>) -> Option<(f64, Batch<f64>)> {
        Some(scaled(self.q, x))
    }
}

fn scaled(c: f64, x: &Batch<f64>) -> (f64, Batch<f64>) {
    let square: f64 = x.data().iter().map(|x| x * x).sum();
    (0.5 * c * square, Batch::new(x.shape(), x.data().iter().map(|x| c * x).collect()).unwrap())
}

/// The error of `λ_0` of the problem `x' = x/2 + u`, `∫ (x² + u²)/2 + x(1)²/2`, whose control is chosen at every stage of `steps`
/// steps: the discrete optimum, by conjugate gradients on the exact discrete gradient.
fn costate_error(tableau: &Tableau, steps: usize) -> f64 {
    let (a, x0, h, s) = (0.5, 1.0, 1.0 / steps as f64, tableau.stages());
    let b: Vec<f64> = tableau.b().iter().map(|b| 0.5 * (b.lower() + b.upper())).collect();
    let x = Batch::new(Shape::Features(1), vec![x0]).unwrap();
    // The gradient by all controls, and λ_0.
    let gradient = |u: &[f64]| {
        let fields: Vec<Controlled> =
            u.iter().map(|&u| Controlled { a: vec![a], b: vec![1.0], u: vec![u] }).collect();
        let fields = fields.iter().map(|field| field as &dyn VectorField<f64>).collect();
        let process = Process::new(fields, tableau, vec![h; steps]).unwrap();
        let costates = process.costates(&process.states(&x).unwrap(), &Quadratic { q: 1.0, s: 1.0 }).unwrap();
        let each = costates.weights().iter().zip(u).enumerate();
        let g: Vec<f64> = each.map(|(k, (g, u))| g[0][0] + h * b[k % s] * u).collect();
        (g, costates.states()[0].data()[0])
    };
    let n = steps * s;
    let weight = |k: usize| h * b[k % s];
    let inner = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let mut u = vec![0.0; n];
    let zero = gradient(&u).0;
    let mut r: Vec<f64> = zero.iter().map(|g| -g).collect();
    let precondition = |r: &[f64]| r.iter().enumerate().map(|(k, r)| r / weight(k)).collect::<Vec<f64>>();
    let mut p = precondition(&r);
    let mut rho = inner(&r, &p);
    for _ in 0..30 {
        let hp: Vec<f64> = gradient(&p).0.iter().zip(&zero).map(|(g, z)| g - z).collect();
        let alpha = rho / inner(&p, &hp);
        u.iter_mut().zip(&p).for_each(|(u, p)| *u += alpha * p);
        r.iter_mut().zip(&hp).for_each(|(r, hp)| *r -= alpha * hp);
        let z = precondition(&r);
        let next = inner(&r, &z);
        if next <= 1e-30 {
            break;
        }
        p = z.iter().zip(&p).map(|(z, p)| z + next / rho * p).collect();
        rho = next;
    }
    // x' = ax − p, p' = −x − ap, p(1) = x(1).
    let w = (a * a + 1.0f64).sqrt();
    let (c, d) = (w.cosh(), w.sinh() / w);
    let (e11, e12, e21, e22) = (c + a * d, -d, -d, c - a * d);
    let exact = (e11 - e21) / (e22 - e12) * x0;
    (gradient(&u).1 - exact).abs()
}

/// Hager's theorem: the order of states and costates at the optimum is that of the pair, not that of the method.
#[test]
fn the_order_of_costates_is_that_of_the_pair() {
    for name in ["euler", "heun", "ralston2", "ssprk33", "kutta3", "ralston3", "rk4", "three_eighths"] {
        let tableau = Tableau::by_name(name).unwrap();
        let order = pair_order(&tableau).unwrap();
        let errors = [16, 32].map(|steps| costate_error(&tableau, steps));
        let observed = (errors[0] / errors[1]).log2();
        assert!((observed - order as f64).abs() < 0.25, "{name}: {observed}, not {order}; {errors:?}");
    }
}

/// `x' = Ax + Bu` by Euler steps: the discrete costates vanish on Riccati's controls, and successive approximations find them.
#[test]
fn the_linear_quadratic_problem() {
    let (a, b, h, steps) = (vec![0.0, 1.0, -0.5, -0.2], vec![0.0, 1.0], 0.1, 20);
    let identity = |c: f64| vec![c, 0.0, 0.0, c];
    let problem = LinearQuadratic {
        states: 2,
        controls: 1,
        a: a.clone(),
        b: b.clone(),
        q: identity(0.5),
        r: vec![2.0],
        terminal: identity(1.0),
    };
    let best = problem.euler(h).regulate(&[1.0, -0.5], steps).unwrap();
    let fields = |controls: &dyn Fn(usize) -> f64| -> Vec<Box<dyn VectorField<f64>>> {
        let field = |k: usize| Controlled { a: a.clone(), b: b.clone(), u: vec![controls(k)] };
        (0..steps).map(|k| Box::new(field(k)) as Box<dyn VectorField<f64>>).collect()
    };
    let x = Batch::new(Shape::Features(2), vec![1.0, -0.5]).unwrap();
    let cost = Quadratic { q: 0.5, s: 1.0 };
    let optimal = fields(&|k| best.controls[k][0]);
    let process = Process::new(optimal.iter().map(|f| &**f).collect(), &Tableau::euler(), vec![h; steps]).unwrap();
    let costates = process.costates(&process.states(&x).unwrap(), &cost).unwrap();
    for (weights, u) in costates.weights().iter().zip(&best.controls) {
        let gradient = weights[0][0] + h * 2.0 * u[0];
        assert!(gradient.abs() <= 1e-14, "{gradient}");
    }
    // The costate is Px.
    let riccati = LinearQuadratic { q: identity(0.5), r: vec![2.0], terminal: identity(1.0), a: a.clone(), b: b.clone(), states: 2, controls: 1 };
    let p = &riccati.euler(h).solve(steps).unwrap().values[0];
    let lambda = [p[0] * 1.0 - p[1] * 0.5, p[2] * 1.0 - p[3] * 0.5];
    lambda.iter().zip(costates.states()[0].data()).for_each(|(a, b)| assert!((a - b).abs() <= 1e-13, "{a} {b}"));

    let mut found = fields(&|_| 0.0);
    let method = SuccessiveApproximations { controls: vec![0], ridge: 2.0, proximal: 1.0, iterations: 200 };
    let turns = method.run(&mut found, &Tableau::euler(), &[h; 20], &x, &cost).unwrap();
    for (field, best) in found.iter().zip(&best.controls) {
        assert!((field.parameters()[0][0] - best[0]).abs() <= 1e-9);
    }
    assert!((turns[turns.len() - 1].cost - best.cost).abs() <= 1e-13);
    assert!(turns.windows(2).all(|pair| pair[1].cost <= pair[0].cost));
    assert!(turns.iter().all(|turn| !turn.accepted || turn.decrease >= 0.0));
    // A problem without a least cost is refused, and so are matrices of other sizes.
    let mut unbounded = riccati.clone();
    unbounded.r = vec![-100.0];
    assert!(unbounded.solve(3).is_err());
    assert!(LinearQuadratic { r: vec![], ..riccati }.solve(3).is_err());
}

/// Without a proximal term the method overshoots where controls are cheap; turns that would raise the cost are taken back.
#[test]
fn successive_approximations_never_raise_the_cost() {
    let field = |_| Box::new(Controlled { a: vec![1.0], b: vec![3.0], u: vec![0.0] }) as Box<dyn VectorField<f64>>;
    let mut fields: Vec<_> = (0..10).map(field).collect();
    let x = Batch::new(Shape::Features(1), vec![2.0]).unwrap();
    let method = SuccessiveApproximations { controls: vec![0], ridge: 0.05, proximal: 0.0, iterations: 40 };
    let cost = Quadratic { q: 1.0, s: 1.0 };
    let turns = method.run(&mut fields, &Tableau::rk4(), &[0.2; 10], &x, &cost).unwrap();
    assert!(turns.iter().any(|turn| !turn.accepted) && turns.iter().any(|turn| turn.accepted));
    assert!(turns.windows(2).all(|pair| pair[1].cost <= pair[0].cost));
    let invalid = SuccessiveApproximations { ridge: 0.0, ..method.clone() };
    assert!(invalid.run(&mut fields, &Tableau::rk4(), &[0.2; 10], &x, &cost).is_err());
    let missing = SuccessiveApproximations { controls: vec![1], ..method };
    assert!(missing.run(&mut fields, &Tableau::rk4(), &[0.2; 10], &x, &cost).is_err());
}

/// Projected lengths keep their caps exactly, have the sum, and no admissible point is nearer.
#[test]
fn lengths_are_projected() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..500 {
        let n = rng.random_range(1..6usize);
        let caps: Vec<f64> = (0..n).map(|_| rng.random_range(0.0..2.0)).collect();
        let total = rng.random_range(0.0..1.0) * caps.iter().sum::<f64>();
        let v: Vec<f64> = (0..n).map(|_| rng.random_range(-3.0..3.0)).collect();
        let h = project_lengths(&v, total, &caps).unwrap();
        assert!(h.iter().zip(&caps).all(|(h, c)| 0.0 <= *h && h <= c));
        assert!((h.iter().sum::<f64>() - total).abs() <= 1e-14 * (1.0 + total));
        // ⟨v − h, y − h⟩ ≤ 0 for every admissible y: try those that move time from one step to another.
        for (i, j) in (0..n).flat_map(|i| (0..n).map(move |j| (i, j))) {
            let moved = 1e-3f64.min(h[i]).min(caps[j] - h[j]);
            assert!(moved * ((v[j] - h[j]) - (v[i] - h[i])) <= 1e-12);
        }
    }
    assert!(project_lengths(&[1.0], 2.0, &[1.0]).is_err());
    assert!(project_lengths(&[f64::NAN], 0.5, &[1.0]).is_err());
    assert!(project_lengths(&[1.0], 0.5, &[1.0, 1.0]).is_err());
    assert_eq!(project_lengths(&[1.0, 5.0], 3.0, &[f64::INFINITY; 2]).unwrap(), [0.0, 3.0]);
}

/// Optimal lengths stay below what is stable: the network of the steps is sealed with the constant 1.
#[test]
fn optimal_lengths_are_stable() {
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    let fields: Vec<GradientField<f64>> = (0..4).map(|_| relu_field(&mut rng)).collect();
    let views: Vec<&dyn VectorField<f64>> = fields.iter().map(|field| field as &dyn VectorField<f64>).collect();
    let (tableau, prover) = (Tableau::rk4(), Prover::default());
    let caps = stable_lengths(&prover, &views, &tableau, 4).unwrap();
    let total = 0.6 * caps.iter().sum::<f64>();
    let x = Batch::new(Shape::Features(2), numbers(10, &mut rng)).unwrap();
    let g = Batch::new(Shape::Features(2), numbers(10, &mut rng)).unwrap();
    let search = LengthSearch { total, caps: caps.clone(), iterations: 30 };
    let (lengths, costs) = optimal_lengths(&search, &views, &tableau, &x, &Terminal(g)).unwrap();
    assert!(costs.len() > 1 && costs.windows(2).all(|pair| pair[1] < pair[0]), "{costs:?}");
    assert!(lengths.iter().zip(&caps).all(|(h, c)| (0.0..=*c).contains(h)));
    let layers = fields.into_iter().zip(lengths).map(|(field, h)| {
        Box::new(Flow::new(field, tableau.clone(), Step::Fixed(h), 1).unwrap()) as Box<dyn Layer<f64>>
    });
    let sealed = Network::new(Shape::Features(2), layers.collect()).unwrap().seal().unwrap();
    assert!(sealed.certificate().bound().get() <= 1.0);
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
        let point = rational::vector(&numbers(2, &mut rng));
        let columns = (0..2).map(|k| derivative(|x| value(&[flow.describe()], x), &point, k));
        let Some(columns) = columns.collect::<Option<Vec<Vec<Q>>>>() else { continue };
        tried += 1;
        let g = rational::vector(&numbers(2, &mut rng));
        let square = |x: &[Q]| dot(x, x);
        let pulled: Vec<Q> = columns.iter().map(|column| dot(column, &g)).collect();
        let (lower, upper) = (exact(bounds[0].0.get()), exact(bounds[0].1.get()));
        assert!(square(&pulled) <= &upper * &upper * square(&g));
        assert!(square(&pulled) >= &lower * &lower * square(&g));
        assert!(costate_bounds(&proof, 7).is_err() || proof.premises().len() == 1);
    }
    assert!(tried > 20);
}

/// Layers in parallel: the proved error holds for every sweep, in exact arithmetic, and after as many sweeps as there are windows the
/// states are those of the sequential program, to the last bit.
#[test]
fn the_error_of_layers_in_parallel_is_proved() {
    let mut rng = ChaCha8Rng::seed_from_u64(17);
    let windows = 6;
    let field = |w: &[f32], b: &[f32]| {
        let w = Dense::new(3, 2, w.to_vec()).unwrap();
        GradientField::new(Affine::new(w, Some(b.to_vec())).unwrap(), Activation::Relu {}).unwrap()
    };
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| rng.random_range(-1.0f32..1.0)).collect() };
    let weights: Vec<(Vec<f32>, Vec<f32>)> = (0..windows).map(|_| (draw(6), draw(3))).collect();
    let flows = |tableau: &Tableau, h: f64, steps: usize| -> Vec<Box<dyn Layer<f32>>> {
        let flow = |(w, b): &(Vec<f32>, Vec<f32>)| {
            Box::new(Flow::new(field(w, b), tableau.clone(), Step::Fixed(h), steps).unwrap()) as Box<dyn Layer<f32>>
        };
        weights.iter().map(flow).collect()
    };
    let space = Shape::Features(2);
    let sealed = Network::new(space, flows(&Tableau::heun(), 0.125, 2)).unwrap().seal().unwrap();
    let x = Batch::new(space, draw(20)).unwrap();
    let parareal = Parareal::new(&sealed, &[1; 6], flows(&Tableau::euler(), 0.25, 1)).unwrap();
    let map = sealed.map().clone();
    let truth: Vec<Vec<Q>> = (0..x.samples())
        .map(|s| {
            let point: Vec<f64> = x.sample(s).iter().map(|&x| f64::from(x)).collect();
            rational::value(&map, space, &rational::vector(&point)).unwrap()
        })
        .collect();
    let wide = |x: &[f32]| rational::vector(&x.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>());
    let mut sweep = parareal.guess(&x).unwrap();
    let mut worst = Vec::new();
    for sweeps in 0..=windows {
        let errors = parareal.error(&sweep);
        for s in 0..x.samples() {
            let distance = rational::squared_distance(&wide(sweep.last().sample(s)), &truth[s]);
            let bound = exact(errors[s].get());
            assert!(distance <= &bound * &bound, "sweep {sweeps}, sample {s}");
        }
        worst.push(errors.iter().map(|e| e.get()).fold(0.0, f64::max));
        if sweeps < windows {
            sweep = parareal.sweep(&sweep).unwrap();
        }
    }
    let sequential = sealed.forward(&x).unwrap();
    assert_eq!(*sweep.last(), sequential);
    assert!(worst[0] > 1e-3 && worst[windows] < 1e-5 && worst[windows] > 0.0, "{worst:?}");

    let inference = parareal.infer(&x, 1e-4).unwrap();
    assert!(inference.sweeps < windows && inference.error.iter().all(|e| e.get() <= 1e-4), "{}", inference.sweeps);
    assert!(parareal.infer(&x, 1e-9).is_err(), "f32 has no nine digits");
    assert!(Parareal::new(&sealed, &[5], flows(&Tableau::euler(), 0.25, 1)).is_err());
    assert!(Parareal::new(&sealed, &[3, 3], flows(&Tableau::euler(), 0.25, 1)).is_err());
}

#[test]
fn what_is_no_process_is_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (f, g) = (relu_field(&mut rng), relu_field(&mut rng));
    assert!(Process::new(vec![&f], &Tableau::implicit_euler(), vec![0.1]).is_err());
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
