//! `dahlquist certify --witness`.

use dahlquist::{
    Network,
    activation::Activation,
    data::samples,
    field::GradientField,
    integrate::Tableau,
    io::Digest,
    layer::{ActivationLayer, AffineLayer, Flow, Layer, Reshape, Step},
    network,
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
    let flow = |map, activation, tableau, step, steps| -> Box<dyn Layer<f32>> {
        let field = GradientField::new(map, activation).unwrap();
        Box::new(Flow::new(field, tableau, Step::Relative(step), steps).unwrap())
    };
    let leaky = Activation::LeakyRelu { slope: 0.125 };
    // So that it can be proved from below: the numbers alone have a small rank.
    let injective = |mut weight: Vec<f32>| {
        (0..6).for_each(|i| weight[7 * i] += 0.5);
        weight
    };
    let layers: Vec<Box<dyn Layer<f32>>> = vec![
        Box::new(AffineLayer::new(lift)),
        Box::new(ActivationLayer::new::<f32>(leaky, image(4)).unwrap()),
        Box::new(Reshape::pad_channels(image(4), 5).unwrap()),
        flow(pointwise, Activation::Relu {}, Tableau::rk4(), 1.0, 2),
        Box::new(Reshape::flatten(image(5))),
        Box::new(AffineLayer::new(dense(6, 80, draw(480), draw(6)))),
        flow(dense(9, 6, injective(draw(54)), draw(9)), leaky, Tableau::euler(), 0.5, 2),
        flow(dense(2, 6, draw(12), draw(2)), Activation::Identity {}, Tableau::ssprk33(), 1.0, 3),
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

/// The least `s` for which every `2ˢx` is an integer.
fn scale_of(numbers: &[f32]) -> i32 {
    let whole = |s: i32| numbers.iter().all(|&x| (f64::from(x) * 2f64.powi(s)).fract() == 0.0);
    (0..).find(|&s| whole(s)).unwrap()
}

/// The squared bound that a witness proves of `m × n` numbers `w` of a model, whose bias is `b`, or, with `below`, what it proves from
/// below: that `Σ_j |α[i=j] − G_ij ∓ (RᵀR)_ij| ≤ β` is asserted. The words begin behind the one that names the layer, or the radius.
fn proved(words: &[&str], (m, n): (usize, usize), w: &[f32], b: &[f32]) -> f64 {
    let (sign, by_rows, words) = match words[0] {
        "below" => (-1i32, false, &words[1..]),
        _ => (1, words[1] == "rows", &words[2..]),
    };
    let number = |at: usize| words[at].parse::<BigInt>().unwrap();
    assert_eq!([words[0], words[2], words[4], words[6]], ["fine", "alpha", "beta", "factor"]);
    let scale = scale_of(&[w, b].concat());
    let fine: i32 = words[1].parse().unwrap();
    let (k, length) = if by_rows { (m, n) } else { (n, m) };
    let (alpha, beta, factor) = (number(3), number(5), 8);
    assert_eq!(words[7], k.to_string());
    let integer = |x: f32| BigInt::from((f64::from(x) * 2f64.powi(scale)) as i64) << fine;
    let w = |i: usize, l: usize| integer(w[if by_rows { i * n + l } else { l * n + i }]);
    let r = |l: usize, i: usize| number(factor + l * k - l * (l + 1) / 2 + i);
    for i in 0..k {
        let residual = |j: usize| -> BigInt {
            let diagonal = if i == j { alpha.clone() } else { BigInt::ZERO };
            let gram: BigInt = (0..length).map(|l| w(i, l) * w(j, l)).sum();
            diagonal - gram - (0..=i.min(j)).map(|l| r(l, i) * r(l, j) * sign).sum::<BigInt>()
        };
        assert!((0..k).map(residual).map(|e| if e < BigInt::ZERO { -e } else { e }).sum::<BigInt>() <= beta);
    }
    let bound: BigInt = alpha + beta * sign;
    bound.to_string().parse::<f64>().unwrap() / 4f64.powi(scale + fine)
}

#[test]
fn certify_writes_a_witness_in_exact_integers() {
    let folder = Folder::new();
    let mut network = known();
    network::save(&network, &folder.path("known.safetensors")).unwrap();
    samples::save::<f32>(folder.path("known_samples.safetensors"), &dataset(Shape::image(3, 4, 4), 12, 4)).unwrap();
    let certify = "certify @known.safetensors --data @known_samples.safetensors --semantics exact --json @r.json";
    let text = succeeds(&folder.run(&format!("{certify} --witness @w.txt")));
    let (result, witness) = (folder.json("r.json"), std::fs::read_to_string(folder.path("w.txt")).unwrap());
    let claimed = result["samples"].as_array().unwrap().iter().filter(|s| s["radius"].as_f64().unwrap() > 0.0).count();
    assert!(claimed > 6 && text.contains(&format!("margins of {claimed} of 12 samples")), "{text}");
    let words: Vec<&str> = witness.split_whitespace().collect();
    // It names the files, and has neither their weights nor their samples.
    let sha256 = |name: &str| Digest::of(&std::fs::read(folder.path(name)).unwrap()).to_string();
    let (model, samples) = (sha256("known.safetensors"), sha256("known_samples.safetensors"));
    let header = ["dahlquist-witness", "2", "model", &model, "samples", &samples, "layers", "0", "8"];
    assert_eq!(words[..9], header);
    assert_eq!(words.last(), Some(&"end"));
    let places =
        |word: &str| words.iter().enumerate().filter(|(_, w)| **w == word).map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(places("norm").iter().map(|&at| words[at + 1]).collect::<Vec<_>>(), ["0", "5"]);
    assert_eq!(places("flow").iter().map(|&at| words[at + 1]).collect::<Vec<_>>(), ["3", "7"]);
    let [at] = places("euler")[..] else { panic!("one flow by Euler's method") };
    assert_eq!(words[at + 1], "6");

    // Its bounds are as good as those of the certificate, and so are its radii.
    let mut bound_of = |layer: usize, size: (usize, usize), words: &[&str]| {
        let parameters = network.parameters_mut();
        proved(words, size, parameters[layer][0], parameters[layer][1])
    };
    let (norms, flows) = (places("norm"), places("flow"));
    let first = bound_of(0, (4, 3), &words[norms[0] + 2..]);
    let second = bound_of(5, (6, 80), &words[norms[1] + 2..]);
    for (&at, (layer, size)) in flows.iter().zip([(3, (3, 5)), (7, (2, 6))]) {
        bound_of(layer, size, &words[at + 5..]);
    }
    // Two steps, each of which is half as long as may be: 1 − h m σ² each, where h‖W‖² = 1.
    let gram = at + words[at..].iter().position(|word| *word == "gram").unwrap();
    let [below, above] = [at + 2, gram].map(|at| bound_of(6, (9, 6), &words[at..]));
    let contraction = (1.0 - 0.125 * below / above).powi(2);
    assert!(contraction < 0.999, "{contraction}");
    let at = places("lipschitz")[0];
    let dyadic = |number: &str, scale: &str| number.parse::<f64>().unwrap() / 2f64.powi(scale.parse().unwrap());
    let bound = dyadic(words[at + 1], words[at + 2]);
    let product = (first * second).sqrt() * contraction;
    let features = [0usize, 5, 6].iter().map(|&i| result["layers"][i]["bound"].as_f64().unwrap()).product::<f64>();
    // The step is a number of the format of the weights.
    assert!((bound / product - 1.0).abs() < 1e-7 && (bound / features - 1.0).abs() < 1e-8, "{bound} {product}");
    let samples = result["samples"].as_array().unwrap();
    let margins = places("margin");
    assert_eq!(margins.len(), claimed);
    for at in margins {
        // The claim names the sample that it is about.
        let sample = &samples[words[at + 1].parse::<usize>().unwrap()];
        assert_eq!(words[at + 2], sample["prediction"].to_string());
        let (radius, expected) = (dyadic(words[at + 4], words[at + 5]), sample["radius"].as_f64().unwrap());
        assert!((radius / expected - 1.0).abs() < 1e-6, "{radius} {expected}");
    }

    // Without samples the claim is about all layers, and a part has no margins.
    assert!(succeeds(&folder.run("certify @known.safetensors --witness @all.txt")).contains("layers 0..9 at most"));
    let part = succeeds(&folder.run(&format!("{certify} --witness @part.txt --witness-layers 2..5")));
    assert!(part.contains("witness of layers 2..5: Lipschitz constant of layers 2..5 at most 1\n"), "{part}");
    let tail = succeeds(&folder.run(&format!("{certify} --witness @tail.txt --witness-layers 5..9")));
    assert!(tail.contains("layers 5..9 at most") && !tail.contains("margins"), "{tail}");
}

/// A byte stands for `p/255`, and the gaps are those of the numbers next to it: the radii are smaller by their distance.
#[test]
fn a_witness_is_about_bytes_too_and_its_radii_are_smaller_by_what_rounding_moves_them() {
    let folder = Folder::new();
    network::save(&known(), &folder.path("known.safetensors")).unwrap();
    let bytes: Vec<u8> = (0..12 * 48).map(|i| (i * 37 % 256) as u8).collect();
    let wide: Vec<u8> = bytes.iter().flat_map(|&p| (f64::from(p) / 255.0).to_le_bytes()).collect();
    let margins = |name: &str, dtype, data: &[u8]| -> Vec<(String, BigInt)> {
        let x = safetensors::tensor::TensorView::new(dtype, vec![12, 3, 4, 4], data).unwrap();
        let (file, witness) = (format!("{name}.safetensors"), format!("{name}.txt"));
        std::fs::write(folder.path(&file), safetensors::serialize([("x", x)], None).unwrap()).unwrap();
        succeeds(&folder.run(&format!("certify @known.safetensors --data @{file} --witness @{witness}")));
        let text = std::fs::read_to_string(folder.path(&witness)).unwrap();
        let sha256 = Digest::of(&std::fs::read(folder.path(&file)).unwrap());
        assert!(text.contains(&format!("samples {sha256}\n")), "{text}");
        let claim = |line: &str| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[1].to_string(), words[4].parse().unwrap())
        };
        text.lines().filter(|line| line.starts_with("margin ")).map(claim).collect()
    };
    let exact = margins("wide", safetensors::Dtype::F64, &wide);
    let found = margins("bytes", safetensors::Dtype::U8, &bytes);
    assert_eq!(found.len(), exact.len());
    // √48 · 2⁻⁵⁴ over 2⁻⁶⁴, rounded up twice.
    let off = BigInt::from((48f64.sqrt() * 1024.0).ceil() as i64);
    for ((i, radius), (j, wider)) in found.iter().zip(&exact) {
        assert!(i == j && wider - radius >= off && wider - radius <= &off + 1, "{radius} {wider} {off}");
    }
    assert!(found.len() > 6);
}

/// With `--semantics executed` margins are the program's: of those that the certificate claims nearly all, and none of the exact network.
#[test]
fn certify_writes_claims_about_the_program() {
    let folder = Folder::new();
    let mut entries = (0..).map(|i: u32| ((i * 37 % 101) as f32 - 50.0) / 160.0);
    let mut dense = |m: usize, n: usize| {
        let mut draw = |count: usize| entries.by_ref().take(count).collect::<Vec<f32>>();
        Affine::new(Dense::new(m, n, draw(m * n)).unwrap(), Some(draw(m))).unwrap()
    };
    let flow = |field: GradientField<f32>| Flow::new(field, Tableau::euler(), Step::Relative(0.5), 2).unwrap();
    let layers: Vec<Box<dyn Layer<f32>>> = vec![
        Box::new(AffineLayer::new(dense(6, 80))),
        Box::new(flow(GradientField::new(dense(9, 6), Activation::Relu {}).unwrap())),
        Box::new(AffineLayer::new(dense(4, 6))),
    ];
    let network = Network::new(Shape::Features(80), layers).unwrap();
    network::save(network.seal().unwrap().network(), &folder.path("euler.safetensors")).unwrap();
    samples::save::<f32>(folder.path("points.safetensors"), &dataset(Shape::Features(80), 12, 4)).unwrap();
    let certify = "certify @euler.safetensors --data @points.safetensors --json @r.json --witness @w.txt --semantics";
    let run = |options: &str| {
        let text = succeeds(&folder.run(&format!("{certify} {options}")));
        (text, folder.json("r.json"), std::fs::read_to_string(folder.path("w.txt")).unwrap())
    };
    let (_, exact, plain) = run("exact");
    assert!(!plain.contains("executed") && !plain.contains("summation"), "{plain}");
    // 80 products in two chunks of 40, their sum and the bias; or as many roundings as there are terms.
    for (option, order) in [("declared", "42"), ("any", "any")] {
        let (text, result, witness) = run(&format!("executed --summation {option}"));
        let words: Vec<&str> = witness.split_whitespace().collect();
        let places = |word: &str| (0..words.len()).filter(|&at| words[at] == word).collect::<Vec<_>>();
        let [at] = places("summation")[..] else { panic!("one order of summation: {witness}") };
        assert_eq!(words[at + 1], order);
        let claims = places("executed");
        assert!(claims.len() > 6 && places("margin").is_empty() && claims[0] > at, "{witness}");
        assert!(text.contains(&format!("margins of {} of 12 samples", claims.len())), "{text}");
        for at in claims {
            let number = words[at + 1].parse::<usize>().unwrap();
            let radius = |result: &serde_json::Value| result["samples"][number]["radius"].as_f64().unwrap();
            let claimed = words[at + 4].parse::<f64>().unwrap() / 2f64.powi(words[at + 5].parse().unwrap());
            assert_eq!(words[at + 2], result["samples"][number]["prediction"].to_string());
            assert!(claimed < radius(&result) && radius(&result) < radius(&exact), "{claimed}");
            assert!(claimed > 0.95 * radius(&result), "{claimed} {}", radius(&result));
        }
    }
    // How other methods run is not known to the checker.
    network::save(&known(), &folder.path("known.safetensors")).unwrap();
    samples::save::<f32>(folder.path("known_samples.safetensors"), &dataset(Shape::image(3, 4, 4), 12, 4)).unwrap();
    let other =
        "certify @known.safetensors --data @known_samples.safetensors --semantics executed --witness @other.txt";
    refuses(&folder.run(other), &["known.safetensors", "another method than Euler's"]);
    assert!(!folder.path("other.txt").exists());
}

#[test]
fn a_witness_is_refused_where_the_verified_checker_knows_no_such_layer() {
    let folder = Folder::new();
    let whole = folder.run("certify @single.safetensors --witness @w.txt");
    refuses(
        &whole,
        &["single.safetensors", "layer 4", "softplus", "0..4, 5..12, 14..16, 20..21, 22..23, 26..31, 32..35"],
    );
    for (part, words) in [
        ("10..13", ["layer 12", "gelu"]),
        ("4..5", ["layer 4", "softplus"]),
        ("30..33", ["layer 31", "flow of such a field"]),
        ("5..5", ["layers = 5..5", "0..35"]),
        ("34..36", ["layers = 34..36", "0..35"]),
    ] {
        refuses(&folder.run(&format!("certify @single.safetensors --witness @w.txt --witness-layers {part}")), &words);
    }
    assert!(!folder.path("w.txt").exists());
    let part = "certify @double.safetensors --data @samples.safetensors --witness @w.txt --witness-layers 26..31";
    assert!(succeeds(&folder.run(part)).contains("Lipschitz constant of layers 26..31 at most"));
    refuses(&folder.run("certify @single.safetensors --witness @no/w.txt --witness-layers 34..35"), &["no/w.txt"]);
    // The tightest step that is proved, and the next longer one; Euler's may be too long to be non-expansive.
    let mut long = known();
    long.parameters_mut()[6][0].iter_mut().for_each(|w| *w *= 1.5);
    network::save(&long, &folder.path("known.safetensors")).unwrap();
    succeeds(&folder.run("certify @known.safetensors --witness @w.txt"));
    let text = succeeds(&folder.run("certify @known.safetensors --witness @w.txt --witness-layers 6..7"));
    let (_, bound) = text.split_once("layers 6..7 at most ").unwrap();
    let bound: f64 = bound.split_whitespace().next().unwrap().parse().unwrap();
    assert!((bound - 1.25f64.powi(2)).abs() < 1e-5, "{text}");
    long.parameters_mut()[7][0].iter_mut().for_each(|w| *w *= 1.0001);
    network::save(&long, &folder.path("long.safetensors")).unwrap();
    refuses(&folder.run("certify @long.safetensors --witness @w.txt"), &["long.safetensors", "layer 7", "longer than"]);
}
