//! The proved bound of one step of a flow.

use super::Flow;
use crate::{
    certificate::Rule,
    error::{Error, Result},
    rigor::{
        Upper,
        directed::{add_down, add_up, div_down, div_up, mul_down, mul_up, sqrt_up, sub_down, sub_up},
    },
    scalar::Scalar,
};

impl<T: Scalar> Flow<T> {
    /// The proved bound of one step, and its rule.
    pub(super) fn step_bound(&self) -> Result<(Upper, Rule)> {
        let h = self.h.wide();
        if self.stages() == 1 {
            return self.euler_bound(h, h);
        }
        let composed = match self.method.shu_osher() {
            Some((r, form)) => {
                let (euler, _) = self.euler_bound(div_down(h, *r), div_up(h, *r))?;
                Ok((form.lipschitz(euler), Rule::ShuOsher))
            }
            None => Err(()),
        };
        match (composed, self.circle_bound(h)) {
            (Ok(a), Ok(b)) => Ok(if a.0 < b.0 { a } else { b }),
            (Ok(a), Err(_)) => Ok(a),
            (Err(()), b) => b,
        }
    }

    /// One Euler step whose length is only known to lie in `[low, high]`.
    fn euler_bound(&self, low: f64, high: f64) -> Result<(Upper, Rule)> {
        match self.field.curvature() {
            Ok(c) => {
                let (smallest, largest) = (c.smallest.get(), c.largest.get());
                // 1 − hλ for μ ≤ λ ≤ β is largest at one end, and most negative at the other.
                let above =
                    if low >= 0.0 { sub_up(1.0, mul_down(low, smallest)) } else { sub_up(1.0, mul_down(low, largest)) };
                let below = sub_up(mul_up(high, largest), 1.0);
                let bound = Upper::proved(above).max(Upper::proved(below)).max(Upper::ZERO);
                Ok((bound.finite("the factor of an Euler step")?, Rule::GradientStep))
            }
            Err(Error::Field { .. }) => {
                let l = self.field.lipschitz()?.get();
                // For h < 0 the field −f takes a step −h, and the Lipschitz constant is all that is known of it.
                let mu = if low >= 0.0 { self.field.one_sided_lipschitz()?.get() } else { l };
                let (least, most) = if low >= 0.0 { (low, high) } else { (-high, -low) };
                let first = mul_up(2.0, mul_up(if mu < 0.0 { least } else { most }, mu));
                let hl = mul_up(most, l);
                let squared = add_up(add_up(1.0, first), mul_up(hl, hl));
                let bound = Upper::proved(sqrt_up(squared)).finite("the factor of an Euler step")?;
                Ok((bound, Rule::OneSidedLipschitz))
            }
            Err(error) => Err(error),
        }
    }

    fn circle_bound(&self, h: f64) -> Result<(Upper, Rule)> {
        let limit = self.method.radius()?.step_limit(self.field.cocoercivity()?).get();
        if (0.0..=limit).contains(&h) {
            return Ok((Upper::ONE, Rule::CircleContractivity));
        }
        let method = self.method.tableau.name().to_string();
        Err(Error::StepTooLong { step: h, limit, rule: Rule::CircleContractivity.name(), method })
    }

    /// An Euler step of a gradient field is averaged with `α = hβ/2 < 1`; `n` of them with `φ = nα/(1 − α)`.
    pub(super) fn averaged(&self) -> Option<Upper> {
        let h = self.h.wide();
        if self.stages() != 1 || h < 0.0 {
            return None;
        }
        let alpha = div_up(mul_up(h, self.field.curvature().ok()?.largest.get()), 2.0);
        if self.steps == 1 {
            return Some(Upper::proved(alpha)).filter(|a| a.get() < 1.0);
        }
        let phi = div_up(mul_up(self.steps as f64, alpha), sub_down(1.0, alpha));
        let composed = div_up(phi, add_down(1.0, phi));
        Some(Upper::proved(composed)).filter(|a| a.get() < 1.0)
    }

    /// The longest step that circle contractivity proves, times `part`, rounded down.
    pub(super) fn proved_step(&self, part: f64) -> Result<T> {
        let limit = self.method.radius()?.step_limit(self.field.cocoercivity()?).get();
        // A field that is proved to vanish has no longest step: then any will do.
        Ok(T::round_down(if limit.is_infinite() { part } else { mul_down(part, limit) }))
    }
}
