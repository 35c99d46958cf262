//! A model file: whatever the bytes are, they are a network or a refusal.

#![no_main]

use dahlquist::model::Model;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(file) = Model::parse(bytes) {
        let _ = file.network();
    }
});
