//! CIFAR-10 in its standard binary layout.
//!
//! Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009, and the page
//! <https://www.cs.toronto.edu/~kriz/cifar.html>, section "Binary version": each file is a sequence of records of 3073
//! bytes, the label and then the red, green and blue plane of 32×32 pixels, row by row.

use std::{
    io::{BufReader, Read},
    path::Path,
};

use super::Dataset;
use crate::{
    error::{Error, Result},
    tensor::Shape,
};

/// The names of the ten classes, by label.
pub const CLASSES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The shape of one image.
pub const SHAPE: Shape = Shape::image(3, 32, 32);

/// The files of the training set.
pub const TRAIN_FILES: [&str; 5] =
    ["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"];

/// The file of the test set.
pub const TEST_FILE: &str = "test_batch.bin";

/// The size of one record in bytes: the label and the image.
pub const RECORD: usize = 1 + SHAPE.len();

/// The largest number of records that is read from one file; the original files hold 10,000 each.
pub const MAX_RECORDS: usize = 100_000;

/// Returns the training and the test set in the directory `dir`, in the order of the files; pixels are bytes.
///
/// Each file may hold any number of records from 1 to [`MAX_RECORDS`].
///
/// # Errors
/// [`Error::File`], with the path, and the record (counted from 0) where it is in one, for a file that is missing or
/// cannot be read, is empty, is not a whole number of records, holds more than [`MAX_RECORDS`], or has a label above 9.
pub fn load(dir: impl AsRef<Path>) -> Result<(Dataset, Dataset)> {
    let test = load_test(dir.as_ref())?;
    Ok((read(dir.as_ref(), &TRAIN_FILES)?, test))
}

/// Returns the test set in the directory `dir`, without reading the training set.
///
/// # Errors
/// As [`load`].
pub fn load_test(dir: impl AsRef<Path>) -> Result<Dataset> {
    read(dir.as_ref(), &[TEST_FILE])
}

/// Returns the records in the bytes of one such file, in order.
///
/// # Errors
/// As [`load`], without the path.
pub fn parse(bytes: &[u8]) -> Result<Dataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    records(bytes, bytes.len() as u64, &mut pixels, &mut labels)?;
    dataset(pixels, labels)
}

fn read(dir: &Path, files: &[&str]) -> Result<Dataset> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let path = dir.join(file);
        let (file, size) = crate::io::open(&path, (MAX_RECORDS * RECORD) as u64)?;
        let file = BufReader::with_capacity(1 << 20, file);
        records(file, size, &mut pixels, &mut labels).map_err(|reason| Error::file(&path, reason))?;
    }
    dataset(pixels, labels).map_err(|reason| Error::file(dir, reason))
}

fn dataset(pixels: Vec<u8>, labels: Vec<usize>) -> Result<Dataset> {
    Dataset::from_bytes(SHAPE, pixels, labels, CLASSES.map(String::from).to_vec())
}

/// Appends the records of a file of `size` bytes.
fn records(mut file: impl Read, size: u64, pixels: &mut Vec<u8>, labels: &mut Vec<usize>) -> Result<()> {
    let refuse = |reason: String| Err(Error::format(reason));
    if size > (MAX_RECORDS * RECORD) as u64 {
        return refuse(format!("oversized: it has {size} bytes"));
    }
    // At most MAX_RECORDS · RECORD, which fits.
    let (count, rest) = (size as usize / RECORD, size as usize % RECORD);
    if rest != 0 {
        return refuse(format!("truncated: record {count} has {rest} bytes of {RECORD} ({size} bytes in all)"));
    }
    if count == 0 {
        return refuse("empty: it holds no records".to_string());
    }
    if pixels.try_reserve_exact(count * SHAPE.len()).is_err() || labels.try_reserve_exact(count).is_err() {
        return refuse(format!("no memory for its {count} records"));
    }
    let mut record = [0; RECORD];
    for number in 0..count {
        if let Err(reason) = file.read_exact(&mut record) {
            return refuse(format!("record {number} cannot be read: {reason}"));
        }
        let label = usize::from(record[0]);
        if label >= CLASSES.len() {
            return refuse(format!("mislabelled: record {number} has label {label}, which is not one of 0 to 9"));
        }
        labels.push(label);
        pixels.extend_from_slice(&record[1..]);
    }
    Ok(())
}
