//! Single layers, the Euler step of a residual field, and the potential that a step decreases.

use std::cell::Cell;

use dahlquist::{
    Network, Result,
    activation::Activation,
    certificate::Rule,
    field::{GradientField, ResidualField, VectorField},
    laws::{Verdict, strategies as s},
    layer::{ActivationLayer, AffineLayer, Branches, Flow, Layer, Step},
    model::{Map, Window},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::{
    models::{field_claims, proof, step_rule},
    oracle::{self, Exact, Matrix, Method, Num, Real, difference, dot, row, square},
};
use proptest::prelude::{Just, Strategy};

use super::{fail, generator, hold, normal, pairs, within};

/// A matrix, and the same as a convolution of images of one point, of which multipliers know nothing.
fn dense<T: Scalar>(rows: usize, columns: usize, w: Vec<T>) -> Result<Affine<T>> {
    Affine::new(Dense::new(rows, columns, w)?, None)
}

fn pointwise<T: Scalar>(rows: usize, columns: usize, w: Vec<T>) -> Result<Affine<T>> {
    let input = Shape::image(columns, 1, 1);
    let mode = PaddingMode::Zeros;
    Affine::new(Conv2d::new(Geometry { input, outputs: rows, kernel: (1, 1), stride: 1, padding: 0, mode }, w)?, None)
}

/// Steps of residual fields, of which enough are certified by `rule`.
fn residual_steps<T: Scalar>(map: fn(usize, usize, Vec<T>) -> Result<Affine<T>>, methods: &[&'static str], rule: Rule) {
    let methods = proptest::sample::select(methods.to_vec());
    let parts = (1..=3usize, 1..=3usize).prop_flat_map(|(n, m)| {
        ((Just((n, m)), -1.5..1.5f64, methods.clone()), (s::matrix::<T>(m, n), s::matrix::<T>(n, m), s::activation()))
    });
    let cases = parts.prop_filter_map("refused", |(((n, m), h, method), (w, v, a))| {
        let (inner, outer) = (map(m, n, w).ok()?, map(n, m, v).ok()?);
        let maps = [Matrix::<Exact>::of(&inner), Matrix::of(&outer)];
        let a = a.in_format::<T>().ok().filter(|&a| dahlquist_testkit::oracle::piecewise::<Exact>(a).is_some())?;
        let field = ResidualField::new(inner, a, outer).ok()?;
        Some((maps, a, Flow::new(field, Tableau::by_name(method).ok()?, Step::Fixed(h), 1).ok()?))
    });
    let certified = Cell::new(0);
    hold(cases, |([inner, outer], a, flow), seed| {
        let Ok(proof) = proof(flow) else { return Ok(()) };
        certified.set(certified.get() + u32::from(step_rule(&proof) == rule));
        let sigma = dahlquist_testkit::oracle::piecewise::<Exact>(*a).unwrap();
        let field = |x: &[Exact]| outer.apply(&inner.apply(x).iter().map(&sigma).collect::<Vec<_>>());
        let run = |x: &[T]| Method::of(flow.tableau()).flow(&field, &Exact::of(flow.step().wide()), 1, &row(x));
        for [x, other] in pairs::<T>(flow, 4, &mut generator(seed)) {
            let dx = difference::<Exact>(&row(&x), &row(&other));
            within("the step", proof.bound().get(), 0.0, &dx, &difference(&run(&x), &run(&other)))?;
        }
        Ok(())
    });
    assert!(certified.get() > 20, "{rule} certified {} of them", certified.get());
}

#[test]
fn one_sided_lipschitz() {
    residual_steps::<f32>(pointwise, &["euler"], Rule::OneSidedLipschitz);
    residual_steps::<f64>(pointwise, &["euler"], Rule::OneSidedLipschitz);
}

#[test]
fn lipschitz_step() {
    let methods = ["heun", "kutta3", "rk4", "midpoint", "heun3", "dopri5"];
    residual_steps::<f32>(dense, &methods, Rule::LipschitzStep);
    residual_steps::<f64>(dense, &methods, Rule::LipschitzStep);
}

#[test]
fn quadratic_constraint() {
    residual_steps::<f32>(dense, &["euler"], Rule::QuadraticConstraint);
    residual_steps::<f64>(dense, &["euler"], Rule::QuadraticConstraint);
}

#[test]
fn operator_norm() {
    fn holds<T: Scalar>() {
        let maps = proptest::prop_oneof![
            s::dense::<T>(),
            s::conv2d::<T>(),
            s::grouped_conv2d::<T>(),
            s::channel_affine::<T>(),
            s::pool::<T>()
        ];
        hold(maps.prop_map(|map| (Matrix::<Exact>::of(&map), AffineLayer::new(map))), |(matrix, layer), seed| {
            let Ok(proof) = proof(layer) else { return Ok(()) };
            for [x, other] in pairs::<T>(layer, 6, &mut generator(seed)) {
                let (x, other) = (row::<Exact, T>(&x), row(&other));
                let dy = difference(&matrix.apply(&x), &matrix.apply(&other));
                within("the map", proof.bound().get(), 0.0, &difference(&x, &other), &dy)?;
            }
            Ok(())
        });
    }
    holds::<f32>();
    holds::<f64>();
}

#[test]
fn slope() {
    fn holds<N: Num>(sigma: &dyn Fn(&N) -> N, layer: &ActivationLayer, slack: f64, seed: u64) -> Verdict {
        let proof = proof::<f64>(layer).unwrap();
        for [x, other] in pairs::<f64>(layer, 6, &mut generator(seed)) {
            let (x, other) = (row::<N, f64>(&x), row(&other));
            let dx = difference(&x, &other);
            let value = |x: &[N]| x.iter().map(sigma).collect::<Vec<_>>();
            let dy = difference(&value(&x), &value(&other));
            within("the activation", proof.bound().get(), slack, &dx, &dy)?;
            if let Some(alpha) = proof.claims().averaged.map(|a| a.get()) {
                let rest = N::of(1.0).minus(&N::of(alpha));
                let rest: Vec<N> = dy.iter().zip(&dx).map(|(y, x)| y.minus(&rest.times(x))).collect();
                within("the averaged activation", alpha, slack, &dx, &rest)?;
            }
        }
        Ok(())
    }
    hold(s::activation(), |&a, seed| {
        let layer = ActivationLayer::new::<f64>(a, Shape::Features(3)).unwrap();
        match dahlquist_testkit::oracle::piecewise::<Exact>(a) {
            Some(sigma) => holds(&*sigma, &layer, 0.0, seed),
            None => holds(&*dahlquist_testkit::oracle::real(a), &layer, 2f64.powi(-200), seed),
        }
    });
}

/// Sorting and maxima select, so their values are exact; norms are compared in 300 bits.
#[test]
fn windows() {
    fn holds(layer: &dyn Layer<f64>, seed: u64, value: impl Fn(&[f64]) -> Vec<Real>, slack: f64) -> Verdict {
        let bound = proof::<f64>(layer).unwrap().bound().get();
        for [x, other] in pairs::<f64>(layer, 6, &mut generator(seed)) {
            let dx = difference::<Real>(&row(&x), &row(&other));
            within("the map of windows", bound, slack, &dx, &difference(&value(&x), &value(&other)))?;
        }
        Ok(())
    }
    let forward = |layer: &dyn Layer<f64>, x: &[f64]| {
        layer.forward(Batch::new(layer.input(), x.to_vec()).unwrap(), &mut Tape::idle()).data().to_vec()
    };
    hold(s::selection(), |layer, seed| holds(layer, seed, |x| row(&forward(layer, x)), 0.0));
    hold(s::l2_pool(), |layer, seed| {
        // The norm of a window, from its computed value by two steps of Newton's method for the exact sum of squares.
        let Map::Window(Window::L2Pool(pooling)) = Layer::<f64>::describe(layer) else { panic!("another map") };
        let value = |x: &[f64]| {
            let computed = forward(layer, x);
            let Shape::Image { height, width, .. } = Layer::<f64>::input(layer) else { panic!("no image") };
            let (_, rows, columns) = Layer::<f64>::output(layer).as_image("a test").unwrap();
            let norm = |i: usize, y: f64| {
                let (c, corner) = (i / (rows * columns), [i / columns % rows, i % columns]);
                let mut sum = Real::of(0.0);
                for (a, b) in (0..pooling.size.0[0]).flat_map(|a| (0..pooling.size.0[1]).map(move |b| (a, b))) {
                    let at =
                        |k: usize, t: usize| (corner[k] * pooling.stride().0[k] + t).wrapping_sub(pooling.padding.0[k]);
                    let (row, column) = (at(0, a), at(1, b));
                    if row < height && column < width {
                        let x = Real::of(x[(c * height + row) * width + column]);
                        sum += &x * &x;
                    }
                }
                let half = |r: Real| if y == 0.0 { r } else { (&sum / &r + &r) * Real::of(0.5) };
                half(half(half(Real::of(y))))
            };
            computed.into_iter().enumerate().map(|(i, y)| norm(i, y)).collect::<Vec<_>>()
        };
        holds(layer, seed, value, 2f64.powi(-200))
    });
}

#[test]
fn isometry() {
    hold(s::reshape(), |layer, seed| {
        let x: Vec<f64> = normal(Layer::<f64>::input(layer).len(), 1.0, &mut generator(seed));
        let y = layer.forward(Batch::new(Layer::<f64>::input(layer), x.clone()).unwrap(), &mut Tape::idle());
        // The same numbers and zeros: every distance is kept, because differences move in the same way.
        let sorted = |v: &[f64]| {
            let mut v: Vec<f64> = v.iter().copied().filter(|x| *x != 0.0).collect();
            v.sort_by(f64::total_cmp);
            v
        };
        if sorted(&x) == sorted(y.data()) { Ok(()) } else { fail("some number was lost or changed") }
    });
}

/// `V(x⁺) ≤ V(x) − h(1 − hβ/2)‖∇V(x)‖²`, exactly, for the `β` that the field proves and every `h ≥ 0`.
#[test]
fn descent() {
    fn holds<T: Scalar>() {
        // Two slopes, with a kink at 0: of those the potential below is a primitive.
        let two = |a: &Activation| {
            !matches!(a, Activation::Hardtanh { .. }) && dahlquist_testkit::oracle::piecewise::<Exact>(*a).is_some()
        };
        let activation = s::monotone_activation().prop_filter("more than two slopes", two);
        hold((s::dense::<T>(), activation, 0.0..4.0f64), |(map, a, ratio), seed| {
            let matrix = Matrix::<Exact>::of(map);
            let widened = GradientField::new(map.widen(), a.in_format::<T>().unwrap()).unwrap();
            let Ok(beta) = field_claims(&widened).map(|claims| claims.bound.get()) else { return Ok(()) };
            let h = T::of(ratio / beta.max(1e-30)).wide();
            if !h.is_finite() || !beta.is_finite() {
                return Ok(());
            }
            let [m, l] = widened.activation().slopes();
            let sigma = dahlquist_testkit::oracle::piecewise::<Exact>(widened.activation()).unwrap();
            let slopes = if l > 1.0 { [l, 1.0] } else { [m, 1.0] };
            let potential = |x: &[Exact]| {
                matrix.apply(x).iter().fold(Exact::of(0.0), |v, z| {
                    let slope = if z.positive() { slopes[1] } else { slopes[0] };
                    v.plus(&Exact::of(0.5 * slope).times(&z.times(z)))
                })
            };
            let field = oracle::gradient_field(&matrix, &*sigma);
            let x: Vec<Exact> = row(&normal::<T>(map.operator().input().len(), 1.0, &mut generator(seed)));
            let f = field(&x);
            let next: Vec<Exact> = x.iter().zip(&f).map(|(x, f)| x.plus(&Exact::of(h).times(f))).collect();
            let half = Exact::of(h).times(&Exact::of(beta)).times(&Exact::of(0.5));
            let decrease = Exact::of(h).times(&Exact::of(1.0).minus(&half)).times(&square(&f));
            let most = potential(&x).minus(&decrease);
            if potential(&next).at_most(&most) { Ok(()) } else { fail(format!("V decreases too little for h = {h}")) }
        });
    }
    holds::<f32>();
    holds::<f64>();
}

/// `‖Δf‖ ≤ β‖Δx‖`, `⟨Δf, Δx⟩ ≤ −ν‖Δf‖²` and `⟨Δf, Δx⟩ ≤ −μ‖Δx‖²`, exactly.
#[test]
fn gradient_field() {
    fn holds<T: Scalar>() {
        let certified = Cell::new(0);
        let activation = s::monotone_activation();
        let activation =
            activation.prop_filter("smooth", |a| dahlquist_testkit::oracle::piecewise::<Exact>(*a).is_some());
        let maps = s::dense::<T>().prop_filter("large", |m| m.operator().input().len() <= 6);
        let cases = (maps, activation).prop_filter_map("refused", |(map, activation)| {
            let matrix = Matrix::<Exact>::of(&map);
            Some((matrix, GradientField::new(map, activation).ok()?))
        });
        hold(cases, |(matrix, field), seed| {
            let Ok(claims) = field_claims(field) else { return Ok(()) };
            let (Some(nu), Some(mu)) = (claims.cocoercivity, claims.strong_convexity) else {
                return fail("a gradient field has both constants");
            };
            certified.set(certified.get() + u32::from(mu.get() > 0.0));
            let sigma = dahlquist_testkit::oracle::piecewise::<Exact>(field.activation()).unwrap();
            let f = oracle::gradient_field(matrix, &*sigma);
            let n = field.shape().len();
            let mut rng = generator(seed);
            for scale in [1.0, 8.0, 0.1] {
                let (x, z): (Vec<T>, Vec<T>) = (normal(n, scale, &mut rng), normal(n, scale, &mut rng));
                let (x, z) = (row::<Exact, T>(&x), row(&z));
                let (dx, df) = (difference(&x, &z), difference(&f(&x), &f(&z)));
                within("the field", claims.bound.get(), 0.0, &dx, &df)?;
                let inner = dot(&df, &dx);
                let zero = Exact::of(0.0);
                if nu.get().is_finite() && !inner.plus(&Exact::of(nu.get()).times(&square(&df))).at_most(&zero) {
                    return fail(format!("it is not cocoercive with {nu}"));
                }
                if !inner.plus(&Exact::of(mu.get()).times(&square(&dx))).at_most(&zero) {
                    return fail(format!("its potential is not strongly convex with {mu}"));
                }
            }
            Ok(())
        });
        assert!(certified.get() > 10, "{}", certified.get());
    }
    holds::<f32>();
    holds::<f64>();
}

#[test]
fn residual_field() {
    fn holds<T: Scalar>() {
        let sizes = (1..=3usize, 1..=4usize);
        let parts =
            sizes.prop_flat_map(|(n, m)| (s::matrix::<T>(m, n), s::matrix::<T>(n, m), s::activation(), Just((n, m))));
        let cases = parts.prop_filter_map("refused", |(w, v, a, (n, m))| {
            let a = a.in_format::<T>().ok().filter(|&a| dahlquist_testkit::oracle::piecewise::<Exact>(a).is_some())?;
            let map = |o, i, w: Vec<T>| Affine::new(Dense::new(o, i, w).ok()?, None).ok();
            let (inner, outer) = (map(m, n, w)?, map(n, m, v)?);
            let exact = [Matrix::<Exact>::of(&inner), Matrix::of(&outer)];
            Some((exact, a, ResidualField::new(inner, a, outer).ok()?))
        });
        hold(cases, |([inner, outer], a, field), seed| {
            let Ok(claims) = field_claims(field) else { return Ok(()) };
            let sigma = dahlquist_testkit::oracle::piecewise::<Exact>(*a).unwrap();
            let f = |x: &[Exact]| outer.apply(&inner.apply(x).iter().map(&sigma).collect::<Vec<_>>());
            let (n, mut rng) = (field.shape().len(), generator(seed));
            for scale in [1.0, 8.0, 0.1] {
                let (x, z): (Vec<T>, Vec<T>) = (normal(n, scale, &mut rng), normal(n, scale, &mut rng));
                let (x, z) = (row::<Exact, T>(&x), row(&z));
                within("the field", claims.bound.get(), 0.0, &difference(&x, &z), &difference(&f(&x), &f(&z)))?;
            }
            Ok(())
        });
    }
    holds::<f32>();
    holds::<f64>();
}

/// Sums and means of two branches, and a skip connection.
#[test]
fn sum() {
    fn holds<T: Scalar>() {
        let parts = (1..=4usize).prop_flat_map(|n| (s::matrix::<T>(n, n), s::matrix::<T>(n, n), Just(n)));
        hold(parts, |(w, v, n), seed| {
            let branch = |w: &Vec<T>| {
                let map = Affine::new(Dense::new(*n, *n, w.clone()).unwrap(), None).unwrap();
                (
                    Matrix::<Exact>::of(&map),
                    Network::new(Shape::Features(*n), vec![Box::new(AffineLayer::new(map))]).unwrap(),
                )
            };
            let ((a, first), (b, second), (_, third), (_, fourth)) = (branch(w), branch(v), branch(w), branch(v));
            let (sum, mean) =
                (Branches::sum(vec![first, second]).unwrap(), Branches::mean(vec![third, fourth]).unwrap());
            let (Ok(of_sum), Ok(of_mean)) = (proof(&sum), proof(&mean)) else { return Ok(()) };
            for [x, other] in pairs::<T>(&sum, 4, &mut generator(seed)) {
                let dx = difference::<Exact>(&row(&x), &row(&other));
                let dy: Vec<Exact> = a.apply(&dx).iter().zip(&b.apply(&dx)).map(|(a, b)| a.plus(b)).collect();
                within("the sum", of_sum.bound().get(), 0.0, &dx, &dy)?;
                let half: Vec<Exact> = dy.iter().map(|y| y.times(&Exact::of(0.5))).collect();
                within("the mean", of_mean.bound().get(), 0.0, &dx, &half)?;
            }
            Ok(())
        });
    }
    holds::<f32>();
    holds::<f64>();
}
