//! Images and labels in the IDX format, that of MNIST and Fashion-MNIST.
//!
//! A file is two bytes of 0, the type (8: bytes), the number of axes, each size in four bytes, big-endian, and the numbers.
//! Source: Y. LeCun, C. Cortes, C. Burges, *The MNIST database of handwritten digits*.

use std::path::{Path, PathBuf};

use super::{Dataset, MAX_CLASSES};
use crate::{
    error::{Error, Result},
    io::{mistaken, read_bounded},
    tensor::Shape,
};

/// The files of the test set in a directory.
pub(super) const TEST: [&str; 2] = ["t10k-images-idx3-ubyte", "t10k-images.idx3-ubyte"];
/// The type of bytes, the only one that is read, and the other types of the format.
const BYTES: u8 = 8;
const OTHERS: [(u8, &str); 5] = [
    (9, "signed bytes"),
    (11, "integers of 16 bits"),
    (12, "integers of 32 bits"),
    (13, "floating-point numbers of 32 bits"),
    (14, "floating-point numbers of 64 bits"),
];
/// The largest file that is read: 2 GiB.
const MAX_BYTES: u64 = 2 << 30;

/// Returns the file of images in a directory with the test set of MNIST, if there is one.
pub(super) fn test_images(dir: &Path) -> Option<PathBuf> {
    TEST.iter().map(|name| dir.join(name)).find(|path| path.is_file())
}

/// Returns whether a file begins as one in this format, of whatever type and axes: what it holds instead of images is said
/// here.
pub(super) fn is_idx(bytes: &[u8]) -> bool {
    let known = |kind| kind == BYTES || OTHERS.iter().any(|(other, _)| *other == kind);
    matches!(*bytes, [0, 0, kind, axes, ..] if known(kind) && axes > 0)
}

/// Returns the images at `path`, as bytes with one channel, or with those of a file of four axes. Their labels are read
/// from the file beside them whose name has `labels` for `images` and `idx1` for `idx3`; without it they have none.
///
/// # Errors
/// [`Error::File`] for a file that cannot be read or is no such file, as many labels as there are no images, a label that is
/// not below `classes`.
pub fn load(path: &Path, classes: Option<usize>) -> Result<Dataset> {
    let (sizes, pixels) = read(path)?;
    let (count, shape) = match sizes[..] {
        [count, height, width] => (count, vec![1, height, width]),
        [count, channels, height, width] => (count, vec![channels, height, width]),
        [_] => return Err(Error::file(path, "an IDX file with 1 axis, which labels have; images have 3 or 4")),
        _ => return Err(Error::file(path, format!("an IDX file with {} axes; images have 3 or 4", sizes.len()))),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = path.with_file_name(name.replace("images", "labels").replace("idx3", "idx1"));
    let labels = if beside != path && beside.is_file() { Some(read(&beside)?) } else { None };
    let attempt = || {
        let shape = Shape::try_from(shape)?;
        let Some((sizes, labels)) = labels else {
            return Dataset::from_bytes(shape, pixels, vec![0; count], names(classes.unwrap_or(1)))
                .map(Dataset::without_labels);
        };
        if sizes[..] != [count] {
            return Err(Error::format(format!("{} holds labels of shape {sizes:?}", beside.display())));
        }
        let labels: Vec<usize> = labels.into_iter().map(usize::from).collect();
        let known = classes.unwrap_or(labels.iter().max().map_or(1, |largest| largest + 1));
        Dataset::from_bytes(shape, pixels, labels, names(known.min(MAX_CLASSES)))
    };
    attempt().map_err(|reason| Error::file(path, reason))
}

fn names(classes: usize) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// Returns the sizes and the bytes of a file.
fn read(path: &Path) -> Result<(Vec<usize>, Vec<u8>)> {
    let bytes = read_bounded(path, MAX_BYTES)?;
    parse(&bytes).map_err(|reason| Error::file(path, reason))
}

/// Returns the sizes and the numbers in the bytes of a file of bytes.
fn parse(bytes: &[u8]) -> Result<(Vec<usize>, Vec<u8>)> {
    let &[0, 0, kind, axes, ref rest @ ..] = bytes else {
        return Err(Error::format(mistaken(bytes).unwrap_or("not a file of bytes in the IDX format")));
    };
    if kind != BYTES {
        let what = OTHERS.iter().find(|(other, _)| *other == kind).map_or("numbers of no known type", |(_, what)| what);
        return Err(Error::format(format!(
            "an IDX file of {what} (type {kind}), and only bytes (type {BYTES}) are read"
        )));
    }
    let (sizes, numbers) = rest.split_at_checked(4 * usize::from(axes)).ok_or_else(|| Error::format("truncated"))?;
    let sizes: Vec<usize> = sizes.as_chunks().0.iter().map(|&size| u32::from_be_bytes(size) as usize).collect();
    let expected = sizes.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
    if expected != Some(numbers.len()) {
        return Err(Error::format(format!("its {} numbers are not those of the sizes {sizes:?}", numbers.len())));
    }
    Ok((sizes, numbers.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_must_agree_with_what_follows() {
        let file = [&[0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[1, 2, 3, 4, 5, 6]].concat();
        assert_eq!(parse(&file).unwrap(), (vec![2, 3], vec![1, 2, 3, 4, 5, 6]));
        assert!(parse(&file[..file.len() - 1]).is_err());
        assert!(parse(&file[..6]).is_err());
        assert!(parse(b"\x1f\x8b\x08").unwrap_err().to_string().contains("gunzip"));
        // 2³² · 2³² numbers are none.
        assert!(parse(&[&[0, 0, 8, 2][..], &[255; 8]].concat()).is_err());
    }
}
