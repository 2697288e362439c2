//! Words that say nothing, and words that do not belong in a repository.

use super::source;

pub fn complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    let mut files = source::below("src", ".rs");
    files.extend(source::below("t", ".rs"));
    files.extend(source::below("lua", ".lua"));
    for file in files {
        if file.path == "t/tidy/words.rs" {
            continue;
        }
        let stem = file.path.rsplit('/').next().unwrap_or_default();
        let stem = stem.split('.').next().unwrap_or_default();
        for (word, instead) in EMPTY_NAMES {
            if stem.split('_').any(|part| part == *word) && !NAMES_OF_USERS.contains(&stem) {
                complaints.push(format!("{}: a file named \"{word}\": {instead}", file.path));
            }
        }
        // The native halves of ngx.* carry the names scripts call them by.
        let api = file.path.starts_with("src/lua/api/");
        for (at, line) in file.text.lines().enumerate() {
            for (word, instead) in BANNED.iter().filter(|(word, _)| !(api && *word == GETTER)) {
                if line.contains(word) && !NAMES_OF_RUST.iter().any(|name| line.contains(name)) {
                    complaints.push(format!("{}:{}: \"{word}\": {instead}", file.path, at + 1));
                }
            }
        }
    }
    complaints
}

const EMPTY_NAMES: &[(&str, &str)] = &[
    ("util", "name the idea"),
    ("utils", "name the idea"),
    ("common", "name what is shared"),
    ("helper", "name what it does"),
    ("helpers", "name what they do"),
    ("manager", "name what it does"),
    ("misc", "put each part where it belongs"),
];

/// File names that users gave: modules and topics of nginx and OpenResty.
const NAMES_OF_USERS: &[&str] = &["set_misc"];

/// Names that follow Rust's own convention, and names of the scripting API.
const NAMES_OF_RUST: &[&str] = &["fn get_mut", "fn get_or_", "fn get_stale", "fn get_keys"];

const GETTER: &str = "fn get_";

const BANNED: &[(&str, &str)] = &[
    (GETTER, "a getter is named after what it gives"),
    ("TODO", "do it, or say in a sentence what is not supported"),
    ("FIXME", "fix it, or say in a sentence what is wrong"),
    ("XXX:", "say it in a sentence"),
    ("HACK", "say why it is right"),
    ("/work/", "no paths of one machine"),
];
