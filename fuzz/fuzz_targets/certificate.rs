//! A certificate file: whatever the bytes are, they are refused, or read and checked, and never believed.
//!
//! The model is `x ↦ 2x`: what is verified about it may not be below 2.

#![no_main]

use std::sync::LazyLock;

use dahlquist::{
    check::check,
    io::{Claimed, ModelFile},
};

static MODEL: LazyLock<ModelFile> = LazyLock::new(|| {
    let spec = r#"{\"format\":\"dahlquist-model\",\"version\":1,\"input\":[1],\"layers\":[{\"type\":\"dense\",\"weight\":\"w\"}]}"#;
    let header = format!(
        r#"{{"__metadata__":{{"dahlquist":"{spec}"}},"w":{{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}}}"#
    );
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(2.0f32.to_le_bytes());
    ModelFile::parse(bytes).expect("the model of this target is valid")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(claimed) = Claimed::parse(bytes) else { return };
    let text = written(&claimed);
    assert_eq!(Claimed::parse(&text).as_ref(), Ok(&claimed), "numbers are read back as they were written");
    if let Some(verified) = check(&claimed, &MODEL).verified {
        assert!(verified.certificate().lipschitz.get() >= 2.0);
    }
});

/// The file that the crate itself writes.
fn written(claimed: &Claimed) -> Vec<u8> {
    let path = std::env::temp_dir().join(format!("dahlquist-fuzz-{}.json", std::process::id()));
    claimed.write(&path).expect("what was read can be written");
    std::fs::read(path).expect("what was written can be read")
}
