//! `/nacos/openapi.json`: the paths of the table of routes, and what they take and answer.
//!
//! ```text
//!  route::paths ─▶ an operation for each method ─▶ parameters by resource, answers by version
//! ```

use serde_json::{Map, Value, json};

use super::answer::{Answer, Version};
use super::route;

/// True for the path of the description.
pub fn is_description(path: &str) -> bool {
    path == "openapi.json"
}

/// The description of the whole face.
pub fn answer() -> Answer {
    Answer::value(Version::V1, &document())
}

fn document() -> Value {
    let mut paths = Map::new();
    for (version, path, methods) in route::paths() {
        let parameters: Value =
            NAMES.iter().filter(|known| known.is_of(path)).map(Name::parameter).collect();
        let mut operations = Map::new();
        for method in methods {
            let operation = json!({
                "summary": format!("{method} {path}"),
                "parameters": parameters,
                "responses": responses(version),
            });
            operations.insert(method.to_ascii_lowercase(), operation);
        }
        paths.insert(format!("/nacos/{path}"), operations.into());
    }
    json!({
        "openapi": "3.0.3",
        "info": { "title": "moonbeat: Nacos naming", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
    })
}

/// Version 1 answers with a word or an object, the later ones with an envelope. A parameter nobody
/// would take is refused with a plain text in all versions.
fn responses(version: Version) -> Value {
    let envelope = json!({
        "type": "object",
        "required": ["code", "message", "data"],
        "properties": { "code": { "type": "integer" }, "message": { "type": "string" } },
    });
    let object = json!({ "schema": { "type": "object" } });
    let (good, bad) = match version {
        Version::V1 => (json!({ "text/plain": {}, "application/json": object }), json!({})),
        Version::V2 | Version::V3 => {
            (json!({ "application/json": { "schema": envelope } }), json!({ "schema": envelope }))
        }
    };
    let refused = |text: &str| json!({ "description": text, "content": { "text/plain": {}, "application/json": bad } });
    json!({
        "200": { "description": "Done", "content": good },
        "400": refused("A parameter is missing or wrong"),
        "403": refused("Nobody is logged in"),
        "404": refused("Not found"),
        "503": refused("The store refused the write"),
    })
}

/// A parameter, and the resources that take it.
struct Name {
    name: &'static str,
    kind: &'static str,
    /// Parts of paths; none stands for all.
    of: &'static [&'static str],
}

impl Name {
    fn is_of(&self, path: &str) -> bool {
        self.of.is_empty() || self.of.iter().any(|part| path.contains(part))
    }

    fn parameter(&self) -> Value {
        json!({ "name": self.name, "in": "query", "schema": { "type": self.kind } })
    }
}

const fn name(name: &'static str, kind: &'static str, of: &'static [&'static str]) -> Name {
    Name { name, kind, of }
}

const NAMES: &[Name] = &[
    name("namespaceId", "string", &[]),
    name("groupName", "string", &[]),
    name("serviceName", "string", &[]),
    name("clusterName", "string", &["instance", "health", "cluster"]),
    name("ip", "string", &["instance", "health"]),
    name("port", "integer", &["instance", "health"]),
    name("healthy", "boolean", &["instance", "health"]),
    name("weight", "number", &["instance"]),
    name("enabled", "boolean", &["instance"]),
    name("ephemeral", "boolean", &["instance", "service"]),
    name("metadata", "string", &["instance", "cluster", "service"]),
    name("beat", "string", &["beat"]),
    name("heartBeat", "boolean", &["v3/client/ns/instance"]),
    name("clusters", "string", &["list"]),
    name("healthyOnly", "boolean", &["list"]),
    name("pageNo", "integer", &["list"]),
    name("pageSize", "integer", &["list"]),
    name("key", "string", &["statuses"]),
    name("checkPort", "integer", &["cluster"]),
    name("useInstancePort4Check", "boolean", &["cluster"]),
    name("healthChecker", "string", &["cluster"]),
    name("protectThreshold", "number", &["service"]),
    name("selector", "string", &["service"]),
    name("onlyStatus", "boolean", &["metrics"]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_is_described() {
        let paths = document()["paths"].clone();
        assert_eq!(paths.as_object().map(Map::len), Some(route::paths().count()));
        let beat = &paths["/nacos/v1/ns/instance/beat"]["put"];
        let named = |name: &str| {
            let list = beat["parameters"].as_array().cloned().unwrap_or_default();
            list.iter().any(|parameter| parameter["name"] == name)
        };
        assert!(named("beat") && named("serviceName") && !named("selector"));
    }
}
