//! `dahlquist certify --witness`.

use dahlquist::{
    Network,
    activation::Activation,
    data::samples,
    field::GradientField,
    integrate::Tableau,
    network,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Reshape, Step},
    operator::{Affine, Conv2d, Dense, Geometry},
    rigor::torus::PaddingMode::Zeros,
    tensor::Shape,
};
use num_bigint::BigInt;

use super::{Folder, dataset, refuses, succeeds};

/// A network of layers that the verified checker knows, at 16 points and then at one.
fn known() -> Network<f32> {
    let mut entries = (0..).map(|i: u32| ((i * 37 % 101) as f32 - 50.0) / 160.0);
    let mut draw = |count: usize| entries.by_ref().take(count).collect::<Vec<f32>>();
    let image = |channels| Shape::image(channels, 4, 4);
    let one = |input, outputs| Geometry { input, outputs, kernel: (1, 1), stride: 1, padding: 0, mode: Zeros };
    let lift = Affine::new(Conv2d::new(one(image(3), 4), draw(12)).unwrap(), Some(draw(4))).unwrap();
    let pointwise = Affine::new(Conv2d::new(one(image(5), 3), draw(15)).unwrap(), Some(draw(3))).unwrap();
    let dense = |m, n, weight, bias| Affine::new(Dense::new(m, n, weight).unwrap(), Some(bias)).unwrap();
    let flow = |map, activation, tableau, steps| -> Box<dyn Layer<f32>> {
        let field = GradientField::new(map, activation).unwrap();
        Box::new(Flow::new(field, tableau, Step::Relative(1.0), steps).unwrap())
    };
    let leaky = Activation::LeakyRelu { slope: 0.125 };
    let layers: Vec<Box<dyn Layer<f32>>> = vec![
        Box::new(AffineLayer::new(lift)),
        Box::new(ActivationLayer::new::<f32>(leaky, image(4)).unwrap()),
        Box::new(Reshape::pad_channels(image(4), 5).unwrap()),
        flow(pointwise, Activation::Relu {}, Tableau::rk4(), 2),
        Box::new(Reshape::flatten(image(5))),
        Box::new(AffineLayer::new(dense(6, 80, draw(480), draw(6)))),
        flow(dense(9, 6, draw(54), draw(9)), leaky, Tableau::euler(), 1),
        flow(dense(2, 6, draw(12), draw(2)), Activation::Identity {}, Tableau::ssprk33(), 3),
        Box::new(AffineLayer::new(dense(4, 6, draw(24), draw(4)))),
    ];
    let sealed = Network::new(image(3), layers).unwrap().seal().unwrap();
    // The steps as they are sealed are those of the file.
    let folder = tempfile::tempdir().unwrap();
    network::save(sealed.network(), &folder.path().join("m.safetensors")).unwrap();
    match network::load(&folder.path().join("m.safetensors")).unwrap() {
        network::AnyNetwork::F32(network) => network,
        network::AnyNetwork::F64(_) => panic!("it was f32"),
    }
}

/// The operators of a witness, each with its squared bound: `Σ_j |α[i=j] − G_ij − (RᵀR)_ij| ≤ β` is asserted.
fn operators(words: &[&str]) -> Vec<(usize, usize, f64)> {
    let number = |at: usize| words[at].parse::<BigInt>().unwrap();
    let size = |at: usize| words[at].parse::<usize>().unwrap();
    let mut found = Vec::new();
    for bias in (0..words.len()).filter(|&at| words[at] == "bias") {
        let weight = (0..bias).rfind(|&at| words[at] == "weight").unwrap();
        let points = if words[weight - 4] == "points" { 2 } else { 0 };
        let (m, n, scale) = (size(weight - 4 - points), size(weight - 3 - points), size(weight - 1));
        assert_eq!((words[weight - 2], words[bias + m + 1]), ("scale", "gram"));
        let by_rows = words[bias + m + 2] == "rows";
        let (alpha, beta, factor) = (number(bias + m + 4), number(bias + m + 6), bias + m + 8);
        let (k, length) = if by_rows { (m, n) } else { (n, m) };
        let w = |i: usize, l: usize| number(weight + 1 + if by_rows { i * n + l } else { l * n + i });
        let r = |l: usize, i: usize| number(factor + l * k - l * (l + 1) / 2 + i);
        for i in 0..k {
            let residual = |j: usize| -> BigInt {
                let diagonal = if i == j { alpha.clone() } else { BigInt::ZERO };
                let gram: BigInt = (0..length).map(|l| w(i, l) * w(j, l)).sum();
                diagonal - gram - (0..=i.min(j)).map(|l| r(l, i) * r(l, j)).sum::<BigInt>()
            };
            assert!((0..k).map(residual).map(|e| if e < BigInt::ZERO { -e } else { e }).sum::<BigInt>() <= beta);
        }
        let squared = (alpha + beta).to_string().parse::<f64>().unwrap() / 4f64.powi(scale as i32);
        found.push((m, n, squared));
    }
    found
}

#[test]
fn certify_writes_a_witness_in_exact_integers() {
    let folder = Folder::new();
    network::save(&known(), &folder.path("known.safetensors")).unwrap();
    samples::save::<f32>(folder.path("known_samples.safetensors"), &dataset(Shape::image(3, 4, 4), 12, 4)).unwrap();
    let certify = "certify @known.safetensors --data @known_samples.safetensors --semantics exact --json @r.json";
    let text = succeeds(&folder.run(&format!("{certify} --witness @w.txt")));
    let (result, witness) = (folder.json("r.json"), std::fs::read_to_string(folder.path("w.txt")).unwrap());
    let claimed = result["samples"].as_array().unwrap().iter().filter(|s| s["radius"].as_f64().unwrap() > 0.0).count();
    assert!(claimed > 6 && text.contains(&format!("margins of {claimed} of 12 samples")), "{text}");
    let plain: Vec<&str> = witness.lines().map(|line| line.split('#').next().unwrap()).collect();
    let words: Vec<&str> = plain.iter().flat_map(|line| line.split_whitespace()).collect();
    assert_eq!(words[..4], ["dahlquist-witness", "1", "input", "48"]);
    assert_eq!(words.last(), Some(&"end"));
    let kinds: Vec<&str> = words.windows(2).filter(|w| w[0] == "layer").map(|w| w[1]).collect();
    assert_eq!(kinds, ["affine", "activation", "pad", "flow", "affine", "flow", "flow"]);
    for phrase in ["layer pad 16", "layer activation leaky 1 3", "4 3 points 16 scale", "A 0 0 0 0 3 0 0 0", "head 4 6"]
    {
        assert!(words.join(" ").contains(phrase), "{phrase}");
    }

    // Its bounds are as good as those of the certificate, and so are its radii.
    let operators = operators(&words);
    let sizes: Vec<(usize, usize)> = operators.iter().map(|&(m, n, _)| (m, n)).collect();
    assert_eq!(sizes, [(4, 3), (3, 5), (6, 80), (9, 6), (2, 6)]);
    let at = words.iter().position(|&word| word == "lipschitz").unwrap();
    let dyadic = |number: &str, scale: &str| number.parse::<f64>().unwrap() / 2f64.powi(scale.parse().unwrap());
    let bound = dyadic(words[at + 1], words[at + 2]);
    let product = (operators[0].2 * operators[2].2).sqrt();
    let features = result["layers"][0]["bound"].as_f64().unwrap() * result["layers"][5]["bound"].as_f64().unwrap();
    assert!((bound / product - 1.0).abs() < 1e-12 && (bound / features - 1.0).abs() < 1e-8, "{bound} {product}");
    let margins = words.iter().enumerate().filter(|(_, word)| **word == "margin").map(|(at, _)| at);
    let samples = result["samples"].as_array().unwrap().iter().filter(|s| s["radius"].as_f64().unwrap() > 0.0);
    for (at, sample) in margins.zip(samples) {
        assert_eq!(words[at + 1], sample["prediction"].to_string());
        let (radius, expected) = (dyadic(words[at + 3], words[at + 4]), sample["radius"].as_f64().unwrap());
        assert!((radius / expected - 1.0).abs() < 1e-6, "{radius} {expected}");
    }

    // Without samples, or without the head, the claim is about all layers of the part.
    assert!(succeeds(&folder.run("certify @known.safetensors --witness @all.txt")).contains("layers 0..9 at most"));
    let part = succeeds(&folder.run(&format!("{certify} --witness @part.txt --witness-layers 2..5")));
    assert!(part.contains("witness of layers 2..5: Lipschitz constant of layers 2..5 at most 1\n"), "{part}");
}

#[test]
fn a_witness_is_refused_where_the_verified_checker_knows_no_such_layer() {
    let folder = Folder::new();
    let whole = folder.run("certify @single.safetensors --witness @w.txt");
    refuses(&whole, &["single.safetensors", "layer 0", "normalisation", "2..3, 6..7, 9..10, 11..13"]);
    for (part, words) in [
        ("1..3", ["layer 1", "reordering"]),
        ("2..4", ["layer 3", "3×3 kernel"]),
        ("4..5", ["layer 4", "softplus"]),
        ("7..9", ["layer 7", "mean pooling"]),
        ("9..12", ["layer 10", "flow of such a field"]),
        ("5..5", ["layers = 5..5", "0..13"]),
        ("12..14", ["layers = 12..14", "0..13"]),
    ] {
        refuses(&folder.run(&format!("certify @single.safetensors --witness @w.txt --witness-layers {part}")), &words);
    }
    assert!(!folder.path("w.txt").exists());
    let head = "certify @double.safetensors --data @samples.safetensors --witness @w.txt --witness-layers 11..13";
    assert!(succeeds(&folder.run(head)).contains("of 12 samples"));
    refuses(&folder.run("certify @single.safetensors --witness @no/w.txt --witness-layers 11..13"), &["no/w.txt"]);
    // The tightest step that is proved, and the next longer one.
    let mut long = known();
    network::save(&long, &folder.path("known.safetensors")).unwrap();
    succeeds(&folder.run("certify @known.safetensors --witness @w.txt"));
    long.parameters_mut()[6][0].iter_mut().for_each(|w| *w *= 1.0001);
    network::save(&long, &folder.path("long.safetensors")).unwrap();
    refuses(&folder.run("certify @long.safetensors --witness @w.txt"), &["long.safetensors", "layer 6", "longer than"]);
}
