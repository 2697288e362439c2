//! Accepting connections on one socket until told to stop.

use std::time::Duration;

use tokio::sync::watch;

use crate::base::log::{self, Level};
use crate::net::addr::Addr;
use crate::net::listen::{Listener, is_muted};
use crate::net::stream::Stream;

/// Hands every connection to `take` while `serves` says yes of what `shutdown` tells.
pub async fn accept<T>(
    listener: Listener,
    socket: &Addr,
    mut shutdown: watch::Receiver<T>,
    serves: fn(&T) -> bool,
    take: impl Fn(Stream, Addr),
) {
    loop {
        if !serves(&shutdown.borrow()) || is_muted(socket) {
            return;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.changed() => continue,
        };
        match accepted {
            Ok((stream, peer)) => take(stream, peer),
            Err(error) => {
                log::emit(Level::Crit, format_args!("accept4() failed ({error})"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

const PAUSE: Duration = Duration::from_millis(500);
