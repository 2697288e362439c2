//! The protocols requests are passed on in, and whose directives count for each.
//!
//! ```text
//!  proxy_* ─▶ Http    grpc_* ─▶ Grpc    fastcgi_* scgi_* uwsgi_* ─▶ CGI    memcached_* memc_*
//!                 one Passage, one cache; they differ in what is sent and how answers are read
//! ```

use crate::conf::{Part, Scope};

use super::{
    cgi::{fastcgi::Fastcgi, scgi::Scgi, uwsgi::Uwsgi},
    grpc::Grpc,
    memc::{Memc, Memcached},
    settings::Proxy,
};

/// Whose directives a request is passed on by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    #[default]
    Http,
    Grpc,
    Fastcgi,
    Scgi,
    Uwsgi,
    Memcached,
    /// memcached, as memc-nginx-module asks it.
    Memc,
}

/// Where the settings of a family of directives stand.
pub trait Settings: Part + Default {
    fn settings(&mut self) -> &mut Proxy;
}

impl Family {
    pub const ALL: [Self; 7] = [
        Self::Http,
        Self::Grpc,
        Self::Fastcgi,
        Self::Scgi,
        Self::Uwsgi,
        Self::Memcached,
        Self::Memc,
    ];

    /// What its directives begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "proxy",
            Self::Grpc => "grpc",
            Self::Fastcgi => "fastcgi",
            Self::Scgi => "scgi",
            Self::Uwsgi => "uwsgi",
            Self::Memcached => "memcached",
            Self::Memc => "memc",
        }
    }

    pub fn scheme(self, tls: bool) -> &'static str {
        match (self, tls) {
            (Self::Http, false) => "http://",
            (Self::Http, true) => "https://",
            (Self::Grpc, false) => "grpc://",
            (Self::Grpc, true) => "grpcs://",
            (Self::Uwsgi, false) => "uwsgi://",
            (Self::Uwsgi, true) => "suwsgi://",
            (Self::Fastcgi, _) => "fastcgi://",
            (Self::Scgi, _) => "scgi://",
            (Self::Memcached, _) => "memcached://",
            (Self::Memc, _) => "memc://",
        }
    }

    /// Whether a request is a set of parameters and its answer begins like that of a CGI script.
    pub fn is_cgi(self) -> bool {
        matches!(self, Self::Fastcgi | Self::Scgi | Self::Uwsgi)
    }

    /// Its settings in a block.
    pub fn conf(self, scope: &Scope) -> &Proxy {
        match self {
            Self::Http => scope.part(),
            Self::Grpc => &scope.part::<Grpc>().0,
            Self::Fastcgi => &scope.part::<Fastcgi>().proxy,
            Self::Scgi => &scope.part::<Scgi>().proxy,
            Self::Uwsgi => &scope.part::<Uwsgi>().proxy,
            Self::Memcached => &scope.part::<Memcached>().proxy,
            Self::Memc => &scope.part::<Memc>().proxy,
        }
    }

    /// The same, to be changed; nothing where the block says nothing of it.
    pub fn conf_mut(self, scope: &mut Scope) -> Option<&mut Proxy> {
        fn settings<F: Settings>(scope: &mut Scope) -> Option<&mut Proxy> {
            scope.find::<F>()?;
            Some(scope.part_mut::<F>().settings())
        }
        match self {
            Self::Http => settings::<Proxy>(scope),
            Self::Grpc => settings::<Grpc>(scope),
            Self::Fastcgi => settings::<Fastcgi>(scope),
            Self::Scgi => settings::<Scgi>(scope),
            Self::Uwsgi => settings::<Uwsgi>(scope),
            Self::Memcached => settings::<Memcached>(scope),
            Self::Memc => settings::<Memc>(scope),
        }
    }

    /// Splits what follows `*_pass`: whether it is TLS, the scheme's port (0 where one has to be
    /// written) and what follows the scheme.
    pub fn split(self, url: &[u8]) -> Option<(bool, u16, &[u8])> {
        let after = |tls: bool| {
            let (head, rest) = url.split_at_checked(self.scheme(tls).len())?;
            head.eq_ignore_ascii_case(self.scheme(tls).as_bytes()).then_some(rest)
        };
        match self {
            Self::Http => after(false)
                .map(|rest| (false, 80, rest))
                .or_else(|| after(true).map(|rest| (true, 443, rest))),
            Self::Grpc | Self::Uwsgi => match (after(true), after(false)) {
                (Some(rest), _) => Some((true, 0, rest)),
                (None, Some(rest)) => Some((false, 0, rest)),
                (None, None) => Some((false, 0, url)),
            },
            Self::Fastcgi | Self::Scgi | Self::Memcached | Self::Memc => Some((false, 0, url)),
        }
    }
}
