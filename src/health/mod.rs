//! Health checks: who is up, why, and since when.
//!
//! ```text
//!  dialect ─words─▶ CheckSpec ─open─▶ Check (handle) ── Board: seats, machines, policy
//!                                      engine's thread: Runner ─ probe ─ Outcome ─▶ Board
//!                                      requests: Group::report ─ passive ─────────▶ Board
//!                   Board ─▶ Peer (atomic, read by traffic), Event (log, scripts), report, file
//! ```
//!
//! The engine owns timing and thresholds, a probe owns only the wire, a dialect owns only words.
//! Where to read:
//!
//! ```text
//!  spec/ target statuses matching    what to check, whom, and what passes
//!  probe/ outcome                    over the wire, and what was found
//!  machine/ watch schedule           up or down, the memory of a peer, the time of a probe
//!  board/ runner check passive       one check of many peers, each at its own pace
//!  rounds/                           the same in rounds over all peers: the old Lua library's way
//!  engine/ keep/                     who runs which check; states over reloads and restarts
//!  conf/ dialect/ resty/             the words of nginx.conf, of log lines, of resty.healthcheck
//!  report explain                    what is known, for pages and for the command line
//! ```

pub mod board;
mod check;
pub mod conf;
pub mod dialect;
mod engine;
mod explain;
mod keep;
pub mod machine;
pub mod matching;
mod outcome;
mod passive;
pub mod probe;
pub mod report;
pub mod resty;
pub mod rounds;
mod runner;
mod schedule;
mod spec;
mod statuses;
mod target;
mod watch;

pub use self::board::{Board, Event, Forced, Now, Override, Report, Reported, SeatId, What};
pub use self::check::{Check, Listener, Subscription, Targets};
pub use self::dialect::log_line;
pub use self::engine::{Attach, Engine, Lease, Open, engine};
pub use self::explain::{check_now, explain};
pub use self::outcome::{Kind, Outcome};
pub use self::passive::judge_status;
pub use self::rounds::{Core, Lane, Step};
pub use self::schedule::{First, Schedule, phase_ms};
pub use self::spec::{
    AllDown, CheckSpec, Eject, Expect, Fatal, GrpcProbe, HeadOrder, HttpProbe, Initial, Keepalive,
    MachineSpec, Pace, Pass, PassiveSpec, Policy, ProbeSpec, RawProbe, TcpProbe, TimeoutScope,
    TlsSpec, Version,
};
pub use self::statuses::Statuses;
pub use self::target::{Key, Target, TargetSpec};
pub use self::watch::{Change, Finished, Kept, Results, Source, Watch};
