//! Temporary.
#[path = "it/linear_bounds.rs"]
mod linear_bounds;
#[path = "it/linear_graphs.rs"]
mod linear_graphs;
#[path = "it/local.rs"]
mod local;
