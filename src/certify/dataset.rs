//! The radius of every sample of a dataset.

use std::ops::Range;

use super::{SampleCertificate, Sealed, Semantics};
use crate::{certificate::Perturbation, data::Dataset, error::Result, network::chunks_of, scalar::Scalar};

/// The number of samples that are certified at a time: enough for every thread, and little enough for the memory.
const AT_ONCE: usize = 1024;

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
        observe: &dyn Fn(usize),
    ) -> Result<Vec<SampleCertificate>> {
        let local = local.then(Perturbation::default);
        self.certify_part(dataset, 0..dataset.len(), (semantics, local.as_ref()), observe)
    }

    /// As [`Self::certify_dataset`] for some of the samples, with local radii of inputs in a norm and a range where these are
    /// given. Where the samples begin and end with [`Self::pieces`], the result is bit for bit that of the whole.
    ///
    /// # Errors
    /// As [`Self::certify_locally_within`] and [`Dataset::batch`].
    pub fn certify_part(
        &self,
        dataset: &Dataset,
        part: Range<usize>,
        (semantics, local): (Semantics, Option<&Perturbation>),
        observe: &dyn Fn(usize),
    ) -> Result<Vec<SampleCertificate>> {
        let mut certified = Vec::with_capacity(part.len());
        for group in chunks_of(AT_ONCE, part.end) {
            let indices: Vec<usize> = (group.start.max(part.start)..group.end).collect();
            if indices.is_empty() {
                continue;
            }
            // The numbers of the file, whatever the format of the network.
            let x = dataset.batch::<f64>(&indices)?;
            let claims = match local {
                Some(perturbation) => self.certify_locally_within(&x, semantics, perturbation)?,
                None => self.certify(&x, semantics)?,
            };
            certified.extend(claims.into_iter().map(|claim| claim.moved_by(dataset.distance_up())));
            observe(indices.len());
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
