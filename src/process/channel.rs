//! Messages between the master and its worker process, over a pair of unix sockets.
//!
//! ```text
//!  master ── Reload {generation, sockets} + texts, sockets ─▶ worker
//!  master ◀──────────── Ready │ Failed {generation} ─────── worker
//! ```
//!
//! A frame is a length (4 bytes, little endian) and JSON; descriptors travel with the first byte.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::net::addr::Addr;
use crate::net::fd;
use crate::net::listen::{Bound, ListenSpec};

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// More descriptors for the message that follows; a single one cannot carry them all.
    Sockets,
    /// The first descriptor holds the texts of the configuration, the others are `sockets`.
    Reload {
        generation: u64,
        sockets: Vec<SocketNames>,
    },
    Ready {
        generation: u64,
    },
    Failed {
        generation: u64,
    },
}

/// An address and how many descriptors belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketNames {
    #[serde(default)]
    pub udp: bool,
    pub addr: String,
    pub count: usize,
}

/// One end.
pub struct Channel {
    stream: UnixStream,
    bytes: Vec<u8>,
    fds: VecDeque<OwnedFd>,
}

impl Channel {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, bytes: Vec::new(), fds: VecDeque::new() }
    }

    /// A second handle to the same end, for writing from elsewhere.
    pub fn writer(&self) -> io::Result<Self> {
        Ok(Self::new(self.stream.try_clone()?))
    }

    pub fn send(&self, message: &Message, fds: &[RawFd]) -> io::Result<()> {
        let mut chunks: Vec<&[RawFd]> = fds.chunks(FDS_PER_MESSAGE).collect();
        let last = chunks.pop().unwrap_or_default();
        for chunk in chunks {
            fd::send_with_fds(&self.stream, &frame(&Message::Sockets)?, chunk)?;
        }
        fd::send_with_fds(&self.stream, &frame(message)?, last)
    }

    /// Waits for the next message; `None` when the other side is gone.
    pub fn recv(&mut self) -> io::Result<Option<Message>> {
        loop {
            if let Some(message) = self.take()? {
                if message != Message::Sockets {
                    return Ok(Some(message));
                }
                continue;
            }
            let mut buf = [0; 4096];
            let (count, fds) = match fd::recv_with_fds(&self.stream, &mut buf) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if count == 0 {
                return Ok(None);
            }
            self.bytes.extend_from_slice(&buf[..count]);
            self.fds.extend(fds);
        }
    }

    /// The next descriptor that came with a message.
    pub fn next_fd(&mut self) -> Option<OwnedFd> {
        self.fds.pop_front()
    }

    /// The sockets that came with a message.
    pub fn sockets(&mut self, names: &[SocketNames]) -> Vec<Bound> {
        attach(names, &mut self.fds)
    }

    fn take(&mut self) -> io::Result<Option<Message>> {
        let Some(head) = self.bytes.first_chunk::<4>() else { return Ok(None) };
        let end = 4 + u32::from_le_bytes(*head) as usize;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let message = serde_json::from_slice(&self.bytes[4..end]);
        self.bytes.drain(..end);
        Ok(Some(message?))
    }
}

impl AsRawFd for Channel {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

/// Names and numbers of descriptors for sending.
pub fn describe(bound: &[Bound]) -> (Vec<SocketNames>, Vec<RawFd>) {
    let name = |b: &Bound| SocketNames {
        udp: b.spec.udp,
        addr: b.spec.addr.to_string(),
        count: b.sockets.len(),
    };
    (bound.iter().map(name).collect(), bound.iter().flat_map(Bound::raw_fds).collect())
}

/// Puts descriptors back to the addresses they belong to.
pub fn attach(names: &[SocketNames], fds: &mut VecDeque<OwnedFd>) -> Vec<Bound> {
    let mut bound = Vec::new();
    for name in names {
        let count = name.count.min(fds.len());
        let sockets: Vec<_> = fds.drain(..count).map(Arc::new).collect();
        if let Some(addr) = Addr::literal(name.addr.as_bytes())
            && !sockets.is_empty()
        {
            let spec = ListenSpec { udp: name.udp, ..ListenSpec::new(addr) };
            bound.push(Bound { spec, sockets });
        }
    }
    bound
}

fn frame(message: &Message) -> io::Result<Vec<u8>> {
    let body = serde_json::to_vec(message)?;
    let mut out = (body.len() as u32).to_le_bytes().to_vec();
    out.extend_from_slice(&body);
    Ok(out)
}

const FDS_PER_MESSAGE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_arrive_in_order() {
        let (a, b) = UnixStream::pair().unwrap();
        let (a, mut b) = (Channel::new(a), Channel::new(b));
        let socket = Arc::new(OwnedFd::from(UnixStream::pair().unwrap().0));
        let bound = |addr: &str, count| Bound {
            spec: ListenSpec::new(Addr::literal(addr.as_bytes()).unwrap()),
            sockets: vec![socket.clone(); count],
        };
        let sent = [bound("127.0.0.1:80", 250), bound("unix:/tmp/x", 1)];
        let (names, fds) = describe(&sent);
        a.send(&Message::Reload { generation: 2, sockets: names }, &fds).unwrap();
        a.send(&Message::Ready { generation: 2 }, &[]).unwrap();
        let Some(Message::Reload { sockets, .. }) = b.recv().unwrap() else { panic!("reload") };
        let got = b.sockets(&sockets);
        let shape: Vec<_> =
            got.iter().map(|b| (b.spec.addr.to_string(), b.sockets.len())).collect();
        assert_eq!(shape, [("127.0.0.1:80".to_string(), 250), ("unix:/tmp/x".to_string(), 1)]);
        assert_eq!(b.recv().unwrap(), Some(Message::Ready { generation: 2 }));
        drop(a);
        assert_eq!(b.recv().unwrap(), None);
    }
}
