//! `charset`: the character set named in `Content-Type`, and texts converted to it.
//!
//! ```text
//!  charset utf-8; source_charset koi8-r; charset_map koi8-r utf-8 { 80 E282AC; … }
//!  chunk ─▶ Table: byte ─▶ byte | byte ─▶ UTF-8 | UTF-8 ─▶ byte ─▶ chunk
//! ```

mod map;

use std::{cell::RefCell, rc::Rc, sync::Arc};

use bstr::BStr;
use bytes::Bytes;

use crate::{
    base::log::Level,
    conf::{
        Builder, Diag, Directive, Part, Scope, inherit,
        row::{HTTP, HTTP_LEVELS, IF_LOCATION, Row, at_least, flag, raw_block, row, take},
    },
};

use crate::http::{
    mime::TypeSet,
    output::{Chunks, Filter, OutputError},
    request::Request,
    template::Template,
};

use self::map::{Maps, Recoder};

pub static FILTER: Charset = Charset;

pub const ROWS: &[Row] = &[
    row("charset", HTTP_LEVELS | IF_LOCATION, take(1), |b, d| {
        let name = name(b, d)?;
        d.once(&mut b.part::<CharsetConf>().name, |_| Ok(name))
    }),
    row("source_charset", HTTP_LEVELS | IF_LOCATION, take(1), |b, d| {
        let name = name(b, d)?;
        d.once(&mut b.part::<CharsetConf>().source, |_| Ok(name))
    }),
    row("charset_types", HTTP_LEVELS, at_least(1), |b, d| {
        let set = TypeSet::read(b, d, &["text/html"]);
        d.once(&mut b.part::<CharsetConf>().types, |_| Ok(set))
    }),
    flag("override_charset", HTTP_LEVELS | IF_LOCATION, |b, d| {
        d.flag_slot(&mut b.part::<CharsetConf>().overrides)
    }),
    raw_block("charset_map", HTTP, take(2), map::set_map),
];

/// Settings of one block.
#[derive(Default)]
struct CharsetConf {
    /// Nothing inside is `off`.
    name: Option<Option<Template>>,
    source: Option<Option<Template>>,
    types: Option<TypeSet>,
    overrides: Option<bool>,
}

impl Part for CharsetConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: name, source, types, overrides);
    }
}

fn name(b: &mut Builder<'_>, d: &Directive) -> Result<Option<Template>, Diag> {
    match d.arg(1) {
        off if off == "off" && d.name() == "charset" => Ok(None),
        name => Ok(Some(Template::compile(b, name)?)),
    }
}

/// What a location would have to convert without a table for it, by names that are no variables.
pub fn missing_map(http: &Scope, location: &Scope) -> Option<Diag> {
    let conf = location.find::<CharsetConf>()?;
    let (Some(Some(to)), Some(Some(from))) = (&conf.name, &conf.source) else { return None };
    let known = |text: &Template| text.is_constant().then(|| text.eval_unasked(|_| Bytes::new()));
    let (to, from) = (known(to)?, known(from)?);
    if to.eq_ignore_ascii_case(&from) || http.part::<Maps>().table(&from, &to).is_some() {
        return None;
    }
    let (from, to) = (BStr::new(&from), BStr::new(&to));
    let text = format!("no \"charset_map\" between the charsets \"{from}\" and \"{to}\"");
    Some(Diag::emerg(text).nowhere())
}

/// The conversion of one response.
#[derive(Default)]
struct Work(RefCell<Option<Recoder>>);

/// Names the character set and converts.
pub struct Charset;

impl Filter for Charset {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<CharsetConf>().is_some()
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let location = r.location();
        let conf = location.scope.part::<CharsetConf>();
        let Some(wanted) = wanted(r, conf) else { return Ok(()) };
        let had = r.headers_out.borrow().charset.clone().filter(|charset| !charset.is_empty());
        let source = had.or_else(|| conf.source.as_ref()?.as_ref().map(|source| source.eval(r)));
        let packed = {
            let out = r.headers_out.borrow();
            out.list.first("Content-Encoding").is_some_and(|encoding| !encoding.is_empty())
        };
        match source {
            Some(source) if !source.eq_ignore_ascii_case(&wanted) => {
                let maps = r.http().scope.part::<Maps>();
                if packed {
                    // It cannot be converted, so nothing true can be said.
                    r.headers_out.borrow_mut().charset = None;
                    return Ok(());
                }
                let Some(table) = maps.table(&source, &wanted) else {
                    let (from, wanted) = (BStr::new(&source), BStr::new(&wanted));
                    r.log(
                        Level::Error,
                        format_args!(
                            "no \"charset_map\" between the charsets \"{from}\" and \"{wanted}\""
                        ),
                    );
                    tell(r, source);
                    return Ok(());
                };
                convert(r, table);
                tell(r, wanted);
            }
            _ => tell(r, wanted),
        }
        Ok(())
    }

    fn body(&self, r: &Rc<Request>, chunks: &mut Chunks) -> Result<(), OutputError> {
        let Some(work) = r.ext_if_any::<Work>() else { return Ok(()) };
        let mut work = work.0.borrow_mut();
        let Some(recoder) = work.as_mut() else { return Ok(()) };
        for chunk in chunks.iter_mut() {
            chunk.data = recoder.run(&chunk.data, chunk.last);
        }
        Ok(())
    }
}

/// The character set this response should be in; subrequests speak their main request's.
fn wanted(r: &Rc<Request>, conf: &CharsetConf) -> Option<Bytes> {
    if r.is_subrequest() {
        let out = r.main().headers_out.borrow();
        return out.charset.clone().filter(|charset| !charset.is_empty());
    }
    if let Some(own) = r.ext_if_any::<Override>() {
        return own.0.borrow().clone();
    }
    let Some(Some(name)) = &conf.name else { return None };
    let refused = {
        let out = r.headers_out.borrow();
        let kind = out.content_type.as_ref();
        let fits = match &conf.types {
            Some(types) => types.has(kind),
            None => TypeSet::of(DEFAULT_TYPES).has(kind),
        };
        // A charset that is there already stays.
        let inline = kind.is_some_and(|kind| {
            bstr::ByteSlice::find(&kind.to_ascii_lowercase()[..], b"charset=").is_some()
        });
        let named = out.charset.as_ref().is_some_and(|charset| !charset.is_empty());
        !fits || inline || named && conf.overrides != Some(true)
    };
    (!refused).then(|| name.eval(r))
}

/// A character set that somebody asks for, whatever the type of the text (`X-Accel-Charset`).
pub fn override_with(r: &Rc<Request>, name: Bytes) {
    if r.with_location(|location| location.scope.find::<CharsetConf>().is_none()) {
        r.headers_out.borrow_mut().charset = Some(name);
        return;
    }
    *r.ext::<Override>().0.borrow_mut() = Some(name);
}

#[derive(Default)]
struct Override(RefCell<Option<Bytes>>);

fn tell(r: &Rc<Request>, name: Bytes) {
    let mut out = r.headers_out.borrow_mut();
    // Old browsers took the charset of a redirect for that of the next page.
    let redirect = matches!(out.status, 301 | 302);
    out.charset = if redirect { None } else { Some(name) };
}

fn convert(r: &Rc<Request>, table: Arc<map::Table>) {
    r.filter_need_in_memory.set(true);
    if !table.keeps_length() {
        let mut out = r.headers_out.borrow_mut();
        out.content_length = None;
        out.accept_ranges = false;
        out.list.remove(b"Accept-Ranges");
        super::gzip::weaken_tag(&mut out);
    }
    *r.ext::<Work>().0.borrow_mut() = Some(Recoder::new(table));
}

const DEFAULT_TYPES: &[&str] = &[
    "text/html",
    "text/xml",
    "text/plain",
    "text/vnd.wap.wml",
    "application/javascript",
    "application/rss+xml",
];
