//! Rounds, lanes and reconciliation.

use super::*;
use crate::health::dialect::Dialect;
use crate::health::outcome::Kind;
use crate::health::schedule::First;
use crate::health::spec::Pace;

fn spec(concurrency: usize) -> CheckSpec {
    CheckSpec {
        pace: Pace { first: First::AtOnce, ..Pace::every(100) },
        concurrency,
        machine: MachineSpec::RiseFall { rise: 2, fall: 2 },
        ..CheckSpec::new(Dialect::OpenResty, "foo")
    }
}

fn targets(primary: usize, backup: usize) -> Vec<Target> {
    let one = |backup: bool, id: usize| {
        let name = format!("{}{id}", if backup { 'b' } else { 'p' });
        Target { backup, id, ..Target::new(name, "s", None) }
    };
    (0..primary).map(|i| one(false, i)).chain((0..backup).map(|i| one(true, i))).collect()
}

fn pass() -> Outcome {
    Outcome::new(Kind::Passed)
}

fn fail() -> Outcome {
    Outcome::new(Kind::ConnectFailed)
}

/// Runs one round where every probe ends before the next step is asked for; tells the steps.
fn round(core: &mut Core, now_ms: u64, outcome: impl Fn(usize) -> Outcome) -> String {
    let mut said = Vec::new();
    loop {
        match core.next(now_ms) {
            Step::Open => said.push("open".to_string()),
            Step::Lane(l) => said.push(format!("lane{}-{}", l.from, l.to)),
            Step::Probe(at) => {
                said.push(core.watches()[at].target.name.clone());
                core.finish(at, outcome(at), now_ms);
            }
            Step::Close => {
                said.push("close".to_string());
                return said.join(" ");
            }
            Step::Wait(_) | Step::Busy => return said.join(" ") + " stuck",
        }
    }
}

#[test]
fn primaries_then_backups_one_by_one() {
    let mut core = Core::new(&spec(1), targets(2, 1), |_| true, 0);
    assert_eq!(round(&mut core, 0, |_| pass()), "open p0 p1 b0 close");
    assert_eq!(core.next(50), Step::Wait(100));
    assert_eq!(round(&mut core, 100, |_| pass()), "open p0 p1 b0 close");
}

#[test]
fn lanes_are_dealt_as_the_library_deals_threads() {
    let mut core = Core::new(&spec(2), targets(5, 1), |_| true, 0);
    let said = round(&mut core, 0, |_| pass());
    assert_eq!(said, "open lane0-2 p0 p1 p2 lane3-4 p3 p4 lane0-0 b0 close");
    let mut core = Core::new(&spec(3), targets(3, 1), |_| true, 0);
    let said = round(&mut core, 0, |_| pass());
    assert_eq!(said, "open lane0-0 p0 lane1-1 p1 lane2-2 p2 lane0-0 b0 close");
}

#[test]
fn a_slow_peer_holds_up_its_lane_only() {
    let mut core = Core::new(&spec(2), targets(4, 0), |_| true, 0);
    let mut started = Vec::new();
    loop {
        match core.next(0) {
            Step::Probe(0) => started.push(0),
            Step::Probe(at) => {
                started.push(at);
                core.finish(at, pass(), 0);
            }
            Step::Busy => break,
            Step::Close | Step::Wait(_) => panic!("peer 0 is still in flight"),
            Step::Open | Step::Lane(_) => {}
        }
    }
    assert_eq!(started, [0, 2, 3]);
    core.finish(0, pass(), 900);
    assert_eq!(core.next(900), Step::Probe(1));
    core.finish(1, pass(), 900);
    assert_eq!(core.next(900), Step::Close);
    assert_eq!(core.next(900), Step::Wait(1000));
}

#[test]
fn verdicts_and_reasons() {
    let mut core = Core::new(&spec(1), targets(1, 0), |_| true, 0);
    for (n, o) in [fail(), fail(), pass(), pass()].into_iter().enumerate() {
        round(&mut core, n as u64 * 100, |_| o.clone());
    }
    let watch = &core.watches()[0];
    assert!(!watch.is_down());
    assert_eq!((watch.probes, watch.failures, watch.results.len()), (4, 2, 4));
    let changes: Vec<_> = watch.changes.iter().map(|c| (c.at_ms, c.to.is_up())).collect();
    assert_eq!(changes, [(100, false), (300, true)]);
    assert_eq!(watch.changes[0].why, "L4CON connect failed");
}

#[test]
fn results_that_do_not_count() {
    let mut core = Core::new(&spec(1), targets(1, 0), |_| true, 0);
    for n in 0..5 {
        round(&mut core, n * 100, |_| Outcome::new(Kind::NoSocket));
    }
    assert!(!core.watches()[0].is_down());
}

#[test]
fn known_peers_keep_their_state_over_a_new_list() {
    let mut core = Core::new(&spec(1), targets(3, 0), |_| true, 0);
    for n in 0..2 {
        round(&mut core, n * 100, |at| if at == 2 { fail() } else { pass() });
    }
    let mut next = targets(3, 0);
    next.remove(0);
    for (id, t) in next.iter_mut().enumerate() {
        t.id = id;
    }
    let gone = core.reconcile(next, |_| true);
    assert_eq!(gone.len(), 1);
    let down: Vec<_> = core.watches().iter().map(Watch::is_down).collect();
    assert_eq!(down, [false, true]);
    assert_eq!(core.watches()[1].target.id, 1);
    core.reset(|_| true, 150);
    assert!(!core.watches()[1].is_down());
    assert_eq!(core.next(150), Step::Open);
}
