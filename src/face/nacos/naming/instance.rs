//! One instance of a service: where it is, how much it takes, and whether it is well.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lease::Lease;

/// Free words of the instance's owner.
pub type Metadata = BTreeMap<String, String>;

/// What tells the instances of a service apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    pub cluster: String,
    pub ip: String,
    pub port: u16,
}

/// A registered instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    pub ip: String,
    pub port: u16,
    pub cluster: String,
    pub weight: f64,
    pub healthy: bool,
    pub enabled: bool,
    pub ephemeral: bool,
    pub metadata: Metadata,
    /// Monotonic time of the last beat or registration; of ephemeral ones only.
    #[serde(skip)]
    pub beat_at_ms: u64,
    /// Set unhealthy through the API: beats do not overrule that.
    #[serde(skip)]
    pub told_down: bool,
}

impl Instance {
    /// An instance with Nacos' defaults.
    pub fn new(ip: &str, port: u16, cluster: &str) -> Self {
        Self {
            ip: ip.into(),
            port,
            cluster: cluster.into(),
            weight: 1.0,
            healthy: true,
            enabled: true,
            ephemeral: true,
            metadata: Metadata::new(),
            beat_at_ms: 0,
            told_down: false,
        }
    }

    pub fn key(&self) -> InstanceKey {
        InstanceKey { cluster: self.cluster.clone(), ip: self.ip.clone(), port: self.port }
    }

    pub fn lease(&self) -> Lease {
        Lease::of(&self.metadata)
    }

    /// What the API says about its health; true when that changes it.
    pub fn tell(&mut self, healthy: bool) -> bool {
        self.told_down = !healthy;
        std::mem::replace(&mut self.healthy, healthy) != healthy
    }
}
