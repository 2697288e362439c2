//! What the configuration of plugins must fulfil: `limit-count` whole, all others refused.
//!
//! ```text
//!  plugins ─▶ known? ─▶ schema of the version ─▶ what its words mean together ─▶ what we lack
//! ```

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::Version;
use crate::face::apisix::model::Table;
use crate::face::apisix::names::Collection;
use crate::face::apisix::schema::{self, Kind};

/// Checks all plugins of a document and fills in their defaults.
pub fn check(version: Version, plugins: &mut Map<String, Value>) -> Result<(), String> {
    for (name, plugin) in plugins {
        if name != LIMIT_COUNT {
            return Err(format!("unknown plugin [{name}]"));
        }
        limit_count(version, plugin).map_err(failed)?;
    }
    Ok(())
}

/// All plugins of one group must have the same settings.
pub fn same_in_group(table: &Table, key: &str, full: &Value) -> Result<(), String> {
    let Some(plugin) = full.get("plugins").and_then(|plugins| plugins.get(LIMIT_COUNT)) else {
        return Ok(());
    };
    let Some(group) = plugin.get("group").and_then(Value::as_str) else { return Ok(()) };
    let others = [Collection::Routes, Collection::Services];
    let mut others = others.into_iter().flat_map(|collection| table.limits(collection));
    let differs = others.any(|(item, limit)| {
        *item.key != *key
            && limit.group() == Some(group)
            && !SETTINGS.iter().all(|name| limit.settings.get(name) == plugin.get(name))
    });
    if differs { Err(failed("group conf mismatched".into())) } else { Ok(()) }
}

fn failed(why: String) -> String {
    format!("failed to check the configuration of plugin {LIMIT_COUNT} err: {why}")
}

fn limit_count(version: Version, plugin: &mut Value) -> Result<(), String> {
    let has = |name: &str| plugin.get(name).is_some();
    let plain = |name: &str| !plugin.get(name).is_some_and(Value::is_string);
    // What only the present version knows is judged by its schema.
    let old = version == Version::V2 && !has("rules") && plain("count") && plain("time_window");
    let both = has("rules") && (has("count") || has("time_window"));
    let kind = if old { Kind::LimitCountV2 } else { Kind::LimitCount };
    schema::check(kind, plugin).map_err(|why| match both && why.starts_with(ONLY_ONE) {
        true => BOTH.to_owned(),
        false => why,
    })?;
    if both {
        return Err(BOTH.into());
    }
    let has = |name: &str| plugin.get(name).is_some();
    if has("rules") && has("group") {
        return Err("group and rules cannot be specified at the same time".into());
    }
    let mut keys = HashSet::new();
    let rules = plugin.get("rules").and_then(Value::as_array).into_iter().flatten();
    for key in rules.filter_map(|rule| rule.get("key")?.as_str()) {
        if !keys.insert(key) {
            return Err(format!("duplicate key '{key}' in rules"));
        }
    }
    let policy = plugin.get("policy").and_then(Value::as_str).unwrap_or_default();
    if policy != "local" {
        return Err(format!("policy {policy} is not supported"));
    }
    let meta = plugin.get("_meta").and_then(Value::as_object);
    let unsupported = |name: &&String| !matches!(name.as_str(), "disable" | "priority");
    match meta.into_iter().flat_map(Map::keys).find(unsupported) {
        Some(name) => Err(format!("_meta.{name} is not supported")),
        None => Ok(()),
    }
}

const LIMIT_COUNT: &str = "limit-count";
const ONLY_ONE: &str = "value should match only one schema";
const BOTH: &str = "count/time_window and rules cannot be specified at the same time";
/// What the members of a group share.
const SETTINGS: &[&str] = &[
    "count",
    "time_window",
    "window_type",
    "group",
    "key",
    "key_type",
    "rejected_code",
    "rejected_msg",
    "policy",
    "allow_degradation",
    "show_limit_quota_header",
];
