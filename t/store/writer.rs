//! Somebody who writes, and remembers exactly what was promised.
//!
//! ```text
//!   Writer { own keys: acknowledged value, value under way } ─▶ judge(what is there)
//! ```

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use serde_json::{Value, json};

use super::scene::{Line, Reply};

/// Writes documents of its own, one after the other.
pub struct Writer {
    name: usize,
    seed: u64,
    /// What was acknowledged, by id; none for a document that was removed.
    kept: BTreeMap<String, Option<String>>,
    /// The write that nobody answered.
    open: Option<(String, Option<String>)>,
    pub acknowledged: usize,
}

impl Writer {
    pub fn new(name: usize, seed: u64) -> Writer {
        let seed = (seed ^ (name as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        Writer { name, seed, kept: BTreeMap::new(), open: None, acknowledged: 0 }
    }

    /// Writes until the server is gone, and tells each acknowledgement. An error is an answer that
    /// must not be.
    pub fn write(&mut self, port: u16, told: &Sender<()>) -> Result<(), String> {
        let Ok(mut line) = Line::open(port) else { return Ok(()) };
        loop {
            let (id, value) = self.next();
            let path = format!("/apisix/admin/upstreams/{id}");
            let sent = match &value {
                Some(text) => line.call("PUT", &path, &document(text)),
                None => line.call("DELETE", &path, ""),
            };
            self.open = Some((id.clone(), value.clone()));
            let Ok(Reply { status, text }) = sent else { return Ok(()) };
            self.open = None;
            match (status, &value) {
                (200 | 201, _) | (404, None) => self.kept.insert(id, value),
                _ => return Err(format!("{id}: {status} {text}")),
            };
            self.acknowledged += 1;
            // Nobody counts any more once the kill is under way.
            let _ = told.send(());
        }
    }

    /// Compares with the documents that are there, and takes them for what is kept.
    pub fn judge(&mut self, there: &BTreeMap<String, String>) -> Result<(), String> {
        let open = self.open.take();
        for (id, kept) in &mut self.kept {
            let found = there.get(id);
            if found == kept.as_ref() {
                continue;
            }
            match &open {
                Some((open, value)) if open == id && found == value.as_ref() => {
                    kept.clone_from(value);
                }
                _ => return Err(format!("{id} is {}, was {}", short(found), short(kept.as_ref()))),
            }
        }
        // The first write of a document may have been kept or not.
        if let Some((id, value)) = open {
            let found = there.get(&id).filter(|found| Some(*found) == value.as_ref()).cloned();
            self.kept.entry(id).or_insert(found);
        }
        let mine = format!("{}-", self.name);
        let strange = there.iter().find(|(id, _)| {
            id.starts_with(&mine) && self.kept.get(*id).and_then(Option::as_ref) != there.get(*id)
        });
        match strange {
            Some((id, value)) => Err(format!("{id} is {}, never written", short(Some(value)))),
            None => Ok(()),
        }
    }

    fn next(&mut self) -> (String, Option<String>) {
        let random = self.random();
        let id = format!("{}-{}", self.name, random % KEYS);
        if random >> 32 & 7 == 0 {
            return (id, None);
        }
        let letter = char::from(b'a' + u8::try_from(random >> 40 & 15).unwrap_or(0));
        let length = usize::try_from(random >> 48 & 0xfff).unwrap_or(0);
        let text = format!("{}:{}", self.random(), String::from(letter).repeat(length));
        (id, Some(text))
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }
}

/// The texts of all documents, by id. One that is not what a writer sends is torn.
pub fn all(listed: &Value) -> Result<BTreeMap<String, String>, String> {
    let rows = listed["list"].as_array().ok_or_else(|| format!("no list: {listed}"))?;
    rows.iter()
        .map(|row| {
            let value = &row["value"];
            let text = value["nodes"][0]["metadata"]["t"].as_str();
            match (value["id"].as_str(), text) {
                (Some(id), Some(text)) if value["desc"] == "end" => Ok((id.into(), text.into())),
                _ => Err(format!("torn: {row}")),
            }
        })
        .collect()
}

/// An upstream that carries a text of any length.
pub fn document(text: &str) -> String {
    let node = json!({ "host": "127.0.0.1", "port": 1, "weight": 1, "metadata": { "t": text } });
    json!({ "nodes": [node], "desc": "end" }).to_string()
}

fn short(text: Option<&String>) -> String {
    match text {
        None => "not there".into(),
        Some(text) => format!("{:.24} ({} bytes)", text, text.len()),
    }
}

/// How many documents a writer has.
const KEYS: u64 = 40;
