//! etcd behind a store: a copy of what stands below one prefix is followed in memory, writes go
//! to etcd.
//!
//! ```text
//!  Store ─ orders ─▶ thread "etcd" ─▶ write ─ /v3/kv/txn ─────▶ etcd
//!    ▲                                  │ waits until seen       │
//!    └─ State ◀─────── follow ◀─────────┴──── /v3/watch ◀────────┘
//! ```
//! etcd is spoken to in JSON over HTTP/1, as APISIX does: its gRPC client would bring a second
//! HTTP stack and a compiler for protobuf into the build, and saves nothing at the rate at which
//! configurations change. While etcd is away readers go on with what is known.

mod client;
mod conf;
mod follow;
mod http;
mod spec;
mod wire;
mod write;

use std::rc::Rc;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::LocalSet;

use super::StoreError;
use super::state::State;
use super::writer::Order;

pub use self::conf::set;
pub use self::spec::Spec;

use self::client::Client;
use self::follow::Follower;
use self::spec::Names;
use self::write::Desk;

/// Fills `state` with what is below `root` and keeps it so; serves orders until the last handle of
/// the store is gone. Returns when the first copy is there.
pub fn start(
    spec: &Arc<Spec>,
    root: &'static str,
    state: Arc<Mutex<State>>,
    orders: UnboundedReceiver<Order>,
) -> Result<(), StoreError> {
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let unavailable = |text: String| StoreError::Unavailable(text.into());
    let names = Names::new(root, spec.prefix(root));
    let spec = spec.clone();
    let body = move || run(&spec, names, state, orders, &ready);
    thread::Builder::new()
        .name("etcd".into())
        .spawn(body)
        .map_err(|error| unavailable(error.to_string()))?;
    let started = started.recv().unwrap_or_else(|_| Err("its thread has ended".into()));
    started.map_err(unavailable)
}

fn run(
    spec: &Arc<Spec>,
    names: Names,
    state: Arc<Mutex<State>>,
    orders: UnboundedReceiver<Order>,
    ready: &SyncSender<Result<(), String>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let client = Client::new(spec).map_err(|fault| fault.to_string());
    let (runtime, client) = match (runtime, client) {
        (Ok(runtime), Ok(client)) => (runtime, Rc::new(client)),
        (Err(error), _) => return drop(ready.send(Err(error.to_string()))),
        (_, Err(text)) => return drop(ready.send(Err(text))),
    };
    let names = Rc::new(names);
    let mut follower = Follower::new(client.clone(), names.clone(), state.clone());
    let desk = Rc::new(Desk { client, names, state, seen: follower.seen() });
    LocalSet::new().block_on(&runtime, async {
        let first = follower.begin().await;
        let failed = first.is_err();
        // Who opens the store waits for this.
        let _ = ready.send(first.map_err(|fault| format!("etcd {}: {fault}", spec.shown())));
        if !failed {
            tokio::task::spawn_local(follower.run());
            serve(&desk, orders).await;
        }
    });
}

async fn serve(desk: &Rc<Desk>, mut orders: UnboundedReceiver<Order>) {
    let room = Arc::new(Semaphore::new(WRITES_AT_ONCE));
    while let Some(order) = orders.recv().await {
        // Never closed: there is a place sooner or later.
        let place = room.clone().acquire_owned().await;
        let desk = desk.clone();
        tokio::task::spawn_local(async move {
            let done = desk.commit(&order.txn).await;
            // Who does not wait any more has left the request; the write stands.
            let _ = order.reply.send(done);
            drop(place);
        });
    }
}

/// How many transactions are under way at most.
const WRITES_AT_ONCE: usize = 32;

#[cfg(test)]
mod tests;
