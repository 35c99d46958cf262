//! A network over the rational numbers: its value at a point, exactly, read off from its description alone.
//!
//! It shares no arithmetic with the crate, and no code with its layers. Smooth activations, implicit methods and methods with
//! irrational coefficients have no rational value.

use dahlquist::{
    activation::Activation,
    model::{Conv2d, Field, Flow, Linear, Map, Method, Padding, Pair, Partial, Pooling, SplitMethod, Tensor, Window},
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
        Map::Partial(Partial { function, channels: [from, to] }) => {
            let points = if let Shape::Image { height, width, .. } = input { height * width } else { 1 };
            let inside = |i: usize| (*from..*to).contains(&(i / points));
            let each = |(i, z): (usize, &Q)| if inside(i) { activated(*function, z) } else { Some(z.clone()) };
            x.iter().enumerate().map(each).collect()
        }
        Map::Window(window) => windowed(window, input, x),
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

/// Sorted groups, and largest numbers; a norm is no rational number.
fn windowed(window: &Window, input: Shape, x: &[Q]) -> Option<Vec<Q>> {
    match window {
        Window::Sort { group } => {
            let points = if let Shape::Image { height, width, .. } = input { height * width } else { 1 };
            let mut y = x.to_vec();
            for (first, point) in (0..x.len() / points).step_by(*group).flat_map(|f| (0..points).map(move |p| (f, p))) {
                let mut sorted: Vec<Q> = (0..*group).map(|i| x[(first + i) * points + point].clone()).collect();
                sorted.sort();
                sorted.into_iter().enumerate().for_each(|(i, value)| y[(first + i) * points + point] = value);
            }
            Some(y)
        }
        Window::MaxPool(pooling) => {
            let mut y: Vec<Option<Q>> = vec![None; window.output(input).ok()?.len()];
            for (to, from) in windows(pooling, input)? {
                if y[to].as_ref().is_none_or(|largest| x[from] > *largest) {
                    y[to] = Some(x[from].clone());
                }
            }
            y.into_iter().collect()
        }
        Window::L2Pool(_) => None,
    }
}

/// Which window, as an output, holds which point, as an input.
fn windows(pooling: &Pooling, input: Shape) -> Option<Vec<(usize, usize)>> {
    let ((channels, height, width), (_, rows, columns)) = (image(input)?, image(pooling.output(input).ok()?)?);
    let ([a, b], [sy, sx], [py, px]) = (pooling.size.0, pooling.stride().0, pooling.padding.0);
    let mut all = Vec::new();
    for (c, i, j) in (0..channels).flat_map(|c| (0..rows).flat_map(move |i| (0..columns).map(move |j| (c, i, j)))) {
        for (y, x) in (0..a).flat_map(|y| (0..b).map(move |x| (y, x))) {
            let (y, x) = ((i * sy + y).wrapping_sub(py), (j * sx + x).wrapping_sub(px));
            if y < height && x < width {
                all.push(((c * rows + i) * columns + j, (c * height + y) * width + x));
            }
        }
    }
    Some(all)
}

fn activated(function: Activation, z: &Q) -> Option<Q> {
    let slope = match function {
        Activation::Hardtanh { min, max } => return Some(z.clone().min(exact(max)).max(exact(min))),
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
        Linear::AvgPool(pooling) => {
            let share = mean(pooling.area());
            windows(pooling, input)?.into_iter().map(|(to, from)| (to, from, share.clone())).collect()
        }
        Linear::ChannelAffine { scale, .. } => {
            let points = n / scale.count();
            (0..n).map(|i| (i, i, exact(scale.wide()[i / points]))).collect()
        }
        Linear::FirstChannels { .. } => (0..linear.output(input).ok()?.len()).map(|i| (i, i, one())).collect(),
        Linear::Mirror {} => {
            let (_, _, width) = image(input)?;
            (0..n).map(|i| (i / width * width + width - 1 - i % width, i, one())).collect()
        }
        Linear::Shift { groups, mode } => {
            let (_, height, width) = image(input)?;
            let moves: Vec<(isize, isize)> =
                groups.iter().flat_map(|&(count, dy, dx)| std::iter::repeat_n((dy, dx), count)).collect();
            let moved = |at: usize, by: isize, n: usize| match mode {
                PaddingMode::Zeros => usize::try_from(at as isize + by).ok().filter(|&to| to < n),
                PaddingMode::Circular => Some((at as isize + by).rem_euclid(n as isize) as usize),
            };
            let place = |i: usize| {
                let (c, y, x) = (i / (height * width), i / width % height, i % width);
                let (dy, dx) = moves.get(c).copied().unwrap_or_default();
                Some(((c * height + moved(y, dy, height)?) * width + moved(x, dx, width)?, i, one()))
            };
            (0..n).filter_map(place).collect()
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
    if let Linear::Dense { bias: Some(bias), .. }
    | Linear::Conv2d(Conv2d { bias: Some(bias), .. })
    | Linear::ChannelAffine { shift: Some(bias), .. } = linear
    {
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

/// `Wᵀσ(Wx + b)`, times weights where there are some.
fn gradient(activation: Activation, w: &Linear, space: Shape, x: &[Q], weights: Option<&Tensor>) -> Option<Vec<Q>> {
    let mut z = affine(w, space, x)?.iter().map(|z| activated(activation, z)).collect::<Option<Vec<Q>>>()?;
    if let Some(weights) = weights {
        let repeat = z.len() / weights.count();
        z.iter_mut().enumerate().for_each(|(i, z)| *z *= exact(weights.wide()[i / repeat]));
    }
    adjoint(w, space, &z)
}

fn times(c: &Q, x: Vec<Q>) -> Vec<Q> {
    x.into_iter().map(|x| x * c).collect()
}

fn plus(x: Vec<Q>, y: &[Q]) -> Vec<Q> {
    x.into_iter().zip(y).map(|(x, y)| x + y).collect()
}

/// `(S − Sᵀ − γI)x`.
fn skew(s: &Linear, damping: f64, space: Shape, x: &[Q]) -> Option<Vec<Q>> {
    let minus = Q::from_integer(BigInt::from(-1));
    let turned = plus(affine(s, space, x)?, &times(&minus, adjoint(s, space, x)?));
    Some(plus(turned, &times(&exact(-damping), x.to_vec())))
}

/// `σ(z + b)`, with one number for each channel.
fn shifted(activation: Activation, z: &[Q], bias: Option<&Tensor>) -> Option<Vec<Q>> {
    let number = |i: usize| bias.map_or_else(Q::zero, |bias| exact(bias.wide()[i / (z.len() / bias.count())]));
    z.iter().enumerate().map(|(i, z)| activated(activation, &(z + number(i)))).collect()
}

/// The value of a field at a point; none if it is not rational.
pub fn slope(field: &Field, space: Shape, x: &[Q]) -> Option<Vec<Q>> {
    let minus = Q::from_integer(BigInt::from(-1));
    let n = x.len();
    match field {
        Field::Gradient { activation, operator, weights } => {
            Some(times(&minus, gradient(*activation, operator, space, x, weights.as_ref())?))
        }
        Field::Residual { activation, inner, outer } => {
            let z = affine(inner, space, x)?;
            let y: Vec<Q> = z.iter().map(|z| activated(*activation, z)).collect::<Option<_>>()?;
            affine(outer, inner.output(space).ok()?, &y)
        }
        Field::Lurie { activation, linear, inner, outer } => {
            let y = shifted(*activation, &affine(inner, space, x)?, None)?;
            Some(plus(affine(linear, space, x)?, &affine(outer, inner.output(space).ok()?, &y)?))
        }
        Field::Dissipative { activation, operator, skew: s, damping } => {
            let pulled = times(&minus, gradient(*activation, operator, space, x, None)?);
            Some(plus(pulled, &skew(s, *damping, space, x)?))
        }
        Field::SkewLinear { skew: s } => skew(s, 0.0, space, x),
        Field::Hamiltonian { kinetic, potential } => {
            let half = match space {
                Shape::Features(n) => Shape::Features(n / 2),
                Shape::Image { channels, height, width } => Shape::image(channels / 2, height, width),
            };
            let velocity = gradient(kinetic.activation, &kinetic.operator, half, &x[n / 2..], None)?;
            let force = gradient(potential.activation, &potential.operator, half, &x[..n / 2], None)?;
            Some([velocity, times(&minus, force)].concat())
        }
        Field::DissipativeHamiltonian { activation, operator, quadratic, skew: j, damping } => {
            let square = adjoint(quadratic, space, &affine(quadratic, space, x)?)?;
            skew(j, *damping, space, &plus(gradient(*activation, operator, space, x, None)?, &square))
        }
        Field::Antisymmetric { activation, matrix, bias, damping } => {
            shifted(*activation, &skew(matrix, *damping, space, x)?, bias.as_ref())
        }
        Field::Nais { activation, factor, bias, epsilon } => {
            let square = adjoint(factor, space, &affine(factor, space, x)?)?;
            let z = plus(times(&minus, square), &times(&exact(-epsilon), x.to_vec()));
            shifted(*activation, &z, bias.as_ref())
        }
        Field::LyapunovProjected { .. } | Field::Opaque(_) => None,
    }
}

/// A kick, a drift, and their like, of a Hamiltonian field: only the second half moves, or only the first.
fn split(flow: &Flow<Tensor>, method: SplitMethod, space: Shape, x: &[Q]) -> Option<Vec<Q>> {
    let ([field @ Field::Hamiltonian { .. }], h, n) = (&flow.fields[..], exact(flow.step), x.len()) else {
        return None;
    };
    let half = &h / Q::from_integer(BigInt::from(2));
    let moves = |x: &[Q], first: bool, h: &Q| -> Option<Vec<Q>> {
        let f = slope(field, space, x)?;
        Some((0..n).map(|i| if (i < n / 2) == first { &x[i] + h * &f[i] } else { x[i].clone() }).collect())
    };
    let mut x = x.to_vec();
    for _ in 0..flow.steps {
        x = match method {
            SplitMethod::SymplecticEuler => moves(&moves(&x, false, &h)?, true, &h)?,
            SplitMethod::StormerVerlet => moves(&moves(&moves(&x, false, &half)?, true, &h)?, false, &half)?,
            SplitMethod::ExponentialEuler => return None,
        };
    }
    Some(x)
}

fn integrated(flow: &Flow<Tensor>, space: Shape, x: &[Q]) -> Option<Vec<Q>> {
    if let Method::Split(method) = flow.method {
        return split(flow, method, space, x);
    }
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
    for k in 0..flow.steps {
        // One field for all steps, or one for each.
        let field = if flow.fields.len() == 1 { &flow.fields[0] } else { flow.fields.get(k)? };
        let mut slopes = Vec::new();
        for row in tableau.a() {
            slopes.push(slope(field, space, &combine(&x, row, &slopes)?)?);
        }
        x = combine(&x, tableau.b(), &slopes)?;
    }
    Some(x)
}
