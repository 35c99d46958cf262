//! A certificate file: whatever the bytes are, they are refused, or read and checked, and never believed.
//!
//! The model is `x ↦ (2x, −x)` on two samples, 1 and −1: its constant is `√5`, the predictions are 0 and 1, and both radii
//! are 1. What is verified may not be better.

#![no_main]

use std::sync::LazyLock;

use dahlquist::{
    Network,
    certificate::file::CertificateFile,
    certify::{SealOptions, check_samples},
    check::{Verdict, check},
    data::Dataset,
    model::Model,
    network::AnyNetwork,
    tensor::{Batch, Shape},
};

static MODEL: LazyLock<Model> = LazyLock::new(|| {
    Model::parse(include_bytes!("../seeds/model/two")).expect("the model of this target is valid")
});

fn network() -> Network<f32> {
    match MODEL.network() {
        Ok(AnyNetwork::F32(network)) => network,
        _ => panic!("the model of this target is valid"),
    }
}

static DATA: LazyLock<Dataset> = LazyLock::new(|| {
    let x = Batch::new(Shape::Features(1), vec![1.0f32, -1.0]).expect("two samples");
    Dataset::from_samples(&x, vec![0, 1], vec!["0".into(), "1".into()]).expect("two labels")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(claimed) = CertificateFile::parse(bytes) else { return };
    let text = serde_json::to_vec(&claimed).expect("what was read can be written");
    assert_eq!(CertificateFile::parse(&text).as_ref(), Ok(&claimed), "numbers are read back as they were written");
    let Some(verified) = check(&claimed, &MODEL).verified else { return };
    let bound = verified.certificate().bound().get();
    assert!(bound * bound >= 5.0);
    let Some(samples) = &claimed.samples else { return };
    let options = SealOptions { summation: claimed.summation, norm_proof: claimed.norm_proof };
    let sealed = network().seal_by(&verified, options).expect("it is the model that was verified");
    let findings = check_samples(samples, &sealed, &DATA, &|_| {}).expect("the samples are in memory");
    if findings.iter().all(|finding| matches!(finding.verdict, Verdict::Proved | Verdict::Recomputed)) {
        assert_eq!(samples.predictions, [0, 1]);
        assert!(samples.radii.iter().all(|&radius| radius <= 1.0));
        assert!(samples.clean_accuracy.is_none_or(|accuracy| accuracy == 1.0));
        let certified = |eps: f64, accuracy: f64| accuracy == 0.0 || eps < 1.0;
        assert!(samples.certified_accuracy.iter().all(|claim| certified(claim.eps, claim.accuracy)));
    }
});
