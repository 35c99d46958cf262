//! Files, read up to a limit and written whole.

use std::{
    io::{BufWriter, Read, Write},
    path::Path,
};

use crate::error::{Error, Result};

/// Writes a file whole or not at all: to a temporary one beside `path`, which is renamed when it is complete.
///
/// # Errors
/// [`Error::File`] if the folder does not exist or cannot be written to.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write`], for contents that come piece by piece.
pub(crate) fn write_with(path: &Path, contents: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is its owner's alone; this one is to be like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let attempt = || -> std::io::Result<()> {
        let mut file = builder.tempfile_in(folder)?;
        let mut writer = BufWriter::with_capacity(1 << 20, &mut file);
        contents(&mut writer)?;
        writer.flush()?;
        drop(writer);
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    attempt().map_err(|reason| Error::file(path, format!("cannot be written: {reason}")))
}

/// Opens the regular file at `path` and returns it with its size in bytes, which may be at most `limit`.
pub(crate) fn open(path: &Path, limit: u64) -> Result<(std::fs::File, u64)> {
    // Asked before opening: opening a pipe would wait for whoever writes it.
    let regular = std::fs::metadata(path).map_err(|e| Error::file(path, e))?.is_file();
    if !regular {
        return Err(Error::file(path, "not a regular file"));
    }
    let file = std::fs::File::open(path).map_err(|e| Error::file(path, e))?;
    let size = file.metadata().map_err(|e| Error::file(path, e))?.len();
    if size > limit {
        return Err(Error::file(path, format!("oversized: it has {size} bytes, more than the limit of {limit}")));
    }
    Ok((file, size))
}

/// The contents of the regular file at `path`, of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = open(path, limit)?;
    let mut bytes = Vec::new();
    if usize::try_from(size).is_err() || bytes.try_reserve_exact(size as usize).is_err() {
        return Err(Error::file(path, format!("no memory for its {size} bytes")));
    }
    file.take(size).read_to_end(&mut bytes).map_err(|reason| Error::file(path, reason))?;
    Ok(bytes)
}
