//! `sock:receiveuntil`: data up to a terminator, whole or in pieces.

use std::ffi::c_int;
use std::rc::Rc;

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
/// The last argument says that the iterator has given pieces since the last terminator; the reply's
/// fourth value says whether it has now.
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
    let length = wanted.pattern.len();
    let Some(size) = wanted.size else {
        let at = memchr::memmem::find(&input, &wanted.pattern)?;
        let mut data = input.split_to(at + length).freeze();
        if !wanted.inclusive {
            data.truncate(at);
        }
        return Some(piece(data, false));
    };
    match scan(&input, &wanted.pattern, size)? {
        Scanned::Piece(bytes) => Some(piece(input.split_to(bytes).freeze(), false)),
        Scanned::Terminator(at) => {
            let mut data = input.split_to(at + length).freeze();
            if !wanted.inclusive {
                data.truncate(at);
            }
            Some(piece(data, true))
        }
    }
}

fn piece(data: bytes::Bytes, ended: bool) -> Reply {
    Reply::one(data).and(Val::Nil).and(Val::Nil).and(ended)
}

/// How far a scan for a piece came.
enum Scanned {
    /// So many bytes are certainly not part of the terminator.
    Piece(usize),
    /// The terminator begins there.
    Terminator(usize),
}

/// Walks the input byte by byte, as lua-nginx-module's automaton does: a byte counts once it cannot
/// belong to the terminator, and several may count at once, which is why a piece can be longer than
/// asked.
fn scan(input: &[u8], pattern: &[u8], size: usize) -> Option<Scanned> {
    let borders = borders(pattern);
    let mut matched = 0;
    for (at, byte) in input.iter().enumerate() {
        while matched > 0 && pattern[matched] != *byte {
            matched = borders[matched - 1];
        }
        if pattern[matched] == *byte {
            matched += 1;
        }
        let sure = at + 1 - matched;
        if sure >= size {
            return Some(Scanned::Piece(sure));
        }
        if matched == pattern.len() {
            return Some(Scanned::Terminator(sure));
        }
    }
    None
}

/// For each prefix of the pattern, the length of its longest proper prefix that is also its end.
fn borders(pattern: &[u8]) -> Vec<usize> {
    let mut borders = vec![0; pattern.len()];
    let mut length = 0;
    for at in 1..pattern.len() {
        while length > 0 && pattern[at] != pattern[length] {
            length = borders[length - 1];
        }
        if pattern[at] == pattern[length] {
            length += 1;
        }
        borders[at] = length;
    }
    borders
}

fn ended(socket: &Tcp, failure: &Failure) -> Reply {
    let rest = socket.input.borrow_mut().split().freeze();
    if *failure != Failure::Timeout {
        close_reading(socket);
    }
    failure.reply().and(Val::Bytes(rest)).and(false)
}
