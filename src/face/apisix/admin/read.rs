//! Reading: one document, or a page of a collection.
//!
//! ```text
//!  GET /routes?page=2&page_size=10&name=REGEX&label=K&uri=REGEX&filter=service_id%3D1
//! ```

use std::rc::Rc;
use std::sync::Arc;

use bstr::ByteSlice;
use serde_json::Value;

use super::{Answer, Desk, shape};
use crate::base::escape;
use crate::base::regex::{Flags, Regex};
use crate::face::apisix::names::Collection;
use crate::http::Request;
use crate::store::Entry;

pub fn answer(r: &Rc<Request>, desk: &Desk, collection: Collection, id: Option<&str>) -> Answer {
    match id {
        Some(id) => match desk.store.get(&collection.key(id)) {
            Some(entry) => Answer::new(200, desk.version.one(&entry)),
            None => Answer::not_found(),
        },
        None => list(r, desk, collection),
    }
}

fn list(r: &Rc<Request>, desk: &Desk, collection: Collection) -> Answer {
    let filter = match Filter::read(r) {
        Ok(filter) => filter,
        Err(answer) => return answer,
    };
    let mut entries = desk.store.range(&collection.key("")).entries;
    if !filter.is_empty() {
        entries.retain(|entry| filter.takes(&shape::value(entry)));
    }
    let total = entries.len();
    match page(r, entries) {
        Ok(page) => Answer::new(200, desk.version.list(collection, &page, total)),
        Err(answer) => answer,
    }
}

/// Cuts out the page that is asked for.
fn page(r: &Rc<Request>, entries: Vec<Arc<Entry>>) -> Result<Vec<Arc<Entry>>, Answer> {
    let number = |name: &str| argument(r, name)?.parse::<i64>().ok();
    let (Some(page), Some(size)) = (number("page"), number("page_size")) else {
        return Ok(entries);
    };
    let size = usize::try_from(size).unwrap_or(0);
    if !(PAGE_SIZE_LEAST..=PAGE_SIZE_MOST).contains(&size) {
        return Err(Answer::error(400, "page_size must be between 10 and 500"));
    }
    let page = usize::try_from(page).unwrap_or(1).max(1);
    let from = (page - 1).saturating_mul(size);
    let mut entries = entries;
    entries.sort_by_key(|entry| entry.created);
    Ok(entries.into_iter().skip(from).take(size).collect())
}

/// What a list is narrowed by.
struct Filter {
    name: Option<Regex>,
    label: Option<String>,
    uri: Option<Regex>,
    /// `service_id` and the like, from `filter=`.
    members: Vec<(String, String)>,
}

impl Filter {
    fn read(r: &Rc<Request>) -> Result<Self, Answer> {
        let regex = |name: &str| {
            let Some(text) = argument(r, name) else { return Ok(None) };
            let compiled = Regex::compile(text.as_bytes(), Flags::default());
            compiled.map(Some).map_err(|error| Answer::error(400, error.to_string()))
        };
        let members = argument(r, "filter").unwrap_or_default();
        let members = members.split('&').filter_map(|pair| pair.split_once('='));
        Ok(Self {
            name: regex("name")?,
            label: argument(r, "label"),
            uri: regex("uri")?,
            members: members.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        })
    }

    fn is_empty(&self) -> bool {
        let none = self.name.is_none() && self.label.is_none();
        none && self.uri.is_none() && self.members.is_empty()
    }

    fn takes(&self, value: &Value) -> bool {
        let fits = |regex: &Option<Regex>, texts: &[&str]| match regex {
            None => true,
            Some(regex) => {
                texts.iter().any(|text| regex.is_match(text.as_bytes()).unwrap_or(false))
            }
        };
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let mut uris: Vec<&str> = text("uri").into_iter().collect();
        let more = value.get("uris").and_then(Value::as_array);
        uris.extend(more.into_iter().flatten().filter_map(Value::as_str));
        let label =
            |label: &String| value.get("labels").is_some_and(|all| all.get(label).is_some());
        fits(&self.name, &text("name").into_iter().collect::<Vec<_>>())
            && fits(&self.uri, &uris)
            && self.label.as_ref().is_none_or(label)
            && self.members.iter().all(|(k, v)| value.get(k).is_some_and(|have| same(have, v)))
    }
}

fn same(have: &Value, wanted: &str) -> bool {
    match have {
        Value::String(text) => text == wanted,
        Value::Number(number) => number.to_string() == wanted,
        _ => false,
    }
}

/// An argument of the query, decoded; none when it is empty.
pub fn argument(r: &Rc<Request>, name: &str) -> Option<String> {
    let value = r.var_by_name(format!("arg_{name}").as_bytes())?;
    let text = escape::lua_unescape(&value);
    Some(text.to_str_lossy().into_owned()).filter(|text| !text.is_empty())
}

const PAGE_SIZE_LEAST: usize = 10;
const PAGE_SIZE_MOST: usize = 500;
