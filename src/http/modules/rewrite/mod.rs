//! `set`, `if`, `return`, `rewrite`, `break`: a small program per server and location.
//!
//! ```text
//!  set $a 1;  if ($a) { return 403; }  rewrite ^/x /y last;
//!  [Set] ────▶ [If ─▶ [Return]] ─────▶ [Rewrite] ─▶ stop, look for a location again
//! ```
//! The program of a server runs before a location is looked for, that of a location in its rewrite
//! phase. Modules add their own steps (`set_by_lua`, `set_md5`), which run in the order of the
//! file.

mod condition;
pub mod conf;

use std::{rc::Rc, sync::Arc};

use bstr::BStr;
use bytes::Bytes;

use crate::server::regex;
use crate::server::vars::Subject as _;
use crate::{
    base::{
        escape,
        log::Level,
        regex::{MatchError, Regex},
    },
    conf::{Part, Scope},
};

use crate::http::{
    phase::{Flow, Handler, Phase, Registered, Step},
    request::Request,
    template::Template,
    vars::VarRef,
};

pub use self::{condition::Condition, conf::push};

/// Runs the programs; once for the server, once for the location.
pub const HANDLERS: &[Registered] = &[
    Registered { phase: Phase::ServerRewrite, handler: &Rewriter { server: true } },
    Registered { phase: Phase::Rewrite, handler: &Rewriter { server: false } },
];

/// The steps of one block, in the order of the file. Not inherited.
#[derive(Default)]
pub struct Program(pub Vec<Code>);

impl Part for Program {
    fn inherit(&mut self, _parent: &Self) {}
}

/// One step.
pub enum Code {
    Set {
        target: VarRef,
        value: Template,
    },
    If {
        condition: Condition,
        /// Index of the block among the location's `conditional` ones; server level blocks are not
        /// entered.
        enters: Option<usize>,
        then: Vec<Code>,
    },
    Return {
        status: u16,
        text: Option<Template>,
    },
    Rewrite(Box<Rewrite>),
    Break,
    Custom(Arc<dyn CustomCode>),
}

/// A step of another module.
pub trait CustomCode: Send + Sync {
    /// An error ends the request with that status.
    fn run(&self, r: &Rc<Request>) -> Result<(), u16>;
}

/// `rewrite regex replacement flag;`
pub struct Rewrite {
    regex: Regex,
    /// As written, for the log.
    pattern: Bytes,
    path: Template,
    /// What follows the first `?` of the replacement.
    args: Option<Template>,
    /// The request's arguments are appended: the replacement does not end with `?`.
    keeps_args: bool,
    after: After,
}

/// What happens when a `rewrite` has matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    GoOn,
    Last,
    Break,
    Redirect(u16),
}

/// How a list of steps ended.
enum Outcome {
    /// At its end.
    Ran,
    /// By `break`, `last` and the like: the steps behind are skipped.
    Stopped,
    Finished(Flow),
}

struct Rewriter {
    server: bool,
}

impl Handler for Rewriter {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Program>().is_some_and(|program| !program.0.is_empty())
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !self.server && r.is_in_server_root() {
            // No location was found; the server's program has run already.
            return Step::Ready(Flow::Decline);
        }
        let location = r.location();
        let program = location.scope.part::<Program>();
        Step::Ready(match run(r, &program.0, &location.conditional) {
            Outcome::Finished(flow) => flow,
            Outcome::Ran | Outcome::Stopped => Flow::Decline,
        })
    }
}

fn run(
    r: &Rc<Request>,
    codes: &[Code],
    blocks: &[Arc<crate::http::location::Location>],
) -> Outcome {
    for code in codes {
        let outcome = match code {
            Code::Set { target, value } => {
                r.set_var(*target, Some(value.eval(r)));
                Outcome::Ran
            }
            Code::If { condition, enters, then } => match condition.holds(r) {
                Err(status) => Outcome::Finished(Flow::Status(status)),
                Ok(false) => Outcome::Ran,
                Ok(true) => {
                    if let Some(block) = enters.and_then(|at| blocks.get(at)) {
                        r.enter_conditional(block.clone());
                    }
                    run(r, then, blocks)
                }
            },
            Code::Return { status, text } => Outcome::Finished(answer(r, *status, text.as_ref())),
            Code::Rewrite(rewrite) => rewrite.run(r),
            Code::Break => {
                if r.uri_changed.replace(false) {
                    r.valid_location.set(false);
                }
                Outcome::Stopped
            }
            Code::Custom(code) => match code.run(r) {
                Ok(()) => Outcome::Ran,
                Err(status) => Outcome::Finished(Flow::Status(status)),
            },
        };
        if !matches!(outcome, Outcome::Ran) {
            return outcome;
        }
    }
    Outcome::Ran
}

/// `return`: an error without a text goes the way of error pages.
fn answer(r: &Rc<Request>, status: u16, text: Option<&Template>) -> Flow {
    match text.filter(|text| status < 400 || !text.text.is_empty()) {
        Some(text) => r.answer(status, None, text.eval(r)),
        None if status < 400 => r.answer(status, None, Bytes::new()),
        None => Flow::Status(status),
    }
}

impl Rewrite {
    fn run(&self, r: &Rc<Request>) -> Outcome {
        let uri = r.uri.borrow().clone();
        match matches(r, &self.regex, &self.pattern, &uri) {
            Err(status) => return Outcome::Finished(Flow::Status(status)),
            Ok(false) => return Outcome::Ran,
            Ok(true) => {}
        }
        if let After::Redirect(status) = self.after {
            self.redirect(r);
            return Outcome::Finished(Flow::Status(status));
        }
        r.internal.set(true);
        r.valid_unparsed_uri.set(false);
        r.uri_changed.set(self.after != After::Break);
        if self.after == After::Break {
            r.valid_location.set(false);
        }
        if !self.replace(r) {
            return Outcome::Finished(Flow::Status(500));
        }
        match self.after {
            After::GoOn => Outcome::Ran,
            _ => Outcome::Stopped,
        }
    }

    fn redirect(&self, r: &Rc<Request>) {
        let quote = is_quoted(r);
        let eval = |part: &Template| if quote { part.eval_quoting_groups(r) } else { part.eval(r) };
        let mut target = eval(&self.path).to_vec();
        if let Some(args) = &self.args {
            target.push(b'?');
            target.extend_from_slice(&eval(args));
        }
        let mut target = escape::unescape_redirect(&target);
        let args = r.args.borrow();
        if self.keeps_args && !args.is_empty() {
            target.push(if self.args.is_some() { b'&' } else { b'?' });
            target.extend_from_slice(&args);
        }
        note(r, format_args!("rewritten redirect: \"{}\"", BStr::new(&target)));
        r.headers_out.borrow_mut().list.set("Location", target);
    }

    /// Changes the URI; false when nothing would be left of it.
    fn replace(&self, r: &Rc<Request>) -> bool {
        let path = self.path.eval(r);
        match &self.args {
            Some(args) => {
                let quote = is_quoted(r);
                let new = if quote { args.eval_quoting_groups(r) } else { args.eval(r) };
                let mut new = new.to_vec();
                let old = r.args.borrow().clone();
                if self.keeps_args && !old.is_empty() {
                    new.push(b'&');
                    new.extend_from_slice(&old);
                }
                *r.args.borrow_mut() = new.into();
            }
            None if !self.keeps_args => *r.args.borrow_mut() = Bytes::new(),
            None => {}
        }
        let args = r.args.borrow().clone();
        let (shown, args) = (BStr::new(&path), BStr::new(&args));
        note(r, format_args!("rewritten data: \"{shown}\", args: \"{args}\""));
        if path.is_empty() {
            r.log(Level::Error, format_args!("the rewritten URI has a zero length"));
            return false;
        }
        *r.uri.borrow_mut() = path;
        true
    }
}

/// Matches, keeps the groups, and tells the log about it when asked to.
fn matches(r: &Rc<Request>, regex: &Regex, pattern: &[u8], text: &Bytes) -> Result<bool, u16> {
    let (shown, subject) = (BStr::new(pattern), BStr::new(text));
    match regex::try_groups(regex, text) {
        Ok(Some(groups)) => {
            note(r, format_args!("\"{shown}\" matches \"{subject}\""));
            r.keep_groups(regex, groups);
            Ok(true)
        }
        Ok(None) => {
            note(r, format_args!("\"{shown}\" does not match \"{subject}\""));
            r.captures.borrow_mut().clear();
            Ok(false)
        }
        Err(MatchError(code)) => {
            r.log(
                Level::Alert,
                format_args!("pcre_exec() failed: {code} on \"{subject}\" using \"{shown}\""),
            );
            Err(500)
        }
    }
}

/// Whether groups of the URI were encoded when they came, or hold a plus.
fn is_quoted(r: &Rc<Request>) -> bool {
    let target = r.line.target();
    let path = || target.split(|byte| *byte == b'?').next().unwrap_or_default();
    r.quoted_uri.get() || path().contains(&b'+')
}

/// `rewrite_log on`
fn note(r: &Rc<Request>, text: std::fmt::Arguments<'_>) {
    if r.with_location(|location| location.core().rewrite_log()) {
        r.log(Level::Notice, text);
    }
}
