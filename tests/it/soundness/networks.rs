//! Whole networks: their Lipschitz bounds and their radii.

use std::cell::Cell;

use dahlquist::{
    Network, Semantics,
    activation::Activation,
    field::GradientField,
    laws::strategies as s,
    layer::{AffineLayer, Flow, Layer, Reshape, Step},
    model::Map,
    operator::{Affine, Dense},
    rules::Prover,
    scalar::Scalar,
    tableau::Tableau,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::oracle::{Exact, Matrix, Method, Num, difference, gradient_field, row, square};
use proptest::{
    prelude::{Just, Strategy},
    test_runner::TestCaseError,
};

use super::{fail, flows::Case, generator, hold, normal, row64, within};

/// Networks of several layers against the product of their bounds, and averaged flows of several steps.
#[test]
fn composition() {
    let counted = Cell::new(0);
    let activation =
        s::monotone_activation().prop_filter("smooth", |a| dahlquist_testkit::oracle::piecewise::<Exact>(*a).is_some());
    let parts = (1..=3usize).prop_flat_map(|n| (s::matrix::<f64>(2, n), s::matrix::<f64>(3, n), Just(n)));
    hold((parts, activation, 0.1..1.0f64), |((w, head, n), a, part), seed| {
        let map = || Affine::new(Dense::new(2, *n, w.clone()).unwrap(), None).unwrap();
        let last = || Affine::new(Dense::new(3, *n, head.clone()).unwrap(), None).unwrap();
        // Expands, so that no layer can be left out of the product.
        let stretch: Vec<f64> = (0..n * n).map(|k| if k % (n + 1) == 0 { 3.0 } else { 0.5 }).collect();
        let first = || Affine::new(Dense::new(*n, *n, stretch.clone()).unwrap(), None).unwrap();
        let flow = |steps| {
            let field = GradientField::new(map(), *a).unwrap();
            let mut flow = Flow::<f64>::new(field, Tableau::euler(), Step::Relative(*part), steps).unwrap();
            flow.seal(&Prover::default()).map(|()| flow)
        };
        let (Ok(one), Ok(three)) = (flow(1), flow(3)) else { return Ok(()) };
        let (exact, top) =
            (Matrix::<Exact>::of(&map()), dahlquist_testkit::oracle::top(&dahlquist_testkit::oracle::matrix(&map())));
        let case = Case { map: exact, top, activation: *a, flow: three };
        let sigma = dahlquist_testkit::oracle::piecewise(*a).unwrap();
        let mut rng = generator(seed);
        case.obeys(&*sigma, 0.0, &mut rng).map(drop).or_else(|e| match e {
            TestCaseError::Reject(_) => Ok(()),
            e => Err(e),
        })?;
        let layers: Vec<Box<dyn Layer<f64>>> = vec![
            Box::new(AffineLayer::new(first())),
            Box::new(one),
            Box::new(Reshape::flatten(Shape::Features(*n))),
            Box::new(case.flow),
            Box::new(AffineLayer::new(last())),
        ];
        let Ok(sealed) = Network::new(Shape::Features(*n), layers).unwrap().seal() else { return Ok(()) };
        let product: f64 = sealed.certificate().layers().map(|proof| proof.bound().get()).product();
        assert!(sealed.certificate().bound().get() >= product * (1.0 - 1e-12));
        counted.set(counted.get() + 1);
        let step = |map: &Map| if let Map::Flow(flow) = map { Some(flow.step) } else { None };
        let steps: Vec<f64> = sealed.map().layers().iter().filter_map(step).collect();
        let (matrix, head) = (Matrix::<Exact>::of(&map()), Matrix::<Exact>::of(&last()));
        let field = gradient_field(&matrix, &*sigma);
        let euler = Method::of(&Tableau::euler());
        let run = |x: &[f64]| {
            let x = Matrix::<Exact>::of(&first()).apply(&row(x));
            let x = euler.flow(&field, &Exact::of(steps[0]), 1, &x);
            head.apply(&euler.flow(&field, &Exact::of(steps[1]), 3, &x))
        };
        for _ in 0..3 {
            let (x, z): (Vec<f64>, Vec<f64>) = (normal(*n, 1.0, &mut rng), normal(*n, 1.0, &mut rng));
            let dx = difference::<Exact>(&row(&x), &row(&z));
            within("the network", sealed.certificate().bound().get(), 0.0, &dx, &difference(&run(&x), &run(&z)))?;
        }
        Ok(())
    });
    assert!(counted.get() > 20, "{}", counted.get());
}

/// No point within the radius changes the prediction: of the exact network in exact arithmetic, of the executed one as it
/// runs. The points are sought along the steepest direction of the margin.
#[test]
fn margin() {
    fn holds<T: Scalar>() {
        let certified = Cell::new(0);
        let parts =
            (1..=3usize).prop_flat_map(|n| (s::matrix::<T>(3, n), s::matrix::<T>(3, n), s::bias::<T>(3), Just(n)));
        hold(parts, |(w, head, bias, n), seed| {
            let map = || Affine::new(Dense::new(3, *n, w.clone()).unwrap(), None).unwrap();
            let last = || Affine::new(Dense::new(3, *n, head.clone()).unwrap(), bias.clone()).unwrap();
            let field = GradientField::new(map(), Activation::Relu {}).unwrap();
            let flow = Flow::<T>::new(field, Tableau::heun(), Step::Relative(0.75), 1).unwrap();
            let layers: Vec<Box<dyn Layer<T>>> = vec![Box::new(flow), Box::new(AffineLayer::new(last()))];
            let Ok(sealed) = Network::new(Shape::Features(*n), layers).unwrap().seal() else { return Ok(()) };
            let Map::Flow(flow) = &sealed.map().layers()[0] else { return fail("no flow") };
            let (matrix, linear) = (Matrix::<Exact>::of(&map()), Matrix::<Exact>::of(&last()));
            let relu = dahlquist_testkit::oracle::piecewise(Activation::Relu {}).unwrap();
            let field = gradient_field(&matrix, &*relu);
            let exact =
                |x: &[T]| linear.apply(&Method::of(&Tableau::heun()).flow(&field, &Exact::of(flow.step), 1, &row(x)));
            let mut rng = generator(seed);
            let x: Vec<T> = normal(*n, 1.0, &mut rng);
            let batch = Batch::new(Shape::Features(*n), x.clone()).unwrap();
            for semantics in [Semantics::Exact, Semantics::Executed] {
                let claim = sealed.certify(&batch, semantics).unwrap()[0];
                let (Some(i), radius) = (claim.prediction, claim.radius.get()) else { continue };
                if radius <= 0.0 {
                    continue;
                }
                certified.set(certified.get() + 1);
                for j in (0..3).filter(|&j| j != i) {
                    let (_, tape) = sealed.network().forward_recording(batch.clone()).unwrap();
                    let mut g = vec![T::zero(); 3];
                    (g[j], g[i]) = (T::one(), -T::one());
                    let g = Batch::new(Shape::Features(3), g).unwrap();
                    let up = row64(sealed.network().vjp(&tape, g, None).unwrap().data());
                    let size = up.iter().map(|x| x * x).sum::<f64>().sqrt();
                    for part in [0.5, 0.99, 1.0] {
                        let to = |(x, d): (&T, &f64)| T::of(x.wide() + part * radius.min(1e30) * d / size);
                        let moved: Vec<T> = x.iter().zip(&up).map(to).collect();
                        let off = difference::<Exact>(
                            &row(&moved.iter().map(|m| if m.is_finite() { *m } else { T::zero() }).collect::<Vec<_>>()),
                            &row(&x),
                        );
                        // Strictly within the radius, or it says nothing.
                        if moved.iter().any(|m| !m.is_finite())
                            || Exact::of(radius).times(&Exact::of(radius)).at_most(&square(&off))
                        {
                            continue;
                        }
                        let stands = match semantics {
                            Semantics::Exact => {
                                let y = exact(&moved);
                                !y[j].minus(&y[i]).positive() && y[i].minus(&y[j]).positive()
                            }
                            Semantics::Executed => {
                                let y =
                                    sealed.forward(&Batch::new(Shape::Features(*n), moved.clone()).unwrap()).unwrap();
                                y.data()[i] > y.data()[j]
                            }
                        };
                        if !stands {
                            return fail(format!(
                                "{semantics:?}: the class {i} loses to {j} within {radius}, at {moved:?}"
                            ));
                        }
                    }
                }
            }
            Ok(())
        });
        assert!(certified.get() > 20, "{}", certified.get());
    }
    holds::<f32>();
    holds::<f64>();
}
