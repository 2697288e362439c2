//! Known sequences of nginx's algorithms.

use super::*;
use crate::net::addr::Addr;
use crate::upstream::{Body, Server};

fn server(n: usize, weight: i64) -> Server {
    let addr = Addr::literal(format!("127.0.0.1:{n}").as_bytes()).expect("a literal address");
    Server { weight, ..Server::new(format!("127.0.0.1:{n}").into(), vec![addr]) }
}

fn group(algo: Algo, servers: Vec<Server>) -> Arc<Group> {
    let g = Group::named("foo".into(), 0);
    g.fill(Body { servers, algo, explicit: true, ..Body::default() });
    Arc::new(g)
}

fn weights(algo: Algo, weights: &[i64]) -> Arc<Group> {
    group(algo, weights.iter().enumerate().map(|(n, w)| server(n + 1, *w)).collect())
}

fn name(picked: &Picked) -> char {
    let port = usize::from(picked.peer().conf.addr.port());
    char::from(b'a' + (port as u8 - 1))
}

/// `n` requests, each finished at once, each tried once.
fn run(group: &Arc<Group>, n: usize, seed: &Seed) -> String {
    (0..n)
        .map(|_| {
            let mut tries = group.tries(seed.clone());
            let Ok(picked) = tries.next(100) else { return '!' };
            let c = name(&picked);
            tries.release(picked, false, 100);
            c
        })
        .collect()
}

#[test]
fn smooth_weights() {
    let seed = Seed::default();
    assert_eq!(run(&weights(Algo::RoundRobin, &[5, 1, 1]), 7, &seed), "aabacaa");
    assert_eq!(run(&weights(Algo::RoundRobin, &[1, 1, 1]), 6, &seed), "abcabc");
    assert_eq!(run(&weights(Algo::RoundRobin, &[4, 2, 1]), 7, &seed), "abacaba");
}

#[test]
fn a_failed_peer_loses_weight_and_is_out_for_fail_timeout() {
    let g = weights(Algo::RoundRobin, &[1, 1]);
    let mut tries = g.tries(Seed::default());
    assert_eq!(tries.left(), 2);
    let a = tries.next(100).expect("two live peers");
    assert_eq!(name(&a), 'a');
    assert!(tries.release(a, true, 100));
    let b = tries.next(100).expect("one live peer");
    assert_eq!(name(&b), 'b');
    tries.release(b, false, 100);
    assert_eq!(tries.left(), 0);
    assert_eq!(run(&g, 3, &Seed::default()), "bbb");
    // Eleven seconds later one request goes there; its success makes the peer live.
    let mut tries = g.tries(Seed::default());
    let names: String = (0..2)
        .map(|_| {
            let p = tries.next(111).expect("both may be tried");
            let c = name(&p);
            tries.release(p, false, 111);
            c
        })
        .collect();
    assert!(names.contains('a'), "{names}");
    assert_eq!(g.snapshot().primary.peers()[0].fails(), 0);
}

#[test]
fn every_peer_failed_is_no_live_peer() {
    let g = weights(Algo::RoundRobin, &[1, 1]);
    let mut tries = g.tries(Seed::default());
    for _ in 0..2 {
        let p = tries.next(100).expect("a live peer");
        tries.release(p, true, 100);
    }
    let none = tries.next(100).err();
    assert_eq!(none, Some(NoLivePeers { group: "foo".into() }));
    assert_eq!(run(&g, 1, &Seed::default()), "!");
}

#[test]
fn a_sole_peer_is_used_whatever_it_did() {
    let g = weights(Algo::RoundRobin, &[1]);
    for _ in 0..3 {
        let mut tries = g.tries(Seed::default());
        let p = tries.next(100).expect("the sole peer");
        assert!(!tries.release(p, true, 100));
        assert_eq!(tries.left(), 0);
    }
    g.snapshot().primary.peers()[0].set_down(true);
    assert_eq!(run(&g, 1, &Seed::default()), "!");
}

#[test]
fn backups_come_when_no_primary_is_left() {
    let mut backup = server(3, 1);
    backup.backup = true;
    let g = group(Algo::RoundRobin, vec![server(1, 1), server(2, 1), backup]);
    assert_eq!(run(&g, 4, &Seed::default()), "abab");
    let mut tries = g.tries(Seed::default());
    let mut names = String::new();
    while let Ok(p) = tries.next(100) {
        names.push(name(&p));
        tries.release(p, true, 100);
    }
    assert_eq!((names.as_str(), tries.left()), ("abc", 0));
}

#[test]
fn max_conns() {
    let mut one = server(1, 1);
    one.max_conns = 1;
    let g = group(Algo::RoundRobin, vec![one, server(2, 1)]);
    let mut first = g.tries(Seed::default());
    let held = first.next(100).expect("free");
    assert_eq!(name(&held), 'a');
    assert_eq!(run(&g, 2, &Seed::default()), "bb");
    drop(held);
    assert!(run(&g, 2, &Seed::default()).contains('a'));
}

#[test]
fn least_conn_prefers_the_idle_one_and_takes_turns() {
    let g = weights(Algo::LeastConn, &[1, 1, 1]);
    assert_eq!(run(&g, 6, &Seed::default()), "abcabc");
    let mut tries = g.tries(Seed::default());
    let _held = tries.next(100).expect("free");
    let names = run(&g, 4, &Seed::default());
    assert!(!names.contains('a'), "{names}");
}

#[test]
fn plain_hash_follows_the_formula() {
    let g = weights(Algo::Hash { key: "$k".into(), consistent: false }, &[1, 2, 1]);
    for key in ["/a", "/b", "/some/longer/key", "x"] {
        let w = ((crc32fast::hash(key.as_bytes()) >> 16) & 0x7fff) % 4;
        let expected = ['a', 'b', 'b', 'c'][w as usize];
        let seed = Seed { key: key.into(), client: None, sid: None };
        assert_eq!(run(&g, 2, &seed), format!("{expected}{expected}"), "{key}");
    }
}

#[test]
fn a_ring_moves_only_the_keys_of_a_lost_peer() {
    let algo = Algo::Hash { key: "$k".into(), consistent: true };
    let g = weights(algo, &[1, 1, 1]);
    let owner = |key: usize| {
        let seed = Seed { key: key.to_string().into(), client: None, sid: None };
        run(&g, 1, &seed)
    };
    let before: Vec<_> = (0..300).map(owner).collect();
    for c in ["a", "b", "c"] {
        assert!(before.iter().filter(|o| *o == c).count() > 50);
    }
    g.snapshot().primary.peers()[1].set_down(true);
    for (key, was) in before.iter().enumerate().filter(|(_, was)| *was != "b") {
        assert_eq!(owner(key), *was);
    }
}

#[test]
fn ip_hash_ignores_the_last_octet() {
    let g = weights(Algo::IpHash, &[1, 1, 1]);
    let from = |ip: &str| {
        let seed = Seed { client: ip.parse().ok(), ..Seed::default() };
        run(&g, 1, &seed)
    };
    assert_eq!(from("10.1.2.3"), from("10.1.2.200"));
    let hash = [10u32, 1, 2].iter().fold(89, |h, o| (h * 113 + o) % 6271);
    assert_eq!(from("10.1.2.3"), ["a", "b", "c"][(hash % 3) as usize]);
}

#[test]
fn random_uses_all_and_two_prefers_the_idle() {
    let g = weights(Algo::Random { two: false }, &[1, 1, 1]);
    let names = run(&g, 200, &Seed::default());
    assert!(names.contains('a') && names.contains('b') && names.contains('c'));
    let g = weights(Algo::Random { two: true }, &[1, 1]);
    let mut tries = g.tries(Seed::default());
    let held = tries.next(100).expect("free");
    let names = run(&g, 20, &Seed::default());
    assert!(!names.contains(name(&held)), "{names}");
}

#[test]
fn more_than_sixty_four_peers() {
    let g = weights(Algo::RoundRobin, &[1; 70]);
    let mut tries = g.tries(Seed::default());
    let mut seen = 0;
    while let Ok(p) = tries.next(100) {
        seen += 1;
        drop(p);
    }
    assert_eq!(seen, 70);
}

/// How many of `n` requests go to each peer, each finished at once.
fn shares(group: &Arc<Group>, n: usize) -> Vec<usize> {
    let picked = run(group, n, &Seed::default());
    ('a'..='c').map(|peer| picked.chars().filter(|c| *c == peer).count()).collect()
}

#[test]
fn a_peer_that_comes_back_starts_slowly() {
    for algo in [Algo::RoundRobin, Algo::LeastConn] {
        let g = weights(algo, &[2, 2, 4]);
        let snapshot = g.snapshot();
        let c = &snapshot.primary.peers()[2];
        let now_ms: i64 = crate::base::clock::mono_ms().try_into().expect("a young process");
        // An hour, so that the test takes no part of it.
        c.begin_ramp(3_600_000, now_ms);
        assert_eq!(shares(&g, 100), [50, 50, 0]);
        c.begin_ramp(3_600_000, now_ms - 1_800_000);
        assert_eq!(shares(&g, 600), [200, 200, 200]);
        c.begin_ramp(3_600_000, now_ms - 3_600_000);
        assert_eq!(shares(&g, 8), [2, 2, 4]);
    }
}

#[test]
fn the_only_one_left_is_used_however_slow() {
    let g = weights(Algo::RoundRobin, &[1, 1]);
    let snapshot = g.snapshot();
    let now_ms: i64 = crate::base::clock::mono_ms().try_into().expect("a young process");
    snapshot.primary.peers()[1].begin_ramp(3_600_000, now_ms);
    snapshot.primary.peers()[0].set_down(true);
    assert_eq!(run(&g, 3, &Seed::default()), "bbb");
}

#[test]
fn slow_start_begins_with_each_recovery() {
    let mut slow = server(2, 1);
    (slow.slow_start_ms, slow.fail_timeout_s) = (3_600_000, 10);
    let g = group(Algo::RoundRobin, vec![server(1, 1), slow]);
    let peer = g.snapshot().primary.peers()[1].clone();
    assert_eq!(shares(&g, 10)[1], 5, "not at the start");
    let bit = crate::upstream::CheckBit::nth(0);
    peer.shade(bit, true, 0);
    peer.shade(bit, false, 0);
    assert_eq!(shares(&g, 10)[1], 0, "a check lets it in again");
    peer.begin_ramp(1, -1);
    assert_eq!(shares(&g, 10)[1], 5);
    // A request fails, fail_timeout passes, the next request goes well.
    peer.enter(100, true);
    peer.fail(100);
    peer.leave();
    peer.enter(120, true);
    peer.pass();
    peer.leave();
    assert!(shares(&g, 10)[1] <= 1, "requests found it well again");
}
