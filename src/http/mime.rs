//! `types`: file name extension → media type; and sets of media types.

use std::collections::HashMap;

use bstr::{BStr, BString};
use bytes::Bytes;

use crate::conf::{Builder, Directive};

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

/// Media types a filter works on: `gzip_types`, `charset_types` and their kind.
#[derive(Clone, Debug, Default)]
pub struct TypeSet {
    /// `*`
    any: bool,
    kinds: Vec<Bytes>,
}

impl TypeSet {
    /// Reads the arguments of a directive, besides types that are always in.
    pub fn read(b: &mut Builder<'_>, d: &Directive, always: &[&'static str]) -> Self {
        let kinds = always.iter().map(|kind| Bytes::from_static(kind.as_bytes())).collect();
        let mut set = Self { any: false, kinds };
        for word in d.args() {
            let kind = Bytes::copy_from_slice(&word.text.to_ascii_lowercase());
            if kind.as_ref() == b"*" {
                set.any = true;
            } else if set.kinds.contains(&kind) {
                b.warn(format!("duplicate MIME type \"{}\"", BStr::new(&kind)));
            } else {
                set.kinds.push(kind);
            }
        }
        set
    }

    pub fn of(kinds: &[&'static str]) -> Self {
        let kinds = kinds.iter().map(|kind| Bytes::from_static(kind.as_bytes())).collect();
        Self { any: false, kinds }
    }

    /// Whether a `Content-Type` is among them, whatever its parameters.
    pub fn has(&self, content_type: Option<&Bytes>) -> bool {
        if self.any {
            return true;
        }
        let Some(kind) = content_type else { return false };
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
        self.kinds.iter().any(|known| known.eq_ignore_ascii_case(kind))
    }
}

/// What follows the last dot; a dot at the start of a name begins no extension.
fn extension(name: &[u8]) -> Option<&[u8]> {
    let base = name.rsplit(|byte| *byte == b'/').next()?;
    let dot = base.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0)?;
    Some(&base[dot + 1..])
}
