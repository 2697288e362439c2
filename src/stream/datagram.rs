//! Runs of datagrams: those of one client on one socket make a session.
//!
//! ```text
//!  socket ─ recv_from ─▶ known client? ─ yes ─▶ its inbox ─▶ session's task
//!                                       └ no ─▶ a new session with the datagram in its inbox
//! ```

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// The clients of one socket.
#[derive(Default)]
pub struct Clients(RefCell<HashMap<SocketAddr, (u64, mpsc::Sender<Bytes>)>>);

impl Clients {
    /// Hands a datagram to its session; a client without one gives it back.
    pub fn deliver(&self, from: SocketAddr, data: Bytes) -> Result<(), Bytes> {
        match self.0.borrow().get(&from) {
            // A full inbox loses the datagram, as a full socket buffer does.
            Some((_, inbox)) => match inbox.try_send(data) {
                Err(mpsc::error::TrySendError::Closed(data)) => Err(data),
                _ => Ok(()),
            },
            None => Err(data),
        }
    }

    /// Begins a session of that number with its first datagram.
    pub fn begin(
        self: &Rc<Self>,
        socket: &Rc<UdpSocket>,
        from: SocketAddr,
        number: u64,
        first: Bytes,
    ) -> Datagrams {
        let (sender, inbox) = mpsc::channel(INBOX_DATAGRAMS);
        self.0.borrow_mut().insert(from, (number, sender));
        let (socket, clients) = (socket.clone(), self.clone());
        Datagrams { socket, peer: from, number, first: Some(first), inbox, clients }
    }

    fn forget(&self, client: SocketAddr, number: u64) {
        let mut all = self.0.borrow_mut();
        if all.get(&client).is_some_and(|(own, _)| *own == number) {
            all.remove(&client);
        }
    }
}

/// The client's side of a session of datagrams.
pub struct Datagrams {
    socket: Rc<UdpSocket>,
    peer: SocketAddr,
    number: u64,
    first: Option<Bytes>,
    inbox: mpsc::Receiver<Bytes>,
    clients: Rc<Clients>,
}

impl Datagrams {
    /// The next datagram of the client.
    pub async fn next(&mut self) -> Option<Bytes> {
        match self.first.take() {
            Some(first) => Some(first),
            None => self.inbox.recv().await,
        }
    }

    pub async fn send(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.send_to(data, self.peer).await
    }

    /// What the client sends from now on begins another session.
    pub fn detach(&self) {
        self.clients.forget(self.peer, self.number);
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.detach();
    }
}

/// How many datagrams may wait for a session.
const INBOX_DATAGRAMS: usize = 256;
/// The longest datagram.
pub const MOST_BYTES: usize = 65_535;
