//! What README says is so: links lead somewhere, the code map is the floor table, examples load.

use super::{layers, source};
use crate::harness::server::{self, Prefix, Program};

/// Relative links of every Markdown file at the top lead to a file.
pub fn link_complaints() -> Vec<String> {
    let text = source::read("README.md");
    let mut complaints = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for link in line.split("](").skip(1) {
            let target = link.split(')').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            let outside = target.contains("://") || path.is_empty();
            if !outside && !source::root().join(path).exists() {
                complaints.push(format!("README.md:{}: {target} leads nowhere", at + 1));
            }
        }
    }
    complaints
}

/// Every room stands in README's floor table, on its floor.
pub fn code_map_complaints() -> Vec<String> {
    let text = source::read("README.md");
    if text.is_empty() {
        return Vec::new();
    }
    let mut complaints = Vec::new();
    for (floor, rooms) in layers::FLOORS {
        // `main` and `cli` share the top row of the table people read.
        let floor = u8::min(*floor, 6);
        let row = text.lines().find(|line| line.trim_start().starts_with(&format!("{floor}  ")));
        for room in *rooms {
            let told = row.is_some_and(|row| {
                row.split(|c: char| !c.is_alphanumeric()).any(|word| word == *room)
            });
            if !told {
                complaints.push(format!("README.md: floor {floor} does not name {room}"));
            }
        }
    }
    for entry in std::fs::read_dir(source::root().join("src")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let room = name.trim_end_matches(".rs");
        if room != "lib" && layers::floor(room).is_none() {
            complaints.push(format!("src/{name} has no floor"));
        }
    }
    complaints
}

/// `conf/nginx.conf` and every example pass `-t`.
pub fn configuration_complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    for file in source::below("conf", ".conf") {
        if let Err(complaint) = loads(&file.path) {
            complaints.push(format!("{}: {complaint}", file.path));
        }
    }
    complaints
}

/// Loads a configuration from a copy of `conf/`, so that nothing is written there.
fn loads(path: &str) -> Result<(), String> {
    let prefix = Prefix::new()?;
    for ending in [".conf", ".types", ".inc", ".lua", ".html", ".pem", ".key", ".crt"] {
        for file in source::below("conf", ending) {
            prefix.write(&file.path, &file.text)?;
        }
    }
    let (loaded, text) = server::run_to_end(Program::Ours, &prefix, &["-t", "-c", path])?;
    if loaded { Ok(()) } else { Err(text) }
}
