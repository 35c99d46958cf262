//! Radii that are given: deciding one, and confirming those of a certificate, says what the search for the largest says.

use dahlquist::{
    Sealed, Semantics,
    certificate::{ClaimedSamples, Norm, Perturbation, RadiusProof},
    certify::{Effort, SampleCertificate, Sought},
    data::Dataset,
    tensor::{Batch, Shape},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::linear_graphs::{networks, survives};

/// A few of the networks, with three samples each.
fn subjects() -> Vec<(&'static str, Sealed<f32>, Batch<f32>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let small = networks::<f32>(6).into_iter().filter(|(_, network)| matches!(network.input(), Shape::Features(_)));
    let sealed = small.step_by(3).map(|(name, network)| {
        let shape = network.input();
        let x = (0..3 * shape.len()).map(|_| rng.random_range(0.0..1.0)).collect();
        (name, network.seal().unwrap(), Batch::new(shape, x).unwrap())
    });
    sealed.collect()
}

fn meanings() -> Vec<(Semantics, Perturbation)> {
    let unit = Some([0.0, 1.0]);
    let meanings = [
        (Semantics::Exact, Norm::L2, None),
        (Semantics::Executed, Norm::L2, unit),
        (Semantics::Exact, Norm::Linf, unit),
        (Semantics::Executed, Norm::Linf, None),
    ];
    meanings.map(|(semantics, norm, range)| (semantics, Perturbation { norm, range })).to_vec()
}

#[test]
fn a_distance_is_decided_as_the_largest_radius_decides_it() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let (mut inside, mut held, mut larger) = (0, 0, 0);
    for (_, sealed, x) in subjects() {
        for (semantics, p) in meanings() {
            let largest = sealed.certify_locally_within(&x, semantics, &p).unwrap();
            for (s, claim) in largest.iter().enumerate().filter(|(_, claim)| claim.radius.get() > 0.0) {
                let sample = Batch::new(x.shape(), x.sample(s).to_vec()).unwrap();
                let decide = |eps: &[f64]| sealed.decide_locally(&sample, semantics, &p, eps).unwrap()[0];
                let radius = claim.radius.get();
                let found = decide(&[0.98 * radius, 0.5 * radius]);
                assert_eq!(found.prediction, claim.prediction);
                inside += 1;
                held += usize::from(found.holds_at(0.98 * radius));
                // Nothing larger is sought, and what is found is a claim like any other.
                assert!(found.radius.get() <= 0.98 * radius * (1.0 + 2e-6) || found.by == RadiusProof::Lipschitz);
                survives(&sealed, x.sample(s), found.prediction.unwrap(), found.radius.get(), &p, rng);
                // What is no longer proved at some radius may be at a larger one; then it is true there, too.
                let further = decide(&[1.1 * radius]);
                survives(&sealed, x.sample(s), further.prediction.unwrap(), further.radius.get(), &p, rng);
                larger += usize::from(further.holds_at(1.1 * radius));
            }
        }
    }
    assert!(inside > 30 && 100 * held > 95 * inside && 10 * larger < inside, "{held} and {larger} of {inside}");
}

#[test]
fn a_distance_that_is_none_is_refused() {
    let (_, sealed, x) = subjects().remove(0);
    for eps in [-0.1, f64::NAN, f64::INFINITY] {
        let refused = sealed.decide_locally(&x, Semantics::Exact, &Perturbation::default(), &[0.1, eps]);
        assert!(refused.unwrap_err().to_string().contains("distance"));
    }
    // The largest one is none that is proved.
    let claims = sealed.decide_locally(&x, Semantics::Exact, &Perturbation::default(), &[f64::MAX]).unwrap();
    assert!(claims.iter().all(|claim| !claim.holds_at(f64::MAX)));
}

/// A checker tries the radii that are claimed, by the proof that is claimed: then it finds these and not larger ones. A radius that
/// is too large, or has another proof, is sought again; so are a few next to the largest, where bounds of smooth functions hold or not by
/// what their slopes were improved to.
#[test]
fn claimed_radii_are_confirmed_and_larger_ones_are_not() {
    let rng = &mut ChaCha8Rng::seed_from_u64(8);
    let (mut confirmed, mut claimed_locally, mut refused) = (0, 0, 0);
    for (name, sealed, x) in subjects() {
        let labels = Dataset::from_samples(&x, vec![0; 3], (0..3).map(|class| class.to_string()).collect());
        let data = labels.unwrap();
        for (semantics, p) in meanings() {
            let certify = |sought| -> Vec<SampleCertificate> {
                sealed.certify_part(&data, 0..3, (semantics, sought), &|_| {}).unwrap()
            };
            let largest = certify(Sought::Largest(&p, Effort::Linear));
            let claims = ClaimedSamples::new(data.sha256().unwrap(), (semantics, true), &largest, &[], &[]);
            let claims = claims.unwrap().within(p);
            let times = |factor: f64| {
                let mut other = claims.clone();
                other.radii.iter_mut().for_each(|radius| *radius *= factor);
                other
            };
            for (s, found) in certify(Sought::Claimed(&claims)).iter().enumerate() {
                assert!(found.radius.get() >= claims.radii[s] && found.by == claims.by[s], "{name}: {found:?}");
            }
            let less = times(0.9);
            for (s, found) in certify(Sought::Claimed(&less)).iter().enumerate() {
                assert!(found.radius.get() >= less.radii[s], "{name}: {found:?}");
                if found.by != RadiusProof::Lipschitz {
                    claimed_locally += 1;
                    confirmed += usize::from(found.radius.get() < 1.001 * less.radii[s]);
                }
            }
            let larger = times(1.1);
            for (s, found) in certify(Sought::Claimed(&larger)).iter().enumerate() {
                let is_refused = found.radius.get() < larger.radii[s] || found.by != larger.by[s];
                refused += usize::from(is_refused && larger.radii[s] > 0.0);
                if let Some(class) = found.prediction.filter(|_| found.radius.get() > 0.0) {
                    survives(&sealed, x.sample(s), class, found.radius.get(), &p, rng);
                }
            }
        }
    }
    assert!(claimed_locally > 30 && 10 * confirmed > 9 * claimed_locally, "{confirmed} of {claimed_locally}");
    assert!(10 * refused > 8 * claimed_locally, "{refused} of {claimed_locally}");
}
