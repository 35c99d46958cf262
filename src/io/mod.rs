//! Model files: weights as safetensors, the architecture as JSON in their metadata.

mod file;
mod model;
mod spec;

pub use file::write;
pub use model::{AnyNetwork, TensorWriter, load, save};
pub use spec::{Conv2dSpec, DenseSpec, FieldSpec, FlowSpec, LayerSpec, NetworkSpec, OperatorSpec};
