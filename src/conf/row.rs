//! Directives as rows of data: name, where it may stand, how many arguments, what it sets.
//!
//! ```text
//!  pub const ROWS: &[Row] = &[
//!      flag("daemon", MAIN, |b, d| d.flag_slot(&mut b.part::<Process>().daemon)),
//!      row("root", HTTP | SERVER | LOCATION | IF_LOCATION, take(1), set_root),
//!      block("location", SERVER | LOCATION, args(1, 2), LOCATION, add_location),
//!      raw_block("types", HTTP | SERVER | LOCATION, take(0), set_types),
//!      lua_block("content_by_lua_block", LOCATION | IF_LOCATION, take(0), set_content),
//!  ];
//! ```
//!
//! Rows may share a name when they differ in context (`server` in `http` and in `upstream`).

use std::collections::HashMap;

use bstr::{BStr, ByteSlice};

use super::build::Builder;
use super::diag::Diag;
use super::tree::Directive;

/// One directive a feature understands.
#[derive(Clone, Copy)]
pub struct Row {
    pub name: &'static str,
    pub contexts: Contexts,
    pub arity: Arity,
    pub shape: Shape,
    pub set: Set,
}

/// Puts a directive's values where they belong. An error gets the directive's place by itself.
pub type Set = fn(&mut Builder<'_>, &Directive) -> Result<(), Diag>;

/// A directive that ends with `;`.
pub const fn row(name: &'static str, contexts: Contexts, arity: Arity, set: Set) -> Row {
    Row { name, contexts, arity, shape: Shape::Simple, set }
}

/// A directive that takes `on` or `off`.
pub const fn flag(name: &'static str, contexts: Contexts, set: Set) -> Row {
    row(name, contexts, take(1), set)
}

/// A directive with directives between braces, which stand in the context `opens`.
pub const fn block(
    name: &'static str,
    contexts: Contexts,
    arity: Arity,
    opens: Contexts,
    set: Set,
) -> Row {
    Row { name, contexts, arity, shape: Shape::Block { opens }, set }
}

/// A directive with plain entries between braces, as `types` and `map`: see [`Builder::entries`].
pub const fn raw_block(name: &'static str, contexts: Contexts, arity: Arity, set: Set) -> Row {
    Row { name, contexts, arity, shape: Shape::Raw, set }
}

/// A directive with Lua between braces; the text is in [`Directive::lua`].
/// Its name must end in `_by_lua_block`: the parser goes by that.
pub const fn lua_block(name: &'static str, contexts: Contexts, arity: Arity, set: Set) -> Row {
    Row { name, contexts, arity, shape: Shape::Lua, set }
}

/// How many arguments a directive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arity {
    pub least: usize,
    pub most: usize,
}

/// Exactly so many arguments.
pub const fn take(count: usize) -> Arity {
    args(count, count)
}

/// From so many to so many arguments.
pub const fn args(least: usize, most: usize) -> Arity {
    Arity { least, most }
}

/// At least so many arguments.
pub const fn at_least(least: usize) -> Arity {
    args(least, usize::MAX)
}

/// What a directive ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Simple,
    Block { opens: Contexts },
    Raw,
    Lua,
}

impl Shape {
    /// The context of the directives inside; none for other shapes.
    pub fn opens(self) -> Contexts {
        match self {
            Self::Block { opens } => opens,
            _ => 0,
        }
    }
}

/// A set of the places where a directive may stand.
pub type Contexts = u32;

pub const MAIN: Contexts = 1;
pub const EVENTS: Contexts = 1 << 1;
pub const HTTP: Contexts = 1 << 2;
pub const SERVER: Contexts = 1 << 3;
pub const UPSTREAM: Contexts = 1 << 4;
pub const LOCATION: Contexts = 1 << 5;
/// `if` inside `server`.
pub const IF_SERVER: Contexts = 1 << 6;
/// `if` inside `location`.
pub const IF_LOCATION: Contexts = 1 << 7;
pub const LIMIT_EXCEPT: Contexts = 1 << 8;
pub const STREAM: Contexts = 1 << 9;
pub const STREAM_SERVER: Contexts = 1 << 10;
pub const STREAM_UPSTREAM: Contexts = 1 << 11;
/// The three levels most http settings may stand on.
pub const HTTP_LEVELS: Contexts = HTTP | SERVER | LOCATION;
pub const ANYWHERE: Contexts = u32::MAX;

/// All rows of all features, found by name.
pub struct Table {
    by_name: HashMap<&'static [u8], Vec<Row>>,
}

impl Table {
    /// Puts the features' rows together, in their order.
    pub fn new(features: &[&[Row]]) -> Self {
        let mut by_name: HashMap<_, Vec<_>> = HashMap::new();
        for row in [LANGUAGE].iter().chain(features).copied().flatten() {
            by_name.entry(row.name.as_bytes()).or_default().push(*row);
        }
        Self { by_name }
    }

    /// The rows of this name: one for each kind of place.
    pub fn rows(&self, name: &BStr) -> &[Row] {
        self.by_name.get(name.as_bytes()).map_or(&[], Vec::as_slice)
    }

    /// The row of this name that may stand in this context.
    pub fn row_in(&self, name: &BStr, context: Contexts) -> Option<Row> {
        self.rows(name).iter().find(|row| row.contexts & context != 0).copied()
    }

    /// Every row, in no order; for listings.
    pub fn all(&self) -> impl Iterator<Item = &Row> {
        self.by_name.values().flatten()
    }

    /// A known name that looks like a misspelled one; one that may stand here is preferred.
    pub fn closest(&self, name: &BStr, context: Contexts) -> Option<&'static str> {
        let limit = (name.len() / 3).clamp(1, 3);
        let near = |row: &&Row| distance(row.name.as_bytes(), name) <= limit;
        let key = |row: &&Row| {
            (row.contexts & context == 0, distance(row.name.as_bytes(), name), row.name)
        };
        self.all().filter(near).min_by_key(key).map(|row| row.name)
    }
}

/// The parser replaces `include`s that are written right; the others are complained about.
const LANGUAGE: &[Row] = &[row("include", ANYWHERE, take(1), |_, _| Ok(()))];

/// The block names behind a set of contexts, as a user writes them.
pub fn context_names(contexts: Contexts) -> Vec<&'static str> {
    CONTEXT_NAMES
        .iter()
        .filter(|(context, _)| contexts & context != 0)
        .map(|(_, name)| *name)
        .collect()
}

const CONTEXT_NAMES: &[(Contexts, &str)] = &[
    (MAIN, "main"),
    (EVENTS, "events"),
    (HTTP, "http"),
    (SERVER, "server"),
    (UPSTREAM, "upstream"),
    (LOCATION, "location"),
    (IF_SERVER, "if in server"),
    (IF_LOCATION, "if in location"),
    (LIMIT_EXCEPT, "limit_except"),
    (STREAM, "stream"),
    (STREAM_SERVER, "stream server"),
    (STREAM_UPSTREAM, "stream upstream"),
];

/// Insertions, deletions, replacements and swaps of neighbours between two names.
fn distance(a: &[u8], b: &[u8]) -> usize {
    if a.len().abs_diff(b.len()) > 3 {
        return usize::MAX;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, &x) in a.iter().enumerate() {
        let mut line = vec![i + 1];
        for (j, &y) in b.iter().enumerate() {
            let mut best = (above[j] + usize::from(x != y)).min(above[j + 1] + 1).min(line[j] + 1);
            if i > 0 && j > 0 && x == b[j - 1] && a[i - 1] == y {
                best = best.min(before[j - 1] + 1);
            }
            line.push(best);
        }
        before = std::mem::replace(&mut above, line);
    }
    above[b.len()]
}
