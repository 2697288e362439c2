//! Our ends of a child's pipes.
//!
//! ```text
//!   Output: pipe ─▶ buffer ─▶ all │ n bytes │ a line │ what is there
//!   Input:  data ─▶ pipe
//!   close() ends a read or write under way with "aborted"
//! ```

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use tokio::net::unix::pipe;
use tokio::sync::Notify;

use crate::base::errno;

/// How much a reader wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    All,
    Bytes(usize),
    Line,
    /// Something, at most this much.
    Any(usize),
}

/// The reading end of stdout or stderr.
pub struct Output {
    /// A reader waits.
    pub busy: Cell<bool>,
    end: End<pipe::Receiver>,
    buffer: RefCell<Vec<u8>>,
    is_over: Cell<bool>,
}

/// The writing end of stdin.
pub struct Input {
    /// A writer waits.
    pub busy: Cell<bool>,
    end: End<pipe::Sender>,
}

/// A pipe that may be closed while it is used.
struct End<T> {
    pipe: RefCell<Option<Rc<T>>>,
    aborted: Notify,
}

impl<T> End<T> {
    fn new(pipe: T) -> Self {
        Self { pipe: RefCell::new(Some(Rc::new(pipe))), aborted: Notify::new() }
    }

    fn close(&self) {
        drop(self.pipe.take());
        self.aborted.notify_waiters();
    }

    /// The pipe, or "closed".
    fn open(&self) -> Result<Rc<T>, String> {
        self.pipe.borrow().clone().ok_or_else(|| "closed".to_owned())
    }

    /// Runs `work`, but not beyond a close.
    async fn until_closed<R>(
        &self,
        work: impl Future<Output = io::Result<R>>,
    ) -> Result<R, String> {
        tokio::select! {
            biased;
            () = self.aborted.notified() => Err("aborted".to_owned()),
            done = work => done.map_err(|e| reason(&e)),
        }
    }
}

impl Output {
    pub fn new(pipe: pipe::Receiver) -> Self {
        Self {
            busy: Cell::new(false),
            end: End::new(pipe),
            buffer: RefCell::default(),
            is_over: Cell::new(false),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.end.pipe.borrow().is_none()
    }

    pub fn close(&self) {
        self.end.close();
    }

    /// Reads what is wanted; what was read when it fails stays for `take_partial`.
    pub async fn read(&self, want: Want, buffer_size: usize) -> Result<Vec<u8>, String> {
        let mut room = vec![0; buffer_size];
        let pipe = self.end.open()?;
        loop {
            if let Some(data) = self.take(want) {
                return Ok(data);
            }
            if self.is_over.get() {
                return Err("closed".to_owned());
            }
            let count = self.end.until_closed(async {
                loop {
                    match pipe.try_read(&mut room) {
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => pipe.readable().await?,
                        done => return done,
                    }
                }
            });
            match count.await? {
                0 => self.is_over.set(true),
                count => self.buffer.borrow_mut().extend_from_slice(&room[..count]),
            }
        }
    }

    /// What a read that failed had got.
    pub fn take_partial(&self, want: Want) -> Vec<u8> {
        let data = self.buffer.take();
        if want == Want::Line { without_returns(data) } else { data }
    }

    /// Takes what is wanted out of the buffer, if it is there.
    fn take(&self, want: Want) -> Option<Vec<u8>> {
        let mut buffer = self.buffer.borrow_mut();
        match want {
            Want::All => self.is_over.get().then(|| std::mem::take(&mut *buffer)),
            Want::Bytes(count) => (buffer.len() >= count).then(|| take(&mut buffer, count)),
            Want::Any(most) => (!buffer.is_empty()).then(|| take(&mut buffer, most)),
            Want::Line => {
                let end = memchr::memchr(b'\n', &buffer)?;
                let mut line = take(&mut buffer, end + 1);
                line.pop();
                Some(without_returns(line))
            }
        }
    }
}

impl Input {
    pub fn new(pipe: pipe::Sender) -> Self {
        Self { busy: Cell::new(false), end: End::new(pipe) }
    }

    pub fn is_closed(&self) -> bool {
        self.end.pipe.borrow().is_none()
    }

    pub fn close(&self) {
        self.end.close();
    }

    pub async fn write(&self, mut data: &[u8]) -> Result<(), String> {
        let pipe = self.end.open()?;
        self.end
            .until_closed(async {
                while !data.is_empty() {
                    match pipe.try_write(data) {
                        Ok(count) => data = &data[count..],
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => pipe.writable().await?,
                        Err(e) => return Err(e),
                    }
                }
                Ok(())
            })
            .await
    }
}

fn take(buffer: &mut Vec<u8>, most: usize) -> Vec<u8> {
    let rest = buffer.split_off(most.min(buffer.len()));
    std::mem::replace(buffer, rest)
}

/// OpenResty drops every carriage return of a line.
fn without_returns(mut line: Vec<u8>) -> Vec<u8> {
    line.retain(|&b| b != b'\r');
    line
}

fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return "closed".to_owned();
    }
    errno::text(error)
}
