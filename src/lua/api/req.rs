//! `ngx.req`: line, method, URI, arguments and headers of the request.

use std::ffi::c_int;
use std::rc::Rc;

use bytes::Bytes;

use super::Topic;
use super::encode::{args_of_table, push_pairs};
use super::header;
use super::uri::unsafe_byte;
use crate::base::escape;
use crate::http::Request;
use crate::http::body::Expected;
use crate::http::method::Method;
use crate::lua::ask::{Ask, Leave};
use crate::lua::phase::{ANY, Phase, REQUEST};
use crate::lua::raw::{Call, Kind, Op, Raise};

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "req.headers", phases: REQUEST, run: headers },
    Op { name: "req.set_header", phases: REQUEST, run: set_header },
    Op { name: "req.clear_header", phases: REQUEST, run: clear_header },
    Op { name: "req.get_method", phases: REQUEST, run: get_method },
    Op { name: "req.set_method", phases: REQUEST, run: set_method },
    Op { name: "req.http_version", phases: REQUEST, run: http_version },
    Op { name: "req.raw_header", phases: REQUEST, run: raw_header },
    Op {
        name: "req.start_time",
        phases: REQUEST,
        run: |c| c.ret(c.request()?.started.as_secs_f64()),
    },
    Op {
        name: "req.is_here",
        phases: ANY,
        run: |c| c.ret(c.try_ctx().is_some_and(|ctx| ctx.request.is_some())),
    },
    Op { name: "req.is_internal", phases: REQUEST, run: |c| c.ret(c.request()?.internal.get()) },
    Op { name: "req.get_uri_args", phases: REQUEST, run: get_uri_args },
    Op { name: "req.set_uri_args", phases: REQUEST, run: set_uri_args },
    Op { name: "req.set_uri", phases: REQUEST, run: set_uri },
]);

fn headers(c: &Call<'_>) -> Result<c_int, Raise> {
    let headers = &c.request()?.headers_in;
    let max = c.opt_int(1)?;
    let most = usize::try_from(max.unwrap_or(100)).unwrap_or(0);
    if (most == 0 || headers.len() <= most) && headers.names_differ() {
        return Ok(header::push_unique(c, headers, c.truthy(2)));
    }
    let list = headers.borrow();
    let mut pairs = Vec::new();
    header::extend(&mut pairs, &list, c.truthy(2));
    header::limited(c, pairs, max)
}

/// `(name, value)`: a text, or a list; an empty list or nil removes.
fn set_header(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    if r.line.version < 1000 {
        return Ok(0);
    }
    let name = header::escape_with(c.bytes(1)?, header::ESCAPE_NAME);
    let value_of = |text: &[u8]| header::escape_with(text, header::ESCAPE_VALUE);
    let mut values = Vec::new();
    if c.kind(2) == Kind::Table {
        for n in 1..=c.raw_len(2) {
            c.with_item(2, n, |v, item| {
                values.extend(v.to_bytes(item).map(value_of));
            });
        }
    } else if !c.absent(2) {
        values.push(value_of(c.bytes(2)?));
    }
    let mut list = r.headers_in.borrow_mut();
    match values.len() {
        1 => list.set(name.clone(), values[0].clone()),
        _ => {
            list.remove(&name);
            values.iter().for_each(|value| list.add(name.clone(), value.clone()));
        }
    }
    drop(list);
    follow(r, &name, values.first());
    Ok(0)
}

fn clear_header(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let name = c.bytes(1)?;
    r.headers_in.borrow_mut().remove(name);
    follow(r, name, None);
    Ok(0)
}

/// Some headers have a second life as fields of the request.
fn follow(r: &Rc<Request>, name: &[u8], value: Option<&Bytes>) {
    if name.eq_ignore_ascii_case(b"host") {
        let host = value.map(|value| {
            let end = memchr::memchr(b':', value).unwrap_or(value.len());
            Bytes::from(value[..end].to_ascii_lowercase())
        });
        *r.host.borrow_mut() = host;
    }
    // A length that a script sets before the body is read is how much of it is read.
    if name.eq_ignore_ascii_case(b"content-length")
        && !r.body.is_read()
        && let Expected::Length(_) = r.body.expected()
        && let Some(length) = value.and_then(|v| std::str::from_utf8(v).ok()?.parse().ok())
    {
        r.body.expect(Expected::Length(length));
    }
}

fn get_method(c: &Call<'_>) -> Result<c_int, Raise> {
    let name = c.request()?.method.borrow().name.clone();
    c.ret(name)
}

fn set_method(c: &Call<'_>) -> Result<c_int, Raise> {
    let bit = c.int(1)?;
    let method = u32::try_from(bit).ok().and_then(Method::of_bit);
    let Some(method) = method else {
        return Err(Raise::text(format!("unsupported HTTP method: {bit}")));
    };
    *c.request()?.method.borrow_mut() = method;
    Ok(0)
}

fn http_version(c: &Call<'_>) -> Result<c_int, Raise> {
    match c.request()?.line.version {
        9 => c.ret(0.9),
        1000 => c.ret(1.0),
        1001 => c.ret(1.1),
        2000 => c.ret(2.0),
        3000 => c.ret(3.0),
        _ => c.ret(()),
    }
}

fn raw_header(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let line = &r.main().line;
    let from = if c.truthy(1) { line.line_bytes.min(line.raw_head.len()) } else { 0 };
    c.ret(&line.raw_head[from..])
}

fn get_uri_args(c: &Call<'_>) -> Result<c_int, Raise> {
    let max = c.opt_int(1)?.unwrap_or(100).max(0) as usize;
    let args = c.request()?.args.borrow().clone();
    let (pairs, cut) = escape::decode_uri_args(&args, max);
    let count = push_pairs(c, &pairs);
    Ok(if cut { count + c.push("truncated") } else { count })
}

fn set_uri_args(c: &Call<'_>) -> Result<c_int, Raise> {
    if c.len() != 1 {
        return Err(Raise::text(format!("expecting 1 argument but seen {}", c.len())));
    }
    let args = match c.kind(1) {
        Kind::Num => c.bytes(1)?.to_vec(),
        Kind::Str => escape_args(c.bytes(1)?),
        Kind::Table => args_of_table(c, 1)?,
        _ => {
            let what = c.type_name(1);
            let text = format!("string, number, or table expected, but got {what}");
            return Err(c.arg_error(1, text));
        }
    };
    let r = c.request()?;
    *r.args.borrow_mut() = args.into();
    r.valid_unparsed_uri.set(false);
    Ok(0)
}

/// Blanks and control characters have no place in a request line.
fn escape_args(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match *byte <= b' ' || *byte == 0x7f {
            true => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            false => out.push(*byte),
        }
    }
    out
}

/// `(uri, jump, binary)`.
fn set_uri(c: &Call<'_>) -> Result<c_int, Raise> {
    let n = c.len();
    if !(1..=3).contains(&n) {
        return Err(Raise::text(format!("expecting 1, 2 or 3 arguments but seen {n}")));
    }
    let uri = c.bytes(1)?;
    if uri.is_empty() {
        return Err(Raise::text("attempt to use zero-length uri"));
    }
    let ctx = c.ctx()?;
    let r = c.request()?;
    for index in 2..=n {
        if c.kind(index) != Kind::Bool {
            return Err(c.expected(index, "boolean"));
        }
    }
    let (jump, binary) = (c.truthy(2), c.truthy(3));
    if jump && !matches!(ctx.phase, Phase::Rewrite | Phase::ServerRewrite) {
        let context = ctx.phase.context_name();
        return Err(Raise::text(format!("API disabled in the context of {context}")));
    }
    if jump && ctx.pending_subrequests.get() > 0 {
        return Err(Raise::text("attempt to abort with pending subrequests"));
    }
    if let Some(byte) = unsafe_byte(uri).filter(|_| !binary) {
        let shown = String::from_utf8_lossy(&escape::log(uri)).into_owned();
        return Err(Raise::text(format!(
            "unsafe byte \"0x{byte:02x}\" in uri \"{shown}\" (maybe you want to set the 'binary' \
             argument?)"
        )));
    }
    *r.uri.borrow_mut() = Bytes::copy_from_slice(uri);
    r.internal.set(true);
    r.valid_unparsed_uri.set(false);
    r.uri_changed.set(jump);
    if jump { c.leave(Ask::Leave(Leave::Jump)) } else { Ok(0) }
}
