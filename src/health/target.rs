//! Whom a check probes: a peer's identity, its place in the lists, and where to connect.

use std::net::SocketAddr;

use bstr::BString;

use crate::net::addr::Addr;
use crate::upstream::{Peer, Snapshot};

/// One peer as a check sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The peer's name, as log lines and pages show it.
    pub name: String,
    /// The server as written; with the name it is the identity.
    pub server: BString,
    pub backup: bool,
    /// Place in its list, from 0: what the keys of the shared dictionary are made of.
    pub id: usize,
    /// Where to connect; differs from the peer's address when the check names a port.
    pub addr: Addr,
}

impl Target {
    fn new(peer: &Peer, backup: bool, id: usize, port: Option<u16>) -> Self {
        let addr = match (&peer.conf.addr, port) {
            (Addr::Inet(a), Some(port)) => Addr::Inet(SocketAddr::new(a.ip(), port)),
            (addr, _) => addr.clone(),
        };
        let (name, server) = (peer.conf.name.clone(), peer.conf.server.clone());
        Self { name, server, backup, id, addr }
    }

    /// All peers of a group, primaries first.
    pub fn all(snapshot: &Snapshot, port: Option<u16>) -> Vec<Self> {
        let of_list = |(backup, set): (bool, &crate::upstream::PeerSet)| {
            let peers = set.peers().iter().enumerate();
            peers.map(|(id, p)| Self::new(p, backup, id, port)).collect::<Vec<_>>()
        };
        snapshot.lists().flat_map(of_list).collect()
    }

    /// True for the same peer, wherever it stands in the lists now.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.server == other.server
    }
}
