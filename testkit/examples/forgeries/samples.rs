//! Forgeries of what is claimed about samples, and of the samples.

use dahlquist_testkit::forgery::places;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::{
    draft::{Draft, other_float, pick},
    subject::Subject,
};

fn list<'a>(draft: &'a mut Draft, key: &str) -> Option<&'a mut Vec<Value>> {
    draft.certificate.pointer_mut(&format!("/samples/{key}")).and_then(Value::as_array_mut)
}

/// One radius, or all of them, grow.
pub fn radius(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let kind = rng.random_range(0..7);
    let grow = |value: &mut Value| {
        let r = value.as_f64().unwrap_or(0.0);
        *value = json!(match kind {
            0 => r.next_up(),
            1 => f64::from((r as f32).next_up()),
            2 => r * (1.0 + 1e-12),
            3 => r * 1.1,
            4 => 2.0 * r + 1e-30,
            5 => 1e6,
            _ => r + 5e-324,
        });
    };
    let Some(radii) = list(draft, "radii") else { return };
    if rng.random() {
        radii.iter_mut().for_each(grow);
    } else {
        let s = rng.random_range(0..radii.len());
        grow(&mut radii[s]);
    }
}

/// Predictions are shifted, or one of them is another class.
pub fn prediction(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let (classes, shift) = (draft.samples.classes as u64, rng.random_range(1..4));
    let Some(predictions) = list(draft, "predictions") else { return };
    let other = |value: &mut Value| *value = json!((value.as_u64().unwrap_or(0) + shift) % classes.max(1));
    if rng.random() {
        predictions.iter_mut().for_each(other);
    } else {
        let s = rng.random_range(0..predictions.len());
        other(&mut predictions[s]);
    }
}

/// Claims are exchanged, dropped or doubled, in one list or in all of them.
pub fn lists(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let count = draft.samples.labels.len();
    let (kind, i, j) = (rng.random_range(0..4), rng.random_range(0..count), rng.random_range(0..count));
    let keys = *pick(
        rng,
        &[
            &["radii"][..],
            &["predictions"],
            &["labels"],
            &["radii", "predictions"],
            &["radii", "predictions", "labels"],
        ],
    );
    for key in keys {
        let Some(all) = list(draft, key).filter(|all| all.len() == count) else { continue };
        match kind {
            0 => all.swap(i, j),
            1 => _ = all.remove(i),
            2 => all.insert(j, all[i].clone()),
            _ => all.reverse(),
        }
    }
}

/// Radii of another meaning: exact ones for the program, those of the declared order for any, or local ones.
pub fn meaning(draft: &mut Draft, subject: &Subject, rng: &mut ChaCha8Rng) {
    let other = pick(rng, &subject.issued);
    let of = |key: &str| other["samples"].get(key).cloned();
    match rng.random_range(0..4) {
        0 => draft.certificate["samples"]["semantics"] = json!(pick(rng, &["exact", "executed"])),
        1 => draft.certificate["samples"]["local"] = json!(rng.random::<bool>()),
        2 => draft.certificate["summation"] = json!(pick(rng, &["any", "declared"])),
        _ => {
            for key in ["radii", "predictions"] {
                draft.certificate["samples"][key] = of(key).unwrap_or_default();
            }
        }
    }
}

/// Labels and accuracies.
pub fn accuracy(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let count = draft.samples.labels.len();
    let samples = &mut draft.certificate["samples"];
    match rng.random_range(0..6) {
        0 => samples["clean_accuracy"] = json!(pick(rng, &[0.0, 1.0, 0.999, 1.5, -0.5])),
        1 => samples["certified_accuracy"][0]["accuracy"] = json!(pick(rng, &[0.0, 1.0, 0.999, -1.0])),
        2 => samples["certified_accuracy"][1]["eps"] = json!(pick(rng, &[0.0, 1e-9, -1.0, 1e300])),
        3 => {
            let predictions = samples["predictions"].clone();
            samples["labels"] = predictions;
        }
        4 => samples["labels"][rng.random_range(0..count)] = json!(rng.random_range(0..12)),
        _ => {
            samples["certified_accuracy"] = json!([{"eps": 0.0, "accuracy": 1.0}, {"eps": 0.0, "accuracy": 0.0}]);
        }
    }
}

/// The samples are others, under the hash of these.
pub fn data(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let (count, n) = (draft.samples.labels.len(), draft.samples.shape.len());
    let (s, t) = (rng.random_range(0..count), rng.random_range(0..count));
    let x = &mut draft.samples;
    match rng.random_range(0..9) {
        0 => {
            let i = rng.random_range(0..x.x.len());
            x.x[i] = other_float(rng, x.x[i]);
        }
        1 => x.x.iter_mut().for_each(|x| *x = 1.0 - *x),
        2 => (0..n).for_each(|i| x.x.swap(s * n + i, t * n + i)),
        3 => x.labels.swap(s, t),
        4 => x.labels[s] = rng.random_range(0..x.classes + 1),
        5 => {
            x.labels.pop();
            x.x.truncate((count - 1) * n);
        }
        6 => {
            // As a loader would standardise them.
            x.x.iter_mut().for_each(|x| *x = (*x - 0.5) / 0.25);
        }
        7 => x.single = !x.single,
        _ => {
            let factor = *pick(rng, &[0.0, -1.0, 1e-30, 1e20, 1e-310]);
            x.x.iter_mut().for_each(|x| *x *= factor);
        }
    }
    draft.sign(rng);
}

/// Any place of the claims about samples becomes something else.
pub fn anything(draft: &mut Draft, rng: &mut ChaCha8Rng) {
    let mut all = Vec::new();
    places(&draft.certificate["samples"], "/samples", &mut all);
    let others = [json!(null), json!(1e6), json!(7), json!("exact"), json!([]), json!({}), json!(true), json!(-1e-300)];
    let place: &String = pick(rng, &all);
    if let Some(value) = draft.certificate.pointer_mut(place) {
        *value = pick(rng, &others).clone();
    }
}
