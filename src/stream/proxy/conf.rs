//! Rows of `proxy_*`.

use std::sync::Arc;

use crate::base::units;
use crate::conf::row::{Row, STREAM_SERVER, args, at_least, flag, row, take};
use crate::conf::{Builder, Diag, Directive, Part, inherit};
use crate::net::addr::{Url, Want};
use crate::server::secure::{SecureConf, secure_rows};
use crate::server::template::Template;
use crate::stream::conf::LEVELS;
use crate::stream::content;
use crate::stream::session::Session;
use crate::upstream::{Group, Realm, conf::mention_in};

use super::PassOn;

/// Settings of `ngx_stream_proxy_module`. Unset fields take nginx's defaults in the accessors.
#[derive(Default)]
pub struct Proxy {
    pub pass: Option<Pass>,
    pub connect_timeout_ms: Option<u64>,
    pub timeout_ms: Option<u64>,
    pub buffer_size: Option<usize>,
    /// Bytes a second; 0 for no limit.
    pub upload_rate: Option<Template<Session>>,
    pub download_rate: Option<Template<Session>>,
    pub requests: Option<u64>,
    pub responses: Option<u64>,
    pub next_upstream: Option<bool>,
    pub next_upstream_tries: Option<u64>,
    pub next_upstream_timeout_ms: Option<u64>,
    /// `off` is an empty one.
    pub bind: Option<Option<Template<Session>>>,
    pub half_close: Option<bool>,
    pub proxy_protocol: Option<bool>,
    pub socket_keepalive: Option<bool>,
    ssl: Option<bool>,
    pub alpn: Option<Vec<Template<Session>>>,
    pub secure: SecureConf<Session>,
}

/// What `proxy_pass` says.
#[derive(Clone)]
pub enum Pass {
    Fixed(Arc<Group>),
    /// With variables: known for each session only.
    Variable(Template<Session>),
}

impl Part for Proxy {
    fn inherit(&mut self, parent: &Self) {
        inherit!(self, parent: connect_timeout_ms, timeout_ms, buffer_size, upload_rate,
            download_rate, requests, responses, next_upstream, next_upstream_tries,
            next_upstream_timeout_ms, bind, half_close, proxy_protocol, socket_keepalive, ssl,
            alpn);
        self.secure.inherit(&parent.secure);
    }
}

macro_rules! accessors {
    ($($name:ident: $kind:ty = $default:expr;)+) => {
        impl Proxy {
            $(pub fn $name(&self) -> $kind { self.$name.unwrap_or($default) })+
        }
    };
}

accessors! {
    connect_timeout_ms: u64 = 60_000;
    timeout_ms: u64 = 600_000;
    buffer_size: usize = 16 * 1024;
    requests: u64 = 0;
    next_upstream: bool = true;
    next_upstream_tries: u64 = 0;
    next_upstream_timeout_ms: u64 = 0;
    half_close: bool = false;
    proxy_protocol: bool = false;
    socket_keepalive: bool = false;
    ssl: bool = false;
}

pub const ROWS: &[Row] = &[
    row("proxy_pass", STREAM_SERVER, take(1), set_pass),
    row("proxy_connect_timeout", LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<Proxy>().connect_timeout_ms)
    }),
    row("proxy_timeout", LEVELS, take(1), |b, d| d.msec_slot(&mut b.part::<Proxy>().timeout_ms)),
    row("proxy_buffer_size", LEVELS, take(1), |b, d| {
        d.once(&mut b.part::<Proxy>().buffer_size, |d| match d.size(1)? {
            0 => Err(d.wrong("invalid value")),
            size => Ok(size),
        })
    }),
    row("proxy_downstream_buffer", LEVELS, take(1), |b, d| {
        d.size_slot(&mut b.part::<Proxy>().buffer_size)
    }),
    row("proxy_upstream_buffer", LEVELS, take(1), |b, d| {
        d.size_slot(&mut b.part::<Proxy>().buffer_size)
    }),
    row("proxy_upload_rate", LEVELS, take(1), |b, d| set_rate(b, d, |p| &mut p.upload_rate)),
    row("proxy_download_rate", LEVELS, take(1), |b, d| set_rate(b, d, |p| &mut p.download_rate)),
    row("proxy_requests", LEVELS, take(1), |b, d| d.number_slot(&mut b.part::<Proxy>().requests)),
    row("proxy_responses", LEVELS, take(1), |b, d| d.number_slot(&mut b.part::<Proxy>().responses)),
    flag("proxy_next_upstream", LEVELS, |b, d| d.flag_slot(&mut b.part::<Proxy>().next_upstream)),
    row("proxy_next_upstream_tries", LEVELS, take(1), |b, d| {
        d.number_slot(&mut b.part::<Proxy>().next_upstream_tries)
    }),
    row("proxy_next_upstream_timeout", LEVELS, take(1), |b, d| {
        d.msec_slot(&mut b.part::<Proxy>().next_upstream_timeout_ms)
    }),
    row("proxy_bind", LEVELS, args(1, 2), set_bind),
    flag("proxy_half_close", LEVELS, |b, d| d.flag_slot(&mut b.part::<Proxy>().half_close)),
    flag("proxy_protocol", LEVELS, |b, d| d.flag_slot(&mut b.part::<Proxy>().proxy_protocol)),
    flag("proxy_socket_keepalive", LEVELS, |b, d| {
        d.flag_slot(&mut b.part::<Proxy>().socket_keepalive)
    }),
    flag("proxy_ssl", LEVELS, |b, d| d.flag_slot(&mut b.part::<Proxy>().ssl)),
    row("proxy_ssl_alpn", LEVELS, at_least(1), |b, d| {
        let names = d.args().iter().map(|word| Template::compile(b, &word.text));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        d.once(&mut b.part::<Proxy>().alpn, |_| Ok(names))
    }),
];

/// `proxy_ssl_*`
pub const SSL_ROWS: &[Row] = secure_rows!("proxy", LEVELS, secure);

fn secure<'b>(b: &'b mut Builder<'_>) -> &'b mut SecureConf<Session> {
    &mut b.part::<Proxy>().secure
}

fn set_pass(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if b.part::<Proxy>().pass.is_some() {
        return Err(d.wrong("is duplicate"));
    }
    content::choose(b, &PassOn);
    let text = d.arg(1);
    let pass = if text.contains(&b'$') {
        Pass::Variable(Template::compile(b, text)?)
    } else {
        let want = Want { no_resolve: true, ..Want::default() };
        let wrong = |e| d.wrong_arg(1, format!("{e} in upstream \"{text}\""));
        let url = Url::parse(text, &want).map_err(wrong)?;
        Pass::Fixed(mention_in(Realm::Stream, b, d, &url)?)
    };
    b.part::<Proxy>().pass = Some(pass);
    Ok(())
}

fn set_rate(
    b: &mut Builder<'_>,
    d: &Directive,
    slot: fn(&mut Proxy) -> &mut Option<Template<Session>>,
) -> Result<(), Diag> {
    let rate = Template::compile(b, d.arg(1))?;
    if rate.is_constant() && units::parse_size(d.arg(1)).is_none() {
        return Err(d.wrong("invalid value"));
    }
    d.once(slot(b.part::<Proxy>()), |_| Ok(rate))
}

fn set_bind(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg_count() == 2 {
        return Err(match d.arg(2) == "transparent" {
            true => d.wrong_arg(2, "transparent proxying is not supported here"),
            false => d.bad_param(2),
        });
    }
    let bind = match d.arg(1) == "off" {
        true => None,
        false => {
            let template = Template::compile(b, d.arg(1))?;
            if template.is_constant() && super::target::local(d.arg(1)).is_none() {
                return Err(d.wrong_arg(1, format!("invalid address \"{}\"", d.arg(1))));
            }
            Some(template)
        }
    };
    d.once(&mut b.part::<Proxy>().bind, |_| Ok(bind))
}
