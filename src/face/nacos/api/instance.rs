//! Instances: register, deregister, update, patch, look at one.

use serde_json::{Value, json};

use crate::face::nacos::answer::{Answer, Version};
use crate::face::nacos::call::{Call, Touched};
use crate::face::nacos::fault::{Code, Fault};
use crate::face::nacos::naming::{Instance, InstanceKey, ServiceKey};
use crate::face::nacos::params::Params;

use super::view::instance_id;
use super::{beat, metadata};

/// `POST instance`; of version 3's clients also the beat.
pub fn register(call: &Call<'_>) -> Result<Answer, Fault> {
    let params = call.params;
    let key = params.service()?;
    let at = params.instance()?;
    if call.version == Version::V3 && params.strict_bool("heartBeat")?.unwrap_or(false) {
        return beat::of_v3(call, &key, &at);
    }
    let instance = read(call, &at)?;
    let durable = !instance.ephemeral;
    call.naming.register(&key, instance)?;
    if durable {
        call.touch(Touched::Instance(key, at));
    }
    call.ok()
}

/// `DELETE instance`; an unknown one is gone already.
pub fn deregister(call: &Call<'_>) -> Result<Answer, Fault> {
    let key = call.params.service()?;
    let at = call.params.instance()?;
    if call.naming.deregister(&key, &at) {
        call.touch(Touched::Instance(key, at));
    }
    call.ok()
}

/// `PUT instance`: weight, enabled and metadata; health is not the owner's to say here.
pub fn update(call: &Call<'_>) -> Result<Answer, Fault> {
    let key = call.params.service()?;
    let at = call.params.instance()?;
    let new = read(call, &at)?;
    if call.naming.read(&key, |_| ()).is_none() {
        let text = format!(
            "service not found, namespace: {}, service: Service{{namespace='{}', group='{}', \
             name='{}', ephemeral={}, revision=0}}",
            key.namespace, key.namespace, key.group, key.name, new.ephemeral
        );
        return Err(Fault::bad(Code::INSTANCE, text));
    }
    change(call, key, at, |instance| {
        instance.weight = new.weight;
        instance.enabled = new.enabled;
        instance.metadata = new.metadata;
    });
    call.ok()
}

/// `PATCH instance`: what is sent, and nothing else.
pub fn patch(call: &Call<'_>) -> Result<Answer, Fault> {
    let params = call.params;
    let key = params.service()?;
    let at = params.instance()?;
    find(call, &key, &at, |_| ())?;
    let words = params.text("metadata").map(|text| metadata::parse(Some(text))).transpose()?;
    let weight = weight(params)?;
    let healthy = params.bool(call.version, "healthy")?;
    let enabled = match params.bool(call.version, "enabled")? {
        None => params.bool(call.version, "enable")?,
        known => known,
    };
    change(call, key, at, |instance| {
        instance.weight = weight.unwrap_or(instance.weight);
        instance.enabled = enabled.unwrap_or(instance.enabled);
        if let Some(words) = words {
            instance.metadata = words;
        }
        if let Some(healthy) = healthy {
            instance.tell(healthy);
        }
    });
    call.ok()
}

/// `GET instance`
pub fn detail(call: &Call<'_>) -> Result<Answer, Fault> {
    let key = call.params.service()?;
    let at = call.params.instance()?;
    let grouped = key.grouped();
    let service_field = if call.is_v1() { "service" } else { "serviceName" };
    let view = |i: &Instance| -> Value {
        json!({
            service_field: grouped,
            "ip": i.ip,
            "port": i.port,
            "clusterName": i.cluster,
            "weight": i.weight,
            "healthy": i.healthy,
            "instanceId": instance_id(i, &grouped),
            "metadata": i.metadata,
        })
    };
    let detail = find(call, &key, &at, view)?;
    call.value(&detail)
}

fn change(call: &Call<'_>, key: ServiceKey, at: InstanceKey, how: impl FnOnce(&mut Instance)) {
    let mut durable = false;
    let found = call.naming.change(&key, &at, |instance| {
        how(instance);
        durable = !instance.ephemeral;
        true
    });
    if found.is_some() && durable {
        call.touch(Touched::Instance(key, at));
    }
}

fn find<T>(
    call: &Call<'_>,
    key: &ServiceKey,
    at: &InstanceKey,
    view: impl FnOnce(&Instance) -> T,
) -> Result<T, Fault> {
    let found = call.naming.read(key, |service| match service.instances.get(at) {
        Some(instance) => Ok(view(instance)),
        None if service.instances.is_empty() => Err(true),
        None => Err(false),
    });
    found.unwrap_or(Err(true)).map_err(|empty| match empty {
        true => {
            let text =
                format!("no ips found for cluster {} in service {}", at.cluster, key.grouped());
            Fault::absent(Code::NOT_FOUND, text)
        }
        false => Fault::absent(Code::NOT_FOUND, "no matched ip found!"),
    })
}

/// The instance a call describes.
fn read(call: &Call<'_>, at: &InstanceKey) -> Result<Instance, Fault> {
    let params = call.params;
    let mut instance = Instance::new(&at.ip, at.port, &at.cluster);
    check_cluster(&at.cluster)?;
    instance.weight = weight(params)?.unwrap_or(1.0);
    if call.is_v1() {
        instance.healthy = params.lax_bool(&["healthy"], true);
        instance.enabled = params.lax_bool(&["enabled", "enable"], true);
        instance.ephemeral = params.lax_bool(&["ephemeral"], true);
    } else {
        instance.healthy = params.strict_bool("healthy")?.unwrap_or(true);
        instance.enabled = params.strict_bool("enabled")?.unwrap_or(true);
        instance.ephemeral = params.strict_bool("ephemeral")?.unwrap_or(true);
    }
    instance.metadata = metadata::parse(params.text("metadata"))?;
    Ok(instance)
}

fn weight(params: &Params) -> Result<Option<f64>, Fault> {
    match params.number("weight")? {
        Some(weight) if !(0.0..=10_000.0).contains(&weight) => {
            let text = "instance format invalid: The weights range from 0.0 to 10000.0";
            Err(Fault::bad(Code::WEIGHT, text))
        }
        weight => Ok(weight),
    }
}

fn check_cluster(name: &str) -> Result<(), Fault> {
    if name.contains([',', '_']) {
        let text = format!(
            "Instance 'clusterName' should be characters with only 0-9a-zA-Z-. (current: {name})"
        );
        return Err(Fault::bad(Code::INSTANCE, text));
    }
    Ok(())
}
