//! The project's own judge: every case of `t/`, run in parallel, one line of result each.
//!
//! ```text
//!   FAMILIES  ->  cases  ->  filter  ->  ledger  ->  runner  ->  "N passed, N failed"
//! ```
//!
//! A family is a module with `pub fn cases() -> Vec<Case>`; to add one, write a `mod` line and
//! a row of `FAMILIES`. Names are `topic/file/case`; arguments are substrings of names, as in
//! `cargo test`. Environment: `T_MODE` (`hup`, `repeat:N`, `workers:N`, `oracle`, separated by
//! commas), `T_JOBS`, `T_KEEP=1` (leave the server folders of failed cases).

// The judge has its own clock: it must not lean on the one it judges.
#![allow(clippy::disallowed_methods)]

mod apisix;
mod bad_requests;
mod conf_cases;
mod examples;
mod fuzz_conf;
mod fuzz_http1;
mod fuzz_http_req;
mod grpc;
mod harness;
mod health_faults;
mod health_life;
mod health_table;
mod health_timelines;
mod kong;
mod nacos;
mod openapi;
mod packages;
mod process;
mod resolve;
mod sim_board;
mod sim_health;
mod sim_shdict;
mod sim_upstream;
mod store;
mod tidy;

use std::process::ExitCode;

use harness::case::{Case, Family};
use harness::{blocks, ledger, modes, runner};

/// Every family of cases, in the order in which they are started.
const FAMILIES: &[(&str, Family)] = &[
    ("tidy", tidy::cases),
    ("fuzz", fuzz_conf::cases),
    ("conf", conf_cases::cases),
    ("health timelines", health_timelines::cases),
    ("health faults", health_faults::cases),
    ("health life", health_life::cases),
    ("health simulation", sim_health::cases),
    ("board simulation", sim_board::cases),
    ("upstream simulation", sim_upstream::cases),
    ("http_req fuzz", fuzz_http_req::cases),
    ("health table", health_table::cases),
    ("packages", packages::cases),
    ("process", process::cases),
    ("resolve", resolve::cases),
    ("http1 fuzz", fuzz_http1::cases),
    ("shdict simulation", sim_shdict::cases),
    ("bad requests", bad_requests::cases),
    ("examples", examples::cases),
    ("grpc", grpc::cases),
    ("apisix", apisix::cases),
    ("kong", kong::cases),
    ("nacos", nacos::cases),
    ("openapi", openapi::cases),
    ("store", store::cases),
    ("blocks", blocks::cases),
];

fn main() -> ExitCode {
    let options = Options::from_args(std::env::args().skip(1));
    let mode = match modes::Mode::from_env() {
        Ok(mode) => mode,
        Err(complaint) => {
            eprintln!("t: {complaint}");
            return ExitCode::from(2);
        }
    };
    let mut cases: Vec<Case> = FAMILIES.iter().flat_map(|(_, cases)| cases()).collect();
    if mode.oracle {
        cases.retain(|case| case.judges_oracle);
    }
    cases.retain(|case| options.selects(&case.name));
    if options.list {
        for case in &cases {
            println!("{}", case.name);
        }
        return ExitCode::SUCCESS;
    }
    let ledger = match ledger::Ledger::load() {
        Ok(ledger) => ledger,
        Err(complaint) => {
            eprintln!("t: {complaint}");
            return ExitCode::from(2);
        }
    };
    let tally = runner::run(cases, &ledger, &mode);
    println!("{tally}");
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the command line asked for.
#[derive(Default)]
struct Options {
    list: bool,
    exact: bool,
    substrings: Vec<String>,
    skips: Vec<String>,
}

impl Options {
    fn from_args(args: impl Iterator<Item = String>) -> Options {
        let mut options = Options::default();
        let mut args = args;
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--list" => options.list = true,
                "--exact" => options.exact = true,
                "--skip" => options.skips.extend(args.next()),
                // Flags that cargo and editors pass to every test binary.
                flag if flag.starts_with('-') => {}
                word => options.substrings.push(word.to_owned()),
            }
        }
        options
    }

    fn selects(&self, name: &str) -> bool {
        let wanted = |word: &String| if self.exact { name == word } else { name.contains(word) };
        (self.substrings.is_empty() || self.substrings.iter().any(wanted))
            && !self.skips.iter().any(|word| name.contains(word))
    }
}
