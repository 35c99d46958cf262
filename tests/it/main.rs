//! Every claim, tested: one module a claim, one binary for all of them.

mod activations;
mod attack;
mod claims;
mod cli;
mod data;
mod directed;
mod executed;
mod falsify;
mod forgery;
mod gradients;
mod groups;
mod hostile;
mod hostile_files;
mod laws;
mod local;
mod map;
mod naive;
mod norms;
mod norms_tight;
mod quadratic_constraint;
mod soundness;
mod surds;
mod tableaux;
mod tamper;
mod torus;
