//! `healthcheck.open`: a checker takes its seat.

use std::ffi::c_int;

use bstr::BString;

use super::feed;
use super::plan::Plan;
use crate::base::log;
use crate::health::Statuses;
use crate::health::dialect::resty::{ProbeKind, Settings};
use crate::health::machine::Limits;
use crate::health::resty::{self, Opening};
use crate::lua::api::ssl::handles::{chain, key};
use crate::lua::api::{socket, upstream};
use crate::lua::raw::{Call, Kind, Raise, View};
use crate::net::tls::ClientTls;
use crate::shdict::zones;

/// `open(name, dictionary, options)`: the number of the seat, and whether nobody held the book.
pub fn open(c: &Call<'_>) -> Result<c_int, Raise> {
    let Some(dict) = zones::find(c.bytes(2)?) else {
        return Err(Raise::text(format!("no shm found by name '{}'", c.text_lossy(2))));
    };
    let ctx = c.ctx()?;
    let settings = settings(c);
    let tls = match tls(c, &settings) {
        Ok(tls) => tls,
        Err(why) => return c.fail(why),
    };
    let hub = feed::hub().ok_or(Raise::text("no worker"))?;
    let (book, is_fresh) = resty::book(c.bytes(1)?, &dict);
    let counts_rounds = c.with_field(3, "counts_rounds", |v, at| v.truthy(at));
    let plan = Plan::new(settings.healthy_ms, settings.unhealthy_ms, counts_rounds);
    let opened = book.open(Opening {
        settings,
        log: log::main_chain(),
        tls,
        generation: ctx.vm.worker.part::<upstream::Bound>().generation.get(),
        out: hub.out(&ctx.vm.worker),
    });
    match opened {
        Ok(seat) => {
            hub.enter(ctx, seat, book, plan);
            c.ret((seat, is_fresh))
        }
        Err(error) => c.fail(error.to_string()),
    }
}

/// Whom probes trust where the checker is made, with the checker's own certificate.
fn tls(c: &Call<'_>, settings: &Settings) -> Result<Option<ClientTls>, String> {
    if settings.kind != ProbeKind::Https {
        return Ok(None);
    }
    let client = socket::tls::client(c)?;
    let handle = |name| c.with_field(3, name, |v, at| v.to_num(at));
    let (chain, key) = (handle("cert").and_then(chain), handle("key").and_then(key));
    match chain.zip(key) {
        Some((chain, key)) => {
            let own = client.with_certificate(chain.to_vec(), &key);
            own.map(Some).map_err(|error| error.to_string())
        }
        None => Ok(Some(ClientTls::clone(&client))),
    }
}

fn settings(c: &Call<'_>) -> Settings {
    let number = |name| c.with_field(3, name, |v, at| v.to_num(at)).unwrap_or_default();
    let text = |name| c.with_field(3, name, |v, at| v.to_bytes(at).map(BString::from));
    let flag = |name| c.with_field(3, name, |v, at| v.truthy(at));
    let milliseconds = |name| (number(name) * 1000.0).ceil() as u64;
    let limit = |name| number(name).ceil().clamp(0.0, 254.0) as u8;
    Settings {
        kind: match text("type").unwrap_or_default().as_slice() {
            b"tcp" => ProbeKind::Tcp,
            b"https" => ProbeKind::Https,
            _ => ProbeKind::Http,
        },
        timeout_ms: milliseconds("timeout").max(1),
        concurrency: number("concurrency") as usize,
        method: text("method").unwrap_or_else(|| "GET".into()),
        path: text("path").unwrap_or_else(|| "/".into()),
        body: text("body").unwrap_or_default(),
        sni: text("sni"),
        verify: flag("verify"),
        headers: lines(c),
        adapts_version: flag("adapts_version"),
        host_first: flag("host_first"),
        healthy_ms: milliseconds("healthy_interval"),
        unhealthy_ms: milliseconds("unhealthy_interval"),
        healthy: statuses(c, "healthy_statuses"),
        unhealthy: statuses(c, "unhealthy_statuses"),
        limits: Limits {
            successes: limit("successes"),
            http_failures: limit("http_failures"),
            tcp_failures: limit("tcp_failures"),
            timeouts: limit("timeouts"),
        },
    }
}

/// The header lines; empty ones are none.
fn lines(c: &Call<'_>) -> Vec<BString> {
    list(c, "headers", |v, at| v.to_bytes(at).map(BString::from))
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect()
}

/// Statuses; what is none matches none.
fn statuses(c: &Call<'_>, name: &str) -> Statuses {
    let whole = |n: f64| (n.fract() == 0.0 && (0.0..=999.0).contains(&n)).then_some(n as u16);
    let number = |v: &View<'_>, at| (v.kind(at) == Kind::Num).then(|| v.to_num(at)).flatten();
    Statuses::of(list(c, name, |v, at| number(v, at).and_then(whole)))
}

fn list<T>(c: &Call<'_>, name: &str, read: impl Fn(&View<'_>, c_int) -> Option<T>) -> Vec<T> {
    c.with_field(3, name, |table, at| {
        let item = |n| table.with_item(at, n, &read);
        (1..=table.raw_len(at)).filter_map(item).collect()
    })
}
