//! Fields of the family against their formulas, in exact numbers.

use dahlquist::{
    certificate::Rule,
    field::{StructuredField, VectorField},
    laws::{Verdict, strategies as s},
    layer::Layer,
    model::{Field, Flow, Linear, Map, Method, Potential, SplitMethod, Tensor},
    operator::Affine,
    rules::Prover,
    scalar::Scalar,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::{
    models::proof,
    oracle::{Exact, Function, Matrix, Num, difference, dot, piecewise, row, square},
};

use super::{fail, generator, hold, normal, within};

fn times(c: f64, x: &[Exact]) -> Vec<Exact> {
    x.iter().map(|x| x.times(&Exact::of(c))).collect()
}

fn plus(x: &[Exact], y: &[Exact]) -> Vec<Exact> {
    x.iter().zip(y).map(|(x, y)| x.plus(y)).collect()
}

/// The formula of a field of the family, written out with its matrices.
fn formula(field: &Field, space: Shape) -> Option<Box<dyn Fn(&[Exact]) -> Vec<Exact>>> {
    let parts = field.parts(space).unwrap();
    let matrix = |i: usize| Matrix::<Exact>::of(&Affine::<f64>::described(parts[i].operator, parts[i].input).unwrap());
    let sigma = |a| piecewise::<Exact>(a);
    let apply = |sigma: &Function<Exact>, z: Vec<Exact>| z.iter().map(|z| sigma(z)).collect::<Vec<_>>();
    let bias = |bias: &Option<Tensor>| -> Vec<Exact> {
        let Some(bias) = bias else { return vec![Exact::of(0.0); space.len()] };
        let repeat = space.len() / bias.count();
        bias.wide().iter().flat_map(|&b| std::iter::repeat_n(Exact::of(b), repeat)).collect()
    };
    let skew = |i: usize, damping: f64| {
        let s = matrix(i);
        move |x: &[Exact]| plus(&plus(&s.apply(x), &times(-1.0, &s.adjoint(x))), &times(-damping, x))
    };
    Some(match field {
        Field::Gradient { activation, weights: Some(weights), .. } => {
            let (w, sigma, weights) = (matrix(0), sigma(*activation)?, weights.wide().into_owned());
            Box::new(move |x| {
                let z = apply(&sigma, w.apply(x));
                let repeat = z.len() / weights.len();
                let z: Vec<Exact> =
                    z.iter().enumerate().map(|(i, z)| z.times(&Exact::of(weights[i / repeat]))).collect();
                times(-1.0, &w.adjoint(&z))
            })
        }
        Field::Dissipative { activation, damping, .. } => {
            let (w, sigma, skew) = (matrix(0), sigma(*activation)?, skew(1, *damping));
            Box::new(move |x| plus(&times(-1.0, &w.adjoint(&apply(&sigma, w.apply(x)))), &skew(x)))
        }
        Field::SkewLinear { .. } => Box::new(skew(0, 0.0)),
        Field::Hamiltonian { kinetic, potential } => {
            let (k, w) = (matrix(0), matrix(1));
            let [first, second] = [sigma(kinetic.activation)?, sigma(potential.activation)?];
            Box::new(move |x| {
                let (q, p) = x.split_at(x.len() / 2);
                let velocity = k.adjoint(&apply(&first, k.apply(p)));
                let force = times(-1.0, &w.adjoint(&apply(&second, w.apply(q))));
                [velocity, force].concat()
            })
        }
        Field::DissipativeHamiltonian { activation, damping, .. } => {
            let (k, m, sigma, skew) = (matrix(0), matrix(1), sigma(*activation)?, skew(2, *damping));
            Box::new(move |x| skew(&plus(&k.adjoint(&apply(&sigma, k.apply(x))), &m.adjoint(&m.apply(x)))))
        }
        Field::Antisymmetric { activation, bias: b, damping, .. } => {
            let (skew, b, sigma) = (skew(0, *damping), bias(b), sigma(*activation)?);
            Box::new(move |x| apply(&sigma, plus(&skew(x), &b)))
        }
        Field::Nais { activation, bias: b, epsilon, .. } => {
            let (r, b, sigma, epsilon) = (matrix(0), bias(b), sigma(*activation)?, *epsilon);
            Box::new(move |x| {
                let z = plus(&times(-1.0, &r.adjoint(&r.apply(x))), &times(-epsilon, x));
                apply(&sigma, plus(&z, &b))
            })
        }
        Field::Lurie { activation, .. } => {
            let (c, a, b, sigma) = (matrix(0), matrix(1), matrix(2), sigma(*activation)?);
            Box::new(move |x| plus(&c.apply(x), &b.apply(&apply(&sigma, a.apply(x)))))
        }
        _ => return None,
    })
}

/// What is claimed of a field holds of its formula, for pairs of points, exactly.
fn claims_hold(field: &Field, space: Shape, rule: Option<Rule>, seed: u64) -> Verdict {
    let (Some(f), Ok(proof)) = (formula(field, space), Prover::default().field(field, space)) else { return Ok(()) };
    if rule.is_some_and(|rule| rule != proof.rule()) {
        return Ok(());
    }
    let claims = proof.claims();
    let mut rng = generator(seed);
    for scale in [1.0, 1.0, 1e-3] {
        let x: Vec<Exact> = row(&normal::<f64>(space.len(), 1.0, &mut rng));
        let other = plus(&x, &row(&normal::<f64>(space.len(), scale, &mut rng)));
        let (dx, df) = (difference(&x, &other), difference(&f(&x), &f(&other)));
        within("the field", claims.bound.get(), 0.0, &dx, &df)?;
        let along = dot(&df, &dx);
        if let Some(mu) = claims.one_sided_lipschitz
            && !along.at_most(&Exact::of(mu.get()).times(&square(&dx)))
        {
            return fail(format!("the field is not one-sided Lipschitz with {mu}"));
        }
        if let Some(nu) = claims.cocoercivity
            && nu.get().is_finite()
            && !along.at_most(&Exact::of(-nu.get()).times(&square(&df)))
        {
            return fail(format!("the field is not cocoercive with {nu}"));
        }
    }
    Ok(())
}

fn family(rule: Rule) {
    hold(s::structured::<f64>(), |(field, space), seed| claims_hold(field, *space, Some(rule), seed));
    hold(s::structured::<f32>(), |(field, space), seed| claims_hold(field, *space, Some(rule), seed));
}

#[test]
fn dissipative_field() {
    family(Rule::DissipativeField);
}

#[test]
fn hamiltonian_field() {
    family(Rule::HamiltonianField);
}

#[test]
fn nais_field() {
    family(Rule::NaisField);
}

/// What is claimed of a step of a split method holds of its formula, for pairs of points, exactly.
fn split_steps(rule: Rule) {
    hold(s::splitting::<f64>(), |layer, seed| {
        let (Map::Flow(flow), space) = (Layer::<f64>::describe(layer), Layer::<f64>::input(layer)) else {
            panic!("no flow")
        };
        let Ok(proof) = proof::<f64>(layer) else { return Ok(()) };
        let step = &proof.premises()[0];
        if step.rule() != rule {
            return Ok(());
        }
        let step = step.claims();
        let Some(advance) = split_step(&flow, space) else { return Ok(()) };
        let mut rng = generator(seed);
        for scale in [1.0, 1.0, 1e-3] {
            let x: Vec<Exact> = row(&normal::<f64>(space.len(), 1.0, &mut rng));
            let other = plus(&x, &row(&normal::<f64>(space.len(), scale, &mut rng)));
            let (dx, dy) = (difference(&x, &other), difference(&advance(&x), &advance(&other)));
            within("the step", step.bound.get(), 0.0, &dx, &dy)?;
            if let Some(inverse) = step.inverse {
                let least = Exact::of(inverse.get()).times(&Exact::of(inverse.get())).times(&square(&dx));
                if !least.at_most(&square(&dy)) {
                    return fail("the step shrinks a distance more than is claimed");
                }
            }
        }
        Ok(())
    });
}

/// One step, written out.
fn split_step(flow: &Flow, space: Shape) -> Option<Box<dyn Fn(&[Exact]) -> Vec<Exact>>> {
    let h = flow.step;
    match (&flow.method, &flow.fields[0]) {
        (Method::Split(SplitMethod::ExponentialEuler), Field::Dissipative { activation, operator, skew, damping }) => {
            let (e, phi) =
                (libm::exp(-damping * h), if *damping == 0.0 { h } else { -libm::expm1(-damping * h) / damping });
            let (activation, operator, skew) = (*activation, operator.clone(), skew.clone());
            let g = formula(&Field::Dissipative { activation, operator, skew, damping: 0.0 }, space)?;
            Some(Box::new(move |x| plus(&times(e, x), &times(phi, &g(x)))))
        }
        (Method::Split(method), field @ Field::Hamiltonian { .. }) => {
            let f = formula(field, space)?;
            let n = space.len() / 2;
            let part = move |x: &[Exact], first: bool, h: f64| -> Vec<Exact> {
                let slope = f(x);
                let moves = |i: usize| (i < n) == first;
                (0..x.len())
                    .map(|i| if moves(i) { x[i].plus(&slope[i].times(&Exact::of(h))) } else { x[i].clone() })
                    .collect()
            };
            let verlet = *method == SplitMethod::StormerVerlet;
            Some(Box::new(move |x| {
                if verlet {
                    part(&part(&part(x, false, h / 2.0), true, h), false, h / 2.0)
                } else {
                    part(&part(x, false, h), true, h)
                }
            }))
        }
        _ => None,
    }
}

#[test]
fn shears() {
    split_steps(Rule::Shears);
}

#[test]
fn exponential_step() {
    split_steps(Rule::ExponentialStep);
}

/// A shear of one position is attained to the last digits.
#[test]
fn shears_are_sharp() {
    let matrix = |entries: &[f64]| Linear::Dense { weight: Tensor::new(&[1, 1], entries), bias: None };
    let potential =
        |w: f64| Potential { activation: dahlquist::activation::Activation::Identity {}, operator: matrix(&[w]) };
    let field = Field::Hamiltonian { kinetic: potential(0.0), potential: potential(1.0) };
    let map = Map::Flow(Flow::of_steps(field, Method::Split(SplitMethod::SymplecticEuler), 1.5, 1));
    let proof = Prover::default().network(&map, Shape::Features(2)).unwrap();
    let norm = f64::midpoint(1.5, (1.5f64 * 1.5 + 4.0).sqrt());
    assert!((proof.bound().get() - norm).abs() <= 1e-14 * norm, "{} and not {norm}", proof.bound());
}

/// Weights and linear parts, under the rules that they share with plain fields.
#[test]
fn weighted_and_lurie_fields() {
    family(Rule::GradientField);
    family(Rule::ResidualField);
}

/// The program computes the formula, and describes the same field again.
#[test]
fn structured_fields_compute_their_formula() {
    fn holds<T: Scalar>(field: &Field, space: Shape, seed: u64) -> Verdict {
        let program = StructuredField::<T>::new(field, space).unwrap();
        if VectorField::<T>::describe(&program) != *field {
            return fail("it describes another field");
        }
        let Some(f) = formula(field, space) else { return Ok(()) };
        let Ok(proof) = Prover::default().field(field, space) else { return Ok(()) };
        let x: Vec<T> = normal(space.len(), 1.0, &mut generator(seed));
        let (wide, mut tape) = (program.widen(), Tape::recording());
        let batch = Batch::new(space, x.clone()).unwrap();
        wide.eval(&batch.cast(), &mut tape);
        let rounding = dahlquist::rigor::Rounding::of::<T>();
        let Ok(known) = program.rounding(&proof, &rounding, &batch.cast(), &tape, &[0.0]) else { return Ok(()) };
        let most = known[0].error;
        if !most.is_finite() {
            return Ok(());
        }
        let value = row::<Exact, T>(program.eval(&batch, &mut Tape::idle()).data());
        let off = difference(&value, &f(&row(&x)));
        if !square(&off).at_most(&Exact::of(most).times(&Exact::of(most))) {
            return fail(format!("the program is off by more than {most}"));
        }
        Ok(())
    }
    hold(s::structured::<f32>(), |(field, space), seed| holds::<f32>(field, *space, seed));
    hold(s::structured::<f64>(), |(field, space), seed| holds::<f64>(field, *space, seed));
}

/// The closed forms are attained: a rotation with damping, and a scalar at the ends of its curvature.
#[test]
fn constants_of_fields_are_sharp() {
    let matrix = |entries: &[f64]| Linear::Dense { weight: Tensor::new(&[2, 2], entries), bias: None };
    let (w, s) = (matrix(&[2.0, 0.0, 0.0, 0.0]), matrix(&[0.0, 3.0, 0.0, 0.0]));
    let activation = dahlquist::activation::Activation::Relu {};
    let field = Field::Dissipative { activation, operator: w, skew: s, damping: 0.5 };
    let claims = Prover::default().field(&field, Shape::Features(2)).unwrap().claims();
    // a = 1/2, b = 4.5, κ = 3.
    let near = |found: f64, meant: f64| assert!((found - meant).abs() <= 1e-12 * meant.abs(), "{found}, not {meant}");
    near(claims.one_sided_lipschitz.unwrap().get(), -0.5);
    near(claims.cocoercivity.unwrap().get(), 0.5 / (0.5 * 4.5 + 9.0));
    near(claims.bound.get(), (9.0f64 + 2.5 * 2.5).sqrt() + 2.0);
}
