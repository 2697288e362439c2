//! `add_before_body`, `add_after_body`: answers of other locations around a response.

use std::{cell::Cell, rc::Rc};

use bytes::Bytes;

use crate::conf::{
    Part, Scope, inherit,
    row::{HTTP_LEVELS, Row, at_least, row, take},
};

use crate::http::{
    body::Body,
    method::Method,
    mime::TypeSet,
    output::{Chunk, Chunks, Filter, OutputError, Sub},
    request::{Request, SubrequestSpec},
};

pub static FILTER: Addition = Addition;

pub const ROWS: &[Row] = &[
    row("add_before_body", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<AdditionConf>().before, |d| Ok(Bytes::copy_from_slice(d.arg(1))))
    }),
    row("add_after_body", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<AdditionConf>().after, |d| Ok(Bytes::copy_from_slice(d.arg(1))))
    }),
    row("addition_types", HTTP_LEVELS, at_least(1), |b, d| {
        let set = TypeSet::read(b, d, &["text/html"]);
        d.once(&mut b.part::<AdditionConf>().types, |_| Ok(set))
    }),
];

/// Settings of one block.
#[derive(Default)]
struct AdditionConf {
    before: Option<Bytes>,
    after: Option<Bytes>,
    types: Option<TypeSet>,
}

impl Part for AdditionConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: before, after, types);
    }
}

/// How far one response has come.
#[derive(Default)]
struct Progress {
    adds: Cell<bool>,
    begun: Cell<bool>,
    ended: Cell<bool>,
}

/// Puts the answers around.
pub struct Addition;

impl Filter for Addition {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<AdditionConf>().is_some_and(|conf| {
            [&conf.before, &conf.after]
                .into_iter()
                .any(|uri| uri.as_ref().is_some_and(|uri| !uri.is_empty()))
        })
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        if r.is_subrequest() || r.headers_out.borrow().status != 200 {
            return Ok(());
        }
        let location = r.location();
        let conf = location.scope.part::<AdditionConf>();
        let mut out = r.headers_out.borrow_mut();
        let fits = match &conf.types {
            Some(types) => types.has(out.content_type.as_ref()),
            None => TypeSet::of(&["text/html"]).has(out.content_type.as_ref()),
        };
        if !fits {
            return Ok(());
        }
        r.ext::<Progress>().adds.set(true);
        out.content_length = None;
        out.accept_ranges = false;
        out.last_modified = None;
        for name in [&b"Accept-Ranges"[..], b"Last-Modified"] {
            out.list.remove(name);
        }
        super::gzip::weaken_tag(&mut out);
        Ok(())
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        let Some(progress) = r.ext_if_any::<Progress>() else { return Ok(()) };
        if !progress.adds.get() || r.header_only.get() {
            return Ok(());
        }
        let location = r.location();
        let conf = location.scope.part::<AdditionConf>();
        if !progress.begun.replace(true)
            && let Some(sub) = subrequest_to(r, conf.before.as_ref())
        {
            chunks.insert(0, Chunk::sub(sub));
        }
        if let Some(last) = chunks.iter_mut().find(|chunk| chunk.last)
            && !progress.ended.replace(true)
            && let Some(sub) = subrequest_to(r, conf.after.as_ref())
        {
            last.sub = Some(Sub(sub));
        }
        Ok(())
    }
}

/// A request for another location, to speak in this one's output.
fn subrequest_to(r: &Rc<Request>, uri: Option<&Bytes>) -> Option<Rc<Request>> {
    // nginx takes the whole text for a path, question marks included.
    let uri = uri.filter(|uri| !uri.is_empty())?.clone();
    let spec = SubrequestSpec {
        method: Method::get(),
        uri,
        args: Bytes::new(),
        headers: r.headers_in.borrow().clone(),
        body: Body::shared(&r.body),
        vars: r.vars.borrow().clone(),
        capture: None,
    };
    Request::subrequest(r, spec)
}
