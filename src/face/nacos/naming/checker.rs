//! How the instances of a cluster are checked: the words of `healthChecker`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A cluster's health checker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(tag = "type")]
pub enum Checker {
    #[default]
    #[serde(rename = "TCP")]
    Tcp,
    #[serde(rename = "HTTP")]
    Http {
        #[serde(default)]
        path: String,
        /// `name:value|name:value`
        #[serde(default)]
        headers: String,
        #[serde(rename = "expectedResponseCode", default = "expected_default")]
        expected: u16,
    },
    #[serde(rename = "MYSQL")]
    Mysql {
        #[serde(default)]
        user: String,
        #[serde(default)]
        pwd: String,
        #[serde(default)]
        cmd: String,
    },
    #[serde(rename = "NONE")]
    None,
}

impl Checker {
    /// Reads the JSON of a request. An unknown type stands for no check, as in Nacos; what is no
    /// JSON object is an error.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let Value::Object(mut fields) = serde_json::from_str(text)? else {
            return Err(serde::de::Error::custom("a health checker is an object"));
        };
        let kind = fields.get("type").and_then(Value::as_str).unwrap_or("").to_uppercase();
        if !["TCP", "HTTP", "MYSQL"].contains(&kind.as_str()) {
            return Ok(Self::None);
        }
        fields.insert("type".into(), kind.into());
        serde_json::from_value(Value::Object(fields))
    }

    /// The default of each type, in Nacos' order.
    pub fn types() -> [Self; 4] {
        let empty = String::new;
        let http = Self::Http { path: empty(), headers: empty(), expected: EXPECTED };
        let mysql = Self::Mysql { user: empty(), pwd: empty(), cmd: empty() };
        [Self::Tcp, http, mysql, Self::None]
    }

    /// The lines `headers` stands for.
    pub fn header_lines(headers: &str) -> impl Iterator<Item = (&str, &str)> {
        let pairs = headers.split('|').filter_map(|pair| pair.split_once(':'));
        pairs.map(|(name, value)| (name.trim(), value.trim())).filter(|(name, _)| !name.is_empty())
    }
}

const fn expected_default() -> u16 {
    EXPECTED
}

const EXPECTED: u16 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        let http = Checker::parse(r#"{"type":"http","path":"/h","headers":"a:1|b: 2","x":0}"#);
        let Ok(Checker::Http { path, headers, expected }) = http else { panic!("{http:?}") };
        assert_eq!((path.as_str(), expected), ("/h", 200));
        let lines: Vec<_> = Checker::header_lines(&headers).collect();
        assert_eq!(lines, [("a", "1"), ("b", "2")]);
        assert_eq!(Checker::parse(r#"{"type":"QUIC"}"#).ok(), Some(Checker::None));
        assert_eq!(Checker::parse("{}").ok(), Some(Checker::None));
        assert!(Checker::parse("tcp").is_err());
        assert!(Checker::parse(r#"{"type":"HTTP","expectedResponseCode":"x"}"#).is_err());
    }

    #[test]
    fn types_render_as_nacos_shows_them() {
        let text = |at: usize| serde_json::to_string(&Checker::types()[at]).expect("plain data");
        assert_eq!(text(0), r#"{"type":"TCP"}"#);
        assert_eq!(text(1), r#"{"type":"HTTP","path":"","headers":"","expectedResponseCode":200}"#);
        assert_eq!(text(3), r#"{"type":"NONE"}"#);
    }
}
