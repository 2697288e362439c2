//! Waiting for what becomes true by itself.

use std::time::{Duration, Instant};

/// Tries until it is so, or has had time enough; the last complaint is the failure.
pub fn until<T, E>(limit: Duration, mut check: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let end = Instant::now() + limit;
    loop {
        match check() {
            Err(_) if Instant::now() < end => std::thread::sleep(PAUSE),
            checked => return checked,
        }
    }
}

/// Waits until it is so five times in a row: what is asked next comes from the same side.
pub fn steadily(mut check: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let mut seen = 0;
    until(HANG, || {
        if let Err(complaint) = check() {
            seen = 0;
            return Err(complaint);
        }
        seen += 1;
        if seen == 5 { Ok(()) } else { Err(format!("only {seen} times in a row")) }
    })
}

/// For what comes by itself on any machine, however busy it is: only a hang takes this long.
pub const HANG: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);
