//! What Lua keeps with a request, from its first phase to its last.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;

use super::raw::Func;
use super::vm::Vm;
use crate::http::Chunks;

/// The Lua side of one request or subrequest; gone after an internal redirect, as in OpenResty.
#[derive(Default)]
pub struct LuaRequest {
    /// The request's own VM when the code cache is off.
    pub vm: RefCell<Option<Rc<Vm>>>,
    /// `ngx.ctx`.
    pub table: RefCell<Option<Rc<Func>>>,
    /// Code of the content phase has begun.
    pub entered_content: Cell<bool>,
    /// The end of the response has been sent.
    pub eof: Cell<bool>,
    /// A filter wants another answer than the script's, with this status.
    pub refused: Cell<Option<u16>>,
    /// Output is held back until its length is known: HTTP/1.0.
    pub buffering: Cell<bool>,
    pub held: RefCell<Vec<Bytes>>,
    pub seen_body_data: Cell<bool>,
    /// A script has set some response header, or the media type.
    pub headers_set: Cell<bool>,
    pub mime_set: Cell<bool>,
    /// `ngx.exit` of a phase that cannot be left in the middle.
    pub exit: Cell<Option<i32>>,
    /// What `body_filter_by_lua` works on.
    pub filtering: RefCell<Chunks>,
    pub filter_saw_last: Cell<bool>,
    /// Arguments of `set_by_lua`.
    pub set_args: RefCell<Vec<Bytes>>,
    /// The script speaks to the client's socket itself.
    pub raw_socket: Cell<bool>,
    /// `ngx.on_abort`'s function.
    pub on_abort: RefCell<Option<Func>>,
}
