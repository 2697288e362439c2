//! Holds a directive against its row: known? here? ended right? enough arguments? And the hints.
//!
//! ```text
//!  proxy_pas http://u;      unknown    ─▶ did you mean "proxy_pass"?
//!  server { http { … } }    misplaced  ─▶ what to write instead; the inside is looked at too
//!  listen 80⏎ server_name   swallowed  ─▶ is a ";" missing?
//! ```

use bstr::ByteSlice;

use super::{Builder, Frame, elsewhere};
use crate::conf::diag::{Diag, Severity};
use crate::conf::row::{self, HTTP, MAIN, Row, Shape};
use crate::conf::scope::Scope;
use crate::conf::tree::{Body, Directive};

impl Builder<'_> {
    /// Finds the row of a directive, or says why it cannot stand here like this.
    pub(super) fn check(&self, d: &Directive) -> Result<Row, Diag> {
        let name = d.name();
        let Some(row) = self.table.row_in(name, self.context()) else {
            let rows = self.table.rows(name);
            return Err(if rows.is_empty() { self.unknown(d) } else { self.misplaced(d, rows) });
        };
        match (row.shape, &d.body) {
            (Shape::Simple, Body::Block(_)) => Err(not_terminated(d)),
            (Shape::Simple, Body::Lua(_) | Body::Broken) => {
                Err(not_terminated(d).hint(format!("Lua between braces is \"{name}_block\"")))
            }
            (Shape::Block { .. } | Shape::Raw | Shape::Lua, Body::None) => {
                Err(Diag::emerg(format!("directive \"{name}\" has no opening \"{{\"")))
            }
            _ if !(row.arity.least..=row.arity.most).contains(&d.arg_count()) => Err(d.bad_arity()),
            _ => Ok(row),
        }
    }

    /// Checks the inside of a block that could not be entered, as far as rows alone tell.
    pub(super) fn look_inside(&mut self, d: &Directive) {
        let name = d.name();
        let here = self.table.row_in(name, self.context());
        let rows = here.iter().chain(self.table.rows(name));
        let opens = rows.map(|row| row.shape.opens()).find(|opens| *opens != 0);
        if let Some(opens) = opens {
            // What would be right without the misplaced block is not told to be wrong in it.
            let context = if here.is_some() { opens } else { opens | (self.context() & !MAIN) };
            let block = name.to_string();
            self.frames.push(Frame { context, block, scope: Scope::new() });
            for child in d.children() {
                self.enter(child);
                if let Err(diag) = self.check(child) {
                    self.complain(child, diag);
                }
                self.look_inside(child);
            }
            self.frames.pop();
        }
    }

    pub(super) fn complain(&mut self, d: &Directive, diag: Diag) {
        let diag = self.with_semicolon_hint(diag, d);
        self.report(diag);
    }

    fn unknown(&self, d: &Directive) -> Diag {
        let name = d.name();
        let diag = Diag::emerg(format!("unknown directive \"{name}\""));
        if let Some(advice) = elsewhere::advice(name) {
            return diag.hint(advice);
        }
        match self.table.closest(name, self.context()) {
            Some(close) => diag.hint(format!("did you mean \"{close}\"?")),
            None => diag,
        }
    }

    fn misplaced(&self, d: &Directive, rows: &[Row]) -> Diag {
        let name = d.name();
        let diag = Diag::emerg(format!("\"{name}\" directive is not allowed here"));
        let contexts = rows.iter().fold(0, |all, row| all | row.contexts);
        let here = &self.frames[self.frames.len() - 1].block;
        let is_block = matches!(d.body, Body::Block(_));
        diag.hint(if is_block && contexts == MAIN {
            let opens = rows.iter().fold(0, |all, row| all | row.shape.opens());
            let inner = d.children().iter().find(|child| {
                let may_stand = |context| self.table.row_in(child.name(), context).is_some();
                may_stand(self.context()) && !may_stand(opens)
            });
            let stays = inner.map_or(String::new(), |child| {
                format!("; \"{}\" of line {} stays in \"{here}\"", child.name(), child.line())
            });
            format!(
                "\"{name}\" is an outermost block: write {name} {{ … {here} {{ … }} … }}, and move \
                 what stands in this \"{name}\" into that one, before \"{here}\"{stays}"
            )
        } else if self.context() == MAIN && contexts & HTTP != 0 {
            format!("put it into the http block: http {{ … {name} … }}")
        } else {
            let places = row::context_names(contexts).join(", ");
            format!("\"{name}\" may stand in: {places}; this is {here}")
        })
    }

    /// A name of a directive at the start of a line among the arguments tells of a missing `;`.
    fn with_semicolon_hint(&self, diag: Diag, d: &Directive) -> Diag {
        let swallowed = d.words.windows(2).find(|pair| {
            pair[1].span.line > pair[0].span.line
                && !pair[1].quoted
                && !self.table.rows(pair[1].text.as_bstr()).is_empty()
        });
        match swallowed {
            Some([last, next]) if diag.severity == Severity::Emerg => diag.hint(format!(
                "is a \";\" missing after \"{}\" on line {}? \"{}\" is read as its argument",
                last.text, last.span.line, next.text
            )),
            _ => diag,
        }
    }
}

fn not_terminated(d: &Directive) -> Diag {
    Diag::emerg(format!("directive \"{}\" is not terminated by \";\"", d.name()))
}
