//! Files: models (weights as safetensors, the architecture as JSON in their metadata) and certificates (JSON).

mod certificate;
mod certificate_samples;
mod digest;
mod file;
mod json;
mod model;
mod model_file;
mod spec;

pub use certificate::{Claimed, ClaimedGroup, ClaimedLayer, ClaimedWitness};
pub use certificate_samples::{ClaimedAccuracy, ClaimedSamples};
pub use digest::Digest;
pub use file::{is_standard_output, write};
pub(crate) use file::{open, write_with};
pub(crate) use json::unique_keys;
pub use model::{AnyNetwork, TensorWriter, load, save};
pub use model_file::ModelFile;
pub use spec::{Conv2dSpec, DenseSpec, FieldSpec, FlowSpec, LayerSpec, NetworkSpec, OperatorSpec};
