//! `ngx.errlog`: what `lua_capture_error_log` keeps of the error log of a worker.
//!
//! ```text
//!   every log line of the thread ─▶ Tap ─ level wanted? ─▶ Ring ─▶ errlog.get_logs
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::c_int;
use std::rc::Rc;

use super::Topic;
use crate::base::clock;
use crate::base::log::{self, Level};
use crate::lua::ctx;
use crate::lua::phase::ANY;
use crate::lua::raw::{Call, Op, Raise};
use crate::lua::vm::Worker;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "errlog.set_filter_level", phases: ANY, run: set_filter_level },
    Op { name: "errlog.next", phases: ANY, run: next },
]);

/// The captured lines of a worker, if it captures any.
#[derive(Default)]
struct Captured(RefCell<Option<Rc<Tap>>>);

struct Tap {
    level: Cell<Level>,
    ring: RefCell<Ring>,
}

/// Lines in a buffer of fixed size, laid out as OpenResty does: what is forgotten when it is full
/// depends on where the lines lie.
struct Ring {
    size: usize,
    /// Where the next line goes.
    tail: usize,
    lines: VecDeque<Line>,
}

struct Line {
    at: usize,
    level: Level,
    time: f64,
    text: Vec<u8>,
}

/// Captures what this thread logs from now on, in a buffer of so many bytes.
pub fn capture(worker: &Worker, size_bytes: usize) {
    let ring = Ring { size: size_bytes, tail: 0, lines: VecDeque::new() };
    let tap = Rc::new(Tap { level: Cell::new(Level::Debug), ring: RefCell::new(ring) });
    *worker.part::<Captured>().0.borrow_mut() = Some(Rc::clone(&tap));
    log::set_tap(Rc::new(move |level, text| {
        if level <= tap.level.get() {
            tap.ring.borrow_mut().write(level, text);
        }
    }));
}

impl Ring {
    fn write(&mut self, level: Level, text: &[u8]) {
        let need = text.len() + HEADER_BYTES;
        if need > self.size {
            return;
        }
        if self.free() < need {
            if self.size - self.tail < need {
                // What lies between here and the end is given up, and the line goes to the start.
                while self.lines.front().is_some_and(|line| line.at >= self.tail) {
                    self.take();
                }
                self.tail = 0;
            }
            while self.free() < need {
                self.take();
            }
        }
        let time = clock::wall().as_secs_f64();
        self.lines.push_back(Line { at: self.tail, level, time, text: text.to_vec() });
        self.tail += need;
    }

    fn take(&mut self) -> Option<Line> {
        let line = self.lines.pop_front();
        if self.lines.is_empty() {
            self.tail = 0;
        }
        line
    }

    /// The room behind the last line.
    fn free(&self) -> usize {
        match self.lines.front() {
            None => self.size,
            Some(first) if self.tail > first.at => self.size - self.tail,
            Some(first) => first.at - self.tail,
        }
    }
}

fn tap() -> Option<Rc<Tap>> {
    ctx::worker().and_then(|worker| worker.part::<Captured>().0.borrow().clone())
}

fn set_filter_level(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(tap) = tap() else { return c.fail(NOT_SET) };
    let number = c.int(1)?;
    let Some(level) = Level::from_number(number) else {
        return c.fail(format!("bad log level: {number}"));
    };
    tap.level.set(level);
    c.ret(true)
}

/// The oldest line: level, time, text; false when there is none.
fn next(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(tap) = tap() else { return c.fail(NOT_SET) };
    let line = tap.ring.borrow_mut().take();
    match line {
        Some(line) => c.ret((line.level as i32, line.time, line.text)),
        None => c.ret(false),
    }
}

const NOT_SET: &str = "directive \"lua_capture_error_log\" is not set";

/// Time, length and level before each line.
const HEADER_BYTES: usize = 16;

/// The smallest buffer that may be configured.
pub const SIZE_MIN_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_forgets_its_oldest_lines() {
        let mut ring = Ring { size: 100, tail: 0, lines: VecDeque::new() };
        for n in 0..5u8 {
            ring.write(Level::Error, &[n; 20]);
        }
        let kept: Vec<u8> = ring.lines.iter().map(|line| line.text[0]).collect();
        assert_eq!(kept, [3, 4]);
        ring.write(Level::Error, &[9; 99]);
        assert_eq!(ring.lines.len(), 2);
        assert!(ring.take().is_some() && ring.take().is_some() && ring.take().is_none());
        assert_eq!(ring.free(), 100);
    }
}
