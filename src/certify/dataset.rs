//! The radius of every sample of a dataset.

use std::ops::Range;

use super::{
    SampleCertificate, Sealed, Semantics,
    local::{Asked, Effort, Goal, ascending},
};
use crate::{
    certificate::{ClaimedSamples, Perturbation},
    check::same,
    data::Dataset,
    error::Result,
    network::chunks_of,
    rigor::directed::{add_up, mul_up},
    scalar::Scalar,
};

/// The number of samples that are certified at a time: enough for every thread, and little enough for the memory.
const AT_ONCE: usize = 1024;
/// Outweighs the roundings of one sum and one difference.
const ROUNDED: f64 = 1.0 + 4.0 * f64::EPSILON;

/// Which radii are sought.
#[derive(Debug, Clone, Copy, Default)]
pub enum Sought<'a> {
    /// Those of Lipschitz constants that hold everywhere: [`Sealed::certify`].
    #[default]
    Global,
    /// The largest local ones, of inputs in a norm and a range: [`Sealed::certify_locally_within`],
    /// [`Sealed::certify_quadratically`].
    Largest(&'a Perturbation, Effort),
    /// Local ones, as large as these distances: [`Sealed::decide_locally`], [`Sealed::decide_quadratically`].
    At(&'a Perturbation, &'a [f64], Effort),
    /// Those that a certificate claims about all samples, by the proofs that it names; where they are not found, the largest.
    Claimed(&'a ClaimedSamples),
}

impl<T: Scalar> Sealed<T> {
    /// As [`Self::certify`] or, if `local`, [`Self::certify_locally`] for every sample, in constant memory but for the
    /// result. `observe` is called with the number of samples that were just certified.
    ///
    /// # Errors
    /// As [`Self::certify`] and [`Dataset::batch`].
    pub fn certify_dataset(
        &self,
        dataset: &Dataset,
        (semantics, local): (Semantics, bool),
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<SampleCertificate>> {
        let ball = Perturbation::default();
        let sought = if local { Sought::Largest(&ball, Effort::Linear) } else { Sought::Global };
        self.certify_part(dataset, 0..dataset.len(), (semantics, sought), observe)
    }

    /// As [`Self::certify_dataset`] for some of the samples and for the radii that are sought. Where the samples begin and end with
    /// [`Self::pieces`], the result is bit for bit that of the whole.
    ///
    /// # Errors
    /// As [`Self::certify_locally_within`], [`Self::decide_locally`] and [`Dataset::batch`]; [`crate::Error::Format`] for claims
    /// about another number of samples.
    pub fn certify_part(
        &self,
        dataset: &Dataset,
        part: Range<usize>,
        (semantics, sought): (Semantics, Sought<'_>),
        observe: &(dyn Fn(usize) + Sync),
    ) -> Result<Vec<SampleCertificate>> {
        if let Sought::Claimed(claimed) = sought {
            claimed.lengths()?;
            same("the number of samples is", claimed.predictions.len(), dataset.len())?;
        }
        let mut certified = Vec::with_capacity(part.len());
        // By how much the numbers of the file may differ from those that are certified.
        let off = dataset.distance_up();
        for group in chunks_of(AT_ONCE, part.end) {
            let indices: Vec<usize> = (group.start.max(part.start)..group.end).collect();
            if indices.is_empty() {
                continue;
            }
            // The numbers of the file, whatever the format of the network.
            let x = dataset.batch::<f64>(&indices)?;
            let locally = |within, goal| self.locally((&x, off, semantics), within, goal, observe);
            let claims = match sought {
                Sought::Claimed(claimed) if claimed.local && !claimed.by.is_empty() => {
                    // A little more, as subtracting the difference rounds as well.
                    let around = |radius: f64| if off == 0.0 { radius } else { mul_up(add_up(radius, off), ROUNDED) };
                    let asked = |&s: &usize| Asked { radius: around(claimed.radii[s]), by: claimed.by[s] };
                    locally(&claimed.within, Goal::Claimed(&indices.iter().map(asked).collect::<Vec<_>>()))?
                }
                Sought::Claimed(ClaimedSamples { local: true, within, .. }) => {
                    locally(within, Goal::Largest(Effort::Linear))?
                }
                Sought::Largest(within, effort) => locally(within, Goal::Largest(effort))?,
                Sought::At(within, distances, effort) => {
                    let distances: Vec<f64> = distances.iter().map(|&eps| add_up(eps, off)).collect();
                    locally(within, Goal::Distances(&ascending(&distances)?, effort))?
                }
                Sought::Global | Sought::Claimed(_) => {
                    let claims = self.certify(&x, semantics)?;
                    observe(indices.len());
                    claims
                }
            };
            certified.extend(claims.into_iter().map(|claim| claim.moved_by(off, semantics)));
        }
        Ok(certified)
    }

    /// Returns the samples of a dataset of a size that are certified together, at most 1,024 of them. The last bits of
    /// a sample depend on those that go through the network with it, so only whole pieces come out as in the whole.
    pub fn pieces(&self, samples: usize) -> Vec<Range<usize>> {
        // What one thread takes in `certify`; `certify_locally` takes half of it.
        let chunk = 2 * self.wide().chunk();
        let pieces = |group: Range<usize>| {
            chunks_of(chunk, group.len()).into_iter().map(move |c| group.start + c.start..group.start + c.end)
        };
        chunks_of(AT_ONCE, samples).into_iter().flat_map(pieces).collect()
    }
}
