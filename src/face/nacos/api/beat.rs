//! Beats: an ephemeral instance says that it is there.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::face::nacos::answer::Answer;
use crate::face::nacos::call::Call;
use crate::face::nacos::fault::{Code, Fault};
use crate::face::nacos::naming::{Instance, InstanceKey, Metadata, ServiceKey};

use super::metadata;

/// `PUT instance/beat`: with the instance in `beat`, or light, with its address alone.
pub fn beat(call: &Call<'_>) -> Result<Answer, Fault> {
    let params = call.params;
    params.check()?;
    let told = params.text("beat").map(parse).transpose()?;
    let name = match (params.text("serviceName"), &told) {
        (Some(name), _) => name,
        (None, Some(told)) if !told.service_name.is_empty() => &told.service_name,
        _ => return Err(Fault::Missing { name: "serviceName", kind: "String" }),
    };
    let key = params.service_named(name);
    let at = match &told {
        Some(told) => told.key(params.cluster()),
        None => params.instance()?,
    };
    if let Some(lease) = call.naming.beat(&key, &at) {
        return call.value(&reply(lease.interval_ms, CODE_OK));
    }
    let Some(told) = told else { return call.value(&reply(INTERVAL_MS, CODE_UNKNOWN)) };
    let instance = told.instance(at)?;
    let interval_ms = instance.lease().interval_ms;
    call.naming.register(&key, instance)?;
    call.value(&reply(interval_ms, CODE_OK))
}

/// `POST /v3/client/ns/instance?heartBeat=true`
pub fn of_v3(call: &Call<'_>, key: &ServiceKey, at: &InstanceKey) -> Result<Answer, Fault> {
    match call.naming.beat(key, at) {
        Some(_) => call.ok(),
        None => {
            let text = format!("instance {}:{} of {} not found", at.ip, at.port, key.grouped());
            Err(Fault::absent(Code::NO_INSTANCE, text))
        }
    }
}

/// What a client tells about itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(default)]
    service_name: String,
    ip: String,
    port: u16,
    #[serde(default)]
    cluster: Option<String>,
    #[serde(default)]
    weight: Option<f64>,
    #[serde(default)]
    ephemeral: Option<bool>,
    #[serde(default)]
    metadata: Option<Value>,
}

impl Told {
    fn key(&self, default_cluster: &str) -> InstanceKey {
        let cluster = self.cluster.as_deref().filter(|name| !name.is_empty() && *name != "None");
        let cluster = cluster.unwrap_or(default_cluster).to_owned();
        InstanceKey { cluster, ip: self.ip.clone(), port: self.port }
    }

    fn instance(self, at: InstanceKey) -> Result<Instance, Fault> {
        let mut instance = Instance::new(&at.ip, at.port, &at.cluster);
        let weight = self.weight.filter(|weight| (0.0..=10_000.0).contains(weight));
        instance.weight = weight.unwrap_or(1.0);
        instance.ephemeral = self.ephemeral.unwrap_or(true);
        instance.metadata = match self.metadata {
            Some(Value::Object(fields)) => {
                metadata::parse(Some(&Value::Object(fields).to_string()))?
            }
            Some(Value::String(text)) => metadata::parse(Some(&text))?,
            _ => Metadata::new(),
        };
        Ok(instance)
    }
}

/// Reads `beat`, under the rules the parameters of other calls are under.
fn parse(text: &str) -> Result<Told, Fault> {
    let wrong =
        |e: serde_json::Error| Fault::bad(Code::VALIDATE, format!("the beat is no instance: {e}"));
    let told: Told = serde_json::from_str(text).map_err(wrong)?;
    let address = |c: char| c.is_ascii_alphanumeric() || "-_:.%[]".contains(c);
    if told.ip.is_empty() || told.ip.len() > 128 || !told.ip.chars().all(address) {
        return Err(Fault::illegal("ip"));
    }
    if told.cluster.as_ref().is_some_and(|name| name.len() > 64) {
        return Err(Fault::too_long("cluster", 64));
    }
    if told.metadata.as_ref().is_some_and(|words| words.to_string().len() > METADATA_MAX) {
        return Err(Fault::too_long("Metadata", 1024));
    }
    Ok(told)
}

fn reply(interval_ms: u64, code: u32) -> Value {
    json!({ "clientBeatInterval": interval_ms, "code": code, "lightBeatEnabled": true })
}

const INTERVAL_MS: u64 = 5000;
const CODE_OK: u32 = 10_200;
const CODE_UNKNOWN: u32 = 20_404;
/// The limit of the keys and values, and some for the signs around them.
const METADATA_MAX: usize = 2048;
