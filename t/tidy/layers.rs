//! A room uses only rooms on lower floors; rooms on the same floor do not know each other.

use super::source::{self, File};

pub fn complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    for file in source::below("src", ".rs") {
        if file.path == "src/lib.rs" {
            continue;
        }
        let room = file.room().to_owned();
        let Some(floor) = floor(&room) else {
            complaints.push(format!("{}: {room} has no floor; add it to FLOORS", file.path));
            continue;
        };
        for (line, used) in edges(&file) {
            if used == room {
                continue;
            }
            match self::floor(&used) {
                Some(below) if below < floor => {}
                Some(_) => complaints.push(format!(
                    "{}:{line}: {room} must not use {used}, which is on its own floor or above",
                    file.path
                )),
                None => complaints.push(format!("{}:{line}: no room is named {used}", file.path)),
            }
        }
    }
    complaints
}

/// Rooms named after `crate::` (or `moonbeat::` in the binary), with line numbers.
fn edges(file: &File) -> Vec<(usize, String)> {
    let mut edges = Vec::new();
    let root = if file.path == "src/main.rs" { "moonbeat::" } else { "crate::" };
    let text: Vec<(usize, &str)> = file.code_lines().collect();
    for (at, (number, line)) in text.iter().enumerate() {
        for (start, _) in line.match_indices(root) {
            let after = &line[start + root.len()..];
            if after.starts_with('{') {
                edges.extend(group(&text[at..], start).into_iter().map(|room| (*number, room)));
            } else {
                let room = word(after);
                let is_macro = after[room.len()..].starts_with('!');
                if !is_macro && !room.is_empty() {
                    edges.push((*number, room.to_owned()));
                }
            }
        }
    }
    edges
}

/// The first names inside `crate::{a::…, b::{…}}`, which may span lines.
fn group(lines: &[(usize, &str)], start: usize) -> Vec<String> {
    let mut text = lines[0].1[start..].to_owned();
    for (_, line) in &lines[1..] {
        if text.contains(';') {
            break;
        }
        text.push_str(line);
    }
    let mut rooms = Vec::new();
    let mut depth = 0;
    let mut fresh = false;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' => break,
            _ => {}
        }
        if depth == 1 && (c == ',' || c == '{') {
            fresh = true;
        } else if fresh && depth == 1 && (c.is_alphanumeric() || c == '_') {
            rooms.push(word(&text[at..]).to_owned());
            fresh = false;
        }
    }
    rooms
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The floor of a room; `None` for a name that is no room.
pub fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// The floor table. `main` stands on `cli`, so it has a floor of its own here.
pub const FLOORS: &[(u8, &[&str])] = &[
    (0, &["base"]),
    (1, &["conf", "net", "shdict"]),
    (2, &["process", "server", "store", "upstream"]),
    (3, &["http", "health", "stream"]),
    (4, &["face", "lua"]),
    (5, &["app"]),
    (6, &["cli"]),
    (7, &["main"]),
];
