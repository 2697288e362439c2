//! The shipped example: starts as it is, on its own ports, and warns of its keys.

use std::process::Command;

use super::scene::{KEY, SEED};
use crate::harness::case::Check;
use crate::harness::server::{Prefix, Program, free_port};
use crate::tidy::source;

pub const ROWS: &[(&str, Check)] = &[
    ("the example starts as it is, and takes the seed's command", starts),
    ("the example listens on this machine only, and says that keys must change", careful),
];

/// In a network of its own, where all ports are free; where that is not allowed, on other ports.
fn starts() -> Result<(), String> {
    let prefix = Prefix::new()?;
    let example = source::read("conf/examples/apisix.conf");
    let binary = Program::Ours.path();
    let moonbeat = format!("{binary} -p {} -c conf/examples/apisix.conf", prefix.path().display());
    let read = format!("curl -s -H '{KEY}' http://127.0.0.1");
    let script = format!(
        "set -e\n{moonbeat} -t\n{moonbeat}\n{}{read}:9180/apisix/admin/routes/1\n\
         curl -s http://127.0.0.1:9090/v1/healthcheck\n\
         curl -s http://127.0.0.1:9091/apisix/prometheus/metrics\n{moonbeat} -s quit\n\
         while [ -e {}/logs/nginx.pid ]; do sleep 0.05; done\n",
        SEED.replace("curl ", "curl -s --retry 20 --retry-connrefused --retry-delay 1 "),
        prefix.path().display(),
    );
    let alone = Command::new("unshare").args(["-n", "ip", "link", "set", "lo", "up"]).output();
    let output = if alone.is_ok_and(|alone| alone.status.success()) {
        prefix.write("conf/examples/apisix.conf", example)?;
        let script = format!("ip link set lo up\n{script}");
        Command::new("timeout").args(["120", "unshare", "-n", "sh", "-c", &script]).output()
    } else {
        let (mut example, mut script) = (example, script);
        for usual in ["9080", "9180", "9090", "9091"] {
            let (from, to) = (format!("127.0.0.1:{usual}"), format!("127.0.0.1:{}", free_port()));
            example = example.replace(&from, &to);
            script = script.replace(&from, &to);
        }
        prefix.write("conf/examples/apisix.conf", example)?;
        Command::new("timeout").args(["120", "sh", "-c", &script]).output()
    };
    let output = output.map_err(|e| e.to_string())?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let all_there = [
        r#""action":"set""#,
        r#""createdIndex""#,
        r#""name":"/apisix/routes/1""#,
        "apisix_upstream_status",
    ];
    if let Some(missing) = all_there.iter().find(|text| !printed.contains(**text)) {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("no {missing} in {printed}\n{told}\n{}", prefix.error_log()));
    }
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

fn careful() -> Result<(), String> {
    let example = source::read("conf/examples/apisix.conf");
    let words = |line: &str| line.trim().strip_prefix("listen ").map(str::to_owned);
    let mut listens: Vec<String> = example.lines().filter_map(words).collect();
    listens.sort_unstable();
    let wanted = ["127.0.0.1:9080;", "127.0.0.1:9090;", "127.0.0.1:9091;", "127.0.0.1:9180;"];
    let key = KEY.trim_start_matches("X-API-KEY: ");
    let warned = example.contains("# CHANGE THE KEYS.") && example.contains(key);
    match listens == wanted && warned {
        true => Ok(()),
        false => Err(format!("{listens:?} {warned}")),
    }
}
