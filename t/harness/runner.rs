//! Runs cases on a few threads and keeps the score.
//!
//! Cases mostly wait for servers, so there are more threads than cores. Output of a case is
//! printed whole, when it has ended.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::case::{Case, Outcome};
use super::ledger::Ledger;
use super::modes::Mode;

/// Runs all cases and returns the counts.
pub fn run(cases: Vec<Case>, ledger: &Ledger, mode: &Mode) -> Tally {
    let queue = Mutex::new(VecDeque::from(cases));
    let score = Mutex::new(Score::default());
    std::thread::scope(|scope| {
        for _ in 0..jobs() {
            scope.spawn(|| {
                loop {
                    let next =
                        queue.lock().expect("no case panics outside its own net").pop_front();
                    let Some(case) = next else { break };
                    let name = case.name.clone();
                    let begun = Instant::now();
                    let outcome = ledger.judge(&name, mode, case.run());
                    score.lock().expect("counting does not panic").add(
                        &name,
                        outcome,
                        begun.elapsed(),
                    );
                }
            });
        }
    });
    let mut score = score.into_inner().expect("all threads have ended");
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
    failures: Vec<(String, String)>,
}

impl Score {
    fn add(&mut self, name: &str, outcome: Outcome, took: Duration) {
        let seconds = took.as_secs_f32();
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
                println!("FAILED  {name} ({seconds:.1}s)");
                self.failures.push((name.to_owned(), complaint));
            }
        }
    }

    fn print_failures(&mut self) {
        self.failures.sort();
        for (name, complaint) in &self.failures {
            println!("\n---- {name}");
            for line in complaint.trim_end().lines() {
                println!("     {line}");
            }
        }
        println!();
    }
}

fn jobs() -> usize {
    let asked = std::env::var("T_JOBS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(2, |n| n.get()) * 2)
}
