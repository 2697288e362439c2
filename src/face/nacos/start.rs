//! What runs beside the requests: the sweep of leases.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock;
use crate::process::Cycle;
use crate::store::conf::StoreConf;

use super::conf::NacosUsed;
use super::naming::{SWEEP_MS, naming};
use super::{keep, probe};

/// Fills the table from the store and starts the naming thread, when the configuration has a
/// naming face and the process has not done so yet.
pub fn start(cycle: &Cycle) -> Result<(), String> {
    let used = cycle.scope.part::<NacosUsed>();
    if !used.naming {
        return Ok(());
    }
    probe::only_200(used.strict_http_200);
    let store = cycle.scope.part::<StoreConf>().open(&cycle.paths.prefix);
    let store = store.map_err(|e| format!("nacos_naming: {e}"))?;
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    keep::keep_in(store.clone());
    if !*started {
        keep::restore(&store, naming());
        naming().persistent().iter().for_each(probe::sync);
        let thread = std::thread::Builder::new().name("naming".into());
        thread.spawn(sweep).map_err(|e| format!("nacos_naming: {e}"))?;
        *started = true;
    }
    Ok(())
}

fn sweep() {
    loop {
        std::thread::sleep(Duration::from_millis(SWEEP_MS));
        naming().sweep(clock::fresh_mono_ms());
    }
}

static STARTED: Mutex<bool> = Mutex::new(false);
