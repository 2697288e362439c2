//! State machines as text: `t/health/*.timeline`, one case each title.
//!
//! ```text
//!  === title
//!  machine  rise_fall rise=2 fall=3
//!  in       x x . x x x          what is observed
//!  turn     - - - - - D          what traffic sees      (or `state`, `ok`, `nok`)
//! ```
//!
//! Cases with a `check` line in place of `machine` play a whole check: see `board`.

mod board;

use std::path::Path;

use moonbeat::health::machine::{Counters, Limits, Machine, RiseFall, Seen, State, Transition};

use crate::harness::case::Case;

/// One case for each title of each file.
pub fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("t/health");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "timeline"))
        .collect();
    paths.sort();
    paths.iter().flat_map(|path| file_cases(path)).collect()
}

fn file_cases(path: &Path) -> Vec<Case> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut blocks = text.split("=== ");
    let preamble = blocks.next().unwrap_or_default().to_string();
    blocks
        .map(|block| {
            let preamble = preamble.clone();
            let title = block.lines().next().unwrap_or_default().to_string();
            let block = block.to_string();
            Case::check(format!("health/{stem}/{title}"), move || {
                match block.contains("\ncheck ") {
                    true => board::check(&preamble, &block),
                    false => check(&block),
                }
            })
        })
        .collect()
}

fn check(block: &str) -> Result<(), String> {
    let line = |name: &str| {
        let words = |l: &str| l.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        block.lines().map(words).find(|w| w.first().is_some_and(|f| f == name))
    };
    let machine = line("machine").ok_or("no machine line")?;
    let seen = line("in").ok_or("no in line")?;
    let got = run(build(&machine[1..])?, &seen[1..])?;
    let mut judged = 0;
    for (name, actual) in ["turn", "state", "ok", "nok"].into_iter().zip(&got) {
        if let Some(expected) = line(name) {
            judged += 1;
            if expected[1..] != actual[..] {
                let (want, have) = (expected[1..].join(" "), actual.join(" "));
                return Err(format!("{name}\n  expected {want}\n  got      {have}"));
            }
        }
    }
    if judged == 0 { Err("nothing is expected".into()) } else { Ok(()) }
}

fn build(words: &[String]) -> Result<Machine, String> {
    let number = |key: &str| -> Result<u8, String> {
        let found = words.iter().find_map(|w| w.strip_prefix(key)?.strip_prefix('='));
        found.ok_or(format!("no {key}="))?.parse().map_err(|_| format!("bad {key}="))
    };
    let down = words.iter().any(|w| w == "from=down");
    match words.first().map(String::as_str) {
        Some("rise_fall") => {
            let (rise, fall) = (number("rise")?.into(), number("fall")?.into());
            Ok(Machine::RiseFall(RiseFall::new(rise, fall, down)))
        }
        Some("counters") => {
            let limits = Limits {
                successes: number("successes")?,
                http_failures: number("http")?,
                tcp_failures: number("tcp")?,
                timeouts: number("timeouts")?,
            };
            Ok(Machine::Counters(Counters::new(limits, !down)))
        }
        other => Err(format!("unknown machine {other:?}")),
    }
}

/// The turns, states and both counts after each observation.
fn run(mut machine: Machine, seen: &[String]) -> Result<[Vec<String>; 4], String> {
    let mut got = [const { Vec::new() }; 4];
    for word in seen {
        let turn = machine.observe(observation(word)?);
        let (ok, nok) = machine.counts();
        let shown = [
            turn_mark(turn).to_string(),
            state_mark(machine.state()).to_string(),
            ok.to_string(),
            nok.to_string(),
        ];
        got.iter_mut().zip(shown).for_each(|(list, word)| list.push(word));
    }
    Ok(got)
}

fn observation(word: &str) -> Result<Seen, String> {
    match word {
        "." | "S" => Ok(Seen::Success),
        "x" | "H" => Ok(Seen::HttpFailure),
        "T" => Ok(Seen::TcpFailure),
        "O" => Ok(Seen::Timeout),
        other => Err(format!("unknown observation {other}")),
    }
}

fn turn_mark(turn: Option<Transition>) -> &'static str {
    match turn.and_then(|t| t.verdict()) {
        Some(true) => "U",
        Some(false) => "D",
        None => "-",
    }
}

fn state_mark(state: State) -> &'static str {
    match state {
        State::Healthy => "he",
        State::MostlyHealthy => "mh",
        State::MostlyUnhealthy => "mu",
        State::Unhealthy => "un",
    }
}
