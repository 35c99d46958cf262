//! A model file: whatever the bytes are, they are a network or a refusal.

#![no_main]

use dahlquist::io::ModelFile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = ModelFile::parse(bytes.to_vec()) {
        let _ = file.network();
    }
});
