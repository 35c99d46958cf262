//! The tree of a network as JSON: a list is a chain, an object with a `type` is one map.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map as Object, Value};

use super::{Linear, Map, Partial, Window, traverse::join};
use crate::{
    activation::Activation,
    error::{Error, Result},
};

/// The types that are neither linear maps nor maps of windows.
const TREES: [&str; 6] = ["activation", "householder", "flow", "equilibrium", "sum", "mean"];
/// The types of linear maps.
const LINEAR: [&str; 13] = [
    "normalize",
    "dense",
    "conv2d",
    "avg_pool",
    "global_avg_pool",
    "flatten",
    "pad_channels",
    "space_to_depth",
    "channel_affine",
    "first_channels",
    "shift",
    "mirror",
    "graph_gradient",
];
/// The types of maps of windows.
const WINDOWS: [&str; 3] = ["sort", "max_pool", "l2_pool"];

/// The key of the channels that an activation acts on.
const CHANNELS: &str = "channels";

/// Returns the types of layers that files may have, by name.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    TREES.into_iter().chain(LINEAR).chain(WINDOWS)
}

/// Reads a map.
///
/// # Errors
/// [`Error::Layer`] with the path of the part that is not one, and why.
pub(super) fn read(value: Value, path: &str) -> Result<Map<String>> {
    match value {
        Value::Array(layers) => list(layers, path).map(Map::Chain),
        Value::Object(object) => read_object(object, path),
        other => Err(Error::format(format!("{other} is no layer and no list of layers")).in_layer(path)),
    }
}

fn list(layers: Vec<Value>, path: &str) -> Result<Vec<Map<String>>> {
    layers.into_iter().enumerate().map(|(i, layer)| read(layer, &join(path, &i.to_string()))).collect()
}

fn read_object(mut object: Object<String, Value>, path: &str) -> Result<Map<String>> {
    let here = |e: Error| e.in_layer(path);
    let Some(Value::String(kind)) = object.get("type").cloned() else {
        return Err(here(Error::format("a layer is an object with a type")));
    };
    if LINEAR.contains(&&kind[..]) {
        return parse::<Linear<String>>(Value::Object(object)).map(Map::Linear).map_err(here);
    }
    if WINDOWS.contains(&&kind[..]) {
        return parse::<Window>(Value::Object(object)).map(Map::Window).map_err(here);
    }
    object.remove("type");
    match &kind[..] {
        "activation" if object.contains_key(CHANNELS) => {
            let channels = object.remove(CHANNELS).unwrap_or_default();
            let channels = parse(channels).map_err(|e| here(Error::format(format!("{CHANNELS}: {e}"))))?;
            let function = parse(Value::Object(object)).map_err(here)?;
            Ok(Map::Partial(Partial { function, channels }))
        }
        "activation" => parse::<Activation>(Value::Object(object)).map(Map::Activation).map_err(here),
        "householder" => parse(Value::Object(object)).map(Map::Householder).map_err(here),
        "flow" => parse(Value::Object(object)).map(Map::Flow).map_err(here),
        "equilibrium" => parse(Value::Object(object)).map(Map::Equilibrium).map_err(here),
        "sum" | "mean" => {
            let Some(Value::Array(branches)) = object.remove("branches") else {
                return Err(here(Error::format(format!("a {kind} has a list of branches"))));
            };
            if let Some(name) = object.keys().next() {
                return Err(here(Error::format(format!("a {kind} has branches only, and no key {name:?}"))));
            }
            // A branch is a chain, also where it is written as a single layer.
            let chain = |branch| if let Map::Chain(_) = branch { branch } else { Map::Chain(vec![branch]) };
            let branches = list(branches, path)?.into_iter().map(chain).collect();
            Ok(if kind == "sum" { Map::Sum(branches) } else { Map::Mean(branches) })
        }
        _ => {
            let nearest = nearest(kinds(), &kind);
            let reason = format!("this program has no layer of this type; the nearest that it has is {nearest:?}");
            Err(here(Error::parameter("type", format!("{kind:?}"), reason)))
        }
    }
}

fn parse<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(Error::format)
}

/// Writes a map.
///
/// # Errors
/// [`Error::Layer`] with the path of a layer that files do not know.
pub(super) fn write(map: &Map<String>, path: &str) -> Result<Value> {
    let branches = |maps: &[Map<String>]| -> Result<Vec<Value>> {
        maps.iter().enumerate().map(|(i, map)| write(map, &join(path, &i.to_string()))).collect()
    };
    match map {
        Map::Chain(maps) => branches(maps).map(Value::Array),
        Map::Sum(maps) | Map::Mean(maps) => {
            // A branch of one layer is written as a list, too.
            let list = |value| if let Value::Array(_) = value { value } else { Value::Array(vec![value]) };
            let branches = branches(maps)?.into_iter().map(list).collect();
            Ok(tagged(map.kind(), Object::from_iter([("branches".into(), Value::Array(branches))])))
        }
        Map::Linear(linear) => value(linear, path),
        Map::Window(window) => value(window, path),
        Map::Partial(Partial { function, channels }) => {
            let mut object = object(function, path)?;
            object.insert(CHANNELS.into(), value(channels, path)?);
            Ok(tagged(map.kind(), object))
        }
        Map::Activation(function) => Ok(tagged(map.kind(), object(function, path)?)),
        Map::Householder(householder) => Ok(tagged(map.kind(), object(householder, path)?)),
        Map::Flow(flow) => Ok(tagged(map.kind(), object(flow, path)?)),
        Map::Equilibrium(equilibrium) => Ok(tagged(map.kind(), object(equilibrium, path)?)),
        Map::Opaque(opaque) => {
            let reason = "the file format does not know this kind of layer";
            Err(Error::parameter("layer", &opaque.kind, reason).in_layer(path))
        }
    }
}

fn tagged(kind: &str, mut object: Object<String, Value>) -> Value {
    object.insert("type".into(), kind.into());
    Value::Object(object)
}

fn value(part: &impl Serialize, path: &str) -> Result<Value> {
    serde_json::to_value(part).map_err(|e| Error::format(e).in_layer(path))
}

fn object(part: &impl Serialize, path: &str) -> Result<Object<String, Value>> {
    match value(part, path)? {
        Value::Object(object) => Ok(object),
        other => Err(Error::format(format!("{other} is no object")).in_layer(path)),
    }
}

/// Returns the name that differs least from a word.
pub(super) fn nearest<'a>(names: impl Iterator<Item = &'a str>, word: &str) -> &'a str {
    names.min_by_key(|name| distance(name, word)).unwrap_or_default()
}

/// Returns the least number of letters to be put in, left out or changed to make one word of another (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    // A long word is far from every name; nothing is gained by finding out how far.
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_again() {
        let text = r#"[{"type":"sum","branches":[[],[{"type":"dense","weight":"w","bias":null},
            {"type":"activation","function":"leaky_relu","slope":0.5}]]},
            {"type":"conv2d","weight":"c","bias":"b","stride":[2,1],"padding":"same","dilation":1,"groups":1,"padding_mode":"zeros"},
            {"type":"flow","method":{"a":[["1/2"]],"b":["0","1"]},"step":0.25,"steps":3,"tolerance":1e-6,
             "field":{"type":"gradient","activation":{"function":"relu"},"operator":{"type":"dense","weight":"w","bias":"b"}}},
            {"type":"activation","function":"abs","channels":[0,2]},{"type":"sort","group":2},
            {"type":"householder","vector":"h"},
            {"type":"max_pool","size":3,"stride":2,"padding":1},{"type":"l2_pool","size":[2,1]},{"type":"avg_pool","size":2},
            {"type":"channel_affine","scale":"s","shift":null},{"type":"first_channels","channels":2},
            {"type":"shift","groups":[[1,0,-1]],"mode":"circular"},{"type":"mirror"}]"#;
        let json: Value = serde_json::from_str(text).unwrap();
        let map = read(json.clone(), "").unwrap();
        assert_eq!(write(&map, "").unwrap(), json);
        let Map::Chain(layers) = &map else { panic!("{map:?}") };
        assert!(matches!(&layers[0], Map::Sum(branches) if branches[0] == Map::Chain(vec![])));
    }

    #[test]
    fn an_unknown_layer_is_named_with_its_place_and_the_nearest_known_one() {
        let json = serde_json::json!([{"type": "flatten"}, {"type": "mean", "branches": [[], [{"type": "conv3d"}]]}]);
        let error = read(json, "").unwrap_err().to_string();
        assert!(error.contains("layer 1.1.0") && error.contains("conv3d") && error.contains("\"conv2d\""), "{error}");
    }

    #[test]
    fn every_name_of_a_tagged_map_is_known() {
        fn known<T: DeserializeOwned + std::fmt::Debug>(names: &[&str]) {
            for kind in names {
                let error = parse::<T>(serde_json::json!({"type": kind, "nonsense": 1})).unwrap_err();
                assert!(!error.to_string().contains("unknown variant"), "{kind}: {error}");
            }
            let error = parse::<T>(serde_json::json!({"type": ""})).unwrap_err().to_string();
            let known = error.split("expected one of ").nth(1).unwrap().split('`').filter(|s| s.len() > 2).count();
            assert_eq!(known, names.len(), "{error}");
        }
        known::<Linear<String>>(&LINEAR);
        known::<Window>(&WINDOWS);
    }
}
