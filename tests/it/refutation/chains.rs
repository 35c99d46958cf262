//! Flows of every field, stacks under multipliers, and how far distances may shrink.

use dahlquist::{
    laws::strategies as s,
    layer::Layer,
    model::{Field, Flow, Linear, Map, Method, Tensor},
    rules::Prover,
    tensor::Shape,
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::select,
};

use super::{Attempt, attack, number, refute};

/// Methods whose coefficients the oracle holds.
const METHODS: [&str; 8] = ["euler", "heun", "midpoint", "kutta3", "rk4", "ssprk33", "ssprk43", "dopri5"];

/// A step of any length: as a part of what a Lipschitz constant suggests, or as it is.
fn step() -> impl Strategy<Value = (bool, f64)> {
    let ratio =
        select(vec![0.0, 1e-300, 1e-17, 0.1, 0.5, 1.0, 1.0 + 1e-15, 1.9999999, 2.0, 3.0, 1e20, -1e-17, -0.5, -1.0]);
    prop_oneof![4 => ratio.prop_map(|h| (true, h)), 1 => number().prop_map(|h| (false, h))]
}

fn dense(rows: usize, columns: usize) -> impl Strategy<Value = Linear> {
    (s::matrix::<f64>(rows, columns), s::bias::<f64>(rows)).prop_map(move |(w, b)| {
        let linear = Linear::Dense { weight: Tensor::new(&[rows, columns], &w), bias: None };
        linear.with_bias(b.map(|b| Tensor::new(&[rows], &b)))
    })
}

/// A Lur'e field of one to three dimensions, with one to three functions.
fn lurie() -> impl Strategy<Value = (Field, Shape)> {
    (1..=3usize, 1..=3usize).prop_flat_map(|(n, m)| {
        (s::activation(), dense(n, n), dense(m, n), dense(n, m), Just(n)).prop_map(
            |(activation, linear, inner, outer, n)| {
                (Field::Lurie { activation, linear, inner, outer }, Shape::Features(n))
            },
        )
    })
}

/// A residual field with matrices, whose Euler steps have multipliers.
fn residual() -> impl Strategy<Value = (Field, Shape)> {
    (1..=3usize, 1..=4usize).prop_flat_map(|(n, m)| {
        (s::activation(), dense(m, n), dense(n, m), Just(n)).prop_map(|(activation, inner, outer, n)| {
            (Field::Residual { activation, inner, outer }, Shape::Features(n))
        })
    })
}

fn attack_flow(
    field: &Field,
    space: Shape,
    (relative, h): (bool, f64),
    method: &str,
    steps: usize,
    seed: u64,
) -> Attempt {
    let prover = Prover::default();
    let Ok(known) = prover.field(field, space) else { return Ok(false) };
    let h = if relative { h / known.bound().get().max(1e-300) } else { h };
    let map = Map::Flow(Flow::of_steps(field.clone(), Method::Named(method.into()), h, steps));
    let Ok(proof) = prover.network(&map, space) else { return Ok(false) };
    attack(&map, space, &proof.claims(), seed)
        .map_err(|reason| format!("{reason}, by {}, h = {h:e}", proof.premises()[0].rule()))
}

#[test]
fn flows_of_lurie_fields() {
    let subjects = (lurie(), step(), select(METHODS.to_vec()), 1..=3usize);
    refute(400, 20, subjects, |((field, space), step, method, steps), seed| {
        attack_flow(field, *space, *step, method, *steps, seed)
    });
}

#[test]
fn euler_steps_of_residual_fields_under_multipliers() {
    refute(300, 20, (residual(), step()), |((field, space), step), seed| {
        attack_flow(field, *space, *step, "euler", 1, seed)
    });
}

#[test]
fn flows_of_the_family() {
    let subjects = (s::structured::<f64>(), step(), select(METHODS.to_vec()), 1..=2usize);
    refute(300, 10, subjects, |((field, space), step, method, steps), seed| {
        attack_flow(field, *space, *step, method, *steps, seed)
    });
}

/// Two or three matrices, each with a function behind it, and a last one.
#[test]
fn stacks_under_multipliers() {
    let widths = vec(1..=4usize, 3..=4);
    let subjects = widths.prop_flat_map(|widths| {
        let layers: Vec<_> = widths.windows(2).map(|w| (dense(w[1], w[0]), s::activation()).boxed()).collect();
        (Just(widths), layers)
    });
    refute(300, 15, subjects, |(widths, layers), seed| {
        let mut maps: Vec<Map> = Vec::new();
        for (linear, function) in layers {
            maps.extend([Map::Linear(linear.clone()), Map::Activation(*function)]);
        }
        maps.pop();
        let (map, space, prover) = (Map::Chain(maps), Shape::Features(widths[0]), Prover::default());
        let Ok(proof) = prover.network(&map, space) else { return Ok(false) };
        let Ok(proof) = prover.tighten(&map, space, proof, usize::MAX) else { return Ok(false) };
        attack(&map, space, &proof.claims(), seed)
    });
}

/// A map of a space into itself or a larger one, that may keep distances apart.
fn part(n: usize) -> impl Strategy<Value = (Map, usize)> {
    let linear = (n..=n + 1).prop_flat_map(move |m| dense(m, n).prop_map(move |w| (Map::Linear(w), m)));
    let function = s::steep_activation().prop_map(move |a| (Map::Activation(a), n));
    let leaky = select(vec![0.125, 1.0, 3.0, 1e-300])
        .prop_map(move |slope| (Map::Activation(dahlquist::activation::Activation::LeakyRelu { slope }), n));
    let flow = (s::monotone_activation(), dense(n, n), step(), select(METHODS.to_vec()), 1..=2usize).prop_map(
        move |(activation, operator, (relative, h), method, steps)| {
            let field = Field::Gradient { activation, operator, weights: None };
            let known = Prover::default().field(&field, Shape::Features(n));
            let l = known.map_or(1.0, |known| known.bound().get()).max(1e-300);
            let h = if relative { h / l } else { h };
            (Map::Flow(Flow::of_steps(field, Method::Named(method.into()), h, steps)), n)
        },
    );
    let branches = (dense(n, n), number(), any::<bool>()).prop_map(move |(w, c, mean)| {
        let scale = Linear::ChannelAffine { scale: Tensor::new(&[n], &vec![c; n]), shift: None };
        let all = vec![Map::Chain(vec![]), Map::Linear(w), Map::Linear(scale)];
        (if mean { Map::Mean(all) } else { Map::Sum(all) }, n)
    });
    let reflection = s::householder::<f64>().prop_map(move |layer| {
        let map = Layer::<f64>::describe(&layer);
        (if Layer::<f64>::input(&layer) == Shape::Features(n) { map } else { Map::Chain(vec![]) }, n)
    });
    prop_oneof![3 => linear, 1 => function, 2 => leaky, 3 => flow, 2 => branches, 1 => reflection]
}

/// How far distances may shrink, of chains of everything that claims it.
#[test]
fn distances_shrink_no_more_than_is_claimed() {
    let chain = (1..=3usize).prop_flat_map(|n| {
        part(n).prop_flat_map(move |first| {
            let between = first.1;
            (Just((n, first)), part(between))
        })
    });
    let tried = std::cell::Cell::new(0);
    refute(600, 20, chain, |((n, (first, _)), (second, _)), seed| {
        let (map, space) = (Map::Chain(vec![first.clone(), second.clone()]), Shape::Features(*n));
        let Ok(proof) = Prover::default().with_inverses().network(&map, space) else { return Ok(false) };
        tried.set(tried.get() + usize::from(proof.claims().inverse.is_some_and(|inverse| inverse.get() > 0.0)));
        attack(&map, space, &proof.claims(), seed)
    });
    println!("{} with an inverse constant", tried.get());
    assert!(tried.get() > 60, "{}", tried.get());
}
