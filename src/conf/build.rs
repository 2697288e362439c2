//! Walks the tree, checks each directive against its row and lets the row fill the scopes.
//!
//! ```text
//!  Tree ─▶ Builder ─ row? here? arity? ─▶ row.set(b, d) ─▶ b.part::<T>()       innermost block
//!                                                       ├▶ b.level(HTTP)       enclosing block
//!                                                       ├▶ b.main::<T>()       whole configuration
//!                                                       └▶ b.block(d, scope)   what stands inside
//! ```
//!
//! A mistake in one directive never hides the mistakes in the others.

mod check;
mod elsewhere;

use std::path::PathBuf;

use bstr::BStr;

use super::diag::{Diag, Span};
use super::parser::Parsed;
use super::row::{Contexts, MAIN, Row, Shape, Table};
use super::scope::{Part, Scope};
use super::source::{Sources, path};
use super::tree::{Body, Directive, Position};

/// Turns directives into settings: the main scope, and every complaint in the order of the files,
/// those of the parser among them. `main` holds what features need before the first directive;
/// the `checks` look at the whole configuration at the end.
pub fn build(
    parsed: &Parsed,
    table: &Table,
    dirs: &Dirs,
    main: Scope,
    checks: &[Check],
) -> (Scope, Vec<Diag>) {
    let mut builder = Builder::new(table, dirs, parsed);
    builder.frames[0].scope = main;
    builder.run(&parsed.items);
    builder.outside();
    for check in checks {
        if let Err(diag) = check(&mut builder) {
            builder.report(diag);
        }
    }
    let mut diags = parsed.diags.clone();
    diags.append(&mut builder.diags);
    diags.sort_by_key(|(order, _)| *order);
    let scope = builder.frames.swap_remove(0).scope;
    (scope, diags.into_iter().map(|(_, diag)| diag).collect())
}

/// Looks at a configuration whose directives have all been processed.
pub type Check = fn(&mut Builder<'_>) -> Result<(), Diag>;

/// What a row's `set` works with.
pub struct Builder<'a> {
    table: &'a Table,
    dirs: &'a Dirs,
    sources: &'a Sources,
    items: &'a [Directive],
    frames: Vec<Frame>,
    diags: Vec<(u32, Diag)>,
    at: Option<Position>,
    span: Option<Span>,
    /// What the block being set up opens, and whether its inside has been processed.
    opens: Contexts,
    entered: bool,
}

impl<'a> Builder<'a> {
    fn new(table: &'a Table, dirs: &'a Dirs, parsed: &'a Parsed) -> Self {
        Self {
            table,
            dirs,
            sources: &parsed.sources,
            items: &parsed.items,
            frames: vec![Frame { context: MAIN, block: "main".into(), scope: Scope::new() }],
            diags: Vec::new(),
            at: None,
            span: None,
            opens: 0,
            entered: false,
        }
    }

    /// The settings of one feature in the innermost block.
    pub fn part<T: Part>(&mut self) -> &mut T {
        self.scope().part_mut()
    }

    /// The settings of one feature for the whole configuration.
    pub fn main<T: Part>(&mut self) -> &mut T {
        self.frames[0].scope.part_mut()
    }

    /// The innermost block's scope.
    pub fn scope(&mut self) -> &mut Scope {
        let last = self.frames.len() - 1;
        &mut self.frames[last].scope
    }

    /// The scope of the nearest enclosing block of this kind; the main scope if there is none.
    pub fn level(&mut self, contexts: Contexts) -> &mut Scope {
        let at = self.frames.iter().rposition(|frame| frame.context & contexts != 0).unwrap_or(0);
        &mut self.frames[at].scope
    }

    /// The context of the innermost block.
    pub fn context(&self) -> Contexts {
        self.frames[self.frames.len() - 1].context
    }

    /// Whether a block of this kind encloses the directive.
    pub fn inside(&self, contexts: Contexts) -> bool {
        self.frames.iter().any(|frame| frame.context & contexts != 0)
    }

    /// Whether everything between a directive's braces is right, once it has been processed.
    /// What is missing there may otherwise be missing because of a mistake already reported.
    pub fn is_clean(&self, d: &Directive) -> bool {
        let Body::Block(block) = &d.body else { return true };
        let inside = d.at.order..=block.close.order;
        let wrong = |(order, diag): &(u32, Diag)| diag.is_error() && inside.contains(order);
        !block.broken && !self.diags.iter().any(wrong)
    }

    /// Whether a directive of this name stands on the main level, even if something is wrong
    /// with it.
    pub fn stands_in_main(&self, name: &str) -> bool {
        self.items.iter().any(|d| d.name() == name)
    }

    /// Processes the directives between the braces with `scope` as the innermost one and hands it
    /// back filled. What is wrong inside has been reported when this returns.
    pub fn block(&mut self, d: &Directive, scope: Scope) -> Scope {
        let block = d.name().to_string();
        self.frames.push(Frame { context: self.opens, block, scope });
        self.run(d.children());
        self.leave(d);
        self.entered = true;
        self.frames.pop().map(|frame| frame.scope).unwrap_or_default()
    }

    /// Calls `each` with the entries of a raw block (`types`, `map`), reporting what it returns.
    pub fn entries(
        &mut self,
        d: &Directive,
        mut each: impl FnMut(&mut Self, &Directive) -> Result<(), Diag>,
    ) {
        for entry in d.children() {
            self.enter(entry);
            let done = match entry.body {
                Body::None => each(self, entry),
                _ => Err(Diag::emerg("unexpected \"{\"")),
            };
            if let Err(diag) = done {
                self.report(diag);
            }
        }
        self.leave(d);
    }

    /// Reports a complaint and goes on.
    pub fn report(&mut self, mut diag: Diag) {
        if !diag.nowhere {
            diag.place = diag.place.or(self.at.map(|at| at.place));
        }
        if diag.place.is_some() {
            diag.span = diag.span.or(self.span);
        }
        let order = self.at.map_or(u32::MAX, |at| at.order);
        self.diags.push((order, diag));
    }

    /// Reports something that does not refuse the configuration.
    pub fn warn(&mut self, text: impl Into<String>) {
        self.report(Diag::warn(text));
    }

    /// nginx's words for a directive that has a new name.
    pub fn warn_deprecated(&mut self, old: &str, new: &str) {
        self.warn(format!(
            "the \"{old}\" directive is deprecated, use the \"{new}\" directive instead"
        ));
    }

    /// Reads all arguments as words of a bit set; a word said twice is only warned about.
    pub fn mask(&mut self, d: &Directive, words: &[(&str, u32)]) -> Result<u32, Diag> {
        let mut mask = 0;
        for (index, word) in (1..).zip(d.args()) {
            let (_, bits) = words
                .iter()
                .find(|(name, _)| word.text.eq_ignore_ascii_case(name.as_bytes()))
                .ok_or_else(|| d.bad_value(index))?;
            if mask & bits != 0 {
                self.warn(format!("duplicate value \"{}\"", word.text));
            }
            mask |= bits;
        }
        Ok(mask)
    }

    /// A path as written in a directive, relative to the prefix (`-p`).
    pub fn prefix_path(&self, name: &BStr) -> PathBuf {
        self.dirs.prefix.join(path(name))
    }

    /// A path as written in a directive, relative to the folder of the configuration file.
    pub fn conf_path(&self, name: &BStr) -> PathBuf {
        self.dirs.conf.join(path(name))
    }

    /// The name of the file a directive stands in; none on the command line.
    pub fn file_name(&self, d: &Directive) -> Option<&BStr> {
        self.sources.raw_name(d.at.place.file)
    }

    pub fn dirs(&self) -> &Dirs {
        self.dirs
    }

    /// Processes directives in the innermost block.
    fn run(&mut self, items: &[Directive]) {
        let opens = self.opens;
        for d in items {
            self.enter(d);
            self.entered = false;
            let done = self.check(d).and_then(|row| self.set(row, d));
            if let Err(diag) = done {
                self.complain(d, diag);
                if !self.entered {
                    self.look_inside(d);
                }
            }
        }
        self.opens = opens;
    }

    fn set(&mut self, row: Row, d: &Directive) -> Result<(), Diag> {
        if let Shape::Block { opens } = row.shape {
            self.opens = opens;
        }
        match &d.body {
            Body::Broken => return Ok(()),
            // lua-nginx-module has read the whole block when it complains.
            Body::Lua(lua) => self.at = Some(lua.close),
            _ => {}
        }
        (row.set)(self, d)
    }

    /// Where the reader stands in no file at all: complaints have no place.
    fn outside(&mut self) {
        self.at = None;
        self.span = None;
    }

    fn enter(&mut self, d: &Directive) {
        self.at = Some(d.at);
        self.span = d.name_span();
    }

    /// After a block nginx's reader stands at its closing brace.
    fn leave(&mut self, d: &Directive) {
        if let Body::Block(block) = &d.body {
            self.at = Some(block.close);
            self.span = d.name_span();
        }
    }
}

/// The folders relative paths start from.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// `-p`
    pub prefix: PathBuf,
    /// The folder of the main configuration file, where `include` starts.
    pub conf: PathBuf,
}

struct Frame {
    context: Contexts,
    block: String,
    scope: Scope,
}
