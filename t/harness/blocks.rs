//! Reads `t/**/*.t`: blocks in the format of Test::Nginx, as pure data.
//!
//! ```text
//!   === TEST 1: a name             one case, named topic/file/a name
//!   --- section filters: inline    or the lines up to the next mark
//! ```
//!
//! Filters: `eval` (see `literal`), `chomp`. Everything before `__DATA__`, if there is such a
//! line, is for Perl's Test::Nginx and is not read.

use std::path::{Path, PathBuf};

use super::block_case;
use super::case::Case;
use super::literal::{self, Value};

/// One block of a file.
#[derive(Clone, Debug, Default)]
pub struct Block {
    pub name: String,
    sections: Vec<(String, Value)>,
}

impl Block {
    pub fn has(&self, section: &str) -> bool {
        self.value(section).is_some()
    }

    pub fn value(&self, section: &str) -> Option<&Value> {
        self.sections.iter().find(|(name, _)| name == section).map(|(_, value)| value)
    }

    /// The section as text; `None` when absent or when it is a list.
    pub fn text(&self, section: &str) -> Option<String> {
        match self.value(section)? {
            Value::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            Value::Pattern(text) => Some(text.clone()),
            Value::List(_) => None,
        }
    }

    pub fn seconds(&self, section: &str) -> Option<f64> {
        self.text(section)?.trim().parse().ok()
    }

    /// Whether any section has the word.
    pub fn mentions(&self, word: &str) -> bool {
        self.sections.iter().any(|(_, value)| value.mentions(word))
    }

    /// The section's value for the request number `index` (lists hold one for each request).
    pub fn nth(&self, section: &str, index: usize) -> Option<&Value> {
        match self.value(section)? {
            Value::List(values) => values.get(index),
            value => Some(value),
        }
    }
}

/// A case for every block of every file.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for path in files() {
        let topic = topic(&path);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                cases.push(Case::check(topic, move || Err(error.to_string())));
                continue;
            }
        };
        match parse(&text) {
            Ok(blocks) => cases.extend(blocks.into_iter().map(|block| {
                let name = format!("{topic}/{}", block.name);
                Case::shared(name, move || block_case::run(&block))
            })),
            Err(complaint) => cases.push(Case::check(topic, move || Err(complaint))),
        }
    }
    cases
}

/// Every `.t` file of the tree, in a fixed order.
pub fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(ROOT)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ext| ext == "t") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Splits a file into blocks; complaints name the line.
pub fn parse(text: &str) -> Result<Vec<Block>, String> {
    let data = match text.split_once("\n__DATA__\n") {
        Some((_, data)) => data,
        None => text,
    };
    let mut blocks: Vec<Block> = Vec::new();
    let mut open: Option<(String, Vec<String>, String)> = None;
    for (number, line) in data.lines().enumerate() {
        if let Some(title) = line.strip_prefix("=== ") {
            close(&mut blocks, open.take())?;
            let name = title.trim().to_owned();
            let name = match name.split_once(": ") {
                Some((test, rest)) if test.starts_with("TEST ") => rest.to_owned(),
                _ => name,
            };
            if blocks.iter().any(|block| block.name == name) {
                return Err(format!("line {}: two blocks are named \"{name}\"", number + 1));
            }
            blocks.push(Block { name, ..Block::default() });
        } else if let Some(head) = line.strip_prefix("--- ") {
            close(&mut blocks, open.take())?;
            let (words, inline) = match head.split_once(':') {
                Some((words, inline)) => (words, Some(inline.trim())),
                None => (head, None),
            };
            let mut words = words.split_whitespace().map(str::to_owned);
            let section = words.next().ok_or_else(|| format!("line {}: no name", number + 1))?;
            if !SECTIONS.contains(&section.as_str()) {
                return Err(format!("line {}: unknown section \"{section}\"", number + 1));
            }
            open = Some((section, words.collect(), String::new()));
            if let Some(inline) = inline.filter(|inline| !inline.is_empty()) {
                let (section, filters, _) = open.take().expect("opened on the line above");
                close(&mut blocks, Some((section, filters, inline.to_owned())))?;
            }
        } else if let Some((_, _, body)) = &mut open {
            body.push_str(line);
            body.push('\n');
        }
    }
    close(&mut blocks, open)?;
    Ok(blocks)
}

fn close(blocks: &mut [Block], open: Option<(String, Vec<String>, String)>) -> Result<(), String> {
    let Some((section, filters, body)) = open else { return Ok(()) };
    let Some(block) = blocks.last_mut() else { return Ok(()) };
    let mut body = trim_blank_lines(&body).to_owned();
    let complaint = |text: String| format!("{}: --- {section}: {text}", block.name);
    let mut value = None;
    for filter in &filters {
        match filter.as_str() {
            "chomp" => body.truncate(body.trim_end_matches('\n').len()),
            "eval" => value = Some(literal::parse(&body).map_err(complaint)?),
            other => return Err(complaint(format!("unknown filter \"{other}\""))),
        }
    }
    block.sections.push((section, value.unwrap_or_else(|| Value::Text(body.into_bytes()))));
    Ok(())
}

fn trim_blank_lines(body: &str) -> &str {
    let start = body.len() - body.trim_start_matches('\n').len();
    let end = body.trim_end().len();
    match body[end..].find('\n') {
        Some(newline) if end > 0 => &body[start.min(end)..end + newline + 1],
        _ => body.get(start..end).unwrap_or(""),
    }
}

fn topic(path: &Path) -> String {
    let relative = path.strip_prefix(ROOT).unwrap_or(path);
    relative.with_extension("").to_string_lossy().into_owned()
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/t");

/// Every section that a block may have; a misspelt one must not pass unnoticed.
const SECTIONS: &[&str] = &[
    "SKIP",
    "abort",
    "access_log",
    "config",
    "error_code",
    "error_log",
    "grep_error_log",
    "grep_error_log_out",
    "http_config",
    "ignore_response",
    "log_level",
    "main_config",
    "master_on",
    "more_headers",
    "must_die",
    "no_access_log",
    "no_error_log",
    "no_root_location",
    "no_shutdown_error_log",
    "pipelined_requests",
    "raw_request",
    "raw_response_headers_like",
    "raw_response_headers_unlike",
    "request",
    "response_body",
    "response_body_like",
    "response_body_unlike",
    "response_headers",
    "shutdown_error_log",
    "skip_without",
    "suppress_stderr",
    "tcp_listen",
    "tcp_query",
    "tcp_reply",
    "timeout",
    "user_files",
    "wait",
];
