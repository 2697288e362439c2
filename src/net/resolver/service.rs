//! Services: SRV records to hosts with ports, and those to addresses.
//!
//! ```text
//!  service "http" of example.com ─▶ SRV _http._tcp.example.com ─▶ hosts ─▶ A, AAAA of each
//! ```

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::timeout;

use super::{ALIASES_MAX, Found, ResolveError, Resolver};
use crate::net::dns::{Kind, Srv};

/// What a service consists of now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    pub targets: Vec<Target>,
    /// Hosts that have no address, and why; the others serve on.
    pub failed: Vec<(String, ResolveError)>,
    /// By the monotonic clock.
    pub until_ms: u64,
}

/// An address of a host that offers a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub host: String,
    pub addr: SocketAddr,
    /// The lowest is asked first.
    pub priority: u16,
    pub weight: u16,
}

impl Resolver {
    /// The addresses behind a service of a name. Fails when no host of it has any.
    pub async fn service(
        self: &Rc<Self>,
        service: &str,
        name: &str,
        limit: Duration,
    ) -> Result<Service, ResolveError> {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        // nginx: a plain word is a service over TCP, all else is a name's beginning.
        let asked = match service.contains('.') {
            true => format!("{service}.{name}"),
            false => format!("_{service}._tcp.{name}"),
        };
        let records = timeout(limit, self.records(asked)).await;
        let (mut records, ttl_s) = records.unwrap_or(Err(ResolveError::TimedOut))?;
        records.sort_by_key(|record| record.priority);
        let until_ms = self.until_ms(ttl_s);
        let hosts = records.iter().map(|record| self.find(&record.target, limit));
        gather(records.iter().zip(join_all(hosts).await), until_ms)
    }

    /// The records of a name or of the names it is an alias of.
    async fn records(&self, mut name: String) -> Result<(Vec<Srv>, u32), ResolveError> {
        let mut ttl_s = u32::MAX;
        for _ in 0..ALIASES_MAX {
            let answer = self.ask_servers(&name, Kind::Srv).await?;
            ttl_s = ttl_s.min(answer.ttl);
            if !answer.services.is_empty() {
                return Ok((answer.services, ttl_s));
            }
            name = answer.alias.ok_or(ResolveError::NotFound)?;
        }
        Err(ResolveError::NotFound)
    }
}

fn gather<'a>(
    hosts: impl Iterator<Item = (&'a Srv, Result<Found, ResolveError>)>,
    until_ms: u64,
) -> Result<Service, ResolveError> {
    let mut service = Service { targets: Vec::new(), failed: Vec::new(), until_ms };
    for (record, answer) in hosts {
        match answer {
            Ok(found) => service.targets.extend(found.addrs.into_iter().map(|ip| Target {
                host: record.target.clone(),
                addr: SocketAddr::new(ip, record.port),
                priority: record.priority,
                // The least share there is, not none.
                weight: record.weight.max(1),
            })),
            Err(why) => service.failed.push((record.target.clone(), why)),
        }
    }
    if !service.targets.is_empty() {
        return Ok(service);
    }
    // That a host does not exist is an answer; other failures leave things as they are.
    let mut whys = service.failed.iter().map(|(_, why)| *why);
    let missing = whys.clone().find(|why| *why == ResolveError::NotFound);
    Err(missing.or_else(|| whys.next()).unwrap_or(ResolveError::NotFound))
}
