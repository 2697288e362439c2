//! `server_name`, and finding a server by a name.
//!
//! ```text
//!  exact ─▶ *.example.com (longest) ─▶ www.* (longest) ─▶ ~regex (first) ─▶ default
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use bstr::{BStr, BString};
use bytes::Bytes;

use super::regex::{self, Groups};
use super::vars::{Subject, VarTable};
use crate::base::regex::Regex;
use crate::conf::{Builder, Diag, Directive, Part};
use crate::net::addr::Addr;

/// One name of a server.
#[derive(Debug)]
pub enum ServerName {
    Exact(BString),
    /// `*.example.com`, stored without the star; `.example.com` gives this and an exact name.
    Suffix(BString),
    /// `www.*`
    Prefix(BString),
    Regex(Regex, BString),
}

impl ServerName {
    /// `host` is in lower case.
    pub fn matches(&self, host: &[u8]) -> bool {
        match self {
            Self::Exact(name) => host == name.as_slice(),
            Self::Suffix(name) => host.ends_with(name),
            Self::Prefix(name) => host.starts_with(name),
            Self::Regex(regex, _) => regex.is_match(host).unwrap_or(false),
        }
    }
}

/// The names of one `server` block.
#[derive(Default)]
pub struct ServerNames(pub Vec<ServerName>);

impl Part for ServerNames {
    fn inherit(&mut self, _parent: &Self) {}
}

/// What can be found by name.
pub trait Named {
    fn names(&self) -> &[ServerName];
}

/// The servers of one address.
pub struct ByName<T> {
    pub default: Arc<T>,
    exact: HashMap<BString, Arc<T>>,
    /// `.example.com`, longest first.
    suffixes: Vec<(BString, Arc<T>)>,
    /// `www.`, longest first.
    prefixes: Vec<(BString, Arc<T>)>,
    /// Index of the name in its server, in the order of the file.
    regexes: Vec<(usize, Arc<T>)>,
    /// Whatever the name, the answer is the default server.
    single: bool,
}

impl<T: Named> ByName<T> {
    pub fn new(default: Arc<T>) -> Self {
        Self {
            default,
            exact: HashMap::new(),
            suffixes: Vec::new(),
            prefixes: Vec::new(),
            regexes: Vec::new(),
            single: true,
        }
    }

    pub fn add(&mut self, b: &mut Builder<'_>, server: &Arc<T>, addr: &Addr) {
        let mut conflict = |name: &BString| {
            let text = format!("conflicting server name \"{name}\" on {addr}, ignored");
            b.report(Diag::warn(text).nowhere());
        };
        let names = server.names().iter().enumerate();
        for (at, name) in names {
            match name {
                ServerName::Exact(name) => match self.exact.get(name) {
                    Some(other) if !Arc::ptr_eq(other, server) => conflict(name),
                    _ => _ = self.exact.insert(name.clone(), server.clone()),
                },
                ServerName::Suffix(name) => self.suffixes.push((name.clone(), server.clone())),
                ServerName::Prefix(name) => self.prefixes.push((name.clone(), server.clone())),
                ServerName::Regex(..) => self.regexes.push((at, server.clone())),
            }
        }
        if server.names().is_empty() {
            self.exact.entry(BString::default()).or_insert_with(|| server.clone());
        }
    }

    pub fn sort(&mut self) {
        self.single = self.regexes.is_empty()
            && self.exact.values().all(|server| Arc::ptr_eq(server, &self.default))
            && self.suffixes.iter().all(|(_, server)| Arc::ptr_eq(server, &self.default))
            && self.prefixes.iter().all(|(_, server)| Arc::ptr_eq(server, &self.default));
        self.suffixes.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        self.prefixes.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    }

    pub fn is_single(&self) -> bool {
        self.single
    }

    /// Picks the server whose name fits the host; the default one otherwise.
    pub fn find(&self, host: &[u8]) -> (&Arc<T>, Groups) {
        if self.single {
            return (&self.default, Vec::new());
        }
        if let Some(server) = self.exact.get(BStr::new(host)) {
            return (server, Vec::new());
        }
        let suffix = self
            .suffixes
            .iter()
            .find(|(suffix, _)| host.len() > suffix.len() && host.ends_with(suffix));
        if let Some((_, server)) = suffix {
            return (server, Vec::new());
        }
        let prefix = self
            .prefixes
            .iter()
            .find(|(prefix, _)| host.len() > prefix.len() && host.starts_with(prefix));
        if let Some((_, server)) = prefix {
            return (server, Vec::new());
        }
        for (at, server) in &self.regexes {
            if let Some(ServerName::Regex(regex, _)) = server.names().get(*at)
                && let Some(groups) = regex::groups(regex, &Bytes::copy_from_slice(host))
            {
                return (server, groups);
            }
        }
        (&self.default, Vec::new())
    }
}

/// `server_name`
pub fn set<S: Subject>(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    for index in 1..=d.arg_count() {
        let text = d.arg(index);
        let name = parse(text)?;
        if let ServerName::Regex(regex, _) = &name {
            for (group, _) in regex.names() {
                b.main::<VarTable<S>>().define(group)?;
            }
        }
        let names = &mut b.part::<ServerNames>().0;
        if text.starts_with(b".") {
            names.push(ServerName::Exact(text[1..].to_ascii_lowercase().into()));
        }
        names.push(name);
    }
    Ok(())
}

/// `$server_name`: the first name as written.
pub fn first(names: &[ServerName]) -> Bytes {
    match names.first() {
        Some(ServerName::Exact(name)) => Bytes::copy_from_slice(name),
        Some(ServerName::Suffix(name)) => [b"*", &name[..]].concat().into(),
        Some(ServerName::Prefix(name)) => [&name[..], b"*"].concat().into(),
        Some(ServerName::Regex(_, text)) => [b"~", &text[..]].concat().into(),
        None => Bytes::new(),
    }
}

fn parse(text: &BStr) -> Result<ServerName, Diag> {
    if text.is_empty() {
        return Ok(ServerName::Exact(BString::default()));
    }
    if let Some(pattern) = text.strip_prefix(b"~") {
        if pattern.is_empty() {
            return Err(Diag::emerg(format!("empty regex in server name \"{text}\"")));
        }
        let regex = regex::compile(pattern, true)?;
        return Ok(ServerName::Regex(regex, pattern.into()));
    }
    let lower = text.to_ascii_lowercase();
    let invalid =
        || Diag::emerg(format!("invalid server name or wildcard \"{text}\" on server_name"));
    if let Some(suffix) = lower.strip_prefix(b"*") {
        if !suffix.starts_with(b".") || suffix.contains(&b'*') || suffix.len() < 2 {
            return Err(invalid());
        }
        return Ok(ServerName::Suffix(suffix.into()));
    }
    if lower.starts_with(b".") {
        return Ok(ServerName::Suffix(lower.into()));
    }
    if let Some(prefix) = lower.strip_suffix(b"*") {
        if !prefix.ends_with(b".") || prefix.contains(&b'*') || prefix.len() < 2 {
            return Err(invalid());
        }
        return Ok(ServerName::Prefix(prefix.into()));
    }
    if lower.contains(&b'*') {
        return Err(invalid());
    }
    Ok(ServerName::Exact(lower.into()))
}
