//! A backend that answers path by path as a case wants it to, and remembers what it was asked.
//!
//! ```text
//!   says("/status", Status(500))       from now on
//!   once("/status", [Closed, Bad])     these first, one a request
//! ```

use std::collections::{HashMap, VecDeque};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::harness::server::free_port;
use crate::harness::wait::HANG;

/// What a request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    Status(u16),
    /// The connection ends without an answer.
    Closed,
    /// Nothing, until the other side has enough.
    Silence,
    /// Nothing, until it is released.
    Held,
    /// Something that is no HTTP.
    Nonsense,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    /// As it was on the wire, with the body.
    pub bytes: String,
}

/// A server on a port of its own.
pub struct Backend {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<Answers>,
    asked: Mutex<Vec<Asked>>,
    came: Condvar,
    connections: AtomicUsize,
    stopped: AtomicBool,
    released: AtomicBool,
}

#[derive(Default)]
struct Answers {
    usual: HashMap<String, Say>,
    first: HashMap<String, VecDeque<Say>>,
}

impl Backend {
    pub fn start() -> Result<Backend, String> {
        // A port of ours: nobody else gets it when this server is gone.
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        let shared = Arc::new(Shared::default());
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                serving.connections.fetch_add(1, Ordering::Relaxed);
                let shared = serving.clone();
                std::thread::spawn(move || shared.serve(stream, port));
            }
        });
        Ok(Backend { port, shared })
    }

    pub fn text(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on answers this path so; all others with 200.
    pub fn says(&self, path: &str, say: Say) {
        locked(&self.shared.answers).usual.insert(path.to_owned(), say);
    }

    /// Answers the next requests for this path so.
    pub fn once(&self, path: &str, says: &[Say]) {
        let mut answers = locked(&self.shared.answers);
        answers.first.entry(path.to_owned()).or_default().extend(says);
    }

    /// Ends the connections that are held.
    pub fn release(&self) {
        self.shared.released.store(true, Ordering::Relaxed);
    }

    pub fn asked(&self) -> Vec<Asked> {
        locked(&self.shared.asked).clone()
    }

    /// How many requests there were for this path.
    pub fn count(&self, path: &str) -> usize {
        locked(&self.shared.asked).iter().filter(|asked| asked.path == path).count()
    }

    /// No more requests for a path come; one may have been on its way.
    pub fn is_left_alone(&self, path: &str) -> Result<(), String> {
        let before = self.count(path);
        std::thread::sleep(Duration::from_millis(2500));
        match self.count(path) - before {
            0 | 1 => Ok(()),
            more => Err(format!("{more} more requests for {path}")),
        }
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Waits until there were so many requests for a path.
    pub fn wait_for(&self, path: &str, count: usize) -> Result<(), String> {
        let asked = locked(&self.shared.asked);
        let few = |asked: &mut Vec<Asked>| asked.iter().filter(|a| a.path == path).count() < count;
        let waited = self.shared.came.wait_timeout_while(asked, HANG, few);
        let (asked, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        match waited.timed_out() {
            false => Ok(()),
            true => Err(format!("{count} requests for {path} did not come: {asked:?}")),
        }
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    /// Answers one request; the body tells the port, so that cases see who answered.
    fn serve(&self, mut stream: TcpStream, port: u16) {
        let Some((path, bytes)) = read(&mut stream) else { return };
        let say = self.next(&path);
        locked(&self.asked).push(Asked { path, bytes });
        self.came.notify_all();
        match say {
            Say::Closed => {}
            Say::Silence => {
                // Ends when the other side closes, or with the process.
                let _ = stream.read(&mut [0]);
            }
            Say::Held => {
                while !self.released.load(Ordering::Relaxed)
                    && !self.stopped.load(Ordering::Relaxed)
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            Say::Nonsense => {
                let _ = stream.write_all(b"NONSENSE\r\n\r\n");
            }
            Say::Status(status) => {
                let body = port.to_string();
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n\
                     {body}"
                );
            }
        }
    }

    fn next(&self, path: &str) -> Say {
        let mut answers = locked(&self.answers);
        let first = answers.first.get_mut(path).and_then(VecDeque::pop_front);
        first.or_else(|| answers.usual.get(path).copied()).unwrap_or(Say::Status(200))
    }
}

/// One request: its path, and all its bytes.
fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut byte = [0; 1];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let line =
        |line: &str| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; head.lines().find_map(line).unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let target = head.split(' ').nth(1)?;
    let path = target.split('?').next().unwrap_or(target).to_owned();
    Some((path, head + &String::from_utf8_lossy(&body)))
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
