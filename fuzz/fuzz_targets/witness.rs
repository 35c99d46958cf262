//! An architecture, over a few tensors that are given: whatever it says, it is refused, or its witness is written.
//!
//! The verified checker of `proofs/` reads witnesses and is no program of this crate; what is tried here is the writer.

#![no_main]

use dahlquist::{model::Model, witness};

/// Names and shapes; every tensor holds the same few numbers, over and over.
const TENSORS: [(&str, &[usize]); 8] = [
    ("w", &[2, 2]),
    ("v", &[3, 2]),
    ("u", &[2, 3]),
    ("k", &[2, 2, 1, 1]),
    ("l", &[2, 2, 3, 3]),
    ("b", &[2]),
    ("c", &[3]),
    ("h", &[2, 8]),
];
const NUMBERS: [f32; 5] = [0.5, -1.25, 0.0, 3e-40, 7.0];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(architecture) = std::str::from_utf8(bytes) else { return };
    let Ok(file) = Model::parse(&model(architecture)) else { return };
    let Ok(parts) = witness::parts(&file) else { return };
    for part in parts {
        for head in [false, true] {
            let _ = witness::Witness::new(&file, part.clone(), head);
        }
    }
});

/// The model file with this architecture.
fn model(architecture: &str) -> Vec<u8> {
    let mut header = serde_json::json!({"__metadata__": {"dahlquist": architecture}});
    let mut data = Vec::new();
    for (name, shape) in TENSORS {
        let (start, count) = (data.len(), shape.iter().product());
        data.extend(NUMBERS.iter().cycle().take(count).flat_map(|x| x.to_le_bytes()));
        header[name] = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
    }
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}
