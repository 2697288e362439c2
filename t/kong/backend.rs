//! A backend that answers as a case wants it to, and remembers what it was asked.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::harness::server::free_port;
use crate::harness::wait::{self, HANG};

/// A server on a port of its own.
pub struct Backend {
    pub port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    status: AtomicU16,
    delay_ms: AtomicU64,
    stopped: AtomicBool,
    held: AtomicBool,
    /// The request heads, oldest first.
    heads: Mutex<Vec<String>>,
}

impl Backend {
    pub fn start() -> Result<Backend, String> {
        // A port of ours: nobody else gets it when this server is gone.
        let port = free_port();
        let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|e| e.to_string())?;
        let shared = Arc::new(Shared::default());
        shared.status.store(200, Ordering::Relaxed);
        let serving = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = serving.clone();
                std::thread::spawn(move || shared.serve(stream, port));
            }
        });
        Ok(Backend { port, shared })
    }

    pub fn text(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// From now on answers with this status.
    pub fn says(&self, status: u16) {
        self.shared.status.store(status, Ordering::Relaxed);
    }

    /// From now on answers after this time.
    pub fn takes(&self, delay: Duration) {
        self.shared.delay_ms.store(delay.as_millis() as u64, Ordering::Relaxed);
    }

    /// From now on answers nothing.
    pub fn hold(&self) {
        self.shared.held.store(true, Ordering::Relaxed);
    }

    /// Answers what it held back, and what comes.
    pub fn release(&self) {
        self.shared.held.store(false, Ordering::Relaxed);
    }

    /// Waits until there were so many requests for this path.
    pub fn wait_for(&self, path: &str, count: usize) -> Result<(), String> {
        wait::until(HANG, || match self.count(path) {
            few if few < count => Err(format!("{few} requests for {path}, wanted {count}")),
            _ => Ok(()),
        })
    }

    /// The heads of all requests so far.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().map(|heads| heads.clone()).unwrap_or_default()
    }

    /// How many requests there were for this path.
    pub fn count(&self, path: &str) -> usize {
        let start = format!("GET {path} ");
        self.heads().iter().filter(|head| head.starts_with(&start)).count()
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
        let mut head = Vec::new();
        let mut byte = [0; 1];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        if let Ok(mut heads) = self.heads.lock() {
            heads.push(String::from_utf8_lossy(&head).into_owned());
        }
        std::thread::sleep(Duration::from_millis(self.delay_ms.load(Ordering::Relaxed)));
        while self.held.load(Ordering::Relaxed) && !self.stopped.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = self.status.load(Ordering::Relaxed);
        let body = format!("{port}");
        let _ = write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
    }
}
