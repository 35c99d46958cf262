//! Executed claims at the ends of the exponent range: what overflows or underflows on the way to a finite value is charged
//! or refused. Every network here was certified falsely once, or could have been.

use dahlquist::{
    Error, Network, Result, Sealed, Semantics,
    activation::Activation,
    certify::Refusal,
    field::{GradientField, ResidualField, VectorField},
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Step},
    operator::{Affine, Dense, MeanPool},
    rigor::Rounding,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape, argmax},
};
use dahlquist_testkit::models::proof;

const X: Shape = Shape::Features(1);

fn map(rows: usize, weight: &[f32], bias: Option<&[f32]>) -> Affine<f32> {
    let columns = weight.len() / rows;
    Affine::new(Dense::new(rows, columns, weight.to_vec()).unwrap(), bias.map(<[f32]>::to_vec)).unwrap()
}

fn euler(field: impl VectorField<f32> + 'static, h: f64) -> Box<dyn Layer<f32>> {
    flow(field, Tableau::euler(), h)
}

fn flow(field: impl VectorField<f32> + 'static, method: Tableau, h: f64) -> Box<dyn Layer<f32>> {
    Box::new(Flow::new(field, method, Step::Fixed(h), 1).unwrap())
}

/// A layer, and a head with these rows.
fn sealed(layer: Box<dyn Layer<f32>>, rows: &[f32], bias: &[f32]) -> Sealed<f32> {
    let head = Box::new(AffineLayer::new(map(bias.len(), rows, Some(bias))));
    Network::new(layer.input(), vec![layer, head]).unwrap().seal().unwrap()
}

fn point(x: f32) -> Batch<f32> {
    Batch::new(X, vec![x]).unwrap()
}

/// Asserts that the program makes the certified prediction, strictly, at those of `points` that lie within the radius of
/// `x`, and returns the radius.
fn stands(sealed: &Sealed<f32>, x: f32, points: impl IntoIterator<Item = f32>) -> f64 {
    let claim = sealed.certify(&point(x), Semantics::Executed).unwrap()[0];
    for y in points {
        if (f64::from(y) - f64::from(x)).abs() < claim.radius.get() {
            let logits = sealed.forward(&point(y)).unwrap();
            let class = claim.prediction.unwrap();
            let strict = (0..2).all(|j| j == class || logits.data()[j] < logits.data()[class]);
            assert!(strict, "{claim:?} at {x}, but {:?} at {y}", logits.data());
        }
    }
    claim.radius.get()
}

/// `x + V·leaky(Wx)` with `V·slope = 1`: the value is 2x, but `slope·x` overflows beyond 3.4·10⁶.
#[test]
fn an_overflow_inside_the_activation_of_a_field_is_excluded() {
    let leaky = Activation::LeakyRelu { slope: 1e32 };
    let residual = || ResidualField::new(map(1, &[1.0], None), leaky, map(1, &[1e-32], None)).unwrap();
    let network = sealed(euler(residual(), 1.0), &[0.0, -1.0], &[1.0, 0.0]);
    // The program does give a NaN there.
    assert!(network.forward(&point(-3.5e6)).unwrap().data()[0].is_nan());
    let radius = stands(&network, -3e6, [-3.5e6, -3.45e6, -2.9e6]);
    assert!(radius < 4.1e5, "{radius}");
    // Where there is room, there is a radius.
    assert!(stands(&network, -3e5, [-2e5, -3.9e5]) > 2e5);
    // The same in a gradient field, with a step that brings the value back.
    let gradient = GradientField::new(map(1, &[1.0], None), leaky).unwrap();
    let network = sealed(euler(gradient, 5e-33), &[0.0, -1.0], &[1.0, 0.0]);
    assert!(!network.forward(&point(-3.5e6)).unwrap().data()[1].is_finite());
    let radius = stands(&network, -3e6, [-3.5e6, -3.45e6, -2.9e6]);
    assert!(radius < 4.1e5, "{radius}");
}

/// What the activation says of balls is infinite as soon as one of its steps may overflow, whoever asks.
#[test]
fn activations_over_balls_exclude_an_overflow_themselves() {
    let rounding = Rounding::of::<f32>();
    let z = Batch::new(X, vec![-1.0f64]).unwrap();
    for (slope, reach, fits) in [(1e32, 1e5, true), (1e32, 1e7, false), (1e38, 0.0, true), (3e38, 0.0, false)] {
        let over = Activation::LeakyRelu { slope }.over_balls(&rounding, &z, &[reach]);
        let all = [over.sizes[0], over.errors[0], over.reaches[0]];
        assert_eq!(all.map(f64::is_finite), [fits; 3], "slope {slope}, reach {reach}: {all:?}");
    }
    let layer = ActivationLayer::new::<f32>(Activation::LeakyRelu { slope: 1e32 }, X).unwrap();
    let mut tape = Tape::recording();
    Layer::<f32>::widen(&layer).forward(z, &mut tape);
    assert!(
        Layer::<f32>::rounding(&layer, &proof::<f32>(&layer).unwrap(), &rounding, &tape, &[1e7]).unwrap()[0]
            .is_infinite()
    );
}

/// `h·a` of kutta3 is formed before it meets a slope: 2h overflows, and the third stage is lost in an infinity.
#[test]
fn a_factor_that_overflows_before_it_meets_a_slope_is_refused() {
    let field = || GradientField::new(map(1, &[5e-20], Some(&[1e-18])), Activation::Relu {}).unwrap();
    let network = sealed(flow(field(), Tableau::by_name("kutta3").unwrap(), 2e38), &[1.0, 0.0], &[6.8, 0.0]);
    let claim = network.certify(&point(1.0), Semantics::Executed).unwrap()[0];
    assert_eq!((claim.radius.get(), claim.refusal), (0.0, Some(Refusal::Overflow)));
    // The network over the real numbers has another opinion than its program, which the claim must not hide.
    let exact = network.certify(&point(1.0), Semantics::Exact).unwrap()[0];
    let executed = argmax(network.forward(&point(1.0)).unwrap().data());
    assert_eq!(claim.prediction, Some(executed));
    assert!(exact.radius.get() > 0.5 && exact.prediction != Some(executed), "{exact:?}, executed {executed}");
    // Half the step fits.
    let network = sealed(flow(field(), Tableau::by_name("kutta3").unwrap(), 1e38), &[1.0, 0.0], &[6.8, 0.0]);
    assert!(stands(&network, 1.0, [0.5, 0.9, 1.1, 1.5]) > 0.0);
}

/// A relative step for weights of 10⁻⁴² is the largest number of the format, and so is refused where a coefficient is
/// above 1.
#[test]
fn a_relative_step_may_be_the_largest_number() {
    for (name, fits) in [("euler", true), ("rk4", true), ("kutta3", false), ("ssprk32", true)] {
        let field = GradientField::new(map(1, &[1e-42], Some(&[1e-40])), Activation::Relu {}).unwrap();
        let tableau = Tableau::by_name(name).unwrap();
        let flow = Box::new(Flow::new(field, tableau, Step::Relative(1.0), 1).unwrap());
        let network = sealed(flow, &[1.0, 0.0], &[0.0, 0.0]);
        let claim = network.certify(&point(1.0), Semantics::Executed).unwrap()[0];
        assert_eq!(claim.refusal.is_none(), fits, "{name}: {claim:?}");
    }
}

/// Half of the smallest number is rounded to 0: a slope of 10³⁷ times it is lost, and charged.
#[test]
fn a_factor_that_underflows_is_charged_as_it_is() {
    let tiny = f32::from_bits(1);
    for (name, h) in [("heun", tiny), ("heun", 3.0 * tiny), ("ssprk32", 2.0 * tiny), ("ssprk33", 5.0 * tiny)] {
        let field = ResidualField::new(map(1, &[1e3], None), Activation::Relu {}, map(1, &[1e38], None)).unwrap();
        let flow = Flow::new(field, Tableau::by_name(name).unwrap(), Step::Fixed(h.into()), 1).unwrap();
        let wide = Layer::<f32>::widen(&flow);
        for x in [1e-4f32, 1e-6, 1e-7] {
            let mut tape = Tape::recording();
            let meant = wide.forward(point(x).cast(), &mut tape);
            let bound = flow.rounding(&proof(&flow).unwrap(), &Rounding::of::<f32>(), &tape, &[0.0]).unwrap()[0];
            let found = flow.forward(point(x), &mut Tape::idle());
            // The tape is off by 10⁻¹⁶ of its value, far less than what is lost.
            let off = (f64::from(found.data()[0]) - meant.data()[0]).abs();
            assert!(off <= bound && bound.is_finite(), "{name}, h = {h:e}, x = {x}: {off:e} > {bound:e}");
        }
    }
}

/// Intermediate results of other layers: a difference, a quotient, a share, a bias.
#[test]
fn intermediate_results_of_other_layers_do_not_overflow_unseen() {
    let rounding = Rounding::of::<f32>();
    let over = |layer: &dyn Layer<f32>, x: Vec<f64>, reach: f64| -> Result<f64> {
        let mut tape = Tape::recording();
        layer.widen().forward(Batch::new(layer.input(), x)?, &mut tape);
        Ok(layer.rounding(&proof(layer)?, &rounding, &tape, &[reach])?[0])
    };
    // x − mean overflows, although the quotient is small.
    let normalize = Normalize::new(X, vec![-3e38f32], vec![3e38]).unwrap();
    assert!(over(&normalize, vec![3e38], 0.0).unwrap().is_infinite());
    assert!(over(&normalize, vec![0.0], 3e38).unwrap().is_infinite());
    // A quotient by a subnormal deviation.
    let normalize = Normalize::new(X, vec![0.0f32], vec![1e-40]).unwrap();
    assert!(over(&normalize, vec![1.0], 0.0).unwrap().is_infinite());
    assert!(over(&normalize, vec![1e-5], 0.0).unwrap().is_finite());
    // The mean of numbers whose sum overflows is executed as a sum of shares.
    let image = Shape::image(1, 2, 2);
    let pool = AffineLayer::new(Affine::<f32>::new(MeanPool::new(image, 2).unwrap(), None).unwrap());
    assert!(over(&pool, vec![1.2e38; 4], 0.0).unwrap().is_finite());
    let mean = pool.forward(Batch::new(image, vec![1.2e38f32; 4]).unwrap(), &mut Tape::idle());
    assert!(mean.data()[0].is_finite());
    // A sum that a bias brings back.
    let affine = AffineLayer::new(map(1, &[1.0], Some(&[-3e38])));
    assert!(over(&affine, vec![3e38], 0.0).unwrap().is_infinite());
    // The outer map of a residual field.
    let field = ResidualField::new(map(1, &[1.0], None), Activation::Relu {}, map(1, &[3e38], Some(&[-3e38]))).unwrap();
    assert!(over(&*euler(field, 1e-30), vec![2.0], 0.0).unwrap().is_infinite());
}

/// A step that is no number of the format is refused when the flow is made.
#[test]
fn a_step_that_is_no_number_of_the_format_is_refused() {
    let field = GradientField::new(map(1, &[1.0], None), Activation::Relu {}).unwrap();
    let refused = Flow::new(field, Tableau::euler(), Step::Fixed(1e39), 1);
    assert!(matches!(refused, Err(Error::Parameter { name: "step", .. })));
}
