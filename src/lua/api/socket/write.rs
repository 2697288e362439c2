//! `sock:send`.

use std::ffi::c_int;
use std::rc::Rc;

use bytes::Bytes;

use super::failure::Failure;
use super::link::Link;
use super::own_socket;
use super::tcp::{Mark, Tcp, complain_closed};
use crate::base::log::Level;
use crate::lua::ctx::Ctx;
use crate::lua::raw::{Call, Kind, Raise, Reply};

/// `send(id, data)`; the prelude has joined tables to a string.
pub fn send(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    let Some(link) = socket.linked().filter(|_| !socket.write_closed.get()) else {
        complain_closed(c, &socket, "send data");
        return c.fail(socket.unlinked_word());
    };
    if let Some(word) = socket.busy_word(false, true) {
        return c.fail(word);
    }
    if matches!(*link, Link::Body { .. }) {
        return Err(Raise::text("attempt to write to request sockets"));
    }
    let data = match c.kind(2) {
        Kind::Str | Kind::Num => Bytes::copy_from_slice(c.bytes(2)?),
        _ => return Err(c.expected(2, "string")),
    };
    if data.is_empty() {
        return c.ret(0.0);
    }
    let ctx = Rc::clone(c.ctx()?);
    c.ask(run(ctx, socket, link, data))
}

async fn run(ctx: Rc<Ctx>, socket: Rc<Tcp>, link: Rc<Link>, mut data: Bytes) -> Reply {
    let _busy = Mark::set(&socket, |busy| &busy.writing);
    let length = data.len();
    match Tcp::limited(socket.send_timeout_ms.get(), link.write(&mut data)).await {
        Ok(()) => Reply::one(length as f64),
        Err(failure) => {
            socket.write_closed.set(true);
            if failure == Failure::Timeout && socket.settings.log_errors {
                let far_end = socket.far_end.borrow();
                ctx.log(Level::Error, &format!("lua tcp socket write timed out{far_end}"));
            }
            failure.reply()
        }
    }
}
