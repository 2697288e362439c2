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
pub struct Clients(RefCell<HashMap<SocketAddr, Inbox>>);

/// Where the datagrams of one client go.
struct Inbox {
    /// The number of the session.
    number: u64,
    sender: mpsc::Sender<Bytes>,
    /// How many more belong to the session.
    left: u64,
}

impl Clients {
    /// Hands a datagram to its session; a client without one gives it back.
    pub fn deliver(&self, from: SocketAddr, data: Bytes) -> Result<(), Bytes> {
        let mut all = self.0.borrow_mut();
        let Some(inbox) = all.get_mut(&from) else { return Err(data) };
        // A full inbox loses the datagram, as a full socket buffer does.
        if let Err(mpsc::error::TrySendError::Closed(data)) = inbox.sender.try_send(data) {
            return Err(data);
        }
        inbox.left -= 1;
        if inbox.left == 0 {
            all.remove(&from);
        }
        Ok(())
    }

    /// Begins a session of that number with its first datagram; it gets so many in all, 0 for any
    /// number of them.
    pub fn begin(
        self: &Rc<Self>,
        socket: &Rc<UdpSocket>,
        from: SocketAddr,
        (number, most): (u64, u64),
        first: Bytes,
    ) -> Datagrams {
        let (sender, inbox) = mpsc::channel(INBOX_DATAGRAMS);
        let left = most.checked_sub(1).unwrap_or(u64::MAX);
        if left > 0 {
            self.0.borrow_mut().insert(from, Inbox { number, sender, left });
        }
        let (socket, clients) = (socket.clone(), self.clone());
        Datagrams { socket, peer: from, number, first: Some(first), inbox, clients }
    }

    fn forget(&self, client: SocketAddr, number: u64) {
        let mut all = self.0.borrow_mut();
        if all.get(&client).is_some_and(|inbox| inbox.number == number) {
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

    /// The length of what began the session.
    pub fn first_bytes(&self) -> usize {
        self.first.as_ref().map_or(0, Bytes::len)
    }

    pub async fn send(&mut self, data: &[u8]) -> io::Result<usize> {
        self.socket.send_to(data, self.peer).await
    }
}

impl Drop for Datagrams {
    fn drop(&mut self) {
        self.clients.forget(self.peer, self.number);
    }
}

/// How many datagrams may wait for a session.
const INBOX_DATAGRAMS: usize = 256;
/// The longest datagram.
pub const MOST_BYTES: usize = 65_535;
