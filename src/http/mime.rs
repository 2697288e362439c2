//! `types`: file name extension → media type.

use std::collections::HashMap;

use bstr::{BStr, BString};
use bytes::Bytes;

/// The extensions of one `types` block.
#[derive(Clone, Debug, Default)]
pub struct Types(HashMap<BString, Bytes>);

impl Types {
    pub fn add(&mut self, extension: &[u8], kind: &[u8]) {
        self.0.insert(extension.to_ascii_lowercase().into(), Bytes::copy_from_slice(kind));
    }

    pub fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The type of a file name or URI by what follows its last dot.
    pub fn of(&self, name: &[u8]) -> Option<Bytes> {
        let base = name.rsplit(|byte| *byte == b'/').next()?;
        let dot = base.iter().rposition(|byte| *byte == b'.')?;
        let extension = base[dot + 1..].to_ascii_lowercase();
        self.0.get(BStr::new(&extension)).cloned()
    }
}
