//! Paces that mind whether there are requests.

use super::*;

#[test]
fn without_requests_probes_are_rare() {
    let mut s = spec();
    s.pace.no_traffic_ms = 60_000;
    let mut b = board(s, &["a"]);
    b.set_idle(true, at(0));
    assert_eq!(probe(&mut b, 0, |_| pass()), ["a"], "the first one comes soon");
    assert_eq!(b.next_at_ms(), Some(60_000));
    b.set_idle(false, at(5200));
    let next_ms = b.next_at_ms().expect("armed");
    assert!((5200..=6200).contains(&next_ms), "a request brings the pace back: {next_ms}");
    assert_eq!(probe(&mut b, next_ms, |_| pass()), ["a"]);
    assert_eq!(b.next_at_ms(), Some(next_ms + 1000));
}

#[test]
fn a_wavering_peer_is_no_idle_one() {
    let mut s = spec();
    s.pace.no_traffic_ms = 60_000;
    let mut b = board(s, &["a"]);
    b.set_idle(true, at(0));
    probe(&mut b, 0, |_| fail());
    assert_eq!(b.next_at_ms(), Some(1000));
}

#[test]
fn requests_take_the_place_of_probes() {
    let mut s = spec();
    s.pace.skips_busy = true;
    let mut b = board(s, &["a"]);
    assert_eq!(probe(&mut b, 0, |_| pass()), ["a"]);
    let seat = b.index[&key("a")];
    b.hear(seat, at(500));
    assert_eq!(probe(&mut b, 1000, |_| pass()), [""; 0]);
    assert_eq!(b.next_at_ms(), Some(2000));
    assert_eq!(probe(&mut b, 2000, |_| fail()), ["a"]);
    b.hear(seat, at(2500));
    assert_eq!(probe(&mut b, 3000, |_| fail()), ["a"], "a suspect is probed all the same");
}

#[test]
fn only_suspects_are_probed() {
    let mut s = spec();
    s.machine = MachineSpec::RiseFall { rise: 1, fall: 1 };
    s.pace = Pace { healthy_ms: 0, fast_ms: Some(1000), ..s.pace };
    s.passive.probe_now = true;
    let mut b = board(s, &["a", "b"]);
    assert_eq!(b.next_at_ms(), None);
    b.report(&key("a"), &Report::passive(Seen::HttpFailure), at(5000));
    assert_eq!(held(&b), ["a"]);
    assert_eq!(probe(&mut b, 5000, |_| fail()), ["a"]);
    assert_eq!(probe(&mut b, 6000, |_| pass()), ["a"]);
    assert_eq!((held(&b).len(), b.next_at_ms()), (0, None));
}
