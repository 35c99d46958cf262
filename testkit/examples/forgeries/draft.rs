//! A forgery while it is made: a certificate as JSON, a model as bytes, samples as numbers.

use dahlquist::model::Model;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::subject::{Samples, Subject};

/// What begins a string that stands for a word of JSON that no value can hold, such as `NaN`.
const RAW: &str = "<raw>";

/// Three files, one of them changed at least.
#[derive(Clone, PartialEq)]
pub struct Draft {
    pub certificate: Value,
    pub model: Vec<u8>,
    pub samples: Samples,
}

impl Draft {
    /// One of the certificates of a subject, with its model and its samples.
    pub fn of(subject: &Subject, rng: &mut ChaCha8Rng) -> Self {
        let certificate = pick(rng, &subject.issued).clone();
        Self { certificate, model: subject.bytes.clone(), samples: subject.samples.clone() }
    }

    /// The bytes of the certificate.
    pub fn text(&self) -> Vec<u8> {
        let text = self.certificate.to_string();
        let mark = format!("\"{RAW}");
        let mut pieces = text.split(&mark);
        let mut out = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            let (word, rest) = piece.split_once('"').unwrap_or((piece, ""));
            out += word;
            out += rest;
        }
        out.into_bytes()
    }

    /// Makes the certificate name the model and the samples that it comes with, so that no hash gives a change away.
    pub fn sign(&mut self, rng: &mut ChaCha8Rng) {
        if let Ok(model) = Model::parse(&self.model) {
            self.certificate["model"] = json!(model.sha256());
            self.certificate["scalar"] = json!(model.scalar());
            self.certificate["input"] = json!(model.input());
        }
        if let (Ok(data), Some(samples)) = (self.samples.dataset(), self.certificate.get_mut("samples")) {
            if let Ok(hash) = data.sha256() {
                samples["sha256"] = json!(hash);
            }
            if samples.get("labels").is_some() && rng.random() {
                samples["labels"] = json!(self.samples.labels);
            }
        }
    }

    /// Takes the accuracies away, or makes them those that follow, so that they do not give a change away; or leaves them.
    pub fn settle(&mut self, rng: &mut ChaCha8Rng) {
        let Some(samples) = self.certificate.get_mut("samples").and_then(Value::as_object_mut) else { return };
        match rng.random_range(0..3) {
            0 => samples.retain(|key, _| !["labels", "clean_accuracy", "certified_accuracy"].contains(&&**key)),
            1 => {
                let list = |key: &str| samples.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
                let (predictions, radii, labels) = (list("predictions"), list("radii"), list("labels"));
                let accuracy = |eps: Option<f64>| {
                    let all = predictions.iter().zip(&radii).zip(&labels);
                    let holds = all.filter(|((p, r), l)| p == l && eps.is_none_or(|eps| r.as_f64() > Some(eps)));
                    json!(holds.count() as f64 / predictions.len().max(1) as f64)
                };
                let clean = accuracy(None);
                let mut certified = list("certified_accuracy");
                for claim in certified.iter_mut().filter(|claim| claim.is_object()) {
                    claim["accuracy"] = accuracy(claim["eps"].as_f64());
                }
                samples.insert("clean_accuracy".into(), clean);
                samples.insert("certified_accuracy".into(), json!(certified));
            }
            _ => {}
        }
    }
}

/// One of a few things.
pub fn pick<'a, T>(rng: &mut ChaCha8Rng, all: &'a [T]) -> &'a T {
    &all[rng.random_range(0..all.len())]
}

/// A word that stands in the file as it is.
pub fn raw(word: &str) -> Value {
    json!(format!("{RAW}{word}"))
}

/// Another number near a number, or far from it, or none.
pub fn other_number(rng: &mut ChaCha8Rng, x: &Value) -> Value {
    if let Some(n) = x.as_u64().filter(|_| rng.random_range(0..4) > 0) {
        let numbers = [n.wrapping_add(1), n.wrapping_sub(1), 0, 1, 2, 3, 2 * n, 1 << 20, 1 << 53, u64::MAX];
        return json!(pick(rng, &numbers));
    }
    if rng.random_range(0..8) == 0 {
        let words =
            ["NaN", "Infinity", "-Infinity", "1e400", "-1e400", "1e-400", "-0.0", "0x1p-3", "1_0", ".5", "5.", "+1"];
        let word: &&str = pick(rng, &words);
        return raw(word);
    }
    json!(other_float(rng, x.as_f64().unwrap_or(0.0)))
}

/// Another finite number.
pub fn other_float(rng: &mut ChaCha8Rng, x: f64) -> f64 {
    let single = x as f32;
    let near = [
        x.next_down(),
        x.next_up(),
        f64::from(single.next_down()),
        f64::from(single.next_up()),
        x * (1.0 - 1e-12),
        x * (1.0 + 1e-12),
        x * 0.9,
        x * 1.1,
        x * 0.5,
        x * 2.0,
        0.0,
        -x,
        1e300,
        5e-324,
        1e6,
        -1.0,
    ];
    let other = *pick(rng, &near);
    if other.is_finite() { other } else { 1.0 }
}
