//! The light threads of one entry into Lua: who is ready, who waits for what.
//!
//! ```text
//!   lights   0 = entry thread, 1.. = user threads  Running | Zombie (ended, not waited for) | Dead
//!   ready    run queue of (light, what to resume it with)
//!   waits    futures of lights that wait
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::stream::{FuturesUnordered, Stream};
use smallvec::SmallVec;

use super::ask::Wait;
use super::raw::{Co, Reply};

/// All light threads of a context.
#[derive(Default)]
pub struct Board {
    pub lights: Vec<Light>,
    pub ready: VecDeque<(usize, Wake)>,
    pub waits: Waits,
    /// How many lights are running.
    pub live: usize,
    /// The light that runs, or ran last.
    pub cur: usize,
    /// The light that gave way last lets tasks of other entries run, too.
    pub gives_way: bool,
}

/// One light thread.
pub struct Light {
    /// Taken out while it runs, gone once it is dead.
    pub co: Option<Co>,
    /// Identity of the coroutine, which Lua code holds.
    pub id: usize,
    pub status: Status,
    pub parent: Option<Parent>,
    /// Subrequests under way; it cannot be killed while there are any.
    pub subrequests: u32,
    /// The children of which the first to end wakes this one.
    pub joins: SmallVec<[usize; 2]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Running,
    /// Ended; `ok` and its results are kept for the parent.
    Zombie {
        ok: bool,
    },
    Dead,
}

/// Who may wait for and kill a light thread: the very coroutine that spawned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub light: usize,
    pub coroutine: usize,
}

/// What a ready light is resumed with.
pub enum Wake {
    /// Function and arguments are on its stack already, so many.
    Start(i32),
    Empty,
    Reply(Reply),
    /// `ngx.thread.spawn` returns this thread.
    Thread(usize),
    /// `ngx.thread.wait` returns what this thread ended with.
    Joined {
        child: usize,
        ok: bool,
    },
}

impl Board {
    /// Adds a running light and tells its index; a dead one with the same coroutine is replaced.
    pub fn add(&mut self, co: Co, parent: Option<Parent>) -> usize {
        self.live += 1;
        let light = Light {
            id: co.id(),
            co: Some(co),
            status: Status::Running,
            parent,
            subrequests: 0,
            joins: SmallVec::new(),
        };
        let index = self.find(light.id).unwrap_or(self.lights.len());
        match self.lights.get_mut(index) {
            Some(old) => *old = light,
            None => self.lights.push(light),
        }
        index
    }

    pub fn find(&self, id: usize) -> Option<usize> {
        self.lights.iter().position(|l| l.id == id)
    }

    pub fn is_alive(&self, light: usize) -> bool {
        self.lights[light].status == Status::Running
    }

    /// Marks a light dead and takes its coroutine.
    pub fn bury(&mut self, light: usize) -> Option<Co> {
        let l = &mut self.lights[light];
        if l.status == Status::Running {
            self.live -= 1;
        }
        l.status = Status::Dead;
        l.joins.clear();
        l.co.take()
    }

    /// Removes everything a light waits for.
    pub fn forget_waits(&mut self, light: usize) {
        self.waits.remove(light);
        self.ready.retain(|(l, _)| *l != light);
    }

    /// The zombies whose parent is gone.
    pub fn orphans_of(&self, parent: usize) -> Vec<usize> {
        self.lights
            .iter()
            .enumerate()
            .filter(|(_, l)| {
                matches!(l.status, Status::Zombie { .. })
                    && l.parent.is_some_and(|p| p.light == parent)
            })
            .map(|(i, _)| i)
            .collect()
    }

    /// Ends everything at once. What runs or waits is dropped, not resumed.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The futures of waiting lights. One waiter, by far the usual case, costs no task allocation.
#[derive(Default)]
pub struct Waits {
    solo: Option<(usize, Wait)>,
    /// Made with the second waiter.
    many: Option<Box<FuturesUnordered<Shared>>>,
}

impl Waits {
    pub fn add(&mut self, light: usize, wait: Wait) {
        if self.solo.is_none() {
            self.solo = Some((light, wait));
        } else {
            let wait = Rc::new(RefCell::new(Some(wait)));
            self.many.get_or_insert_default().push(Shared { light, wait });
        }
    }

    pub fn remove(&mut self, light: usize) {
        if self.solo.as_ref().is_some_and(|(l, _)| *l == light) {
            self.solo = None;
        }
        for shared in self.many.iter().flat_map(|many| many.iter()).filter(|s| s.light == light) {
            shared.wait.take();
        }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Reply)> {
        if let Some((light, wait)) = &mut self.solo
            && let Poll::Ready(reply) = wait.as_mut().poll(cx)
        {
            let light = *light;
            self.solo = None;
            return Poll::Ready((light, reply));
        }
        let Some(many) = &mut self.many else { return Poll::Pending };
        loop {
            match Pin::new(&mut **many).poll_next(cx) {
                Poll::Ready(Some(Some(done))) => return Poll::Ready(done),
                // A killed thread's slot.
                Poll::Ready(Some(None)) => {}
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// A wait that can be taken away when its thread is killed.
struct Shared {
    light: usize,
    wait: Rc<RefCell<Option<Wait>>>,
}

impl Future for Shared {
    type Output = Option<(usize, Reply)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = self.wait.borrow_mut();
        let Some(wait) = slot.as_mut() else { return Poll::Ready(None) };
        wait.as_mut().poll(cx).map(|reply| Some((self.light, reply)))
    }
}
