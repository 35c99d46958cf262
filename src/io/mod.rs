//! Model files: weights as safetensors, the architecture as JSON in their metadata.

mod file;
mod model;
mod spec;

pub use file::write;
pub(crate) use file::{open, read_bounded, write_with};
pub use model::{AnyNetwork, TensorWriter, load, save};
pub use spec::{Conv2dSpec, DenseSpec, FieldSpec, FlowSpec, LayerSpec, NetworkSpec, OperatorSpec};
