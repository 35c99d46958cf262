//! SHA-256, as it is written in files.

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::error::{Error, Result};

/// The SHA-256 of some bytes; in files, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// Returns the SHA-256 of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(sha2::Sha256::digest(bytes).into())
    }

    /// Returns the first 128 bits, where memory counts: enough to tell whether bytes have changed.
    pub(crate) fn short(&self) -> [u8; 16] {
        std::array::from_fn(|i| self.0[i])
    }

    /// Returns the SHA-256 of pieces that follow each other.
    pub fn of_pieces(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        let mut state = sha2::Sha256::new();
        pieces.into_iter().for_each(|piece| state.update(piece));
        Self(state.finalize().into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// As it is displayed: nobody compares a list of 32 numbers with the output of `sha256sum`.
impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let parse = || {
            let (pairs, rest) = text.as_bytes().as_chunks::<2>();
            let bytes = pairs.iter().map(|&[a, b]| Some(digit(a)? << 4 | digit(b)?)).collect::<Option<Vec<u8>>>()?;
            bytes.try_into().ok().filter(|_| rest.is_empty())
        };
        parse().map(Self).ok_or_else(|| Error::format("a SHA-256 has 64 lower-case hexadecimal digits"))
    }
}
