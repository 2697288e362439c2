//! What the engine tells the checkers of a worker, and what a checker does by the clock.
//!
//! ```text
//!   Told ──▶ channel ──▶ pump ──▶ told(id, what, …) in a light thread of its own
//!   clock: rounds (log lines), delayed removals, the key that shows who probes ──▶ pump
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_int;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::open::Rounds;
use crate::base::clock;
use crate::base::log::{self, Level};
use crate::health::dialect::resty::{Book, Ident, Out, Tell, Told, hide_prober, show_prober};
use crate::http::location::Location;
use crate::lua::ctx::{self, Ctx};
use crate::lua::raw::{Call, Func, Raise, Reply, Val};
use crate::lua::sched;
use crate::lua::vm::{Vm, Worker};
use crate::shdict::Dict;

/// The checkers of one worker.
#[derive(Default)]
pub struct Hub {
    held: RefCell<BTreeMap<u64, Held>>,
    sender: RefCell<Option<UnboundedSender<Told>>>,
    /// When the key that shows who probes is renewed.
    shown_at_ms: Cell<u64>,
}
