//! Where the store lives: `store_path DIR`, or `store_etcd URL …`.
//!
//! ```text
//!  store_path data;   relative to the prefix; DIR/store.log is made when something is kept
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::etcd::{self, Spec};
use super::{Place, Store, StoreError};
use crate::conf::row::{HTTP, MAIN, Row, at_least, row, take};
use crate::conf::{Builder, Diag, Directive, Part};

pub const ROWS: &[Row] = &[
    row("store_path", MAIN | HTTP, take(1), set_path),
    row("store_etcd", MAIN | HTTP, at_least(1), etcd::set),
];

/// Settings of the store, a part of the main level.
#[derive(Default)]
pub struct StoreConf {
    pub(super) path: Option<PathBuf>,
    pub(super) etcd: Option<Arc<Spec>>,
}

impl Part for StoreConf {
    fn inherit(&mut self, _: &Self) {}
}

impl StoreConf {
    /// Opens the store of a configuration for the keys below `root`, which ends with a slash;
    /// equal ones share it.
    pub fn open(&self, prefix: &Path, root: &'static str) -> Result<Store, StoreError> {
        match self.place(prefix, root) {
            Place::Dir(dir) => Store::open(&dir),
            Place::Etcd(spec, root) => Store::open_etcd(spec, root),
        }
    }

    fn place(&self, prefix: &Path, root: &'static str) -> Place {
        match &self.etcd {
            Some(spec) => Place::Etcd(spec.clone(), root),
            None => Place::Dir(self.path.clone().unwrap_or_else(|| prefix.join(DEFAULT_PATH))),
        }
    }
}

fn set_path(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1).is_empty() {
        return Err(d.wrong_arg(1, "invalid store path \"\""));
    }
    let path = b.prefix_path(d.arg(1));
    let conf = b.main::<StoreConf>();
    once(conf, d)?;
    conf.path = Some(path);
    Ok(())
}

/// There is one store.
pub(super) fn once(conf: &StoreConf, d: &Directive) -> Result<(), Diag> {
    let other = match (&conf.path, &conf.etcd) {
        (None, None) => return Ok(()),
        (Some(_), _) => "store_path",
        (None, Some(_)) => "store_etcd",
    };
    if d.name() == other {
        return Err(d.wrong("is duplicate"));
    }
    Err(d.wrong(&format!("is incompatible with \"{other}\"")))
}

const DEFAULT_PATH: &str = "data";
