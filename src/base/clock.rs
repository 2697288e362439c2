//! Where time comes from: the only caller of `Instant::now` and `SystemTime::now`.
//!
//! ```text
//!   kernel ── update() ──▶ thread-local cache ──▶ wall() mono_ms()   what ngx.now() and $msec see
//!      └───────────────── fresh_wall() instant() ──────────────────▶ timers, log lines, measures
//! ```
//!
//! A worker's loop calls [`update`] once a turn, as nginx does; a thread that never calls it sees
//! fresh time from every function.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall-clock time with nginx's resolution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall {
    pub secs: i64,
    pub msec: u32,
}

impl Wall {
    /// Seconds with a fraction, as `ngx.now()` returns.
    pub fn as_secs_f64(self) -> f64 {
        self.as_ms() as f64 / 1000.0
    }

    pub fn as_ms(self) -> i64 {
        self.secs * 1000 + i64::from(self.msec)
    }

    fn plus(self, ms: u64) -> Self {
        let all = self.as_ms() + ms as i64;
        Self { secs: all.div_euclid(1000), msec: all.rem_euclid(1000) as u32 }
    }
}

/// Refreshes this thread's cache; from then on [`wall`] and [`mono_ms`] stand still until the next
/// call. `ngx.update_time()` is this.
///
/// One clock is read: the wall time follows from the monotonic one, and is asked for itself when
/// the last answer is older than [`WALL_TRUST_MS`], so that a step of the system's clock is
/// followed.
pub fn update() {
    let mono_ms = fresh_mono_ms();
    let (asked_ms, asked) = WALL.get();
    let known = if asked_ms != 0 && mono_ms.saturating_sub(asked_ms) < WALL_TRUST_MS {
        asked.plus(mono_ms - asked_ms)
    } else {
        let wall = fresh_wall();
        WALL.set((mono_ms, wall));
        wall
    };
    CACHE.set(Some((known, mono_ms)));
    SHOWN.with(|shown| shown.set(known.as_secs_f64()));
    WALL_MS.set(known.as_ms().max(0) as u64);
    TICKS.set(0);
}

/// Where this thread's [`wall`] stands in seconds, for Lua to read without a call; 0 as long as the
/// thread never updates. It stands there for as long as the thread lives.
pub fn shown() -> *const f64 {
    SHOWN.with(|shown| shown.as_ptr().cast_const())
}

/// Refreshes now and then: for places that are passed many times in a turn of the loop.
pub fn tick() {
    let passed = TICKS.get().wrapping_add(1);
    TICKS.set(passed);
    if passed.is_multiple_of(TICKS_TRUST) {
        update();
    }
}

/// The wall time of this loop turn.
pub fn wall() -> Wall {
    CACHE.get().map_or_else(fresh_wall, |(wall, _)| wall)
}

/// The same in milliseconds.
#[inline]
pub fn wall_ms() -> u64 {
    match WALL_MS.get() {
        0 => wall().as_ms().max(0) as u64,
        known => known,
    }
}

/// Milliseconds on the monotonic clock at this loop turn, counted from the start of the process.
pub fn mono_ms() -> u64 {
    CACHE.get().map_or_else(fresh_mono_ms, |(_, mono)| mono)
}

/// Milliseconds since the machine came up, at this loop turn.
pub fn machine_ms() -> f64 {
    let ahead_ms = *MACHINE_AHEAD_MS.get_or_init(|| {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let up_s = uptime.split(' ').next().and_then(|text| text.parse::<f64>().ok());
        up_s.unwrap_or_default() * 1000.0 + UPTIME_STEP_MS - fresh_mono_ms() as f64
    });
    (mono_ms() as f64 + ahead_ms).floor()
}

/// The wall time now, past any cache.
#[allow(clippy::disallowed_methods)]
pub fn fresh_wall() -> Wall {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(d) => Wall { secs: d.as_secs() as i64, msec: d.subsec_millis() },
        // A clock set before 1970: nginx computes dates for positive times only.
        Err(_) => Wall::default(),
    }
}

/// Milliseconds on the monotonic clock now, past any cache.
pub fn fresh_mono_ms() -> u64 {
    instant().duration_since(origin()).as_millis() as u64
}

/// The monotonic instant now.
#[allow(clippy::disallowed_methods)]
pub fn instant() -> Instant {
    Instant::now()
}

/// The instant `ms` milliseconds (as in [`mono_ms`]) after the origin.
pub fn instant_at(ms: u64) -> Instant {
    origin() + Duration::from_millis(ms)
}

fn origin() -> Instant {
    *ORIGIN.get_or_init(instant)
}

static ORIGIN: OnceLock<Instant> = OnceLock::new();
/// How far the machine's uptime is ahead of ours.
static MACHINE_AHEAD_MS: OnceLock<f64> = OnceLock::new();
/// `/proc/uptime` leaves off what is less.
const UPTIME_STEP_MS: f64 = 9.0;

/// How long the wall time is derived before the system is asked again.
const WALL_TRUST_MS: u64 = 50;

/// How many ticks the cache is trusted for.
const TICKS_TRUST: u32 = 8;

thread_local! {
    static TICKS: Cell<u32> = const { Cell::new(0) };
    /// When the system was asked for the wall time, and its answer.
    static WALL: Cell<(u64, Wall)> = const { Cell::new((0, Wall { secs: 0, msec: 0 })) };
    static WALL_MS: Cell<u64> = const { Cell::new(0) };
    static SHOWN: Cell<f64> = const { Cell::new(0.0) };
    static CACHE: Cell<Option<(Wall, u64)>> = const { Cell::new(None) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_stands_still_until_updated() {
        update();
        let (wall_before, mono_before) = (wall(), mono_ms());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!((wall(), mono_ms()), (wall_before, mono_before));
        update();
        assert!(mono_ms() >= mono_before + 4);
    }
}
