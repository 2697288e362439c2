//! Every five seconds: who has been silent too long.

use crate::base::clock;
use crate::base::log::{Level, emit};

use super::lease::Silence;
use super::service::Service;
use super::{Naming, lock};

/// How often leases are looked at.
pub const SWEEP_MS: u64 = 5000;

impl Naming {
    /// Judges all leases at a time on the monotonic clock, and forgets services that have been
    /// empty for long.
    pub fn sweep(&self, now_ms: u64) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            let mut changed = false;
            for service in shard.values_mut().filter(|service| service.ephemeral) {
                if sweep_service(service, now_ms) {
                    service.changed_at_ms = clock::fresh_wall().as_ms();
                    service.rendered.clear();
                    changed = true;
                }
            }
            let forgotten = |service: &Service| {
                let empty_ms = service.empty_since_ms.map(|at_ms| now_ms.saturating_sub(at_ms));
                service.meta.is_none() && empty_ms.is_some_and(|ms| ms > EMPTY_MS)
            };
            shard.retain(|_, service| !forgotten(service));
            drop(shard);
            if changed {
                self.bump();
            }
        }
    }
}

fn sweep_service(service: &mut Service, now_ms: u64) -> bool {
    let mut changed = false;
    let name = service.key.to_string();
    service.instances.retain(|_, instance| {
        let silent_ms = now_ms.saturating_sub(instance.beat_at_ms);
        let at = (&instance.ip, instance.port);
        match instance.lease().judge(silent_ms) {
            Silence::Alive => true,
            Silence::Lapsed => {
                if std::mem::replace(&mut instance.healthy, false) {
                    changed = true;
                    let text = format_args!(
                        "nacos: instance {}:{} of {name} is unhealthy: no beat for {silent_ms} ms",
                        at.0, at.1
                    );
                    emit(Level::Notice, text);
                }
                true
            }
            Silence::Gone => {
                changed = true;
                let text = format_args!(
                    "nacos: instance {}:{} of {name} is removed: no beat for {silent_ms} ms",
                    at.0, at.1
                );
                emit(Level::Notice, text);
                false
            }
        }
    });
    if service.instances.is_empty() && service.empty_since_ms.is_none() {
        service.empty_since_ms = Some(now_ms);
    }
    changed
}

/// How long an empty service is kept.
const EMPTY_MS: u64 = 60_000;
