//! A file of CIFAR-10 in its binary layout: whatever the bytes are, they are images or a refusal.

#![no_main]

use dahlquist::data::cifar10;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(images) = cifar10::parse(bytes) {
        assert_eq!(images.len() * cifar10::RECORD, bytes.len());
        assert!(images.in_unit_range() && images.labels().iter().all(|&label| label < 10));
        let _ = images.batch::<f32>(&[images.len() - 1]);
    }
});
