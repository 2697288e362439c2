//! `limit_rate`, `limit_rate_after`: how fast a response goes out.
//!
//! ```text
//!  head of the response ─▶ rate? ─▶ Pace on the connection ─▶ the pump asks it before each write
//! ```

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Sleep;

use crate::{
    base::{clock, units},
    conf::{
        Builder, Diag, Directive, Part, Scope, inherit,
        row::{HTTP_LEVELS, IF_LOCATION, Row, row, take},
    },
};

use super::{
    output::{Filter, OutputError},
    request::Request,
    template::Template,
    vars::{VarRow, var_live},
};

pub static FILTER: LimitRate = LimitRate;

pub const ROWS: &[Row] = &[
    row("limit_rate", HTTP_LEVELS | IF_LOCATION, take(1), |b, d| {
        let rate = size(b, d)?;
        d.once(&mut b.part::<Rates>().rate, |_| Ok(rate))
    }),
    row("limit_rate_after", HTTP_LEVELS | IF_LOCATION, take(1), |b, d| {
        let after = size(b, d)?;
        d.once(&mut b.part::<Rates>().after, |_| Ok(after))
    }),
];

pub const VARS: &[VarRow] = &[var_live("limit_rate", |r, _| {
    // The configured one is not known before the response begins.
    let rate = r.main().kept::<Own>().0.get().unwrap_or(0);
    Some(rate.to_string().into())
})
.changeable(|r, value| {
    if let Some(rate) = units::parse_size(&value) {
        set(r, rate as u64);
    }
})];

/// Settings of one block.
#[derive(Default)]
struct Rates {
    rate: Option<Template>,
    after: Option<Template>,
}

impl Part for Rates {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: rate, after);
    }
}

fn size(b: &mut Builder<'_>, d: &Directive) -> Result<Template, Diag> {
    let text = Template::compile(b, d.arg(1))?;
    if text.is_constant() {
        d.size(1)?;
    }
    Ok(text)
}

/// A rate somebody chose for this request: `set $limit_rate`, `X-Accel-Limit-Rate`.
#[derive(Default)]
struct Own(Cell<Option<u64>>);

/// Gives a request a rate of its own, in bytes a second.
pub fn set(r: &Rc<Request>, rate: u64) {
    r.main().kept::<Own>().0.set(Some(rate));
    start(r, rate);
}

fn configured(r: &Rc<Request>) -> u64 {
    let location = r.location();
    let rate = location.scope.part::<Rates>().rate.as_ref().map(|rate| rate.eval(r));
    rate.and_then(|text: Bytes| units::parse_size(&text)).unwrap_or(0) as u64
}

/// Puts the pace on the connection.
pub struct LimitRate;

impl Filter for LimitRate {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<Rates>().is_some_and(|rates| rates.rate.is_some())
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        if !r.is_subrequest() && r.kept::<Own>().0.get().is_none() {
            set(r, configured(r));
        }
        Ok(())
    }
}

/// Begins to count.
fn start(r: &Rc<Request>, rate: u64) {
    if rate == 0 {
        r.conn.pace.take();
        return;
    }
    let location = r.location();
    let after = location.scope.part::<Rates>().after.as_ref().map(|after| after.eval(r));
    let after = after.and_then(|text| units::parse_size(&text)).unwrap_or(0) as u64;
    let pace = Pace { rate, after, sent: 0, started_s: r.started.secs, sleep: None };
    *r.conn.pace.borrow_mut() = Some(Box::new(pace));
}

/// How much of a response may have been sent by now.
pub struct Pace {
    rate: u64,
    after: u64,
    sent: u64,
    started_s: i64,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Pace {
    /// How many bytes may be written now; waits when there are none.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<usize> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                std::task::ready!(sleep.as_mut().poll(cx));
                self.sleep = None;
                clock::update();
            }
            // nginx counts whole seconds, the one that has begun included.
            let seconds = (clock::wall().secs - self.started_s + 1).max(1) as u64;
            let allowed = self.rate.saturating_mul(seconds).saturating_add(self.after);
            if allowed > self.sent {
                return Poll::Ready(usize::try_from(allowed - self.sent).unwrap_or(usize::MAX));
            }
            let delay_ms = (self.sent - allowed) * 1000 / self.rate + 1;
            let delay = Duration::from_millis(delay_ms.max(MOST_OFTEN_MS));
            self.sleep = Some(Box::pin(tokio::time::sleep(delay)));
        }
    }

    pub fn spend(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }

    pub fn waits(&self) -> bool {
        self.sleep.is_some()
    }
}

const MOST_OFTEN_MS: u64 = 20;
