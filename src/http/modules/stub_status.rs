//! `stub_status`: how many connections and requests there are and were.
//!
//! ```text
//!  each worker thread counts for itself ─▶ Counts ─┐
//!  the dead are added to the past          ─────────┴▶ Totals ─▶ page, $connections_*
//! ```

use std::{
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;

use crate::conf::{
    Scope,
    row::{LOCATION, Row, SERVER, args, row},
};

use crate::http::{
    build::Content,
    method::Method,
    phase::{Flow, Handler, Step},
    request::Request,
    vars::{VarRow, var_live},
};

pub const ROWS: &[Row] = &[row("stub_status", SERVER | LOCATION, args(0, 1), |b, _| {
    b.part::<Content>().0 = Some(&StubStatus);
    Ok(())
})];

pub const VARS: &[VarRow] = &[
    var_live("connections_active", |_, _| Some(totals().active.to_string().into())),
    var_live("connections_reading", |_, _| Some(totals().reading.to_string().into())),
    var_live("connections_writing", |_, _| Some(totals().writing().to_string().into())),
    var_live("connections_waiting", |_, _| Some(totals().waiting.to_string().into())),
];

/// What one thread serves under one configuration. Only that thread writes, so counting is a load
/// and a store.
#[derive(Default)]
pub struct Counts {
    accepted: AtomicU64,
    requests: AtomicU64,
    active: AtomicU64,
    reading: AtomicU64,
    waiting: AtomicU64,
}

impl Counts {
    /// Counts that appear in the totals while they live, and as past ones afterwards.
    pub fn registered() -> Arc<Self> {
        let counts = Arc::new(Self::default());
        let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known| known.strong_count() > 0);
        all.push(Arc::downgrade(&counts));
        counts
    }

    pub fn accepted(&self) {
        add(&self.accepted, 1);
        add(&self.active, 1);
    }

    pub fn closed(&self) {
        subtract(&self.active, 1);
    }

    pub fn waits(&self) {
        add(&self.waiting, 1);
    }

    pub fn waited(&self) {
        subtract(&self.waiting, 1);
    }

    pub fn reads(&self) {
        add(&self.reading, 1);
        add(&self.requests, 1);
    }

    pub fn has_read(&self) {
        subtract(&self.reading, 1);
    }
}

impl Drop for Counts {
    fn drop(&mut self) {
        PAST_ACCEPTED.fetch_add(*self.accepted.get_mut(), Relaxed);
        PAST_REQUESTS.fetch_add(*self.requests.get_mut(), Relaxed);
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(count), Relaxed);
}

fn subtract(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed).saturating_sub(count), Relaxed);
}

/// Connections and requests of the process.
#[derive(Default)]
pub struct Totals {
    pub accepted: u64,
    pub requests: u64,
    pub active: u64,
    pub reading: u64,
    pub waiting: u64,
}

impl Totals {
    pub fn writing(&self) -> u64 {
        self.active.saturating_sub(self.reading + self.waiting)
    }
}

/// What all threads counted.
pub fn totals() -> Totals {
    let mut totals = Totals {
        accepted: PAST_ACCEPTED.load(Relaxed),
        requests: PAST_REQUESTS.load(Relaxed),
        ..Totals::default()
    };
    let all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    for counts in all.iter().filter_map(Weak::upgrade) {
        totals.accepted += counts.accepted.load(Relaxed);
        totals.requests += counts.requests.load(Relaxed);
        totals.active += counts.active.load(Relaxed);
        totals.reading += counts.reading.load(Relaxed);
        totals.waiting += counts.waiting.load(Relaxed);
    }
    totals
}

struct StubStatus;

impl Handler for StubStatus {
    fn applies(&self, _scope: &Scope) -> bool {
        false
    }

    fn run<'a>(&'a self, r: &'a Rc<Request>) -> Step<'a> {
        if !r.method.borrow().is(Method::GET | Method::HEAD) {
            return Step::Ready(Flow::Status(405));
        }
        let t = totals();
        // nginx closes what it cannot handle; here every accepted connection is handled.
        let page = format!(
            "Active connections: {} \nserver accepts handled requests\n {accepted} {accepted} {} \n\
             Reading: {} Writing: {} Waiting: {} \n",
            t.active,
            t.requests,
            t.reading,
            t.writing(),
            t.waiting,
            accepted = t.accepted,
        );
        Step::Ready(r.answer(200, Some(Bytes::from_static(b"text/plain")), page.into()))
    }
}

static ALL: Mutex<Vec<Weak<Counts>>> = Mutex::new(Vec::new());
static PAST_ACCEPTED: AtomicU64 = AtomicU64::new(0);
static PAST_REQUESTS: AtomicU64 = AtomicU64::new(0);
