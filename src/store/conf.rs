//! Where the store lives: `store_path DIR`.
//!
//! ```text
//!  store_path data;   relative to the prefix; DIR/store.log is made when something is kept
//! ```

use std::path::{Path, PathBuf};

use super::{Store, StoreError};
use crate::conf::row::{HTTP, MAIN, Row, row, take};
use crate::conf::{Builder, Diag, Directive, Part};

pub const ROWS: &[Row] = &[row("store_path", MAIN | HTTP, take(1), set_path)];

/// Settings of the store, a part of the main level.
#[derive(Default)]
pub struct StoreConf {
    path: Option<PathBuf>,
}

impl Part for StoreConf {
    fn inherit(&mut self, _: &Self) {}
}

impl StoreConf {
    /// Opens the store of a configuration; equal ones share it.
    pub fn open(&self, prefix: &Path) -> Result<Store, StoreError> {
        Store::open(&self.path(prefix))
    }

    /// The folder the store lives in.
    pub fn path(&self, prefix: &Path) -> PathBuf {
        self.path.clone().unwrap_or_else(|| prefix.join(DEFAULT_PATH))
    }
}

fn set_path(b: &mut Builder<'_>, d: &Directive) -> Result<(), Diag> {
    if d.arg(1).is_empty() {
        return Err(d.wrong_arg(1, "invalid store path \"\""));
    }
    let path = b.prefix_path(d.arg(1));
    d.once(&mut b.main::<StoreConf>().path, |_| Ok(path))
}

const DEFAULT_PATH: &str = "data";
