//! Horizon: how many steps a flow needs so that each is within the limit of circle contractivity.
//!
//! For the whole time `T`, a method of radius `r` and a field with cocoercivity `ν`, it is `n = ⌈T/(2rν)⌉`, with the *proved*
//! `ν`: the rule of Sherry et al., arXiv:2306.17332. A longer step would still have a constant
//! ([`super::stage_multipliers`]), above 1.

use super::Prover;
use crate::{
    error::{Error, Result},
    model::{Field, Flow, Map, file::MOST_STEPS, join, length},
    rigor::directed::div_down,
    scalar::Scalar,
    tableau::Tableau,
    tensor::Shape,
};

impl Prover {
    /// Returns the same map with every open number of steps chosen, for a network in the format `T`.
    ///
    /// A file without that number means the network that this chooses, by norms of convolutions on a torus: every command
    /// that reads the file runs and certifies the same one. Where a file holds the number, nothing is chosen.
    ///
    /// # Errors
    /// [`Error::Layer`] with the place of a flow for which there is no number, and why.
    pub fn settled<T: Scalar>(&self, map: &Map, input: Shape) -> Result<Map> {
        self.settled_at::<T>(map, "", input)
    }

    fn settled_at<T: Scalar>(&self, map: &Map, path: &str, input: Shape) -> Result<Map> {
        let branch = |(i, map): (usize, &Map)| self.settled_at::<T>(map, &join(path, &i.to_string()), input);
        Ok(match map {
            Map::Chain(maps) => {
                let (mut shape, mut all) = (input, Vec::new());
                for (i, map) in maps.iter().enumerate() {
                    let path = join(path, &i.to_string());
                    all.push(self.settled_at::<T>(map, &path, shape)?);
                    shape = map.output_at(&path, shape)?;
                }
                Map::Chain(all)
            }
            Map::Sum(maps) => Map::Sum(maps.iter().enumerate().map(branch).collect::<Result<_>>()?),
            Map::Mean(maps) => Map::Mean(maps.iter().enumerate().map(branch).collect::<Result<_>>()?),
            Map::Flow(flow @ Flow { fields, horizon: Some(horizon), .. }) if flow.is_open() => {
                let steps = flow.method.tableau().and_then(|tableau| match &fields[..] {
                    [field] => self.steps::<T>(field, input, &tableau, *horizon),
                    _ => Err(Error::format("several fields must be one for each step")),
                });
                let steps = steps.map_err(|e| e.in_layer(path))?;
                Map::Flow(flow.clone().over(steps, &|x| T::of(x).wide()))
            }
            map => map.clone(),
        })
    }

    /// Returns the least number of steps of equal length over `horizon` that are each within the proved limit, the
    /// length rounded to the format `T`.
    ///
    /// # Errors
    /// As [`Self::longest_step`], and [`Error::Parameter`] if it takes more than 100,000 steps.
    pub fn steps<T: Scalar>(&self, field: &Field, space: Shape, method: &Tableau, horizon: f64) -> Result<usize> {
        if !(horizon.is_finite() && horizon > 0.0) {
            return Err(Error::parameter("horizon", horizon, "a horizon must be a positive finite number"));
        }
        let longest = self.longest_step(field, space, method)?.get();
        // It may be one too few, or one too many where a quotient is rounded: the loop decides.
        let about = div_down(horizon, longest).min(MOST_STEPS as f64);
        let first = (about.max(1.0) as usize).max(1);
        let fits = |n: &usize| length(horizon, *n, &|x| T::of(x).wide()) <= longest;
        let many = || {
            let reason = format!("it takes more than {MOST_STEPS} steps of at most {longest:?}");
            Error::parameter("horizon", format_args!("{horizon:?}"), reason)
        };
        (first..=MOST_STEPS).find(fits).ok_or_else(many)
    }
}
