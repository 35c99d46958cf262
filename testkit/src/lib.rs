//! What tests, examples and measurements of dahlquist share. Not published.
//!
//! | module | what it holds |
//! |---|---|
//! | [`oracle`] | networks in exact and in 300-bit arithmetic |
//! | [`orders`] | every order of summation, in rational arithmetic |
//! | [`lanczos`] | lower bounds of norms |
//! | [`smooth`] | references of smooth activations with a proved error |
//! | [`known`] | networks of which every constant is known exactly |
//! | [`described`] | the value of a network, read off from its description |
//! | [`forgery`] | changes of certificates, and what still follows from them |
//! | [`models`] | small networks with one layer of every kind |

pub mod described;
pub mod forgery;
pub mod known;
pub mod lanczos;
pub mod models;
pub mod oracle;
pub mod orders;
pub mod smooth;
