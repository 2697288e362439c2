//! Whom a check probes: a peer's identity, its place in the lists, and where to connect.

use std::net::SocketAddr;
use std::sync::Arc;

use bstr::BString;

use crate::net::addr::Addr;
use crate::upstream::{Peer, Snapshot};

/// One peer as a check sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The peer's name, as log lines and pages show it.
    pub name: String,
    /// The server as written, or the host name; with the name it is the identity.
    pub server: BString,
    pub backup: bool,
    /// Place in its list, from 0: what the keys of the shared dictionary are made of.
    pub id: usize,
    pub weight: u32,
    /// Where to connect; differs from the peer's address when the check names a port. `None`: the
    /// name has no address now.
    pub addr: Option<Addr>,
    /// The Host header of this peer's probes.
    pub host: Option<BString>,
    /// The server name of this peer's handshakes.
    pub sni: Option<BString>,
}

impl Target {
    pub fn new(name: impl Into<String>, server: impl Into<BString>, addr: Option<Addr>) -> Self {
        let (name, server) = (name.into(), server.into());
        Self { name, server, backup: false, id: 0, weight: 1, addr, host: None, sni: None }
    }

    /// All peers of a group, primaries first.
    pub fn all(snapshot: &Snapshot, port: Option<u16>) -> Vec<Self> {
        let of_list = |(backup, set): (bool, &crate::upstream::PeerSet)| {
            let peers = set.peers().iter().enumerate();
            peers.map(|(id, p)| Self::of(p, backup, id, port)).collect::<Vec<_>>()
        };
        snapshot.lists().flat_map(of_list).collect()
    }

    /// A peer of a group.
    pub fn of(peer: &Peer, backup: bool, id: usize, port: Option<u16>) -> Self {
        let addr = with_port(&peer.conf.addr, port);
        let weight = peer.conf.weight.try_into().unwrap_or(1);
        let target = Self::new(peer.conf.name.clone(), peer.conf.server.clone(), Some(addr));
        Self { backup, id, weight, ..target }
    }

    /// True for the same peer, wherever it stands in the lists now.
    pub fn is_same(&self, other: &Self) -> bool {
        self.name == other.name && self.server == other.server
    }

    pub fn key(&self) -> Key {
        Key { name: self.name.clone(), server: self.server.clone() }
    }
}

/// The identity of a peer under a check: its address as text and its host name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub name: String,
    pub server: BString,
}

impl Key {
    pub fn new(name: impl Into<String>, server: impl Into<BString>) -> Self {
        Self { name: name.into(), server: server.into() }
    }
}

/// A target that somebody names, instead of a group's peers.
#[derive(Clone, Debug)]
pub struct TargetSpec {
    pub target: Target,
    /// Replaces the port of the check, which replaces the peer's.
    pub port: Option<u16>,
    /// How it begins, when the check's policy shall not say.
    pub up: Option<bool>,
    /// The peer whose traffic follows the verdict.
    pub peer: Option<Arc<Peer>>,
}

impl TargetSpec {
    pub fn new(name: impl Into<String>, server: impl Into<BString>, addr: Option<Addr>) -> Self {
        Self { target: Target::new(name, server, addr), port: None, up: None, peer: None }
    }

    pub fn key(&self) -> Key {
        self.target.key()
    }

    /// The target, with the port its probes go to.
    pub(super) fn aimed(&self, port: Option<u16>) -> Target {
        let addr = self.target.addr.as_ref().map(|a| with_port(a, self.port.or(port)));
        Target { addr, ..self.target.clone() }
    }
}

fn with_port(addr: &Addr, port: Option<u16>) -> Addr {
    match (addr, port) {
        (Addr::Inet(a), Some(port)) => Addr::Inet(SocketAddr::new(a.ip(), port)),
        _ => addr.clone(),
    }
}
