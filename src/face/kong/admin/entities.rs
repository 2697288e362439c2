//! Creating, reading, changing and deleting entities, the same for every collection.
//!
//! ```text
//!  given ─ infer (forms) ─▶ merge with the old (PATCH) ─▶ check ─▶ mentions exist? name free?
//!        ─▶ commit, durable ─▶ refresh: traffic sees it ─▶ the answer
//! ```

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::catalog::{Catalog, Entity, Sort};
use super::super::live::{Live, new_id};
use super::super::schema::{self, fields::is_uuid};
use super::call::Given;
use super::reply::Reply;
use super::rules;
use crate::base::clock;
use crate::store::Txn;

type Object = Map<String, Value>;

/// The Admin API's hand on the entities, for one call.
pub struct Desk<'a> {
    pub live: &'a Live,
}

impl Desk<'_> {
    /// POST: a new entity. `fixed` is what the path says of it.
    pub async fn create(&self, sort: Sort, given: &Given, fixed: Object) -> Result<Value, Reply> {
        let _writing = self.live.writing.lock().await;
        self.live.refresh();
        let catalog = self.live.catalog();
        let mut given = self.understand(sort, given)?;
        given.extend(fixed);
        let id = match given.get("id").and_then(Value::as_str) {
            Some(id) if catalog.find(sort, id).is_some() => return Err(Reply::primary_key(id)),
            Some(id) => id.to_string(),
            None => new_id(),
        };
        self.save(sort, &catalog, &id, None, given).await
    }

    /// PUT: the entity as a whole, made when there is none. `key` may be a name.
    pub async fn put(
        &self,
        sort: Sort,
        key: &str,
        given: &Given,
        fixed: Object,
    ) -> Result<Value, Reply> {
        let _writing = self.live.writing.lock().await;
        self.live.refresh();
        let catalog = self.live.catalog();
        let mut given = self.understand(sort, given)?;
        given.extend(fixed);
        let old = catalog.find(sort, key).cloned();
        let id = match &old {
            Some(old) => old.id.clone(),
            None if is_uuid(key) => key.to_string(),
            None => new_id(),
        };
        if !is_uuid(key) && sort != Sort::Targets {
            given.entry("name").or_insert_with(|| key.into());
        }
        self.save(sort, &catalog, &id, old.as_deref(), given).await
    }

    /// PATCH: what is given, merged into what is there.
    pub async fn patch(&self, sort: Sort, id: &str, given: &Given) -> Result<Value, Reply> {
        let _writing = self.live.writing.lock().await;
        self.live.refresh();
        let catalog = self.live.catalog();
        let Some(old) = catalog.find(sort, id).cloned() else { return Err(Reply::not_found()) };
        let given = self.understand(sort, given)?;
        let mut merged = old.value.clone();
        schema::merge(rules::fields(sort, self.live.options.preset), &mut merged, given);
        self.save(sort, &catalog, &old.id, Some(&old), merged).await
    }

    /// DELETE; what is not there is gone already.
    pub async fn delete(&self, sort: Sort, key: &str) -> Result<(), Reply> {
        let _writing = self.live.writing.lock().await;
        self.live.refresh();
        let catalog = self.live.catalog();
        let Some(old) = catalog.find(sort, key) else { return Ok(()) };
        let mut txn = Txn::new().delete(&sort.key(&old.id));
        if let Some(name) = old.name() {
            txn = txn.delete(&sort.name_key(name));
        }
        match sort {
            Sort::Services if catalog.of(Sort::Routes, "service", &old.id).next().is_some() => {
                return Err(Reply::referenced(Sort::Services, Sort::Routes));
            }
            // Targets go with their upstream.
            Sort::Upstreams => {
                for target in catalog.of(Sort::Targets, "upstream", &old.id) {
                    txn = txn.delete(&Sort::Targets.key(&target.id));
                }
            }
            _ => {}
        }
        self.commit(txn).await
    }

    fn understand(&self, sort: Sort, given: &Given) -> Result<Object, Reply> {
        let mut object = given.object.clone();
        rules::spread(sort, &mut object).map_err(|faults| Reply::faults(&faults))?;
        if given.is_form {
            schema::infer(rules::fields(sort, self.live.options.preset), &mut object);
        }
        Ok(object)
    }

    async fn save(
        &self,
        sort: Sort,
        catalog: &Catalog,
        id: &str,
        old: Option<&Entity>,
        given: Object,
    ) -> Result<Value, Reply> {
        let checked = rules::check(sort, self.live.options.preset, &given);
        let mut made = checked.map_err(|faults| Reply::faults(&faults))?;
        resolve_mentions(&mut made, catalog)?;
        stamp(sort, &mut made, id, old);
        let key = sort.key(id);
        let mut txn = match old {
            Some(old) => Txn::new().if_modified(&key, old.modified),
            None => Txn::new().if_absent(&key),
        };
        txn = rename(txn, sort, catalog, id, old, &made)?;
        if sort == Sort::Targets {
            txn = displace(txn, catalog, id, &made);
        }
        let value = Value::Object(made);
        self.commit(txn.put(&key, value.to_string())).await?;
        Ok(value)
    }

    async fn commit(&self, txn: Txn) -> Result<(), Reply> {
        let done = self.live.store.commit(txn).await;
        // Also after a failure: somebody else's write may be what made it fail.
        self.live.refresh();
        done.map(drop).map_err(|error| Reply::store(&error))
    }
}

/// Entities mention each other by id; a client may say a name.
fn resolve_mentions(made: &mut Object, catalog: &Catalog) -> Result<(), Reply> {
    // There is no collection of certificates, so there is none to mention.
    if let Some(mention) = made.get("client_certificate").filter(|mention| mention.is_object()) {
        return Err(Reply::foreign_key("client_certificate", "certificates", mention));
    }
    for (field, sort) in [("service", Sort::Services), ("upstream", Sort::Upstreams)] {
        let Some(mention) = made.get(field).filter(|mention| mention.is_object()).cloned() else {
            continue;
        };
        let key = mention.get("id").or_else(|| mention.get("name")).and_then(Value::as_str);
        match key.and_then(|key| catalog.find(sort, key)) {
            Some(found) => _ = made.insert(field.into(), json!({ "id": found.id })),
            None => return Err(Reply::foreign_key(field, sort.plural(), &mention)),
        }
    }
    Ok(())
}

/// The id and the times are ours to write.
fn stamp(sort: Sort, made: &mut Object, id: &str, old: Option<&Entity>) {
    let now = clock::fresh_wall();
    // Targets count milliseconds: the newest of several counts.
    let now = match sort {
        Sort::Targets => json!(now.as_ms() as f64 / 1000.0),
        _ => json!(now.secs),
    };
    let created = old.and_then(|old| old.value.get("created_at").cloned());
    made.insert("id".into(), id.into());
    made.insert("created_at".into(), created.unwrap_or_else(|| now.clone()));
    made.insert("updated_at".into(), now);
}

/// Takes the name, or another in the place of the old one.
fn rename(
    txn: Txn,
    sort: Sort,
    catalog: &Catalog,
    id: &str,
    old: Option<&Entity>,
    made: &Object,
) -> Result<Txn, Reply> {
    let name = made.get("name").and_then(Value::as_str);
    let before = old.and_then(Entity::name);
    if name == before {
        return Ok(txn);
    }
    let mut txn = txn;
    if let Some(name) = name {
        if catalog.find(sort, name).is_some_and(|other| other.id != id) {
            return Err(Reply::unique("name", name));
        }
        let key = sort.name_key(name);
        txn = txn.if_absent(&key).put(&key, id.to_string());
    }
    Ok(match before {
        Some(before) => txn.delete(&sort.name_key(before)),
        None => txn,
    })
}

/// The newest of two targets with the same text wins.
fn displace(txn: Txn, catalog: &Catalog, id: &str, made: &Object) -> Txn {
    let upstream = made.get("upstream").and_then(|upstream| upstream.get("id")?.as_str());
    let text = made.get("target").and_then(Value::as_str);
    let (Some(upstream), Some(text)) = (upstream, text) else { return txn };
    let others = catalog.of(Sort::Targets, "upstream", upstream);
    let same: Vec<&Arc<Entity>> =
        others.filter(|other| other.text("target") == Some(text) && other.id != id).collect();
    same.iter().fold(txn, |txn, other| txn.delete(&Sort::Targets.key(&other.id)))
}
