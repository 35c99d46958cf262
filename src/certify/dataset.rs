//! The radius of every sample of a dataset.

use super::{SampleCertificate, Sealed, Semantics};
use crate::{certificate::Perturbation, data::Dataset, error::Result, scalar::Scalar};

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
        self.certify_dataset_within(dataset, semantics, local.then_some(&Perturbation::default()), observe)
    }

    /// As [`Self::certify_dataset`], with local radii of inputs in a norm and a range where these are given.
    ///
    /// # Errors
    /// As [`Self::certify_locally_within`] and [`Dataset::batch`].
    pub fn certify_dataset_within(
        &self,
        dataset: &Dataset,
        semantics: Semantics,
        local: Option<&Perturbation>,
        observe: &dyn Fn(usize),
    ) -> Result<Vec<SampleCertificate>> {
        let mut certified = Vec::with_capacity(dataset.len());
        for start in (0..dataset.len()).step_by(AT_ONCE) {
            let indices: Vec<usize> = (start..dataset.len().min(start + AT_ONCE)).collect();
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
}
