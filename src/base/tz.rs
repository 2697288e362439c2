//! Local time by the system's timezone database. [unsafe: libc `localtime_r`]
//!
//! ```text
//!   seconds since 1970 ──▶ offset_secs() ──▶ base::date formats the shifted time
//! ```

#![allow(unsafe_code)]

use std::cell::Cell;
use std::mem::MaybeUninit;

/// Seconds east of UTC that local time stands at `secs`.
///
/// The answer is kept per thread for the quarter hour it was asked about: timezones change their
/// offset on quarter hours only, and a log line must not cost a look into the timezone file.
pub fn offset_secs(secs: i64) -> i32 {
    let quarter = secs.div_euclid(QUARTER_SECS);
    if let Some((known, offset)) = KNOWN.get()
        && known == quarter
    {
        return offset;
    }
    let offset = ask_libc(secs);
    KNOWN.set(Some((quarter, offset)));
    offset
}

/// Reads `TZ` again, after the environment changed.
pub fn reload() {
    // SAFETY: tzset reads the environment; callers run it while no other thread changes that.
    unsafe { tzset() };
    KNOWN.set(None);
}

fn ask_libc(secs: i64) -> i32 {
    let mut tm = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call; a zeroed `tm` is a valid one (plain integers
    // and a nullable pointer), so it may be read even when localtime_r fails and leaves it alone.
    let tm = unsafe {
        libc::localtime_r(&secs, tm.as_mut_ptr());
        tm.assume_init()
    };
    tm.tm_gmtoff as i32
}

const QUARTER_SECS: i64 = 900;

thread_local! {
    static KNOWN: Cell<Option<(i64, i32)>> = const { Cell::new(None) };
}

unsafe extern "C" {
    // Not in the libc crate for every target.
    fn tzset();
}
