//! The directives: which location is which face, who may call it, whose ranges hold.
//!
//! ```text
//!  kong_preset tse [threshold_exclusive];     http: Tencent's ranges and defaults
//!  kong_trusted_certificate FILE;             http: whom checks and services over TLS trust
//!  location / { kong_admin; kong_admin_key KEY; }        :8001
//!  location / { kong_gateway; }                          :8000
//!  location / { kong_status; }                           :8100, /status and /metrics only
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use bstr::ByteSlice;

use super::live::Options;
use super::{Preset, admin, gateway};
use crate::conf::row::{HTTP, HTTP_LEVELS, LOCATION, Row, args, row, take};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::face::key::Key;
use crate::http::Handler;
use crate::http::build::Content;
use crate::net::tls::{ClientSpec, ClientTls};

pub const ROWS: &[Row] = &[
    row("kong_admin", LOCATION, take(0), |b, d| attach(b, d, &admin::HANDLER)),
    row("kong_status", LOCATION, take(0), |b, d| attach(b, d, &admin::STATUS)),
    row("kong_gateway", LOCATION, take(0), |b, d| attach(b, d, &gateway::HANDLER)),
    row("kong_admin_key", HTTP_LEVELS, take(1), add_key),
    row("kong_tse_secret", HTTP_LEVELS, take(2), add_secret),
    row("kong_preset", HTTP, args(1, 2), set_preset),
    row("kong_trusted_certificate", HTTP, take(1), |b, d| {
        let file = b.conf_path(d.arg(1));
        ClientTls::build(&ClientSpec { trusted: Some(file.clone()), ..ClientSpec::default() })
            .map_err(|error| Diag::emerg(error.to_string()))?;
        d.once(&mut b.main::<KongConf>().trusted, |_| Ok(file))
    }),
];

/// What the configuration as a whole says; a part of the main level.
#[derive(Default)]
pub struct KongConf {
    pub used: bool,
    preset: Option<(Preset, bool)>,
    trusted: Option<PathBuf>,
}

impl Part for KongConf {
    fn inherit(&mut self, _parent: &Self) {}
}

impl KongConf {
    pub fn options(&self) -> Options {
        let (preset, exclusive) = self.preset.unwrap_or_default();
        Options { preset, exclusive, trusted: self.trusted.clone() }
    }
}

/// Who may call the Admin API of a location; anybody, when no key is named.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    pub admin: Option<Arc<Vec<Key>>>,
    /// Ids and keys that sign calls of Tencent's cloud API.
    pub tse: Option<Arc<Vec<Secret>>>,
}

/// A pair of Tencent's cloud API.
#[derive(Clone)]
pub struct Secret {
    pub id: String,
    pub key: Vec<u8>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({})", self.id)
    }
}

impl Part for Keys {
    fn inherit(&mut self, parent: &Self) {
        if self.admin.is_none() {
            self.admin.clone_from(&parent.admin);
        }
        if self.tse.is_none() {
            self.tse.clone_from(&parent.tse);
        }
    }
}

fn attach(b: &mut Builder<'_>, d: &Directive, to: &'static dyn Handler) -> Result<(), Diag> {
    let content = &mut b.part::<Content>().0;
    if content.is_some() {
        return Err(d.wrong("cannot share a location with another content handler"));
    }
    *content = Some(to);
    b.main::<KongConf>().used = true;
    Ok(())
}

fn add_key(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1).is_empty() {
        return Err(d.bad_value(1));
    }
    let keys = b.part::<Keys>().admin.get_or_insert_default();
    if let Some(keys) = Arc::get_mut(keys) {
        keys.push(Key::new(d.arg(1)));
    }
    Ok(())
}

fn add_secret(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let id = d.arg(1).to_str().map_err(|_| d.bad_value(1))?.to_string();
    if id.is_empty() || d.arg(2).is_empty() {
        return Err(d.bad_value(if id.is_empty() { 1 } else { 2 }));
    }
    let secrets = b.part::<Keys>().tse.get_or_insert_default();
    if let Some(secrets) = Arc::get_mut(secrets) {
        secrets.push(Secret { id, key: d.arg(2).to_vec() });
    }
    Ok(())
}

fn set_preset(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let preset = d.choice(1, &[("kong", Preset::Kong), ("tse", Preset::Tse)])?;
    let exclusive = match d.arg(2).as_bytes() {
        b"" => false,
        b"threshold_exclusive" if preset == Preset::Tse => true,
        _ => return Err(d.bad_param(2)),
    };
    d.once(&mut b.main::<KongConf>().preset, |_| Ok((preset, exclusive)))
}
