//! HUP: load, open sockets, start the new threads; only when all of that worked is the old
//! configuration told to finish.
//!
//! Runs on a thread of its own, because loading reads files and binding may wait.

use std::sync::Arc;
use std::thread;

use tokio::sync::mpsc::UnboundedSender;

use super::cycle::{Hooks, LoadFailed, Start};
use super::threads::Generation;
use super::worker::Event;
use crate::base::errno::Errno;
use crate::base::log::{Level, emit};
use crate::net::listen::{BindPlan, Bound, Note, bind_all};

/// What a reload starts from.
pub(super) struct Order {
    pub(super) start: Start,
    pub(super) hooks: Hooks,
    pub(super) generation: u64,
    /// Sockets that are open: those of the configuration that serves, or the ones the master sent.
    pub(super) have: Vec<Bound>,
}

/// Carries out the order on a thread of its own and reports with `Event::Loaded`.
pub(super) fn spawn(order: Order, events: UnboundedSender<Event>) {
    let reply = events.clone();
    let spawned = thread::Builder::new().name("reload".into()).spawn(move || {
        let loaded = load(order, &events);
        let _ = events.send(Event::Loaded(loaded));
    });
    if let Err(e) = spawned {
        emit(Level::Alert, format_args!("thread could not be started {}", Errno(&e)));
        let _ = reply.send(Event::Loaded(Err(LoadFailed)));
    }
}

fn load(order: Order, events: &UnboundedSender<Event>) -> Result<Generation, LoadFailed> {
    let Order { start, hooks, generation, have } = order;
    let cycle = Arc::new((hooks.load)(&start, generation)?);
    let plan = BindPlan { have: &have, workers: cycle.workers(), testing: false };
    let bound = bind_all(&cycle.listens, &plan, &mut log_note).map_err(|_| LoadFailed)?;
    Generation::start(cycle, bound, hooks, 0, events).map_err(|text| {
        emit(Level::Emerg, format_args!("{text}"));
        LoadFailed
    })
}

/// Writes what happens while binding into the log.
pub(super) fn log_note(note: Note) {
    match note {
        Note::Emerg(text) => emit(Level::Emerg, format_args!("{text}")),
        Note::Notice(text) => emit(Level::Notice, format_args!("{text}")),
    }
}
