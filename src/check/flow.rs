//! Flows: what the constants of a field imply for a step of a method.

use super::{
    Checked, at_least, at_most, averaged_at_least, constraint, equal, operator, operator::Linear, require, slopes,
    stored,
};
use crate::{
    certificate::{Basis, Rule},
    error::{Error, Result},
    integrate::Tableau,
    io::{ClaimedWitness, FieldSpec, FlowSpec},
    rigor::{
        Upper,
        directed::{add_down, add_up, div_down, div_up, mul_down, mul_up, sqrt_up, sub_down, sub_up},
    },
};

/// The constants of a field, verified.
#[derive(Clone, Copy)]
enum Constants {
    /// `f = −∇V` with curvature in `[smallest, largest]`.
    Gradient { smallest: f64, largest: f64 },
    /// `‖Δf‖ ≤ ℓ‖Δx‖` and no more.
    Lipschitz(f64),
}

/// Checks the claim about a flow.
pub(super) fn check(checked: &Checked<'_>, spec: &FlowSpec) -> Result<()> {
    let maps = maps(checked, &spec.field)?;
    let tableau = Tableau::by_name(&spec.method)?;
    require(tableau.is_explicit(), "a flow needs an explicit method")?;
    let h = stored(checked.model, spec.step);
    require(h.is_finite() && spec.steps > 0, "a flow needs a finite step and at least one of them")?;
    let rule = match checked.layer.rule {
        Basis::Asserted => return Ok(()),
        Basis::Proved(rule) => rule,
    };
    if rule == Rule::QuadraticConstraint {
        require(tableau.stages() == 1, "the rule is one for Euler's method")?;
        return constraint::steps(checked, &spec.field, &maps, (h, spec.steps));
    }
    let Some(ClaimedWitness::Flow { method, step, steps, factor, radius, cocoercivity, field }) =
        &checked.layer.witness
    else {
        return Err(Error::format("the witness is not one of a flow"));
    };
    equal("the method is", method.as_str(), &spec.method)?;
    equal("the step is", *step, h)?;
    equal("the number of steps is", *steps, spec.steps)?;
    let constants = constants(checked, &spec.field, &maps, field)?;
    let flow = Flow { tableau, h, constants };
    let radius = flow.radius(*radius)?;
    let nu = flow.cocoercivity(*cocoercivity)?;
    at_least("the factor of one step is", *factor, flow.factor(rule, radius, nu)?)?;
    let bound = Upper::proved(*factor).powi(*steps);
    at_least("the factor to the power of the number of steps is", checked.layer.bound, bound)?;
    if let Some(averaged) = checked.layer.averaged {
        averaged_at_least(averaged, flow.averaged(*steps)?)?;
    }
    Ok(())
}

/// The linear maps of a field, the inner one first; the field must map its space into itself.
fn maps(checked: &Checked<'_>, field: &FieldSpec) -> Result<Vec<Linear>> {
    match field {
        FieldSpec::Gradient { operator, .. } => Ok(vec![Linear::read(checked.model, operator, checked.input)?]),
        FieldSpec::Residual { inner, outer, .. } => {
            let inner = Linear::read(checked.model, inner, checked.input)?;
            let outer = Linear::read(checked.model, outer, inner.output())?;
            equal("the field starts in the shape", outer.output(), checked.input)?;
            Ok(vec![inner, outer])
        }
    }
}

/// The constants of the field from the claimed ones, each of which is verified, by name and in order.
fn constants(
    checked: &Checked<'_>,
    field: &FieldSpec,
    maps: &[Linear],
    claimed: &[(String, f64)],
) -> Result<Constants> {
    let names: Vec<&str> = claimed.iter().map(|(name, _)| name.as_str()).collect();
    let values: Vec<f64> = claimed.iter().map(|(_, value)| *value).collect();
    match (field, maps, &names[..], &values[..]) {
        (
            FieldSpec::Gradient { activation, .. },
            [map],
            ["norm", "smallest_slope", "largest_slope", "smallest_curvature", "largest_curvature"],
            &[norm, m, l, smallest, largest],
        ) => {
            require([m, l] == slopes(*activation, checked.model)?, "the slopes are not those of the activation")?;
            require(m >= 0.0, "a gradient field needs slopes that are not negative")?;
            map.norm_is(norm, None)?;
            operator::curvature_is(map, m, smallest)?;
            let proved = Upper::proved(l) * Upper::proved(norm) * Upper::proved(norm);
            at_least("the largest curvature is", largest, proved)?;
            Ok(Constants::Gradient { smallest, largest })
        }
        (
            FieldSpec::Residual { activation, .. },
            [inner, outer],
            ["inner_norm", "outer_norm", "slope"],
            &[inner_norm, outer_norm, slope],
        ) => {
            let [m, l] = slopes(*activation, checked.model)?;
            equal("the largest slope is", slope, m.abs().max(l.abs()))?;
            inner.norm_is(inner_norm, None)?;
            outer.norm_is(outer_norm, None)?;
            let l = Upper::proved(inner_norm) * Upper::proved(outer_norm) * Upper::proved(slope);
            Ok(Constants::Lipschitz(l.get()))
        }
        _ => Err(Error::format("the witness does not name the constants of this field")),
    }
}

struct Flow {
    tableau: Tableau,
    h: f64,
    constants: Constants,
}

impl Flow {
    /// The radius to be used: the claimed one, which may be less than the derived one but not more.
    fn radius(&self, claimed: Option<f64>) -> Result<Option<f64>> {
        match (claimed, self.tableau.circle_radius()) {
            (Some(r), Ok(radius)) => {
                at_most("the radius of the method is", r, radius.get())?;
                Ok(Some(r))
            }
            (Some(_), Err(e)) => Err(e),
            (None, radius) => Ok(radius.ok().map(|radius| radius.get())),
        }
    }

    /// The constant of cocoercivity to be used.
    fn cocoercivity(&self, claimed: Option<f64>) -> Result<Option<f64>> {
        match (claimed, self.constants) {
            (Some(nu), Constants::Gradient { largest, .. }) => {
                at_most("the field has the cocoercivity", nu, Upper::proved(largest).recip().get())?;
                Ok(Some(nu))
            }
            (Some(_), Constants::Lipschitz(_)) => Err(Error::format("the field is not proved to be cocoercive")),
            (None, Constants::Gradient { largest, .. }) => Ok(Some(Upper::proved(largest).recip().get())),
            (None, Constants::Lipschitz(_)) => Ok(None),
        }
    }

    /// What a rule proves about one step. The match is exhaustive: a new rule must be decided here.
    fn factor(&self, rule: Rule, radius: Option<f64>, nu: Option<f64>) -> Result<Upper> {
        let euler = || require(self.tableau.stages() == 1, "the rule is one for Euler's method");
        match rule {
            Rule::GradientStep => {
                euler()?;
                self.gradient_step(self.h, self.h)
            }
            Rule::OneSidedLipschitz => {
                euler()?;
                self.one_sided(self.h, self.h)
            }
            Rule::ShuOsher => {
                let none = || Error::format("the method is not one of Euler steps");
                let r = self.tableau.ssp_coefficient().ok_or_else(none)?.get();
                // The exact h/r lies between the two.
                let (low, high) = (div_down(self.h, r), div_up(self.h, r));
                let step = self.gradient_step(low, high).or_else(|_| self.one_sided(low, high))?;
                Ok(self.tableau.shu_osher(r)?.lipschitz(step))
            }
            Rule::CircleContractivity => {
                let (Some(r), Some(nu)) = (radius, nu) else {
                    return Err(Error::format("the method has no radius or the field no cocoercivity"));
                };
                let limit = if nu > 0.0 && r > 0.0 { mul_down(mul_down(2.0, r), nu) } else { 0.0 };
                require((0.0..=limit).contains(&self.h), &format!("the step {} is longer than {limit}", self.h))?;
                Ok(Upper::ONE)
            }
            Rule::OperatorNorm
            | Rule::Slope
            | Rule::Isometry
            | Rule::QuadraticConstraint
            | Rule::Composition
            | Rule::Descent
            | Rule::Margin => Err(Error::format(format!("the rule {rule} is not one for a flow"))),
        }
    }

    /// `max |1 − hλ|` over curvatures `λ` and lengths `h` in `[low, high]`.
    fn gradient_step(&self, low: f64, high: f64) -> Result<Upper> {
        let Constants::Gradient { smallest, largest } = self.constants else {
            return Err(Error::format("the field is not proved to be a gradient"));
        };
        // 1 − hλ is largest for the least hλ, and hλ − 1 for the largest.
        let least = if low >= 0.0 { mul_down(low, smallest.max(0.0)) } else { mul_down(low, largest) };
        let most = mul_up(high, largest);
        Ok(Upper::proved(sub_up(1.0, least)).max(Upper::proved(sub_up(most, 1.0))).max(Upper::ZERO))
    }

    /// `√(1 + 2hμ + h²ℓ²)` for lengths in `[low, high]`; for `h < 0` it is the step `−h` of `−f`, of which only `ℓ` is
    /// known.
    fn one_sided(&self, low: f64, high: f64) -> Result<Upper> {
        let (mu, l) = match self.constants {
            Constants::Gradient { smallest, largest } => (-smallest.max(0.0), largest),
            Constants::Lipschitz(l) => (l, l),
        };
        let (least, most, mu) = if low >= 0.0 { (low, high, mu) } else { (-high, -low, l) };
        require(least >= 0.0, "the sign of the step is not certain")?;
        let first = mul_up(2.0, mul_up(if mu < 0.0 { least } else { most }, mu));
        let hl = mul_up(most, l);
        Ok(Upper::proved(sqrt_up(add_up(add_up(1.0, first), mul_up(hl, hl)))))
    }

    /// `α = hβ/2` for one Euler step of a gradient field; `φ = nα/(1 − α)`, `α = φ/(1 + φ)` for `n`.
    fn averaged(&self, steps: usize) -> Result<f64> {
        let Constants::Gradient { largest, .. } = self.constants else {
            return Err(Error::format("only a step of a gradient field is averaged"));
        };
        require(self.tableau.stages() == 1 && self.h >= 0.0, "only a forward Euler step is averaged")?;
        let alpha = div_up(mul_up(self.h, largest), 2.0);
        if steps == 1 {
            return Ok(alpha);
        }
        let phi = div_up(mul_up(steps as f64, alpha), sub_down(1.0, alpha));
        Ok(div_up(phi, add_down(1.0, phi)))
    }
}
