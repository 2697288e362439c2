//! The command line, signals, reloads and deaths, as a user of `nginx` knows them.
//!
//! ```text
//!   command -> master -> worker process          requests all the while
//! ```
//!
//! These cases hold for nginx too, so they run in oracle mode as well.

mod command;
mod load;
mod reload;
mod sessions;

use crate::harness::case::{Case, Outcome};
use crate::harness::modes::Mode;
use crate::harness::server::{Prefix, Program, Server};
use crate::harness::wait::{self, HANG};

pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (topic, rows) in
        [("command", command::ROWS), ("reload", reload::ROWS), ("sessions", sessions::ROWS)]
    {
        cases.extend(rows.iter().map(|(name, run)| {
            Case::shared(format!("process/{topic}/{name}"), move || {
                let program = match Mode::from_env() {
                    Ok(mode) if mode.oracle => Program::Oracle,
                    Ok(_) => Program::Ours,
                    Err(complaint) => return Outcome::Failed(complaint),
                };
                match program.missing() {
                    Some(reason) => Outcome::Skipped(reason),
                    None => Outcome::from(run(program)),
                }
            })
        }));
    }
    cases
}

/// A row of a table of cases.
type Row = (&'static str, fn(Program) -> Result<(), String>);

/// A configuration with a master, the given http lines, and one server with these lines.
fn configuration(program: Program, port: u16, http: &str, server: &str) -> String {
    format!(
        "{}user root;\nworker_processes 2;\ndaemon off;\nmaster_process on;\n\
         error_log logs/error.log notice;\npid logs/nginx.pid;\nevents {{ }}\n\
         http {{\n    access_log logs/access.log;\n    {http}\n    \
         server {{\n        listen {port};\n        {server}\n    }}\n}}\n",
        program.preamble()
    )
}

fn start(program: Program, port: u16, http: &str, server: &str) -> Result<Server, String> {
    let conf = configuration(program, port, http, server);
    let server = Server::start(program, Prefix::new()?, &conf, port)?;
    // A master that is still starting its workers may not hear signals.
    let workers = if program == Program::Ours { 1 } else { 2 };
    wait_until("the workers", || children(server.pid()).len() == workers)?;
    Ok(server)
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) -> Result<(), String> {
    wait::until(HANG, || match done() {
        true => Ok(()),
        false => Err(format!("{what}: not within {HANG:?}")),
    })
}

/// The processes whose parent is `pid`.
fn children(pid: u32) -> Vec<u32> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}
