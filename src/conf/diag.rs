//! Complaints about a configuration: nginx's line first, then the place and a hint.
//!
//! ```text
//!  nginx: [emerg] unknown directive "proxy_pas" in conf/site.conf:12      the ancestor's line
//!     12 |     proxy_pas http://u;                                         the place
//!        |     ^^^^^^^^^
//!        = included from conf/nginx.conf:4                                 the include chain
//!        = hint: did you mean "proxy_pass"?
//! ```

use std::fmt::Write as _;

use bstr::ByteSlice;

use super::source::{FileId, Sources};
use crate::base::errno::Errno;

/// One complaint. Without a place it gets the place the builder or parser is at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diag {
    pub severity: Severity,
    /// nginx's words, without ` in FILE:LINE`.
    pub text: String,
    pub place: Option<Place>,
    /// nginx names no place, though a span may show it.
    pub nowhere: bool,
    pub span: Option<Span>,
    pub hints: Vec<String>,
}

impl Diag {
    /// A mistake: the configuration is refused.
    pub fn emerg(text: impl Into<String>) -> Self {
        Self::new(Severity::Emerg, text)
    }

    /// Something suspicious: the configuration is taken.
    pub fn warn(text: impl Into<String>) -> Self {
        Self::new(Severity::Warn, text)
    }

    pub fn new(severity: Severity, text: impl Into<String>) -> Self {
        let (text, hints) = (text.into(), Vec::new());
        Self { severity, text, place: None, nowhere: false, span: None, hints }
    }

    /// `open() "/etc/x" failed (2: No such file or directory)`, as nginx reports system calls.
    pub fn system(call: &str, path: &dyn std::fmt::Display, error: &std::io::Error) -> Self {
        Self::emerg(format!("{call} \"{path}\" failed {}", Errno(error)))
    }

    /// Says where nginx's reader stood.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// For complaints that nginx makes without ` in FILE:LINE`.
    pub fn nowhere(mut self) -> Self {
        self.nowhere = true;
        self
    }

    /// Points the caret at these bytes.
    pub fn span(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Adds a line that says what to write instead.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Whether the configuration must be refused.
    pub fn is_error(&self) -> bool {
        self.severity <= Severity::Error
    }

    /// nginx's line without the `nginx: [level] ` in front of it.
    pub fn line(&self, sources: &Sources) -> String {
        let text = &self.text[..self.text.floor_char_boundary(LONGEST)];
        match self.place {
            None => text.into(),
            Some(place) => match sources.name(place.file) {
                None => format!("{text} in command line"),
                Some(name) => format!("{text} in {name}:{}", place.line),
            },
        }
    }

    /// Everything: nginx's line, source line with caret, include chain, hints; no last newline.
    pub fn render(&self, sources: &Sources) -> String {
        let mut out = format!("nginx: [{}] {}", self.severity.word(), self.line(sources));
        if let Some(span) = self.span {
            render_span(&mut out, span, sources);
        }
        let file = self.place.map(|p| p.file).or(self.span.map(|s| s.file));
        let mut above = file.and_then(|file| sources.included_from(file));
        while let Some((file, line)) = above {
            let name = sources.name(file).unwrap_or_else(|| "command line".into());
            let _ = write!(out, "\n      = included from {name}:{line}");
            above = sources.included_from(file);
        }
        for hint in &self.hints {
            let _ = write!(out, "\n      = hint: {hint}");
        }
        out
    }
}

/// nginx's levels, as far as a configuration can earn them; the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Emerg,
    Error,
    Alert,
    Warn,
    Notice,
}

impl Severity {
    /// The word between the brackets of a log line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Emerg => "emerg",
            Self::Error => "error",
            Self::Alert => "alert",
            Self::Warn => "warn",
            Self::Notice => "notice",
        }
    }
}

/// The place nginx names: where its reader stood, which is the end of the directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: FileId,
    pub line: u32,
}

/// Some bytes of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub file: FileId,
    pub start: u32,
    pub end: u32,
    /// The line of the first byte, counted from 1.
    pub line: u32,
}

fn render_span(out: &mut String, span: Span, sources: &Sources) {
    let text = sources.text(span.file);
    let start = (span.start as usize).min(text.len());
    let end = (span.end as usize).clamp(start, text.len());
    let from = text[..start].rfind_byte(b'\n').map_or(0, |at| at + 1);
    let to = text[start..].find_byte(b'\n').map_or(text.len(), |at| start + at);
    let before = text[from..start].to_str_lossy();
    let hidden = before.chars().count().saturating_sub(WIDEST);
    let before: String = before.chars().skip(hidden).collect();
    let mark: String = text[start..end.min(to)].to_str_lossy().chars().take(WIDEST).collect();
    let after = text[end.min(to)..to].trim_end().to_str_lossy();
    let after: String = after.chars().take(WIDEST - mark.chars().count()).collect();
    // A tab stays a tab in both lines, so that the caret stays under its word.
    let pad: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let carets = "^".repeat(mark.chars().count().max(1));
    let _ = write!(out, "\n{:5} | {before}{mark}{after}", span.line);
    let _ = write!(out, "\n      | {pad}{carets}");
}

/// How many characters of a source line are shown on either side.
const WIDEST: usize = 100;
/// nginx cuts its complaints at this length.
const LONGEST: usize = 1024;
