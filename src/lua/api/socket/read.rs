//! `sock:receive` and `sock:receiveany`.

use std::ffi::c_int;
use std::rc::Rc;

use bytes::{Buf, Bytes};

use super::failure::Failure;
use super::own_socket;
use super::tcp::{Mark, Tcp, complain_closed, is_number};
use crate::base::log::Level;
use crate::lua::ctx::Ctx;
use crate::lua::raw::{Call, Kind, Raise, Reply, Val};

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Line,
    All,
    Exactly(usize),
    Any(usize),
}

/// `receive(id, pattern | size)`
pub fn receive(c: &Call<'_>) -> Result<c_int, Raise> {
    let pattern = pattern(c)?;
    let socket = own_socket(c)?;
    start(c, socket, pattern)
}

/// `receiveany(id, max)`
pub fn receiveany(c: &Call<'_>) -> Result<c_int, Raise> {
    let most = if is_number(c, 2) { c.num(2)? } else { 0.0 };
    if most <= 0.0 {
        return Err(c.arg_error(2, "bad max argument"));
    }
    let socket = own_socket(c)?;
    start(c, socket, Pattern::Any(most as usize))
}

fn pattern(c: &Call<'_>) -> Result<Pattern, Raise> {
    if c.absent(2) && c.len() < 2 {
        return Ok(Pattern::Line);
    }
    if is_number(c, 2) {
        let size = c.num(2)?;
        if size < 0.0 {
            return Err(c.arg_error(2, "bad number argument"));
        }
        return Ok(Pattern::Exactly(size as usize));
    }
    if c.kind(2) != Kind::Str {
        let kind = c.type_name(2);
        return Err(c.arg_error(2, format!("bad pattern argument: {kind}")));
    }
    match c.bytes(2)? {
        b"*l" => Ok(Pattern::Line),
        b"*a" => Ok(Pattern::All),
        other => {
            if let Some(size) = c.to_num(2) {
                return Ok(Pattern::Exactly(size.max(0.0) as usize));
            }
            let other = String::from_utf8_lossy(other);
            Err(c.arg_error(2, format!("bad pattern argument: {other}")))
        }
    }
}

fn start(c: &Call<'_>, socket: Rc<Tcp>, pattern: Pattern) -> Result<c_int, Raise> {
    if let Some(count) = refuse(c, &socket)? {
        return Ok(count);
    }
    if pattern == Pattern::Exactly(0) {
        return c.ret("");
    }
    if let Some(count) = at_once(c, &socket, pattern) {
        return Ok(count);
    }
    let ctx = Rc::clone(c.ctx()?);
    c.ask(run(ctx, socket, pattern))
}

/// Hands over what has come already: nothing is made to wait for it.
fn at_once(c: &Call<'_>, socket: &Tcp, pattern: Pattern) -> Option<c_int> {
    let mut input = socket.input.take();
    let size = match pattern {
        Pattern::Line => memchr::memchr(b'\n', &input),
        Pattern::Exactly(size) => (input.len() >= size).then_some(size),
        Pattern::Any(most) => (!input.is_empty()).then(|| most.min(input.len())),
        Pattern::All => None,
    };
    let count = size.map(|size| {
        let (data, end) = (&input[..size], usize::from(pattern == Pattern::Line));
        let count = match data {
            // A line with one CR at its end, as nearly all of them have it.
            [line @ .., b'\r'] if end == 1 && memchr::memchr(b'\r', line).is_none() => c.push(line),
            line if end == 1 && memchr::memchr(b'\r', line).is_some() => {
                c.push(without_cr(&Bytes::copy_from_slice(line)).as_ref())
            }
            data => c.push(data),
        };
        input.advance(size + end);
        count
    });
    *socket.input.borrow_mut() = input;
    count
}

/// Answers at once for a socket that cannot be read.
pub fn refuse(c: &Call<'_>, socket: &Tcp) -> Result<Option<c_int>, Raise> {
    if socket.linked().is_none() || socket.read_closed.get() {
        complain_closed(c, socket, "receive data");
        return c.fail(socket.unlinked_word()).map(Some);
    }
    match socket.busy_word(true, false) {
        Some(word) => c.fail(word).map(Some),
        None => Ok(None),
    }
}

async fn run(ctx: Rc<Ctx>, socket: Rc<Tcp>, pattern: Pattern) -> Reply {
    let _busy = Mark::set(&socket, |busy| &busy.reading);
    loop {
        if let Some(found) = take(&socket, pattern) {
            return Reply::one(found);
        }
        match fill(&ctx, &socket, pattern).await {
            Ok(()) => {}
            Err(failure) => return ended(&socket, pattern, &failure),
        }
    }
}

/// Takes the wanted data out of the input, if it is there.
fn take(socket: &Tcp, pattern: Pattern) -> Option<Bytes> {
    let mut input = socket.input.borrow_mut();
    match pattern {
        Pattern::Line => {
            let at = memchr::memchr(b'\n', &input)?;
            let line = input.split_to(at).freeze();
            input.advance(1);
            Some(without_cr(&line))
        }
        Pattern::Exactly(size) => (input.len() >= size).then(|| input.split_to(size).freeze()),
        Pattern::Any(most) => (!input.is_empty()).then(|| {
            let size = most.min(input.len());
            input.split_to(size).freeze()
        }),
        Pattern::All => None,
    }
}

/// lua-nginx-module drops every CR of a line.
fn without_cr(line: &Bytes) -> Bytes {
    if memchr::memchr(b'\r', line).is_none() {
        return line.clone();
    }
    line.iter().copied().filter(|byte| *byte != b'\r').collect::<Vec<_>>().into()
}

/// Reads more; an error ends the reading side, a timeout does not.
async fn fill(ctx: &Ctx, socket: &Rc<Tcp>, pattern: Pattern) -> Result<(), Failure> {
    let most = match pattern {
        Pattern::Any(most) => most,
        _ => usize::MAX,
    };
    fill_some(ctx, socket, most).await
}

pub async fn fill_some(ctx: &Ctx, socket: &Rc<Tcp>, most: usize) -> Result<(), Failure> {
    let Some(link) = socket.linked() else { return Err(Failure::Closed) };
    let mut more = bytes::BytesMut::new();
    let most = if link.is_request() { most.min(16 * 1024) } else { most };
    let done = Tcp::limited(socket.read_timeout_ms.get(), link.read(&mut more, most)).await;
    socket.input.borrow_mut().unsplit(more);
    match done {
        Ok(0) if link.is_aborted() => Err(Failure::System("client aborted".to_owned())),
        Ok(0) => Err(Failure::Closed),
        Ok(_) => Ok(()),
        Err(failure) => {
            if failure == Failure::Timeout && socket.settings.log_errors {
                let far_end = socket.far_end.borrow();
                ctx.log(Level::Error, &format!("lua tcp socket read timed out{far_end}"));
            }
            Err(failure)
        }
    }
}

/// What a script gets when the data did not come: the reason and what there was.
fn ended(socket: &Tcp, pattern: Pattern, failure: &Failure) -> Reply {
    let rest = socket.input.borrow_mut().split().freeze();
    if *failure != Failure::Timeout {
        close_reading(socket);
    }
    if pattern == Pattern::All && *failure == Failure::Closed {
        return Reply::one(rest);
    }
    let rest = if pattern == Pattern::Line { without_cr(&rest) } else { rest };
    failure.reply().and(Val::Bytes(rest))
}

/// The reading side is over; with the writing side closed too the connection goes.
pub fn close_reading(socket: &Tcp) {
    socket.read_closed.set(true);
    if !socket.busy.writing.get() && !socket.linked().is_some_and(|link| link.is_request()) {
        // A half-closed connection may still be written to, as in lua-nginx-module.
        socket.at_eof.set(true);
    }
}
