//! Tencent's cloud API for the same gateway: `POST /` with `X-TC-Action`.
//!
//! ```text
//!  signature or key ─▶ action ─┬─ health check config of an upstream ⇄ healthchecks
//!                              ├─ a node's health: set by hand
//!                              └─ upstreams and their targets, of one service or all
//!  {"Response": {…, "RequestId": "…"}}        mistakes too, with HTTP 200
//! ```

mod config;
mod sign;

use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::catalog::{Catalog, Entity, Sort};
use super::super::conf::Keys;
use super::super::live::{Live, new_id};
use super::call::{Call, Given};
use super::entities::Desk;
use super::health::force;
use super::reply::{Body, Reply};
use crate::http::Request;

/// Answers a call of the cloud API.
pub async fn serve(r: &Rc<Request>, live: &Live) -> Reply {
    let answer = match call(r, live).await {
        Ok(result) => json!({ "Result": result, "RequestId": new_id() }),
        Err(fault) => json!({
            "Error": { "Code": fault.code, "Message": fault.message },
            "RequestId": new_id(),
        }),
    };
    Reply::ok(json!({ "Response": answer }))
}

/// A refusal in the words of the cloud API.
#[derive(Debug)]
struct Fault {
    code: &'static str,
    message: String,
}

impl Fault {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn missing(name: &str) -> Self {
        Self::new("MissingParameter.MissParameter", format!("The parameter {name} is missing."))
    }

    /// What Kong's side of the house refused.
    fn of(reply: &Reply) -> Self {
        let message = match &reply.body {
            Body::Json(value) => value["message"].as_str().unwrap_or_default().to_string(),
            _ => String::new(),
        };
        let code = match reply.status {
            400 => "InvalidParameterValue",
            401 => "AuthFailure",
            404 => "ResourceNotFound.ResourceNotFound",
            413 => "InvalidParameterValue.BadRequestFormat",
            503 => "FailedOperation.FailedOperation",
            _ => "InternalError",
        };
        Self::new(code, message)
    }
}

async fn call(r: &Rc<Request>, live: &Live) -> Result<Value, Fault> {
    let read = Call::read(r, super::BODY_MAX).await;
    let call = read.map_err(|reply| match reply.status {
        400 => Fault::new("InvalidParameter.ParseJsonError", "The body is not a JSON object."),
        _ => Fault::of(&reply),
    })?;
    let secrets = r.location().scope.part::<Keys>().tse.clone();
    match &secrets {
        Some(secrets) => sign::check(r, &call, secrets)?,
        None => super::admit(r).map_err(|reply| Fault::of(&reply))?,
    }
    let action = r.headers_in.borrow().first("X-TC-Action").cloned().unwrap_or_default();
    let ask = Ask { live, given: &call.body.object };
    ask.text("GatewayId")?;
    live.refresh();
    match &action[..] {
        b"UpdateUpstreamHealthCheckConfig" => ask.update_config().await,
        b"DescribeUpstreamHealthCheckConfig" => ask.describe_config(),
        b"ModifyUpstreamNodeStatus" => ask.modify_status(),
        b"DescribeCloudNativeAPIGatewayUpstream" => ask.describe_upstreams(),
        b"UpdateUpstreamTargets" => ask.update_targets().await,
        _ => Err(Fault::new("InvalidParameterValue.Action", "The action is not known.")),
    }
}

/// One call, read.
struct Ask<'a> {
    live: &'a Live,
    given: &'a Map<String, Value>,
}

impl Ask<'_> {
    fn text(&self, name: &str) -> Result<&str, Fault> {
        let value = self.given.get(name).ok_or_else(|| Fault::missing(name))?;
        let text = value.as_str().filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            Fault::new("InvalidParameterValue", format!("The parameter {name} is not a text."))
        })
    }

    fn upstream(&self, catalog: &Catalog, name: &str) -> Result<Arc<Entity>, Fault> {
        // A service's upstream is the one its host names.
        let service = catalog.find(Sort::Services, name).and_then(|service| service.text("host"));
        let found = catalog.find(Sort::Upstreams, service.unwrap_or(name));
        let found = found.or_else(|| catalog.find(Sort::Upstreams, name)).cloned();
        found.ok_or_else(|| {
            Fault::new("ResourceNotFound.ResourceNotFound", format!("There is no upstream {name}."))
        })
    }

    async fn update_config(&self) -> Result<Value, Fault> {
        let upstream = self.upstream(&self.live.catalog(), self.text("Name")?)?;
        let config = self.given.get("HealthCheckConfig");
        let config = config.ok_or_else(|| Fault::missing("HealthCheckConfig"))?;
        let checks = config::to_kong(config).map_err(|m| Fault::new("InvalidParameterValue", m))?;
        let object = Map::from_iter([("healthchecks".to_string(), checks)]);
        let desk = Desk { live: self.live };
        let done = desk.patch(Sort::Upstreams, &upstream.id, &Given::of(object)).await;
        done.map(|_| true.into()).map_err(|reply| Fault::of(&reply))
    }

    fn describe_config(&self) -> Result<Value, Fault> {
        let upstream = self.upstream(&self.live.catalog(), self.text("Name")?)?;
        Ok(config::from_kong(upstream.value.get("healthchecks").unwrap_or(&Value::Null)))
    }

    fn modify_status(&self) -> Result<Value, Fault> {
        let upstream = self.upstream(&self.live.catalog(), self.text("ServiceName")?)?;
        let host = self.text("Host")?;
        let port = self.given.get("Port").ok_or_else(|| Fault::missing("Port"))?;
        let up = match self.text("Status")? {
            "HEALTHY" => true,
            "UNHEALTHY" => false,
            _ => {
                let text = "Status must be HEALTHY or UNHEALTHY.";
                return Err(Fault::new("InvalidParameterValue", text));
            }
        };
        let at_work = self.live.upstream(upstream.name().unwrap_or_default());
        let at_work = at_work.ok_or_else(|| Fault::of(&Reply::not_found()))?;
        let key = format!("{host}:{port}");
        force(&at_work, &key, None, up).map(|_| true.into()).map_err(|reply| Fault::of(&reply))
    }

    /// One service's upstream, or all there are: the view of the whole instance.
    fn describe_upstreams(&self) -> Result<Value, Fault> {
        let catalog = self.live.catalog();
        let wanted = match self.given.contains_key("ServiceName") {
            true => vec![self.upstream(&catalog, self.text("ServiceName")?)?],
            false => catalog.all(Sort::Upstreams).cloned().collect(),
        };
        let list: Vec<Value> = wanted.iter().map(|entity| self.shown(&catalog, entity)).collect();
        Ok(json!({ "IsK8SService": false, "UpstreamList": list }))
    }

    fn shown(&self, catalog: &Catalog, entity: &Entity) -> Value {
        let at_work = self.live.upstream(entity.name().unwrap_or_default());
        let targets = at_work.iter().flat_map(|upstream| {
            upstream.targets.iter().map(|target| {
                let own = catalog.find(Sort::Targets, &target.id);
                json!({
                    "Host": target.host,
                    "Port": target.port,
                    "Weight": target.weight,
                    "Health": upstream.target_health(target).word(),
                    "CreatedTime": own.map(|own| own.value["created_at"].clone()),
                    "Source": "IPList",
                    "Tags": own.map(|own| own.value["tags"].clone()),
                })
            })
        });
        json!({ "ID": entity.id, "Name": entity.name(), "Target": targets.collect::<Vec<_>>() })
    }

    /// Makes the targets of an upstream those that are given.
    async fn update_targets(&self) -> Result<Value, Fault> {
        let catalog = self.live.catalog();
        let upstream = self.upstream(&catalog, self.text("Name")?)?;
        let given = self.given.get("Targets").and_then(Value::as_array);
        let given = given.ok_or_else(|| Fault::missing("Targets"))?;
        let mut wanted = Map::new();
        for target in given {
            let host = target["Host"].as_str().ok_or_else(|| Fault::missing("Host"))?;
            let port = target["Port"].as_u64().ok_or_else(|| Fault::missing("Port"))?;
            wanted.insert(format!("{host}:{port}"), target["Weight"].clone());
        }
        let desk = Desk { live: self.live };
        let refused = |reply: Reply| Fault::of(&reply);
        // The new ones first: at no moment is there less than asked for.
        for (text, weight) in &wanted {
            let mut object = Map::from_iter([("weight".to_string(), weight.clone())]);
            object.retain(|_, weight| !weight.is_null());
            if let Some(old) = catalog.target(&upstream.id, text) {
                desk.patch(Sort::Targets, &old.id, &Given::of(object)).await.map_err(refused)?;
                continue;
            }
            object.insert("target".into(), text.as_str().into());
            let fixed = Map::from_iter([("upstream".to_string(), json!({ "id": upstream.id }))]);
            desk.create(Sort::Targets, &Given::of(object), fixed).await.map_err(refused)?;
        }
        for old in catalog.of(Sort::Targets, "upstream", &upstream.id) {
            if !wanted.contains_key(old.text("target").unwrap_or_default()) {
                desk.delete(Sort::Targets, &old.id).await.map_err(refused)?;
            }
        }
        Ok(true.into())
    }
}
