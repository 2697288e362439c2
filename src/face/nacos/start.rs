//! What runs beside the requests: the sweep of leases, and the peers that follow services.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::base::clock;
use crate::http::HttpRoot;
use crate::process::Cycle;
use crate::store::conf::StoreConf;
use crate::upstream::conf::UpstreamConf;

use super::conf::NacosUsed;
use super::naming::{SWEEP_MS, naming};
use super::source::conf::ServerConf;
use super::{keep, probe, source};

/// Fills the table from the store and starts the naming thread, when the configuration has a
/// naming face or follows services and the process has not done so yet.
pub fn start(cycle: &Cycle) -> Result<(), String> {
    let used = cycle.scope.part::<NacosUsed>();
    let mut started = STARTED.lock().unwrap_or_else(PoisonError::into_inner);
    if used.naming {
        probe::only_200(used.strict_http_200);
        let store = cycle.scope.part::<StoreConf>().open(&cycle.paths.prefix, keep::ROOT);
        let store = store.map_err(|e| format!("nacos_naming: {e}"))?;
        keep::keep_in(&store).map_err(|e| format!("nacos_naming: {e}"))?;
    }
    let http = cycle.scope.part::<HttpRoot>().0.as_ref();
    let none = ServerConf::default();
    let servers = http.map_or(&none, |http| http.scope.part::<ServerConf>());
    let follows = source::use_sources(&cycle.scope.part::<UpstreamConf>().groups, servers);
    if (used.naming || follows) && !std::mem::replace(&mut *started, true) {
        begin().map_err(|e| format!("nacos: {e}"))?;
    }
    Ok(())
}

fn begin() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let body = move || runtime.block_on(async { tokio::join!(sweep(), source::follow()) });
    std::thread::Builder::new().name("naming".into()).spawn(body).map(drop)
}

async fn sweep() {
    let mut slots = tokio::time::interval(Duration::from_millis(SWEEP_MS));
    loop {
        slots.tick().await;
        naming().sweep(clock::fresh_mono_ms());
    }
}

/// Whether this process has its naming thread.
static STARTED: Mutex<bool> = Mutex::new(false);
