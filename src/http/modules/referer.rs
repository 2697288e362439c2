//! `valid_referers`: `$invalid_referer` tells links from elsewhere.

use std::{rc::Rc, sync::Arc};

use bstr::ByteSlice;
use bytes::Bytes;

use crate::server::regex;
use crate::{
    base::regex::Regex,
    conf::{
        Builder, Diag, Directive, Part,
        row::{LOCATION, Row, SERVER, at_least, row},
    },
};

use crate::http::{
    request::Request,
    vars::{VarRow, var_live},
};

pub const ROWS: &[Row] = &[row("valid_referers", SERVER | LOCATION, at_least(1), set_valid)];

pub const VARS: &[VarRow] = &[var_live("invalid_referer", |r, _| {
    Some(if is_valid(r) { Bytes::new() } else { Bytes::from_static(b"1") })
})];

/// Who may link here.
#[derive(Clone, Default)]
struct Valid {
    none: bool,
    blocked: bool,
    server_names: bool,
    hosts: Vec<Host>,
}

#[derive(Clone)]
enum Host {
    /// Host and the path it has to begin with.
    Exact(Vec<u8>, Vec<u8>),
    Suffix(Vec<u8>, Vec<u8>),
    Prefix(Vec<u8>, Vec<u8>),
    Pattern(Arc<Regex>),
}

/// The rules of a block.
#[derive(Clone, Default)]
struct Referers(Option<Valid>);

impl Part for Referers {
    fn inherit(&mut self, parent: &Self) {
        if self.0.is_none() {
            self.0.clone_from(&parent.0);
        }
    }
}

fn set_valid(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let mut valid = b.part::<Referers>().0.take().unwrap_or_default();
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        match word.as_bytes() {
            b"none" => valid.none = true,
            b"blocked" => valid.blocked = true,
            b"server_names" => valid.server_names = true,
            [b'~', pattern @ ..] => {
                valid.hosts.push(Host::Pattern(Arc::new(regex::compile(pattern, true)?)));
            }
            text => {
                let slash = text.find_byte(b'/').unwrap_or(text.len());
                let (host, path) = text.split_at(slash);
                let (host, path) = (host.to_ascii_lowercase(), path.to_vec());
                valid.hosts.push(match &host[..] {
                    [b'*', rest @ ..] => Host::Suffix(rest.to_vec(), path),
                    [start @ .., b'*'] => Host::Prefix(start.to_vec(), path),
                    _ => Host::Exact(host, path),
                });
            }
        }
    }
    b.part::<Referers>().0 = Some(valid);
    Ok(())
}

fn is_valid(r: &Rc<Request>) -> bool {
    let location = r.location();
    let Some(valid) = &location.scope.part::<Referers>().0 else { return true };
    let headers = r.headers_in.borrow();
    let Some(referer) = headers.first("Referer") else { return valid.none };
    let lower = referer.to_ascii_lowercase();
    let scheme = match () {
        () if lower.len() < SHORTEST.len() => return valid.blocked,
        () if lower.starts_with(b"http://") => "http://",
        () if lower.starts_with(b"https://") => "https://",
        () => return valid.blocked,
    };
    let rest = &referer[scheme.len()..];
    let end = rest.find_byteset(b"/:").unwrap_or(rest.len());
    if end > HOST_MAX_BYTES {
        return false;
    }
    let host = &lower[scheme.len()..][..end];
    let path = rest.find_byte(b'/').map_or(&b""[..], |at| &rest[at..]);
    if valid.server_names && r.server().names.iter().any(|name| name.matches(host)) {
        return true;
    }
    valid.hosts.iter().any(|known| match known {
        Host::Exact(name, start) => *name == host && path.starts_with(start),
        Host::Suffix(name, start) => host.ends_with(name) && path.starts_with(start),
        Host::Prefix(name, start) => host.starts_with(name) && path.starts_with(start),
        Host::Pattern(regex) => regex.is_match(rest).unwrap_or(false),
    })
}

/// What is shorter has no host in nginx's eyes.
const SHORTEST: &str = "http://i.ru";
const HOST_MAX_BYTES: usize = 256;
