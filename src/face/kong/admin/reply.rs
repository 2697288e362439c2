//! Answers of the Admin API, Kong's error bodies among them.

use serde_json::{Value, json};

use super::super::catalog::Sort;
use super::super::schema::Faults;
use crate::store::StoreError;

/// What is answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub body: Body,
    pub headers: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub enum Body {
    None,
    Json(Value),
    /// Text in the format of Prometheus.
    Metrics(String),
}

/// A refusal is a reply too.
pub type Outcome = Result<Reply, Reply>;

impl Reply {
    pub fn json(status: u16, value: Value) -> Self {
        Self { status, body: Body::Json(value), headers: Vec::new() }
    }

    pub fn ok(value: Value) -> Self {
        Self::json(200, value)
    }

    pub fn no_content() -> Self {
        Self { status: 204, body: Body::None, headers: Vec::new() }
    }

    pub fn metrics(text: String) -> Self {
        Self { status: 200, body: Body::Metrics(text), headers: Vec::new() }
    }

    pub fn message(status: u16, text: &str) -> Self {
        Self::json(status, json!({ "message": text }))
    }

    pub fn not_found() -> Self {
        Self::message(404, "Not found")
    }

    pub fn method_not_allowed(allowed: &str) -> Self {
        let reply = Self::message(405, "Method not allowed");
        reply.with("Allow", allowed.to_string())
    }

    pub fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Code 2: the entity is not what the schema wants.
    pub fn faults(faults: &Faults) -> Self {
        Self::json(400, faults.body())
    }

    /// Code 3: an entity of this id exists.
    pub fn primary_key(id: &str) -> Self {
        let message = format!("primary key violation on key '{{id=\"{id}\"}}'");
        Self::coded(409, 3, "primary key violation", &message, json!({ "id": id }))
    }

    /// Code 4: an entity that is mentioned does not exist.
    pub fn foreign_key(field: &str, plural: &str, mention: &Value) -> Self {
        let key = match (mention.get("id"), mention.get("name")) {
            (Some(id), _) => format!("id={id}"),
            (None, Some(name)) => format!("name={name}"),
            (None, None) => String::new(),
        };
        let message = format!(
            "the foreign key '{{{key}}}' does not reference an existing '{plural}' entity."
        );
        Self::coded(400, 4, "foreign key violation", &message, json!({ field: mention }))
    }

    /// Code 4: others mention the entity that was to go.
    pub fn referenced(sort: Sort, by: Sort) -> Self {
        let (by, own) = (by.plural(), sort.plural());
        let message = format!("an existing '{by}' entity references this '{own}' entity");
        Self::coded(400, 4, "foreign key violation", &message, json!({ "@referenced_by": by }))
    }

    /// Code 5: another entity has this name.
    pub fn unique(field: &str, value: &str) -> Self {
        let message = format!("UNIQUE violation detected on '{{{field}=\"{value}\"}}'");
        Self::coded(409, 5, "unique constraint violation", &message, json!({ field: value }))
    }

    /// What the store refused.
    pub fn store(error: &StoreError) -> Self {
        match error {
            StoreError::Conflict(key) => match key.rsplit_once("/names/") {
                Some((_, rest)) => Self::unique("name", rest.split('/').next_back().unwrap_or("")),
                None => Self::message(503, "the entity was changed elsewhere: try again"),
            },
            error => Self::message(503, &format!("the store refused the write: {error}")),
        }
    }

    fn coded(status: u16, code: u16, name: &str, message: &str, fields: Value) -> Self {
        Self::json(
            status,
            json!({ "code": code, "name": name, "message": message, "fields": fields }),
        )
    }
}
