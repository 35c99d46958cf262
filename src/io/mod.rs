//! Bytes on the disk: files that are written whole or not at all, and their digests.

mod digest;
mod file;
mod json;
mod kind;

pub use digest::Digest;
pub use file::{is_standard_output, write};
pub(crate) use file::{open, read_bounded, write_with};
pub(crate) use json::unique_keys;
pub use kind::mistaken;
