//! The lengths of steps as controls: a simplex of them, below the cap that keeps each step stable.

use super::{Cost, Process};
use crate::{
    error::{Error, Result},
    field::VectorField,
    rules::Prover,
    scalar::Scalar,
    tableau::Tableau,
    tensor::Batch,
};

/// Returns the longest lengths that keep each step non-expansive: `2rν_n` with the proved cocoercivity of its field,
/// rounded down to `T`.
///
/// Fields are one for all of `steps` steps, or one for each. Exact semantics.
///
/// # Errors
/// As [`Prover::longest_step`], for instance for a field that is not proved to be cocoercive.
pub fn stable_lengths<T: Scalar>(
    prover: &Prover,
    fields: &[&dyn VectorField<T>],
    tableau: &Tableau,
    steps: usize,
) -> Result<Vec<f64>> {
    let longest = |field: &&dyn VectorField<T>| -> Result<f64> {
        let longest = prover.longest_step(&field.describe(), field.shape(), tableau)?.get();
        Ok(T::round_down(longest).wide())
    };
    let each: Vec<f64> = fields.iter().map(longest).collect::<Result<_>>()?;
    match each[..] {
        [one] => Ok(vec![one; steps]),
        _ if each.len() == steps => Ok(each),
        _ => {
            Err(Error::parameter("fields", each.len(), format!("there is one field, or one for each of {steps} steps")))
        }
    }
}

/// Returns the lengths that are nearest to `lengths`, not negative, not above their caps, and of the sum `total`.
///
/// ```math
/// \arg\min \{\|h - v\| : 0 \le h_n \le c_n,\ \textstyle\sum h_n = T\} = \min(\max(v_n - τ, 0), c_n)
/// ```
///
/// with the `τ` for which the sum is `T`: it is found by bisection. No cap is exceeded, exactly; the sum is `T` but for rounding.
///
/// # Errors
/// [`Error::Length`] if there is not one cap for each; [`Error::NotFinite`] for a length that is not finite;
/// [`Error::Parameter`] for a negative cap or time, or caps whose sum is below it: this number of steps cannot be stable.
///
/// Source: Held, Wolfe, Crowder, *Validation of subgradient optimization*, Math. Program. 6 (1974).
///
/// ```
/// use dahlquist::control::project_lengths;
/// let h = project_lengths(&[0.75, 0.5, -1.0], 1.0, &[0.5, 1.0, 1.0])?;
/// assert!(h[0] == 0.5 && (h[1] - 0.5).abs() < 1e-15 && h[2] == 0.0);
/// assert!(project_lengths(&[1.0, 1.0], 3.0, &[1.0, 1.0]).is_err());
/// # Ok::<(), dahlquist::Error>(())
/// ```
pub fn project_lengths(lengths: &[f64], total: f64, caps: &[f64]) -> Result<Vec<f64>> {
    if caps.len() != lengths.len() {
        return Err(Error::Length { what: "caps of steps".into(), expected: lengths.len(), found: caps.len() });
    }
    crate::tensor::finite("lengths of steps", lengths)?;
    if let Some(cap) = caps.iter().find(|cap| cap.is_nan() || **cap < 0.0) {
        return Err(Error::parameter("cap", cap, "the cap of a step is not negative"));
    }
    let most: f64 = caps.iter().sum();
    if !(0.0..=most).contains(&total) || !total.is_finite() {
        return Err(Error::parameter("total", total, format!("steps up to their caps have at most a time of {most}")));
    }
    let at = |tau: f64| -> Vec<f64> { lengths.iter().zip(caps).map(|(v, c)| (v - tau).max(0.0).min(*c)).collect() };
    let extreme = |f: fn(f64, f64) -> f64| lengths.iter().copied().fold(lengths.first().copied().unwrap_or(0.0), f);
    // At the lower end every length is its cap or more than the total, at the upper end all are 0.
    let (mut low, mut high) = (extreme(f64::min) - 2.0 * total, extreme(f64::max));
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        let sum = at(middle).iter().sum::<f64>();
        if sum == total {
            return Ok(at(middle));
        }
        if sum > total { low = middle } else { high = middle }
    }
    let off = |tau: f64| (at(tau).iter().sum::<f64>() - total).abs();
    Ok(at(if off(low) < off(high) { low } else { high }))
}

/// How the lengths of steps are searched for.
#[derive(Debug, Clone, PartialEq)]
pub struct LengthSearch {
    /// The whole time `T = Σ h_n`.
    pub total: f64,
    /// The largest length of each step, such as [`stable_lengths`].
    pub caps: Vec<f64>,
    /// How many gradients are computed at most.
    pub iterations: usize,
}

/// Lengths of steps that lower the cost of a process, by projected gradient steps with halving: no cap is exceeded, exactly, and
/// the cost never grows, as executed. Returns the lengths and the cost after each accepted step, the first before any.
///
/// It starts from equal lengths, as near to them as the caps allow. A local search: it need not find the least cost.
///
/// # Errors
/// As [`Process::new`], [`Process::costates`] and [`project_lengths`].
pub fn optimal_lengths<T: Scalar>(
    search: &LengthSearch,
    fields: &[&dyn VectorField<T>],
    tableau: &Tableau,
    x: &Batch<T>,
    cost: &dyn Cost<T>,
) -> Result<(Vec<T>, Vec<f64>)> {
    let LengthSearch { total, caps, iterations } = search;
    // A cap is a number of T, or the lengths are rounded down below it.
    let project = |v: &[f64]| -> Result<Vec<T>> {
        Ok(project_lengths(v, *total, caps)?.into_iter().map(T::round_down).collect())
    };
    let evaluate = |lengths: &[T]| {
        let process = Process::new(fields.to_vec(), tableau, lengths.to_vec())?;
        process.costates(&process.states(x)?, cost)
    };
    let mut lengths = project(&vec![total / caps.len().max(1) as f64; caps.len()])?;
    let mut known = evaluate(&lengths)?;
    let (mut costs, mut rate) = (vec![known.cost()], f64::NAN);
    for _ in 0..*iterations {
        let gradient: Vec<f64> = known.lengths().iter().map(|g| g.wide()).collect();
        let steepest = gradient.iter().fold(0.0f64, |a, g| a.max(g.abs()));
        if steepest == 0.0 {
            break;
        }
        // The first step moves a length by no more than its share of the time.
        rate = if rate.is_nan() { total / caps.len() as f64 / steepest } else { 2.0 * rate };
        let mut moved = false;
        for _ in 0..40 {
            let target: Vec<f64> = lengths.iter().zip(&gradient).map(|(h, g)| h.wide() - rate * g).collect();
            let next = project(&target)?;
            let found = evaluate(&next)?;
            if found.cost() < known.cost() {
                (lengths, known, moved) = (next, found, true);
                costs.push(known.cost());
                break;
            }
            rate /= 2.0;
        }
        if !moved {
            break;
        }
    }
    Ok((lengths, costs))
}
