//! One peer of a group: what the configuration says of it and what traffic and checks found out.
//!
//! ```text
//!  Peer ── conf: PeerConf      immutable, new at each reload
//!       └─ state: Arc<State>   atomics, kept over reloads for the same address
//!            down bits:  FLAG (configured or set_peer_down) | one bit for each check
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

use bstr::BString;

use super::ewma::Ewma;
use super::ramp::Ramp;
use crate::base::clock;
use crate::net::addr::Addr;

/// One address of a server of a group.
#[derive(Debug)]
pub struct Peer {
    pub conf: PeerConf,
    state: Arc<State>,
}

impl Peer {
    pub fn new(conf: PeerConf) -> Self {
        let state = State::default();
        state.effective_weight.store(conf.weight, Relaxed);
        state.down.store(if conf.down { FLAG } else { 0 }, Relaxed);
        Self { conf, state: Arc::new(state) }
    }

    /// A peer with new parameters and the state of `old`, which stood for the same address.
    ///
    /// Connections in flight and the verdicts of checks go on; weights and, unless the group has a
    /// `zone`, the passive failure window start anew, as after any reload of nginx.
    pub fn adopt(conf: PeerConf, old: &Self, keep_fails: bool) -> Self {
        let state = old.state.clone();
        state.effective_weight.store(conf.weight, Relaxed);
        state.current_weight.store(0, Relaxed);
        if !keep_fails {
            state.fails.store(0, Relaxed);
            state.accessed.store(0, Relaxed);
            state.checked.store(0, Relaxed);
        }
        match (old.conf.down, conf.down) {
            (_, false) => _ = state.down.fetch_and(!FLAG, Relaxed),
            (false, true) => _ = state.down.fetch_or(FLAG, Relaxed),
            // A check may have lifted it since; that was its verdict and stays so.
            (true, true) => {}
        }
        Self { conf, state }
    }

    /// True when no request may be sent here: configured so, set so, or held by a check.
    pub fn is_down(&self) -> bool {
        self.state.down.load(Relaxed) != 0
    }

    /// What `ngx.upstream.set_peer_down` does. Up overrules every check and clears the failures.
    pub fn set_down(&self, down: bool) {
        if down {
            self.state.down.fetch_or(FLAG, Relaxed);
        } else {
            let before = self.state.down.swap(0, Relaxed);
            self.state.fails.store(0, Relaxed);
            self.recover(before, 0, 0);
        }
    }

    /// Records the verdict of one check. Going up lifts a configured `down` too and clears the
    /// failures, as lua-upstream-nginx-module does.
    pub fn hold(&self, check: CheckBit, down: bool) {
        if down {
            self.state.down.fetch_or(check.0, Relaxed);
        } else {
            let before = self.state.down.fetch_and(!(check.0 | FLAG), Relaxed);
            self.state.fails.store(0, Relaxed);
            self.recover(before, before & !(check.0 | FLAG), 0);
        }
    }

    /// Records the verdict of a check that leaves a configured `down` alone. A peer that comes back
    /// may get its share little by little.
    pub fn shade(&self, check: CheckBit, down: bool, slow_start_ms: u64) {
        if down {
            self.state.down.fetch_or(check.0, Relaxed);
            return;
        }
        let before = self.state.down.fetch_and(!check.0, Relaxed);
        self.state.fails.store(0, Relaxed);
        self.recover(before, before & !check.0, slow_start_ms);
    }

    /// A peer that comes back gets its share little by little, if the check or the configuration
    /// says so.
    fn recover(&self, before: u64, after: u64, slow_start_ms: u64) {
        if before != 0 && after == 0 {
            self.begin_ramp(slow_start_ms.max(self.conf.slow_start_ms), mono_ms());
        }
    }

    pub(super) fn begin_ramp(&self, span_ms: u64, now_ms: i64) {
        if span_ms > 0 {
            self.state.ramp.begin(span_ms, now_ms);
        }
    }

    /// The weight that loads are measured against, in parts of a unit.
    pub(super) fn weight_parts(&self) -> i64 {
        self.conf.weight * self.state.ramp.share(mono_ms)
    }

    /// Forgets what a check said; other reasons to be down stay.
    pub fn forget(&self, check: CheckBit) {
        self.state.down.fetch_and(!check.0, Relaxed);
        self.state.unfit.fetch_and(!check.0, Relaxed);
    }

    /// Records what a check thinks of the peer, whatever traffic is told. True when that is new.
    pub fn note_unfit(&self, check: CheckBit, unfit: bool) -> bool {
        let before = match unfit {
            true => self.state.unfit.fetch_or(check.0, Relaxed),
            false => self.state.unfit.fetch_and(!check.0, Relaxed),
        };
        (before & check.0 != 0) != unfit
    }

    /// Another check than this one thinks the peer unfit.
    pub fn is_unfit_elsewhere(&self, check: CheckBit) -> bool {
        self.state.unfit.load(Relaxed) & !check.0 != 0
    }

    /// Another check than this one holds the peer down.
    pub fn is_held_elsewhere(&self, check: CheckBit) -> bool {
        self.state.down.load(Relaxed) & !(check.0 | FLAG) != 0
    }

    /// True when this check holds the peer down.
    pub fn held_by(&self, check: CheckBit) -> bool {
        self.state.down.load(Relaxed) & check.0 != 0
    }

    /// True when the configuration or a script says down, whatever checks say.
    pub fn is_set_down(&self) -> bool {
        self.state.down.load(Relaxed) & FLAG != 0
    }

    /// Tells peers apart by their state, which outlives reloads; unique while the peer lives.
    pub fn state_id(&self) -> usize {
        Arc::as_ptr(&self.state) as usize
    }

    /// True when both stand on one state: the same peer before and after a reload.
    pub fn same_state(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }

    /// True when a request may be sent here now.
    pub fn is_usable(&self, now_s: i64) -> bool {
        !self.is_down() && !self.conf.drain && !self.is_failed(now_s) && !self.is_full()
    }

    /// True inside the `fail_timeout` after `max_fails` failures.
    pub fn is_failed(&self, now_s: i64) -> bool {
        let max = self.conf.max_fails;
        max > 0 && self.fails() >= max && now_s - self.checked() <= self.conf.fail_timeout_s
    }

    /// True when `max_conns` requests are in flight.
    pub fn is_full(&self) -> bool {
        self.conf.max_conns > 0 && self.conns() >= self.conf.max_conns
    }

    /// How long answers took; kept for groups that choose by it.
    pub fn latency(&self) -> &Ewma {
        &self.state.latency
    }

    pub fn conns(&self) -> u32 {
        self.state.conns.load(Relaxed)
    }

    pub fn fails(&self) -> u32 {
        self.state.fails.load(Relaxed)
    }

    /// Wall second of the last failure, 0 for never.
    pub fn accessed(&self) -> i64 {
        self.state.accessed.load(Relaxed)
    }

    /// Wall second since which the failure window runs, 0 for never.
    pub fn checked(&self) -> i64 {
        self.state.checked.load(Relaxed)
    }

    pub fn effective_weight(&self) -> i64 {
        self.state.effective_weight.load(Relaxed)
    }

    pub fn current_weight(&self) -> i64 {
        self.state.current_weight.load(Relaxed)
    }

    /// Adds the effective weight to the current one and lets the effective recover by one.
    /// Called with the set's order lock held. Returns what was added.
    pub(super) fn grow(&self) -> i64 {
        let effective = self.effective_weight();
        let gained = self.state.ramp.part(effective, mono_ms);
        self.state.current_weight.fetch_add(gained, Relaxed);
        if effective < self.conf.weight {
            self.state.effective_weight.store(effective + 1, Relaxed);
        }
        gained
    }

    /// Takes the turn: the peer pays the sum of all weights. With the order lock held.
    pub(super) fn pay(&self, total: i64) {
        self.state.current_weight.fetch_sub(total, Relaxed);
    }

    /// Counts a request in and restarts the failure window when it is over.
    pub(super) fn enter(&self, now_s: i64, window: bool) {
        self.state.conns.fetch_add(1, Relaxed);
        if window && now_s - self.checked() > self.conf.fail_timeout_s {
            self.state.checked.store(now_s, Relaxed);
        }
    }

    /// Counts a request out.
    pub(super) fn leave(&self) {
        self.state.conns.fetch_sub(1, Relaxed);
    }

    /// Counts a failure. True when this makes the peer `temporarily disabled`.
    pub(super) fn fail(&self, now_s: i64) -> bool {
        let fails = self.state.fails.fetch_add(1, Relaxed) + 1;
        self.state.accessed.store(now_s, Relaxed);
        self.state.checked.store(now_s, Relaxed);
        let max = self.conf.max_fails;
        if max == 0 {
            return false;
        }
        let lower = self.effective_weight() - self.conf.weight / i64::from(max);
        self.state.effective_weight.store(lower.max(0), Relaxed);
        fails >= max
    }

    /// Marks the peer live when a request passed after the window was restarted.
    pub(super) fn pass(&self) {
        if self.accessed() < self.checked() {
            let fails = self.state.fails.swap(0, Relaxed);
            if self.conf.max_fails > 0 && fails >= self.conf.max_fails {
                self.begin_ramp(self.conf.slow_start_ms, mono_ms());
            }
        }
    }

    pub(super) fn clear_fails(&self) {
        self.state.fails.store(0, Relaxed);
    }
}

/// What a `server` line says, for one of its addresses.
#[derive(Clone, Debug)]
pub struct PeerConf {
    /// The address as text, nginx's `peer->name`.
    pub name: String,
    /// The server as written in the configuration.
    pub server: BString,
    pub addr: Addr,
    pub weight: i64,
    pub max_fails: u32,
    pub fail_timeout_s: i64,
    pub max_conns: u32,
    /// How long a peer that comes back takes to its full weight; 0 is no time.
    pub slow_start_ms: u64,
    pub down: bool,
    /// Takes only requests that belong to it.
    pub drain: bool,
    /// What `sticky` calls it; a digest of its name when nothing is said.
    pub route: Option<BString>,
}

/// The right of one check to hold the peers of a group down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckBit(u64);

impl CheckBit {
    /// How many checks of one group can be told apart.
    pub const MAX: u32 = 63;

    /// The bit of the `n`-th check; checks beyond the last bit share it.
    pub fn nth(n: u32) -> Self {
        Self(1 << n.min(Self::MAX - 1))
    }
}

#[derive(Debug, Default)]
struct State {
    down: AtomicU64,
    /// What each check thinks, in the same bits.
    unfit: AtomicU64,
    conns: AtomicU32,
    fails: AtomicU32,
    accessed: AtomicI64,
    checked: AtomicI64,
    effective_weight: AtomicI64,
    current_weight: AtomicI64,
    /// Since the peer was let in again.
    ramp: Ramp,
    latency: Ewma,
}

fn mono_ms() -> i64 {
    clock::mono_ms().try_into().unwrap_or(i64::MAX)
}

/// Configured `down`, or set by a script.
const FLAG: u64 = 1 << 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(max_fails: u32, down: bool) -> Peer {
        Peer::new(conf(max_fails, down))
    }

    fn conf(max_fails: u32, down: bool) -> PeerConf {
        PeerConf {
            name: "127.0.0.1:1".into(),
            server: "127.0.0.1:1".into(),
            addr: Addr::Unix("".into()),
            weight: 4,
            max_fails,
            fail_timeout_s: 10,
            max_conns: 0,
            slow_start_ms: 0,
            down,
            drain: false,
            route: None,
        }
    }

    #[test]
    fn checks_are_anded() {
        let p = peer(1, false);
        let (a, b) = (CheckBit::nth(0), CheckBit::nth(1));
        p.hold(a, true);
        p.hold(b, true);
        p.hold(a, false);
        assert!(p.is_down());
        p.hold(b, false);
        assert!(!p.is_down());
    }

    #[test]
    fn a_check_lifts_a_configured_down() {
        let p = peer(1, true);
        assert!(p.is_down());
        p.hold(CheckBit::nth(0), false);
        assert!(!p.is_down());
    }

    #[test]
    fn up_by_script_clears_fails() {
        let p = peer(3, false);
        p.enter(100, true);
        assert!(!p.fail(100));
        p.set_down(true);
        p.set_down(false);
        assert_eq!((p.fails(), p.is_down()), (0, false));
    }

    #[test]
    fn the_failure_window_opens_after_fail_timeout() {
        let p = peer(2, false);
        assert!(!p.fail(100));
        assert!(p.fail(101));
        assert!(p.is_failed(111) && !p.is_failed(112));
        // The next request restarts the window; its success makes the peer live.
        p.enter(112, true);
        p.pass();
        assert_eq!(p.fails(), 0);
    }

    #[test]
    fn a_reload_does_not_take_back_what_a_check_lifted() {
        let old = peer(1, true);
        old.hold(CheckBit::nth(0), false);
        assert!(!Peer::adopt(conf(1, true), &old, false).is_down());
        let up = peer(1, false);
        assert!(Peer::adopt(conf(1, true), &up, false).is_down(), "newly configured so");
    }

    #[test]
    fn a_reload_keeps_flight_and_verdicts_only() {
        let old = peer(1, true);
        old.enter(100, true);
        old.fail(100);
        old.hold(CheckBit::nth(0), true);
        let new = Peer::adopt(conf(1, false), &old, false);
        assert_eq!((new.conns(), new.fails(), new.effective_weight()), (1, 0, 4));
        assert!(new.held_by(CheckBit::nth(0)));
        new.forget(CheckBit::nth(0));
        assert!(!new.is_down());
    }
}
