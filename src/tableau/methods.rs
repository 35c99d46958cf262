//! The methods of this crate, by function and by name.

use num_rational::BigRational;

use super::{coefficients::Tableau, exact::Surd};
use crate::error::{Error, Result};

/// A row of fractions, as one writes it on paper.
macro_rules! row {
    ($($n:literal $(/ $d:literal)?),*) => { vec![$(q($n, 1 $(* $d)?)),*] };
}

/// An explicit method, written as on paper: the rows of `A` below its first, which is empty, then the weights.
macro_rules! explicit {
    ($name:literal, $order:literal, [$([$($a:tt)*]),*], $($b:tt)*) => {
        tableau($name, $order, vec![vec![], $(row![$($a)*]),*], row![$($b)*])
    };
}

/// Returns the fraction `n/d` of two literals, `d` other than 0.
fn q(n: i64, d: i64) -> Surd {
    BigRational::new(n.into(), d.into()).into()
}

/// Returns a method of this file: rows filled up with zeros, nodes from the row sums. The tests hold each to
/// [`Tableau::new`].
fn tableau(name: &str, order: usize, mut a: Vec<Vec<Surd>>, b: Vec<Surd>) -> Tableau {
    for row in &mut a {
        row.resize(b.len(), Surd::default());
    }
    let c = a.iter().map(|row| row.iter().cloned().sum()).collect();
    Tableau { name: name.into(), order, a, b, c }
}

/// The largest number of stages of [`Tableau::ssprk_s2`].
const MOST_STAGES: usize = 32;

/// A function without arguments.
type Method = fn() -> Tableau;

/// The names that a file may use, and their methods.
const METHODS: [(&str, Method); 19] = [
    ("euler", Tableau::euler),
    ("midpoint", Tableau::midpoint),
    ("heun", Tableau::heun),
    ("ralston2", Tableau::ralston2),
    ("ralston3", Tableau::ralston3),
    ("kutta3", Tableau::kutta3),
    ("heun3", Tableau::heun3),
    ("ssprk33", Tableau::ssprk33),
    ("ssprk43", Tableau::ssprk43),
    ("rk4", Tableau::rk4),
    ("three_eighths", Tableau::three_eighths),
    ("dopri5", Tableau::dopri5),
    ("implicit_euler", Tableau::implicit_euler),
    ("implicit_midpoint", Tableau::implicit_midpoint),
    ("trapezoid", Tableau::trapezoid),
    ("gauss2", Tableau::gauss2),
    ("radau_iia2", Tableau::radau_iia2),
    ("lobatto_iiic2", Tableau::lobatto_iiic2),
    ("sdirk2", Tableau::sdirk2),
];

impl Tableau {
    /// The name of [`Self::cayley`].
    pub(crate) const CAYLEY: &'static str = "cayley";

    /// Returns the names of all methods but those of the family `ssprk<s>2` ([`Self::ssprk_s2`]) and [`Self::cayley`].
    pub fn names() -> impl Iterator<Item = &'static str> {
        METHODS.iter().map(|(name, _)| *name)
    }

    /// Returns the method with a name of [`Self::names`], `cayley`, or `ssprk<s>2`: `ssprk102` has 10 stages.
    ///
    /// # Errors
    /// [`Error::Tableau`] for any other name, [`Error::Parameter`] for a number of stages outside of the family.
    pub fn by_name(name: &str) -> Result<Self> {
        if name == Self::CAYLEY {
            return Ok(Self::cayley());
        }
        if let Some((_, method)) = METHODS.iter().find(|(known, _)| *known == name) {
            return Ok(method());
        }
        let stages = name.strip_prefix("ssprk").and_then(|rest| rest.strip_suffix('2'));
        match stages.and_then(|s| s.parse::<usize>().ok()).filter(|s| format!("ssprk{s}2") == name) {
            Some(s) => Self::ssprk_s2(s),
            None => {
                let names = Self::names().collect::<Vec<_>>().join(", ");
                Err(Error::Tableau { name: name.into(), reason: format!("known are {names} and ssprk<s>2") })
            }
        }
    }

    /// Returns the explicit Euler method, order 1. Radius 1.
    pub fn euler() -> Self {
        explicit!("euler", 1, [], 1)
    }

    /// Returns the explicit midpoint rule of Runge, order 2. Not circle contractive: a weight is 0.
    pub fn midpoint() -> Self {
        explicit!("midpoint", 2, [[1 / 2]], 0, 1)
    }

    /// Returns the method of Heun, order 2, which is SSPRK(2,2). Radius 1.
    pub fn heun() -> Self {
        explicit!("heun", 2, [[1]], 1 / 2, 1 / 2)
    }

    /// Returns the method of Ralston with two stages, order 2. Radius `(√21 − 3)/2`.
    pub fn ralston2() -> Self {
        explicit!("ralston2", 2, [[2 / 3]], 1 / 4, 3 / 4)
    }

    /// Returns the method of Ralston with three stages, order 3. Radius `2√6 − 4`.
    pub fn ralston3() -> Self {
        explicit!("ralston3", 3, [[1 / 2], [0, 3 / 4]], 2 / 9, 1 / 3, 4 / 9)
    }

    /// Returns the method of Kutta with three stages, order 3. Radius 1/2.
    pub fn kutta3() -> Self {
        explicit!("kutta3", 3, [[1 / 2], [-1, 2]], 1 / 6, 2 / 3, 1 / 6)
    }

    /// Returns the method of Heun with three stages, order 3. Not circle contractive: a weight is 0.
    pub fn heun3() -> Self {
        explicit!("heun3", 3, [[1 / 3], [0, 2 / 3]], 1 / 4, 0, 3 / 4)
    }

    /// Returns the method of Shu and Osher with three stages, order 3. Radius 1.
    pub fn ssprk33() -> Self {
        explicit!("ssprk33", 3, [[1], [1 / 4, 1 / 4]], 1 / 6, 1 / 6, 2 / 3)
    }

    /// Returns the strong stability preserving method of order 3 with four stages. Radius 2. Source: Kraaijevanger
    /// 1991.
    pub fn ssprk43() -> Self {
        explicit!("ssprk43", 3, [[1 / 2], [1 / 2, 1 / 2], [1 / 6, 1 / 6, 1 / 6]], 1 / 6, 1 / 6, 1 / 6, 1 / 2)
    }

    /// Returns the strong stability preserving method of order 2 with `s` stages, `2 ≤ s ≤ 32`. Radius `s − 1`.
    ///
    /// `a_ij = 1/(s−1)` for `j < i`, `b_i = 1/s`. Source: Spiteri, Ruuth, SIAM J. Numer. Anal. 40 (2002).
    ///
    /// # Errors
    /// [`Error::Parameter`] for any other `s`.
    pub fn ssprk_s2(s: usize) -> Result<Self> {
        if !(2..=MOST_STAGES).contains(&s) {
            return Err(Error::parameter("stages", s, format!("ssprk<s>2 has from 2 to {MOST_STAGES} stages")));
        }
        let n = s as i64;
        let a = (0..s).map(|i| vec![q(1, n - 1); i]).collect();
        Ok(tableau(&format!("ssprk{s}2"), 2, a, vec![q(1, n); s]))
    }

    /// Returns the classical method of Runge and Kutta, order 4. Radius 1.
    pub fn rk4() -> Self {
        explicit!("rk4", 4, [[1 / 2], [0, 1 / 2], [0, 0, 1]], 1 / 6, 1 / 3, 1 / 3, 1 / 6)
    }

    /// Returns the 3/8 rule of Kutta, order 4. Radius `2√3 − 3`.
    pub fn three_eighths() -> Self {
        explicit!("three_eighths", 4, [[1 / 3], [-1 / 3, 1], [1, -1, 1]], 1 / 8, 3 / 8, 3 / 8, 1 / 8)
    }

    /// Returns the method of Dormand and Prince, its weights of order 5. Not circle contractive: weights are 0 and
    /// negative.
    pub fn dopri5() -> Self {
        explicit!(
            "dopri5",
            5,
            [
                [1 / 5],
                [3 / 40, 9 / 40],
                [44 / 45, -56 / 15, 32 / 9],
                [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729],
                [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656],
                [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84]
            ],
            35 / 384,
            0,
            500 / 1113,
            125 / 192,
            -2187 / 6784,
            11 / 84,
            0
        )
    }

    /// Returns the implicit Euler method, order 1. Radius ∞.
    pub fn implicit_euler() -> Self {
        tableau("implicit_euler", 1, vec![row![1]], row![1])
    }

    /// Returns the implicit midpoint rule, which is Gauss with one stage, order 2. Radius ∞.
    pub fn implicit_midpoint() -> Self {
        tableau("implicit_midpoint", 2, vec![row![1 / 2]], row![1])
    }

    /// Returns the implicit midpoint rule by the name that it has for skew linear fields `Kx`, the only ones that flows
    /// use it for: a step is the Cayley transform `(I − hK/2)⁻¹(I + hK/2)x`, an isometry.
    pub fn cayley() -> Self {
        tableau(Self::CAYLEY, 2, vec![row![1 / 2]], row![1])
    }

    /// Returns the trapezoidal rule, order 2. Radius 2.
    pub fn trapezoid() -> Self {
        tableau("trapezoid", 2, vec![row![0, 0], row![1 / 2, 1 / 2]], row![1 / 2, 1 / 2])
    }

    /// Returns the method of Gauss with two stages, `a₁₂, a₂₁ = 1/4 ∓ √3/6`, order 4. Radius ∞.
    pub fn gauss2() -> Self {
        let root = &q(1, 6) * &Surd::sqrt(3);
        let a = vec![vec![q(1, 4), &q(1, 4) - &root], vec![&q(1, 4) + &root, q(1, 4)]];
        tableau("gauss2", 4, a, row![1 / 2, 1 / 2])
    }

    /// Returns the method Radau IIA with two stages, order 3. Radius ∞.
    pub fn radau_iia2() -> Self {
        tableau("radau_iia2", 3, vec![row![5 / 12, -1 / 12], row![3 / 4, 1 / 4]], row![3 / 4, 1 / 4])
    }

    /// Returns the method Lobatto IIIC with two stages, order 2. Radius ∞.
    pub fn lobatto_iiic2() -> Self {
        tableau("lobatto_iiic2", 2, vec![row![1 / 2, -1 / 2], row![1 / 2, 1 / 2]], row![1 / 2, 1 / 2])
    }

    /// Returns the singly diagonally implicit method of Alexander with `γ = 1 − 1/√2`, order 2. Radius `4 + 3√2`.
    pub fn sdirk2() -> Self {
        let root = &q(1, 2) * &Surd::sqrt(2);
        let gamma = &q(1, 1) - &root;
        tableau("sdirk2", 2, vec![vec![gamma.clone()], vec![root.clone(), gamma.clone()]], vec![root, gamma])
    }
}
