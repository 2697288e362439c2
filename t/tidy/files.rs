//! Every file is used by something, and every dependency comes once.

use std::collections::BTreeMap;

use super::source;
use crate::harness::blocks;

pub fn complaints() -> Vec<String> {
    let mut complaints = orphan_sources("src");
    complaints.extend(orphan_sources("t"));
    complaints.extend(orphan_scripts());
    complaints.extend(strangers_at_the_top());
    for path in blocks::files() {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        match blocks::parse(&text) {
            Ok(found) if found.is_empty() => {
                complaints.push(format!("{}: no block in it", path.display()));
            }
            Ok(_) => {}
            Err(complaint) => complaints.push(format!("{}: {complaint}", path.display())),
        }
    }
    complaints
}

/// Crates that appear in more than one version; two versions are twice the code to trust.
pub fn duplicate_dependencies() -> Vec<String> {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let lock = source::read("Cargo.lock");
    for package in lock.split("[[package]]").skip(1) {
        let field = |name: &str| {
            let line = package.lines().find(|line| line.starts_with(name))?;
            Some(line.split('"').nth(1)?.to_owned())
        };
        if let (Some(name), Some(version)) = (field("name"), field("version")) {
            versions.entry(name).or_default().push(version);
        }
    }
    versions
        .into_iter()
        .filter(|(name, found)| {
            found.len() > 1 && !TWICE.iter().any(|(allowed, _)| allowed == name)
        })
        .map(|(name, found)| format!("{name} comes in versions {}", found.join(", ")))
        .collect()
}

/// Rust files that no `mod` line names; the compiler would not see them.
fn orphan_sources(folder: &str) -> Vec<String> {
    let files = source::below(folder, ".rs");
    let mut complaints = Vec::new();
    for file in &files {
        let path = file.path.as_str();
        if ["src/lib.rs", "src/main.rs", "t/main.rs"].contains(&path) {
            continue;
        }
        let path = path.strip_suffix("/mod.rs").unwrap_or(path.trim_end_matches(".rs"));
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let candidates = [
            format!("{parent}.rs"),
            format!("{parent}/mod.rs"),
            format!("{parent}/lib.rs"),
            format!("{parent}/main.rs"),
        ];
        let declared = files
            .iter()
            .filter(|other| candidates.contains(&other.path))
            .any(|other| other.text.contains(&format!("mod {name};")));
        if !declared {
            complaints.push(format!("{}: no mod line names it", file.path));
        }
    }
    complaints
}

/// Files at the top of the tree that are not in its list of contents.
fn strangers_at_the_top() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(source::root()) else { return Vec::new() };
    entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !TOP.contains(&name.as_str()))
        .map(|name| format!("{name}: a file at the top; move it, or add it to TOP"))
        .collect()
}

/// Lua files that no Rust file includes.
fn orphan_scripts() -> Vec<String> {
    let sources = source::below("src", ".rs");
    source::below("lua", ".lua")
        .into_iter()
        .filter(|script| {
            let stem = script.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".lua");
            !sources.iter().any(|file| file.text.contains(stem))
        })
        .map(|script| format!("{}: no Rust file includes it", script.path))
        .collect()
}

/// What stands at the top of the tree; the last three are made by git, cargo and `make run`.
const TOP: &[&str] = &[
    ".cargo",
    ".ci",
    ".gitignore",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "NOTES.md",
    "README.md",
    "benches",
    "build.rs",
    "clippy.toml",
    "conf",
    "deny.toml",
    "lua",
    "rustfmt.toml",
    "src",
    "t",
    ".git",
    "target",
    "logs",
];

/// Crates that may come twice, each with its reason.
const TWICE: &[(&str, &str)] = &[
    ("getrandom", "never built on the systems we serve"),
    ("syn", "runs while compiling only"),
    ("windows-sys", "never built on the systems we serve"),
    ("winnow", "in the tests' TOML reader only"),
];
