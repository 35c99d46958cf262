//! Samples and models come in the files that people have: labels are optional, integers of any type, pixels may be bytes,
//! and a file that is given by mistake is told what it is.

use std::{fs, path::Path};

use dahlquist::{
    Semantics,
    data::{self, Dataset, samples},
    model::Model,
    tensor::{Batch, Shape},
};
use tempfile::TempDir;

/// A safetensors file of tensors: the name, the type, the shape, the bytes.
fn safetensors(tensors: &[(&str, &str, &[usize], &[u8])]) -> Vec<u8> {
    let (mut at, mut entries, mut data) = (0, Vec::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let end = at + bytes.len();
        entries.push(format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{at},{end}]}}"#));
        data.extend_from_slice(bytes);
        at = end;
    }
    let header = format!("{{{}}}", entries.join(","));
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()
}

/// An `.npy` file.
fn npy(descr: &str, order: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n");
    [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes(), header.as_bytes(), data].concat()
}

/// An archive of files, as `numpy.savez` writes it, each with the method of its compression.
fn zip(files: &[(&str, u16, Vec<u8>)]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, method, content) in files {
        let (start, n, size) = (out.len() as u32, name.len() as u16, content.len() as u32);
        // Version, flags, method, time, date, checksum, sizes, length of the name and of what follows it.
        let mut common = [[20, 0], [0, 0], method.to_le_bytes(), [0, 0], [0, 0], [0, 0], [0, 0]].concat();
        common.extend([size.to_le_bytes(), size.to_le_bytes()].concat());
        common.extend([n.to_le_bytes(), [0, 0]].concat());
        out.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        directory
            .extend([b"PK\x01\x02\x14\x00", &common[..], &[0; 10], &start.to_le_bytes(), name.as_bytes()].concat());
    }
    let (start, size, count) = (out.len() as u32, directory.len() as u32, files.len() as u16);
    let counts = [count.to_le_bytes(), count.to_le_bytes()].concat();
    out.extend(directory);
    out.extend([b"PK\x05\x06\0\0\0\0", &counts[..], &size.to_le_bytes(), &start.to_le_bytes(), &[0, 0]].concat());
    out
}

fn floats(x: &[f32]) -> Vec<u8> {
    x.iter().flat_map(|x| x.to_le_bytes()).collect()
}

#[test]
fn labels_are_integers_of_any_type_or_missing() {
    let x = floats(&[0.0, 1.0, 2.0, 3.0]);
    let types: [(&str, &[u8]); 8] = [
        ("U8", &[2, 1]),
        ("I8", &[2, 1]),
        ("U16", &[2, 0, 1, 0]),
        ("I16", &[2, 0, 1, 0]),
        ("U32", &[2, 0, 0, 0, 1, 0, 0, 0]),
        ("I32", &[2, 0, 0, 0, 1, 0, 0, 0]),
        ("U64", &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("I64", &[2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
    ];
    for (dtype, y) in types {
        let read = samples::parse(&safetensors(&[("x", "F32", &[2, 2], &x), ("y", dtype, &[2], y)]), None).unwrap();
        assert_eq!((read.labels(), read.classes(), read.is_labelled()), ([2, 1].as_slice(), 3, true), "{dtype}");
    }
    let negative = samples::parse(&safetensors(&[("x", "F32", &[2, 2], &x), ("y", "I8", &[2], &[0, 255])]), None);
    assert!(negative.unwrap_err().to_string().contains("label -1"));
    let wide = samples::parse(&safetensors(&[("x", "F32", &[2, 2], &x), ("y", "U8", &[2], &[0, 255])]), None);
    assert_eq!(wide.unwrap().labels(), [0, 255]);

    let bare = samples::parse(&safetensors(&[("x", "F32", &[2, 2], &x)]), None).unwrap();
    assert_eq!((bare.labels(), bare.len(), bare.is_labelled()), ([].as_slice(), 2, false));
    assert_eq!(bare.batch::<f32>(&[1]).unwrap().data(), [2.0, 3.0]);
    let refusal = bare.labels_at(&[0]).unwrap_err().to_string();
    assert!(refusal.contains("no labels"), "{refusal}");
    let part = bare.subset(&[1]).unwrap();
    assert_eq!((part.len(), part.is_labelled()), (1, false));
    // Labels are part of what is hashed.
    let zeros = samples::parse(&safetensors(&[("x", "F32", &[2, 2], &x), ("y", "U8", &[2], &[0, 0])]), None).unwrap();
    assert_ne!(zeros.sha256().unwrap(), bare.sha256().unwrap());
    assert_eq!(zeros.without_labels().sha256().unwrap(), bare.sha256().unwrap());
}

#[test]
fn a_byte_is_a_pixel_in_every_file() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("samples.safetensors");
    let pixels: Vec<u8> = (0..=255).collect();
    let direct =
        Dataset::from_bytes(Shape::Features(256), pixels.clone(), vec![3], (0..4).map(|k| k.to_string()).collect());
    let direct = direct.unwrap();
    fs::write(&path, safetensors(&[("x", "U8", &[1, 256], &pixels), ("y", "U8", &[1], &[3])])).unwrap();
    let npz = zip(&[
        ("x.npy", 0, npy("|u1", "False", "(1, 256)", &pixels)),
        ("y.npy", 0, npy("<i8", "False", "(1,)", &3u64.to_le_bytes())),
    ]);
    fs::write(dir.path().join("samples.npz"), npz).unwrap();
    for read in [samples::open(&path, None).unwrap(), samples::open(dir.path().join("samples.npz"), None).unwrap()] {
        assert_eq!(read, direct);
        assert_eq!(read.sha256().unwrap(), direct.sha256().unwrap());
        // p/255 is no binary number: claims are charged with the distance.
        assert!(read.distance_up() > 0.0 && read.in_unit_range());
    }
}

#[test]
fn arrays_of_numpy_are_read_and_others_refused() {
    let x = floats(&[0.5, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let wide: Vec<u8> = [0.5f64, 1.0, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let archive = |files: &[(&str, u16, Vec<u8>)]| samples::parse(&zip(files), Some(10));
    let read = archive(&[
        ("other.npy", 8, vec![1, 2, 3]),
        ("y.npy", 0, npy("<i4", "False", "(3,)", &[4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0])),
        ("x.npy", 0, npy("<f4", "False", "(3, 2)", &x)),
    ])
    .unwrap();
    assert_eq!((read.shape(), read.labels()), (Shape::Features(2), [4, 5, 6].as_slice()));
    assert_eq!(read.batch::<f32>(&[2]).unwrap().data(), [4.0, 5.0]);
    let double = archive(&[("x.npy", 0, npy("<f8", "False", "(1, 3, 1, 1)", &wide))]).unwrap();
    assert_eq!((double.shape(), double.is_labelled()), (Shape::image(3, 1, 1), false));

    let refusals = [
        (vec![("x.npy", 8, vec![0; 4])], "numpy.savez"),
        (vec![("x.npy", 0, npy("<f4", "True", "(3, 2)", &x))], "ascontiguousarray"),
        (vec![("x.npy", 0, npy(">f4", "False", "(3, 2)", &x))], ">f4"),
        (vec![("x.npy", 0, npy("<i8", "False", "(1, 3)", &wide))], "uint8"),
        (vec![("x.npy", 0, npy("<f4", "False", "(3, 3)", &x))], "shape"),
        (vec![("x.npy", 0, npy("|b1", "False", "(2, 3)", &[0, 1, 0, 1, 0, 1]))], "|b1"),
        (vec![("x.npy", 0, npy("<f4", "False", "(3, 2)", &x)); 2], "two arrays of the name x.npy"),
        (vec![("x.npy", 0, npy("<f4", "False", "(18446744073709551615, 2)", &x))], "shape"),
        (vec![("z.npy", 0, npy("<f4", "False", "(3, 2)", &x))], "x is missing"),
        (vec![("archive/data.pkl", 0, vec![0; 8])], "PyTorch"),
    ];
    let half = zip(&[("archive/data.pkl", 0, vec![0; 8])]);
    assert!(samples::parse(&half[..50], None).unwrap_err().to_string().contains("PyTorch"));
    for (files, said) in refusals {
        let reason = archive(&files).unwrap_err().to_string();
        assert!(reason.contains(said), "{reason}");
    }
    let whole = zip(&[("x.npy", 0, npy("<f4", "False", "(3, 2)", &x))]);
    for n in 4..whole.len() {
        assert!(samples::parse(&whole[..n], None).is_err(), "{n} bytes");
    }
    for i in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[i] ^= 0xff;
        // Refused or read, but never a panic.
        let _ = samples::parse(&damaged, None);
    }
}

/// Files of MNIST in a folder: so many images of 2×3 pixels, and labels if there are any.
fn mnist(dir: &Path, count: u8, labels: Option<&[u8]>) {
    let pixels: Vec<u8> = (0..6 * count).collect();
    let images = [&[0, 0, 8, 3, 0, 0, 0, count, 0, 0, 0, 2, 0, 0, 0, 3][..], &pixels].concat();
    fs::write(dir.join("t10k-images-idx3-ubyte"), images).unwrap();
    if let Some(labels) = labels {
        let file = [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8][..], labels].concat();
        fs::write(dir.join("t10k-labels-idx1-ubyte"), file).unwrap();
    }
}

#[test]
fn the_files_of_mnist_are_read() {
    let dir = TempDir::new().unwrap();
    mnist(dir.path(), 3, Some(&[7, 0, 9]));
    let images = dir.path().join("t10k-images-idx3-ubyte");
    for path in [dir.path(), &images] {
        let read = data::load_test(path, Some(10)).unwrap();
        assert_eq!((read.shape(), read.labels()), (Shape::image(1, 2, 3), [7, 0, 9].as_slice()));
        assert_eq!(read.batch::<f64>(&[1]).unwrap().data()[0], 6.0 / 255.0);
        assert_eq!(read.flattened().shape(), Shape::Features(6));
    }
    assert!(data::load_test(dir.path(), Some(9)).unwrap_err().to_string().contains("label"));
    mnist(dir.path(), 3, Some(&[7, 0]));
    assert!(data::load_test(dir.path(), Some(10)).unwrap_err().to_string().contains("labels of shape [2]"));
    fs::remove_file(dir.path().join("t10k-labels-idx1-ubyte")).unwrap();
    assert!(!data::load_test(&images, Some(10)).unwrap().is_labelled());
}

#[test]
fn files_of_other_types_and_axes_of_mnist_are_named() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x");
    // The sizes are all 1, and so there is one number, of at most 8 bytes.
    for (kind, axes, width, words) in [
        (9, 3, 1, "signed bytes"),
        (11, 3, 2, "16 bits"),
        (12, 3, 4, "integers of 32 bits"),
        (13, 3, 4, "floating-point numbers of 32 bits"),
        (14, 3, 8, "64 bits"),
        (8, 1, 1, "labels"),
        (8, 2, 1, "2 axes"),
        (8, 5, 1, "5 axes"),
    ] {
        let sizes = [0, 0, 0, 1].repeat(usize::from(axes));
        let bytes = [&[0, 0, kind, axes][..], &sizes, &vec![0; width]].concat();
        fs::write(&path, &bytes).unwrap();
        let error = data::load_test(&path, None).unwrap_err().to_string();
        assert!(error.contains("IDX") && error.contains(words), "{error}");
    }
}

/// A folder without a test set that is known is said to be one, and what to do with a layout that is not read.
#[test]
fn folders_without_a_test_set_are_told_what_is_missing() {
    let dir = TempDir::new().unwrap();
    let said = |name: &str, words: &str| {
        if !name.is_empty() {
            fs::write(dir.path().join(name), [0]).unwrap();
        }
        for classes in [3, 10] {
            let error = data::load_test(dir.path(), Some(classes)).unwrap_err().to_string();
            assert!(
                error.contains("test_batch.bin") && error.contains("t10k-images") && error.contains(words),
                "{error}"
            );
        }
    };
    said("", "neither");
    said("t10k-images-idx3-ubyte.gz", "gunzip");
    fs::remove_file(dir.path().join("t10k-images-idx3-ubyte.gz")).unwrap();
    said("test_batch", "dahlquist.data.cifar10");
}

#[test]
fn files_that_are_given_by_mistake_are_told_what_they_are() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("file");
    let checkpoint = zip(&[("archive/data.pkl", 0, vec![0; 8]), ("archive/data/0", 0, vec![0; 64])]);
    let npz = zip(&[("x.npy", 0, npy("<f4", "False", "(1, 1)", &[0; 4]))]);
    let gzip = [&b"\x1f\x8b\x08\0\0\0\0\0"[..], &[7; 100]].concat();
    let cases: [(&[u8], &str); 4] = [
        (&checkpoint, "from_torch"),
        (&npz, ".npz"),
        (&gzip, "gunzip"),
        (b"\x08\x08\x12\x07pytorch\x1a\x052.9.0:\x00", "from_onnx"),
    ];
    for (bytes, said) in cases {
        fs::write(&path, bytes).unwrap();
        let model = Model::read(&path).unwrap_err().to_string();
        assert!(model.contains(said) && model.contains("file:"), "{model}");
        if bytes != npz {
            let read = samples::load(&path, None).unwrap_err().to_string();
            assert!(read.contains(said), "{read}");
        }
    }
    // Weights alone are a safetensors file, and no model.
    fs::write(&path, safetensors(&[("fc.weight", "F32", &[1, 1], &[0; 4])])).unwrap();
    assert!(Model::read(&path).unwrap_err().to_string().contains("from_state_dict"));
}

#[test]
fn a_tensor_that_no_layer_names_is_left_alone() {
    let architecture = r#"{\"format\":\"dahlquist-model\",\"version\":2,\"input\":[1],\"layers\":[{\"type\":\"dense\",\"weight\":\"w\"}]}"#;
    let header = format!(
        r#"{{"__metadata__":{{"dahlquist":"{architecture}"}},"w":{{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}},
        "bn.num_batches_tracked":{{"dtype":"I64","shape":[],"data_offsets":[4,12]}},
        "nan":{{"dtype":"F64","shape":[1],"data_offsets":[12,20]}}}}"#
    );
    let data = [&2f32.to_le_bytes()[..], &7u64.to_le_bytes(), &f64::NAN.to_le_bytes()].concat();
    let bytes = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    assert_eq!(Model::parse(&bytes).unwrap().scalar(), "f32");
}

#[test]
fn radii_of_samples_without_labels_are_claimed_and_checked() {
    use dahlquist::{
        certificate::{ClaimedSamples, file::CertificateFile},
        certify::{SealOptions, check_samples},
        check::{Verdict, check},
        network::AnyNetwork,
    };
    let model =
        Model::parse(&dahlquist_testkit::models::model_bytes(&dahlquist_testkit::models::dense_stack())).unwrap();
    let AnyNetwork::F32(network) = model.network().unwrap() else { panic!("it was f32") };
    let x =
        Batch::new(network.input(), (0..4 * network.input().len()).map(|i| (i % 7) as f32 / 7.0).collect()).unwrap();
    let bare = Dataset::from_samples(&x, vec![0; 4], vec!["0".into()]).unwrap().without_labels();
    let sealed = network.seal().unwrap();
    let certified = sealed.certify_dataset(&bare, (Semantics::Exact, false), &|_| {}).unwrap();
    let hash = bare.sha256().unwrap();
    let claimed = ClaimedSamples::new(hash, (Semantics::Exact, false), &certified, bare.labels(), &[0.1]).unwrap();
    assert_eq!((&claimed.labels, claimed.clean_accuracy, claimed.certified_accuracy.len()), (&None, None, 0));
    let options = sealed.options();
    let mut file = CertificateFile::new(sealed.certificate(), &model, options.norm_proof, options.summation);
    file.samples = Some(claimed.clone());
    let file = CertificateFile::parse(&file.bytes().unwrap()).unwrap();
    let verified = check(&file, &model).verified.unwrap();
    let AnyNetwork::F32(again) = model.network().unwrap() else { panic!("it was f32") };
    let sealed = again.seal_by(&verified, SealOptions::default()).unwrap();
    let findings = check_samples(&claimed, &sealed, &bare, &|_| {}).unwrap();
    assert!(findings.iter().all(|f| !matches!(f.verdict, Verdict::Failed(_))), "{findings:?}");
    // A radius that is larger is refused, labels or not.
    let mut forged = claimed;
    forged.radii[0] += 1.0;
    let findings = check_samples(&forged, &sealed, &bare, &|_| {}).unwrap();
    assert!(findings.iter().any(|f| matches!(f.verdict, Verdict::Failed(_))));
}
