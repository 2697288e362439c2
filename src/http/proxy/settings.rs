//! The settings of `proxy_*` in one block, with nginx's defaults.

use std::sync::Arc;

use bytes::Bytes;

use crate::{
    conf::{Part, inherit},
    http::template::Template,
    net::http1::{HeaderLine, Known},
    upstream::Group,
};

use super::{
    cache::conf::CacheConf,
    cookie::FlagRule,
    family::{Family, Settings},
    rewrite::Rewrite,
    secure::SecureConf,
    store::Store,
};

/// Settings of `ngx_http_proxy_module`. Unset fields take nginx's defaults in the accessors.
#[derive(Default)]
pub struct Proxy {
    pub pass: Option<Pass>,
    /// `proxy_redirect off` is `Some(false)`.
    pub redirect: Option<bool>,
    pub redirects: Option<Arc<Vec<Rewrite>>>,
    pub cookie_domains: Option<Arc<Vec<Rewrite>>>,
    pub cookie_paths: Option<Arc<Vec<Rewrite>>>,
    pub cookie_flags: Option<Arc<Vec<FlagRule>>>,
    pub set_headers: Option<Arc<Vec<(Bytes, Template)>>>,
    pub hide_headers: Option<Arc<Vec<Bytes>>>,
    pub pass_headers: Option<Arc<Vec<Bytes>>>,
    pub ignore_headers: Option<u32>,
    pub body: Option<Template>,
    pub method: Option<Template>,
    pub bind: Option<Option<Template>>,
    pub version: Option<Version>,
    pub buffering: Option<bool>,
    pub request_buffering: Option<bool>,
    pub ignore_client_abort: Option<bool>,
    pub intercept_errors: Option<bool>,
    pub pass_request_headers: Option<bool>,
    pub pass_request_body: Option<bool>,
    pub pass_trailers: Option<bool>,
    pub socket_keepalive: Option<bool>,
    pub connect_timeout_ms: Option<u64>,
    pub send_timeout_ms: Option<u64>,
    pub read_timeout_ms: Option<u64>,
    pub buffer_size: Option<usize>,
    pub buffers: Option<(u64, usize)>,
    /// Bytes a second; 0 and nonsense for no limit.
    pub limit_rate: Option<Template>,
    pub next_upstream: Option<u32>,
    pub next_upstream_tries: Option<u64>,
    pub next_upstream_timeout_ms: Option<u64>,
    pub force_ranges: Option<bool>,
    pub store: Option<Store>,
    /// Permissions of stored files.
    pub store_access: Option<u32>,
    pub secure: SecureConf,
    pub cache: CacheConf,
}

impl Settings for Proxy {
    fn settings(&mut self) -> &mut Proxy {
        self
    }
}

/// `proxy_http_version`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    #[default]
    Http10,
    Http11,
    Http2,
}

/// What `proxy_pass` says.
#[derive(Clone)]
pub enum Pass {
    Fixed(Arc<Fixed>),
    /// With variables: the whole URL is known at each request only.
    Variable(Template),
}

/// A `proxy_pass` without variables.
pub struct Fixed {
    pub group: Arc<Group>,
    pub origin: Arc<Origin>,
    /// The path and arguments behind the address, empty for none.
    pub uri: Bytes,
    /// Length of the location's name, which `uri` takes the place of.
    pub replaced: usize,
    /// The directive's argument and the location's name, for `proxy_redirect default`.
    pub url: Bytes,
    pub location: Bytes,
}

/// The scheme and the names of an upstream.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub tls: bool,
    /// `$proxy_host`
    pub host: Bytes,
    /// `$proxy_port`; empty for a unix socket.
    pub port: Bytes,
}

impl Part for Proxy {
    fn inherit(&mut self, parent: &Self) {
        let own = self.pass.clone();
        // A location below does not pass anywhere by this: its content handler decides that.
        // `if` and `limit_except` blocks do use the target around them.
        inherit!(self, parent: pass, redirect, cookie_domains, cookie_paths, cookie_flags,
            set_headers, hide_headers, pass_headers, ignore_headers, body, method, bind, version,
            buffering, request_buffering, ignore_client_abort, intercept_errors,
            pass_request_headers, pass_request_body, pass_trailers, socket_keepalive,
            connect_timeout_ms, send_timeout_ms, read_timeout_ms, buffer_size, buffers,
            limit_rate, next_upstream, next_upstream_tries, next_upstream_timeout_ms,
            force_ranges, store, store_access);
        if self.redirect != Some(false) {
            inherit!(self, parent: redirects);
            if let (None, Some(Pass::Fixed(fixed))) = (&self.redirects, &own) {
                self.redirects = Some(Arc::new(vec![Rewrite::default_of(fixed)]));
            }
        }
        self.secure.inherit(&parent.secure);
        self.cache.inherit(&parent.cache);
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
    ignore_headers: u32 = 0;
    version: Version = Version::Http10;
    pass_trailers: bool = false;
    buffering: bool = true;
    request_buffering: bool = true;
    ignore_client_abort: bool = false;
    intercept_errors: bool = false;
    pass_request_headers: bool = true;
    pass_request_body: bool = true;
    socket_keepalive: bool = false;
    connect_timeout_ms: u64 = 60_000;
    send_timeout_ms: u64 = 60_000;
    read_timeout_ms: u64 = 60_000;
    buffer_size: usize = 4096;
    next_upstream: u32 = next::ERROR | next::TIMEOUT;
    next_upstream_tries: u64 = 0;
    next_upstream_timeout_ms: u64 = 0;
    force_ranges: bool = false;
}

impl Proxy {
    /// Whether requests go, or may go, to `https` or `grpcs`.
    pub fn passes_to_tls(&self) -> bool {
        match &self.pass {
            None => false,
            Some(Pass::Fixed(fixed)) => fixed.origin.tls,
            Some(Pass::Variable(_)) => true,
        }
    }

    /// The same, and the settings for that are still to be read.
    pub fn needs_tls(&self) -> bool {
        self.passes_to_tls() && self.secure.tls.is_none()
    }

    /// The rules for `Location` and `Refresh`, unless they are off.
    pub fn redirects(&self) -> Option<&[Rewrite]> {
        if self.redirect == Some(false) {
            return None;
        }
        Some(self.redirects.as_ref().map_or(&[][..], |rules| rules))
    }

    /// Whether the upstream's line of this name stays behind.
    pub fn hides(&self, family: Family, line: &HeaderLine, raw: &[u8]) -> bool {
        let name = line.name.of(raw);
        let listed = |list: &Option<Arc<Vec<Bytes>>>| {
            list.as_ref().is_some_and(|list| list.iter().any(|n| n.eq_ignore_ascii_case(name)))
        };
        let is = |usual: &str| name.eq_ignore_ascii_case(usual.as_bytes());
        let usual = match line.known {
            Known::Date | Known::Server => !family.is_cgi(),
            Known::Accel => ACCEL.iter().any(|usual| is(usual)),
            Known::Other => is(if family.is_cgi() { "Status" } else { "X-Pad" }),
            _ => false,
        };
        (usual || listed(&self.hide_headers)) && !listed(&self.pass_headers)
    }
}

/// The causes of `proxy_next_upstream`.
pub mod next {
    pub const OFF: u32 = 1;
    pub const ERROR: u32 = 1 << 1;
    pub const TIMEOUT: u32 = 1 << 2;
    pub const INVALID_HEADER: u32 = 1 << 3;
    pub const HTTP_500: u32 = 1 << 4;
    pub const HTTP_502: u32 = 1 << 5;
    pub const HTTP_503: u32 = 1 << 6;
    pub const HTTP_504: u32 = 1 << 7;
    pub const HTTP_403: u32 = 1 << 8;
    pub const HTTP_404: u32 = 1 << 9;
    pub const HTTP_429: u32 = 1 << 10;
    pub const NON_IDEMPOTENT: u32 = 1 << 11;
    /// No configuration names it: without a live peer there is nobody to go on to.
    pub const NO_LIVE: u32 = 1 << 12;

    pub const WORDS: &[(&str, u32)] = &[
        ("error", ERROR),
        ("timeout", TIMEOUT),
        ("invalid_header", INVALID_HEADER),
        ("non_idempotent", NON_IDEMPOTENT),
        ("http_500", HTTP_500),
        ("http_502", HTTP_502),
        ("http_503", HTTP_503),
        ("http_504", HTTP_504),
        ("http_403", HTTP_403),
        ("http_404", HTTP_404),
        ("http_429", HTTP_429),
        ("updating", 0),
        ("off", OFF),
    ];

    /// What memcached's answers can be.
    const MEMCACHED_WORDS: &[(&str, u32)] = &[
        ("error", ERROR),
        ("timeout", TIMEOUT),
        ("invalid_response", INVALID_HEADER),
        ("not_found", HTTP_404),
        ("off", OFF),
    ];

    pub fn words(family: &str) -> &'static [(&'static str, u32)] {
        if family.starts_with("memc") { MEMCACHED_WORDS } else { WORDS }
    }

    /// The cause a status is.
    pub fn of_status(status: u16) -> Option<u32> {
        Some(match status {
            500 => HTTP_500,
            502 => HTTP_502,
            503 => HTTP_503,
            504 => HTTP_504,
            403 => HTTP_403,
            404 => HTTP_404,
            429 => HTTP_429,
            _ => return None,
        })
    }
}

/// The words of `proxy_ignore_headers`.
pub mod ignore {
    pub const REDIRECT: u32 = 1;
    pub const LIMIT_RATE: u32 = 1 << 2;
    pub const BUFFERING: u32 = 1 << 3;
    pub const CHARSET: u32 = 1 << 4;
    pub const EXPIRES_ACCEL: u32 = 1 << 1;
    pub const EXPIRES: u32 = 1 << 5;
    pub const CACHE_CONTROL: u32 = 1 << 6;
    pub const SET_COOKIE: u32 = 1 << 7;
    pub const VARY: u32 = 1 << 8;

    pub const WORDS: &[(&str, u32)] = &[
        ("X-Accel-Redirect", REDIRECT),
        ("X-Accel-Expires", EXPIRES_ACCEL),
        ("X-Accel-Limit-Rate", LIMIT_RATE),
        ("X-Accel-Buffering", BUFFERING),
        ("X-Accel-Charset", CHARSET),
        ("Expires", EXPIRES),
        ("Cache-Control", CACHE_CONTROL),
        ("Set-Cookie", SET_COOKIE),
        ("Vary", VARY),
    ];
}

/// What is hidden in all families.
const ACCEL: &[&str] = &[
    "X-Accel-Expires",
    "X-Accel-Redirect",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
];
