//! `/openapi.json`: what the Admin API takes and answers, made of the schemas that judge documents.
//!
//! ```text
//!  schemas ─▶ components        collections × verbs ─▶ paths with their answers
//! ```

use serde_json::{Map, Value, json};

use super::{Version, kind_schema_names};
use crate::face::apisix::names::Collection;
use crate::face::apisix::schema::{self, Kind};

/// The description in the words of OpenAPI 3.1.
pub fn document(version: Version) -> Value {
    let mut paths = Map::new();
    for collection in Collection::ALL {
        let base = format!("/apisix/admin/{}", collection.plural());
        let validate = format!("/apisix/admin/schema/validate/{}", collection.plural());
        paths.insert(base.clone(), whole(collection, version));
        paths.insert(format!("{base}/{{id}}"), one(collection, version));
        paths.insert(format!("{base}/{{id}}/{{member}}"), member(collection, version));
        paths.insert(validate, validation(collection));
    }
    paths.extend(lookups());
    let mut schemas: Map<String, Value> = Collection::ALL
        .into_iter()
        .map(|c| (c.singular().to_owned(), schema::of(c.schema()).clone()))
        .collect();
    schemas.insert("limit-count".into(), schema::of(Kind::LimitCount).clone());
    schemas.extend(answers());
    let key = json!({ "type": "apiKey", "in": "header", "name": "X-API-KEY" });
    json!({
        "openapi": "3.1.0",
        "info": { "title": "moonbeat: APISIX Admin API", "version": env!("CARGO_PKG_VERSION") },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": { "schemas": schemas, "securitySchemes": { "key": key } },
    })
}

/// `/routes`
fn whole(collection: Collection, version: Version) -> Value {
    let text = json!({ "type": "string" });
    let number = json!({ "type": "integer", "minimum": 1 });
    let size = json!({ "type": "integer", "minimum": 10, "maximum": 500 });
    let query = [
        ("page", &number),
        ("page_size", &size),
        ("name", &text),
        ("label", &text),
        ("uri", &text),
        ("filter", &text),
    ];
    let query: Vec<Value> = query
        .into_iter()
        .map(|(name, schema)| json!({ "name": name, "in": "query", "schema": schema }))
        .collect();
    let mut get = operation("Lists", None, &[("200", list(version)), ("400", mention("error"))]);
    get["parameters"] = query.into();
    let made = [("201", written(version)), ("400", mention("error"))];
    let mut post = operation("Creates, and names it", Some(body(collection)), &made);
    post["parameters"] = json!([ttl()]);
    json!({ "get": get, "post": post })
}

/// `/routes/1`
fn one(collection: Collection, version: Version) -> Value {
    let refused = ("400", mention("error"));
    let missing = ("404", mention("missing"));
    let written = written(version);
    let put = [("200", written.clone()), ("201", written.clone()), refused.clone()];
    let mut put = operation("Creates or replaces", Some(body(collection)), &put);
    put["parameters"] = json!([ttl()]);
    let object = json!({ "type": "object" });
    let patch = [("200", written), refused.clone(), missing.clone()];
    let mut delete =
        operation("Deletes", None, &[("200", mention("deleted")), refused, missing.clone()]);
    let force = json!({ "type": "string", "enum": ["true"] });
    delete["parameters"] = json!([{ "name": "force", "in": "query", "schema": force }]);
    json!({
        "parameters": [id()],
        "get": operation("Shows", None, &[("200", shown(version)), missing]),
        "put": put,
        "patch": operation("Merges into it", Some(object), &patch),
        "delete": delete,
    })
}

/// `/routes/1/upstream`
fn member(collection: Collection, version: Version) -> Value {
    let names = schema::of(collection.schema()).get("properties").and_then(Value::as_object);
    let names: Vec<&String> = names.into_iter().flat_map(Map::keys).collect();
    let member = json!({
        "name": "member", "in": "path", "required": true,
        "schema": { "type": "string", "enum": names },
    });
    let patch = [("200", written(version)), ("400", mention("error")), ("404", mention("missing"))];
    json!({
        "parameters": [id(), member],
        "patch": operation("Sets one member", Some(json!({})), &patch),
    })
}

fn validation(collection: Collection) -> Value {
    let mut post = operation("Checks, and stores nothing", Some(body(collection)), &[]);
    post["responses"]["200"] = json!({ "description": "It would be taken" });
    post["responses"]["400"] = answer("It would not", mention("error"));
    json!({ "post": post })
}

/// `/plugins/list` and the schemas.
fn lookups() -> Map<String, Value> {
    let object = json!({ "type": "object" });
    let list = json!({ "type": "array", "items": { "type": "string" } });
    let get = |text: &str, schema: &Value| json!({ "get": operation(text, None, &[("200", schema.clone())]) });
    let kind = json!({
        "name": "kind", "in": "path", "required": true,
        "schema": { "type": "string", "enum": kind_schema_names() },
    });
    let mut schema = get("The schema of a kind", &object);
    schema["get"]["responses"]["400"] = answer("There is no such kind", mention("error"));
    schema["parameters"] = json!([kind]);
    schema["get"]["responses"]["400"] = answer("There is no such kind", mention("error"));
    Map::from_iter([
        ("/apisix/admin/plugins/list".to_owned(), get("The plugins", &list)),
        ("/apisix/admin/plugins/limit-count".to_owned(), get("Its schema", &object)),
        ("/apisix/admin/schema/{kind}".to_owned(), schema),
    ])
}

/// The schemas of answers.
fn answers() -> Map<String, Value> {
    let text = json!({ "type": "string" });
    let object = |properties: Value, required: &[&str]| json!({ "type": "object", "properties": properties, "required": required });
    let value = json!({ "type": "object", "required": ["id", "create_time", "update_time"] });
    let index = json!({ "type": "integer", "minimum": 1 });
    let document = object(json!({ "key": text, "value": value }), &["key", "value"]);
    let indexed = object(
        json!({ "key": text, "value": value, "createdIndex": index, "modifiedIndex": index }),
        &["key", "value", "createdIndex", "modifiedIndex"],
    );
    Map::from_iter([
        ("error".to_owned(), object(json!({ "error_msg": text }), &["error_msg"])),
        ("missing".to_owned(), object(json!({ "message": text }), &["message"])),
        (
            "deleted".to_owned(),
            object(json!({ "deleted": text, "key": text }), &["deleted", "key"]),
        ),
        ("document".to_owned(), document),
        ("indexed".to_owned(), indexed),
    ])
}

fn written(version: Version) -> Value {
    match version {
        Version::V3 => mention("document"),
        Version::V2 => node(mention("document")),
    }
}

fn shown(version: Version) -> Value {
    match version {
        Version::V3 => mention("indexed"),
        Version::V2 => node(mention("document")),
    }
}

fn list(version: Version) -> Value {
    match version {
        Version::V3 => json!({
            "type": "object", "required": ["list", "total"],
            "properties": {
                "list": { "type": "array", "items": mention("indexed") },
                "total": { "type": "integer", "minimum": 0 },
            },
        }),
        Version::V2 => node(json!({ "type": "object", "required": ["dir", "key", "nodes"] })),
    }
}

/// The shape of the 2.x era.
fn node(schema: Value) -> Value {
    let properties = json!({ "action": { "type": "string" }, "node": schema });
    json!({ "type": "object", "properties": properties, "required": ["action", "node"] })
}

fn operation(text: &str, body: Option<Value>, answers: &[(&str, Value)]) -> Value {
    let mut responses = Map::new();
    for (status, schema) in answers {
        responses.insert((*status).to_owned(), answer(text, schema.clone()));
    }
    for (status, text) in REFUSALS {
        responses.insert((*status).to_owned(), answer(text, mention("error")));
    }
    let mut operation = json!({ "summary": text, "responses": responses });
    if let Some(schema) = body {
        let content = json!({ "application/json": { "schema": schema } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn answer(text: &str, schema: Value) -> Value {
    json!({ "description": text, "content": { "application/json": { "schema": schema } } })
}

fn body(collection: Collection) -> Value {
    mention(collection.singular())
}

fn id() -> Value {
    let schema = json!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-zA-Z0-9_.-]+$" });
    json!({ "name": "id", "in": "path", "required": true, "schema": schema })
}

fn ttl() -> Value {
    json!({ "name": "ttl", "in": "query", "schema": { "type": "integer", "minimum": 1 } })
}

fn mention(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

const REFUSALS: &[(&str, &str)] =
    &[("401", "No key, or the wrong one"), ("503", "The store refused the write")];
