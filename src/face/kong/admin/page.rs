//! Lists in pages: `size`, `offset`, `next`, and filtering by `tags`.
//!
//! ```text
//!  ?size=100&offset=…  ─▶ {"data": […], "offset": "…", "next": "/upstreams?offset=…"}
//!  ?tags=a,b  both     ?tags=a/b  either
//! ```

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::catalog::Entity;
use super::call::Call;
use super::reply::Reply;

/// One page of `all`, each entity shown by `show`.
pub fn page(
    call: &Call,
    all: impl Iterator<Item = Arc<Entity>>,
    show: impl Fn(&Entity) -> Value,
) -> Result<Value, Reply> {
    let size = size(call)?;
    let mut rest: Vec<Arc<Entity>> = all.filter(|entity| has_tags(call, entity)).collect();
    if let Some(offset) = call.arg("offset") {
        let after = decode(offset).ok_or_else(|| invalid_offset(offset))?;
        let at = rest.iter().position(|entity| entity.id == after);
        rest.drain(..at.ok_or_else(|| invalid_offset(offset))? + 1);
    }
    let more = rest.len() > size;
    rest.truncate(size);
    let data: Vec<Value> = rest.iter().map(|entity| show(entity)).collect();
    let last = rest.last().filter(|_| more).map(|entity| URL_SAFE_NO_PAD.encode(&entity.id));
    Ok(match last {
        None => json!({ "data": data, "next": null }),
        Some(offset) => {
            let mut next = format!("/{}?offset={offset}", call.path.join("/"));
            if let Some(size) = call.arg("size") {
                next.push_str(&format!("&size={size}"));
            }
            json!({ "data": data, "offset": offset, "next": next })
        }
    })
}

fn size(call: &Call) -> Result<usize, Reply> {
    let Some(text) = call.arg("size") else { return Ok(SIZE_DEFAULT) };
    let size = text.parse().ok().filter(|size| (1..=SIZE_MAX).contains(size));
    size.ok_or_else(|| {
        let message = format!("size must be an integer between 1 and {SIZE_MAX}");
        Reply::json(400, json!({ "code": 9, "name": "invalid size", "message": message }))
    })
}

fn decode(offset: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(offset).ok()?).ok()
}

fn invalid_offset(offset: &str) -> Reply {
    let message = format!("'{offset}' is not a valid offset: bad base64 encoding or unknown place");
    Reply::json(400, json!({ "code": 7, "name": "invalid offset", "message": message }))
}

fn has_tags(call: &Call, entity: &Entity) -> bool {
    let Some(wanted) = call.arg("tags").filter(|wanted| !wanted.is_empty()) else { return true };
    let own = entity.value.get("tags").and_then(Value::as_array);
    let has = |tag: &str| own.is_some_and(|own| own.iter().any(|have| have == tag));
    match wanted.contains('/') {
        true => wanted.split('/').any(has),
        false => wanted.split(',').all(has),
    }
}

const SIZE_DEFAULT: usize = 100;
const SIZE_MAX: usize = 1000;
