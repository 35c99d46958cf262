//! The symplectic pair of a method, and the order of the two together, in exact arithmetic.

use crate::{
    error::{Error, Result},
    tableau::{Surd, Tableau},
};

/// The highest order whose conditions are listed.
const HIGHEST: usize = 4;

/// Returns the matrix `Â` of the method by which the costates of a process run, if the states run by this one.
///
/// ```math
/// \hat a_{ij} = b_j - \frac{b_j a_{ji}}{b_i}, \qquad b_i \hat a_{ij} + b_j a_{ji} = b_i b_j .
/// ```
///
/// The weights are `b` again, and the two together are a symplectic partitioned method. Exact, from the tableau.
///
/// # Errors
/// [`Error::Tableau`] if a weight is 0: then there is no such method, but the `Γ` of [`super::Costates`] exist all the same.
///
/// Source: Hager 2000, equation (12); Sanz-Serna 2016, theorem 3.3.
///
/// ```
/// use dahlquist::{control::symplectic_pair, tableau::{Surd, Tableau}};
/// // Euler's method for the states is the implicit one, a step back, for the costates.
/// assert_eq!(symplectic_pair(&Tableau::euler())?, [[Surd::from(1)]]);
/// assert!(symplectic_pair(&Tableau::midpoint()).is_err());
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub fn symplectic_pair(tableau: &Tableau) -> Result<Vec<Vec<Surd>>> {
    let (a, b, inverse) = (tableau.a(), tableau.b(), inverse_weights(tableau)?);
    let entry = |i: usize, j: usize| &b[j] - &(&(&b[j] * &a[j][i]) * &inverse[i]);
    Ok((0..b.len()).map(|i| (0..b.len()).map(|j| entry(i, j)).collect()).collect())
}

/// Returns the order, up to 4, of the method and its symplectic pair together: that of states, costates *and* controls
/// of an optimal control problem whose control is chosen at every stage.
///
/// Exact: every condition is an identity of the coefficients.
///
/// # Errors
/// [`Error::Tableau`] if a weight is 0.
///
/// ```
/// use dahlquist::{control::pair_order, tableau::Tableau};
/// assert_eq!(pair_order(&Tableau::rk4())?, 4);
/// // A method of order 3 whose costates are of order 2.
/// assert_eq!((Tableau::ssprk33().order(), pair_order(&Tableau::ssprk33())?), (3, 2));
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub fn pair_order(tableau: &Tableau) -> Result<usize> {
    inverse_weights(tableau)?;
    Ok((1..=HIGHEST).take_while(|&order| has_pair_order(tableau, order).is_ok()).last().unwrap_or(0))
}

/// Hager's order conditions up to `order`, which is at most 4, hold exactly: with `d = Aᵀb`,
///
/// | order | conditions beyond those below it |
/// |---|---|
/// | 1 | `Σ b = 1` |
/// | 2 | `Σ d = 1/2` |
/// | 3 | `Σ bc² = 1/3`, `Σ cd = 1/6`, `Σ d²/b = 1/3` |
/// | 4 | `Σ bc³ = 1/4`, `Σ bᵢcᵢaᵢⱼcⱼ = 1/8`, `Σ dc² = 1/12`, `Σ dᵢaᵢⱼcⱼ = 1/24`, `Σ cd²/b = 1/12`, `Σ d³/b² = 1/4`, `Σ bᵢcᵢaᵢⱼdⱼ/bⱼ = 5/24`, `Σ dᵢaᵢⱼdⱼ/bⱼ = 1/8` |
///
/// # Errors
/// [`Error::Tableau`] naming the first condition that fails, for a weight that is 0, or for an order that is not listed.
///
/// Source: Hager 2000, table 1.
pub fn has_pair_order(tableau: &Tableau, order: usize) -> Result<()> {
    let inverse = inverse_weights(tableau)?;
    let refuse = |reason: String| Err(Error::Tableau { name: tableau.name().into(), reason });
    if !(1..=HIGHEST).contains(&order) {
        return refuse(format!("the order {order} of a pair is not between 1 and {HIGHEST}"));
    }
    let (a, b, c) = (tableau.a(), tableau.b(), tableau.c());
    let s = 0..b.len();
    let d: Vec<Surd> = s.clone().map(|j| s.clone().map(|i| &b[i] * &a[i][j]).sum()).collect();
    // d/b, Σ_j a_ij c_j and Σ_j a_ij d_j/b_j.
    let q: Vec<Surd> = s.clone().map(|i| &d[i] * &inverse[i]).collect();
    let through = |v: &[Surd]| -> Vec<Surd> { a.iter().map(|row| dot(&[row, v])).collect() };
    let (ac, aq) = (through(c), through(&q));
    let conditions: [(usize, &str, Surd, (i64, i64)); 13] = [
        (1, "Σ b", b.iter().cloned().sum(), (1, 1)),
        (2, "Σ d", d.iter().cloned().sum(), (1, 2)),
        (3, "Σ bc²", dot(&[b, c, c]), (1, 3)),
        (3, "Σ cd", dot(&[c, &d]), (1, 6)),
        (3, "Σ d²/b", dot(&[&d, &q]), (1, 3)),
        (4, "Σ bc³", dot(&[b, c, c, c]), (1, 4)),
        (4, "Σ bᵢcᵢaᵢⱼcⱼ", dot(&[b, c, &ac]), (1, 8)),
        (4, "Σ dc²", dot(&[&d, c, c]), (1, 12)),
        (4, "Σ dᵢaᵢⱼcⱼ", dot(&[&d, &ac]), (1, 24)),
        (4, "Σ cd²/b", dot(&[c, &d, &q]), (1, 12)),
        (4, "Σ d³/b²", dot(&[&d, &q, &q]), (1, 4)),
        (4, "Σ bᵢcᵢaᵢⱼdⱼ/bⱼ", dot(&[b, c, &aq]), (5, 24)),
        (4, "Σ dᵢaᵢⱼdⱼ/bⱼ", dot(&[&d, &aq]), (1, 8)),
    ];
    for (_, name, sum, (n, m)) in conditions.into_iter().filter(|(p, ..)| *p <= order) {
        if sum != Surd::ratio(n, m)? {
            return refuse(format!("Hager's order condition {name} = {n}/{m} fails: it is {sum}"));
        }
    }
    Ok(())
}

/// Returns `Σ_i Π_k v_k,i`.
fn dot(factors: &[&[Surd]]) -> Surd {
    let product = |i: usize| factors.iter().fold(Surd::from(1), |product, v| &product * &v[i]);
    (0..factors[0].len()).map(product).sum()
}

/// Returns `1/b_i`.
fn inverse_weights(tableau: &Tableau) -> Result<Vec<Surd>> {
    let inverse = |(i, b): (usize, &Surd)| {
        let reason = format!("its weight b_{} is 0, so it has no symplectic pair", i + 1);
        b.recip().ok_or_else(|| Error::Tableau { name: tableau.name().into(), reason })
    };
    tableau.b().iter().enumerate().map(inverse).collect()
}
