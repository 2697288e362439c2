//! The thread behind the tables: follows the store, looks names up.
//!
//! ```text
//!  watch ─ event ─▶ refresh        names ─ due ─▶ lookup (may block) ─ changed ─▶ readdress
//! ```

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::super::catalog::ROOT;
use super::Live;
use crate::net::lookup;
use crate::store::Watch;

/// Starts the thread. It ends when nobody but it knows the state any more.
pub fn spawn(live: &Arc<Live>) -> io::Result<()> {
    let (_, watch) = live.store.watch(ROOT);
    let live = Arc::downgrade(live);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("kong".into()).spawn(move || {
        runtime.block_on(follow(live, watch));
    })?;
    Ok(())
}

async fn follow(weak: Weak<Live>, mut watch: Watch) {
    // Others may have written between the first look and the watch.
    if let Some(live) = weak.upgrade() {
        live.refresh();
    }
    while let Some(live) = weak.upgrade() {
        let (due, next_ms) = live.names.due();
        if !due.is_empty() {
            look_up(&live, due).await;
            continue;
        }
        // The pause is short: a state nobody needs any more must not linger.
        let pause = Duration::from_millis(next_ms.clamp(1, IDLE_MS));
        tokio::select! {
            event = watch.next() => match event {
                Some(_) => live.refresh(),
                None => return,
            },
            () = live.names.asked.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
        drop(live);
    }
}

async fn look_up(live: &Arc<Live>, names: Vec<String>) {
    let mut changed = false;
    for name in names {
        let asked = name.clone();
        let answer = tokio::task::spawn_blocking(move || find(&asked)).await;
        let answer = answer.unwrap_or_else(|error| Err(error.to_string()));
        changed |= live.names.learn(&name, answer);
    }
    if changed {
        live.readdress();
    }
}

fn find(name: &str) -> Result<Vec<IpAddr>, String> {
    match lookup::host(name) {
        Ok(mut found) if !found.is_empty() => {
            // Resolvers shuffle their answers: that is no change.
            found.sort();
            Ok(found)
        }
        Ok(_) => Err("dns server error: 3 name error".into()),
        Err(error) => Err(format!("dns server error: {error}")),
    }
}

const IDLE_MS: u64 = 1000;
