//! `health_override`: what an operator wants a peer to be, whatever its checks say.
//!
//! ```text
//!  location /override { allow 127.0.0.1; deny all; health_override; }
//!      GET                                       everything that is set, as JSON
//!      PUT ?upstream=U&peer=P&state=drain        up, down or drain, until it is lifted
//!          &author=A&reason=R&for=30m            who, why, for how long
//!      DELETE ?upstream=U&peer=P                 the checks have their say again
//! ```
//!
//! It holds for every check of the upstream that runs on the engine, over reloads too. The checks
//! go on: the states they find count from the moment it ends.

use std::rc::Rc;

use bstr::{BString, ByteSlice};
use serde_json::{Value, json};

use super::{audit, json};
use crate::base::{clock, escape, units};
use crate::conf::row::{LOCATION, Row, args, row};
use crate::conf::{Builder, Diag, Directive, Scope};
use crate::health::{Engine, Forced, Override, report};
use crate::http::build::Content;
use crate::http::method::Method;
use crate::http::{Flow, Handler, Request, Step};

pub const ROWS: &[Row] = &[row("health_override", LOCATION, args(0, 0), set)];

fn set(b: &mut Builder<'_>, _: &Directive) -> Result<(), Diag> {
    b.part::<Content>().0 = Some(&Desk);
    Ok(())
}

struct Desk;

impl Handler for Desk {
    fn applies(&self, _: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        let method = r.method.borrow().clone();
        let answered = if method.is(Method::GET | Method::HEAD) {
            Ok(list())
        } else if method.is(Method::PUT) {
            Asked::of(r).and_then(Asked::carry_out)
        } else if method.is(Method::DELETE) {
            Asked::of(r).and_then(Asked::lift)
        } else {
            return Step::Ready(Flow::Status(405));
        };
        let (status, value) = match answered {
            Ok(value) => (200, value),
            Err(Refused { status, text }) => (status, json!({ "error": text })),
        };
        if !method.is(Method::GET | Method::HEAD) {
            audit::note(r, "health override", status);
        }
        Step::Ready(json::answer(r, status, &value))
    }
}

/// The arguments of a request.
#[derive(Default)]
struct Asked {
    upstream: BString,
    peer: BString,
    state: BString,
    author: BString,
    reason: BString,
    span: BString,
}

/// Why nothing was changed.
struct Refused {
    status: u16,
    text: String,
}

impl Asked {
    fn of(r: &Rc<Request>) -> Result<Self, Refused> {
        let mut asked = Self::default();
        let (args, _) = escape::decode_args(&r.args.borrow(), ARGS_MAX);
        for (name, value) in args {
            let slot = match name.as_bytes() {
                b"upstream" => &mut asked.upstream,
                b"peer" => &mut asked.peer,
                b"state" => &mut asked.state,
                b"author" => &mut asked.author,
                b"reason" => &mut asked.reason,
                b"for" => &mut asked.span,
                _ => {
                    return Err(Refused::wrong(format!("unknown argument \"{}\"", name.as_bstr())));
                }
            };
            *slot = value.unwrap_or_default().into();
        }
        for (name, value) in [("upstream", &asked.upstream), ("peer", &asked.peer)] {
            if value.is_empty() {
                return Err(Refused::wrong(format!("no argument \"{name}\"")));
            }
        }
        Ok(asked)
    }

    fn carry_out(self) -> Result<Value, Refused> {
        let Some(state) = Forced::named(&self.state) else {
            let text = format!("state is up, down or drain, not \"{}\"", self.state);
            return Err(Refused::wrong(text));
        };
        let expires_at_ms = match &self.span[..] {
            b"" => None,
            span => match units::parse_msec(span) {
                Some(ms) if ms > 0 => Some(clock::mono_ms().saturating_add(ms)),
                _ => return Err(Refused::wrong(format!("invalid time \"{}\"", self.span))),
            },
        };
        let (author, reason) = (self.author.clone(), self.reason.clone());
        self.tell(Some(Override { state, author, reason, expires_at_ms }))
    }

    fn lift(self) -> Result<Value, Refused> {
        self.tell(None)
    }

    fn tell(&self, over: Option<Override>) -> Result<Value, Refused> {
        let engine = Engine::running();
        let told = engine.map_or(0, |engine| {
            engine.set_override(self.upstream.as_bstr(), self.peer.as_bstr(), over)
        });
        match told {
            0 => Err(Refused {
                status: 404,
                text: format!(
                    "no check of upstream \"{}\" has a peer \"{}\"",
                    self.upstream, self.peer
                ),
            }),
            checks => Ok(json!({ "checks": checks })),
        }
    }
}

impl Refused {
    fn wrong(text: String) -> Self {
        Self { status: 400, text }
    }
}

/// Everything that is set.
fn list() -> Value {
    let mut rows = Vec::new();
    let reports = Engine::running().map(|engine| report::model(&engine)).unwrap_or_default();
    for check in &reports {
        for peer in &check.peers {
            let Some(forced) = &peer.forced else { continue };
            let left_ms = forced.expires_at_ms.map(|at| at.saturating_sub(clock::mono_ms()));
            rows.push(json!({
                "upstream": check.upstream,
                "peer": peer.name,
                "state": forced.state,
                "author": forced.author,
                "reason": forced.reason,
                "left_ms": left_ms,
            }));
        }
    }
    rows.dedup();
    rows.into()
}

const ARGS_MAX: usize = 20;
