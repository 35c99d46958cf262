//! A norm that is claimed slightly too small is refused soon: by an estimate of the norm from below, which never refuses a
//! claim that is true.

mod common;

use common::{
    model_bytes,
    tamper::{issued, parse},
};
use dahlquist::{
    Network,
    activation::Activation,
    certify::SealOptions,
    check::{Verdict, check},
    field::GradientField,
    integrate::Tableau,
    io::{AnyNetwork, Claimed, ModelFile},
    layer::{Flow, Step},
    operator::{Affine, Conv2d, Geometry, Norms},
    rigor::torus::{Axis, Convolution, PaddingMode},
    tensor::Shape,
};
use serde_json::json;

fn weights(count: usize, seed: usize) -> Vec<f64> {
    (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f64 / 1001.5 - 1.0).collect()
}

#[test]
fn the_estimate_is_near_the_norm_and_not_above_its_bound() {
    for (seed, (channels, kernel, stride, padding)) in
        [((2, 3), 3, 1, 1), ((3, 1), 2, 1, 0), ((4, 4), 3, 2, 1), ((1, 2), 5, 1, 2)].into_iter().enumerate()
    {
        let weight = weights(channels.0 * channels.1 * kernel * kernel, seed);
        let axis = |input| Axis { input, kernel, stride, padding };
        for scale in [1.0, 1e-300, 1e300] {
            let weight: Vec<f64> = weight.iter().map(|w| w * scale).collect();
            for (mode, axes) in [(PaddingMode::Zeros, [axis(7), axis(6)]), (PaddingMode::Circular, [axis(8), axis(6)])]
            {
                let convolution = Convolution { weight: &weight, channels, axes, mode };
                let about = convolution.norm_estimate().get();
                // For circular padding and as many outputs as inputs the torus proves the norm itself.
                let bound = match convolution.sharp_tight_norm().unwrap() {
                    Some(bound) => bound.get(),
                    None => convolution.sharp_norm().unwrap().bound.get(),
                };
                let same = mode == PaddingMode::Zeros || axes.iter().all(|a| a.output().unwrap() * stride == a.input);
                assert!(about <= bound * (1.0 + 1e-12), "{mode:?} {about} {bound}");
                assert!(!same || about >= bound * (1.0 - 2e-4), "{mode:?} {about} {bound}");
            }
        }
    }
}

#[test]
fn without_a_named_torus_the_best_one_is_proved() {
    let weight = weights(2 * 3 * 9, 5);
    let axis = |input| Axis { input, kernel: 3, stride: 1, padding: 1 };
    let convolution =
        Convolution { weight: &weight, channels: (2, 3), axes: [axis(6), axis(9)], mode: PaddingMode::Zeros };
    let each = convolution.tori().unwrap().into_iter().map(|torus| convolution.norm_on(torus).unwrap().get());
    assert_eq!(convolution.sharp_norm().unwrap().bound.get(), each.fold(f64::INFINITY, f64::min));
}

/// One step of a field with a convolution, whose witness names no torus.
fn flow() -> ModelFile {
    let image = Shape::image(3, 7, 7);
    let geometry =
        Geometry { input: image, outputs: 3, kernel: (3, 3), stride: 1, padding: 1, mode: PaddingMode::Zeros };
    let weight = weights(81, 3).into_iter().map(|w| w as f32 * 0.2).collect();
    let field =
        GradientField::new(Affine::new(Conv2d::new(geometry, weight).unwrap(), None).unwrap(), Activation::Relu {});
    let flow = Flow::new(field.unwrap(), Tableau::euler(), Step::Fixed(0.5), 1).unwrap();
    ModelFile::parse(model_bytes(&Network::new(image, vec![Box::new(flow)]).unwrap())).unwrap()
}

#[test]
fn a_norm_that_is_slightly_false_is_refused_by_the_estimate_and_a_true_one_is_not() {
    let model = flow();
    for norms in [Norms::Torus, Norms::Tight] {
        let Ok(AnyNetwork::F32(network)) = model.network() else { panic!("it was f32") };
        let sealed = network.seal_with(SealOptions { norms, ..SealOptions::default() }).unwrap();
        let claimed = Claimed::new(sealed.certificate(), model.sha256(), model.scalar());
        assert!(check(&claimed, &model).verified.is_some(), "{norms:?}");
        let mut value = issued(&claimed);
        let norm = &mut value["layers"][0]["witness"]["flow"]["field"][0];
        assert_eq!(norm[0], "norm");
        // A tight bound is loose by 10⁻⁴ at most, one of a torus by some per cent.
        let least = norm[1].as_f64().unwrap() * if norms == Norms::Tight { 0.999 } else { 0.9 };
        norm[1] = json!(least);
        let report = check(&parse(&value).unwrap(), &model);
        let failed = report.findings.iter().find(|finding| finding.part == "layer 0").unwrap();
        assert!(
            matches!(&failed.verdict, Verdict::Failed(reason) if reason.contains("the norm is at least about")),
            "{failed:?}"
        );
    }
}
