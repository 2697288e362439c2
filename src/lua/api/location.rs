//! `ngx.location.capture` and `capture_multi`.
//!
//! ```text
//!   { uri, options } … ─▶ Request::subrequest each ─▶ driven together ─▶ { status, header, body }
//! ```

use std::ffi::c_int;
use std::rc::Rc;

use bytes::Bytes;
use futures_util::future::join_all;

use super::Topic;
use super::encode::args_of_table;
use super::header::{ESCAPE_NAME, ESCAPE_VALUE, escape_with};
use super::uri::split_unsafe;
use crate::base::log::Level;
use crate::http::body::Body;
use crate::http::capture::Capture;
use crate::http::headers::Headers;
use crate::http::method::Method;
use crate::http::request::SubrequestSpec;
use crate::http::vars::{VarSlots, VarWriteError};
use crate::http::{Request, subrequest};
use crate::lua::ctx::Ctx;
use crate::lua::phase::HANDLERS;
use crate::lua::raw::{Call, Func, Kind, Op, Raise, Reply, Val};
use crate::lua::request::LuaRequest;

pub const TOPIC: Topic = Topic::of(&[
    Op { name: "location.begin", phases: HANDLERS, run: begin },
    Op { name: "location.add", phases: HANDLERS, run: add },
    Op { name: "location.run", phases: HANDLERS, run },
]);

/// Subrequests prepared and not yet run.
#[derive(Default)]
struct Prepared(std::cell::RefCell<Vec<Rc<Request>>>);

fn begin(c: &Call<'_>) -> Result<c_int, Raise> {
    c.request()?.ext::<Prepared>().0.borrow_mut().clear();
    Ok(0)
}

/// `(uri, method, body, args, vars, shares all, copies all, forwards body, ctx, headers)`, each may
/// be nil.
fn add(c: &Call<'_>) -> Result<c_int, Raise> {
    let r = c.request()?;
    let target = c.bytes(1)?;
    let Some((uri, args)) = split_unsafe(r, target) else { return Err(Raise::text("unsafe uri")) };
    let args = merged_args(c, args)?;
    let (method, body) = method_and_body(c, r)?;
    let mut headers = r.headers_in.borrow().clone();
    match (&body, c.absent(3)) {
        (Some(body), false) => headers.set("Content-Length", body.length().to_string()),
        (None, _) => _ = headers.remove(b"Content-Length"),
        _ => {}
    }
    if !c.absent(3) || body.is_none() {
        headers.remove(b"Transfer-Encoding");
    }
    add_headers(c, &mut headers);
    let vars = match () {
        () if c.truthy(6) => r.vars.borrow().clone(),
        () if c.truthy(7) => Rc::new(r.vars.borrow().duplicate()),
        () => Rc::new(VarSlots::new(r.http().vars.slots())),
    };
    // Methods that come with a body have one of no bytes; the others have none, nor a length.
    let bodied = method.is(Method::POST | Method::PUT);
    let none = || if bodied { Body::ready(Bytes::new()) } else { Body::default() };
    let spec = SubrequestSpec {
        method,
        uri: uri.into(),
        args: args.into(),
        headers,
        body: body.unwrap_or_else(none),
        vars,
        capture: Some(Rc::default()),
    };
    let Some(sub) = subrequest::begin(r, spec) else {
        let shown = bstr::BStr::new(target);
        r.log(Level::Error, format_args!("lua subrequests cycle while processing \"{shown}\""));
        return Err(Raise::text("failed to issue subrequest: -1"));
    };
    set_vars(c, &sub)?;
    if c.kind(9) == Kind::Table {
        let table: Func = c.keep(&c.ctx()?.vm.host, 9);
        *sub.ext::<LuaRequest>().table.borrow_mut() = Some(Rc::new(table));
    }
    r.ext::<Prepared>().0.borrow_mut().push(sub);
    Ok(0)
}

/// The option `headers`: lines in the place of those of the same name.
fn add_headers(c: &Call<'_>, headers: &mut Headers) {
    c.each(10, |v, name, value| {
        if let (Kind::Str, Some(name)) = (v.kind(name), v.to_bytes(name)) {
            let name = escape_with(name, ESCAPE_NAME);
            match v.to_bytes(value) {
                Some(value) => headers.set(name, escape_with(value, ESCAPE_VALUE)),
                None => _ = headers.remove(&name),
            }
        }
        true
    });
}

fn merged_args(c: &Call<'_>, mut args: Vec<u8>) -> Result<Vec<u8>, Raise> {
    let more = match c.kind(4) {
        Kind::None | Kind::Nil => return Ok(args),
        Kind::Str | Kind::Num => c.bytes(4)?.to_vec(),
        Kind::Table => args_of_table(c, 4)?,
        _ => return Err(Raise::text("Bad args option value")),
    };
    if !more.is_empty() {
        if !args.is_empty() {
            args.push(b'&');
        }
        args.extend_from_slice(&more);
    }
    Ok(args)
}

/// The body goes along when it is given, asked for, or of a method that has one.
fn method_and_body(c: &Call<'_>, r: &Rc<Request>) -> Result<(Method, Option<Body>), Raise> {
    let method = match c.opt_int(2)? {
        None => Method::get(),
        Some(bit) => u32::try_from(bit)
            .ok()
            .and_then(Method::of_bit)
            .ok_or_else(|| Raise::text(format!("unsupported HTTP method: {bit}")))?,
    };
    if !c.absent(3) {
        let body = c.bytes(3).map_err(|_| Raise::text("Bad http request body"))?;
        return Ok((method, Some(Body::ready(Bytes::copy_from_slice(body)))));
    }
    let forwards = c.truthy(8) || method.is(Method::POST | Method::PUT);
    let body = (forwards && r.body.is_read()).then(|| Body::shared(&r.body));
    Ok((method, body))
}

fn set_vars(c: &Call<'_>, sub: &Rc<Request>) -> Result<(), Raise> {
    let mut error = None;
    c.each(5, |v, key, value| {
        let (Some(name), Some(value)) = (v.to_bytes(key), v.to_bytes(value)) else {
            let what = v.type_name(value);
            error = Some(format!("attempt to use bad variable value type {what}"));
            return false;
        };
        let shown = String::from_utf8_lossy(name).into_owned();
        match sub.set_var_by_name(name, Some(Bytes::copy_from_slice(value))) {
            Ok(()) => {}
            Err(VarWriteError::NotChangeable) => {
                error = Some(format!("variable \"{shown}\" not changeable"));
            }
            Err(VarWriteError::NotFound) => {
                error = Some(format!(
                    "variable \"{shown}\" cannot be assigned a value (maybe you forgot to define \
                     it first?) "
                ));
            }
        }
        error.is_none()
    });
    match error {
        Some(text) => Err(Raise::text(text)),
        None => Ok(()),
    }
}

/// Runs what was prepared; one result table each.
fn run(c: &Call<'_>) -> Result<c_int, Raise> {
    let subs = c.request()?.ext::<Prepared>().0.take();
    let pending = Pending::new(c.ctx()?);
    c.wait(async move {
        join_all(subs.iter().cloned().map(subrequest::drive)).await;
        drop(pending);
        Reply(subs.iter().map(result).collect())
    })
}

fn result(sub: &Rc<Request>) -> Val {
    let empty = Capture::default();
    let capture = sub.capture.as_deref().unwrap_or(&empty);
    let body = capture.body.borrow().to_vec();
    Val::Map(vec![
        ("status".into(), capture.status.get().into()),
        ("truncated".into(), capture.truncated.get().into()),
        ("body".into(), body.into()),
        ("header".into(), header_table(capture)),
    ])
}

fn header_table(capture: &Capture) -> Val {
    let head = capture.head.borrow();
    let mut fields: Vec<(Bytes, Vec<Val>)> = Vec::new();
    if let Some(head) = &*head {
        let mut add = |name: Bytes, value: Val| match fields.iter_mut().find(|(n, _)| *n == name) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        };
        if let Some(kind) = head.content_type_line() {
            add(Bytes::from_static(b"Content-Type"), kind.into());
        }
        if let Some(length) = head.content_length {
            add(Bytes::from_static(b"Content-Length"), length.to_string().into());
        }
        if let Some(at) = head.last_modified {
            let text = crate::base::date::http_time(at);
            add(Bytes::from_static(b"Last-Modified"), text.into());
        }
        head.list.iter().for_each(|h| add(h.name.clone(), h.value.clone().into()));
    }
    let one = |mut values: Vec<Val>| match values.len() {
        1 => values.remove(0),
        _ => Val::List(values),
    };
    Val::Map(fields.into_iter().map(|(name, values)| (name.into(), one(values))).collect())
}

/// Marks a context and the light thread in it as having subrequests under way.
struct Pending {
    ctx: Rc<Ctx>,
    light: usize,
}

impl Pending {
    fn new(ctx: &Rc<Ctx>) -> Self {
        let pending = Self { ctx: Rc::clone(ctx), light: ctx.cur_light() };
        pending.count(1);
        pending
    }

    fn count(&self, change: i32) {
        let pending = &self.ctx.pending_subrequests;
        pending.set(pending.get().wrapping_add_signed(change));
        self.ctx.count_subrequests(self.light, change);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.count(-1);
    }
}
