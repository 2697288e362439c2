//! A configuration back as text: for `-T`, and as one line per directive for tests.
//!
//! ```text
//!  # configuration file /etc/nginx/nginx.conf:      -T: the files as they were read
//!  http {                                           tree: words as the parser understood them
//!    listen 80 "a b";
//! ```

use std::fmt::Write as _;

use super::source::Sources;
use super::tree::{Body, Directive};

/// nginx's `-T` output: each file once, under a line with its name.
pub fn files(sources: &Sources) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, text) in sources.distinct() {
        out.extend_from_slice(b"# configuration file ");
        out.extend_from_slice(name);
        out.extend_from_slice(b":\n");
        out.extend_from_slice(text);
        out.push(b'\n');
    }
    out
}

/// The tree, one directive a line; words that were quoted or hold odd bytes are shown in quotes.
pub fn tree(items: &[Directive]) -> String {
    let mut out = String::new();
    write_items(&mut out, items, 0);
    out
}

fn write_items(out: &mut String, items: &[Directive], depth: usize) {
    for d in items {
        let pad = "  ".repeat(depth);
        let words: Vec<String> = d
            .words
            .iter()
            .map(|word| match word.quoted || word.text.iter().any(u8::is_ascii_whitespace) {
                true => format!("{:?}", word.text),
                false => word.text.to_string(),
            })
            .collect();
        let _ = write!(out, "{pad}{}", words.join(" "));
        match &d.body {
            Body::None => out.push_str(";\n"),
            Body::Broken => out.push_str(" { ?\n"),
            Body::Lua(lua) => {
                let _ = writeln!(out, " {{ lua {:?} }}", lua.text);
            }
            Body::Block(block) => {
                out.push_str(" {\n");
                write_items(out, &block.items, depth + 1);
                let _ = writeln!(out, "{pad}}}");
            }
        }
    }
}
