//! One service: its clusters and instances, and what a list of it shows.
//!
//! ```text
//!  Service ─ kind: ephemeral or persistent, fixed by its first instance or by who created it
//!          ├ meta: only when somebody created or configured it
//!          ├ clusters: how persistent instances are checked
//!          └ instances
//! ```

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::checker::Checker;
use super::instance::{Instance, InstanceKey, Metadata};
use super::key::{DEFAULT_CLUSTER, ServiceKey};

/// A service as it is now.
#[derive(Debug)]
pub struct Service {
    pub key: ServiceKey,
    pub ephemeral: bool,
    pub meta: Option<ServiceMeta>,
    pub clusters: BTreeMap<String, Cluster>,
    pub instances: BTreeMap<InstanceKey, Instance>,
    /// Wall time of the last change.
    pub changed_at_ms: i64,
    /// Monotonic time since which it has no instances.
    pub empty_since_ms: Option<u64>,
    /// Lists rendered since the last change.
    pub rendered: HashMap<ListKey, Bytes>,
}

/// What somebody said about a service as such.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceMeta {
    /// Nacos takes 0 for one that nobody set, and so shows the last unhealthy instance of every
    /// configured service as healthy; here a threshold protects when somebody set it.
    pub protect_threshold: Option<f64>,
    pub metadata: Metadata,
    /// As it was sent; only its presence is shown.
    pub selector: Option<String>,
}

/// How one cluster of a service is checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    pub checker: Checker,
    pub check_port: u16,
    /// Probe each instance at its own, registered port.
    pub use_instance_port: bool,
    pub metadata: Metadata,
}

/// What a list was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ListKey {
    pub shape: u8,
    pub clusters: String,
    pub healthy_only: bool,
}

/// The instances of a list, and whether protection was needed.
pub struct Selection<'a> {
    pub instances: Vec<&'a Instance>,
    /// So many were unhealthy that all are shown as healthy.
    pub protects: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            checker: Checker::Tcp,
            check_port: 80,
            use_instance_port: true,
            metadata: Metadata::new(),
        }
    }
}

impl Service {
    pub fn new(key: ServiceKey, ephemeral: bool) -> Self {
        Self {
            key,
            ephemeral,
            meta: None,
            clusters: BTreeMap::new(),
            instances: BTreeMap::new(),
            changed_at_ms: 0,
            empty_since_ms: None,
            rendered: HashMap::new(),
        }
    }

    /// Chooses what a list shows: enabled instances of the clusters, and all of them as healthy
    /// when no more than the protected share is.
    pub fn select(&self, clusters: &str, healthy_only: bool) -> Selection<'_> {
        let wanted: Vec<&str> = clusters.split(',').filter(|name| !name.is_empty()).collect();
        let listed = |i: &&Instance| {
            i.enabled && (wanted.is_empty() || wanted.contains(&i.cluster.as_str()))
        };
        let all: Vec<&Instance> = self.instances.values().filter(listed).collect();
        let healthy = all.iter().filter(|i| i.healthy).count();
        let threshold = self.meta.as_ref().and_then(|meta| meta.protect_threshold);
        let share = healthy as f64 / all.len() as f64;
        if !all.is_empty() && threshold.is_some_and(|threshold| share <= threshold) {
            return Selection { instances: all, protects: true };
        }
        let instances = all.into_iter().filter(|i| i.healthy || !healthy_only).collect();
        Selection { instances, protects: false }
    }

    /// Clusters that are configured or have instances.
    pub fn cluster_names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.clusters.keys().cloned().collect();
        names.extend(self.instances.keys().map(|key| key.cluster.clone()));
        names.sort();
        names.dedup();
        if names.is_empty() {
            names.push(DEFAULT_CLUSTER.into());
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(states: &[bool], threshold: Option<f64>) -> Service {
        let mut service = Service::new(ServiceKey::new("public", "G", "s"), true);
        for (at, healthy) in states.iter().enumerate() {
            let mut instance = Instance::new("10.0.0.1", at as u16 + 1, DEFAULT_CLUSTER);
            instance.healthy = *healthy;
            service.instances.insert(instance.key(), instance);
        }
        service.meta = Some(ServiceMeta { protect_threshold: threshold, ..ServiceMeta::default() });
        service
    }

    #[test]
    fn protection_needs_a_threshold() {
        let mut s = service(&[false, false], None);
        s.meta = Some(ServiceMeta::default());
        let list = s.select("", true);
        assert_eq!((list.instances.len(), list.protects), (0, false));
        let s = service(&[false, false], Some(0.0));
        let list = s.select("", true);
        assert_eq!((list.instances.len(), list.protects), (2, true));
    }

    #[test]
    fn protection_counts_the_share() {
        assert!(service(&[true, false], Some(0.8)).select("", false).protects);
        assert!(!service(&[true, true], Some(0.8)).select("", false).protects);
        assert!(!service(&[true, false], Some(0.4)).select("", false).protects);
        assert!(!service(&[], Some(0.8)).select("", false).protects);
    }

    #[test]
    fn disabled_ones_and_other_clusters_are_left_out() {
        let mut s = service(&[true, true], None);
        s.instances.values_mut().next().expect("there are two").enabled = false;
        assert_eq!(s.select("", false).instances.len(), 1);
        assert_eq!(s.select("OTHER,DEFAULT", false).instances.len(), 1);
        assert_eq!(s.select("OTHER", false).instances.len(), 0);
    }
}
