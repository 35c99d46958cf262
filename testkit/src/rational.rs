//! A network over the rational numbers: its value at a point, exactly, read off from its description alone.
//!
//! It shares no arithmetic with the crate, and no code with its layers. Smooth activations, implicit methods and methods with
//! irrational coefficients have no rational value.

use dahlquist::{
    activation::Activation,
    model::{Conv2d, Field, Flow, Linear, Map, Padding, Pair, Tensor},
    rigor::torus::PaddingMode,
    tensor::Shape,
};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, Zero};

type Q = BigRational;

/// The rational number that a float is.
///
/// # Panics
/// For a NaN or an infinity.
pub fn exact(x: f64) -> Q {
    Q::from_float(x).expect("a finite number")
}

/// Returns the rational numbers that floats are.
pub fn vector(x: &[f64]) -> Vec<Q> {
    x.iter().map(|&x| exact(x)).collect()
}

/// `‖x − y‖²`.
pub fn squared_distance(x: &[Q], y: &[Q]) -> Q {
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The value of a map at a point; none if it is not rational, or the map does not fit the shape.
pub fn value(map: &Map, input: Shape, x: &[Q]) -> Option<Vec<Q>> {
    match map {
        Map::Linear(linear) => affine(linear, input, x),
        Map::Activation(function) => x.iter().map(|z| activated(*function, z)).collect(),
        Map::Flow(flow) => integrated(flow, input, x),
        Map::Chain(maps) => {
            let (mut shape, mut x) = (input, x.to_vec());
            for map in maps {
                (x, shape) = (value(map, shape, &x)?, map.output(shape).ok()?);
            }
            Some(x)
        }
        Map::Sum(branches) => sum(branches, input, x),
        Map::Mean(branches) => {
            let count = Q::from_integer(BigInt::from(branches.len()));
            Some(sum(branches, input, x)?.into_iter().map(|y| y / &count).collect())
        }
        Map::Opaque(_) => None,
    }
}

fn sum(branches: &[Map], input: Shape, x: &[Q]) -> Option<Vec<Q>> {
    let values: Vec<Vec<Q>> = branches.iter().map(|map| value(map, input, x)).collect::<Option<_>>()?;
    Some((0..values.first()?.len()).map(|i| values.iter().map(|y| &y[i]).sum()).collect())
}

fn activated(function: Activation, z: &Q) -> Option<Q> {
    let slope = match function {
        Activation::Identity {} => 1.0,
        Activation::Relu {} => 0.0,
        Activation::LeakyRelu { slope } => slope,
        Activation::Abs {} => -1.0,
        _ => return None,
    };
    Some(if z.is_negative() { z * exact(slope) } else { z.clone() })
}

/// The weights of an affine map as a list: output `to` reads input `from` with weight `w`.
fn entries(linear: &Linear, input: Shape) -> Option<Vec<(usize, usize, Q)>> {
    let one = || Q::from_integer(BigInt::from(1));
    let mean = |count: usize| Q::new(BigInt::from(1), BigInt::from(count));
    let n = input.len();
    Some(match linear {
        Linear::Normalize { std, .. } => (0..n).map(|i| (i, i, exact(std[i / (n / std.len())]).recip())).collect(),
        Linear::Dense { weight, .. } => {
            weight.wide().iter().enumerate().map(|(k, &w)| (k / n, k % n, exact(w))).collect()
        }
        Linear::Conv2d(conv) => taps(conv, image(input)?, image(linear.output(input).ok()?)?)?,
        Linear::AvgPool { size: Pair([a, b]) } => {
            let ((channels, height, width), share) = (image(input)?, mean(a * b));
            let (rows, columns) = (height / a, width / b);
            let points = (0..channels * rows * a * columns * b).map(|k| {
                let (c, y, x) = (k / (rows * a * columns * b), k / (columns * b) % (rows * a), k % (columns * b));
                ((c * rows + y / a) * columns + x / b, (c * height + y) * width + x, share.clone())
            });
            points.collect()
        }
        Linear::GlobalAvgPool {} => {
            let points = n / image(input)?.0;
            (0..n).map(|i| (i / points, i, mean(points))).collect()
        }
        Linear::Flatten {} | Linear::PadChannels { .. } => (0..n).map(|i| (i, i, one())).collect(),
        Linear::SpaceToDepth { block } => {
            let (_, height, width) = image(input)?;
            let place = |i: usize| {
                let (c, y, x) = (i / (height * width), i / width % height, i % width);
                let channel = c * block * block + y % block * block + x % block;
                (channel * (height / block) + y / block) * (width / block) + x / block
            };
            (0..n).map(|i| (place(i), i, one())).collect()
        }
    })
}

type Image = (usize, usize, usize);

fn taps(conv: &Conv2d, (_, height, width): Image, (_, rows, columns): Image) -> Option<Vec<(usize, usize, Q)>> {
    let &[outputs, per_group, ky, kx] = conv.weight.shape() else { return None };
    let Padding::Sides(Pair(padding)) = conv.padding else { return None };
    let place = |axis: usize, at: usize, tap: usize, size: usize| -> Option<usize> {
        let at = (at * conv.stride.0[axis] + tap * conv.dilation.0[axis]) as isize - padding[axis] as isize;
        match conv.padding_mode {
            PaddingMode::Zeros => usize::try_from(at).ok().filter(|&at| at < size),
            PaddingMode::Circular => Some(at.rem_euclid(size as isize) as usize),
        }
    };
    let mut all = Vec::new();
    for (k, &w) in conv.weight.wide().iter().enumerate().filter(|(_, w)| **w != 0.0) {
        let (o, c, a, b) = (k / (per_group * ky * kx), k / (ky * kx) % per_group, k / kx % ky, k % kx);
        let channel = o / (outputs / conv.groups) * per_group + c;
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            if let (Some(y), Some(x)) = (place(0, i, a, height), place(1, j, b, width)) {
                all.push(((o * rows + i) * columns + j, (channel * height + y) * width + x, exact(w)));
            }
        }
    }
    Some(all)
}

fn image(shape: Shape) -> Option<Image> {
    if let Shape::Image { channels, height, width } = shape { Some((channels, height, width)) } else { None }
}

fn affine(linear: &Linear, input: Shape, x: &[Q]) -> Option<Vec<Q>> {
    let output = linear.output(input).ok()?.len();
    let shifted: Vec<Q> = match linear {
        Linear::Normalize { mean, .. } => {
            x.iter().enumerate().map(|(i, x)| x - exact(mean[i / (input.len() / mean.len())])).collect()
        }
        _ => x.to_vec(),
    };
    let mut y = vec![Q::zero(); output];
    for (to, from, w) in entries(linear, input)? {
        y[to] += w * &shifted[from];
    }
    if let Linear::Dense { bias: Some(bias), .. } | Linear::Conv2d(Conv2d { bias: Some(bias), .. }) = linear {
        let each = output / bias.count();
        y.iter_mut().zip(0..).for_each(|(y, i): (&mut Q, usize)| *y += exact(bias.wide()[i / each]));
    }
    Some(y)
}

/// `Wᵀy`.
fn adjoint(linear: &Linear, input: Shape, y: &[Q]) -> Option<Vec<Q>> {
    let mut x = vec![Q::zero(); input.len()];
    for (to, from, w) in entries(linear, input)? {
        x[from] += w * &y[to];
    }
    Some(x)
}

fn slope(field: &Field, space: Shape, x: &[Q]) -> Option<Vec<Q>> {
    match field {
        Field::Gradient { activation, operator } => {
            let z = affine(operator, space, x)?;
            let y: Vec<Q> = z.iter().map(|z| activated(*activation, z)).collect::<Option<_>>()?;
            Some(adjoint(operator, space, &y)?.into_iter().map(|x| -x).collect())
        }
        Field::Residual { activation, inner, outer } => {
            let z = affine(inner, space, x)?;
            let y: Vec<Q> = z.iter().map(|z| activated(*activation, z)).collect::<Option<_>>()?;
            affine(outer, inner.output(space).ok()?, &y)
        }
        Field::Opaque(_) => None,
    }
}

fn integrated(flow: &Flow<Tensor>, space: Shape, x: &[Q]) -> Option<Vec<Q>> {
    let tableau = flow.method.tableau().ok().filter(|tableau| tableau.is_explicit())?;
    let h = exact(flow.step);
    let combine = |x: &[Q], row: &[dahlquist::tableau::Surd], slopes: &[Vec<Q>]| -> Option<Vec<Q>> {
        let mut y = x.to_vec();
        for (a, k) in row.iter().zip(slopes) {
            let a = a.rational()? * &h;
            y.iter_mut().zip(k).for_each(|(y, k)| *y += &a * k);
        }
        Some(y)
    };
    let mut x = x.to_vec();
    for _ in 0..flow.steps {
        let mut slopes = Vec::new();
        for row in tableau.a() {
            slopes.push(slope(&flow.field, space, &combine(&x, row, &slopes)?)?);
        }
        x = combine(&x, tableau.b(), &slopes)?;
    }
    Some(x)
}
