//! `fastcgi_pass` and `fastcgi_*`.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;

use crate::server::regex;
use crate::{
    base::regex::Regex,
    conf::{
        Builder, Diag, Directive, Part, inherit,
        row::{HTTP_LEVELS, Row, args, flag, row, take},
    },
    http::{
        proxy::{
            cache::conf::cache_rows,
            conf::{PASS_LEVELS, set_pass},
            family::{Family, Settings},
            forward::Choices,
            rows::{answer_rows, body_rows, peer_rows},
            settings::Proxy,
        },
        request::Request,
        vars::{VarRow, var_live},
    },
};

use super::{Params, each_param, records, set_param};

/// The settings of `fastcgi_*`.
#[derive(Default)]
pub struct Fastcgi {
    pub proxy: Proxy,
    params: Params,
    index: Option<Bytes>,
    /// Its first group is the script's name, the second the path behind it.
    split: Option<Arc<Regex>>,
    keep_conn: Option<bool>,
    /// What an error line must not say.
    catch_stderr: Option<Arc<Vec<Bytes>>>,
}

impl Part for Fastcgi {
    fn inherit(&mut self, parent: &Self) {
        self.proxy.inherit(&parent.proxy);
        inherit!(self, parent: params, index, split, keep_conn, catch_stderr);
    }
}

impl Settings for Fastcgi {
    fn settings(&mut self) -> &mut Proxy {
        &mut self.proxy
    }
}

pub const ROWS: &[Row] = &[
    row("fastcgi_pass", PASS_LEVELS, take(1), |b, d| set_pass::<Fastcgi>(b, d, Family::Fastcgi)),
    row("fastcgi_param", HTTP_LEVELS, args(2, 3), |b, d| {
        set_param(b, d, |b| &mut b.part::<Fastcgi>().params)
    }),
    row("fastcgi_index", HTTP_LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Fastcgi>().index, |d| Ok(Bytes::copy_from_slice(d.arg(1))))
    }),
    row("fastcgi_split_path_info", HTTP_LEVELS, take(1), set_split),
    flag("fastcgi_keep_conn", HTTP_LEVELS, |b, d| d.flag_slot(&mut b.part::<Fastcgi>().keep_conn)),
    row("fastcgi_catch_stderr", HTTP_LEVELS, take(1), |b, d| {
        let list = b.part::<Fastcgi>().catch_stderr.get_or_insert_with(Arc::default);
        if let Some(list) = Arc::get_mut(list) {
            list.push(Bytes::copy_from_slice(d.arg(1)));
        }
        Ok(())
    }),
];

pub const PEER_ROWS: &[Row] = &peer_rows!("fastcgi", Fastcgi);
pub const ANSWER_ROWS: &[Row] = &answer_rows!("fastcgi", Fastcgi);
pub const BODY_ROWS: &[Row] = &body_rows!("fastcgi", Fastcgi);
pub const CACHE_ROWS: &[Row] = &cache_rows!("fastcgi", Fastcgi);

pub const VARS: &[VarRow] = &[
    var_live("fastcgi_script_name", |r, _| {
        let (mut name, _) = split(r);
        if name.ends_with(b"/")
            && let Some(index) = &r.location().scope.part::<Fastcgi>().index
        {
            name.extend_from_slice(index);
        }
        Some(name.into())
    }),
    var_live("fastcgi_path_info", |r, _| Some(split(r).1.into())),
];

fn set_split(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let regex = regex::compile(d.arg(1), false)?;
    if regex.capture_count() != 2 {
        return Err(Diag::emerg(format!("pattern \"{}\" must have 2 captures", d.arg(1))));
    }
    d.once(&mut b.part::<Fastcgi>().split, |_| Ok(Arc::new(regex)))
}

/// The script's name and the path behind it.
fn split(r: &Rc<Request>) -> (Vec<u8>, Vec<u8>) {
    let location = r.location();
    let uri = r.uri.borrow().clone();
    let whole = || (uri.to_vec(), Vec::new());
    let Some(regex) = &location.scope.part::<Fastcgi>().split else { return whole() };
    // A pattern that gives up does not match.
    let Ok(Some(found)) = regex.captures(&uri) else { return whole() };
    let group = |at: usize| found.text(at, &uri).unwrap_or_default().to_vec();
    (group(1), group(2))
}

/// Whether connections are used again.
pub fn keeps(r: &Rc<Request>) -> bool {
    r.with_location(|location| location.scope.part::<Fastcgi>().keep_conn.unwrap_or(false))
}

/// `fastcgi_catch_stderr`: whether an application's complaint makes its answer a bad one.
pub fn catches(r: &Rc<Request>, complaint: &[u8]) -> bool {
    let location = r.location();
    let Some(texts) = &location.scope.part::<Fastcgi>().catch_stderr else { return false };
    texts.iter().any(|text| memchr::memmem::find(complaint, text).is_some())
}

/// What goes before the body.
pub fn head(r: &Rc<Request>, conf: &Proxy, choices: &Choices) -> Vec<u8> {
    let mut params = Vec::with_capacity(1024);
    let location = r.location();
    let own = location.scope.part::<Fastcgi>();
    each_param(r, conf, &own.params, choices, |name, value| {
        put_length(&mut params, name.len());
        put_length(&mut params, value.len());
        params.extend_from_slice(name);
        params.extend_from_slice(value);
    });
    let mut out = Vec::with_capacity(params.len() + 64);
    let keeps = u8::from(own.keep_conn.unwrap_or(false));
    records::put(&mut out, records::BEGIN_REQUEST, &[0, RESPONDER, keeps, 0, 0, 0, 0, 0]);
    records::put(&mut out, records::PARAMS, &params);
    records::put_end(&mut out, records::PARAMS);
    out
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    match u8::try_from(length) {
        Ok(short) if short < 128 => out.push(short),
        _ => out.extend_from_slice(&(length as u32 | 1 << 31).to_be_bytes()),
    }
}

const RESPONDER: u8 = 1;
