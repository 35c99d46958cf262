//! The stability function of a method on the imaginary axis, exactly.

use num_rational::BigRational;

use super::{coefficients::Tableau, exact::Surd};

/// `|R(iy)|² = N(w)/D(w)` with `w = y²`, for the stability function `R(z) = det(I − zA + z𝟙bᵀ)/det(I − zA)`.
///
/// A step of `x' = λx` is `R(hλ)x`. The coefficients are in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StabilityFunction {
    /// `N`.
    pub numerator: Vec<Surd>,
    /// `D`, with `D(0) = 1`.
    pub denominator: Vec<Surd>,
}

impl Tableau {
    /// Returns the stability function on the imaginary axis.
    pub fn stability_function(&self) -> StabilityFunction {
        self.remembered("stability function", || self.derived_function())
    }

    fn derived_function(&self) -> StabilityFunction {
        let s = self.stages();
        let shifted: Vec<Vec<Surd>> = (0..s).map(|i| (0..s).map(|j| &self.a[i][j] - &self.b[j]).collect()).collect();
        StabilityFunction {
            numerator: squared(&reversed_characteristic(&shifted)),
            denominator: squared(&reversed_characteristic(&self.a)),
        }
    }
}

/// Returns `det(I − zM)`, by the recursion of Faddeev and LeVerrier.
fn reversed_characteristic(m: &[Vec<Surd>]) -> Vec<Surd> {
    let (n, zero) = (m.len(), Surd::default());
    let mut coefficients = vec![Surd::from(1)];
    let mut power = m.to_vec();
    for k in 1..=n {
        let trace: Surd = (0..n).map(|i| power[i][i].clone()).sum();
        let share = Surd::from(BigRational::new((-1).into(), (k as i64).into()));
        let next = &share * &trace;
        (0..n).for_each(|i| power[i][i] = &power[i][i] + &next);
        let entry = |i: usize, j: usize| -> Surd {
            let pairs = m[i].iter().zip(&power).filter(|(x, row)| **x != zero && row[j] != zero);
            pairs.map(|(x, row)| x * &row[j]).sum()
        };
        power = (0..n).map(|i| (0..n).map(|j| entry(i, j)).collect()).collect();
        coefficients.push(next);
    }
    coefficients
}

/// Returns `|P(iy)|²` as a polynomial in `y²`: the square of the real part plus that of the imaginary one.
fn squared(p: &[Surd]) -> Vec<Surd> {
    let part = |first: usize| -> Vec<Surd> {
        let signed = |(j, x): (usize, &Surd)| if j % 2 == 0 { x.clone() } else { -x };
        p.iter().skip(first).step_by(2).enumerate().map(signed).collect()
    };
    let mut sum = vec![Surd::default(); p.len()];
    for (part, shift) in [(part(0), 0), (part(1), 1)] {
        for (i, x) in part.iter().enumerate() {
            for (j, y) in part.iter().enumerate() {
                sum[i + j + shift] = &sum[i + j + shift] + &(x * y);
            }
        }
    }
    sum
}
