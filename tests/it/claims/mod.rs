//! What claims are about: the numbers in the file, the two logits compared, the arithmetic that is executed, at the ends of
//! the exponent range too.

mod environment;
mod extremes;
mod file_numbers;
mod margins;
