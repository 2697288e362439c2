//! `ngx.req`: reading, looking at and replacing the request body.

use std::cell::RefCell;
use std::ffi::c_int;
use std::rc::Rc;

use bytes::Bytes;

use super::Topic;
use super::encode::push_pairs;
use crate::base::escape;
use crate::base::log::Level;
use crate::http::Request;
use crate::http::body_file::TempFile;
use crate::lua::phase::HANDLERS;
use crate::lua::raw::{Call, Op, Raise, Reply};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "req_body.read", phases: HANDLERS, run: read },
    Op { name: "req_body.discard", phases: HANDLERS, run: discard },
    Op { name: "req_body.data", phases: LOOK, run: data },
    Op { name: "req_body.file", phases: LOOK, run: file },
    Op { name: "req_body.post_args", phases: LOOK, run: post_args },
    Op { name: "req_body.set_data", phases: SET, run: set_data },
    Op { name: "req_body.set_file", phases: HANDLERS, run: set_file },
    Op { name: "req_body.init", phases: HANDLERS, run: init },
    Op { name: "req_body.append", phases: HANDLERS, run: append },
    Op { name: "req_body.finish", phases: HANDLERS, run: finish },
]);

const SET: u32 = HANDLERS | crate::lua::phase::Phase::Balancer.bit();
const LOOK: u32 = crate::lua::phase::REQUEST;

/// A body under construction: `init_body`, `append_body`, `finish_body`.
#[derive(Default)]
struct Drafts(RefCell<Option<Draft>>);

struct Draft {
    data: Vec<u8>,
    /// What is larger goes to a file.
    buffer_bytes: usize,
}

/// The status to leave with, if the body cannot be had.
fn read(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?.clone();
    c.ask(async move {
        match r.read_body().await {
            Ok(()) => Reply::none(),
            Err(e) => Reply::one(e.0),
        }
    })
}

fn discard(c: &Call<'_>) -> Result<c_int, Raise> {
    match c.request()?.discard_body() {
        Ok(()) => Ok(0),
        Err(_) => Err(Raise::text("failed to discard request body")),
    }
}

fn data(c: &Call<'_>) -> Result<c_int, Raise> {
    let body = &c.request()?.body;
    if !body.is_read() || body.file().is_some() {
        return c.ret(());
    }
    let data = body.data();
    let max = c.opt_int(1)?.filter(|max| *max > 0).map_or(data.len(), |max| max as usize);
    if data.is_empty() { c.ret(()) } else { c.ret(&data[..max.min(data.len())]) }
}

fn file(c: &Call<'_>) -> Result<c_int, Raise> {
    let file = c.request()?.body.file();
    c.ret(file.map(|file| file.path().to_string_lossy().into_owned()))
}

fn post_args(c: &Call<'_>) -> Result<c_int, Raise> {
    let n = c.len();
    if n > 1 {
        return Err(Raise::text(format!("expecting 0 or 1 arguments but seen {n}")));
    }
    let r = c.request()?;
    if r.body.is_discarded() {
        return c.ret(false);
    }
    if !r.body.is_read() {
        return Err(Raise::text(
            "no request body found; maybe you should turn on lua_need_request_body?",
        ));
    }
    if r.body.file().is_some() {
        return c.ret(((), "request body in temp file not supported"));
    }
    let max = c.opt_int(1)?.unwrap_or(100).max(0) as usize;
    let (pairs, cut) = escape::decode_args(&r.body.data(), max);
    let count = push_pairs(c, &pairs);
    Ok(if cut { count + c.push("truncated") } else { count })
}

fn replace(c: &Call<'_>, data: Bytes) -> Result<(), Raise> {
    let r = c.request()?;
    if r.body.is_discarded() {
        return Err(Raise::text("request body already discarded asynchronously"));
    }
    if !r.body.is_read() {
        return Err(Raise::text("request body not read yet"));
    }
    set_length(c, data.len())?;
    r.body.replace(data);
    Ok(())
}

/// A body larger than its buffer goes to a file, as one that came from the client.
fn keep(r: &Rc<Request>, draft: Draft) -> Result<(), Raise> {
    let Draft { data, buffer_bytes } = draft;
    if data.len() <= buffer_bytes {
        r.body.replace(data.into());
        return Ok(());
    }
    let failed = |_| Raise::text("fail to write file");
    let mut file = TempFile::for_body(r).map_err(failed)?;
    let path = file.path().display();
    r.log(
        Level::Warn,
        format_args!("a client request body is buffered to a temporary file {path}"),
    );
    file.write(&data).map_err(failed)?;
    r.body.replace_by_file(file, data.len() as u64);
    Ok(())
}

fn set_length(c: &Call<'_>, length: usize) -> Result<(), Raise> {
    let mut headers = c.request()?.headers_in.borrow_mut();
    headers.remove(b"Transfer-Encoding");
    headers.set("Content-Length", length.to_string());
    Ok(())
}

fn set_data(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 {
        return Err(Raise::text(format!("expecting 1 arguments but seen {}", c.len())));
    }
    replace(c, Bytes::copy_from_slice(c.bytes(1)?))?;
    Ok(0)
}

/// `(path, auto clean)`.
fn set_file(c: &Call<'_>) -> Result<c_int, Raise> {
    let n = c.len();
    if n != 1 && n != 2 {
        return Err(Raise::text(format!("expecting 1 or 2 arguments but seen {n}")));
    }
    let path = c.bytes(1)?;
    if path.is_empty() {
        return Err(c.arg_error(1, "empty file name"));
    }
    let r = c.request()?;
    if !r.body.is_read() {
        return Err(Raise::text("request body not read yet"));
    }
    let path = String::from_utf8_lossy(path).into_owned();
    let (file, length) = TempFile::adopt(path.clone().into(), c.truthy(2)).map_err(|e| {
        let reason = crate::base::errno::Errno(&e).to_string();
        Raise::text(format!("open() \"{path}\" failed {reason}"))
    })?;
    set_length(c, length as usize)?;
    r.body.replace_by_file(file, length);
    Ok(0)
}

fn init(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() > 1 {
        return Err(Raise::text(format!("expecting 0 or 1 argument but seen {}", c.len())));
    }
    let r = c.request()?;
    // A body whose reading was handed to the script counts as read.
    if !r.body.is_read() && !r.body.is_discarded() {
        return Err(Raise::text("request body not read yet"));
    }
    let buffer_bytes = match c.opt_int(1)?.map(usize::try_from) {
        None => r.with_location(|l| l.core().client_body_buffer_size()),
        Some(Ok(size)) => size,
        Some(Err(_)) => return Err(c.arg_error(1, "bad size argument")),
    };
    *r.ext::<Drafts>().0.borrow_mut() = Some(Draft { data: Vec::new(), buffer_bytes });
    Ok(0)
}

fn append(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 {
        return Err(Raise::text(format!("expecting 1 arguments but seen {}", c.len())));
    }
    let more = c.bytes(1)?;
    match &mut *c.request()?.ext::<Drafts>().0.borrow_mut() {
        Some(draft) => draft.data.extend_from_slice(more),
        None => return Err(Raise::text("request_body not initialized")),
    }
    Ok(0)
}

fn finish(c: &Call<'_>) -> Result<c_int, Raise> {
    let draft = c.request()?.ext::<Drafts>().0.take();
    match draft {
        Some(draft) => {
            set_length(c, draft.data.len())?;
            keep(c.request()?, draft)?;
        }
        None => return Err(Raise::text("request_body not initialized")),
    }
    Ok(0)
}
