//! Fields of the family, and steps of split methods, against their descriptions over the rational numbers.

use std::cell::Cell;

use dahlquist::{
    activation::Activation,
    certificate::{Claims, Rule},
    laws::{Verdict, strategies as s},
    layer::Layer,
    model::{Field, Flow, Linear, Map, Method, Potential, SplitMethod, Tensor},
    rules::Prover,
    scalar::Scalar,
    tensor::Shape,
};
use dahlquist_testkit::{
    described::{exact, slope, squared_distance, value, vector},
    models::proof,
};
use num_rational::BigRational;
use num_traits::ToPrimitive;
use rand::Rng;

use super::{fail, generator, hold, normal};

type Point = Vec<BigRational>;

/// Pairs of points, near to each other and far apart.
fn pairs(n: usize, rng: &mut impl Rng) -> Vec<[Point; 2]> {
    let near = |scale: f64, rng: &mut _| {
        let x = vector(&normal::<f64>(n, 1.0, rng));
        let y = x.iter().zip(vector(&normal::<f64>(n, scale, rng))).map(|(x, d)| x + d).collect();
        [x, y]
    };
    [1.0, 1.0, 1e-3].map(|scale| near(scale, rng)).into()
}

fn dot(x: &[BigRational], y: &[BigRational]) -> BigRational {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

fn difference(x: &[BigRational], y: &[BigRational]) -> Point {
    x.iter().zip(y).map(|(x, y)| x - y).collect()
}

/// What is claimed of a field holds of its description, for pairs of points, exactly.
fn claims_hold(field: &Field, space: Shape, rule: Rule, seed: u64) -> Verdict {
    let Ok(proof) = Prover::default().field(field, space) else { return Ok(()) };
    if rule != proof.rule() {
        return Ok(());
    }
    let claims = proof.claims();
    for [x, y] in pairs(space.len(), &mut generator(seed)) {
        let (Some(f), Some(g)) = (slope(field, space, &x), slope(field, space, &y)) else { return Ok(()) };
        let (dx, df) = (difference(&x, &y), difference(&f, &g));
        let (size, moved, along) = (dot(&dx, &dx), dot(&df, &df), dot(&df, &dx));
        let l = exact(claims.bound.get());
        if moved > &l * &l * &size {
            return fail(format!("the field is not {}-Lipschitz", claims.bound));
        }
        if let Some(mu) = claims.one_sided_lipschitz
            && along > exact(mu.get()) * &size
        {
            return fail(format!("the field is not one-sided Lipschitz with {mu}"));
        }
        if let Some(nu) = claims.cocoercivity
            && nu.get().is_finite()
            && along > exact(-nu.get()) * &moved
        {
            return fail(format!("the field is not cocoercive with {nu}"));
        }
    }
    Ok(())
}

fn family(rule: Rule) {
    hold(s::structured::<f64>(), |(field, space), seed| claims_hold(field, *space, rule, seed));
    hold(s::structured::<f32>(), |(field, space), seed| claims_hold(field, *space, rule, seed));
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

/// One step, read off from its description.
fn split_step(flow: &Flow, space: Shape, x: &[BigRational]) -> Option<Point> {
    let (Method::Split(SplitMethod::ExponentialEuler), [Field::Dissipative { activation, operator, skew, damping }]) =
        (&flow.method, &flow.fields[..])
    else {
        return value(&Map::Flow(Flow { steps: 1, ..flow.clone() }), space, x);
    };
    let h = flow.step;
    let (e, phi) = (libm::exp(-damping * h), if *damping == 0.0 { h } else { -libm::expm1(-damping * h) / damping });
    let (activation, operator, skew) = (*activation, operator.clone(), skew.clone());
    let g = slope(&Field::Dissipative { activation, operator, skew, damping: 0.0 }, space, x)?;
    Some(x.iter().zip(g).map(|(x, g)| x * exact(e) + g * exact(phi)).collect())
}

/// What is claimed of a step holds for pairs of points, exactly.
fn step_holds(claims: Claims, space: Shape, seed: u64, step: impl Fn(&[BigRational]) -> Option<Point>) -> Verdict {
    for [x, y] in pairs(space.len(), &mut generator(seed)) {
        let (Some(a), Some(b)) = (step(&x), step(&y)) else { return Ok(()) };
        let (before, after) = (squared_distance(&x, &y), squared_distance(&a, &b));
        let l = exact(claims.bound.get());
        if after > &l * &l * &before {
            return fail(format!("the step is not {}-Lipschitz", claims.bound));
        }
        if let Some(inverse) = claims.inverse
            && after < exact(inverse.get()) * exact(inverse.get()) * &before
        {
            return fail("the step shrinks a distance more than is claimed");
        }
    }
    Ok(())
}

/// What is claimed of a step of a split method holds of its description.
fn split_steps(rule: Rule) {
    fn holds<T: Scalar>(rule: Rule) {
        hold(s::splitting::<T>(), |layer, seed| {
            let (Map::Flow(flow), space) = (layer.describe(), layer.input()) else { panic!("no flow") };
            let Ok(proof) = proof::<T>(layer) else { return Ok(()) };
            let step = &proof.premises()[0];
            if step.rule() != rule {
                return Ok(());
            }
            step_holds(step.claims(), space, seed, |x| split_step(&flow, space, x))
        });
    }
    holds::<f32>(rule);
    holds::<f64>(rule);
}

#[test]
fn shears() {
    split_steps(Rule::Shears);
}

/// What is claimed of an Euler step of a field of the family holds of its description.
fn euler_steps(rule: Rule) {
    let found = Cell::new(0);
    hold(s::structured::<f64>(), |(field, space), seed| {
        let h = [1.0, 0.25, 0.015625, -0.125][(seed % 4) as usize];
        let map = Map::Flow(Flow::of_steps(field.clone(), Method::Named("euler".into()), h, 1));
        let Ok(proof) = Prover::default().network(&map, *space) else { return Ok(()) };
        let step = &proof.premises()[0];
        if step.rule() != rule {
            return Ok(());
        }
        found.set(found.get() + 1);
        step_holds(step.claims(), *space, seed, |x| value(&map, *space, x))
    });
    assert!(found.get() > 0, "no Euler step is proved by the rule {rule}");
}

#[test]
fn exponential_step() {
    split_steps(Rule::ExponentialStep);
    euler_steps(Rule::ExponentialStep);
}

#[test]
fn skew_gradient_step() {
    euler_steps(Rule::SkewGradientStep);
}

/// The factor of an Euler step of a dissipative field is attained by `x' = (K − G)x`, `G = c + dR` with a reflection `R` that turns
/// a vector to where the rest of the step takes it.
#[test]
fn euler_steps_of_dissipative_fields_are_sharp() {
    let matrix = |entries: [f64; 4]| Linear::Dense { weight: Tensor::new(&[2, 2], &entries), bias: None };
    let (c, d, kappa, damping) = (2.5f64, 2.0f64, 3.0, 0.25);
    for h in [0.01, 0.1, 0.5, -0.2] {
        let q = [1.0 - h * c, h * kappa];
        let size = q[0].hypot(q[1]);
        let r = q.map(|x| -h.signum() * x / size);
        // The root of G − γ, whose eigenvalues are c − γ ± d.
        let (most, least) = ((c - damping + d).sqrt(), (c - damping - d).sqrt());
        let (p, s) = (f64::midpoint(most, least), (most - least) / 2.0);
        let operator = matrix([p + s * r[0], s * r[1], s * r[1], p - s * r[0]]);
        let skew = matrix([0.0, -kappa, 0.0, 0.0]);
        let field = Field::Dissipative { activation: Activation::Identity {}, operator, skew, damping };
        let map = Map::Flow(Flow::of_steps(field, Method::Named("euler".into()), h, 1));
        let bound = Prover::default().network(&map, Shape::Features(2)).unwrap().bound().get();
        let one = BigRational::from_integer(1.into());
        let attained = value(&map, Shape::Features(2), &[one, BigRational::default()]).unwrap();
        let attained = attained.iter().map(|x| x.to_f64().unwrap().powi(2)).sum::<f64>().sqrt();
        assert!(bound >= attained && bound <= attained * (1.0 + 1e-9), "h = {h}: {bound}, and {attained} is attained");
    }
}

/// The bound of one Euler step on the plane, which the rule proves, and how far the step takes two points that are 1 apart.
fn skew_gradient(field: Field, h: f64, x: [f64; 2]) -> [f64; 2] {
    let (map, space) = (Map::Flow(Flow::of_steps(field, Method::Named("euler".into()), h, 1)), Shape::Features(2));
    let proof = Prover::default().network(&map, space).unwrap();
    assert_eq!(proof.premises()[0].rule(), Rule::SkewGradientStep);
    let at = |x: [f64; 2]| value(&map, space, &x.map(exact)).unwrap();
    let length = x[0].hypot(x[1]);
    let moved = squared_distance(&at(x), &at([0.0, 0.0])).to_f64().unwrap().sqrt() / length;
    [proof.bound().get(), moved]
}

/// The factor of an Euler step of a skew matrix times a gradient is attained by an orthogonal `K`, and is the closed form.
#[test]
fn euler_steps_of_skew_gradients_are_sharp() {
    let near = |found: f64, meant: f64| assert!((found - meant).abs() <= 1e-9 * meant, "{found}, not {meant}");
    let attained = |[bound, moved]: [f64; 2]| {
        assert!(bound >= moved && bound <= moved * (1.0 + 1e-9), "{bound}, and {moved} is attained");
        bound
    };
    let matrix = |entries: [f64; 4]| Linear::Dense { weight: Tensor::new(&[2, 2], &entries), bias: None };
    let (kappa, damping) = (3.0f64, 0.5f64);
    let turn = || matrix([0.0, -kappa, 0.0, 0.0]);
    for (h, leak) in [(0.1, 0.0), (0.01, 0.25), (0.75, 0.25), (-0.2, 0.0)] {
        // One coordinate of the value is where the slope is 1, the other where it is the least: G is c + dR, R a reflection. The
        // vector is the one of whose image under h(G − c)(K − r) the direction is that of (1 + hc(K − r))x.
        let c = (1.0 + leak) / 2.0;
        let angle = -(f64::atan2(kappa, -damping) + f64::atan2(h * c * kappa, 1.0 - h * c * damping)) / 2.0;
        let angle = if h < 0.0 { angle + std::f64::consts::FRAC_PI_2 } else { angle };
        let field = Field::Antisymmetric {
            activation: if leak == 0.0 { Activation::Relu {} } else { Activation::LeakyRelu { slope: leak } },
            matrix: turn(),
            bias: Some(Tensor::new(&[2], &[8.0, -8.0])),
            damping,
        };
        let bound = attained(skew_gradient(field, h, [angle.cos(), angle.sin()]));
        let (kept, size) = (1.0 - h * c * damping, (kappa * kappa + damping * damping).sqrt());
        near(bound, kept.hypot(h * c * kappa) + h.abs() * (1.0 - leak) / 2.0 * size);
    }
    // By hand, for h = 1/10 and slopes in [0, 1]: √(0.975² + 0.15²) + 0.05 √9.25.
    let activation = Activation::Relu {};
    let field = Field::Antisymmetric { activation, matrix: turn(), bias: None, damping };
    near(skew_gradient(field, 0.1, [1.0, 0.0])[0], 1.138_540_046_104_898_5);
    // (K − r)G with a G between 1/2 and 9/2 whose reflection takes (1, 0) to where the rest of the step takes it.
    let (c, d) = (2.5f64, 2.0f64);
    for h in [0.01, 0.1, 0.5, -0.2] {
        let kept = [1.0 - h * damping * c, h * c * kappa];
        // Over K − r, as complex numbers.
        let u = [kappa * kept[1] - damping * kept[0], -kappa * kept[0] - damping * kept[1]];
        let r = u.map(|x| h.signum() * x / u[0].hypot(u[1]));
        let (most, least) = ((c + d).sqrt(), (c - d).sqrt());
        let (p, s) = (f64::midpoint(most, least), (most - least) / 2.0);
        let operator = matrix([p + s * r[0], s * r[1], s * r[1], p - s * r[0]]);
        let activation = Activation::Identity {};
        let field =
            Field::DissipativeHamiltonian { activation, operator, quadratic: matrix([0.0; 4]), skew: turn(), damping };
        attained(skew_gradient(field, h, [1.0, 0.0]));
    }
    // An Euler step that only kicks is a shear.
    let potential = |w: f64| Potential {
        activation: Activation::Identity {},
        operator: Linear::Dense { weight: Tensor::new(&[1, 1], &[w]), bias: None },
    };
    let field = Field::Hamiltonian { kinetic: potential(0.0), potential: potential(1.0) };
    near(skew_gradient(field, 1.5, [1.0, 0.0])[0], f64::midpoint(1.5, (1.5f64 * 1.5 + 4.0).sqrt()));
}

/// A shear of one position is attained to the last digits.
#[test]
fn shears_are_sharp() {
    let matrix = |entries: &[f64]| Linear::Dense { weight: Tensor::new(&[1, 1], entries), bias: None };
    let potential = |w: f64| Potential { activation: Activation::Identity {}, operator: matrix(&[w]) };
    let field = Field::Hamiltonian { kinetic: potential(0.0), potential: potential(1.0) };
    let map = Map::Flow(Flow::of_steps(field, Method::Split(SplitMethod::SymplecticEuler), 1.5, 1));
    let proof = Prover::default().network(&map, Shape::Features(2)).unwrap();
    let norm = f64::midpoint(1.5, (1.5f64 * 1.5 + 4.0).sqrt());
    assert!((proof.bound().get() - norm).abs() <= 1e-14 * norm, "{} and not {norm}", proof.bound());
}

/// Weights, under the rule that they share with plain fields.
#[test]
fn weighted_fields() {
    family(Rule::GradientField);
}

/// What multipliers prove of a field with matrices, and what the norms of its operators prove of one with convolutions.
#[test]
fn lurie_field() {
    family(Rule::QuadraticConstraint);
    family(Rule::ResidualField);
}

/// The closed forms are attained: a rotation with damping, and a scalar at the ends of its curvature.
#[test]
fn constants_of_fields_are_sharp() {
    let matrix = |entries: &[f64]| Linear::Dense { weight: Tensor::new(&[2, 2], entries), bias: None };
    let (w, s) = (matrix(&[2.0, 0.0, 0.0, 0.0]), matrix(&[0.0, 3.0, 0.0, 0.0]));
    let activation = Activation::Relu {};
    let field = Field::Dissipative { activation, operator: w, skew: s, damping: 0.5 };
    let claims = Prover::default().field(&field, Shape::Features(2)).unwrap().claims();
    // a = 1/2, b = 4.5, κ = 3.
    let near = |found: f64, meant: f64| assert!((found - meant).abs() <= 1e-12 * meant.abs(), "{found}, not {meant}");
    near(claims.one_sided_lipschitz.unwrap().get(), -0.5);
    near(claims.cocoercivity.unwrap().get(), 0.5 / (0.5 * 4.5 + 9.0));
    near(claims.bound.get(), (9.0f64 + 2.5 * 2.5).sqrt() + 2.0);
}
