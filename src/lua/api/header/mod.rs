//! `ngx.header`, `ngx.resp`: response headers as scripts see and set them.

mod names;

use std::ffi::c_int;
use std::rc::Rc;

use bytes::Bytes;
use smallvec::{SmallVec, smallvec};

use self::names::Name;
use super::Topic;
use super::encode::push_pairs;
use crate::base::date;
use crate::base::escape::{self, Pair, Set};
use crate::base::log::Level;
use crate::http::Request;
use crate::http::headers::{Headers, HeadersOut};
use crate::http::headers_in::HeadersIn;
use crate::http::modules::not_modified::Bypass;
use crate::lua::ctx::{self, Ctx};
use crate::lua::phase::{HANDLERS, Phase, REQUEST};
use crate::lua::raw::ffi::{Ffi, FfiAddr, In, guard};
use crate::lua::raw::{Call, Kind, Op, Raise};

pub const TOPIC: Topic = Topic {
    ops: &[
        Op { name: "header.get", phases: REQUEST, run: get },
        Op { name: "header.set", phases: REQUEST, run: |c| set(c, true) },
        Op { name: "header.add", phases: REQUEST, run: |c| set(c, false) },
        Op { name: "header.resp_headers", phases: REQUEST, run: resp_headers },
        Op { name: "header.bypass_if_checks", phases: BEFORE_HEAD, run: bypass_if_checks },
        Op { name: "header.set_status_line", phases: REQUEST, run: set_status_line },
    ],
    ffi: &[Ffi {
        name: "header_set",
        ctype: "bool (*)(const char *, size_t, const char *, size_t)",
        addr: FfiAddr(set_text as *const ()),
    }],
};

fn get(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let name = Name::of(r, c.bytes(1)?).wire;
    let out = r.headers_out.borrow();
    if name.eq_ignore_ascii_case(b"content-type") {
        return c.ret(out.content_type_line());
    }
    if name.eq_ignore_ascii_case(b"content-length") {
        return c.ret(out.content_length.map(|length| length.to_string()));
    }
    if let (true, Some(at)) = (name.eq_ignore_ascii_case(b"last-modified"), out.last_modified) {
        return c.ret(date::http_time(at));
    }
    let values: Vec<Bytes> = out.list.all(&name).cloned().collect();
    drop(out);
    match &values[..] {
        [] => c.ret(()),
        [one] => c.ret(one),
        many => {
            c.push_table(many.len(), 0);
            for (n, value) in many.iter().enumerate() {
                c.push(value);
                c.put_item(n + 1);
            }
            Ok(1)
        }
    }
}

/// `(name, value)`: a text, number, boolean, a list of them, or nil to remove.
fn set(c: &Call<'_>, replaces: bool) -> Result<c_int, Raise> {
    let r = c.request()?;
    if r.header_sent.get() && c.ctx()?.phase != Phase::HeaderFilter {
        r.log(
            Level::Error,
            format_args!("attempt to set ngx.header.HEADER after sending out response headers"),
        );
        return Ok(0);
    }
    let name = Name::of(r, c.bytes(1)?).wire;
    let mut values = SmallVec::<[Bytes; 1]>::new();
    let mut bad = None;
    match c.kind(2) {
        Kind::None | Kind::Nil => {}
        Kind::Table => {
            for n in 1..=c.raw_len(2) {
                c.with_item(2, n, |v, item| match text_of(v, item) {
                    Some(value) => values.push(value),
                    None => bad = Some(v.type_name(item)),
                });
            }
        }
        _ => match text_of(c, 2) {
            Some(value) => values.push(value),
            None => bad = Some(c.type_name(2)),
        },
    }
    if let Some(what) = bad {
        return Err(Raise::text(format!("string, number, boolean or array expected, got {what}")));
    }
    if name.eq_ignore_ascii_case(b"content-length") {
        let is_number = |v: &Bytes| !v.is_empty() && v.iter().all(u8::is_ascii_digit);
        if !values.last().is_none_or(is_number) {
            return Err(Raise::text("failed to set header content-length (error: -1)"));
        }
    }
    store(c.ctx()?, r, name, values, replaces);
    Ok(0)
}

/// Sets a header to one text, as most scripts do; false when that is a case for [`set`].
extern "C" fn set_text(name: In<u8>, name_len: usize, value: In<u8>, value_len: usize) -> bool {
    guard(false, || {
        let Some(ctx) = ctx::current() else { return false };
        let Some(r) = &ctx.request else { return false };
        let name = name.slice(name_len);
        if REQUEST & ctx.phase.bit() == 0 || r.header_sent.get() {
            return false;
        }
        let Name { wire, is_plain } = Name::of(r, name);
        let value = escape_with(value.slice(value_len), ESCAPE_VALUE);
        if is_plain {
            ctx.kept(r).headers_set.set(true);
            r.headers_out.borrow_mut().list.set(wire, value);
        } else if wire.eq_ignore_ascii_case(b"content-length") {
            return false;
        } else {
            store(&ctx, r, wire, smallvec![value], true);
        }
        true
    })
}

fn store(ctx: &Ctx, r: &Rc<Request>, name: Bytes, values: Values, replaces: bool) {
    let lua = ctx.kept(r);
    lua.headers_set.set(true);
    if name.eq_ignore_ascii_case(b"content-type") {
        lua.mime_set.set(true);
    }
    put(&mut r.headers_out.borrow_mut(), name, values, replaces);
}

fn text_of(v: &crate::lua::raw::View<'_>, at: c_int) -> Option<Bytes> {
    match v.kind(at) {
        Kind::Bool => Some(Bytes::from_static(if v.truthy(at) { b"true" } else { b"false" })),
        _ => v.to_bytes(at).map(|text| escape_with(text, ESCAPE_VALUE)),
    }
}

/// Sets a header the way nginx keeps it: some are fields of the response, not lines.
pub fn put(out: &mut HeadersOut, name: Bytes, mut values: Values, replaces: bool) {
    let mut space = [0; 16];
    match lower_case(&name, &mut space) {
        b"content-type" => {
            out.charset = None;
            out.content_type = values.pop();
        }
        b"content-length" => {
            let text = values.pop().unwrap_or_default();
            out.content_length = std::str::from_utf8(&text).ok().and_then(|t| t.parse().ok());
        }
        b"last-modified" => {
            out.list.remove(&name);
            out.last_modified = values.last().and_then(|v| date::parse_http_time(v));
            if let Some(value) = values.pop().filter(|_| out.last_modified.is_none()) {
                out.list.add(name, value);
            }
        }
        lower => {
            if lower == b"location" {
                out.location_as_is = true;
            }
            if lower == b"accept-ranges" && replaces {
                out.accept_ranges = false;
            }
            if replaces && ONE_VALUE.contains(&lower) {
                match values.pop() {
                    Some(value) => out.list.set(name, value),
                    None => out.drop_line(&name),
                }
                return;
            }
            if replaces && values.len() == 1 {
                out.list.set(name, values.remove(0));
                return;
            }
            if replaces {
                out.drop_line(&name);
            }
            values.into_iter().for_each(|value| out.list.add(name.clone(), value));
        }
    }
}

/// The name in lower case if it is short enough to be one that is treated apart; else nothing.
fn lower_case<'a>(name: &[u8], space: &'a mut [u8; 16]) -> &'a [u8] {
    let Some(lower) = space.get_mut(..name.len()) else { return &[] };
    lower.copy_from_slice(name);
    lower.make_ascii_lowercase();
    lower
}

/// Bytes that would end a name or a line are escaped.
pub fn escape_with(text: &[u8], kind: i64) -> Bytes {
    match Set::of_lua_type(kind) {
        Some(set) => Bytes::copy_from_slice(&escape::uri(text, set)),
        None => Bytes::copy_from_slice(text),
    }
}

/// `(max, raw)`: the table, and "truncated" when there are more.
fn resp_headers(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let mut pairs: Vec<Pair> = Vec::new();
    {
        let out = r.headers_out.borrow();
        let mut add = |name: &str, value: &[u8]| {
            pairs.push((name.as_bytes().to_vec(), Some(value.to_vec())));
        };
        if let Some(kind) = out.content_type_line() {
            add("content-type", &kind);
        }
        if let Some(length) = out.content_length {
            add("content-length", length.to_string().as_bytes());
        }
        if let Some(at) = out.last_modified {
            add("last-modified", date::http_time(at).as_bytes());
        }
        let connection = match () {
            () if out.status == 101 => "upgrade",
            () if r.keepalive.get() => "keep-alive",
            () => "close",
        };
        add("connection", connection.as_bytes());
        if r.chunked.get() {
            add("transfer-encoding", b"chunked");
        }
        extend(&mut pairs, &out.list, c.truthy(2));
    }
    limited(c, pairs, c.opt_int(1)?)
}

/// Pushes a table of lines no two of which have the same name; names in lower case unless `raw`.
pub fn push_unique(c: &Call<'_>, list: &HeadersIn, raw: bool) -> c_int {
    c.push_table(0, list.len());
    let mut lower = Vec::with_capacity(32);
    list.each(|name, value| {
        if raw {
            return c.put_text(name, value);
        }
        lower.clear();
        lower.extend(name.iter().map(u8::to_ascii_lowercase));
        c.put_text(&lower, value);
    });
    1
}

/// Appends the lines of a header list; names in lower case unless `raw`.
pub fn extend(pairs: &mut Vec<Pair>, list: &Headers, raw: bool) {
    pairs.extend(list.iter().map(|header| {
        let name = if raw { header.name.to_vec() } else { header.name.to_ascii_lowercase() };
        (name, Some(header.value.to_vec()))
    }));
}

/// Pushes a table of at most `max` pairs (100 by default, 0 for all), and "truncated" if cut.
pub fn limited(c: &Call<'_>, mut pairs: Vec<Pair>, max: Option<i64>) -> Result<c_int, Raise> {
    let max = usize::try_from(max.unwrap_or(100)).unwrap_or(0);
    let cut = max > 0 && pairs.len() > max;
    if cut {
        pairs.truncate(max);
    }
    let count = push_pairs(c, &pairs);
    Ok(if cut { count + c.push("truncated") } else { count })
}

/// `ngx.resp.set_status(status, reason)`.
fn set_status_line(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let status = c.int(1)?;
    if r.header_sent.get() && c.ctx()?.phase != Phase::HeaderFilter {
        r.log(
            Level::Error,
            format_args!("attempt to set ngx.status after sending out response headers"),
        );
        return Ok(0);
    }
    r.set_status(status.clamp(0, 999) as u16);
    if let Some(reason) = c.opt_bytes(2)? {
        let line = [format!("{status} ").as_bytes(), reason].concat();
        r.headers_out.borrow_mut().status_line = Some(line.into());
    }
    Ok(0)
}

/// `ngx.resp.bypass_if_checks()`: the request's conditions do not count.
fn bypass_if_checks(c: &Call<'_>) -> Result<c_int, Raise> {
    c.request()?.ext::<Bypass>().0.set(true);
    Ok(0)
}

/// Where conditions have not been looked at yet.
const BEFORE_HEAD: u32 = HANDLERS | Phase::HeaderFilter.bit();

/// The values of one header; one by far most often.
pub type Values = SmallVec<[Bytes; 1]>;

const ONE_VALUE: &[&[u8]] = &[b"server", b"date", b"location", b"expires", b"etag", b"refresh"];

/// The sets of lua-nginx-module for header names and values.
pub const ESCAPE_NAME: i64 = 7;
pub const ESCAPE_VALUE: i64 = 8;
