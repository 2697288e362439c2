//! From instances to the servers of a group.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::face::nacos::naming::Service;
use crate::net::addr::Addr;
use crate::upstream::Server;

/// An instance, as far as peers are made of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Found {
    pub ip: String,
    pub port: u16,
    #[serde(default = "one")]
    pub weight: f64,
    #[serde(default = "yes")]
    pub healthy: bool,
    #[serde(default = "yes")]
    pub enabled: bool,
    #[serde(default)]
    pub metadata: Option<BTreeMap<String, String>>,
}

/// What a service's list shows now.
pub fn of_service(service: &Service, clusters: &str) -> Vec<Found> {
    let chosen = service.select(clusters, false);
    let found = chosen.instances.iter().map(|instance| Found {
        ip: instance.ip.clone(),
        port: instance.port,
        weight: instance.weight,
        healthy: instance.healthy || chosen.protects,
        enabled: instance.enabled,
        metadata: Some(instance.metadata.clone()),
    });
    found.collect()
}

/// The servers of a list: healthy ones with a weight whose metadata has all of `wanted`. Fractions
/// of weights are kept to a hundredth.
pub fn servers(list: &[Found], wanted: &[(String, String)]) -> Vec<Server> {
    let has = |found: &Found, (name, value): &(String, String)| {
        found.metadata.as_ref().is_some_and(|words| words.get(name) == Some(value))
    };
    let usable = |found: &&Found| {
        let usable = found.healthy && found.enabled && found.weight > 0.0;
        usable && wanted.iter().all(|pair| has(found, pair))
    };
    let usable: Vec<&Found> = list.iter().filter(usable).collect();
    let whole = usable.iter().all(|found| found.weight.fract() == 0.0);
    let factor = if whole { 1.0 } else { 100.0 };
    let server = |found: &&Found| {
        let ip = match found.ip.contains(':') && !found.ip.starts_with('[') {
            true => format!("[{}]", found.ip),
            false => found.ip.clone(),
        };
        let name = format!("{ip}:{}", found.port);
        let addr = Addr::literal(name.as_bytes())?;
        let weight = (found.weight.min(WEIGHT_MAX) * factor).round().max(1.0) as i64;
        Some(Server { weight, ..Server::new(name.into(), vec![addr]) })
    };
    usable.iter().filter_map(server).collect()
}

const fn one() -> f64 {
    1.0
}

const fn yes() -> bool {
    true
}

const WEIGHT_MAX: f64 = 10_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn found(ip: &str, weight: f64) -> Found {
        let metadata = Some([("zone".to_owned(), "a".to_owned())].into());
        Found { ip: ip.into(), port: 80, weight, healthy: true, enabled: true, metadata }
    }

    fn weights(list: &[Found]) -> Vec<(String, i64)> {
        servers(list, &[]).into_iter().map(|s| (s.name.to_string(), s.weight)).collect()
    }

    #[test]
    fn weights_stay_in_proportion() {
        let list = [found("10.0.0.1", 1.0), found("::1", 3.0), found("10.0.0.2", 0.0)];
        assert_eq!(weights(&list), [("10.0.0.1:80".into(), 1), ("[::1]:80".into(), 3)]);
        let list = [found("10.0.0.1", 0.5), found("10.0.0.2", 2.0), found("10.0.0.3", 0.001)];
        let got: Vec<i64> = weights(&list).into_iter().map(|(_, weight)| weight).collect();
        assert_eq!(got, [50, 200, 1]);
    }

    #[test]
    fn unhealthy_disabled_and_nameless_ones_are_no_peers() {
        let mut list = [found("10.0.0.1", 1.0), found("10.0.0.2", 1.0), found("a b", 1.0)];
        list[0].healthy = false;
        list[1].enabled = false;
        assert!(servers(&list, &[]).is_empty());
    }

    #[test]
    fn metadata_chooses() {
        let mut list = [found("10.0.0.1", 1.0), found("10.0.0.2", 1.0)];
        list[1].metadata = None;
        let wanted = |value: &str| vec![("zone".to_owned(), value.to_owned())];
        assert_eq!(servers(&list, &wanted("a")).len(), 1);
        assert_eq!(servers(&list, &wanted("b")).len(), 0);
    }
}
