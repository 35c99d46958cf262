//! A file of samples: whatever the bytes are, they are a dataset or a refusal.

#![no_main]

use dahlquist::data::samples;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(dataset) = samples::parse(bytes, None) {
        assert!(dataset.labels().iter().all(|&label| label < dataset.classes()));
        let _ = dataset.batch::<f32>(&[0]);
    }
});
