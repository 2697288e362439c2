//! Groups of peers, how one of them is picked, and what is told about it afterwards.
//!
//! ```text
//!  upstream foo { server …; }  ──load──▶  Group ──snapshot──▶ primary PeerSet, backup PeerSet
//!                                           │
//!  request ──▶ Tries ──pick──▶ Picked ──release(fine | failed)──▶ Peer's counters
//!                                           └──report──▶ subscribers (health engine)
//! ```
//!
//! Peers are shared by all worker threads: their counters are atomics. A reload replaces the peer
//! lists as a whole and hands each peer that is still there its old state.

pub mod conf;
mod ewma;
mod group;
mod keepalive;
pub mod names;
mod peer;
mod pick;
mod ramp;
mod registry;
mod report;
pub mod resolve;
mod way;

pub use self::ewma::Ewma;
pub use self::group::{Body, Group, PeerSet, Realm, Server, Snapshot};
pub use self::keepalive::{Idle, KeepaliveConf};
pub use self::peer::{CheckBit, Peer, PeerConf};
pub use self::pick::{Algo, NoLivePeers, Picked, Seed, Tries};
pub use self::registry::{Current, GroupError, Groups, Mention, live, live_generation};
pub use self::report::{Report, ReportKind, Step};
pub use self::way::{Protocol, Secure, Way};
