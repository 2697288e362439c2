//! `sock:receiveuntil`: data up to a terminator, whole or in pieces.

use std::ffi::c_int;
use std::rc::Rc;

use bytes::Buf;

use super::failure::Failure;
use super::own_socket;
use super::read::{close_reading, fill_some, refuse};
use super::tcp::{Mark, Tcp};
use crate::lua::ctx::Ctx;
use crate::lua::raw::{Call, Raise, Reply, Val};

/// `until(pattern)`: refuses an empty one.
pub fn prepare(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.bytes(1)?.is_empty() {
        return c.fail("pattern is empty");
    }
    c.ret(true)
}

/// `receiveuntil(id, pattern, inclusive, size | nil, in the middle)`.
///
/// The last argument says that the iterator has given pieces since the last terminator; the reply's fourth value
/// says whether it has now.
pub fn receive(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    if let Some(count) = refuse(c, &socket)? {
        return Ok(count);
    }
    let wanted = Wanted {
        pattern: c.bytes(2)?.to_vec(),
        inclusive: c.truthy(3),
        size: c.opt_num(4)?.map(|size| size as usize).filter(|size| *size > 0),
        ended: c.truthy(5),
    };
    let ctx = Rc::clone(c.ctx()?);
    c.ask(run(ctx, socket, wanted))
}

struct Wanted {
    pattern: Vec<u8>,
    inclusive: bool,
    size: Option<usize>,
    /// The last piece ended right before the terminator, which has been taken.
    ended: bool,
}

async fn run(ctx: Rc<Ctx>, socket: Rc<Tcp>, wanted: Wanted) -> Reply {
    let _busy = Mark::set(&socket, |busy| &busy.reading);
    if wanted.ended {
        return Reply::one(Val::Nil).and(Val::Nil).and(Val::Nil).and(false);
    }
    loop {
        if let Some(reply) = take(&socket, &wanted) {
            return reply;
        }
        if let Err(failure) = fill_some(&ctx, &socket, usize::MAX).await {
            return ended(&socket, &failure);
        }
    }
}

fn take(socket: &Tcp, wanted: &Wanted) -> Option<Reply> {
    let mut input = socket.input.borrow_mut();
    let found = memchr::memmem::find(&input, &wanted.pattern);
    let length = wanted.pattern.len();
    match (wanted.size, found) {
        (None, Some(at)) => {
            let mut data = input.split_to(at + length).freeze();
            if !wanted.inclusive {
                data.truncate(at);
            }
            Some(Reply::one(data).and(Val::Nil).and(Val::Nil).and(false))
        }
        (None, None) => None,
        (Some(size), Some(at)) if at + if wanted.inclusive { length } else { 0 } <= size => {
            let kept = if wanted.inclusive { at + length } else { at };
            let data = input.split_to(kept).freeze();
            if !wanted.inclusive {
                input.advance(length);
            }
            Some(Reply::one(data).and(Val::Nil).and(Val::Nil).and(true))
        }
        (Some(size), _) => {
            // What might be the beginning of the terminator stays.
            let sure = input.len().saturating_sub(length - 1).min(found.unwrap_or(usize::MAX));
            if sure < size && found.is_none() {
                return None;
            }
            let data = input.split_to(size.min(sure.max(1))).freeze();
            Some(Reply::one(data).and(Val::Nil).and(Val::Nil).and(false))
        }
    }
}

fn ended(socket: &Tcp, failure: &Failure) -> Reply {
    let rest = socket.input.borrow_mut().split().freeze();
    if *failure != Failure::Timeout {
        close_reading(socket);
    }
    failure.reply().and(Val::Bytes(rest)).and(false)
}
