//! Claims in the norm of `P = RᵀR + εI`, `f(x) = σ(−Px + b)`.

use dahlquist::{
    laws::strategies as s,
    model::{Field, Flow, Linear, Map, Method, Tensor},
    rules::{self, Prover},
    tensor::Shape,
};
use dahlquist_testkit::{
    described::{slope, value},
    oracle::{Exact, Num, difference, dot, square},
};
use proptest::{
    prelude::{Just, Strategy, prop_oneof},
    sample::select,
};

use super::{Attempt, Pair, generator, number, pairs, point, refute};

/// A field of NAIS-Net, its factor and `ε`.
fn nais() -> impl Strategy<Value = (Field, usize)> {
    let epsilon = prop_oneof![3 => select(vec![1.0, 0.125, 1e-9, 1e-300, 5e-324, 1e300]), 1 => number()];
    (1..=3usize, 1..=3usize, epsilon).prop_flat_map(|(n, m, epsilon)| {
        (s::steep_activation(), s::matrix::<f64>(m, n), s::bias::<f64>(n), Just((n, m, epsilon))).prop_map(
            |(activation, w, b, (n, m, epsilon))| {
                let factor = Linear::Dense { weight: Tensor::new(&[m, n], &w), bias: None };
                let bias = b.map(|b| Tensor::new(&[n], &b));
                (Field::Nais { activation, factor, bias, epsilon }, n)
            },
        )
    })
}

/// `Px`, from a field whose function is the identity.
fn applied(field: &Field, space: Shape, x: &[Exact]) -> Option<Vec<Exact>> {
    let Field::Nais { factor, epsilon, .. } = field else { return None };
    let activation = dahlquist::activation::Activation::Identity {};
    let linear = Field::Nais { activation, factor: factor.clone(), bias: None, epsilon: *epsilon };
    Some(slope(&linear, space, x)?.iter().map(|x| x.times(&Exact::of(-1.0))).collect())
}

/// What is claimed of the field: `‖Δf‖_P ≤ β‖Δx‖_P`, `⟨Δf, Δx⟩_P ≤ −c‖Δx‖²_P`, `λ₊ ≤ k²λ₋`.
#[test]
fn the_field_in_its_norm() {
    refute(400, 15, nais(), |(field, n), seed| -> Attempt {
        let space = Shape::Features(*n);
        let Ok(proof) = Prover::default().field(field, space) else { return Ok(false) };
        let Some(own) = proof.claims().own_norm else { return Ok(false) };
        let mut rng = generator(seed);
        let x = point(*n, &mut rng);
        let Some(pairs) = pairs(|x| slope(field, space, x), &x, &mut rng) else { return Ok(false) };
        for Pair { x, y } in &pairs {
            let (dx, df) = (difference(&x[1], &x[0]), difference(&y[1], &y[0]));
            let p = |v: &[Exact]| applied(field, space, v).expect("linear");
            let (size, moved, along) = (dot(&dx, &p(&dx)), dot(&df, &p(&df)), dot(&df, &p(&dx)));
            let beta = Exact::of(own.bound.get());
            if !moved.at_most(&beta.times(&beta).times(&size)) {
                return Err(format!("the field is not {}-Lipschitz in its norm", own.bound));
            }
            if let Some(c) = own.strong_convexity
                && !along.at_most(&Exact::of(-c.get()).times(&size))
            {
                return Err(format!("the field does not contract with {c} in its norm"));
            }
            // ‖u‖²_P‖v‖² ≤ k²‖v‖²_P‖u‖².
            for (u, v) in [(&dx, &df), (&df, &dx)] {
                let (left, right) = (dot(u, &p(u)).times(&square(v)), dot(v, &p(v)).times(&square(u)));
                let k = Exact::of(own.condition.get());
                if !left.at_most(&k.times(&k).times(&right)) {
                    return Err(format!("the condition of its norm is above {}", own.condition));
                }
            }
        }
        Ok(true)
    });
}

/// Steps, in the norm and out of it.
#[test]
fn flows_in_their_norm() {
    let ratio = select(vec![0.0, 1e-18, 0.1, 1.0, 1.999999999, 2.0, 2.5, 1e10, -0.5]);
    let methods = select(vec!["euler", "heun", "kutta3", "rk4", "ssprk43"]);
    refute(400, 15, (nais(), ratio, methods, 1..=4usize), |((field, n), ratio, method, steps), seed| -> Attempt {
        let (space, prover) = (Shape::Features(*n), Prover::default());
        let Ok(known) = prover.field(field, space) else { return Ok(false) };
        let Some(own) = known.claims().own_norm else { return Ok(false) };
        let h = ratio / own.bound.get().max(1e-300);
        let flow = Flow::of_steps(field.clone(), Method::Named((*method).into()), h, *steps);
        let step = flow.each().next().expect("a step");
        let Ok(claims) = rules::own_norm::bound(step, &known.claims().numbers()) else { return Ok(false) };
        let claims = rules::composition::power(&claims.numbers(), *steps);
        let own = claims.own_norm.ok_or("a step without its norm")?;
        let map = Map::Flow(flow.clone());
        let mut rng = generator(seed);
        let x = point(*n, &mut rng);
        let Some(pairs) = pairs(|x| value(&map, space, x), &x, &mut rng) else { return Ok(false) };
        for Pair { x, y } in &pairs {
            let (dx, dy) = (difference(&x[1], &x[0]), difference(&y[1], &y[0]));
            let p = |v: &[Exact]| applied(field, space, v).expect("linear");
            let within = |l: f64, after: &Exact, before: &Exact| {
                !l.is_finite() || after.at_most(&Exact::of(l).times(&Exact::of(l)).times(before))
            };
            if !within(own.bound.get(), &dot(&dy, &p(&dy)), &dot(&dx, &p(&dx))) {
                return Err(format!("{} in its norm with h = {h:e} is too small", own.bound));
            }
            if !within(claims.bound.get(), &square(&dy), &square(&dx)) {
                return Err(format!("{} out of its norm with h = {h:e} is too small", claims.bound));
            }
        }
        Ok(true)
    });
}
