//! Affine maps in plain numbers, as matrices: dense, or the entries that are not 0.

use faer::{Accum, Mat, MatMut, MatRef};

use crate::{
    layer::Reshape,
    model::{Conv2d, Linear, Tensor, units},
    rigor::torus::PaddingMode,
    scalar::gemm,
    tensor::Shape,
};

/// Rows of coefficients, one number for each coordinate that they are about, coordinate by coordinate.
#[derive(Debug, Clone)]
pub(super) struct Coefficients {
    /// The number of rows.
    pub(super) rows: usize,
    columns: usize,
    data: Vec<f64>,
}

impl Coefficients {
    pub(super) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, data: vec![0.0; rows * columns] }
    }

    /// Returns the number of coordinates.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// Returns what each row says about a coordinate.
    #[inline]
    pub(super) fn column(&self, j: usize) -> &[f64] {
        &self.data[j * self.rows..(j + 1) * self.rows]
    }

    #[inline]
    pub(super) fn column_mut(&mut self, j: usize) -> &mut [f64] {
        &mut self.data[j * self.rows..(j + 1) * self.rows]
    }

    /// Returns all of them `c` times, each product rounded.
    pub(super) fn scaled(&self, c: f64) -> Self {
        Self { rows: self.rows, columns: self.columns, data: self.data.iter().map(|x| c * x).collect() }
    }

    /// Some of the rows.
    pub(super) fn only(&self, rows: &[usize]) -> Self {
        let column = |j: usize| rows.iter().map(move |&r| self.column(j)[r]);
        Self { rows: rows.len(), columns: self.columns, data: (0..self.columns).flat_map(column).collect() }
    }

    /// Returns one row.
    pub(super) fn row(&self, r: usize) -> Vec<f64> {
        (0..self.columns).map(|j| self.data[j * self.rows + r]).collect()
    }

    /// Returns whether a row depends on a coordinate. A NaN is no zero.
    fn is_used(&self, j: usize) -> bool {
        self.column(j).iter().any(|x| *x != 0.0)
    }

    fn as_ref(&self) -> MatRef<'_, f64> {
        MatRef::from_column_major_slice(&self.data, self.rows, self.columns)
    }

    fn as_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_column_major_slice_mut(&mut self.data, self.rows, self.columns)
    }
}

/// A matrix, each entry within two roundings of what is meant.
#[derive(Debug, Clone)]
pub(super) enum Matrix {
    /// All entries, `out × in`.
    Dense(Mat<f64>),
    /// Row by row the entries that are not 0. An entry may be given in parts, which add up.
    Sparse {
        /// The number of columns.
        columns: usize,
        /// For each row, columns and entries.
        rows: Vec<Vec<(usize, f64)>>,
    },
}

impl Matrix {
    /// Returns the matrix that takes each coordinate that comes out from one that goes in, or is 0 there.
    pub(super) fn selection(columns: usize, sources: impl IntoIterator<Item = Option<usize>>) -> Self {
        let row = |source: Option<usize>| source.map(|j| (j, 1.0)).into_iter().collect();
        Self::Sparse { columns, rows: sources.into_iter().map(row).collect() }
    }

    /// Creates a diagonal matrix.
    pub(super) fn diagonal(entries: impl IntoIterator<Item = f64>) -> Self {
        let rows: Vec<Vec<(usize, f64)>> = entries.into_iter().enumerate().map(|(i, d)| vec![(i, d)]).collect();
        Self::Sparse { columns: rows.len(), rows }
    }

    /// Returns the number of rows: of what comes out.
    pub(super) fn outputs(&self) -> usize {
        match self {
            Self::Dense(w) => w.nrows(),
            Self::Sparse { rows, .. } => rows.len(),
        }
    }

    /// Returns the number of columns: of what goes in.
    pub(super) fn inputs(&self) -> usize {
        match self {
            Self::Dense(w) => w.ncols(),
            Self::Sparse { columns, .. } => *columns,
        }
    }

    /// Returns the largest number of parts that one entry may have.
    pub(super) fn most_parts(&self) -> usize {
        match self {
            Self::Dense(_) => 1,
            Self::Sparse { rows, .. } => rows.iter().map(Vec::len).max().unwrap_or(0),
        }
    }

    /// Returns the number of entries that are held.
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Dense(w) => w.nrows() * w.ncols(),
            Self::Sparse { rows, .. } => rows.iter().map(Vec::len).sum(),
        }
    }

    /// Returns the number of products of a row of coefficients with the matrix, a product of a sparse one counting
    /// eightfold.
    pub(super) fn products(&self) -> usize {
        match self {
            Self::Dense(_) => self.entries(),
            Self::Sparse { .. } => 8 * self.entries(),
        }
    }

    pub(super) fn is_finite(&self) -> bool {
        match self {
            Self::Dense(w) => w.col_iter().all(|column| column.iter().all(|x| x.is_finite())),
            Self::Sparse { rows, .. } => rows.iter().flatten().all(|(_, x)| x.is_finite()),
        }
    }

    pub(super) fn transposed(&self) -> Self {
        match self {
            Self::Dense(w) => Self::Dense(w.transpose().to_owned()),
            Self::Sparse { columns, rows } => {
                let mut turned = vec![Vec::new(); *columns];
                for (i, row) in rows.iter().enumerate() {
                    row.iter().for_each(|&(j, x)| turned[j].push((i, x)));
                }
                Self::Sparse { columns: rows.len(), rows: turned }
            }
        }
    }

    /// Calls `visit(column, entry)` for the entries of a row.
    #[inline]
    pub(super) fn row(&self, i: usize, mut visit: impl FnMut(usize, f64)) {
        match self {
            Self::Dense(w) => (0..w.ncols()).for_each(|j| visit(j, w[(i, j)])),
            Self::Sparse { rows, .. } => rows[i].iter().for_each(|&(j, x)| visit(j, x)),
        }
    }

    /// Returns `ΛW` for rows `Λ` of coefficients, and the largest number of products that one of its entries is the sum
    /// of.
    pub(super) fn pull(&self, lambda: &Coefficients) -> (Coefficients, usize) {
        let mut product = Coefficients::zeros(lambda.rows, self.inputs());
        match self {
            Self::Dense(w) => {
                // Coordinates that no row depends on, such as those of neurons that are off, cost nothing.
                let used: Vec<usize> = (0..w.nrows()).filter(|&i| lambda.is_used(i)).collect();
                if 4 * used.len() < 3 * w.nrows() {
                    let mut left = Coefficients::zeros(lambda.rows, used.len());
                    used.iter().enumerate().for_each(|(k, &i)| left.column_mut(k).copy_from_slice(lambda.column(i)));
                    let right = Mat::from_fn(used.len(), w.ncols(), |k, j| w[(used[k], j)]);
                    gemm(product.as_mut(), Accum::Replace, left.as_ref(), right.as_ref());
                } else {
                    gemm(product.as_mut(), Accum::Replace, lambda.as_ref(), w.as_ref());
                }
                (product, used.len())
            }
            Self::Sparse { columns, rows } => {
                let mut terms = vec![0; *columns];
                for (i, row) in rows.iter().enumerate() {
                    if !lambda.is_used(i) {
                        continue;
                    }
                    for &(j, x) in row {
                        terms[j] += 1;
                        product.column_mut(j).iter_mut().zip(lambda.column(i)).for_each(|(sum, c)| *sum += c * x);
                    }
                }
                (product, terms.into_iter().max().unwrap_or(0))
            }
        }
    }

    /// Returns `hWᵀ`, where each row of `h` is a point.
    pub(super) fn apply(&self, h: &Coefficients) -> Coefficients {
        let mut product = Coefficients::zeros(h.rows, self.outputs());
        match self {
            Self::Dense(w) => gemm(product.as_mut(), Accum::Replace, h.as_ref(), w.transpose()),
            Self::Sparse { rows, .. } => {
                for (i, row) in rows.iter().enumerate() {
                    for &(j, x) in row {
                        product.column_mut(i).iter_mut().zip(h.column(j)).for_each(|(sum, h)| *sum += h * x);
                    }
                }
            }
        }
        product
    }

    /// Returns the matrix and the bias of an affine map; none for one that is too large.
    pub(super) fn new(linear: &Linear, input: Shape, largest: usize) -> Option<(Self, Vec<f64>)> {
        let output = linear.output(input).ok()?;
        let (n, points) = (input.len(), input.points());
        let per_channel = |bias: &Option<Tensor>| match bias {
            Some(bias) => {
                let bias = bias.wide();
                (0..output.len()).map(|i| bias[i / output.points()]).collect()
            }
            None => vec![0.0; output.len()],
        };
        let (matrix, bias) = match linear {
            Linear::Dense { weight, bias } => {
                if weight.count() > largest {
                    return None;
                }
                (Self::Dense(weight.matrix()), per_channel(bias))
            }
            Linear::Conv2d(conv) => (convolution(conv, input, output, largest)?, per_channel(&conv.bias)),
            Linear::Normalize { mean, std } => {
                // A quotient that underflows is off by more than two roundings.
                let small =
                    |(mean, std): (&f64, &f64)| !(1.0 / std).is_normal() || *mean != 0.0 && !(mean / std).is_normal();
                if mean.iter().zip(std).any(small) {
                    return None;
                }
                let bias = (0..n).map(|i| -mean[i / points] / std[i / points]).collect();
                (Self::diagonal((0..n).map(|i| 1.0 / std[i / points])), bias)
            }
            Linear::ChannelAffine { scale, shift } => {
                let scale = scale.wide();
                (Self::diagonal((0..n).map(|i| scale[i / points])), per_channel(shift))
            }
            Linear::AvgPool(pooling) => {
                let share = 1.0 / pooling.area() as f64;
                let (windows, mut rows) = (output.points(), vec![Vec::new(); output.len()]);
                for channel in 0..units(input) {
                    pooling.visit(input, output, |window, point| {
                        rows[channel * windows + window].push((channel * points + point, share));
                    });
                }
                (Self::Sparse { columns: n, rows }, vec![0.0; output.len()])
            }
            Linear::GlobalAvgPool {} => {
                let share = 1.0 / points as f64;
                let row = |channel: usize| (0..points).map(|point| (channel * points + point, share)).collect();
                (Self::Sparse { columns: n, rows: (0..units(input)).map(row).collect() }, vec![0.0; output.len()])
            }
            moved => {
                let mut sources = vec![None; output.len()];
                Reshape::described(moved, input).ok()?.visit(|from, to| sources[to] = Some(from));
                (Self::selection(n, sources), vec![0.0; output.len()])
            }
        };
        (matrix.is_finite() && bias.iter().all(|x: &f64| x.is_finite())).then_some((matrix, bias))
    }
}

/// Returns the entries of a convolution. Where several taps read one point of a small circular image, its entry is in
/// parts.
fn convolution(conv: &Conv2d, input: Shape, output: Shape, largest: usize) -> Option<Matrix> {
    let (outputs, inputs) = conv.channels(input).ok()?;
    let ([ay, ax], weight) = (conv.axes(input).ok()?, conv.weight.wide());
    let &[_, per_group, ky, kx] = conv.weight.shape() else { return None };
    let (Shape::Image { height, width, .. }, Shape::Image { height: rows, width: columns, .. }) = (input, output)
    else {
        return None;
    };
    if output.len().checked_mul(per_group * ky * kx).is_none_or(|entries| entries > largest) {
        return None;
    }
    let read = |at: usize, tap: usize, spread: usize, stride: usize, padding: usize, n: usize| {
        let place = (at * stride + tap * spread) as isize - padding as isize;
        match conv.padding_mode {
            PaddingMode::Circular => Some(place.rem_euclid(n as isize) as usize),
            PaddingMode::Zeros => usize::try_from(place).ok().filter(|&place| place < n),
        }
    };
    let [dy, dx] = conv.dilation.0;
    let mut entries = Vec::with_capacity(output.len());
    for o in 0..outputs {
        let first = o / (outputs / conv.groups) * per_group;
        for (i, j) in (0..rows).flat_map(|i| (0..columns).map(move |j| (i, j))) {
            let mut row = Vec::with_capacity(per_group * ky * kx);
            for (a, b) in (0..ky).flat_map(|a| (0..kx).map(move |b| (a, b))) {
                let y = read(i, a, dy, ay.stride, ay.padding, height);
                let x = read(j, b, dx, ax.stride, ax.padding, width);
                let (Some(y), Some(x)) = (y, x) else { continue };
                for c in 0..per_group {
                    let entry = weight[((o * per_group + c) * ky + a) * kx + b];
                    if entry != 0.0 {
                        row.push((((first + c) * height + y) * width + x, entry));
                    }
                }
            }
            entries.push(row);
        }
    }
    Some(Matrix::Sparse { columns: inputs * height * width, rows: entries })
}
