//! A file fits one idea, a function fits a screen, a line fits a page.

use super::source::{self, File};

pub fn file_complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    for file in sources() {
        let lines = file.code().lines().count();
        let is_tests = file.path.ends_with("/tests.rs");
        if lines > FILE_LINES && !is_tests && !excepted(LONG_FILES, &file.path) {
            complaints.push(format!("{}: {lines} lines; split it at {FILE_LINES}", file.path));
        }
    }
    complaints
}

pub fn function_complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    for file in sources() {
        for (name, line, length) in functions(&file) {
            let place = format!("{} {name}", file.path);
            if length > FUNCTION_LINES && !excepted(LONG_FUNCTIONS, &place) {
                complaints.push(format!(
                    "{}:{line}: fn {name} has {length} lines; split it at {FUNCTION_LINES}",
                    file.path
                ));
            }
        }
    }
    complaints
}

pub fn line_complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    for file in sources().into_iter().chain(source::below("lua", ".lua")) {
        for (at, line) in file.text.lines().enumerate() {
            let width = line.chars().count();
            // A URL or a text cannot be broken.
            let unbreakable = line.contains("://") || line.contains('"') || is_text(&file, line);
            if width > LINE_WIDTH && !unbreakable {
                complaints.push(format!("{}:{}: {width} columns", file.path, at + 1));
            }
        }
    }
    complaints
}

/// Lines of the long literals that tests are made of.
fn is_text(file: &File, line: &str) -> bool {
    let tests = file.path.ends_with("tests.rs") || file.path.starts_with("t/");
    tests && line.trim_end().ends_with('\\')
}

fn sources() -> Vec<File> {
    let mut files = source::below("src", ".rs");
    files.extend(source::below("t", ".rs"));
    files.extend(source::below("benches", ".rs"));
    files
}

/// Name, first line and length of every function; relies on rustfmt's indentation.
fn functions(file: &File) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = file.text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indent = &line[..line.len() - line.trim_start().len()];
        let is_last = |line: &&str| {
            let Some(rest) = line.strip_prefix(indent) else { return false };
            // A body's end, or the end of a signature without a body.
            rest == "}" || (rest.starts_with(')') && rest.ends_with(';'))
        };
        let one_line = line.trim_end().ends_with('}');
        let body = if one_line { 0 } else { lines[at..].iter().position(is_last).unwrap_or(0) };
        found.push((name.to_owned(), at + 1, body + 1));
    }
    found
}

fn function_name(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let (before, after) = code.split_once("fn ")?;
    let only_modifiers = before.split_whitespace().all(|word| {
        word.starts_with("pub")
            || ["async", "unsafe", "const", "extern", "\"C\"", "\"C-unwind\""].contains(&word)
            || word.starts_with("in")
    });
    if !only_modifiers || !after.contains(['(', '<']) || code.ends_with(';') {
        return None;
    }
    let end = after.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&after[..end])
}

fn excepted(list: &[(&str, &str)], place: &str) -> bool {
    list.iter().any(|(name, _)| *name == place)
}

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const LINE_WIDTH: usize = 100;

/// Files that are longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Functions that are longer, as "path name", each with its reason.
const LONG_FUNCTIONS: &[(&str, &str)] = &[];
