//! Waiting for what becomes true by itself.

use std::time::{Duration, Instant};

/// Tries until it is so, or has had time enough; the last complaint is the failure.
pub fn until<T>(
    limit: Duration,
    mut check: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let end = Instant::now() + limit;
    loop {
        match check() {
            Err(_) if Instant::now() < end => std::thread::sleep(PAUSE),
            checked => return checked,
        }
    }
}

/// For what comes by itself on any machine, however busy it is: only a hang takes this long.
pub const HANG: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);
