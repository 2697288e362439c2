//! Third-party crates have a room each, and unsafe code a short list of files.

use super::source;

pub fn complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    for file in source::below("src", ".rs") {
        for (number, line) in file.code_lines() {
            for (name, homes) in BORDERS {
                let used = line.contains(&format!("{name}::"))
                    || line.trim_start().starts_with(&format!("use {name};"));
                if used && !homes.iter().any(|home| file.path.starts_with(home)) {
                    complaints.push(format!(
                        "{}:{number}: {name} is used only in {}",
                        file.path,
                        homes.join(", ")
                    ));
                }
            }
        }
    }
    complaints
}

pub fn unsafe_complaints() -> Vec<String> {
    let mut complaints = Vec::new();
    for file in source::below("src", ".rs") {
        let allowed = UNSAFE_FILES.iter().any(|(path, _)| file.path.starts_with(path));
        let words = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "allow(unsafe_code"];
        let first =
            file.code_lines().find(|(_, line)| words.iter().any(|word| line.contains(word)));
        if let (false, Some((number, _))) = (allowed, first) {
            complaints.push(format!(
                "{}:{number}: unsafe code lives in named files (UNSAFE_FILES in t/tidy)",
                file.path
            ));
        }
    }
    for (path, _) in UNSAFE_FILES {
        if !source::root().join(path).exists() {
            complaints
                .push(format!("{path} is named as a file with unsafe code, but is not there"));
        }
    }
    complaints
}

const BORDERS: &[(&str, &[&str])] = &[
    ("aws_lc_rs", &["src/net/tls"]),
    ("mlua", &["src/lua/"]),
    ("pcre2_sys", &["src/base/regex"]),
    ("rustls", &["src/net/tls"]),
    ("rustls_pemfile", &["src/net/tls"]),
    ("tokio_rustls", &["src/net/tls"]),
    ("webpki_roots", &["src/net/tls"]),
];

/// Files that may hold unsafe code, each with its reason.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("src/base/alloc.rs", "the global allocator"),
    ("src/base/regex.rs", "PCRE2's C interface"),
    ("src/base/tz.rs", "the C library\'s time zone rules"),
    ("src/lua/raw/", "LuaJIT's C interface"),
    ("src/net/fd.rs", "descriptors: passing, adopting, socket options"),
    ("src/net/lookup.rs", "getaddrinfo with AI_ADDRCONFIG"),
    ("src/process/sys.rs", "fork, signals, users, limits, process title"),
    ("src/shdict/lock.rs", "the spin lock of a dictionary"),
];
