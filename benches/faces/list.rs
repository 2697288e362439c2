//! The list of a service with a thousand instances, asked for again and again.

use std::time::{Duration, Instant};

use crate::load::{Client, Loaded, figure};

pub fn run() -> Result<(), String> {
    let loaded = Loaded::start(NAMING)?;
    let mut client = Client::connect(loaded.port)?;
    for port in 1..=INSTANCES {
        let form = format!("serviceName=orders&ip=10.0.0.1&port={port}&metadata=zone=a,rack=7");
        client.call("POST", "/nacos/v1/ns/instance", &form)?;
    }
    let target = "/nacos/v1/ns/instance/list?serviceName=orders";
    let bytes = client.call("GET", target, "")?.len();
    figure("list", "bytes of a list of 1,000 instances", bytes);
    let unchanged = rate(&loaded, |_| Ok(()))?;
    figure("list", "lists a second of one core", format!("{unchanged:.0}"));
    let changing = rate(&loaded, |client| {
        let form = "serviceName=orders&ip=10.0.0.1&port=1&weight=2";
        client.call("PUT", "/nacos/v1/ns/instance", form).map(drop)
    })?;
    figure("list", "the same, with a change before every tenth", format!("{changing:.0}"));
    if unchanged < PROMISED { Err(format!("fewer than {PROMISED} lists a second")) } else { Ok(()) }
}

/// Lists by the second of processor time, with something done before every tenth.
fn rate(
    loaded: &Loaded,
    mut between: impl FnMut(&mut Client) -> Result<(), String>,
) -> Result<f64, String> {
    let mut client = Client::connect(loaded.port)?;
    let target = "/nacos/v1/ns/instance/list?serviceName=orders";
    let before = loaded.usage()?;
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < SPAN {
        if count % 10 == 0 {
            between(&mut client)?;
        }
        client.call("GET", target, "")?;
        count += 1;
    }
    Ok(f64::from(count) / (loaded.usage()?.cpu_s - before.cpu_s))
}

const NAMING: &str = "server { listen 127.0.0.1:PORT; location /nacos/ { nacos_naming; } }";
const INSTANCES: u16 = 1000;
const SPAN: Duration = Duration::from_secs(5);
const PROMISED: f64 = 2000.0;
