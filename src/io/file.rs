//! Files, read up to a limit and written whole.

use std::{
    io::{Read, Write},
    path::Path,
};

use crate::error::{Error, Result};

/// Writes a file whole or not at all: to a temporary one beside `path`, which is renamed when it is complete.
///
/// # Errors
/// [`Error::File`] if the folder does not exist or cannot be written to.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is its owner's alone; this one is to be like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let write = || {
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error).map(drop)
    };
    write().map_err(|e: std::io::Error| Error::file(path, e))
}

/// The contents of a file of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let read = || {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|e: std::io::Error| Error::file(path, e))?;
    if bytes.len() as u64 > limit {
        return Err(Error::file(path, format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}
