//! What a file is that is not what it should be, by its first bytes, and what to do with it.

/// Says what some bytes are and what to do with them, if they are a kind of file that is often given by mistake.
pub fn mistaken(bytes: &[u8]) -> Option<&'static str> {
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let holds = |name: &[u8]| bytes.windows(name.len()).take(1 << 12).any(|window| window == name);
    if starts(b"PK\x03\x04") {
        return Some(if holds(b"data.pkl") || holds(b"/version") || holds(b".data/") {
            "it is a PyTorch checkpoint; in Python, dahlquist.from_torch(network, input_shape).save(\"model.safetensors\") \
             makes a model file of the network whose state it is"
        } else if holds(b".npy") {
            "it is a file of NumPy arrays (.npz), which can hold samples and no model"
        } else {
            "it is a zip archive: unpack it first"
        });
    }
    // A pickle of protocol 2 to 5: the form of PyTorch before version 1.6.
    if starts(b"\x80") && matches!(bytes.get(1), Some(2..=5)) {
        return Some(
            "it is a pickle, perhaps an old PyTorch checkpoint; a pickle runs code when it is read, so this program does \
             not; in Python, dahlquist.from_torch(network, input_shape).save(\"model.safetensors\") makes a model file",
        );
    }
    if starts(b"\x1f\x8b") {
        return Some("it is compressed by gzip: unpack it first, with gunzip or tar -xzf");
    }
    if starts(b"BZh") || starts(b"\xfd7zXZ\0") || starts(b"\x28\xb5\x2f\xfd") {
        return Some("it is compressed: unpack it first");
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("it is a tar archive: unpack it first, with tar -xf");
    }
    if starts(b"\x93NUMPY") {
        return Some("it is a single NumPy array (.npy); samples are np.savez(\"samples.npz\", x=x, y=y)");
    }
    if starts(b"\x89HDF\r\n\x1a\n") {
        return Some("it is an HDF5 file, perhaps of Keras; export the network as ONNX");
    }
    // The first field of an ONNX model is its version, a small number, and the second a text or a number.
    if starts(b"\x08") && matches!(bytes, [_, 1..=64, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42, ..]) {
        return Some(
            "it looks like an ONNX model; in Python, dahlquist.from_onnx(\"model.onnx\").save(\"model.safetensors\") makes \
             a model file of it",
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_given_by_mistake_are_told_apart() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], &str); 10] = [
            (b"PK\x03\x04\x00\x00archive/data.pkl", "PyTorch"),
            (b"PK\x03\x04\x14\x00x.npy\x93NUMPY", ".npz"),
            (b"PK\x03\x04\x14\x00readme", "zip"),
            (b"\x80\x02}q\x00", "pickle"),
            (b"\x1f\x8b\x08\x00", "gzip"),
            (&tar, "tar"),
            (b"\x93NUMPY\x01\x00", "savez"),
            (b"\x89HDF\r\n\x1a\n", "HDF5"),
            (b"\x08\x08\x12\x07pytorch", "ONNX"),
            (b"BZh9", "compressed"),
        ];
        for (bytes, word) in cases {
            assert!(mistaken(bytes).is_some_and(|text| text.contains(word)), "{word}");
        }
        // The header of a safetensors file has a length in its first eight bytes.
        for bytes in [&b""[..], b"\x40\0\0\0\0\0\0\0{", b"\x08\0\0\0\0\0\0\0{}", b"\x80\x01\0\0\0\0\0\0{"] {
            assert_eq!(mistaken(bytes), None);
        }
    }
}
