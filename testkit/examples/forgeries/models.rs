//! Forgeries of models, and certificates of other models, under repaired hashes.

use dahlquist_testkit::forgery::places;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::{
    draft::{Draft, other_float, other_number, pick},
    subject::Subject,
};

/// A safetensors file, taken apart.
struct Parts {
    header: Value,
    data: Vec<u8>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Option<Self> {
        let length = usize::try_from(u64::from_le_bytes(bytes.first_chunk().copied()?)).ok()?;
        let header = serde_json::from_slice(bytes.get(8..8 + length)?).ok()?;
        Some(Self { header, data: bytes[8 + length..].to_vec() })
    }

    fn bytes(&self) -> Vec<u8> {
        let header = self.header.to_string();
        [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &self.data].concat()
    }

    /// The tensors: name, width of a number, shape, first and last byte.
    fn tensors(&self) -> Vec<(String, usize, Value, std::ops::Range<usize>)> {
        let of = |(name, info): (&String, &Value)| {
            let width = match info.get("dtype")?.as_str()? {
                "F32" => 4,
                "F64" => 8,
                _ => return None,
            };
            let offset = |i: usize| Some(info["data_offsets"][i].as_u64()? as usize);
            Some((name.clone(), width, info["shape"].clone(), offset(0)?..offset(1)?))
        };
        self.header.as_object().into_iter().flatten().filter_map(of).collect()
    }
}

fn change(numbers: &mut [u8], width: usize, f: &mut dyn FnMut(f64) -> f64) {
    for bytes in numbers.chunks_exact_mut(width) {
        if let Ok(bits) = <[u8; 4]>::try_from(&*bytes) {
            bytes.copy_from_slice(&(f(f64::from(f32::from_le_bytes(bits))) as f32).to_le_bytes());
        } else if let Ok(bits) = <[u8; 8]>::try_from(&*bytes) {
            bytes.copy_from_slice(&f(f64::from_le_bytes(bits)).to_le_bytes());
        }
    }
}

/// Numbers of a tensor change: one by an ulp up to anything, or all by a factor; or two tensors are exchanged.
pub fn tensor(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let Some(mut parts) = Parts::of(&draft.model) else { return };
    let tensors = parts.tensors();
    let (_, width, shape, range) = pick(rng, &tensors).clone();
    let numbers = &mut parts.data[range.clone()];
    match rng.random_range(0..6) {
        0 | 1 => {
            let i = rng.random_range(0..numbers.len() / width) * width;
            let single = width == 4;
            let ulp = rng.random::<bool>();
            change(&mut numbers[i..i + width], width, &mut |x| match (ulp, single) {
                (true, true) => f64::from((x as f32).next_up()),
                (true, false) => x.next_up(),
                _ => other_float(rng, x),
            });
        }
        2 => {
            let factor = *pick(rng, &[0.0, -1.0, 0.5, 1.0 - 1e-6, 1.0 + 1e-6, 2.0, 1e-30, 1e30]);
            change(numbers, width, &mut |x| x * factor);
        }
        3 => change(numbers, width, &mut |_| rng.random_range(-0.3..0.3)),
        4 => {
            let i = rng.random_range(0..numbers.len() / width) * width;
            let other = *pick(rng, &[f64::NAN, f64::INFINITY, f64::MAX, 5e-324, -0.0, 1e-45, 3e38]);
            change(&mut numbers[i..i + width], width, &mut |_| other);
        }
        _ => {
            let same: Vec<_> = tensors.iter().filter(|t| t.1 == width && t.2 == shape && t.3 != range).collect();
            if same.is_empty() {
                numbers.rotate_left(width);
            } else {
                let other = pick(rng, &same).3.clone();
                for (i, j) in range.zip(other) {
                    parts.data.swap(i, j);
                }
            }
        }
    }
    draft.model = parts.bytes();
    finish(draft, rng);
}

/// The architecture changes: numbers, names, layers.
pub fn architecture(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let Some(mut parts) = Parts::of(&draft.model) else { return };
    let Some(text) = parts.header["__metadata__"]["dahlquist"].as_str() else { return };
    let Ok(mut tree) = serde_json::from_str::<Value>(text) else { return };
    let mut all = Vec::new();
    places(&tree, "", &mut all);
    let names: Vec<String> = parts.tensors().into_iter().map(|tensor| tensor.0).collect();
    let kind = rng.random_range(0..3);
    all.retain(|place| match tree.pointer(place) {
        Some(Value::Number(_)) => kind == 0,
        Some(Value::String(_) | Value::Null) => kind == 1,
        Some(Value::Array(items)) => kind == 2 && items.len() > 1,
        _ => false,
    });
    if all.is_empty() {
        return;
    }
    let place: &String = pick(rng, &all);
    let Some(value) = tree.pointer_mut(place) else { return };
    match value {
        Value::Number(_) => *value = other_number(rng, value),
        Value::Array(items) => {
            let (i, j) = (rng.random_range(0..items.len()), rng.random_range(0..items.len()));
            match rng.random_range(0..4) {
                0 => _ = items.remove(i),
                1 => items.insert(j, items[i].clone()),
                2 => items.swap(i, j),
                _ => items.reverse(),
            }
        }
        _ => {
            let words = [
                "relu",
                "abs",
                "tanh",
                "identity",
                "softplus",
                "sigmoid",
                "euler",
                "rk4",
                "heun",
                "midpoint",
                "ssprk33",
                "implicit_euler",
                "circular",
                "zeros",
                "same",
                "dense",
                "flow",
                "flatten",
                "gradient",
                "residual",
                "activation",
                "normalize",
                "avg_pool",
            ];
            *value = if rng.random() { json!(pick(rng, &words)) } else { json!(pick(rng, &names)) };
        }
    }
    // Words that no value can hold are for certificates.
    parts.header["__metadata__"]["dahlquist"] = json!(tree.to_string().replace("\"<raw>", "\""));
    draft.model = parts.bytes();
    finish(draft, rng);
}

/// The certificate of another model, or its claims about samples, or its proof, under the names of this one.
pub fn another(draft: &mut Draft, subjects: &[Subject], rng: &mut ChaCha8Rng) {
    let other = pick(rng, subjects);
    let certificate = pick(rng, &other.issued).clone();
    match rng.random_range(0..4) {
        0 => draft.certificate = certificate,
        1 => draft.certificate["samples"] = certificate["samples"].clone(),
        2 => draft.certificate["network"] = certificate["network"].clone(),
        _ => (draft.model, draft.samples) = (other.bytes.clone(), other.samples.clone()),
    }
    finish(draft, rng);
}

/// Repairs the hashes, nearly always.
fn finish(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    if rng.random_range(0..20) > 0 {
        draft.sign(rng);
    }
}
