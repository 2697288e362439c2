//! Services as such: make, configure, remove, look at one, list them.

use serde_json::{Map, Value, json};

use crate::face::nacos::answer::{Answer, Version};
use crate::face::nacos::call::{Call, Touched};
use crate::face::nacos::fault::{Code, Fault};
use crate::face::nacos::naming::{Cluster, DEFAULT_GROUP, Service, ServiceKey, ServiceMeta};

use super::metadata;
use super::view::Host;

/// `POST service`
pub fn create(call: &Call<'_>) -> Result<Answer, Fault> {
    let key = call.params.service()?;
    let ephemeral = match call.is_v1() {
        true => call.params.lax_bool(&["ephemeral"], false),
        false => call.params.strict_bool("ephemeral")?.unwrap_or(false),
    };
    let meta = meta(call, None)?;
    call.naming.create(&key, ephemeral, meta)?;
    call.touch(Touched::Service(key));
    call.ok()
}

/// `PUT service`
pub fn update(call: &Call<'_>) -> Result<Answer, Fault> {
    let key = call.params.service()?;
    if call.is_v1() {
        call.params.required("protectThreshold")?;
    }
    let old = call.naming.read(&key, |service| service.meta.clone()).flatten();
    let meta = meta(call, old)?;
    call.naming.configure(&key, |service| service.meta = Some(meta))?;
    call.touch(Touched::Service(key));
    call.ok()
}

/// `DELETE service`
pub fn remove(call: &Call<'_>) -> Result<Answer, Fault> {
    let key = call.params.service()?;
    call.naming.remove(&key)?;
    call.touch(Touched::Service(key));
    call.ok()
}

/// `GET service`
pub fn detail(call: &Call<'_>) -> Result<Answer, Fault> {
    let key = call.params.service()?;
    let version = call.version;
    let view = call.naming.read(&key, |service| match version {
        Version::V1 => view_v1(service),
        Version::V2 | Version::V3 => view_later(service, version),
    });
    let unknown = || Fault::bad(Code::NO_SERVICE, format!("service {} not found!", key.grouped()));
    call.value(&view.ok_or_else(unknown)?)
}

/// `GET service/list`
pub fn list(call: &Call<'_>) -> Result<Answer, Fault> {
    let params = call.params;
    params.check()?;
    let page = params.whole("pageNo")?.unwrap_or(1).max(1);
    let size = params.whole("pageSize")?.unwrap_or(if call.is_v1() { 10 } else { 20 });
    let group = params.text("groupName");
    let group = group.or((call.version != Version::V3).then_some(DEFAULT_GROUP));
    let names = call.naming.names(params.namespace(), group);
    let count = names.len();
    let shown = names.iter().skip(size.saturating_mul(page - 1)).take(size);
    let bare = || shown.clone().map(|key| key.name.as_str()).collect::<Vec<_>>();
    match call.version {
        Version::V1 => call.value(&json!({ "count": count, "doms": bare() })),
        Version::V2 => call.value(&json!({ "count": count, "services": bare() })),
        Version::V3 => {
            let items: Vec<Value> = shown.filter_map(|key| item(call, key)).collect();
            call.value(&json!({
                "totalCount": count,
                "pageNumber": page,
                "pagesAvailable": count.div_ceil(size.max(1)),
                "pageItems": items,
            }))
        }
    }
}

fn item(call: &Call<'_>, key: &ServiceKey) -> Option<Value> {
    call.naming.read(key, |service| {
        let healthy = service.instances.values().filter(|i| i.healthy).count();
        json!({
            "name": key.name,
            "groupName": key.group,
            "clusterCount": service.cluster_names().len(),
            "ipCount": service.instances.len(),
            "healthyInstanceCount": healthy,
            "triggerFlag": service.select("", false).protects.to_string(),
        })
    })
}

fn meta(call: &Call<'_>, old: Option<ServiceMeta>) -> Result<ServiceMeta, Fault> {
    let mut meta = old.unwrap_or_default();
    if let Some(threshold) = call.params.number("protectThreshold")? {
        meta.protect_threshold = Some(threshold.clamp(0.0, 1.0));
    }
    if let Some(text) = call.params.text("metadata") {
        meta.metadata = metadata::parse(Some(text))?;
    }
    if let Some(text) = call.params.text("selector") {
        meta.selector = Some(text.to_owned());
    }
    Ok(meta)
}

fn selector(meta: Option<&ServiceMeta>) -> Value {
    let told = meta.and_then(|meta| meta.selector.as_deref());
    let told = told.and_then(|text| serde_json::from_str::<Value>(text).ok());
    told.filter(Value::is_object).unwrap_or_else(|| json!({ "type": "none" }))
}

fn view_v1(service: &Service) -> Value {
    let meta = service.meta.as_ref();
    let cluster = |name: String| {
        let cluster = service.clusters.get(&name).cloned().unwrap_or_default();
        json!({ "name": name, "healthChecker": cluster.checker, "metadata": cluster.metadata })
    };
    let clusters: Vec<Value> = service.cluster_names().into_iter().map(cluster).collect();
    json!({
        "namespaceId": service.key.namespace,
        "groupName": service.key.group,
        "name": service.key.name,
        "protectThreshold": meta.and_then(|meta| meta.protect_threshold).unwrap_or(0.0),
        "metadata": meta.map(|meta| meta.metadata.clone()).unwrap_or_default(),
        "selector": selector(meta),
        "clusters": clusters,
    })
}

fn view_later(service: &Service, version: Version) -> Value {
    let meta = service.meta.as_ref();
    let namespace_field = if version == Version::V2 { "namespace" } else { "namespaceId" };
    let names = service.cluster_names().into_iter();
    let clusters: Map<String, Value> =
        names.map(|name| (name.clone(), cluster_view(service, &name))).collect();
    json!({
        namespace_field: service.key.namespace,
        "serviceName": service.key.name,
        "groupName": service.key.group,
        "clusterMap": clusters,
        "metadata": meta.map(|meta| meta.metadata.clone()).unwrap_or_default(),
        "protectThreshold": meta.and_then(|meta| meta.protect_threshold).unwrap_or(0.0),
        "selector": selector(meta),
        "ephemeral": service.ephemeral,
    })
}

fn cluster_view(service: &Service, name: &str) -> Value {
    let Cluster { checker, check_port, use_instance_port, metadata } =
        service.clusters.get(name).cloned().unwrap_or_default();
    let grouped = service.key.grouped();
    let of_cluster = service.instances.values().filter(|i| i.cluster == name);
    let hosts: Vec<Host<'_>> = of_cluster.map(|i| Host::new(i, &grouped, false)).collect();
    json!({
        "clusterName": name,
        "healthChecker": checker,
        "healthyCheckPort": check_port,
        "useInstancePortForCheck": use_instance_port,
        "metadata": metadata,
        "hosts": hosts,
    })
}
