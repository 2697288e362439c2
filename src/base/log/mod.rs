//! The error log: nginx's levels, nginx's line format, nginx's sinks.
//!
//! ```text
//!   Chain::write(level, conn, text) ── one line ──▶ each Sink whose level lets it pass
//!        ▲                                            file │ stderr │ syslog │ capture
//!        │ main chain (process-wide), or the chain of an http/server/location block
//!   tracing events ── trace::Layer ──┘
//! ```
//!
//! `2026/01/02 15:04:05 [error] PID#TID: *CONN text`; a line is one `write(2)`.

mod buffered;
mod sink;
mod syslog;
mod trace;

use std::cell::RefCell;
use std::fmt;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;

use crate::base::{clock, date};

pub use self::buffered::{Buffered, Buffering, flush_all};
pub use self::sink::{Capture, LogFile, Sink, reopen};
pub use self::syslog::{Syslog, SyslogError};
pub use self::trace::install as install_tracing;

/// How serious a message is; a smaller number is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// `ngx.STDERR`: passes every filter, printed with an empty name.
    Stderr = 0,
    Emerg,
    Alert,
    Crit,
    Error,
    Warn,
    Notice,
    Info,
    Debug,
}

/// Where the messages of one configuration block go.
#[derive(Debug)]
pub struct Chain {
    /// The most talkative first.
    sinks: Vec<(Sink, Level)>,
}

impl Level {
    pub const ALL: [Self; 9] = [
        Self::Stderr,
        Self::Emerg,
        Self::Alert,
        Self::Crit,
        Self::Error,
        Self::Warn,
        Self::Notice,
        Self::Info,
        Self::Debug,
    ];

    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// The level a directive's word names; `debug_http` and its kind mean debug.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if DEBUG_NAMES.iter().any(|n| n.as_bytes() == name) {
            return Some(Self::Debug);
        }
        Self::ALL.into_iter().skip(1).find(|l| l.name().as_bytes() == name)
    }

    /// The level behind `ngx.ERR` and its kind.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|n| Self::ALL.get(n).copied())
    }
}

impl Chain {
    pub fn new(mut sinks: Vec<(Sink, Level)>) -> Self {
        sinks.sort_by_key(|&(_, level)| std::cmp::Reverse(level));
        Self { sinks }
    }

    /// The most talkative level any sink wants: `errlog.get_sys_filter_level()`.
    pub fn level(&self) -> Level {
        self.sinks.first().map_or(Level::Stderr, |&(_, level)| level)
    }

    pub fn enabled(&self, level: Level) -> bool {
        level <= self.level()
    }

    pub fn sinks(&self) -> &[(Sink, Level)] {
        &self.sinks
    }

    /// Writes one message to every sink that wants its level.
    pub fn write(&self, level: Level, conn: Option<u64>, text: fmt::Arguments<'_>) {
        if self.enabled(level) {
            self.write_line(level, conn, |line| _ = line.write_fmt(text));
        }
    }

    /// The same for a message of bytes, as Lua strings are.
    pub fn write_bytes(&self, level: Level, conn: Option<u64>, parts: &[&[u8]]) {
        if self.enabled(level) {
            self.write_line(level, conn, |line| {
                parts.iter().for_each(|part| line.extend_from_slice(part));
            });
        }
    }

    fn write_line(&self, level: Level, conn: Option<u64>, text: impl FnOnce(&mut Vec<u8>)) {
        // Taken, not borrowed: formatting the text may itself log.
        let mut line = LINE.take();
        line.clear();
        let start = write_head(&mut line, level, conn);
        text(&mut line);
        line.truncate(LINE_MAX_BYTES - 1);
        line.push(b'\n');
        for (sink, _) in self.sinks.iter().take_while(|&&(_, wanted)| level <= wanted) {
            sink.write(level, &line);
        }
        if CONSOLE.load(Ordering::Relaxed) && level <= Level::Warn && !self.has_stderr() {
            let head = format!("nginx: [{}] ", level.name()).into_bytes();
            _ = io::stderr().write_all(&[&head, &line[start..]].concat());
        }
        // Nothing is left of a thread's tap while the last destructors run.
        let tap = TAP.try_with(|tap| tap.borrow().clone()).ok().flatten();
        if let Some(tap) = tap {
            tap(level, &line[..line.len() - 1]);
        }
        LINE.set(line);
    }

    fn has_stderr(&self) -> bool {
        self.sinks.iter().any(|(sink, _)| matches!(sink, Sink::Stderr))
    }
}

/// The chain of the main level of the configuration.
pub fn main_chain() -> Arc<Chain> {
    MAIN.load_full()
}

pub fn set_main_chain(chain: Arc<Chain>) {
    MAIN.store(chain);
}

/// Whether grave messages also go to the console as `nginx: [emerg] …`. The command line turns it
/// on, a process that serves turns it off.
pub fn set_console(on: bool) {
    CONSOLE.store(on, Ordering::Relaxed);
}

/// Whether grave messages go to the console too.
pub fn console() -> bool {
    CONSOLE.load(Ordering::Relaxed)
}

/// Shows every line this thread writes to whatever log, without its end, to `tap` as well.
pub fn set_tap(tap: Rc<Tap>) {
    TAP.set(Some(tap));
}

/// Sees the lines of a thread.
pub type Tap = dyn Fn(Level, &[u8]);

/// Writes a message that belongs to no request to the main chain.
pub fn emit(level: Level, text: fmt::Arguments<'_>) {
    MAIN.load().write(level, None, text);
}

/// Writes the head of a line; returns where the text begins.
fn write_head(line: &mut Vec<u8>, level: Level, conn: Option<u64>) -> usize {
    let secs = clock::fresh_wall().secs;
    STAMP.with_borrow_mut(|(known, stamp)| {
        if *known != secs {
            *known = secs;
            *stamp = date::error_log_time(secs);
        }
        line.extend_from_slice(stamp.as_bytes());
    });
    let (pid, tid) = ids();
    _ = write!(line, " [{}] {pid}#{tid}: ", level.name());
    if let Some(number) = conn {
        _ = write!(line, "*{number} ");
    }
    line.len()
}

/// The process and the thread as the kernel numbers them.
fn ids() -> (u32, u32) {
    let pid = std::process::id();
    if let Some((known, tid)) = IDS.get()
        && known == pid
    {
        return (pid, tid);
    }
    let link = std::fs::read_link("/proc/thread-self").unwrap_or_default();
    let tid = link.file_name().and_then(|n| n.to_str()?.parse().ok()).unwrap_or(pid);
    IDS.set(Some((pid, tid)));
    (pid, tid)
}

thread_local! {
    static TAP: RefCell<Option<Rc<Tap>>> = const { RefCell::new(None) };
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static STAMP: RefCell<(i64, String)> = const { RefCell::new((-1, String::new())) };
    /// Asked again after a fork: the process number is the key.
    static IDS: std::cell::Cell<Option<(u32, u32)>> = const { std::cell::Cell::new(None) };
}

/// Until a configuration says otherwise: notices and worse, on stderr.
static MAIN: LazyLock<ArcSwap<Chain>> =
    LazyLock::new(|| ArcSwap::from_pointee(Chain::new(vec![(Sink::Stderr, Level::Notice)])));
static CONSOLE: AtomicBool = AtomicBool::new(false);

/// A whole line, time and line feed included; OpenResty raises nginx's 2048 to this.
pub const LINE_MAX_BYTES: usize = 4096;
const NAMES: [&str; 9] = ["", "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];
const DEBUG_NAMES: [&str; 7] = [
    "debug_core",
    "debug_alloc",
    "debug_mutex",
    "debug_event",
    "debug_http",
    "debug_mail",
    "debug_stream",
];

#[cfg(test)]
mod tests;
