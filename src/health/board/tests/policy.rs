//! What holds for an upstream as a whole: several checks, and no more taken out than may be.

use super::*;
use crate::net::addr::Addr;
use crate::upstream::PeerConf;

fn peers(n: u16) -> Vec<Arc<Peer>> {
    let peer = |port: u16| {
        let addr = Addr::Inet(([127, 0, 0, 1], port).into());
        let conf = PeerConf {
            name: addr.to_string(),
            server: "".into(),
            addr,
            weight: 1,
            max_fails: 1,
            fail_timeout_s: 10,
            max_conns: 0,
            slow_start_ms: 0,
            down: false,
            drain: false,
            route: None,
        };
        Arc::new(Peer::new(conf))
    };
    (1..=n).map(peer).collect()
}

fn over(peers: &[Arc<Peer>], spec: CheckSpec, bit: u32) -> Board {
    let target = |peer: &Arc<Peer>| TargetSpec {
        peer: Some(peer.clone()),
        ..TargetSpec::new(peer.conf.name.clone(), "", None)
    };
    let mut board = Board::new(Arc::new(spec), CheckBit::nth(bit));
    board.reconcile(peers.iter().map(target).collect(), at(0));
    board
}

fn down(peers: &[Arc<Peer>]) -> usize {
    peers.iter().filter(|p| p.is_down()).count()
}

fn force(board: &mut Board, peer: &Peer, up: bool) {
    assert!(board.force(&Key::new(peer.conf.name.clone(), ""), up, at(0)));
}

/// Both count again until neither has news for the other.
fn settle(one: &mut Board, two: &mut Board) {
    for _ in 0..10 {
        match (one.take_stirred(), two.take_stirred()) {
            (false, false) => return,
            (first, second) => {
                if second {
                    one.recount(at(0));
                }
                if first {
                    two.recount(at(0));
                }
            }
        }
    }
    panic!("they never agree");
}

#[test]
fn all_down_is_seen_across_checks() {
    let mut s = spec();
    s.policy.all_down = AllDown::TryAll;
    let peers = peers(2);
    let (mut a, mut b) = (over(&peers, s.clone(), 0), over(&peers, s, 1));
    force(&mut a, &peers[0], false);
    settle(&mut a, &mut b);
    assert_eq!((down(&peers), a.is_panicking(), b.is_panicking()), (1, false, false));
    force(&mut b, &peers[1], false);
    settle(&mut a, &mut b);
    assert_eq!((down(&peers), a.is_panicking(), b.is_panicking()), (0, true, true));
    force(&mut a, &peers[0], true);
    settle(&mut a, &mut b);
    assert_eq!(down(&peers), 1, "the other one is avoided again");
}

#[test]
fn panic_and_ejection_are_counted_across_checks() {
    let mut s = spec();
    s.policy.panic_percent = 50;
    let four = peers(4);
    let (mut a, mut b) = (over(&four, s.clone(), 0), over(&four, s, 1));
    for (board, peer, left) in [(0, 0, 1), (1, 1, 2), (0, 2, 0)] {
        force(if board == 0 { &mut a } else { &mut b }, &four[peer], false);
        settle(&mut a, &mut b);
        assert_eq!(down(&four), left);
    }
    let mut s = spec();
    s.policy.max_ejection_percent = 50;
    let four = peers(4);
    let (mut a, mut b) = (over(&four, s.clone(), 0), over(&four, s, 1));
    for (n, peer) in four.iter().enumerate() {
        force(if n % 2 == 0 { &mut a } else { &mut b }, peer, false);
        settle(&mut a, &mut b);
        assert_eq!(down(&four), (n + 1).min(2));
    }
    // Both think the same of one: that is one peer.
    force(&mut b, &four[0], false);
    settle(&mut a, &mut b);
    assert_eq!(down(&four), 2);
}

#[test]
fn a_place_that_gets_free_is_taken() {
    let mut s = spec();
    s.policy.max_ejection_percent = 50;
    let peers = peers(4);
    let mut b = over(&peers, s, 0);
    peers.iter().for_each(|peer| force(&mut b, peer, false));
    let states = || peers.iter().map(|p| p.is_down()).collect::<Vec<_>>();
    assert_eq!(states(), [true, true, false, false]);
    force(&mut b, &peers[0], true);
    assert_eq!(states(), [false, true, true, false]);
    force(&mut b, &peers[3], true);
    force(&mut b, &peers[1], true);
    assert_eq!(states(), [false, false, true, false], "who got well waits no more");
}

#[test]
fn ten_thousand_going_down_are_looked_at_once_each() {
    let mut s = spec();
    s.policy.max_ejection_percent = 10;
    let peers = peers(10_000);
    let mut b = over(&peers, s, 0);
    peers.iter().for_each(|peer| force(&mut b, peer, false));
    assert_eq!(down(&peers), 1000);
    peers.iter().take(500).for_each(|peer| force(&mut b, peer, true));
    assert_eq!(down(&peers), 1000);
    peers.iter().for_each(|peer| force(&mut b, peer, true));
    assert_eq!(down(&peers), 0);
}
