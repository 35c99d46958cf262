//! Changes of certificates, and what still follows from them: shared with the program that forges thousands.

pub use dahlquist_testkit::forgery::*;
