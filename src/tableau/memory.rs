//! What is derived of a method is remembered: exact arithmetic takes milliseconds, every proof of a step asks again, and there
//! are few methods.

use std::{
    any::Any,
    sync::{Mutex, PoisonError},
};

use super::Tableau;

/// A derivation, of what method, and its result.
type Entry = (&'static str, Tableau, Box<dyn Any + Send>);

static KNOWN: Mutex<Vec<Entry>> = Mutex::new(Vec::new());
/// How many results are remembered; others are derived each time.
const MOST: usize = 512;

impl Tableau {
    /// Returns what `derive` makes of the method, from memory if it is there. `what` names the derivation.
    pub(crate) fn remembered<V: Clone + Send + 'static>(&self, what: &'static str, derive: impl FnOnce() -> V) -> V {
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known().iter().find_map(|(name, tableau, value)| {
            let same = *name == what && tableau == self;
            same.then(|| value.downcast_ref::<V>().cloned()).flatten()
        });
        if let Some(value) = found {
            return value;
        }
        let value = derive();
        let mut known = known();
        if known.len() < MOST {
            known.push((what, self.clone(), Box::new(value.clone())));
        }
        value
    }
}
