//! `secure_link`: links that only somebody who knows a secret can have made.
//!
//! ```text
//!  secure_link $arg_md5,$arg_expires;  secure_link_md5 "$uri secret";   ─▶ "", "0" (late) or "1"
//!  secure_link_secret word;            /p/HASH/link                     ─▶ "" or "link"
//! ```

use std::rc::Rc;

use base64::Engine;
use bytes::Bytes;
use md5::{Digest, Md5};

use crate::{
    base::clock,
    conf::{
        Diag, Directive, Part,
        row::{HTTP_LEVELS, LOCATION, Row, row, take},
    },
};

use crate::http::{
    request::Request,
    template::Template,
    vars::{VarRow, var_live},
};

pub const ROWS: &[Row] = &[
    row("secure_link", HTTP_LEVELS, take(1), |b, d| {
        let link = Template::compile(b, d.arg(1))?;
        let conf = b.part::<SecureLink>();
        conf.unmixed(d, conf.secret.is_some())?;
        d.once(&mut conf.link, |_| Ok(link))
    }),
    row("secure_link_md5", HTTP_LEVELS, take(1), |b, d| {
        let md5 = Template::compile(b, d.arg(1))?;
        let conf = b.part::<SecureLink>();
        conf.unmixed(d, conf.secret.is_some())?;
        d.once(&mut conf.md5, |_| Ok(md5))
    }),
    row("secure_link_secret", LOCATION, take(1), |b, d| {
        let conf = b.part::<SecureLink>();
        conf.unmixed(d, conf.link.is_some() || conf.md5.is_some())?;
        d.once(&mut conf.secret, |d| Ok(Bytes::copy_from_slice(d.arg(1))))
    }),
];

pub const VARS: &[VarRow] = &[
    var_live("secure_link", |r, _| {
        let location = r.location();
        let conf = location.scope.part::<SecureLink>();
        match &conf.secret {
            Some(secret) => by_secret(r, secret),
            None => checked(r, conf),
        }
    }),
    var_live("secure_link_expires", |r, _| {
        let location = r.location();
        let link = location.scope.part::<SecureLink>().link.as_ref()?.eval(r);
        let at = memchr::memchr(b',', &link)?;
        Some(link.slice(at + 1..))
    }),
];

/// Settings of one block.
#[derive(Default)]
struct SecureLink {
    link: Option<Template>,
    md5: Option<Template>,
    secret: Option<Bytes>,
}

impl Part for SecureLink {
    fn inherit(&mut self, parent: &Self) {
        if self.secret.is_none() {
            self.link = self.link.take().or_else(|| parent.link.clone());
            self.md5 = self.md5.take().or_else(|| parent.md5.clone());
        }
        if self.link.is_none() && self.md5.is_none() {
            self.secret = self.secret.take().or_else(|| parent.secret.clone());
        }
    }
}

impl SecureLink {
    fn unmixed(&self, _d: &Directive, other: bool) -> Result<(), Diag> {
        if other {
            return Err(Diag::emerg(
                "\"secure_link_secret\" cannot be mixed with \"secure_link\" and \
                 \"secure_link_md5\"",
            ));
        }
        Ok(())
    }
}

/// `secure_link` and `secure_link_md5`.
fn checked(r: &Rc<Request>, conf: &SecureLink) -> Option<Bytes> {
    let (link, md5) = conf.link.as_ref().zip(conf.md5.as_ref())?;
    let link = link.eval(r);
    let mut hash = &link[..];
    let mut late = false;
    if let Some(at) = memchr::memchr(b',', hash) {
        let expires = crate::base::units::parse_number(&hash[at + 1..]).filter(|at| *at > 0)?;
        late = expires < clock::wall().secs as u64;
        hash = &hash[..at];
    }
    let told: Vec<u8> = hash.strip_suffix(b"==").unwrap_or(hash).to_vec();
    let told = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(told)
        .or_else(|_| base64::engine::general_purpose::STANDARD_NO_PAD.decode(hash))
        .ok()?;
    let right = Md5::digest(md5.eval(r));
    if told != right[..] {
        return None;
    }
    Some(Bytes::from_static(if late { b"0" } else { b"1" }))
}

/// `/any/HASH/link`, where HASH is of the link and the secret.
fn by_secret(r: &Rc<Request>, secret: &Bytes) -> Option<Bytes> {
    let target = r.line.target();
    let path = target.get(1..)?;
    let path = &path[memchr::memchr(b'/', path)? + 1..];
    let slash = memchr::memchr(b'/', path)?;
    let (hash, link) = (&path[..slash], &path[slash + 1..]);
    let end = memchr::memchr(b'?', link).unwrap_or(link.len());
    let link = &link[..end];
    if hash.len() != 32 || link.is_empty() {
        return None;
    }
    let mut md5 = Md5::new();
    md5.update(link);
    md5.update(secret);
    let right: String = md5.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    hash.eq_ignore_ascii_case(right.as_bytes()).then(|| target.slice_ref(link))
}
