//! A book: the targets of one name in one dictionary, whoever holds a checker of it.
//!
//! ```text
//!   add, remove … ─▶ entries ─▶ Check ─▶ Event ─┬▶ shared dictionary
//!   report, force ────────────▶ Check ─▶ Event ─┤
//!                   engine's probes ───▶ Event ─┴▶ Told, to the first seat whose worker lives
//! ```
//!
//! Locks are taken in the order entries, check, seats; a listener of the check takes the last only.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bstr::BString;

use super::close;
use super::list::Entry;
use super::shm::Keys;
use super::words::{Ident, Tell, Told, key_text, told_of};
use crate::base::clock;
use crate::base::log::Chain;
use crate::health::dialect::resty::Settings;
use crate::health::machine::{Limits, Machine, Seen, State};
use crate::health::{
    Check, Event, Listener, Open, Report, Reported, Subscription, Targets, What, engine,
};
use crate::net::tls::ClientTls;
use crate::shdict::Dict;

/// The book.
pub struct Book {
    name: BString,
    keys: Arc<Keys>,
    page: Mutex<Page>,
    seats: Arc<Mutex<Vec<Seat>>>,
}

/// What a checker is opened with.
pub struct Opening {
    pub settings: Settings,
    pub log: Arc<Chain>,
    /// Whom probes trust, and who they say they are.
    pub tls: Option<ClientTls>,
    pub generation: u64,
    /// Takes what the engine tells; false when its worker is gone.
    pub out: Out,
}

/// The way to a worker.
pub type Out = Box<dyn Fn(Told) -> bool + Send>;

/// What came of adding a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    New,
    Known,
    /// It was waiting for its removal, and stays with its state.
    Kept,
}

/// Why a book could not be written in.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error("{0}")]
    Store(String),
    #[error("failed to start the health engine: {0}")]
    Engine(#[from] std::io::Error),
}

struct Page {
    dict: Dict,
    entries: Vec<Entry>,
    /// What the last checker asked for.
    running: Option<Running>,
}

struct Running {
    check: Check,
    _listening: Subscription,
}

struct Seat {
    id: u64,
    active: bool,
    out: Out,
}

impl Book {
    pub(super) fn new(name: BString, dict: Dict) -> Self {
        let keys = Arc::new(Keys::new(&name));
        let page = Page { dict, entries: Vec::new(), running: None };
        Self { name, keys, page: Mutex::new(page), seats: Arc::default() }
    }

    /// Goes on in the dictionary of a newer configuration.
    pub(super) fn rebind(&self, dict: &Dict) {
        self.page().dict = dict.clone();
    }

    /// A checker takes a seat. The check goes on under its numbers, with all states.
    pub fn open(&self, opening: Opening) -> Result<u64, BookError> {
        let mut page = self.page();
        let shm = BString::from(page.dict.name());
        let spec = opening.settings.spec(&self.name, &shm);
        let same = page.running.as_ref().is_some_and(|r| *r.check.spec() == spec);
        if !same || opening.tls.is_some() {
            let targets = page.entries.iter().map(|e| e.target(None)).collect();
            let check = engine()?.open(Open {
                spec,
                targets: Targets::List(targets),
                log: opening.log,
                tls: opening.tls,
                generation: opening.generation,
            });
            let listening = check.subscribe_with_probes(self.listener(&page.dict));
            page.running = Some(Running { check, _listening: listening });
        }
        drop(page);
        let mut seats = self.seats();
        let id = next_id();
        seats.push(Seat { id, active: false, out: opening.out });
        Ok(id)
    }

    /// A checker is gone. What it wrote stays, but without checkers nothing is probed.
    pub fn leave(&self, seat: u64) {
        self.seats().retain(|s| s.id != seat);
        self.follow_seats();
        close(self);
    }

    /// The worker of a checker goes down: others tell and probe from now on.
    pub fn retire(&self, seat: u64) {
        {
            let mut seats = self.seats();
            let Some(at) = seats.iter().position(|s| s.id == seat) else { return };
            let mut seat = seats.remove(at);
            seat.active = false;
            seats.push(seat);
        }
        self.follow_seats();
    }

    pub(super) fn is_idle(&self) -> bool {
        self.page().entries.is_empty() && self.seats().is_empty()
    }

    /// `start()` and `stop()` of one checker; probes are sent while any of them is started.
    pub fn set_active(&self, seat: u64, active: bool) {
        if let Some(seat) = self.seats().iter_mut().find(|s| s.id == seat) {
            seat.active = active;
        }
        self.follow_seats();
    }

    /// True for the checker that tells what the engine found out.
    pub fn leads(&self, seat: u64) -> bool {
        self.seats().first().is_some_and(|s| s.id == seat)
    }

    pub fn is_active(&self) -> bool {
        self.seats().iter().any(|s| s.active)
    }

    pub fn dict(&self) -> Dict {
        self.page().dict.clone()
    }

    pub fn add(&self, entry: Entry, up: bool) -> Result<Added, BookError> {
        let mut page = self.page();
        let known = page.entries.iter_mut().find(|e| e.ident == entry.ident);
        if let Some(known) = known {
            if known.purge_time.take().is_none() {
                return Ok(Added::Known);
            }
            self.write(&page)?;
            return Ok(Added::Kept);
        }
        let spec = entry.target(Some(up));
        page.entries.push(entry);
        if let Err(error) = self.write(&page) {
            page.entries.pop();
            return Err(error);
        }
        page.check().map(|check| check.add(&spec));
        Ok(Added::New)
    }

    /// Takes over a target from the dictionary, unless it is known.
    pub fn restore(&self, entry: Entry, state: State, packed: u32) {
        let mut page = self.page();
        if page.entries.iter().any(|e| e.ident == entry.ident) {
            return;
        }
        let spec = entry.target(Some(state.is_up()));
        page.entries.push(entry);
        let Some(check) = page.check() else { return };
        check.add(&spec);
        check.restore(|target, machine| match machine {
            Machine::Counters(counters) if target.key() == spec.key() => {
                *counters = counters.restored(Limits::unpack(packed), state);
                true
            }
            _ => false,
        });
        self.keys.write_target(&page.dict, key_text(&spec.target).as_bytes(), state, packed);
    }

    /// False when there is no such target.
    pub fn remove(&self, ident: &Ident) -> Result<bool, BookError> {
        let mut page = self.page();
        let Some(at) = page.entries.iter().position(|e| e.ident == *ident) else {
            return Ok(false);
        };
        let entry = page.entries.remove(at);
        if let Err(error) = self.write(&page) {
            page.entries.insert(at, entry);
            return Err(error);
        }
        page.check().map(|check| check.remove(&ident.key()));
        Ok(true)
    }

    pub fn clear(&self) -> Result<(), BookError> {
        let mut page = self.page();
        let entries = std::mem::take(&mut page.entries);
        if let Err(error) = self.write(&page) {
            page.entries = entries;
            return Err(error);
        }
        for entry in &entries {
            let text = key_text(&entry.target(None).target);
            self.keys.forget_target(&page.dict, text.as_bytes());
        }
        page.check().map(Check::clear);
        Ok(())
    }

    /// Removes all targets after a time, unless they are added again.
    pub fn delayed_clear(&self, delay_s: f64) -> Result<(), BookError> {
        let mut page = self.page();
        let at = now_s() + delay_s;
        page.entries.iter_mut().for_each(|e| e.purge_time = Some(at));
        self.write(&page)?;
        drop(page);
        send(&self.seats, None, Tell::Wake);
        Ok(())
    }

    /// When the next delayed removal is due, in seconds of wall time.
    pub fn purge_at(&self) -> Option<f64> {
        let page = self.page();
        page.entries.iter().filter_map(|e| e.purge_time).min_by(f64::total_cmp)
    }

    /// Removes what is due and tells which targets those were.
    pub fn purge(&self) -> Vec<Ident> {
        let mut page = self.page();
        let now = now_s();
        let is_due = |e: &mut Entry| e.purge_time.is_some_and(|at| at <= now);
        let gone: Vec<Ident> = page.entries.extract_if(.., is_due).map(|e| e.ident).collect();
        if !gone.is_empty() {
            // A full dictionary shows an old list; what is true is here.
            let _ = self.write(&page);
        }
        if let Some(check) = page.check() {
            gone.iter().for_each(|ident| _ = check.remove(&ident.key()));
        }
        gone
    }

    pub fn entries(&self) -> Vec<Entry> {
        self.page().entries.clone()
    }

    /// The state of a target and its lanes.
    pub fn state(&self, ident: &Ident) -> Option<(State, Limits)> {
        self.page().check()?.standing(&ident.key())
    }

    pub fn is_up(&self, ident: &Ident) -> Option<bool> {
        self.page().check()?.state(&ident.key()).map(State::is_up)
    }

    /// How many targets are up, or down.
    pub fn count(&self, up: bool) -> usize {
        let page = self.page();
        let Some(check) = page.check() else { return 0 };
        let state = |e: &Entry| check.state(&e.ident.key());
        page.entries.iter().filter_map(state).filter(|s| s.is_up() == up).count()
    }

    /// Counts what a script reports, against the limit it names.
    pub fn report(&self, ident: &Ident, seen: Seen, limit: u8) -> Reported {
        let limits =
            Limits { successes: limit, http_failures: limit, tcp_failures: limit, timeouts: limit };
        let report = Report { limits: Some(limits), ..Report::passive(seen) };
        let page = self.page();
        page.check().map_or(Reported::Unknown, |check| check.report(&ident.key(), &report))
    }

    /// False when there is no such target.
    pub fn force(&self, ident: &Ident, up: bool) -> bool {
        self.page().check().is_some_and(|check| check.force(&ident.key(), up))
    }

    /// The check, for a probe out of turn.
    pub fn check(&self) -> Option<Check> {
        self.page().check().cloned()
    }

    fn write(&self, page: &Page) -> Result<(), BookError> {
        self.keys.write_list(&page.dict, &page.entries).map_err(BookError::Store)
    }

    fn follow_seats(&self) {
        let page = self.page();
        let active = self.is_active();
        if let Some(check) = page.check() {
            check.set_active(active);
        }
    }

    /// Mirrors what happens, and sends on what only the engine knows.
    fn listener(&self, dict: &Dict) -> Listener {
        let (keys, dict, seats) = (self.keys.clone(), dict.clone(), self.seats.clone());
        Arc::new(move |event: &Event| {
            let Some(target) = &event.target else { return };
            let text = key_text(target);
            match (&event.what, event.after) {
                (What::Removed, _) => keys.forget_target(&dict, text.as_bytes()),
                (What::Probed(_), _) | (_, None) => {}
                (_, Some((state, packed))) => {
                    keys.write_target(&dict, text.as_bytes(), state, packed);
                }
            }
            for tell in told_of(event, target) {
                send(&seats, Some(Ident::of(target)), tell);
            }
        })
    }

    fn page(&self) -> MutexGuard<'_, Page> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seats(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Page {
    fn check(&self) -> Option<&Check> {
        self.running.as_ref().map(|r| &r.check)
    }
}

/// Sends to the first seat whose worker lives.
fn send(seats: &Mutex<Vec<Seat>>, target: Option<Ident>, what: Tell) {
    let seats = seats.lock().unwrap_or_else(PoisonError::into_inner);
    let told = |seat: &Seat| Told { seat: seat.id, target: target.clone(), what: what.clone() };
    seats.iter().any(|seat| (seat.out)(told(seat)));
}

fn now_s() -> f64 {
    clock::fresh_wall().as_ms() as f64 / 1000.0
}

fn next_id() -> u64 {
    NEXT_ID.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

static NEXT_ID: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
