//! Paces, policies and reports, with time handed in.

mod policy;
mod traffic;

use super::*;
use crate::health::dialect::Dialect;
use crate::health::machine::{Limits, Seen, State};
use crate::health::outcome::{Kind, Outcome};
use crate::health::schedule::First;
use crate::health::spec::{AllDown, Eject, MachineSpec, Pace};

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, wall_ms: 1_000_000 + mono_ms }
}

fn spec() -> CheckSpec {
    CheckSpec {
        pace: Pace { first: First::AtOnce, ..Pace::every(1000) },
        machine: MachineSpec::RiseFall { rise: 2, fall: 3 },
        ..CheckSpec::new(Dialect::Native, "foo")
    }
}

fn target(name: &str) -> TargetSpec {
    TargetSpec::new(name, "", None)
}

fn key(name: &str) -> Key {
    Key::new(name, "")
}

fn board(spec: CheckSpec, names: &[&str]) -> Board {
    let mut board = Board::new(Arc::new(spec), CheckBit::nth(0));
    names.iter().for_each(|n| assert!(board.add(&target(n), at(0))));
    board
}

fn pass() -> Outcome {
    Outcome::new(Kind::Passed)
}

fn fail() -> Outcome {
    Outcome::new(Kind::ConnectFailed)
}

/// Probes what is due and tells the names.
fn probe(board: &mut Board, now_ms: u64, outcome: impl Fn(&str) -> Outcome) -> Vec<String> {
    let mut names = Vec::new();
    board.tick(at(now_ms));
    while let Some(launch) = board.launch(at(now_ms)) {
        let name = launch.target.name.clone();
        board.finish(launch.seat, &outcome(&name), at(now_ms));
        names.push(name);
    }
    names
}

fn held(board: &Board) -> Vec<&str> {
    let held = board.seats().filter(|s| s.is_held());
    held.map(|s| s.watch.target.name.as_str()).collect()
}

fn whats(board: &mut Board) -> Vec<What> {
    board.drain().into_iter().map(|e| e.what).collect()
}

#[test]
fn every_peer_has_its_own_grid() {
    let mut b = board(spec(), &["a"]);
    let mut starts = Vec::new();
    for _ in 0..4 {
        let due_ms = b.next_at_ms().expect("armed");
        starts.push(due_ms);
        assert_eq!(probe(&mut b, due_ms + 7, |_| pass()), ["a"]);
    }
    assert_eq!(starts, [0, 1000, 2000, 3000], "no drift");
    // Missed slots are skipped.
    assert_eq!(probe(&mut b, 6500, |_| pass()), ["a"]);
    assert_eq!(b.next_at_ms(), Some(7000));
}

#[test]
fn peers_wake_the_engine_together() {
    let pace = Pace { first: First::Spread, jitter_ms: 100, ..Pace::every(1000) };
    let names: Vec<String> = (0..200).map(|i| format!("p{i}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut b = board(CheckSpec { pace, ..spec() }, &names);
    let (mut wakeups, mut probes) = (0, 0);
    while let Some(due_ms) = b.next_at_ms().filter(|at| *at < 10_000) {
        assert_eq!(due_ms % 50, 0);
        probes += probe(&mut b, due_ms, |_| pass()).len();
        wakeups += 1;
    }
    assert!((1800..=2200).contains(&probes) && wakeups <= 200, "{probes} in {wakeups}");
}

#[test]
fn intervals_follow_the_state() {
    let pace = Pace {
        fast_ms: Some(200),
        backoff_max_ms: 8000,
        first: First::AtOnce,
        unhealthy_ms: 2000,
        ..Pace::every(1000)
    };
    let mut b = board(CheckSpec { pace, ..spec() }, &["a"]);
    let step = |b: &mut Board, outcome: Outcome| {
        let due_ms = b.next_at_ms().expect("armed");
        probe(b, due_ms, |_| outcome.clone());
        b.next_at_ms().expect("armed") - due_ms
    };
    assert_eq!(step(&mut b, pass()), 1000);
    assert_eq!(step(&mut b, fail()), 200, "wavering");
    assert_eq!(step(&mut b, fail()), 200);
    assert_eq!(step(&mut b, fail()), 2000, "down");
    let gaps: Vec<u64> = (0..30).map(|_| step(&mut b, fail())).collect();
    assert_eq!((gaps[8], gaps[9], gaps[19], gaps[29]), (2000, 4000, 8000, 8000), "long dead");
    assert_eq!(step(&mut b, pass()), 200);
    assert_eq!(step(&mut b, pass()), 1000);
}

#[test]
fn lanes_that_are_off_are_not_probed() {
    let limits = Limits { successes: 1, http_failures: 1, tcp_failures: 1, timeouts: 1 };
    let machine = MachineSpec::Counters(limits);
    let pace = Pace::lanes(0, 100);
    let mut b = board(CheckSpec { pace, machine, ..spec() }, &["a"]);
    assert_eq!(b.next_at_ms(), None);
    let report = Report::passive(Seen::HttpFailure);
    assert!(matches!(b.report(&key("a"), &report, at(5000)), Reported::Counted(_)));
    assert_eq!(b.next_at_ms(), Some(5100), "unhealthy peers are probed");
    assert_eq!(probe(&mut b, 5100, |_| pass()), ["a"]);
    assert!(probe(&mut b, 60_000, |_| pass()).is_empty(), "healthy again: left alone");
    assert_eq!(b.report(&key("b"), &report, at(0)), Reported::Unknown);
}

#[test]
fn concurrency_is_a_cap() {
    let mut b = board(CheckSpec { concurrency: 2, ..spec() }, &["a", "b", "c"]);
    let first = b.launch(at(0)).expect("due");
    let second = b.launch(at(0)).expect("due");
    assert_eq!(b.launch(at(0)).map(|l| l.seat), None);
    b.finish(first.seat, &pass(), at(1));
    let third = b.launch(at(1)).expect("room again");
    assert_eq!(third.target.name, "c");
    // Nobody is probed twice at a time, even if somebody asks for it.
    b.probe_key_now(&key("c"), at(1));
    b.finish(second.seat, &pass(), at(1));
    assert_eq!(b.launch(at(1)).map(|l| l.seat), None);
}

#[test]
fn a_result_for_a_peer_that_is_gone_is_dropped() {
    let mut b = board(CheckSpec { concurrency: 1, ..spec() }, &["a"]);
    let launch = b.launch(at(0)).expect("due");
    assert!(b.remove(&key("a"), at(0)) && !b.remove(&key("a"), at(0)));
    assert!(b.add(&target("b"), at(0)));
    b.finish(launch.seat, &fail(), at(1));
    assert_eq!(b.seat(&key("b")).map(|s| s.watch.probes), Some(0));
    assert_eq!(b.launch(at(1)).map(|l| l.target.name.clone()), Some("b".into()), "room is free");
}

#[test]
fn a_new_list_keeps_known_states() {
    let machine = MachineSpec::RiseFall { rise: 1, fall: 1 };
    let mut b = board(CheckSpec { machine, ..spec() }, &["a", "b"]);
    probe(&mut b, 0, |n| if n == "a" { fail() } else { pass() });
    assert_eq!(held(&b), ["a"]);
    b.drain();
    b.reconcile(["c", "a", "a"].map(target).to_vec(), at(10));
    assert_eq!(whats(&mut b), [What::Added { up: true }, What::Removed]);
    let names: Vec<_> = b.seats().map(|s| s.watch.target.name.clone()).collect();
    assert_eq!((names, held(&b)), (vec!["c".into(), "a".into()], vec!["a"]));
    assert_eq!(b.seat(&key("a")).map(|s| s.watch.probes), Some(1));
}

#[test]
fn checking_peers_wait_for_one_success() {
    let mut s = spec();
    s.policy.initial = Initial::Checking;
    let mut b = board(s, &["a", "b"]);
    assert!(held(&b).is_empty(), "nobody is proven: all are used");
    assert_eq!(b.seats().next().map(|s| s.state_name(Initial::Checking)), Some("checking"));
    probe(&mut b, 0, |n| if n == "a" { pass() } else { fail() });
    assert_eq!(held(&b), ["b"]);
    assert!(b.add(&target("c"), at(10)));
    assert_eq!(held(&b), ["b", "c"], "a new one has to show something first");
}

#[test]
fn policies_for_bad_times() {
    let machine = MachineSpec::RiseFall { rise: 1, fall: 1 };
    let down = |b: &mut Board, names: &[&str], now_ms| {
        probe(b, now_ms, |n| if names.contains(&n) { fail() } else { pass() });
    };
    let mut s = CheckSpec { machine, ..spec() };
    s.policy.all_down = AllDown::TryAll;
    let mut b = board(s.clone(), &["a", "b"]);
    down(&mut b, &["a"], 0);
    assert_eq!(held(&b), ["a"]);
    down(&mut b, &["a", "b"], 1000);
    assert!(held(&b).is_empty() && b.is_panicking());
    assert!(whats(&mut b).contains(&What::Panic(true)));
    down(&mut b, &["a"], 2000);
    assert_eq!(held(&b), ["a"]);
    assert!(whats(&mut b).contains(&What::Panic(false)));
    s.policy.all_down = AllDown::Refuse;
    s.policy.panic_percent = 50;
    let mut b = board(s.clone(), &["a", "b", "c", "d"]);
    down(&mut b, &["a", "b"], 0);
    assert_eq!(held(&b), ["a", "b"], "half of them is enough");
    down(&mut b, &["a", "b", "c"], 1000);
    assert!(held(&b).is_empty());
    s.policy.panic_percent = 0;
    s.policy.max_ejection_percent = 50;
    let mut b = board(s, &["a", "b", "c", "d"]);
    down(&mut b, &["a", "b", "c"], 0);
    assert_eq!(held(&b).len(), 2, "no more than half are taken out");
    down(&mut b, &["b", "c"], 1000);
    assert_eq!(held(&b), ["b", "c"]);
}

#[test]
fn an_operator_outranks_the_checks_for_a_time() {
    let mut b = board(spec(), &["a"]);
    let over = |state| {
        let (author, reason) = ("ops".into(), "disk".into());
        Some(Override { state, author, reason, expires_at_ms: Some(500) })
    };
    assert!(b.set_override(&key("a"), over(Forced::Drain), at(0)));
    assert_eq!(held(&b), ["a"]);
    assert_eq!(b.seat(&key("a")).map(|s| s.watch.machine.state()), Some(State::Healthy));
    b.tick(at(499));
    assert_eq!(held(&b), ["a"]);
    b.tick(at(500));
    assert!(held(&b).is_empty());
    assert!(!b.set_override(&key("x"), None, at(0)));
}

#[test]
fn ejection_by_requests_and_the_way_back() {
    let mut s = spec();
    s.pace = Pace::every(0);
    s.passive.eject = Some(Eject { failures: 2, window_ms: 0, base_ms: 100, max_ms: 150 });
    let mut b = board(s, &["a"]);
    let tell = |b: &mut Board, seen, now_ms| {
        let report = Report::passive(seen);
        b.report(&key("a"), &report, at(now_ms));
        b.seats().all(|s| s.is_held())
    };
    let (bad, good) = (Seen::Timeout, Seen::Success);
    assert!(!tell(&mut b, bad, 0) && !tell(&mut b, good, 1) && !tell(&mut b, bad, 2));
    assert!(tell(&mut b, bad, 3), "two in a row");
    assert_eq!(b.next_at_ms(), Some(103));
    b.tick(at(103));
    assert!(held(&b).is_empty(), "half open");
    assert!(tell(&mut b, bad, 104), "one failure is enough now");
    b.tick(at(253));
    assert_eq!(held(&b), ["a"], "twice as long, but capped");
    b.tick(at(254));
    assert!(!tell(&mut b, good, 255) && !tell(&mut b, bad, 256), "a success closes it");
}

#[test]
fn a_flapping_peer_is_held_down() {
    let mut s = CheckSpec { machine: MachineSpec::RiseFall { rise: 1, fall: 1 }, ..spec() };
    s.policy.hold_down_ms = 10_000;
    let mut b = board(s, &["a"]);
    for round in 0..4 {
        probe(&mut b, round * 1000, |_| if round % 2 == 0 { fail() } else { pass() });
    }
    assert_eq!(held(&b), ["a"], "well, but not trusted");
    assert!(whats(&mut b).contains(&What::Flapping { for_ms: 10_000 }));
    b.tick(at(13_000));
    assert!(held(&b).is_empty());
}

#[test]
fn leases_run_out() {
    let mut s = spec();
    s.pace = Pace::every(0);
    s.machine = MachineSpec::Lease { unhealthy_ms: 15_000, delete_ms: 30_000 };
    let mut b = board(s, &["a"]);
    b.drain();
    assert_eq!(b.next_at_ms(), Some(15_000));
    let beat = Report { source: crate::health::Source::Lease, ..Report::active(Seen::Success) };
    b.report(&key("a"), &beat, at(10_000));
    for now_ms in [15_000, 25_000] {
        b.tick(at(now_ms));
    }
    assert_eq!(held(&b), ["a"]);
    b.tick(at(40_000));
    assert_eq!(whats(&mut b).last(), Some(&What::Expired));
}

#[test]
fn forcing_is_always_told() {
    let mut b = board(spec(), &["a"]);
    b.drain();
    for up in [true, false, false] {
        assert!(b.force(&key("a"), up, at(0)));
    }
    let forced = |up| What::Forced { up };
    assert_eq!(whats(&mut b), [forced(true), forced(false), forced(false)]);
    assert_eq!(held(&b), ["a"]);
}

#[test]
fn other_numbers_keep_the_states() {
    let mut b = board(spec(), &["a"]);
    for now_ms in [0, 1000] {
        probe(&mut b, now_ms, |_| fail());
    }
    let machine = MachineSpec::RiseFall { rise: 2, fall: 10 };
    b.respec(Arc::new(CheckSpec { machine, ..spec() }), at(1500));
    let counts = b.seat(&key("a")).map(|s| s.watch.machine.counts());
    assert_eq!((counts, held(&b).len()), (Some((0, 2)), 0));
}

#[test]
fn fatal_results_need_no_second_one() {
    let mut s = spec();
    s.fatal.refused = true;
    s.fatal.statuses.add(b"404-499").expect("a range");
    for outcome in [fail(), Outcome::new(Kind::BadStatus).status(404)] {
        let mut b = board(s.clone(), &["a"]);
        probe(&mut b, 0, |_| outcome.clone());
        assert_eq!(held(&b), ["a"], "{}", outcome.line());
    }
    let mut b = board(s, &["a"]);
    probe(&mut b, 0, |_| Outcome::new(Kind::BadStatus).status(503));
    assert!(held(&b).is_empty());
}

#[test]
fn a_peer_that_requests_turn_to_and_fro_is_probed_all_the_same() {
    let pace = Pace { fast_ms: Some(200), first: First::AtOnce, ..Pace::every(1000) };
    let mut b = board(CheckSpec { pace, ..spec() }, &["a"]);
    assert_eq!(probe(&mut b, 0, |_| pass()), ["a"]);
    let mut probes = 0;
    for now_ms in 1..10_000 {
        // Each report moves the interval between 200 ms and 1 s.
        let seen = if now_ms % 2 == 0 { Seen::Success } else { Seen::HttpFailure };
        b.report(&key("a"), &Report::passive(seen), at(now_ms));
        probes += probe(&mut b, now_ms, |_| pass()).len();
    }
    assert!((9..=50).contains(&probes), "{probes}");
    assert!(b.due.values().map(Vec::len).sum::<usize>() <= 3, "the queue does not grow");
}

#[test]
fn failed_requests_ask_for_one_probe_a_second() {
    let mut s = spec();
    s.pace = Pace { first: First::AtOnce, ..Pace::every(60_000) };
    s.passive.probe_now = true;
    let mut b = board(s, &["a"]);
    let mut times = Vec::new();
    for now_ms in (0..4500).step_by(100) {
        b.report(&key("a"), &Report::passive(Seen::Timeout), at(now_ms));
        times.extend(probe(&mut b, now_ms, |_| fail()).iter().map(|_| now_ms));
    }
    assert_eq!(times, [0, 1000, 2000, 3000, 4000]);
}
