//! Claims are about the numbers in the file, whatever the network's format makes of them.

use std::{fs, path::Path, process::Command};

use dahlquist::{
    Error, Network, Sealed, Semantics,
    activation::Activation,
    certificate::{Norm, Perturbation},
    certify::Refusal,
    data::{Dataset, samples},
    layer::{ActivationLayer, AffineLayer, Layer},
    network,
    operator::{Affine, Dense},
    tensor::{Batch, Shape},
};
use num_rational::BigRational;
use tempfile::TempDir;

const X: Shape = Shape::Features(1);

/// The logits `1600000128 − x` and 0, in `f32`: equal at 1600000128.
fn network() -> Network<f32> {
    let head = Affine::new(Dense::new(2, 1, vec![-1.0f32, 0.0]).unwrap(), Some(vec![1_600_000_128.0, 0.0])).unwrap();
    Network::new(X, vec![Box::new(AffineLayer::new(head))]).unwrap()
}

fn sealed() -> Sealed<f32> {
    network().seal().unwrap()
}

fn dataset(x: f64) -> Dataset {
    Dataset::from_samples(&Batch::new(X, vec![x]).unwrap(), vec![0], vec!["a".into(), "b".into()]).unwrap()
}

/// `f32` holds 1600000000 and 1600000128, and nothing in between.
#[test]
fn an_exact_claim_is_about_the_number_that_is_given() {
    let sealed = sealed();
    let claim = |x: f64| sealed.certify(&Batch::new(X, vec![x]).unwrap(), Semantics::Exact).unwrap()[0];
    let at = claim(1_600_000_063.0);
    assert!(at.holds_at(64.999) && !at.holds_at(65.0), "{at:?}");
    let local = sealed.certify_locally(&Batch::new(X, vec![1_600_000_063.0]).unwrap(), Semantics::Exact).unwrap()[0];
    assert!(local.holds_at(64.999) && !local.holds_at(65.0), "{local:?}");
    assert!(claim(1_599_999_990.0).holds_at(137.999));
    assert_eq!(claim(1_600_000_129.0).prediction, Some(1));
    // A sample of the network's own format is the same as ever.
    let own = sealed.certify(&Batch::new(X, vec![1.6e9f32]).unwrap(), Semantics::Exact).unwrap()[0];
    assert_eq!(own, claim(1.6e9));
}

/// The program reads another number: a claim about it holds only if that lies in the ball.
#[test]
fn an_executed_claim_covers_what_the_program_reads() {
    // The logits x and 1/2, which are exact.
    let head = Affine::new(Dense::new(2, 1, vec![1.0f32, 0.0]).unwrap(), Some(vec![0.0, 0.5])).unwrap();
    let sealed = Network::new(X, vec![Box::new(AffineLayer::new(head))]).unwrap().seal().unwrap();
    let claim = |x: f64| {
        let x = Batch::new(X, vec![x]).unwrap();
        let [plain, local] = [sealed.certify(&x, Semantics::Executed), sealed.certify_locally(&x, Semantics::Executed)];
        let (plain, local) = (plain.unwrap()[0], local.unwrap()[0]);
        assert!(local.radius.get() >= plain.radius.get());
        assert_eq!(local.refusal, plain.refusal);
        plain
    };
    let unit = 2f64.powi(-24);
    let mut refused = 0;
    for k in -4000..4000 {
        let x = 0.5 + f64::from(k) * unit / 16.0;
        let (claim, read) = (claim(x), x as f32);
        // Certified or not: what is reported is what the program predicts for the file.
        assert_eq!(claim.prediction, Some(usize::from(read < 0.5)), "{claim:?} at {x}");
        if claim.radius.get() > 0.0 {
            assert!(claim.radius.get() > (f64::from(read) - x).abs() && claim.radius.get() <= (x - 0.5).abs());
        }
        refused += usize::from(claim.refusal == Some(Refusal::Unreadable));
    }
    assert!(refused > 0);
    let huge = Batch::new(X, vec![1e300]).unwrap();
    assert!(matches!(sealed.certify(&huge, Semantics::Executed), Err(Error::NotFinite { .. })));
    assert!(sealed.certify(&huge, Semantics::Exact).unwrap()[0].radius.get() > 0.0);
}

/// A range that ends at the sample may leave out what the program reads of it.
#[test]
fn a_range_that_leaves_out_what_the_program_reads_proves_nothing_of_it() {
    // The logits x and 1/2, behind a function that linear bounds bend at: so that they are tried.
    let features: Box<dyn Layer<f32>> = Box::new(ActivationLayer::new::<f32>(Activation::Relu {}, X).unwrap());
    let head = Affine::new(Dense::new(2, 1, vec![1.0f32, 0.0]).unwrap(), Some(vec![0.0, 0.5])).unwrap();
    let sealed = Network::new(X, vec![features, Box::new(AffineLayer::new(head))]).unwrap().seal().unwrap();
    let (mut left_out, mut larger) = (0, 0);
    for k in (-400..400).step_by(3) {
        let x = 0.5 + f64::from(k) * 2f64.powi(-28);
        let read = x as f32;
        for (norm, range) in [Norm::L2, Norm::Linf].into_iter().flat_map(|n| [(n, [0.0, x]), (n, [x, 1.0])]) {
            let within = Perturbation { norm, range: Some(range) };
            let batch = Batch::new(X, vec![x]).unwrap();
            let claim = sealed.certify_locally_within(&batch, Semantics::Executed, &within).unwrap()[0];
            let decided = sealed.decide_locally(&batch, Semantics::Executed, &within, &[0.01]).unwrap()[0];
            for claim in [claim, decided] {
                assert_eq!(claim.prediction, Some(usize::from(read < 0.5)), "{claim:?} at {x} in {range:?}");
                if !(range[0]..=range[1]).contains(&f64::from(read)) {
                    left_out += 1;
                    assert!(claim.radius.get() <= (x - 0.5).abs(), "{claim:?} at {x} in {range:?}");
                }
                larger += usize::from(claim.radius.get() > (x - 0.5).abs());
            }
        }
    }
    assert!(left_out > 100 && larger > 100, "{left_out} and {larger}");
}

#[test]
fn the_digest_is_of_what_is_in_the_file() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("samples.safetensors");
    let digest = |x: f64| {
        samples::save::<f64>(&path, &dataset(x)).unwrap();
        let stored = samples::open(&path, None).unwrap().sha256().unwrap();
        assert_eq!(stored, dataset(x).sha256().unwrap());
        assert_eq!(stored, samples::load(&path, None).unwrap().sha256().unwrap());
        stored
    };
    assert_ne!(digest(1_600_000_063.0), digest(1_599_999_990.0));
    let bytes = |p: u8| Dataset::from_bytes(X, vec![p], vec![0], vec!["a".into()]).unwrap().sha256().unwrap();
    assert_ne!(bytes(3), bytes(4));
}

/// A byte stands for `p/255`, which no format holds: a claim about the number next to it is moved by the difference.
#[test]
fn claims_about_bytes_are_about_their_255th_part() {
    let shape = Shape::Features(256);
    let dataset = Dataset::from_bytes(shape, (0..=255).collect(), vec![0], vec!["a".into()]).unwrap();
    let (wide, narrow) = (dataset.batch::<f64>(&[0]).unwrap(), dataset.batch::<f32>(&[0]).unwrap());
    // The program of a network in f32 reads the same pixel, whether it is rounded once or twice.
    assert_eq!(wide.cast::<f32>(), narrow);
    let square = wide.data().iter().enumerate().fold(BigRational::from_integer(0.into()), |sum, (p, &x)| {
        let off = BigRational::from_float(x).unwrap() - BigRational::new(p.into(), 255.into());
        sum + &off * &off
    });
    let most = BigRational::from_float(dataset.distance_up()).unwrap();
    assert!(square <= &most * &most && square > BigRational::from_integer(0.into()));
    let sealed = Network::new(
        X,
        vec![Box::new(AffineLayer::new(Affine::new(Dense::new(2, 1, vec![1.0f64, 0.0]).unwrap(), None).unwrap()))],
    );
    let x = Batch::new(X, vec![0.25]).unwrap();
    let claim = sealed.unwrap().seal().unwrap().certify(&x, Semantics::Exact).unwrap()[0];
    assert!((0.124..=0.125).contains(&claim.moved_by(0.125, Semantics::Exact).radius.get()));
    for (semantics, prediction) in [(Semantics::Exact, None), (Semantics::Executed, Some(0))] {
        let moved = claim.moved_by(0.25, semantics);
        assert_eq!((moved.prediction, moved.refusal), (prediction, Some(Refusal::Unreadable)));
        assert_eq!(claim.moved_by(0.0, semantics), claim);
    }
}

/// The program, on the samples of the first test.
#[test]
fn a_certificate_is_not_one_of_another_sample() {
    let directory = TempDir::new().unwrap();
    let at = |name: &str| directory.path().join(name);
    network::save(&self::network(), &at("model")).unwrap();
    samples::save::<f64>(at("samples"), &dataset(1_600_000_063.0)).unwrap();
    samples::save::<f64>(at("others"), &dataset(1_599_999_990.0)).unwrap();
    let run = |arguments: &[&Path]| {
        Command::new(env!("CARGO_BIN_EXE_dahlquist")).args(arguments).output().expect("the program runs")
    };
    let path = Path::new;
    let certified = run(&[
        path("certify"),
        &at("model"),
        path("--data"),
        &at("samples"),
        path("--semantics"),
        path("exact"),
        path("--certificate"),
        &at("certificate"),
        path("--json"),
        &at("json"),
    ]);
    assert!(certified.status.success(), "{}", String::from_utf8_lossy(&certified.stderr));
    let json: serde_json::Value = serde_json::from_slice(&fs::read(at("json")).unwrap()).unwrap();
    let radius = json["samples"][0]["radius"].as_f64().unwrap();
    assert!(radius > 64.9 && radius <= 65.0, "{radius}");
    let check = |data: &str| run(&[path("check"), &at("certificate"), &at("model"), path("--data"), &at(data)]).status;
    assert_eq!(check("samples").code(), Some(0));
    assert_eq!(check("others").code(), Some(1));
}
