//! The plugin `limit-count` of a document.
//!
//! ```text
//!  {count, time_window, key}  │  {rules: [{count, time_window, key}]} ─▶ Limit { rules, … }
//! ```

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::Value;

/// How often, and what becomes of the rest.
#[derive(Clone, Debug)]
pub struct Limit {
    pub rules: Vec<Rule>,
    /// The rules came as a list: those without a value for their key do not count.
    pub listed: bool,
    pub answers: Answers,
    /// Tells counters of one setting from those of another: they begin anew when it changes.
    pub counter: u64,
    /// As the document has it, with the defaults.
    pub settings: Value,
}

/// So many requests of a key in a span.
#[derive(Clone, Debug)]
pub struct Rule {
    pub count: Amount,
    pub time_window: Amount,
    pub key: String,
    pub key_type: WindowKey,
    /// `X-{prefix}-RateLimit-Limit`
    pub prefix: Option<String>,
}

/// A number, or a text with variables that becomes one with each request.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    Number(f64),
    Text(String),
}

/// What does not depend on the rule.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answers {
    #[serde(default)]
    pub window_type: WindowType,
    pub rejected_code: f64,
    pub rejected_msg: Option<String>,
    pub show_limit_quota_header: bool,
    pub allow_degradation: bool,
    group: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowType {
    #[default]
    Fixed,
    Sliding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WindowKey {
    Var,
    VarCombination,
    Constant,
}

#[derive(Deserialize)]
struct Single {
    count: Amount,
    time_window: Amount,
    key: String,
    key_type: WindowKey,
}

#[derive(Deserialize)]
struct Listed {
    count: Amount,
    time_window: Amount,
    key: String,
    header_prefix: Option<String>,
}

impl Limit {
    /// Reads a plugin whose defaults are filled in; none when it is switched off.
    pub fn read(key: &str, plugin: &Value) -> Result<Option<Arc<Self>>, String> {
        let meta = plugin.get("_meta").and_then(|meta| meta.get("disable"));
        if [plugin.get("disable"), meta].contains(&Some(&Value::Bool(true))) {
            return Ok(None);
        }
        let told = |error: serde_json::Error| error.to_string();
        let answers = Answers::deserialize(plugin).map_err(told)?;
        let list = plugin.get("rules").and_then(Value::as_array);
        let rules = match list {
            None => {
                let Single { count, time_window, key, key_type } =
                    Single::deserialize(plugin).map_err(told)?;
                vec![Rule { count, time_window, key, key_type, prefix: None }]
            }
            Some(list) => list
                .iter()
                .zip(1..)
                .map(|(rule, number)| Rule::listed(rule, number))
                .collect::<Result<_, _>>()
                .map_err(told)?,
        };
        let mut hasher = DefaultHasher::new();
        match &answers.group {
            Some(group) => ("group", group).hash(&mut hasher),
            None => (key, plugin.to_string()).hash(&mut hasher),
        }
        let (counter, settings) = (hasher.finish(), plugin.clone());
        Ok(Some(Arc::new(Self { rules, listed: list.is_some(), answers, counter, settings })))
    }

    pub fn group(&self) -> Option<&str> {
        self.answers.group.as_deref()
    }
}

impl Rule {
    fn listed(rule: &Value, number: usize) -> Result<Self, serde_json::Error> {
        let Listed { count, time_window, key, header_prefix } = Listed::deserialize(rule)?;
        let prefix = Some(header_prefix.unwrap_or_else(|| number.to_string()));
        Ok(Self { count, time_window, key, key_type: WindowKey::VarCombination, prefix })
    }
}
