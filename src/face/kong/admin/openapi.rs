//! `/openapi.json` and `/schemas/{entity}`, made of the tables that check the entities.
//!
//! ```text
//!  Field tables ─▶ JSON schema of each entity ─▶ paths with their answers
//! ```

use serde_json::{Map, Value, json};

use super::super::Preset;
use super::super::catalog::Sort;
use super::super::live::Options;
use super::super::schema::{Field, Kind};
use super::rules;

/// The description of the whole face.
pub fn document(options: &Options) -> Value {
    let mut paths = Map::new();
    for sort in [Sort::Upstreams, Sort::Services, Sort::Routes] {
        let plural = sort.plural();
        paths.insert(format!("/{plural}"), collection(sort));
        paths.insert(format!("/{plural}/{{key}}"), one(sort, &["key"]));
    }
    paths.insert("/services/{key}/routes".into(), nested(Sort::Routes, &["key"]));
    paths.insert("/upstreams/{key}/targets".into(), nested(Sort::Targets, &["key"]));
    let target = one(Sort::Targets, &["key", "target"]);
    paths.insert("/upstreams/{key}/targets/{target}".into(), target);
    paths.insert("/upstreams/{key}/health".into(), health());
    for word in ["healthy", "unhealthy"] {
        let set = json!({
            "parameters": parameters(&["key", "target"]),
            "put": operation("Sets the health of a target", None, &[("204", None)]),
            "post": operation("Sets the health of a target", None, &[("204", None)]),
        });
        paths.insert(format!("/upstreams/{{key}}/targets/{{target}}/{word}"), set);
    }
    for (path, text) in [("/", "The node"), ("/status", "The state of the node")] {
        let get = operation(text, None, &[("200", Some(json!({ "type": "object" })))]);
        paths.insert(path.into(), json!({ "get": get }));
    }
    let schemas: Map<String, Value> = Sort::ALL
        .into_iter()
        .map(|sort| (sort.singular().to_string(), entity(sort, options.preset)))
        .collect();
    json!({
        "openapi": "3.0.3",
        "info": { "title": "moonbeat: Kong Admin API", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

/// The JSON schema of one entity.
pub fn entity(sort: Sort, preset: Preset) -> Value {
    record(rules::fields(sort, preset))
}

fn record(fields: &[Field]) -> Value {
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let mut schema = kind(&field.kind);
            if !field.required {
                schema["nullable"] = true.into();
            } else if !field.default.is_null() {
                schema["default"] = field.default.clone();
            }
            (field.name.to_string(), schema)
        })
        .collect();
    let needed = |field: &&Field| {
        field.required && field.default.is_null() && !matches!(field.kind, Kind::Record(_))
    };
    let required: Vec<&str> = fields.iter().filter(needed).map(|field| field.name).collect();
    let mut schema =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn kind(of: &Kind) -> Value {
    match of {
        Kind::Text(_) => json!({ "type": "string", "minLength": 1 }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Integer(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Kind::ZeroOr(_, high) => json!({ "type": "integer", "minimum": 0, "maximum": high }),
        Kind::Number(low, high) => json!({ "type": "number", "minimum": low, "maximum": high }),
        Kind::ZeroOrNumber(_, high) => json!({ "type": "number", "minimum": 0, "maximum": high }),
        Kind::OneOf(words) => json!({ "type": "string", "enum": words }),
        Kind::Array(item) | Kind::Set(item) => json!({ "type": "array", "items": kind(item) }),
        Kind::Map(item) => json!({ "type": "object", "additionalProperties": kind(item) }),
        Kind::Record(fields) => record(fields),
        Kind::Foreign => json!({
            "type": "object",
            "properties": { "id": { "type": "string" }, "name": { "type": "string" } },
        }),
        Kind::Stamp => json!({ "type": "number" }),
    }
}

fn collection(sort: Sort) -> Value {
    json!({
        "get": operation("Lists", None, &[("200", Some(list(sort)))]),
        "post": operation("Creates", Some(sort), &[("201", Some(mention(sort)))]),
    })
}

fn nested(sort: Sort, names: &[&str]) -> Value {
    let mut path = collection(sort);
    path["parameters"] = parameters(names);
    path
}

fn one(sort: Sort, names: &[&str]) -> Value {
    let shown = [("200", Some(mention(sort)))];
    json!({
        "parameters": parameters(names),
        "get": operation("Shows", None, &shown),
        "put": operation("Creates or replaces", Some(sort), &shown),
        "patch": operation("Changes", Some(sort), &shown),
        "delete": operation("Deletes", None, &[("204", None)]),
    })
}

fn health() -> Value {
    let flag = json!({
        "name": "balancer_health", "in": "query", "required": false,
        "schema": { "type": "string", "enum": ["0", "1"] },
    });
    let mut get = operation("Health", None, &[("200", Some(json!({ "type": "object" })))]);
    get["parameters"] = json!([flag]);
    json!({ "parameters": parameters(&["key"]), "get": get })
}

fn operation(text: &str, body: Option<Sort>, answers: &[(&str, Option<Value>)]) -> Value {
    let mut responses = Map::new();
    for (status, schema) in answers {
        let mut answer = json!({ "description": text });
        if let Some(schema) = schema {
            answer["content"] = json!({ "application/json": { "schema": schema } });
        }
        responses.insert((*status).to_string(), answer);
    }
    for (status, text) in REFUSALS {
        responses.insert((*status).to_string(), json!({ "description": text }));
    }
    let mut operation = json!({ "summary": text, "responses": responses });
    if let Some(sort) = body {
        operation["requestBody"] = json!({
            "required": true,
            "content": { "application/json": { "schema": mention(sort) } },
        });
    }
    operation
}

fn list(sort: Sort) -> Value {
    json!({
        "type": "object",
        "required": ["data", "next"],
        "properties": {
            "data": { "type": "array", "items": mention(sort) },
            "next": { "type": "string", "nullable": true },
        },
    })
}

fn mention(sort: Sort) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", sort.singular()) })
}

fn parameters(names: &[&str]) -> Value {
    let of = |name: &&str| {
        json!({
            "name": name, "in": "path", "required": true,
            "schema": { "type": "string", "minLength": 1, "pattern": "^[A-Za-z0-9.:_-]+$" },
        })
    };
    names.iter().map(of).collect()
}

const REFUSALS: &[(&str, &str)] = &[
    ("400", "The entity or the request is invalid"),
    ("401", "No key, or the wrong one"),
    ("404", "Not found"),
    ("409", "The name or the id is taken"),
    ("503", "The store refused the write"),
];
