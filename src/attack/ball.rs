//! The set that an attack may move in: a ball around the sample, and the range of the pixels.

pub use crate::certificate::Norm;
use crate::{
    error::{Error, Result},
    rigor::directed::{U, add_down, add_up, mul_up, norm_up, sub_down, sub_up},
    scalar::Scalar,
};

impl Norm {
    /// Returns an upper bound of the exact distance `‖y − x‖`, by outward rounding; infinite if a difference is NaN.
    ///
    /// Extra entries of the longer slice are not looked at.
    pub fn distance_up<T: Scalar>(self, x: &[T], y: &[T]) -> f64 {
        let pairs = x.iter().zip(y).map(|(x, y)| (x.wide(), y.wide()));
        match self {
            // Each difference is rounded once, relatively by u at most: (1 + u) ‖fl(y − x)‖ and a little more.
            Self::L2 => mul_up(norm_up(&pairs.map(|(x, y)| y - x).collect::<Vec<_>>()), 1.0 + 4.0 * U),
            Self::Linf => pairs.fold(0.0, |largest, (x, y)| {
                let d = sub_up(y, x).abs().max(sub_down(y, x).abs());
                if d.is_nan() { f64::INFINITY } else { largest.max(d) }
            }),
        }
    }
}

/// The inputs within `eps` of a sample that lie in a range: `{x' : ‖x' − x‖ ≤ ε, lo ≤ x'ᵢ ≤ hi}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ball {
    norm: Norm,
    eps: f64,
    range: Option<[f64; 2]>,
}

impl Ball {
    /// Creates a ball of radius `eps ≥ 0`, cut by the range `[lo, hi]` of every coordinate if there is one.
    ///
    /// # Errors
    /// [`Error::Parameter`] if `eps` is negative, NaN or infinite, or the range is empty or holds a NaN.
    pub fn new(norm: Norm, eps: f64, range: Option<[f64; 2]>) -> Result<Self> {
        if !(eps.is_finite() && eps >= 0.0) {
            return Err(Error::parameter("eps", eps, "a radius must be a finite number that is not negative"));
        }
        if let Some([lo, hi]) = range.filter(|[lo, hi]| lo.partial_cmp(hi).is_none_or(|order| order.is_gt())) {
            return Err(Error::parameter("range", format!("[{lo}, {hi}]"), "a range goes from low to high"));
        }
        Ok(Self { norm, eps, range })
    }

    /// Returns the radius.
    pub fn eps(&self) -> f64 {
        self.eps
    }

    /// Returns the norm.
    pub fn norm(&self) -> Norm {
        self.norm
    }

    /// Returns whether the sample itself lies in the range, or as near to it as pixels of 8 bits cannot tell.
    ///
    /// Pixels that were normalized and taken back, or resized, may lie outside by a rounding error. Whoever gives a
    /// range to samples of other units is to hear of it.
    pub fn admits<T: Scalar>(&self, x: &[T]) -> bool {
        let Some(range) = self.range else { return true };
        x.iter().all(|x| nearly(range, x.wide()))
    }

    /// Writes to `to` the point of the ball that is nearest to `x + v`, rounded towards the sample `x`; `v` becomes the
    /// displacement before that rounding. The result is in the ball, and where `x` lies in the range, in the range, both
    /// exactly; where it does not, between `x` and the range or in it.
    ///
    /// For ℓ_∞ both constraints are on coordinates. For ℓ2 the optimality conditions give `dᵢ = clip(s·vᵢ)` with the
    /// largest `s ≤ 1` for which `‖d‖ ≤ ε`. `‖d‖²` is concave, increasing and piecewise linear in `t = s²`, so Newton's
    /// method from the left reaches the root after finitely many steps, and every iterate is feasible.
    pub fn project<T: Scalar>(&self, x: &[T], v: &mut [f64], to: &mut [T]) {
        let room =
            |x: T| self.range.map_or([f64::NEG_INFINITY, f64::INFINITY], |[lo, hi]| [lo - x.wide(), hi - x.wide()]);
        // An order of `max` and `min` that never panics and turns a NaN into no displacement.
        let clip = |v: f64, [lo, hi]: [f64; 2]| if v.is_nan() { 0.0 } else { v.min(hi.max(0.0)).max(lo.min(0.0)) };
        match self.norm {
            Norm::Linf => v.iter_mut().zip(x).for_each(|(v, &x)| *v = clip(v.clamp(-self.eps, self.eps), room(x))),
            Norm::L2 => {
                // Room for the roundings below, so that the check at the end passes at once.
                let eps = self.eps * (1.0 - 4.0 * (v.len() + 8) as f64 * U);
                let s = self.scale(x, v, eps, room);
                v.iter_mut().zip(x).for_each(|(v, &x)| *v = clip(s * *v, room(x)));
                let norm = norm_up(v);
                if norm > self.eps {
                    let shrink = eps / norm;
                    v.iter_mut().for_each(|v| *v *= shrink);
                    if norm_up(v).partial_cmp(&self.eps).is_none_or(|order| order.is_gt()) {
                        v.fill(0.0);
                    }
                }
            }
        }
        for ((to, &x), &v) in to.iter_mut().zip(x).zip(v.iter()) {
            *to = self.confined(towards(x, v), x);
        }
    }

    /// Returns the factor `s` of [`Self::project`] for ℓ2.
    fn scale<T: Scalar>(&self, x: &[T], v: &[f64], eps: f64, room: impl Fn(T) -> [f64; 2]) -> f64 {
        let largest = v.iter().fold(0.0f64, |a, v| a.max(v.abs()));
        if largest == 0.0 || !largest.is_finite() {
            return if largest == 0.0 { 1.0 } else { 0.0 };
        }
        // In units of the largest displacement no square overflows, and none that counts underflows.
        let eps = eps / largest;
        let limit = |v: f64, [lo, hi]: [f64; 2]| if v > 0.0 { hi.max(0.0) } else { lo.min(0.0).abs() };
        let sizes: Vec<(f64, f64)> =
            v.iter().zip(x).map(|(&v, &x)| (v.abs() / largest, limit(v, room(x)) / largest)).collect();
        let mut t = 0.0f64;
        for _ in 0..50 {
            let s = t.sqrt();
            let (mut clipped, mut free) = (0.0, 0.0);
            for &(size, limit) in &sizes {
                let out = s * size >= limit;
                clipped += if out { limit * limit } else { 0.0 };
                free += if out { 0.0 } else { size * size };
            }
            if free <= 0.0 {
                return 1.0;
            }
            let next = ((eps * eps - clipped) / free).clamp(0.0, 1.0);
            if next.partial_cmp(&t) != Some(std::cmp::Ordering::Greater) {
                break;
            }
            t = next;
        }
        t.sqrt()
    }

    /// Returns a number between the sample and the limit of the range, where `y` is beyond it.
    fn confined<T: Scalar>(&self, y: T, x: T) -> T {
        match self.range {
            Some([_, hi]) if y.wide() > hi => {
                if x.wide() <= hi {
                    T::round_down(hi)
                } else {
                    x
                }
            }
            Some([lo, _]) if y.wide() < lo => {
                if x.wide() >= lo {
                    -T::round_down(-lo)
                } else {
                    x
                }
            }
            _ => y,
        }
    }
}

/// Returns `[0, 1]` if the samples between these two numbers are pixels: if they lie in it, or outside by less than half
/// a level of 8 bits.
pub fn pixel_range(extent: [f64; 2]) -> Option<[f64; 2]> {
    let range = [0.0, 1.0];
    extent.into_iter().all(|x| nearly(range, x)).then_some(range)
}

/// Whether a number lies in a range, or outside by at most a 510th of it.
fn nearly([lo, hi]: [f64; 2], x: f64) -> bool {
    let slack = (hi - lo) / 510.0;
    (lo - slack..=hi + slack).contains(&x)
}

/// Returns the number of the format that is nearest to `x + v` on the side of `x`: never further from `x` than `|v|`.
fn towards<T: Scalar>(x: T, v: f64) -> T {
    let y = if v >= 0.0 { T::round_down(add_down(x.wide(), v)) } else { -T::round_down(-add_up(x.wide(), v)) };
    // Beyond the largest finite number there is none to move to.
    if num_traits::Float::is_finite(y) { y } else { x }
}
