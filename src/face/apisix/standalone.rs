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
                    Some(known) if known.text == item.text => continue,
                    Some(known) => item.created = known.created,
                    None => {}
                }
                let id = item.id.clone();
                // Whatever stood there before is no part of the file any more.
                if !table.put(item) {
                    table.remove(collection, &id);
                }
            }
        }
        table.index();
        self.live.replace(table, self.revision);
        emit(Level::Warn, format_args!("config file {} reloaded.", self.path.display()));
    }

    fn complain(&self, why: &str) {
        let path = self.path.display();
        // APISIX names the file twice then.
        let why = match why {
            NO_END => format!("{NO_END} in file {path}"),
            _ => why.to_owned(),
        };
        emit(Level::Error, format_args!("failed to parse the content of file {path}: {why}"));
    }
}

/// The documents of a text; the error is APISIX's line.
fn parse(text: &str, yaml: bool) -> Result<Value, String> {
    let env = |name: &str| std::env::var(name).ok();
    if !yaml {
        let mut value =
            serde_json::from_str(text).map_err(|e| format!("failed to decode json: {e}"))?;
        fill_in(&mut value, &env)?;
        return Ok(value);
    }
    let tail_from = text.len().saturating_sub(END_WITHIN);
    let tail = text.as_bytes().get(tail_from..).unwrap_or_default();
    if !tail.trim_ascii_end().ends_with(END.as_bytes()) {
        return Err(NO_END.into());
    }
    // Before it is parsed: what is not quoted may become a number.
    let (text, _) = substituted(text, &env)?;
    serde_yaml_ng::from_str(&text).map_err(|e| e.to_string())
}

/// Puts the environment's values in the place of `${{NAME}}` and `${{NAME:=default}}`; tells
/// whether there was any.
fn substituted(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<(String, bool), String> {
    let (mut out, mut rest, mut any) = (String::with_capacity(text.len()), text, false);
    while let Some((before, after)) = rest.split_once("${{") {
        let Some((inner, behind)) = after.split_once("}}") else { break };
        let (name, default) = match inner.split_once(":=") {
            Some((name, default)) => (name.trim(), Some(default.trim().to_owned())),
            None => (inner.trim(), None),
        };
        let missing =
            || format!("failed to handle configuration: can't find environment variable {name}");
        out.push_str(before);
        out.push_str(&env(name).or(default).ok_or_else(missing)?);
        (rest, any) = (behind, true);
    }
    out.push_str(rest);
    Ok((out, any))
}

/// The same in all texts of a value; what becomes a number or a boolean is one.
fn fill_in(value: &mut Value, env: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    match value {
        Value::Object(members) => {
            let names: Vec<String> =
                members.keys().filter(|k| k.contains("${{")).cloned().collect();
            for name in names {
                let (new, _) = substituted(&name, env)?;
                let member = members.remove(&name).unwrap_or_default();
                members.insert(new, member);
            }
            members.values_mut().try_for_each(|member| fill_in(member, env))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_in(item, env)),
        Value::String(text) => {
            let (new, any) = substituted(text, env)?;
            if any {
                *value = match &*new {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    _ => match new.parse::<serde_json::Number>() {
                        Ok(number) => Value::Number(number),
                        Err(_) => Value::String(new),
                    },
                };
            }
            Ok(())
        }
        _ => Ok(()),
    }
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
        let text = value.to_string().into();
        Item { collection, id: id.into(), key: key.into(), text, created, modified }
    };
    list.into_iter().flatten().enumerate().map(item).collect()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml")
}

const END: &str = "#END";
const NO_END: &str = "missing valid end flag";
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
        assert_eq!(
            (&*upstreams[0].key, &upstreams[0].value()["id"]),
            ("/upstreams/1", &"1".into())
        );
    }

    #[test]
    fn the_environment_fills_in() {
        let env = |name: &str| (name == "PORT").then(|| "80".to_owned());
        let filled = |text: &str| substituted(text, &env).map(|(text, _)| text);
        assert_eq!(filled("a: ${{ PORT }}, ${{B:= x }}"), Ok("a: 80, x".into()));
        let missing = "failed to handle configuration: can't find environment variable C";
        assert_eq!(filled("${{C}}"), Err(missing.into()));
        let mut value = serde_json::json!({ "a": ["${{PORT}}", "x${{PORT}}"], "${{PORT}}": 1 });
        fill_in(&mut value, &env).unwrap();
        assert_eq!(value, serde_json::json!({ "a": [80, "x80"], "80": 1 }));
    }

    #[test]
    fn json_has_no_end_mark() {
        let documents = parse(r#"{"routes":[{"id":"x","uri":"/"}]}"#, false).unwrap();
        assert_eq!(items(&documents, Collection::Routes, 1).len(), 1);
        assert!(parse("{", false).is_err());
    }
}
