//! Samples in an `.npz` file, as `numpy.savez` writes it: a zip archive of `.npy` files, not compressed.
//!
//! Sources: the `.npy` format, NEP 1 of NumPy; PKWARE's *ZIP File Format Specification* 6.3, sections 4.3 and 4.5.

use crate::error::{Error, Result};

/// The number type of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A floating-point number of this size in bytes.
    Float(usize),
    /// An integer of this size in bytes, and whether it has a sign.
    Integer(usize, bool),
}

/// An array: its sizes and its numbers, little-endian, the last axis fastest.
#[derive(Debug)]
pub(super) struct Array<'a> {
    pub kind: Kind,
    pub shape: Vec<usize>,
    pub bytes: &'a [u8],
}

/// The archive ends with this record, and a comment of up to 65,535 bytes.
const END: &[u8] = b"PK\x05\x06";
const END_SIZE: usize = 22;
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_SIZE: usize = 46;
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_SIZE: usize = 30;
/// The largest number of arrays in a file.
const MOST_ARRAYS: usize = 1000;
/// Stands where a size needs 64 bits.
const LARGE: usize = 0xffff_ffff;

/// Returns the array of a name, if the file has one.
///
/// # Errors
/// [`Error::Format`] for what is no such archive, an array that is compressed, in Fortran's order, big-endian or of
/// another type, and for sizes that contradict each other.
pub(super) fn array<'a>(bytes: &'a [u8], name: &str) -> Result<Option<Array<'a>>> {
    let name = format!("{name}.npy");
    match member(bytes, &name)? {
        None => Ok(None),
        Some(content) => npy(content).map(Some).map_err(|e| Error::format(format!("{name}: {e}"))),
    }
}

/// Returns the content of the file of a name in the archive.
fn member<'a>(bytes: &'a [u8], wanted: &str) -> Result<Option<&'a [u8]>> {
    let refuse = |reason: &str| Error::format(format!("not a valid .npz file: {reason}"));
    let from = bytes.len().saturating_sub(END_SIZE + 0xffff);
    let end = (from..=bytes.len().saturating_sub(END_SIZE)).rev().find(|&i| bytes[i..].starts_with(END));
    let end = end.ok_or_else(|| refuse("its directory is missing"))?;
    let short = || refuse("it is truncated");
    let count = number(bytes, end + 10, 2).ok_or_else(short)?;
    let mut at = number(bytes, end + 16, 4).ok_or_else(short)?;
    let mut found = None;
    if count > MOST_ARRAYS {
        return Err(refuse("it has too many arrays"));
    }
    for _ in 0..count {
        let entry = bytes.get(at..).filter(|entry| entry.starts_with(ENTRY) && entry.len() >= ENTRY_SIZE);
        let entry = entry.ok_or_else(|| refuse("its directory is damaged"))?;
        let field = |i, n| number(entry, i, n).ok_or_else(short);
        let (method, packed, size) = (field(10, 2)?, field(20, 4)?, field(24, 4)?);
        let (name, extra, comment) = (field(28, 2)?, field(30, 2)?, field(32, 2)?);
        let start = field(42, 4)?;
        if entry.get(ENTRY_SIZE..ENTRY_SIZE + name) == Some(wanted.as_bytes()) {
            if method != 0 {
                return Err(Error::format(format!("{wanted} is compressed: write it with numpy.savez")));
            }
            if packed != size || [packed, start].contains(&LARGE) {
                return Err(refuse("an array has more than 4 GiB"));
            }
            let local = bytes.get(start..).filter(|local| local.starts_with(LOCAL)).ok_or_else(short)?;
            let skip = [26, 28].map(|i| number(local, i, 2)).into_iter().sum::<Option<usize>>().ok_or_else(short)?;
            let content = local.get(LOCAL_SIZE + skip..).and_then(|rest| rest.get(..size)).ok_or_else(short)?;
            if found.replace(content).is_some() {
                return Err(refuse(&format!("it has two arrays of the name {wanted}")));
            }
        }
        at += ENTRY_SIZE + name + extra + comment;
    }
    Ok(found)
}

/// Returns the array in the bytes of an `.npy` file.
fn npy(bytes: &[u8]) -> Result<Array<'_>> {
    let refuse = |reason: String| Error::format(reason);
    let damaged = || refuse("not a valid .npy file".into());
    let width = match bytes {
        [0x93, b'N', b'U', b'M', b'P', b'Y', 1, _, ..] => 2,
        [0x93, b'N', b'U', b'M', b'P', b'Y', 2 | 3, _, ..] => 4,
        _ => return Err(damaged()),
    };
    let length = number(bytes, 8, width).ok_or_else(damaged)?;
    let header = bytes.get(8 + width..).and_then(|rest| rest.get(..length)).ok_or_else(damaged)?;
    let header = std::str::from_utf8(header).map_err(|_| damaged())?;
    let value = |key: &str| {
        let name = format!("'{key}':");
        let mut values = header.split(&name).skip(1);
        // A key that is there twice has no value.
        values.next().map(str::trim_start).filter(|_| values.next().is_none())
    };
    let kind = match value("descr").and_then(|text| text.split('\'').nth(1)).ok_or_else(damaged)? {
        "<f4" => Kind::Float(4),
        "<f8" => Kind::Float(8),
        "|u1" => Kind::Integer(1, false),
        "|i1" => Kind::Integer(1, true),
        "<u2" => Kind::Integer(2, false),
        "<i2" => Kind::Integer(2, true),
        "<u4" => Kind::Integer(4, false),
        "<i4" => Kind::Integer(4, true),
        "<u8" => Kind::Integer(8, false),
        "<i8" => Kind::Integer(8, true),
        other => return Err(refuse(format!("it holds {other:?}, not float32, float64 or an integer"))),
    };
    if !value("fortran_order").ok_or_else(damaged)?.starts_with("False") {
        return Err(refuse("it is in Fortran's order: write numpy.ascontiguousarray(x)".into()));
    }
    let sizes = value("shape").and_then(|text| text.strip_prefix('(')?.split(')').next()).ok_or_else(damaged)?;
    let sizes = sizes.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.parse().map_err(|_| damaged())).collect::<Result<Vec<usize>>>()?;
    let (Kind::Float(width) | Kind::Integer(width, _)) = kind;
    let data = &bytes[8 + if bytes[6] == 1 { 2 } else { 4 } + length..];
    let expected = shape.iter().try_fold(width, |n, &size| n.checked_mul(size));
    if expected != Some(data.len()) {
        return Err(refuse(format!("its {} bytes are not those of the shape {shape:?}", data.len())));
    }
    Ok(Array { kind, shape, bytes: data })
}

/// Returns a little-endian number of up to 8 bytes.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(bytes.iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte)))
}
