//! Peers that misbehave.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use moonbeat::net::addr::Addr;
use socket2::{Domain, Socket, Type};

/// Somebody who listens, and does the same with every connection, until the process ends.
pub(super) struct Peer {
    addr: Addr,
}

impl Peer {
    pub(super) fn start(
        serve: impl Fn(TcpStream) + Clone + Send + 'static,
    ) -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
        let addr = Addr::Inet(listener.local_addr().map_err(|e| e.to_string())?);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serve = serve.clone();
                std::thread::spawn(move || serve(stream));
            }
        });
        Ok(Self { addr })
    }

    pub(super) fn addr(&self) -> Addr {
        self.addr.clone()
    }
}

/// Reads until the other side ends the connection.
pub(super) fn drain(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

/// Reads a head.
pub(super) fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    head
}

/// Reads a request and says something.
pub(super) fn answer(mut stream: TcpStream, text: &[u8]) {
    read_request(&mut stream);
    let _ = stream.write_all(text);
    drain(stream);
}

/// Well and unwell in turn.
pub(super) fn alternating(stream: TcpStream) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    match COUNT.fetch_add(1, Ordering::Relaxed) % 2 {
        0 => answer(stream, b"HTTP/1.1 500 x\r\n\r\n"),
        _ => answer(stream, b"HTTP/1.1 200 OK\r\n\r\n"),
    }
}

/// An address whose queue is full, as long as what comes with it is held.
pub(super) fn full_backlog() -> Result<(Addr, Vec<Socket>), String> {
    let text = |e: std::io::Error| e.to_string();
    let make = || Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None).map_err(text);
    let listener = make()?;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    listener.bind(&any.into()).map_err(text)?;
    listener.listen(0).map_err(text)?;
    let addr = listener.local_addr().map_err(text)?;
    let mut held = vec![listener];
    for _ in 0..4 {
        let waiting = make()?;
        // Under way, or waiting in the queue.
        let _ = waiting.connect(&addr);
        held.push(waiting);
    }
    let addr = addr.as_socket().ok_or("not an inet address")?;
    Ok((Addr::Inet(addr), held))
}
