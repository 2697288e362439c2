//! `gzip`: responses packed for clients that unpack them.
//!
//! ```text
//!  header filter (late): may it be packed? ─▶ Content-Encoding, a Stream for the request
//!  head::write_body ─▶ Stream::pack ─▶ chunked encoding
//! ```
//! Packing happens behind the order of subrequests, because their output is part of the body.

use std::{cell::RefCell, io::Write, rc::Rc};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};

use crate::server::regex;
use crate::{
    base::{date, regex::Regex},
    conf::{
        Builder, Diag, Directive, Part, Scope, in_bounds, inherit,
        row::{HTTP_LEVELS, IF_LOCATION, Row, at_least, flag, row, take},
    },
};

use crate::http::{
    headers::HeadersOut,
    mime::TypeSet,
    output::{Chunk, Filter, OutputError},
    request::Request,
    vars::{VarRow, var_live},
};

pub static FILTER: Gzip = Gzip;

const LEVELS: u32 = HTTP_LEVELS | IF_LOCATION;

pub const ROWS: &[Row] = &[
    flag("gzip", LEVELS, |b, d| d.flag_slot(&mut b.part::<GzipConf>().on)),
    row("gzip_comp_level", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<GzipConf>().level, |d| in_bounds(d.number(1)?, 1, Some(9)))
    }),
    row("gzip_min_length", HTTP_LEVELS, take(1), |b, d| {
        d.offset_slot(&mut b.part::<GzipConf>().min_length)
    }),
    row("gzip_types", HTTP_LEVELS, at_least(1), |b, d| {
        let set = TypeSet::read(b, d, &["text/html"]);
        d.once(&mut b.part::<GzipConf>().types, |_| Ok(set))
    }),
    row("gzip_http_version", HTTP_LEVELS, take(1), |b, d| {
        d.choice_slot(&mut b.part::<GzipConf>().http_version, &[("1.0", 1000), ("1.1", 1001)])
    }),
    row("gzip_proxied", HTTP_LEVELS, at_least(1), |b, d| {
        let mask = b.mask(d, PROXIED)?;
        d.once(&mut b.part::<GzipConf>().proxied, |_| Ok(mask))
    }),
    flag("gzip_vary", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<GzipConf>().vary)),
    row("gzip_disable", HTTP_LEVELS, at_least(1), set_disable),
    // How zlib's memory is cut: ours is cut by the library.
    row("gzip_buffers", HTTP_LEVELS, take(2), |_, d| d.buffers_slot(&mut None)),
    row("gzip_window", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    row("gzip_hash", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    row("postpone_gzipping", HTTP_LEVELS, take(1), |_, d| d.size(1).map(drop)),
    flag("gzip_no_buffer", HTTP_LEVELS, |_, d| d.flag(1).map(drop)),
];

pub const VARS: &[VarRow] = &[var_live("gzip_ratio", |r, _| r.ext_if_any::<Stream>()?.ratio())];

/// Settings of one block.
#[derive(Default)]
struct GzipConf {
    on: Option<bool>,
    level: Option<u64>,
    min_length: Option<u64>,
    types: Option<TypeSet>,
    http_version: Option<u16>,
    proxied: Option<u32>,
    vary: Option<bool>,
    disable: Option<std::sync::Arc<Vec<Regex>>>,
}

impl Part for GzipConf {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: on, level, min_length, types, http_version, proxied, vary, disable);
    }
}

fn set_disable(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut patterns = Vec::new();
    for index in 1..=d.arg_count() {
        let pattern = match d.arg(index) {
            word if word == "msie6" => &b"MSIE [4-6]\\."[..],
            word => word,
        };
        patterns.push(regex::compile(pattern, true)?);
    }
    b.part::<GzipConf>().disable = Some(std::sync::Arc::new(patterns));
    Ok(())
}

/// The packer of one response.
#[derive(Default)]
pub struct Stream(RefCell<Option<State>>);

struct State {
    encoder: Option<GzEncoder<Vec<u8>>>,
    taken: u64,
    given: u64,
}

impl Stream {
    /// Packs a piece of body; the last one brings the end of the stream.
    pub fn pack(&self, chunk: Chunk, ends: bool) -> Chunk {
        let mut state = self.0.borrow_mut();
        let Some(state) = state.as_mut() else { return chunk };
        let Some(mut encoder) = state.encoder.take() else { return chunk };
        state.taken += chunk.data.len() as u64;
        // Writing into memory cannot fail.
        let _ = encoder.write_all(&chunk.data);
        let packed = if ends {
            encoder.finish().unwrap_or_default()
        } else {
            if chunk.flush {
                let _ = encoder.flush();
            }
            let packed = std::mem::take(encoder.get_mut());
            state.encoder = Some(encoder);
            packed
        };
        state.given += packed.len() as u64;
        Chunk { data: packed.into(), ..chunk }
    }

    fn ratio(&self) -> Option<Bytes> {
        let state = self.0.borrow();
        let state = state.as_ref().filter(|state| state.given > 0)?;
        let hundredths = state.taken * 100 / state.given;
        Some(format!("{}.{:02}", hundredths / 100, hundredths % 100).into())
    }
}

/// Decides about packing.
pub struct Gzip;

impl Filter for Gzip {
    fn applies(&self, scope: &Scope) -> bool {
        scope.find::<GzipConf>().is_some_and(|conf| conf.on == Some(true))
    }

    fn header(&self, r: &Rc<Request>) -> Result<(), OutputError> {
        let location = r.location();
        let conf = location.scope.part::<GzipConf>();
        if r.is_subrequest() || r.header_only.get() || !conf.wants(&r.headers_out.borrow()) {
            return Ok(());
        }
        let mut out = r.headers_out.borrow_mut();
        if conf.vary == Some(true) {
            out.list.add(&b"Vary"[..], &b"Accept-Encoding"[..]);
        }
        if !conf.client_may(r, &out) {
            return Ok(());
        }
        out.list.add(&b"Content-Encoding"[..], &b"gzip"[..]);
        out.content_length = None;
        out.accept_ranges = false;
        out.list.remove(b"Accept-Ranges");
        weaken_tag(&mut out);
        let level = Compression::new(conf.level.unwrap_or(1) as u32);
        let encoder = Some(GzEncoder::new(Vec::new(), level));
        *r.ext::<Stream>().0.borrow_mut() = Some(State { encoder, taken: 0, given: 0 });
        Ok(())
    }
}

/// Whether the client, and a proxy before it, takes packed answers; nginx's `gzip_ok`.
pub fn client_accepts(r: &Rc<Request>) -> bool {
    let location = r.location();
    let out = r.headers_out.borrow();
    location.scope.part::<GzipConf>().client_may(r, &out)
}

/// `gzip_vary`
pub fn varies(scope: &Scope) -> bool {
    scope.part::<GzipConf>().vary == Some(true)
}

impl GzipConf {
    /// Whether the response is worth packing.
    fn wants(&self, out: &HeadersOut) -> bool {
        let least = self.min_length.unwrap_or(20);
        matches!(out.status, 200 | 403 | 404)
            && out.list.first("Content-Encoding").is_none_or(|value| value.is_empty())
            && out.content_length.is_none_or(|length| length >= least)
            && match &self.types {
                Some(types) => types.has(out.content_type.as_ref()),
                None => TypeSet::of(&["text/html"]).has(out.content_type.as_ref()),
            }
    }

    /// Whether the client, and a proxy before it, can take it.
    fn client_may(&self, r: &Rc<Request>, out: &HeadersOut) -> bool {
        let headers = r.headers_in.borrow();
        let accepts = headers.first("Accept-Encoding").is_some_and(|value| accepts_gzip(value));
        let agent = headers.first("User-Agent");
        let disabled = self
            .disable
            .iter()
            .flat_map(|all| all.iter())
            .any(|pattern| agent.is_some_and(|agent| pattern.is_match(agent).unwrap_or(false)));
        accepts
            && !disabled
            && r.line.version >= self.http_version.unwrap_or(1001)
            && (!headers.contains(b"Via") || self.proxied_may(r, out))
    }

    fn proxied_may(&self, r: &Rc<Request>, out: &HeadersOut) -> bool {
        let mask = self.proxied.unwrap_or(OFF);
        let has = |bit: u32| mask & bit != 0;
        if has(OFF) {
            return false;
        }
        if has(ANY) || has(AUTH) && r.headers_in.borrow().contains(b"Authorization") {
            return true;
        }
        if let Some(expires) = out.list.first("Expires") {
            if !has(EXPIRED) {
                return false;
            }
            let date = date::parse_http_time(&out.list.first("Date").cloned().unwrap_or_default());
            let now = date.unwrap_or(crate::base::clock::wall().secs);
            return date::parse_http_time(expires).is_some_and(|expires| expires < now);
        }
        if let Some(control) = out.list.joined(b"Cache-Control", b", ") {
            let says = |word: &[u8]| bstr::ByteSlice::find(&control[..], word).is_some();
            return has(NO_CACHE) && says(b"no-cache")
                || has(NO_STORE) && says(b"no-store")
                || has(PRIVATE) && says(b"private");
        }
        if has(NO_LAST_MODIFIED) && out.last_modified.is_none() {
            return true;
        }
        has(NO_ETAG) && !out.list.contains(b"ETag")
    }
}

/// Whether the header names gzip with a quality above zero, or `*`.
fn accepts_gzip(value: &[u8]) -> bool {
    for part in value.split(|byte| *byte == b',') {
        let mut words = part.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let name = words.next().unwrap_or_default();
        if name.eq_ignore_ascii_case(b"gzip") || name == b"*" {
            let quality = words.find_map(|word| word.strip_prefix(b"q="));
            return quality
                .is_none_or(|quality| quality.iter().any(|byte| (b'1'..=b'9').contains(byte)));
        }
    }
    false
}

/// The length and the ranges of a body that a filter rewrites are not known any more; what tells
/// its version stays only when the configuration wants it so.
pub fn body_is_rewritten(out: &mut HeadersOut, keeps_version: bool) {
    out.content_length = None;
    out.accept_ranges = false;
    out.list.remove(b"Accept-Ranges");
    if keeps_version {
        weaken_tag(out);
    } else {
        out.last_modified = None;
        out.list.remove(b"Last-Modified");
        out.list.remove(b"ETag");
    }
}

/// Packed, the response is no longer the same byte for byte.
pub fn weaken_tag(out: &mut HeadersOut) {
    match out.list.first("ETag").cloned() {
        Some(tag) if tag.starts_with(b"W/") => {}
        Some(tag) if tag.starts_with(b"\"") => out.list.set("ETag", [b"W/", &tag[..]].concat()),
        Some(_) => _ = out.list.remove(b"ETag"),
        None => {}
    }
}

const OFF: u32 = 0x0002;
const EXPIRED: u32 = 0x0004;
const NO_CACHE: u32 = 0x0008;
const NO_STORE: u32 = 0x0010;
const PRIVATE: u32 = 0x0020;
const NO_LAST_MODIFIED: u32 = 0x0040;
const NO_ETAG: u32 = 0x0080;
const AUTH: u32 = 0x0100;
const ANY: u32 = 0x0200;
const PROXIED: &[(&str, u32)] = &[
    ("off", OFF),
    ("expired", EXPIRED),
    ("no-cache", NO_CACHE),
    ("no-store", NO_STORE),
    ("private", PRIVATE),
    ("no_last_modified", NO_LAST_MODIFIED),
    ("no_etag", NO_ETAG),
    ("auth", AUTH),
    ("any", ANY),
];
