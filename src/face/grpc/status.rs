//! How a service is: a name is looked up among the upstreams that are live.
//!
//! ```text
//!  ""                 the gateway              SERVING until it stops
//!  orders             upstream orders {…}      SERVING while enough of its peers are up
//!  orders/10.0.0.1:80 one peer of it           SERVING while it is up
//! ```

use bstr::{BStr, ByteSlice};

use crate::upstream::{self, Group, Groups};

use super::stopping;

/// What the protocol calls a status; its UNKNOWN, number 0, is nothing we say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Serving = 1,
    NotServing = 2,
    ServiceUnknown = 3,
}

impl Status {
    pub fn name(self) -> &'static str {
        match self {
            Self::Serving => "SERVING",
            Self::NotServing => "NOT_SERVING",
            Self::ServiceUnknown => "SERVICE_UNKNOWN",
        }
    }

    fn of(serving: bool) -> Self {
        if serving { Self::Serving } else { Self::NotServing }
    }
}

/// The status of a service now; `None` when there is no such service. An upstream needs
/// `threshold` percent of its peers, and one at least.
pub fn of(service: &str, threshold: u8) -> Option<Status> {
    let groups = upstream::live();
    let found = match service {
        "" => Some(Status::Serving),
        _ => named(&groups, service, threshold),
    };
    found.map(|status| if stopping::ending() { Status::NotServing } else { status })
}

/// The gateway and every upstream with its status.
pub fn all(threshold: u8) -> Vec<(String, Status)> {
    let groups = upstream::live();
    let explicit = groups.iter().filter(|group| group.is_explicit());
    let names = explicit.map(|group| group.host().to_str_lossy().into_owned());
    let services = std::iter::once(String::new()).chain(names);
    services.filter_map(|name| of(&name, threshold).map(|status| (name, status))).collect()
}

fn named(groups: &Groups, service: &str, threshold: u8) -> Option<Status> {
    if let Some(group) = groups.explicit(BStr::new(service)) {
        return Some(Status::of(is_serving(group, threshold)));
    }
    let (service, peer) = service.rsplit_once('/')?;
    let group = groups.explicit(BStr::new(service))?;
    let snapshot = group.snapshot();
    let mut peers = snapshot.lists().flat_map(|(_, set)| set.peers());
    let found = peers.find(|p| p.conf.name == peer || p.conf.server == peer)?;
    Some(Status::of(!found.is_down()))
}

fn is_serving(group: &Group, threshold: u8) -> bool {
    let snapshot = group.snapshot();
    let (mut up, mut all) = (0_usize, 0_usize);
    for peer in snapshot.lists().flat_map(|(_, set)| set.peers()) {
        all += 1;
        up += usize::from(!peer.is_down());
    }
    up > 0 && up * 100 >= all * usize::from(threshold)
}
