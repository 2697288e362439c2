//! How instances and services look in answers.

use serde::Serialize;

use crate::face::nacos::naming::{Instance, Lease, Metadata, ServiceKey};

/// An instance in a list.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Host<'a> {
    instance_id: String,
    ip: &'a str,
    port: u16,
    weight: f64,
    healthy: bool,
    enabled: bool,
    ephemeral: bool,
    cluster_name: &'a str,
    service_name: &'a str,
    metadata: &'a Metadata,
    instance_heart_beat_interval: u64,
    instance_heart_beat_time_out: u64,
    ip_delete_timeout: u64,
    instance_id_generator: &'a str,
}

impl<'a> Host<'a> {
    /// `grouped` is the service's name; protected ones are shown as healthy.
    pub fn new(instance: &'a Instance, grouped: &'a str, protects: bool) -> Self {
        let Lease { interval_ms, timeout_ms, delete_ms } = instance.lease();
        let generator = instance.metadata.get("preserved.instance.id.generator");
        Self {
            instance_id: instance_id(instance, grouped),
            ip: &instance.ip,
            port: instance.port,
            weight: instance.weight,
            healthy: instance.healthy || protects,
            enabled: instance.enabled,
            ephemeral: instance.ephemeral,
            cluster_name: &instance.cluster,
            service_name: grouped,
            metadata: &instance.metadata,
            instance_heart_beat_interval: interval_ms,
            instance_heart_beat_time_out: timeout_ms,
            ip_delete_timeout: delete_ms,
            instance_id_generator: generator.map_or("simple", String::as_str),
        }
    }
}

/// A service with its instances, as lists of version 1 and 2 show it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceInfo<'a> {
    pub name: &'a str,
    pub group_name: &'a str,
    pub clusters: &'a str,
    pub cache_millis: u64,
    pub hosts: Vec<Host<'a>>,
    pub last_ref_time: i64,
    pub checksum: &'a str,
    #[serde(rename = "allIPs")]
    pub all_ips: bool,
    pub reach_protection_threshold: bool,
    pub valid: bool,
}

impl<'a> ServiceInfo<'a> {
    /// A list without instances, of a service that may not be there.
    pub fn new(key: &'a ServiceKey, grouped: &'a str, clusters: &'a str) -> Self {
        Self {
            name: grouped,
            group_name: &key.group,
            clusters,
            cache_millis: 10_000,
            hosts: Vec::new(),
            last_ref_time: 0,
            checksum: "",
            all_ips: false,
            reach_protection_threshold: false,
            valid: true,
        }
    }
}

/// `127.0.0.1#8080#DEFAULT#DEFAULT_GROUP@@orders`
pub fn instance_id(instance: &Instance, grouped: &str) -> String {
    format!("{}#{}#{}#{grouped}", instance.ip, instance.port, instance.cluster)
}
