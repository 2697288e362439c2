//! Checkers that cannot be: each says why in the log, and the gateway serves all the same.

use super::gateway::{Gateway, QUICK};
use super::peers::Peer;
use crate::harness::case::{Case, Outcome};
use crate::harness::server::{self, Prefix, Program};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = ROWS
        .iter()
        .map(|(name, old, new, complaint)| {
            Case::new(format!("health/table/bad: {name}"), move || {
                match Program::Oracle.missing() {
                    Some(reason) => Outcome::Skipped(reason),
                    None => Outcome::from(refused(old, new, complaint)),
                }
            })
        })
        .collect();
    cases.push(Case::check("health/table/bad: http inside server", misplaced_http));
    cases
}

/// The checker is refused with a complaint; peers are up and the page says "NO checkers".
fn refused(old: &str, new: &str, complaint: &str) -> Result<(), String> {
    let peer = Peer::start()?;
    let mut plan = Gateway::new(QUICK).primary(peer.port);
    plan = if old == "DICT" { plan.without_dict() } else { plan.required(old, new) };
    let gateway = plan.start()?;
    gateway.wait_for_log(&format!("failed to spawn health checker: {complaint}"))?;
    gateway.traffic_goes_to(&[peer.port])?;
    gateway.is("UP", peer.port)?;
    if !gateway.status_page()?.contains("Upstream foo.com (NO checkers)\n") {
        return Err(format!("the page is\n{}", gateway.status_page()?));
    }
    gateway.stop()
}

/// The example as many pages print it, with `http` inside `server`, is refused with a hint.
fn misplaced_http() -> Result<(), String> {
    let prefix = Prefix::new()?;
    let conf =
        "events { }\nserver {\n    http {\n        lua_shared_dict healthcheck 1m;\n    }\n}\n";
    prefix.write("conf/nginx.conf", conf)?;
    let (loaded, text) = server::run_to_end(Program::Ours, &prefix, &["-t"])?;
    let wanted = [
        "nginx: [emerg] \"server\" directive is not allowed here in ",
        "conf/nginx.conf:2",
        "\"http\" directive is not allowed here in ",
        "conf/nginx.conf:3",
    ];
    if loaded {
        return Err("the configuration loads".into());
    }
    for part in wanted {
        if !text.contains(part) {
            return Err(format!("no \"{part}\" in\n{text}"));
        }
    }
    Ok(())
}

/// Name, what is replaced in the options, by what, and the complaint.
const ROWS: &[(&str, &str, &str, &str)] = &[
    ("the dictionary is missing", "DICT", "", "shm \"healthcheck\" not found"),
    (
        "the upstream is unknown",
        "upstream = \"foo.com\"",
        "upstream = \"nope\"",
        "failed to get primary peers: upstream not found",
    ),
    (
        "type tcp",
        "type = \"http\"",
        "type = \"tcp\"",
        "only \"http\" and \"https\" type are supported right now",
    ),
    ("no type", "type = \"http\",", "", "\"type\" option required"),
    ("no http_req", "http_req", "other_req", "\"http_req\" option required"),
    ("no shm", "shm = \"healthcheck\",", "", "\"shm\" option required"),
    ("no upstream", "upstream = \"foo.com\",", "", "no upstream specified"),
];
