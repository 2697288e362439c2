//! A target's place on the board: its watch, when it is probed next, and what traffic is told.

use std::sync::Arc;

use super::event::{Forced, Override};
use crate::health::machine::State;
use crate::health::outcome::Kind;
use crate::health::spec::{Eject, Initial, Pace};
use crate::health::watch::Watch;
use crate::upstream::Peer;

/// The place.
#[derive(Debug)]
pub struct Seat {
    pub watch: Watch,
    /// Tells this holder of the place from an earlier one.
    pub(super) stamp: u32,
    /// The place of the next probe on the target's grid, and when it is really sent.
    pub(super) slot_ms: u64,
    /// The place of the last probe, or when probing began.
    pub(super) last_ms: u64,
    pub(super) due_ms: Option<u64>,
    /// Where it stands in the board's queue; not later than `due_ms`.
    pub(super) queued_ms: Option<u64>,
    /// It is due, and waits for room.
    pub(super) ready: bool,
    /// When time alone has to be looked at.
    pub(super) timer_ms: Option<u64>,
    /// It had a result that counts.
    pub(super) proven: bool,
    /// What the counts of the board and the traffic peer were told.
    pub(super) counted_down: bool,
    pub(super) counted_unproven: bool,
    pub(super) held: bool,
    /// It is unfit, and too many are out already.
    pub(super) waits: bool,
    /// Failed probes since it went down.
    pub(super) dead_probes: u32,
    pub(super) over: Option<Box<Override>>,
    pub(super) peer: Option<Arc<Peer>>,
    pub(super) troubles: Option<Box<Troubles>>,
    /// When a request to it ended.
    pub(super) heard_ms: u64,
    /// The failure that was told last, while it lasts.
    pub(super) told: Option<(Kind, u16)>,
}

impl Seat {
    pub(super) fn new(watch: Watch, stamp: u32, peer: Option<Arc<Peer>>, proven: bool) -> Self {
        Self {
            watch,
            stamp,
            slot_ms: 0,
            last_ms: 0,
            due_ms: None,
            queued_ms: None,
            ready: false,
            timer_ms: None,
            proven,
            counted_down: false,
            counted_unproven: false,
            held: false,
            waits: false,
            dead_probes: 0,
            over: None,
            peer,
            troubles: None,
            heard_ms: 0,
            told: None,
        }
    }

    /// True when traffic is to keep away, as far as this peer alone is concerned.
    pub(super) fn is_unfit(&self) -> bool {
        match self.over.as_ref().map(|o| o.state) {
            Some(Forced::Up) => false,
            Some(Forced::Down | Forced::Drain) => true,
            None => self.watch.is_down() || self.troubles.as_ref().is_some_and(|t| t.is_out()),
        }
    }

    /// Nothing speaks against it, nor for it alone.
    pub(super) fn is_settled(&self) -> bool {
        self.proven && !self.watch.machine.is_wavering()
    }

    /// The interval in the present state; 0 when it is not probed.
    pub(super) fn interval_ms(&self, pace: &Pace) -> u64 {
        let down = self.watch.is_down();
        let odd = self.watch.machine.is_wavering() || !self.proven;
        let calm_ms = if down { pace.unhealthy_ms } else { pace.healthy_ms };
        match pace.fast_ms {
            Some(fast_ms) if odd && (calm_ms == 0 || fast_ms < calm_ms) => {
                // An unproven peer of a check for suspects only is no suspect.
                if calm_ms == 0 && !self.watch.machine.is_wavering() { 0 } else { fast_ms }
            }
            _ if down && pace.backoff_max_ms > calm_ms && calm_ms > 0 => {
                let doubled = (self.dead_probes / PROBES_BEFORE_BACKOFF).min(16);
                (calm_ms << doubled).min(pace.backoff_max_ms)
            }
            _ => calm_ms,
        }
    }

    pub(super) fn deadline_ms(&self) -> Option<u64> {
        let lease = self.watch.machine.deadline_ms();
        let over = self.over.as_ref().and_then(|o| o.expires_at_ms);
        let troubles = self.troubles.as_ref().and_then(|t| t.deadline_ms());
        [lease, over, troubles].into_iter().flatten().min()
    }

    /// Traffic was told to keep away.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// What an operator asked for.
    pub fn forced(&self) -> Option<&Override> {
        self.over.as_deref()
    }

    /// It had a result that counts.
    pub fn is_proven(&self) -> bool {
        self.proven
    }

    /// The word for the state on pages.
    pub fn state_name(&self, initial: Initial) -> &'static str {
        match self.watch.machine.state() {
            State::Unhealthy if !self.proven && initial == Initial::Checking => "checking",
            state => state.name(),
        }
    }
}

/// What only troubled peers need.
#[derive(Clone, Debug, Default)]
pub(super) struct Troubles {
    /// Failures of requests in a row, or within the window.
    failures: u32,
    window_from_ms: u64,
    /// Ejections so far, and until when the present one lasts.
    pub(super) times: u32,
    ejected_until_ms: Option<u64>,
    /// Let in after an ejection: the next request decides.
    half_open: bool,
    /// Recent turns down, and until when it is held for them.
    turns: u32,
    turns_from_ms: u64,
    holds: u32,
    held_until_ms: Option<u64>,
}

impl Troubles {
    fn is_out(&self) -> bool {
        self.ejected_until_ms.is_some() || self.held_until_ms.is_some()
    }

    fn deadline_ms(&self) -> Option<u64> {
        [self.ejected_until_ms, self.held_until_ms].into_iter().flatten().min()
    }

    /// Counts a request's result; `Some(span)` when the peer is ejected for it.
    pub(super) fn request(&mut self, pass: bool, rule: &Eject, now_ms: u64) -> Option<u64> {
        if self.ejected_until_ms.is_some() {
            return None;
        }
        if pass {
            if self.half_open {
                self.half_open = false;
                self.failures = 0;
            } else if rule.window_ms == 0 {
                self.failures = 0;
            }
            return None;
        }
        if rule.window_ms > 0 && now_ms.saturating_sub(self.window_from_ms) > rule.window_ms {
            self.window_from_ms = now_ms;
            self.failures = 0;
        }
        self.failures += 1;
        if self.failures < rule.failures && !self.half_open {
            return None;
        }
        (self.failures, self.half_open) = (0, false);
        self.times += 1;
        let span_ms = rule.base_ms.saturating_mul(self.times.into()).min(rule.max_ms);
        self.ejected_until_ms = Some(now_ms + span_ms);
        Some(span_ms)
    }

    /// Counts a turn; `Some(span)` when the peer is held down for turning too often.
    pub(super) fn turn(&mut self, up: bool, hold_ms: u64, now_ms: u64) -> Option<u64> {
        if now_ms.saturating_sub(self.turns_from_ms) > FLAP_WINDOW_MS {
            (self.turns, self.turns_from_ms) = (0, now_ms);
            self.holds = self.holds.saturating_sub(1);
        }
        self.turns += 1;
        if !up || self.turns <= FLAP_TURNS {
            return None;
        }
        let span_ms = (hold_ms << self.holds.min(16)).min(HOLD_MAX_MS);
        self.holds += 1;
        self.held_until_ms = Some(now_ms + span_ms);
        Some(span_ms)
    }

    /// Lets time pass; true when an ejection is over.
    pub(super) fn tick(&mut self, now_ms: u64) -> bool {
        if self.held_until_ms.is_some_and(|at| at <= now_ms) {
            self.held_until_ms = None;
        }
        let over = self.ejected_until_ms.is_some_and(|at| at <= now_ms);
        if over {
            (self.ejected_until_ms, self.half_open) = (None, true);
        }
        over
    }
}

const PROBES_BEFORE_BACKOFF: u32 = 10;
/// More turns than this within the window are flapping.
const FLAP_TURNS: u32 = 3;
const FLAP_WINDOW_MS: u64 = 300_000;
const HOLD_MAX_MS: u64 = 300_000;
