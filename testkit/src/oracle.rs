//! An oracle that shares no arithmetic with the crate: exact numbers `n·2ᵉ/61215ᵈ`, and floats of 300 bits.
//!
//! Numbers of `f32` and `f64` and the coefficients of the explicit methods are exact; so are sums and products.
use std::{cmp::Ordering, sync::OnceLock};

use dahlquist::{
    activation::Activation,
    integrate::{Surd, Tableau},
    operator::{Affine, Operator},
    scalar::Scalar,
    tensor::Batch,
};
use dashu_float::{FBig, round::mode::HalfEven};
use num_bigint::BigInt;
use num_traits::{Signed, Zero};

/// What the oracle computes with.
pub trait Num: Clone + 'static {
    fn of(x: f64) -> Self;
    fn ratio(p: i64, q: i64) -> Self;
    fn plus(&self, other: &Self) -> Self;
    fn times(&self, other: &Self) -> Self;
    fn positive(&self) -> bool;
    fn minus(&self, other: &Self) -> Self {
        self.plus(&other.times(&Self::of(-1.0)))
    }
    fn at_most(&self, other: &Self) -> bool {
        !self.minus(other).positive()
    }
}

/// The odd primes in the denominators of explicit methods, and their product.
const PRIMES: [i64; 5] = [3, 5, 7, 11, 53];
const BASE: i64 = 61215;

/// `n·2ᵉ/61215ᵈ`.
#[derive(Clone, Debug)]
pub struct Exact {
    n: BigInt,
    e: i64,
    d: u32,
}

impl Exact {
    fn new(mut n: BigInt, mut e: i64, d: u32) -> Self {
        let zeros = n.trailing_zeros().unwrap_or(0);
        n >>= zeros;
        e += zeros as i64;
        if n.is_zero() {
            return Self { n, e: 0, d: 0 };
        }
        Self { n, e, d }
    }

    /// The exponent `e`: the number is an integer times `2ᵉ`, unless a denominator of 3 or 5 is left.
    pub fn exponent(&self) -> i64 {
        self.e
    }

    /// The number in units of `2ᵉ`, for an `e` at most [`Self::exponent`].
    pub fn in_units(&self, e: i64) -> BigInt {
        assert_eq!(self.d, 0, "not a binary number");
        &self.n << (self.e - e)
    }

    /// The exponent `k` with `2ᵏ ≤ |x| < 2ᵏ⁺¹`, or one next to it where a denominator is left; none of 0.
    pub fn magnitude(&self) -> Option<i64> {
        let denominator = BigInt::from(BASE).pow(self.d);
        (!self.n.is_zero()).then(|| self.n.bits() as i64 - denominator.bits() as i64 + self.e)
    }

    /// About `x/2ᵏ`, for a `k` that is not far below [`Self::magnitude`].
    pub fn in_powers_of_two(&self, k: i64) -> f64 {
        Self { e: self.e - k, ..self.clone() }.estimate()
    }

    /// About the number, for messages.
    pub fn estimate(&self) -> f64 {
        let bits = self.n.bits() as i64;
        let shift = (bits - 60).max(0);
        let head: i64 = (&self.n >> shift).try_into().unwrap_or(0);
        let power = (self.e + shift) as f64 - (BASE as f64).log2() * f64::from(self.d);
        (head as f64) * 2f64.powf(power)
    }
}

impl Num for Exact {
    fn of(x: f64) -> Self {
        assert!(x.is_finite());
        let bits = x.abs().to_bits();
        let (field, fraction) = ((bits >> 52) as i64, bits & ((1 << 52) - 1));
        let (m, e) = if field == 0 { (fraction, -1074) } else { (fraction | 1 << 52, field - 1075) };
        let n = BigInt::from(m);
        Self::new(if x < 0.0 { -n } else { n }, e, 0)
    }

    fn ratio(p: i64, q: i64) -> Self {
        let (mut p, mut rest, mut counts) = (BigInt::from(p), q, [0u32; 5]);
        for (prime, count) in PRIMES.iter().zip(&mut counts) {
            while rest % prime == 0 {
                rest /= prime;
                *count += 1;
            }
        }
        let e = rest.trailing_zeros();
        assert_eq!(rest >> e, 1, "a denominator with other primes than {PRIMES:?} and 2");
        let d = counts.into_iter().max().unwrap_or(0);
        for (prime, count) in PRIMES.iter().zip(counts) {
            p *= BigInt::from(*prime).pow(d - count);
        }
        Self::new(p, -i64::from(e), d)
    }

    fn plus(&self, other: &Self) -> Self {
        let (e, d) = (self.e.min(other.e), self.d.max(other.d));
        let lift = |x: &Self| (&x.n << (x.e - e)) * BigInt::from(BASE).pow(d - x.d);
        if self.n.is_zero() {
            return other.clone();
        }
        if other.n.is_zero() {
            return self.clone();
        }
        Self::new(lift(self) + lift(other), e, d)
    }

    fn times(&self, other: &Self) -> Self {
        Self::new(&self.n * &other.n, self.e + other.e, self.d + other.d)
    }

    fn positive(&self) -> bool {
        self.n.is_positive()
    }
}

/// A float of [`BITS`] bits.
pub type Real = FBig<HalfEven, 2>;
/// Its precision.
pub const BITS: usize = 300;

impl Num for Real {
    fn of(x: f64) -> Self {
        let exact = Real::try_from(if x == 0.0 { 0.0 } else { x }).unwrap();
        exact.with_precision(BITS).value()
    }
    fn ratio(p: i64, q: i64) -> Self {
        Self::of(p as f64) / Self::of(q as f64)
    }
    fn plus(&self, other: &Self) -> Self {
        self + other
    }
    fn times(&self, other: &Self) -> Self {
        self * other
    }
    fn positive(&self) -> bool {
        *self > Real::ZERO
    }
}

/// The numbers of a row, exactly.
pub fn row<N: Num, T: Scalar>(x: &[T]) -> Vec<N> {
    x.iter().map(|x| N::of(x.wide())).collect()
}

pub fn dot<N: Num>(x: &[N], y: &[N]) -> N {
    x.iter().zip(y).fold(N::of(0.0), |s, (x, y)| s.plus(&x.times(y)))
}

pub fn difference<N: Num>(x: &[N], y: &[N]) -> Vec<N> {
    x.iter().zip(y).map(|(x, y)| x.minus(y)).collect()
}

pub fn square<N: Num>(x: &[N]) -> N {
    dot(x, x)
}

/// An affine map, exactly.
#[derive(Clone, Debug)]
pub struct Matrix<N> {
    pub rows: Vec<Vec<N>>,
    pub bias: Vec<N>,
}

/// The values of `W` at the basis, row by row.
fn rows(operator: &dyn Operator<f64>) -> Vec<Vec<f64>> {
    let (input, output) = (operator.input(), operator.output());
    let mut basis = vec![0.0; input.len() * input.len()];
    (0..input.len()).for_each(|j| basis[j * input.len() + j] = 1.0);
    let mut columns = Batch::zeros(output, input.len());
    operator.apply(&Batch::new(input, basis).unwrap(), &mut columns);
    (0..output.len()).map(|i| (0..input.len()).map(|j| columns.sample(j)[i]).collect()).collect()
}

/// The rows of the matrix, to `f64`: several taps of a circular convolution may meet at one point.
pub fn matrix<T: Scalar>(map: &Affine<T>) -> Vec<Vec<f64>> {
    rows(map.widen().operator())
}

/// The rows of the matrix, exactly: which entries a weight goes to is found with that weight 1 and all others 0.
fn exact_rows<N: Num, T: Scalar>(map: &Affine<T>) -> Vec<Vec<N>> {
    let mut probe = map.widen();
    let weights: Vec<f64> = probe.operator().weight().to_vec();
    let zero = || vec![vec![N::of(0.0); map.operator().input().len()]; map.operator().output().len()];
    if weights.is_empty() {
        // Means over n points, 1/n of each, which no format holds exactly.
        let mean = |r: Vec<f64>| {
            r.iter().map(|&w| if w == 0.0 { N::of(0.0) } else { N::ratio(1, (1.0 / w).round() as i64) }).collect()
        };
        return rows(probe.operator()).into_iter().map(mean).collect();
    }
    let mut exact = zero();
    for (t, w) in weights.iter().enumerate() {
        let slot = &mut probe.parameters_mut()[0];
        slot.fill(0.0);
        slot[t] = 1.0;
        for (to, from) in exact.iter_mut().flatten().zip(rows(probe.operator()).iter().flatten()) {
            if *from != 0.0 {
                assert_eq!(*from, 1.0);
                *to = to.plus(&N::of(*w));
            }
        }
    }
    exact
}

impl<N: Num> Matrix<N> {
    pub fn of<T: Scalar>(map: &Affine<T>) -> Self {
        let rows: Vec<Vec<N>> = exact_rows(map);
        let bias = match map.bias() {
            None => vec![N::of(0.0); rows.len()],
            Some(b) => (0..rows.len()).map(|i| N::of(b[i / (rows.len() / b.len())].wide())).collect(),
        };
        Self { rows, bias }
    }

    pub fn apply(&self, x: &[N]) -> Vec<N> {
        self.rows.iter().zip(&self.bias).map(|(r, b)| dot(r, x).plus(b)).collect()
    }

    pub fn adjoint(&self, y: &[N]) -> Vec<N> {
        let entry = |j: usize| self.rows.iter().zip(y).fold(N::of(0.0), |s, (r, y)| s.plus(&r[j].times(y)));
        (0..self.rows[0].len()).map(entry).collect()
    }
}

/// A function of a number.
pub type Function<N> = Box<dyn Fn(&N) -> N>;

/// A piecewise linear activation, exactly; `None` for a smooth one.
pub fn piecewise<N: Num>(a: Activation) -> Option<Function<N>> {
    let slope = match a {
        Activation::Identity {} => 1.0,
        Activation::Relu {} => 0.0,
        Activation::LeakyRelu { slope } => slope,
        Activation::Abs {} => -1.0,
        Activation::Hardtanh { min, max } => {
            let [min, max] = [min, max].map(N::of);
            return Some(Box::new(move |z| {
                let z = if z.at_most(&max) { z } else { &max };
                if min.at_most(z) { z.clone() } else { min.clone() }
            }));
        }
        _ => return None,
    };
    let slope = N::of(slope);
    Some(Box::new(move |z| if z.positive() { z.clone() } else { z.times(&slope) }))
}

/// The exponential of 0 is a 1 of unlimited precision, which has no quotients.
fn limited(x: Real) -> Real {
    x.with_precision(BITS).value()
}

/// `1/√π`: `π` by Machin's formula, and Newton's iteration.
fn inverse_root_of_pi() -> &'static Real {
    static VALUE: OnceLock<Real> = OnceLock::new();
    VALUE.get_or_init(|| {
        let arctan_of_inverse = |n: f64| {
            let (square, mut power, mut sum) = (Real::of(n * n), &Real::of(1.0) / &Real::of(n), Real::of(0.0));
            for k in 0..250 {
                let term = &power / &Real::of(f64::from(2 * k + 1));
                sum = if k % 2 == 0 { sum + term } else { sum - term };
                power = &power / &square;
            }
            sum
        };
        let pi = Real::of(16.0) * arctan_of_inverse(5.0) - Real::of(4.0) * arctan_of_inverse(239.0);
        let mut y = Real::of(0.5);
        for _ in 0..12 {
            y = &y * (Real::of(1.5) - Real::of(0.5) * &pi * &y * &y);
        }
        y
    })
}

/// `erf t = (2/√π) e^(−t²) Σ 2ⁿ t^(2n+1)/(2n+1)!!`: all terms have one sign.
fn erf(t: &Real) -> Real {
    let square = t * t;
    let (mut term, mut sum) = (t.clone(), t.clone());
    let (bits, twice) = (Real::of(2f64.powi(-310)), &square + &square);
    for n in 1.. {
        term = &term * &twice / &Real::of(f64::from(2 * n + 1));
        sum = &sum + &term;
        if absolute(&term) <= absolute(&sum) * &bits {
            break;
        }
    }
    Real::of(2.0) * inverse_root_of_pi() * limited((-square).exp()) * sum
}

fn absolute(x: &Real) -> Real {
    if *x < Real::ZERO { -x } else { x.clone() }
}

/// Any activation in 300 bits. Far out, where a smooth function is its limit to 300 bits, it is that.
pub fn real(a: Activation) -> Function<Real> {
    let one = Real::of(1.0);
    let smooth = move |z: &Real| -> Real {
        let (zero, large) = (Real::of(0.0), Real::of(1000.0));
        let far = *z > large || -z > large;
        let up = *z > zero;
        match a {
            Activation::Tanh {} if far => {
                if up {
                    one.clone()
                } else {
                    -&one
                }
            }
            Activation::Sigmoid {} if far => {
                if up {
                    one.clone()
                } else {
                    zero
                }
            }
            Activation::Elu { .. } if up => z.clone(),
            Activation::Elu { alpha } if far => -Real::of(alpha),
            Activation::Elu { alpha } => Real::of(alpha) * limited(z.exp_m1()),
            Activation::Gelu {} if *z > Real::of(40.0) || -z > Real::of(40.0) => {
                if up {
                    z.clone()
                } else {
                    zero
                }
            }
            Activation::Gelu {} => {
                // t = z/√2, as z·(1/√2).
                let half = Real::of(0.5);
                let mut root = Real::of(std::f64::consts::FRAC_1_SQRT_2);
                for _ in 0..4 {
                    root = &root * (Real::of(1.5) - &root * &root);
                }
                half * z * (&one + &erf(&(z * &root)))
            }
            Activation::Softplus {} | Activation::Silu {} | Activation::GeluTanh {} | Activation::Mish {} if far => {
                if up {
                    z.clone()
                } else {
                    zero
                }
            }
            // tanh z = (e^{2z} − 1)/(e^{2z} + 1), stable for small z by exp_m1.
            Activation::Tanh {} => {
                let m = limited((z + z).exp_m1());
                &m / &(&m + &Real::of(2.0))
            }
            Activation::Sigmoid {} => &one / &(&one + &limited((-z).exp())),
            Activation::Silu {} => z / &(&one + &limited((-z).exp())),
            // x/(1 + e^(−2u)), far out where u³ would be of a million digits of exponents.
            Activation::GeluTanh {} if *z > Real::of(40.0) || -z > Real::of(40.0) => {
                if up {
                    z.clone()
                } else {
                    zero
                }
            }
            Activation::GeluTanh {} => {
                let root = Real::of(2.0).with_precision(BITS).value().sqrt() * inverse_root_of_pi();
                let a = Real::of(44715.0) / Real::of(1e6);
                let u = root * (z + &(a * z * z * z));
                z / &(&one + &limited((-(&u + &u)).exp()))
            }
            // tanh(ln(1 + y)) = y(y + 2)/(y(y + 2) + 2).
            Activation::Mish {} => {
                let y = limited(z.exp());
                let gate = &y * &(&y + &Real::of(2.0));
                z * &gate / &(&gate + &Real::of(2.0))
            }
            Activation::Hardswish {} if *z >= Real::of(3.0) => z.clone(),
            Activation::Hardswish {} if -z >= Real::of(3.0) => zero,
            Activation::Hardswish {} => z * &(z + &Real::of(3.0)) / Real::of(6.0),
            Activation::Softplus {} if up => z + &limited((-z).exp()).ln_1p(),
            _ => limited(z.exp()).ln_1p(),
        }
    };
    piecewise::<Real>(a).unwrap_or_else(|| Box::new(smooth))
}

/// The coefficients of an explicit method whose denominators have the primes 2, 3, 5, 7, 11 and 53, read off from their text.
pub struct Method<N> {
    pub a: Vec<Vec<N>>,
    pub b: Vec<N>,
}

impl<N: Num> Method<N> {
    pub fn of(tableau: &Tableau) -> Self {
        let number = |s: &Surd| {
            let text = s.to_string();
            let (p, q) = text.split_once('/').unwrap_or((&text, "1"));
            N::ratio(p.parse().unwrap(), q.parse().unwrap())
        };
        let row = |r: &Vec<Surd>| r.iter().map(number).collect();
        Self { a: tableau.a().iter().map(row).collect(), b: row(&tableau.b().to_vec()) }
    }

    /// `steps` steps of length `h`.
    pub fn flow(&self, field: &dyn Fn(&[N]) -> Vec<N>, h: &N, steps: usize, x: &[N]) -> Vec<N> {
        let combine = |x: &[N], weights: &[N], slopes: &[Vec<N>]| -> Vec<N> {
            let each = |c: usize| {
                let sum = weights.iter().zip(slopes).fold(N::of(0.0), |s, (w, k)| s.plus(&w.times(&k[c])));
                x[c].plus(&h.times(&sum))
            };
            (0..x.len()).map(each).collect()
        };
        (0..steps).fold(x.to_vec(), |x, _| {
            let mut slopes: Vec<Vec<N>> = Vec::new();
            for row in &self.a {
                slopes.push(field(&combine(&x, row, &slopes)));
            }
            combine(&x, &self.b, &slopes)
        })
    }
}

/// `−Wᵀσ(Wx + b)`.
pub fn gradient_field<'a, N: Num>(map: &'a Matrix<N>, sigma: &'a dyn Fn(&N) -> N) -> impl Fn(&[N]) -> Vec<N> + 'a {
    move |x| {
        let pulled: Vec<N> = map.apply(x).iter().map(|z| sigma(z).times(&N::of(-1.0))).collect();
        map.adjoint(&pulled)
    }
}

/// Singular values of a small matrix in 300 bits, ascending, by Jacobi's method on the columns.
pub fn singular_values(rows: &[Vec<Real>]) -> Vec<Real> {
    let n = rows[0].len();
    let mut columns: Vec<Vec<Real>> = (0..n).map(|j| rows.iter().map(|r| r[j].clone()).collect()).collect();
    let negligible = Real::of(2f64.powi(-250));
    for _ in 0..60 {
        let mut rotated = false;
        for i in 0..n {
            for j in i + 1..n {
                let (a, b, c) = (square(&columns[i]), square(&columns[j]), dot(&columns[i], &columns[j]));
                if &c * &c <= &a * &b * &negligible * &negligible {
                    continue;
                }
                rotated = true;
                let two = Real::of(2.0);
                let zeta = (&b - &a) / (&two * &c);
                let root = (Real::of(1.0) + &zeta * &zeta).sqrt();
                let t = if zeta >= Real::of(0.0) {
                    Real::of(1.0) / (&zeta + &root)
                } else {
                    Real::of(-1.0) / (&root - &zeta)
                };
                let cos = Real::of(1.0) / (Real::of(1.0) + &t * &t).sqrt();
                let sin = &cos * &t;
                let (front, back) = columns.split_at_mut(j);
                for (x, y) in front[i].iter_mut().zip(&mut back[0]) {
                    (*x, *y) = (&cos * &*x - &sin * &*y, &sin * &*x + &cos * &*y);
                }
            }
        }
        if !rotated {
            break;
        }
    }
    let mut values: Vec<Real> = columns.iter().map(|c| square(c).sqrt()).collect();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    values
}

/// About the largest singular value and its right singular vector, by power iteration in `f64` on the matrix scaled to
/// entries of at most 1.
pub fn top(rows: &[Vec<f64>]) -> Vec<f64> {
    let largest = rows.iter().flatten().fold(0.0f64, |a, x| a.max(x.abs())).max(f64::MIN_POSITIVE);
    let mut v: Vec<f64> = (0..rows[0].len()).map(|j| 1.0 + 0.37 * ((j * j + 3 * j) as f64 % 7.0)).collect();
    for _ in 0..400 {
        let y: Vec<f64> = rows.iter().map(|r| r.iter().zip(&v).map(|(w, v)| w / largest * v).sum()).collect();
        let z: Vec<f64> = (0..v.len()).map(|j| rows.iter().zip(&y).map(|(r, y)| r[j] / largest * y).sum()).collect();
        let size = z.iter().fold(0.0f64, |a, x| a.max(x.abs()));
        if size < 1e-300 {
            break;
        }
        v = z.iter().map(|z| z / size).collect();
    }
    v
}
