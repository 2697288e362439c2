//! The script half of the API: `lua/prelude/*.lua`, embedded and run in number order.
//!
//! ```text
//!   00_body   the reuse loop of light threads        ◀─ marks
//!   01_base   B = { N natives, F ffi, S words, ask, ngx, builtin }
//!   NN_topic  gets B, fills B.ngx
//!   99_seal   packages, searchers, the guard of globals
//! ```

use std::rc::Rc;

use super::api;
use super::raw::ffi::Words;
use super::raw::{Func, Host, Val};
use super::vm::Worker;

/// Loads the API into a fresh state; gives the body of light threads.
pub fn load(host: &Rc<Host>, words: &Words, worker: &Rc<Worker>) -> Result<Func, String> {
    let marks = host.marks(words);
    let natives = host.natives(api::TOPICS.iter().flat_map(|t| t.ops));
    let ffi = host.ffi_rows(api::TOPICS.iter().flat_map(|t| t.ffi));
    let settings = &worker.settings;
    let text = |v: &Option<String>| v.clone().map_or(Val::Nil, Val::from);
    let config = Val::Map(vec![
        ("package_path".into(), text(&settings.package_path)),
        ("package_cpath".into(), text(&settings.package_cpath)),
        ("prefix".into(), settings.prefix.clone().into()),
        ("debug".into(), settings.is_debug.into()),
        ("configure".into(), settings.configure.clone().into()),
        ("has_master".into(), settings.has_master.into()),
        ("is_agent".into(), settings.is_agent.into()),
        ("number".into(), worker.number().map_or(Val::Nil, |n| (n as f64).into())),
        ("worker_count".into(), (settings.worker_count as f64).into()),
        ("library".into(), Val::Map(library().collect())),
    ]);
    let config = host.build(|view| _ = view.push(config));
    let body = run(host, "00_body", &[&marks])?;
    let base = run(host, "01_base", &[&marks, &natives, &ffi, &config])?;
    for (name, _) in FILES.iter().filter(|(name, _)| *name > "01_base") {
        run(host, name, &[&base])?;
    }
    Ok(body)
}

/// Modules by name, compiled when they are asked for.
fn library() -> impl Iterator<Item = (Val, Val)> {
    LIBRARY.iter().map(|(name, code)| (Val::Text(name), Val::Text(code)))
}

fn run(host: &Rc<Host>, name: &str, args: &[&Func]) -> Result<Func, String> {
    let Some((_, code)) = FILES.iter().find(|(n, _)| *n == name) else {
        return Err(format!("no prelude file {name}"));
    };
    let chunk = host.load(code.as_bytes(), &format!("=moonbeat:{name}"))?;
    host.call_kept(&chunk, args)
}

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../lua/prelude/", $name, ".lua")))),*]
    };
}

/// Names and texts, in load order.
const FILES: &[(&str, &str)] = files!(
    "00_body"
    "01_base"
    "10_coroutine"
    "20_sleep"
    "21_thread"
    "22_time"
    "23_timer"
    "24_encode"
    "25_log"
    "26_config"
    "27_semaphore"
    "28_re"
    "29_table"
    "30_consts"
    "31_worker_thread"
    "32_pipe"
    "33_process"
    "34_crypto"
    "39_socket"
    "40_socket_tcp"
    "41_socket_udp"
    "60_ssl"
    "61_ocsp"
    "70_upstream"
    "71_library"
    "40_output"
    "41_control"
    "42_var"
    "43_header"
    "44_req"
    "45_location"
    "50_shdict"
    "51_balancer"
    "90_cjson"
    "95_resty_core"
    "99_seal"
);

macro_rules! library {
    ($($name:literal = $file:literal)*) => {
        &[$(($name, include_str!(concat!("../../lua/", $file, ".lua")))),*]
    };
}

/// Names and texts of modules that users may have a copy of their own of.
const LIBRARY: &[(&str, &str)] = library!(
    "jit.bcsave" = "jit/bcsave"
    "jit.v" = "jit/v"
    "resty.aes" = "resty/aes"
    "resty.digest" = "resty/digest"
    "resty.dns.resolver" = "resty/dns/resolver"
    "resty.dns.wire" = "resty/dns/wire"
    "resty.healthcheck" = "resty/healthcheck"
    "resty.healthcheck.api7" = "resty/healthcheck/api7"
    "resty.healthcheck.checker" = "resty/healthcheck/checker"
    "resty.healthcheck.events" = "resty/healthcheck/events"
    "resty.healthcheck.make" = "resty/healthcheck/make"
    "resty.healthcheck.options" = "resty/healthcheck/options"
    "resty.limit.conn" = "resty/limit/conn"
    "resty.limit.count" = "resty/limit/count"
    "resty.limit.req" = "resty/limit/req"
    "resty.limit.traffic" = "resty/limit/traffic"
    "resty.lock" = "resty/lock"
    "resty.lrucache" = "resty/lrucache"
    "resty.random" = "resty/random"
    "resty.shell" = "resty/shell"
    "resty.signal" = "resty/signal"
    "resty.string" = "resty/string"
    "resty.upload" = "resty/upload"
    "resty.upstream.healthcheck" = "resty/upstream/healthcheck"
    "tablepool" = "tablepool"
);
