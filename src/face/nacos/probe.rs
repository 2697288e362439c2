//! Persistent instances are probed by the health engine: a check for each cluster of a service.
//!
//! ```text
//!  act ─ touched ─▶ sync(service) ─▶ Check of each cluster ─ verdict ─▶ naming: healthy
//!  PUT health ────▶ told ──────────▶      force
//! ```
//! The check of a cluster asks each instance at the instance's own port, or all of them at the
//! check port of the cluster. MYSQL is asked as TCP: whether somebody accepts, not what a query
//! says.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use crate::base::errno::Errno;
use crate::base::log::{self, Level, emit};
use crate::health::dialect::nacos::{Asked, spec};
use crate::health::{
    self, Check, CheckSpec, Event, Key, Open, Subscription, TargetSpec, Targets, What,
};
use crate::net::addr::Addr;
use crate::upstream::live_generation;

use super::naming::{Checker, Cluster, Instance, InstanceKey, Service, ServiceKey, naming};

/// Probes take 200 for healthy, whatever a checker expects.
pub fn only_200(yes: bool) {
    ONLY_200.store(yes, Ordering::Relaxed);
}

/// Makes the checks of a service what the table says.
pub fn sync(key: &ServiceKey) {
    let mut running = running();
    // Read under the lock: of two changes at once the later one has the last word.
    let wanted = naming().read(key, plans).unwrap_or_default();
    running.retain(|(service, cluster), _| service != key || wanted.contains_key(cluster));
    for (cluster, plan) in wanted {
        let id = (key.clone(), cluster);
        let targets: Vec<TargetSpec> = plan.targets;
        match running.get_mut(&id) {
            Some(probed) if probed.check.spec().as_ref() == &plan.spec => {
                probed.check.set_targets(targets);
            }
            _ => match begin(&id, plan.spec, targets) {
                Ok(probed) => _ = running.insert(id, probed),
                Err(e) => emit(Level::Alert, format_args!("nacos: no probes {}", Errno(&e))),
            },
        }
    }
    let checks: Vec<Check> = of_service(&running, key).map(|probed| probed.check.clone()).collect();
    drop(running);
    checks.iter().for_each(|check| adopt(key, check));
}

/// Somebody set an instance's health: its check goes on from there.
pub fn told(key: &ServiceKey, at: &InstanceKey, healthy: bool) {
    let check = running().get(&(key.clone(), at.cluster.clone())).map(|p| p.check.clone());
    if let Some(check) = check {
        check.force(&target_key(at), healthy);
    }
}

/// A running check.
struct Probed {
    check: Check,
    _subscription: Subscription,
}

/// What the check of one cluster has to be.
struct Plan {
    spec: CheckSpec,
    targets: Vec<TargetSpec>,
}

fn plans(service: &Service) -> BTreeMap<String, Plan> {
    let mut plans = BTreeMap::new();
    if service.ephemeral {
        return plans;
    }
    for name in service.cluster_names() {
        let cluster = service.clusters.get(&name).cloned().unwrap_or_default();
        let targets: Vec<TargetSpec> = service
            .instances
            .values()
            .filter(|instance| instance.cluster == name)
            .map(|instance| target(instance, &cluster))
            .collect();
        if cluster.checker != Checker::None && !targets.is_empty() {
            let spec = spec_of(&service.key, &name, &cluster.checker);
            plans.insert(name, Plan { spec, targets });
        }
    }
    plans
}

fn spec_of(key: &ServiceKey, cluster: &str, checker: &Checker) -> CheckSpec {
    let service = key.to_string();
    let Checker::Http { path, headers, expected } = checker else {
        return spec(&service, cluster, Asked::Tcp);
    };
    let lines: Vec<String> = Checker::header_lines(headers)
        .filter(|(name, value)| is_plain(name) && is_plain(value))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let expected = if ONLY_200.load(Ordering::Relaxed) { 200 } else { *expected };
    let path: String = path.chars().filter(|c| !c.is_control() && *c != ' ').collect();
    spec(&service, cluster, Asked::Http { path: &path, headers: &lines, expected })
}

/// True for what may stand in a header line.
fn is_plain(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn target(instance: &Instance, cluster: &Cluster) -> TargetSpec {
    let at = instance.key();
    let port = if cluster.use_instance_port { instance.port } else { cluster.check_port };
    let ip = match instance.ip.contains(':') && !instance.ip.starts_with('[') {
        true => format!("[{}]", instance.ip),
        false => instance.ip.clone(),
    };
    let addr = Addr::literal(format!("{ip}:{port}").as_bytes());
    let Key { name, server } = target_key(&at);
    TargetSpec { up: Some(instance.healthy), ..TargetSpec::new(name, server, addr) }
}

fn target_key(at: &InstanceKey) -> Key {
    Key::new(format!("{}:{}", at.ip, at.port), "")
}

fn begin(id: &Id, spec: CheckSpec, targets: Vec<TargetSpec>) -> std::io::Result<Probed> {
    let check = health::engine()?.open(Open {
        spec,
        targets: Targets::List(targets.clone()),
        log: log::main_chain(),
        tls: None,
        generation: live_generation(),
    });
    check.set_targets(targets);
    let (key, cluster) = id.clone();
    let listener = move |event: &Event| hear(&key, &cluster, event);
    let subscription = check.subscribe(Arc::new(listener));
    Ok(Probed { check, _subscription: subscription })
}

/// A verdict becomes the instance's health. Called under the check's lock: the table has locks of
/// its own and calls nobody.
fn hear(key: &ServiceKey, cluster: &str, event: &Event) {
    let (Some(target), What::Changed { transition, .. }) = (&event.target, &event.what) else {
        return;
    };
    if let (Some(up), Some(at)) = (transition.verdict(), instance_key(&target.name, cluster)) {
        set_health(key, &at, up);
    }
}

/// Shows what a check knows already of instances that the table has just learnt of.
fn adopt(key: &ServiceKey, check: &Check) {
    let view = check.view();
    for peer in &view.peers {
        let target = Key::new(peer.name.clone(), peer.server.clone());
        let state = check.state(&target);
        if let (Some(state), Some(at)) = (state, instance_key(&peer.name, &view.name)) {
            set_health(key, &at, state.is_up());
        }
    }
}

fn set_health(key: &ServiceKey, at: &InstanceKey, up: bool) {
    naming().change(key, at, |instance| std::mem::replace(&mut instance.healthy, up) != up);
}

fn instance_key(target: &str, cluster: &str) -> Option<InstanceKey> {
    let (ip, port) = target.rsplit_once(':')?;
    let port = port.parse().ok()?;
    Some(InstanceKey { cluster: cluster.to_owned(), ip: ip.to_owned(), port })
}

fn of_service<'a>(
    running: &'a HashMap<Id, Probed>,
    key: &'a ServiceKey,
) -> impl Iterator<Item = &'a Probed> {
    running.iter().filter(move |((service, _), _)| service == key).map(|(_, probed)| probed)
}

fn running() -> MutexGuard<'static, HashMap<Id, Probed>> {
    // A panic elsewhere leaves a check that the next change puts right.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

type Id = (ServiceKey, String);

static RUNNING: LazyLock<Mutex<HashMap<Id, Probed>>> = LazyLock::new(Mutex::default);
static ONLY_200: AtomicBool = AtomicBool::new(false);
