//! The transcript of a probe, for somebody who watches; nobody does while checks run.

use std::cell::RefCell;
use std::time::Instant;

use bstr::ByteSlice;

use crate::base::clock;

/// Begins a transcript on this thread.
pub fn begin() {
    TRACE.set(Some(Trace { begun_at: clock::instant(), lines: Vec::new() }));
}

/// Ends it and gives its lines, each with its time.
pub fn end() -> Vec<String> {
    TRACE.take().map(|t| t.lines).unwrap_or_default()
}

/// A step was taken.
pub(super) fn step(text: impl FnOnce() -> String) {
    TRACE.with_borrow_mut(|trace| {
        if let Some(trace) = trace {
            let ms = (clock::instant() - trace.begun_at).as_secs_f64() * 1000.0;
            trace.lines.push(format!("{ms:8.2} ms  {}", text()));
        }
    });
}

/// Bytes went over the wire, as people can read them.
pub(super) fn bytes(way: &str, bytes: &[u8]) {
    step(|| {
        let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
        let more = if bytes.len() > SHOWN_BYTES { " …" } else { "" };
        format!("{way} {} bytes: {:?}{more}", bytes.len(), shown.as_bstr())
    });
}

struct Trace {
    begun_at: Instant,
    lines: Vec<String>,
}

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
}

const SHOWN_BYTES: usize = 512;
