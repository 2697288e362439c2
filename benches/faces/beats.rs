//! Ten thousand instances that beat every five seconds, and a hundred of them that stop.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::load::{Client, Loaded, figure};

pub fn run() -> Result<(), String> {
    let loaded = Loaded::start(NAMING)?;
    let empty = loaded.usage()?;
    let shared = Arc::new(Shared::default());
    let begun = Instant::now();
    register(loaded.port)?;
    let rate = f64::from(INSTANCES) / begun.elapsed().as_secs_f64();
    figure("beats", "registrations a second, one connection", format!("{rate:.0}"));
    let hearts: Vec<JoinHandle<Result<(), String>>> = (0..HEARTS)
        .map(|number| {
            let (port, shared) = (loaded.port, shared.clone());
            std::thread::spawn(move || beat(port, number, &shared))
        })
        .collect();
    std::thread::sleep(INTERVAL);
    let before = loaded.usage()?;
    std::thread::sleep(SPAN);
    let after = loaded.usage()?;
    let cpu = (after.cpu_s - before.cpu_s) / SPAN.as_secs_f64() * 100.0;
    figure("beats", "processor at 2,000 beats a second, % of a core", format!("{cpu:.1}"));
    let memory = after.rss_kb - empty.rss_kb;
    figure("beats", "memory of 10,000 instances, KB", memory);
    figure("beats", "memory of the process, KB", after.rss_kb);
    shared.stop_some.store(true, Ordering::Relaxed);
    let late = lapses(loaded.port, &shared);
    shared.stop.store(true, Ordering::Relaxed);
    for heart in hearts {
        heart.join().map_err(|_| "a thread panicked")??;
    }
    let (unhealthy, gone) = late?;
    figure("beats", "a silent one is unhealthy, ms after 15 s, at most", unhealthy.as_millis());
    figure("beats", "a silent one is gone, ms after 30 s, at most", gone.as_millis());
    let log = loaded.server.error_log();
    let told = log.lines().filter(|line| line.contains(" is unhealthy: no beat")).count();
    figure("beats", "instances found unhealthy, of 100 silent ones", told);
    let late = unhealthy.max(gone);
    if late > SWEEP + POLL * 5 || told != usize::from(SILENT) {
        return Err(format!("{told} lapsed, {late:?} late"));
    }
    Ok(())
}

/// What the hearts and the observer know of each other.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// The silent ones have had their last beat.
    stop_some: AtomicBool,
    last_beats: Mutex<HashMap<u16, Instant>>,
}

fn register(port: u16) -> Result<(), String> {
    let mut client = Client::connect(port)?;
    for number in 0..INSTANCES {
        let (service, instance) = (number / PER_SERVICE, number % PER_SERVICE + 1);
        let form = format!("serviceName=s{service}&ip=10.0.0.1&port={instance}");
        client.call("POST", "/nacos/v1/ns/instance", &form)?;
    }
    Ok(())
}

/// One of the threads that beat: each instance at its own moment of the interval.
fn beat(port: u16, heart: u16, shared: &Shared) -> Result<(), String> {
    let mut client = Client::connect(port)?;
    let mine = INSTANCES / HEARTS;
    let step = INTERVAL / u32::from(mine);
    let mut next = Instant::now();
    while !shared.stop.load(Ordering::Relaxed) {
        for at in 0..mine {
            let number = heart * mine + at;
            let (service, instance) = (number / PER_SERVICE, number % PER_SERVICE + 1);
            let silent = number < SILENT && shared.stop_some.load(Ordering::Relaxed);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next += step;
            if silent {
                continue;
            }
            let beat = format!(
                "%7B%22serviceName%22%3A%22DEFAULT_GROUP%40%40s{service}%22%2C%22ip%22%3A%22\
                 10.0.0.1%22%2C%22port%22%3A{instance}%2C%22weight%22%3A1%2C%22ephemeral%22%3Atrue%7D"
            );
            let form = format!("serviceName=DEFAULT_GROUP%40%40s{service}&beat={beat}");
            client.call("PUT", "/nacos/v1/ns/instance/beat", &form)?;
            if number < SILENT {
                let mut known = shared.last_beats.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(instance, Instant::now());
            }
        }
    }
    Ok(())
}

/// Watches the list until the silent ones are gone; how late the last verdicts were.
fn lapses(port: u16, shared: &Shared) -> Result<(Duration, Duration), String> {
    let mut client = Client::connect(port)?;
    let (mut unhealthy, mut gone) = (HashMap::new(), HashMap::new());
    let end = Instant::now() + Duration::from_secs(50);
    while gone.len() < usize::from(SILENT) && Instant::now() < end {
        std::thread::sleep(POLL);
        let list = client.call("GET", "/nacos/v1/ns/instance/list?serviceName=s0", "")?;
        let list: Value = serde_json::from_slice(&list).map_err(|e| e.to_string())?;
        let hosts = list["hosts"].as_array().ok_or("no hosts")?;
        let now = Instant::now();
        let health: HashMap<u64, bool> = hosts
            .iter()
            .filter_map(|host| Some((host["port"].as_u64()?, host["healthy"].as_bool()?)))
            .collect();
        for instance in 1..=SILENT {
            match health.get(&u64::from(instance)) {
                Some(true) => {}
                Some(false) => _ = unhealthy.entry(instance).or_insert(now),
                None => _ = gone.entry(instance).or_insert(now),
            }
        }
    }
    let last = shared.last_beats.lock().unwrap_or_else(PoisonError::into_inner);
    let late = |seen: &HashMap<u16, Instant>, after: Duration| {
        let mut most = Duration::ZERO;
        for instance in 1..=SILENT {
            let (Some(last), Some(seen)) = (last.get(&instance), seen.get(&instance)) else {
                return Err(format!("instance {instance} never lapsed"));
            };
            let took = seen.duration_since(*last);
            if took < after {
                return Err(format!("instance {instance} lapsed after {took:?}"));
            }
            most = most.max(took - after);
        }
        Ok(most)
    };
    Ok((late(&unhealthy, Duration::from_secs(15))?, late(&gone, Duration::from_secs(30))?))
}

const NAMING: &str = "server { listen 127.0.0.1:PORT; location /nacos/ { nacos_naming; } }";
const INSTANCES: u16 = 10_000;
const PER_SERVICE: u16 = 1000;
const SILENT: u16 = 100;
const HEARTS: u16 = 4;
const INTERVAL: Duration = Duration::from_secs(5);
const SPAN: Duration = Duration::from_secs(30);
const SWEEP: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);
