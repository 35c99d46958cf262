//! Claims about layers as one map, and about steps by multipliers, are proved again by the checker: whatever is changed
//! in them either fails or leaves them true.

mod common;

use common::{
    certificate_of, dense_f32,
    known::{self, Truth},
    model_bytes,
    tamper::{every_change, failed_parts, issued, parse},
};
use dahlquist::{
    Network, Result,
    activation::Activation,
    certificate::{Basis, Rule},
    check::{Verdict, check},
    field::ResidualField,
    integrate::Tableau,
    io::{AnyNetwork, Claimed, ClaimedGroup, ClaimedWitness, ModelFile},
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Normalize, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry, MeanPool, Operator},
    rigor::torus::PaddingMode,
    scalar::Scalar,
    tensor::Shape,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;

type Layers<T> = Vec<Box<dyn Layer<T>>>;

fn affine<T: Scalar>(operator: impl Operator<T> + 'static) -> Box<dyn Layer<T>> {
    Box::new(AffineLayer::new(Affine::new(operator, None).unwrap()))
}

/// A residual step, linear maps that are better together, and a stack.
fn network<T: Scalar>(seed: u64) -> Result<Network<T>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = |n: usize| (0..n).map(|_| T::of(rng.random_range(-0.75..0.75))).collect::<Vec<T>>();
    let image = Shape::image(2, 4, 4);
    let geometry =
        Geometry { input: image, outputs: 3, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
    let function = Activation::LeakyRelu { slope: 0.01 };
    let map = |o, i, w| Affine::new(Dense::new(o, i, w).unwrap(), None).unwrap();
    let field = ResidualField::new(map(4, 6, draw(24)), function, map(6, 4, draw(24)))?;
    let layers: Layers<T> = vec![
        Box::new(Normalize::new(image, vec![T::of(0.5); 2], vec![T::of(0.3), T::of(1.5)])?),
        affine(Conv2d::new(geometry, draw(3 * 2 * 9))?),
        affine(MeanPool::new(Shape::image(3, 4, 4), 2)?),
        Box::new(Reshape::flatten(Shape::image(3, 2, 2))),
        Box::new(ActivationLayer::new::<T>(Activation::Tanh {}, Shape::Features(12))?),
        affine(Dense::new(5, 12, draw(60))?),
        Box::new(ActivationLayer::new::<T>(function, Shape::Features(5))?),
        affine(Dense::new(6, 5, draw(30))?),
        Box::new(Flow::new(field, Tableau::euler(), Step::Fixed(0.25), 2)?),
        affine(Dense::new(2, 6, draw(12))?),
    ];
    Network::new(image, layers)
}

/// The claims about the model in a file, with stacks certified as one map.
fn tightened(model: &ModelFile) -> Claimed {
    let new = |certificate: &_| Claimed::new(certificate, model.sha256(), model.scalar());
    match model.network().unwrap() {
        AnyNetwork::F32(network) => new(network.seal().unwrap().tighten(64).unwrap().certificate()),
        AnyNetwork::F64(network) => new(network.seal().unwrap().tighten(64).unwrap().certificate()),
    }
}

fn models() -> [(ModelFile, Claimed); 2] {
    let bytes = [model_bytes(&network::<f32>(1).unwrap()), model_bytes(&network::<f64>(2).unwrap())];
    bytes.map(|bytes| {
        let model = ModelFile::parse(bytes).unwrap();
        let claimed = tightened(&model);
        (model, claimed)
    })
}

#[test]
fn issued_groups_and_multipliers_are_verified_and_read_back_to_the_last_bit() {
    for (model, claimed) in models() {
        let rules: Vec<_> = claimed.groups.iter().map(|g| (g.first, g.count, g.rule)).collect();
        assert_eq!(rules, [(0, 4, Rule::OperatorNorm), (5, 3, Rule::QuadraticConstraint)]);
        assert_eq!(claimed.layers[8].rule, Basis::Proved(Rule::QuadraticConstraint));
        let product: f64 = claimed.layers.iter().map(|layer| layer.bound).product();
        assert!(claimed.lipschitz < 0.99 * product);
        let report = check(&claimed, &model);
        assert!(report.findings.iter().all(|f| f.verdict == Verdict::Proved), "{report:#?}");
        assert_eq!(report.findings.iter().filter(|f| f.part.starts_with("group")).count(), 2);
        let verified = report.verified.expect("every claim is proved");
        assert_eq!(verified.certificate().groups.len(), 2);
        assert_eq!(parse(&issued(&claimed)).unwrap(), claimed);
        assert_eq!(
            Claimed::new(verified.certificate(), model.sha256(), model.scalar()),
            claimed,
            "something is lost on the way"
        );
    }
}

#[test]
fn every_change_of_a_group_or_multiplier_fails_or_leaves_the_claim_true() {
    fn file<T: Scalar>((network, truth): (Network<T>, Truth)) -> (ModelFile, Truth) {
        (ModelFile::parse(model_bytes(&network)).unwrap(), truth)
    }
    for (model, truth) in [file(known::groups::<f32>()), file(known::groups::<f64>()), file(known::flows::<f64>())] {
        let claimed = tightened(&model);
        truth.contradicts(&claimed).expect("what is issued is true");
        let [refused, failed, true_still] = every_change(&model, &claimed, &truth);
        assert!(refused > 200 && failed > 60 && true_still > 10, "{refused} {failed} {true_still}");
    }
}

/// Only the numbers can catch these: the products are made to agree.
fn consistent(mut claimed: Claimed) -> Claimed {
    (claimed.features, claimed.lipschitz) = (1e9, 1e9);
    claimed
}

#[test]
fn a_lowered_bound_and_a_changed_multiplier_fail_with_a_reason() {
    for (model, claimed) in models() {
        let claimed = consistent(claimed);
        assert!(check(&claimed, &model).verified.is_some());
        let fails = |part: &str, changed: Claimed| {
            let report = check(&changed, &model);
            assert_eq!(failed_parts(&report), [part]);
            assert!(report.verified.is_none());
            let Some(Verdict::Failed(reason)) = report.findings.into_iter().find(|f| f.part == part).map(|f| f.verdict)
            else {
                panic!("it has not failed")
            };
            assert!(reason.len() > 10, "{reason}");
        };
        for (i, part) in [(0, "group 0"), (1, "group 1")] {
            for factor in [0.999, 0.5, 0.0, -1.0, 1e-300] {
                let mut changed = claimed.clone();
                changed.groups[i].bound *= factor;
                fails(part, changed);
            }
        }
        for factor in [2.0, 0.5, 0.0, -1.0, 1e-100, 1e100] {
            let mut changed = claimed.clone();
            changed.groups[1].multipliers[0].iter_mut().for_each(|t| *t *= factor);
            fails("group 1", changed);
            let mut changed = claimed.clone();
            let Some(ClaimedWitness::QuadraticConstraint { multipliers, .. }) = &mut changed.layers[8].witness else {
                panic!("another witness")
            };
            multipliers.iter_mut().for_each(|t| *t *= factor);
            fails("layer 8", changed);
        }
        for wrong in [json!([]), json!([[]]), json!([[1.0], [1.0]]), json!([[1.0, 1.0, 1.0, 1.0, 1.0, 1.0]])] {
            let mut changed = issued(&claimed);
            changed["groups"][1]["multipliers"] = wrong;
            fails("group 1", parse(&changed).unwrap());
        }
        let mut changed = claimed.clone();
        changed.groups[0].multipliers = vec![vec![1.0]];
        fails("group 0", changed);
        for (field, wrong) in [
            ("factor", json!(1.0)),
            ("factor", json!(-2.0)),
            ("step", json!(0.125)),
            ("steps", json!(1)),
            ("steps", json!(u64::MAX)),
        ] {
            let mut changed = issued(&claimed);
            changed["layers"][8]["witness"]["quadratic_constraint"][field] = wrong;
            fails("layer 8", parse(&changed).unwrap());
        }
        let mut changed = claimed.clone();
        changed.layers[8].bound *= 0.999;
        fails("layer 8", changed);
        let mut changed = claimed.clone();
        changed.layers[8].averaged = Some(0.5);
        fails("layer 8", changed);
    }
}

#[test]
fn a_group_of_other_layers_fails() {
    let (model, claimed) = models().into_iter().next().unwrap();
    let claimed = consistent(claimed);
    let huge = usize::MAX;
    let places =
        [(1, 4), (0, 5), (0, 0), (0, 10), (0, 11), (9, 1), (10, 1), (huge, 1), (1, huge), (huge, huge), (7, 2)];
    for (first, count) in places {
        let mut changed = claimed.clone();
        changed.groups.truncate(1);
        (changed.groups[0].first, changed.groups[0].count) = (first, count);
        assert_eq!(failed_parts(&check(&changed, &model)), ["group 0"], "{first} {count}");
    }
    for (first, count) in [(4, 3), (5, 2), (5, 4), (6, 3), (3, 5), (4, 4), (0, 4)] {
        let mut changed = claimed.clone();
        (changed.groups[1].first, changed.groups[1].count) = (first, count);
        assert_eq!(failed_parts(&check(&changed, &model)), ["group 1"], "{first} {count}");
    }
    let mut reversed = claimed.clone();
    reversed.groups.reverse();
    assert_eq!(failed_parts(&check(&reversed, &model)), ["group 1"]);
    let mut twice = claimed.clone();
    twice.groups.insert(1, twice.groups[0].clone());
    assert_eq!(failed_parts(&check(&twice, &model)), ["group 1"]);
    // No other rule proves anything about several layers.
    for rule in Rule::ALL {
        let mut changed = claimed.clone();
        changed.groups[0].rule = rule;
        assert_eq!(check(&changed, &model).verified.is_some(), rule == Rule::OperatorNorm, "{rule}");
    }
    // Without the groups, the product is what it is.
    let mut without = tightened(&model);
    without.groups.clear();
    assert_eq!(failed_parts(&check(&without, &model)), ["features", "network"]);
}

/// Maps whose constants are known: nothing below them is verified, whatever is claimed.
#[test]
fn nothing_below_a_known_constant_is_verified() {
    let group = |count, rule, bound: f64, multipliers: &[f64]| {
        let multipliers = if multipliers.is_empty() { vec![] } else { vec![multipliers.to_vec()] };
        ClaimedGroup { first: 0, count, rule, bound, multipliers }
    };
    // x ↦ relu(3x₁ + 4x₂) has the constant 5.
    let relu = ActivationLayer::new::<f64>(Activation::Relu {}, Shape::Features(1)).unwrap();
    let dense = |o, i, w: &[f64]| affine::<f64>(Dense::new(o, i, w.to_vec()).unwrap());
    let layers: Layers<f64> = vec![dense(1, 2, &[3.0, 4.0]), Box::new(relu), dense(2, 1, &[1.0, -1.0])];
    let model = ModelFile::parse(model_bytes(&Network::new(Shape::Features(2), layers).unwrap())).unwrap();
    let mut claimed = consistent(certificate_of(&model));
    claimed.groups = vec![group(2, Rule::QuadraticConstraint, 5.0 * (1.0 + 1e-9), &[1.0])];
    assert!(check(&claimed, &model).verified.is_some());
    for exponent in -100..100 {
        let t = libm::exp2(f64::from(exponent) / 10.0);
        claimed.groups = vec![group(2, Rule::QuadraticConstraint, 5.0f64.next_down(), &[t])];
        assert_eq!(failed_parts(&check(&claimed, &model)), ["group 0"], "multiplier {t}");
    }
    // A shear and its inverse: the identity, of norm 1.
    let layers: Layers<f64> =
        vec![dense(2, 2, &[1.0, 16.0, 0.0, 1.0]), dense(2, 2, &[1.0, -16.0, 0.0, 1.0]), dense(2, 2, &[1.0; 4])];
    let model = ModelFile::parse(model_bytes(&Network::new(Shape::Features(2), layers).unwrap())).unwrap();
    let mut claimed = consistent(certificate_of(&model));
    for (count, bound, proved) in [(2, 1.0 + 1e-9, true), (2, 1.0f64.next_down(), false), (1, 16.0, false)] {
        claimed.groups = vec![group(count, Rule::OperatorNorm, bound, &[])];
        assert_eq!(check(&claimed, &model).verified.is_some(), proved, "{count} {bound}");
    }
}

#[test]
fn very_many_groups_are_refused() {
    let model = ModelFile::parse(model_bytes(&dense_f32(2, 2, vec![3.0, 0.0, 4.0, 0.0]))).unwrap();
    let mut claimed = certificate_of(&model);
    let group = ClaimedGroup { first: 0, count: 1, rule: Rule::OperatorNorm, bound: 5.1, multipliers: vec![] };
    claimed.layers = vec![claimed.layers[0].clone(); 100_000];
    claimed.groups = vec![group; 100_000];
    assert!(check(&claimed, &model).failed());
}
