//! Checks written in nginx.conf.
//!
//! ```text
//!  upstream foo { server …; health_check uri=/up match=ok; }   ─┐ finish: names, files
//!  match ok { status 200; body ~ "fine"; }                     ─┴▶ Plan ─ start ─▶ engine.open
//! ```
//!
//! The words are NGINX Plus's where it has them, and those of nginx_upstream_check_module; what
//! neither has is a parameter of `health_check`. Probes begin when the configuration does.

mod asked;
mod health_check;
mod match_block;
mod parameters;
mod passive;
mod plan;
mod sites;
mod upstream_check;

use std::sync::{Arc, Mutex, PoisonError};

pub use self::plan::{Origin, Plan, StateFile};
pub use self::sites::Sites;
use super::check::{Check, Targets};
use super::engine::{Open, engine};
use crate::base::log::Chain;
use crate::conf::row::{
    HTTP, LOCATION, Row, STREAM, STREAM_UPSTREAM, UPSTREAM, args, at_least, raw_block, row, take,
};
use crate::conf::{Builder, Diag, Scope};
use crate::upstream::Groups;
use crate::upstream::conf::UpstreamConf;

pub const ROWS: &[Row] = &[
    raw_block("match", HTTP | STREAM, take(1), match_block::set),
    row("health_check", BOTH | LOCATION, at_least(0), health_check::set),
    row("health_passive", BOTH, at_least(0), passive::set),
    row("check", BOTH, at_least(1), upstream_check::set),
    row("check_http_send", BOTH, take(1), upstream_check::set_send),
    row("check_http_expect_alive", BOTH, at_least(1), upstream_check::set_alive),
    row("check_keepalive_requests", BOTH, take(1), upstream_check::set_keepalive),
    row("check_shm_size", HTTP | STREAM, take(1), upstream_check::set_shm_size),
    row("health_state_file", HTTP | STREAM, args(1, 2), plan::set_state_file),
];

/// Looks at all checks once the whole configuration was read.
pub fn finish(b: &mut Builder<'_>) -> Result<(), Diag> {
    if let Err(diags) = plan::all(b.level(0)) {
        diags.into_iter().for_each(|diag| b.report(diag));
    }
    Ok(())
}

/// The checks of a configuration, as they will run.
pub fn plans(main: &Scope) -> Vec<Plan> {
    plan::all(main).unwrap_or_default()
}

/// Begins the checks of a configuration, and lets those of the one before go. Each worker thread
/// calls this; the first one does it.
pub fn start(
    main: &Scope,
    groups: &Groups,
    log: &Arc<Chain>,
    generation: u64,
) -> Result<(), String> {
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    if running.0 >= generation {
        return Ok(());
    }
    let file = main.part::<StateFile>();
    if let Some(path) = &file.path {
        let engine = engine().map_err(|e| format!("health checks cannot run: {e}"))?;
        engine.keep_on_disk(path, file.max_age_ms.unwrap_or(MAX_AGE_MS));
    }
    let mut checks = Vec::new();
    for plan in plans(main) {
        let found = groups.explicit_in(plan.realm, plan.spec.upstream.as_ref());
        let Some(group) = found else { continue };
        let engine = engine().map_err(|e| format!("health checks cannot run: {e}"))?;
        checks.push(engine.open(Open {
            spec: plan.spec,
            targets: Targets::Group(group.clone()),
            log: log.clone(),
            tls: plan.tls,
            generation,
        }));
    }
    // The old ones go last: a check that both have runs through.
    *running = (generation, checks);
    Ok(())
}

/// The groups of a configuration.
fn groups(main: &Scope) -> &Groups {
    &main.part::<UpstreamConf>().groups
}

/// The checks of the configuration that started last.
static RUNNING: Mutex<(u64, Vec<Check>)> = Mutex::new((0, Vec::new()));

/// `upstream {}` of http and of stream.
const BOTH: u32 = UPSTREAM | STREAM_UPSTREAM;

/// Older states on disk are of no use.
const MAX_AGE_MS: u64 = 600_000;

#[cfg(test)]
mod tests;
