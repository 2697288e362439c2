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

    /// The type of a file name or URI by its extension.
    pub fn of(&self, name: &[u8]) -> Option<Bytes> {
        self.0.get(BStr::new(&extension(name)?.to_ascii_lowercase())).cloned()
    }

    /// What nginx knows without a `types` block.
    pub fn built_in(name: &[u8]) -> Option<Bytes> {
        let kind: &[u8] = match &extension(name)?.to_ascii_lowercase()[..] {
            b"html" => b"text/html",
            b"gif" => b"image/gif",
            b"jpg" => b"image/jpeg",
            _ => return None,
        };
        Some(Bytes::from_static(kind))
    }
}

/// What follows the last dot; a dot at the start of a name begins no extension.
fn extension(name: &[u8]) -> Option<&[u8]> {
    let base = name.rsplit(|byte| *byte == b'/').next()?;
    let dot = base.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
    Some(&base[dot + 1..])
}
