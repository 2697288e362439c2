//! A heartbeat lease: Nacos's ephemeral instances.
//!
//! ```text
//!   beat ──▶ healthy ── no beat for unhealthy_ms ──▶ unhealthy ── none for delete_ms ──▶ expired
//!                ▲───────────────── beat ───────────────┘
//! ```

use super::{State, Transition};

/// The lease of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    unhealthy_ms: u64,
    delete_ms: u64,
    beat_at_ms: u64,
    up: bool,
}

impl Lease {
    pub fn new(unhealthy_ms: u64, delete_ms: u64, up: bool, now_ms: u64) -> Self {
        Self { unhealthy_ms, delete_ms, beat_at_ms: now_ms, up }
    }

    /// Renews the lease.
    pub fn beat(&mut self, now_ms: u64) -> Option<Transition> {
        self.beat_at_ms = now_ms;
        self.turn(true, 1)
    }

    /// Lets time pass: the instance may have become unhealthy, or may be due to go.
    pub fn tick(&mut self, now_ms: u64) -> Tick {
        let silent_ms = now_ms.saturating_sub(self.beat_at_ms);
        if silent_ms >= self.delete_ms {
            return Tick::Expired;
        }
        match silent_ms >= self.unhealthy_ms {
            true => self.turn(false, 1).map_or(Tick::Nothing, Tick::Turned),
            false => Tick::Nothing,
        }
    }

    /// When time alone changes something next.
    pub fn deadline_ms(&self) -> u64 {
        let delay = if self.up { self.unhealthy_ms.min(self.delete_ms) } else { self.delete_ms };
        self.beat_at_ms.saturating_add(delay)
    }

    pub fn set_up(&mut self, up: bool) {
        self.up = up;
    }

    pub fn state(&self) -> State {
        if self.up { State::Healthy } else { State::Unhealthy }
    }

    pub fn beat_at_ms(&self) -> u64 {
        self.beat_at_ms
    }

    pub(super) fn turn(&mut self, up: bool, count: u64) -> Option<Transition> {
        let from = self.state();
        self.up = up;
        (from != self.state()).then(|| Transition { from, to: self.state(), count })
    }
}

/// What the passing of time did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    Nothing,
    Turned(Transition),
    /// The instance is to be deleted.
    Expired,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_beats() {
        let mut lease = Lease::new(15, 30, true, 100);
        assert_eq!((lease.tick(114), lease.deadline_ms()), (Tick::Nothing, 115));
        assert!(matches!(lease.tick(115), Tick::Turned(t) if t.verdict() == Some(false)));
        assert_eq!((lease.tick(129), lease.deadline_ms()), (Tick::Nothing, 130));
        assert_eq!(lease.beat(129).and_then(|t| t.verdict()), Some(true));
        assert_eq!(lease.beat(130), None);
        assert_eq!(lease.tick(160), Tick::Expired);
    }
}
