//! Layers in parallel: their error, whatever the cheap layers return, and shapes that do not fit.

use dahlquist::{
    Error, Network, Sealed,
    activation::Activation,
    control::{Parareal, Sweep},
    field::GradientField,
    laws::strategies as s,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Step},
    model::{Map, Opaque},
    operator::{Affine, Dense},
    rigor::Upper,
    scalar::Scalar,
    tableau::Tableau,
    tape::Tape,
    tensor::{Batch, Shape},
};
use dahlquist_testkit::{
    described::value,
    oracle::{Exact, Num, difference, row, square},
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, prop_oneof},
    sample::select,
};
use rand::RngExt;

use super::{Attempt, generator, point, refute};

/// What a cheap layer returns.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    /// Its input, cut or filled up.
    Input,
    Constant(f64),
    /// A sample of another shape.
    OtherShape,
    /// One sample more.
    OtherCount,
}

/// A layer that promises shapes, and returns anything.
#[derive(Debug, Clone)]
struct Cheap {
    input: Shape,
    output: Shape,
    value: Value,
}

impl<T: Scalar> Layer<T> for Cheap {
    fn describe(&self) -> Map {
        let (input, output, lipschitz) = (self.input, self.output, Upper::trust(0.0).get());
        Map::Opaque(Opaque { kind: "anything".into(), input, output, lipschitz })
    }

    fn input(&self) -> Shape {
        self.input
    }

    fn output(&self) -> Shape {
        self.output
    }

    fn forward(&self, x: Batch<T>, _tape: &mut Tape<T>) -> Batch<T> {
        let shape = if self.value == Value::OtherShape { Shape::Features(self.output.len() + 1) } else { self.output };
        let mut y = Batch::zeros(shape, x.samples() + usize::from(self.value == Value::OtherCount));
        match self.value {
            Value::Constant(c) => y.data_mut().fill(T::of(c)),
            _ => (0..x.samples()).for_each(|s| {
                y.sample_mut(s).iter_mut().zip(x.sample(s)).for_each(|(y, x)| *y = *x);
            }),
        }
        y
    }

    fn vjp(&self, _tape: &Tape<T>, g: Batch<T>, _gradient: Option<&mut [Vec<T>]>) -> Batch<T> {
        g
    }

    fn jvp(&self, _tape: &Tape<T>, v: Batch<T>) -> Batch<T> {
        v
    }

    fn widen(&self) -> Box<dyn Layer<f64>> {
        Box::new(self.clone())
    }
}

/// A layer by its weights, so that it can be built twice.
#[derive(Debug, Clone)]
enum Drawn<T> {
    Dense(usize, usize, Vec<T>, Option<Vec<T>>),
    Function(Activation),
    Flow(usize, usize, Vec<T>, Activation, f64, usize),
}

impl<T: Scalar> Drawn<T> {
    fn layer(&self, space: Shape) -> Option<Box<dyn Layer<T>>> {
        Some(match self {
            Self::Dense(m, n, w, b) => {
                let map = Affine::new(Dense::new(*m, *n, w.clone()).ok()?, b.clone()).ok()?;
                Box::new(AffineLayer::new(map))
            }
            Self::Function(a) => Box::new(ActivationLayer::new::<T>(*a, space).ok()?),
            Self::Flow(m, n, w, a, h, steps) => {
                let map = Affine::new(Dense::new(*m, *n, w.clone()).ok()?, None).ok()?;
                let field = GradientField::new(map, *a).ok()?;
                Box::new(Flow::new(field, Tableau::heun(), Step::Fixed(*h), *steps).ok()?)
            }
        })
    }
}

fn kinked() -> impl Strategy<Value = Activation> {
    select(vec![
        Activation::Relu {},
        Activation::Abs {},
        Activation::LeakyRelu { slope: 0.25 },
        Activation::Hardtanh { min: -0.5, max: 2.0 },
    ])
}

/// Layers between spaces of the given sizes.
fn layers<T: Scalar>() -> impl Strategy<Value = (Vec<usize>, Vec<Drawn<T>>)> {
    vec(1..=3usize, 2..=5).prop_flat_map(|sizes| {
        let layer = |w: &[usize]| {
            let (n, m) = (w[0], w[1]);
            let dense =
                (s::matrix::<T>(m, n), s::bias::<T>(m)).prop_map(move |(w, b)| Drawn::Dense(m, n, w, b)).boxed();
            if n != m {
                return dense;
            }
            let function = kinked().prop_map(Drawn::Function);
            let steps = select(vec![0.0, 1e-30, 0.125, 1.0, -0.25]);
            let slopes = select(vec![Activation::Relu {}, Activation::LeakyRelu { slope: 0.25 }]);
            let flow = (s::matrix::<T>(2, n), slopes, steps, 1..=2usize)
                .prop_map(move |(w, a, h, steps)| Drawn::Flow(2, n, w, a, h, steps));
            prop_oneof![1 => dense, 1 => function, 2 => flow].boxed()
        };
        let all: Vec<_> = sizes.windows(2).map(layer).collect();
        (Just(sizes), all)
    })
}

fn sealed<T: Scalar>(sizes: &[usize], layers: &[Drawn<T>]) -> Option<Sealed<T>> {
    let built = layers.iter().zip(sizes).map(|(layer, &n)| layer.layer(Shape::Features(n)));
    Network::new(Shape::Features(sizes[0]), built.collect::<Option<_>>()?).ok()?.seal().ok()
}

/// Windows of one or two layers, each with a cheap layer.
fn windows(sizes: &[usize], pairs: bool, value: &dyn Fn(usize) -> Value) -> (Vec<usize>, Vec<Cheap>) {
    let layers = sizes.len() - 1;
    let (mut counts, mut cheap, mut at) = (Vec::new(), Vec::new(), 0);
    while at < layers {
        let count = if pairs && at + 1 < layers { 2 } else { 1 };
        let [input, output] = [sizes[at], sizes[at + count]].map(Shape::Features);
        cheap.push(Cheap { input, output, value: value(counts.len()) });
        counts.push(count);
        at += count;
    }
    (counts, cheap)
}

fn boxed<T: Scalar>(cheap: Vec<Cheap>) -> Vec<Box<dyn Layer<T>>> {
    cheap.into_iter().map(|layer| Box::new(layer) as Box<dyn Layer<T>>).collect()
}

/// Every sample of a sweep is as near to the truth as its error says.
fn judge<T: Scalar>(sweep: &Sweep<T>, truth: &[Vec<Exact>]) -> Result<bool, String> {
    let mut found = false;
    for (s, truth) in truth.iter().enumerate() {
        let error = sweep.error()[s].get();
        if !error.is_finite() {
            continue;
        }
        let last = sweep.last().sample(s);
        if last.iter().any(|x| !x.wide().is_finite()) {
            return Err(format!("an error of {error:e} of no number"));
        }
        let distance = square(&difference(&row::<Exact, T>(last), truth));
        if !distance.at_most(&Exact::of(error).times(&Exact::of(error))) {
            return Err(format!("the value is further from the truth than {error:e}"));
        }
        found = true;
    }
    Ok(found)
}

fn attack<T: Scalar>() {
    let values = [Value::Input, Value::Constant(0.0), Value::Constant(1e30), Value::Constant(f64::NAN)]
        .into_iter()
        .chain([Value::Constant(f64::INFINITY), Value::Constant(1e-40)]);
    let values = vec(select(values.collect::<Vec<_>>()), 5);
    refute(150, 30, (layers::<T>(), values, proptest::bool::ANY), |((sizes, drawn), values, pairs), seed| -> Attempt {
        let (Some(sealed), space) = (sealed(sizes, drawn), Shape::Features(sizes[0])) else { return Ok(false) };
        let mut rng = generator(seed);
        let mut points: Vec<Vec<T>> = (0..rng.random_range(0..4))
            .map(|_| point(sizes[0], &mut rng).into_iter().map(|x| T::of(x.clamp(-T::LARGEST, T::LARGEST))).collect())
            .collect();
        points.extend(points.first().cloned());
        let truth = |x: &Vec<T>| value(sealed.map(), space, &row::<Exact, T>(x)).ok_or("no exact value");
        let truth: Vec<Vec<Exact>> = points.iter().map(truth).collect::<Result<_, _>>()?;
        let x = Batch::new(space, points.concat()).map_err(|e| e.to_string())?;
        let (counts, cheap) = windows(sizes, *pairs, &|n| values[n]);
        let parareal = Parareal::new(&sealed, &counts, boxed(cheap)).map_err(|e| e.to_string())?;
        let Ok(mut sweep) = parareal.guess(&x) else { return Ok(false) };
        let mut found = points.is_empty();
        for _ in 0..=counts.len() {
            found |= judge(&sweep, &truth)?;
            sweep = parareal.sweep(&sweep).map_err(|e| e.to_string())?;
        }
        // By other windows the sweep is a guess like any other, or is refused.
        let (counts, cheap) = windows(sizes, !pairs, &|n| values[n]);
        let other = Parareal::new(&sealed, &counts, boxed(cheap)).map_err(|e| e.to_string())?;
        if let Ok(sweep) = other.sweep(&sweep) {
            found |= judge(&sweep, &truth)?;
        }
        for tolerance in [0.0, 1e-3, 1e30, f64::NAN, -1.0] {
            if let Ok(inference) = parareal.infer(&x, tolerance)
                && !inference.error.iter().all(|error| error.get() <= tolerance)
            {
                return Err(format!("an error above the tolerance {tolerance}"));
            }
        }
        Ok(found)
    });
}

#[test]
fn errors_of_layers_in_parallel_f32() {
    attack::<f32>();
}

#[test]
fn errors_of_layers_in_parallel_f64() {
    attack::<f64>();
}

/// A cheap layer that does not return what it promises, a sweep of another network, and no samples.
#[test]
fn what_does_not_fit_is_refused() {
    let network = |w: f64, sizes: &[usize]| {
        let dense = |s: &[usize]| Drawn::Dense(s[1], s[0], vec![w; s[0] * s[1]], None);
        sealed::<f64>(sizes, &sizes.windows(2).map(dense).collect::<Vec<_>>()).expect("a network")
    };
    let sizes = [2, 2, 2];
    let (one, other) = (network(0.25, &sizes), network(4.0, &sizes));
    let space = Shape::Features(2);
    let x = Batch::new(space, vec![1.0, 2.0, 1.0, 2.0]).expect("two samples");
    let with = |sealed, n, value| {
        let (counts, cheap) = windows(&sizes, false, &|k| if k == n { value } else { Value::Input });
        Parareal::new(sealed, &counts, boxed(cheap)).expect("windows")
    };
    for n in 0..2 {
        assert!(matches!(with(&one, n, Value::OtherShape).guess(&x), Err(Error::Shape { .. })), "{n}");
        assert!(matches!(with(&one, n, Value::OtherCount).guess(&x), Err(Error::Length { .. })), "{n}");
    }
    // A sweep of another network is a guess: the error is about this network.
    let (mine, theirs) = (with(&one, 0, Value::Input), with(&other, 0, Value::Input));
    let sweep = mine.sweep(&theirs.guess(&x).expect("a guess")).expect("a sweep");
    let truth = value(one.map(), space, &row::<Exact, f64>(x.sample(0))).expect("linear");
    assert_eq!(judge(&sweep, &[truth.clone(), truth]), Ok(true));
    // One of other windows, or of other spaces, does not fit.
    let longer = network(1.0, &[2, 2, 2, 2]);
    let (counts, cheap) = windows(&[2, 2, 2, 2], false, &|_| Value::Input);
    let long = Parareal::new(&longer, &counts, boxed(cheap)).expect("windows");
    assert!(matches!(mine.sweep(&long.guess(&x).expect("a guess")), Err(Error::Length { .. })));
    let wider = network(1.0, &[2, 3, 2]);
    let (counts, cheap) = windows(&[2, 3, 2], false, &|_| Value::Input);
    let wide = Parareal::new(&wider, &counts, boxed(cheap)).expect("windows");
    assert!(matches!(mine.sweep(&wide.guess(&x).expect("a guess")), Err(Error::Shape { .. })));
    // Of no samples there is nothing to prove.
    let nothing = mine.infer(&Batch::zeros(space, 0), 0.0).expect("no samples");
    assert!(nothing.error.is_empty() && nothing.output.samples() == 0);
    assert!(matches!(mine.guess(&Batch::zeros(Shape::Features(3), 1)), Err(Error::Shape { .. })));
}
