//! Weights that are trained in another form: the optimizer moves a free matrix `M`, and `W = W(M)` is evaluated.
//!
//! | form | `W` | what it keeps, but for rounding |
//! |---|---|---|
//! | [`Form::UnitRows`] | the rows of `M`, each over its norm | every row has norm 1 |
//! | [`Form::OrthonormalRows`] | `L⁻¹M` with `LLᵀ = MMᵀ` | `WWᵀ = I`, or `WᵀW = I` for a tall matrix |
//! | [`Form::Cayley`] | the Cayley transform of a skew matrix made of `M` | the same, without a decomposition that can fail |
//! | [`Form::AlmostOrthogonal`] | `M·diag(Σ_k \|MᵀM\|_jk)^(−1/2)` | `‖W‖ ≤ 1` |
//! | [`Form::Spectral`] | `M` over an estimate of `‖M‖` | `‖W‖` is about 1 |
//!
//! The matrix of a convolution is that of its taps, `out × (in/groups · kernel height · kernel width)`: its rows are then
//! what has norm 1, not the operator.
//!
//! *Nothing that is proved rests on a form.* Forms are floating-point arithmetic that steers a training; a certificate is
//! about the weights `W` that came out of it, as every file holds them. Derivatives go through `W(M)`, in `f64`.
//!
//! A model file keeps the form and `M` beside `W`, so that training goes on after loading: [`crate::model::Trained`].

mod almost_orthogonal;
mod cayley;
mod orthonormal_rows;
mod spectral;
mod unit_rows;

use faer::{Mat, MatRef};

use crate::{
    error::{Error, Result},
    scalar::Scalar,
    tensor::cast,
};

/// How weights come from those that are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Each row over its norm. A row of zeros stays as it is.
    UnitRows,
    /// Rows that are orthonormal, or columns if there are fewer of these, by a Cholesky decomposition (Hu, Leino, Wang,
    /// Fredrikson, arXiv:2310.04431). A matrix without full rank is divided by its Frobenius norm instead.
    OrthonormalRows,
    /// The same by a Cayley transform: `[(I + A)⁻¹(I − A); −2V(I + A)⁻¹]` with `A = U − Uᵀ + VᵀV` for `M = [U; V]` (Trockman,
    /// Kolter, arXiv:2104.07167).
    Cayley,
    /// Columns over the roots of the row sums of `|MᵀM|` (Prach, Lampert, arXiv:2208.03160).
    AlmostOrthogonal,
    /// The matrix over its largest singular value, estimated by a power iteration that goes on from step to step (Miyato et
    /// al., arXiv:1802.05957).
    Spectral,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 5] =
        [Self::UnitRows, Self::OrthonormalRows, Self::Cayley, Self::AlmostOrthogonal, Self::Spectral];

    /// Returns the name of the form, as in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnitRows => "unit_rows",
            Self::OrthonormalRows => "orthonormal_rows",
            Self::Cayley => "cayley",
            Self::AlmostOrthogonal => "almost_orthogonal",
            Self::Spectral => "spectral",
        }
    }
}

/// Weights that another machine computed from the same free matrix may differ by this fraction of the largest: it may
/// round otherwise, and an inverse enlarges that.
const AGREEMENT: f64 = 1.0 / 65536.0;

/// A matrix that is trained, and the form of the one that is evaluated.
#[derive(Debug, Clone)]
pub(crate) struct Parametrized<T> {
    form: Form,
    direct: Vec<T>,
    rows: usize,
    /// About a right singular vector, for [`Form::Spectral`]; in the format of the network, so that a file holds it.
    power: Vec<T>,
}

impl<T: Scalar> Parametrized<T> {
    /// Creates a parametrization that begins at the weights of an operator, `rows` of them.
    ///
    /// # Errors
    /// [`Error::Parameter`] if there are no weights, or the rows do not divide them.
    pub fn new(form: Form, direct: Vec<T>, rows: usize) -> Result<Self> {
        if direct.is_empty() || rows == 0 || !direct.len().is_multiple_of(rows) {
            let reason = "only an operator with a matrix of weights can be parametrized";
            return Err(Error::parameter("operator", format!("{} weights in {rows} rows", direct.len()), reason));
        }
        let power = cast(&spectral::start(direct.len() / rows));
        Ok(Self { form, direct, rows, power })
    }

    /// Creates a parametrization that goes on from a free matrix and, for [`Form::Spectral`], a vector, whose weights are
    /// known.
    ///
    /// # Errors
    /// As [`Self::new`]; [`Error::Parameter`] if the form makes other weights of the free matrix.
    pub fn resumed(form: Form, direct: Vec<T>, power: Option<Vec<T>>, weight: &[T], rows: usize) -> Result<Self> {
        let mut resumed = Self::new(form, direct, rows)?;
        resumed.power = power.filter(|power| power.len() == resumed.power.len()).unwrap_or(resumed.power);
        let mut made = vec![T::zero(); resumed.direct.len()];
        resumed.write_weights(&mut made);
        let largest = weight.iter().fold(0.0, |a: f64, w| a.max(w.wide().abs()));
        let off = made.iter().zip(weight).map(|(a, b)| (a.wide() - b.wide()).abs());
        let agree = made.len() == weight.len() && off.fold(0.0, f64::max) <= AGREEMENT * largest;
        if agree && made.iter().all(|w| w.wide().is_finite()) {
            return Ok(resumed);
        }
        let reason = "the form makes other weights of its free matrix than those that are stored";
        Err(Error::parameter("form", form.name(), reason))
    }

    /// Returns the form.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Returns the vector that the power iteration has reached, for [`Form::Spectral`].
    pub fn vector(&self) -> Option<&[T]> {
        (self.form == Form::Spectral).then_some(&self.power[..])
    }

    /// Returns the free matrix `M`, row by row.
    pub fn direct(&self) -> &[T] {
        &self.direct
    }

    /// Returns the free matrix, to be changed.
    pub fn direct_mut(&mut self) -> &mut [T] {
        &mut self.direct
    }

    /// Writes `W(M)`; a power iteration goes on before that.
    pub fn explicit(&mut self, weight: &mut [T]) {
        if self.form == Form::Spectral {
            let wide = cast::<T, f64>(&self.direct);
            self.power = cast(&spectral::improved(self.matrix(&wide), &cast::<T, f64>(&self.power)));
        }
        self.write_weights(weight);
    }

    fn write_weights(&self, weight: &mut [T]) {
        let wide = cast::<T, f64>(&self.direct);
        let m = self.matrix(&wide);
        let w = match self.form {
            Form::UnitRows => unit_rows::explicit(m),
            Form::OrthonormalRows => orthonormal_rows::explicit(m),
            Form::Cayley => cayley::explicit(m),
            Form::AlmostOrthogonal => almost_orthogonal::explicit(m),
            Form::Spectral => spectral::explicit(m, &cast::<T, f64>(&self.power)),
        };
        write(w.as_ref(), weight);
    }

    /// Turns a gradient by `W` into the one by `M`, in place.
    pub fn pull_back(&self, gradient: &mut [T]) {
        let (wide, g) = (cast::<T, f64>(&self.direct), cast::<T, f64>(gradient));
        let (m, g) = (self.matrix(&wide), self.matrix(&g));
        let pulled = match self.form {
            Form::UnitRows => unit_rows::pull_back(m, g),
            Form::OrthonormalRows => orthonormal_rows::pull_back(m, g),
            Form::Cayley => cayley::pull_back(m, g),
            Form::AlmostOrthogonal => almost_orthogonal::pull_back(m, g),
            Form::Spectral => spectral::pull_back(m, g, &cast::<T, f64>(&self.power)),
        };
        write(pulled.as_ref(), gradient);
    }

    fn matrix<'a>(&self, numbers: &'a [f64]) -> MatRef<'a, f64> {
        MatRef::from_row_major_slice(numbers, self.rows, numbers.len() / self.rows)
    }
}

/// Writes a matrix row by row, rounded.
fn write<T: Scalar>(from: MatRef<'_, f64>, to: &mut [T]) {
    for (i, row) in to.chunks_mut(from.ncols()).enumerate() {
        row.iter_mut().enumerate().for_each(|(j, to)| *to = T::of(from[(i, j)]));
    }
}

/// Runs a map of wide matrices on a tall one, by its transpose.
fn wide(m: MatRef<'_, f64>, run: impl FnOnce(MatRef<'_, f64>) -> Mat<f64>) -> Mat<f64> {
    if m.nrows() <= m.ncols() { run(m) } else { run(m.transpose()).transpose().to_owned() }
}

/// Returns `⟨A, B⟩ = Σ aᵢⱼbᵢⱼ`.
fn inner(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> f64 {
    (0..a.ncols()).map(|j| (0..a.nrows()).map(|i| a[(i, j)] * b[(i, j)]).sum::<f64>()).sum()
}
