//! The seeds of the fuzz targets are valid files: a target that starts from refusals finds little.

use std::{fs, path::PathBuf};

use dahlquist::{
    certificate::file::CertificateFile,
    check::check,
    data::{cifar10, samples},
    model::Model,
};

/// The files of one target, at least so many.
fn seeds(target: &str, least: usize) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let seeds: Vec<(PathBuf, Vec<u8>)> = paths.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(seeds.len() >= least);
    seeds
}

#[test]
fn every_seed_is_valid() {
    for (path, bytes) in seeds("model", 3) {
        assert!(Model::parse(&bytes).unwrap().network().is_ok(), "{}", path.display());
    }
    for (path, bytes) in seeds("samples", 1) {
        assert!(samples::parse(&bytes, None).is_ok(), "{}", path.display());
    }
    for (path, bytes) in seeds("cifar10", 1) {
        assert!(cifar10::parse(&bytes).is_ok(), "{}", path.display());
    }
    let model = Model::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/model/two")).unwrap();
    let mut samples = 0;
    for (path, bytes) in seeds("certificate", 3) {
        let claimed = CertificateFile::parse(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(check(&claimed, &model).verified.is_some(), "{}", path.display());
        samples += usize::from(claimed.samples.is_some());
    }
    assert!(samples >= 2);
    for (path, bytes) in seeds("witness", 4) {
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok(), "{}", path.display());
    }
}
