//! Networks from and to model files.

use std::path::Path;

use super::Network;
use crate::{
    error::{Error, Result},
    model::Model,
    scalar::Scalar,
};

/// A network in the number format of its file.
#[derive(Debug)]
pub enum AnyNetwork {
    /// Single precision.
    F32(Network<f32>),
    /// Double precision.
    F64(Network<f64>),
}

/// Writes a network to one safetensors file: [`crate::model::file`].
///
/// # Errors
/// [`Error::File`] if it cannot be written, or holds a layer that the format does not know.
pub fn save<T: Scalar>(network: &Network<T>, path: &Path) -> Result<()> {
    let model = Model::new(network.input(), network.describe(), T::NAME).map_err(|e| Error::file(path, e))?;
    model.write(path)
}

/// Reads a network from a model file, in the number format of its tensors.
///
/// # Errors
/// [`Error::File`] with the reason, whatever is wrong: those of [`Model::read`], or a layer that this program can describe
/// and not run.
pub fn load(path: &Path) -> Result<AnyNetwork> {
    Model::read(path)?.network().map_err(|e| Error::file(path, e))
}

impl Model {
    /// Returns the network, in the number format of the tensors.
    ///
    /// # Errors
    /// [`Error::Layer`] for a layer that cannot be built.
    pub fn network(&self) -> Result<AnyNetwork> {
        Ok(if self.scalar() == f64::NAME {
            AnyNetwork::F64(Network::build(self.map(), self.input())?)
        } else {
            AnyNetwork::F32(Network::build(self.map(), self.input())?)
        })
    }
}
