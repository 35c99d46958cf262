//! The mean over an image and its mirror image.

use dahlquist::{
    Network, Semantics,
    activation::Activation,
    field::GradientField,
    integrate::Tableau,
    layer::{AffineLayer, Flow, Layer, Reshape, Step},
    model::Model,
    operator::{Affine, Dense},
    tensor::{Batch, Shape},
};
use dahlquist_testkit::models::model_bytes;

fn dense(outputs: usize, seed: f64) -> Affine<f64> {
    matrix((outputs, 12), seed)
}

fn matrix((outputs, inputs): (usize, usize), seed: f64) -> Affine<f64> {
    let weight = (0..outputs * inputs).map(|i| (seed + 1.7 * i as f64).sin()).collect();
    Affine::new(Dense::new(outputs, inputs, weight).unwrap(), Some(vec![0.1; outputs])).unwrap()
}

#[test]
fn it_is_the_mean_and_no_less_certified() {
    let input = Shape::image(3, 2, 2);
    let field = GradientField::new(dense(5, 0.0), Activation::Relu {}).unwrap();
    let layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Reshape::flatten(input)),
        Box::new(Flow::new(field, Tableau::euler(), Step::Relative(1.0), 1).unwrap()),
        Box::new(AffineLayer::new(dense(2, 1.0))),
    ];
    let sealed = Network::new(input, layers).unwrap().seal().unwrap();
    let network = sealed.network();
    let mean = network.mirror_mean().unwrap().seal().unwrap();
    assert_eq!(mean.features().get(), sealed.features().get());

    let x: Vec<f64> = (0..12).map(|i| (0.3 * f64::from(i)).cos()).collect();
    let mirrored = x.chunks(2).flat_map(|row| [row[1], row[0]]).collect();
    let both = Batch::new(input, [x, mirrored].concat()).unwrap();
    let (one, all) = (network.forward(&both).unwrap(), mean.network().forward(&both).unwrap());
    for i in 0..2 {
        // The head is affine: the mean of the features has the mean of the logits.
        let expected = 0.5 * (one.sample(0)[i] + one.sample(1)[i]);
        assert!((0..2).all(|s| (all.sample(s)[i] - expected).abs() < 1e-12));
    }
    let radii = mean.certify(&both, Semantics::Executed).unwrap();
    assert!(radii.iter().all(|c| c.prediction == radii[0].prediction && c.radius.get() > 0.0));
}

/// Both branches have the same weights, and a file holds large ones once; what is read is the same network, bit for bit.
#[test]
fn its_weights_are_written_once() {
    let input = Shape::image(3, 4, 4);
    let layers: Vec<Box<dyn Layer<f64>>> = vec![
        Box::new(Reshape::flatten(input)),
        Box::new(AffineLayer::new(matrix((40, 48), 0.0))),
        Box::new(AffineLayer::new(matrix((2, 40), 1.0))),
    ];
    let alone = Network::new(input, layers).unwrap();
    let mean = alone.mirror_mean().unwrap();
    let (one, both) = (model_bytes(&alone), model_bytes(&mean));
    assert!(both.len() < one.len() + 8 * 40 * 48 / 2, "{} {}", one.len(), both.len());
    assert_eq!(Model::parse(&both).unwrap().map(), &mean.describe());
}
