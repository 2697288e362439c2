//! Instance lists, rendered once for each change of the service.

use bytes::Bytes;
use serde_json::json;

use crate::base::clock;
use crate::face::nacos::answer::{Answer, Version, envelope};
use crate::face::nacos::call::Call;
use crate::face::nacos::fault::Fault;
use crate::face::nacos::naming::{ListKey, Service, ServiceKey};

use super::view::{Host, ServiceInfo};

/// `GET instance/list`
pub fn list(call: &Call<'_>) -> Result<Answer, Fault> {
    let params = call.params;
    let key = params.service()?;
    let clusters = params.text("clusters").or_else(|| params.text("clusterName"));
    let clusters = clusters.filter(|names| *names != "None").unwrap_or("");
    let healthy_only = match call.version {
        Version::V1 => params.lax_bool(&["healthyOnly"], false),
        Version::V2 | Version::V3 => params.strict_bool("healthyOnly")?.unwrap_or(false),
    };
    let list = ListKey { shape: call.version as u8, clusters: clusters.to_owned(), healthy_only };
    let body = call.naming.visit(&key, |service| rendered(service, &list, call.version));
    Ok(Answer::json(body.unwrap_or_else(|| nothing(&key, clusters, call.version))))
}

/// `GET instance/statuses`
pub fn statuses(call: &Call<'_>) -> Result<Answer, Fault> {
    call.params.check()?;
    let key = call.params.service_named(call.params.required("key")?);
    let line = |service: &Service| -> Vec<String> {
        let hosts = service.instances.values();
        hosts.map(|i| format!("{}:{}_{}", i.ip, i.port, i.healthy)).collect()
    };
    let ips = call.naming.read(&key, line).unwrap_or_default();
    call.value(&json!({ "ips": ips }))
}

fn rendered(service: &mut Service, list: &ListKey, version: Version) -> Bytes {
    if let Some(known) = service.rendered.get(list) {
        return known.clone();
    }
    let body = render(service, list, version);
    if service.rendered.len() < RENDERED_MAX {
        service.rendered.insert(list.clone(), body.clone());
    }
    body
}

fn render(service: &Service, list: &ListKey, version: Version) -> Bytes {
    let chosen = service.select(&list.clusters, list.healthy_only);
    let grouped = service.key.grouped();
    let host = |instance| Host::new(instance, &grouped, chosen.protects);
    let hosts = chosen.instances.iter().copied().map(host).collect();
    let info = ServiceInfo {
        hosts,
        last_ref_time: service.changed_at_ms,
        reach_protection_threshold: chosen.protects,
        ..ServiceInfo::new(&service.key, &grouped, &list.clusters)
    };
    write(&info, version)
}

fn nothing(key: &ServiceKey, clusters: &str, version: Version) -> Bytes {
    let grouped = key.grouped();
    let last_ref_time = clock::wall().as_ms();
    write(&ServiceInfo { last_ref_time, ..ServiceInfo::new(key, &grouped, clusters) }, version)
}

/// Version 3 shows the instances alone.
fn write(info: &ServiceInfo<'_>, version: Version) -> Bytes {
    let json = match version {
        Version::V3 => serde_json::to_vec(&info.hosts),
        Version::V1 | Version::V2 => serde_json::to_vec(info),
    };
    // Strings, numbers and maps of strings: there is nothing JSON could refuse.
    envelope(version, &json.unwrap_or_default())
}

/// How many different lists of a service are kept; the cluster filter is the client's choice.
const RENDERED_MAX: usize = 16;
