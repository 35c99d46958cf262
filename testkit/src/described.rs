//! The value of a network at a point, read off from its description alone: over the rational numbers, or over any numbers that
//! the oracle computes with.
//!
//! It shares no arithmetic with the crate, and no code with its layers. Smooth activations, Euclidean norms, implicit methods and
//! methods with irrational coefficients have no value here.

use dahlquist::{
    activation::Activation,
    model::{
        Conv2d, Field, Flow, Householder, Linear, Map, Method, Padding, Pair, Partial, Pooling, SplitMethod, Tensor,
        Window,
    },
    rigor::torus::PaddingMode,
    tableau::Surd,
    tensor::Shape,
};
use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed, ToPrimitive};

use crate::oracle::{self, Num};

impl Num for BigRational {
    fn of(x: f64) -> Self {
        Self::from_float(x).expect("a finite number")
    }

    fn ratio(p: i64, q: i64) -> Self {
        Self::new(BigInt::from(p), BigInt::from(q))
    }

    fn plus(&self, other: &Self) -> Self {
        self + other
    }

    fn times(&self, other: &Self) -> Self {
        self * other
    }

    fn positive(&self) -> bool {
        self.is_positive()
    }
}

/// The rational number that a float is.
///
/// # Panics
/// For a NaN or an infinity.
pub fn exact(x: f64) -> BigRational {
    Num::of(x)
}

/// Returns the rational numbers that floats are.
pub fn vector(x: &[f64]) -> Vec<BigRational> {
    x.iter().map(|&x| exact(x)).collect()
}

/// `‖x − y‖²`.
pub fn squared_distance(x: &[BigRational], y: &[BigRational]) -> BigRational {
    x.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// The value of a map at a point; none if these numbers do not hold it, or the map does not fit the shape.
pub fn value<N: Num>(map: &Map, input: Shape, x: &[N]) -> Option<Vec<N>> {
    match map {
        Map::Linear(linear) => affine(linear, input, x),
        Map::Activation(function) => x.iter().map(|z| activated(*function, z)).collect(),
        Map::Partial(Partial { function, channels: [from, to] }) => {
            let points = if let Shape::Image { height, width, .. } = input { height * width } else { 1 };
            let inside = |i: usize| (*from..*to).contains(&(i / points));
            let each = |(i, z): (usize, &N)| if inside(i) { activated(*function, z) } else { Some(z.clone()) };
            x.iter().enumerate().map(each).collect()
        }
        Map::Window(window) => windowed(window, input, x),
        Map::Householder(householder) => reflected(householder, input, x),
        Map::Flow(flow) => integrated(flow, input, x),
        Map::Chain(maps) => {
            let (mut shape, mut x) = (input, x.to_vec());
            for map in maps {
                (x, shape) = (value(map, shape, &x)?, map.output(shape).ok()?);
            }
            Some(x)
        }
        Map::Sum(branches) => sum(branches, input, x),
        Map::Mean(branches) => Some(times(&share(branches.len()), sum(branches, input, x)?)),
        // Nothing rational solves its equation in general.
        Map::Equilibrium(_) | Map::Opaque(_) => None,
    }
}

fn zero<N: Num>() -> N {
    N::of(0.0)
}

/// `1/count`.
fn share<N: Num>(count: usize) -> N {
    N::ratio(1, count as i64)
}

/// The number that a reciprocal is, if its denominator is a power of two or a ratio of small numbers.
fn reciprocal<N: Num>(x: f64) -> Option<N> {
    let inverse = exact(x).recip();
    let double = inverse.to_f64().filter(|double| double.is_finite() && exact(*double) == inverse);
    double.map(N::of).or_else(|| fraction(&inverse))
}

/// A rational number, if its numerator and its denominator are small.
fn fraction<N: Num>(x: &BigRational) -> Option<N> {
    Some(N::ratio(x.numer().to_i64()?, x.denom().to_i64()?))
}

fn sum<N: Num>(branches: &[Map], input: Shape, x: &[N]) -> Option<Vec<N>> {
    let values: Vec<Vec<N>> = branches.iter().map(|map| value(map, input, x)).collect::<Option<_>>()?;
    values.into_iter().reduce(|sum, y| plus(sum, &y))
}

/// Sorted groups, and largest numbers; a norm is no rational number.
fn windowed<N: Num>(window: &Window, input: Shape, x: &[N]) -> Option<Vec<N>> {
    match window {
        Window::Sort { group } => {
            let points = if let Shape::Image { height, width, .. } = input { height * width } else { 1 };
            let mut y = x.to_vec();
            for (first, point) in (0..x.len() / points).step_by(*group).flat_map(|f| (0..points).map(move |p| (f, p))) {
                let mut sorted: Vec<N> = (0..*group).map(|i| x[(first + i) * points + point].clone()).collect();
                ascending(&mut sorted);
                sorted.into_iter().enumerate().for_each(|(i, value)| y[(first + i) * points + point] = value);
            }
            Some(y)
        }
        Window::MaxPool(pooling) => {
            let mut y: Vec<Option<N>> = vec![None; window.output(input).ok()?.len()];
            for (to, from) in windows(pooling, input)? {
                if y[to].as_ref().is_none_or(|largest| !x[from].at_most(largest)) {
                    y[to] = Some(x[from].clone());
                }
            }
            y.into_iter().collect()
        }
        Window::L2Pool(_) => None,
    }
}

/// Sorts by insertion, which ends whatever numbers that cannot be told apart say of their order.
fn ascending<N: Num>(numbers: &mut [N]) {
    for end in 1..numbers.len() {
        for i in (0..end).rev() {
            if numbers[i].at_most(&numbers[i + 1]) {
                break;
            }
            numbers.swap(i, i + 1);
        }
    }
}

/// `z` if `vᵀz > 0`, else `z − 2v(vᵀz)`, group by group.
fn reflected<N: Num>(householder: &Householder, input: Shape, x: &[N]) -> Option<Vec<N>> {
    let [groups, size] = householder.groups(input).ok()?;
    let vectors: Vec<N> = householder.vector.wide().iter().map(|&v| N::of(v)).collect();
    let (points, mut y) = (x.len() / (groups * size), x.to_vec());
    for (group, point) in (0..groups).flat_map(|g| (0..points).map(move |p| (g, p))) {
        let v = vectors.chunks(size).nth(group).unwrap_or(&vectors[..size]);
        let place = |i: usize| (group * size + i) * points + point;
        let along = v.iter().enumerate().fold(N::of(0.0), |sum, (i, v)| sum.plus(&v.times(&x[place(i)])));
        if !along.positive() {
            let twice = along.plus(&along);
            v.iter().enumerate().for_each(|(i, v)| y[place(i)] = y[place(i)].minus(&v.times(&twice)));
        }
    }
    Some(y)
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

fn activated<N: Num>(function: Activation, z: &N) -> Option<N> {
    oracle::piecewise(function).map(|function| function(z))
}

/// The weights of an affine map as a list: output `to` reads input `from` with weight `w`.
fn entries<N: Num>(linear: &Linear, input: Shape) -> Option<Vec<(usize, usize, N)>> {
    let one = || N::of(1.0);
    let n = input.len();
    Some(match linear {
        Linear::Normalize { std, .. } => {
            let scales: Vec<N> = std.iter().map(|&std| reciprocal(std)).collect::<Option<_>>()?;
            (0..n).map(|i| (i, i, scales[i / (n / std.len())].clone())).collect()
        }
        Linear::Dense { weight, .. } => {
            weight.wide().iter().enumerate().map(|(k, &w)| (k / n, k % n, N::of(w))).collect()
        }
        Linear::Conv2d(conv) => taps(conv, image(input)?, image(linear.output(input).ok()?)?)?,
        Linear::AvgPool(pooling) => {
            let share: N = share(pooling.area());
            windows(pooling, input)?.into_iter().map(|(to, from)| (to, from, share.clone())).collect()
        }
        Linear::ChannelAffine { scale, .. } => {
            let points = n / scale.count();
            (0..n).map(|i| (i, i, N::of(scale.wide()[i / points]))).collect()
        }
        Linear::GraphGradient { weight, edges, .. } => {
            let (inputs, count) = (weight.shape()[1], edges.len());
            let points = input.len() / inputs;
            let mut all = Vec::new();
            for (k, &w) in weight.wide().iter().enumerate() {
                for (e, &(u, v)) in edges.iter().enumerate() {
                    let (to, from) = (k / inputs * count + e, k % inputs * points);
                    all.extend([(to, from + v, N::of(w)), (to, from + u, N::of(-w))]);
                }
            }
            all
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
            (0..n).map(|i| (i / points, i, share(points))).collect()
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

fn taps<N: Num>(conv: &Conv2d, (_, height, width): Image, (_, rows, columns): Image) -> Option<Vec<(usize, usize, N)>> {
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
                all.push(((o * rows + i) * columns + j, (channel * height + y) * width + x, N::of(w)));
            }
        }
    }
    Some(all)
}

fn image(shape: Shape) -> Option<Image> {
    if let Shape::Image { channels, height, width } = shape { Some((channels, height, width)) } else { None }
}

fn affine<N: Num>(linear: &Linear, input: Shape, x: &[N]) -> Option<Vec<N>> {
    let output = linear.output(input).ok()?.len();
    let shifted: Vec<N> = match linear {
        Linear::Normalize { mean, .. } => {
            let mean = |i: usize| N::of(mean[i / (input.len() / mean.len())]);
            x.iter().enumerate().map(|(i, x)| x.minus(&mean(i))).collect()
        }
        _ => x.to_vec(),
    };
    let mut y = vec![zero::<N>(); output];
    for (to, from, w) in entries::<N>(linear, input)? {
        y[to] = y[to].plus(&w.times(&shifted[from]));
    }
    if let Linear::Dense { bias: Some(bias), .. }
    | Linear::Conv2d(Conv2d { bias: Some(bias), .. })
    | Linear::ChannelAffine { shift: Some(bias), .. }
    | Linear::GraphGradient { bias: Some(bias), .. } = linear
    {
        let each = output / bias.count();
        y.iter_mut().enumerate().for_each(|(i, y)| *y = y.plus(&N::of(bias.wide()[i / each])));
    }
    Some(y)
}

/// `Wᵀy`.
fn adjoint<N: Num>(linear: &Linear, input: Shape, y: &[N]) -> Option<Vec<N>> {
    let mut x = vec![zero::<N>(); input.len()];
    for (to, from, w) in entries::<N>(linear, input)? {
        x[from] = x[from].plus(&w.times(&y[to]));
    }
    Some(x)
}

/// `Wᵀσ(Wx + b)`, times weights where there are some.
fn gradient<N: Num>(
    activation: Activation,
    w: &Linear,
    space: Shape,
    x: &[N],
    weights: Option<&Tensor>,
) -> Option<Vec<N>> {
    let mut z = affine(w, space, x)?.iter().map(|z| activated(activation, z)).collect::<Option<Vec<N>>>()?;
    if let Some(weights) = weights {
        let repeat = z.len() / weights.count();
        z.iter_mut().enumerate().for_each(|(i, z)| *z = z.times(&N::of(weights.wide()[i / repeat])));
    }
    adjoint(w, space, &z)
}

fn times<N: Num>(c: &N, x: Vec<N>) -> Vec<N> {
    x.iter().map(|x| x.times(c)).collect()
}

fn plus<N: Num>(x: Vec<N>, y: &[N]) -> Vec<N> {
    x.iter().zip(y).map(|(x, y)| x.plus(y)).collect()
}

/// `(S − Sᵀ − γI)x`.
fn skew<N: Num>(s: &Linear, damping: f64, space: Shape, x: &[N]) -> Option<Vec<N>> {
    let turned = plus(affine(s, space, x)?, &times(&N::of(-1.0), adjoint(s, space, x)?));
    Some(plus(turned, &times(&N::of(-damping), x.to_vec())))
}

/// `σ(z + b)`, with one number for each channel.
fn shifted<N: Num>(activation: Activation, z: &[N], bias: Option<&Tensor>) -> Option<Vec<N>> {
    let number = |i: usize| bias.map_or_else(zero, |bias| N::of(bias.wide()[i / (z.len() / bias.count())]));
    z.iter().enumerate().map(|(i, z)| activated(activation, &z.plus(&number(i)))).collect()
}

/// The value of a field at a point; none if it is not rational.
pub fn slope<N: Num>(field: &Field, space: Shape, x: &[N]) -> Option<Vec<N>> {
    let minus = N::of(-1.0);
    let n = x.len();
    match field {
        Field::Gradient { activation, operator, weights } => {
            Some(times(&minus, gradient(*activation, operator, space, x, weights.as_ref())?))
        }
        Field::Residual { activation, inner, outer } => {
            let z = affine(inner, space, x)?;
            let y: Vec<N> = z.iter().map(|z| activated(*activation, z)).collect::<Option<_>>()?;
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
            let z = plus(times(&minus, square), &times(&N::of(-epsilon), x.to_vec()));
            shifted(*activation, &z, bias.as_ref())
        }
        Field::LyapunovProjected { .. } | Field::Opaque(_) => None,
    }
}

/// A kick, a drift, and their like, of a Hamiltonian field: only the second half moves, or only the first.
fn split<N: Num>(flow: &Flow<Tensor>, method: SplitMethod, space: Shape, x: &[N]) -> Option<Vec<N>> {
    let (h, n) = (N::of(flow.step), x.len());
    let half = h.times(&N::of(0.5));
    let mut x = x.to_vec();
    for k in 0..flow.steps {
        // One field for all steps, or one for each.
        let field = if flow.fields.len() == 1 { &flow.fields[0] } else { flow.fields.get(k)? };
        let moves = |x: &[N], first: bool, h: &N| -> Option<Vec<N>> {
            let f = slope(field, space, x)?;
            Some((0..n).map(|i| if (i < n / 2) == first { x[i].plus(&h.times(&f[i])) } else { x[i].clone() }).collect())
        };
        x = match method {
            SplitMethod::SymplecticEuler => moves(&moves(&x, false, &h)?, true, &h)?,
            SplitMethod::StormerVerlet => moves(&moves(&moves(&x, false, &half)?, true, &h)?, false, &half)?,
            SplitMethod::ExponentialEuler => return None,
        };
    }
    Some(x)
}

fn integrated<N: Num>(flow: &Flow<Tensor>, space: Shape, x: &[N]) -> Option<Vec<N>> {
    if let Method::Split(method) = flow.method {
        return split(flow, method, space, x);
    }
    let tableau = flow.method.tableau().ok().filter(|tableau| tableau.is_explicit())?;
    let h = N::of(flow.step);
    let combine = |x: &[N], row: &[Surd], slopes: &[Vec<N>]| -> Option<Vec<N>> {
        let mut y = x.to_vec();
        for (a, k) in row.iter().zip(slopes) {
            let a = fraction::<N>(&a.rational()?)?.times(&h);
            y.iter_mut().zip(k).for_each(|(y, k)| *y = y.plus(&a.times(k)));
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
