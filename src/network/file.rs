//! Networks from and to model files.

use std::path::Path;

use super::Network;
use crate::{
    error::{Error, Result},
    model::{Map, Model, Tensor},
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
        Ok(if self.scalar() == f64::NAME { AnyNetwork::F64(self.built()?) } else { AnyNetwork::F32(self.built()?) })
    }

    /// Returns the same network as a model in `f64`: its constants are those that the format of this file has rounded, and its
    /// steps are as many and as long as they are in this format.
    ///
    /// Changing the format of the tensors alone makes another network: slopes, steps and deviations are then rounded to
    /// `f64`, and a length `horizon/n` is computed anew. (The file of a model without tensors is read as one in `f32`, which
    /// holds these constants exactly.)
    ///
    /// # Errors
    /// As [`Self::network`].
    ///
    /// ```
    /// use dahlquist::{activation::Activation, model::{Map, Model}, network::AnyNetwork, tensor::{Batch, Shape}};
    /// let leaky = Map::Activation(Activation::LeakyRelu { slope: 0.1 });
    /// let wide = Model::new(Shape::Features(1), Map::Chain(vec![leaky]), "f32")?.widened()?;
    /// let AnyNetwork::F64(network) = wide.network()? else { panic!("a network in f64") };
    /// let y = network.forward(&Batch::new(Shape::Features(1), vec![-1.0])?)?;
    /// assert_eq!(y.data(), [-f64::from(0.1f32)]);
    /// # Ok::<(), dahlquist::Error>(())
    /// ```
    pub fn widened(&self) -> Result<Self> {
        let mut map = match self.network()? {
            AnyNetwork::F32(network) => network.widen().describe(),
            AnyNetwork::F64(network) => network.describe(),
        };
        fix_steps(&mut map);
        Self::new(self.input(), map, f64::NAME)
    }

    /// Whatever is claimed about the network is claimed about this file: their weights are the same, one by one.
    fn built<T: Scalar>(&self) -> Result<Network<T>> {
        let network = Network::build(self.map(), self.input())?;
        let built = network.describe();
        if weights(&built) == weights(self.map()) {
            return Ok(network);
        }
        Err(Error::format("the network that was built has other weights than the file: a fault of this program"))
    }
}

/// Forgets that the length of a step is a part of a horizon.
fn fix_steps(map: &mut Map) {
    match map {
        Map::Chain(maps) | Map::Sum(maps) | Map::Mean(maps) => maps.iter_mut().for_each(fix_steps),
        Map::Flow(flow) => flow.horizon = None,
        Map::Linear(_)
        | Map::Activation(_)
        | Map::Partial(_)
        | Map::Window(_)
        | Map::Householder(_)
        | Map::Equilibrium(_)
        | Map::Opaque(_) => {}
    }
}

/// Returns every weight, in order.
fn weights(map: &Map) -> Vec<&Tensor> {
    let mut all = Vec::new();
    map.each(&mut |tensor| all.push(tensor));
    all
}
