//! Standalone mode: the documents stand in a file, which is looked at every second.
//!
//! ```text
//!  apisix.yaml … "#END"   │  apisix.json ─ changed? ─▶ documents ─▶ Live::replace
//! ```
//! A text without its end mark is one that is still being written: what was read before stays.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::live::Live;
use super::model::{Item, Table};
use super::names::Collection;
use crate::base::errno::Errno;
use crate::base::log::{Level, emit};

/// A file and what was seen of it last.
pub struct Follower {
    path: PathBuf,
    live: Arc<Live>,
    seen: Option<SystemTime>,
    revision: u64,
}

impl Follower {
    pub fn new(path: &Path, live: Arc<Live>) -> Self {
        Self { path: path.to_owned(), live, seen: None, revision: 0 }
    }

    /// Polls for the rest of the process.
    pub fn run(mut self) {
        loop {
            std::thread::sleep(POLL);
            self.look();
        }
    }

    /// Reads the file if it has changed.
    pub fn look(&mut self) {
        let changed = fs::metadata(&self.path).and_then(|meta| meta.modified());
        let changed = match changed {
            Ok(changed) if self.seen == Some(changed) => return,
            Ok(changed) => changed,
            Err(error) => {
                if self.seen.take().is_some() || self.revision == 0 {
                    self.revision = self.revision.max(1);
                    self.complain(&format!("open() failed {}", Errno(&error)));
                }
                return;
            }
        };
        self.seen = Some(changed);
        match fs::read_to_string(&self.path) {
            Ok(text) => match parse(&text, is_yaml(&self.path)) {
                Ok(documents) => self.take(&documents),
                Err(why) => self.complain(&why),
            },
            Err(error) => self.complain(&format!("read() failed {}", Errno(&error))),
        }
    }

    fn take(&mut self, documents: &Value) {
        self.revision += 1;
        let mut table = Table::clone(&self.live.table());
        for collection in Collection::ALL {
            let before: Vec<_> =
                table.items(collection).into_iter().map(|item| item.id.clone()).collect();
            let items = items(documents, collection, self.revision);
            for gone in before.iter().filter(|id| !items.iter().any(|item| item.id == **id)) {
                table.remove(collection, gone);
            }
            for mut item in items {
                match table.item(collection, &item.id) {
                    Some(known) if known.value == item.value => {}
                    Some(known) => {
                        item.created = known.created;
                        table.put(item);
                    }
                    None => table.put(item),
                }
            }
        }
        table.index();
        self.live.replace(table, self.revision);
    }

    fn complain(&self, why: &str) {
        let path = self.path.display();
        emit(Level::Error, format_args!("{why} in file {path}"));
    }
}

/// The documents of a text; the error is APISIX's line.
fn parse(text: &str, yaml: bool) -> Result<Value, String> {
    if !yaml {
        return serde_json::from_str(text).map_err(|e| format!("failed to parse the content: {e}"));
    }
    let tail_from = text.len().saturating_sub(END_WITHIN);
    let tail = text.as_bytes().get(tail_from..).unwrap_or_default();
    if !tail.windows(END.len()).any(|window| window == END.as_bytes()) {
        return Err("missing valid end flag".into());
    }
    let value: Value =
        serde_yaml_ng::from_str(text).map_err(|e| format!("failed to parse the content: {e}"))?;
    Ok(value)
}

/// The items of a collection; those without an id are numbered.
fn items(documents: &Value, collection: Collection, revision: u64) -> Vec<Item> {
    let list = documents.get(collection.plural()).and_then(Value::as_array);
    let item = |(at, value): (usize, &Value)| {
        let id = match value.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => format!("arr_{}", at + 1),
        };
        let mut value = value.clone();
        if let Value::Object(members) = &mut value {
            members.insert("id".into(), Value::String(id.clone()));
        }
        let key = format!("/{}/{id}", collection.plural());
        let (created, modified) = (revision, revision);
        Item { collection, id: id.into(), key: key.into(), value, created, modified }
    };
    list.into_iter().flatten().enumerate().map(item).collect()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}

const END: &str = "#END";
/// The mark must stand in this many last bytes.
const END_WITHIN: usize = 10;
const POLL: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "upstreams:\n  - id: 1\n    nodes: {\"127.0.0.1:1980\": 1}\n\
        routes:\n  - {uri: /index.html, upstream_id: 1}\n  - {uri: /b, id: b, upstream_id: 1}\n";

    #[test]
    fn a_text_needs_its_end() {
        assert_eq!(parse(TEXT, true), Err("missing valid end flag".into()));
        let documents = parse(&format!("{TEXT}#END\n"), true).unwrap();
        let routes = items(&documents, Collection::Routes, 1);
        let keys: Vec<&str> = routes.iter().map(|item| &*item.key).collect();
        assert_eq!(keys, ["/routes/arr_1", "/routes/b"]);
        let upstreams = items(&documents, Collection::Upstreams, 1);
        assert_eq!((&*upstreams[0].key, &upstreams[0].value["id"]), ("/upstreams/1", &"1".into()));
    }

    #[test]
    fn json_has_no_end_mark() {
        let documents = parse(r#"{"routes":[{"id":"x","uri":"/"}]}"#, false).unwrap();
        assert_eq!(items(&documents, Collection::Routes, 1).len(), 1);
        assert!(parse("{", false).is_err());
    }
}
