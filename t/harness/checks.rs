//! Compares what a server did with what a block expects.

use regex::bytes::Regex;

use super::block_case::Names;
use super::blocks::Block;
use super::client::Response;
use super::literal::Value;
use super::server::Prefix;
use super::wait::{self, HANG};

/// Checks one response against the block's expectations for request number `index`.
pub fn response(block: &Block, names: &Names, index: usize, got: &Response) -> Result<(), String> {
    status(block, index, got)?;
    if let Some(Value::Text(body)) = block.nth("response_body", index) {
        same_text("response_body", &names.expand_bytes(body), &got.body)?;
    }
    if let Some(value) = block.nth("response_body_like", index) {
        let pattern = pattern(value, names)?;
        if !pattern.is_match(&got.body) {
            return Err(format!("response_body is not like {pattern}:\n{}", got.body_text()));
        }
    }
    if let Some(value) = block.nth("response_body_unlike", index) {
        let pattern = pattern(value, names)?;
        if pattern.is_match(&got.body) {
            return Err(format!("response_body is like {pattern}:\n{}", got.body_text()));
        }
    }
    headers(block, names, index, got)
}

/// Compares two texts and shows the first line that differs.
pub fn same_text(what: &str, wanted: &[u8], got: &[u8]) -> Result<(), String> {
    if wanted == got {
        return Ok(());
    }
    let wanted = String::from_utf8_lossy(wanted);
    let got = String::from_utf8_lossy(got);
    let line = wanted.split('\n').zip(got.split('\n')).take_while(|(a, b)| a == b).count();
    Err(format!(
        "{what} differs at line {}\n-- wanted\n{}\n-- got\n{}",
        line + 1,
        clip(&wanted),
        clip(&got)
    ))
}

/// Checks the error and access logs, giving lines of the log phase time to arrive.
pub fn logs(block: &Block, names: &Names, prefix: &Prefix) -> Result<(), String> {
    let check = || {
        error_log(block, names, &prefix.error_log())
            .and_then(|()| access_log(block, names, &prefix.read("logs/access.log")))
    };
    wait::until(HANG, check)?;
    absent(block, names, "no_error_log", &prefix.error_log())?;
    absent(block, names, "no_access_log", &prefix.read("logs/access.log"))
}

/// Checks `error_log` and `grep_error_log_out` against the text of a log.
pub fn error_log(block: &Block, names: &Names, log: &str) -> Result<(), String> {
    present(block, names, "error_log", log)?;
    let Some(wanted) = block.value("grep_error_log_out") else { return Ok(()) };
    let by = block.value("grep_error_log").ok_or("grep_error_log_out without grep_error_log")?;
    let by = pattern_or_words(by, names)?;
    let found: Vec<String> = by
        .find_iter(log.as_bytes())
        .map(|hit| String::from_utf8_lossy(hit.as_bytes()).into_owned() + "\n")
        .collect();
    let found = found.concat();
    match wanted {
        Value::Text(text) => {
            same_text("grep_error_log_out", &names.expand_bytes(text), found.as_bytes())
        }
        other => {
            let wanted = pattern(other, names)?;
            let like = wanted.is_match(found.as_bytes());
            if like {
                Ok(())
            } else {
                Err(format!("grep_error_log_out is not like {wanted}:\n{found}"))
            }
        }
    }
}

/// Checks the sections about what is logged while the server ends.
pub fn shutdown_log(block: &Block, names: &Names, log: &str) -> Result<(), String> {
    present(block, names, "shutdown_error_log", log)?;
    absent(block, names, "no_shutdown_error_log", log)
}

/// Texts that a block wants in the error log; a line with one of them is no free failure.
pub fn expected_log_texts(block: &Block, names: &Names) -> Vec<String> {
    let Some(value) = block.value("error_log") else { return Vec::new() };
    match wanted_lines(value) {
        Ok(lines) => lines
            .iter()
            .filter_map(|line| match line {
                Value::Text(text) => String::from_utf8(names.expand_bytes(text)).ok(),
                _ => None,
            })
            .collect(),
        Err(_) => Vec::new(),
    }
}

fn status(block: &Block, index: usize, got: &Response) -> Result<(), String> {
    let wanted = match block.nth("error_code", index) {
        Some(Value::Text(code)) => String::from_utf8_lossy(code).trim().to_owned(),
        Some(_) => return Err("error_code is a number".into()),
        None => "200".to_owned(),
    };
    if wanted == got.status.to_string() {
        return Ok(());
    }
    let body = got.body_text();
    Err(format!("status is {}, wanted {wanted}\n{}\n\n{}", got.status, got.head, clip(&body)))
}

fn headers(block: &Block, names: &Names, index: usize, got: &Response) -> Result<(), String> {
    if let Some(Value::Text(text)) = block.nth("response_headers", index) {
        let text = names.expand_bytes(text);
        for line in String::from_utf8_lossy(&text).lines().filter(|line| !line.trim().is_empty()) {
            header(line, got)?;
        }
    }
    if let Some(value) = block.nth("raw_response_headers_like", index) {
        let pattern = pattern(value, names)?;
        if !pattern.is_match(got.head.as_bytes()) {
            return Err(format!("the response head is not like {pattern}:\n{}", got.head));
        }
    }
    if let Some(value) = block.nth("raw_response_headers_unlike", index) {
        let pattern = pattern(value, names)?;
        if pattern.is_match(got.head.as_bytes()) {
            return Err(format!("the response head is like {pattern}:\n{}", got.head));
        }
    }
    Ok(())
}

/// One line of `response_headers`: `Name: value`, or `!Name` for a header that must be absent.
fn header(line: &str, got: &Response) -> Result<(), String> {
    if let Some(name) = line.strip_prefix('!') {
        return match got.header(name.trim()) {
            Some(value) => Err(format!("header {} is there: {value}", name.trim())),
            None => Ok(()),
        };
    }
    let (name, wanted) = line.split_once(':').ok_or_else(|| format!("no header: {line}"))?;
    let value = got.header(name.trim());
    if value.as_deref() == Some(wanted.trim()) {
        return Ok(());
    }
    Err(format!("header {name} is {value:?}, wanted {:?}\n{}", wanted.trim(), got.head))
}

fn access_log(block: &Block, names: &Names, log: &str) -> Result<(), String> {
    present(block, names, "access_log", log)
}

fn present(block: &Block, names: &Names, section: &str, log: &str) -> Result<(), String> {
    let Some(value) = block.value(section) else { return Ok(()) };
    for wanted in wanted_lines(value)? {
        if !matches(&wanted, names, log)? {
            return Err(format!("{section}: no line has {}", show(&wanted)));
        }
    }
    Ok(())
}

fn absent(block: &Block, names: &Names, section: &str, log: &str) -> Result<(), String> {
    let Some(value) = block.value(section) else { return Ok(()) };
    for unwanted in wanted_lines(value)? {
        for line in log.lines() {
            if matches(&unwanted, names, line)? {
                return Err(format!("{section}: a line has {}: {line}", show(&unwanted)));
            }
        }
    }
    Ok(())
}

/// The lines of a plain section, or the items of an evaluated one.
fn wanted_lines(value: &Value) -> Result<Vec<Value>, String> {
    Ok(match value {
        Value::List(values) => values.clone(),
        Value::Pattern(_) => vec![value.clone()],
        Value::Text(text) => String::from_utf8_lossy(text)
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| Value::Text(line.into()))
            .collect(),
    })
}

fn matches(wanted: &Value, names: &Names, log: &str) -> Result<bool, String> {
    Ok(match wanted {
        Value::Text(text) => {
            let text = names.expand_bytes(text);
            log.contains(String::from_utf8_lossy(&text).as_ref())
        }
        other => pattern(other, names)?.is_match(log.as_bytes()),
    })
}

fn pattern(value: &Value, names: &Names) -> Result<Regex, String> {
    let text = match value {
        Value::Pattern(text) => text.clone(),
        // A plain section is a pattern too; the newline that ends it is not part of it.
        Value::Text(text) => String::from_utf8_lossy(text).trim_end_matches('\n').to_owned(),
        Value::List(_) => return Err("a list where one pattern belongs".into()),
    };
    // As Test::Nginx does: "." matches newlines, "^" and "$" match at every line.
    Regex::new(&format!("(?sm){}", names.expand(&text))).map_err(|e| e.to_string())
}

fn pattern_or_words(value: &Value, names: &Names) -> Result<Regex, String> {
    match value {
        Value::Text(text) => {
            let text = String::from_utf8_lossy(text).trim_end_matches('\n').to_owned();
            Regex::new(&regex::escape(&names.expand(&text))).map_err(|e| e.to_string())
        }
        Value::Pattern(text) => Regex::new(&names.expand(text)).map_err(|e| e.to_string()),
        Value::List(_) => Err("grep_error_log takes one pattern".into()),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("\"{}\"", String::from_utf8_lossy(text)),
        Value::Pattern(text) => format!("/{text}/"),
        Value::List(_) => "a list".into(),
    }
}

fn clip(text: &str) -> String {
    let mut short: String = text.chars().take(2000).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
}
