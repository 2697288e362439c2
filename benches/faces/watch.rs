//! A thousand open streams of Watch, and an upstream that goes down and comes up.

use std::time::{Duration, Instant};

use crate::h2::{self, H2};
use crate::load::{Client, Loaded, figure};

pub fn run() -> Result<(), String> {
    let loaded = Loaded::start(CONF)?;
    let mut control = Client::connect(loaded.port)?;
    let before = loaded.usage()?;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = H2::connect(loaded.port)?;
        for _ in 0..STREAMS {
            client.call("Watch", b"\0\0\0\0\x08\x0a\x06orders")?;
        }
        clients.push(client);
    }
    hear(&mut clients, 1)?;
    let after = loaded.usage()?;
    let streams = (CLIENTS * STREAMS) as f64;
    let bytes = (after.rss_kb - before.rss_kb) as f64 * 1024.0 / streams;
    figure("watch", "streams, and connections", format!("{streams} {CLIENTS}"));
    figure("watch", "memory of a stream, bytes", format!("{bytes:.0}"));
    let idle = loaded.usage()?;
    std::thread::sleep(Duration::from_secs(5));
    let cpu = (loaded.usage()?.cpu_s - idle.cpu_s) / 5.0 * 100.0;
    figure("watch", "processor while nothing changes, % of a core", format!("{cpu:.1}"));
    let mut took = Vec::new();
    for round in 0..ROUNDS {
        let (target, status) = if round % 2 == 0 { ("/down", 2) } else { ("/up", 1) };
        let begun = Instant::now();
        control.call("GET", target, "")?;
        hear(&mut clients, status)?;
        took.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(37));
    }
    took.sort();
    let (median, most) = (took[took.len() / 2], took[took.len() - 1]);
    figure("watch", "a change reaches all, median ms", median.as_millis());
    figure("watch", "a change reaches all, at most ms", most.as_millis());
    if most > PROMISED { Err(format!("a change took {most:?}")) } else { Ok(()) }
}

/// Waits until every stream has been told this status.
fn hear(clients: &mut [H2], status: u8) -> Result<(), String> {
    for client in clients {
        let mut heard = 0;
        while heard < STREAMS {
            let told = client.read(Duration::from_secs(10))?.ok_or("nothing within 10 s")?;
            if told.kind == h2::DATA {
                if told.payload.last() != Some(&status) {
                    return Err(format!("{told:?}, wanted {status}"));
                }
                heard += 1;
            }
        }
    }
    Ok(())
}

const CONF: &str = "
    upstream orders { server 127.0.0.1:1; }
    server {
        listen 127.0.0.1:PORT;
        http2 on;
        location /grpc.health.v1.Health/ { grpc_health; }
        location /down { content_by_lua_block {
            assert(require('ngx.upstream').set_peer_down('orders', false, 0, true))
            ngx.header.content_length = 2 ngx.print('ok')
        } }
        location /up { content_by_lua_block {
            assert(require('ngx.upstream').set_peer_down('orders', false, 0, false))
            ngx.header.content_length = 2 ngx.print('ok')
        } }
    }";
const CLIENTS: usize = 10;
const STREAMS: usize = 100;
const ROUNDS: usize = 40;
const PROMISED: Duration = Duration::from_millis(100);
