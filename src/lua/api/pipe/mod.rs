//! `ngx.pipe`: child processes with pipes on their three standard streams.
//!
//! ```text
//!   spawn ─▶ Child ┬ stdin  ◀─ write
//!                  ├ stdout ─▶ read_all / bytes / line / any
//!                  ├ stderr ─▶ the same, or merged into stdout
//!                  └ exit   ─▶ wait
//! ```
//!
//! A child lives as long as its handle in Lua and the request that made it; one that still runs
//! then is killed.

mod child;
mod stream;

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use self::child::{Child, Exit, Order};
use self::stream::{Output, Want};
use super::Topic;
use crate::base::log::{Level, emit};
use crate::base::slot::{Id, Slots};
use crate::lua::phase::{ANY, WITH_CTX, YIELDABLE};
use crate::lua::raw::{Call, Kind, Op, Raise, Reply};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "pipe.spawn", phases: WITH_CTX, run: spawn },
    Op { name: "pipe.free", phases: ANY, run: free },
    Op { name: "pipe.read", phases: YIELDABLE, run: read },
    Op { name: "pipe.write", phases: YIELDABLE, run: write },
    Op { name: "pipe.shutdown", phases: ANY, run: shutdown },
    Op { name: "pipe.wait", phases: YIELDABLE, run: wait },
    Op { name: "pipe.kill", phases: ANY, run: kill },
]);

/// The children of a request: they end with it.
#[derive(Default)]
struct Children(RefCell<Vec<Rc<Child>>>);

impl Drop for Children {
    fn drop(&mut self) {
        self.0.borrow().iter().for_each(|child| child.abandon());
    }
}

/// Marks a stream or an exit as waited for, until the waiting ends in whatever way.
struct Busy(Rc<Child>, fn(&Child) -> &Cell<bool>);

impl Busy {
    /// Nothing if somebody else waits already.
    fn take(child: &Rc<Child>, flag: fn(&Child) -> &Cell<bool>) -> Option<Self> {
        (!flag(child).replace(true)).then(|| Self(Rc::clone(child), flag))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        (self.1)(&self.0).set(false);
    }
}

/// `(argv, merge_stderr, buffer_size, environ or nil)`: a handle and the process number.
fn spawn(c: &Call<'_>) -> Result<c_int, Raise> {
    let list = |index: c_int| {
        let item = |n| c.with_item(index, n, |v, at| v.to_bytes(at).map(<[u8]>::to_vec));
        (1..).map_while(item).collect::<Vec<_>>()
    };
    let order = Order {
        argv: list(1),
        merge_stderr: c.truthy(2),
        buffer_size: c.int(3)?.clamp(1, BUFFER_MAX_BYTES) as usize,
        environ: (c.kind(4) == Kind::Table).then(|| list(4)),
    };
    match Child::spawn(&order) {
        Ok(child) => {
            let pid = child.pid;
            let (merged, size) = (u8::from(order.merge_stderr), order.buffer_size);
            child.trace("spawn", format_args!(" merge_stderr:{merged} buffer_size:{size}"));
            if let Some(r) = &c.ctx()?.request {
                r.main().ext::<Children>().0.borrow_mut().push(Rc::clone(&child));
            }
            let id = CHILDREN.with_borrow_mut(|all| all.insert(child));
            c.ret((id.to_bits(), pid))
        }
        Err(e) => c.fail(e.to_string()),
    }
}

fn free(c: &Call<'_>) -> Result<c_int, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    // The VM may be closed by the last destructors of its thread, after those of thread locals.
    let child = CHILDREN.try_with(|all| all.borrow_mut().remove(id)).ok().flatten();
    if let Some(child) = child {
        child.abandon();
    }
    Ok(0)
}

/// The child of the handle, unless its pipes are gone.
fn find(c: &Call<'_>) -> Result<Option<Rc<Child>>, Raise> {
    let id = Id::from_bits(c.int(1)? as u64);
    let child = CHILDREN.with_borrow(|all| all.get(id).cloned());
    Ok(child.filter(|child| !child.closed.get()))
}

/// `(handle, from stderr, kind, length, timeout)`.
fn read(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(child) = find(c)? else { return c.fail("closed") };
    let from_stderr = c.truthy(2);
    if from_stderr && child.stderr.is_none() {
        return c.fail("merged to stdout");
    }
    let pick: fn(&Child) -> &Output = if from_stderr { Child::stderr } else { Child::stdout };
    if pick(&child).is_closed() {
        return c.fail("closed");
    }
    let flag: fn(&Child) -> &Cell<bool> =
        if from_stderr { |c| &c.stderr().busy } else { |c| &c.stdout().busy };
    let Some(busy) = Busy::take(&child, flag) else { return c.fail("pipe busy reading") };
    let length = c.int(4)?.max(0) as usize;
    let want = match c.int(3)? {
        0 => Want::All,
        1 => Want::Bytes(length),
        2 => Want::Line,
        _ => Want::Any(length),
    };
    let timeout_ms = c.int(5)?;
    busy.0.trace("read", format_args!(""));
    c.ask(async move {
        let child = &busy.0;
        let output = pick(child);
        let result = within(timeout_ms, "read", output.read(want, child.buffer_size)).await;
        match result.unwrap_or_else(|| Err("timeout".to_owned())) {
            Ok(data) => Reply::one(data),
            Err(reason) => {
                let reason = child.reason(reason);
                Reply::fail(reason).and(output.take_partial(want))
            }
        }
    })
}

/// `(handle, data, timeout)`.
fn write(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(child) = find(c)? else { return c.fail("closed") };
    if child.stdin.is_closed() {
        return c.fail("closed");
    }
    let Some(busy) = Busy::take(&child, |c| &c.stdin.busy) else {
        return c.fail("pipe busy writing");
    };
    let (data, timeout_ms) = (c.bytes(2)?.to_vec(), c.int(3)?);
    busy.0.trace("write", format_args!(""));
    c.ask(async move {
        let child = &busy.0;
        let result = within(timeout_ms, "writ", child.stdin.write(&data)).await;
        match result.unwrap_or_else(|| Err("timeout".to_owned())) {
            Ok(()) => Reply::one(data.len()),
            Err(reason) => Reply::fail(child.reason(reason)),
        }
    })
}

/// `(handle, direction)`.
fn shutdown(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(child) = find(c)? else { return c.fail("closed") };
    match (c.bytes(2)?, &child.stderr) {
        (b"stdin", _) => child.stdin.close(),
        (b"stdout", _) => child.stdout.close(),
        (_, Some(stderr)) => stderr.close(),
        (_, None) => return c.fail("merged to stdout"),
    }
    c.ret(true)
}

/// `(handle, timeout)`: success, `exit` or `signal`, and the number.
fn wait(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(child) = find(c)? else { return c.fail("exited") };
    let Some(busy) = Busy::take(&child, |c| &c.waited) else { return c.fail("pipe busy waiting") };
    let timeout_ms = c.int(2)?;
    busy.0.trace("wait", format_args!(""));
    c.ask(async move {
        let child = &busy.0;
        let Some(exit) = within(timeout_ms, "wait", child.exited()).await else {
            return Reply::fail("timeout");
        };
        child.close();
        let Exit { reason, number } = exit;
        Reply::one(number == 0).and(reason).and(number)
    })
}

/// `(handle, signal)`.
fn kill(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(child) = find(c)? else { return c.fail("exited") };
    match child.kill(c.int(2)? as i32) {
        Ok(()) => c.ret(true),
        Err(reason) => c.fail(reason),
    }
}

/// Waits no longer than `timeout_ms`; 0 means for ever. `doing` is the word without its ending.
async fn within<T>(timeout_ms: i64, doing: &str, wait: impl Future<Output = T>) -> Option<T> {
    let mut wait = pin!(wait);
    if let Poll::Ready(done) = poll_fn(|cx| Poll::Ready(wait.as_mut().poll(cx))).await {
        return Some(done);
    }
    let debug = |text: std::fmt::Arguments<'_>| emit(Level::Debug, format_args!("lua pipe {text}"));
    let doing_whole = if doing == "writ" { "write" } else { doing };
    if timeout_ms <= 0 {
        debug(format_args!("{doing_whole} yielding"));
        return Some(wait.await);
    }
    debug(format_args!("add timer for {doing}ing: {timeout_ms}(ms)"));
    debug(format_args!("{doing_whole} yielding"));
    tokio::time::timeout(Duration::from_millis(timeout_ms as u64), wait).await.ok()
}

thread_local! {
    static CHILDREN: RefCell<Slots<Rc<Child>>> = const { RefCell::new(Slots::new()) };
}

/// A buffer larger than any pipe has no use.
const BUFFER_MAX_BYTES: i64 = 1 << 20;
