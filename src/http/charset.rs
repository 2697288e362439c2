//! `charset`: the character set named in `Content-Type`. Texts are not converted.

use std::rc::Rc;

use crate::conf::{
    Part, Scope, inherit,
    row::{HTTP_LEVELS, IF_LOCATION, Row, at_least, flag, row, take},
};

use super::{
    mime::TypeSet,
    output::{Filter, OutputError},
    request::Request,
    template::Template,
};

pub static FILTER: Charset = Charset;

pub const ROWS: &[Row] = &[
    row("charset", HTTP_LEVELS | IF_LOCATION, take(1), |b, d| {
        let name = match d.arg(1) {
            off if off == "off" => None,
            name => Some(Template::compile(b, name)?),
        };
        d.once(&mut b.part::<CharsetConf>().name, |_| Ok(name))
    }),
    row("charset_types", HTTP_LEVELS, at_least(1), |b, d| {
        let set = TypeSet::read(b, d, &["text/html"]);
        d.once(&mut b.part::<CharsetConf>().types, |_| Ok(set))
    }),
    flag("override_charset", HTTP_LEVELS | IF_LOCATION, |b, d| {
        d.flag_slot(&mut b.part::<CharsetConf>().overrides)
    }),
];

/// Settings of one block.
#[derive(Default)]
struct CharsetConf {
    /// Nothing inside is `off`.
    name: Option<Option<Template>>,
    types: Option<TypeSet>,
    overrides: Option<bool>,
}

impl Part for CharsetConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: name, types, overrides);
    }
}

/// Names the character set.
pub struct Charset;

impl Filter for Charset {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<CharsetConf>().is_some_and(|conf| matches!(conf.name, Some(Some(_))))
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let location = r.location();
        let conf = location.scope.part::<CharsetConf>();
        let Some(Some(name)) = &conf.name else { return Ok(()) };
        let named = {
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
            !fits || inline || out.charset.as_ref().is_some_and(|charset| !charset.is_empty())
        };
        if named {
            return Ok(());
        }
        let name = name.eval(r);
        let mut out = r.headers_out.borrow_mut();
        // Old browsers took the charset of a redirect for that of the next page.
        let redirect = matches!(out.status, 301 | 302);
        out.charset = if redirect { None } else { Some(name) };
        Ok(())
    }
}

const DEFAULT_TYPES: &[&str] = &[
    "text/html",
    "text/xml",
    "text/plain",
    "text/vnd.wap.wml",
    "application/javascript",
    "application/rss+xml",
];
