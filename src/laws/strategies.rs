//! What laws are tested on: weights of every magnitude, shapes, activations, steps, and the layers made of them.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    activation::Activation,
    field::{GradientField, ResidualField, StructuredField, VectorField},
    integrate::Tableau,
    layer::{
        ActivationLayer, AffineLayer, Flow, L2Pool, Layer, Normalize, PartialActivation, Reshape, Selection, Splitting,
        Step,
    },
    model::{self, Field, Linear, Padding, Pair, Pooling, Potential, SplitMethod, Tensor, Window},
    operator::{Affine, Conv2d, Dense, Diagonal, Geometry, MeanPool},
    rigor::torus::PaddingMode,
    rules::Prover,
    scalar::Scalar,
    tensor::Shape,
};

/// A number of moderate size: between −2 and 2, or a small integer.
pub fn moderate<T: Scalar>() -> impl Strategy<Value = T> {
    prop_oneof![(-2.0..2.0f64).prop_map(T::of), (-3..=3i32).prop_map(|n| T::of(n.into()))]
}

/// A finite number of any magnitude: `±m·2ᵉ` over the exponent range of the format, subnormal numbers included.
pub fn wide<T: Scalar>() -> impl Strategy<Value = T> {
    let least = libm::ilogb(T::SMALLEST);
    (1.0..2.0f64, least..libm::ilogb(T::LARGEST), any::<bool>()).prop_map(|(m, e, negative)| {
        // In two steps, so that 2ᵉ itself need not be a number.
        let x = m * 2f64.powi(e / 2) * 2f64.powi(e - e / 2);
        T::of(if negative { -x } else { x })
    })
}

/// A number at which something has gone wrong before: 0, `±2⁻¹²⁶`, `10³⁰`, the smallest number, `10⁻³²⁰`, …
pub fn special<T: Scalar>() -> impl Strategy<Value = T> {
    let numbers = [0.0, 0.0, 1.0, -1.0, 1e30, -1e30, 2f64.powi(-126), -(2f64.powi(-126)), 1e-320, 1e-45, 3e-39, 1e15];
    select(numbers.map(T::of).to_vec())
}

/// A subnormal number.
pub fn subnormal<T: Scalar>() -> impl Strategy<Value = T> {
    (-4000..=4000i32).prop_map(|n| T::of(f64::from(n) * T::SMALLEST))
}

/// The entries of a `rows × columns` matrix, row by row: moderate, over the whole exponent range, special, subnormal,
/// ill-conditioned (columns or rows that shrink by a factor), rank-deficient, or moderate times one power of two.
pub fn matrix<T: Scalar>(rows: usize, columns: usize) -> BoxedStrategy<Vec<T>> {
    let n = rows * columns;
    let scaled = move |axis: bool| {
        (vec(moderate::<T>(), n), 0.0..6.0f64).prop_map(move |(w, decades)| {
            let scale = |i: usize| 10f64.powf(-decades * (if axis { i / columns } else { i % columns }) as f64);
            w.iter().enumerate().map(|(i, w)| T::of(w.wide() * scale(i))).collect()
        })
    };
    let outer = (vec(moderate::<T>(), rows), vec(moderate::<T>(), columns))
        .prop_map(|(u, v)| u.iter().flat_map(|&u| v.iter().map(move |&v| u * v)).collect());
    let shifted = (vec(moderate::<T>(), n), -40..=40i32)
        .prop_map(|(w, e)| w.iter().map(|w| T::of(w.wide() * 2f64.powi(e))).collect());
    prop_oneof![
        6 => vec(moderate::<T>(), n),
        2 => vec(wide::<T>(), n),
        1 => vec(special::<T>(), n),
        1 => vec(subnormal::<T>(), n),
        1 => scaled(true),
        1 => scaled(false),
        2 => outer,
        2 => shifted,
    ]
    .boxed()
}

/// A bias of `n` numbers, or none.
pub fn bias<T: Scalar>(n: usize) -> BoxedStrategy<Option<Vec<T>>> {
    option::of(prop_oneof![
        4 => vec(moderate::<T>(), n),
        1 => vec(wide::<T>(), n),
        1 => vec(special::<T>(), n),
        1 => vec(subnormal::<T>(), n),
    ])
    .boxed()
}

/// A vector or an image of a few numbers.
pub fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![(1..=6usize).prop_map(Shape::Features), image()]
}

/// An image of up to 3 channels and 5 × 5 points.
pub fn image() -> impl Strategy<Value = Shape> {
    (1..=3usize, 1..=5usize, 1..=5usize).prop_map(|(c, h, w)| Shape::image(c, h, w))
}

/// Any activation, leaky ones with slopes below, at and above 1.
pub fn activation() -> impl Strategy<Value = Activation> {
    let leaky = |slope| Activation::LeakyRelu { slope };
    prop_oneof![select(Activation::ALL.to_vec()), select(vec![0.0, 0.1, 0.5, 1.0, 2.0]).prop_map(leaky)]
}

/// An activation, its slope of any magnitude.
pub fn steep_activation() -> impl Strategy<Value = Activation> {
    prop_oneof![activation(), wide::<f32>().prop_map(|slope| Activation::LeakyRelu { slope: slope.abs().into() })]
}

/// An activation without negative slopes, as a gradient field needs it.
pub fn monotone_activation() -> impl Strategy<Value = Activation> {
    activation().prop_filter("negative slope", |a| a.slopes()[0] >= 0.0)
}

/// An explicit method.
pub fn explicit_tableau() -> impl Strategy<Value = Tableau> {
    select(Tableau::names().chain(["ssprk32", "ssprk52"]).collect::<Vec<_>>())
        .prop_filter_map("not explicit", |name| Tableau::by_name(name).ok().filter(Tableau::is_explicit))
}

/// A matrix with a bias or none.
pub fn dense<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    (1..=5usize, 1..=5usize)
        .prop_flat_map(|(rows, columns)| (Just((rows, columns)), matrix::<T>(rows, columns), bias::<T>(rows)))
        .prop_filter_map("refused", |((rows, columns), w, b)| Affine::new(Dense::new(rows, columns, w).ok()?, b).ok())
        .boxed()
}

/// A matrix with a bias or none, whose sums have more terms than one chunk of the declared order: those of `Wx`, or those
/// of `Wᵀy`.
pub fn long_dense<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    select(vec![(2, 200), (150, 1)])
        .prop_flat_map(|(rows, columns)| (Just((rows, columns)), matrix::<T>(rows, columns), bias::<T>(rows)))
        .prop_filter_map("refused", |((rows, columns), w, b)| Affine::new(Dense::new(rows, columns, w).ok()?, b).ok())
        .boxed()
}

/// A convolution with a bias or none, whose sums have more terms than one chunk of the declared order.
pub fn long_conv2d<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    let geometry =
        |mode| Geometry { input: Shape::image(9, 3, 3), outputs: 1, kernel: (3, 3), stride: 1, padding: 1, mode };
    let mode = select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    (mode, matrix::<T>(1, 81), bias::<T>(1))
        .prop_filter_map("refused", move |(mode, w, b)| Affine::new(Conv2d::new(geometry(mode), w).ok()?, b).ok())
        .boxed()
}

/// Any stride, padding and mode on an image with kernels up to 3 × 3; half of them keep the size of the image.
pub fn geometry() -> BoxedStrategy<Geometry> {
    let mode = || select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    let any = (image(), 1..=3usize, (1..=3usize, 1..=3usize), 1..=3usize, 0..=2usize, mode()).prop_map(
        |(input, outputs, kernel, stride, padding, mode)| Geometry { input, outputs, kernel, stride, padding, mode },
    );
    let same = (image(), 1..=3usize, 0..=1usize, mode()).prop_map(|(input, outputs, padding, mode)| {
        let side = 2 * padding + 1;
        Geometry { input, outputs, kernel: (side, side), stride: 1, padding, mode }
    });
    prop_oneof![any, same].boxed()
}

/// A convolution with a [`geometry`], and a bias or none.
pub fn conv2d<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    geometry()
        .prop_flat_map(|geometry| {
            let Geometry { input, outputs, kernel, .. } = geometry;
            let channels = if let Shape::Image { channels, .. } = input { channels } else { 1 };
            (Just(geometry), matrix::<T>(outputs, channels * kernel.0 * kernel.1), bias::<T>(outputs))
        })
        .prop_filter_map("refused", |(geometry, w, b)| Affine::new(Conv2d::new(geometry, w).ok()?, b).ok())
        .boxed()
}

/// Mean pooling over windows, or over the whole image.
pub fn pool<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    (image(), option::of(pooling()))
        .prop_filter_map("refused", |(input, windows)| {
            let pool = windows.map_or_else(|| MeanPool::global(input), |windows| MeanPool::windows(input, windows));
            Affine::new(pool.ok()?, None).ok()
        })
        .boxed()
}

/// A dense layer.
pub fn dense_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    dense::<T>().prop_map(AffineLayer::new)
}

/// A dense layer with rows of norm 1.
pub fn unit_rows_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    let w = (1..=4usize, 1..=4usize).prop_flat_map(|(m, n)| (Just((m, n)), vec(-2.0..2.0f64, m * n), bias::<T>(m)));
    w.prop_filter_map("refused", |((m, n), w, b)| {
        let w = Dense::new(m, n, w.into_iter().map(T::of).collect()).ok()?;
        AffineLayer::with_unit_rows(Affine::new(w, b).ok()?).ok()
    })
}

/// A convolutional layer.
pub fn conv2d_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    conv2d::<T>().prop_map(AffineLayer::new)
}

/// A pooling layer.
pub fn pool_layer<T: Scalar>() -> impl Strategy<Value = AffineLayer<T>> {
    pool::<T>().prop_map(AffineLayer::new)
}

/// An activation as a layer.
pub fn activation_layer<T: Scalar>() -> impl Strategy<Value = ActivationLayer> {
    (steep_activation(), shape()).prop_filter_map("refused", |(a, shape)| ActivationLayer::new::<T>(a, shape).ok())
}

/// A normalisation of an image or a vector.
pub fn normalize<T: Scalar>() -> impl Strategy<Value = Normalize<T>> {
    shape().prop_flat_map(|shape| {
        let units = if let Shape::Image { channels, .. } = shape { channels } else { shape.len() };
        let std = prop_oneof![4 => 0.05..3.0f64, 1 => select(vec![1e-3, 1e3, 2f64.powi(-126)])].prop_map(T::of);
        (vec(moderate::<T>(), units), vec(std, units))
            .prop_filter_map("refused", move |(mean, std)| Normalize::new(shape, mean, std).ok())
    })
}

/// Windows of up to 3 × 3 points, any distance apart, with and without padding.
pub fn pooling() -> impl Strategy<Value = Pooling> {
    let pair = |range: std::ops::RangeInclusive<usize>| (range.clone(), range).prop_map(|(a, b)| Pair([a, b]));
    (pair(1..=3), option::of(pair(1..=3)), pair(0..=1)).prop_map(|(size, stride, padding)| Pooling {
        size,
        stride,
        padding,
    })
}

/// A layer that selects: groups that are sorted, or max pooling.
pub fn selection() -> impl Strategy<Value = Selection> {
    let sorted = (shape(), 1..=3usize).prop_filter_map("refused", |(input, group)| Selection::sort(input, group).ok());
    let largest = (image(), pooling())
        .prop_filter_map("refused", |(input, pooling)| Selection::new(input, Window::MaxPool(pooling)).ok());
    prop_oneof![sorted, largest]
}

/// Pooling by norms.
pub fn l2_pool() -> impl Strategy<Value = L2Pool> {
    (image(), pooling()).prop_filter_map("refused", |(input, pooling)| L2Pool::new(input, pooling).ok())
}

/// An activation of some channels.
pub fn partial_activation<T: Scalar>() -> impl Strategy<Value = PartialActivation> {
    (steep_activation(), shape(), 0..4usize, 1..4usize).prop_filter_map("refused", |(a, shape, from, count)| {
        PartialActivation::new::<T>(a, [from, from + count], shape).ok()
    })
}

/// A scale and a shift for each channel.
pub fn channel_affine<T: Scalar>() -> impl Strategy<Value = Affine<T>> {
    shape().prop_flat_map(|shape| {
        let units = if let Shape::Image { channels, .. } = shape { channels } else { shape.len() };
        (matrix::<T>(1, units), bias::<T>(units))
            .prop_filter_map("refused", move |(s, t)| Affine::new(Diagonal::new(shape, s).ok()?, t).ok())
    })
}

/// A convolution with groups, dilations, and strides and paddings of its own for each axis.
pub fn grouped_conv2d<T: Scalar>() -> BoxedStrategy<Affine<T>> {
    let pair = |range: std::ops::RangeInclusive<usize>| (range.clone(), range).prop_map(|(a, b)| Pair([a, b]));
    let mode = select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    ((1..=3usize, 1..=2usize, 1..=2usize), (1..=5usize, 1..=5usize), pair(1..=3))
        .prop_flat_map(move |((groups, inputs, outputs), image, kernel)| {
            let [ky, kx] = kernel.0;
            let (rows, columns) = (groups * outputs, inputs * ky * kx);
            let numbers = (matrix::<T>(rows, columns), bias::<T>(rows));
            let form = (pair(1..=2), pair(0..=2), pair(1..=2), mode.clone());
            (Just((groups, inputs, image, [rows, inputs, ky, kx])), numbers, form)
        })
        .prop_filter_map("refused", |((groups, inputs, image, sizes), (w, bias), form)| {
            let (stride, padding, dilation, padding_mode) = form;
            let (weight, padding) = (Tensor::new(&sizes, &w), Padding::Sides(padding));
            let conv = model::Conv2d { weight, bias: None, stride, padding, dilation, groups, padding_mode };
            let input = Shape::image(groups * inputs, image.0, image.1);
            Affine::new(Conv2d::described(&conv, input).ok()?, bias).ok()
        })
        .boxed()
}

/// Shifts, mirrors and first channels.
pub fn moves() -> impl Strategy<Value = Reshape> {
    let groups = vec((0..=2usize, -3..=3isize, -3..=3isize), 0..=2);
    let mode = select(vec![PaddingMode::Zeros, PaddingMode::Circular]);
    (image(), 0..=2usize, groups, mode).prop_filter_map("refused", |(input, kind, groups, mode)| match kind {
        0 => Reshape::shift(input, groups, mode).ok(),
        1 => Reshape::mirror(input).ok(),
        _ => Reshape::first_channels(input, groups.len() + 1).ok(),
    })
}

/// A layer that keeps every distance.
pub fn reshape() -> impl Strategy<Value = Reshape> {
    (image(), 0..=2usize, 1..=3usize).prop_filter_map("refused", |(input, kind, n)| match (kind, input) {
        (0, _) => Some(Reshape::flatten(input)),
        (1, Shape::Image { channels, .. }) => Reshape::pad_channels(input, channels + n - 1).ok(),
        (_, Shape::Image { channels, height, width }) => {
            Reshape::space_to_depth(Shape::image(channels, height * n, width * n), n).ok()
        }
        _ => None,
    })
}

/// A field of the family by its kind, from 0 to [`KINDS`], with dense operators, or on images with convolutions.
fn family<T: Scalar>(kind: usize, images: bool) -> BoxedStrategy<Field> {
    // Half a space, a space, and what lies between.
    let (half, space) = if images { (1, 2) } else { (2, 4) };
    let operator = move |outputs: usize, inputs: usize| {
        let taps = if images { 9 } else { 1 };
        matrix::<T>(outputs, inputs * taps).prop_map(move |w| {
            if !images {
                return Linear::Dense { weight: Tensor::new(&[outputs, inputs], &w), bias: None };
            }
            Linear::Conv2d(model::Conv2d {
                weight: Tensor::new(&[outputs, inputs, 3, 3], &w),
                bias: None,
                stride: Pair::one(),
                padding: Padding::Sides(Pair::one()),
                dilation: Pair::one(),
                groups: 1,
                padding_mode: PaddingMode::Zeros,
            })
        })
    };
    let biased = move |outputs: usize, inputs: usize| {
        (operator(outputs, inputs), bias::<T>(outputs))
            .prop_map(|(w, b)| w.with_bias(b.map(|b| Tensor::new(&[b.len()], &b))))
    };
    let vector = move |n: usize| bias::<T>(n).prop_map(|b| b.map(|b| Tensor::new(&[b.len()], &b)));
    let weights = move |n: usize| {
        let weight = prop_oneof![0.0..2.0f64, select(vec![0.0, 1.0, 1e-30])].prop_map(T::of);
        vec(weight, n).prop_map(|w| Some(Tensor::new(&[w.len()], &w)))
    };
    let constant = || prop_oneof![0.0..2.0f64, select(vec![0.0, 0.5, -0.25])].prop_map(|x| T::of(x).wide());
    let monotone = || monotone_activation().prop_filter_map("constant", |a| a.in_format::<T>().ok());
    let function = || activation().prop_filter_map("constant", |a| a.in_format::<T>().ok());
    match kind {
        0 => (monotone(), biased(3, space), weights(3))
            .prop_map(|(activation, operator, weights)| Field::Gradient { activation, operator, weights })
            .boxed(),
        1 => (function(), biased(3, space), operator(space, space), constant())
            .prop_map(|(activation, operator, skew, damping)| Field::Dissipative {
                activation,
                operator,
                skew,
                damping,
            })
            .boxed(),
        2 => operator(space, space).prop_map(|skew| Field::SkewLinear { skew }).boxed(),
        3 => ((function(), biased(2, half)), (function(), biased(3, half)))
            .prop_map(|(k, p)| {
                let [kinetic, potential] = [k, p].map(|(activation, operator)| Potential { activation, operator });
                Field::Hamiltonian { kinetic, potential }
            })
            .boxed(),
        4 => (function(), biased(2, space), operator(space, space), operator(space, space), constant())
            .prop_map(|(activation, operator, quadratic, skew, damping)| Field::DissipativeHamiltonian {
                activation,
                operator,
                quadratic,
                skew,
                damping,
            })
            .boxed(),
        5 => (function(), operator(space, space), vector(space), constant())
            .prop_map(|(activation, matrix, bias, damping)| Field::Antisymmetric { activation, matrix, bias, damping })
            .boxed(),
        6 => (function(), operator(3, space), vector(space), constant())
            .prop_map(|(activation, factor, bias, epsilon)| Field::Nais { activation, factor, bias, epsilon })
            .boxed(),
        _ => (function(), biased(space, space), biased(3, space), operator(space, 3))
            .prop_map(|(activation, linear, inner, outer)| Field::Lurie { activation, linear, inner, outer })
            .boxed(),
    }
}

/// The number of kinds of [`structured_field`].
pub const KINDS: usize = 8;

/// A field of the family, as data, and its space.
pub fn structured<T: Scalar>() -> BoxedStrategy<(Field, Shape)> {
    (0..KINDS, any::<bool>())
        .prop_flat_map(|(kind, images)| {
            let space = if images { Shape::image(2, 3, 2) } else { Shape::Features(4) };
            (family::<T>(kind, images), Just(space))
        })
        .boxed()
}

/// A field of the family.
pub fn structured_field<T: Scalar>() -> BoxedStrategy<StructuredField<T>> {
    structured::<T>().prop_filter_map("refused", |(field, space)| StructuredField::new(&field, space).ok()).boxed()
}

/// Whether a step is neither so short nor so long that its products with derivatives leave the format on their way.
fn is_moderate(h: f64) -> bool {
    (1e-6..1e6).contains(&h.abs())
}

/// The steps of [`steep_splitting`] whose derivatives can be compared.
pub fn splitting<T: Scalar>() -> BoxedStrategy<Splitting<T>> {
    steep_splitting::<T>()
        .prop_filter("its derivatives leave the format", |layer| is_moderate(layer.step().wide()))
        .boxed()
}

/// The flows of [`steep_structured_flow`] whose derivatives can be compared.
pub fn structured_flow<T: Scalar>() -> BoxedStrategy<Flow<T>> {
    steep_structured_flow::<T>()
        .prop_filter("its derivatives leave the format", |flow| is_moderate(flow.step().wide()))
        .boxed()
}

/// Steps of split methods, of any sign and length.
pub fn steep_splitting<T: Scalar>() -> BoxedStrategy<Splitting<T>> {
    let hamiltonian = [SplitMethod::SymplecticEuler, SplitMethod::StormerVerlet].map(|method| (3, method));
    let methods = hamiltonian.into_iter().chain([(1, SplitMethod::ExponentialEuler)]).collect::<Vec<_>>();
    (select(methods), any::<bool>())
        .prop_flat_map(|((kind, method), images)| {
            let space = if images { Shape::image(2, 3, 2) } else { Shape::Features(4) };
            (family::<T>(kind, images), Just(space), Just(method), -1.0..1.0f64, 1..=2usize)
        })
        .prop_filter_map("refused", |(field, space, method, ratio, steps)| {
            let l = Prover::default().field(&field, space).ok()?.bound().get();
            let field = StructuredField::<T>::new(&field, space).ok()?;
            Splitting::new(field, method, ratio / l.max(1e-3), steps).ok()
        })
        .boxed()
}

/// Flows of fields of the family, by every method, with steps that are a part of what the Lipschitz constant suggests.
pub fn steep_structured_flow<T: Scalar>() -> BoxedStrategy<Flow<T>> {
    (structured_field::<T>(), explicit_tableau(), -1.0..1.5f64, 1..=2usize)
        .prop_filter_map("refused", |(field, tableau, ratio, steps)| {
            let l = Prover::default().field(&field.describe(), field.shape()).ok()?.bound().get();
            Flow::new(field, tableau, Step::Fixed(T::of(ratio / l.max(1e-3)).wide()), steps).ok()
        })
        .boxed()
}

/// The field `−Wᵀσ(Wx + b)`, `W` dense or a convolution.
pub fn gradient_field<T: Scalar>() -> BoxedStrategy<GradientField<T>> {
    let map = prop_oneof![2 => dense::<T>(), 1 => conv2d::<T>()];
    (map, monotone_activation()).prop_filter_map("refused", |(map, a)| GradientField::new(map, a).ok()).boxed()
}

/// The field of [`gradient_field`], its slope of any magnitude.
pub fn steep_gradient_field<T: Scalar>() -> BoxedStrategy<GradientField<T>> {
    let map = prop_oneof![2 => dense::<T>(), 1 => conv2d::<T>()];
    (map, steep_activation()).prop_filter_map("refused", |(map, a)| GradientField::new(map, a).ok()).boxed()
}

/// The field of [`gradient_field`] with sums of more terms than one chunk.
pub fn long_gradient_field<T: Scalar>() -> BoxedStrategy<GradientField<T>> {
    let map = prop_oneof![2 => long_dense::<T>(), 1 => long_conv2d::<T>()];
    (map, monotone_activation()).prop_filter_map("refused", |(map, a)| GradientField::new(map, a).ok()).boxed()
}

/// The field `Vσ(Wx + b) + c` with dense maps.
pub fn residual_field<T: Scalar>() -> BoxedStrategy<ResidualField<T>> {
    residual_field_with(activation())
}

/// The field of [`residual_field`], its slope of any magnitude.
pub fn steep_residual_field<T: Scalar>() -> BoxedStrategy<ResidualField<T>> {
    residual_field_with(steep_activation())
}

fn residual_field_with<T: Scalar>(a: impl Strategy<Value = Activation> + 'static) -> BoxedStrategy<ResidualField<T>> {
    let a = a.boxed();
    (1..=4usize, 1..=4usize)
        .prop_flat_map(move |(n, m)| ((Just((n, m)), a.clone()), (matrix(m, n), bias(m)), (matrix(n, m), bias(n))))
        .prop_filter_map("refused", |(((n, m), a), (w, b), (v, c))| {
            let inner = Affine::new(Dense::<T>::new(m, n, w).ok()?, b).ok()?;
            ResidualField::new(inner, a, Affine::new(Dense::new(n, m, v).ok()?, c).ok()?).ok()
        })
        .boxed()
}

/// The length of a step as a multiple of the longest one that circle contractivity proves (or that Euler's method has,
/// for a method without a radius): below it, at it, above it, and negative.
pub fn step_ratio() -> impl Strategy<Value = f64> {
    prop_oneof![
        2 => 0.0..1.0f64,
        2 => Just(1.0),
        1 => select(vec![1.0 + 1e-9, 1.01, 1.5, 3.0]),
        1 => select(vec![-0.1, -1.0]),
    ]
}

/// A flow of a gradient field by any explicit method, its steps below, at and above the limit of contractivity.
pub fn gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    (gradient_field::<T>(), explicit_tableau(), step_ratio(), any::<bool>(), 1..=3usize)
        .prop_filter_map("refused", |(field, tableau, ratio, relative, steps)| {
            flow(field, tableau, ratio, relative, steps)
        })
}

/// A flow of a gradient field by one method, its steps as those of [`gradient_flow`].
///
/// # Panics
/// If there is no method of this name.
pub fn gradient_flow_by<T: Scalar>(method: &str) -> impl Strategy<Value = Flow<T>> + use<T> {
    let tableau = Tableau::by_name(method).expect("the name of a method");
    (gradient_field::<T>(), step_ratio(), any::<bool>(), 1..=3usize)
        .prop_filter_map("refused", move |(field, ratio, relative, steps)| {
            flow(field, tableau.clone(), ratio, relative, steps)
        })
}

/// A flow whose steps have gradient fields of their own, its steps below, at and above the limit of contractivity.
pub fn varying_gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    (1..=4usize, 2..=3usize)
        .prop_flat_map(|(n, steps)| {
            let field = (1..=3usize)
                .prop_flat_map(move |m| (Just(m), matrix::<T>(m, n), bias::<T>(m), monotone_activation()))
                .prop_map(move |(m, w, b, a)| (m, n, w, b, a));
            (vec(field, steps), explicit_tableau(), step_ratio(), any::<bool>())
        })
        .prop_filter_map("refused", |(parts, tableau, ratio, relative)| {
            let mut fields: Vec<Box<dyn VectorField<T>>> = Vec::new();
            for (m, n, w, b, a) in parts {
                fields.push(Box::new(GradientField::new(Affine::new(Dense::new(m, n, w).ok()?, b).ok()?, a).ok()?));
            }
            let steps = fields.len();
            let relative = relative && ratio > 0.0 && ratio <= 1.0 && tableau.circle_radius().is_ok();
            let step = if relative { Step::Relative(ratio) } else { Step::Fixed(ratio) };
            let mut flow = Flow::boxed(fields, tableau, step, steps).ok()?;
            flow.seal(&Prover::default()).ok()?;
            Some(flow)
        })
}

/// A flow of [`steep_gradient_field`], its steps below, at and above the limit of contractivity.
pub fn steep_gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    (steep_gradient_field::<T>(), explicit_tableau(), step_ratio(), any::<bool>(), 1..=3usize)
        .prop_filter_map("refused", |(field, tableau, ratio, relative, steps)| {
            flow(field, tableau, ratio, relative, steps)
        })
}

/// A flow of a residual field by Euler's method and others, its steps moderate.
pub fn residual_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    let tableau = prop_oneof![3 => Just(Tableau::euler()), 1 => explicit_tableau()];
    (residual_field::<T>(), tableau, -1.5..1.5f64, 1..=2usize)
        .prop_filter_map("refused", |(field, tableau, h, steps)| Flow::new(field, tableau, Step::Fixed(h), steps).ok())
}

/// A flow of a residual field whose activation has a slope near the end of the exponent range, and whose outer map makes
/// up for it: values are moderate as long as nothing overflows on the way. Some steps have any magnitude.
pub fn steep_residual_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    let top = libm::ilogb(T::LARGEST);
    let tableau = prop_oneof![2 => Just(Tableau::euler()), 1 => explicit_tableau()];
    (1..=3usize, 1..=3usize)
        .prop_flat_map(|(n, m)| (Just((n, m)), vec(moderate::<T>(), m * n), vec(moderate::<T>(), n * m)))
        .prop_flat_map(move |maps| (Just(maps), top - 14..=top))
        .prop_flat_map(move |maps| {
            (Just(maps), tableau.clone(), prop_oneof![3 => -1.5..1.5f64, 1 => wide::<T>().prop_map(T::wide)])
        })
        .prop_filter_map("refused", |((((n, m), w, v), e), tableau, h)| {
            let inner = Affine::new(Dense::new(m, n, w).ok()?, None).ok()?;
            let outer = Affine::new(Dense::new(n, m, times_power(&v, -e)).ok()?, None).ok()?;
            let slope = libm::scalbn(1.0, e);
            let field = ResidualField::new(inner, Activation::LeakyRelu { slope }, outer).ok()?;
            Flow::new(field, tableau, Step::Fixed(h), 1).ok()
        })
}

/// A flow of a gradient field with so small weights that the longest steps are near the end of the exponent range: a
/// product of the step with a coefficient may overflow, and slopes are near the other end.
pub fn long_step_gradient_flow<T: Scalar>() -> impl Strategy<Value = Flow<T>> {
    let half = libm::ilogb(T::LARGEST) / 2;
    (1..=3usize, 1..=3usize)
        .prop_flat_map(|(m, n)| (Just((m, n)), vec(moderate::<T>(), m * n), vec(moderate::<T>(), m)))
        .prop_flat_map(move |map| (Just(map), half - 3..=half + 2, explicit_tableau(), step_ratio()))
        .prop_filter_map("refused", |(((m, n), w, b), e, tableau, ratio)| {
            let map = Affine::new(Dense::new(m, n, times_power(&w, -e)).ok()?, Some(times_power(&b, -e))).ok()?;
            flow(GradientField::new(map, Activation::Relu {}).ok()?, tableau, ratio, ratio < 1.0, 1)
        })
}

fn times_power<T: Scalar>(x: &[T], e: i32) -> Vec<T> {
    x.iter().map(|x| T::of(libm::scalbn(x.wide(), e))).collect()
}

/// The flow with a step of `ratio` times the limit: relative and sealed, where that is possible and asked for.
pub fn flow<T: Scalar>(
    field: GradientField<T>,
    tableau: Tableau,
    ratio: f64,
    relative: bool,
    steps: usize,
) -> Option<Flow<T>> {
    let radius = tableau.circle_radius();
    if relative && radius.is_ok() && ratio > 0.0 && ratio <= 1.0 {
        let mut flow = Flow::new(field, tableau, Step::Relative(ratio), steps).ok()?;
        flow.seal(&Prover::default()).ok()?;
        return Some(flow);
    }
    let claims = Prover::default().field(&field.describe(), field.shape()).ok()?.claims();
    let limit = claims.cocoercivity?.get() * 2.0 * radius.map_or(1.0, |r| r.get());
    let h = if limit.is_finite() { ratio * limit } else { ratio };
    Flow::new(field, tableau, Step::Fixed(T::round_down(h).wide()), steps).ok()
}
