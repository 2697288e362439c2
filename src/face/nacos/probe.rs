//! Persistent instances are probed by the health engine.

use super::naming::{InstanceKey, ServiceKey};

/// Somebody set an instance's health: the engine goes on from there.
pub fn told(_key: &ServiceKey, _at: &InstanceKey, _healthy: bool) {}
