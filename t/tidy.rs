//! Rules of the house that a machine can check; each complaint says what to do instead.
//!
//! ```text
//!   source (text of every file) -> layers, borders, size, words, files, docs -> complaints
//! ```

mod borders;
mod docs;
mod files;
mod layers;
mod size;
pub mod source;
mod words;

use crate::harness::case::Case;

/// What a check finds wrong, one text a place.
type Complaints = fn() -> Vec<String>;

pub fn cases() -> Vec<Case> {
    let checks: [(&str, Complaints); 12] = [
        ("layers", layers::complaints),
        ("third-party borders", borders::complaints),
        ("unsafe only in named files", borders::unsafe_complaints),
        ("file size", size::file_complaints),
        ("function size", size::function_complaints),
        ("line width", size::line_complaints),
        ("banned words", words::complaints),
        ("forgotten files", files::complaints),
        ("duplicate dependencies", files::duplicate_dependencies),
        ("README links", docs::link_complaints),
        ("README code map", docs::code_map_complaints),
        ("shipped configurations load", docs::configuration_complaints),
    ];
    checks
        .into_iter()
        .map(|(name, check)| {
            Case::check(format!("tidy/{name}"), move || match check() {
                complaints if complaints.is_empty() => Ok(()),
                complaints => Err(complaints.join("\n")),
            })
        })
        .collect()
}
