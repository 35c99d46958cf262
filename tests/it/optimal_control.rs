//! Optimal control: orders of pairs, Riccati, successive approximations, and step lengths.

use dahlquist::{
    Network,
    control::{
        Cost, LengthSearch, LinearQuadratic, Process, SuccessiveApproximations, Terminal, has_pair_order,
        optimal_lengths, pair_order, project_lengths, stable_lengths, symplectic_pair,
    },
    field::{GradientField, VectorField},
    layer::{Flow, Layer, Step},
    model::{Field, Opaque},
    rules::Prover,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::control::{numbers, relu_field};

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
        let fields: Vec<Controlled> = u.iter().map(|&u| Controlled { a: vec![a], b: vec![1.0], u: vec![u] }).collect();
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
        let errors = [64, 128].map(|steps| costate_error(&tableau, steps));
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
    let discrete = problem.clone().euler(h);
    let best = discrete.regulate(&[1.0, -0.5], steps).unwrap();
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
    let p = discrete.solve(steps).unwrap().values[0].clone();
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
    assert!(LinearQuadratic { r: vec![-100.0], ..problem.clone() }.solve(3).is_err());
    assert!(LinearQuadratic { r: vec![], ..problem.clone() }.solve(3).is_err());
    assert!(LinearQuadratic { states: 0, ..problem.clone() }.solve(3).is_err());
    assert!(problem.regulate(&[1.0], 3).is_err());
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
    let unbounded = project_lengths(&[1.0, 5.0], 3.0, &[f64::INFINITY; 2]).unwrap();
    assert!(unbounded[0] == 0.0 && (unbounded[1] - 3.0).abs() <= 1e-15);
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
