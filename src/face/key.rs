//! Keys that open a face: compared in constant time, never printed.
//!
//! ```text
//!  directive ─ Key::new(text) ─▶ SHA-256        presented ─ opens(text) ─▶ equal digests?
//! ```

use std::fmt;

use sha2::{Digest, Sha256};

/// A secret somebody has to present. Only its digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl Key {
    pub fn new(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Whether this is the secret. Takes the same time wherever the two differ, and however long
    /// they are.
    pub fn opens(&self, presented: &[u8]) -> bool {
        same(&self.0, &Self::new(presented).0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Compares two texts of public length without stopping at the first difference.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    let differs = a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b));
    a.len() == b.len() && std::hint::black_box(differs) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_itself_only_and_is_not_shown() {
        let key = Key::new(b"edd1c9f0");
        assert!(key.opens(b"edd1c9f0"));
        assert!(!key.opens(b"edd1c9f1") && !key.opens(b"") && !key.opens(b"edd1c9f0x"));
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
