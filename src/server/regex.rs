//! Regular expressions of a configuration: compiled in nginx's words, matched into groups.

use bytes::Bytes;

use crate::base::regex::{Flags, MatchError, Regex};
use crate::conf::Diag;

/// The whole match first; a group that took no part has none.
pub type Groups = Vec<Option<Bytes>>;

/// Compiles a pattern of the configuration, complaining in nginx's words.
pub fn compile(pattern: &[u8], caseless: bool) -> Result<Regex, Diag> {
    Regex::compile(pattern, Flags::nginx(caseless)).map_err(|error| Diag::emerg(error.to_string()))
}

/// The whole match and its groups, or `None`.
pub fn groups(regex: &Regex, subject: &Bytes) -> Option<Groups> {
    try_groups(regex, subject).ok().flatten()
}

/// The same, telling a match that could not be decided.
pub fn try_groups(regex: &Regex, subject: &Bytes) -> Result<Option<Groups>, MatchError> {
    let Some(found) = regex.captures(subject)? else { return Ok(None) };
    let span = |at| found.span(at).map(|(from, to)| subject.slice(from..to));
    Ok(Some((0..found.len()).map(span).collect()))
}
