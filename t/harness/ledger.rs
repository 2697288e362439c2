//! `t/ledger.toml`: the cases that are expected to fail, each with its reason.
//!
//! An entry that no longer fails is itself a failure, so that the ledger cannot rot.

use serde::Deserialize;

use super::case::Outcome;
use super::modes::Mode;

/// All entries of the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    #[serde(default)]
    expected: Vec<Entry>,
    #[serde(default)]
    outside: Vec<Outside>,
}

/// One expected difference.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// A name, or the beginning of names when it ends in `/`.
    case: String,
    /// Which server differs: `oracle` or `ours`.
    side: String,
    reason: String,
}

/// What another project's suite says of our binary; for readers, and checked for plain mistakes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Outside {
    suite: String,
    passes: usize,
    of: usize,
    causes: Vec<String>,
}

impl Ledger {
    pub fn load() -> Result<Ledger, String> {
        let text = std::fs::read_to_string(PATH).map_err(|e| format!("{PATH}: {e}"))?;
        let ledger: Ledger = toml::from_str(&text).map_err(|e| format!("{PATH}: {e}"))?;
        for entry in &ledger.expected {
            if entry.reason.trim().is_empty() {
                return Err(format!("{PATH}: {} stands without a reason", entry.case));
            }
            if entry.side != "oracle" && entry.side != "ours" {
                return Err(format!("{PATH}: {}: side is \"oracle\" or \"ours\"", entry.case));
            }
        }
        for outside in &ledger.outside {
            let Outside { suite, passes, of, causes } = outside;
            if passes > of || (passes < of && causes.is_empty()) {
                return Err(format!("{PATH}: {suite}: {passes} of {of} with no cause given"));
            }
        }
        Ok(ledger)
    }

    /// Turns an expected failure into a skip, and an unexpected success into a failure.
    pub fn judge(&self, name: &str, mode: &Mode, outcome: Outcome) -> Outcome {
        let Some(entry) = self.find(name, mode.side()) else { return outcome };
        match outcome {
            Outcome::Failed(_) => Outcome::Skipped(entry.reason.clone()),
            Outcome::Passed if !entry.case.ends_with('/') => Outcome::Failed(format!(
                "passes, but t/ledger.toml expects it to fail ({}); remove the entry",
                entry.reason
            )),
            other => other,
        }
    }

    fn find(&self, name: &str, side: &str) -> Option<&Entry> {
        self.expected.iter().find(|entry| {
            let whole_topic = entry.case.ends_with('/') && name.starts_with(&entry.case);
            entry.side == side && (whole_topic || entry.case == name)
        })
    }
}

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/t/ledger.toml");
