//! The mean over an image and its mirror image.

use super::Network;
use crate::{
    error::{Error, Result},
    model::{Linear, Map},
    scalar::Scalar,
};

impl<T: Scalar> Network<T> {
    /// Returns the network that sees an image and its mirror image: with the features `F` and the last layer `H` of this one,
    /// and the mirror `M`,
    ///
    /// ```math
    /// x ↦ H\bigl(\tfrac12 (F(x) + F(Mx))\bigr) .
    /// ```
    ///
    /// Mirroring is an isometry, so the mean has the Lipschitz constant of `F`, and its values are the same for both images.
    /// It costs two passes. Steps of flows are those that this network has now: seal it first, and then the mean.
    ///
    /// # Errors
    /// [`Error::Parameter`] if the input is no image, or nothing comes before the last layer.
    pub fn mirror_mean(&self) -> Result<Self> {
        let mut features: Vec<Map> = self.layers().map(|layer| layer.describe()).collect();
        let Some(head) = features.pop().filter(|_| !features.is_empty()) else {
            return Err(Error::parameter(
                "layers",
                1,
                "the mean is taken of features, so there must be a layer before the last one",
            ));
        };
        let mirror = std::iter::once(Map::Linear(Linear::Mirror {}));
        let mirrored = mirror.chain(features.iter().cloned()).collect();
        let mean = Map::Mean(vec![Map::Chain(features), Map::Chain(mirrored)]);
        Self::build(&Map::Chain(vec![mean, head]), self.input())
    }
}
