//! The health of an upstream as the Admin API and the metrics tell it.
//!
//! ```text
//!  checks off or weight 0 ─▶ HEALTHCHECKS_OFF     no address ─▶ DNS_ERROR
//!  any address up ─▶ HEALTHY                      none ─▶ UNHEALTHY
//! ```

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::upstream::{Target, Upstream};

/// The words for a target's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    Unhealthy,
    DnsError,
    Off,
}

impl Health {
    pub const ALL: [Self; 4] = [Self::Off, Self::Healthy, Self::Unhealthy, Self::DnsError];

    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Healthy => "HEALTHY",
            Self::Unhealthy => "UNHEALTHY",
            Self::DnsError => "DNS_ERROR",
            Self::Off => "HEALTHCHECKS_OFF",
        }
    }

    /// The word in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::DnsError => "dns_error",
            Self::Off => "healthchecks_off",
        }
    }

    fn of(up: bool) -> Self {
        if up { Self::Healthy } else { Self::Unhealthy }
    }
}

impl Upstream {
    /// The health of a target as a whole.
    pub fn target_health(&self, target: &Target) -> Health {
        if self.check.is_none() || target.weight == 0 {
            return Health::Off;
        }
        if target.addrs.is_empty() {
            return Health::DnsError;
        }
        Health::of(target.addrs.iter().any(|addr| self.is_up(target, *addr)))
    }

    /// The health of one of its addresses.
    pub fn address_health(&self, target: &Target, addr: SocketAddr) -> Health {
        match self.check.is_none() || target.weight == 0 {
            true => Health::Off,
            false => Health::of(self.is_up(target, addr)),
        }
    }

    /// The balancer's view of a target: `data` of a row of `/upstreams/{u}/health`.
    pub fn target_data(&self, target: &Target) -> Value {
        let mut data = self.host_data(target);
        let addresses = self.addresses(target).map(|(addr, up)| {
            json!({
                "ip": ip(addr), "port": addr.port(), "weight": target.weight,
                "health": match self.check {
                    None => Health::Off.word(),
                    Some(_) => Health::of(up).word(),
                },
            })
        });
        data["addresses"] = addresses.collect();
        data
    }

    /// The upstream as a whole: `?balancer_health=1`.
    pub fn balancer_health(&self) -> Value {
        let mut weight = Weight::default();
        let mut hosts = Vec::new();
        for target in &self.targets {
            weight.add(&self.weight(target));
            let mut host = self.host_data(target);
            let addresses = self.addresses(target).map(|(addr, up)| {
                json!({
                    "ip": ip(addr), "port": addr.port(), "weight": target.weight, "healthy": up,
                })
            });
            host["addresses"] = addresses.collect();
            hosts.push(host);
        }
        let threshold = self.conf.healthchecks.threshold;
        let healthy =
            weight.total > 0 && weight.available as f64 * 100.0 > threshold * weight.total as f64;
        let word = Health::of(healthy);
        json!({
            "id": self.conf.id,
            "health": if self.check.is_some() { word.word() } else { Health::Off.word() },
            "balancer_health": word.word(),
            "details": { "healthy": healthy, "weight": weight.json(), "hosts": hosts },
        })
    }

    fn host_data(&self, target: &Target) -> Value {
        let dns = match (&target.fault, target.addrs.first()) {
            (Some(fault), _) => fault.as_str(),
            (None, Some(SocketAddr::V6(_))) => "AAAA",
            (None, _) => "A",
        };
        json!({
            "host": target.host, "port": target.port, "dns": dns, "nodeWeight": target.weight,
            "weight": self.weight(target).json(),
        })
    }

    fn addresses<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = (SocketAddr, bool)> {
        target.addrs.iter().map(|addr| (*addr, self.is_up(target, *addr)))
    }

    fn weight(&self, target: &Target) -> Weight {
        let mut sum = Weight::default();
        for (_, up) in self.addresses(target) {
            let own = u64::from(target.weight);
            sum.total += own;
            sum.available += if up { own } else { 0 };
        }
        sum
    }
}

/// A sum of weights.
#[derive(Clone, Copy, Debug, Default)]
struct Weight {
    total: u64,
    available: u64,
}

impl Weight {
    fn add(&mut self, other: &Self) {
        self.total += other.total;
        self.available += other.available;
    }

    fn json(self) -> Value {
        let unavailable = self.total - self.available;
        json!({ "total": self.total, "available": self.available, "unavailable": unavailable })
    }
}

fn ip(addr: SocketAddr) -> String {
    match addr {
        SocketAddr::V4(v4) => v4.ip().to_string(),
        SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
    }
}
