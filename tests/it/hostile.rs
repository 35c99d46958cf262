//! What must be refused, and the cases at which published certifiers have failed. Files: `hostile_files.rs`.

use dahlquist::{
    Error, Network, Sealed, Semantics,
    activation::Activation,
    certify::{Refusal, SealOptions},
    data::Dataset,
    field::GradientField,
    integrate::Tableau,
    laws::{hold, strategies as s},
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Diagonal, Geometry, MeanPool, Operator},
    rigor::{Summation, torus::PaddingMode},
    scalar::Scalar,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::{norm, proof};
use proptest::test_runner::TestCaseError;

fn dense<T: Scalar>(m: usize, n: usize, w: &[f64], b: Option<&[f64]>) -> AffineLayer<T> {
    let cast = |x: &[f64]| x.iter().map(|&x| T::of(x)).collect::<Vec<T>>();
    AffineLayer::new(Affine::new(Dense::new(m, n, cast(w)).unwrap(), b.map(cast)).unwrap())
}

fn seal<T: Scalar>(n: usize, layers: Vec<Box<dyn Layer<T>>>) -> Sealed<T> {
    Network::new(Shape::Features(n), layers).unwrap().seal().unwrap()
}

fn point<T: Scalar>(x: &[f64]) -> Batch<T> {
    Batch::new(Shape::Features(x.len()), x.iter().map(|&x| T::of(x)).collect()).unwrap()
}

fn radius<T: Scalar>(sealed: &Sealed<T>, x: &[f64], semantics: Semantics) -> f64 {
    sealed.certify(&point::<T>(x), semantics).unwrap()[0].radius.get()
}

const BOTH: [Semantics; 2] = [Semantics::Exact, Semantics::Executed];

/// Training may leave a NaN where no norm looks: in a bias, or among scales of which the largest counts.
#[test]
fn numbers_that_are_none_are_not_sealed() {
    let space = Shape::Features(2);
    let affine = |scales: bool| {
        let operator: Box<dyn Operator<f64>> = match scales {
            true => Box::new(Diagonal::new(space, vec![1.0, 2.0]).unwrap()),
            false => Box::new(Dense::new(2, 2, vec![1.0, 2.0, 0.5, 1.0]).unwrap()),
        };
        Affine::boxed(operator, Some(vec![0.0, 1.0])).unwrap()
    };
    let layer = |kind: usize| -> Box<dyn Layer<f64>> {
        if kind < 2 {
            return Box::new(AffineLayer::new(affine(kind == 0)));
        }
        let field = GradientField::new(affine(false), Activation::Relu {}).unwrap();
        Box::new(Flow::new(field, Tableau::heun(), Step::Fixed(0.1), 1).unwrap())
    };
    for (kind, slot) in (0..3).flat_map(|kind| [(kind, 0), (kind, 1)]) {
        for bad in [f64::NAN, f64::INFINITY] {
            let mut layer = layer(kind);
            layer.parameters_mut()[slot][1] = bad;
            let error = Network::new(space, vec![layer]).unwrap().seal().unwrap_err();
            assert!(matches!(error, Error::NotFinite { index: 1, .. }), "{kind} {slot} {bad}: {error}");
        }
        assert!(Network::new(space, vec![layer(kind)]).unwrap().seal().is_ok());
    }
}

#[test]
fn nan_and_infinite_numbers_are_refused_where_they_enter() {
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let not_finite = |e: Error| matches!(e, Error::NotFinite { index: 1, .. });
        assert!(not_finite(Dense::new(1, 2, vec![1.0, bad]).unwrap_err()));
        let w = || Dense::new(2, 1, vec![1.0f32, 1.0]).unwrap();
        assert!(not_finite(Affine::new(w(), Some(vec![0.0, bad])).unwrap_err()));
        assert!(not_finite(Batch::new(Shape::Features(2), vec![0.0, bad]).unwrap_err()));
        assert!(not_finite(Normalize::new(Shape::Features(2), vec![0.0, bad], vec![1.0; 2]).unwrap_err()));
        let conv = Geometry {
            input: Shape::image(1, 2, 2),
            outputs: 1,
            kernel: (1, 2),
            stride: 1,
            padding: 0,
            mode: PaddingMode::Zeros,
        };
        assert!(not_finite(Conv2d::new(conv, vec![1.0, bad]).unwrap_err()));
        let field = GradientField::new(Affine::new(w(), None).unwrap(), Activation::Relu {}).unwrap();
        assert!(Flow::new(field, Tableau::euler(), Step::Fixed(bad.into()), 1).is_err());
        // A weight that is changed later is refused when the norm is proved.
        let mut changed = w();
        Operator::<f32>::weight_mut(&mut changed)[1] = bad;
        assert!(not_finite(norm::<f32>(&changed).unwrap_err()));
    }
    assert!(Normalize::new(Shape::Features(1), vec![0.0f64], vec![0.0]).is_err());
    assert!(Normalize::new(Shape::Features(1), vec![0.0f64], vec![-1.0]).is_err());
}

#[test]
fn negative_slopes_have_no_gradient_field() {
    let map = || Affine::new(Dense::new(1, 1, vec![1.0f64]).unwrap(), None).unwrap();
    for a in [Activation::LeakyRelu { slope: -0.01 }, Activation::Abs {}] {
        assert!(matches!(GradientField::new(map(), a), Err(Error::Parameter { .. })));
    }
    assert!(ActivationLayer::new::<f64>(Activation::LeakyRelu { slope: -0.01 }, Shape::Features(1)).is_err());
    // Where a negative slope is allowed, it counts with its magnitude.
    let abs = ActivationLayer::new::<f64>(Activation::Abs {}, Shape::Features(1)).unwrap();
    let claims = proof::<f64>(&abs).unwrap().claims();
    assert_eq!((claims.bound.get(), claims.averaged), (1.0, None));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let geometry = |k, stride, padding, mode| {
        let input = Shape::image(1, 3, 3);
        Conv2d::<f32>::new(Geometry { input, outputs: 1, kernel: (k, k), stride, padding, mode }, vec![1.0; k * k])
    };
    assert!(geometry(3, 1, 0, PaddingMode::Zeros).is_ok());
    assert!(matches!(geometry(4, 1, 0, PaddingMode::Zeros), Err(Error::Parameter { name: "kernel", .. })));
    assert!(geometry(3, 0, 0, PaddingMode::Zeros).is_err() && geometry(0, 1, 0, PaddingMode::Zeros).is_err());
    assert!(geometry(3, 1, 4, PaddingMode::Circular).is_err());
    assert!(geometry(1, 1, 4, PaddingMode::Zeros).is_err());
    assert!(MeanPool::new(Shape::image(1, 2, 3), 3).is_err() && MeanPool::new(Shape::image(1, 2, 3), 0).is_err());
    assert!(MeanPool::global(Shape::Features(4)).is_err());
    assert!(Reshape::space_to_depth(Shape::image(1, 3, 4), 2).is_err());
    assert!(Reshape::pad_channels(Shape::image(3, 1, 1), 2).is_err());
    assert!(Shape::try_from(vec![0]).is_err() && Shape::try_from(vec![3, 32]).is_err());
    assert!(Shape::try_from(vec![usize::MAX, 2, 2]).is_err());
    assert!(Network::<f32>::new(Shape::Features(1), Vec::new()).is_err());
    let mismatch = Network::<f32>::new(Shape::Features(3), vec![Box::new(dense(1, 2, &[1.0, 1.0], None))]);
    assert!(matches!(mismatch, Err(Error::Layer { .. })));
}

#[test]
fn an_image_size_other_than_the_certified_one_is_refused() {
    let geometry = Geometry {
        input: Shape::image(1, 4, 4),
        outputs: 2,
        kernel: (3, 3),
        stride: 1,
        padding: 1,
        mode: PaddingMode::Zeros,
    };
    let conv = Affine::new(Conv2d::new(geometry, vec![0.1f32; 18]).unwrap(), None).unwrap();
    let layers: Vec<Box<dyn Layer<f32>>> = vec![Box::new(AffineLayer::new(conv))];
    let sealed = Network::new(geometry.input, layers).unwrap().seal().unwrap();
    let larger = Batch::zeros(Shape::image(1, 8, 8), 1);
    let same_length = Batch::zeros(Shape::image(1, 2, 8), 1);
    for x in [larger, same_length] {
        for semantics in BOTH {
            assert!(matches!(sealed.certify(&x, semantics), Err(Error::Shape { .. })));
        }
        assert!(sealed.forward(&x).is_err());
    }
}

#[test]
fn labels_out_of_range_are_refused() {
    let x = Batch::new(Shape::Features(1), vec![0.0f32, 0.5]).unwrap();
    let classes = || vec!["a".to_string(), "b".to_string()];
    assert!(Dataset::from_samples(&x, vec![0, 1], classes()).is_ok());
    for label in [2, usize::MAX] {
        let refused = Dataset::from_samples(&x, vec![0, label], classes());
        assert!(matches!(refused, Err(Error::Parameter { .. })), "{refused:?}");
    }
    assert!(Dataset::from_samples(&x, vec![0], classes()).is_err());
}

#[test]
fn methods_without_a_radius_have_no_relative_step() {
    for (name, reason) in [("midpoint", "weight"), ("heun3", "weight"), ("dopri5", "weight")] {
        let map = Affine::new(Dense::new(2, 2, vec![1.0f64, 2.0, 3.0, 4.0]).unwrap(), None).unwrap();
        let field = GradientField::new(map, Activation::Relu {}).unwrap();
        let method = Tableau::by_name(name).unwrap();
        let error = Flow::new(field, method.clone(), Step::Relative(0.1), 1).unwrap_err();
        assert!(matches!(&error, Error::NotCircleContractive { .. }) && error.to_string().contains(reason), "{error}");
        // With a step of its own, the flow has a factor a little above 1.
        let map = Affine::new(Dense::new(1, 1, vec![1.0f64]).unwrap(), None).unwrap();
        let field = GradientField::new(map, Activation::Relu {}).unwrap();
        let bound = proof(&Flow::new(field, method, Step::Fixed(1e-3), 1).unwrap()).unwrap().bound().get();
        assert!((1.0..1.001).contains(&bound), "{name}: {bound}");
    }
    let field = |w: f64| {
        let map = Affine::new(Dense::new(1, 1, vec![w]).unwrap(), None).unwrap();
        GradientField::new(map, Activation::Relu {}).unwrap()
    };
    for method in [Tableau::implicit_euler(), Tableau::gauss2(), Tableau::trapezoid()] {
        assert!(matches!(Flow::new(field(1.0), method, Step::Fixed(0.1), 1), Err(Error::Tableau { .. })));
    }
    assert!(Flow::new(field(1.0), Tableau::euler(), Step::Relative(1.1), 1).is_err());
    assert!(Flow::new(field(1.0), Tableau::euler(), Step::Fixed(0.1), 0).is_err());
    // A step that is too long is certified as expansive; one that overflows is refused.
    let long = proof(&Flow::new(field(1.0), Tableau::rk4(), Step::Fixed(2.1), 1).unwrap()).unwrap().bound().get();
    assert!(1.0 < long && long < 1.1, "{long}");
    let overflow = proof(&Flow::new(field(1.0), Tableau::rk4(), Step::Fixed(1e200), 1).unwrap());
    let reason = |e: &Error| matches!(e, Error::Layer { source, .. } if matches!(**source, Error::NotProved { .. }));
    assert!(overflow.as_ref().is_err_and(reason), "{overflow:?}");
    let euler = proof(&Flow::new(field(1.0), Tableau::euler(), Step::Fixed(3.0), 1).unwrap()).unwrap();
    assert!(euler.bound().get() >= 2.0 && euler.claims().averaged.is_none());
}

#[test]
fn ties_have_radius_zero() {
    for bias in [None, Some(&[0.5, 0.5][..])] {
        let sealed = seal::<f32>(2, vec![Box::new(dense(2, 2, &[1.0, 2.0, 2.0, 1.0], bias))]);
        for semantics in BOTH {
            let claim = sealed.certify(&point::<f32>(&[0.75, 0.75]), semantics).unwrap()[0];
            assert_eq!((claim.radius.get(), claim.refusal), (0.0, Some(Refusal::Tie)));
            assert!(!claim.holds_at(0.0));
        }
    }
    // Equal rows never separate; with different biases they never meet.
    let equal = seal::<f64>(1, vec![Box::new(dense(2, 1, &[1.0, 1.0], None))]);
    let apart = seal::<f64>(1, vec![Box::new(dense(2, 1, &[1.0, 1.0], Some(&[0.0, 1.0])))]);
    for semantics in BOTH {
        assert_eq!(radius(&equal, &[3.0], semantics), 0.0);
        assert!(radius(&apart, &[3.0], semantics) >= 1e3);
    }
}

#[test]
fn the_rounding_of_the_bias_counts() {
    let sealed = seal::<f32>(1, vec![Box::new(dense(2, 1, &[1.0, -1.0], Some(&[1e8, 1e8])))]);
    let claim = sealed.certify(&point::<f32>(&[4.1]), Semantics::Executed).unwrap()[0];
    assert!(!claim.holds_at(0.2), "{claim:?}");
    // The executed logits do tie within that distance.
    let y = sealed.forward(&point(&[3.9])).unwrap();
    assert_eq!(y.data()[0], y.data()[1]);
    // Over the reals the margin is 2x, and the radius x, as it is in f32.
    let exact = radius(&sealed, &[4.1], Semantics::Exact);
    assert!(exact > 4.0 && exact <= f64::from(4.1f32), "{exact}");
}

#[test]
fn neighbouring_weights_are_told_apart() {
    let w = [0.9890594482421875, 0.989_059_507_846_832_3];
    let sealed = seal::<f32>(1, vec![Box::new(dense(2, 1, &w, None))]);
    let claim = sealed.certify(&point::<f32>(&[0.19721232]), Semantics::Executed).unwrap()[0];
    assert!(!claim.holds_at(5.07e-7), "{claim:?}");
}

/// What is refused in any order of summation is refused in the declared order.
#[test]
fn the_declared_order_refuses_no_less() {
    let declared = |weights: &[f64], bias: Option<&[f64]>| {
        let network = Network::<f32>::new(Shape::Features(1), vec![Box::new(dense(2, 1, weights, bias))]).unwrap();
        network.seal_with(SealOptions { summation: Summation::Declared, ..SealOptions::default() }).unwrap()
    };
    let claim = |weights: &[f64], bias, x| {
        declared(weights, bias).certify(&point::<f32>(&[x]), Semantics::Executed).unwrap()[0]
    };
    let tiny = 2f64.powi(-126);
    assert_eq!(claim(&[tiny, -tiny], None, 0.0).refusal, Some(Refusal::Tie));
    assert!(declared(&[tiny, -tiny], None).certificate().bound().get() >= 2f64.sqrt() * tiny);
    assert_eq!(claim(&[1.0, 1.0], Some(&[0.5, 0.5]), 0.75).refusal, Some(Refusal::Tie));
    assert!(!claim(&[1.0, -1.0], Some(&[1e8, 1e8]), 4.1).holds_at(0.2));
    assert!(!claim(&[0.9890594482421875, 0.989_059_507_846_832_3], None, 0.19721232).holds_at(5.07e-7));
    assert_eq!(claim(&[3e38, -3e38], None, 2.0).refusal, Some(Refusal::Overflow));
}

#[test]
fn tiny_weights_do_not_vanish() {
    let tiny = 2f64.powi(-126);
    let sealed = seal::<f32>(1, vec![Box::new(dense(2, 1, &[tiny, -tiny], None))]);
    let norm = sealed.certificate().bound().get();
    // The root of 2 as computed is above it.
    assert!(norm >= 2f64.sqrt() * tiny, "{norm:e}");
    for semantics in BOTH {
        assert_eq!(radius(&sealed, &[0.0], semantics), 0.0);
        // The logits are ±2⁻¹²⁶, so the rows are 2·2⁻¹²⁶ apart: the margin is gone at a distance of exactly 1.
        assert!(radius(&sealed, &[1.0], semantics) <= 1.0);
    }
    assert!(radius(&sealed, &[1.0], Semantics::Exact) > 0.999);
    let two = seal::<f64>(1, vec![Box::new(dense(1, 1, &[1e-5], None)), Box::new(dense(2, 1, &[1.0, -1.0], None))]);
    assert!(two.certificate().layers().next().unwrap().bound().get() >= 1e-5);
    let subnormal =
        seal::<f64>(1, vec![Box::new(dense(1, 1, &[1e-320], None)), Box::new(dense(2, 1, &[1.0, -1.0], None))]);
    assert!(subnormal.certificate().layers().next().unwrap().bound().get() >= 1e-320);
    for semantics in BOTH {
        assert!(radius(&subnormal, &[1.0], semantics) <= 1.0);
    }
}

#[test]
fn an_all_zero_layer_decides_nothing() {
    let zero = |bias| seal::<f32>(2, vec![Box::new(dense(2, 2, &[0.0; 4], bias))]);
    for semantics in BOTH {
        assert_eq!(radius(&zero(None), &[1.0, 2.0], semantics), 0.0);
        assert!(radius(&zero(Some(&[1.0, 0.0])), &[1.0, 2.0], semantics) >= 1e3);
    }
    // A field that vanishes is integrated with any step.
    let map = Affine::new(Dense::new(2, 2, vec![0.0f32; 4]).unwrap(), None).unwrap();
    let field = GradientField::new(map, Activation::Relu {}).unwrap();
    let flow = Flow::new(field, Tableau::rk4(), Step::Relative(1.0), 2).unwrap();
    assert_eq!(seal::<f32>(2, vec![Box::new(flow)]).certificate().bound().get(), 1.0);
}

#[test]
fn an_overflow_that_cannot_be_excluded_is_refused() {
    let layers = || -> Vec<Box<dyn Layer<f32>>> {
        vec![Box::new(dense(1, 1, &[1e30], None)), Box::new(dense(2, 1, &[1e30, -1e30], None))]
    };
    let sealed = seal(1, layers());
    let claim = sealed.certify(&point::<f32>(&[1.0]), Semantics::Executed).unwrap()[0];
    assert_eq!((claim.radius.get(), claim.refusal), (0.0, Some(Refusal::Overflow)));
    assert!(radius(&sealed, &[1.0], Semantics::Exact) > 0.99);
    // A norm that f64 cannot hold.
    let huge = Network::new(
        Shape::Features(1),
        vec![
            Box::new(dense::<f64>(1, 1, &[1e300], None)) as Box<dyn Layer<f64>>,
            Box::new(dense(1, 1, &[1e300], None)),
        ],
    );
    assert!(matches!(huge.unwrap().seal(), Err(Error::NotProved { .. })));
    // A window whose mean is small but whose sum would overflow, somewhere in the ball.
    let pool = AffineLayer::new(Affine::new(MeanPool::global(Shape::image(1, 4, 4)).unwrap(), None).unwrap());
    hold((0.0..38.5f64, 37.5..38.5f64), |&(centre, reach), _| {
        let (x, d) = (<f32 as Scalar>::of(10f64.powf(centre)), 10f64.powf(reach));
        let mut tape = dahlquist::tape::Tape::recording();
        let wide = Layer::<f32>::widen(&pool);
        wide.forward(Batch::new(Shape::image(1, 4, 4), vec![x.wide(); 16]).unwrap(), &mut tape);
        let rounding = dahlquist::rigor::Rounding::of::<f32>();
        let error = Layer::<f32>::rounding(&pool, &proof::<f32>(&pool).unwrap(), &rounding, &tape, &[d]).unwrap()[0];
        // The point of the ball with the largest sum; a quarter of the radius along each of 16 axes.
        let far = f32::round_down(x.wide() + d / 4.0);
        let y =
            pool.forward(Batch::new(Shape::image(1, 4, 4), vec![far; 16]).unwrap(), &mut dahlquist::tape::Tape::idle());
        if error.is_infinite() || y.data()[0].is_finite() {
            return Ok(());
        }
        Err(TestCaseError::fail(format!("the mean of {far} overflows, {d:e} away from {x}")))
    });
}

#[test]
fn rescaling_changes_no_radius() {
    hold((s::matrix::<f32>(3, 2), 1..40i32), |(w, k), seed| {
        let w: Vec<f64> = w.iter().map(|w| f64::from(*w)).collect();
        if w.iter().any(|w| *w != 0.0 && !(1e-12..1e12).contains(&w.abs())) {
            return Ok(());
        }
        let x = [1.0 + (seed % 7) as f64, -0.5];
        let network = |e: i32| {
            let scaled = |w: &[f64], e: i32| w.iter().map(|w| w * 2f64.powi(e)).collect::<Vec<_>>();
            let first = dense(2, 2, &scaled(&[1.0, 0.5, -0.25, 2.0], -e), None);
            seal::<f32>(2, vec![Box::new(first), Box::new(dense(3, 2, &scaled(&w, e), None))])
        };
        for semantics in BOTH {
            let (a, b) = (radius(&network(0), &x, semantics), radius(&network(*k), &x, semantics));
            if a != b {
                return Err(TestCaseError::fail(format!("{semantics:?}: {a} becomes {b} for k = {k}")));
            }
        }
        Ok(())
    });
}
