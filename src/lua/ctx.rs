//! The running context: what Lua code may touch right now.
//!
//! ```text
//!   phase handler / timer ─▶ Ctx { vm, phase, request } ─▶ sched ─ enter(ctx) ─▶ resume
//!   native fn ─▶ ctx::current()
//! ```

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::ask::Ask;
use super::board::Board;
use super::handshake::Shaking;
use super::phase::Phase;
use super::raw::Func;
use super::request::LuaRequest;
use super::vm::Vm;
use crate::base::log::{self, Level};
use crate::http::Request;
use crate::http::location::Location;

/// One entry into Lua: a phase handler or a timer with all its light threads.
pub struct Ctx {
    pub vm: Rc<Vm>,
    pub phase: Phase,
    pub request: Option<Rc<Request>>,
    /// Where a timer was made: its settings go on to hold, as in OpenResty.
    home: Option<Arc<Location>>,
    /// Subrequests under way; Lua code must not leave while there are any.
    pub pending_subrequests: Cell<u32>,
    /// The TLS handshake a script is run for.
    pub shaking: Option<Rc<Shaking>>,
    /// `ngx.ctx` of a context without a request.
    pub table: OnceCell<Rc<RefCell<Option<Rc<Func>>>>>,
    /// Where `ngx.ctx` stands in Lua's registry, once it was asked for; 0 before.
    table_slot: Cell<i32>,
    /// What Lua keeps with the request, once it was asked for: an entry ends before it changes.
    lua: OnceCell<Rc<LuaRequest>>,
    pub(super) board: RefCell<Board>,
    ask: RefCell<Option<Ask>>,
}

impl Ctx {
    pub fn new(vm: &Rc<Vm>, phase: Phase, request: Option<Rc<Request>>) -> Rc<Self> {
        Rc::new(Self::bare(vm, phase, request))
    }

    /// A timer made under the settings of `home`.
    pub fn of_timer(vm: &Rc<Vm>, home: Option<Arc<Location>>) -> Rc<Self> {
        Rc::new(Self { home, ..Self::bare(vm, Phase::Timer, None) })
    }

    /// A context of the scripts of a TLS handshake; they share one `ngx.ctx`.
    pub fn of_handshake(vm: &Rc<Vm>, phase: Phase, shaking: Rc<Shaking>) -> Rc<Self> {
        let table = OnceCell::from(Rc::clone(&shaking.table));
        let home = Some(shaking.home());
        Rc::new(Self { table, home, shaking: Some(shaking), ..Self::bare(vm, phase, None) })
    }

    fn bare(vm: &Rc<Vm>, phase: Phase, request: Option<Rc<Request>>) -> Self {
        Self {
            vm: Rc::clone(vm),
            phase,
            request,
            home: None,
            shaking: None,
            pending_subrequests: Cell::new(0),
            table: OnceCell::new(),
            table_slot: Cell::new(0),
            lua: OnceCell::new(),
            board: RefCell::default(),
            ask: RefCell::new(None),
        }
    }

    /// The location whose settings hold here; code that no request led to has none.
    pub fn location(&self) -> Option<Arc<Location>> {
        match &self.request {
            Some(request) => Some(request.location()),
            None => self.home.clone(),
        }
    }

    /// What Lua keeps with `r`, the request of this context.
    pub fn kept(&self, r: &Rc<Request>) -> &Rc<LuaRequest> {
        self.lua.get_or_init(|| r.ext::<LuaRequest>())
    }

    /// Tells the prelude where `ngx.ctx` stands while this context runs.
    pub fn show_table(&self, slot: i32) {
        self.table_slot.set(slot);
        self.vm.words.table.set(slot);
    }

    pub fn set_ask(&self, ask: Ask) {
        self.ask.replace(Some(ask));
    }

    pub(super) fn take_ask(&self) -> Option<Ask> {
        self.ask.take()
    }

    /// The light thread that runs.
    pub fn cur_light(&self) -> usize {
        self.board.borrow().cur
    }

    /// Counts subrequests of a light thread; an entry that was torn down has none left to count.
    pub fn count_subrequests(&self, light: usize, change: i32) {
        // While the whole board is being dropped nobody will ask any more.
        if let Ok(mut board) = self.board.try_borrow_mut()
            && let Some(light) = board.lights.get_mut(light)
        {
            light.subrequests = light.subrequests.saturating_add_signed(change);
        }
    }

    /// Writes a line to the log of this context, with nginx's words about the request behind it.
    pub fn log(&self, level: Level, text: &str) {
        if let Some(shaking) = &self.shaking {
            return shaking.log(self.phase, level, text);
        }
        match &self.request {
            Some(r) => r.log(level, format_args!("{text}")),
            // nginx has no words behind debug lines.
            None if level == Level::Debug || self.is_wordless() => {
                log::emit(level, format_args!("{text}"));
            }
            None => {
                log::emit(level, format_args!("{text}, context: {}", self.phase.context_name()));
            }
        }
    }

    /// Nothing is told behind log lines while nginx reads its configuration, and at its end.
    fn is_wordless(&self) -> bool {
        matches!(self.phase, Phase::Init | Phase::ExitWorker)
    }

    fn log_level(&self) -> Level {
        if let Some(shaking) = &self.shaking {
            return shaking.log_level();
        }
        match &self.request {
            Some(r) => r.with_location(|l| {
                l.log.as_ref().map_or_else(|| log::main_chain().level(), |log| log.level())
            }),
            None => log::main_chain().level(),
        }
    }
}

/// Makes `ctx` the running context until the guard is dropped.
pub fn enter(ctx: &Rc<Ctx>) -> Entered {
    let words = &ctx.vm.words;
    let guard = Entered {
        before: CURRENT.with(|c| c.borrow_mut().replace(Rc::clone(ctx))),
        phase_before: words.phase.get(),
        table_before: words.table.get(),
    };
    words.phase.set(ctx.phase.bit() as i32);
    words.table.set(ctx.table_slot.get());
    guard
}

/// The running context.
pub fn current() -> Option<Rc<Ctx>> {
    // A VM may be closed by the last destructors of its thread, when there is no context any more.
    CURRENT.try_with(|c| c.borrow().clone()).ok().flatten()
}

/// The worker the running VM belongs to.
pub fn worker() -> Option<Rc<super::vm::Worker>> {
    current()
        .map(|ctx| Rc::clone(&ctx.vm.worker))
        .or_else(|| LOADING.try_with(|loading| loading.borrow().clone()).ok().flatten())
}

/// The most talkative level that is written anywhere.
pub fn log_level() -> Level {
    current().map_or_else(|| log::main_chain().level(), |ctx| ctx.log_level())
}

/// Writes bytes of a script to the log of the running context.
pub fn log_bytes(level: Level, line: &[u8]) {
    log(level, &String::from_utf8_lossy(line));
}

/// Writes to the log of the running context, or to the main log.
pub fn log(level: Level, text: &str) {
    match current() {
        Some(ctx) => ctx.log(level, text),
        None => log::emit(level, format_args!("{text}")),
    }
}

/// Makes `worker` known to code that runs without a context.
pub fn set_worker(worker: &Rc<super::vm::Worker>) {
    LOADING.with_borrow_mut(|w| *w = Some(Rc::clone(worker)));
}

/// Forgets the worker at its end, so that its VM is closed while the thread still stands.
pub fn clear_worker() {
    LOADING.take();
}

/// Restores the context that ran before.
pub struct Entered {
    before: Option<Rc<Ctx>>,
    phase_before: i32,
    table_before: i32,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mine = CURRENT.with(|c| std::mem::replace(&mut *c.borrow_mut(), self.before.take()));
        if let Some(ctx) = mine {
            ctx.vm.words.phase.set(self.phase_before);
            ctx.vm.words.table.set(self.table_before);
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Ctx>>> = const { RefCell::new(None) };
    /// Set while a prelude is loaded, when there is no context yet.
    static LOADING: RefCell<Option<Rc<super::vm::Worker>>> = const { RefCell::new(None) };
}
