//! Bytes on the disk: files that are written whole or not at all, and their digests.

mod digest;
mod file;

pub use digest::Digest;
pub use file::write;
pub(crate) use file::{open, read_bounded, write_with};
