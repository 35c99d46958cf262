//! Windows: what is 1-Lipschitz in each window is `√m`-Lipschitz in all of them, if a coordinate lies in at most `m`:
//! `‖Δy‖² ≤ Σ_w ‖Δx_w‖² ≤ m‖Δx‖²`.
//!
//! Sorting is 1-Lipschitz, as it is a sequence of exchanges `(a, b) ↦ (min, max)`, each of which is: of all ways to
//! pair the numbers of two vectors, the sorted one has the least distance (the rearrangement inequality). A maximum and a
//! norm are by `|max x − max y| ≤ max |x − y|` and the reverse triangle inequality. Groups of channels are disjoint, so
//! `m = 1`; for windows of `a × b` points that are `s`, `s'` apart it is `⌈a/s⌉⌈b/s'⌉`. Attained.
//!
//! Source for sorting: Anil, Lucas, Grosse, *Sorting out Lipschitz function approximation*, ICML 2019.

use crate::{certificate::Claims, model::Window, rigor::Upper};

/// Returns the claims about a map of windows.
pub fn bound(window: &Window) -> Claims {
    Claims::lipschitz(match window {
        Window::Sort { .. } => Upper::ONE,
        Window::MaxPool(pooling) | Window::L2Pool(pooling) => pooling.overlap(),
    })
}
