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

use bstr::ByteSlice;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, sleep_until};

use super::plan::Plan;
use crate::base::clock;
use crate::health::resty::{Book, Ident, Out, Tell, Told};
use crate::http::location::Location;
use crate::lua::ctx::{self, Ctx};
use crate::lua::raw::{Call, Func, Raise, Reply, Val};
use crate::lua::sched;
use crate::lua::vm::{Vm, Worker};

/// The checkers of one worker.
#[derive(Default)]
pub struct Hub {
    pub(super) held: RefCell<BTreeMap<u64, Held>>,
    sender: RefCell<Option<UnboundedSender<Told>>>,
    /// The plan of the checkers changed: the clock has to be set anew.
    pub(super) stale: Cell<bool>,
}

/// One checker.
pub(super) struct Held {
    pub(super) book: Arc<Book>,
    vm: Weak<Vm>,
    /// Whose settings hold for what it does by itself.
    home: Option<Arc<Location>>,
    pub(super) plan: Plan,
}

/// The function of a VM that is told.
#[derive(Default)]
struct Listener(RefCell<Option<Func>>);

/// The hub of the worker that runs this code.
pub fn hub() -> Option<Rc<Hub>> {
    Some(ctx::worker()?.part::<Hub>())
}

/// `listen(function)`: who is told from now on in this VM.
pub fn listen(c: &Call<'_>) -> Result<c_int, Raise> {
    let vm = &c.ctx()?.vm;
    let func = c.keep(&vm.host, 1);
    *vm.part::<Listener>().0.borrow_mut() = Some(func);
    Ok(0)
}

impl Hub {
    pub fn book(&self, seat: u64) -> Option<Arc<Book>> {
        self.held.borrow().get(&seat).map(|held| held.book.clone())
    }

    /// A checker made by the running code has taken its seat.
    pub fn enter(&self, ctx: &Ctx, seat: u64, book: Arc<Book>, plan: Plan) {
        let (vm, home) = (Rc::downgrade(&ctx.vm), ctx.location());
        self.held.borrow_mut().insert(seat, Held { book, vm, home, plan });
        self.replan();
    }

    pub fn leave(&self, seat: u64) {
        let gone = self.held.borrow_mut().remove(&seat);
        if let Some(held) = gone {
            held.book.leave(seat);
            self.replan();
        }
    }

    /// A checker was started or stopped.
    pub fn start(&self, seat: u64, active: bool) {
        if let Some(held) = self.held.borrow_mut().get_mut(&seat) {
            held.plan.start(active, clock::fresh_mono_ms());
        }
        self.replan();
    }

    /// The way for the engine to tell the checkers of this worker.
    pub fn out(self: &Rc<Self>, worker: &Rc<Worker>) -> Out {
        let mut sender = self.sender.borrow_mut();
        let sender = sender.get_or_insert_with(|| {
            let (sender, receiver) = unbounded_channel();
            tokio::task::spawn_local(pump(worker.clone(), self.clone(), receiver));
            sender
        });
        let sender = sender.clone();
        Box::new(move |told| sender.send(told).is_ok())
    }

    fn replan(&self) {
        self.stale.set(true);
        if let Some(sender) = &*self.sender.borrow() {
            // Without a receiver the worker goes down, and plans no more.
            let _ = sender.send(Told { seat: 0, target: None, what: Tell::Wake });
        }
    }

    async fn take(&self, told: Told) {
        let Told { seat, target, what } = told;
        let (word, rest) = match what {
            Tell::Wake => return self.stale.set(true),
            Tell::Removed => ("removed", Reply::none()),
            Tell::Changed(state) => ("changed", Reply::one(state)),
            Tell::Failed(text) => ("failed", Reply::one(text)),
            Tell::Probed { head, status } => ("probed", Reply::one(head.as_bytes()).and(status)),
            Tell::Retried(text) => ("retried", Reply::one(text)),
            Tell::Counted { healthy, lane, count, limit } => {
                let side = if healthy { "healthy" } else { "unhealthy" };
                ("counted", Reply::one(side).and(lane).and(count).and(limit))
            }
        };
        self.tell(seat, word, target.as_ref(), rest).await;
    }

    /// Calls the listener of a checker's VM, in a light thread as those of timers are.
    pub(super) async fn tell(
        &self,
        seat: u64,
        word: &'static str,
        target: Option<&Ident>,
        rest: Reply,
    ) {
        let held = self.held.borrow().get(&seat).map(|h| (h.vm.upgrade(), h.home.clone()));
        let Some((Some(vm), home)) = held else { return };
        let mut args = Reply::one(seat).and(word);
        args = match target {
            Some(t) => args.and(t.ip.as_bytes()).and(t.port).and(t.hostname.as_bytes()),
            None => args.and(Val::Nil).and(Val::Nil).and(Val::Nil),
        };
        args.0.extend(rest.0);
        let co = vm.take_co();
        match &*vm.part::<Listener>().0.borrow() {
            Some(func) => co.push_func(func),
            None => return,
        }
        let count = 1 + co.push_reply(&args);
        let ctx = Ctx::of_timer(&vm, home);
        if sched::start_co(&ctx, co, count).is_none() {
            sched::drive(&ctx).await;
        }
    }

    /// The worker goes down: other workers are told from now on, and probe.
    fn retire(&self) {
        for (seat, held) in &*self.held.borrow() {
            held.book.retire(*seat);
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        for (seat, held) in std::mem::take(self.held.get_mut()) {
            held.book.leave(seat);
        }
    }
}

async fn pump(worker: Rc<Worker>, hub: Rc<Hub>, mut receiver: UnboundedReceiver<Told>) {
    let mut next_at_ms = None;
    loop {
        if hub.stale.replace(false) {
            next_at_ms = hub.next_at_ms();
        }
        let alarm = async {
            match next_at_ms {
                Some(at_ms) => sleep_until(Instant::from_std(clock::instant_at(at_ms))).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = worker.exiting() => break,
            told = receiver.recv() => match told {
                Some(told) => hub.take(told).await,
                None => break,
            },
            () = alarm => hub.tick().await,
        }
    }
    drop(receiver);
    hub.retire();
}
