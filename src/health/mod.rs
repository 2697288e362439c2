//! Health checks: who is up, why, and since when.
//!
//! ```text
//!  dialect ─words─▶ CheckSpec ─attach─▶ Engine (own thread) ─ one task a check:
//!
//!    Core: schedule ─ due ─▶ probe ─ Outcome ─▶ machine ─ Transition ─▶ peer (atomic), log,
//!      pure, time passed in    the wire            a pure value          shared dict, page
//! ```
//!
//! The engine owns timing and thresholds, a probe owns only the wire, a dialect owns only words.

mod checker;
mod core;
pub mod dialect;
mod engine;
mod keep;
pub mod machine;
mod outcome;
pub mod probe;
pub mod report;
mod schedule;
mod spec;
pub mod store;
mod target;

pub use self::core::{Change, Core, Finished, Lane, Result10, Step, Watch};
pub use self::engine::{Attach, Engine, Lease, engine};
pub use self::outcome::{Kind, Outcome};
pub use self::schedule::{First, Schedule, phase_ms};
pub use self::spec::{CheckSpec, HttpProbe, MachineSpec, ProbeSpec, TimeoutScope, TlsSpec};
pub use self::target::Target;
