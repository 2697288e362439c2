//! Directives that attach APISIX's interfaces to locations, and where their documents come from.
//!
//! ```text
//!  apisix_config store;                     or a file: conf/apisix.yaml, conf/apisix.json
//!  location /apisix/admin/ { apisix_admin key=… viewer_key=… version=v3; }
//!  location /              { apisix_gateway; }
//!  location /v1/           { apisix_control; }
//!  location = /metrics     { apisix_metrics; }
//! ```

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use bstr::ByteSlice;

use super::admin::{self, Version};
use super::live::Live;
use super::names::PREFIX;
use super::{control, gateway, metrics};
use crate::conf::row::{HTTP, LOCATION, MAIN, Row, args, at_least, row, take};
use crate::conf::{Builder, Diag, Directive, Part};
use crate::face::key::Key;
use crate::http::Handler;
use crate::http::build::Content;
use crate::process::Cycle;
use crate::store::Store;
use crate::store::conf::StoreConf;

pub const ROWS: &[Row] = &[
    row("apisix_config", MAIN | HTTP, take(1), set_config),
    row("apisix_admin", LOCATION, at_least(1), set_admin),
    row("apisix_gateway", LOCATION, args(0, 3), set_gateway),
    row("apisix_control", LOCATION, args(0, 1), set_control),
    row("apisix_metrics", LOCATION, take(0), set_metrics),
];

/// What serves the locations of one configuration; filled before it serves.
pub type Seat = Arc<OnceLock<Arc<Live>>>;

/// Settings of the main level.
#[derive(Default)]
pub struct Apisix {
    source: Option<Source>,
    seat: Seat,
    used: bool,
}

/// Where the documents come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Store,
    File(PathBuf),
}

/// `apisix_admin` of a location.
#[derive(Default)]
pub struct Admin(pub Option<AdminConf>);

pub struct AdminConf {
    pub admin_keys: Vec<Key>,
    pub viewer_keys: Vec<Key>,
    pub version: Version,
    seat: Seat,
}

impl AdminConf {
    /// Whom writes go to; none when the documents come from a file.
    pub fn desk(&self) -> Option<(Arc<Live>, Store)> {
        let live = self.seat.get()?;
        Some((live.clone(), live.store()?.clone()))
    }
}

/// `apisix_gateway` of a location.
#[derive(Default)]
pub struct Gateway(pub Option<GatewayConf>);

pub struct GatewayConf {
    /// A node that is alone is checked, though it serves whatever the checks say.
    pub single_node_check: bool,
    /// `X-APISIX-Upstream-Status` on every answer, not only on those of 5xx.
    pub show_upstream_status: bool,
    /// `off` is APISIX's `disable_upstream_healthcheck`.
    pub checks: bool,
    seat: Seat,
}

impl GatewayConf {
    pub fn live(&self) -> Option<&Arc<Live>> {
        self.seat.get()
    }
}

/// `apisix_control` and `apisix_metrics` of a location.
#[derive(Default)]
pub struct Views(pub Option<ViewsConf>);

pub struct ViewsConf {
    /// The shape of health checks in APISIX 2.3 to 3.2.
    pub old_shape: bool,
    seat: Seat,
}

impl ViewsConf {
    pub fn live(&self) -> Option<&Arc<Live>> {
        self.seat.get()
    }
}

macro_rules! not_inherited {
    ($($kind:ty),+) => {
        $(impl Part for $kind {
            fn inherit(&mut self, _: &Self) {}
        })+
    };
}
// The header filter looks at the gateway's settings in `if` blocks below it, too.
not_inherited!(Apisix, Admin, Gateway, Views);

/// Opens the source and begins to follow it, if any location wants it.
pub fn prepare(cycle: &Arc<Cycle>) -> Result<(), String> {
    let conf = cycle.scope.part::<Apisix>();
    if !conf.used {
        return Ok(());
    }
    let live = match &conf.source {
        Some(Source::File(path)) => Live::of_file(path)?,
        Some(Source::Store) | None => {
            let store = cycle.scope.part::<StoreConf>();
            let store = store.open(&cycle.paths.prefix, PREFIX);
            Live::of_store(&store.map_err(|error| format!("apisix: {error}"))?)?
        }
    };
    // Each worker thread comes by; they find the same.
    let _ = conf.seat.set(live);
    Ok(())
}

fn set_config(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let source = match d.arg(1).as_bytes() {
        b"store" => Source::Store,
        name if name.ends_with(b".yaml") || name.ends_with(b".json") => {
            Source::File(b.prefix_path(d.arg(1)))
        }
        _ => return Err(d.bad_value(1).hint("store, or a file that ends in .yaml or .json")),
    };
    d.once(&mut b.main::<Apisix>().source, |_| Ok(source))
}

fn set_admin(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let seat = seat(b);
    let mut conf =
        AdminConf { admin_keys: Vec::new(), viewer_keys: Vec::new(), version: Version::V3, seat };
    for index in 1..=d.arg_count() {
        let word = d.arg(index);
        match word.split_once_str("=") {
            Some((b"key", key)) if !key.is_empty() => conf.admin_keys.push(Key::new(key)),
            Some((b"viewer_key", key)) if !key.is_empty() => conf.viewer_keys.push(Key::new(key)),
            Some((b"version", b"v3")) => conf.version = Version::V3,
            Some((b"version", b"v2")) => conf.version = Version::V2,
            _ => return Err(bad_param(d, index)),
        }
    }
    if conf.admin_keys.is_empty() {
        return Err(d.wrong("needs a \"key=\" parameter"));
    }
    d.once(&mut b.part::<Admin>().0, |_| Ok(conf))?;
    attach(b, &admin::HANDLER)
}

fn set_gateway(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let seat = seat(b);
    let mut conf =
        GatewayConf { single_node_check: true, show_upstream_status: false, checks: true, seat };
    for index in 1..=d.arg_count() {
        let (name, on) = switch(d, index)?;
        match name {
            b"single_node_check" => conf.single_node_check = on,
            b"show_upstream_status" => conf.show_upstream_status = on,
            b"checks" => conf.checks = on,
            _ => return Err(d.bad_param(index)),
        }
    }
    d.once(&mut b.part::<Gateway>().0, |_| Ok(conf))?;
    attach(b, &gateway::HANDLER)
}

fn set_control(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let old_shape = match (d.arg_count(), d.arg(1).as_bytes()) {
        (0, _) | (_, b"version=v3") => false,
        (_, b"version=v2") => true,
        _ => return Err(d.bad_param(1)),
    };
    let conf = ViewsConf { old_shape, seat: seat(b) };
    d.once(&mut b.part::<Views>().0, |_| Ok(conf))?;
    attach(b, &control::HANDLER)
}

fn set_metrics(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    let conf = ViewsConf { old_shape: false, seat: seat(b) };
    d.once(&mut b.part::<Views>().0, |_| Ok(conf))?;
    attach(b, &metrics::HANDLER)
}

fn seat(b: &mut Builder<'_>) -> Seat {
    let main = b.main::<Apisix>();
    main.used = true;
    main.seat.clone()
}

fn attach(b: &mut Builder<'_>, handler: &'static dyn Handler) -> Result<(), Diag> {
    b.part::<Content>().0 = Some(handler);
    Ok(())
}

fn switch(d: &Directive, index: usize) -> Result<(&[u8], bool), Diag> {
    match d.arg(index).split_once_str("=") {
        Some((name, b"on")) => Ok((name, true)),
        Some((name, b"off")) => Ok((name, false)),
        _ => Err(d.bad_param(index)),
    }
}

/// A complaint that does not repeat a key.
fn bad_param(d: &Directive, index: usize) -> Diag {
    let word = d.arg(index);
    let shown = word.split_once_str("=").map_or(word.as_bytes(), |(name, _)| name);
    d.wrong_arg(index, format!("invalid parameter \"{}\"", shown.as_bstr()))
}
