//! Steps of implicit methods, of skew flows, and reflections, exactly.
//!
//! An equation need not be solved to be tested: from a stage `X` its point `x = X − haf(X)` follows, and the end.

use std::cell::Cell;

use dahlquist::{
    activation::Activation,
    certificate::Rule,
    laws::{Verdict, strategies as s},
    layer::Layer,
    model::{Equilibrium, Field, Flow, Fractions, Householder, Linear, Map, Method, Tensor},
    rules::Prover,
    scalar::Scalar,
    tensor::Shape,
};
use dahlquist_testkit::{
    described::{exact, slope, squared_distance, value},
    models::{proof, step_rule},
};
use num_rational::BigRational;
use proptest::{prelude::Strategy, sample::select};

use super::{fail, generator, hold, normal};

type Point = Vec<BigRational>;

/// The method with one stage `X = x + haf(X)`, `x₁ = x + hf(X)`.
fn one_stage(a: &str) -> Method {
    Method::Own(Fractions { a: vec![vec![a.into()]], b: vec!["1".into()] })
}

/// `‖Δy‖² ≤ L²‖Δx‖²`, and what is claimed besides.
fn obeys(what: &str, claims: dahlquist::certificate::Claims, x: [&Point; 2], y: [&Point; 2]) -> Verdict {
    let (before, after) = (squared_distance(x[0], x[1]), squared_distance(y[0], y[1]));
    let l = exact(claims.bound.get());
    if after > &l * &l * &before {
        return fail(format!("{what} is not {}-Lipschitz", claims.bound));
    }
    if let Some(inverse) = claims.inverse
        && after < exact(inverse.get()) * exact(inverse.get()) * &before
    {
        return fail(format!("{what} shrinks a distance more than {inverse}"));
    }
    if let Some(alpha) = claims.averaged {
        // ‖Δy − (1 − α)Δx‖ ≤ α‖Δx‖.
        let alpha = exact(alpha.get());
        let rest = exact(1.0) - &alpha;
        let off: BigRational =
            (0..x[0].len()).map(|i| (&y[0][i] - &y[1][i]) - &rest * (&x[0][i] - &x[1][i])).map(|d| &d * &d).sum();
        if off > &alpha * &alpha * &before {
            return fail(format!("{what} is not {alpha}-averaged"));
        }
    }
    Ok(())
}

/// The rule of a step in a proof of a flow with one field.
fn certified(field: &Field, space: Shape, method: &Method, h: f64) -> Option<(Rule, dahlquist::certificate::Claims)> {
    let flow = Map::Flow(Flow::of_steps(field.clone(), method.clone(), h, 1));
    let proof = Prover::default().network(&flow, space).ok()?;
    Some((step_rule(&proof), proof.premises()[0].claims()))
}

/// Steps of methods with one stage, of fields of the family whose values are rational; counts those proved by `rule`.
fn one_stage_steps(stages: &[&'static str], rule: Rule) -> u32 {
    let count = Cell::new(0);
    let lengths = select(vec![0.01, 0.5, 1.0, 4.0, 64.0, -0.25]);
    let subjects = (s::structured::<f32>(), select(stages.to_vec()), lengths);
    hold(subjects, |((field, space), a, ratio), seed| {
        let method = one_stage(a);
        let Ok(known) = Prover::default().field(field, *space) else { return Ok(()) };
        let h = ratio / known.bound().get().clamp(1e-3, 1e6);
        let Some((found, claims)) = certified(field, *space, &method, h) else { return Ok(()) };
        let (numerator, denominator) = a.split_once('/').unwrap_or((a, "1"));
        let a = exact(numerator.parse().unwrap()) / exact(denominator.parse().unwrap());
        let (mut rng, n) = (generator(seed), space.len());
        for scale in [1.0, 1e-3, 100.0] {
            let step = |stage: Point| -> Option<[Point; 2]> {
                let f = slope(field, *space, &stage)?;
                let start: Point = stage.iter().zip(&f).map(|(x, f)| x - &a * exact(h) * f).collect();
                let end = start.iter().zip(&f).map(|(x, f)| x + exact(h) * f).collect();
                Some([start, end])
            };
            let draw = |rng: &mut _| normal::<f64>(n, scale, rng).into_iter().map(exact).collect::<Point>();
            let (first, second) = (draw(&mut rng), draw(&mut rng));
            let (Some([x, y]), Some([x2, y2])) = (step(first), step(second)) else { return Ok(()) };
            obeys(&format!("{found} with h = {h}"), claims, [&x, &x2], [&y, &y2])?;
        }
        count.set(count.get() + u32::from(found == rule));
        Ok(())
    });
    count.get()
}

#[test]
fn implicit_step() {
    let found = one_stage_steps(&["1", "3/4", "1/2", "-1/3"], Rule::ImplicitStep);
    assert!(found > 10, "{found}");
    // x' = −x/2 with h = 3: 1/(1 + 3/2), to the last bits.
    let field = Field::Lurie {
        activation: Activation::Relu {},
        linear: matrix(1, &[-0.5]),
        inner: matrix(1, &[0.0]),
        outer: matrix(1, &[0.0]),
    };
    assert!(certified(&field, Shape::Features(1), &Method::Named("implicit_euler".into()), 3.0).is_none());
    let field = gradient(&[0.5f64.sqrt()]);
    let (rule, claims) = certified(&field, Shape::Features(1), &Method::Named("implicit_euler".into()), 3.0).unwrap();
    assert_eq!(rule, Rule::ImplicitStep);
    assert!((0.4..0.4 + 1e-12).contains(&claims.bound.get()), "{}", claims.bound);
    assert_eq!(claims.averaged.unwrap().get(), 0.5);
}

/// An equation need not be solved to be tested: from an equilibrium `x` the push `u = −f(x)` follows.
#[test]
fn equilibrium() {
    let count = Cell::new(0);
    hold(s::equilibrium::<f32>(), |layer, seed| {
        let Ok(proof) = proof::<f32>(layer) else { return Ok(()) };
        assert_eq!(proof.rule(), Rule::Equilibrium);
        let (field, space) = (layer.field().describe(), Layer::<f32>::input(layer));
        let mut rng = generator(seed);
        for scale in [1.0, 1e-3, 100.0] {
            let mut draw = || normal::<f64>(space.len(), scale, &mut rng).into_iter().map(exact).collect::<Point>();
            let points = [draw(), draw()];
            let pushes = points.each_ref().map(|x| slope(&field, space, x));
            let [Some(f), Some(f2)] = pushes else { return Ok(()) };
            let [u, u2] = [f, f2].map(|f| f.iter().map(|f| -f).collect::<Point>());
            obeys("an equilibrium", proof.claims(), [&u, &u2], points.each_ref())?;
        }
        count.set(count.get() + 1);
        Ok(())
    });
    assert!(count.get() > 40, "{}", count.get());
    // x' = −x/2 + u rests at 2u; with a rate of 4 it is averaged, too.
    let claims = |w: f64| {
        let map = Map::Equilibrium(Equilibrium { field: gradient(&[w]), tolerance: None });
        Prover::default().network(&map, Shape::Features(1)).unwrap().claims()
    };
    let (slow, fast) = (claims(0.5f64.sqrt()), claims(2.0));
    assert!((2.0..2.0 + 1e-12).contains(&slow.bound.get()) && slow.averaged.is_none(), "{slow:?}");
    assert!((2.0 - 1e-12..=2.0).contains(&slow.inverse.unwrap().get()), "{slow:?}");
    assert!((0.25..0.25 + 1e-12).contains(&fast.bound.get()) && fast.averaged.unwrap().get() == 0.5, "{fast:?}");
}

/// `−wᵀ(wx)` in one dimension.
fn gradient(w: &[f64]) -> Field {
    let activation = Activation::Identity {};
    Field::Gradient { activation, operator: matrix(w.len(), w), weights: None }
}

fn matrix(columns: usize, w: &[f64]) -> Linear {
    Linear::Dense { weight: Tensor::new(&[w.len() / columns, columns], w), bias: None }
}

#[test]
fn algebraic_stability() {
    let found = one_stage_steps(&["1/2", "1/2", "3/5"], Rule::AlgebraicStability);
    assert!(found > 5, "{found}");
}

#[test]
fn skew_flow() {
    // K turns the plane with speed 1: every direction moves by |R(iy)|, y = h.
    let field = Field::SkewLinear { skew: matrix(2, &[0.0, 0.5, -0.5, 0.0]) };
    let space = Shape::Features(2);
    let named = |name: &str| Method::Named(name.into());
    let points = [[3.0, 1.0], [-0.5, 0.25]].map(|x| x.map(exact).to_vec());
    for name in ["euler", "midpoint", "heun", "heun3", "kutta3", "rk4", "ssprk43", "dopri5", "ssprk102"] {
        for h in [0.1, -0.75, 1.0, 1.7, 1.8, 2.5, 2.82, 2.84, 5.0, 20.0] {
            let (rule, claims) = certified(&field, space, &named(name), h).unwrap();
            assert_eq!(rule, Rule::SkewFlow, "{name}");
            let flow = Map::Flow(Flow::of_steps(field.clone(), named(name), h, 1));
            let [x, x2] = &points;
            let [y, y2] = [x, x2].map(|x| value(&flow, space, x).unwrap());
            obeys(name, claims, [x, x2], [&y, &y2]).unwrap();
        }
    }
    let claim = |name: &str, h: f64| certified(&field, space, &named(name), h).unwrap().1;
    // The limits of the stability functions: √3 and 2√2; beyond them something grows.
    for (name, limit) in [("kutta3", 3f64.sqrt()), ("rk4", 8f64.sqrt())] {
        assert_eq!(claim(name, limit * (1.0 - 1e-9)).bound.get(), 1.0, "{name}");
        assert!(claim(name, limit * 1.001).bound.get() > 1.0, "{name}");
    }
    // Heun: |R|² = 1 + y⁴/4.
    assert!((claim("heun", 1.5).bound.get() - (1.0 + 1.5f64.powi(4) / 4.0).sqrt()).abs() < 1e-12);
    for name in ["implicit_midpoint", "gauss2", "cayley"] {
        for h in [0.1, 3.0, 1e3] {
            let claims = claim(name, h);
            assert_eq!((claims.bound.get(), claims.inverse.unwrap().get()), (1.0, 1.0), "{name}");
        }
    }
}

/// Many steps of NAIS-Net: the way into its norm and out of it is paid once.
#[test]
fn own_norm() {
    let found = Cell::new(0);
    let weights = proptest::collection::vec((-8i32..=8).prop_map(|w| f64::from(w) / 8.0), 9);
    let function = select(vec![
        Activation::Relu {},
        Activation::LeakyRelu { slope: 0.25 },
        Activation::LeakyRelu { slope: 0.75 },
        Activation::Hardtanh { min: -1.0, max: 0.5 },
    ]);
    let length = (select(vec![0.25, 1.0, 1.9, 2.0, 2.5]), 1..=9usize, select(vec!["euler", "heun", "kutta3"]));
    hold(
        (weights, function, select(vec![0.125, 0.5]), length),
        |(r, activation, epsilon, (part, steps, method)), seed| {
            let (space, activation, epsilon) = (Shape::Features(3), *activation, *epsilon);
            let field = Field::Nais { activation, factor: matrix(3, r), bias: None, epsilon };
            let known = Prover::default().field(&field, space).unwrap().claims().own_norm.unwrap();
            let h = part / known.bound.get().max(1e-6);
            let flow = Map::Flow(Flow::of_steps(field, Method::Named((*method).into()), h, *steps));
            let Ok(proof) = Prover::default().network(&flow, space) else { return Ok(()) };
            if step_rule(&proof) == Rule::OwnNorm {
                found.set(found.get() + 1);
            }
            let mut rng = generator(seed);
            for scale in [1.0, 8.0] {
                let mut draw =
                    || normal::<f32>(3, scale, &mut rng).into_iter().map(|x| exact(x.into())).collect::<Point>();
                let (x, y) = (draw(), draw());
                let [Some(a), Some(b)] = [&x, &y].map(|x| value(&flow, space, x)) else { return Ok(()) };
                obeys("a flow of NAIS-Net", proof.claims(), [&x, &y], [&a, &b])?;
            }
            Ok(())
        },
    );
    assert!(found.get() > 20, "{}", found.get());
    // One direction, P = 1/4 + ε: the factor is that of a gradient step, in both norms.
    let field =
        Field::Nais { activation: Activation::Identity {}, factor: matrix(1, &[0.5]), bias: None, epsilon: 0.25 };
    let flow = Map::Flow(Flow::of_steps(field, Method::Named("euler".into()), 1.0, 10));
    let bound = Prover::default().network(&flow, Shape::Features(1)).unwrap().bound().get();
    assert!((0.5f64.powi(10)..0.5f64.powi(10) * (1.0 + 1e-6)).contains(&bound), "{bound}");
    // A condition of 17: any number of steps is √17-Lipschitz, where a product of steps would grow.
    let factor = matrix(2, &[2.0, 0.0, 0.0, 0.0]);
    let field = Field::Nais { activation: Activation::Relu {}, factor, bias: None, epsilon: 0.25 };
    let flow = Map::Flow(Flow::of_steps(field, Method::Named("euler".into()), 0.4, 1000));
    let bound = Prover::default().network(&flow, Shape::Features(2)).unwrap().bound().get();
    assert!((bound - 17f64.sqrt()).abs() < 1e-6, "{bound}");
}

/// What shrinks, and by how much: steps, skip connections, functions, reflections.
#[test]
fn inverses_are_sharp_where_they_are_attained() {
    let inverse = |map: &Map| Prover::default().network(map, Shape::Features(1)).unwrap().claims().inverse;
    let near = |map: Map, expected: f64| {
        let found = inverse(&map).unwrap_or_else(|| panic!("{map:?}")).get();
        assert!(found <= expected && found > expected - 1e-9, "{found} {expected}");
    };
    let flow =
        |name: &str, h: f64, steps| Map::Flow(Flow::of_steps(gradient(&[2.0]), Method::Named(name.into()), h, steps));
    // x' = −4x.
    near(flow("euler", 0.125, 2), 0.25);
    near(flow("euler", 0.5, 1), 1.0);
    near(flow("euler", -0.25, 1), 2.0);
    near(flow("implicit_euler", 0.25, 1), 0.5);
    // 1 − z − z²/2 for the polynomial of Heun's method in magnitudes.
    near(flow("heun", 0.125, 1), 1.0 - 0.5 - 0.125);
    assert!(inverse(&flow("euler", 0.25, 1)).is_none());
    let branch = |w: f64| Map::Chain(vec![Map::Linear(matrix(1, &[w])), Map::Activation(Activation::Relu {})]);
    near(Map::Sum(vec![Map::Chain(vec![]), branch(-0.25)]), 0.75);
    near(Map::Mean(vec![branch(0.25), Map::Chain(vec![])]), 0.375);
    assert!(inverse(&Map::Sum(vec![Map::Chain(vec![]), branch(1.5)])).is_none());
    near(Map::Activation(Activation::LeakyRelu { slope: 0.125 }), 0.125);
    assert!(inverse(&Map::Activation(Activation::Relu {})).is_none());
    let householder = |v: f64| Map::Householder(Householder { vector: Tensor::new(&[1], &[v]) });
    near(householder(0.5), 0.5);
    assert!(inverse(&householder(1.0)).is_none());
}

#[test]
fn householder() {
    fn holds<T: Scalar>() {
        let layers = s::householder::<T>().prop_filter("large", |layer| Layer::<T>::input(layer).len() <= 24);
        hold(layers, |layer, seed| {
            let Ok(proof) = proof::<T>(layer) else { return Ok(()) };
            assert_eq!(proof.rule(), Rule::Householder);
            let (map, space) = (Layer::<T>::describe(layer), Layer::<T>::input(layer));
            let Map::Householder(reflection) = &map else { panic!("{map:?}") };
            let mut rng = generator(seed);
            let v: Vec<f64> = reflection.vector.wide().iter().map(|v| v * 8.0).collect();
            let mut x: Vec<f64> = normal(space.len(), 1.0, &mut rng);
            let mut pairs = vec![[x.clone(), normal(space.len(), 2.0, &mut rng)]];
            if matches!(space, Shape::Features(_)) && v.iter().all(|v| v.abs() < 1e30) {
                // Along v, on the side that is reflected, the bound is attained.
                x = v.iter().cycle().take(space.len()).map(|v| -v).collect();
                pairs.push([x.clone(), x.iter().map(|x| 3.0 * x).collect()]);
            }
            for pair in pairs {
                let [x, y] = pair.map(|x| x.into_iter().map(exact).collect::<Point>());
                let (Some(a), Some(b)) = (value(&map, space, &x), value(&map, space, &y)) else { return Ok(()) };
                obeys("a reflection", proof.claims(), [&x, &y], [&a, &b])?;
            }
            Ok(())
        });
    }
    holds::<f32>();
    holds::<f64>();
}
