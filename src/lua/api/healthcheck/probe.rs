//! `healthcheck.probe`: one probe now, for scripts that ask for it themselves.

use std::ffi::c_int;

use super::{book, ident};
use crate::health::machine::Seen;
use crate::health::resty::{Entry, Tell, complaint};
use crate::health::{Kind, Outcome};
use crate::lua::raw::{Call, Raise, Reply, Val};

/// `probe(id, ip, port, hostname, hostheader)`: what was found (`status`, `success`, `timeout`,
/// `tcp`), the status, and what is to be said about it.
pub fn probe(c: &Call<'_>) -> Result<c_int, Raise> {
    let (Some(ident), Some(check)) = (ident(c), book(c)?.check()) else { return c.ret(()) };
    let hostheader = c.opt_bytes(5)?.map(Into::into);
    let target = Entry { ident, hostheader, meta: None, purge_time: None }.target(None).target;
    c.ask(async move {
        let outcome = check.probe(&target).await;
        let text = match complaint(&outcome, &target) {
            Some(Tell::Failed(text)) => Val::from(text),
            _ => Val::Nil,
        };
        found(&outcome).and(text)
    })
}

fn found(outcome: &Outcome) -> Reply {
    if let Some(status) = outcome.status {
        return Reply::one("status").and(status);
    }
    let word = match (outcome.kind, outcome.seen()) {
        (Kind::BadLine, _) => return Reply::one("status").and(0),
        (_, Some(Seen::Success)) => Val::Text("success"),
        (_, Some(Seen::Timeout)) => Val::Text("timeout"),
        (_, Some(_)) => Val::Text("tcp"),
        (_, None) => Val::Nil,
    };
    Reply::one(word).and(Val::Nil)
}
