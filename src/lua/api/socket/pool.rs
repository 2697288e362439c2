//! Connection pools: `setkeepalive` puts connections in, `connect` takes them out.
//!
//! ```text
//!  connect ─▶ idle one? ─▶ it
//!          └▶ pool with a backlog full? ─▶ wait in line ─▶ a seat, or a connection given back
//! ```
//! One set of pools per worker thread, by name. A keeper watches over the idle connections of each:
//! it wakes up when one of them says something, or when the first has been idle for too long.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::ffi::c_int;
use std::io;
use std::ptr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use super::link::Link;
use super::own_socket;
use super::tcp::Tcp;
use crate::base::clock;
use crate::lua::raw::{Call, Raise};
use crate::net::stream::Stream;

/// What a connect asks of its pool.
pub struct Wish {
    pub name: Vec<u8>,
    pub size: Option<usize>,
    pub backlog: Option<usize>,
    pub default_size: usize,
}

/// A connection nobody uses.
pub struct Idle {
    pub stream: Stream,
    pub reused_times: u64,
    pub secured: bool,
}

/// What a connect got.
pub enum Seating {
    Idle(Idle, Option<Seat>),
    /// Connect anew; the seat is held meanwhile.
    Fresh(Option<Seat>),
    Refused(&'static str),
}

/// One of the connections a pool with a backlog counts.
pub struct Seat {
    pool: Rc<Pool>,
}

struct Pool {
    name: Vec<u8>,
    size: usize,
    backlog: Option<usize>,
    state: RefCell<State>,
    bell: Arc<Bell>,
    /// What idle connections wake.
    waker: Waker,
}

#[derive(Default)]
struct State {
    /// The one used last is taken first.
    idle: VecDeque<Entry>,
    connections: usize,
    waiting: VecDeque<oneshot::Sender<Seating>>,
    /// When the keeper looks next; nothing when it waits for a call.
    next_look_ms: Option<u64>,
}

struct Entry {
    idle: Idle,
    seat: Option<Seat>,
    /// On the monotonic clock.
    ends_ms: Option<u64>,
}

/// Calls the keeper of a pool.
#[derive(Default)]
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

thread_local! {
    static POOLS: RefCell<HashMap<Vec<u8>, Rc<Pool>>> = RefCell::default();
}

/// An idle connection of a pool, when there is one.
pub fn take_idle(name: &[u8]) -> Option<(Idle, Option<Seat>)> {
    let pool = POOLS.with_borrow(|pools| pools.get(name).cloned())?;
    loop {
        let entry = pool.state.borrow_mut().idle.pop_back()?;
        if entry.idle.is_quiet(Waker::noop()) {
            return Some((entry.idle, entry.seat));
        }
    }
}

/// Finds a right to make a connection, or waits for one; there is no idle one.
pub async fn seat(wish: &Wish, timeout_ms: u64) -> Seating {
    let counted = wish.backlog.is_some() || wish.size.is_some();
    let known = POOLS.with_borrow(|pools| pools.get(&wish.name).cloned());
    let pool = match (known, counted) {
        (Some(pool), _) => pool,
        (None, true) => {
            Pool::open(&wish.name, wish.size.unwrap_or(wish.default_size), wish.backlog)
        }
        (None, false) => return Seating::Fresh(None),
    };
    let Some(backlog) = pool.backlog else { return Seating::Fresh(None) };
    if pool.state.borrow().connections < pool.size {
        return Seating::Fresh(Some(Seat::take(&pool)));
    }
    if pool.state.borrow().waiting.len() >= backlog {
        return Seating::Refused("too many waiting connect operations");
    }
    let (sender, receiver) = oneshot::channel();
    pool.state.borrow_mut().waiting.push_back(sender);
    match tokio::time::timeout(Duration::from_millis(timeout_ms), receiver).await {
        Ok(Ok(seating)) => seating,
        _ => Seating::Refused("timeout"),
    }
}

/// `setkeepalive(id, timeout_ms | nil, size | nil)`
pub fn setkeepalive(c: &Call<'_>) -> Result<c_int, Raise> {
    let socket = own_socket(c)?;
    let Some(link) = socket.linked() else { return c.fail(socket.unlinked_word()) };
    if link.is_request() {
        return c.fail("attempt to setkeepalive on a request socket");
    }
    if socket.read_closed.get() || socket.write_closed.get() {
        return c.fail("closed");
    }
    if let Some(word) = socket.busy_word(true, true) {
        return c.fail(word);
    }
    if !socket.input.borrow().is_empty() {
        return c.fail("unread data in buffer");
    }
    let timeout_ms = c.opt_num(2)?.map_or(socket.settings.keepalive_timeout_ms, |ms| ms as u64);
    let size = c.opt_num(3)?.map(|size| size as usize).filter(|size| *size > 0);
    if is_dubious(&link) {
        socket.abandon();
        return c.fail("connection in dubious state");
    }
    drop(link);
    if c.ctx()?.vm.worker.is_exiting() {
        socket.abandon();
        return c.ret(1.0);
    }
    give_back(&socket, timeout_ms, size);
    c.ret(1.0)
}

/// Something arrived that nobody asked for, or the peer closed.
fn is_dubious(link: &Link) -> bool {
    let looked = link.with_stream(|stream| {
        let mut byte = [0; 1];
        let read = stream.try_read(&mut byte);
        // What a plain socket has to tell is known already, as far as nginx would know it too.
        !matches!(read, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            || !matches!(stream, Stream::Plain(_)) && stream.peer_closed()
    });
    looked.unwrap_or(true)
}

fn give_back(socket: &Rc<Tcp>, timeout_ms: u64, size: Option<usize>) {
    let name = socket.pool_key.borrow().clone();
    let known = POOLS.with_borrow(|pools| pools.get(&name).cloned());
    let pool =
        known.unwrap_or_else(|| Pool::open(&name, size.unwrap_or(socket.settings.pool_size), None));
    let link = socket.link.borrow_mut().take();
    let seat = socket.seat.borrow_mut().take();
    let Some(Link::Own(stream)) = link.and_then(Rc::into_inner) else { return };
    let idle = Idle {
        stream: stream.into_inner(),
        reused_times: socket.reused_times.get(),
        secured: socket.secured.get(),
    };
    socket.abandon();
    pool.put(idle, seat, timeout_ms);
}

impl Pool {
    fn open(name: &[u8], size: usize, backlog: Option<usize>) -> Rc<Self> {
        let bell = Arc::<Bell>::default();
        let pool = Rc::new(Self {
            name: name.to_vec(),
            size: size.max(1),
            backlog,
            state: RefCell::default(),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        });
        POOLS.with_borrow_mut(|pools| pools.insert(name.to_vec(), Rc::clone(&pool)));
        tokio::task::spawn_local(keep(Rc::downgrade(&pool), Arc::clone(&pool.bell)));
        pool
    }

    /// Hands the connection to the first in line, or keeps it; the oldest makes room.
    fn put(self: &Rc<Self>, idle: Idle, seat: Option<Seat>, timeout_ms: u64) {
        let (mut idle, mut seat) = (idle, seat);
        loop {
            let Some(first) = self.state.borrow_mut().waiting.pop_front() else { break };
            match first.send(Seating::Idle(idle, seat)) {
                Ok(()) => return,
                Err(Seating::Idle(back, its_seat)) => (idle, seat) = (back, its_seat),
                Err(_) => return,
            }
        }
        if !idle.is_quiet(&self.waker) {
            return;
        }
        let ends_ms = (timeout_ms > 0).then(|| clock::mono_ms() + timeout_ms);
        let evicted = {
            let mut state = self.state.borrow_mut();
            state.idle.push_back(Entry { idle, seat, ends_ms });
            if ends_ms.is_some_and(|ends| state.next_look_ms.is_none_or(|next| ends < next)) {
                self.bell.0.notify_one();
            }
            if state.idle.len() > self.size { state.idle.pop_front() } else { None }
        };
        drop(evicted);
    }

    /// Drops connections that have been idle for too long, and those whose peer said anything;
    /// gives the time to look again.
    fn look(&self) -> Option<u64> {
        let now_ms = clock::mono_ms();
        let stays = |entry: &Entry| {
            entry.ends_ms.is_none_or(|ends| ends > now_ms) && entry.idle.is_quiet(&self.waker)
        };
        let all = std::mem::take(&mut self.state.borrow_mut().idle);
        let (staying, going): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(stays);
        let next_look_ms = staying.iter().filter_map(|entry| entry.ends_ms).min();
        let mut state = self.state.borrow_mut();
        state.idle = staying;
        state.next_look_ms = next_look_ms;
        drop(state);
        drop(going);
        let is_unused = {
            let state = self.state.borrow();
            state.idle.is_empty() && state.connections == 0 && state.waiting.is_empty()
        };
        if is_unused {
            POOLS.with_borrow_mut(|pools| {
                let is_this = pools.get(&self.name).is_some_and(|pool| ptr::eq(&**pool, self));
                is_this.then(|| pools.remove(&self.name))
            });
        }
        next_look_ms
    }
}

impl Idle {
    /// Nothing has arrived and the peer has not closed; `waker` hears of it when that changes.
    fn is_quiet(&self, waker: &Waker) -> bool {
        self.stream.socket().poll_read_ready(&mut Context::from_waker(waker)).is_pending()
    }
}

impl Seat {
    fn take(pool: &Rc<Pool>) -> Self {
        pool.state.borrow_mut().connections += 1;
        Self { pool: Rc::clone(pool) }
    }
}

impl Drop for Seat {
    /// A free seat goes to the first in line.
    fn drop(&mut self) {
        self.pool.state.borrow_mut().connections -= 1;
        loop {
            let Some(first) = self.pool.state.borrow_mut().waiting.pop_front() else { return };
            if first.is_closed() {
                continue;
            }
            let seat = Self::take(&self.pool);
            if first.send(Seating::Fresh(Some(seat))).is_ok() {
                return;
            }
        }
    }
}

/// The keeper of a pool, for as long as the pool is there.
async fn keep(pool: Weak<Pool>, bell: Arc<Bell>) {
    let mut next_look_ms = None;
    loop {
        let over = async {
            match next_look_ms {
                Some(at_ms) => tokio::time::sleep_until(clock::instant_at(at_ms).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = bell.0.notified() => {}
            () = over => clock::update(),
        }
        let Some(pool) = pool.upgrade() else { return };
        next_look_ms = pool.look();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.bell.0.notify_one();
    }
}
