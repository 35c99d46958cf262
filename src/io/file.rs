//! Files, read up to a limit and written whole.
//!
//! An output follows symbolic links first. A regular file, or one that does not exist yet, is replaced by a rename in its
//! own folder, so that no reader ever sees half of it. A device or a pipe cannot be replaced: it is written into.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, ErrorKind, Read, Write},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// Writes `bytes` to `path`. A regular file is replaced as a whole or not at all and keeps its permissions; anything else,
/// such as `/dev/stdout` or a named pipe, is written into. Symbolic links are followed and stay.
///
/// # Errors
/// [`Error::File`] if the file or its folder cannot be written to.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write`], for contents that come piece by piece.
pub(crate) fn write_with(path: &Path, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let attempt = || match Target::of(path)? {
        Target::Output => into(io::stdout().lock(), contents),
        Target::Errors => into(io::stderr().lock(), contents),
        Target::Regular(path) => replace(&path, contents),
        Target::Descriptor(path) => into(OpenOptions::new().append(true).open(path)?, contents),
        Target::Other(path) => into(OpenOptions::new().write(true).open(path)?, contents),
    };
    attempt().map_err(|reason| Error::file(path, format!("cannot be written: {reason}")))
}

/// Returns whether a path leads to the standard output of this process.
pub fn is_standard_output(path: &Path) -> bool {
    matches!(Target::of(path), Ok(Target::Output))
}

/// What a path leads to, all links followed.
enum Target {
    /// The standard output of this process.
    Output,
    /// Its standard error.
    Errors,
    /// Another file that this process has open, by its number.
    Descriptor(PathBuf),
    /// A regular file, or nothing yet.
    Regular(PathBuf),
    /// A device or a pipe.
    Other(PathBuf),
}

/// The largest number of links that is followed, as in Linux.
const LINKS: usize = 40;

impl Target {
    fn of(path: &Path) -> io::Result<Self> {
        let mut here = path.to_path_buf();
        for _ in 0..LINKS {
            if let Some(target) = Self::open_by_this_process(&here) {
                return Ok(target);
            }
            let kind = match fs::symlink_metadata(&here) {
                Ok(metadata) => metadata.file_type(),
                Err(reason) if reason.kind() == ErrorKind::NotFound => return Ok(Self::Regular(here)),
                Err(reason) => return Err(reason),
            };
            if kind.is_dir() {
                return Err(ErrorKind::IsADirectory.into());
            } else if kind.is_file() {
                return Ok(Self::Regular(here));
            } else if !kind.is_symlink() {
                return Ok(Self::Other(here));
            }
            let link = fs::read_link(&here)?;
            here = here.parent().unwrap_or(Path::new("")).join(link);
        }
        Err(io::Error::other("too many symbolic links"))
    }

    /// Returns the open file behind a link such as `/proc/self/fd/1`. Such a link is no path: replacing the file that it
    /// shows would cut off whoever else writes there.
    fn open_by_this_process(path: &Path) -> Option<Self> {
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let folder = path.parent()?.canonicalize().ok()?;
        let mine = Path::new("/proc").join(std::process::id().to_string());
        if !(folder.starts_with(mine) && folder.ends_with("fd")) {
            return None;
        }
        Some(match number {
            1 => Self::Output,
            2 => Self::Errors,
            _ => Self::Descriptor(path.into()),
        })
    }
}

fn into(file: impl Write, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    contents(&mut writer)?;
    writer.flush()
}

/// Writes to a temporary file beside `path`, and renames it when it is complete.
fn replace(path: &Path, contents: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    // A temporary file is its owner's alone; this one is to be like any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // A rename needs the right to write to the folder alone; who may not write to the file may not replace it either.
    let present = match OpenOptions::new().write(true).open(path) {
        Ok(file) => Some(file.metadata()?),
        Err(reason) if reason.kind() == ErrorKind::NotFound => None,
        Err(reason) => return Err(reason),
    };
    let mut file = builder.tempfile_in(folder)?;
    into(&mut file, contents)?;
    if let Some(present) = present {
        keep(file.as_file(), &present)?;
    }
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Gives a new file the permissions of the one that it replaces and, where this process may, its owner.
fn keep(file: &File, present: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (present.uid(), present.gid()) {
            // Only root may give files away: the file then belongs to whoever wrote it.
            let _ = fchown(file, Some(present.uid()), Some(present.gid()));
        }
    }
    file.set_permissions(present.permissions())
}

/// Opens the regular file at `path` and returns it with its size in bytes, which may be at most `limit`.
pub(crate) fn open(path: &Path, limit: u64) -> Result<(File, u64)> {
    // Asked before opening: opening a pipe would wait for whoever writes it.
    let regular = fs::metadata(path).map_err(|e| Error::file(path, e))?.is_file();
    if !regular {
        return Err(Error::file(path, "not a regular file"));
    }
    let file = File::open(path).map_err(|e| Error::file(path, e))?;
    let size = file.metadata().map_err(|e| Error::file(path, e))?.len();
    if size > limit {
        return Err(Error::file(path, format!("oversized: it has {size} bytes, more than the limit of {limit}")));
    }
    Ok((file, size))
}

/// Reads the regular file at `path`, of at most `limit` bytes.
pub(crate) fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let (file, size) = open(path, limit)?;
    let mut bytes = Vec::new();
    if usize::try_from(size).is_err() || bytes.try_reserve_exact(size as usize).is_err() {
        return Err(Error::file(path, format!("no memory for its {size} bytes")));
    }
    file.take(size).read_to_end(&mut bytes).map_err(|reason| Error::file(path, reason))?;
    Ok(bytes)
}
