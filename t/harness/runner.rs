//! Runs cases on a few threads and keeps the score.
//!
//! ```text
//!   FAILED  topic/file/case (1.2s)         and once more at the end, so that
//!           what is wrong, in one line     any short cut of the output has it
//!           log: the server's last lines
//! ```
//!
//! Cases mostly wait for servers, so there are more threads than cores. Output of a case is
//! printed whole, when it has ended.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::case::{Case, Outcome};
use super::ledger::Ledger;
use super::modes::Mode;
use super::server;

/// Runs all cases and returns the counts.
pub fn run(cases: Vec<Case>, ledger: &Ledger, mode: &Mode) -> Tally {
    let queue = Mutex::new(VecDeque::from(cases));
    let score = Mutex::new(Score::default());
    std::thread::scope(|scope| {
        let (alive, ended) = channel::<()>();
        for _ in 0..jobs() {
            let alive = alive.clone();
            let (queue, score) = (&queue, &score);
            scope.spawn(move || {
                work(queue, score, ledger, mode);
                drop(alive);
            });
        }
        drop(alive);
        watch(&ended, &score);
    });
    let mut score = score.into_inner().unwrap_or_else(PoisonError::into_inner);
    score.print_failures();
    score.tally
}

/// The last line of a run.
#[derive(Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Score {
    tally: Tally,
    failures: Vec<Failure>,
    running: BTreeMap<String, Instant>,
}

struct Failure {
    name: String,
    complaint: String,
    /// What its servers logged last.
    log: Vec<String>,
}

impl Failure {
    /// The failure in three lines, however long the complaint is.
    fn print(&self, after: &str) {
        println!("FAILED  {}{after}", self.name);
        let lines: Vec<&str> =
            self.complaint.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        println!("        {}", clip(&lines.join(" | "), 600));
        if !self.log.is_empty() {
            println!("        log: {}", clip(&tail(&self.log, 2).join(" | "), 400));
        }
    }
}

impl Score {
    fn add(&mut self, name: &str, outcome: Outcome, log: Vec<String>) {
        let began = self.running.remove(name);
        let seconds = began.map_or(0.0, |began| began.elapsed().as_secs_f32());
        match outcome {
            Outcome::Passed => {
                self.tally.passed += 1;
                println!("ok      {name} ({seconds:.1}s)");
            }
            Outcome::Skipped(reason) => {
                self.tally.skipped += 1;
                println!("skipped {name}: {reason}");
            }
            Outcome::Failed(complaint) => {
                self.tally.failed += 1;
                let failure = Failure { name: name.to_owned(), complaint, log };
                failure.print(&format!(" ({seconds:.1}s)"));
                self.failures.push(failure);
            }
        }
    }

    fn print_failures(&mut self) {
        self.failures.sort_by(|a, b| a.name.cmp(&b.name));
        for failure in &self.failures {
            println!("\n---- {}", failure.name);
            for line in failure.complaint.trim_end().lines() {
                println!("     {line}");
            }
            if !failure.log.is_empty() {
                println!("     -- log");
            }
            for line in &failure.log {
                println!("     {line}");
            }
        }
        println!();
        for failure in &self.failures {
            failure.print("");
        }
    }
}

/// Takes cases until none is left.
fn work(queue: &Mutex<VecDeque<Case>>, score: &Mutex<Score>, ledger: &Ledger, mode: &Mode) {
    loop {
        let next = locked(queue).pop_front();
        let Some(case) = next else { break };
        let name = case.name.clone();
        locked(score).running.insert(name.clone(), Instant::now());
        let _ = server::take_logs();
        let outcome = ledger.judge(&name, mode, case.run());
        locked(score).add(&name, outcome, server::take_logs());
    }
}

/// Tells of cases that take long; a run in which one hangs ends, and says which it was.
fn watch(ended: &Receiver<()>, score: &Mutex<Score>) {
    let long_form = std::env::var_os("T_LONG").is_some();
    while ended.recv_timeout(LONG) == Err(RecvTimeoutError::Timeout) {
        let mut score = locked(score);
        let running: Vec<(String, Duration)> =
            score.running.iter().map(|(name, began)| (name.clone(), began.elapsed())).collect();
        for (name, time) in running.iter().filter(|(_, time)| *time > LONG) {
            println!("running {name} ({:.0}s)", time.as_secs_f32());
        }
        let hangs: Vec<_> = running.into_iter().filter(|(_, time)| *time > HANG).collect();
        if hangs.is_empty() || long_form {
            continue;
        }
        for (name, time) in hangs {
            let complaint = format!("hangs: not done after {time:.0?}; the run ends here");
            score.add(&name, Outcome::Failed(complaint), Vec::new());
        }
        score.print_failures();
        println!("{}", score.tally);
        std::process::exit(1);
    }
}

fn jobs() -> usize {
    let asked = std::env::var("T_JOBS").ok().and_then(|text| text.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
    asked.unwrap_or_else(|| usize::min(cores() * 2, MOST_JOBS))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tail(lines: &[String], count: usize) -> &[String] {
    &lines[lines.len().saturating_sub(count)..]
}

fn clip(text: &str, most: usize) -> String {
    let mut short: String = text.chars().take(most).collect();
    if short.len() < text.len() {
        short.push_str(" ...");
    }
    short
}

/// After this long a case is named, and again after each such time.
const LONG: Duration = Duration::from_secs(60);
/// No case takes this long on any machine.
const HANG: Duration = Duration::from_secs(600);
/// Servers and clients of more cases at a time only wait for each other.
const MOST_JOBS: usize = 24;
