//! What goes to etcd and comes back, as JSON: bytes in base64, numbers as texts.
//!
//! ```text
//!  {"key":"L2E=","mod_revision":"7"} ─▶ Kv { key: b"/a", mod_revision: 7 }
//! ```

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::de::{Error as _, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::spec::Names;
use crate::store::Entry;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Header {
    pub revision: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Kv {
    pub key: Raw,
    pub value: Raw,
    pub create_revision: Number,
    pub mod_revision: Number,
    pub version: Number,
}

impl Kv {
    /// As the store shows it; none for keys that are no texts. Leases are etcd's own affair.
    pub fn entry(self, names: &Names) -> Option<Arc<Entry>> {
        Some(Arc::new(Entry {
            key: names.own(&self.key.0)?.into(),
            value: Bytes::from(self.value.0),
            created: self.create_revision.0,
            modified: self.mod_revision.0,
            version: self.version.0,
            expires_at_ms: None,
        }))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RangeAnswer {
    pub header: Header,
    pub kvs: Vec<Kv>,
    pub more: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TxnAnswer {
    pub header: Header,
    pub succeeded: bool,
    pub responses: Vec<OpAnswer>,
}

/// Which of the members is there says what was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct OpAnswer {
    pub response_put: Option<PutAnswer>,
    pub response_delete_range: Option<DeleteAnswer>,
    pub response_range: Option<RangeAnswer>,
    pub response_txn: Option<Box<TxnAnswer>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PutAnswer {
    pub prev_kv: Option<Kv>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DeleteAnswer {
    pub deleted: Number,
    pub prev_kvs: Vec<Kv>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct LeaseAnswer {
    #[serde(rename = "ID")]
    pub id: Number,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct AuthAnswer {
    pub token: String,
}

/// A refusal. etcd 3.4 calls the text `error`, later ones `message` too.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Refusal {
    pub error: String,
    pub message: String,
    pub code: u64,
}

/// A line of a watch: an answer or a refusal that ends it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WatchLine {
    pub result: Option<WatchAnswer>,
    pub error: Option<serde_json::Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WatchAnswer {
    pub header: Header,
    pub created: bool,
    pub canceled: bool,
    pub compact_revision: Number,
    pub cancel_reason: String,
    pub events: Vec<WatchEvent>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WatchEvent {
    #[serde(rename = "type")]
    pub kind: String,
    pub kv: Kv,
}

/// A number, written as a text or as a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number(pub u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
                let wrong = |_| E::invalid_value(Unexpected::Str(text), &self);
                text.parse().map(Number).map_err(wrong)
            }
        }
        from.deserialize_any(Either)
    }
}

/// Bytes, written in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(from)?;
        STANDARD.decode(text.as_bytes()).map(Raw).map_err(D::Error::custom)
    }
}

/// Bytes as etcd wants them.
pub fn raw(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

#[derive(Debug, Default, Serialize)]
pub struct Range {
    pub key: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub range_end: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub revision: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub keys_only: bool,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
