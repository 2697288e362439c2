//! The two forms of an answer: that of APISIX 3, and that of the 2.x era.
//!
//! ```text
//!  v3  {"key":…,"value":…}                              {"list":[…],"total":2}
//!  v2  {"action":"set","node":{"key":…,"value":…}}      {"action":"get","count":2,"node":{…}}
//! ```

use std::sync::Arc;

use serde_json::{Value, json};

use crate::face::apisix::names::Collection;
use crate::store::Entry;

/// `admin_api_version`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    #[default]
    V3,
    V2,
}

impl Version {
    pub fn name(self) -> &'static str {
        match self {
            Self::V3 => "v3",
            Self::V2 => "v2",
        }
    }

    /// A write that was done.
    pub fn written(self, action: &str, entry: &Entry) -> Value {
        match self {
            Self::V3 => json!({ "key": &*entry.key, "value": value(entry) }),
            Self::V2 => json!({ "action": action, "node": node(entry) }),
        }
    }

    pub fn one(self, entry: &Entry) -> Value {
        match self {
            Self::V3 => indexed(entry),
            Self::V2 => json!({ "action": "get", "count": 1, "node": node(entry) }),
        }
    }

    /// A page of a collection that has `total` entries.
    pub fn list(self, collection: Collection, page: &[Arc<Entry>], total: usize) -> Value {
        match self {
            Self::V3 => {
                let list: Vec<Value> = page.iter().map(|entry| indexed(entry)).collect();
                json!({ "list": list, "total": total })
            }
            Self::V2 => {
                let nodes: Vec<Value> = page.iter().map(|entry| indexed(entry)).collect();
                // An empty table of Lua is an object in JSON.
                let nodes = if nodes.is_empty() { json!({}) } else { Value::Array(nodes) };
                let key = format!("/apisix/{}", collection.plural());
                let node = json!({ "dir": true, "key": key, "nodes": nodes });
                json!({ "action": "get", "count": total, "node": node })
            }
        }
    }

    pub fn deleted(self, key: &str) -> Value {
        match self {
            Self::V3 => json!({ "deleted": "1", "key": key }),
            Self::V2 => json!({ "action": "delete", "deleted": "1", "key": key, "node": {} }),
        }
    }
}

/// The document of an entry; what is no JSON was not written by us and is shown as text.
pub fn value(entry: &Entry) -> Value {
    let text = || Value::String(String::from_utf8_lossy(&entry.value).into_owned());
    serde_json::from_slice(&entry.value).unwrap_or_else(|_| text())
}

fn node(entry: &Entry) -> Value {
    json!({ "key": &*entry.key, "value": value(entry) })
}

fn indexed(entry: &Entry) -> Value {
    json!({
        "createdIndex": entry.created,
        "key": &*entry.key,
        "modifiedIndex": entry.modified,
        "value": value(entry),
    })
}
