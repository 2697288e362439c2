//! What this worker thread is told about its end, and the streams that have to hear of it.
//!
//! ```text
//!  bind(shutdown)      the thread begins to serve
//!  ending()            it stops: every service is NOT_SERVING from now on
//!  left().await        the streams have sent that, or had their time
//! ```

use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::sync::watch;

use crate::process::Stop;

/// Gives the streams of this thread the word about its end.
pub fn bind(shutdown: watch::Receiver<Stop>) {
    SHUTDOWN.set(Some(shutdown));
}

/// The process ends. A thread whose configuration was replaced has not to say so: its streams go
/// on, and tell of the services of the new one.
pub fn ending() -> bool {
    let stop = |shutdown: &watch::Receiver<Stop>| *shutdown.borrow() >= Stop::Graceful;
    SHUTDOWN.with_borrow(|shutdown| shutdown.as_ref().is_some_and(stop))
}

/// Waits until the process ends.
pub async fn ended() {
    let Some(mut shutdown) = SHUTDOWN.with_borrow(Clone::clone) else {
        return std::future::pending().await;
    };
    // An error means that the control thread is gone, which is an end too.
    let _ = shutdown.wait_for(|stop| *stop >= Stop::Graceful).await;
}

/// Waits until no stream is open, for as long as a client takes to read one message.
pub async fn left() {
    for _ in 0..LEAVE_STEPS {
        if STREAMS.get() == 0 {
            return;
        }
        tokio::time::sleep(LEAVE_STEP).await;
    }
}

/// Counts an open stream.
pub struct Open(());

impl Open {
    pub fn new() -> Self {
        STREAMS.set(STREAMS.get() + 1);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        STREAMS.set(STREAMS.get().saturating_sub(1));
    }
}

thread_local! {
    static SHUTDOWN: RefCell<Option<watch::Receiver<Stop>>> = const { RefCell::new(None) };
    static STREAMS: Cell<usize> = const { Cell::new(0) };
}

const LEAVE_STEP: Duration = Duration::from_millis(10);
const LEAVE_STEPS: u32 = 30;
