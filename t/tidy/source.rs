//! The project's own text files, read for the checks.

use std::path::{Path, PathBuf};

/// A file with its path from the top of the project.
pub struct File {
    pub path: String,
    pub text: String,
}

impl File {
    /// The file's lines up to its unit tests.
    pub fn code(&self) -> &str {
        self.text.split("\n#[cfg(test)]").next().unwrap_or(&self.text)
    }

    /// Lines with their numbers, comments cut off.
    pub fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line)))
    }

    /// The first folder or file name under `src`: `lua` for `src/lua/sched.rs`.
    pub fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let room = below.split('/').next().unwrap_or(below);
        room.strip_suffix(".rs").unwrap_or(room)
    }
}

/// All files below `folder` whose names end in `ending`, in a fixed order.
pub fn below(folder: &str, ending: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let Ok(text) = std::fs::read_to_string(&path) else { continue };
                let short = path.strip_prefix(root()).unwrap_or(&path);
                found.push(File { path: short.to_string_lossy().into_owned(), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// One file of the project, empty when it is not there.
pub fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn without_comment(line: &str) -> &str {
    match line.find("//") {
        // "//" inside a URL in a string is no comment.
        Some(at) if !line[..at].ends_with(':') => &line[..at],
        _ => line,
    }
}
