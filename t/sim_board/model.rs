//! What a peer should be, and when its next probe has to come.

use moonbeat::health::machine::{Seen, State};
use moonbeat::health::{CheckSpec, First, Pace};

use super::fold::Fold;

/// One peer as it should be.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) fold: Fold,
    pub(super) proven: bool,
    pub(super) dead_probes: u64,
    pub(super) probes: u64,
    /// The state as events told it.
    pub(super) told: State,
    /// What an operator wants: up or down.
    pub(super) wanted_up: Option<bool>,
    /// When its last probe was sent, or when probing began.
    pub(super) begun_ms: u64,
    /// How far from its place that one may have been sent.
    slack_ms: u64,
    /// Its next probe has to come in this span, if it has to come.
    pub(super) window: Option<(u64, u64)>,
}

impl Model {
    pub(super) fn new(up: bool, proven: bool, told: State) -> Self {
        Self {
            fold: Fold::new(up),
            proven,
            dead_probes: 0,
            probes: 0,
            told,
            wanted_up: None,
            begun_ms: 0,
            slack_ms: 0,
            window: None,
        }
    }

    /// How long until the next probe in the state it is in; 0 for never.
    pub(super) fn interval_ms(&self, spec: &CheckSpec) -> u64 {
        let (pace, down) = (&spec.pace, !self.fold.state.is_up());
        let calm_ms = if down { pace.unhealthy_ms } else { pace.healthy_ms };
        let wavers = self.fold.is_wavering(&spec.machine);
        let suspect = wavers || (!self.proven && calm_ms > 0);
        if let Some(fast_ms) = pace.fast_ms.filter(|_| suspect)
            && (calm_ms == 0 || fast_ms < calm_ms)
        {
            return fast_ms;
        }
        // Ten failed probes in a row double the interval of a dead peer, and so on.
        let doubled = calm_ms << (self.dead_probes / 10).min(16);
        match down && calm_ms > 0 && pace.backoff_max_ms > calm_ms {
            true => doubled.min(pace.backoff_max_ms),
            false => calm_ms,
        }
    }

    /// Probing begins.
    pub(super) fn begin(&mut self, spec: &CheckSpec, now_ms: u64) {
        let interval_ms = self.interval_ms(spec);
        let slack_ms = tick_ms(&spec.pace, interval_ms);
        let (from_ms, until_ms) = match spec.pace.first {
            First::AtOnce => (0, 0),
            First::Soon => (80.min(interval_ms), 80.min(interval_ms)),
            First::AfterInterval => (interval_ms, interval_ms),
            First::Spread => (0, interval_ms.min(1000)),
        };
        self.begun_ms = now_ms;
        self.window = (interval_ms > 0).then_some((now_ms + from_ms, now_ms + until_ms + slack_ms));
    }

    pub(super) fn sent(&mut self, spec: &CheckSpec, now_ms: u64) {
        self.begun_ms = now_ms;
        self.slack_ms = spec.pace.jitter_ms + spec.pace.slot_ms;
        self.window = None;
    }

    /// Its probe ended. Slots that passed meanwhile are skipped.
    pub(super) fn ended(&mut self, spec: &CheckSpec, disturbed: bool, now_ms: u64) {
        let interval_ms = self.interval_ms(spec);
        let slack_ms = slack_ms(&spec.pace, interval_ms);
        let quick =
            now_ms - self.begun_ms + slack_ms.max(self.slack_ms) < interval_ms && !disturbed;
        let from_ms = if quick { self.begun_ms } else { now_ms };
        let earliest_ms = (self.begun_ms + interval_ms).saturating_sub(slack_ms.max(self.slack_ms));
        let earliest_ms = if disturbed { now_ms } else { earliest_ms };
        let latest_ms = from_ms + interval_ms + slack_ms;
        self.window = (interval_ms > 0).then_some((earliest_ms, latest_ms));
    }

    /// Its interval became another one between two probes.
    pub(super) fn repaced(&mut self, spec: &CheckSpec, before_ms: u64, now_ms: u64) {
        let interval_ms = self.interval_ms(spec);
        if interval_ms == before_ms {
            return;
        }
        let slack_ms = slack_ms(&spec.pace, interval_ms);
        let anew_ms = now_ms + interval_ms + slack_ms;
        self.window = match self.window {
            _ if interval_ms == 0 => None,
            None => {
                self.begun_ms = now_ms;
                Some((now_ms, anew_ms))
            }
            Some((_, latest_ms)) => {
                let by_last_ms = self.begun_ms + interval_ms + slack_ms;
                Some((now_ms, by_last_ms.max(latest_ms.min(anew_ms))))
            }
        };
    }

    /// Somebody asks for a probe now.
    pub(super) fn asked(&mut self, now_ms: u64) {
        self.window = Some((now_ms, now_ms));
    }

    /// Takes a result; true when the state changed.
    pub(super) fn take(&mut self, spec: &CheckSpec, seen: Seen, passive: bool) -> bool {
        self.proven = true;
        let limits = spec.passive.limits.filter(|_| passive);
        let was_up = self.fold.state.is_up();
        let changed = self.fold.take(&spec.machine, limits, seen);
        if changed && was_up && !self.fold.state.is_up() {
            self.dead_probes = 0;
        }
        changed
    }
}

fn slack_ms(pace: &Pace, interval_ms: u64) -> u64 {
    pace.jitter_ms.min(interval_ms) + tick_ms(pace, interval_ms)
}

/// One slot of the schedule; short intervals have finer ones.
fn tick_ms(pace: &Pace, interval_ms: u64) -> u64 {
    pace.slot_ms.min(interval_ms / 10).max(1)
}
