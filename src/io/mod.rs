//! Files: models (weights as safetensors, the architecture as JSON in their metadata) and certificates (JSON).

mod certificate;
mod digest;
mod file;
mod model;
mod model_file;
mod spec;

pub use certificate::{Claimed, ClaimedGroup, ClaimedLayer, ClaimedSamples, ClaimedWitness};
pub use digest::Digest;
pub use file::write;
pub(crate) use file::{open, write_with};
pub use model::{AnyNetwork, TensorWriter, load, save};
pub use model_file::ModelFile;
pub use spec::{Conv2dSpec, DenseSpec, FieldSpec, FlowSpec, LayerSpec, NetworkSpec, OperatorSpec};
