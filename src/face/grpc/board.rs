//! Watched services: each is looked at once a tick, however many streams watch it.
//!
//! ```text
//!  stream ─ watch(service) ─▶ Receiver ◀─ status, when it changed ─ tick every 25 ms ─▶ status::of
//! ```
//! The tick runs while somebody watches. A status has many causes (probes, scripts, reloads,
//! lists of peers); looking is cheaper than hearing of all of them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::watch;

use super::status::{self, Status};

/// The status of a service from now on; unknown services are watched too.
pub fn watch(service: &str, threshold: u8) -> watch::Receiver<Status> {
    let key = (service.to_owned(), threshold);
    let receiver = WATCHED.with_borrow_mut(|watched| match watched.get(&key) {
        Some(sender) => sender.subscribe(),
        None => {
            let (sender, receiver) = watch::channel(look(&key));
            watched.insert(key, sender);
            receiver
        }
    });
    if !TICKING.replace(true) {
        tokio::task::spawn_local(tick());
    }
    receiver
}

async fn tick() {
    let ticking = Ticking;
    loop {
        tokio::time::sleep(TICK).await;
        let idle = WATCHED.with_borrow_mut(|watched| {
            watched.retain(|_, sender| sender.receiver_count() > 0);
            for (key, sender) in watched.iter() {
                let now = look(key);
                sender.send_if_modified(|known| std::mem::replace(known, now) != now);
            }
            watched.is_empty()
        });
        if idle {
            return drop(ticking);
        }
    }
}

fn look((service, threshold): &Key) -> Status {
    status::of(service, *threshold).unwrap_or(Status::ServiceUnknown)
}

/// Clears the mark that a tick runs, however it ends.
struct Ticking;

impl Drop for Ticking {
    fn drop(&mut self) {
        // Nobody can ask when the thread's own values are gone.
        let _ = TICKING.try_with(|ticking| ticking.set(false));
    }
}

type Key = (String, u8);

thread_local! {
    static WATCHED: RefCell<HashMap<Key, watch::Sender<Status>>> = RefCell::default();
    static TICKING: Cell<bool> = const { Cell::new(false) };
}

const TICK: Duration = Duration::from_millis(25);
