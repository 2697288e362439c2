//! The messages of `health.proto` as JSON: names of the fields, enums by name.
//!
//! Members nobody knows are refused: a misspelt `{"svc":…}` must not become a question about the
//! whole gateway.

use serde_json::{Map, Value, json};

use super::status::Status;

/// The service of a request, or what is wrong with it.
pub fn decode_request(bytes: &[u8]) -> Result<String, String> {
    if bytes.is_empty() {
        return Err("zero-length payload is not a valid JSON object".into());
    }
    read(bytes).map_err(|why| format!("{UNMARSHAL}proto: {why}"))
}

pub fn encode_status(status: Status) -> Vec<u8> {
    status_value(status).to_string().into_bytes()
}

pub fn encode_list(list: &[(String, Status)]) -> Vec<u8> {
    let statuses: Map<String, Value> =
        list.iter().map(|(name, status)| (name.clone(), status_value(*status))).collect();
    json!({ "statuses": statuses }).to_string().into_bytes()
}

fn read(bytes: &[u8]) -> Result<String, String> {
    let value: Value = serde_json::from_slice(bytes).map_err(|e| format!("syntax error: {e}"))?;
    let Value::Object(fields) = value else {
        return Err("syntax error: unexpected token, want an object".into());
    };
    let mut service = String::new();
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("service", Value::String(text)) => service = text,
            ("service", Value::Null) => {}
            ("service", other) => {
                return Err(format!("invalid value for string field service: {other}"));
            }
            _ => return Err(format!("unknown field \"{name}\"")),
        }
    }
    Ok(service)
}

fn status_value(status: Status) -> Value {
    json!({ "status": status.name() })
}

/// How Dubbo-go's complaints about messages begin.
pub const UNMARSHAL: &str = "unmarshal into *triple_health.HealthCheckRequest: ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        assert_eq!(decode_request(br#"{"service":"a"}"#).as_deref(), Ok("a"));
        assert_eq!(decode_request(b" {} ").as_deref(), Ok(""));
        assert_eq!(decode_request(br#"{"service":null}"#).as_deref(), Ok(""));
        for wrong in [&br#"{"service":1}"#[..], b"{", br#"{"svc":"x"}"#, b"[]", b"{}{}", b"\xff"] {
            let text = decode_request(wrong).expect_err("refused");
            assert!(text.starts_with(UNMARSHAL), "{text}");
        }
        assert!(decode_request(b"").expect_err("refused").starts_with("zero-length payload"));
    }

    #[test]
    fn responses() {
        assert_eq!(encode_status(Status::Serving), br#"{"status":"SERVING"}"#);
        let list = encode_list(&[("".into(), Status::Serving)]);
        assert_eq!(list, br#"{"statuses":{"":{"status":"SERVING"}}}"#);
    }
}
