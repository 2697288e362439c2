//! Writing: PUT, POST, PATCH, DELETE.
//!
//! ```text
//!  body ─▶ id ─▶ (merge) ─▶ rules ─▶ times ─▶ Store (durable) ─▶ Live follows ─▶ 200 or 201
//! ```

use std::rc::Rc;
use std::time::Duration;

use serde_json::{Value, json};

use super::rules::{self, id_text};
use super::{Answer, Desk, Version, body, patch, plugins, read, shape};
use crate::base::clock;
use crate::face::apisix::names::{Collection, PREFIX};
use crate::http::Request;
use crate::store::{Entry, StoreError, Txn};

pub async fn answer(
    r: &Rc<Request>,
    desk: &Desk,
    collection: Collection,
    id: Option<&str>,
    below: Option<&str>,
    method: &[u8],
) -> Answer {
    let done = match method {
        b"DELETE" => delete(r, desk, collection, id).await,
        b"PATCH" => change(r, desk, collection, id, below).await,
        b"POST" => create(r, desk, collection, id).await,
        _ => put(r, desk, collection, id).await,
    };
    done.unwrap_or_else(|refused| refused)
}

/// `POST /schema/validate/routes`
pub async fn validate(r: &Rc<Request>, plural: &str) -> Answer {
    let Some(collection) = Collection::of(plural) else {
        return Answer::error(400, "not found schema");
    };
    match body(r).await {
        Err(answer) => answer,
        Ok(None) => Answer::error(400, "missing configurations"),
        Ok(Some(document)) => {
            match rules::check(Version::V3, collection, &document, &|_, _| true) {
                Ok(_) => Answer { status: 200, body: None },
                Err(why) => Answer::new(400, why),
            }
        }
    }
}

type Done = Result<Answer, Answer>;

async fn put(r: &Rc<Request>, desk: &Desk, collection: Collection, id: Option<&str>) -> Done {
    let mut document = document(r, desk).await?;
    let kind = collection.singular();
    let own = document.get("id").and_then(id_text);
    let id = match (id, own) {
        (Some(id), Some(own)) if id != own => {
            return Err(Answer::error(400, format!("wrong {kind} id")));
        }
        (Some(id), _) => id.to_owned(),
        (None, Some(own)) => own,
        (None, None) => return Err(Answer::error(400, format!("missing {kind} id"))),
    };
    document["id"] = Value::String(id.clone());
    let key = collection.key(&id);
    let before = desk.store.get(&key);
    let created =
        before.as_ref().and_then(|entry| shape::value(entry).get("create_time")?.as_i64());
    let value = finish(desk, collection, document, created)?;
    let entry = save(r, desk, Txn::new(), &key, value).await?;
    let status = if entry.version == 1 { 201 } else { 200 };
    Ok(Answer::new(status, desk.version.written("set", &entry)))
}

async fn create(r: &Rc<Request>, desk: &Desk, collection: Collection, id: Option<&str>) -> Done {
    let mut document = document(r, desk).await?;
    if id.is_some() || document.get("id").is_some() {
        let text = format!("wrong {} id, do not need it", collection.singular());
        return Err(Answer::error(400, text));
    }
    // Judged before a number is drawn: a refused document leaves no trace.
    document["id"] = Value::String("0".into());
    let checked = finish(desk, collection, document, None)?;
    let drawn = desk.store.commit(Txn::new().put(&format!("{PREFIX}gen_id"), "1")).await?;
    let id = format!("{:020}", drawn.revision);
    let mut value = checked;
    value["id"] = Value::String(id.clone());
    let key = collection.key(&id);
    let entry = save(r, desk, Txn::new().if_absent(&key), &key, value).await?;
    Ok(Answer::new(201, desk.version.written("create", &entry)))
}

async fn change(
    r: &Rc<Request>,
    desk: &Desk,
    collection: Collection,
    id: Option<&str>,
    below: Option<&str>,
) -> Done {
    let change = body(r).await?;
    let kind = collection.singular();
    let id = id.ok_or_else(|| Answer::error(400, format!("missing {kind} id")))?;
    let change = change.ok_or_else(|| Answer::error(400, "missing new configuration"))?;
    if below.is_none() && !change.is_object() {
        return Err(Answer::error(400, "invalid configuration"));
    }
    let key = collection.key(id);
    // Somebody else's write in between: take it in and try again, as long as it takes a human.
    for _ in 0..CHANGE_TRIES {
        let before = desk.store.get(&key).ok_or_else(Answer::not_found)?;
        let mut document = shape::value(&before);
        let created = document.get("create_time").and_then(Value::as_i64);
        match below {
            Some(path) => patch::set(&mut document, path, change.clone())
                .map_err(|why| Answer::error(400, why))?,
            None => patch::merge(&mut document, change.clone()),
        }
        match document.get("id").and_then(id_text) {
            Some(own) if own != id => {
                return Err(Answer::error(400, format!("wrong {kind} id")));
            }
            _ => document["id"] = Value::String(id.to_owned()),
        }
        let value = finish(desk, collection, document, created)?;
        let guard = Txn::new().if_modified(&key, before.modified);
        match write(r, desk, guard, &key, value).await? {
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
            Ok(entry) => {
                return Ok(Answer::new(200, desk.version.written("compareAndSwap", &entry)));
            }
        }
    }
    Err(Answer::error(503, "the document is changed by others all the time"))
}

async fn delete(r: &Rc<Request>, desk: &Desk, collection: Collection, id: Option<&str>) -> Done {
    let kind = collection.singular();
    let id = id.ok_or_else(|| Answer::error(400, format!("missing {kind} id")))?;
    let key = collection.key(id);
    if desk.store.get(&key).is_none() {
        return Err(Answer::not_found());
    }
    if read::argument(r, "force").as_deref() != Some("true")
        && let Some((user, user_id)) = desk.live.table().user_of(collection, id)
    {
        let text = match collection {
            Collection::Services => "can not delete this service directly",
            _ => "can not delete this upstream",
        };
        let user = user.singular();
        return Err(Answer::error(
            400,
            format!("{text}, {user} [{user_id}] is still using it now"),
        ));
    }
    let done = desk.store.commit(Txn::new().delete(&key)).await?;
    if done.changes.is_empty() {
        return Err(Answer::not_found());
    }
    desk.live.caught_up(done.revision).await;
    Ok(Answer::new(200, desk.version.deleted(&key)))
}

/// The body of a PUT or POST, an object.
async fn document(r: &Rc<Request>, desk: &Desk) -> Result<Value, Answer> {
    let document = body(r).await?;
    let document = document.ok_or_else(|| Answer::error(400, "missing configurations"))?;
    let Some(members) = document.as_object() else {
        return Err(Answer::error(400, "invalid configuration: wrong type: expected object"));
    };
    let times = ["create_time", "update_time"];
    if let (Version::V3, Some(name)) =
        (desk.version, times.into_iter().find(|name| members.contains_key(*name)))
    {
        return Err(Answer::error(400, format!("the property is forbidden:  {name}")));
    }
    Ok(document)
}

/// Judges a document and makes it what is stored: with times, and with defaults in the 2.x form.
fn finish(
    desk: &Desk,
    collection: Collection,
    document: Value,
    created: Option<i64>,
) -> Result<Value, Answer> {
    let exists = |collection: Collection, id: &str| desk.store.get(&collection.key(id)).is_some();
    let key = document.get("id").and_then(id_text).map(|id| collection.key(&id));
    let key = key.unwrap_or_default();
    let full = rules::check(desk.version, collection, &document, &exists);
    let full = full.map_err(|why| Answer::new(400, why))?;
    plugins::same_in_group(&desk.live.table(), &key, &full)
        .map_err(|why| Answer::error(400, why))?;
    let mut value = match desk.version {
        Version::V3 => document,
        Version::V2 => full,
    };
    let now = clock::wall().secs;
    value["create_time"] = json!(created.unwrap_or(now));
    value["update_time"] = json!(now);
    Ok(value)
}

async fn save(
    r: &Rc<Request>,
    desk: &Desk,
    txn: Txn,
    key: &str,
    value: Value,
) -> Result<Entry, Answer> {
    Ok(write(r, desk, txn, key, value).await??)
}

/// Stores a document and waits until requests see it.
async fn write(
    r: &Rc<Request>,
    desk: &Desk,
    txn: Txn,
    key: &str,
    value: Value,
) -> Result<Result<Entry, StoreError>, Answer> {
    let ttl = rules::ttl(r).map_err(|why| Answer::error(400, why))?;
    let text = value.to_string();
    let txn = match ttl {
        Some(seconds) => txn.put_for(key, text, Duration::from_secs(seconds)),
        None => txn.put(key, text),
    };
    let done = match desk.store.commit(txn).await {
        Ok(done) => done,
        Err(error) => return Ok(Err(error)),
    };
    desk.live.caught_up(done.revision).await;
    let entry = done.changes.first().and_then(|change| change.after.as_deref().cloned());
    Ok(entry.ok_or(StoreError::Conflict(key.into())))
}

const CHANGE_TRIES: usize = 8;
