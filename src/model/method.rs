//! The method of a flow: a name, or the coefficients themselves.

use num_bigint::BigInt;
use num_rational::BigRational;
use serde::{Deserialize, Serialize};

use super::exponential;
use crate::{
    error::{Error, Result},
    tableau::{Surd, Tableau},
};

/// A method: a Runge–Kutta method, by its name or by its coefficients as fractions, or one that treats the parts of a field
/// differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a method is its name, or its coefficients in fractions alone, as {\"a\": [[\"1/2\"]], \"b\": [\"1\"]}"
)]
pub enum Method {
    /// A method that is no Runge–Kutta method.
    Split(SplitMethod),
    /// One of [`Tableau::names`], or `ssprk<s>2`.
    Named(String),
    /// A method of one's own.
    Own(Fractions),
}

/// A method for fields of two parts, each of which has a solution in closed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SplitMethod {
    /// A kick of the momenta, then a drift of the positions: for Hamiltonian fields.
    SymplecticEuler,
    /// Half a kick, a drift, half a kick: for Hamiltonian fields, of order 2.
    StormerVerlet,
    /// The damping exactly, the rest by Euler's method: for dissipative fields.
    ExponentialEuler,
}

impl SplitMethod {
    /// Returns the name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::SymplecticEuler => "symplectic_euler",
            Self::StormerVerlet => "stormer_verlet",
            Self::ExponentialEuler => "exponential_euler",
        }
    }

    /// Returns `E = e^(−γh)` and `Φ = (1 − e^(−γh))/γ`, or `h` for `γ = 0`: the nearest numbers of `f64`, which stand for them in exact
    /// and in executed semantics alike.
    pub(crate) fn exponentials(damping: f64, h: f64) -> (f64, f64) {
        exponential::exponentials(damping, h)
    }
}

/// Coefficients as fractions: `"1/2"`, `"-3"`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fractions {
    /// The rows of `A`. What a row is short of is zero, and so are the rows that are missing at the beginning.
    pub a: Vec<Vec<String>>,
    /// The weights.
    pub b: Vec<String>,
}

/// The most stages of a method of one's own.
const MOST_STAGES: usize = 32;
/// The most bits of a numerator, of a denominator, and of the common denominator of all fractions: exact arithmetic with a matrix
/// of them has numbers of as many bits for each stage.
const MOST_BITS: u64 = 256;

impl Method {
    /// Returns the method, with its coefficients as exact numbers.
    ///
    /// # Errors
    /// [`Error::Tableau`] for a name that is unknown, and for coefficients that are no fractions or not consistent
    /// (`Σ bᵢ = 1`).
    pub fn tableau(&self) -> Result<Tableau> {
        match self {
            Self::Split(method) => {
                let reason = "it is no Runge–Kutta method".into();
                Err(Error::Tableau { name: method.name().into(), reason })
            }
            Self::Named(name) => Tableau::by_name(name),
            Self::Own(fractions) => fractions.tableau(),
        }
    }
}

impl Method {
    /// Returns whether it is the method of Cayley, which is the implicit midpoint rule for linear fields.
    pub(crate) fn is_cayley(&self) -> bool {
        matches!(self, Self::Named(name) if name == Tableau::CAYLEY)
    }
}

impl From<&Tableau> for Method {
    fn from(tableau: &Tableau) -> Self {
        let known = Tableau::by_name(tableau.name()).is_ok_and(|known| known == *tableau);
        match Fractions::of(tableau).filter(|_| !known) {
            Some(fractions) => Self::Own(fractions),
            None => Self::Named(tableau.name().into()),
        }
    }
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Split(method) => f.write_str(method.name()),
            Self::Named(name) => f.write_str(name),
            Self::Own(_) => f.write_str(OWN),
        }
    }
}

/// The name of every method that is given by its coefficients.
const OWN: &str = "own";

impl Fractions {
    /// Returns the coefficients of a method, if they are fractions.
    fn of(tableau: &Tableau) -> Option<Self> {
        let row = |row: &[Surd]| row.iter().map(|x| Some(x.rational()?.to_string())).collect::<Option<Vec<_>>>();
        Some(Self { a: tableau.a().iter().map(|a| row(a)).collect::<Option<_>>()?, b: row(tableau.b())? })
    }

    fn tableau(&self) -> Result<Tableau> {
        let refuse = |reason: String| Error::Tableau { name: OWN.into(), reason };
        let s = self.b.len();
        if s == 0 || s > MOST_STAGES || self.a.len() > s || self.a.iter().any(|row| row.len() > s) {
            return Err(refuse(format!(
                "it needs 1 to {MOST_STAGES} weights b, and at most as many rows and columns a"
            )));
        }
        let mut common = BigInt::from(1);
        let mut number = |text: &String| -> Result<Surd> {
            let x = fraction(text).ok_or_else(|| refuse(format!("{text:?} is no fraction")))?;
            // lcm(c, d) = c · d/gcd(c, d).
            common = &common * BigRational::new(common.clone(), x.denom().clone()).denom();
            match common.bits() > MOST_BITS {
                true => Err(refuse(format!("the common denominator of its fractions has more than {MOST_BITS} bits"))),
                false => Ok(x.into()),
            }
        };
        let mut row = |row: &[String]| -> Result<Vec<Surd>> {
            let mut row = row.iter().map(&mut number).collect::<Result<Vec<Surd>>>()?;
            row.resize(s, Surd::default());
            Ok(row)
        };
        // An explicit method may leave out its first row, which is empty.
        let missing = vec![vec![Surd::default(); s]; s - self.a.len()];
        let given = self.a.iter().map(|a| row(a)).collect::<Result<Vec<_>>>()?;
        let a: Vec<Vec<Surd>> = missing.into_iter().chain(given).collect();
        let c = a.iter().map(|row| row.iter().cloned().sum()).collect();
        Tableau::new(OWN, 1, a, row(&self.b)?, c)
    }
}

/// Returns a fraction of integers of moderate length.
fn fraction(text: &str) -> Option<BigRational> {
    let number = |text: &str| text.trim().parse::<BigInt>().ok().filter(|n| n.bits() <= MOST_BITS);
    let (n, d) = match text.split_once('/') {
        Some((n, d)) => (number(n)?, number(d)?),
        None => (number(text)?, BigInt::from(1)),
    };
    if d == BigInt::ZERO { None } else { Some(BigRational::new(n, d)) }
}
