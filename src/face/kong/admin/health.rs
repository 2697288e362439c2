//! Below one upstream: its targets, their health, and setting it by hand.
//!
//! ```text
//!  /upstreams/{u}/health [?balancer_health=1]
//!  /upstreams/{u}/targets [/all] [/{t} [/{ip:port}] [/healthy | /unhealthy]]
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::entities::Desk;
use super::page;
use super::reply::{Outcome, Reply};
use super::{allow, options};
use crate::face::kong::catalog::{Catalog, Entity, Sort};
use crate::face::kong::live::{Live, Upstream};

/// Answers a call about something below an upstream.
pub async fn serve(live: &Live, call: &Call, upstream: &str, rest: &[&str]) -> Outcome {
    live.refresh();
    let catalog = live.catalog();
    let found = catalog.find(Sort::Upstreams, upstream).ok_or_else(Reply::not_found)?;
    let scene = Scene { live, call, catalog: &catalog, upstream: found };
    match rest {
        ["health"] => {
            let mut done = Err(Reply::not_found());
            allow(call, "GET, HEAD, OPTIONS", || {
                done = scene.health();
                Reply::no_content()
            })?;
            if call.method == "OPTIONS" { Ok(options("GET, HEAD, OPTIONS")) } else { done }
        }
        ["targets"] | ["targets", "all"] => scene.targets(rest.len() == 1).await,
        ["targets", target] => scene.target(target).await,
        ["targets", target, "healthy"] => scene.set(target, None, true),
        ["targets", target, "unhealthy"] => scene.set(target, None, false),
        ["targets", target, addr, "healthy"] => scene.set(target, Some(addr), true),
        ["targets", target, addr, "unhealthy"] => scene.set(target, Some(addr), false),
        _ => Err(Reply::not_found()),
    }
}

struct Scene<'a> {
    live: &'a Live,
    call: &'a Call,
    catalog: &'a Catalog,
    upstream: &'a Arc<Entity>,
}

impl Scene<'_> {
    fn own(&self) -> Vec<Arc<Entity>> {
        let of = self.catalog.of(Sort::Targets, "upstream", &self.upstream.id);
        let mut own: Vec<_> = of.cloned().collect();
        let created = |entity: &Entity| {
            entity.value.get("created_at").and_then(Value::as_f64).unwrap_or_default()
        };
        // The newest first, as Kong lists them.
        own.sort_by(|a, b| created(b).total_cmp(&created(a)).then(a.id.cmp(&b.id)));
        own
    }

    fn at_work(&self) -> Result<Arc<Upstream>, Reply> {
        let name = self.upstream.name().unwrap_or_default();
        self.live.upstream(name).ok_or_else(Reply::not_found)
    }

    fn health(&self) -> Outcome {
        let upstream = self.at_work()?;
        let whole = self.call.arg("balancer_health").is_some_and(|v| v == "1" || v == "true");
        let mut answer = match whole {
            true => json!({ "data": upstream.balancer_health(), "next": null }),
            false => {
                page::page(self.call, self.own().into_iter(), |entity| row(&upstream, entity))?
            }
        };
        answer["node_id"] = self.live.node_id.clone().into();
        Ok(Reply::ok(answer))
    }

    async fn targets(&self, may_add: bool) -> Outcome {
        match self.call.method.as_str() {
            "GET" | "HEAD" => {
                let show = |entity: &Entity| Value::Object(entity.value.clone());
                page::page(self.call, self.own().into_iter(), show).map(Reply::ok)
            }
            "POST" if may_add => {
                let desk = Desk { live: self.live };
                let made = desk.create(Sort::Targets, &self.call.body, self.fixed()).await?;
                Ok(Reply::json(201, made))
            }
            "OPTIONS" => Ok(options("GET, HEAD, OPTIONS, POST")),
            _ => Err(Reply::method_not_allowed("GET, HEAD, OPTIONS, POST")),
        }
    }

    async fn target(&self, key: &str) -> Outcome {
        let known = self.catalog.target(&self.upstream.id, &with_port(key));
        let desk = Desk { live: self.live };
        if self.call.method == "PUT" {
            let id = known.map_or(key, |target| &target.id);
            let mut given = self.fixed();
            if known.is_none() && super::rules::is_target(key) {
                given.insert("target".into(), key.into());
            }
            let made = desk.put(Sort::Targets, id, &self.call.body, given).await?;
            return Ok(Reply::ok(made));
        }
        let known = known.ok_or_else(Reply::not_found)?;
        match self.call.method.as_str() {
            "GET" | "HEAD" => Ok(Reply::ok(Value::Object(known.value.clone()))),
            "PATCH" => desk.patch(Sort::Targets, &known.id, &self.call.body).await.map(Reply::ok),
            "DELETE" => desk.delete(Sort::Targets, &known.id).await.map(|()| Reply::no_content()),
            "OPTIONS" => Ok(options(super::ONE)),
            _ => Err(Reply::method_not_allowed(super::ONE)),
        }
    }

    /// Sets the health of a target, or of one of its addresses, by hand.
    fn set(&self, key: &str, addr: Option<&str>, up: bool) -> Outcome {
        match self.call.method.as_str() {
            "PUT" | "POST" => {}
            "OPTIONS" => return Ok(options("OPTIONS, POST, PUT")),
            _ => return Err(Reply::method_not_allowed("OPTIONS, POST, PUT")),
        }
        let upstream = self.at_work()?;
        force(&upstream, &with_port(key), addr, up)
    }

    fn fixed(&self) -> Map<String, Value> {
        Map::from_iter([("upstream".to_string(), json!({ "id": self.upstream.id }))])
    }
}

/// Sets a target's health in an upstream at work.
pub fn force(upstream: &Upstream, key: &str, addr: Option<&str>, up: bool) -> Outcome {
    let target = upstream.target(key).ok_or_else(Reply::not_found)?;
    let only = match addr {
        None => None,
        Some(text) => {
            let addr = address(text, target.port).ok_or_else(Reply::not_found)?;
            Some(*target.addrs.iter().find(|own| **own == addr).ok_or_else(Reply::not_found)?)
        }
    };
    if !upstream.force(target, only, up) {
        let text = format!("no healthchecker found for {}", upstream.conf.name);
        return Err(Reply::message(400, &text));
    }
    Ok(Reply::no_content())
}

/// One row of `/upstreams/{u}/health`: the entity, its health, the balancer's view of it.
fn row(upstream: &Upstream, entity: &Entity) -> Value {
    let mut row = Value::Object(entity.value.clone());
    if let Some(target) = upstream.target(&entity.id) {
        row["health"] = upstream.target_health(target).word().into();
        row["data"] = upstream.target_data(target);
    }
    row
}

fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = || text.trim_matches(['[', ']']).parse().ok().map(|ip| SocketAddr::new(ip, port));
    text.parse().ok().or_else(bare)
}

/// A target may be named without its port when that is the usual one.
fn with_port(key: &str) -> String {
    super::rules::target_text(key).unwrap_or_else(|| key.to_string())
}
