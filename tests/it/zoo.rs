//! The networks in `zoo`: their certificates are about them, and prove what its page says.

use std::path::{Path, PathBuf};

use dahlquist::{certificate::file::CertificateFile, check::check, model::Model};

const ZOO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/zoo");
/// The largest file of a network.
const MOST: u64 = 8_000_000;

fn networks() -> Vec<PathBuf> {
    let files = std::fs::read_dir(ZOO).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "safetensors")).collect()
}

#[test]
fn every_certificate_is_about_its_network() {
    let page = std::fs::read_to_string(Path::new(ZOO).join("README.md")).unwrap();
    let all = networks();
    assert!(all.len() >= 3);
    for path in all {
        assert!(path.metadata().unwrap().len() <= MOST, "{} is too large", path.display());
        let name = path.file_name().unwrap().to_str().unwrap();
        let model = Model::read(&path).unwrap();
        let claimed = CertificateFile::read(path.with_extension("json")).unwrap();
        let report = check(&claimed, &model);
        assert!(report.verified.is_some(), "{name}: {:?}", report.findings);
        let samples = claimed.samples.expect("claims about samples");
        let row = page
            .lines()
            .find(|line| line.starts_with('|') && line.contains(name))
            .unwrap_or_else(|| panic!("{name} is not on the page"));
        assert!(!samples.certified_accuracy.is_empty(), "{name}");
        for accuracy in &samples.certified_accuracy {
            let said = format!("{:.1}", 100.0 * accuracy.accuracy);
            assert!(row.contains(&said), "{name}: {said} at {} is not in {row}", accuracy.eps);
        }
    }
}
